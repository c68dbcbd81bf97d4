//! Secrets of webhooks in the standard form: made, opened, replaced.

use std::fmt;

use secrecy::ExposeSecret as _;
use tramontane_store::data_keys::SealedTable;
use tramontane_store::webhook_secrets::{self, WebhookSecret as Row};
use tramontane_vault::{Scheme, WebhookSecret};

use crate::directory::Directory;
use crate::error::Result;
use crate::keys::context;

/// How long the secret before the current one signs along: a day, in microseconds.
const OVERLAP: i64 = 86_400_000_000;

/// What signs the messages of an endpoint.
pub struct EndpointSecrets {
    /// The current one first.
    secrets: Vec<(WebhookSecret, Option<i64>)>,
}

impl fmt::Debug for EndpointSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointSecrets({})", self.secrets.len())
    }
}

impl EndpointSecrets {
    /// The current one.
    #[must_use]
    pub fn current(&self) -> Option<&WebhookSecret> {
        self.secrets.first().map(|(secret, _)| secret)
    }

    /// Until when the one before signs along, in microseconds.
    #[must_use]
    pub fn previous_until(&self) -> Option<i64> {
        self.secrets.iter().find_map(|(_, until)| *until)
    }

    /// The value of `webhook-signature` at a moment (microseconds): a signature of each secret that is
    /// good then.
    #[must_use]
    pub fn sign(&self, id: &str, now: i64, body: &[u8]) -> String {
        let good = self.secrets.iter().filter(|(_, until)| until.is_none_or(|until| until > now));
        let seconds = now.div_euclid(1_000_000);
        let signatures: Vec<_> = good.map(|(secret, _)| secret.sign(id, seconds, body)).collect();
        signatures.join(" ")
    }
}

impl Directory {
    /// A new secret for a webhook; to be stored with it.
    ///
    /// # Errors
    /// A vault error.
    pub fn new_webhook_secret(&self, webhook: &str, scheme: Scheme) -> Result<Row> {
        let secret = WebhookSecret::generate(scheme, self.entropy())?;
        let id = self.marked_id("whs_");
        let place = context(SealedTable::WebhookSecrets, &id);
        let text = secret.to_text();
        let (sealed, key_id) = self.0.keys.seal(text.expose_secret().as_bytes(), &place)?;
        let (webhook, created) = (webhook.to_owned(), self.now());
        Ok(Row { id, webhook, sealed, key_id, version: 1, created, until: None })
    }

    /// Replaces the secret of a webhook. The one before signs along for 24 hours.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_webhook_secret(&self, webhook: &str, scheme: Scheme) -> Result<()> {
        let until = self.now() + OVERLAP;
        let row = self.new_webhook_secret(webhook, scheme)?;
        match webhook_secrets::succeed(&self.0.db, &row, until).await {
            Err(error) if error.is_gone() => {
                // The data key was removed after a rotation.
                self.0.keys.reload().await?;
                let row = self.new_webhook_secret(webhook, scheme)?;
                Ok(webhook_secrets::succeed(&self.0.db, &row, until).await?)
            }
            other => Ok(other?),
        }
    }

    /// The secrets of a webhook, opened.
    ///
    /// # Errors
    /// A vault error when one does not open; those of the database.
    pub async fn webhook_secrets(&self, webhook: &str) -> Result<EndpointSecrets> {
        let rows = webhook_secrets::list(&self.0.db, webhook, self.now()).await?;
        self.open_webhook_secrets(&rows).await
    }

    /// Opens secrets, the current one first.
    ///
    /// # Errors
    /// A vault error when one does not open.
    pub async fn open_webhook_secrets(&self, rows: &[Row]) -> Result<EndpointSecrets> {
        let mut secrets = Vec::new();
        for row in rows {
            let place = context(SealedTable::WebhookSecrets, &row.id);
            let plain = self.0.keys.open(&row.sealed, &place).await?;
            let text = std::str::from_utf8(&plain).map_err(|_| tramontane_vault::Error::BadForm)?;
            secrets.push((WebhookSecret::parse(text)?, row.until));
        }
        Ok(EndpointSecrets { secrets })
    }
}
