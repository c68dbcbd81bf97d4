//! The whole API as one service: what happens to every request before and after its handler.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tramontane_accounts::Caller;
use tramontane_model::Code;

use crate::answer::{ascii, json_text};
use crate::call::Call;
use crate::cors;
use crate::ledger::{Counted, Ledger};
use crate::path::normal_uri;
use crate::problem::Problem;
use crate::router;
use crate::state::App;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The service's own budget, where it tells one (wire API, section 54).
static SERVICE_BUDGET: HeaderName = HeaderName::from_static("tramontane-service-ratelimit");
static CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The address of the other end of a connection, in a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What the crate that exports traces lends for it.
#[derive(Clone, Copy, Debug)]
pub struct Traces {
    /// Puts a request's span into the trace that its caller told (`traceparent`), and gives the
    /// `traceparent` to tell services.
    pub join: fn(&Span, Option<&str>) -> Option<String>,
    /// Names a span anew, when the route is known.
    pub rename: fn(&Span, String),
}

/// The API as a service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    app: App,
    routes: Router,
    operations: Option<Router>,
    pushes: Option<Router>,
    traces: Option<Traces>,
}

impl Front {
    /// The API of this app.
    #[must_use]
    pub fn new(app: App) -> Self {
        let routes = router::routes().into_router(app.clone());
        Self { app, routes, operations: None, pushes: None, traces: None }
    }

    /// The same, with what operators ask of the process (`/healthz`, `/readyz`, `/metrics`) answered by
    /// these routes, past the API's limits and log.
    #[must_use]
    pub fn with_operations(self, operations: Router) -> Self {
        Self { operations: Some(operations), ..self }
    }

    /// The same, with what services push below `/v1/push/` answered by these routes, past the API's limits and log.
    #[must_use]
    pub fn with_pushes(self, pushes: Router) -> Self {
        Self { pushes: Some(pushes), ..self }
    }

    /// The same, with spans that join their callers' traces. Without it, what a caller told is passed
    /// on to services as it is.
    #[must_use]
    pub fn with_traces(self, traces: Traces) -> Self {
        Self { traces: Some(traces), ..self }
    }

    /// The app behind it.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Answers one request from outside.
    pub async fn handle(&self, request: Request) -> Response {
        if let Some(operations) = &self.operations
            && matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics")
        {
            let Ok(answer) = operations.clone().call(request).await;
            return answer;
        }
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let arrival = self.app.site().arrival(&parts.headers, authority, peer);
        if let Some(uri) = normal_uri(&parts.uri, &arrival.prefix) {
            parts.uri = uri;
        }
        if let Some(pushes) = &self.pushes
            && parts.uri.path().starts_with("/v1/push/")
        {
            let Ok(answer) = pushes.clone().call(Request::from_parts(parts, body)).await;
            return answer;
        }
        let request_id = uuid::Uuid::now_v7().to_string();
        let span = tracing::info_span!(
            target: "tramontane::trace", "request", otel.kind = "server",
            otel.status_code = Empty, http.request.method = parts.method.as_str(), http.route = Empty,
            http.response.status_code = Empty, account = Empty, service = Empty, request_id,
        );
        let mut trace = traceparent(&parts.headers);
        let traces = self.traces.filter(|_| !span.is_disabled());
        if let Some(traces) = traces {
            trace = (traces.join)(&span, trace.as_deref()).map(Arc::from).or(trace);
        }
        let call = Call::of(request_id, arrival.base, arrival.client, trace, false);
        let ledger = Ledger::open(&self.app, &call, &parts, (span.clone(), traces));
        let asked = Asked::of(&parts);
        let Ok(room) = self.app.room().clone().try_acquire_owned() else {
            let text = "Too many requests are under way on this server.";
            let busy =
                Problem::new(Code::TooManyRequests, text).retry_after(Duration::from_secs(1));
            return self.finish(&call, &asked, ledger, busy.into_response());
        };
        ledger.hold(room);
        let body = if has_discarded_body(&parts.method) && !body.is_end_stream() {
            discard(body, self.app.limits().json_body).await;
            Body::empty()
        } else if body.is_end_stream() {
            body
        } else {
            Body::new(Counted::new(body, ledger.bytes_in()))
        };
        let response = self.dispatch(call.clone(), parts, body).instrument(span).await;
        self.finish(&call, &asked, ledger, response)
    }

    /// Answers a request that is part of another one, or that a task makes, as this caller. The
    /// answer is not rendered: a [`Problem`] is in its extensions.
    pub async fn inside(&self, call: &Call, caller: Caller, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Some(uri) = normal_uri(&parts.uri, "") {
            parts.uri = uri;
        }
        parts.extensions.insert(caller);
        self.dispatch(call.part(), parts, body).await
    }

