//! Applications: what a developer integrates, and what owns accounts.

use serde_json::Value;

use crate::accounts;
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{Slice, flag, json, record, select, statement};

record! {
    /// One application.
    pub struct Application {
        /// 20 to 64 characters over `[A-Za-z0-9_-]`; public.
        pub id: String,
        /// Whose it is.
        pub developer: i64,
        /// 1 to 200 characters.
        pub name: String,
        /// Free text.
        pub description: String,
        /// A picture.
        pub logo_url: Option<String>,
        /// Switched off applications open nothing.
        pub active: bool,
        /// Whether tokens may be given by the implicit grant.
        pub implicit_grant_enabled: bool,
        /// Whether recent files are offered.
        pub recent_enabled: bool,
        /// Whether events are gathered.
        pub events_enabled: bool,
        /// Whether lists of API keys show them masked.
        pub keys_show_once: bool,
        /// The application whose settings were copied.
        pub source: Option<String>,
        /// Rarer settings (`token_lifetime`, `require_pkce`, rate limits), a JSON object.
        pub settings: Value,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// Adds an application.
pub async fn insert(db: &Db, row: &Application) -> Result<()> {
    let mut tx = db.begin().await?;
    insert_in(&mut tx, row).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn insert_in(tx: &mut Tx, row: &Application) -> Result<()> {
    statement(
        "INSERT INTO applications (id, developer, name, description, logo_url, active, \
         implicit_grant_enabled, recent_enabled, events_enabled, keys_show_once, source, settings, \
         created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(row.id.as_str())
    .bind(row.developer)
    .bind(row.name.as_str())
    .bind(row.description.as_str())
    .bind(row.logo_url.as_deref())
    .bind(flag(row.active))
    .bind(flag(row.implicit_grant_enabled))
    .bind(flag(row.recent_enabled))
    .bind(flag(row.events_enabled))
    .bind(flag(row.keys_show_once))
    .bind(row.source.as_deref())
    .bind(json(&row.settings))
    .bind(row.created)
    .bind(row.modified)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds an application with its first API key, in one step.
pub async fn insert_with_key(db: &Db, row: &Application, key: &crate::keys::ApiKey) -> Result<()> {
    let mut tx = db.begin().await?;
    insert_in(&mut tx, row).await?;
    crate::keys::insert_in(&mut tx, key).await?;
    Ok(tx.commit().await?)
}

/// The application with this id, whoever owns it.
pub async fn find(db: &Db, id: &str) -> Result<Option<Application>> {
    let query = select("FROM applications WHERE id = $1 AND deleted IS NULL").bind(id);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// A developer's application.
pub async fn find_of(db: &Db, developer: i64, id: &str) -> Result<Option<Application>> {
    let query = select("FROM applications WHERE developer = $1 AND id = $2 AND deleted IS NULL");
    Ok(query.bind(developer).bind(id).fetch_optional(db.reader()).await?)
}

/// A developer's applications, oldest first.
pub async fn list(
    db: &Db,
    developer: i64,
    active: Option<bool>,
    slice: Slice,
) -> Result<Vec<Application>> {
    let query = select(
        "FROM applications WHERE developer = $1 AND deleted IS NULL \
         AND ($2 IS NULL OR active = $2) ORDER BY created, id LIMIT $3 OFFSET $4",
    );
    let query = query.bind(developer).bind(active.map(flag)).bind(slice.limit).bind(slice.offset);
    Ok(query.fetch_all(db.reader()).await?)
}

/// Every application of every developer, oldest first: for the operator.
pub async fn list_all(db: &Db, slice: Slice) -> Result<Vec<Application>> {
    let query =
        select("FROM applications WHERE deleted IS NULL ORDER BY created, id LIMIT $1 OFFSET $2");
    Ok(query.bind(slice.limit).bind(slice.offset).fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(db: &Db, developer: i64, active: Option<bool>) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM applications WHERE developer = $1 AND deleted IS NULL \
         AND ($2 IS NULL OR active = $2)",
    )
    .bind(developer)
    .bind(active.map(flag))
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}

/// Writes every changeable column of a developer's application.
pub async fn update(db: &Db, row: &Application) -> Result<bool> {
    let done = statement(
        "UPDATE applications SET name = $3, description = $4, logo_url = $5, active = $6, \
         implicit_grant_enabled = $7, recent_enabled = $8, events_enabled = $9, \
         keys_show_once = $10, settings = $11, modified = $12 \
         WHERE developer = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(row.developer)
    .bind(row.id.as_str())
    .bind(row.name.as_str())
    .bind(row.description.as_str())
    .bind(row.logo_url.as_deref())
    .bind(flag(row.active))
    .bind(flag(row.implicit_grant_enabled))
    .bind(flag(row.recent_enabled))
    .bind(flag(row.events_enabled))
    .bind(flag(row.keys_show_once))
    .bind(json(&row.settings))
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Hides an application and ends all it had: keys, accounts and theirs, webhooks, sites, locations.
/// Gives what each account left behind; `None` when the developer has no such application.
pub async fn delete(
    db: &Db,
    developer: i64,
    id: &str,
    now: i64,
) -> Result<Option<Vec<accounts::Remains>>> {
    let mut tx = db.begin().await?;
    let hidden = statement(
        "UPDATE applications SET deleted = $3, modified = $3, active = 0 \
         WHERE developer = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(developer)
    .bind(id)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if hidden.rows_affected() == 0 {
        return Ok(None);
    }
    for text in [
        "DELETE FROM api_keys WHERE application = $1",
        "DELETE FROM redirect_uris WHERE application = $1",
        "DELETE FROM trusted_domains WHERE application = $1",
        "DELETE FROM service_keys WHERE application = $1",
        "DELETE FROM upload_locations WHERE application = $1",
        "DELETE FROM webhook_secrets WHERE webhook IN \
         (SELECT id FROM webhooks WHERE application = $1)",
        "DELETE FROM delivery_positions WHERE webhook IN \
         (SELECT id FROM webhooks WHERE application = $1)",
        "DELETE FROM delivery_replays WHERE webhook IN \
         (SELECT id FROM webhooks WHERE application = $1)",
        "DELETE FROM webhooks WHERE application = $1",
        "DELETE FROM connect_sessions WHERE application = $1",
    ] {
        statement(text).bind(id).execute(&mut *tx).await?;
    }
    let owned: Vec<(i64,)> =
        sqlx::query_as("SELECT id FROM accounts WHERE application = $1 AND deleted IS NULL")
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
    let mut remains = Vec::with_capacity(owned.len());
    for (account,) in owned {
        remains.extend(accounts::delete_in(&mut tx, id, account, now).await?);
    }
    tx.commit().await?;
    Ok(Some(remains))
}
