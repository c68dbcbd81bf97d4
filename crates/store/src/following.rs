//! Who is followed and who waits: the default subscription that is made with an account, accounts without
//! one, further subscriptions, and how far feeds and shards go.

use crate::accounts::{self, Account};
use crate::announcements::{self, Announcement};
use crate::credentials::Credential;
use crate::db::Db;
use crate::error::Result;
use crate::feeds::{self, Feed, Subscription};
use crate::record::{flag, json, select, statement, statement_text};

/// The most ids of one query, so that no engine's limit of parameters is met.
const IDS: usize = 500;

/// Adds an account, its credential and its default subscription in one step, and announces it. Without a feed,
/// the subscription is one that was deleted (`deleted` is set): the account is not followed until someone asks.
///
/// # Errors
/// As [`accounts::insert`].
pub async fn insert_account(
    db: &Db,
    row: &Account,
    credential: &Credential,
    feed: Option<&Feed>,
    subscription: &Subscription,
) -> Result<()> {
    let mut tx = db.begin().await?;
    accounts::insert_in(&mut tx, row, credential).await?;
    if let Some(feed) = feed {
        feeds::insert_in(&mut tx, feed).await?;
        let said = Announcement::of_account(row.id, "account.connected", &row.display, row.created);
        announcements::announce_in(&mut tx, &said).await?;
    }
    feeds::subscribe_in(&mut tx, subscription).await?;
    Ok(tx.commit().await?)
}

/// Accounts after `after` that have no default subscription, not even a deleted one: made before there were
/// any. With whether their application has events.
pub async fn without(db: &Db, after: i64, limit: i64) -> Result<Vec<(i64, bool)>> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT accounts.id, applications.events_enabled FROM accounts \
         JOIN applications ON applications.id = accounts.application \
         WHERE accounts.deleted IS NULL AND accounts.id > $1 AND NOT EXISTS \
         (SELECT 1 FROM subscriptions WHERE subscriptions.feed = accounts.id) \
         ORDER BY accounts.id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    Ok(rows.into_iter().map(|(id, events)| (id, events != 0)).collect())
}

/// Makes the default subscriptions of accounts, each with its feed or without one; those that are there
/// stay as they are.
pub async fn follow(db: &Db, rows: &[(Option<Feed>, Subscription)]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    for (feed, row) in rows {
        let made = statement(
            "INSERT INTO subscriptions (id, account, feed, is_default, active, settings, head, \
             created, modified, deleted) VALUES ($1, $2, $3, 1, 1, $4, 0, $5, $5, $6) \
             ON CONFLICT (feed) DO NOTHING",
        )
        .bind(row.id.as_str())
        .bind(row.account)
        .bind(row.feed)
        .bind(json(&row.settings))
        .bind(row.created)
        .bind(row.deleted)
        .execute(&mut *tx)
        .await?;
        if let Some(feed) = feed.as_ref().filter(|_| made.rows_affected() == 1) {
            feeds::insert_in(&mut tx, feed).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// Adds a subscription that is no default one, and lets the account's feed go on. `false` when its feed
/// number is taken: draw another.
pub async fn insert(db: &Db, feed: &Feed, row: &Subscription) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "INSERT INTO subscriptions (id, account, feed, is_default, active, settings, head, \
         created, modified, deleted) VALUES ($1, $2, $3, 0, $4, $5, 0, $6, $6, NULL) \
         ON CONFLICT (feed) DO NOTHING",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.feed)
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(row.created)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if row.active {
        feeds::insert_in(&mut tx, feed).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The living subscription with this number in the log.
pub async fn by_feed(db: &Db, feed: i64) -> Result<Option<Subscription>> {
    let query = select("FROM subscriptions WHERE feed = $1 AND deleted IS NULL");
    Ok(query.bind(feed).fetch_optional(db.reader()).await?)
}

/// The last sequence numbers of these feeds, as far as they live.
pub async fn heads(db: &Db, wanted: &[i64]) -> Result<Vec<(i64, i64)>> {
    let mut found = Vec::with_capacity(wanted.len());
    for some in wanted.chunks(IDS) {
        let text = format!(
            "SELECT feed, head FROM subscriptions WHERE deleted IS NULL AND feed IN ({})",
            places(1, some.len())
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
        for feed in some {
            query = query.bind(*feed);
        }
        let rows: Vec<(i64, i64)> = query.fetch_all(db.reader()).await?;
        found.extend(rows);
    }
    Ok(found)
}

/// Which of these accounts are an application's, also those that were switched off or deleted, with their
/// services.
pub async fn of_application(db: &Db, application: &str, ids: &[i64]) -> Result<Vec<(i64, String)>> {
    let mut found = Vec::new();
    for some in ids.chunks(IDS) {
        let text = format!(
            "SELECT id, service FROM accounts WHERE application = $1 AND id IN ({})",
            places(2, some.len())
        );
        let mut query = statement_text(text).bind(application);
        for id in some {
            query = query.bind(*id);
        }
        for row in query.fetch_all(db.reader()).await? {
            found.push((sqlx::Row::try_get(&row, 0)?, sqlx::Row::try_get(&row, 1)?));
        }
    }
    Ok(found)
}

/// How far a shard goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardExtent {
    /// The shard.
    pub shard: i64,
    /// The first position that is kept; above `head` when nothing is.
    pub first: i64,
    /// The last position given out.
    pub head: i64,
}

/// How far the shards go, by number.
pub async fn shard_extents(db: &Db) -> Result<Vec<ShardExtent>> {
    let rows: Vec<(i64, i64, Option<i64>)> = sqlx::query_as(
        "SELECT id, head, (SELECT MIN(position) FROM log_shards WHERE shard = shards.id) \
         FROM shards ORDER BY id",
    )
    .fetch_all(db.reader())
    .await?;
    let extent = |(shard, head, first): (i64, i64, Option<i64>)| ShardExtent {
        shard,
        head,
        first: first.unwrap_or(head + 1),
    };
    Ok(rows.into_iter().map(extent).collect())
}

/// `$from, $from+1, ...`.
fn places(from: usize, count: usize) -> String {
    let each: Vec<String> = (from..from + count).map(|number| format!("${number}")).collect();
    each.join(", ")
}
