//! One call of the simulated Graph: who asks for what, in which OData path, and what is answered.

use axum::response::{IntoResponse as _, Json, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tramontane_model::Timestamp;

use super::fault::{Fault, bad};
use crate::people::Person;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `drives`, `items`, an id, `children`.
    Word(String),
    /// What stands between two colons: names from there on.
    Path(Vec<String>),
    /// `search(q='...')`, `delta(token='...')`.
    Function(String, String),
}

/// Reads the part of a URL's path that follows the version. Decoding first is safe, since no name
/// holds `/` or `:`.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let (head, function) = split_function(&decoded);
    let mut steps = Vec::new();
    let mut names: Option<Vec<String>> = None;
    for segment in head.split('/').filter(|segment| !segment.is_empty()) {
        match (&mut names, segment.strip_suffix(':')) {
            (None, Some(word)) => {
                steps.push(Step::Word(word.to_owned()));
                names = Some(Vec::new());
            }
            (None, None) => {
                let plain = segment.strip_prefix("microsoft.graph.").filter(|rest| {
                    // Casts to a type are words of their own.
                    !matches!(*rest, "user" | "group")
                });
                let plain = plain.unwrap_or(segment);
                steps.push(Step::Word(plain.strip_suffix("()").unwrap_or(plain).to_owned()));
            }
            (Some(open), Some(last)) => {
                if !last.is_empty() {
                    open.push(last.to_owned());
                }
                steps.push(Step::Path(std::mem::take(open)));
                names = None;
            }
            (Some(open), None) => open.push(segment.to_owned()),
        }
    }
    steps.extend(names.map(Step::Path));
    steps.extend(function);
    steps
}

fn split_function(path: &str) -> (&str, Option<Step>) {
    for (name, marker) in [("search", "search(q='"), ("delta", "delta(token='")] {
        if let Some(at) = path.rfind(marker)
            && let Some((head, rest)) = path.split_at_checked(at)
            && let Some(argument) =
                rest.strip_prefix(marker).and_then(|rest| rest.strip_suffix("')"))
        {
            let head = head.strip_suffix("microsoft.graph.").unwrap_or(head);
            // OData doubles quotes inside of quotes.
            return (head, Some(Step::Function(name.into(), argument.replace("''", "'"))));
        }
    }
    (path, None)
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) person: &'static Person,
    /// Whether the application calls by itself (client credentials), with all of the tenant.
    pub(super) app: bool,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) who: Who,
    /// Where the service is: `http://127.0.0.1:PORT/onedrive`.
    pub(super) base: String,
    /// The path as it came, for the context of links.
    pub(super) path: String,
    pub(super) now: Timestamp,
}

impl Call {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn json(&self) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| bad("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."))
    }

    /// `$top`, at most 1,000.
    pub(super) fn top(&self, usual: usize) -> Result<usize, Fault> {
        let Some(text) = self.parameter("$top").or_else(|| self.parameter("top")) else {
            return Ok(usual);
        };
        match text.parse::<usize>() {
            Ok(top) if top > 0 => Ok(top.min(1_000)),
            _ => Err(bad("Invalid value for $top")),
        }
    }

    /// The same URL with other parameters.
    pub(super) fn link(&self, replace: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.query {
            if !replace.iter().any(|(other, _)| other == name) {
                query.append_pair(name, value);
            }
        }
        for (name, value) in replace {
            query.append_pair(name, value);
        }
        format!("{}{}?{}", self.base, self.path, query.finish())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn json(body: Value) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::json(body) }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub(super) fn to(status: StatusCode, location: String) -> Self {
        Self { status, headers: vec![(http::header::LOCATION, location)], body: None }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => Json(body).into_response(),
            None => ().into_response(),
        };
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What a call gives.
pub(super) type Outcome = Result<Answer, Fault>;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Step {
        Step::Word(text.into())
    }

    #[test]
    fn reads_ids_paths_and_functions() {
        let path = |names: &[&str]| Step::Path(names.iter().map(ToString::to_string).collect());
        for (text, expected) in [
            ("me/drive", vec![word("me"), word("drive")]),
            (
                "me/drive/root:/a%20b/c",
                vec![word("me"), word("drive"), word("root"), path(&["a b", "c"])],
            ),
            (
                "drives/b!1/items/01X:/a's:/content",
                vec![
                    word("drives"),
                    word("b!1"),
                    word("items"),
                    word("01X"),
                    path(&["a's"]),
                    word("content"),
                ],
            ),
            (
                "drives/d/items/root%3A%2Fa%2Fb%3A/children",
                vec![
                    word("drives"),
                    word("d"),
                    word("items"),
                    word("root"),
                    path(&["a", "b"]),
                    word("children"),
                ],
            ),
            (
                "me/drive/root/search(q='it''s%20a/b')",
                vec![
                    word("me"),
                    word("drive"),
                    word("root"),
                    Step::Function("search".into(), "it's a/b".into()),
                ],
            ),
            (
                "me/drive/root/delta(token='latest')",
                vec![
                    word("me"),
                    word("drive"),
                    word("root"),
                    Step::Function("delta".into(), "latest".into()),
                ],
            ),
            (
                "me/drive/root/microsoft.graph.delta()",
                vec![word("me"), word("drive"), word("root"), word("delta")],
            ),
        ] {
            assert_eq!(steps(text), expected, "{text}");
        }
    }
}
