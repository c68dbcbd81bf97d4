//! Section 53 of the wire API: events as they happen, as server-sent events.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tramontane_accounts::NewApplication;
use tramontane_activity::{Action, Event};
use tramontane_api::ApiLimits;
use tramontane_api::listen::serve;
use tramontane_feeds::following::FIRST_FEED;
use tramontane_model::AccountId;

use crate::activity::{Writer, event};
use crate::house::{House, on_each_engine};

/// A stream as a client reads it.
struct Stream {
    body: Body,
    read: String,
}

/// One block of it.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
    comment: bool,
    retry: Option<String>,
}

impl Stream {
    /// Opens one; the answer's status when it is refused.
    async fn open(
        house: &House,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (StatusCode, Value)> {
        let mut request = Request::builder().method(Method::GET).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = house.front.handle(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.into_parts();
        if parts.status != 200 {
            let bytes = body.collect().await.unwrap().to_bytes();
            return Err((parts.status, serde_json::from_slice(&bytes).unwrap()));
        }
        assert_eq!(parts.headers["content-type"], "text/event-stream");
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert_eq!(parts.headers["access-control-allow-origin"], "*");
        let mut stream = Self { body, read: String::new() };
        let first = stream.block().await.unwrap();
        assert_eq!(first.retry.as_deref(), Some("2000"));
        Ok(stream)
    }

    /// With the application's key.
    async fn keyed(house: &House, path: &str) -> Self {
        let auth = format!("APIKey {}", house.api_key);
        Self::open(house, path, &[("authorization", &auth)]).await.unwrap()
    }

    /// Back again after an event.
    async fn resumed(house: &House, path: &str, last: &str) -> Self {
        let auth = format!("APIKey {}", house.api_key);
        let headers = [("authorization", auth.as_str()), ("last-event-id", last)];
        Self::open(house, path, &headers).await.unwrap()
    }

    /// The next block; `None` at the end, an error where it breaks off.
    async fn next(&mut self) -> Option<Result<Block, axum::Error>> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let mut read = Block::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        _ if line.starts_with(':') => read.comment = true,
                        Some(("id", value)) => read.id = Some(value.to_owned()),
                        Some(("event", value)) => read.event = Some(value.to_owned()),
                        Some(("data", value)) => {
                            read.data = Some(serde_json::from_str(value).unwrap())
                        }
                        Some(("retry", value)) => read.retry = Some(value.to_owned()),
                        _ => panic!("no line of an event stream: {line:?}"),
                    }
                }
                self.read = rest.to_owned();
                return Some(Ok(read));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    let bytes = frame.into_data().unwrap();
                    assert!(bytes.is_ascii());
                    self.read.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next block, comments and marks included.
    async fn block(&mut self) -> Option<Block> {
        self.next().await.map(Result::unwrap)
    }

    /// The next event.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.unwrap();
            if block.event.is_some() {
                return block;
            }
        }
    }

    /// The names of the next events.
    async fn names(&mut self, count: usize) -> String {
        let mut names = String::new();
        for _ in 0..count {
            let data = self.event().await.data.unwrap();
            names.push_str(data["metadata"]["name"].as_str().unwrap());
        }
        names
    }
}

fn path(account: AccountId) -> String {
    format!("/v1/accounts/{account}/events/stream")
}

fn beating() -> ApiLimits {
    ApiLimits { stream_beat: Duration::from_millis(20), ..ApiLimits::default() }
}

#[tokio::test]
async fn events_come_as_they_happen_and_again_from_where_a_client_was() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let writer = Writer::new(&house).await;
        writer.files(account, &["a", "b"]).await;
        let mut now = Stream::keyed(&house, &path(account)).await;
        writer.files(account, &["c"]).await;
        let block = now.event().await;
        assert_eq!(block.id.as_deref(), Some("3"));
        assert_eq!(block.event.as_deref(), Some("storage.file.added"));
        let listed = house.get(&format!("/v1/accounts/{account}/events?cursor=2")).key().send();
        assert_eq!(block.data.unwrap(), listed.await.json()["objects"][0], "the whole event");
        let mut back = Stream::resumed(&house, &path(account), "1").await;
        assert_eq!(back.names(2).await, "bc");
        writer.files(account, &["d", "e"]).await;
        assert_eq!((now.names(2).await, back.names(2).await), ("de".into(), "de".into()));
        let mut whole = Stream::keyed(&house, &format!("{}?cursor=0", path(account))).await;
        assert_eq!(whole.names(5).await, "abcde");
        // What a client saw counts for more than where its URL says that it began.
        let begun = format!("{}?cursor=0", path(account));
        assert_eq!(Stream::resumed(&house, &begun, "4").await.names(1).await, "e");
        house
    })
    .await;
}

