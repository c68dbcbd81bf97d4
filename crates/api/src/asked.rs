//! What the headers of a request ask of calls to the service (wire API, sections 9, 11, 54).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::json::parse;
use crate::problem::{Answer, Problem};
use crate::query::boolean;

/// What headers ask of calls to the service.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) raw: bool,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) deadline: Option<Duration>,
}

/// Reads the headers.
///
/// # Errors
/// `invalid_parameters`, naming the header.
pub(crate) fn read(headers: &HeaderMap) -> Answer<Asked> {
    let mut asked = Asked::default();
    if let Some(value) = text(headers, "x-kloudless-raw-data") {
        let rule = "must be true or false";
        let raw = boolean(&value).ok_or_else(|| Problem::invalid("X-Kloudless-Raw-Data", rule))?;
        asked.raw = raw;
    }
    if let Some(value) = text(headers, "x-kloudless-raw-headers") {
        asked.headers = Arc::new(raw_headers(&value)?);
    }
    if let Some(value) = text(headers, "tramontane-deadline") {
        let millis = value.parse::<u64>().ok().filter(|ms| (100..=600_000).contains(ms));
        let rule = "must be a number of milliseconds, 100 to 600000";
        let millis = millis.ok_or_else(|| Problem::invalid("Tramontane-Deadline", rule))?;
        asked.deadline = Some(Duration::from_millis(millis));
    }
    Ok(asked)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    let text = crate::query::latin(value.as_bytes().to_vec());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Headers that `X-Kloudless-Raw-Headers` may not name: they are the wire's and the signer's.
const OWN_HEADERS: [&str; 9] = [
    "authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
];

fn raw_headers(text: &str) -> Answer<HeaderMap> {
    const NAME: &str = "X-Kloudless-Raw-Headers";
    let rule = "must be a JSON object of strings";
    let value = parse(text.as_bytes().to_vec()).map_err(|_| Problem::invalid(NAME, rule))?;
    let Value::Object(members) = value else { return Err(Problem::invalid(NAME, rule)) };
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let Value::String(value) = value else { return Err(Problem::invalid(NAME, rule)) };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            Problem::invalid(NAME, format!("holds {name:?}, which is no header's name"))
        })?;
        let own = OWN_HEADERS.contains(&name.as_str())
            || ["proxy-", "x-forwarded-"].iter().any(|prefix| name.as_str().starts_with(prefix));
        if own {
            return Err(Problem::invalid(NAME, format!("may not set {name}")));
        }
        let value = HeaderValue::from_str(&value).map_err(|_| {
            Problem::invalid(NAME, format!("holds a value for {name} that no header can have"))
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tramontane_model::Code;

    use super::*;

    #[test]
    fn raw_headers_are_an_object_of_strings_without_our_own() {
        let read = |text: &str| raw_headers(text).map(|headers| headers.len());
        assert_eq!(read(r#"{"X-One":"1","Accept":"x/y"}"#).unwrap(), 2);
        for bad in [
            "[]",
            "x",
            r#"{"X":1}"#,
            r#"{"a b":"1"}"#,
            r#"{"X":"a\nb"}"#,
            r#"{"authorization":"x"}"#,
            r#"{"Cookie":"x"}"#,
            r#"{"HOST":"x"}"#,
            r#"{"Content-Length":"1"}"#,
            r#"{"Transfer-Encoding":"x"}"#,
            r#"{"Connection":"x"}"#,
            r#"{"Proxy-Authorization":"x"}"#,
            r#"{"X-Forwarded-For":"x"}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().code, Code::InvalidParameters, "{bad}");
        }
    }
}
