//! Query parameters, read as leniently as existing clients need (wire API, section 2.1: T1, T3, T13,
//! T15, T16): the last of a name counts, an empty value is absent, unknown names do nothing.

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode;
use tramontane_model::Timestamp;

use crate::problem::{Answer, Problem};

/// The parameters of a query string.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string, without its `?`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// Reads the parameters of a URI.
    #[must_use]
    pub fn of(uri: &http::Uri) -> Self {
        uri.query().map(Self::parse).unwrap_or_default()
    }

    /// The value of a parameter, the last that is not empty; `None` when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let given = |(own, value): &&(String, String)| own == name && !value.is_empty();
        self.0.iter().rev().find(given).map(|(_, value)| value.as_str())
    }

    /// A boolean.
    ///
    /// # Errors
    /// `invalid_parameters` when it is no boolean.
    pub fn flag(&self, name: &str) -> Answer<Option<bool>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match boolean(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::invalid(name, "must be true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// `invalid_parameters` when it is none, or outside.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Answer<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let bad = || Problem::invalid(name, format!("must be a whole number, {least} to {most}"));
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = text.parse().ok().filter(|_| digits).ok_or_else(bad)?;
        if (least..=most).contains(&number) { Ok(Some(number)) } else { Err(bad()) }
    }

    /// A timestamp.
    ///
    /// # Errors
    /// `invalid_parameters` when it is none.
    pub fn time(&self, name: &str) -> Answer<Option<Timestamp>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let rule = "must be an ISO 8601 date or date-time";
        Timestamp::parse(text).map(Some).ok_or_else(|| Problem::invalid(name, rule))
    }

    /// The parts of a comma-separated list, without empty ones.
    pub fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    /// Every parameter in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.uri))
    }
}

/// A boolean as clients write it (T3).
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "1", "yes", "on"]) {
        Some(true)
    } else if is(&["false", "0", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// Percent-decodes with `+` as a space; bytes that are not UTF-8 are read as ISO-8859-1.
fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let spaced = text.replace('+', " ");
    latin(percent_decode(spaced.as_bytes()).collect())
}

/// Text from bytes: UTF-8, else ISO-8859-1 (T9).
#[must_use]
pub fn latin(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let query = Query::parse("a=1&a=2&b=&true&c=x+y%20z&d={\"k\":\"v|w\"}&e=%e9&f=100%");
        assert_eq!(query.text("a"), Some("2"));
        assert_eq!(query.text("b"), None);
        assert_eq!(query.text("true"), None);
        assert_eq!(query.text("c"), Some("x y z"));
        assert_eq!(query.text("d"), Some("{\"k\":\"v|w\"}"));
        assert_eq!(query.text("e"), Some("é"));
        assert_eq!(query.text("f"), Some("100%"));
        assert_eq!(Query::parse("").iter().count(), 0);
    }

    #[test]
    fn booleans_have_many_spellings() {
        for (value, words) in [
            (true, ["true", "True", "TRUE", "1", "yes", "on"]),
            (false, ["false", "False", "FALSE", "0", "no", "off"]),
        ] {
            for word in words {
                assert_eq!(Query::parse(&format!("x={word}")).flag("x").unwrap(), Some(value));
            }
        }
        assert_eq!(Query::parse("x=").flag("x").unwrap(), None);
        assert!(Query::parse("x=maybe").flag("x").is_err());
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        let read = |text: &str| Query::parse(&format!("n={text}")).number("n", 1, 1000);
        assert_eq!(read("1000").unwrap(), Some(1000));
        assert_eq!(read("").unwrap(), None);
        for bad in ["0", "1001", "-1", "1.5", "x", "+1", "%201", "99999999999999999999999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let query = Query::parse(&text);
            let _ = (query.flag("a"), query.number("a", 1, 9), query.time("a"));
        }
    }
}
