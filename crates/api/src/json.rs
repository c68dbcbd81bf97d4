//! JSON bodies, read as leniently as existing clients need (wire API, section 2.1: T5 to T9, T19).

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tramontane_model::{Code, Timestamp};

use crate::problem::{Answer, Problem};
use crate::query::{boolean, latin};
use crate::state::App;

/// A JSON object that was sent. An empty body is the empty object.
#[derive(Clone, Debug, Default)]
pub struct JsonBody(Map<String, Value>);

impl JsonBody {
    /// The object.
    #[must_use]
    pub fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Reads JSON text.
    ///
    /// # Errors
    /// `bad_request` when it is not JSON or not an object.
    pub fn parse(bytes: Vec<u8>) -> Answer<Self> {
        match parse(bytes)? {
            Value::Null => Ok(Self::default()),
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Problem::bad_request("The body must be a JSON object.")),
        }
    }

    /// A member as it was sent; `None` when it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether a member was sent, be it `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every member.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A string; absent and `null` are the same. Numbers are taken as their text.
    ///
    /// # Errors
    /// `invalid_parameters` when it is something else.
    pub fn text(&self, name: &str) -> Answer<Option<String>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(Problem::invalid(name, "must be a string")),
        }
    }

    /// A string that must be there: numbers are not taken for one.
    ///
    /// # Errors
    /// `invalid_parameters` when it is absent or something else.
    pub fn required_text(&self, name: &str) -> Answer<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            None | Some(Value::Null) => Err(Problem::invalid(name, "is required")),
            Some(_) => Err(Problem::invalid(name, "must be a string")),
        }
    }

    /// A boolean, also given as a string or 0 and 1.
    ///
    /// # Errors
    /// `invalid_parameters` when it is something else.
    pub fn flag(&self, name: &str) -> Answer<Option<bool>> {
        let value = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::Bool(value)) => Some(*value),
            Some(Value::String(text)) => boolean(text.trim()),
            Some(Value::Number(number)) => boolean(&number.to_string()),
            Some(_) => None,
        };
        value.map(Some).ok_or_else(|| Problem::invalid(name, "must be true or false"))
    }

    /// A whole number from `least` to `most`, also given as a string.
    ///
    /// # Errors
    /// `invalid_parameters` when it is something else.
    pub fn number(&self, name: &str, least: i64, most: i64) -> Answer<Option<i64>> {
        let value = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let fits = value.filter(|value| (least..=most).contains(value));
        let bad = || Problem::invalid(name, format!("must be a whole number, {least} to {most}"));
        fits.map(Some).ok_or_else(bad)
    }

    /// A timestamp.
    ///
    /// # Errors
    /// `invalid_parameters` when it is something else.
    pub fn time(&self, name: &str) -> Answer<Option<Timestamp>> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let rule = "must be an ISO 8601 date or date-time";
        Timestamp::parse(&text).map(Some).ok_or_else(|| Problem::invalid(name, rule))
    }
}

/// The whole number that a client wrote as a fraction: `3600.0` is one in JSON.
fn whole(number: f64) -> Option<i64> {
    // Above 2^53 it cannot be told which one was meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = number.fract() == 0.0 && number.abs() <= EXACT;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
    exact.then_some(number as i64)
}

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        Self::parse(collect(request.into_body(), app.limits().json_body).await?)
    }
}

/// Any JSON value that was sent (permissions and properties take lists). An empty body is `null`.
#[derive(Clone, Debug)]
pub struct AnyJson(pub Value);

impl FromRequest<App> for AnyJson {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        parse(collect(request.into_body(), app.limits().json_body).await?).map(Self)
    }
}

/// Reads JSON text; nothing but white space is `null`.
///
/// # Errors
/// `bad_request` when it is not JSON.
pub fn parse(bytes: Vec<u8>) -> Answer<Value> {
    let text = latin(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| Problem::bad_request(format!("The body is not JSON: {error}.")))
}

/// A whole request body in memory.
///
/// # Errors
/// `request_too_large` above the limit, `bad_request` when it breaks off.
pub async fn collect(body: Body, limit: usize) -> Answer<Vec<u8>> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("The body is larger than {limit} bytes.");
            Err(Problem::new(Code::RequestTooLarge, text))
        }
        Err(_) => Err(Problem::bad_request("The body broke off.")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn body(text: &str) -> JsonBody {
        JsonBody::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn empty_bodies_are_empty_objects_and_bad_ones_are_refused() {
        assert!(body("").members().is_empty());
        assert!(body(" \r\n").members().is_empty());
        for bad in ["[]", "\"x\"", "1", "{", "nul", "{'a':1}"] {
            let refused = JsonBody::parse(bad.as_bytes().to_vec()).unwrap_err();
            assert_eq!(refused.code, Code::BadRequest, "{bad}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_read_as_latin1() {
        let read = JsonBody::parse(b"{\"name\":\"caf\xe9\"}".to_vec()).unwrap();
        assert_eq!(read.text("name").unwrap().as_deref(), Some("café"));
    }

    #[test]
    fn strings_stand_for_numbers_and_booleans() {
        let read = body(r#"{"size":"1024","active":"True","n":7,"off":0,"bad":[],"none":null}"#);
        assert_eq!(read.number("size", 0, 9_999).unwrap(), Some(1024));
        assert_eq!(read.flag("active").unwrap(), Some(true));
        assert_eq!(read.flag("off").unwrap(), Some(false));
        assert_eq!(read.text("n").unwrap().as_deref(), Some("7"));
        assert_eq!(read.number("none", 0, 1).unwrap(), None);
        assert!(read.number("bad", 0, 1).is_err());
        assert!(read.flag("bad").is_err());
        assert!(read.required_text("n").is_err());
        assert!(read.number("n", 0, 6).is_err());
        let floats = body(r#"{"whole":3600.0,"half":0.5,"huge":1e300}"#);
        assert_eq!(floats.number("whole", 0, 9_999).unwrap(), Some(3_600));
        assert!(floats.number("half", 0, 9).is_err());
        assert!(floats.number("huge", 0, i64::MAX).is_err());
    }
}
