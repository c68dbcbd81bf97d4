//! A request that only reads writes nothing to the database: its log and usage leave in batches beside it.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::activity::Writer;
use crate::house::House;

/// What was written beside the batches of the journal.
async fn written(house: &House) -> u64 {
    let journal = house.app().journal();
    journal.flush().await;
    house.scratch.db.writes() - journal.batches()
}

#[tokio::test]
async fn reading_writes_nothing() {
    let house = House::new().await;
    let account = house.account("files").await;
    let token = house.token(account).await;
    let file = house.file(account, "notes.txt", b"first notes").await;
    let base = format!("/v1/accounts/{account}");
    let paths = [
        "/v1/accounts".to_owned(),
        base.clone(),
        format!("{base}/storage"),
        format!("{base}/storage/folders/root"),
        format!("{base}/storage/folders/root/contents"),
        format!("{base}/storage/files/{file}"),
        format!("{base}/storage/files/{file}/contents"),
        format!("{base}/storage/search?q=notes"),
        format!("{base}/storage/recent"),
        format!("{base}/storage/quota"),
        format!("{base}/tasks"),
        format!("{base}/storage/links"),
        format!("{base}/storage/files/none"),
        format!("{base}/events"),
        format!("{base}/events?cursor=1&page_size=1"),
        format!("{base}/events?cursor=time:2026-01-01T00:00:00Z"),
        format!("{base}/events/latest"),
        format!("{base}/events/digest"),
        format!("{base}/storage/folders/root/size"),
        format!("{base}/events/evt_{account}_1"),
        format!("{base}/subscriptions"),
        format!("{base}/subscriptions/default/activity"),
    ];
    Writer::new(&house).await.files(account, &["a", "b"]).await;
    let before = written(&house).await;
    for round in 0..10 {
        for path in &paths {
            let key = house.get(path).key().send().await;
            assert_ne!(key.status.as_u16(), 500, "{path}: {}", key.text());
            if path != "/v1/accounts" {
                let bearer = house.get(path).auth(format!("Bearer {token}")).send().await;
                assert_eq!(bearer.status, key.status, "{path}");
            }
            // What a path does once (a cache that fills) it may not do with a write either.
            assert_eq!(written(&house).await, before, "{path} wrote in round {round}");
        }
    }
    let waited = house.get(&format!("{base}/events?cursor=2&wait=1")).key().send().await;
    assert_eq!(waited.json()["count"], 0);
    assert_eq!(written(&house).await, before, "waiting wrote");
    for path in [format!("{base}/events/stream?cursor=0"), "/v1/events/stream?cursor=0".to_owned()]
    {
        let request =
            http::Request::get(&path).header("authorization", format!("APIKey {}", house.api_key));
        let answer = house.front.handle(request.body(axum::body::Body::empty()).unwrap()).await;
        let mut body = answer.into_body();
        let mut read = String::new();
        while !read.contains(&format!("evt_{account}_2")) {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            read.push_str(std::str::from_utf8(&frame).unwrap());
        }
        drop(body);
        assert_eq!(written(&house).await, before, "{path} wrote");
    }
    let refused = house.get("/v1/accounts").auth("APIKey nonsense").send().await;
    assert_eq!(refused.status, 403);
    assert_eq!(written(&house).await, before, "a refused key wrote");
}

#[tokio::test]
async fn what_writes_is_seen() {
    let house = House::new().await;
    let account = house.account("files").await;
    let file = house.file(account, "notes.txt", b"first notes").await;
    let before = written(&house).await;
    let made = house
        .post(&format!("/v1/accounts/{account}/storage/links"))
        .key()
        .json(json!({"file_id": file}))
        .send()
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(written(&house).await > before);
}