#[tokio::test]
async fn bad_places_and_filters_are_named() {
    let house = House::new().await;
    let account = house.account("a").await;
    Writer::new(&house).await.files(account, &["a"]).await;
    let auth = format!("APIKey {}", house.api_key);
    for path in [path(account), "/v1/events/stream".to_owned()] {
        for (query, last, param) in [
            ("?cursor=x", "", "cursor"),
            ("?cursor=9", "", "cursor"),
            ("?cursor=-1", "", "cursor"),
            ("", "x", "Last-Event-ID"),
            ("", "9", "Last-Event-ID"),
            ("?types=nonsense", "", "types"),
            ("?categories=nonsense", "", "categories"),
        ] {
            let headers = [("authorization", auth.as_str()), ("last-event-id", last)];
            let refused = Stream::open(&house, &format!("{path}{query}"), &headers).await;
            let (status, body) = refused.err().unwrap();
            assert_eq!((status.as_u16(), &body["param"]), (400, &json!(param)), "{path}{query}");
        }
    }
}

#[tokio::test]
async fn a_filter_lets_some_through_and_the_place_moves_on_all_the_same() {
    let house = House::with(beating()).await;
    let account = house.account("a").await;
    let writer = Writer::new(&house).await;
    let query = format!("{}?types=delete,storage.file.moved&categories=storage", path(account));
    let mut some = Stream::keyed(&house, &query).await;
    let both = [event(Action::Add, "a"), event(Action::Delete, "b")];
    writer.happen(account, &both).await;
    let block = some.event().await;
    assert_eq!(
        (block.id.as_deref(), block.event.as_deref()),
        (Some("2"), Some("storage.file.deleted"))
    );
    writer.happen(account, &[event(Action::Update, "c")]).await;
    // The mark of what was passed over comes with a heartbeat.
    let mut marks = vec![some.block().await.unwrap()];
    while marks.last().unwrap().id.is_none() {
        marks.push(some.block().await.unwrap());
    }
    let last = marks.last().unwrap();
    assert_eq!((last.id.as_deref(), &last.data, &last.event), (Some("3"), &None, &None));
    let mut back = Stream::resumed(&house, &query, "3").await;
    writer.happen(account, &[event(Action::Move, "d")]).await;
    assert_eq!(back.names(1).await, "d");
}

#[tokio::test]
async fn an_idle_stream_beats() {
    let house = House::with(beating()).await;
    let account = house.account("a").await;
    for path in [path(account), "/v1/events/stream".to_owned()] {
        let mut idle = Stream::keyed(&house, &path).await;
        for _ in 0..3 {
            assert_eq!(idle.block().await.unwrap(), Block { comment: true, ..Block::default() });
        }
    }
}

