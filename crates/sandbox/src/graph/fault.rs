//! Errors in the form of Microsoft Graph: `{"error": {"code", "message", "innerError"}}`, as "Microsoft
//! Graph error responses and resource types" writes it.

use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::call::Answer;

/// An error of the service.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
    inner: Option<&'static str>,
    headers: Vec<(HeaderName, String)>,
}

impl Fault {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.into(), inner: None, headers: Vec::new() }
    }

    /// The same, with a finer code inside.
    pub(super) fn inner(self, code: &'static str) -> Self {
        Self { inner: Some(code), ..self }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn answer(&self, now: Timestamp) -> Answer {
        let mut inner = json!({
            "date": now.to_string(),
            "request-id": "00000000-0000-4000-8000-000000000000",
            "client-request-id": "00000000-0000-4000-8000-000000000000",
        });
        if let (Some(code), Some(members)) = (self.inner, inner.as_object_mut()) {
            members.insert("code".into(), code.into());
        }
        let body =
            json!({"error": {"code": self.code, "message": self.message, "innerError": inner}});
        Answer { status: self.status, headers: self.headers.clone(), body: Some(body) }
    }

    /// What a job says of its failure.
    pub(super) fn told(&self) -> Value {
        json!({"code": self.code, "message": self.message})
    }
}

pub(super) fn unauthenticated() -> Fault {
    let text = "CompactToken parsing failed with error code: 80049217";
    Fault::new(401, "InvalidAuthenticationToken", text)
        .header(header::WWW_AUTHENTICATE, "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"")
}

pub(super) fn not_found() -> Fault {
    Fault::new(404, "itemNotFound", "The resource could not be found.")
}

pub(super) fn bad(message: impl Into<String>) -> Fault {
    Fault::new(400, "invalidRequest", message)
}

pub(super) fn taken() -> Fault {
    Fault::new(
        409,
        "nameAlreadyExists",
        "An item with the same name already exists under the parent",
    )
}

pub(super) fn denied() -> Fault {
    Fault::new(403, "accessDenied", "Access denied")
}

pub(super) fn changed() -> Fault {
    Fault::new(412, "resourceModified", "ETag does not match current item's value")
}

pub(super) fn full() -> Fault {
    Fault::new(507, "quotaLimitReached", "Insufficient Space Available")
}

pub(super) fn locked() -> Fault {
    Fault::new(423, "resourceLocked", "The resource you are attempting to access is locked")
}

pub(super) fn unsupported(message: impl Into<String>) -> Fault {
    Fault::new(400, "notSupported", message)
}
