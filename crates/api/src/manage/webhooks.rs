//! Webhooks: registered, changed, their secrets (wire API, sections 20.4, 31 and 50.1).

use axum::extract::{FromRequestParts, Path, State};
use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;
use tramontane_accounts::{Caller, Realm};
use tramontane_activity::delivery::{Filter, MAX_PATTERNS};
use tramontane_feeds::deliver::{Deliveries, Endpoint, Format};
use tramontane_model::Code;
use tramontane_store::deliveries;
use tramontane_store::webhooks::{self, Webhook};
use tramontane_vault::random_id;
use url::Url;

use super::{check, values, views};
use crate::answer;
use crate::call::Call;
use crate::caller::{Developer, who};
use crate::json::JsonBody;
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

const MAX_URL_BYTES: usize = 2_000;
const MAX_WEBHOOKS: usize = 100;
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Accounts and services that an endpoint may be limited to.
const MAX_NARROWED: usize = 1_000;
const MAX_BATCH: i64 = 100;
const MAX_RATE: i64 = 10_000;

/// Who looks after webhooks: the developer, or the application itself with its API key.
pub(crate) struct Registrar {
    who: Who,
    /// The URL that absolute URLs of the answer begin with.
    pub(crate) base: String,
    /// What the URL asks.
    pub(crate) query: Query,
    route: &'static str,
}

enum Who {
    Developer(i64),
    Application(String),
}

impl Registrar {
    /// The URL of the application, if it is the caller's.
    pub(crate) async fn of(&self, app: &App, id: &str) -> Answer<String> {
        match &self.who {
            Who::Developer(developer) => {
                app.directory().application(*developer, id).await?;
            }
            Who::Application(own) if own == id => {}
            Who::Application(_) => return Err(Problem::not_found("application")),
        }
        Ok(format!("{}/v1/meta/applications/{id}", self.base))
    }

    /// A webhook of an application of the caller, with the application's URL.
    pub(crate) async fn webhook(
        &self,
        app: &App,
        id: &str,
        webhook: &str,
    ) -> Answer<(String, Webhook)> {
        let of = self.of(app, id).await?;
        let row = webhooks::find(app.db(), id, webhook).await?;
        Ok((of, row.ok_or_else(|| Problem::not_found("webhook"))?))
    }

    /// The answer of a list that is in memory.
    pub(crate) async fn all<T: Serialize>(
        &self,
        app: &App,
        objects: impl IntoIterator<Item = T>,
    ) -> Answer {
        let name = match &self.who {
            Who::Developer(developer) => developer.to_string(),
            Who::Application(id) => id.clone(),
        };
        let context = format!("{name} {}", self.route);
        let page = NumberPage::read(app, &self.query, context).await?;
        let objects = values(objects)?;
        let total = objects.len() as u64;
        answer::ok(&page.answer("meta", total, page.of(objects))?)
    }
}

impl FromRequestParts<App> for Registrar {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let sent = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scheme =
            sent.and_then(|sent| sent.trim_start().split_once(' ')).map(|(scheme, _)| scheme);
        let by_key = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("apikey"));
        let who = if by_key {
            match who(parts, app, Realm::Accounts).await? {
                Caller::Key(key) if key.access.is_everything() => {
                    Who::Application(key.application.id.clone())
                }
                Caller::Key(_) => {
                    let text = "This API key is limited; webhooks need one that is not.";
                    return Err(Problem::new(Code::PermissionDenied, text));
                }
                _ => return Err(tramontane_accounts::Refusal::WrongKind.into()),
            }
        } else {
            let Developer(caller) = Developer::from_request_parts(parts, app).await?;
            Who::Developer(caller.developer)
        };
        let call = Call::from_request_parts(parts, app).await?;
        let query = Query::of(&parts.uri);
        Ok(Self { who, base: call.base.clone(), query, route: call.route() })
    }
}

/// An error of the feeds, for the caller.
pub(crate) fn told(error: tramontane_feeds::Error) -> Problem {
    match error {
        tramontane_feeds::Error::Store(error) => error.into(),
        tramontane_feeds::Error::Accounts(error) => error.into(),
        tramontane_feeds::Error::Invalid { field, rule } => Problem::invalid(field, rule),
        other => Problem::internal(other),
    }
}

