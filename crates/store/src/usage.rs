//! What applications used, by day.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::statement;

/// One day of one application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Whose it is.
    pub application: String,
    /// Requests to the API.
    pub requests: i64,
    /// Events that were found.
    pub events: i64,
    /// Bytes that came in.
    pub bytes_in: i64,
    /// Bytes that went out.
    pub bytes_out: i64,
    /// Accounts that were used.
    pub active_accounts: i64,
}

/// What is to be added to one day of one application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) requests: i64,
    pub(crate) events: i64,
    pub(crate) bytes_in: i64,
    pub(crate) bytes_out: i64,
    pub(crate) accounts: BTreeSet<i64>,
}

/// Sums by day and application. Sorted, so that two nodes lock rows in the same order.
pub(crate) type Sums = BTreeMap<(String, String), Sum>;

pub(crate) async fn add_in(tx: &mut Tx, sums: &Sums) -> Result<()> {
    for ((day, application), sum) in sums {
        statement(
            "INSERT INTO usage_daily (day, application, requests, events, bytes_in, bytes_out) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (day, application) DO UPDATE SET \
             requests = usage_daily.requests + excluded.requests, \
             events = usage_daily.events + excluded.events, \
             bytes_in = usage_daily.bytes_in + excluded.bytes_in, \
             bytes_out = usage_daily.bytes_out + excluded.bytes_out",
        )
        .bind(day.as_str())
        .bind(application.as_str())
        .bind(sum.requests)
        .bind(sum.events)
        .bind(sum.bytes_in)
        .bind(sum.bytes_out)
        .execute(&mut **tx)
        .await?;
        for account in &sum.accounts {
            statement(
                "INSERT INTO usage_accounts (day, application, account) VALUES ($1, $2, $3) \
                 ON CONFLICT (day, application, account) DO NOTHING",
            )
            .bind(day.as_str())
            .bind(application.as_str())
            .bind(*account)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// The usage of a developer's applications (or of one of them) from `start` to `end`, both `YYYY-MM-DD`
/// and included; by day, then application.
pub async fn report(
    db: &Db,
    developer: i64,
    application: Option<&str>,
    start: &str,
    end: &str,
) -> Result<Vec<Usage>> {
    type Columns = (String, String, i64, i64, i64, i64, i64);
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT day, application, requests, events, bytes_in, bytes_out, \
         (SELECT COUNT(*) FROM usage_accounts WHERE usage_accounts.day = usage_daily.day \
         AND usage_accounts.application = usage_daily.application) AS active_accounts \
         FROM usage_daily WHERE day >= $3 AND day <= $4 \
         AND application IN (SELECT id FROM applications WHERE developer = $1) \
         AND ($2 IS NULL OR application = $2) ORDER BY day, application",
    )
    .bind(developer)
    .bind(application)
    .bind(start)
    .bind(end)
    .fetch_all(db.reader())
    .await?;
    let usage = rows.into_iter().map(
        |(day, application, requests, events, bytes_in, bytes_out, active_accounts)| Usage {
            day,
            application,
            requests,
            events,
            bytes_in,
            bytes_out,
            active_accounts,
        },
    );
    Ok(usage.collect())
}

/// Deletes which accounts were used on days before `day`; the counts by day stay.
pub async fn prune_accounts(db: &Db, day: &str) -> Result<u64> {
    let done = statement("DELETE FROM usage_accounts WHERE day < $1")
        .bind(day)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
