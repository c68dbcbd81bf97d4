//! Developers: each sees and names themselves (wire API, section 20.1).

use axum::extract::{Path, State};
use tramontane_accounts::Developer;
use tramontane_store::developers;

use super::{Manager, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const MAX_NAME_CHARS: usize = 200;

async fn own(app: &App, manager: &Manager) -> Answer<Developer> {
    let row = developers::find(app.directory().db(), manager.developer).await?;
    row.ok_or_else(|| Problem::not_found("developer"))
}

async fn named(app: &App, manager: &Manager, id: &str) -> Answer<Developer> {
    let row = own(app, manager).await?;
    if id == "me" || id == row.id.to_string() {
        Ok(row)
    } else {
        Err(Problem::not_found("developer"))
    }
}

pub(crate) async fn list(State(app): State<App>, manager: Manager) -> Answer {
    let row = own(&app, &manager).await?;
    manager.all(&app, [views::developer(&manager.base, &row)]).await
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let row = named(&app, &manager, &id).await?;
    answer::ok(&views::developer(&manager.base, &row))
}

pub(crate) async fn update(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let row = named(&app, &manager, &id).await?;
    let first = name(&body, "first_name")?.unwrap_or_else(|| row.first_name.clone());
    let last = name(&body, "last_name")?.unwrap_or_else(|| row.last_name.clone());
    let changed = first != row.first_name || last != row.last_name;
    if changed {
        let now = app.now().micros();
        developers::rename(app.directory().db(), row.id, &first, &last, now).await?;
    }
    answer::ok(&views::developer(&manager.base, &own(&app, &manager).await?))
}

fn name(body: &JsonBody, member: &str) -> Answer<Option<String>> {
    let text = body.text(member)?;
    let long = |text: &String| text.chars().count() > MAX_NAME_CHARS || text.contains('\0');
    if text.as_ref().is_some_and(long) {
        return Err(Problem::invalid(member, "must have at most 200 characters"));
    }
    Ok(text)
}
