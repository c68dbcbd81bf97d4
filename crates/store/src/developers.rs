//! Developers, and the meta tokens that they manage their applications with.

use crate::applications::Application;
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::keys::ApiKey;
use crate::record::{Slice, record, select, statement};

record! {
    /// Who owns applications.
    pub struct Developer {
        /// 1 to 2147483647.
        pub id: i64,
        /// The address they sign in with; unique.
        pub email: String,
        /// Given name.
        pub first_name: String,
        /// Family name.
        pub last_name: String,
        /// When the row was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

record! {
    /// A credential of a developer. The token itself is kept as a hash alone.
    pub struct MetaToken {
        /// Names the token without being it.
        pub id: String,
        /// Whose it is.
        pub developer: i64,
        /// SHA-256 of the token, hex.
        pub hash: String,
        /// What the developer calls it.
        pub label: String,
        /// When it was made.
        pub created: i64,
        /// When it ends.
        pub expires: Option<i64>,
        /// When it was revoked.
        pub revoked: Option<i64>,
    }
}

/// Adds a developer. `Taken` when the id or the address is there already.
pub async fn insert(db: &Db, row: &Developer) -> Result<()> {
    statement(
        "INSERT INTO developers (id, email, first_name, last_name, created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(row.id)
    .bind(row.email.as_str())
    .bind(row.first_name.as_str())
    .bind(row.last_name.as_str())
    .bind(row.created)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Adds the first developer with a meta token, an application and its key, in one step; `false`, and
/// nothing written, when there is a developer already.
pub async fn insert_first(
    db: &Db,
    row: &Developer,
    token: &MetaToken,
    application: &Application,
    key: &ApiKey,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "INSERT INTO developers (id, email, first_name, last_name, created, modified) \
         SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM developers) \
         ON CONFLICT DO NOTHING",
    )
    .bind(row.id)
    .bind(row.email.as_str())
    .bind(row.first_name.as_str())
    .bind(row.last_name.as_str())
    .bind(row.created)
    .bind(row.modified)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    insert_token_in(&mut tx, token).await?;
    crate::applications::insert_in(&mut tx, application).await?;
    crate::keys::insert_in(&mut tx, key).await?;
    tx.commit().await?;
    Ok(true)
}

/// The developer with this id.
pub async fn find(db: &Db, id: i64) -> Result<Option<Developer>> {
    let query = select("FROM developers WHERE id = $1").bind(id);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// The developer with this address.
pub async fn find_by_email(db: &Db, email: &str) -> Result<Option<Developer>> {
    let query = select("FROM developers WHERE email = $1").bind(email);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// Developers, oldest first.
pub async fn list(db: &Db, slice: Slice) -> Result<Vec<Developer>> {
    let query = select("FROM developers ORDER BY created, id LIMIT $1 OFFSET $2");
    Ok(query.bind(slice.limit).bind(slice.offset).fetch_all(db.reader()).await?)
}

/// Changes a developer's names.
pub async fn rename(db: &Db, id: i64, first: &str, last: &str, now: i64) -> Result<bool> {
    let done = statement(
        "UPDATE developers SET first_name = $2, last_name = $3, modified = $4 WHERE id = $1",
    )
    .bind(id)
    .bind(first)
    .bind(last)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a meta token.
pub async fn insert_token(db: &Db, row: &MetaToken) -> Result<()> {
    let mut tx = db.begin().await?;
    insert_token_in(&mut tx, row).await?;
    Ok(tx.commit().await?)
}

async fn insert_token_in(tx: &mut Tx, row: &MetaToken) -> Result<()> {
    statement(
        "INSERT INTO meta_tokens (id, developer, hash, label, created, expires, revoked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(row.id.as_str())
    .bind(row.developer)
    .bind(row.hash.as_str())
    .bind(row.label.as_str())
    .bind(row.created)
    .bind(row.expires)
    .bind(row.revoked)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The meta token with this hash, unless it was revoked.
pub async fn find_token(db: &Db, hash: &str) -> Result<Option<MetaToken>> {
    let query = select("FROM meta_tokens WHERE hash = $1 AND revoked IS NULL").bind(hash);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// A developer's meta tokens that were not revoked, oldest first.
pub async fn list_tokens(db: &Db, developer: i64) -> Result<Vec<MetaToken>> {
    let query =
        select("FROM meta_tokens WHERE developer = $1 AND revoked IS NULL ORDER BY created, id");
    Ok(query.bind(developer).fetch_all(db.reader()).await?)
}

/// Revokes a developer's meta token; gives its hash, so that caches can drop it.
pub async fn revoke_token(db: &Db, developer: i64, id: &str, now: i64) -> Result<Option<String>> {
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE meta_tokens SET revoked = $3 \
         WHERE developer = $1 AND id = $2 AND revoked IS NULL RETURNING hash",
    )
    .bind(developer)
    .bind(id)
    .bind(now)
    .fetch_optional(db.writer())
    .await?;
    Ok(row.map(|(hash,)| hash))
}
