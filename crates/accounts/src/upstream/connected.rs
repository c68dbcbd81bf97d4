//! From a grant to an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use tramontane_connector::oauth::REFRESH_TOKEN;
use tramontane_connector::{Connector, Credential, Lent, Settings};
use tramontane_store::accounts;

use super::{CLIENT_ID, Grants, Obtained};
use crate::account::{Imported, NewAccount};
use crate::connect::try_credential;
use crate::error::{Error, Result};

/// A grant that shall become an account.
pub struct NewGrant<'a> {
    /// Whose account it will be.
    pub application: &'a str,
    /// The service.
    pub connector: &'a dyn Connector,
    /// What [`Grants::exchange`] gave.
    pub obtained: Obtained,
    /// Whether organisation-wide access was asked for.
    pub admin: bool,
    /// The connector's own fields, where it has any; [`crate::form`] makes them.
    pub settings: Settings,
    /// Granted scopes in the form of section 18.3, space-separated: the account's `effective_scope`.
    pub scope: String,
    /// What people shall know it by; `None`: what the service says.
    pub display: Option<String>,
    /// What the application notes.
    pub custom_properties: BTreeMap<String, Option<String>>,
    /// The account that is connected again: another identity is refused then.
    pub again: Option<&'a crate::account::Opened>,
}

impl Grants {
    /// Asks the service whose the grant is and keeps the account; an account of the same identity is
    /// updated (section 17.3), and is `ok` again.
    ///
    /// # Errors
    /// [`Error::OtherIdentity`] when `again` names an account of somebody else;
    /// [`Error::Connector`] with what the service said. Nothing is kept then.
    pub async fn connect(&self, new: NewGrant<'_>, lent: Arc<dyn Lent>) -> Result<Imported> {
        let Obtained { mut credential, token_expiry, refresh_token_expiry, .. } = new.obtained;
        let tried =
            try_credential(new.connector, new.settings, credential.clone(), new.admin, lent);
        let (identity, settings) = tried.await?;
        let service = new.connector.descriptor().name;
        if let Some(again) = new.again
            && (again.row.service != service || again.row.identity != identity.id)
        {
            return Err(Error::OtherIdentity {
                wanted: again.row.display.clone(),
                found: identity.display,
            });
        }
        self.keep_refresh_token(new.application, service, new.admin, &identity.id, &mut credential)
            .await?;
        let account = NewAccount {
            service: service.to_owned(),
            admin: new.admin,
            display: new.display.unwrap_or(identity.display),
            identity: Some(identity.id),
            settings,
            credential,
            custom_properties: new.custom_properties,
            scope: new.scope,
            token_expiry,
            refresh_token_expiry,
        };
        self.directory().import(new.application, account).await
    }

    /// Some services give a refresh token with the first consent only. The one that the account has
    /// stays good then, if the same client asked.
    async fn keep_refresh_token(
        &self,
        application: &str,
        service: &str,
        admin: bool,
        identity: &str,
        credential: &mut Credential,
    ) -> Result<()> {
        if credential.get(REFRESH_TOKEN).is_some() {
            return Ok(());
        }
        let db = self.directory().db();
        let row = accounts::find_identity(db, application, service, admin, identity).await?;
        let id = row.and_then(|row| tramontane_model::AccountId::new(row.id));
        let Some(id) = id else { return Ok(()) };
        let Some(opened) = self.directory().open(id).await? else { return Ok(()) };
        let before = &opened.account.credential;
        if before.get(CLIENT_ID) == credential.get(CLIENT_ID)
            && let Some(token) = before.get(REFRESH_TOKEN)
        {
            credential.set(REFRESH_TOKEN, token);
        }
        Ok(())
    }
}
