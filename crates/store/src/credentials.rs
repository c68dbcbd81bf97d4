//! Sealed credentials of accounts.

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{record, select, statement};

record! {
    /// What opens an account upstream, sealed.
    pub struct Credential {
        /// Whose it is.
        pub account: i64,
        /// The sealed bytes.
        pub sealed: Vec<u8>,
        /// The data key that seals them.
        pub key_id: String,
        /// Counts the writes, for compare-and-swap.
        pub version: i64,
        /// When it was last changed.
        pub modified: i64,
        /// How many of the account's revisions are renewals of the same grant.
        pub renewals: i64,
    }
}

pub(crate) async fn insert_in(tx: &mut Tx, row: &Credential) -> Result<()> {
    statement(
        "INSERT INTO credentials (account, sealed, key_id, version, modified, renewals) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(row.account)
    .bind(row.sealed.clone())
    .bind(row.key_id.as_str())
    .bind(row.version)
    .bind(row.modified)
    .bind(row.renewals)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The credential of an account.
pub async fn find(db: &Db, account: i64) -> Result<Option<Credential>> {
    let query = select("FROM credentials WHERE account = $1").bind(account);
    Ok(query.fetch_optional(db.reader()).await?)
}

pub(crate) async fn replace_in(tx: &mut Tx, row: &Credential) -> Result<bool> {
    let done = statement(
        "UPDATE credentials SET sealed = $2, key_id = $3, modified = $4, version = version + 1 \
         WHERE account = $1 AND version = $5",
    )
    .bind(row.account)
    .bind(row.sealed.clone())
    .bind(row.key_id.as_str())
    .bind(row.modified)
    .bind(row.version)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// As [`replace_in`], for tokens that a service renewed.
pub(crate) async fn renew_in(tx: &mut Tx, row: &Credential) -> Result<bool> {
    let done = statement(
        "UPDATE credentials SET sealed = $2, key_id = $3, modified = $4, version = version + 1, \
         renewals = renewals + 1 WHERE account = $1 AND version = $5",
    )
    .bind(row.account)
    .bind(row.sealed.clone())
    .bind(row.key_id.as_str())
    .bind(row.modified)
    .bind(row.version)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
