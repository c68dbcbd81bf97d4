//! An application's own OAuth clients at services: the client secret is kept sealed.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tramontane_store::data_keys::SealedTable;
use tramontane_store::service_keys::{self, ServiceKey};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::keys::context;

/// What a new service key is to be.
#[derive(Debug)]
pub struct NewServiceKey {
    /// The service.
    pub service: String,
    /// Whether it asks for organisation-wide access.
    pub admin: bool,
    /// The client id at the service.
    pub client_id: String,
    /// The client secret; `None` for public clients.
    pub client_secret: Option<SecretString>,
    /// Scopes to ask for, a JSON list; `None` is the connector's default.
    pub scopes: Option<Value>,
}

impl Directory {
    /// Adds a service key.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the application has one for this service and access already.
    pub async fn create_service_key(
        &self,
        application: &str,
        new: &NewServiceKey,
    ) -> Result<ServiceKey> {
        let row = self.service_key_row(application, new)?;
        match service_keys::insert(&self.0.db, &row).await {
            Ok(()) => return Ok(row),
            Err(error) if error.is_taken() => {
                let rule = "has a key of this application already, with the same access";
                return Err(Error::invalid("service", rule));
            }
            Err(error) if error.is_gone() => self.0.keys.reload().await?,
            Err(error) => return Err(error.into()),
        }
        let row = self.service_key_row(application, new)?;
        let made = service_keys::insert(&self.0.db, &row).await;
        made.map_err(|error| crate::applications::gone_as(error, "application"))?;
        Ok(row)
    }

    fn service_key_row(&self, application: &str, new: &NewServiceKey) -> Result<ServiceKey> {
        let id = self.marked_id("svk_");
        let (sealed, key_id) = self.seal_secret(&id, new.client_secret.as_ref())?;
        let now = self.now();
        Ok(ServiceKey {
            id,
            application: application.to_owned(),
            service: new.service.clone(),
            admin: new.admin,
            client_id: new.client_id.clone(),
            sealed,
            key_id,
            version: 1,
            scopes: new.scopes.clone(),
            created: now,
            modified: now,
        })
    }

    fn seal_secret(
        &self,
        id: &str,
        secret: Option<&SecretString>,
    ) -> Result<(Option<Vec<u8>>, Option<String>)> {
        let Some(secret) = secret else { return Ok((None, None)) };
        let place = context(SealedTable::ServiceKeys, id);
        let (sealed, key_id) = self.0.keys.seal(secret.expose_secret().as_bytes(), &place)?;
        Ok((Some(sealed), Some(key_id)))
    }

    /// Changes a service key; `None` leaves a member, `Some(None)` clears it. Tried again when a
    /// rotation or another change was faster.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Contended`].
    pub async fn update_service_key(
        &self,
        application: &str,
        id: &str,
        client_id: Option<&str>,
        client_secret: Option<Option<&SecretString>>,
        scopes: Option<Option<&Value>>,
    ) -> Result<ServiceKey> {
        for _ in 0..8 {
            let found = service_keys::find(&self.0.db, application, id).await?;
            let mut row = found.ok_or(Error::NotFound("service key"))?;
            if let Some(client_id) = client_id {
                client_id.clone_into(&mut row.client_id);
            }
            if let Some(secret) = client_secret {
                (row.sealed, row.key_id) = self.seal_secret(id, secret)?;
            }
            if let Some(scopes) = scopes {
                row.scopes = scopes.cloned();
            }
            row.modified = self.now();
            match service_keys::update(&self.0.db, &row).await {
                Ok(true) => return Ok(ServiceKey { version: row.version + 1, ..row }),
                Ok(false) => {}
                Err(error) if error.is_gone() => self.0.keys.reload().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended("service key"))
    }

    /// The client secret of a service key; `None` for public clients.
    ///
    /// # Errors
    /// A vault error when it does not open.
    pub async fn client_secret(&self, row: &ServiceKey) -> Result<Option<SecretString>> {
        let Some(sealed) = &row.sealed else { return Ok(None) };
        let place = context(SealedTable::ServiceKeys, &row.id);
        let plain = self.0.keys.open(sealed, &place).await?;
        let text = std::str::from_utf8(&plain).map_err(|_| tramontane_vault::Error::BadForm)?;
        Ok(Some(SecretString::from(text.to_owned())))
    }

    pub(crate) async fn copy_service_keys(&self, from: &str, to: &str) -> Result<()> {
        for row in service_keys::list(&self.0.db, from).await? {
            // Sealed values are bound to their row, so the secret is opened and sealed again.
            let new = NewServiceKey {
                client_secret: self.client_secret(&row).await?,
                service: row.service,
                admin: row.admin,
                client_id: row.client_id,
                scopes: row.scopes,
            };
            self.create_service_key(to, &new).await?;
        }
        Ok(())
    }
}
