//! Applications and their API keys.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tramontane_store::applications::{self, Application};
use tramontane_store::data_keys::SealedTable;
use tramontane_store::keys::{self, ApiKey};
use tramontane_store::sites::{self, RedirectUri, TrustedDomain};
use tramontane_store::{Slice, accounts};
use tramontane_vault::{Mark, hash, mint, random_id};

use crate::access::Access;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::keys::context;

/// The longest name of an application, in characters (wire API, section 20.2).
const MAX_NAME_CHARS: usize = 200;
/// Random bytes of an application id: 24 characters.
const ID_BYTES: usize = 18;

/// What a new application is to be. The default has no name, which is refused.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// 1 to 200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// A picture.
    pub logo_url: Option<String>,
    /// Whether tokens may be given by the implicit grant.
    pub implicit_grant_enabled: bool,
    /// Whether recent files are offered.
    pub recent_enabled: bool,
    /// Whether events are gathered.
    pub events_enabled: bool,
    /// Whether lists of API keys show them masked.
    pub keys_show_once: bool,
    /// Another application of the developer: its flags (instead of those above), redirect URIs,
    /// trusted domains and service keys are copied. Upload locations are not: they name accounts of
    /// the other application.
    pub source: Option<String>,
}

impl Default for NewApplication {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            logo_url: None,
            implicit_grant_enabled: false,
            recent_enabled: true,
            events_enabled: true,
            keys_show_once: false,
            source: None,
        }
    }
}

/// What a new API key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What the developer calls it.
    pub label: String,
    /// What it may do.
    pub access: Access,
    /// When it ends, in microseconds.
    pub expires: Option<i64>,
}

/// A new API key.
#[derive(Debug)]
pub struct MintedKey {
    /// What is stored of it.
    pub row: ApiKey,
    /// The key.
    pub key: SecretString,
}

/// An API key in a list.
#[derive(Debug)]
pub struct ShownKey {
    /// What is stored of it.
    pub row: ApiKey,
    /// The key; `None` when its sealed value does not open.
    pub key: Option<SecretString>,
}

impl Directory {
    /// Makes an application with its first API key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the name, or for a `source` that is not the developer's.
    pub async fn create_application(
        &self,
        developer: i64,
        new: NewApplication,
    ) -> Result<(Application, MintedKey)> {
        let source = match &new.source {
            None => None,
            Some(id) => {
                let found = applications::find_of(&self.0.db, developer, id).await?;
                let rule = "names no application of yours";
                Some(found.ok_or_else(|| Error::invalid("source", rule))?)
            }
        };
        let mut row = self.application_row(developer, new)?;
        if let Some(source) = &source {
            row.implicit_grant_enabled = source.implicit_grant_enabled;
            row.recent_enabled = source.recent_enabled;
            row.events_enabled = source.events_enabled;
            row.keys_show_once = source.keys_show_once;
            row.settings = source.settings.clone();
        }
        let mut key = self.mint_key_row(&row.id, &NewKey::default())?;
        let made = applications::insert_with_key(&self.0.db, &row, &key.row).await;
        if made.as_ref().is_err_and(tramontane_store::Error::is_gone) {
            // Either the developer is not there, or the data key was removed after a rotation.
            self.0.keys.reload().await?;
            key = self.mint_key_row(&row.id, &NewKey::default())?;
            let again = applications::insert_with_key(&self.0.db, &row, &key.row).await;
            again.map_err(|error| gone_as(error, "developer"))?;
        } else {
            made?;
        }
        if let Some(source) = &source {
            self.copy_settings(&source.id, &row.id).await?;
        }
        Ok((row, key))
    }

