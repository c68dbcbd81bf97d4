//! Delivery to webhooks: how far each has read each shard, the log of attempts, and what is sent again.
//!
//! Ranges and batches are opaque here: the `activity` crate writes and reads them.

use serde_json::Value;

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::log::{gone, slice_of};
use crate::record::{json, record, select, select_text, statement, statement_text};
use crate::rows::{pieces_by, values};

record! {
    /// How far a webhook has read a shard.
    pub struct Position {
        /// The webhook.
        pub webhook: String,
        /// The shard.
        pub shard: i64,
        /// The last position that was looked at.
        pub position: i64,
        /// The ranges before it that were not taken.
        pub parked: Vec<u8>,
        /// When it was last changed.
        pub modified: i64,
    }
}

record! {
    /// A batch of attempts of one webhook.
    pub struct Batch {
        /// The webhook.
        pub webhook: String,
        /// When the first of it was made.
        pub at: i64,
        /// Tells batches of the same moment apart; random.
        pub number: i64,
        /// When the last of it was made.
        pub until: i64,
        /// How many.
        pub attempts: i64,
        /// The batch.
        pub body: Vec<u8>,
    }
}

record! {
    /// Events that are sent once more.
    pub struct Replay {
        /// `rpl_` and random characters.
        pub id: String,
        /// To which webhook.
        pub webhook: String,
        /// What to send, a JSON object.
        pub request: Value,
        /// `pending`, `done`, `failed`.
        pub state: String,
        /// The account that it has come to.
        pub account: i64,
        /// The last sequence number of that account that was looked at.
        pub sequence: i64,
        /// How many were taken.
        pub sent: i64,
        /// How many were not.
        pub failed: i64,
        /// Counts the leases: the fence.
        pub epoch: i64,
        /// Until when somebody works on it.
        pub leased_until: i64,
        /// When it was asked for.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

/// How far a webhook has come on a shard that is held under an epoch.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The shard.
    pub shard: i64,
    /// The epoch under which it is held.
    pub epoch: i64,
    /// The last position that was looked at.
    pub position: i64,
    /// The ranges before it that were not taken.
    pub parked: Vec<u8>,
}

/// Lets a webhook start at the present head of every shard; `empty` is the form of no ranges.
pub async fn start(db: &Db, webhook: &str, empty: &[u8], now: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    start_in(&mut tx, webhook, empty, now).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn start_in(tx: &mut Tx, webhook: &str, empty: &[u8], now: i64) -> Result<()> {
    statement("DELETE FROM delivery_positions WHERE webhook = $1")
        .bind(webhook)
        .execute(&mut **tx)
        .await?;
    let heads: Vec<(i64, i64)> =
        sqlx::query_as("SELECT id, head FROM shards ORDER BY id").fetch_all(&mut **tx).await?;
    for (shard, head) in heads {
        join_in(tx, webhook, shard, head, empty, now).await?;
    }
    Ok(())
}

async fn join_in(
    tx: &mut Tx,
    webhook: &str,
    shard: i64,
    head: i64,
    empty: &[u8],
    now: i64,
) -> Result<()> {
    statement(
        "INSERT INTO delivery_positions (webhook, shard, position, parked, modified) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (webhook, shard) DO NOTHING",
    )
    .bind(webhook)
    .bind(shard)
    .bind(head)
    .bind(empty)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lets a webhook that has no position in a shard start at its present head.
pub async fn join(db: &Db, webhook: &str, shard: i64, empty: &[u8], now: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    let head: Option<(i64,)> = sqlx::query_as("SELECT head FROM shards WHERE id = $1")
        .bind(shard)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some((head,)) = head {
        join_in(&mut tx, webhook, shard, head, empty, now).await?;
    }
    Ok(tx.commit().await?)
}

/// The positions of a webhook, by shard.
pub async fn positions(db: &Db, webhook: &str) -> Result<Vec<Position>> {
    let query = select("FROM delivery_positions WHERE webhook = $1 ORDER BY shard");
    Ok(query.bind(webhook).fetch_all(db.reader()).await?)
}

/// Writes how far a webhook has come, and its attempts, in one transaction. Gives the shards that are
/// still held under their epochs; for the others nothing was written. A write that a new holder races
/// with is harmless: every position and its ranges are true, at worst older.
pub async fn keep(
    db: &Db,
    webhook: &str,
    marks: &[Mark],
    batch: Option<&Batch>,
    now: i64,
) -> Result<Vec<i64>> {
    let mut tx = db.begin().await?;
    let mut held = Vec::with_capacity(marks.len());
    for piece in pieces_by(marks, db.bounds(), |mark| 64 + mark.parked.len()) {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "WITH marks (of_shard, epoch, position, parked) AS (VALUES {}) \
             UPDATE delivery_positions SET position = marks.position, parked = marks.parked, \
             modified = $2 FROM marks WHERE webhook = $1 AND shard = marks.of_shard \
             AND EXISTS (SELECT 1 FROM shards WHERE id = marks.of_shard \
             AND shards.epoch = marks.epoch) RETURNING shard",
            values(3, piece.len(), 4)
        )))
        .bind(webhook)
        .bind(now);
        for mark in piece {
            query = query
                .bind(mark.shard)
                .bind(mark.epoch)
                .bind(mark.position)
                .bind(mark.parked.as_slice());
        }
        let rows: Vec<(i64,)> = query.fetch_all(&mut *tx).await?;
        held.extend(rows.into_iter().map(|(shard,)| shard));
    }
    if let Some(batch) = batch {
        append_in(&mut tx, batch).await?;
    }
    tx.commit().await?;
    Ok(held)
}

