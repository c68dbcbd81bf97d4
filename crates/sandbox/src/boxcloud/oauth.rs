//! Box's OAuth endpoints: consent, codes, single-use refresh tokens, and server authentication by
//! client credentials or a signed assertion.
//!
//! <https://developer.box.com/reference/post-oauth2-token/>

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Json, Response};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::issuer::{CLIENT_ID, CLIENT_SECRET, Params, params};
use crate::people::{PEOPLE, Person};

use super::Cloud;
use super::assertion;
use super::store::{AUTOMATION, ENTERPRISE};

/// The grant type of assertions (RFC 7523).
const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) async fn consent(State(cloud): State<Cloud>, RawQuery(query): RawQuery) -> Response {
    cloud.issuer.consent(&query.unwrap_or_default())
}

pub(super) async fn decide(State(cloud): State<Cloud>, form: String) -> Response {
    cloud.issuer.decide(&form)
}

pub(super) async fn token(
    State(cloud): State<Cloud>,
    headers: HeaderMap,
    form: String,
) -> Response {
    let asked = params(&form);
    let kind = asked.get("grant_type").map(String::as_str);
    let by_server = matches!(kind, Some("client_credentials" | JWT));
    if by_server && !is_ours(&asked) {
        return refusal("invalid_client", "The client credentials are invalid");
    }
    let subject = match kind {
        Some("client_credentials") => {
            let kind = asked.get("box_subject_type").cloned().unwrap_or_default();
            let id = asked.get("box_subject_id").cloned().unwrap_or_default();
            (kind, id)
        }
        Some(JWT) => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let endpoint = format!("http://{}/box/oauth2/token", host.unwrap_or_default());
            let assertion = asked.get("assertion").map(String::as_str).unwrap_or_default();
            let mut store = cloud.store();
            let now = store.clock.now().seconds();
            match assertion::check(assertion, &endpoint, now, &mut store.assertions) {
                Ok(subject) => subject,
                Err(why) => return refusal("invalid_grant", why),
            }
        }
        _ => return in_box_words(cloud.issuer.token(&headers, &form)).await,
    };
    let Some(person) = subject_of(&cloud, &subject) else {
        return refusal("invalid_grant", "Grant credentials are invalid");
    };
    let grant = cloud.issuer.grant(person, "root_readwrite manage_managed_users manage_groups");
    // Server authentication gives no refresh token.
    Json(json!({
        "access_token": grant.access_token, "expires_in": 3_600, "token_type": "bearer",
        "restricted_to": [],
    }))
    .into_response()
}

/// The answer to a code or refresh token, as Box writes it.
async fn in_box_words(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if let Some(members) = told.as_object_mut().filter(|members| members.contains_key("token_type"))
    {
        members.insert("token_type".into(), "bearer".into());
        members.insert("restricted_to".into(), json!([]));
        members.remove("scope");
    }
    (parts.status, [(header::CACHE_CONTROL, "no-store")], Json(told)).into_response()
}

/// `enterprise`: the service account; `user`: a member of the enterprise.
fn subject_of(cloud: &Cloud, (kind, id): &(String, String)) -> Option<&'static Person> {
    match kind.as_str() {
        "enterprise" => (*id == ENTERPRISE.to_string()).then_some(&AUTOMATION),
        "user" => {
            let store = cloud.store();
            PEOPLE.iter().find(|one| store.user_of(one).is_some_and(|own| own.to_string() == *id))
        }
        _ => None,
    }
}

fn is_ours(asked: &Params) -> bool {
    asked.get("client_id").is_some_and(|id| id == CLIENT_ID)
        && asked.get("client_secret").is_some_and(|secret| secret == CLIENT_SECRET)
}

fn refusal(error: &str, why: &str) -> Response {
    let body = json!({"error": error, "error_description": why});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Ends a grant: `200` with nothing in it.
pub(super) async fn revoke(State(cloud): State<Cloud>, form: String) -> Response {
    let asked = params(&form);
    if !is_ours(&asked) {
        return refusal("invalid_client", "The client credentials are invalid");
    }
    let known = asked.get("token").is_some_and(|token| cloud.issuer.revoke(token));
    match known {
        true => StatusCode::OK.into_response(),
        false => refusal("invalid_token", "The token is not known"),
    }
}
