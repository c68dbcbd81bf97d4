//! Tasks of an account: show, list, cancel, outcomes of items (wire API, sections 14 and 54).

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tramontane_model::Code;
use tramontane_tasks::{Item, ItemStatus, Outcome, State, Task};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// A task that has not ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskObject {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    account: i64,
    state: &'static str,
    status: &'static str,
    created: String,
    modified: String,
    info: Info,
}

/// How far a task is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Info {
    operation: String,
    items_total: Option<u64>,
    items_done: u64,
    bytes_total: Option<u64>,
    bytes_done: u64,
    time_remaining: Option<u64>,
}

/// The outcome of one item.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemObject {
    item: String,
    name: String,
    r#type: &'static str,
    api: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

/// A task as the wire shows it.
pub(crate) fn view(account: &Account, task: &Task) -> TaskObject {
    TaskObject {
        id: task.id.clone(),
        r#type: "task",
        api: "core",
        href: account.href(&format!("/tasks/{}", task.id)),
        account: task.account.number(),
        state: task.state.as_str(),
        status: task.state.as_str(),
        created: task.created.to_string(),
        modified: task.modified.to_string(),
        info: Info {
            operation: task.operation.clone(),
            items_total: task.counts.items_total,
            items_done: task.counts.items_done,
            bytes_total: task.counts.bytes_total,
            bytes_done: task.counts.bytes_done,
            time_remaining: task.counts.time_remaining,
        },
    }
}

async fn find(account: &Account) -> Answer<Task> {
    let task = account.app().tasks().get(account.id(), account.param("task")).await?;
    task.ok_or_else(|| Problem::not_found("task"))
}

/// `GET .../tasks/{task}`: the task while it is pending; then what it gave, with its own status.
pub(crate) async fn retrieve(account: Account) -> Answer {
    let task = find(&account).await?;
    match &task.outcome {
        Some(outcome) if !task.state.is_pending() => replay(outcome),
        _ => answer::ok(&view(&account, &task)),
    }
}

/// The stored answer of work that has ended. Good answers are `200`, or `204` without a body.
pub(crate) fn replay(outcome: &Outcome) -> Answer<Response> {
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Some(body) = &outcome.body else {
        if outcome.is_success() {
            return Ok(answer::empty());
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        return Ok(response);
    };
    if outcome.is_success() {
        return answer::ok(body);
    }
    answer::json(status, body)
}

/// `GET .../tasks`.
pub(crate) async fn list(account: Account, query: Query) -> Answer {
    let state = match query.text("state") {
        None => None,
        Some(word) => Some(State::parse(word).ok_or_else(|| {
            let words = State::ALL.map(State::as_str).join(", ");
            Problem::invalid("state", format!("must be one of {words}"))
        })?),
    };
    let app = account.app();
    let context = format!("tasks {} {state:?}", account.id());
    let page = NumberPage::read(app, &query, context).await?;
    let (total, tasks) = app.tasks().list(account.id(), state, page.slice()).await?;
    let objects = tasks.iter().map(|task| serde_json::to_value(view(&account, task)));
    let objects = objects.collect::<Result<_, _>>().map_err(Problem::internal)?;
    answer::ok(&page.answer("core", total as u64, objects)?)
}

/// `DELETE .../tasks/{task}`: ends it; what is done stays done.
pub(crate) async fn cancel(account: Account) -> Answer {
    let task = find(&account).await?;
    let text = "The task was cancelled. What it had done stays done.";
    let body = Problem::new(Code::RequestFailed, text).body(&account.call.request_id);
    let outcome = Outcome { status: Code::RequestFailed.status(), body: Some(body) };
    if account.app().tasks().cancel(account.id(), &task.id, &outcome).await? {
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("task"))
    }
}

/// `GET .../tasks/{task}/items`.
pub(crate) async fn items(account: Account, query: Query) -> Answer {
    let task = find(&account).await?;
    let status = match query.text("status") {
        None => None,
        Some(word) => Some(
            ItemStatus::parse(word)
                .ok_or_else(|| Problem::invalid("status", "must be done, skipped or failed"))?,
        ),
    };
    let app = account.app();
    let context = format!("items {} {status:?}", task.id);
    let page = NumberPage::read(app, &query, context).await?;
    let (total, items) = app.tasks().items(account.id(), &task.id, status, page.slice()).await?;
    let objects = items.into_iter().map(|item| serde_json::to_value(item_view(item)));
    let objects = objects.collect::<Result<_, _>>().map_err(Problem::internal)?;
    answer::ok(&page.answer("core", total as u64, objects)?)
}

fn item_view(item: Item) -> ItemObject {
    ItemObject {
        item: item.key,
        name: item.name,
        r#type: "task_item",
        api: "core",
        status: item.status.as_str(),
        id: item.id,
        error: item.error,
    }
}

impl From<tramontane_tasks::Error> for Problem {
    fn from(error: tramontane_tasks::Error) -> Self {
        match error {
            tramontane_tasks::Error::Draining => {
                let text = "The server is going down and takes no tasks now; try again.";
                let wait = std::time::Duration::from_secs(5);
                Self::new(Code::ServiceNotAvailable, text).retry_after(wait)
            }
            error => Self::internal(format!("tasks: {error}")),
        }
    }
}

/// The members that a pending task has, for `202`.
pub(crate) fn accepted(account: &Account, task: &Task) -> Answer {
    answer::json(StatusCode::ACCEPTED, &json!(view(account, task)))
}
