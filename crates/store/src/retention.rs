//! What stays of the log beyond its days: the newest events of feeds, carried over before a slice is dropped, and what
//! of an application leaves earlier.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::log::{Piece, gone};
use crate::record::{record, select, statement, statement_text};

record! {
    /// Events of one feed that stay beyond the days of the log.
    pub struct Kept {
        /// The feed.
        pub feed: i64,
        /// The first sequence number.
        pub sequence: i64,
        /// How many events follow each other.
        pub events: i64,
        /// When the newest of it was committed.
        pub at: i64,
        /// The segment.
        pub body: Vec<u8>,
    }
}

/// A feed that lies in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fading {
    /// The feed.
    pub feed: i64,
    /// Its first sequence number there.
    pub first: i64,
    /// Its last sequence number there.
    pub last: i64,
    /// The last sequence number given out; `None` when the subscription or its account is gone.
    pub head: Option<i64>,
}

/// The feeds that lie in a slice, by number after `after`, at most `limit`. With an application, only its own.
pub async fn in_slice(
    db: &Db,
    slice: i64,
    application: Option<&str>,
    after: i64,
    limit: i64,
) -> Result<Vec<Fading>> {
    let rows: Vec<(i64, i64, Option<i64>, Option<i64>)> = sqlx::query_as(
        "SELECT log_feeds.feed, log_feeds.sequence, (SELECT MIN(later.sequence) \
         FROM log_feeds AS later WHERE later.feed = log_feeds.feed \
         AND later.slice > log_feeds.slice), CASE WHEN accounts.id IS NULL THEN NULL \
         ELSE subscriptions.head END FROM log_feeds \
         LEFT JOIN subscriptions ON subscriptions.feed = log_feeds.feed \
         AND subscriptions.deleted IS NULL LEFT JOIN accounts \
         ON accounts.id = subscriptions.account AND accounts.deleted IS NULL \
         WHERE log_feeds.slice = $1 AND log_feeds.feed > $2 \
         AND ($3 IS NULL OR accounts.application = $3) ORDER BY log_feeds.feed LIMIT $4",
    )
    .bind(slice)
    .bind(after)
    .bind(application)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let fading = |(feed, first, next, head): (i64, i64, Option<i64>, Option<i64>)| Fading {
        feed,
        first,
        last: next.map_or(head.unwrap_or(first - 1), |next| next - 1),
        head,
    };
    Ok(rows.into_iter().map(fading).collect())
}

/// The newest block of a feed.
pub async fn newest(db: &Db, feed: i64) -> Result<Option<Kept>> {
    let query = select("FROM log_kept WHERE feed = $1 ORDER BY sequence DESC LIMIT 1");
    Ok(query.bind(feed).fetch_optional(db.reader()).await?)
}

/// The blocks of a feed that hold events after `after`, in order, until they hold `events` of them.
pub(crate) async fn read(db: &Db, feed: i64, after: i64, events: i64) -> Result<Vec<Piece>> {
    let query = select::<Kept>(
        "FROM log_kept WHERE feed = $1 AND sequence + events > $2 ORDER BY sequence LIMIT $3",
    );
    let rows = query.bind(feed).bind(after + 1).bind(events.clamp(1, 16)).fetch_all(db.reader());
    let mut held = 0;
    let mut found = Vec::new();
    for row in rows.await? {
        if held >= events {
            break;
        }
        held += row.sequence + row.events - row.sequence.max(after + 1);
        found.push(Piece { shard: 0, position: 0, events: row.events, at: row.at, body: row.body });
    }
    Ok(found)
}

/// What becomes of a feed when it leaves a slice.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The feed.
    pub feed: i64,
    /// The slice that it leaves.
    pub slice: i64,
    /// Blocks that end at or before this sequence number are forgotten.
    pub floor: i64,
    /// The block that the first of `blocks` takes the place of, by its first sequence number.
    pub replaces: Option<i64>,
    /// What stays.
    pub blocks: Vec<Kept>,
}

