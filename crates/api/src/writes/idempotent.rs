//! Idempotency keys (wire API, section 43): the first request with a key runs, later ones get its
//! answer.
//!
//! While a request runs, its key is leased and the lease renewed. When the process dies, the lease runs
//! out, and the next request with the key looks for what the first one may have made before it runs
//! again; where looking cannot decide, it is refused rather than done twice.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use tramontane_accounts::Realm;
use tramontane_connector::EntryKind;
use tramontane_fill::Policy;
use tramontane_model::{Code, Timestamp};
use tramontane_store::idempotency::{self, Begin, Key};
use tramontane_tasks::{Again, Kind};

use super::executor::object_of;
use super::intent::{Asked, Intent};
use super::kinds::kind_of;
use super::submit::or_run;
use crate::account::Account;
use crate::answer::json_text;
use crate::call::Call;
use crate::caller::header;
use crate::front::Front;
use crate::json::{JsonBody, collect};
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::seek::{Found, made_since};
use crate::state::App;

const MAX_KEY_CHARS: usize = 255;
/// A key is forgotten after 24 hours.
const KEEP_SECONDS: i64 = 24 * 3_600;
/// How long a run counts as alive without a sign of life, and how often it gives one.
const LEASE_SECONDS: i64 = 60;
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// The largest answer that is stored, in bytes.
const MAX_STORED_BYTES: usize = 12 << 20;

static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key that a request carries.
///
/// # Errors
/// `invalid_parameters` when it is empty or too long.
pub(crate) fn key(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = crate::query::latin(value.as_bytes().to_vec());
    let count = text.chars().count();
    if count == 0 || count > MAX_KEY_CHARS {
        return Err(Problem::invalid("Idempotency-Key", "must have 1 to 255 characters"));
    }
    Ok(Some(text))
}

/// Runs the request once for its key.
pub(crate) async fn run(
    front: &Front,
    call: &Call,
    request: Request,
    next: Next,
    key: String,
) -> Answer<Response> {
    let app = front.app().clone();
    let (parts, body) = request.into_parts();
    let scope = scope(&app, call, &parts, &key).await?;
    let streams = streams(call.route(), &parts);
    let (body, text) = match streams {
        true => (body, None),
        false => {
            let text = collect(body, app.limits().batch_body).await?;
            (Body::from(text.clone()), Some(text))
        }
    };
    let fingerprint = fingerprint(&parts, text.as_deref());
    let now = app.now();
    let until = |now: Timestamp| now.plus_seconds(LEASE_SECONDS).micros();
    let expires = now.plus_seconds(KEEP_SECONDS).micros();
    let begun =
        idempotency::begin(app.db(), &scope, &fingerprint, now.micros(), until(now), expires);
    let epoch = match begun.await? {
        Begin::Mismatch => {
            let text = "This Idempotency-Key was used for another request.";
            return Err(Problem::new(Code::IdempotencyMismatch, text).param("Idempotency-Key"));
        }
        Begin::Running => return Err(running("The first request with this key is still running.")),
        Begin::Done(stored) => return replay(&stored),
        Begin::Fresh { epoch } => epoch,
        Begin::Resume(row) => {
            let run = Run { app: app.clone(), scope: scope.clone(), epoch: row.epoch, held: true };
            match find_out(&app, call, &parts, text.as_deref(), &row).await {
                Ok(Some(response)) => return run.finish(call, response).await,
                Ok(None) => run.keep(),
                Err(problem) => {
                    // Still undecided: the next one may look again at once.
                    let past = app.now().plus_seconds(-1).micros();
                    let (scope, epoch) = (&run.scope, run.epoch);
                    idempotency::renew(app.db(), scope, epoch, past, None).await?;
                    run.keep();
                    return Err(problem);
                }
            }
            row.epoch
        }
    };
    let run = Run { app: app.clone(), scope, epoch, held: true };
    let request = Request::from_parts(parts, body);
    let (front, call) = (front.clone(), call.clone());
    let work = async move {
        let response = run.alive(or_run(&front, &call, request, next)).await;
        let response = response.unwrap_or_else(axum::response::IntoResponse::into_response);
        run.finish(&call, response).await
    };
    if streams {
        // When the client goes away its content breaks off, and the key is free again.
        return work.await;
    }
    // Nothing more is needed of the client: the work goes on without it, and its answer is kept.
    tokio::spawn(work).await.map_err(Problem::internal)?
}

