//! Webhooks in the compatible form (wire API, section 20.4). Formats, secrets and logs are section 50's.

use axum::extract::{Path, State};
use serde_json::json;
use tramontane_model::Code;
use tramontane_store::webhooks::{self, Webhook};
use tramontane_vault::random_id;
use url::Url;

use super::{Manager, check, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const MAX_URL_BYTES: usize = 2_000;
const MAX_WEBHOOKS: usize = 100;

pub(crate) async fn list(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let rows = webhooks::list(app.db(), &id).await?;
    manager.all(&app, rows.iter().map(|row| views::webhook(&of, row))).await
}

pub(crate) async fn create(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let text = body.required_text("url")?;
    if body.text("format")?.is_some_and(|format| format != "kloudless") {
        return Err(later("Only the format \"kloudless\" is served yet."));
    }
    let url = Url::parse(&text).ok().filter(|_| text.len() <= MAX_URL_BYTES);
    let url = url.ok_or_else(|| Problem::invalid("url", "must be a URL of at most 2000 bytes"))?;
    if webhooks::list(app.db(), &id).await?.len() >= MAX_WEBHOOKS {
        return Err(Problem::invalid("url", "cannot be added: there are 100 webhooks already"));
    }
    check::check(&app, &id, url).await?;
    let now = app.now().micros();
    let row = Webhook {
        id: format!("whk_{}", random_id(app.entropy(), 12)),
        application: id,
        url: text,
        active: true,
        settings: json!({"format": "kloudless"}),
        created: now,
        modified: now,
    };
    webhooks::insert(app.db(), &row).await?;
    answer::made(true, &views::webhook(&of, &row))
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    manager: Manager,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let row = webhooks::find(app.db(), &id, &webhook).await?;
    answer::ok(&views::webhook(&of, &row.ok_or_else(|| Problem::not_found("webhook"))?))
}

pub(crate) async fn update(
    State(app): State<App>,
    manager: Manager,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    let row = webhooks::find(app.db(), &id, &webhook).await?;
    row.ok_or_else(|| Problem::not_found("webhook"))?;
    Err(later("Webhooks cannot be changed yet; delete this one and make another."))
}

pub(crate) async fn delete(
    State(app): State<App>,
    manager: Manager,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    if webhooks::delete(app.db(), &id, &webhook).await? {
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("webhook"))
    }
}

fn later(message: &str) -> Problem {
    Problem::new(Code::NotImplemented, message)
}
