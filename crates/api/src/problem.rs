//! What goes wrong, as the API says it: one table from every room's errors to a code.
//!
//! A handler gives a [`Problem`]; the front renders it, because the body carries the request id.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tramontane_connector::error::Fault;
use tramontane_connector::{Error, Kind, Retry};
use tramontane_model::{Code, Op, Support};

/// What a handler gives.
pub type Answer<T = Response> = std::result::Result<T, Problem>;

/// One problem, before it has a request id.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The stable code; it decides the status.
    pub code: Code,
    /// What a person should read: names the field and the rule.
    pub message: String,
    /// The rarer members and headers.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    param: Option<String>,
    conflicting: Option<String>,
    fault: Option<Fault>,
    capability: Option<Value>,
    retryable: Option<bool>,
    retry_after: Option<u64>,
    headers: HeaderMap,
    cause: Option<String>,
    status: Option<u16>,
    members: Map<String, Value>,
}

impl Problem {
    /// A problem with this code and words for a person.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), more: None }
    }

    /// `400 invalid_parameters` for this parameter or member, with the rule.
    pub fn invalid(param: impl Into<String>, rule: impl std::fmt::Display) -> Self {
        let param = param.into();
        let message = format!("{param} {rule}.");
        Self::new(Code::InvalidParameters, message).param(param)
    }

    /// `400 bad_request`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// `404 not_found`; `what` as in "The file was not found."
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("The {what} was not found."))
    }

    /// `403 forbidden`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// `500 internal_error`. The cause goes to the log alone.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let message = "Something failed on our side. The request id finds it in the log.";
        let mut problem = Self::new(Code::InternalError, message);
        problem.more_mut().cause = Some(cause.to_string());
        problem
    }

    /// `501 not_implemented` with what the capability says.
    #[must_use]
    pub fn unsupported(op: Op, support: &Support) -> Self {
        let message = match support.reason() {
            Some(reason) => format!("{} ({op}).", reason.message.trim_end_matches('.')),
            None => format!("This account cannot do {op}."),
        };
        let mut problem = Self::new(Code::NotImplemented, message);
        problem.more_mut().capability = Some(crate::capabilities::rendered(op, support));
        problem
    }

    /// What the capability says where no connector is asked.
    #[must_use]
    pub fn with_reason(mut self, operation: &str, code: &'static str) -> Self {
        let message = self.message.clone();
        self.more_mut().capability = Some(json!({
            "operation": operation, "result": false, "support": "unsupported",
            "reason": {"code": code, "message": message},
        }));
        self
    }

    /// Names the offending parameter or member.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.more_mut().param = Some(param.into());
        self
    }

    /// Names the object whose name is in the way.
    #[must_use]
    pub fn conflicting(mut self, id: impl Into<String>) -> Self {
        self.more_mut().conflicting = Some(id.into());
        self
    }

    /// Answers with another status than the code's own, where existing clients need that.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.more_mut().status = Some(status.as_u16());
        self
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.more_mut().members.insert(name.to_owned(), value);
        self
    }

    /// Says how long to wait; at least one second.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let more = self.more_mut();
        more.retry_after = Some(seconds.max(1));
        more.retryable = Some(true);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.more_mut().headers.append(name, value);
        }
        self
    }

    /// Which methods the path has, for 405.
    #[must_use]
    pub fn allow(self, methods: &str) -> Self {
        self.header(ALLOW, methods)
    }

    /// What lies beneath, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.more.as_ref()?.cause.as_deref()
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let own = self.more.as_ref().and_then(|more| more.status);
        let status = own.unwrap_or_else(|| self.code.status());
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body of section 8, with the id of the request that failed.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Value {
        let mut body = Map::new();
        body.insert("status_code".into(), self.status().as_u16().into());
        body.insert("error_code".into(), self.code.as_str().into());
        body.insert("message".into(), self.message.as_str().into());
        body.insert("id".into(), request_id.into());
        let Some(more) = &self.more else { return body.into() };
        if let Some(id) = more.conflicting.as_ref().filter(|_| self.code == Code::NamingConflict) {
            body.insert("conflicting_resource_id".into(), id.as_str().into());
        }
        if let Some(param) = &more.param {
            body.insert("param".into(), param.as_str().into());
        }
        if let Some(fault) = &more.fault {
            let fault = json!({
                "status": fault.status, "code": fault.code, "message": fault.message,
            });
            body.insert("service_error".into(), fault);
        }
        if let Some(capability) = &more.capability {
            body.insert("capability".into(), capability.clone());
        }
        if let Some(retryable) = more.retryable {
            body.insert("retryable".into(), retryable.into());
        }
        body.extend(more.members.clone());
        body.into()
    }

    /// The headers that belong to the problem.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.more.as_ref().map(|more| more.headers.clone()).unwrap_or_default();
        let wait = self.more.as_ref().and_then(|more| more.retry_after);
        let wait = wait.or((self.code == Code::TooManyRequests).then_some(1));
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        if matches!(self.status().as_u16(), 401 | 403) && !headers.contains_key(WWW_AUTHENTICATE) {
            let value = match self.code {
                Code::InvalidToken => "Bearer realm=\"tramontane\", error=\"invalid_token\"",
                Code::PermissionDenied if self.is_scope() => {
                    "Bearer realm=\"tramontane\", error=\"insufficient_scope\""
                }
                _ => "Bearer realm=\"tramontane\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        headers
    }

    /// The credential's access list does not cover the operation.
    #[must_use]
    pub fn out_of_scope(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message).param("access")
    }

    fn is_scope(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.param.as_deref() == Some("access"))
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Which code each kind of a connector's error becomes.
#[must_use]
pub fn code_of(kind: &Kind) -> Code {
    match kind {
        Kind::NotFound => Code::NotFound,
        Kind::ParentNotFound | Kind::IntoItself => Code::InvalidParentFolder,
        Kind::Conflict(_) => Code::NamingConflict,
        Kind::Invalid | Kind::CursorExpired => Code::InvalidParameters,
        Kind::NotEmpty => Code::FolderNotEmpty,
        Kind::Precondition => Code::PreconditionFailed,
        Kind::Range(_) => Code::RangeNotSatisfiable,
        Kind::Forbidden => Code::ServiceForbidden,
        Kind::NotAllowed => Code::PermissionDenied,
        Kind::Credential => Code::ServiceUnauthorized,
        Kind::RateLimited => Code::TooManyServiceRequests,
        Kind::Full => Code::InsufficientStorage,
        Kind::TooLarge => Code::RequestTooLarge,
        Kind::Declined(_) | Kind::Unsupported(_) => Code::NotImplemented,
        Kind::Unavailable => Code::ServiceNotAvailable,
        Kind::Timeout => Code::GatewayTimeout,
        Kind::Broken => Code::BadGateway,
        Kind::Guarded | Kind::Cancelled => Code::RequestFailed,
        Kind::Body => Code::BadRequest,
        Kind::Internal => Code::InternalError,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut problem = match &error.kind {
            Kind::Internal => Self::internal(&error),
            kind => Self::new(code_of(kind), error.message.clone()),
        };
        match &error.kind {
            Kind::Conflict(Some(with)) => {
                problem = problem.conflicting(with.resource().to_string())
            }
            Kind::CursorExpired => problem = problem.param("page"),
            Kind::ParentNotFound | Kind::IntoItself => problem = problem.param("parent_id"),
            Kind::Range(size) => {
                let size = size.map_or_else(|| "*".to_owned(), |size| size.to_string());
                problem = problem.header(http::header::CONTENT_RANGE, format!("bytes */{size}"));
            }
            Kind::Declined(op) | Kind::Unsupported(op) => {
                problem.more_mut().capability = Some(json!({
                    "operation": op.as_str(), "result": false, "support": "unsupported",
                    "reason": {"code": "service_lacks_feature", "message": error.message},
                }));
            }
            _ => {}
        }
        match error.retry {
            Retry::Never => {}
            Retry::Soon => problem.more_mut().retryable = Some(true),
            Retry::After(wait) => problem = problem.retry_after(wait),
        }
        if let Some(fault) = error.fault {
            problem.message = with_words(&problem.message, &fault);
            problem.more_mut().fault = Some(*fault);
        }
        problem
    }
}

/// Passes the service's own wording on where it is not there already.
fn with_words(message: &str, fault: &Fault) -> String {
    match fault.message.as_deref().filter(|words| !words.is_empty()) {
        Some(words) if !message.contains(words) => {
            format!("{message} The service says: {words}")
        }
        _ => message.to_owned(),
    }
}

impl From<tramontane_store::Error> for Problem {
    fn from(error: tramontane_store::Error) -> Self {
        Self::internal(format!("store: {error}"))
    }
}

impl From<tramontane_vault::Error> for Problem {
    fn from(error: tramontane_vault::Error) -> Self {
        Self::internal(format!("vault: {error}"))
    }
}