fn running(text: &str) -> Problem {
    Problem::new(Code::IdempotencyInProgress, text).retry_after(Duration::from_secs(1))
}

/// Whether the body is content, which is not read twice.
fn streams(route: &str, parts: &Parts) -> bool {
    let kind = kind_of(route, &parts.method);
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let json = essence.is_empty() || essence.eq_ignore_ascii_case("application/json");
    match kind {
        Some(Kind::Replace) => true,
        Some(Kind::Upload) => parts.headers.contains_key("x-kloudless-metadata") || !json,
        _ => route.ends_with("/multipart/{session}") || route.ends_with("/raw"),
    }
}

/// Who asks, for which account, as whom, with which key.
async fn scope(app: &App, call: &Call, parts: &Parts, key: &str) -> Answer<String> {
    let realm = match super::is_management(call.route()) {
        true => Realm::Management,
        false => Realm::Accounts,
    };
    let owner = app.directory().authenticate(header(parts), realm).await?.owner();
    let account = match parts.uri.path().strip_prefix("/v1/accounts/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => "",
    };
    let user = parts.headers.get("x-kloudless-as-user").map(HeaderValue::as_bytes);
    let user = String::from_utf8_lossy(user.unwrap_or_default());
    let text = format!("{}:{owner} {account} {}:{user} {key}", owner.len(), user.len());
    Ok(tramontane_vault::hash(&text))
}

/// What makes two requests the same.
fn fingerprint(parts: &Parts, body: Option<&[u8]>) -> String {
    let mut text = format!("{} {}\n", parts.method, parts.uri);
    let mut note = |name: &str| {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value)));
    };
    note("x-kloudless-metadata");
    note("x-kloudless-async");
    match body {
        None => {
            note(CONTENT_LENGTH.as_str());
            note("content-digest");
            note("x-kloudless-raw-uri");
            note("x-kloudless-raw-method");
        }
        Some(body) => text.push_str(&crate::query::latin(body.to_vec())),
    }
    tramontane_vault::hash(&text)
}

/// The stored answer.
fn replay(stored: &Key) -> Answer<Response> {
    let status = stored.status.and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| Problem::internal("a stored answer has no status"))?;
    let body = stored.body.clone().unwrap_or_default();
    let mut response = if body.is_empty() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    } else {
        json_text(status, body)
    };
    let headers = response.headers_mut();
    for (name, value) in stored.headers.as_ref().and_then(Value::as_object).into_iter().flatten() {
        if let (Ok(name), Some(Ok(value))) =
            (HeaderName::from_bytes(name.as_bytes()), value.as_str().map(HeaderValue::from_str))
        {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    Ok(response)
}

/// A key that is held while its request runs; freed when the request is dropped.
struct Run {
    app: App,
    scope: String,
    epoch: i64,
    held: bool,
}

impl Run {
    fn keep(mut self) {
        self.held = false;
    }

    /// Gives signs of life while the work goes on.
    async fn alive<T>(&self, work: impl Future<Output = T>) -> T {
        let signs = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                let until = self.app.now().plus_seconds(LEASE_SECONDS).micros();
                let (db, scope) = (self.app.db(), self.scope.as_str());
                if let Err(error) = idempotency::renew(db, scope, self.epoch, until, None).await {
                    tracing::warn!(%error, "an idempotency key could not be renewed");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = signs => never,
        }
    }

    /// Stores the answer; frees the key when the answer is none to keep.
    async fn finish(mut self, call: &Call, mut response: Response) -> Answer<Response> {
        let problem = response.extensions().get::<Problem>().cloned();
        let status = problem.as_ref().map_or(response.status(), Problem::status);
        let mut body = Vec::new();
        let mut kept = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
        match &problem {
            Some(problem) => body = crate::answer::ascii(&problem.body(&call.request_id))?,
            None => {
                let (parts, whole) = response.into_parts();
                let bytes = whole.collect().await.map_err(Problem::internal)?.to_bytes();
                kept &= bytes.len() <= MAX_STORED_BYTES;
                body.extend_from_slice(&bytes);
                response = Response::from_parts(parts, Body::from(bytes));
            }
        }
        // A conflict over a key is not an answer to the request itself.
        kept &= problem.as_ref().is_none_or(|one| one.code != Code::IdempotencyInProgress);
        self.held = false;
        let (db, scope) = (self.app.db(), self.scope.as_str());
        if !kept {
            idempotency::release(db, scope, self.epoch).await?;
            return Ok(response);
        }
        let headers = stored_headers(&response, problem.as_ref());
        idempotency::finish(db, scope, self.epoch, status.as_u16(), &headers, &body).await?;
        Ok(response)
    }
}

fn stored_headers(response: &Response, problem: Option<&Problem>) -> Value {
    let mut stored = Map::new();
    let own = problem.map(Problem::headers).unwrap_or_default();
    for name in [CONTENT_TYPE, ETAG, LOCATION, http::header::WWW_AUTHENTICATE] {
        let value = own.get(&name).or_else(|| response.headers().get(&name));
        let text = value.and_then(|value| value.to_str().ok());
        if let Some(text) = text.filter(|_| problem.is_none() || name != CONTENT_TYPE) {
            stored.insert(name.as_str().to_owned(), text.into());
        }
    }
    stored.into()
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let (app, scope, epoch) = (self.app.clone(), self.scope.clone(), self.epoch);
        tokio::spawn(async move {
            if let Err(error) = idempotency::release(app.db(), &scope, epoch).await {
                tracing::warn!(%error, "an idempotency key stays taken until its lease runs out");
            }
        });
    }
}

