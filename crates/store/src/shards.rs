//! Shards of the activity log: who may write one, under which epoch.

use crate::db::Db;
use crate::error::Result;
use crate::record::{record, select, statement};

/// How many shards there are. One process may own all of them, or 64 processes one each. It never
/// changes: an account stays in its shard.
pub const SHARDS: i64 = 64;

/// The shard of an account.
#[must_use]
pub fn of(account: i64) -> i64 {
    // Account ids are drawn at random, so their remainder spreads them evenly.
    account.rem_euclid(SHARDS)
}

record! {
    /// One shard of the log.
    pub struct Shard {
        /// From 0.
        pub id: i64,
        /// Counts the leases: the fence.
        pub epoch: i64,
        /// Who holds it.
        pub owner: Option<String>,
        /// Until when.
        pub leased_until: i64,
        /// The last position given out.
        pub head: i64,
        /// The slice of the log that was written last.
        pub slice: i64,
    }
}

/// Makes the rows of `count` shards where they are missing.
pub async fn ensure(db: &Db, count: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    for id in 0..count {
        statement(
            "INSERT INTO shards (id, epoch, owner, leased_until, head, slice) \
             VALUES ($1, 0, NULL, 0, 0, 0) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .execute(&mut *tx)
        .await?;
    }
    Ok(tx.commit().await?)
}

/// All shards.
pub async fn list(db: &Db) -> Result<Vec<Shard>> {
    Ok(select("FROM shards ORDER BY id").fetch_all(db.reader()).await?)
}

/// Takes a shard that nobody holds, or whose holder let its lease run out; gives it with its new epoch.
pub async fn take(
    db: &Db,
    id: i64,
    owner: &str,
    now: i64,
    leased_until: i64,
) -> Result<Option<Shard>> {
    let text = "UPDATE shards SET epoch = epoch + 1, owner = $2, leased_until = $4 \
                WHERE id = $1 AND leased_until < $3 \
                RETURNING id, epoch, owner, leased_until, head, slice";
    let query = sqlx::query_as(text).bind(id).bind(owner).bind(now).bind(leased_until);
    Ok(query.fetch_optional(db.writer()).await?)
}

/// Extends the leases that `owner` holds under these epochs. Gives the shards that are still held.
pub async fn renew(
    db: &Db,
    owner: &str,
    held: &[(i64, i64)],
    leased_until: i64,
) -> Result<Vec<i64>> {
    let mut tx = db.begin().await?;
    let mut still = Vec::with_capacity(held.len());
    for (id, epoch) in held {
        let done = statement(
            "UPDATE shards SET leased_until = $4 WHERE id = $1 AND epoch = $2 AND owner = $3",
        )
        .bind(id)
        .bind(epoch)
        .bind(owner)
        .bind(leased_until)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 1 {
            still.push(*id);
        }
    }
    tx.commit().await?;
    Ok(still)
}

/// Gives a shard back. Under another epoch nothing happens.
pub async fn release(db: &Db, id: i64, epoch: i64) -> Result<bool> {
    let done =
        statement("UPDATE shards SET owner = NULL, leased_until = 0 WHERE id = $1 AND epoch = $2")
            .bind(id)
            .bind(epoch)
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}
