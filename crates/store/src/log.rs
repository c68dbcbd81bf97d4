//! The activity log: appended by one fenced writer per shard, read by feed or by position, sealed into
//! blocks, dropped slice by slice.
//!
//! A row holds what one commit brought to one feed; its body and that of a block are segments of the
//! `activity` crate, opaque here. A slice is a day; its rows, blocks and index are tables of their own.

use crate::announcements::{self, Announcement};
use crate::db::{Db, Tx};
use crate::error::{Error, Result};
use crate::feeds::Collection;
use crate::record::{record, select_text, statement, statement_text};

/// Microseconds of one slice: a day.
pub const SLICE_MICROS: i64 = 86_400_000_000;

/// The most groups of one INSERT, so that no engine's limit of parameters is met.
const GROUPS: usize = 500;

record! {
    /// A piece of the log: a row, or a block of sealed rows.
    pub struct Piece {
        /// The shard.
        pub shard: i64,
        /// The position of its first event.
        pub position: i64,
        /// How many events it holds.
        pub events: i64,
        /// When the newest of it was committed.
        pub at: i64,
        /// The segment.
        pub body: Vec<u8>,
    }
}

/// Events for one feed.
#[derive(Clone, Debug)]
pub struct Append {
    /// The feed.
    pub feed: i64,
    /// Its last sequence number before.
    pub head: i64,
    /// How many events, at least 1.
    pub events: i64,
    /// The segment with one group.
    pub body: Vec<u8>,
    /// Whether the feed may not be noted in the slice yet.
    pub opens: bool,
}

/// What becomes of a collection.
#[derive(Clone, Debug)]
pub struct CollectionWrite {
    /// The row as it shall be.
    pub row: Collection,
    /// The generation that it must have; `None`: it must not be there.
    pub expected: Option<i64>,
    /// A change over the blocks, with its number.
    pub change: Option<(i64, Vec<u8>)>,
    /// Forgets the changes: they are in the blocks now.
    pub forget_changes: bool,
    /// Blocks to add.
    pub put: Vec<(String, Vec<u8>)>,
    /// Blocks to drop.
    pub drop: Vec<String>,
}

/// What becomes of a feed.
#[derive(Clone, Debug)]
pub struct FeedWrite {
    /// Its account.
    pub account: i64,
    /// What polling has learnt.
    pub schedule: Option<Vec<u8>>,
    /// When its source was read with success.
    pub synced: i64,
}

/// One transaction of a shard's writer: events, cursors and state together.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The shard.
    pub shard: i64,
    /// The epoch under which it is held.
    pub epoch: i64,
    /// The slice to write to; it exists.
    pub slice: i64,
    /// The moment.
    pub now: i64,
    /// Events.
    pub appends: Vec<Append>,
    /// Cursors and state.
    pub collections: Vec<CollectionWrite>,
    /// Collections that are gone, as account and id.
    pub gone: Vec<(i64, String)>,
    /// What polling has learnt.
    pub feeds: Vec<FeedWrite>,
    /// Announcements that the events are of: they wait no longer.
    pub taken: Vec<Announcement>,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Done; the first event has this position.
    At(i64),
    /// Another writer holds the shard: nothing was written.
    Fenced,
    /// A feed or collection is not what the writer took it for (its account was deleted, say): nothing was
    /// written.
    Stale,
}

/// The slice of a moment.
#[must_use]
pub fn slice_of(micros: i64) -> i64 {
    micros.div_euclid(SLICE_MICROS)
}

/// Makes a slice's tables where they are missing.
pub async fn ensure_slice(db: &Db, slice: i64, now: i64) -> Result<()> {
    let made = make_slice(db, slice, now).await;
    match made {
        // Two nodes that make the same table at once: one of them fails, and finds it made.
        Err(_) if slices(db).await?.contains(&slice) => Ok(()),
        other => other,
    }
}

