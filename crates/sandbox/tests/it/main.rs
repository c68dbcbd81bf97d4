//! What the simulated services do, asked through their router; no server, and a clock that tests turn.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;
use tramontane_model::Timestamp;
use tramontane_model::time::ManualClock;
use tramontane_sandbox::{Config, Sandbox};

mod box_assertions;
mod dropbox_lag;
mod gdrive_lag;

/// Ana at one service.
struct Bench {
    clock: ManualClock,
    router: axum::Router,
    service: &'static str,
    token: String,
}

impl Bench {
    fn of(service: &'static str) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
        let sandbox = Sandbox::new(&Config { clock: Arc::new(clock.clone()), seed: 7 });
        let token = sandbox.grant(service, "ana").unwrap().access_token;
        Self { clock, router: sandbox.router(), service, token }
    }

    /// A request to the service, by Ana.
    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/{}/{path}", self.service))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn quirks(&self, quirks: Value) {
        let request = self.request(Method::POST, "_quirks").body(quirks.to_string().into());
        assert_eq!(self.send(request.unwrap()).await.0, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_quirk_that_there_is_not_is_refused() {
    for service in ["gdrive", "dropbox"] {
        let bench = Bench::of(service);
        for body in [r#"{"search_lags": 1}"#, r#"{"search_lag": -1}"#, "late"] {
            let request = bench.request(Method::POST, "_quirks").body(body.into()).unwrap();
            assert_eq!(bench.send(request).await.0, StatusCode::BAD_REQUEST, "{service}: {body}");
        }
    }
}