#[tokio::test]
async fn lost_history_is_told() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let mut writer = Writer::new(&house).await;
        let first = writer.slice;
        writer.files(account, &["a", "b"]).await;
        let mut whole = Stream::keyed(&house, "/v1/events/stream?cursor=earliest").await;
        let place = whole.event().await.id.unwrap();
        writer.open(first + 1).await;
        writer.files(account, &["c"]).await;
        writer.drop_slice(first).await;
        let mut back = Stream::resumed(&house, &path(account), "1").await;
        let told = back.event().await;
        assert_eq!((told.event.as_deref(), told.id.as_deref()), (Some("truncated"), Some("2")));
        assert_eq!(told.data.as_ref().unwrap()["cursor"], "2");
        assert_eq!(back.names(1).await, "c");
        let mut back = Stream::resumed(&house, "/v1/events/stream", &place).await;
        assert_eq!(back.event().await.event.as_deref(), Some("truncated"));
        assert_eq!(back.names(1).await, "c");
        let mut fresh = Stream::keyed(&house, "/v1/events/stream?cursor=earliest").await;
        assert_eq!(fresh.names(1).await, "c", "nothing was lost to who never had it");
        house
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_and_misses_nothing() {
    let limits = ApiLimits { stream_stall: Duration::from_millis(50), ..ApiLimits::default() };
    on_each_engine(limits, |house| async {
        let account = house.account("a").await;
        let writer = Writer::new(&house).await;
        let mut slow = Stream::keyed(&house, &path(account)).await;
        let long = "x".repeat(1_000);
        let events: Vec<Event> = (0..500).map(|_| event(Action::Add, &long)).collect();
        writer.happen(account, &events).await;
        writer.happen(account, &events).await;
        // Its task ends, which is when it does not wait for the feed any more.
        while house.app().log().live().is_read(account.number()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut last = 0;
        loop {
            match slow.next().await {
                Some(Ok(block)) => {
                    last += 1;
                    assert_eq!(block.id, Some(last.to_string()), "no event is passed over");
                }
                Some(Err(_)) => break,
                None => panic!("it must not look like an end"),
            }
        }
        assert!((1..1_000).contains(&last), "it was cut off in the middle: {last}");
        let mut back = Stream::resumed(&house, &path(account), &last.to_string()).await;
        for number in last + 1..=1_000 {
            assert_eq!(back.event().await.id, Some(number.to_string()));
        }
        house
    })
    .await;
}

#[tokio::test]
async fn an_application_has_so_many_streams_open() {
    let house = House::with(ApiLimits { streams: 2, ..ApiLimits::default() }).await;
    let account = house.account("a").await;
    let auth = format!("APIKey {}", house.api_key);
    let open = |path: String| {
        let (house, auth) = (&house, &auth);
        async move { Stream::open(house, &path, &[("authorization", auth)]).await }
    };
    let one = open(path(account)).await.unwrap();
    let _two = open("/v1/events/stream".into()).await.unwrap();
    let (status, body) = open(path(account)).await.err().unwrap();
    assert_eq!((status.as_u16(), &body["error_code"]), (429, &json!("too_many_requests")));
    drop(one);
    assert!(open(path(account)).await.is_ok(), "who goes makes room");
}

#[tokio::test]
async fn a_revoked_credential_ends_its_stream() {
    let house = House::with(beating()).await;
    let account = house.account("a").await;
    let tokens = format!("/v1/accounts/{account}/tokens");
    let made = house.post(&tokens).key().send().await.json();
    let auth = format!("Bearer {}", made["access_token"].as_str().unwrap());
    let me = "/v1/accounts/me/events/stream";
    let mut stream = Stream::open(&house, me, &[("authorization", &auth)]).await.unwrap();
    let path = format!("{tokens}/{}", made["id"].as_str().unwrap());
    assert_eq!(house.delete(&path).key().send().await.status, 204);
    let bye = stream.event().await;
    assert_eq!((bye.event.as_deref(), bye.data), (Some("bye"), Some(json!({"reason": "revoked"}))));
    assert!(stream.next().await.is_none());

    let mut stream = Stream::keyed(&house, &self::path(account)).await;
    let default = format!("/v1/accounts/{account}/subscriptions/default");
    assert_eq!(house.delete(&default).key().send().await.status, 204);
    assert_eq!(stream.event().await.data, Some(json!({"reason": "off"})));
}

#[tokio::test]
async fn browsers_open_a_stream_by_a_token_of_its_own() {
    let house = House::new().await;
    let (account, other) = (house.account("a").await, house.account("b").await);
    let writer = Writer::new(&house).await;
    let post = format!("/v1/accounts/{account}/events/stream_token");
    let token = house.token(account).await;
    let made = house.post(&post).auth(format!("Bearer {token}")).send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(made["expires_in"], 300);
    let ticket = made["stream_token"].as_str().unwrap();
    let url = format!("{}?stream_token={ticket}", path(account));
    let mut stream = Stream::open(&house, &url, &[]).await.unwrap();
    writer.files(account, &["a"]).await;
    assert_eq!(stream.names(1).await, "a");
    for wrong in [
        format!("{}?stream_token={ticket}", path(other)),
        format!("{}?stream_token={ticket}x", path(account)),
        format!("{}?stream_token=", path(account)),
        format!("/v1/events/stream?stream_token={ticket}"),
        format!("/v1/accounts/me/events/stream?stream_token={ticket}"),
        format!("/v1/accounts/{account}/events?stream_token={ticket}"),
    ] {
        let (status, body) = Stream::open(&house, &wrong, &[]).await.err().unwrap();
        assert_eq!((status.as_u16(), &body["error_code"]), (403, &json!("forbidden")), "{wrong}");
    }
    let bearer = house.get(&format!("/v1/accounts/{account}")).auth(format!("Bearer {ticket}"));
    assert_eq!(bearer.send().await.problem(), (403, "forbidden".into()));
    house.clock.turn_seconds(301);
    assert!(Stream::open(&house, &url, &[]).await.is_err(), "it is over after five minutes");
}

#[tokio::test]
async fn one_stream_holds_all_accounts_of_the_application_and_no_others() {
    on_each_engine(ApiLimits::default(), |house| async {
        let (one, two) = (house.account("a").await, house.account("b").await);
        let directory = house.app().directory();
        let new = NewApplication { name: "Other".into(), ..NewApplication::default() };
        let (application, _) = directory.create_application(house.developer, new).await.unwrap();
        let foreigner = house.account_for(&application.id, "memory", "c").await;
        let writer = Writer::new(&house).await;
        let body = json!({"default": false});
        let more = format!("/v1/accounts/{one}/subscriptions");
        assert_eq!(house.post(&more).key().json(body).send().await.status, 201);
        writer.files(one, &["a"]).await;
        let mut now = Stream::keyed(&house, "/v1/events/stream").await;
        writer.files(foreigner, &["x"]).await;
        writer.append(one, FIRST_FEED, &[event(Action::Add, "y")]).await;
        writer.files(one, &["b"]).await;
        let first = now.event().await;
        assert_eq!(first.data.as_ref().unwrap()["metadata"]["name"], "b");
        assert_eq!(first.data.as_ref().unwrap()["account"], one.number());
        writer.files(two, &["c"]).await;
        assert_eq!(now.names(1).await, "c");

        // From a place on, each of the rest comes once, in the order of its account.
        let last = first.id.unwrap();
        assert!(last.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        writer.files(one, &["d"]).await;
        let mut back = Stream::resumed(&house, "/v1/events/stream", &last).await;
        let mut rest: Vec<char> = back.names(2).await.chars().collect();
        rest.sort_unstable();
        assert_eq!(rest, ['c', 'd']);
        let mut whole = Stream::keyed(&house, "/v1/events/stream?cursor=0").await;
        let mut all: Vec<char> = whole.names(4).await.chars().collect();
        all.retain(|name| *name != 'c');
        assert_eq!(all, ['a', 'b', 'd']);
        drop((now, back, whole, writer));
        house
    })
    .await;
}

#[tokio::test]
async fn only_an_api_key_reads_all_accounts() {
    let house = House::new().await;
    let account = house.account("a").await;
    let auth = format!("Bearer {}", house.token(account).await);
    for headers in [vec![], vec![("authorization", auth.as_str())]] {
        let (status, _) = Stream::open(&house, "/v1/events/stream", &headers).await.err().unwrap();
        assert_eq!(status, 403);
    }
    let later = house.get("/v1/events").key().send().await;
    assert_eq!(later.problem(), (501, "not_implemented".into()));
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_and_ends() {
    let house = House::new().await;
    let account = house.account("a").await;
    let (address, stop, served) = listening(&house).await;
    let mut clients = Vec::new();
    for path in [path(account), "/v1/events/stream".to_owned()] {
        let client = connected(&house, address, &path).await;
        clients.push(client);
    }
    stop.cancel();
    for mut client in clients {
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("event: bye\ndata: {\"reason\":\"draining\"}"), "{rest}");
        assert!(rest.ends_with("0\r\n\r\n"), "the answer is whole: {rest}");
    }
    served.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_takes_nothing_is_closed() {
    // Were it left open, the server would wait an hour for its end.
    let limits = ApiLimits {
        stream_stall: Duration::from_millis(50),
        drain: Duration::from_secs(3_600),
        ..ApiLimits::default()
    };
    let house = House::with(limits).await;
    let account = house.account("a").await;
    let writer = Writer::new(&house).await;
    let (address, stop, served) = listening(&house).await;
    let _client = connected(&house, address, &path(account)).await;
    let long = "x".repeat(20_000);
    let events: Vec<Event> = (0..500).map(|_| event(Action::Add, &long)).collect();
    // More than the buffers of any socket hold.
    for _ in 0..4 {
        writer.happen(account, &events).await;
    }
    while house.app().log().live().is_read(account.number()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    served.await.unwrap();
}

async fn listening(
    house: &House,
) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = serve(listener, house.front.clone(), stop.clone());
    (address, stop, tokio::spawn(async move { serving.await.unwrap() }))
}

/// A client on a socket that has seen the beginning of a stream.
async fn connected(house: &House, address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let auth = format!("Authorization: APIKey {}", house.api_key);
    let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{auth}\r\n\r\n");
    client.write_all(text.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.contains("retry: 2000") {
        let mut piece = [0; 1024];
        let count = client.read(&mut piece).await.unwrap();
        assert_ne!(count, 0, "{read}");
        read.push_str(std::str::from_utf8(&piece[..count]).unwrap());
    }
    client
}
