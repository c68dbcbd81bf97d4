//! Accounts: opened for use, imported, changed, deleted; and their credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tramontane_connector::oauth::REFRESH_TOKEN;
use tramontane_connector::{Account, Credential, Settings};
use tramontane_model::AccountId;
use tramontane_store::Slice;
use tramontane_store::accounts::{self, Account as Row, CredentialState, Filter, Remains};
use tramontane_store::credentials::{self, Credential as SealedCredential};
use tramontane_store::data_keys::SealedTable;
use tramontane_store::feeds::{Feed, Subscription};
use tramontane_store::following;
use tramontane_store::grants::{self, Lease, Renewal};
use zeroize::Zeroizing;

use crate::caller::Refusal;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::keys::context;
use crate::upstream::Obtained;

/// How often a change is tried again when another was faster.
const TRIES: usize = 16;

/// An account ready for use: the row, and what connectors get.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The row.
    pub row: Row,
    /// What connectors get, with the credential opened. Prints no secret.
    pub account: Arc<Account>,
    /// The version of the stored credential, for compare-and-swap.
    pub credential_version: i64,
}

impl Opened {
    /// The account's id.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.account.id
    }

    /// Check 4 of section 4.4: the application has not switched the account off.
    ///
    /// # Errors
    /// [`Refusal::AccountInactive`].
    pub fn require_active(&self) -> std::result::Result<(), Refusal> {
        if self.row.active { Ok(()) } else { Err(Refusal::AccountInactive) }
    }
}

/// What a new account is to be. Settings and credential come from [`crate::form`].
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The connector's name.
    pub service: String,
    /// Whether it was connected with organisation-wide access.
    pub admin: bool,
    /// Who it is at the service; `None` when it was not asked: then `display` stands for it.
    pub identity: Option<String>,
    /// What people know it by (the wire's `account`).
    pub display: String,
    /// Settings that are no secrets.
    pub settings: Settings,
    /// Secrets.
    pub credential: Credential,
    /// What the application noted; merged into what is there.
    pub custom_properties: BTreeMap<String, Option<String>>,
    /// Granted scopes, space-separated.
    pub scope: String,
    /// When the service's token ends, in microseconds.
    pub token_expiry: Option<i64>,
    /// When the service's refresh token ends, in microseconds.
    pub refresh_token_expiry: Option<i64>,
}

/// What an import did.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The account.
    pub opened: Arc<Opened>,
    /// Whether it is new; if not, the account that stood for the identity was updated.
    pub created: bool,
}

/// What became of renewed tokens.
pub(crate) enum Written {
    /// They are the account's now.
    Stored(Arc<Opened>),
    /// The account has another grant by now.
    Other,
}

/// A change of an account; `None` leaves a member as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// Whether it may be used.
    pub active: Option<bool>,
    /// What people know it by.
    pub display: Option<String>,
    /// All settings.
    pub settings: Option<Settings>,
    /// All secrets. Makes the credential's state `ok`.
    pub credential: Option<Credential>,
    /// Custom properties to merge by key; `None` deletes a key.
    pub custom_properties: BTreeMap<String, Option<String>>,
    /// Granted scopes.
    pub scope: Option<String>,
    /// When the service's token ends.
    pub token_expiry: Option<Option<i64>>,
    /// When the service's refresh token ends.
    pub refresh_token_expiry: Option<Option<i64>>,
}

impl Directory {
    /// The account with this id, opened and kept in memory; `None` when it is not there. For callers'
    /// ids use [`Directory::account`], which asks whose it is.
    ///
    /// # Errors
    /// A vault error when the credential does not open; those of the database.
    pub async fn open(&self, id: AccountId) -> Result<Option<Arc<Opened>>> {
        let load = async { Ok(self.load(id).await?.map(Arc::new)) };
        self.0.account_by_id.get(&id.number(), load).await
    }

    /// As [`Directory::open`], past what is kept in memory.
    pub(crate) async fn reopen(&self, id: AccountId) -> Result<Option<Arc<Opened>>> {
        self.0.account_by_id.forget(&id.number());
        self.open(id).await
    }

    /// An application's account, opened.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the application has none with this id.
    pub async fn account_of(&self, application: &str, id: AccountId) -> Result<Arc<Opened>> {
        let opened = self.open(id).await?;
        let own = opened.filter(|opened| opened.row.application == application);
        own.ok_or(Error::NotFound("account"))
    }

