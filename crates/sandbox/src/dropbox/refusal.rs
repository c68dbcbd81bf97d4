//! The ways in which Dropbox says no: endpoint errors (409) as tagged unions, and the rest.
//!
//! "HTTP documentation", section "Errors": <https://www.dropbox.com/developers/documentation/http/documentation>

use axum::response::{IntoResponse, Json, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// A refusal of a call.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 409: the endpoint's own error union.
    Route(Value),
    /// 400: bad input; plain text.
    Bad(String),
    /// 401: `AuthError`.
    Auth(Value),
    /// 422: `PathRootError`.
    PathRoot(Value),
    /// 416 of a download.
    Range(u64),
}

/// A tag without a value.
pub(super) fn tag(name: &str) -> Value {
    json!({".tag": name})
}

/// A tag whose value is a union or a plain value.
pub(super) fn tagged(name: &str, value: Value) -> Value {
    let mut members = Map::new();
    members.insert(".tag".into(), name.into());
    members.insert(name.into(), value);
    Value::Object(members)
}

/// A tag whose value is a struct: its members stand beside the tag.
pub(super) fn with_members(name: &str, value: Value) -> Value {
    let mut members = Map::new();
    members.insert(".tag".into(), name.into());
    if let Value::Object(own) = value {
        members.extend(own);
    }
    Value::Object(members)
}

/// The tag of a union in an argument, which may be written as a bare word.
pub(super) fn tag_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get(".tag")?.as_str())
}

/// Adds a member to a JSON object.
pub(super) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// `LookupError`.
pub(super) fn lookup(name: &str) -> Value {
    tag(name)
}

/// `path` with a `LookupError`.
pub(super) fn path_error(name: &str) -> Refusal {
    Refusal::Route(tagged("path", lookup(name)))
}

/// The tags of an error, joined, with the dots that Dropbox adds so that nobody compares it.
fn summary(error: &Value) -> String {
    let mut words = Vec::new();
    let mut at = error;
    while let Some(word) = tag_of(at) {
        words.push(word.to_owned());
        let inner = at.get(word).or_else(|| at.get("reason"));
        match inner {
            Some(next) if next.is_object() => at = next,
            _ => break,
        }
    }
    format!("{}/..", words.join("/"))
}

fn said(status: StatusCode, error: &Value) -> Response {
    let body = json!({"error_summary": summary(error), "error": error});
    (status, Json(body)).into_response()
}

impl Refusal {
    /// As Dropbox answers it. `route`: the function that was called.
    pub(super) fn answer(self, route: &str) -> Response {
        match self {
            Self::Route(error) => said(StatusCode::CONFLICT, &error),
            Self::Auth(error) => said(StatusCode::UNAUTHORIZED, &error),
            Self::PathRoot(error) => said(StatusCode::UNPROCESSABLE_ENTITY, &error),
            Self::Bad(why) => {
                let text = format!("Error in call to API function \"{route}\": {why}");
                (
                    StatusCode::BAD_REQUEST,
                    [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
                    text,
                )
                    .into_response()
            }
            Self::Range(size) => {
                let mut answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                    answer.headers_mut().insert(header::CONTENT_RANGE, value);
                }
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_name_the_tags_from_the_outside_in() {
        let error = tagged("path", tagged("conflict", tag("file")));
        assert_eq!(summary(&error), "path/conflict/file/..");
        let error = with_members("path", json!({"reason": tag("insufficient_space")}));
        assert_eq!(summary(&error), "path/insufficient_space/..");
        let error = with_members("incorrect_offset", json!({"correct_offset": 3}));
        assert_eq!(summary(&error), "incorrect_offset/..");
    }
}
