//! Addresses that an application wants to be told at.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{flag, json, record, select, statement};

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

/// Adds a webhook.
pub async fn insert(db: &Db, row: &Webhook) -> Result<()> {
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
    .execute(db.writer())
    .await?;
    Ok(())
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

/// Deletes a webhook.
pub async fn delete(db: &Db, application: &str, id: &str) -> Result<bool> {
    let done = statement("DELETE FROM webhooks WHERE application = $1 AND id = $2")
        .bind(application)
        .bind(id)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}
