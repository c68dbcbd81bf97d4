//! The sandbox's own API, below `/_sandbox`: faults, lost and doubled pushes, revoked grants.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::faults::FaultRule;
use crate::people::find;
use crate::push::Post;
use crate::world::Sandbox;

pub(crate) fn router(sandbox: Sandbox) -> axum::Router {
    axum::Router::new()
        .route("/faults", get(list).post(add).delete(clear))
        .route("/pushes", post(pushes))
        .route("/{service}/grants", post(grant))
        .route("/{service}/grants/{person}", axum::routing::delete(revoke))
        .route("/{service}/expire", post(expire))
        .with_state(sandbox)
}

async fn list(State(sandbox): State<Sandbox>) -> Response {
    Json(json!({"faults": sandbox.faults().list()})).into_response()
}

async fn add(State(sandbox): State<Sandbox>, Json(rule): Json<FaultRule>) -> Response {
    sandbox.faults().add(rule);
    StatusCode::NO_CONTENT.into_response()
}

async fn clear(State(sandbox): State<Sandbox>) -> Response {
    sandbox.faults().clear();
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
struct PostAsked {
    #[serde(default)]
    lose: u32,
    #[serde(default)]
    double: u32,
}

async fn pushes(State(sandbox): State<Sandbox>, Json(asked): Json<PostAsked>) -> Response {
    sandbox.pushes().set_post(Post { lose: asked.lose, double: asked.double });
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
struct GrantAsked {
    person: String,
    #[serde(default)]
    scope: String,
}

/// Tokens without the consent page, for tests in other languages.
async fn grant(
    State(sandbox): State<Sandbox>,
    Path(service): Path<String>,
    Json(asked): Json<GrantAsked>,
) -> Response {
    match sandbox.grant_with(&service, &asked.person, &asked.scope) {
        Some(grant) => Json(json!({
            "access_token": grant.access_token, "refresh_token": grant.refresh_token,
        }))
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn revoke(
    State(sandbox): State<Sandbox>,
    Path((service, person)): Path<(String, String)>,
) -> Response {
    match (sandbox.issuer(&service), find(&person)) {
        (Some(issuer), Some(person)) => {
            issuer.revoke_person(person);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn expire(State(sandbox): State<Sandbox>, Path(service): Path<String>) -> Response {
    match sandbox.issuer(&service) {
        Some(issuer) => {
            issuer.expire_access();
            StatusCode::NO_CONTENT.into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
