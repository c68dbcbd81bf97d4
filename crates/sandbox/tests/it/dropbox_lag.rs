//! Dropbox that is late: searches and cursors, never the metadata or the listing itself.

use axum::body::Body;
use futures::FutureExt as _;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::Bench;

impl Bench {
    async fn rpc(&self, function: &str, argument: Value) -> Value {
        let request = self.request(Method::POST, &format!("2/files/{function}"));
        let request = request.header("content-type", "application/json");
        let (status, answer) = self.send(request.body(argument.to_string().into()).unwrap()).await;
        assert!(status.is_success(), "{function}: {status} {answer}");
        answer
    }

    async fn upload(&self, path: &str) -> Value {
        let request = self.request(Method::POST, "2/files/upload");
        let request = request.header("content-type", "application/octet-stream");
        let request = request.header("Dropbox-API-Arg", json!({"path": path}).to_string());
        let (status, answer) = self.send(request.body(path.to_owned().into()).unwrap()).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn delete(&self, path: &str) {
        self.rpc("delete_v2", json!({"path": path})).await;
    }

    /// Paths and ids of files with this word in their names.
    async fn search(&self, word: &str) -> Vec<(String, String)> {
        let argument = json!({"query": word, "options": {"filename_only": true}});
        let found = self.rpc("search_v2", argument).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let matches = found["matches"].as_array().unwrap().iter();
        let nodes = matches.map(|one| &one["metadata"]["metadata"]);
        nodes.map(|node| (text(&node["path_display"]), text(&node["id"]))).collect()
    }

    async fn searched(&self, word: &str) -> Vec<String> {
        self.search(word).await.into_iter().map(|(path, _)| path).collect()
    }

    /// Tags and paths of what changed since a cursor, which goes on.
    async fn news(&self, cursor: &mut Value) -> Vec<(String, String)> {
        let answer = self.rpc("list_folder/continue", json!({"cursor": cursor})).await;
        assert_eq!(answer["has_more"], false);
        *cursor = answer["cursor"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entries = answer["entries"].as_array().unwrap().iter();
        entries.map(|one| (text(&one[".tag"]), text(&one["path_lower"]))).collect()
    }

    fn longpoll(&self, cursor: &Value) -> Request<Body> {
        Request::post("/dropbox/2/files/list_folder/longpoll")
            .body(json!({"cursor": cursor, "timeout": 30}).to_string().into())
            .unwrap()
    }
}

fn told(tag: &str, path: &str) -> (String, String) {
    (tag.into(), path.into())
}

#[tokio::test]
async fn searches_see_writes_late_and_metadata_at_once() {
    let bench = Bench::of("dropbox");
    bench.upload("/old/word 1").await;
    bench.quirks(json!({"search_lag": 60})).await;
    assert_eq!(bench.searched("word").await, ["/old/word 1"], "what was there before is known");
    bench.rpc("move_v2", json!({"from_path": "/old", "to_path": "/new"})).await;
    bench.upload("/word 2").await;
    bench.rpc("get_metadata", json!({"path": "/new/word 1"})).await;
    bench.rpc("get_metadata", json!({"path": "/word 2"})).await;
    bench.clock.turn_seconds(59);
    assert_eq!(bench.searched("word").await, ["/old/word 1"]);
    bench.delete("/new").await;
    bench.clock.turn_seconds(1);
    assert_eq!(bench.searched("word").await, ["/new/word 1", "/word 2"]);
    bench.clock.turn_seconds(59);
    assert_eq!(bench.searched("word").await, ["/word 2"]);
    bench.upload("/word 3").await;
    bench.quirks(json!({})).await;
    assert_eq!(bench.searched("word").await, ["/word 2", "/word 3"], "off is off");
}

#[tokio::test]
async fn what_is_restored_is_found_by_its_own_id() {
    let bench = Bench::of("dropbox");
    let made = bench.upload("/word").await;
    bench.quirks(json!({"search_lag": 60})).await;
    bench.delete("/word").await;
    bench.rpc("restore", json!({"path": "/word", "rev": made["rev"]})).await;
    let now = bench.rpc("get_metadata", json!({"path": "/word"})).await;
    bench.clock.turn_seconds(60);
    let id = now["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.search("word").await, [("/word".to_owned(), id)]);
}

#[tokio::test]
async fn cursors_tell_of_changes_late_and_lose_none() {
    let bench = Bench::of("dropbox");
    bench.quirks(json!({"changes_lag": 60})).await;
    let listed = bench.rpc("list_folder", json!({"path": "", "recursive": true})).await;
    let mut cursor = listed["cursor"].clone();
    bench.upload("/a").await;
    bench.clock.turn_seconds(30);
    bench.upload("/b").await;
    let listed = bench.rpc("list_folder", json!({"path": ""})).await;
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2, "a listing is not late");
    assert!(bench.news(&mut cursor.clone()).await.is_empty());
    let mut latest = bench
        .rpc("list_folder/get_latest_cursor", json!({"path": "", "recursive": true}))
        .await["cursor"]
        .clone();

    bench.clock.turn_seconds(30);
    for cursor in [&mut cursor, &mut latest] {
        assert_eq!(bench.news(cursor).await, [told("file", "/a")]);
        assert!(bench.news(cursor).await.is_empty());
    }
    bench.clock.turn_seconds(30);
    for cursor in [&mut cursor, &mut latest] {
        assert_eq!(bench.news(cursor).await, [told("file", "/b")]);
        assert!(bench.news(cursor).await.is_empty());
    }
}

#[tokio::test]
async fn an_early_change_does_not_give_a_late_one_away() {
    let bench = Bench::of("dropbox");
    bench.quirks(json!({"changes_lag": 60})).await;
    let listed = bench.rpc("list_folder", json!({"path": "", "recursive": true})).await;
    let mut cursor = listed["cursor"].clone();
    bench.upload("/a").await;
    bench.upload("/folder/b").await;
    bench.clock.turn_seconds(30);
    bench.delete("/a").await;
    bench.delete("/folder").await;
    bench.clock.turn_seconds(30);
    assert!(bench.news(&mut cursor).await.is_empty());
    bench.clock.turn_seconds(30);
    let expected = [told("deleted", "/a"), told("deleted", "/folder")];
    assert_eq!(bench.news(&mut cursor).await, expected);
}

#[tokio::test]
async fn long_polls_wait_for_what_cursors_tell() {
    use tower::ServiceExt as _;

    let bench = Bench::of("dropbox");
    bench.quirks(json!({"changes_lag": 60})).await;
    let latest = bench.rpc("list_folder/get_latest_cursor", json!({"path": ""})).await;
    bench.upload("/a").await;
    let request = bench.longpoll(&latest["cursor"]);
    let waits = bench.router.clone().oneshot(request).now_or_never().is_none();
    assert!(waits, "nothing is told yet");
    bench.clock.turn_seconds(60);
    let (_, answer) = bench.send(bench.longpoll(&latest["cursor"])).await;
    assert_eq!(answer["changes"], true);
}

#[tokio::test]
async fn long_polls_end_at_a_change_when_nothing_is_late() {
    let bench = Bench::of("dropbox");
    let latest = bench.rpc("list_folder/get_latest_cursor", json!({"path": ""})).await;
    let waits = bench.send(bench.longpoll(&latest["cursor"]));
    let ((_, answer), _) = futures::future::join(waits, bench.upload("/a")).await;
    assert_eq!(answer["changes"], true);
}
