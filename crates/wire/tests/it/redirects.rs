//! Where a request may go, and with what.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use http::Method;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_wire::SystemLookup;
use url::Url;

use crate::house::{Changing, house, serve, wire_with};

const SHORT: Duration = Duration::from_secs(5);

async fn echo_credential(headers: HeaderMap) -> String {
    headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_address_is_refused() {
    for target in [
        "http://169.254.169.254/latest/",
        "http://[::1]:80/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ] {
        let router =
            Router::new().route("/", get(move || async move { Redirect::temporary(target) }));
        let url = serve(router).await;
        let wire = wire_with(&["127.0.0.1"], Arc::new(SystemLookup));
        let error = wire.fetch(url, SHORT).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Guarded | Kind::Invalid), "{target}: {}", error.message);
    }
}

#[tokio::test]
async fn the_address_that_is_connected_to_is_the_one_that_was_checked() {
    // The first answer would be fine; the connection is made with what that one answer said.
    let lookup =
        Changing(Mutex::new(vec!["127.0.0.1".parse().unwrap(), "203.0.114.1".parse().unwrap()]));
    let wire = wire_with(&[], Arc::new(lookup));
    let url: Url = "http://changing.example:9/".parse().unwrap();
    // Whether anyone answers there does not matter here.
    let first = wire.fetch(url, Duration::from_millis(300)).await;
    assert!(first.err().is_none_or(|error| error.kind != Kind::Guarded));
    let elsewhere: Url = "http://changing.example:10/".parse().unwrap();
    let second = wire.fetch(elsewhere, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(second.kind, Kind::Guarded, "{}", second.message);
}

#[tokio::test]
async fn endless_redirects_end() {
    let url = serve(Router::new().route("/", get(|| async { Redirect::temporary("/") }))).await;
    let wire = wire_with(&["127.0.0.1"], Arc::new(SystemLookup));
    assert_eq!(wire.fetch(url, SHORT).await.unwrap_err().kind, Kind::Broken);
}

#[tokio::test]
async fn a_credential_goes_to_its_own_origin_only() {
    let other = serve(Router::new().route("/", get(echo_credential))).await;
    let elsewhere = other.clone();
    let router = Router::new()
        .route(
            "/away",
            get(move || async move { Redirect::temporary(elsewhere.as_str()).into_response() }),
        )
        .route("/here", get(|| async { Redirect::temporary("/") }))
        .route("/", get(echo_credential));
    let own = serve(router).await;
    let cx = house(&own);
    let ask = |path: &str| cx.send(Request::new("get", Method::GET, own.join(path).unwrap()));
    assert_eq!(ask("/here").await.unwrap().bytes().await.unwrap(), "Bearer secret");
    assert_eq!(ask("/away").await.unwrap().bytes().await.unwrap(), "");
    let error = cx.send(Request::new("get", Method::GET, other)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
}
