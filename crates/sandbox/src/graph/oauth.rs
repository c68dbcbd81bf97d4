//! Sign-in: the authorization and token endpoints of the Microsoft identity platform, version 2.0.

use std::time::Duration;

use axum::response::{IntoResponse as _, Json, Response};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::Face;
use super::world::tenant;
use crate::issuer::{IssuerRules, params};

/// "Refresh tokens replace themselves with a fresh token upon every use. The Microsoft identity platform
/// doesn't revoke old refresh tokens when used to fetch new access tokens" ("Refresh tokens in the
/// Microsoft identity platform"). Without `offline_access` there is none.
pub(super) fn rules(title: &'static str) -> IssuerRules {
    IssuerRules {
        title,
        access_life: Duration::from_secs(3_600),
        rotates: true,
        grace: Duration::from_secs(24 * 3_600),
        offline: Some(("scope", "offline_access")),
        token_prefix: "EwB",
    }
}

pub(super) fn serve(
    face: &Face,
    asked: &str,
    endpoint: &str,
    method: &Method,
    headers: &HeaderMap,
    query: &str,
    form: &str,
) -> Response {
    let own = tenant();
    let known = if face.personal {
        matches!(asked, "common" | "consumers")
    } else {
        matches!(asked, "common" | "organizations" | "example.com") || asked == own
    };
    if !known {
        return refusal("invalid_request", &format!("AADSTS90002: Tenant '{asked}' not found."));
    }
    match (method, endpoint) {
        (&Method::GET, "authorize") => face.issuer.consent(query),
        (&Method::POST, "authorize") => face.issuer.decide(form),
        (&Method::POST, "token") => {
            let given = params(form);
            let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
            if text("grant_type") != "client_credentials" {
                return face.issuer.token(headers, form);
            }
            let specific = asked == own || asked == "example.com";
            if face.personal || !specific {
                return refusal(
                    "invalid_request",
                    "AADSTS900382: A tenant-specific endpoint is needed for this grant.",
                );
            }
            if !text("scope").ends_with("/.default") {
                return refusal(
                    "invalid_scope",
                    "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope value with /.default.",
                );
            }
            face.issuer.token(headers, form)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn refusal(error: &str, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error, "error_description": why})))
        .into_response()
}
