//! What is followed: feeds, their subscriptions, their collections, and the channels that push.

use serde_json::Value;

use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{flag, json, record, select, statement, words};

words! {
    /// Whether an account is followed.
    pub enum FeedState {
        /// It is.
        Following = "following",
        /// It is not, until someone acts; `reason` says why.
        Stopped = "stopped",
    }
}

record! {
    /// The following of one account.
    pub struct Feed {
        /// Whose.
        pub account: i64,
        /// Which shard of the log it writes to.
        pub shard: i64,
        /// Whether it goes on.
        pub state: FeedState,
        /// Why it is stopped, or what is wrong with it, for people.
        pub reason: Option<String>,
        /// What polling has learnt.
        pub schedule: Option<Vec<u8>>,
        /// When the source was last read with success.
        pub synced: Option<i64>,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
    }
}

record! {
    /// What is watched in an account.
    pub struct Subscription {
        /// `sub_` and random characters.
        pub id: String,
        /// Whose.
        pub account: i64,
        /// Its number in the log: the account's id for the default one.
        pub feed: i64,
        /// Whether `/events` is its feed.
        pub is_default: bool,
        /// Inactive ones get no events.
        pub active: bool,
        /// Type and watched resources, a JSON object.
        pub settings: Value,
        /// The last sequence number given out.
        pub head: i64,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// When it was deleted: its sequence goes on when it is made again.
        pub deleted: Option<i64>,
    }
}

record! {
    /// A part of an account with a cursor of its own.
    pub struct Collection {
        /// Whose.
        pub account: i64,
        /// Its name; empty for the main one.
        pub id: String,
        /// The folder that it lies below.
        pub root: String,
        /// What that folder was called when it was first seen.
        pub name: Option<String>,
        /// Counts the complete listings.
        pub generation: i64,
        /// The service's cursor.
        pub cursor: Option<String>,
        /// The manifest of its blocks.
        pub manifest: Vec<u8>,
        /// What the core carries from step to step.
        pub progress: Vec<u8>,
        /// When it was last changed.
        pub modified: i64,
    }
}

record! {
    /// A channel through which a service pushes.
    pub struct Channel {
        /// Our id of it.
        pub id: String,
        /// Whose.
        pub account: i64,
        /// Of which collection.
        pub collection: String,
        /// `asked` before the service answered, `live`, `old` once a newer one is live.
        pub state: String,
        /// The service's id of it.
        pub native: Option<String>,
        /// What else the service needs to end it.
        pub resource: Option<String>,
        /// The hash of what the service shows in each push.
        pub token_hash: String,
        /// When it runs out.
        pub expires: Option<i64>,
        /// When it was made.
        pub created: i64,
    }
}

impl Feed {
    /// The following of an account, from now on.
    #[must_use]
    pub fn new(account: i64, now: i64) -> Self {
        Self {
            account,
            shard: crate::shards::of(account),
            state: FeedState::Following,
            reason: None,
            schedule: None,
            synced: None,
            created: now,
            modified: now,
        }
    }
}

impl Subscription {
    /// The default subscription of an account: all that it can see.
    #[must_use]
    pub fn first(id: String, account: i64, now: i64) -> Self {
        Self {
            id,
            account,
            feed: account,
            is_default: true,
            active: true,
            settings: Value::Object(serde_json::Map::new()),
            head: 0,
            created: now,
            modified: now,
            deleted: None,
        }
    }
}

/// The feeds of a shard whose accounts are there, by account.
pub async fn of_shard(db: &Db, shard: i64, after: i64, limit: i64) -> Result<Vec<Feed>> {
    let query = select(
        "FROM feeds WHERE shard = $1 AND account > $2 AND EXISTS (SELECT 1 FROM accounts \
         WHERE accounts.id = feeds.account AND accounts.deleted IS NULL) \
         ORDER BY account LIMIT $3",
    );
    Ok(query.bind(shard).bind(after).bind(limit).fetch_all(db.reader()).await?)
}

/// The feeds that were made, stopped or started since a moment, at most `limit`.
pub async fn changed_since(db: &Db, moment: i64, limit: i64) -> Result<Vec<Feed>> {
    let query = select("FROM feeds WHERE modified >= $1 ORDER BY modified, account LIMIT $2");
    Ok(query.bind(moment).bind(limit).fetch_all(db.reader()).await?)
}

