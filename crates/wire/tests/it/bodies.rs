//! Bodies that break off, stall or go wrong on the caller's side.

use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::any;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::Method;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{Body, Error};

use crate::house::{house, serve, serve_bytes};

#[tokio::test]
async fn an_answer_that_ends_too_early_is_no_answer() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"[..],
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"[..],
    ] {
        let url = serve_bytes(answer).await;
        let answer = house(&url).send(Request::new("get", Method::GET, url)).await.unwrap();
        let error = answer.bytes().await.unwrap_err();
        assert_eq!(error.kind, Kind::Broken, "{}", error.message);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_broken() {
    let url = serve_bytes(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let post = Request::new("post", Method::POST, url.clone());
    assert_eq!(house(&url).send(post).await.unwrap_err().kind, Kind::Broken);
}

#[tokio::test]
async fn an_answer_that_stalls_is_given_up() {
    let router = Router::new().fallback(any(|| async {
        let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"a")) });
        AxumBody::from_stream(first.chain(stream::pending()))
    }));
    let url = serve(router).await;
    let answer = house(&url).send(Request::new("get", Method::GET, url)).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap_err().kind, Kind::Timeout);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_the_callers_failure() {
    let url = serve(Router::new().fallback(any(|body: Bytes| async move { body }))).await;
    let pieces =
        stream::iter([Ok(Bytes::from_static(b"abc")), Err(Error::new(Kind::Body, "gone"))]);
    let put = Request::new("put", Method::PUT, url.clone()).stream(Body::new(pieces, Some(100)));
    assert_eq!(house(&url).send(put).await.unwrap_err().kind, Kind::Body);
    let short = Body::new(stream::iter([Ok(Bytes::from_static(b"abc"))]), Some(100));
    let put = Request::new("put", Method::PUT, url.clone()).stream(short);
    assert_eq!(house(&url).send(put).await.unwrap_err().kind, Kind::Body);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let url = serve(Router::new().fallback(any(|body: Bytes| async move { body }))).await;
    let first = stream::once(async { Ok(Bytes::from_static(b"a")) });
    let body = Body::new(first.chain(stream::pending()), None);
    let put = Request::new("put", Method::PUT, url.clone()).stream(body);
    let sent = tokio::time::timeout(Duration::from_secs(5), house(&url).send(put)).await.unwrap();
    assert_eq!(sent.unwrap_err().kind, Kind::Timeout);
}

#[tokio::test]
async fn streams_go_through_whole_with_and_without_a_length() {
    let url = serve(Router::new().fallback(any(|body: Bytes| async move { body }))).await;
    for len in [Some(3_000), None] {
        let pieces = stream::iter((0..3).map(|_| Ok(Bytes::from(vec![7; 1_000]))));
        let put = Request::new("put", Method::PUT, url.clone()).stream(Body::new(pieces, len));
        let answer = house(&url).send(put).await.unwrap();
        assert_eq!(answer.bytes().await.unwrap().len(), 3_000);
    }
}
