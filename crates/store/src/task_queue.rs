//! The queue side of tasks: whose turn it is, leases, and ending a task from outside.
//!
//! [`crate::tasks`] holds the rows; these statements pick among applications and move the fence.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{Record, json, select, statement};
use crate::tasks::{self, Ended, Task, TaskState};

/// A task that could be claimed: the oldest of its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The task.
    pub id: String,
    /// The application that its account belongs to.
    pub application: String,
    /// Since when it could have been claimed.
    pub run_after: i64,
    /// The fence that a claim must find.
    pub epoch: i64,
}

/// The task with this id, whoever owns it.
pub async fn find(db: &Db, id: &str) -> Result<Option<Task>> {
    let query = select("FROM tasks WHERE id = $1").bind(id);
    Ok(query.fetch_optional(db.reader()).await?)
}

/// The oldest task of each application that waits, or whose worker let its lease run out.
pub async fn waiting(db: &Db, now: i64) -> Result<Vec<Waiting>> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT id, application, run_after, epoch FROM (SELECT tasks.id AS id, \
         accounts.application AS application, tasks.run_after AS run_after, \
         tasks.epoch AS epoch, ROW_NUMBER() OVER (PARTITION BY accounts.application \
         ORDER BY tasks.run_after, tasks.id) AS place \
         FROM tasks JOIN accounts ON accounts.id = tasks.account \
         WHERE tasks.finished IS NULL AND tasks.run_after <= $1 \
         AND (tasks.leased_until IS NULL OR tasks.leased_until <= $1)) AS queue \
         WHERE place = 1 ORDER BY run_after, id LIMIT 1000",
    )
    .bind(now)
    .fetch_all(db.reader())
    .await?;
    let waiting = rows.into_iter().map(|(id, application, run_after, epoch)| Waiting {
        id,
        application,
        run_after,
        epoch,
    });
    Ok(waiting.collect())
}

/// Claims one task, if it still is as it was seen; gives it as it is now.
pub async fn claim(
    db: &Db,
    id: &str,
    epoch: i64,
    owner: &str,
    now: i64,
    leased_until: i64,
) -> Result<Option<Task>> {
    let text = format!(
        "UPDATE tasks SET state = 'STARTED', lease_owner = $3, leased_until = $5, \
         epoch = epoch + 1, attempts = attempts + 1, modified = $4 \
         WHERE id = $1 AND epoch = $2 AND finished IS NULL \
         AND (leased_until IS NULL OR leased_until <= $4) RETURNING {}",
        Task::COLUMNS
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(id).bind(epoch).bind(owner);
    Ok(query.bind(now).bind(leased_until).fetch_optional(db.writer()).await?)
}

/// Ends the leases of a worker that is back after a stop, so that its tasks need not wait for them.
pub async fn adopt(db: &Db, owner: &str, now: i64) -> Result<u64> {
    let done = statement(
        "UPDATE tasks SET leased_until = $2 \
         WHERE lease_owner = $1 AND finished IS NULL AND leased_until > $2",
    )
    .bind(owner)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}

/// Extends the lease of a claim and writes how far it is. `false`: the lease is lost.
pub async fn renew(
    db: &Db,
    id: &str,
    epoch: i64,
    leased_until: i64,
    progress: &Value,
    now: i64,
) -> Result<bool> {
    let done = statement(
        "UPDATE tasks SET leased_until = $3, progress = $4, modified = $5 \
         WHERE id = $1 AND epoch = $2 AND finished IS NULL",
    )
    .bind(id)
    .bind(epoch)
    .bind(leased_until)
    .bind(json(progress))
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an account's task at once and takes the lease away from whoever works on it, who finds out
/// with the next write. `false` when there is no such task, or it has ended.
pub async fn revoke(db: &Db, account: i64, id: &str, result: &Value, now: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let ended: Option<Ended> = sqlx::query_as(
        "UPDATE tasks SET state = 'REVOKED', result = $3, cancel_requested = $4, finished = $4, \
         modified = $4, epoch = epoch + 1, lease_owner = NULL, leased_until = NULL \
         WHERE account = $1 AND id = $2 AND finished IS NULL RETURNING account, operation",
    )
    .bind(account)
    .bind(id)
    .bind(json(result))
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let done = tasks::announce_in(&mut tx, ended, id, TaskState::Cancelled, now).await?;
    tx.commit().await?;
    Ok(done)
}
