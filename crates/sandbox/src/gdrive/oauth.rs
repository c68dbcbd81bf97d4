//! Google's OAuth endpoints: consent, tokens, revocation, what a token is.
//!
//! Source: "Using OAuth 2.0 for Web Server Applications" and "for Service Accounts".

use axum::extract::{RawQuery, State as Shared};
use axum::response::{IntoResponse as _, Json, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::Google;
use super::access::number_of;
use crate::issuer::{Bearer, CLIENT_ID, params};
use crate::people::find;

/// The grant type of service accounts (RFC 7523).
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The service account of the sandbox's project, with delegation for the whole domain.
const SERVICE_ACCOUNT: &str = "tramontane@sandbox.iam.gserviceaccount.com";

/// `GET o/oauth2/v2/auth`.
pub(super) async fn consent(Shared(google): Shared<Google>, RawQuery(query): RawQuery) -> Response {
    google.0.issuer.consent(&query.unwrap_or_default())
}

/// `POST` of the consent page.
pub(super) async fn decide(Shared(google): Shared<Google>, form: String) -> Response {
    google.0.issuer.decide(&form)
}

fn refused(status: StatusCode, error: &str, why: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": why}))).into_response()
}

/// `POST token`.
pub(super) async fn token(
    Shared(google): Shared<Google>,
    headers: HeaderMap,
    form: String,
) -> Response {
    let asked = params(&form);
    if asked.get("grant_type").map(String::as_str) == Some(ASSERTION) {
        let assertion = asked.get("assertion").map(String::as_str).unwrap_or_default();
        return delegated(&google, assertion);
    }
    google.0.issuer.token(&headers, &form)
}

/// A token for a member of the domain, for whoever shows an assertion of the service account. Its
/// claims are checked; its signature is not, since the sandbox gives its own key to everyone.
fn delegated(google: &Google, assertion: &str) -> Response {
    let bad = |why| refused(StatusCode::BAD_REQUEST, "invalid_grant", why);
    let mut parts = assertion.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return bad("Invalid JWT: it must have three parts.");
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok();
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(claims) = claims else { return bad("Invalid JWT: its claims cannot be read.") };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let moment = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    let now = google.now().seconds();
    if text("iss") != SERVICE_ACCOUNT {
        return bad("Invalid grant: account not found");
    }
    if !text("aud").ends_with("/token") {
        return bad("Invalid JWT: the audience must be the token endpoint.");
    }
    let (from, until) = (moment("iat"), moment("exp"));
    if until <= now || from > now + 300 || until - from > 3_600 {
        return bad(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        );
    }
    let Some(person) = find(text("sub")) else {
        return refused(
            StatusCode::UNAUTHORIZED,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
        );
    };
    let grant = google.0.issuer.grant(person, text("scope"));
    let body = json!({
        "access_token": grant.access_token, "token_type": "Bearer", "expires_in": 3_599,
    });
    (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// `POST revoke`, with the token in the form or in the query.
pub(super) async fn revoke(
    Shared(google): Shared<Google>,
    RawQuery(query): RawQuery,
    form: String,
) -> Response {
    let token = params(&form).remove("token");
    let token = token.or_else(|| params(&query.unwrap_or_default()).remove("token"));
    match token {
        Some(token) if google.0.issuer.revoke(&token) => Json(json!({})).into_response(),
        _ => refused(StatusCode::BAD_REQUEST, "invalid_token", "Token expired or revoked"),
    }
}

fn known(google: &Google, query: Option<String>, form: &str) -> Option<Bearer> {
    let token = params(&query.unwrap_or_default()).remove("access_token");
    let token = token.or_else(|| params(form).remove("access_token")).unwrap_or_default();
    google.0.issuer.bearer_of(&token)
}

/// `GET` or `POST tokeninfo`.
pub(super) async fn token_info(
    Shared(google): Shared<Google>,
    RawQuery(query): RawQuery,
    form: String,
) -> Response {
    let Some(bearer) = known(&google, query, &form) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_token", "Invalid Value");
    };
    Json(json!({
        "azp": CLIENT_ID, "aud": CLIENT_ID, "sub": number_of(bearer.person.email, 21),
        "scope": bearer.scope, "expires_in": "3599", "email": bearer.person.email,
        "email_verified": "true", "access_type": "offline",
    }))
    .into_response()
}

/// `GET` or `POST oauth2/v2/tokeninfo`: the older form.
pub(super) async fn token_info_v2(
    Shared(google): Shared<Google>,
    RawQuery(query): RawQuery,
    form: String,
) -> Response {
    let Some(bearer) = known(&google, query, &form) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_token", "Invalid Value");
    };
    Json(json!({
        "issued_to": CLIENT_ID, "audience": CLIENT_ID, "scope": bearer.scope, "expires_in": 3_599,
        "user_id": number_of(bearer.person.email, 21), "email": bearer.person.email,
        "verified_email": true,
    }))
    .into_response()
}
