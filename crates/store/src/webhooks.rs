//! Addresses that an application wants to be told at.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{flag, json, record, select, statement};
use crate::webhook_secrets::WebhookSecret;
use crate::{deliveries, webhook_secrets};

record! {
    /// One address. The same address may be registered more than once.
    pub struct Webhook {
        /// Random id.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// Where messages go.
        pub url: String,
        /// Switched off addresses get nothing.
        pub active: bool,
        /// Format, filters and the like, a JSON object.
        pub settings: Value,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Adds a webhook with its secret, if it has one, and lets it start at the present head of every shard;
/// `empty` is the form of no ranges.
pub async fn insert(
    db: &Db,
    row: &Webhook,
    secret: Option<&WebhookSecret>,
    empty: &[u8],
) -> Result<()> {
    let mut tx = db.begin().await?;
    statement(
        "INSERT INTO webhooks (id, application, url, active, settings, created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.url.as_str())
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(row.created)
    .bind(row.modified)
    .execute(&mut *tx)
    .await?;
    if let Some(secret) = secret {
        webhook_secrets::insert_in(&mut tx, secret).await?;
    }
    deliveries::start_in(&mut tx, &row.id, empty, row.created).await?;
    Ok(tx.commit().await?)
}

/// The webhooks of all applications that are to be told, by id, after one.
pub async fn active(db: &Db, after: &str, limit: i64) -> Result<Vec<Webhook>> {
    let query = select(
        "FROM webhooks WHERE active = 1 AND id > $1 AND EXISTS (SELECT 1 FROM applications \
         WHERE applications.id = webhooks.application AND applications.active = 1 \
         AND applications.deleted IS NULL) ORDER BY id LIMIT $2",
    );
    Ok(query.bind(after).bind(limit).fetch_all(db.reader()).await?)
}

/// An application's webhooks, oldest first.
pub async fn list(db: &Db, application: &str) -> Result<Vec<Webhook>> {
    let query = select("FROM webhooks WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// One webhook of an application.
pub async fn find(db: &Db, application: &str, id: &str) -> Result<Option<Webhook>> {
    let query = select("FROM webhooks WHERE application = $1 AND id = $2");
    Ok(query.bind(application).bind(id).fetch_optional(db.reader()).await?)
}

/// A webhook, whoever owns it.
pub async fn by_id(db: &Db, id: &str) -> Result<Option<Webhook>> {
    Ok(select("FROM webhooks WHERE id = $1").bind(id).fetch_optional(db.reader()).await?)
}

/// Writes every changeable column of a webhook.
pub async fn update(db: &Db, row: &Webhook) -> Result<bool> {
    let done = statement(
        "UPDATE webhooks SET url = $3, active = $4, settings = $5, modified = $6 \
         WHERE application = $1 AND id = $2",
    )
    .bind(row.application.as_str())
    .bind(row.id.as_str())
    .bind(row.url.as_str())
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Switches a webhook off, with the reason in its settings; `false` when it was changed meanwhile.
pub async fn switch_off(db: &Db, row: &Webhook, settings: &Value, now: i64) -> Result<bool> {
    let done = statement(
        "UPDATE webhooks SET active = 0, settings = $3, modified = $4 \
         WHERE id = $1 AND modified = $2 AND active = 1",
    )
    .bind(row.id.as_str())
    .bind(row.modified)
    .bind(json(settings))
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a webhook, its secrets, and how far it had come.
pub async fn delete(db: &Db, application: &str, id: &str) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement("DELETE FROM webhooks WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 1 {
        for text in [
            "DELETE FROM webhook_secrets WHERE webhook = $1",
            "DELETE FROM delivery_positions WHERE webhook = $1",
            "DELETE FROM delivery_replays WHERE webhook = $1",
        ] {
            statement(text).bind(id).execute(&mut *tx).await?;
        }
    }
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}
