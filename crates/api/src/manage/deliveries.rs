//! The log of a webhook's deliveries, sending again, and trials (wire API, section 50.6).

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use tramontane_activity::delivery::Status;
use tramontane_feeds::deliver::{ReplayRequest, Wanted};
use tramontane_model::Timestamp;
use tramontane_store::deliveries;

use super::views;
use super::webhooks::{Registrar, numbers, told};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const STATUS: &str = "must be pending, retrying, delivered or failed";

pub(crate) async fn list(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    let query = &registrar.query;
    let status = match query.text("status") {
        None => None,
        Some(word) => Some(Status::parse(word).ok_or_else(|| Problem::invalid("status", STATUS))?),
    };
    let wanted = Wanted {
        status,
        account: query
            .number("account", 1, u64::from(u32::MAX))?
            .and_then(|id| i64::try_from(id).ok()),
        since: query.time("since")?.map(Timestamp::micros),
        until: query.time("until")?.map(Timestamp::micros),
    };
    let found = app.deliveries().list(&row.id, &wanted).await.map_err(told)?;
    registrar.all(&app, found.iter().map(|one| views::delivery(&of, &row, one))).await
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook, delivery)): Path<(String, String, String)>,
) -> Answer {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    let found = app.deliveries().find(&row, &delivery).await.map_err(told)?;
    let found = found.ok_or_else(|| Problem::not_found("delivery"))?;
    answer::ok(&views::delivery(&of, &row, &found))
}

/// Sends one again now, under the same id. The answer does not wait for it.
pub(crate) async fn replay(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook, delivery)): Path<(String, String, String)>,
) -> Answer {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    let found = app.deliveries().find(&row, &delivery).await.map_err(told)?;
    let found = found.ok_or_else(|| Problem::not_found("delivery"))?;
    let shown = views::delivery(&of, &row, &found);
    let sending = app.deliveries().clone();
    tokio::spawn(async move {
        match sending.replay(&row, found.key).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::info!(webhook = %row.id, "a delivery's events are not kept any more")
            }
            Err(error) => {
                tracing::warn!(webhook = %row.id, %error, "a delivery was not sent again")
            }
        }
    });
    answer::json(StatusCode::ACCEPTED, &shown)
}

/// Sends a range of time again, in the background.
pub(crate) async fn replay_range(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
    body: JsonBody,
) -> Answer {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    let now = app.now();
    let since = body.time("since")?.ok_or_else(|| Problem::invalid("since", "is required"))?;
    let until = body.time("until")?.unwrap_or(now);
    if since > until {
        return Err(Problem::invalid("since", "must not be after until"));
    }
    let status = match body.text("status")? {
        None => None,
        Some(word) => Some(Status::parse(&word).ok_or_else(|| Problem::invalid("status", STATUS))?),
    };
    let request = ReplayRequest {
        since: since.micros(),
        until: until.micros(),
        accounts: numbers(&body, "accounts")?.unwrap_or_default(),
        status,
    };
    let made = app.deliveries().ask_replay(&row, &request).await.map_err(told)?;
    answer::json(StatusCode::ACCEPTED, &views::replay(&of, &made))
}

pub(crate) async fn retrieve_replay(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook, replay)): Path<(String, String, String)>,
) -> Answer<Response> {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    let found = deliveries::replay(app.db(), &row.id, &replay).await?;
    answer::ok(&views::replay(&of, &found.ok_or_else(|| Problem::not_found("replay"))?))
}

/// Sends a trial and tells its outcome.
pub(crate) async fn test(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let (_, row) = registrar.webhook(&app, &id, &webhook).await?;
    let answered = app.deliveries().ping(&row).await.map_err(told)?;
    answer::ok(&views::trial(&answered))
}