    async fn dispatch(&self, call: Call, mut parts: Parts, body: Body) -> Response {
        parts.extensions.insert(call.clone());
        parts.extensions.insert(self.clone());
        let method = parts.method.clone();
        let mut routes = self.routes.clone();
        let answer = routes.call(Request::from_parts(parts, body));
        let response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => Problem::internal(words_of(&*panic)).into_response(),
        };
        if response.extensions().get::<Problem>().is_none() {
            return unrouted(&call, &method, response);
        }
        response
    }

    fn finish(&self, call: &Call, asked: &Asked, ledger: Ledger, response: Response) -> Response {
        let mut response = response;
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            if let Some(cause) = problem.cause() {
                tracing::error!(request_id = call.request_id, cause, "request failed");
            }
            let before = std::mem::take(response.headers_mut());
            response = rendered(problem, &call.request_id);
            for (name, value) in before.iter().filter(|(name, _)| name.as_str() == "allow") {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        crate::health::note(&self.app, call, problem.as_ref().map(|problem| problem.code));
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&call.request_id) {
            headers.insert(REQUEST_ID.clone(), id);
        }
        if let Some(id) = &asked.request_id {
            headers.insert(CLIENT_REQUEST_ID.clone(), id.clone());
        }
        if asked.open {
            cors::open(headers);
        }
        if let Some(budget) = call.budget() {
            for (name, value) in [
                ("ratelimit-limit", budget.limit),
                ("ratelimit-remaining", budget.remaining),
                ("ratelimit-reset", budget.reset),
            ] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
            }
        }
        if let Some(told) = call.told.budget() {
            let (limit, remaining, reset) = (told.limit, told.remaining, told.reset);
            let text = format!("limit={limit}, remaining={remaining}, reset={reset}");
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(SERVICE_BUDGET.clone(), value);
            }
        }
        if asked.head {
            response = without_body(response);
        }
        ledger.close(response, problem.map(|problem| problem.code))
    }
}

/// What of the request is needed for the answer.
struct Asked {
    head: bool,
    open: bool,
    request_id: Option<HeaderValue>,
}

impl Asked {
    fn of(parts: &Parts) -> Self {
        let id = parts.headers.get(&REQUEST_ID).filter(|id| {
            let printable = |byte: &u8| (0x20..0x7f).contains(byte);
            (1..=128).contains(&id.len()) && id.as_bytes().iter().all(printable)
        });
        Self {
            head: parts.method == Method::HEAD,
            open: cors::is_open(parts.uri.path()),
            request_id: id.cloned(),
        }
    }
}

/// An answer that the router gave by itself: no such path, or not this method.
fn unrouted(call: &Call, method: &Method, response: Response) -> Response {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers().get(ALLOW).cloned();
        let text = format!("This path does not take {method}; see the Allow header.");
        let mut response = Problem::new(Code::MethodNotAllowed, text).into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
        return response;
    }
    if response.status() == StatusCode::NOT_FOUND && call.route() == "unmatched" {
        if method == Method::OPTIONS {
            return cors::preflight("GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS", &HeaderMap::new());
        }
        return Problem::new(Code::NotFound, "There is nothing at this path.").into_response();
    }
    response
}

/// A problem as an answer with its body.
pub(crate) fn rendered(problem: &Problem, request_id: &str) -> Response {
    let text = ascii(&problem.body(request_id)).unwrap_or_default();
    let mut response = json_text(problem.status(), text);
    response.headers_mut().extend(problem.headers());
    response
}

fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(size) = body.size_hint().exact().filter(|_| {
        !parts.headers.contains_key(CONTENT_LENGTH) && parts.status != StatusCode::NO_CONTENT
    }) && size > 0
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    Response::from_parts(parts, Body::empty())
}

/// Methods whose body never means anything (T4).
fn has_discarded_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS)
}

/// Reads a body to its end, so that the connection can be used again; gives up on long and slow ones.
async fn discard(mut body: Body, limit: usize) {
    let read = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, bytes::Bytes::len);
            if seen > limit {
                break;
            }
        }
    };
    // What was not read closes the connection, which is all that giving up means.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await;
}

/// A valid W3C trace context to go on with.
fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?.trim();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return None };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2)
        && *version != "ff"
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2);
    valid.then(|| Arc::from(text))
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.handle(request).await) })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Front {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let front = parts.extensions.get::<Self>().cloned();
        front.ok_or_else(|| Problem::internal("a route was called without its front"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_traces_are_continued() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT.clone(), text.parse().ok()?);
            traceparent(&headers)
        };
        assert!(read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").is_some());
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
