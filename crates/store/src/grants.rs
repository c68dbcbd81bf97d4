//! OAuth grants: the lease to refresh one, what was begun with it, and when to look at it again.
//!
//! The lease is a row, not a transaction: it is taken, the service is asked with no connection held,
//! and the outcome is written. `epoch` is the fence: it counts the leases, and whoever lost one cannot
//! extend it, call a grant dead or note a failure. A success is written by compare-and-swap on the
//! credential alone: tokens that a service gave are good whoever holds the lease by then.

use crate::credentials::Credential;
use crate::db::Db;
use crate::error::Result;
use crate::record::{Record, record, select, statement};

record! {
    /// The refreshing of one account's grant.
    pub struct Grant {
        /// Whose it is.
        pub account: i64,
        /// Counts the leases.
        pub epoch: i64,
        /// Who holds or held the lease.
        pub lease_owner: Option<String>,
        /// Until when; in the past when nobody does.
        pub leased_until: i64,
        /// Hash of the refresh token that `intent`, `attempts` and `not_before` are about.
        pub token_hash: Option<String>,
        /// When a refresh was begun whose outcome is not known.
        pub intent: Option<i64>,
        /// Failed refreshes in a row.
        pub attempts: i64,
        /// No refresh before this.
        pub not_before: i64,
        /// When the last refresh succeeded.
        pub refreshed: Option<i64>,
        /// When a grant that was given was taken note of, to be looked at later.
        pub noted: Option<i64>,
        /// When to look at it, so that it does not lapse unused; `None`: it does not lapse.
        pub due: Option<i64>,
    }
}

/// A lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The account.
    pub account: i64,
    /// The fence.
    pub epoch: i64,
}

/// How a refresh that gave no tokens is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// When a refresh was begun whose outcome is not known.
    pub intent: Option<i64>,
    /// Failed ones in a row.
    pub attempts: i64,
    /// No refresh before this.
    pub not_before: i64,
}

/// Tokens that a service gave, ready to be written.
#[derive(Clone, Debug)]
pub struct Renewal<'a> {
    /// The lease under which they were asked for.
    pub lease: Lease,
    /// The credential, sealed; `version` is the one that was read before.
    pub credential: &'a Credential,
    /// When the access token ends.
    pub token_expiry: Option<i64>,
    /// When the refresh token ends.
    pub refresh_token_expiry: Option<i64>,
    /// When to look at the grant again.
    pub due: Option<i64>,
    /// Now.
    pub now: i64,
}

