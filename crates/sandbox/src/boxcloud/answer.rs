//! Box's answers: JSON, and errors in Box's own shape.
//!
//! <https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/>

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

/// What a handler gives.
pub(super) type Answer = Result<Response, Fault>;

/// A refusal.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) context: Option<Value>,
}

impl Fault {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), context: None }
    }

    /// A parameter that is not taken, named as Box names it.
    pub(super) fn invalid(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let errors = json!({"errors": [
            {"reason": "invalid_parameter", "name": name, "message": message},
        ]});
        Self { context: Some(errors), ..Self::new(400, "bad_request", "Bad Request") }
    }

    /// Nothing with this id, or nothing that the caller may see.
    pub(super) fn missing(kind: &str, id: &str) -> Self {
        let prefix = match kind {
            "folder" | "parent" => "d_",
            "file" => "f_",
            _ => "w_",
        };
        let errors = json!({"errors": [{
            "reason": "invalid_parameter", "name": kind,
            "message": format!("Invalid value '{prefix}{id}'. '{kind}' with value '{prefix}{id}' not found"),
        }]});
        Self { context: Some(errors), ..Self::new(404, "not_found", "Not Found") }
    }

    /// The name is taken. Folders are told as a list, files as one object: that is how Box is.
    pub(super) fn taken(conflicts: Value) -> Self {
        let text = "Item with the same name already exists";
        let context = json!({"conflicts": conflicts});
        Self { context: Some(context), ..Self::new(409, "item_name_in_use", text) }
    }

    pub(super) fn forbidden() -> Self {
        let text = "Access denied - insufficient permission";
        Self::new(403, "access_denied_insufficient_permissions", text)
    }

    pub(super) fn stale() -> Self {
        let text = "The resource has been modified. Please retrieve the resource again and retry";
        Self::new(412, "precondition_failed", text)
    }

    /// The JSON of it, under this request's id.
    pub(super) fn answer(self, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        if status == StatusCode::UNAUTHORIZED {
            return unauthorized();
        }
        let mut body = json!({
            "type": "error", "status": self.status, "code": self.code,
            "help_url": "http://developers.box.com/docs/#errors",
            "message": self.message, "request_id": request_id,
        });
        if let (Some(context), Some(members)) = (self.context, body.as_object_mut()) {
            members.insert("context_info".into(), context);
        }
        json_answer(status, &body)
    }
}

/// Box says nothing but a header to a token that it does not take.
pub(super) fn unauthorized() -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    let value = "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token provided is invalid.\"";
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
    answer
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// `200` with this JSON.
pub(super) fn ok(body: &Value) -> Answer {
    Ok(json_answer(StatusCode::OK, body))
}

/// `201` with this JSON.
pub(super) fn created(body: &Value) -> Answer {
    Ok(json_answer(StatusCode::CREATED, body))
}

/// A status with nothing behind it.
pub(super) fn plain(status: StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// `204`.
pub(super) fn nothing() -> Answer {
    Ok(plain(StatusCode::NO_CONTENT))
}

/// `status` with `Location` or `Retry-After`, and no body.
pub(super) fn elsewhere(
    status: StatusCode,
    location: Option<&str>,
    retry_after: Option<u64>,
) -> Response {
    let mut answer = plain(status);
    let headers = answer.headers_mut();
    if let Some(value) = location.and_then(|url| HeaderValue::from_str(url).ok()) {
        headers.insert(header::LOCATION, value);
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// A moment as Box writes it: whole seconds, in Pacific time.
pub(super) fn time(at: Timestamp) -> String {
    let local = Timestamp::from_seconds(at.seconds() - 8 * 3_600).to_string();
    format!("{}-08:00", local.get(..19).unwrap_or_default())
}

/// The moment without its fraction: Box keeps seconds.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds())
}
