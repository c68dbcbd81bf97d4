//! What token endpoints answer (RFC 6749 sections 5.1 and 5.2), read as services really write it.

use secrecy::SecretString;
use serde_json::{Map, Value};

/// The longest token that is taken, in bytes. The longest known are access tokens of Microsoft, of a
/// few kilobytes.
const MAX_TOKEN_BYTES: usize = 16_384;
/// The longest life that a service may name, in seconds: ten years. More is taken for that.
const MAX_LIFE: u64 = 315_360_000;
/// The longest text of a service that is kept, in characters.
const MAX_TEXT: usize = 300;

/// Tokens that a service gave.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: SecretString,
    /// The next refresh token; `None`: the old one stays good.
    pub(super) refresh: Option<SecretString>,
    /// Seconds that the access token lives.
    pub(super) life: Option<u64>,
    /// Seconds that the refresh token lives, where the service says so.
    pub(super) refresh_life: Option<u64>,
    /// What was granted; `None`: what was asked for.
    pub(super) scopes: Option<Vec<String>>,
}

/// Why an answer holds no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The service says no, with its code and its words.
    Error {
        /// `invalid_grant`, `invalid_client`, ...
        code: String,
        /// For people.
        text: Option<String>,
    },
    /// It is no answer of a token endpoint.
    Malformed(&'static str),
}

/// Reads a body. Services differ: lives come as numbers, as text or as fractions; `token_type` is
/// missing or in any case; some answer errors with status 200; scopes come as text with spaces or
/// commas, or as a list. What makes a token unusable is refused all the same.
pub(super) fn read(success: bool, body: &[u8]) -> Result<Tokens, Refusal> {
    let members: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err(Refusal::Malformed("it is no JSON object")),
        Err(_) => return Err(Refusal::Malformed("it is no JSON")),
    };
    if let Some(code) = error_code(&members) {
        return Err(Refusal::Error { code, text: error_text(&members) });
    }
    if !success {
        return Err(Refusal::Malformed("it is an error without a code"));
    }
    let access = token(&members, "access_token")?;
    let access = access.ok_or(Refusal::Malformed("it has no access_token"))?;
    if let Some(Value::String(kind)) = members.get("token_type")
        && !kind.eq_ignore_ascii_case("bearer")
        && !kind.is_empty()
    {
        return Err(Refusal::Malformed("its token_type is not Bearer"));
    }
    let refresh_life = ["refresh_token_expires_in", "refresh_expires_in"];
    Ok(Tokens {
        access,
        refresh: token(&members, "refresh_token")?,
        life: members.get("expires_in").and_then(seconds),
        refresh_life: refresh_life.iter().find_map(|name| members.get(*name).and_then(seconds)),
        scopes: members.get("scope").and_then(scopes),
    })
}

/// The code of an error answer: a text, or an object with one (`{"error": {"code": ...}}`).
fn error_code(members: &Map<String, Value>) -> Option<String> {
    let code = match members.get("error")? {
        Value::String(code) => code.clone(),
        Value::Object(inner) => {
            let code = ["code", "type", "error", "status"].iter().find_map(|name| inner.get(*name));
            code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned))?
        }
        _ => return None,
    };
    (!code.is_empty()).then(|| cut(&code))
}

fn error_text(members: &Map<String, Value>) -> Option<String> {
    let inner = members.get("error").and_then(Value::as_object);
    let said = ["error_description", "error_summary", "message"];
    let text = said
        .iter()
        .find_map(|name| members.get(*name).or_else(|| inner?.get(*name)).and_then(Value::as_str));
    text.filter(|text| !text.is_empty()).map(cut)
}

fn cut(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).take(MAX_TEXT).collect()
}

fn token(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<SecretString>, Refusal> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.is_empty() => Ok(None),
        Some(Value::String(token)) => {
            // Tokens travel in a header: RFC 6749 appendix A allows visible ASCII and spaces.
            let fits = token.len() <= MAX_TOKEN_BYTES
                && token.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
            fits.then(|| Some(SecretString::from(token.clone())))
                .ok_or(Refusal::Malformed("a token in it is too long or has odd characters"))
        }
        Some(_) => Err(Refusal::Malformed("a token in it is no text")),
    }
}

fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    if !number.is_finite() || number <= 0.0 {
        return None;
    }
    // Positive and below the ceiling, so nothing is cut but the fraction.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Some(number.min(MAX_LIFE as f64) as u64)
}

fn scopes(value: &Value) -> Option<Vec<String>> {
    let words: Vec<String> = match value {
        Value::String(text) => {
            text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return None,
    };
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn reads_what_services_write() {
        for body in [
            r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"scope":"x y"}"#,
            r#"{"access_token":"a","expires_in":"3600","scope":"x,y","refresh_token":""}"#,
            r#"{"access_token":"a","token_type":"BEARER","expires_in":3600.9,"scope":["x","y"]}"#,
        ] {
            let tokens = read(true, body.as_bytes()).unwrap();
            assert_eq!(tokens.access.expose_secret(), "a");
            assert_eq!(tokens.life, Some(3600));
            assert_eq!(tokens.scopes.unwrap(), ["x", "y"]);
            assert!(tokens.refresh.is_none());
        }
        let odd = r#"{"access_token":"a","expires_in":-5,"scope":""}"#;
        let tokens = read(true, odd.as_bytes()).unwrap();
        assert!(tokens.life.is_none() && tokens.scopes.is_none());
    }

    #[test]
    fn knows_a_refusal_in_every_form_and_with_every_status() {
        let code = |success, body: &str| match read(success, body.as_bytes()).unwrap_err() {
            Refusal::Error { code, .. } => code,
            Refusal::Malformed(why) => format!("malformed: {why}"),
        };
        let plain = r#"{"error":"invalid_grant","error_description":"spent"}"#;
        assert_eq!(code(false, plain), "invalid_grant");
        assert_eq!(code(true, plain), "invalid_grant");
        assert_eq!(code(false, r#"{"error":{"code":"invalid_grant"}}"#), "invalid_grant");
        assert_eq!(code(false, r#"{"error":{"code":403}}"#), "403");
    }

    #[test]
    fn refuses_what_is_no_answer() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(MAX_TOKEN_BYTES + 1));
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"access_token":5}"#,
            r#"{"access_token":""}"#,
            "{\"access_token\":\"a\\r\\nX-Evil: 1\"}",
            long.as_str(),
            r#"{"access_token":"a","token_type":"mac"}"#,
        ] {
            assert!(matches!(read(true, body.as_bytes()), Err(Refusal::Malformed(_))), "{body}");
        }
        let no_code = read(false, br#"{"access_token":"a"}"#);
        assert!(matches!(no_code, Err(Refusal::Malformed(_))));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, success: bool) {
            let _ = read(success, &body);
        }
    }
}