/// Finds out what a run that died has done. An answer when it was done, nothing when it was not.
///
/// # Errors
/// `idempotency_in_progress` when it cannot be told.
async fn find_out(
    app: &App,
    call: &Call,
    parts: &Parts,
    text: Option<&[u8]>,
    row: &Key,
) -> Answer<Option<Response>> {
    let undecided = || {
        running(
            "The server stopped while it did this, and whether it was done cannot be told. Look, and \
             ask again with another key if it was not.",
        )
    };
    let Some(kind) = kind_of(call.route(), &parts.method) else {
        // Changes and deletions may be done twice; making something may not.
        let repeats = parts.method != http::Method::POST;
        return if repeats { Ok(None) } else { Err(undecided()) };
    };
    if parts.headers.contains_key("x-kloudless-async") {
        return Err(undecided());
    }
    match kind.again() {
        Again::Repeat => return Ok(None),
        Again::Fail => return Err(undecided()),
        Again::Resume => {}
    }
    let mut own = parts.clone();
    let account = Account::from_request_parts(&mut own, app).await?;
    let body = match text {
        Some(text) => JsonBody::parse(text.to_vec())?,
        None => JsonBody::default(),
    };
    let kind = match kind {
        Kind::Upload if text.is_some() => Kind::UploadFromUrl,
        kind => kind,
    };
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let content = length.and_then(|text| text.parse().ok()).filter(|_| text.is_none());
    let asked = Asked {
        of: object_of(parts.uri.path()),
        query: Query::of(&parts.uri),
        headers: &parts.headers,
        body,
        content: content.map(|size| (size, None)),
        noted: None,
    };
    let Some(intent) = Intent::read(&account, kind, &asked).await? else {
        return Err(undecided());
    };
    if matches!(intent.policy, None | Some(Policy::Replace)) && intent.moves.is_none() {
        return Ok(None);
    }
    let (storage, cx) = intent.there()?;
    if let Some(source) = &intent.moves {
        use tramontane_connector::Storage as _;
        let from = account.storage()?;
        match from.get(&account.cx(), source).await {
            // It is still there: within an account it was not moved, across accounts perhaps copied.
            Ok(_) if !intent.across => return Ok(None),
            Ok(_) => return Err(undecided()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let there = intent.look(&intent.at.parent, &intent.at.name).await?;
        let Some(entry) = there.filter(|entry| intent.fits(entry)) else { return Ok(None) };
        let shown = Render::plain(&intent.account)?.one(entry).await?;
        return Ok(Some(crate::answer::ok(&shown)?));
    }
    if intent.kind == EntryKind::Folder {
        let there = intent.look(&intent.at.parent, &intent.at.name).await?;
        return if there.is_none() { Ok(None) } else { Err(undecided()) };
    }
    let since = Timestamp::from_micros(row.created);
    match made_since(storage, &cx, &intent.at, intent.size, since).await? {
        Found::Nothing => Ok(None),
        Found::Unclear => Err(undecided()),
        Found::This(entry) => {
            let shown = Render::plain(&intent.account)?.one(*entry).await?;
            Ok(Some(crate::answer::made(true, &shown)?))
        }
    }
}
