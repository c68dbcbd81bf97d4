//! The activity log: appended by one fenced writer per shard, read by feed or by position, sealed into
//! blocks, dropped slice by slice.
//!
//! A row holds what one commit brought to one feed; its body and that of a block are segments of the
//! `activity` crate, opaque here. A slice is a day; its rows, blocks and index are tables of their own.

use crate::announcements::Announcement;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::feeds::Collection;
use crate::record::{record, select_text, statement, statement_text};
use crate::retention;
use crate::rows::{pieces, values};

pub use crate::commit::{commit, commit_all};

/// Microseconds of one slice: a day.
pub const SLICE_MICROS: i64 = 86_400_000_000;

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

impl Commit {
    /// How many events it brings.
    #[must_use]
    pub fn events(&self) -> i64 {
        self.appends.iter().map(|append| append.events).sum()
    }
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
    let row: Option<(i64, Option<i64>, Option<i64>)> = sqlx::query_as(
        "SELECT head, (SELECT MIN(sequence) FROM log_feeds WHERE feed = $1), \
         (SELECT MIN(sequence) FROM log_kept WHERE feed = $1) \
         FROM subscriptions WHERE feed = $1 AND deleted IS NULL",
    )
    .bind(feed)
    .fetch_optional(db.reader())
    .await?;
    let first = |of_days: Option<i64>, kept: Option<i64>| of_days.into_iter().chain(kept).min();
    Ok(row.map(|(head, of_days, kept)| Extent {
        first: first(of_days, kept).unwrap_or(head + 1),
        head,
    }))
}

/// The first sequence number of a feed in the days of the log; `None` when there is none. What is kept beyond them is
/// before it.
pub async fn first_in_days(db: &Db, feed: i64) -> Result<Option<i64>> {
    let (first,): (Option<i64>,) =
        sqlx::query_as("SELECT MIN(sequence) FROM log_feeds WHERE feed = $1")
            .bind(feed)
            .fetch_one(db.reader())
            .await?;
    Ok(first)
}

/// The pieces of a feed that hold events after `after`, in order, until they hold at least `events` of its
/// events or 1,000 pieces. The first may begin before, and blocks hold other feeds as well.
pub async fn read_feed(db: &Db, feed: i64, after: i64, events: i64) -> Result<Vec<Piece>> {
    let slices: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT slice, sequence FROM log_feeds WHERE feed = $1 AND slice >= \
         COALESCE((SELECT MAX(slice) FROM log_feeds WHERE feed = $1 AND sequence <= $2), 0) \
         ORDER BY slice",
    )
    .bind(feed)
    .bind(after + 1)
    .fetch_all(db.reader())
    .await?;
    let in_days = slices.first().is_some_and(|(_, sequence)| *sequence <= after + 1);
    if !in_days {
        let kept = retention::read(db, feed, after, events).await?;
        if !kept.is_empty() {
            return Ok(kept);
        }
    }
    let mut found = Found { feed, after, events, next: after, first: None, pieces: Vec::new() };
    for (slice, _) in slices {
        if !found.read(db, slice).await? {
            break;
        }
    }
    // What was in the days may have left them while they were read.
    if in_days && found.first.is_none_or(|first| first > after + 1) {
        let kept = retention::read(db, feed, after, events).await?;
        if !kept.is_empty() {
            return Ok(kept);
        }
    }
    Ok(found.pieces)
}

/// As [`read_feed`], of one slice alone.
pub async fn read_slice(
    db: &Db,
    slice: i64,
    feed: i64,
    after: i64,
    events: i64,
) -> Result<Vec<Piece>> {
    let mut found = Found { feed, after, events, next: after, first: None, pieces: Vec::new() };
    found.read(db, slice).await?;
    Ok(found.pieces)
}

/// Pieces of a feed as they are found.
struct Found {
    feed: i64,
    after: i64,
    events: i64,
    /// The last sequence number that was found.
    next: i64,
    /// Where the first piece begins.
    first: Option<i64>,
    pieces: Vec<Piece>,
}

impl Found {
    /// Reads a slice; `false` when that is enough.
    async fn read(&mut self, db: &Db, slice: i64) -> Result<bool> {
        let left = (self.events - (self.next - self.after)).min(1_000 - self.pieces.len() as i64);
        if left <= 0 {
            return Ok(false);
        }
        // Rows first, then what was sealed: a row that is sealed between the two is seen twice, never
        // missed.
        let query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT sequence, shard, position, events, at, body FROM log_rows_{slice} \
             WHERE feed = $1 AND sequence + events > $2 ORDER BY sequence LIMIT $3"
        )));
        let rows: std::result::Result<Vec<FeedRow>, _> =
            query.bind(self.feed).bind(self.next + 1).bind(left).fetch_all(db.reader()).await;
        let rows = rows.or_else(gone)?;
        let places: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT sequence, events, shard, position FROM log_index_{slice} \
             WHERE feed = $1 AND sequence + events > $2 ORDER BY sequence LIMIT $3"
        )))
        .bind(self.feed)
        .bind(self.next + 1)
        .bind(left)
        .fetch_all(db.reader())
        .await
        .or_else(gone)?;
        let cut = places.len() as i64 == left;
        for (sequence, count, shard, position) in places {
            if self.next - self.after >= self.events {
                return Ok(false);
            }
            let query = select_text::<Piece>(&format!(
                "FROM log_blocks_{slice} WHERE shard = $1 AND position = $2"
            ));
            let piece = query.bind(shard).bind(position).fetch_optional(db.reader()).await;
            let piece = piece.or_else(|error| gone(error).map(|_: Vec<Piece>| None))?;
            if piece.is_some() {
                self.first.get_or_insert(sequence);
            }
            self.pieces.extend(piece);
            self.next = self.next.max(sequence + count - 1);
        }
        if cut {
            return Ok(false);
        }
        for (sequence, shard, position, count, at, body) in rows {
            if self.next - self.after >= self.events {
                return Ok(false);
            }
            let end = sequence + count - 1;
            if end > self.next {
                self.next = end;
                self.first.get_or_insert(sequence);
                self.pieces.push(Piece { shard, position, events: count, at, body });
            }
        }
        Ok(true)
    }
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
    for group in pieces(places, db.bounds()) {
        let mut query = statement_text(format!(
            "INSERT INTO log_index_{slice} (feed, sequence, events, shard, position) VALUES {}",
            values(1, group.len(), 5)
        ));
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
