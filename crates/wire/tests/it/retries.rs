//! What is tried again, and what never.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::any;
use http::Method;
use tokio::time::Instant;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{Body, Repeat};

use crate::house::{house, house_within, serve};

/// A server that refuses `refusals` times, then answers 200.
async fn reluctant(
    refusals: u32,
    status: StatusCode,
    wait: Option<&'static str>,
) -> (url::Url, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new().fallback(any(move |body: String| {
        let n = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if n >= refusals {
                return body.into_response();
            }
            match wait {
                Some(wait) => (status, [("retry-after", wait)]).into_response(),
                None => status.into_response(),
            }
        }
    }));
    (serve(router).await, asked)
}

#[tokio::test]
async fn honours_the_wait_that_the_service_names() {
    let (url, asked) = reluctant(1, StatusCode::TOO_MANY_REQUESTS, Some("1")).await;
    let cx = house(&url);
    let begun = Instant::now();
    let answer = cx.send(Request::new("get", Method::GET, url)).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn gives_the_refusal_back_when_the_wait_is_beyond_the_deadline() {
    let (url, asked) = reluctant(9, StatusCode::TOO_MANY_REQUESTS, Some("120")).await;
    let answer = house(&url).send(Request::new("get", Method::GET, url)).await.unwrap();
    assert_eq!(answer.status, 429);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn repeats_reads_after_a_server_error_and_writes_never() {
    let (url, asked) = reluctant(1, StatusCode::BAD_GATEWAY, None).await;
    let answer = house(&url).send(Request::new("get", Method::GET, url)).await.unwrap();
    assert_eq!((answer.status.as_u16(), asked.load(Ordering::SeqCst)), (200, 2));

    let (url, asked) = reluctant(1, StatusCode::BAD_GATEWAY, None).await;
    let answer = house(&url).send(Request::new("post", Method::POST, url)).await.unwrap();
    assert_eq!((answer.status.as_u16(), asked.load(Ordering::SeqCst)), (502, 1));
}

#[tokio::test]
async fn repeats_a_write_that_the_service_turned_away_unread() {
    let (url, asked) = reluctant(1, StatusCode::SERVICE_UNAVAILABLE, None).await;
    let post = Request::new("post", Method::POST, url.clone()).bytes("content");
    let answer = house(&url).send(post).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "content");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn never_sends_a_stream_twice() {
    let (url, asked) = reluctant(1, StatusCode::SERVICE_UNAVAILABLE, None).await;
    let put = Request::new("put", Method::PUT, url.clone()).stream(Body::from_bytes("content"));
    let answer = house(&url).send(put.repeat(Repeat::Yes)).await.unwrap();
    assert_eq!((answer.status.as_u16(), asked.load(Ordering::SeqCst)), (503, 1));
}

#[tokio::test]
async fn a_service_that_does_not_answer_costs_the_deadline_and_no_more() {
    let router = Router::new().fallback(any(|| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }));
    let url = serve(router).await;
    let cx = house_within(&url, Duration::from_millis(300));
    let error = cx.send(Request::new("get", Method::GET, url)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let url: url::Url = "http://127.0.0.1:9/".parse().unwrap();
    let cx = house_within(&url, Duration::from_millis(500));
    let error = cx.send(Request::new("get", Method::GET, url)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("127.0.0.1"), "{}", error.message);
}

#[tokio::test]
async fn what_a_service_tells_of_its_budget_is_noted() {
    let router = Router::new().fallback(any(|uri: axum::http::Uri| async move {
        let left = uri.path().trim_start_matches('/').to_owned();
        [
            ("ratelimit-limit", "100".to_owned()),
            ("ratelimit-remaining", left),
            ("ratelimit-reset", "7".to_owned()),
        ]
    }));
    let url = serve(router).await;
    let cx = house(&url);
    assert_eq!(cx.told.budget(), None);
    for left in ["12", "40"] {
        cx.send(Request::new("get", Method::GET, url.join(left).unwrap())).await.unwrap();
    }
    let budget = cx.told.budget().unwrap();
    assert_eq!((budget.limit, budget.remaining, budget.reset), (100, 12, 7));
}
