//! Between tasks and their rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_model::{AccountId, Clock, Timestamp};
use tramontane_store::task_items::{self, TaskItem};
use tramontane_store::tasks::{self as table, TaskState};
use tramontane_store::{Db, Slice, task_queue};

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::progress::Counts;
use crate::task::{Item, ItemStatus, Outcome, State, Task};
use crate::tasks::Settings;
use crate::work::Work;

pub(crate) use tramontane_store::task_queue::Waiting;

/// What a claim holds: every write names both.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) epoch: i64,
}

/// What the progress column holds.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<Value>,
    /// The number that the next item gets. Numbers order items; gaps after a crash are fine.
    #[serde(default)]
    pub(crate) items: u64,
}

impl Stored {
    pub(crate) fn value(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|_| Error::Unreadable("progress"))
    }
}

pub(crate) async fn insert(
    db: &Db,
    id: String,
    account: AccountId,
    operation: &Operation,
    now: Timestamp,
) -> Result<Task> {
    let row = table::Task {
        id,
        account: account.number(),
        operation: operation.kind.as_str().to_owned(),
        state: TaskState::Pending,
        payload: serde_json::to_value(operation).map_err(|_| Error::Unreadable("operation"))?,
        progress: Stored::default().value()?,
        result: None,
        run_after: now.micros(),
        lease_owner: None,
        leased_until: None,
        epoch: 0,
        attempts: 0,
        cancel_requested: None,
        created: now.micros(),
        modified: now.micros(),
        finished: None,
    };
    table::insert(db, &row).await?;
    read(row)
}

/// The task that a row holds.
pub(crate) fn read(row: table::Task) -> Result<Task> {
    let stored: Stored = serde_json::from_value(row.progress).unwrap_or_default();
    Ok(Task {
        id: row.id,
        account: AccountId::new(row.account).ok_or(Error::Unreadable("account"))?,
        operation: row.operation,
        state: match row.state {
            TaskState::Pending => State::Pending,
            TaskState::Started => State::Started,
            TaskState::Done => State::Succeeded,
            TaskState::Failed => State::Failed,
            TaskState::Cancelled => State::Cancelled,
        },
        counts: stored.counts,
        created: Timestamp::from_micros(row.created),
        modified: Timestamp::from_micros(row.modified),
        finished: row.finished.map(Timestamp::from_micros),
        outcome: row.result.map(|value| {
            let status = value.get("status").and_then(Value::as_u64).unwrap_or(500);
            Outcome {
                status: u16::try_from(status).unwrap_or(500),
                body: value.get("body").filter(|body| !body.is_null()).cloned(),
            }
        }),
    })
}

pub(crate) fn outcome_value(outcome: &Outcome) -> Value {
    json!({"status": outcome.status, "body": outcome.body})
}

/// Takes the lease of a task that was seen waiting. `None`: another process was quicker.
pub(crate) async fn claim(
    db: &Db,
    clock: &Arc<dyn Clock>,
    next: &Waiting,
    settings: &Settings,
) -> Result<Option<Work>> {
    let now = clock.now();
    let until = settings.leased_until(now);
    let node = settings.node.as_str();
    let row = task_queue::claim(db, &next.id, next.epoch, node, now.micros(), until).await?;
    let Some(row) = row else { return Ok(None) };
    let stored: Stored = serde_json::from_value(row.progress).unwrap_or_default();
    let held = Held { id: row.id, epoch: row.epoch };
    let operation: Operation = match serde_json::from_value(row.payload) {
        Ok(operation) => operation,
        Err(_) => {
            // Nobody will ever be able to read it: it must not come round for ever.
            let body = json!({
                "status_code": 500, "error_code": "internal_error",
                "message": "What the task was to do cannot be read any more.", "id": held.id,
            });
            let outcome = Outcome { status: 500, body: Some(body) };
            finish(db, &held, &outcome, &stored, now).await?;
            return Ok(None);
        }
    };
    Ok(Some(Work::new(
        held,
        AccountId::new(row.account).ok_or(Error::Unreadable("account"))?,
        next.application.clone(),
        row.attempts,
        operation,
        stored,
        until,
        db.clone(),
        Arc::clone(clock),
    )))
}

pub(crate) async fn add_items(
    db: &Db,
    held: &Held,
    items: &[Item],
    now: Timestamp,
) -> Result<bool> {
    let rows: Vec<TaskItem> = items
        .iter()
        .map(|item| TaskItem {
            task: held.id.clone(),
            item: item.key.clone(),
            number: i64::try_from(item.number).unwrap_or(i64::MAX),
            status: item.status.as_str().to_owned(),
            detail: json!({"name": item.name, "id": item.id, "error": item.error}),
            modified: now.micros(),
        })
        .collect();
    Ok(task_items::put(db, &held.id, held.epoch, &rows).await?)
}

pub(crate) fn read_item(row: TaskItem) -> Item {
    let text = |name: &str| row.detail.get(name).and_then(Value::as_str).map(str::to_owned);
    Item {
        number: u64::try_from(row.number).unwrap_or(0),
        status: ItemStatus::parse(&row.status).unwrap_or(ItemStatus::Failed),
        id: text("id"),
        error: row.detail.get("error").filter(|error| !error.is_null()).cloned(),
        name: text("name").unwrap_or_default(),
        key: row.item,
    }
}

pub(crate) async fn list_items(
    db: &Db,
    account: AccountId,
    id: &str,
    status: Option<ItemStatus>,
    slice: Slice,
) -> Result<(usize, Vec<Item>)> {
    let status = status.map(ItemStatus::as_str);
    let total = task_items::count(db, account.number(), id, status).await?;
    let rows = task_items::list(db, account.number(), id, status, slice).await?;
    Ok((usize::try_from(total).unwrap_or(0), rows.into_iter().map(read_item).collect()))
}

/// Writes down how a task ended. `false`: it is no longer ours.
pub(crate) async fn finish(
    db: &Db,
    held: &Held,
    outcome: &Outcome,
    stored: &Stored,
    now: Timestamp,
) -> Result<bool> {
    let now = now.micros();
    if !table::set_progress(db, &held.id, held.epoch, &stored.value()?, now).await? {
        return Ok(false);
    }
    let state = if outcome.is_success() { TaskState::Done } else { TaskState::Failed };
    let result = outcome_value(outcome);
    Ok(table::finish(db, &held.id, held.epoch, state, Some(&result), now).await?)
}
