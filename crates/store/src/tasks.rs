//! Tasks: work that goes on after its request was answered, and survives restarts.
//!
//! A worker claims a task under a lease. Each claim counts the task's epoch up, and every write names
//! the epoch, so a worker that lost its lease can write nothing.

use serde_json::Value;

use crate::announcements::{self, Announcement};
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::record::{Slice, json, record, select, select_text, statement, words};

words! {
    /// Where a task stands.
    pub enum TaskState {
        /// Waits for a worker.
        Pending = "PENDING",
        /// A worker has it.
        Started = "STARTED",
        /// Done; `result` holds the answer.
        Done = "SUCCESS",
        /// Failed; `result` holds the error.
        Failed = "FAILURE",
        /// Ended by its owner.
        Cancelled = "REVOKED",
    }
}

record! {
    /// One task.
    pub struct Task {
        /// `tsk_` and random characters.
        pub id: String,
        /// Whose it is.
        pub account: i64,
        /// What it does (`copy`).
        pub operation: String,
        /// Where it stands.
        pub state: TaskState,
        /// Everything it needs to run, a JSON object.
        pub payload: Value,
        /// How far it is, a JSON object that the worker writes.
        pub progress: Value,
        /// The answer or the error.
        pub result: Option<Value>,
        /// Not before this moment.
        pub run_after: i64,
        /// Who has it.
        pub lease_owner: Option<String>,
        /// Until when.
        pub leased_until: Option<i64>,
        /// Counts the claims: the fence.
        pub epoch: i64,
        /// Counts the claims that were not given back in order.
        pub attempts: i64,
        /// When its owner asked to end it.
        pub cancel_requested: Option<i64>,
        /// When it was made.
        pub created: i64,
        /// When it was last changed.
        pub modified: i64,
        /// When it ended.
        pub finished: Option<i64>,
    }
}

/// What a worker learns when it renews its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Go on.
    Held,
    /// Go no further: the owner asked to end the task. The lease is held.
    Cancelling,
    /// Another worker has it, or the task is gone: stop at once.
    Lost,
}

