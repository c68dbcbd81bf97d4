//! What a developer's applications used, by day (wire API, section 20.8).

use axum::extract::State;
use tramontane_model::Timestamp;
use tramontane_store::usage;

use super::{Manager, views};
use crate::problem::{Answer, Problem};
use crate::state::App;

const DEFAULT_DAYS: i64 = 30;
const MAX_DAYS: i64 = 400;
const DAY_SECONDS: i64 = 86_400;

pub(crate) async fn report(State(app): State<App>, manager: Manager) -> Answer {
    let query = &manager.query;
    let end = query.time("end")?.unwrap_or_else(|| app.now());
    let first = end.plus_seconds(-(DEFAULT_DAYS - 1) * DAY_SECONDS);
    let start = query.time("start")?.unwrap_or(first);
    if start > end {
        return Err(Problem::invalid("start", "must not be after end"));
    }
    if end.seconds() - start.seconds() > MAX_DAYS * DAY_SECONDS {
        return Err(Problem::invalid("start", "must be at most 400 days before end"));
    }
    let application = query.text("application");
    if let Some(id) = application {
        manager.application(&app, id).await?;
    }
    let rows =
        usage::report(app.db(), manager.developer, application, &day(start), &day(end)).await?;
    manager.all(&app, rows.iter().map(|row| views::usage_report(&manager.base, row))).await
}

fn day(moment: Timestamp) -> String {
    moment.to_string().chars().take(10).collect()
}