/// Writes a batch of attempts.
pub async fn append(db: &Db, batch: &Batch) -> Result<()> {
    let mut tx = db.begin().await?;
    append_in(&mut tx, batch).await?;
    Ok(tx.commit().await?)
}

async fn append_in(tx: &mut Tx, batch: &Batch) -> Result<()> {
    let slice = slice_of(batch.at);
    statement_text(format!(
        "INSERT INTO delivery_log_{slice} (webhook, at, number, until, attempts, body) \
         VALUES ($1, $2, $3, $4, $5, $6)"
    ))
    .bind(batch.webhook.as_str())
    .bind(batch.at)
    .bind(batch.number)
    .bind(batch.until)
    .bind(batch.attempts)
    .bind(batch.body.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The batches of a webhook that touch a time, newest first, until they hold `attempts` attempts.
pub async fn batches(
    db: &Db,
    webhook: &str,
    since: i64,
    until: i64,
    attempts: i64,
) -> Result<Vec<Batch>> {
    let mut slices = slices(db).await?;
    slices.reverse();
    let (mut found, mut held) = (Vec::<Batch>::new(), 0);
    for slice in slices {
        // A batch belongs to the slice of its first attempt, and may end in the next one.
        if slice > slice_of(until) || slice < slice_of(since) - 1 {
            continue;
        }
        let query = select_text::<Batch>(&format!(
            "FROM delivery_log_{slice} WHERE webhook = $1 AND at <= $2 AND until >= $3 \
             ORDER BY at DESC, number LIMIT $4"
        ));
        let query = query.bind(webhook).bind(until).bind(since).bind(attempts - held);
        for batch in query.fetch_all(db.reader()).await.or_else(gone)? {
            if held >= attempts {
                return Ok(found);
            }
            held += batch.attempts;
            found.push(batch);
        }
    }
    Ok(found)
}

/// Makes the table of a slice where it is missing.
pub async fn ensure_slice(db: &Db, slice: i64, now: i64) -> Result<()> {
    match make_slice(db, slice, now).await {
        // Two nodes that make the same table at once: one of them fails, and finds it made.
        Err(_) if slices(db).await?.contains(&slice) => Ok(()),
        other => other,
    }
}

async fn make_slice(db: &Db, slice: i64, now: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    statement_text(format!(
        "CREATE TABLE IF NOT EXISTS delivery_log_{slice} (webhook TEXT NOT NULL, \
         at BIGINT NOT NULL, number BIGINT NOT NULL, until BIGINT NOT NULL, \
         attempts BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (webhook, at, number))"
    ))
    .execute(&mut *tx)
    .await?;
    statement(
        "INSERT INTO delivery_slices (id, created) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(slice)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// The slices that are there, oldest first.
pub async fn slices(db: &Db) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        sqlx::query_as("SELECT id FROM delivery_slices ORDER BY id").fetch_all(db.reader()).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Drops a slice with everything in it.
pub async fn drop_slice(db: &Db, slice: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    statement_text(format!("DROP TABLE IF EXISTS delivery_log_{slice}")).execute(&mut *tx).await?;
    statement("DELETE FROM delivery_slices WHERE id = $1").bind(slice).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Asks for a replay.
pub async fn insert_replay(db: &Db, row: &Replay) -> Result<()> {
    statement(
        "INSERT INTO delivery_replays (id, webhook, request, state, account, sequence, sent, \
         failed, epoch, leased_until, created, modified) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(row.id.as_str())
    .bind(row.webhook.as_str())
    .bind(json(&row.request))
    .bind(row.state.as_str())
    .bind(row.account)
    .bind(row.sequence)
    .bind(row.sent)
    .bind(row.failed)
    .bind(row.epoch)
    .bind(row.leased_until)
    .bind(row.created)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// One replay of a webhook.
pub async fn replay(db: &Db, webhook: &str, id: &str) -> Result<Option<Replay>> {
    let query = select("FROM delivery_replays WHERE webhook = $1 AND id = $2");
    Ok(query.bind(webhook).bind(id).fetch_optional(db.reader()).await?)
}

/// How many replays of a webhook are not done.
pub async fn pending_replays(db: &Db, webhook: &str) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM delivery_replays WHERE webhook = $1 AND state = 'pending'",
    )
    .bind(webhook)
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}

/// The oldest replays that nobody works on.
pub async fn waiting_replays(db: &Db, now: i64, limit: i64) -> Result<Vec<Replay>> {
    let query = select(
        "FROM delivery_replays WHERE state = 'pending' AND leased_until < $1 \
         ORDER BY created, id LIMIT $2",
    );
    Ok(query.bind(now).bind(limit).fetch_all(db.reader()).await?)
}

/// Takes a replay, if it still is as it was seen: gives its new epoch.
pub async fn claim_replay(db: &Db, row: &Replay, leased_until: i64) -> Result<Option<i64>> {
    let done = statement(
        "UPDATE delivery_replays SET epoch = epoch + 1, leased_until = $3 \
         WHERE id = $1 AND epoch = $2 AND state = 'pending'",
    )
    .bind(row.id.as_str())
    .bind(row.epoch)
    .bind(leased_until)
    .execute(db.writer())
    .await?;
    Ok((done.rows_affected() == 1).then_some(row.epoch + 1))
}

/// Writes how far a replay has come. `false` when somebody else has it.
pub async fn update_replay(db: &Db, row: &Replay) -> Result<bool> {
    let done = statement(
        "UPDATE delivery_replays SET state = $3, account = $4, sequence = $5, sent = $6, \
         failed = $7, leased_until = $8, modified = $9 WHERE id = $1 AND epoch = $2",
    )
    .bind(row.id.as_str())
    .bind(row.epoch)
    .bind(row.state.as_str())
    .bind(row.account)
    .bind(row.sequence)
    .bind(row.sent)
    .bind(row.failed)
    .bind(row.leased_until)
    .bind(row.modified)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets replays that ended before a moment.
pub async fn prune_replays(db: &Db, before: i64) -> Result<u64> {
    let done = statement("DELETE FROM delivery_replays WHERE state <> 'pending' AND modified < $1")
        .bind(before)
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