/// The feed of an account.
pub async fn find(db: &Db, account: i64) -> Result<Option<Feed>> {
    Ok(select("FROM feeds WHERE account = $1").bind(account).fetch_optional(db.reader()).await?)
}

/// Writes whether a feed goes on, and why not.
pub async fn set_state(
    db: &Db,
    account: i64,
    state: FeedState,
    reason: Option<&str>,
    now: i64,
) -> Result<bool> {
    let done =
        statement("UPDATE feeds SET state = $2, reason = $3, modified = $4 WHERE account = $1")
            .bind(account)
            .bind(state.as_str())
            .bind(reason)
            .bind(now)
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes an account's feed and a subscription in one transaction. A subscription with the same feed that
/// was deleted comes back to life with its sequence. `false` when a living one is there.
pub async fn subscribe(db: &Db, feed: &Feed, row: &Subscription) -> Result<bool> {
    let mut tx = db.begin().await?;
    insert_in(&mut tx, feed).await?;
    let done = subscribe_in(&mut tx, row).await?;
    tx.commit().await?;
    Ok(done)
}

/// Makes a feed, or lets it go on.
pub(crate) async fn insert_in(tx: &mut Tx, feed: &Feed) -> Result<()> {
    statement(
        "INSERT INTO feeds (account, shard, state, reason, schedule, synced, created, modified) \
         VALUES ($1, $2, $3, NULL, NULL, NULL, $4, $4) \
         ON CONFLICT (account) DO UPDATE SET state = $3, reason = NULL, modified = $4",
    )
    .bind(feed.account)
    .bind(feed.shard)
    .bind(feed.state.as_str())
    .bind(feed.created)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes a subscription, living or as one that was never wanted, or brings it back to life.
pub(crate) async fn subscribe_in(tx: &mut Tx, row: &Subscription) -> Result<bool> {
    let done = statement(
        "INSERT INTO subscriptions (id, account, feed, is_default, active, settings, head, \
         created, modified, deleted) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7, $8) \
         ON CONFLICT (feed) DO UPDATE SET active = $5, settings = $6, modified = $7, \
         deleted = $8 WHERE subscriptions.deleted IS NOT NULL AND subscriptions.account = $2",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.feed)
    .bind(flag(row.is_default))
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(row.created)
    .bind(row.deleted)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The living subscriptions of an account, oldest first, the default one before all.
pub async fn subscriptions(db: &Db, account: i64) -> Result<Vec<Subscription>> {
    let query = select(
        "FROM subscriptions WHERE account = $1 AND deleted IS NULL \
         ORDER BY is_default DESC, created, id",
    );
    Ok(query.bind(account).fetch_all(db.reader()).await?)
}

/// One living subscription of an account.
pub async fn subscription(db: &Db, account: i64, id: &str) -> Result<Option<Subscription>> {
    let query = select("FROM subscriptions WHERE account = $1 AND id = $2 AND deleted IS NULL");
    Ok(query.bind(account).bind(id).fetch_optional(db.reader()).await?)
}

/// The highest feed number of subscriptions that are not default ones; `None` when there are none.
pub async fn highest_feed(db: &Db) -> Result<Option<i64>> {
    let (feed,): (Option<i64>,) =
        sqlx::query_as("SELECT MAX(feed) FROM subscriptions WHERE is_default = 0")
            .fetch_one(db.reader())
            .await?;
    Ok(feed)
}

/// Writes what may change of a subscription. The account's feed goes on while it has one that is active.
pub async fn update_subscription(db: &Db, row: &Subscription) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "UPDATE subscriptions SET active = $3, settings = $4, modified = $5 \
         WHERE account = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(row.account)
    .bind(row.id.as_str())
    .bind(flag(row.active))
    .bind(json(&row.settings))
    .bind(row.modified)
    .execute(&mut *tx)
    .await?;
    if row.active {
        resume_in(&mut tx, row.account, row.modified).await?;
    } else {
        stop_in(&mut tx, row.account, row.modified).await?;
    }
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a subscription. Its row stays, so that its sequence goes on when it is made again. With the last
/// active one the account's feed stops.
pub async fn unsubscribe(db: &Db, account: i64, id: &str, now: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = statement(
        "UPDATE subscriptions SET deleted = $3, modified = $3 \
         WHERE account = $1 AND id = $2 AND deleted IS NULL",
    )
    .bind(account)
    .bind(id)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    stop_in(&mut tx, account, now).await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Why a feed is stopped that nobody subscribes to.
pub const UNSUBSCRIBED: &str = "there is no active subscription";

async fn stop_in(tx: &mut Tx, account: i64, now: i64) -> Result<()> {
    statement(
        "UPDATE feeds SET state = 'stopped', reason = $2, modified = $3 WHERE account = $1 \
         AND state <> 'stopped' AND NOT EXISTS (SELECT 1 FROM subscriptions WHERE account = $1 \
         AND deleted IS NULL AND active = 1)",
    )
    .bind(account)
    .bind(UNSUBSCRIBED)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn resume_in(tx: &mut Tx, account: i64, now: i64) -> Result<()> {
    statement(
        "UPDATE feeds SET state = 'following', reason = NULL, modified = $3 WHERE account = $1 \
         AND state = 'stopped' AND reason = $2",
    )
    .bind(account)
    .bind(UNSUBSCRIBED)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The collections of an account.
pub async fn collections(db: &Db, account: i64) -> Result<Vec<Collection>> {
    let query = select("FROM collections WHERE account = $1 ORDER BY id");
    Ok(query.bind(account).fetch_all(db.reader()).await?)
}

/// One block of state.
pub async fn block(db: &Db, account: i64, collection: &str, id: &str) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = sqlx::query_as(
        "SELECT data FROM state_blocks WHERE account = $1 AND collection = $2 AND id = $3",
    )
    .bind(account)
    .bind(collection)
    .bind(id)
    .fetch_optional(db.reader())
    .await?;
    Ok(row.map(|(data,)| data))
}

/// The changes over a collection's blocks, in order, with their numbers.
pub async fn changes(db: &Db, account: i64, collection: &str) -> Result<Vec<(i64, Vec<u8>)>> {
    let rows = sqlx::query_as(
        "SELECT number, data FROM state_changes WHERE account = $1 AND collection = $2 \
         ORDER BY number",
    )
    .bind(account)
    .bind(collection)
    .fetch_all(db.reader())
    .await?;
    Ok(rows)
}

/// Notes a channel before the service is asked for it: its greeting may come before its answer.
pub async fn insert_channel(db: &Db, row: &Channel) -> Result<()> {
    statement(
        "INSERT INTO channels (id, account, collection, state, native, resource, token_hash, \
         expires, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.collection.as_str())
    .bind(row.state.as_str())
    .bind(row.native.as_deref())
    .bind(row.resource.as_deref())
    .bind(row.token_hash.as_str())
    .bind(row.expires)
    .bind(row.created)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Writes what became of a channel.
pub async fn update_channel(db: &Db, row: &Channel) -> Result<bool> {
    let done = statement(
        "UPDATE channels SET state = $2, native = $3, resource = $4, expires = $5 WHERE id = $1",
    )
    .bind(row.id.as_str())
    .bind(row.state.as_str())
    .bind(row.native.as_deref())
    .bind(row.resource.as_deref())
    .bind(row.expires)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The channel with this id.
pub async fn channel(db: &Db, id: &str) -> Result<Option<Channel>> {
    Ok(select("FROM channels WHERE id = $1").bind(id).fetch_optional(db.reader()).await?)
}

/// The living accounts of a user of a service, whatever application they are of; at most 1,000.
pub async fn accounts_of_user(db: &Db, service: &str, identity: &str) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = sqlx::query_as(
        "SELECT id FROM accounts WHERE service = $1 AND identity = $2 AND deleted IS NULL \
         ORDER BY id LIMIT 1000",
    )
    .bind(service)
    .bind(identity)
    .fetch_all(db.reader())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The channels of an account, oldest first.
pub async fn channels(db: &Db, account: i64) -> Result<Vec<Channel>> {
    let query = select("FROM channels WHERE account = $1 ORDER BY created, id");
    Ok(query.bind(account).fetch_all(db.reader()).await?)
}

/// Forgets a channel that was ended.
pub async fn delete_channel(db: &Db, id: &str) -> Result<bool> {
    let done =
        statement("DELETE FROM channels WHERE id = $1").bind(id).execute(db.writer()).await?;
    Ok(done.rows_affected() == 1)
}
