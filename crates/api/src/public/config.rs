//! The set-up of widgets (wire API, section 19.1).

use axum::extract::State;
use serde::Serialize;
use tramontane_store::sites;
use utoipa::ToSchema;

use super::{Place, admit};
use crate::answer;
use crate::call::Call;
use crate::manage::trusted::is_trusted;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// What a widget needs to know.
#[derive(Serialize, ToSchema)]
pub(crate) struct WidgetConfig {
    user_data: UserData,
}

/// What a widget needs to know of the application.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserData {
    trusted: bool,
    logo_url: Option<String>,
}

/// Whether a page of this origin may be handed tokens of the application: it is our own, or one that
/// the developer trusts.
pub(crate) async fn trusts(
    app: &App,
    call: &Call,
    application: &str,
    origin: &str,
) -> Answer<bool> {
    let own = url::Url::parse(&call.base).map(|url| url.origin().ascii_serialization());
    if own.is_ok_and(|own| own == origin) {
        return Ok(true);
    }
    let domains = sites::list_domains(app.db(), application).await?;
    Ok(is_trusted(origin, domains.iter().map(|row| row.domain.as_str())))
}

/// `GET /file-picker/config`, `GET /file-explorer/config`.
pub(crate) async fn retrieve(State(app): State<App>, call: Call, query: Query) -> Answer {
    admit(&app, &call, Place::Drops)?;
    let id = query.text("app_id").ok_or_else(|| Problem::invalid("app_id", "is required"))?;
    let application = app.directory().public_application(id).await?;
    let application = application.ok_or_else(|| Problem::not_found("application"))?;
    let trusted = match query.text("origin") {
        Some(origin) => trusts(&app, &call, id, origin).await?,
        None => false,
    };
    let logo_url = application.logo_url.clone();
    answer::ok(&WidgetConfig { user_data: UserData { trusted, logo_url } })
}
