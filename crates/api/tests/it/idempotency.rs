//! Section 43 of the wire API: a request with a key runs once.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use serde_json::{Value, json};
use tramontane_api::ApiLimits;
use tramontane_model::{AccountId, Op};

use crate::house::{House, Reply};
use crate::stuck::{Point, Stuck};

async fn make(house: &House, account: AccountId, key: &str, name: &str) -> Reply {
    let path = format!("/v1/accounts/{account}/storage/folders?conflict=rename");
    let ask = house.post(&path).key().header("Idempotency-Key", key);
    ask.json(json!({"name": name, "parent_id": "root"})).send().await
}

async fn upload(house: &House, account: AccountId, key: &str, body: &'static str) -> Reply {
    let path = format!("/v1/accounts/{account}/storage/files");
    let ask = house.post(&path).key().header("Idempotency-Key", key);
    let ask = ask.header("x-kloudless-metadata", r#"{"parent_id":"root","name":"a.txt"}"#);
    ask.header("content-length", body.len().to_string()).body(body).send().await
}

async fn count(house: &House, account: AccountId) -> Value {
    let path = format!("/v1/accounts/{account}/storage/folders/root/contents");
    house.get(&path).key().send().await.json()["count"].clone()
}

#[tokio::test]
async fn the_first_request_runs_and_the_others_get_its_answer() {
    let house = House::new().await;
    let account = house.account("a").await;
    let first = make(&house, account, "k1", "Plans").await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, ""));
    let second = make(&house, account, "k1", "Plans").await;
    assert_eq!((second.status.as_u16(), second.header("idempotency-replayed")), (201, "true"));
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(second.header("content-type"), "application/json");
    assert_eq!(count(&house, account).await, 1);
    let other = make(&house, account, "k2", "Plans").await;
    assert_eq!(other.json()["name"], "Plans (1)");
    house.clock.turn_seconds(24 * 3_600 + 1);
    let late = make(&house, account, "k1", "Plans").await;
    assert_eq!((late.status.as_u16(), &late.json()["name"]), (201, &json!("Plans (2)")));
}

#[tokio::test]
async fn answers_without_a_body_and_refusals_are_replayed() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    let path = format!("/v1/accounts/{account}/storage/files/{file}");
    for replayed in ["", "true"] {
        let gone = house.delete(&path).key().header("Idempotency-Key", "d").send().await;
        assert_eq!((gone.status.as_u16(), gone.bytes.len()), (204, 0));
        assert_eq!(gone.header("idempotency-replayed"), replayed);
        let missing = house.delete(&path).key().header("Idempotency-Key", "e").send().await;
        assert_eq!(missing.problem(), (404, "not_found".into()));
        assert_eq!(missing.header("idempotency-replayed"), replayed);
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request_one_caller_and_one_account() {
    let house = House::new().await;
    let (a, b) = (house.account("a").await, house.account("b").await);
    make(&house, a, "k", "Plans").await;
    let mismatch = make(&house, a, "k", "Other").await;
    assert_eq!(mismatch.problem(), (400, "idempotency_mismatch".into()));
    let path = format!("/v1/accounts/{a}/storage/folders");
    let query = house.post(&path).key().header("Idempotency-Key", "k");
    let query = query.json(json!({"name": "Plans", "parent_id": "root"})).send().await;
    assert_eq!(query.problem(), (400, "idempotency_mismatch".into()), "the query counts");
    assert_eq!(make(&house, b, "k", "Other").await.status, 201, "another account");
    let token = house.token(a).await;
    let path = format!("/v1/accounts/{a}/storage/folders?conflict=rename");
    let ask = house.post(&path).auth(format!("Bearer {token}")).header("Idempotency-Key", "k");
    let ask = ask.json(json!({"name": "Third", "parent_id": "root"}));
    assert_eq!(ask.send().await.status, 201, "another caller");
    for bad in ["", &"x".repeat(256)] {
        let reply = make(&house, a, bad, "X").await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    }
    let stranger = house.post(&path).auth("APIKey tmk_x").header("Idempotency-Key", "k");
    assert_eq!(stranger.json(json!({})).send().await.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn streamed_uploads_are_told_apart_by_metadata_and_length() {
    let house = House::new().await;
    let account = house.account("a").await;
    let first = upload(&house, account, "u", "hello").await;
    assert_eq!(first.status, 201, "{}", first.text());
    let again = upload(&house, account, "u", "HELLO").await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    let longer = upload(&house, account, "u", "hello!").await;
    assert_eq!(longer.problem(), (400, "idempotency_mismatch".into()));
    assert_eq!(count(&house, account).await, 1);
}

#[tokio::test]
async fn a_broken_upload_frees_its_key() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/storage/files");
    let ask = || {
        let ask = house.post(&path).key().header("Idempotency-Key", "u");
        ask.header("x-kloudless-metadata", r#"{"parent_id":"root","name":"a.txt"}"#)
    };
    let broken = futures::stream::iter([Ok(Bytes::from("half"))]).chain_pending();
    let sending = ask().body(axum::body::Body::from_stream(broken)).send();
    // The client goes away: its request is dropped in the middle.
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), sending).await.is_err());
    let mut again = ask().body("whole").send().await;
    for _ in 0..200 {
        if again.status != 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        again = ask().body("whole").send().await;
    }
    assert_eq!(again.status, 201, "{}", again.text());
}