    async fn copy_settings(&self, from: &str, to: &str) -> Result<()> {
        let (db, now) = (&self.0.db, self.now());
        for redirect in sites::list_redirects(db, from).await? {
            let copy = RedirectUri {
                id: self.marked_id("red_"),
                application: to.to_owned(),
                created: now,
                modified: now,
                ..redirect
            };
            sites::insert_redirect(db, &copy).await?;
        }
        for domain in sites::list_domains(db, from).await? {
            let copy = TrustedDomain {
                id: self.marked_id("dom_"),
                application: to.to_owned(),
                created: now,
                modified: now,
                ..domain
            };
            sites::insert_domain(db, &copy).await?;
        }
        self.copy_service_keys(from, to).await
    }

    pub(crate) fn application_row(
        &self,
        developer: i64,
        new: NewApplication,
    ) -> Result<Application> {
        check_name(&new.name)?;
        let now = self.now();
        Ok(Application {
            id: self.application_id(),
            developer,
            name: new.name,
            description: new.description,
            logo_url: new.logo_url,
            active: true,
            implicit_grant_enabled: new.implicit_grant_enabled,
            recent_enabled: new.recent_enabled,
            events_enabled: new.events_enabled,
            keys_show_once: new.keys_show_once,
            source: new.source,
            settings: json!({}),
            created: now,
            modified: now,
        })
    }

