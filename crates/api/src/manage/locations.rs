//! Upload locations: folders that browsers without a token may drop files into (wire API, section 20.7).

use axum::extract::{Path, State};
use tramontane_model::{AccountId, Kind, ResourceId};
use tramontane_store::locations::{self, Location};
use tramontane_vault::random_id;

use super::{Manager, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

pub(crate) async fn list(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let rows = locations::list(app.db(), &id).await?;
    manager.all(&app, rows.iter().map(|row| views::location(&of, row))).await
}

pub(crate) async fn create(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let account = account(&body)?.ok_or_else(|| Problem::invalid("account", "is required"))?;
    let folder_id = match body.text("folder_id")? {
        Some(text) => folder(&text)?,
        None => return Err(Problem::invalid("folder_id", "is required")),
    };
    let now = app.now().micros();
    let mut row = Location {
        id: format!("upl_{}", random_id(app.entropy(), 12)),
        application: id,
        account: account.number(),
        folder_id,
        allow_subfolders: false,
        is_default: false,
        max_file_size: None,
        require_trusted_origin: false,
        created: now,
        modified: now,
    };
    change(&mut row, &body)?;
    let row = locations::insert(app.db(), &row).await?.ok_or_else(foreign)?;
    answer::made(true, &views::location(&of, &row))
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    manager: Manager,
    Path((id, location)): Path<(String, String)>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    answer::ok(&views::location(&of, &find(&app, &id, &location).await?))
}

pub(crate) async fn update(
    State(app): State<App>,
    manager: Manager,
    Path((id, location)): Path<(String, String)>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let before = find(&app, &id, &location).await?;
    let mut row = before.clone();
    if let Some(account) = account(&body)? {
        row.account = account.number();
    }
    if let Some(text) = body.text("folder_id")? {
        row.folder_id = folder(&text)?;
    }
    change(&mut row, &body)?;
    if row != before {
        row.modified = app.now().micros();
        if !locations::update(app.db(), &row).await? {
            return Err(foreign());
        }
    }
    answer::ok(&views::location(&of, &find(&app, &id, &location).await?))
}

pub(crate) async fn delete(
    State(app): State<App>,
    manager: Manager,
    Path((id, location)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    let now = app.now().micros();
    if locations::delete(app.db(), &id, &location, now).await? {
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("upload location"))
    }
}

async fn find(app: &App, application: &str, id: &str) -> Answer<Location> {
    let row = locations::find(app.db(), application, id).await?;
    row.ok_or_else(|| Problem::not_found("upload location"))
}

fn foreign() -> Problem {
    Problem::invalid("account", "must be an account of this application")
}

fn account(body: &JsonBody) -> Answer<Option<AccountId>> {
    Ok(body.number("account", 1, i64::from(i32::MAX))?.and_then(AccountId::new))
}

/// The folder's id in its present form.
fn folder(text: &str) -> Answer<String> {
    if text == "root" {
        return Ok("root".into());
    }
    let id = ResourceId::parse(text).filter(|id| matches!(id.kind, None | Some(Kind::Folder)));
    let id = id.ok_or_else(|| Problem::invalid("folder_id", "must be the id of a folder"))?;
    Ok(ResourceId::new(Kind::Folder, id.native).to_string())
}

fn change(row: &mut Location, body: &JsonBody) -> Answer<()> {
    if let Some(on) = body.flag("allow_subfolders")? {
        row.allow_subfolders = on;
    }
    if let Some(on) = body.flag("default")? {
        row.is_default = on;
    }
    if let Some(on) = body.flag("require_trusted_origin")? {
        row.require_trusted_origin = on;
    }
    if body.has("max_file_size") {
        row.max_file_size = body.number("max_file_size", 0, i64::MAX)?;
    }
    Ok(())
}