/// The refreshing of an account's grant; `None` when there was none yet.
pub async fn find(db: &Db, account: i64) -> Result<Option<Grant>> {
    let query = select("FROM grants WHERE account = $1").bind(account);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// Makes a grant known that was just given, to be looked at when `due`.
pub async fn enrol(db: &Db, account: i64, due: i64) -> Result<()> {
    statement(
        "INSERT INTO grants (account, epoch, leased_until, attempts, not_before, due) \
         SELECT $1, 0, 0, 0, 0, $2 WHERE EXISTS \
         (SELECT 1 FROM accounts WHERE id = $1 AND deleted IS NULL) \
         ON CONFLICT (account) DO UPDATE SET due = excluded.due, refreshed = NULL, noted = NULL",
    )
    .bind(account)
    .bind(due)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Takes the lease of an account's grant, when nobody holds it; gives it as it is now. `None`: someone
/// holds it, or the account is gone.
pub async fn acquire(
    db: &Db,
    account: i64,
    owner: &str,
    now: i64,
    until: i64,
) -> Result<Option<Grant>> {
    let text = format!(
        "INSERT INTO grants (account, epoch, lease_owner, leased_until, attempts, not_before) \
         SELECT $1, 1, $2, $4, 0, 0 WHERE EXISTS \
         (SELECT 1 FROM accounts WHERE id = $1 AND deleted IS NULL) \
         ON CONFLICT (account) DO UPDATE SET epoch = grants.epoch + 1, \
         lease_owner = excluded.lease_owner, leased_until = excluded.leased_until \
         WHERE grants.leased_until <= $3 RETURNING {}",
        Grant::COLUMNS
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(account).bind(owner);
    Ok(query.bind(now).bind(until).fetch_optional(db.writer()).await?)
}

/// Notes that a refresh with this refresh token is about to be asked for, and extends the lease.
/// `false`: the lease is lost, and nothing may be asked.
pub async fn intend(db: &Db, lease: Lease, token_hash: &str, now: i64, until: i64) -> Result<bool> {
    let done = statement(
        "UPDATE grants SET token_hash = $3, intent = $4, leased_until = $5 \
         WHERE account = $1 AND epoch = $2 AND leased_until > $4",
    )
    .bind(lease.account)
    .bind(lease.epoch)
    .bind(token_hash)
    .bind(now)
    .bind(until)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes how a refresh failed. `last`: the lease is given back. `false`: it was lost.
pub async fn fail(db: &Db, lease: Lease, failed: Failed, last: bool) -> Result<bool> {
    let done = statement(
        "UPDATE grants SET intent = $3, attempts = $4, not_before = $5, \
         leased_until = CASE WHEN $6 = 1 THEN 0 ELSE leased_until END \
         WHERE account = $1 AND epoch = $2",
    )
    .bind(lease.account)
    .bind(lease.epoch)
    .bind(failed.intent)
    .bind(failed.attempts)
    .bind(failed.not_before)
    .bind(i64::from(last))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a lease back with nothing done.
pub async fn release(db: &Db, lease: Lease) -> Result<()> {
    statement("UPDATE grants SET leased_until = 0 WHERE account = $1 AND epoch = $2")
        .bind(lease.account)
        .bind(lease.epoch)
        .execute(db.writer())
        .await?;
    Ok(())
}

/// Writes renewed tokens in one step, when the stored credential is still the one that was read; the
/// credential is `ok` then, and the lease is given back if it is still held. `false`, and nothing
/// written, when another credential was stored meanwhile, or the account is gone.
pub async fn renew(db: &Db, renewal: &Renewal<'_>) -> Result<bool> {
    let (lease, now) = (renewal.lease, renewal.now);
    let mut tx = db.begin().await?;
    let account = statement(
        "UPDATE accounts SET token_expiry = $2, refresh_token_expiry = $3, \
         credential_since = CASE WHEN credential_state = 'ok' THEN credential_since ELSE $4 END, \
         credential_state = 'ok', credential_reason = NULL, revision = revision + 1 \
         WHERE id = $1 AND deleted IS NULL",
    )
    .bind(lease.account)
    .bind(renewal.token_expiry)
    .bind(renewal.refresh_token_expiry)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if account.rows_affected() == 0
        || !crate::credentials::renew_in(&mut tx, renewal.credential).await?
    {
        return Ok(false);
    }
    statement(
        "UPDATE grants SET intent = NULL, attempts = 0, not_before = 0, refreshed = $3, due = $4, \
         leased_until = CASE WHEN epoch = $2 THEN 0 ELSE leased_until END WHERE account = $1",
    )
    .bind(lease.account)
    .bind(lease.epoch)
    .bind(now)
    .bind(renewal.due)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Calls a credential dead, with the reason, and gives the lease back. `false`, and nothing written,
/// when the lease was lost or the credential is not the one with this version any more.
pub async fn kill(db: &Db, lease: Lease, version: i64, reason: &str, now: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "UPDATE accounts SET credential_state = 'dead', credential_reason = $4, \
         credential_since = $5, modified = $5 WHERE id = $1 AND deleted IS NULL \
         AND EXISTS (SELECT 1 FROM credentials WHERE account = $1 AND version = $3) \
         AND EXISTS (SELECT 1 FROM grants WHERE account = $1 AND epoch = $2)",
    )
    .bind(lease.account)
    .bind(lease.epoch)
    .bind(version)
    .bind(reason)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    statement(
        "UPDATE grants SET intent = NULL, due = NULL, leased_until = 0 \
         WHERE account = $1 AND epoch = $2",
    )
    .bind(lease.account)
    .bind(lease.epoch)
    .execute(&mut *tx)
    .await?;
    crate::accounts::announce_in(&mut tx, lease.account, "account.needs_reconnect", now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Up to `limit` grants that are due, those that waited longest first.
pub async fn due(db: &Db, now: i64, limit: i64) -> Result<Vec<Grant>> {
    let query = select("FROM grants WHERE due <= $1 ORDER BY due, account LIMIT $2");
    Ok(query.bind(now).bind(limit).fetch_all(db.reader()).await?)
}

/// Moves the moment when to look at a grant, if it still is `from`, and takes note of the grant: of
/// several that saw it due, one is told `true`.
pub async fn put_off(db: &Db, account: i64, from: i64, to: Option<i64>, now: i64) -> Result<bool> {
    let text = "UPDATE grants SET due = $3, noted = $4 WHERE account = $1 AND due = $2";
    let done =
        statement(text).bind(account).bind(from).bind(to).bind(now).execute(db.writer()).await?;
    Ok(done.rows_affected() == 1)
}