    async fn load(&self, id: AccountId) -> Result<Option<Opened>> {
        // Row and credential are two reads. The revision is read again afterwards, so that a change
        // between them does not give the old settings with the new credential.
        for _ in 0..TRIES {
            let Some(row) = accounts::find(&self.0.db, id.number()).await? else { return Ok(None) };
            let sealed = credentials::find(&self.0.db, id.number()).await?;
            let Some(sealed) = sealed else { return Ok(None) };
            let again = accounts::find(&self.0.db, id.number()).await?;
            if again.as_ref().map(|again| again.revision) != Some(row.revision) {
                continue;
            }
            let credential = self.open_credential(&sealed).await?;
            return Ok(Some(opened(id, row, credential, &sealed)?));
        }
        Err(Error::Contended("account"))
    }

    async fn open_credential(&self, stored: &SealedCredential) -> Result<Credential> {
        let place = context(SealedTable::Credentials, &stored.account.to_string());
        let plain = self.0.keys.open(&stored.sealed, &place).await?;
        let bad = |_| Error::BadCredential(stored.account);
        let fields: BTreeMap<String, Zeroizing<String>> =
            serde_json::from_slice::<BTreeMap<String, String>>(&plain)
                .map_err(bad)?
                .into_iter()
                .map(|(field, value)| (field, Zeroizing::new(value)))
                .collect();
        Ok(fields.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect())
    }

    fn seal_credential(
        &self,
        id: i64,
        credential: &Credential,
        version: i64,
    ) -> Result<SealedCredential> {
        let fields: BTreeMap<&str, &str> = credential.expose().collect();
        let plain = serde_json::to_vec(&fields).map_err(|_| Error::BadCredential(id))?;
        let plain = Zeroizing::new(plain);
        let place = context(SealedTable::Credentials, &id.to_string());
        let (sealed, key_id) = self.0.keys.seal(&plain, &place)?;
        let modified = self.now();
        Ok(SealedCredential { account: id, sealed, key_id, version, modified, renewals: 0 })
    }