    /// A random id that starts with a letter or digit, so that a shell does not take it for an option.
    fn application_id(&self) -> String {
        loop {
            let id = random_id(self.0.entropy.as_ref(), ID_BYTES);
            if id.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                return id;
            }
        }
    }

    /// A developer's application.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the developer has none with this id.
    pub async fn application(&self, developer: i64, id: &str) -> Result<Application> {
        let found = applications::find_of(&self.0.db, developer, id).await?;
        found.ok_or(Error::NotFound("application"))
    }

    /// A developer's applications, oldest first, and how many there are in all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn applications(
        &self,
        developer: i64,
        active: Option<bool>,
        slice: Slice,
    ) -> Result<(Vec<Application>, i64)> {
        let total = applications::count(&self.0.db, developer, active).await?;
        Ok((applications::list(&self.0.db, developer, active, slice).await?, total))
    }

    /// Every application, oldest first: for the operator.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn all_applications(&self, slice: Slice) -> Result<Vec<Application>> {
        Ok(applications::list_all(&self.0.db, slice).await?)
    }

    /// Changes a developer's application; `change` edits the row (its id and owner stay).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for the name.
    pub async fn update_application(
        &self,
        developer: i64,
        id: &str,
        change: impl FnOnce(&mut Application),
    ) -> Result<Application> {
        let before = self.application(developer, id).await?;
        let mut row = before.clone();
        change(&mut row);
        row.id.clone_from(&before.id);
        row.developer = before.developer;
        check_name(&row.name)?;
        if row == before {
            return Ok(row);
        }
        row.modified = self.now();
        if !applications::update(&self.0.db, &row).await? {
            return Err(Error::NotFound("application"));
        }
        self.0.application_by_id.forget(&row.id);
        Ok(row)
    }

    /// Deletes a developer's application, its keys and its accounts. Gives what the accounts left
    /// behind outside the database.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_application(
        &self,
        developer: i64,
        id: &str,
    ) -> Result<Vec<accounts::Remains>> {
        let deleted = applications::delete(&self.0.db, developer, id, self.now()).await?;
        let remains = deleted.ok_or(Error::NotFound("application"))?;
        // Keys and tokens of the application are many; dropping all is simple, and rare.
        self.forget_all();
        Ok(remains)
    }

    /// Makes another API key for an application.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such an application.
    pub async fn create_key(&self, application: &str, new: &NewKey) -> Result<MintedKey> {
        if self.application_by_id(application).await?.is_none() {
            return Err(Error::NotFound("application"));
        }
        let minted = self.mint_key_row(application, new)?;
        match keys::insert(&self.0.db, &minted.row).await {
            Ok(()) => return Ok(minted),
            Err(error) if error.is_gone() => self.0.keys.reload().await?,
            Err(error) => return Err(error.into()),
        }
        let minted = self.mint_key_row(application, new)?;
        let made = keys::insert(&self.0.db, &minted.row).await;
        made.map_err(|error| gone_as(error, "application"))?;
        Ok(minted)
    }

    pub(crate) fn mint_key_row(&self, application: &str, new: &NewKey) -> Result<MintedKey> {
        let key = mint(self.0.entropy.as_ref(), Mark::ApiKey);
        let id = self.marked_id("key_");
        let place = context(SealedTable::ApiKeys, &id);
        let (sealed, key_id) = self.0.keys.seal(key.expose_secret().as_bytes(), &place)?;
        let now = self.now();
        let row = ApiKey {
            id,
            application: application.to_owned(),
            hash: hash(key.expose_secret()),
            sealed,
            key_id,
            version: 1,
            label: new.label.clone(),
            access: new.access.to_stored(),
            active: true,
            created: now,
            modified: now,
            expires: new.expires,
        };
        Ok(MintedKey { row, key })
    }

    /// An application's API keys, oldest first, opened.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn api_keys(&self, application: &str) -> Result<Vec<ShownKey>> {
        let mut shown = Vec::new();
        for row in keys::list(&self.0.db, application).await? {
            let key = match self.open_key(&row).await {
                Ok(key) => Some(key),
                Err(Error::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(key = row.id, %error, "an API key does not open");
                    None
                }
            };
            shown.push(ShownKey { row, key });
        }
        Ok(shown)
    }

    async fn open_key(&self, row: &ApiKey) -> Result<SecretString> {
        let place = context(SealedTable::ApiKeys, &row.id);
        let plain = self.0.keys.open(&row.sealed, &place).await?;
        let text = std::str::from_utf8(&plain).map_err(|_| tramontane_vault::Error::BadForm)?;
        Ok(SecretString::from(text.to_owned()))
    }

    /// The key that signs compatible webhooks: the oldest that is active and has not expired.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the application has none; a vault error when it does not open.
    pub async fn signing_key(&self, application: &str) -> Result<SecretString> {
        let now = self.now();
        let rows = keys::list(&self.0.db, application).await?;
        let good = |row: &ApiKey| row.active && row.expires.is_none_or(|expires| expires > now);
        let row = rows.into_iter().find(good).ok_or(Error::NotFound("API key"))?;
        self.open_key(&row).await
    }

    /// Deletes an application's API key, named by its id or by the key itself.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_key(&self, application: &str, id_or_key: &str) -> Result<()> {
        let by_id = keys::delete(&self.0.db, application, id_or_key).await?;
        let deleted = match by_id {
            Some(hash) => Some(hash),
            None => keys::delete(&self.0.db, application, &hash(id_or_key)).await?,
        };
        let hash = deleted.ok_or(Error::NotFound("API key"))?;
        self.0.key_by_hash.forget(&hash);
        Ok(())
    }

    /// Switches an application's API key on or off.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_key_active(&self, application: &str, id: &str, active: bool) -> Result<()> {
        let changed = keys::set_active(&self.0.db, application, id, active, self.now()).await?;
        self.0.key_by_hash.forget(&changed.ok_or(Error::NotFound("API key"))?);
        Ok(())
    }

    /// The application of an id from outside, for public pages: `None` when it is unknown or off.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn public_application(&self, id: &str) -> Result<Option<Arc<Application>>> {
        Ok(self.application_by_id(id).await?.filter(|application| application.active))
    }
}

fn check_name(name: &str) -> Result<()> {
    let chars = name.chars().count();
    if chars == 0 || chars > MAX_NAME_CHARS || name.contains('\0') {
        return Err(Error::invalid("name", format!("must have 1 to {MAX_NAME_CHARS} characters")));
    }
    Ok(())
}

/// A row that was referred to is not there: say which, to a person.
pub(crate) fn gone_as(error: tramontane_store::Error, what: &'static str) -> Error {
    if error.is_gone() { Error::NotFound(what) } else { error.into() }
}
