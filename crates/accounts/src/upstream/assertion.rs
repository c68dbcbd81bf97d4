//! Signed assertions in place of secrets and of users' consent (RFC 7523).

use serde_json::{Map, Value, json};
use tramontane_connector::{Error, Kind};
use tramontane_model::Timestamp;
use tramontane_vault::{Entropy, Signer, random_id};
use url::Url;

/// What the token request calls a client's assertion.
pub(super) const CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The grant type of a service account's assertion.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good, in seconds. It is used at once; servers with a clock that is off by
/// minutes take it all the same.
const LIFE: i64 = 600;

/// How far ahead of the server our clock may be, in seconds.
const SKEW: i64 = 60;

/// A client's proof of itself (RFC 7523 section 2.2).
///
/// # Errors
/// `Invalid` when the key does not sign.
pub(super) fn of_client(
    client: &str,
    key: &str,
    endpoint: &Url,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<String, Error> {
    let claims = json!({
        "iss": client, "sub": client, "aud": endpoint.as_str(), "jti": random_id(entropy, 16),
        "iat": now.seconds(), "nbf": now.seconds() - SKEW, "exp": now.seconds() + LIFE,
    });
    sign(&read(key)?, claims)
}

/// What a service account asks for.
pub(super) struct Granting<'a> {
    pub(super) client: &'a str,
    pub(super) key: &'a str,
    pub(super) endpoint: &'a Url,
    /// Whom to act for.
    pub(super) subject: Option<&'a str>,
    pub(super) scopes: &'a [String],
    pub(super) now: Timestamp,
}

/// The assertion that is a grant by itself (RFC 7523 section 2.1), with the scopes in it as Google
/// wants them (its "OAuth 2.0 for server to server applications").
///
/// # Errors
/// `Invalid` when the key does not sign.
pub(super) fn of_service_account(asked: &Granting<'_>) -> Result<String, Error> {
    let signer = read(asked.key)?;
    let issuer = signer.issuer().unwrap_or(asked.client).to_owned();
    let now = asked.now.seconds();
    let mut claims = json!({
        "iss": issuer, "aud": asked.endpoint.as_str(), "iat": now, "exp": now + LIFE,
    });
    if let Value::Object(claims) = &mut claims {
        if !asked.scopes.is_empty() {
            claims.insert("scope".into(), asked.scopes.join(" ").into());
        }
        if let Some(subject) = asked.subject {
            claims.insert("sub".into(), subject.into());
        }
    }
    sign(&signer, claims)
}

fn read(key: &str) -> Result<Signer, Error> {
    Signer::parse(key).map_err(|rule| {
        Error::new(Kind::Invalid, format!("The OAuth client's secret cannot be used: {rule}."))
    })
}

fn sign(signer: &Signer, claims: Value) -> Result<String, Error> {
    let empty = Map::new();
    let claims = claims.as_object().unwrap_or(&empty);
    signer.sign(claims).map_err(|rule| Error::internal(rule.to_string()))
}
