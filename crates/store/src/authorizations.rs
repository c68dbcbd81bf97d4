//! What our own OAuth server gave out: authorization codes and refresh tokens, and the families that
//! they and account tokens form.

use sqlx::Row as _;

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{flag, record, select, statement};
use crate::tokens::{self, Token};

record! {
    /// One authorization code, kept as a hash alone.
    pub struct Code {
        /// SHA-256 of the code, hex.
        pub hash: String,
        /// Who may redeem it.
        pub application: String,
        /// What its token opens.
        pub account: i64,
        /// The family of what comes of it.
        pub family: String,
        /// The redirect URI of the first leg, when one was given.
        pub redirect_uri: Option<String>,
        /// The PKCE challenge (`S256`).
        pub challenge: Option<String>,
        /// The scope that was asked for.
        pub scope: String,
        /// The access list; `None` is everything.
        pub access: Option<String>,
        /// When it was redeemed, or burnt.
        pub used: Option<i64>,
        /// When it was made.
        pub created: i64,
        /// When it ends.
        pub expires: i64,
    }
}

record! {
    /// One refresh token of ours, kept as a hash alone.
    pub struct RefreshToken {
        /// SHA-256 of the token, hex.
        pub hash: String,
        /// Who may use it.
        pub application: String,
        /// What its tokens open.
        pub account: i64,
        /// The family that it belongs to.
        pub family: String,
        /// Whether it was given to a client without a secret.
        pub public_client: bool,
        /// The scope that was asked for.
        pub scope: String,
        /// The access list; `None` is everything.
        pub access: Option<String>,
        /// When it was used.
        pub spent: Option<i64>,
        /// What it was exchanged for, sealed.
        pub successor: Option<String>,
        /// When it was made.
        pub created: i64,
        /// When it ends.
        pub expires: i64,
    }
}

/// Adds a code.
pub async fn insert_code(db: &Db, row: &Code) -> Result<()> {
    statement(
        "INSERT INTO authorization_codes (hash, application, account, family, redirect_uri, \
         challenge, scope, access, used, created, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.hash.as_str())
    .bind(row.application.as_str())
    .bind(row.account)
    .bind(row.family.as_str())
    .bind(row.redirect_uri.as_deref())
    .bind(row.challenge.as_deref())
    .bind(row.scope.as_str())
    .bind(row.access.as_deref())
    .bind(row.used)
    .bind(row.created)
    .bind(row.expires)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// The code with this hash, used and expired ones too.
pub async fn find_code(db: &Db, hash: &str) -> Result<Option<Code>> {
    let query = select("FROM authorization_codes WHERE hash = $1").bind(hash);
    Ok(query.fetch_optional(db.writer()).await?)
}

/// Marks a code as used without giving anything for it; `false` when it was used already.
pub async fn burn_code(db: &Db, hash: &str, now: i64) -> Result<bool> {
    let done =
        statement("UPDATE authorization_codes SET used = $2 WHERE hash = $1 AND used IS NULL")
            .bind(hash)
            .bind(now)
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses a code and adds what is given for it, in one step; `false`, and nothing written, when it was
/// used already or its account is gone.
pub async fn redeem_code(
    db: &Db,
    code: &Code,
    token: &Token,
    refresh: Option<&RefreshToken>,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let used =
        statement("UPDATE authorization_codes SET used = $2 WHERE hash = $1 AND used IS NULL")
            .bind(code.hash.as_str())
            .bind(token.created)
            .execute(&mut *tx)
            .await?;
    if used.rows_affected() == 0 || !give(&mut tx, &code.application, token, refresh).await? {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

async fn give(
    tx: &mut Tx,
    application: &str,
    token: &Token,
    refresh: Option<&RefreshToken>,
) -> Result<bool> {
    if !tokens::insert_in(tx, application, token).await? {
        return Ok(false);
    }
    if let Some(row) = refresh {
        statement(
            "INSERT INTO refresh_tokens (hash, application, account, family, public_client, \
             scope, access, spent, successor, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(row.hash.as_str())
        .bind(row.application.as_str())
        .bind(row.account)
        .bind(row.family.as_str())
        .bind(flag(row.public_client))
        .bind(row.scope.as_str())
        .bind(row.access.as_deref())
        .bind(row.spent)
        .bind(row.successor.as_deref())
        .bind(row.created)
        .bind(row.expires)
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// The refresh token with this hash, spent and expired ones too.
pub async fn find_refresh(db: &Db, hash: &str) -> Result<Option<RefreshToken>> {
    let query = select("FROM refresh_tokens WHERE hash = $1").bind(hash);
    Ok(query.fetch_optional(db.writer()).await?)
}

/// Spends a refresh token and adds its successors, in one step; `false`, and nothing written, when it
/// was spent already or its account is gone. `spent` has the time, what was given (sealed) and how
/// long the spent token is remembered.
pub async fn rotate(
    db: &Db,
    spent: &RefreshToken,
    token: &Token,
    refresh: &RefreshToken,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "UPDATE refresh_tokens SET spent = $2, successor = $3, expires = $4 \
         WHERE hash = $1 AND spent IS NULL",
    )
    .bind(spent.hash.as_str())
    .bind(spent.spent)
    .bind(spent.successor.as_deref())
    .bind(spent.expires)
    .execute(&mut *tx)
    .await?;
    let once = done.rows_affected() == 1;
    if !once || !give(&mut tx, &spent.application, token, Some(refresh)).await? {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// Ends a family: its refresh tokens are deleted, its account tokens revoked. Gives the hashes of the
/// latter, so that caches can drop them.
pub async fn revoke_family(db: &Db, family: &str, now: i64) -> Result<Vec<String>> {
    let mut tx = db.begin().await?;
    statement("DELETE FROM refresh_tokens WHERE family = $1")
        .bind(family)
        .execute(&mut *tx)
        .await?;
    let rows = statement(
        "UPDATE account_tokens SET revoked = $2 \
         WHERE family = $1 AND revoked IS NULL RETURNING hash",
    )
    .bind(family)
    .bind(now)
    .fetch_all(&mut *tx)
    .await?;
    let hashes = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    tx.commit().await?;
    Ok(hashes)
}

/// Deletes codes and refresh tokens that have ended; gives how many.
pub async fn prune(db: &Db, codes_before: i64, now: i64) -> Result<u64> {
    let codes = statement("DELETE FROM authorization_codes WHERE expires < $1")
        .bind(codes_before)
        .execute(db.writer())
        .await?;
    let refresh = statement("DELETE FROM refresh_tokens WHERE expires <= $1")
        .bind(now)
        .execute(db.writer())
        .await?;
    Ok(codes.rows_affected() + refresh.rows_affected())
}