/// A stream that never ends after what it gives.
trait ChainPending: Sized {
    fn chain_pending(self) -> futures::stream::BoxStream<'static, Result<Bytes, std::io::Error>>;
}

impl<S> ChainPending for S
where
    S: futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
{
    fn chain_pending(self) -> futures::stream::BoxStream<'static, Result<Bytes, std::io::Error>> {
        use futures::StreamExt as _;
        self.chain(futures::stream::pending()).boxed()
    }
}

async fn stuck() -> (House, Stuck, AccountId) {
    let stuck = Stuck::new();
    let house = House::built(ApiLimits::default(), vec![Arc::new(stuck.clone())], None).await;
    let account = house.account_of("stuck", "a").await;
    (house, stuck, account)
}

#[tokio::test]
async fn while_the_first_runs_the_others_wait_their_turn() {
    let (house, service, account) = stuck().await;
    service.stop_at(Point::Before(Op::FolderCreate));
    let first = make(&house, account, "k", "Plans");
    let stopped = service.stopped();
    tokio::select! {
        _ = first => panic!("it is stuck"),
        () = stopped => {}
    }
    let second = make(&house, account, "k", "Plans").await;
    assert_eq!(second.problem(), (409, "idempotency_in_progress".into()));
    assert_eq!(second.header("retry-after"), "1");
}

#[tokio::test]
async fn a_client_that_goes_away_finds_the_answer_later() {
    let house = House::new().await;
    let account = house.account("a").await;
    // The request is begun, and dropped at its first wait.
    let dropped = make(&house, account, "k", "Plans").now_or_never();
    assert!(dropped.is_none());
    let mut again = make(&house, account, "k", "Plans").await;
    for _ in 0..200 {
        if again.status != 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        again = make(&house, account, "k", "Plans").await;
    }
    assert_eq!((again.status.as_u16(), &again.json()["name"]), (201, &json!("Plans")));
    assert_eq!(count(&house, account).await, 1);
}

/// Sends a request that the service never answers, and lets its server die.
async fn dies(house: &House, service: &Stuck, point: Point, ask: impl Future<Output = Reply>) {
    service.stop_at(point);
    tokio::select! {
        _ = ask => panic!("it is stuck"),
        () = service.stopped() => {}
    }
    house.clock.turn_seconds(61);
}

#[tokio::test]
async fn after_a_crash_what_was_made_is_found_and_not_made_again() {
    for (point, replayed) in
        [(Point::After(Op::FileCreate), "found"), (Point::Before(Op::FileCreate), "made")]
    {
        let (house, service, account) = stuck().await;
        let path = format!("/v1/accounts/{account}/storage/files");
        let body = json!({"url": "https://e.example/x", "parent_id": "root", "name": "a.txt"});
        let ask = || house.post(&path).key().header("Idempotency-Key", "k").json(body.clone());
        house.outside.answers(|_| (200, b"hello".to_vec()));
        dies(&house, &service, point, ask().send()).await;
        house.outside.answers(|_| (200, b"hello".to_vec()));
        let again = ask().send().await;
        assert_eq!(again.status, 201, "{replayed}: {}", again.text());
        assert_eq!(count(&house, account).await, 1, "{replayed}");
        let third = ask().send().await;
        assert_eq!(third.header("idempotency-replayed"), "true");
    }
}

#[tokio::test]
async fn after_a_crash_that_cannot_be_decided_the_request_is_refused() {
    let (house, service, account) = stuck().await;
    let ask = || make(&house, account, "k", "Plans");
    dies(&house, &service, Point::After(Op::FolderCreate), ask()).await;
    let again = ask().await;
    assert_eq!(again.problem(), (409, "idempotency_in_progress".into()), "{}", again.text());
    assert!(again.text().contains("cannot be told"));
    assert_eq!(count(&house, account).await, 1);
}

#[tokio::test]
async fn after_a_crash_a_deletion_is_done_again() {
    let (house, service, account) = stuck().await;
    let file = house.file(account, "a.txt", b"x").await;
    let path = format!("/v1/accounts/{account}/storage/files/{file}");
    let ask = || house.delete(&path).key().header("Idempotency-Key", "k").send();
    dies(&house, &service, Point::Before(Op::FileDelete), ask()).await;
    assert_eq!(ask().await.status, 204);
    assert_eq!(count(&house, account).await, 0);
}

#[tokio::test]
async fn a_task_is_submitted_once() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/storage/folders");
    let ask = || {
        let ask = house.post(&path).key().header("Idempotency-Key", "k");
        ask.header("x-kloudless-async", "true").json(json!({"name": "Plans"})).send()
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.bytes, second.bytes);
    let tasks = house.get(&format!("/v1/accounts/{account}/tasks")).key().send().await.json();
    assert_eq!(tasks["total"], 1);
}

#[tokio::test]
async fn keys_work_for_management_too() {
    let house = House::new().await;
    let ask = || {
        let ask = house.post("/v1/meta/applications").meta().header("Idempotency-Key", "k");
        ask.json(json!({"name": "Once"})).send()
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!(first.json(), second.json());
    assert_eq!(house.get("/v1/meta/applications").meta().send().await.json()["total"], 2);
}
