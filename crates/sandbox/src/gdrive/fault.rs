//! Google's refusals, in the shape that its APIs give them.
//!
//! Source: "Resolve errors" of the Drive API, and the error model of Google's JSON APIs
//! (`error.errors[].domain`, `reason`, `location`; `error.status`).

use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// One refusal.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    status: u16,
    domain: &'static str,
    reason: &'static str,
    message: String,
    location: Option<(&'static str, &'static str)>,
}

/// What a handler gives.
pub(super) type Answer<T> = Result<T, Fault>;

impl Fault {
    fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, domain: "global", reason, message: message.into(), location: None }
    }

    /// The token is missing, unknown, expired or revoked.
    pub(super) fn unauthenticated() -> Self {
        let mut fault = Self::new(
            401,
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        );
        fault.location = Some(("header", "Authorization"));
        fault
    }

    /// The token was not granted what the call needs.
    pub(super) fn scope() -> Self {
        Self::new(
            403,
            "insufficientPermissions",
            "Insufficient Permission: Request had insufficient authentication scopes.",
        )
    }

    /// There is no such file, or the caller may not know of it.
    pub(super) fn no_file(id: &str) -> Self {
        let mut fault = Self::new(404, "notFound", format!("File not found: {id}."));
        fault.location = Some(("parameter", "fileId"));
        fault
    }

    /// There is no such thing of another kind.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "notFound", message)
    }

    /// A parameter with a value that is not taken.
    pub(super) fn invalid(parameter: &'static str, message: impl Into<String>) -> Self {
        let mut fault = Self::new(400, "invalid", message);
        fault.location = Some(("parameter", parameter));
        fault
    }

    /// A parameter that is missing.
    pub(super) fn required(parameter: &'static str, message: impl Into<String>) -> Self {
        let mut fault = Self::new(400, "required", message);
        fault.location = Some(("parameter", parameter));
        fault
    }

    /// A request that makes no sense.
    pub(super) fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, reason, message)
    }

    /// The caller's role does not allow it.
    pub(super) fn role() -> Self {
        Self::new(
            403,
            "insufficientFilePermissions",
            "The user does not have sufficient permissions for this file.",
        )
    }

    /// Refused for this reason.
    pub(super) fn forbidden(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, reason, message)
    }

    /// The account is full.
    pub(super) fn full() -> Self {
        Self::new(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")
    }

    /// The id is taken.
    pub(super) fn taken() -> Self {
        Self::new(409, "fileIdInUse", "A file already exists with the provided ID.")
    }

    /// A range outside the content.
    pub(super) fn range() -> Self {
        let mut fault =
            Self::new(416, "requestedRangeNotSatisfiable", "Request range not satisfiable");
        fault.location = Some(("header", "Range"));
        fault
    }

    /// The JSON of it.
    pub(super) fn body(&self) -> Value {
        let mut one =
            json!({"message": self.message, "domain": self.domain, "reason": self.reason});
        if let (Some((kind, name)), Some(members)) = (self.location, one.as_object_mut()) {
            members.insert("locationType".into(), kind.into());
            members.insert("location".into(), name.into());
        }
        let mut error = json!({"code": self.status, "message": self.message, "errors": [one]});
        let status = match self.status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            _ => "",
        };
        // Drive itself gives a status word for refusals of its front door only.
        if matches!(self.reason, "authError" | "insufficientPermissions")
            && let Some(members) = error.as_object_mut()
        {
            members.insert("status".into(), status.into());
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut answer = (status, Json(self.body())).into_response();
        if self.status == 401 {
            let value = http::HeaderValue::from_static(
                "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
            );
            answer.headers_mut().insert(http::header::WWW_AUTHENTICATE, value);
        }
        answer
    }
}