pub(crate) async fn list(
    State(app): State<App>,
    registrar: Registrar,
    Path(id): Path<String>,
) -> Answer {
    let of = registrar.of(&app, &id).await?;
    let rows = webhooks::list(app.db(), &id).await?;
    registrar.all(&app, rows.iter().map(|row| views::webhook(&of, row))).await
}

pub(crate) async fn create(
    State(app): State<App>,
    registrar: Registrar,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = registrar.of(&app, &id).await?;
    let (text, url) = url_of(&body.required_text("url")?)?;
    let format = match body.text("format")?.as_deref() {
        None | Some("kloudless") => Format::Kloudless,
        Some("standard") => Format::Standard,
        Some(_) => return Err(Problem::invalid("format", "must be \"kloudless\" or \"standard\"")),
    };
    let mut endpoint = Endpoint { format, ..Endpoint::default() };
    endpoint.asymmetric = match body.text("signature")?.as_deref() {
        None | Some("hmac") => false,
        Some("ed25519") if format == Format::Standard => true,
        Some(_) => {
            let rule = "must be \"hmac\", or \"ed25519\" in the standard format";
            return Err(Problem::invalid("signature", rule));
        }
    };
    change(&mut endpoint, &body)?;
    if webhooks::list(app.db(), &id).await?.len() >= MAX_WEBHOOKS {
        return Err(Problem::invalid("url", "cannot be added: there are 100 webhooks already"));
    }
    check::check_form(&app, &url)?;
    let now = app.now().micros();
    let row = Webhook {
        id: format!("whk_{}", random_id(app.entropy(), 12)),
        application: id,
        url: text,
        active: true,
        settings: endpoint.settings(),
        created: now,
        modified: now,
    };
    let secret = match format {
        Format::Kloudless => {
            check::check(&app, &row.application, url).await?;
            None
        }
        Format::Standard => {
            let secret = app.directory().new_webhook_secret(&row.id, endpoint.scheme())?;
            let answered = app.deliveries().first_ping(&row, &secret).await.map_err(told)?;
            check::check_ping(&answered)?;
            Some(secret)
        }
    };
    webhooks::insert(app.db(), &row, secret.as_ref(), &Deliveries::fresh_ranges()).await?;
    app.deliveries().changed();
    answer::made(true, &views::webhook(&of, &row))
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let (of, row) = registrar.webhook(&app, &id, &webhook).await?;
    answer::ok(&views::webhook(&of, &row))
}

pub(crate) async fn update(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
    body: JsonBody,
) -> Answer {
    let (of, before) = registrar.webhook(&app, &id, &webhook).await?;
    let mut row = before.clone();
    let mut endpoint = Endpoint::of(&row);
    if body.text("format")?.is_some_and(|format| format != endpoint.format.as_str()) {
        return Err(Problem::invalid("format", "cannot be changed; make another webhook"));
    }
    change(&mut endpoint, &body)?;
    let active = body.flag("active")?.unwrap_or(row.active);
    if active {
        endpoint.disabled_reason = None;
    }
    row.settings = endpoint.settings();
    if let Some(text) = body.text("url")? {
        let (text, url) = url_of(&text)?;
        if text != row.url {
            row.url = text;
            check::check_form(&app, &url)?;
            match endpoint.format {
                Format::Kloudless => check::check(&app, &id, url).await?,
                Format::Standard => {
                    let answered = app.deliveries().ping(&row).await.map_err(told)?;
                    check::check_ping(&answered)?;
                }
            }
        }
    }
    row.active = active;
    if row != before {
        // Nothing is told of what happened while it was off: it starts at the present.
        let starts = active && !before.active;
        row.modified = app.now().micros().max(before.modified + 1);
        if starts {
            let fresh = Deliveries::fresh_ranges();
            deliveries::start(app.db(), &row.id, &fresh, row.modified).await?;
        }
        if !webhooks::update(app.db(), &row).await? {
            return Err(Problem::not_found("webhook"));
        }
        app.deliveries().changed();
    }
    answer::ok(&views::webhook(&of, &row))
}

pub(crate) async fn delete(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    registrar.of(&app, &id).await?;
    if webhooks::delete(app.db(), &id, &webhook).await? {
        app.deliveries().changed();
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("webhook"))
    }
}

pub(crate) async fn secret(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let (_, row) = registrar.webhook(&app, &id, &webhook).await?;
    shown_secret(&app, &row).await
}

