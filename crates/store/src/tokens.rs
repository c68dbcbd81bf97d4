//! Tokens of accounts: what an application's pages show to open one account.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{Slice, record, select, statement};

record! {
    /// One token, kept as a hash alone.
    pub struct Token {
        /// Names the token without being it.
        pub id: String,
        /// What it opens.
        pub account: i64,
        /// SHA-256 of the token, hex.
        pub hash: String,
        /// The access list, space-separated; `None` is everything.
        pub access: Option<String>,
        /// Granted scopes, space-separated.
        pub scope: String,
        /// What the application calls it.
        pub label: String,
        /// When it was made.
        pub created: i64,
        /// When it ends.
        pub expires: Option<i64>,
        /// When it was revoked.
        pub revoked: Option<i64>,
        /// What it was given together with: one authorization's tokens end together.
        pub family: Option<String>,
    }
}

/// Adds a token, when the application has the account; `false` when not.
pub async fn insert(db: &Db, application: &str, row: &Token) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = insert_in(&mut tx, application, row).await?;
    tx.commit().await?;
    Ok(done)
}

/// As [`insert`], as part of a larger step.
pub(crate) async fn insert_in(tx: &mut Tx, application: &str, row: &Token) -> Result<bool> {
    let done = statement(
        "INSERT INTO account_tokens \
         (id, account, hash, access, scope, label, created, expires, revoked, family) \
         SELECT $1, accounts.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM accounts \
         WHERE accounts.id = $2 AND accounts.application = $11 AND accounts.deleted IS NULL",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.hash.as_str())
    .bind(row.access.as_deref())
    .bind(row.scope.as_str())
    .bind(row.label.as_str())
    .bind(row.created)
    .bind(row.expires)
    .bind(row.revoked)
    .bind(row.family.as_deref())
    .bind(application)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The token with this hash, unless it was revoked. Expired ones are given: their answer differs.
pub async fn find_by_hash(db: &Db, hash: &str) -> Result<Option<Token>> {
    let query = select("FROM account_tokens WHERE hash = $1 AND revoked IS NULL").bind(hash);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// An account's tokens that were not revoked, oldest first.
pub async fn list(db: &Db, account: i64, slice: Slice) -> Result<Vec<Token>> {
    let query = select(
        "FROM account_tokens WHERE account = $1 AND revoked IS NULL \
         ORDER BY created, id LIMIT $2 OFFSET $3",
    );
    let query = query.bind(account).bind(slice.limit).bind(slice.offset);
    Ok(query.fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(db: &Db, account: i64) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM account_tokens WHERE account = $1 AND revoked IS NULL",
    )
    .bind(account)
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}

/// Revokes an account's token; gives its hash, so that caches can drop it, and its family.
pub async fn revoke(
    db: &Db,
    account: i64,
    id: &str,
    now: i64,
) -> Result<Option<(String, Option<String>)>> {
    let row: Option<(String, Option<String>)> = sqlx::query_as(
        "UPDATE account_tokens SET revoked = $3 \
         WHERE account = $1 AND id = $2 AND revoked IS NULL RETURNING hash, family",
    )
    .bind(account)
    .bind(id)
    .bind(now)
    .fetch_optional(db.writer())
    .await?;
    Ok(row)
}

/// Deletes tokens that ended or were revoked before `before`; gives how many.
pub async fn prune(db: &Db, before: i64) -> Result<u64> {
    let done = statement("DELETE FROM account_tokens WHERE expires < $1 OR revoked < $1")
        .bind(before)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
