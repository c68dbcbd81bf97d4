//! Accounts from tokens that are at hand already, and grants that are looked at again on demand.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN, SERVICE_ACCOUNT};
use tramontane_connector::{Account, Connector, Credential, Lent, Settings};
use tramontane_model::AccountId;

use super::endpoint::oauth_of;
use super::held::LIFE;
use super::renew::Want;
use super::{CLIENT_ID, Grants};
use crate::account::{Imported, NewAccount};
use crate::connect::{Connecting, try_credential};
use crate::error::{Error, Result};
use crate::form;

/// A credential from outside, made ready.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What [`try_credential`] takes.
    pub tried: Credential,
    /// What the account keeps.
    pub kept: Credential,
    /// When the access token ends, when it was fetched now.
    pub token_expiry: Option<i64>,
    /// When the refresh token ends, where the service said so now.
    pub refresh_token_expiry: Option<i64>,
}

impl Grants {
    /// Makes a credential ready to be tried: a refresh token alone is exchanged now (and replaced by
    /// the next one where the service rotates them, so `kept` must be kept), a service account gets a
    /// first token.
    ///
    /// # Errors
    /// [`Error::NoClient`]; [`Error::Connector`] with what the service said.
    pub async fn prepare(
        &self,
        application: &str,
        connector: &dyn Connector,
        admin: bool,
        settings: &Settings,
        credential: Credential,
    ) -> Result<Prepared> {
        if credential.get(SERVICE_ACCOUNT).is_some() {
            let account = Account {
                id: AccountId::new(i64::from(i32::MAX)).ok_or(Error::NoFreeId)?,
                service: Arc::from(connector.descriptor().name),
                admin,
                settings: settings.clone(),
                credential: credential.clone(),
                revision: -1,
            };
            let tried = self.service_credential(application, connector, &account).await?;
            let mut kept = tried.clone();
            kept.remove(ACCESS_TOKEN);
            return Ok(Prepared { tried, kept, token_expiry: None, refresh_token_expiry: None });
        }
        let refresh =
            credential.get(REFRESH_TOKEN).filter(|_| credential.get(ACCESS_TOKEN).is_none());
        let Some(refresh) = refresh else {
            let kept = credential.clone();
            let tried = credential;
            return Ok(Prepared { tried, kept, token_expiry: None, refresh_token_expiry: None });
        };
        let oauth = oauth_of(connector)?;
        let descriptor = connector.descriptor();
        let client = self.client(application, descriptor.name, admin).await?;
        let refresh = SecretString::from(refresh.to_owned());
        let tokens = self.refresh(connector, &client, &refresh).await;
        let tokens = tokens.map_err(|failure| failure.into_error(descriptor.friendly_name))?;
        let obtained = self.obtained(oauth, &client, tokens, &[], Some(&credential));
        Ok(Prepared {
            tried: obtained.credential.clone(),
            kept: obtained.credential,
            token_expiry: obtained.token_expiry,
            refresh_token_expiry: obtained.refresh_token_expiry,
        })
    }

    /// Connects an account by tokens, as [`crate::Directory::connect`] does by a form.
    ///
    /// # Errors
    /// As there, and those of [`Grants::prepare`].
    pub async fn connect_by_tokens(
        &self,
        connector: &dyn Connector,
        lent: Arc<dyn Lent>,
        asked: Connecting<'_>,
    ) -> Result<Imported> {
        let (settings, credential) = form::fill(connector, asked.given, asked.by, true)?;
        let admin = credential.get(SERVICE_ACCOUNT).is_some();
        let application = asked.application;
        let ready = self.prepare(application, connector, admin, &settings, credential).await?;
        let (identity, settings) =
            try_credential(connector, settings, ready.tried, admin, lent).await?;
        let new = NewAccount {
            service: connector.descriptor().name.to_owned(),
            admin,
            display: asked.display.unwrap_or(identity.display),
            identity: Some(identity.id),
            settings,
            credential: ready.kept,
            custom_properties: asked.custom_properties,
            scope: String::new(),
            token_expiry: ready.token_expiry,
            refresh_token_expiry: ready.refresh_token_expiry,
        };
        self.directory().import(application, new).await
    }

    /// Asks the service once more about a grant that was called dead. If it takes it, the account is
    /// `ok` again.
    ///
    /// # Errors
    /// [`Error::Connector`]: `Credential` when it is dead indeed, `Unavailable` and the like when it
    /// cannot be told.
    pub async fn retry(&self, account: AccountId) -> Result<()> {
        match self.renew(account.number(), Want::Anyway).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(Error::Connector(fault.into())),
        }
    }
}

/// Forgets what was known of tokens that a change replaces; gives whether the access token is another
/// one, whose end is not known then.
pub fn replaced(
    changes: &BTreeMap<String, Option<SecretString>>,
    credential: &mut Credential,
) -> bool {
    let (access, refresh) =
        (changes.contains_key(ACCESS_TOKEN), changes.contains_key(REFRESH_TOKEN));
    if refresh {
        // It may have been given to another client.
        credential.remove(CLIENT_ID);
        if !access {
            credential.remove(ACCESS_TOKEN);
        }
    }
    if access || refresh {
        credential.remove(LIFE);
    }
    access || refresh
}
