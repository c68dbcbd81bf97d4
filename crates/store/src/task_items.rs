//! The outcome of each item of folder work.

use serde_json::Value;

use crate::db::Db;
use crate::error::Result;
use crate::record::{Slice, json, record, select, statement};

record! {
    /// One item of a task.
    pub struct TaskItem {
        /// The task.
        pub task: String,
        /// What the item is, unique in its task (a path or an id).
        pub item: String,
        /// Its place in the order of work.
        pub number: i64,
        /// `done`, `failed`, `skipped`.
        pub status: String,
        /// The object, or the error body.
        pub detail: Value,
        /// When it was written.
        pub modified: i64,
    }
}

/// Writes outcomes under a claim of the task; an item written again is replaced. `false`, and nothing
/// written, when the claim was lost.
pub async fn put(db: &Db, task: &str, epoch: i64, items: &[TaskItem]) -> Result<bool> {
    let mut tx = db.begin().await?;
    let held: Option<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT epoch FROM tasks WHERE id = $1 AND epoch = $2 AND finished IS NULL{}",
        db.dialect().for_update()
    )))
    .bind(task)
    .bind(epoch)
    .fetch_optional(&mut *tx)
    .await?;
    if held.is_none() {
        return Ok(false);
    }
    for row in items {
        statement(
            "INSERT INTO task_items (task, item, number, status, detail, modified) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (task, item) DO UPDATE SET \
             number = excluded.number, status = excluded.status, detail = excluded.detail, \
             modified = excluded.modified",
        )
        .bind(task)
        .bind(row.item.as_str())
        .bind(row.number)
        .bind(row.status.as_str())
        .bind(json(&row.detail))
        .bind(row.modified)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The item of a task, if its outcome is known: work that is run again skips what is done.
pub async fn find(db: &Db, task: &str, item: &str) -> Result<Option<TaskItem>> {
    let query = select("FROM task_items WHERE task = $1 AND item = $2");
    Ok(query.bind(task).bind(item).fetch_optional(db.reader()).await?)
}

/// The outcomes of an account's task, in the order of work.
pub async fn list(
    db: &Db,
    account: i64,
    task: &str,
    status: Option<&str>,
    slice: Slice,
) -> Result<Vec<TaskItem>> {
    let query = select(
        "FROM task_items WHERE task = $2 AND ($3 IS NULL OR status = $3) \
         AND task IN (SELECT id FROM tasks WHERE account = $1) \
         ORDER BY number, item LIMIT $4 OFFSET $5",
    );
    let query = query.bind(account).bind(task).bind(status);
    Ok(query.bind(slice.limit).bind(slice.offset).fetch_all(db.reader()).await?)
}

/// How many rows [`list`] would give in all.
pub async fn count(db: &Db, account: i64, task: &str, status: Option<&str>) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM task_items WHERE task = $2 AND ($3 IS NULL OR status = $3) \
         AND task IN (SELECT id FROM tasks WHERE account = $1)",
    )
    .bind(account)
    .bind(task)
    .bind(status)
    .fetch_one(db.reader())
    .await?;
    Ok(count)
}
