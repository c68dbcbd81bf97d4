//! The API on a real socket: long heads, kept connections, continued uploads, HTTP/2, draining.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tramontane_api::listen::serve;

use crate::house::House;

async fn listening(house: &House) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = serve(listener, house.front.clone(), stop.clone());
    let served = tokio::spawn(async move { serving.await.unwrap() });
    (address, stop, served)
}

/// Sends text and reads one answer with a `Content-Length`.
async fn ask(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the connection ended: {text}");
        read.extend_from_slice(&piece[..count]);
    }
}

#[tokio::test]
async fn a_request_line_of_32_kib_is_read() {
    let house = House::new().await;
    let account = house.account("one").await;
    let (address, ..) = listening(&house).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let id = "A".repeat(8_000);
    let filler = "x".repeat(32 * 1024 - 9_000);
    let text = format!(
        "GET /v1/accounts/{account}/storage/files/file_{id}?{filler} HTTP/1.1\r\nHost: a\r\n\
         Authorization: APIKey {}\r\n\r\n",
        house.api_key
    );
    let reply = ask(&mut stream, &text).await;
    assert!(reply.starts_with("HTTP/1.1 404"), "{reply}");
    assert!(reply.contains("\"error_code\":\"not_found\""), "{reply}");
    let again = format!(
        "GET /v1/accounts HTTP/1.1\r\nHost: a\r\nAuthorization: APIKey {}\r\n\r\n",
        house.api_key
    );
    assert!(ask(&mut stream, &again).await.starts_with("HTTP/1.1 200"), "the connection is kept");
}

#[tokio::test]
async fn t16_bare_quotes_in_a_query_are_read() {
    let house = House::new().await;
    house.account("x\"y").await;
    let (address, ..) = listening(&house).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        for (query, total) in
            [("account=x\"y", 1), ("account=x!y", 0), ("account=x%22y&z={\"|}", 1)]
        {
            let text = format!(
                "GET /v1/accounts?{query} HTTP/1.1\r\nHost: a\r\nAuthorization: APIKey {}\r\n\r\n",
                house.api_key
            );
            let reply = ask(&mut stream, &text).await;
            assert!(reply.contains(&format!("\"total\":{total}")), "{query}: {reply}");
        }
    }
}

#[tokio::test]
async fn uploads_are_continued_and_chunked_bodies_read() {
    let house = House::new().await;
    let account = house.account("one").await;
    let (address, ..) = listening(&house).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = |name: &str, more: &str| {
        let metadata = json!({"parent_id": "root", "name": name});
        format!(
            "POST /v1/accounts/{account}/storage/files HTTP/1.1\r\nHost: a\r\n\
             Authorization: APIKey {}\r\nX-Kloudless-Metadata: {metadata}\r\n{more}\r\n\r\n",
            house.api_key
        )
    };
    let first = ask(&mut stream, &head("a.txt", "Expect: 100-continue\r\nContent-Length: 3")).await;
    assert!(first.starts_with("HTTP/1.1 100"), "{first}");
    let made = ask(&mut stream, "abc").await;
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let chunked = head("b.txt", "Transfer-Encoding: chunked") + "2\r\nde\r\n0\r\n\r\n";
    let made = ask(&mut stream, &chunked).await;
    assert!(made.starts_with("HTTP/1.1 201") && made.contains("\"size\":2"), "{made}");
}

#[tokio::test]
async fn http2_is_spoken_without_tls() {
    let house = House::new().await;
    let (address, ..) = listening(&house).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The preface of HTTP/2 and an empty SETTINGS frame: the server answers with its own.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame");
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_ends() {
    let house = House::new().await;
    let (address, stop, served) = listening(&house).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = "GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(ask(&mut stream, text).await.starts_with("HTTP/1.1 200"));
    stop.cancel();
    served.await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0, "the connection was closed");
}
