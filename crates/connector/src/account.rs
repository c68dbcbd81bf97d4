//! The account that a call is for, with its settings and its credential.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tramontane_model::AccountId;

/// The settings of an account that are no secrets (host, root folder, region), by field name.
pub type Settings = BTreeMap<String, String>;

/// What opens an account upstream: secret values by field name. Prints field names only.
#[derive(Clone, Default)]
pub struct Credential(BTreeMap<String, SecretString>);

impl Credential {
    /// No secrets at all (a local folder needs none).
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The secret with this field name; absent and empty are the same.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
    }

    /// Sets a secret.
    pub fn set(&mut self, field: impl Into<String>, value: impl Into<String>) {
        self.0.insert(field.into(), SecretString::from(value.into()));
    }

    /// Removes a secret.
    pub fn remove(&mut self, field: &str) {
        self.0.remove(field);
    }

    /// The names of the fields that are set.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every field with its secret, for sealing.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, value)| (field.as_str(), value.expose_secret()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Credential {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut credential = Self::default();
        for (field, value) in pairs {
            credential.set(field, value);
        }
        credential
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|field| (field, "***"))).finish()
    }
}

/// One connected account, as a connector sees it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id with us.
    pub id: AccountId,
    /// The connector's name.
    pub service: Arc<str>,
    /// Whether it was connected with organisation-wide access.
    pub admin: bool,
    /// Its settings.
    pub settings: Settings,
    /// Its credential. Connectors that speak HTTP leave it to their signer.
    pub credential: Credential,
    /// Changes whenever settings or credential change, so that pooled connections made with the old
    /// ones are not used again.
    pub revision: i64,
}

impl Account {
    /// A setting; absent and empty are the same.
    #[must_use]
    pub fn setting(&self, field: &str) -> Option<&str> {
        self.settings.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A setting that must be there.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn required_setting(&self, field: &str) -> crate::Result<&str> {
        self.setting(field).ok_or_else(|| {
            crate::Error::invalid(format!("The account needs the field \"{field}\"."))
        })
    }
}