    /// An application's accounts, by id, and how many there are in all. Credentials stay sealed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn accounts(
        &self,
        application: &str,
        filter: &Filter,
        slice: Slice,
    ) -> Result<(Vec<Row>, i64)> {
        let total = accounts::count(&self.0.db, application, filter).await?;
        Ok((accounts::list(&self.0.db, application, filter, slice).await?, total))
    }

    /// Connects an account, or updates the one that stands for the same identity (wire API, sections
    /// 17.2 and 17.3): same id, tokens stay good, the credential is `ok` again. The credential is not
    /// tried.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such an application, [`Error::NoFreeId`], [`Error::Invalid`].
    pub async fn import(&self, application: &str, new: NewAccount) -> Result<Imported> {
        check_text("account", &new.display)?;
        let identity = new.identity.clone().unwrap_or_else(|| new.display.clone());
        check_text("identity", &identity)?;
        check_properties(&new.custom_properties)?;
        let owner = self.application_by_id(application).await?;
        let owner = owner.ok_or(Error::NotFound("application"))?;
        let subscription = self.marked_id("sub_");
        for _ in 0..TRIES {
            if let Some(row) = self.same_account(application, &new, &identity).await? {
                let change = AccountChange {
                    display: Some(new.display.clone()),
                    settings: Some(new.settings.clone()),
                    credential: Some(new.credential.clone()),
                    custom_properties: new.custom_properties.clone(),
                    scope: Some(new.scope.clone()),
                    token_expiry: Some(new.token_expiry),
                    refresh_token_expiry: Some(new.refresh_token_expiry),
                    ..AccountChange::default()
                };
                let id = AccountId::new(row.id).ok_or(Error::NotFound("account"))?;
                let opened = self.update_account(application, id, &change).await?;
                return Ok(Imported { opened, created: false });
            }
            let id = self.random_in(&self.0.account_ids);
            let row = self.new_row(application, id, &new, &identity);
            let credential = self.seal_credential(id, &new.credential, 1)?;
            let (feed, watched) =
                first_subscription(id, &subscription, owner.events_enabled, self.now());
            let made =
                following::insert_account(&self.0.db, &row, &credential, feed.as_ref(), &watched);
            match made.await {
                Ok(()) => {
                    let id = AccountId::new(id).ok_or(Error::NoFreeId)?;
                    let opened = opened(id, row, new.credential, &credential)?;
                    self.enrol(&opened).await;
                    let opened = Arc::new(opened);
                    return Ok(Imported { opened, created: true });
                }
                // The id is in use, or the identity was connected a moment ago: look again.
                Err(error) if error.is_taken() => {}
                Err(error) if error.is_gone() => self.0.keys.reload().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::NoFreeId)
    }

    async fn same_account(
        &self,
        application: &str,
        new: &NewAccount,
        identity: &str,
    ) -> Result<Option<Row>> {
        let (db, service, admin) = (&self.0.db, new.service.as_str(), new.admin);
        let known = accounts::find_identity(db, application, service, admin, identity).await?;
        if known.is_some() || new.identity.is_some() {
            return Ok(known);
        }
        // An import names an account by what people know it by; it may have been connected with the
        // service's own id.
        let filter = Filter {
            admin: Some(admin),
            service: Some(service.to_owned()),
            display: Some(new.display.clone()),
            ..Filter::default()
        };
        Ok(accounts::list(db, application, &filter, Slice::first(1)).await?.into_iter().next())
    }

    fn new_row(&self, application: &str, id: i64, new: &NewAccount, identity: &str) -> Row {
        let now = self.now();
        Row {
            id,
            application: application.to_owned(),
            service: new.service.clone(),
            admin: new.admin,
            identity: identity.to_owned(),
            display: new.display.clone(),
            active: true,
            settings: settings_value(&new.settings),
            custom_properties: merged(&Value::Null, &new.custom_properties),
            scope: new.scope.clone(),
            credential_state: CredentialState::Ok,
            credential_reason: None,
            credential_since: now,
            token_expiry: new.token_expiry,
            refresh_token_expiry: new.refresh_token_expiry,
            revision: 1,
            created: now,
            modified: now,
        }
    }

    /// Changes an application's account. A change that changes nothing writes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::Contended`].
    pub async fn update_account(
        &self,
        application: &str,
        id: AccountId,
        change: &AccountChange,
    ) -> Result<Arc<Opened>> {
        if let Some(display) = &change.display {
            check_text("account", display)?;
        }
        check_properties(&change.custom_properties)?;
        for _ in 0..TRIES {
            let before = self.load(id).await?;
            let before = before.filter(|opened| opened.row.application == application);
            let before = before.ok_or(Error::NotFound("account"))?;
            let row = self.changed(&before.row, change);
            let credential = change.credential.as_ref().map(|credential| {
                self.seal_credential(id.number(), credential, before.credential_version)
            });
            let said = Some(match (before.row.active, row.active) {
                (true, false) => "account.disabled",
                _ => "account.updated",
            });
            let db = &self.0.db;
            let written = match credential.transpose()? {
                Some(sealed) => accounts::update_with_credential(db, &row, &sealed, said).await,
                None if row == before.row => return Ok(Arc::new(before)),
                None => accounts::update(db, &row, said).await,
            };
            match written {
                Ok(true) => {
                    let opened = self.reopen(id).await?.ok_or(Error::NotFound("account"))?;
                    if change.credential.is_some() {
                        self.enrol(&opened).await;
                    }
                    return Ok(opened);
                }
                Ok(false) => {}
                Err(error) if error.is_gone() => self.0.keys.reload().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended("account"))
    }

    /// Makes a new grant known to those that keep grants from lapsing. If that fails now, the grant's
    /// first refresh does it.
    async fn enrol(&self, opened: &Opened) {
        if opened.account.credential.get(REFRESH_TOKEN).is_none() {
            return;
        }
        if let Err(error) = grants::enrol(&self.0.db, opened.row.id, self.now()).await {
            tracing::warn!(%error, account = opened.row.id, "a new grant was not enrolled");
        }
    }

    fn changed(&self, before: &Row, change: &AccountChange) -> Row {
        let mut row = before.clone();
        if let Some(active) = change.active {
            row.active = active;
        }
        if let Some(display) = &change.display {
            row.display.clone_from(display);
        }
        if let Some(settings) = &change.settings {
            row.settings = settings_value(settings);
        }
        if !change.custom_properties.is_empty() {
            row.custom_properties = merged(&row.custom_properties, &change.custom_properties);
        }
        if let Some(scope) = &change.scope {
            row.scope.clone_from(scope);
        }
        row.token_expiry = change.token_expiry.unwrap_or(row.token_expiry);
        row.refresh_token_expiry = change.refresh_token_expiry.unwrap_or(row.refresh_token_expiry);
        if change.credential.is_some() && row.credential_state != CredentialState::Ok {
            row.credential_state = CredentialState::Ok;
            row.credential_reason = None;
            row.credential_since = self.now();
        }
        if row != *before || change.credential.is_some() {
            row.modified = self.now();
        }
        row
    }

    /// Stores tokens that the service renewed, unless the account was given another grant since
    /// `before` was read. What else was changed meanwhile stays changed.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the account is gone.
    pub(crate) async fn store_renewed(
        &self,
        before: &Opened,
        renewed: &Obtained,
        lease: Lease,
        due: Option<i64>,
    ) -> Result<Written> {
        let id = before.id();
        let spent = before.account.credential.get(REFRESH_TOKEN);
        for _ in 0..TRIES {
            let now = self.load(id).await?.ok_or(Error::NotFound("account"))?;
            let mut credential = now.account.credential.clone();
            if credential.get(REFRESH_TOKEN) != spent {
                self.0.account_by_id.forget(&id.number());
                return Ok(Written::Other);
            }
            for (field, value) in renewed.credential.expose() {
                if renewed.credential.get(field) != before.account.credential.get(field) {
                    credential.set(field, value);
                }
            }
            let sealed = self.seal_credential(id.number(), &credential, now.credential_version)?;
            let renewal = Renewal {
                lease,
                credential: &sealed,
                token_expiry: renewed.token_expiry,
                refresh_token_expiry: renewed.refresh_token_expiry,
                due,
                now: self.now(),
            };
            match grants::renew(&self.0.db, &renewal).await {
                Ok(true) => {
                    let opened = self.reopen(id).await?;
                    return opened.map(Written::Stored).ok_or(Error::NotFound("account"));
                }
                Ok(false) => {}
                Err(error) if error.is_gone() => self.0.keys.reload().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended("account"))
    }

    /// Notes what the service said of the credential that `opened` carries. Writes only when the state
    /// is another, and not when settings or credential were changed since.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn report_credential(
        &self,
        opened: &Opened,
        state: CredentialState,
        reason: Option<&str>,
    ) -> Result<()> {
        let row = &opened.row;
        if row.credential_state == state && row.credential_reason.as_deref() == reason {
            return Ok(());
        }
        let (id, revision, now) = (row.id, row.revision, self.now());
        let said = match (row.credential_state, state) {
            (before, CredentialState::Dead) if before != CredentialState::Dead => {
                Some("account.needs_reconnect")
            }
            (CredentialState::Dead, CredentialState::Ok) => Some("account.updated"),
            _ => None,
        };
        let db = &self.0.db;
        accounts::set_credential_state(db, id, revision, state, reason, now, said).await?;
        self.0.account_by_id.forget(&id);
        Ok(())
    }

    /// Ends an application's account and everything of it. Gives what it left outside the database.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_account(&self, application: &str, id: AccountId) -> Result<Remains> {
        let deleted = accounts::delete(&self.0.db, application, id.number(), self.now()).await?;
        let remains = deleted.ok_or(Error::NotFound("account"))?;
        for hash in &remains.token_hashes {
            self.0.token_by_hash.forget(hash);
        }
        self.0.account_by_id.forget(&id.number());
        Ok(remains)
    }
}