/// Adds a task.
pub async fn insert(db: &Db, row: &Task) -> Result<()> {
    statement(
        "INSERT INTO tasks (id, account, operation, state, payload, progress, result, run_after, \
         lease_owner, leased_until, epoch, attempts, cancel_requested, created, modified, \
         finished) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(row.id.as_str())
    .bind(row.account)
    .bind(row.operation.as_str())
    .bind(row.state.as_str())
    .bind(json(&row.payload))
    .bind(json(&row.progress))
    .bind(row.result.as_ref().map(json))
    .bind(row.run_after)
    .bind(row.lease_owner.as_deref())
    .bind(row.leased_until)
    .bind(row.epoch)
    .bind(row.attempts)
    .bind(row.cancel_requested)
    .bind(row.created)
    .bind(row.modified)
    .bind(row.finished)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// An account's task.
pub async fn find(db: &Db, account: i64, id: &str) -> Result<Option<Task>> {
    let query = select("FROM tasks WHERE account = $1 AND id = $2");
    Ok(query.bind(account).bind(id).fetch_optional(db.reader()).await?)
}

/// An account's tasks that have not ended before `finished_after`, newest first.
pub async fn list(
    db: &Db,
    account: i64,
    state: Option<TaskState>,
    finished_after: i64,
    slice: Slice,
) -> Result<Vec<Task>> {
    let query = select(
        "FROM tasks WHERE account = $1 AND ($2 IS NULL OR state = $2) \
         AND (finished IS NULL OR finished > $3) ORDER BY created DESC, id LIMIT $4 OFFSET $5",
    );
    let query = query.bind(account).bind(state.map(TaskState::as_str)).bind(finished_after);
    Ok(query.bind(slice.limit).bind(slice.offset).fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(
    db: &Db,
    account: i64,
    state: Option<TaskState>,
    finished_after: i64,
) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM tasks WHERE account = $1 AND ($2 IS NULL OR state = $2) \
         AND (finished IS NULL OR finished > $3)",
    )
    .bind(account)
    .bind(state.map(TaskState::as_str))
    .bind(finished_after)
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}

/// Claims the task that has been due longest: one that waits, or whose worker let its lease run out.
pub async fn claim(db: &Db, owner: &str, now: i64, leased_until: i64) -> Result<Option<Task>> {
    let due = format!(
        "UPDATE tasks SET state = 'STARTED', lease_owner = $1, leased_until = $3, \
         epoch = epoch + 1, attempts = attempts + 1, modified = $2 WHERE id = \
         (SELECT id FROM tasks WHERE finished IS NULL AND run_after <= $2 \
         AND (leased_until IS NULL OR leased_until < $2) ORDER BY run_after, id LIMIT 1{}) \
         RETURNING {}",
        db.dialect().skip_locked(),
        <Task as crate::record::Record>::COLUMNS,
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(due));
    Ok(query.bind(owner).bind(now).bind(leased_until).fetch_optional(db.writer()).await?)
}

/// Extends the lease of a claim.
pub async fn renew(db: &Db, id: &str, epoch: i64, leased_until: i64) -> Result<Lease> {
    let row: Option<(Option<i64>,)> = sqlx::query_as(
        "UPDATE tasks SET leased_until = $3 WHERE id = $1 AND epoch = $2 AND finished IS NULL \
         RETURNING cancel_requested",
    )
    .bind(id)
    .bind(epoch)
    .bind(leased_until)
    .fetch_optional(db.writer())
    .await?;
    Ok(match row {
        None => Lease::Lost,
        Some((None,)) => Lease::Held,
        Some((Some(_),)) => Lease::Cancelling,
    })
}

/// Writes how far a claimed task is.
pub async fn set_progress(
    db: &Db,
    id: &str,
    epoch: i64,
    progress: &Value,
    now: i64,
) -> Result<bool> {
    let done = statement(
        "UPDATE tasks SET progress = $3, modified = $4 \
         WHERE id = $1 AND epoch = $2 AND finished IS NULL",
    )
    .bind(id)
    .bind(epoch)
    .bind(json(progress))
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a claimed task, and announces it. Ending it twice under the same claim changes nothing and is `false`.
pub async fn finish(
    db: &Db,
    id: &str,
    epoch: i64,
    state: TaskState,
    result: Option<&Value>,
    now: i64,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let ended: Option<Ended> = sqlx::query_as(
        "UPDATE tasks SET state = $3, result = $4, finished = $5, modified = $5, \
         lease_owner = NULL, leased_until = NULL \
         WHERE id = $1 AND epoch = $2 AND finished IS NULL RETURNING account, operation",
    )
    .bind(id)
    .bind(epoch)
    .bind(state.as_str())
    .bind(result.map(json))
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let done = announce_in(&mut tx, ended, id, state, now).await?;
    tx.commit().await?;
    Ok(done)
}

/// The account and the operation of a task that ended.
pub(crate) type Ended = (i64, String);

/// Announces the end of a task, if it ended.
pub(crate) async fn announce_in(
    tx: &mut Tx,
    ended: Option<Ended>,
    id: &str,
    state: TaskState,
    now: i64,
) -> Result<bool> {
    let Some((account, operation)) = ended else { return Ok(false) };
    let kind = if state == TaskState::Done { "task.completed" } else { "task.failed" };
    let said = Announcement {
        account,
        at: now,
        kind: kind.to_owned(),
        subject: id.to_owned(),
        name: operation,
        details: serde_json::json!({"state": state.as_str()}),
    };
    announcements::announce_in(tx, &said).await?;
    Ok(true)
}

/// Gives a claimed task back, to be claimed again from `run_after` on. With `in_order` (a drain, not a
/// failure) the claim does not count as an attempt.
pub async fn release(
    db: &Db,
    id: &str,
    epoch: i64,
    run_after: i64,
    in_order: bool,
    now: i64,
) -> Result<bool> {
    let done = statement(
        "UPDATE tasks SET state = 'PENDING', lease_owner = NULL, leased_until = NULL, \
         run_after = $3, modified = $4, attempts = attempts - $5 \
         WHERE id = $1 AND epoch = $2 AND finished IS NULL",
    )
    .bind(id)
    .bind(epoch)
    .bind(run_after)
    .bind(now)
    .bind(i64::from(in_order))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Asks to end an account's task. One that waits ends at once, one that runs when its worker looks.
/// `false` when there is no such task, or it has ended.
pub async fn cancel(db: &Db, account: i64, id: &str, now: i64) -> Result<bool> {
    let done = statement(
        "UPDATE tasks SET cancel_requested = $3, modified = $3, \
         finished = CASE WHEN state = 'PENDING' THEN $3 ELSE NULL END, \
         state = CASE WHEN state = 'PENDING' THEN 'REVOKED' ELSE state END \
         WHERE account = $1 AND id = $2 AND finished IS NULL",
    )
    .bind(account)
    .bind(id)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// When the next task is due; `None` when none waits.
pub async fn next_due(db: &Db) -> Result<Option<i64>> {
    let (due,): (Option<i64>,) = sqlx::query_as(
        "SELECT MIN(CASE WHEN leased_until IS NULL THEN run_after ELSE leased_until END) \
         FROM tasks WHERE finished IS NULL",
    )
    .fetch_one(db.reader())
    .await?;
    Ok(due)
}

/// Deletes up to `limit` tasks that ended before `before`, with their items; gives how many.
pub async fn prune(db: &Db, before: i64, limit: i64) -> Result<u64> {
    let mut tx = db.begin().await?;
    let tail = format!(
        "FROM tasks WHERE finished < $1 ORDER BY finished LIMIT $2{}",
        db.dialect().skip_locked()
    );
    let ended: Vec<Task> = select_text(&tail).bind(before).bind(limit).fetch_all(&mut *tx).await?;
    for task in &ended {
        for text in ["DELETE FROM task_items WHERE task = $1", "DELETE FROM tasks WHERE id = $1"] {
            statement(text).bind(task.id.as_str()).execute(&mut *tx).await?;
        }
    }
    tx.commit().await?;
    Ok(ended.len() as u64)
}
