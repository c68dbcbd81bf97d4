//! Secrets that sign webhooks in the standard form. Sealed.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{record, select, statement};

record! {
    /// One secret.
    pub struct WebhookSecret {
        /// Random id.
        pub id: String,
        /// Whose.
        pub webhook: String,
        /// The secret, sealed.
        pub sealed: Vec<u8>,
        /// The data key that seals it.
        pub key_id: String,
        /// Counts the sealings, for compare-and-swap.
        pub version: i64,
        /// When it was made.
        pub created: i64,
        /// Until when it signs beside the current one; `None`: it is the current one.
        pub until: Option<i64>,
    }
}

pub(crate) async fn insert_in(tx: &mut Tx, row: &WebhookSecret) -> Result<()> {
    statement(
        "INSERT INTO webhook_secrets (id, webhook, sealed, key_id, version, created, until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(row.id.as_str())
    .bind(row.webhook.as_str())
    .bind(row.sealed.as_slice())
    .bind(row.key_id.as_str())
    .bind(row.version)
    .bind(row.created)
    .bind(row.until)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes a secret the current one. The one before signs along until `until`; older ones end.
pub async fn succeed(db: &Db, row: &WebhookSecret, until: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    statement("DELETE FROM webhook_secrets WHERE webhook = $1 AND until IS NOT NULL")
        .bind(row.webhook.as_str())
        .execute(&mut *tx)
        .await?;
    statement("UPDATE webhook_secrets SET until = $2 WHERE webhook = $1")
        .bind(row.webhook.as_str())
        .bind(until)
        .execute(&mut *tx)
        .await?;
    insert_in(&mut tx, row).await?;
    Ok(tx.commit().await?)
}

/// The secrets of a webhook that are good at a moment, the current one first.
pub async fn list(db: &Db, webhook: &str, now: i64) -> Result<Vec<WebhookSecret>> {
    let query = select(
        "FROM webhook_secrets WHERE webhook = $1 AND (until IS NULL OR until > $2) \
         ORDER BY created DESC, id",
    );
    Ok(query.bind(webhook).bind(now).fetch_all(db.reader()).await?)
}
