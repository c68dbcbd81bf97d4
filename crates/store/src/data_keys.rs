//! Data keys, wrapped by a master key, and the resealing of everything that they seal.

use crate::db::Db;
use crate::error::Result;
use crate::record::{flag, record, select, statement, statement_text};

record! {
    /// One wrapped data key.
    pub struct DataKey {
        /// The key's name, 16 hex digits.
        pub id: String,
        /// The sealed key.
        pub wrapped: Vec<u8>,
        /// Fingerprint of the master key that wraps it.
        pub master: String,
        /// Whether it is the one that seals; exactly one is.
        pub active: bool,
        /// When it was made.
        pub created: i64,
        /// When another took its place.
        pub retired: Option<i64>,
    }
}

/// Where sealed values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedTable {
    /// Credentials of accounts.
    Credentials,
    /// API keys.
    ApiKeys,
    /// Client secrets of applications at services.
    ServiceKeys,
    /// Secrets of webhooks.
    WebhookSecrets,
}

impl SealedTable {
    /// Every table that holds sealed values.
    pub const ALL: [Self; 4] =
        [Self::Credentials, Self::ApiKeys, Self::ServiceKeys, Self::WebhookSecrets];

    fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::ApiKeys => "api_keys",
            Self::ServiceKeys => "service_keys",
            Self::WebhookSecrets => "webhook_secrets",
        }
    }

    /// The key column, as text.
    fn key(self) -> &'static str {
        match self {
            Self::Credentials => "CAST(account AS TEXT)",
            Self::ApiKeys | Self::ServiceKeys | Self::WebhookSecrets => "id",
        }
    }
}

/// A sealed value in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// The row's key, as text.
    pub key: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// The version they were read at.
    pub version: i64,
}

/// Every data key, oldest first.
pub async fn list(db: &Db) -> Result<Vec<DataKey>> {
    Ok(select("FROM data_keys ORDER BY created, id").fetch_all(db.reader()).await?)
}

/// Adds the first data key; `false` when there is an active one already (another process was faster).
pub async fn insert_first(db: &Db, row: &DataKey) -> Result<bool> {
    let done = statement(
        "INSERT INTO data_keys (id, wrapped, master, active, created, retired) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(row.id.as_str())
    .bind(row.wrapped.clone())
    .bind(row.master.as_str())
    .bind(flag(true))
    .bind(row.created)
    .bind(row.retired)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a data key and makes it the active one in place of `former`; `false`, and nothing written,
/// when `former` is not the active one any more.
pub async fn succeed(db: &Db, row: &DataKey, former: &str, now: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let retired =
        statement("UPDATE data_keys SET active = 0, retired = $2 WHERE id = $1 AND active = 1")
            .bind(former)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    if retired.rows_affected() == 0 {
        return Ok(false);
    }
    statement(
        "INSERT INTO data_keys (id, wrapped, master, active, created, retired) \
         VALUES ($1, $2, $3, 1, $4, NULL)",
    )
    .bind(row.id.as_str())
    .bind(row.wrapped.clone())
    .bind(row.master.as_str())
    .bind(row.created)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Replaces the wrapping of a data key, when `former_master` still wraps it.
pub async fn rewrap(
    db: &Db,
    id: &str,
    former_master: &str,
    wrapped: &[u8],
    master: &str,
) -> Result<bool> {
    let done =
        statement("UPDATE data_keys SET wrapped = $3, master = $4 WHERE id = $1 AND master = $2")
            .bind(id)
            .bind(former_master)
            .bind(wrapped.to_vec())
            .bind(master)
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Up to `limit` values of a table that are sealed by a retired key, after the row with key `after`.
pub async fn stale(db: &Db, table: SealedTable, after: &str, limit: i64) -> Result<Vec<SealedRow>> {
    let (name, key) = (table.name(), table.key());
    let rows = statement_text(format!(
        "SELECT {key} AS row_key, sealed, version FROM {name} \
         WHERE key_id IN (SELECT id FROM data_keys WHERE active = 0) AND {key} > $1 \
         ORDER BY 1 LIMIT $2"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(SealedRow {
            key: sqlx::Row::try_get(&row, 0)?,
            sealed: sqlx::Row::try_get(&row, 1)?,
            version: sqlx::Row::try_get(&row, 2)?,
        });
    }
    Ok(found)
}

/// Writes a value that was sealed again, when `row.version` is still the stored one; counts it up.
pub async fn reseal(db: &Db, table: SealedTable, row: &SealedRow, key_id: &str) -> Result<bool> {
    let (name, key) = (table.name(), table.key());
    let done = statement_text(format!(
        "UPDATE {name} SET sealed = $2, key_id = $3, version = version + 1 \
         WHERE {key} = $1 AND version = $4"
    ))
    .bind(row.key.as_str())
    .bind(row.sealed.clone())
    .bind(key_id)
    .bind(row.version)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many values a data key still seals.
pub async fn uses(db: &Db, id: &str) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM credentials WHERE key_id = $1) \
         + (SELECT COUNT(*) FROM api_keys WHERE key_id = $1) \
         + (SELECT COUNT(*) FROM service_keys WHERE key_id = $1) \
         + (SELECT COUNT(*) FROM webhook_secrets WHERE key_id = $1)",
    )
    .bind(id)
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}

/// Deletes keys that were retired before `before` and seal nothing; gives how many. A key that a
/// slow writer still uses is kept by the foreign keys.
pub async fn prune(db: &Db, before: i64) -> Result<u64> {
    let done = statement(
        "DELETE FROM data_keys WHERE active = 0 AND retired < $1 \
         AND NOT EXISTS (SELECT 1 FROM credentials WHERE key_id = data_keys.id) \
         AND NOT EXISTS (SELECT 1 FROM api_keys WHERE key_id = data_keys.id) \
         AND NOT EXISTS (SELECT 1 FROM service_keys WHERE key_id = data_keys.id) \
         AND NOT EXISTS (SELECT 1 FROM webhook_secrets WHERE key_id = data_keys.id)",
    )
    .bind(before)
    .execute(db.writer())
    .await;
    match done.map_err(crate::error::Error::from) {
        Ok(done) => Ok(done.rows_affected()),
        Err(error) if error.is_gone() => Ok(0),
        Err(error) => Err(error),
    }
}
