//! API keys and the client secret (wire API, sections 20.3 and 52).

use axum::extract::{Path, State};
use tramontane_accounts::{Access, NewKey, ShownKey};
use tramontane_vault::random_id;

use super::views::{ClientSecret, Show};
use super::{Manager, applications, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const MAX_LABEL_CHARS: usize = 200;
/// Ten years.
const MAX_LIFE_SECONDS: i64 = 315_360_000;

pub(crate) async fn list(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let application = manager.application(&app, &id).await?;
    let keys = app.directory().api_keys(&application.id).await?;
    let of = manager.of(&application.id);
    let show = if application.keys_show_once { Show::Masked } else { Show::Full };
    manager.all(&app, keys.iter().map(|key| views::api_key(&of, key, show))).await
}

pub(crate) async fn create(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let application = manager.application(&app, &id).await?;
    let label = body.text("label")?.unwrap_or_default();
    if label.chars().count() > MAX_LABEL_CHARS || label.contains('\0') {
        return Err(Problem::invalid("label", "must have at most 200 characters"));
    }
    let life = body.number("expires_in", 1, MAX_LIFE_SECONDS)?;
    let new = NewKey {
        label,
        access: access(&body)?.unwrap_or_default(),
        expires: life.map(|seconds| app.now().plus_seconds(seconds).micros()),
    };
    let minted = app.directory().create_key(&application.id, &new).await?;
    let shown = ShownKey { row: minted.row, key: Some(minted.key) };
    let show = if application.keys_show_once { Show::Once } else { Show::Full };
    let object = views::api_key(&manager.of(&application.id), &shown, show);
    answer::made(true, &object)
}

pub(crate) async fn delete(
    State(app): State<App>,
    manager: Manager,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    let application = manager.application(&app, &id).await?;
    app.directory().delete_key(&application.id, &key).await?;
    Ok(answer::empty())
}

/// Makes a new client secret, in place of the one before, and shows it this once.
pub(crate) async fn client_secret(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    manager.application(&app, &id).await?;
    let secret = format!("tms_{}", random_id(app.entropy(), 32));
    let hash = tramontane_vault::hash(&secret);
    let keep = |row: &mut tramontane_accounts::Application| {
        if let Some(settings) = row.settings.as_object_mut() {
            settings.insert(applications::CLIENT_SECRET.into(), hash.into());
        }
    };
    app.directory().update_application(manager.developer, &id, keep).await?;
    answer::made(
        true,
        &ClientSecret { client_secret: secret, r#type: "client_secret", api: "meta" },
    )
}

/// `access`: a list of items, or one text with spaces between.
pub(crate) fn access(body: &JsonBody) -> Answer<Option<Access>> {
    let bad = || Problem::invalid("access", "must be a list of items such as \"storage:read\"");
    match body.get("access") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => {
            Ok(Some(Access::parse(text.split_ascii_whitespace())?))
        }
        Some(serde_json::Value::Array(items)) => {
            let items: Option<Vec<&str>> = items.iter().map(serde_json::Value::as_str).collect();
            Ok(Some(Access::parse(items.ok_or_else(bad)?)?))
        }
        Some(_) => Err(bad()),
    }
}
