//! One authenticated call: who, with which parameters, and how the answer is cut.

use axum::extract::{FromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Json, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::Value;
use tramontane_model::Timestamp;

use super::Google;
use super::fault::{Answer, Fault};
use super::fields::Mask;
use crate::issuer::{Params, params};
use crate::people::Person;

/// The largest JSON that is read, in bytes.
const MAX_JSON: usize = 1 << 20;

/// An authenticated call.
pub(super) struct Call {
    pub(super) person: &'static Person,
    pub(super) client: String,
    pub(super) query: Params,
    /// What URLs of this service begin with, as the caller sees it; no slash at its end.
    pub(super) base: String,
    pub(super) now: Timestamp,
    scope: String,
}

impl FromRequestParts<Google> for Call {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, google: &Google) -> Result<Self, Fault> {
        let query = params(parts.uri.query().unwrap_or_default());
        // Google takes the token in the query as well.
        let bearer = match query.get("access_token") {
            Some(token) => google.0.issuer.bearer_of(token),
            None => google.0.issuer.bearer(&parts.headers),
        };
        let bearer = bearer.ok_or_else(Fault::unauthenticated)?;
        Ok(Self {
            person: bearer.person,
            client: bearer.client,
            scope: bearer.scope,
            query,
            base: base(parts),
            now: google.now(),
        })
    }
}

/// What URLs of this service begin with, as the caller sees it.
pub(super) fn base(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("www.googleapis.com");
    let whole = parts.extensions.get::<OriginalUri>().map_or("", |uri| uri.path());
    // Everything of ours begins with one of these.
    let own = ["/upload/drive/", "/drive/v3/", "/admin/", "/oauth2/", "/drive-storage/"];
    let cut = own.iter().filter_map(|part| whole.find(part)).min().unwrap_or(0);
    format!("http://{host}{}", whole.get(..cut).unwrap_or_default())
}

/// The scopes that let someone read files.
const READING: &[&str] = &[
    "https://www.googleapis.com/auth/drive",
    "https://www.googleapis.com/auth/drive.file",
    "https://www.googleapis.com/auth/drive.readonly",
    "https://www.googleapis.com/auth/drive.metadata",
    "https://www.googleapis.com/auth/drive.metadata.readonly",
];
/// The scopes that let someone write files.
const WRITING: &[&str] =
    &["https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/drive.file"];

impl Call {
    /// Refuses tokens without leave to read files.
    pub(super) fn reads(&self) -> Answer<()> {
        self.has(READING)
    }

    /// Refuses tokens without leave to write files.
    pub(super) fn writes(&self) -> Answer<()> {
        self.has(WRITING)
    }

    /// Refuses tokens without any of these scopes.
    pub(super) fn has(&self, any: &[&str]) -> Answer<()> {
        let granted = self.scope.split(' ').any(|scope| any.contains(&scope));
        if granted { Ok(()) } else { Err(Fault::scope()) }
    }

    /// A parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that is true or false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// Whether the caller knows of shared drives.
    pub(super) fn all_drives(&self) -> bool {
        self.flag("supportsAllDrives") || self.flag("supportsTeamDrives")
    }

    /// `pageSize`, within its range.
    pub(super) fn page_size(&self, default: usize, most: usize) -> Answer<usize> {
        let Some(text) = self.text("pageSize") else { return Ok(default) };
        let size = text.parse().ok().filter(|size| (1..=most).contains(size));
        size.ok_or_else(|| {
            Fault::invalid(
                "pageSize",
                format!("Invalid value '{text}'. Values must be within the range: [1, {most}]"),
            )
        })
    }

    /// The `fields` parameter, or what comes without one.
    pub(super) fn mask(&self, default: &str) -> Answer<Mask> {
        Mask::read(self.text("fields").unwrap_or(default))
    }

    /// The answer, cut to what was asked for.
    pub(super) fn reply(&self, value: Value, default: &str) -> Answer<Response> {
        Ok(Json(self.mask(default)?.apply(value)).into_response())
    }
}

/// An answer with nothing in it.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A request's JSON object; nothing at all is an empty one.
pub(super) async fn object(body: axum::body::Body) -> Answer<Value> {
    let bytes = axum::body::to_bytes(body, MAX_JSON).await;
    let bytes =
        bytes.map_err(|_| Fault::bad("badRequest", "Request payload size exceeds the limit."))?;
    parse(&bytes)
}

/// Bytes as a JSON object.
pub(super) fn parse(bytes: &[u8]) -> Answer<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value = serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object);
    value.ok_or_else(|| Fault::bad("parseError", "Parse Error"))
}

impl Call {
    /// The call that an upload was begun with, going on.
    pub(super) fn resumed(session: &super::state::Session, base: String, now: Timestamp) -> Self {
        Self {
            person: session.person,
            client: session.client.clone(),
            query: session.query.clone(),
            base,
            now,
            scope: WRITING.join(" "),
        }
    }
}