/// Replaces the secret; the one before signs along for 24 hours.
pub(crate) async fn rotate(
    State(app): State<App>,
    registrar: Registrar,
    Path((id, webhook)): Path<(String, String)>,
) -> Answer {
    let (_, mut row) = registrar.webhook(&app, &id, &webhook).await?;
    let endpoint = own_secret(&row)?;
    app.directory().rotate_webhook_secret(&row.id, endpoint.scheme()).await?;
    // Its senders read what signs again.
    row.modified = app.now().micros().max(row.modified + 1);
    webhooks::update(app.db(), &row).await?;
    app.deliveries().changed();
    shown_secret(&app, &row).await
}

async fn shown_secret(app: &App, row: &Webhook) -> Answer {
    own_secret(row)?;
    let secrets = app.directory().webhook_secrets(&row.id).await?;
    let current = secrets.current().ok_or_else(|| Problem::not_found("secret"))?;
    answer::ok(&views::WebhookSecret {
        secret: current.shown().expose_secret().to_owned(),
        previous_until: secrets.previous_until().map(views::moment),
    })
}

fn own_secret(row: &Webhook) -> Answer<Endpoint> {
    let endpoint = Endpoint::of(row);
    if endpoint.format == Format::Standard {
        return Ok(endpoint);
    }
    let text = "Webhooks in the format \"kloudless\" have no secret: the application's oldest active API key signs them.";
    Err(Problem::bad_request(text))
}

fn url_of(text: &str) -> Answer<(String, Url)> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL_BYTES);
    let url = url.ok_or_else(|| Problem::invalid("url", "must be a URL of at most 2000 bytes"))?;
    Ok((text.to_owned(), url))
}

/// Reads the members that create and change take alike.
fn change(endpoint: &mut Endpoint, body: &JsonBody) -> Answer<()> {
    if let Some(text) = body.text("description")? {
        if text.chars().count() > MAX_DESCRIPTION_CHARS || text.contains('\0') {
            return Err(Problem::invalid("description", "must have at most 1000 characters"));
        }
        endpoint.description = text;
    }
    if let Some(patterns) = texts(body, "events", MAX_PATTERNS)? {
        let patterns = if patterns.is_empty() { vec!["*".to_owned()] } else { patterns };
        if let Err(bad) = Filter::of(patterns.iter().map(String::as_str)) {
            return Err(Problem::invalid("events", format!("must be a list of patterns: {bad}")));
        }
        endpoint.events = patterns;
    }
    if let Some(services) = texts(body, "services", MAX_NARROWED)? {
        endpoint.services = services;
    }
    if let Some(accounts) = numbers(body, "accounts")? {
        endpoint.accounts = accounts;
    }
    if let Some(size) = body.number("batch_size", 1, MAX_BATCH)? {
        endpoint.batch_size = usize::try_from(size).unwrap_or(1);
    }
    if let Some(ordered) = body.flag("ordered")? {
        endpoint.ordered = ordered;
    }
    if body.has("rate_limit") {
        let rate = body.number("rate_limit", 1, MAX_RATE)?;
        endpoint.rate_limit = rate.and_then(|rate| u32::try_from(rate).ok());
    }
    Ok(())
}

/// A list of texts; absent and `null` are the same.
fn texts(body: &JsonBody, name: &'static str, most: usize) -> Answer<Option<Vec<String>>> {
    let bad = || Problem::invalid(name, format!("must be a list of at most {most} strings"));
    let list = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.len() <= most => list,
        Some(_) => return Err(bad()),
    };
    let texts = list.iter().map(|one| one.as_str().filter(|text| text.len() <= 200));
    texts.map(|text| text.map(str::to_owned)).collect::<Option<Vec<_>>>().map(Some).ok_or_else(bad)
}

/// A list of account ids.
pub(crate) fn numbers(body: &JsonBody, name: &'static str) -> Answer<Option<Vec<i64>>> {
    let bad = || Problem::invalid(name, "must be a list of at most 1000 account ids");
    let list = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.len() <= MAX_NARROWED => list,
        Some(_) => return Err(bad()),
    };
    let number = |one: &Value| match one {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let ids =
        list.iter().map(|one| number(one).filter(|id| (1..=i64::from(i32::MAX)).contains(id)));
    ids.collect::<Option<Vec<_>>>().map(Some).ok_or_else(bad)
}
