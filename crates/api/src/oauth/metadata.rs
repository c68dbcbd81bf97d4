//! What this OAuth server is (RFC 8414), and the page of the old entry.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer;
use crate::call::Call;
use crate::connect::{Frame, Tone};
use crate::problem::Answer;
use crate::query::Query;
use crate::state::App;

/// The server's metadata (RFC 8414, section 2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OauthServer {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    response_types_supported: [&'static str; 2],
    response_modes_supported: [&'static str; 2],
    grant_types_supported: [&'static str; 3],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    code_challenge_methods_supported: [&'static str; 1],
    ui_locales_supported: [&'static str; 6],
}

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) async fn retrieve(call: Call) -> Answer {
    let base = &call.base;
    answer::ok(&OauthServer {
        issuer: base.clone(),
        authorization_endpoint: format!("{base}/v1/oauth"),
        token_endpoint: format!("{base}/v1/oauth/token"),
        revocation_endpoint: format!("{base}/v1/oauth/revoke"),
        introspection_endpoint: format!("{base}/v1/oauth/introspect"),
        response_types_supported: ["code", "token"],
        response_modes_supported: ["query", "fragment"],
        grant_types_supported: ["authorization_code", "implicit", "refresh_token"],
        token_endpoint_auth_methods_supported: [
            "client_secret_post",
            "client_secret_basic",
            "none",
        ],
        revocation_endpoint_auth_methods_supported: [
            "client_secret_post",
            "client_secret_basic",
            "none",
        ],
        introspection_endpoint_auth_methods_supported: [
            "client_secret_post",
            "client_secret_basic",
        ],
        code_challenge_methods_supported: ["S256"],
        ui_locales_supported: ["en", "de", "fr", "es", "ja", "zh-Hant"],
    })
}

/// `GET /services`, `/services/{name}`: the entry of an API that is not served (D1).
pub(crate) async fn gone(
    State(app): State<App>,
    call: Call,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let frame = Frame::new(&app, &call, &headers, &query);
    let detail = format!(
        "This entry belongs to version 0 of the API, which is not served. Send users to {}/v1/oauth.",
        call.base
    );
    let words = frame.words;
    let (title, text) = (words.bad_request_title, words.bad_request_text);
    Ok(frame.notice_with(StatusCode::GONE, Tone::Plain, title, text, Some(&detail)))
}
