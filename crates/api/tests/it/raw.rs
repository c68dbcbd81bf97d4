//! Requests passed through to the service (wire API, section 11).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tokio::net::TcpStream;
use tramontane_api::ApiLimits;
use tramontane_connector::descriptor::{Descriptor, Field};
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{
    Account, Body, Category, Connector, Cx, Error, Identity, Kind, Lent, Permit, Repeat, Result,
};
use tramontane_model::{Clock, SystemClock};
use url::Url;

use crate::house::House;

/// A service that speaks HTTP and nothing else.
struct Plain;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "plain",
    friendly_name: "Plain",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[Field::text("x", "X", "Nothing.").optional()],
    documentation: "https://example.com",
};

#[async_trait]
impl Connector for Plain {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, _: &Cx) -> Result<Identity> {
        Ok(Identity { id: "x".into(), display: "x".into() })
    }

    fn base_url(&self, _: &Account) -> Result<Option<Url>> {
        Ok(Url::parse("https://api.example.com/v2/").ok())
    }
}

#[derive(Debug)]
struct Seen {
    method: Method,
    url: String,
    headers: HeaderMap,
    extra: HeaderMap,
    body: String,
}

/// Answers every call with what it was.
#[derive(Default)]
struct Echo(Mutex<Vec<Seen>>);

#[async_trait]
impl Lent for Echo {
    async fn send(&self, cx: &Cx, request: Request) -> Result<Response> {
        let url = request.url.clone();
        let body = match request.payload {
            Payload::Bytes(bytes) => bytes,
            Payload::Stream(body) => body.collect(1 << 20).await?,
        };
        self.0.lock().unwrap().push(Seen {
            method: request.method,
            url: url.to_string(),
            headers: request.headers,
            extra: (*cx.extra_headers).clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", "4"),
            ("x-custom", "kept"),
            ("connection", "close"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "https://evil.example"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let body = Body::from_bytes("tea!");
        Ok(Response { status: StatusCode::IM_A_TEAPOT, headers, body, url })
    }

    async fn connect(&self, _: &Cx, _: &str, _: u16) -> Result<TcpStream> {
        Err(Error::new(Kind::Guarded, "No."))
    }

    async fn permit(&self, _: &Cx, _: &'static str) -> Result<Permit> {
        Ok(Permit::holding(()))
    }

    fn after(
        &self,
        _: &Cx,
        _: &'static str,
        _: u32,
        _: Repeat,
        _: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        None
    }

    fn clock(&self) -> &dyn Clock {
        &SystemClock
    }
}

async fn house() -> (House, Arc<Echo>, String) {
    let echo = Arc::new(Echo::default());
    let house = House::built(ApiLimits::default(), vec![Arc::new(Plain)], Some(echo.clone())).await;
    let account = house.account_of("plain", "one").await;
    (house, echo, format!("/v1/accounts/{account}/raw"))
}

#[tokio::test]
async fn the_services_answer_comes_back_as_it_is() {
    let (house, echo, path) = house().await;
    let ask = house.post(&format!("{path}?b=2")).key().header("x-kloudless-raw-uri", "/things?a=1");
    let ask = ask.header("x-kloudless-raw-headers", r#"{"X-Thing":"7"}"#);
    let reply = ask.header("content-type", "application/json").body("{}").send().await;
    assert_eq!((reply.status.as_u16(), reply.text()), (418, "tea!".into()));
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("x-custom"), "kept");
    assert_eq!(reply.header("tramontane-upstream"), "true");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!((reply.header("connection"), reply.header("set-cookie")), ("", ""));
    let seen = echo.0.lock().unwrap().pop().unwrap();
    assert_eq!((seen.method, seen.body.as_str()), (Method::GET, ""));
    assert_eq!(seen.url, "https://api.example.com/v2/things?a=1&b=2");
    assert_eq!(seen.extra["x-thing"], "7");
    assert!(!seen.headers.contains_key("authorization"), "the signer's, not the caller's");
}

#[tokio::test]
async fn bodies_go_along_but_for_get_and_an_empty_delete() {
    let (house, echo, path) = house().await;
    for (method, body, sent) in [
        ("GET", "{\"a\":1}", ""),
        ("HEAD", "x", ""),
        ("DELETE", "{}", ""),
        ("DELETE", " {} ", ""),
        ("DELETE", "{\"a\":1}", "{\"a\":1}"),
        ("POST", "{}", "{}"),
        ("post", "raw bytes", "raw bytes"),
        ("PATCH", "", ""),
    ] {
        let ask =
            house.post(&path).key().header("x-kloudless-raw-uri", "https://api.example.com/v2/x");
        let ask = ask.header("x-kloudless-raw-method", method).header("content-type", "text/x");
        assert_eq!(ask.body(body.to_owned()).send().await.status, 418, "{method}");
        let seen = echo.0.lock().unwrap().pop().unwrap();
        assert_eq!(seen.body, sent, "{method} {body}");
        assert_eq!(seen.headers.contains_key("content-type"), !sent.is_empty(), "{method} {body}");
    }
    let long = "x".repeat(100_000);
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(long.clone()))]);
    let ask = house.post(&path).key().header("x-kloudless-raw-uri", "/x");
    let ask = ask.header("x-kloudless-raw-method", "PUT");
    ask.body(axum::body::Body::from_stream(pieces)).send().await;
    assert_eq!(echo.0.lock().unwrap().pop().unwrap().body, long);
}

#[tokio::test]
async fn other_hosts_and_bad_headers_are_refused() {
    let (house, echo, path) = house().await;
    for uri in [
        "",
        "https://evil.example/v2/x",
        "http://api.example.com/v2/x",
        "https://api.example.com:8443/x",
        "https://api.example.com@evil.example/",
        "//evil.example/x",
        "x",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1/",
    ] {
        let reply = house.post(&path).key().header("x-kloudless-raw-uri", uri).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{uri}");
    }
    for headers in ["[]", "x", r#"{"Authorization":"x"}"#, r#"{"Host":"x"}"#, r#"{"a":1}"#] {
        let ask = house.post(&path).key().header("x-kloudless-raw-uri", "/x");
        let reply = ask.header("x-kloudless-raw-headers", headers).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{headers}");
    }
    for method in ["CONNECT", "TRACE", "a b"] {
        let ask = house.post(&path).key().header("x-kloudless-raw-uri", "/x");
        let reply = ask.header("x-kloudless-raw-method", method).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{method}");
    }
    assert!(echo.0.lock().unwrap().is_empty(), "nothing went out");
}

#[tokio::test]
async fn services_without_http_or_files_say_so() {
    let (house, _, path) = house().await;
    let memory = house.account("one").await;
    let ask = house.post(&format!("/v1/accounts/{memory}/raw")).key();
    let reply = ask.header("x-kloudless-raw-uri", "/x").send().await;
    assert_eq!(reply.problem(), (501, "not_implemented".into()));
    let base = path.trim_end_matches("/raw");
    for tail in ["storage/folders/root", "storage/search?q=x", "storage/recent", "storage/trash"] {
        let reply = house.get(&format!("{base}/{tail}")).key().send().await;
        assert_eq!(reply.problem(), (501, "not_implemented".into()), "{tail}");
    }
    let full = house.get(&format!("{base}?retrieve_full=true")).key().send().await.json();
    assert_eq!(full["properties"]["capabilities"]["can_upload_file"]["value"], false);
    let all = house.get(&format!("{base}/capabilities")).key().send().await.json();
    assert_eq!(all["capabilities"]["storage.files.copy"]["support"], json!("unsupported"));
}
