//! What is written down of a request when its answer has gone out: the access log, the journal, the
//! metrics. Nothing here touches the database.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;
use tramontane_model::Code;
use tramontane_store::Entry;

use crate::call::Call;
use crate::front::Traces;
use crate::state::App;

/// The longest name of a client's source that is kept, in characters.
const MAX_SOURCE: usize = 100;

/// One request's entry, until its answer has gone out.
pub(crate) struct Ledger {
    app: App,
    call: Call,
    method: Method,
    source: Option<String>,
    bytes_in: Arc<AtomicU64>,
    /// The request's span: it ends when the answer has gone out.
    span: (Span, Option<Traces>),
}

impl Ledger {
    pub(crate) fn open(
        app: &App,
        call: &Call,
        parts: &Parts,
        span: (Span, Option<Traces>),
    ) -> Self {
        let source = parts.headers.get("x-kloudless-source").and_then(|value| value.to_str().ok());
        Self {
            app: app.clone(),
            call: call.clone(),
            method: parts.method.clone(),
            source: source.map(|text| text.chars().take(MAX_SOURCE).collect()),
            bytes_in: Arc::default(),
            span,
        }
    }

    pub(crate) fn bytes_in(&self) -> Arc<AtomicU64> {
        self.bytes_in.clone()
    }

    /// Keeps a place among the requests under way until the answer has gone out.
    pub(crate) fn hold(&self, room: OwnedSemaphorePermit) {
        self.call.hold(room);
    }

    /// Writes the entry when the answer's body has gone out, or was given up.
    pub(crate) fn close(self, response: Response, code: Option<Code>) -> Response {
        let status = response.status().as_u16();
        if let Some(size) = response.body().size_hint().exact().filter(|size| *size < 1 << 16) {
            self.write(status, code, size);
            return response;
        }
        response.map(|body| {
            let done = Done { ledger: Some(self), status, code, bytes_out: 0 };
            Body::new(Watched { body, done })
        })
    }

    fn write(&self, status: u16, code: Option<Code>, bytes_out: u64) {
        let call = &self.call;
        let route = call.route();
        let elapsed = call.started.elapsed();
        let bytes_in = self.bytes_in.load(Ordering::Relaxed);
        let opened = call.opened();
        let account = opened.map(|opened| opened.id().number());
        let service = opened.map(|opened| opened.account.service.to_string());
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        tracing::info!(
            target: "access",
            request_id = call.request_id,
            method = self.method.as_str(),
            route,
            status,
            duration_us = micros,
            application = call.application(),
            account,
            service,
            error_code = code.map(Code::as_str),
            bytes_in,
            bytes_out,
            client = %call.client,
            source = self.source,
            "request"
        );
        self.trace(status, account);
        let labels = [
            ("route", route.to_owned()),
            ("method", method_label(&self.method).to_owned()),
            ("status", status.to_string()),
        ];
        metrics::counter!("tramontane_http_requests_total", &labels).increment(1);
        let labels = [("route", route)];
        metrics::histogram!("tramontane_http_request_duration_seconds", &labels)
            .record(elapsed.as_secs_f64());
        metrics::counter!("tramontane_http_request_bytes_total").increment(bytes_in);
        metrics::counter!("tramontane_http_response_bytes_total").increment(bytes_out);
        let client = match &self.source {
            Some(source) => format!("{} {source}", call.client),
            None => call.client.to_string(),
        };
        self.app.journal().record(Entry {
            id: call.request_id.clone(),
            at: self.app.now().micros().saturating_sub(micros),
            application: call.application().map(str::to_owned),
            account,
            method: self.method.as_str().to_owned(),
            route: route.to_owned(),
            status,
            error_code: code.map(|code| code.as_str().to_owned()),
            service,
            duration_us: micros,
            bytes_in: i64::try_from(bytes_in).unwrap_or(i64::MAX),
            bytes_out: i64::try_from(bytes_out).unwrap_or(i64::MAX),
            client: Some(client),
        });
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.call.make_room();
    }
}

impl Ledger {
    /// Tells the span what is known now. Costs nothing when no traces are exported.
    fn trace(&self, status: u16, account: Option<i64>) {
        let (span, traces) = &self.span;
        let Some(traces) = traces else { return };
        let route = self.call.route();
        (traces.rename)(span, format!("{} {route}", method_label(&self.method)));
        span.record("http.route", route);
        span.record("http.response.status_code", status);
        if let Some(account) = account {
            span.record("account", account);
        }
        if let Some(opened) = self.call.opened() {
            span.record("service", &*opened.account.service);
        }
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// Methods are the caller's words; unknown ones share one label.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH => method.as_str(),
        Method::DELETE | Method::OPTIONS => method.as_str(),
        _ => "OTHER",
    }
}

/// A request body that counts what is read of it.
pub(crate) struct Counted {
    body: Body,
    count: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn new(body: Body, count: Arc<AtomicU64>) -> Self {
        Self { body, count }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.count.fetch_add(length, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Writes the entry when it is dropped: at the end of the body, or when the client went away.
struct Done {
    ledger: Option<Ledger>,
    status: u16,
    code: Option<Code>,
    bytes_out: u64,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.write(self.status, self.code, self.bytes_out);
        }
    }
}

struct Watched {
    body: Body,
    done: Done,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.done.bytes_out += length;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
