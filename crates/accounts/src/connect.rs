//! Connecting an account by a form: the fields are read, the credential is tried, what the service told
//! of itself is recorded, and the account is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tramontane_connector::{Account, Connector, Credential, Cx, Identity, Lent, Settings};
use tramontane_model::AccountId;

use crate::account::{Imported, NewAccount};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::form::{self, By};

/// How long a service may take to say whose a credential is.
const TRY_TIME: Duration = Duration::from_secs(30);

/// What is given to connect an account.
#[derive(Debug)]
pub struct Connecting<'a> {
    /// Whose account it will be.
    pub application: &'a str,
    /// The fields, by name or alias.
    pub given: &'a BTreeMap<String, Option<String>>,
    /// Who fills the form.
    pub by: By,
    /// What people shall know it by; `None`: what the service says.
    pub display: Option<String>,
    /// What the application notes.
    pub custom_properties: BTreeMap<String, Option<String>>,
}

/// Tries settings and a credential that belong to no account yet, with organisation-wide access when
/// `admin`. Gives whose they are, and the settings with what the service told of itself.
///
/// # Errors
/// What the connector says: see [`Connector::identify`].
pub async fn try_credential(
    connector: &dyn Connector,
    settings: Settings,
    credential: Credential,
    admin: bool,
    lent: Arc<dyn Lent>,
) -> Result<(Identity, Settings)> {
    // No account has such a revision, so nothing that is kept by account and revision is shared.
    static TRIALS: AtomicI64 = AtomicI64::new(-1);
    let id = AccountId::new(i64::from(i32::MAX)).ok_or(Error::NoFreeId)?;
    let account = Account {
        id,
        service: Arc::from(connector.descriptor().name),
        admin,
        settings,
        credential,
        revision: TRIALS.fetch_sub(1, Ordering::Relaxed),
    };
    let cx = Cx::interactive(Arc::new(account), lent, TRY_TIME);
    let identity = connector.identify(&cx).await?;
    let mut settings = cx.account.settings.clone();
    settings.extend(connector.settle(&cx).await?);
    Ok((identity, settings))
}

impl Directory {
    /// Connects an account: sorts the fields, tries the credential, keeps the account.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field, [`Error::Connector`] with what the service said; nothing
    /// is kept then.
    pub async fn connect(
        &self,
        connector: &dyn Connector,
        lent: Arc<dyn Lent>,
        asked: Connecting<'_>,
    ) -> Result<Imported> {
        let (settings, credential) = form::fill(connector, asked.given, asked.by, true)?;
        let (identity, settings) =
            try_credential(connector, settings, credential.clone(), false, lent).await?;
        let descriptor = connector.descriptor();
        let scope = descriptor
            .apis
            .iter()
            .map(|api| format!("{}:normal.{api}.default:kloudless", descriptor.name));
        let new = NewAccount {
            service: descriptor.name.to_owned(),
            admin: false,
            display: asked.display.unwrap_or(identity.display),
            identity: Some(identity.id),
            settings,
            credential,
            custom_properties: asked.custom_properties,
            scope: scope.collect::<Vec<_>>().join(" "),
            token_expiry: None,
            refresh_token_expiry: None,
        };
        self.import(asked.application, new).await
    }
}