async fn make_slice(db: &Db, slice: i64, now: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    for text in [
        format!(
            "CREATE TABLE IF NOT EXISTS log_rows_{slice} (shard BIGINT NOT NULL, \
             position BIGINT NOT NULL, events BIGINT NOT NULL, feed BIGINT NOT NULL, \
             sequence BIGINT NOT NULL, at BIGINT NOT NULL, body BYTEA NOT NULL, \
             PRIMARY KEY (shard, position))"
        ),
        format!(
            "CREATE INDEX IF NOT EXISTS log_rows_{slice}_feed ON log_rows_{slice} (feed, sequence)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS log_blocks_{slice} (shard BIGINT NOT NULL, \
             position BIGINT NOT NULL, events BIGINT NOT NULL, at BIGINT NOT NULL, \
             body BYTEA NOT NULL, PRIMARY KEY (shard, position))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS log_index_{slice} (feed BIGINT NOT NULL, \
             sequence BIGINT NOT NULL, events BIGINT NOT NULL, shard BIGINT NOT NULL, \
             position BIGINT NOT NULL, PRIMARY KEY (feed, sequence))"
        ),
    ] {
        statement_text(text).execute(&mut *tx).await?;
    }
    statement("INSERT INTO log_slices (id, created) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(slice)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

/// The slices that are there, oldest first.
pub async fn slices(db: &Db) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        sqlx::query_as("SELECT id FROM log_slices ORDER BY id").fetch_all(db.reader()).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Drops a slice with everything in it.
pub async fn drop_slice(db: &Db, slice: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    for table in ["rows", "blocks", "index"] {
        statement_text(format!("DROP TABLE IF EXISTS log_{table}_{slice}"))
            .execute(&mut *tx)
            .await?;
    }
    for text in [
        "DELETE FROM log_slices WHERE id = $1",
        "DELETE FROM log_feeds WHERE slice = $1",
        "DELETE FROM log_shards WHERE slice = $1",
    ] {
        statement(text).bind(slice).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Writes one commit. All of it or nothing.
pub async fn commit(db: &Db, commit: &Commit) -> Result<Committed> {
    let mut tx = db.begin().await?;
    let committed = commit_in(&mut tx, commit).await?;
    if matches!(committed, Committed::At(_)) {
        tx.commit().await?;
    }
    Ok(committed)
}

/// Writes the commits of several shards in one transaction, so that they share one wait for the disk. When
/// one of them cannot be written, none is, and its outcome is among the answers: then write them one by one.
pub async fn commit_all(db: &Db, commits: &[Commit]) -> Result<Vec<Committed>> {
    let mut tx = db.begin().await?;
    let mut done = Vec::with_capacity(commits.len());
    for commit in commits {
        let committed = commit_in(&mut tx, commit).await?;
        done.push(committed);
        if !matches!(committed, Committed::At(_)) {
            return Ok(done);
        }
    }
    tx.commit().await?;
    Ok(done)
}

async fn commit_in(tx: &mut Tx, commit: &Commit) -> Result<Committed> {
    let events: i64 = commit.appends.iter().map(|append| append.events).sum();
    let row: Option<(i64,)> = sqlx::query_as(
        "UPDATE shards SET head = head + $3, slice = $4 WHERE id = $1 AND epoch = $2 \
         RETURNING head",
    )
    .bind(commit.shard)
    .bind(commit.epoch)
    .bind(events)
    .bind(commit.slice)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((head,)) = row else {
        return Ok(Committed::Fenced);
    };
    let first = head - events + 1;
    if !append(tx, commit, first).await? {
        return Ok(Committed::Stale);
    }
    for write in &commit.collections {
        if !write_collection(tx, write).await? {
            return Ok(Committed::Stale);
        }
    }
    for (account, id) in &commit.gone {
        forget_collection(tx, *account, id).await?;
    }
    for said in &commit.taken {
        if !announcements::take_in(tx, said).await? {
            return Ok(Committed::Stale);
        }
    }
    for feed in &commit.feeds {
        statement(
            "UPDATE feeds SET schedule = COALESCE($2, schedule), synced = $3 WHERE account = $1",
        )
        .bind(feed.account)
        .bind(feed.schedule.as_deref())
        .bind(feed.synced)
        .execute(&mut **tx)
        .await?;
    }
    Ok(Committed::At(first))
}

async fn append(tx: &mut Tx, commit: &Commit, first: i64) -> Result<bool> {
    let mut position = first;
    let mut placed = Vec::with_capacity(commit.appends.len());
    for append in &commit.appends {
        let done = statement(
            "UPDATE subscriptions SET head = head + $3 WHERE feed = $1 AND head = $2 \
             AND deleted IS NULL",
        )
        .bind(append.feed)
        .bind(append.head)
        .bind(append.events)
        .execute(&mut **tx)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        placed.push((position, append));
        position += append.events;
    }
    for group in placed.chunks(GROUPS) {
        let mut text = format!(
            "INSERT INTO log_rows_{} (shard, position, events, feed, sequence, at, body) VALUES ",
            commit.slice
        );
        push_groups(&mut text, group.len(), 7);
        let mut query = statement_text(text);
        for (position, append) in group {
            query = query
                .bind(commit.shard)
                .bind(*position)
                .bind(append.events)
                .bind(append.feed)
                .bind(append.head + 1)
                .bind(commit.now)
                .bind(append.body.as_slice());
        }
        query.execute(&mut **tx).await?;
    }
    for append in commit.appends.iter().filter(|append| append.opens) {
        statement(
            "INSERT INTO log_feeds (feed, slice, sequence) VALUES ($1, $2, $3) \
             ON CONFLICT (feed, slice) DO NOTHING",
        )
        .bind(append.feed)
        .bind(commit.slice)
        .bind(append.head + 1)
        .execute(&mut **tx)
        .await?;
    }
    if commit.appends.iter().any(|append| append.opens) {
        statement(
            "INSERT INTO log_shards (shard, slice, position) VALUES ($1, $2, $3) \
             ON CONFLICT (shard, slice) DO NOTHING",
        )
        .bind(commit.shard)
        .bind(commit.slice)
        .bind(first)
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// `($1, $2), ($3, $4)` for as many groups of as many columns.
fn push_groups(text: &mut String, groups: usize, columns: usize) {
    let mut number = 0;
    for group in 0..groups {
        text.push_str(if group == 0 { "(" } else { ", (" });
        for column in 0..columns {
            number += 1;
            if column > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&number.to_string());
        }
        text.push(')');
    }
}

async fn write_collection(tx: &mut Tx, write: &CollectionWrite) -> Result<bool> {
    let row = &write.row;
    let done = match write.expected {
        None => {
            statement(
                "INSERT INTO collections (account, id, root, generation, cursor, manifest, \
                 progress, modified, name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (account, id) DO NOTHING",
            )
            .bind(row.account)
            .bind(row.id.as_str())
            .bind(row.root.as_str())
            .bind(row.generation)
            .bind(row.cursor.as_deref())
            .bind(row.manifest.as_slice())
            .bind(row.progress.as_slice())
            .bind(row.modified)
            .bind(row.name.as_deref())
            .execute(&mut **tx)
            .await?
        }
        Some(expected) => {
            statement(
                "UPDATE collections SET generation = $4, cursor = $5, manifest = $6, \
                 progress = $7, modified = $8, root = $9 \
                 WHERE account = $1 AND id = $2 AND generation = $3",
            )
            .bind(row.account)
            .bind(row.id.as_str())
            .bind(expected)
            .bind(row.generation)
            .bind(row.cursor.as_deref())
            .bind(row.manifest.as_slice())
            .bind(row.progress.as_slice())
            .bind(row.modified)
            .bind(row.root.as_str())
            .execute(&mut **tx)
            .await?
        }
    };
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if write.forget_changes {
        statement("DELETE FROM state_changes WHERE account = $1 AND collection = $2")
            .bind(row.account)
            .bind(row.id.as_str())
            .execute(&mut **tx)
            .await?;
    }
    if let Some((number, data)) = &write.change {
        statement(
            "INSERT INTO state_changes (account, collection, number, data) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(row.account)
        .bind(row.id.as_str())
        .bind(*number)
        .bind(data.as_slice())
        .execute(&mut **tx)
        .await?;
    }
    for id in &write.drop {
        statement("DELETE FROM state_blocks WHERE account = $1 AND collection = $2 AND id = $3")
            .bind(row.account)
            .bind(row.id.as_str())
            .bind(id.as_str())
            .execute(&mut **tx)
            .await?;
    }
    for (id, data) in &write.put {
        statement(
            "INSERT INTO state_blocks (account, collection, id, data) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account, collection, id) DO NOTHING",
        )
        .bind(row.account)
        .bind(row.id.as_str())
        .bind(id.as_str())
        .bind(data.as_slice())
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

async fn forget_collection(tx: &mut Tx, account: i64, id: &str) -> Result<()> {
    for text in [
        "DELETE FROM collections WHERE account = $1 AND id = $2",
        "DELETE FROM state_blocks WHERE account = $1 AND collection = $2",
        "DELETE FROM state_changes WHERE account = $1 AND collection = $2",
    ] {
        statement(text).bind(account).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Where a feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first sequence number that is kept; above `head` when nothing is.
    pub first: i64,
    /// The last sequence number given out.
    pub head: i64,
}

/// The extent of a feed; `None` when there is no such living subscription.
pub async fn extent(db: &Db, feed: i64) -> Result<Option<Extent>> {
    let row: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT head, (SELECT MIN(sequence) FROM log_feeds WHERE feed = $1) \
         FROM subscriptions WHERE feed = $1 AND deleted IS NULL",
    )
    .bind(feed)
    .fetch_optional(db.reader())
    .await?;
    Ok(row.map(|(head, first)| Extent { first: first.unwrap_or(head + 1), head }))
}

/// The pieces of a feed that hold events after `after`, in order, until they hold at least `events` of its
/// events or 1,000 pieces. The first may begin before, and blocks hold other feeds as well.
pub async fn read_feed(db: &Db, feed: i64, after: i64, events: i64) -> Result<Vec<Piece>> {
    let slices: Vec<(i64,)> = sqlx::query_as(
        "SELECT slice FROM log_feeds WHERE feed = $1 AND slice >= COALESCE((SELECT MAX(slice) \
         FROM log_feeds WHERE feed = $1 AND sequence <= $2), 0) ORDER BY slice",
    )
    .bind(feed)
    .bind(after + 1)
    .fetch_all(db.reader())
    .await?;
    let mut found = Vec::new();
    let mut next = after;
    for (slice,) in slices {
        let left = (events - (next - after)).min(1_000 - found.len() as i64);
        if left <= 0 {
            break;
        }
        // Rows first, then what was sealed: a row that is sealed between the two is seen twice, never
        // missed.
        let query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT sequence, shard, position, events, at, body FROM log_rows_{slice} \
             WHERE feed = $1 AND sequence + events > $2 ORDER BY sequence LIMIT $3"
        )));
        let rows: std::result::Result<Vec<FeedRow>, _> =
            query.bind(feed).bind(next + 1).bind(left).fetch_all(db.reader()).await;
        let rows = rows.or_else(gone)?;
        let places: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT sequence, events, shard, position FROM log_index_{slice} \
             WHERE feed = $1 AND sequence + events > $2 ORDER BY sequence LIMIT $3"
        )))
        .bind(feed)
        .bind(next + 1)
        .bind(left)
        .fetch_all(db.reader())
        .await
        .or_else(gone)?;
        let cut = places.len() as i64 == left;
        for (sequence, count, shard, position) in places {
            if next - after >= events {
                return Ok(found);
            }
            let query = select_text::<Piece>(&format!(
                "FROM log_blocks_{slice} WHERE shard = $1 AND position = $2"
            ));
            let piece = query.bind(shard).bind(position).fetch_optional(db.reader()).await;
            found.extend(piece.or_else(|error| gone(error).map(|_: Vec<Piece>| None))?);
            next = next.max(sequence + count - 1);
        }
        if cut {
            break;
        }
        for (sequence, shard, position, count, at, body) in rows {
            if next - after >= events {
                return Ok(found);
            }
            let end = sequence + count - 1;
            if end > next {
                next = end;
                found.push(Piece { shard, position, events: count, at, body });
            }
        }
    }
    Ok(found)
}

/// A row as [`read_feed`] reads it: sequence, shard, position, events, at, body.
type FeedRow = (i64, i64, i64, i64, i64, Vec<u8>);

/// The pieces of a shard from a position on, in order, until they hold `events` events or 1,000 pieces.
pub async fn read_shard(db: &Db, shard: i64, from: i64, events: i64) -> Result<Vec<Piece>> {
    let slices: Vec<(i64,)> = sqlx::query_as(
        "SELECT slice FROM log_shards WHERE shard = $1 AND slice >= COALESCE((SELECT MAX(slice) \
         FROM log_shards WHERE shard = $1 AND position <= $2), 0) ORDER BY slice",
    )
    .bind(shard)
    .bind(from)
    .fetch_all(db.reader())
    .await?;
    let (mut found, mut next, mut held) = (Vec::<Piece>::new(), from, 0);
    for (slice,) in slices {
        let left = (events - held).min(1_000 - found.len() as i64);
        if left <= 0 {
            break;
        }
        // Rows before blocks, as in `read_feed`.
        let mut pieces = Vec::new();
        for table in ["rows", "blocks"] {
            let query = select_text::<Piece>(&format!(
                "FROM log_{table}_{slice} WHERE shard = $1 AND position >= COALESCE((SELECT \
                 MAX(position) FROM log_{table}_{slice} WHERE shard = $1 AND position <= $2 \
                 AND position + events > $2), $2) ORDER BY position LIMIT $3"
            ));
            let read = query.bind(shard).bind(next).bind(left).fetch_all(db.reader()).await;
            let read = read.or_else(gone)?;
            if table == "blocks" && read.len() as i64 == left {
                pieces.clear();
            }
            pieces.extend(read);
        }
        pieces.sort_by_key(|piece| (piece.position, -piece.events));
        for piece in pieces {
            if held >= events {
                return Ok(found);
            }
            let end = piece.position + piece.events;
            if end > next {
                held += end - next.max(piece.position);
                next = end;
                found.push(piece);
            }
        }
    }
    Ok(found)
}

/// A slice that was dropped between two statements has nothing any more.
pub(crate) fn gone<T>(error: sqlx::Error) -> std::result::Result<Vec<T>, Error> {
    let missing = match &error {
        sqlx::Error::Database(database) => {
            database.code().as_deref() == Some("42P01")
                || database.message().contains("no such table")
        }
        _ => false,
    };
    if missing { Ok(Vec::new()) } else { Err(error.into()) }
}

/// The rows of a slice that were committed before a moment, in the order of their positions, until they
/// hold `events` events.
pub async fn to_seal(
    db: &Db,
    shard: i64,
    slice: i64,
    before: i64,
    events: i64,
) -> Result<Vec<Piece>> {
    let query = select_text::<Piece>(&format!(
        "FROM log_rows_{slice} WHERE shard = $1 AND at < $2 ORDER BY position LIMIT $3"
    ));
    let rows = query.bind(shard).bind(before).bind(events).fetch_all(db.reader()).await;
    let mut held = 0;
    let rows = rows.or_else(gone)?.into_iter().take_while(|piece: &Piece| {
        let fits = held < events;
        held += piece.events;
        fits
    });
    Ok(rows.collect())
}

/// Where a feed lies in a block: its first sequence number there and how many events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The feed.
    pub feed: i64,
    /// The first.
    pub sequence: i64,
    /// How many.
    pub events: i64,
}

/// Replaces the rows of a slice up to the end of a block by the block. `false` when another writer holds
/// the shard.
pub async fn seal(
    db: &Db,
    epoch: i64,
    slice: i64,
    block: &Piece,
    places: &[Place],
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement("UPDATE shards SET epoch = epoch WHERE id = $1 AND epoch = $2")
        .bind(block.shard)
        .bind(epoch)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    statement_text(format!(
        "DELETE FROM log_rows_{slice} WHERE shard = $1 AND position >= $2 AND position < $3"
    ))
    .bind(block.shard)
    .bind(block.position)
    .bind(block.position + block.events)
    .execute(&mut *tx)
    .await?;
    statement_text(format!(
        "INSERT INTO log_blocks_{slice} (shard, position, events, at, body) \
         VALUES ($1, $2, $3, $4, $5)"
    ))
    .bind(block.shard)
    .bind(block.position)
    .bind(block.events)
    .bind(block.at)
    .bind(block.body.as_slice())
    .execute(&mut *tx)
    .await?;
    for group in places.chunks(GROUPS) {
        let mut text = format!(
            "INSERT INTO log_index_{slice} (feed, sequence, events, shard, position) VALUES "
        );
        push_groups(&mut text, group.len(), 5);
        let mut query = statement_text(text);
        for place in group {
            query = query
                .bind(place.feed)
                .bind(place.sequence)
                .bind(place.events)
                .bind(block.shard)
                .bind(block.position);
        }
        query.execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(true)
}
