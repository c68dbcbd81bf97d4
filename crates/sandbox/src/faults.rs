//! What goes wrong on demand: rules that match requests and spoil them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

/// The most rules that are kept at once.
const MAX_RULES: usize = 1_000;
/// The most content of a refused request that is read, in bytes.
const MAX_DRAINED: usize = 64 << 20;

/// How a request is spoilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Answered with this status before the service looks at it.
    Status {
        /// The status.
        status: u16,
        /// Seconds in a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// The body; by default an empty JSON object.
        #[serde(default)]
        body: Option<String>,
    },
    /// Done by the service, but the answer is lost: the connection breaks.
    LoseAnswer,
    /// The connection breaks before the service looks at the request.
    Reset,
    /// The answer's body ends, as if complete bytes were missing, after so many bytes.
    Truncate {
        /// Bytes that still come through.
        after: usize,
    },
    /// The body comes in pieces with a pause before each.
    Slow {
        /// Bytes of a piece.
        piece: usize,
        /// The pause, in milliseconds.
        pause_ms: u64,
    },
    /// The request waits before the service looks at it.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The answer's body is replaced by something that is no JSON.
    Garble,
}

/// Which requests a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The service; any when left out.
    #[serde(default)]
    pub service: Option<String>,
    /// The method; any when left out.
    #[serde(default)]
    pub method: Option<String>,
    /// A part of path and query; any when left out.
    #[serde(default)]
    pub path: Option<String>,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// How many are spoilt; 0: all from then on.
    #[serde(default = "once")]
    pub times: u32,
    /// How they are spoilt.
    pub fault: Fault,
}

fn once() -> u32 {
    1
}

impl FaultRule {
    /// Spoils the next request to a service whose path and query contain this text.
    #[must_use]
    pub fn next(service: &str, path: &str, fault: Fault) -> Self {
        Self {
            service: Some(service.into()),
            method: None,
            path: Some(path.into()),
            skip: 0,
            times: 1,
            fault,
        }
    }

    fn matches(&self, service: &str, method: &str, path: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service)
            && self.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|own| path.contains(own))
    }
}

/// The rules in force. Cheap to clone: all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<FaultRule>>>);

impl Faults {
    /// Adds a rule; the oldest go when there are too many.
    pub fn add(&self, rule: FaultRule) {
        let mut rules = self.rules();
        if rules.len() >= MAX_RULES {
            rules.remove(0);
        }
        rules.push(rule);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// The rules that are still to come.
    #[must_use]
    pub fn list(&self) -> Vec<FaultRule> {
        self.rules().clone()
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<FaultRule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, service: &str, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let at = rules.iter().position(|rule| rule.matches(service, method, path))?;
        let rule = rules.get_mut(at)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        let fault = rule.fault.clone();
        if rule.times == 1 {
            rules.remove(at);
        } else if rule.times > 1 {
            rule.times -= 1;
        }
        Some(fault)
    }
}

/// The layer around one service.
#[derive(Clone)]
pub(crate) struct Spoil {
    pub(crate) faults: Faults,
    pub(crate) service: &'static str,
}

pub(crate) async fn spoil(State(spoil): State<Spoil>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let Some(fault) = spoil.faults.take(spoil.service, request.method().as_str(), &path) else {
        return next.run(request).await;
    };
    tracing::debug!(service = spoil.service, path, ?fault, "spoilt");
    match fault {
        Fault::Status { status, retry_after, body } => {
            // Read to its end: a connection that is closed over unread content may be reset before the client has
            // read the answer, and the client then takes it for a lost one.
            drain(request).await;
            let body = body.unwrap_or_else(|| "{}".into());
            let mut answer = Response::new(axum::body::Body::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(seconds) = retry_after {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            answer
        }
        Fault::Reset => broken(),
        Fault::LoseAnswer => {
            let _ = next.run(request).await;
            broken()
        }
        Fault::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
        Fault::Truncate { after } => truncated(next.run(request).await, after),
        Fault::Slow { piece, pause_ms } => {
            slow(next.run(request).await, piece.max(1), Duration::from_millis(pause_ms))
        }
        Fault::Garble => {
            let (parts, _) = next.run(request).await.into_parts();
            let mut answer = Response::from_parts(parts, axum::body::Body::from("<garbled"));
            answer.headers_mut().remove(header::CONTENT_LENGTH);
            answer
        }
    }
}

async fn drain(request: Request) {
    let mut pieces = request.into_body().into_data_stream();
    let mut left = MAX_DRAINED;
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn failure() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "as ordered")
}

/// An answer whose body fails at once: the server then cuts the connection.
fn broken() -> Response {
    let body = futures::stream::once(async { Err::<Bytes, _>(failure()) });
    let mut answer = Response::new(axum::body::Body::from_stream(body));
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
    answer
}

fn truncated(answer: Response, after: usize) -> Response {
    let (parts, body) = answer.into_parts();
    let mut left = after;
    let cut = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        if left == 0 {
            return Err(failure());
        }
        let now = piece.slice(..left.min(piece.len()));
        left -= now.len();
        Ok(now)
    });
    let end = futures::stream::once(async { Err::<Bytes, _>(failure()) });
    Response::from_parts(parts, axum::body::Body::from_stream(cut.chain(end)))
}

fn slow(answer: Response, piece: usize, pause: Duration) -> Response {
    let (parts, body) = answer.into_parts();
    let pieces = body.into_data_stream().flat_map(move |bytes| {
        let bytes = bytes.unwrap_or_default();
        let parts: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        futures::stream::iter(parts).then(move |part| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(part)
        })
    });
    Response::from_parts(parts, axum::body::Body::from_stream(pieces))
}
