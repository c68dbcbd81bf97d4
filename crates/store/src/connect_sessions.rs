//! What the connect page is in the middle of: one row for each handshake under way.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{json, record, select, statement};

record! {
    /// One handshake under way.
    pub struct ConnectSession {
        /// SHA-256 of the id that URLs carry, hex.
        pub id: String,
        /// For which application.
        pub application: String,
        /// What the application asked for.
        pub request: Value,
        /// SHA-256 of the key that the browser's cookie holds; `None` until a browser opened it.
        pub browser: Option<String>,
        /// How far it is (a word of `accounts`).
        pub step: String,
        /// What belongs to the step; secrets in it are sealed.
        pub detail: Value,
        /// SHA-256 of the state that the service will bring back.
        pub service_state: Option<String>,
        /// Counts the changes.
        pub version: i64,
        /// When it began.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// When it ends.
        pub expires: i64,
    }
}

/// Adds a session, unless the application has `most` that have not ended; `false` then.
pub async fn insert(db: &Db, row: &ConnectSession, most: i64) -> Result<bool> {
    let done = statement(
        "INSERT INTO connect_sessions (id, application, request, browser, step, detail, \
         service_state, version, created, modified, expires) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
         WHERE (SELECT COUNT(*) FROM connect_sessions WHERE application = $2 AND expires > $9) < $12",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(json(&row.request))
    .bind(row.browser.as_deref())
    .bind(row.step.as_str())
    .bind(json(&row.detail))
    .bind(row.service_state.as_deref())
    .bind(row.version)
    .bind(row.created)
    .bind(row.modified)
    .bind(row.expires)
    .bind(most)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The session with this id, when it has not ended.
pub async fn find(db: &Db, id: &str, now: i64) -> Result<Option<ConnectSession>> {
    let query = select("FROM connect_sessions WHERE id = $1 AND expires > $2").bind(id).bind(now);
    Ok(query.fetch_optional(db.writer()).await?)
}

/// The session that waits for a service to bring this state back.
pub async fn find_by_state(db: &Db, state: &str, now: i64) -> Result<Option<ConnectSession>> {
    let query = select("FROM connect_sessions WHERE service_state = $1 AND expires > $2");
    Ok(query.bind(state).bind(now).fetch_optional(db.writer()).await?)
}

/// Writes the step, when `row.version` is still the stored one, and counts it up.
pub async fn advance(db: &Db, row: &ConnectSession) -> Result<bool> {
    let done = statement(
        "UPDATE connect_sessions SET browser = $2, step = $3, detail = $4, service_state = $5, \
         modified = $6, expires = $7, version = version + 1 WHERE id = $1 AND version = $8",
    )
    .bind(row.id.as_str())
    .bind(row.browser.as_deref())
    .bind(row.step.as_str())
    .bind(json(&row.detail))
    .bind(row.service_state.as_deref())
    .bind(row.modified)
    .bind(row.expires)
    .bind(row.version)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes sessions that have ended; gives how many.
pub async fn prune(db: &Db, now: i64) -> Result<u64> {
    let done = statement("DELETE FROM connect_sessions WHERE expires <= $1")
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
