//! Tokens that are good once (signed upload URLs): the ones that were used.

use crate::db::Db;
use crate::error::Result;
use crate::record::statement;

/// Notes that a token was used; `false` when it had been already. `expires` is the token's own end,
/// after which the note may go.
pub async fn spend(db: &Db, hash: &str, expires: i64) -> Result<bool> {
    let done = statement(
        "INSERT INTO spent_tokens (hash, expires) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(hash)
    .bind(expires)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the note back: what the token was used for did not happen.
pub async fn refund(db: &Db, hash: &str) -> Result<bool> {
    let done = statement("DELETE FROM spent_tokens WHERE hash = $1")
        .bind(hash)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes notes of tokens that have expired; gives how many.
pub async fn prune(db: &Db, now: i64) -> Result<u64> {
    let done = statement("DELETE FROM spent_tokens WHERE expires <= $1")
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