/// Takes a feed out of a slice and keeps what stays of it, in one transaction: readers find each event in one of the
/// two. `false` when the feed was not in the slice any more: another node carried it.
pub async fn carry(db: &Db, carried: &Carried) -> Result<bool> {
    let Carried { feed, slice, .. } = *carried;
    let mut tx = db.begin().await?;
    let left = statement("DELETE FROM log_feeds WHERE feed = $1 AND slice = $2")
        .bind(feed)
        .bind(slice)
        .execute(&mut *tx)
        .await?;
    if left.rows_affected() != 1 {
        return Ok(false);
    }
    if let Some(replaced) = carried.replaces {
        statement("DELETE FROM log_kept WHERE feed = $1 AND sequence = $2")
            .bind(feed)
            .bind(replaced)
            .execute(&mut *tx)
            .await?;
    }
    for block in &carried.blocks {
        statement(
            "INSERT INTO log_kept (feed, sequence, events, at, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(feed)
        .bind(block.sequence)
        .bind(block.events)
        .bind(block.at)
        .bind(block.body.as_slice())
        .execute(&mut *tx)
        .await?;
    }
    statement("DELETE FROM log_kept WHERE feed = $1 AND sequence + events <= $2 + 1")
        .bind(feed)
        .bind(carried.floor)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets what is kept of feeds whose subscription or account is gone.
pub async fn forget_orphans(db: &Db) -> Result<u64> {
    let done = statement(
        "DELETE FROM log_kept WHERE NOT EXISTS (SELECT 1 FROM subscriptions \
         JOIN accounts ON accounts.id = subscriptions.account WHERE subscriptions.feed = \
         log_kept.feed AND subscriptions.deleted IS NULL AND accounts.deleted IS NULL)",
    )
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}

/// The applications that name their own number of days (`event_days` in their settings).
pub async fn own_days(db: &Db) -> Result<Vec<(String, i64)>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, settings FROM applications WHERE deleted IS NULL \
         AND settings LIKE '%\"event_days\"%'",
    )
    .fetch_all(db.reader())
    .await?;
    let days = |(id, settings): (String, String)| {
        let settings: Value = serde_json::from_str(&settings).ok()?;
        Some((id, settings.get("event_days")?.as_i64()?))
    };
    Ok(rows.into_iter().filter_map(days).collect())
}

/// What a webhook may have missed of an account, because it left the days of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The account.
    pub account: i64,
    /// Its service.
    pub service: String,
    /// The last sequence number of its default feed that is not in the days any more.
    pub last: i64,
}

/// The accounts of an application in a shard of whose default feeds something left the days, at most `limit`.
pub async fn missed(db: &Db, application: &str, shard: i64, limit: i64) -> Result<Vec<Missed>> {
    let rows: Vec<(i64, String, i64, Option<i64>)> = sqlx::query_as(
        "SELECT accounts.id, accounts.service, subscriptions.head, (SELECT MIN(sequence) \
         FROM log_feeds WHERE log_feeds.feed = subscriptions.feed) FROM feeds \
         JOIN accounts ON accounts.id = feeds.account \
         JOIN subscriptions ON subscriptions.feed = accounts.id \
         WHERE feeds.shard = $1 AND accounts.application = $2 AND accounts.deleted IS NULL \
         AND subscriptions.deleted IS NULL ORDER BY accounts.id LIMIT $3",
    )
    .bind(shard)
    .bind(application)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let missed = |(account, service, head, first): (i64, String, i64, Option<i64>)| Missed {
        account,
        service,
        last: first.map_or(head, |first| first - 1),
    };
    Ok(rows.into_iter().map(missed).filter(|one| one.last > 0).collect())
}

/// Blocks of a slice that hold events of feeds that left it, as shard and position, with those feeds; at most `limit`.
pub async fn left_behind(db: &Db, slice: i64, limit: i64) -> Result<Vec<(i64, i64, Vec<i64>)>> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT shard, position, feed FROM log_index_{slice} WHERE feed NOT IN \
         (SELECT feed FROM log_feeds WHERE slice = $1) ORDER BY shard, position, feed LIMIT $2"
    )))
    .bind(slice)
    .bind(limit)
    .fetch_all(db.reader())
    .await
    .or_else(gone)?;
    let mut found: Vec<(i64, i64, Vec<i64>)> = Vec::new();
    for (shard, position, feed) in rows {
        match found.last_mut() {
            Some((of, at, feeds)) if (*of, *at) == (shard, position) => feeds.push(feed),
            _ => found.push((shard, position, vec![feed])),
        }
    }
    Ok(found)
}

/// Writes a block anew without the events of some feeds; `without` makes its new body of the old one. The positions
/// that it spans stay.
pub async fn purge<E>(
    db: &Db,
    slice: i64,
    (shard, position): (i64, i64),
    feeds: &[i64],
    without: impl FnOnce(&[u8]) -> std::result::Result<Vec<u8>, E>,
) -> Result<std::result::Result<(), E>> {
    let mut tx = db.begin().await?;
    let text = format!(
        "SELECT body FROM log_blocks_{slice} WHERE shard = $1 AND position = $2{}",
        db.dialect().for_update()
    );
    let old: Option<(Vec<u8>,)> = sqlx::query_as(sqlx::AssertSqlSafe(text))
        .bind(shard)
        .bind(position)
        .fetch_optional(&mut *tx)
        .await?;
    let Some((old,)) = old else { return Ok(Ok(())) };
    let new = match without(&old) {
        Ok(new) => new,
        Err(error) => return Ok(Err(error)),
    };
    statement_text(format!(
        "UPDATE log_blocks_{slice} SET body = $3 WHERE shard = $1 AND position = $2"
    ))
    .bind(shard)
    .bind(position)
    .bind(new.as_slice())
    .execute(&mut *tx)
    .await?;
    for feed in feeds {
        statement_text(format!(
            "DELETE FROM log_index_{slice} WHERE shard = $1 AND position = $2 AND feed = $3"
        ))
        .bind(shard)
        .bind(position)
        .bind(*feed)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(Ok(()))
}
