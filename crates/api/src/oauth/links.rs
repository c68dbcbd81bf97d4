//! `POST /v1/connect_links`: a one-time URL for one end user, with everything fixed on the server, so
//! that no key reaches a browser (wire API, section 54).

use std::collections::BTreeMap;

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tramontane_accounts::handshake::{Delivery, Fault, Opening, Request, Wants, redirect, scope};
use tramontane_accounts::{Access, Application};
use tramontane_model::{AccountId, Timestamp};
use tramontane_store::sites;
use utoipa::ToSchema;

use crate::answer;
use crate::call::Call;
use crate::caller::ApiKey;
use crate::connect::visit;
use crate::json::JsonBody;
use crate::manage::access;
use crate::problem::{Answer, Problem};
use crate::state::App;

/// A minute to a week, in seconds.
const LIFE: std::ops::RangeInclusive<i64> = 60..=604_800;
const DEFAULT_LIFE: i64 = 3_600;
const MAX_STATE_CHARS: usize = 4_096;

/// A connect link.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectLink {
    url: String,
    expires: String,
}

/// What a connect link shall be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewConnectLink {
    scope: Option<String>,
    redirect_uri: Option<String>,
    state: Option<String>,
    #[schema(value_type = Option<Object>)]
    form_data: Option<Value>,
    #[schema(value_type = Option<Object>)]
    custom_properties: Option<Value>,
    #[schema(value_type = Option<Object>)]
    raw: Option<Value>,
    access: Option<Vec<String>>,
    account: Option<i64>,
    expires_in: Option<i64>,
}

/// `POST /v1/connect_links`.
pub(crate) async fn create(
    State(app): State<App>,
    ApiKey(key): ApiKey,
    call: Call,
    body: JsonBody,
) -> Answer {
    let application = &key.application;
    let mut request = match body.text("redirect_uri")?.filter(|uri| !uri.is_empty()) {
        Some(uri) => {
            registered(&app, application, &uri).await?;
            let mut request = Request::new(Wants::Code, Delivery::Redirect(uri.clone()));
            request.redirect_uri = Some(uri);
            request
        }
        None => Request::new(Wants::Nothing, Delivery::Shown),
    };
    request.state = body.text("state")?;
    if request.state.as_ref().is_some_and(|state| state.chars().count() > MAX_STATE_CHARS) {
        return Err(Problem::invalid("state", "must have at most 4096 characters"));
    }
    request.form_data = object(&body, "form_data")?;
    request.custom_properties = object(&body, "custom_properties")?;
    request.raw = object(&body, "raw")?;
    request.access = allowed(&body, &key.access)?;
    if let Some(account) = body.number("account", 1, i64::from(i32::MAX))? {
        let id = AccountId::new(account).ok_or_else(|| Problem::not_found("account"))?;
        let opened = app.directory().account_of(&application.id, id).await?;
        request.account = Some(account);
        let reach = if opened.row.admin { "admin" } else { "normal" };
        request.scope = format!("{}:{reach}", opened.row.service);
    }
    if let Some(scope) = body.text("scope")?.filter(|scope| !scope.is_empty()) {
        request.scope = scope;
    }
    scope::parse(&request.scope).map_err(|error| Problem::invalid("scope", error.rule))?;
    if visit::choices(&app, &application.id, &request).await?.is_empty() {
        let rule = "leaves nothing that could be connected: no service of this server fits it, or its \
                    OAuth client is not configured";
        return Err(Problem::invalid("scope", rule));
    }
    let life = body.number("expires_in", *LIFE.start(), *LIFE.end())?.unwrap_or(DEFAULT_LIFE);
    let directory = app.directory();
    let made = directory.begin_handshake(&application.id, request, Opening::Link(life)).await;
    let made = made.map_err(|fault| match fault {
        Fault::Ours(error) => error.into(),
        told @ Fault::Told { .. } => {
            Problem::new(tramontane_model::Code::TooManyRequests, told.to_string())
        }
    })?;
    let expires: Timestamp = app.now().plus_seconds(life);
    let url =
        format!("{}/v1/oauth?client_id={}&connect_link={}", call.base, application.id, made.id);
    answer::json(StatusCode::CREATED, &ConnectLink { url, expires: expires.to_string() })
}

async fn registered(app: &App, application: &Application, uri: &str) -> Answer<()> {
    let rows = sites::list_redirects(app.db(), &application.id).await?;
    if rows.iter().any(|row| redirect::is_registered(uri, &row.url)) {
        return Ok(());
    }
    let rule = "must be one that the application has registered, character for character";
    Err(Problem::invalid("redirect_uri", rule))
}

/// The access list of the token that comes of it: no more than the key itself may do.
fn allowed(body: &JsonBody, own: &Access) -> Answer<Option<String>> {
    let Some(asked) = access(body)? else { return Ok(own.to_stored()) };
    if own.covers(&asked) {
        return Ok(asked.to_stored());
    }
    Err(Problem::invalid("access", "is more than the API key itself may do"))
}

fn object(body: &JsonBody, name: &str) -> Answer<BTreeMap<String, String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        value => {
            strings(value).ok_or_else(|| Problem::invalid(name, "must be an object of strings"))
        }
    }
}

/// An object of strings; numbers and booleans are taken as their text.
pub(super) fn strings(value: Option<&Value>) -> Option<BTreeMap<String, String>> {
    let members = value?.as_object()?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    members.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}
