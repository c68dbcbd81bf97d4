//! Where services push to: `/v1/push/{service}` and, for channels that we asked for, `/v1/push/{service}/{channel}`.
//!
//! Services count a slow answer against every account behind the address, so nothing happens here but
//! checking who it is from and noting where to look.

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use secrecy::SecretString;
use tramontane_accounts::upstream::Grants;
use tramontane_connector::push::{Inbound, MAX_PUSH_BYTES};
use tramontane_feeds::{Arrived, Feeds, SigningKeys};
use tramontane_model::{Clock as _, SystemClock};

/// The routes.
pub fn router(feeds: Feeds) -> Router {
    Router::new()
        .route("/v1/push/{service}", any(to_client))
        .route("/v1/push/{service}/{channel}", any(to_channel))
        .with_state(feeds)
}

async fn to_client(
    State(feeds): State<Feeds>,
    Path(service): Path<String>,
    request: Request,
) -> Response {
    take(&feeds, &service, None, request).await
}

async fn to_channel(
    State(feeds): State<Feeds>,
    Path((service, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    take(&feeds, &service, Some(&channel), request).await
}

async fn take(feeds: &Feeds, service: &str, channel: Option<&str>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_PUSH_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let inbound = Inbound {
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        now: SystemClock.now(),
    };
    match feeds.arrived(service, channel, &inbound).await {
        Ok(Arrived::Taken) => StatusCode::OK.into_response(),
        Ok(Arrived::Refused) => StatusCode::FORBIDDEN.into_response(),
        Ok(Arrived::Handshake(reply)) => {
            let answer = Response::builder()
                .status(reply.status)
                .header(header::CONTENT_TYPE, reply.media_type)
                .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
                .body(Body::from(reply.body));
            answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        Err(error) => {
            // The service sends it again later.
            tracing::warn!(service, %error, "a push could not be taken");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// The secrets of the operator's OAuth clients: what Dropbox signs with.
pub struct ClientSecrets(pub Grants);

#[async_trait]
impl SigningKeys for ClientSecrets {
    async fn of(&self, service: &str) -> Vec<SecretString> {
        self.0.operator_secrets(service)
    }
}