fn opened(
    id: AccountId,
    row: Row,
    credential: Credential,
    sealed: &SealedCredential,
) -> Result<Opened> {
    let mut settings = Settings::new();
    if let Value::Object(stored) = &row.settings {
        for (field, value) in stored {
            let Value::String(value) = value else {
                return Err(Error::invalid(field, "the stored setting is not a text"));
            };
            settings.insert(field.clone(), value.clone());
        }
    }
    let account = Account {
        id,
        service: row.service.as_str().into(),
        admin: row.admin,
        settings,
        credential,
        // Refreshes count the row's revision, but connections and gates outlive them.
        revision: row.revision.saturating_sub(sealed.renewals),
    };
    Ok(Opened { row, account: Arc::new(account), credential_version: sealed.version })
}

/// The default subscription that an account is born with. Where the application has no events it is one that
/// was deleted: a living one has to be asked for.
fn first_subscription(
    account: i64,
    id: &str,
    events: bool,
    now: i64,
) -> (Option<Feed>, Subscription) {
    let mut row = Subscription::first(id.to_owned(), account, now);
    row.deleted = (!events).then_some(now);
    (events.then(|| Feed::new(account, now)), row)
}

fn settings_value(settings: &Settings) -> Value {
    let members = settings.iter().map(|(field, value)| (field.clone(), Value::from(value.clone())));
    Value::Object(members.collect())
}

fn merged(stored: &Value, changes: &BTreeMap<String, Option<String>>) -> Value {
    let mut members = stored.as_object().cloned().unwrap_or_else(Map::new);
    for (key, value) in changes {
        match value {
            Some(value) => members.insert(key.clone(), Value::from(value.clone())),
            // Keeps the order of the others.
            None => members.shift_remove(key),
        };
    }
    Value::Object(members)
}

fn check_text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > 1_024 || text.contains('\0') {
        return Err(Error::invalid(field, "must have 1 to 1024 bytes, without NUL characters"));
    }
    Ok(())
}

fn check_properties(properties: &BTreeMap<String, Option<String>>) -> Result<()> {
    let size: usize = properties
        .iter()
        .map(|(key, value)| key.len() + value.as_deref().map_or(0, str::len))
        .sum();
    let texts = || properties.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten();
    if size > 65_536 || properties.len() > 500 || texts().any(|text| text.contains('\0')) {
        let rule = "takes up to 500 keys and 64 KB in all, without NUL characters";
        return Err(Error::invalid("custom_properties", rule));
    }
    Ok(())
}
