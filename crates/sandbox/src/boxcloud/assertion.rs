//! Server authentication with a key pair: the assertions that an app signs, checked as Box does.
//!
//! <https://developer.box.com/guides/authentication/jwt/without-sdk/>

use std::collections::BTreeMap;

use serde_json::Value;

use crate::issuer::CLIENT_ID;
use crate::robots;

/// "The API base URL for authentication".
const AUDIENCE: &str = "https://api.box.com/oauth2/token";
/// "The maximum allowed value is 60 seconds after the current time."
const LIFE: i64 = 60;
/// "must be at least 16 characters and at most 128 characters".
const JTI: std::ops::RangeInclusive<usize> = 16..=128;
/// The most assertions that are remembered; those that are over go first.
const MAX_SEEN: usize = 10_000;

/// The assertions that were used and are not over, by `jti`, with their ends in seconds.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, i64>);

/// The kind of subject and its id; else what Box says is wrong.
pub(super) fn check(
    assertion: &str,
    endpoint: &str,
    now: i64,
    seen: &mut Seen,
) -> Result<(String, String), &'static str> {
    let claims = robots::signed_claims(assertion).ok_or("JWT verification error.")?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("iss") != CLIENT_ID {
        return Err("Please check the 'iss' claim.");
    }
    let meant = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(|one| one == AUDIENCE),
        _ => text("aud") == AUDIENCE || text("aud") == endpoint,
    };
    if !meant {
        return Err("Please check the 'aud' claim.");
    }
    let ends = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    if ends <= now || ends > now + LIFE {
        return Err("Please check the 'exp' claim.");
    }
    if claims.get("nbf").and_then(Value::as_i64).is_some_and(|begins| begins > now) {
        return Err("Please check the 'nbf' claim.");
    }
    let jti = text("jti");
    seen.0.retain(|_, ends| *ends > now);
    if !JTI.contains(&jti.len()) || seen.0.contains_key(jti) || seen.0.len() >= MAX_SEEN {
        return Err("Please check the 'jti' claim. It must be unique.");
    }
    seen.0.insert(jti.to_owned(), ends);
    match (text("box_sub_type"), text("sub")) {
        (kind @ ("enterprise" | "user"), id) if !id.is_empty() => {
            Ok((kind.to_owned(), id.to_owned()))
        }
        _ => Err("Please check the 'sub' claim."),
    }
}
