//! What time does to rows: everything that has expired and holds nothing outside the database.

use tramontane_model::Timestamp;

use crate::db::Db;
use crate::error::Result;
use crate::{authorizations, connect_sessions, idempotency, request_log, spent, tokens, usage};

const BATCH: i64 = 5_000;
/// Seconds that an ended authorization code is remembered: its reuse is noticed for so long.
const ENDED_CODES: i64 = 86_400;

/// How long rows are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Seconds that an ended account token is remembered, so that its answer is "expired" rather than
    /// "unknown".
    pub ended_tokens: i64,
    /// Seconds that a logged request is kept.
    pub request_log: i64,
    /// Seconds that the accounts of a day are kept; the counts of the day stay.
    pub active_accounts: i64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: i64 = 86_400;
        Self { ended_tokens: 90 * DAY, request_log: 30 * DAY, active_accounts: 90 * DAY }
    }
}

/// Deletes what is past its time; gives how many rows. Tasks, multipart sessions and drop uploads are
/// not among it: they hold things elsewhere, and their owners clean them up.
pub async fn sweep(db: &Db, now: Timestamp, keep: &Retention) -> Result<u64> {
    let before = |seconds: i64| now.plus_seconds(-seconds).micros();
    let mut gone = spent::prune(db, now.micros()).await?;
    gone += idempotency::prune(db, now.micros()).await?;
    gone += tokens::prune(db, before(keep.ended_tokens)).await?;
    gone += connect_sessions::prune(db, now.micros()).await?;
    gone += authorizations::prune(db, before(ENDED_CODES), now.micros()).await?;
    let mut day = Timestamp::from_micros(before(keep.active_accounts)).to_string();
    day.truncate(10);
    gone += usage::prune_accounts(db, &day).await?;
    loop {
        // In batches, so that no write waits long for this one.
        let logged = request_log::prune(db, before(keep.request_log), BATCH).await?;
        gone += logged;
        if logged < BATCH.unsigned_abs() {
            return Ok(gone);
        }
    }
}
