//! API keys of applications: a hash for look-up, the sealed key because the wire shows it again.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{flag, record, select, statement};

record! {
    /// One API key.
    pub struct ApiKey {
        /// Names the key without being it.
        pub id: String,
        /// Whose it is.
        pub application: String,
        /// SHA-256 of the key, hex.
        pub hash: String,
        /// The key itself, sealed.
        pub sealed: Vec<u8>,
        /// The data key that seals it.
        pub key_id: String,
        /// Counts the sealings, for compare-and-swap.
        pub version: i64,
        /// What the developer calls it.
        pub label: String,
        /// The access list, space-separated; `None` is everything.
        pub access: Option<String>,
        /// Switched off keys open nothing.
        pub active: bool,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// When it ends.
        pub expires: Option<i64>,
    }
}

/// Adds a key. `Gone` when the application or the data key is not there.
pub async fn insert(db: &Db, row: &ApiKey) -> Result<()> {
    let mut tx = db.begin().await?;
    insert_in(&mut tx, row).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn insert_in(tx: &mut Tx, row: &ApiKey) -> Result<()> {
    statement(
        "INSERT INTO api_keys (id, application, hash, sealed, key_id, version, label, access, \
         active, created, modified, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(row.id.as_str())
    .bind(row.application.as_str())
    .bind(row.hash.as_str())
    .bind(row.sealed.clone())
    .bind(row.key_id.as_str())
    .bind(row.version)
    .bind(row.label.as_str())
    .bind(row.access.as_deref())
    .bind(flag(row.active))
    .bind(row.created)
    .bind(row.modified)
    .bind(row.expires)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The key with this hash, of whichever application that is not deleted.
pub async fn find_by_hash(db: &Db, hash: &str) -> Result<Option<ApiKey>> {
    let query = select(
        "FROM api_keys WHERE hash = $1 \
         AND application IN (SELECT id FROM applications WHERE deleted IS NULL)",
    );
    Ok(query.bind(hash).fetch_optional(db.reader()).await?)
}

/// An application's keys, oldest first.
pub async fn list(db: &Db, application: &str) -> Result<Vec<ApiKey>> {
    let query = select("FROM api_keys WHERE application = $1 ORDER BY created, id");
    Ok(query.bind(application).fetch_all(db.reader()).await?)
}

/// Deletes an application's key by its id or by its hash; gives the hash, so that caches can drop it.
pub async fn delete(db: &Db, application: &str, id_or_hash: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = sqlx::query_as(
        "DELETE FROM api_keys WHERE application = $1 AND (id = $2 OR hash = $2) RETURNING hash",
    )
    .bind(application)
    .bind(id_or_hash)
    .fetch_optional(db.writer())
    .await?;
    Ok(row.map(|(hash,)| hash))
}

/// Switches a key on or off; gives its hash.
pub async fn set_active(
    db: &Db,
    application: &str,
    id: &str,
    active: bool,
    now: i64,
) -> Result<Option<String>> {
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE api_keys SET active = $3, modified = $4 \
         WHERE application = $1 AND id = $2 RETURNING hash",
    )
    .bind(application)
    .bind(id)
    .bind(flag(active))
    .bind(now)
    .fetch_optional(db.writer())
    .await?;
    Ok(row.map(|(hash,)| hash))
}
