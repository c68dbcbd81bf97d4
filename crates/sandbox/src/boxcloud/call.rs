//! One request to the API: who asks, what for, and the small readings that every handler needs.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::issuer::Params;

use super::answer::Fault;
use super::node::Node;
use super::show::Fields;
use super::store::Store;

pub(super) struct Call<'a> {
    pub(super) store: &'a mut Store,
    /// Who is acted for.
    pub(super) me: u64,
    pub(super) query: &'a Params,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    /// The base URL, without a slash at its end.
    pub(super) base: &'a str,
}

impl Call<'_> {
    /// The body as a JSON object; an empty one is an empty object.
    pub(super) fn json(&self) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let value: Option<Value> = serde_json::from_slice(&self.body).ok();
        value
            .filter(Value::is_object)
            .ok_or_else(|| Fault::new(400, "bad_request", "The request body is not a JSON object"))
    }

    pub(super) fn fields(&self, otherwise: Fields) -> Fields {
        Fields::of(self.query.get("fields"), otherwise)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `If-Match`, which Box compares with the etag as it stands, without quotes.
    pub(super) fn check_match(&self, node: &Node) -> Result<(), Fault> {
        match self.header("if-match") {
            Some(wanted) if wanted.trim_matches('"') != node.etag.to_string() => {
                Err(Fault::stale())
            }
            _ => Ok(()),
        }
    }

    /// Whether the query says `true`, in whatever case.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A whole number of the query.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Fault> {
        match self.query.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| Fault::invalid(name, format!("Invalid value '{text}'."))),
        }
    }

    /// `limit`, at most so many.
    pub(super) fn limit(&self, usual: usize, most: usize) -> Result<usize, Fault> {
        let limit = self.number("limit")?.unwrap_or(usual).clamp(1, most);
        let page = self.store.quirks.page;
        Ok(if page == 0 { limit } else { limit.min(page) })
    }

    pub(super) fn offset(&self) -> Result<usize, Fault> {
        Ok(self.number("offset")?.unwrap_or(0))
    }

    /// The page of a list that `marker` and `limit` ask for, and the marker of the next one.
    pub(super) fn marked<T>(
        &self,
        all: Vec<T>,
        usual: usize,
        most: usize,
    ) -> Result<(Vec<T>, Option<String>), Fault> {
        let limit = self.limit(usual, most)?;
        let start = match self.query.get("marker").filter(|marker| !marker.is_empty()) {
            None => 0,
            Some(marker) => read_marker(marker)
                .ok_or_else(|| Fault::invalid("marker", "Invalid value for the marker."))?,
        };
        let end = start.saturating_add(limit);
        let next = (end < all.len()).then(|| write_marker(end));
        Ok((all.into_iter().skip(start).take(limit).collect(), next))
    }
}

/// Markers are opaque to clients.
pub(super) fn write_marker(at: usize) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"at\":{at}}}"))
}

fn read_marker(marker: &str) -> Option<usize> {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(marker).ok()?;
    let text = String::from_utf8(text).ok()?;
    text.strip_prefix("{\"at\":")?.strip_suffix('}')?.parse().ok()
}
