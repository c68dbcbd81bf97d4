//! Google Drive that is late: searches and the log of changes, never the file itself.

use http::Method;
use serde_json::{Value, json};

use crate::Bench;

impl Bench {
    async fn drive(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.request(method, &format!("drive/v3/{path}"));
        let request = request.header("content-type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.send(request.body(body.into()).unwrap()).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn make(&self, name: &str, more: Value) -> String {
        let mut meta = json!({"name": name, "mimeType": "text/plain"});
        meta.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let made = self.drive(Method::POST, "files", meta).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn rename(&self, id: &str, name: &str) {
        self.drive(Method::PATCH, &format!("files/{id}"), json!({"name": name})).await;
    }

    /// Names that a query finds.
    async fn find(&self, query: &str) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("files?orderBy=name&q={query}");
        let found = self.drive(Method::GET, &path, Value::Null).await;
        let names = found["files"].as_array().unwrap().iter();
        names.map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn start(&self) -> String {
        let answer = self.drive(Method::GET, "changes/startPageToken", Value::Null).await;
        answer["startPageToken"].as_str().unwrap().to_owned()
    }

    /// Ids of what changed, and where to read on.
    async fn changes(&self, token: &str) -> (Vec<String>, String) {
        let path = format!("changes?pageToken={token}");
        let answer = self.drive(Method::GET, &path, Value::Null).await;
        let ids = answer["changes"].as_array().unwrap().iter();
        let ids = ids.map(|change| change["fileId"].as_str().unwrap().to_owned()).collect();
        (ids, answer["newStartPageToken"].as_str().unwrap().to_owned())
    }
}

const TEXTS: &str = "mimeType = 'text/plain' and trashed = false";
const ROOT: &str = "'root' in parents and trashed = false";

#[tokio::test]
async fn searches_see_writes_late_and_the_file_at_once() {
    let bench = Bench::of("gdrive");
    let old = bench.make("a", Value::Null).await;
    let doomed = bench.make("b", Value::Null).await;
    bench.quirks(json!({"search_lag": 60})).await;
    assert_eq!(bench.find(TEXTS).await, ["a", "b"], "what was there before is known");

    bench.rename(&old, "a2").await;
    bench.drive(Method::DELETE, &format!("files/{doomed}"), Value::Null).await;
    let new = bench.make("c", Value::Null).await;
    for (id, name) in [(&old, "a2"), (&new, "c")] {
        let got = bench.drive(Method::GET, &format!("files/{id}"), Value::Null).await;
        assert_eq!(got["name"], name);
    }
    assert_eq!(bench.find(ROOT).await, ["a2", "c"], "children are not late unless asked");
    bench.clock.turn_seconds(59);
    assert_eq!(bench.find(TEXTS).await, ["a", "b"]);
    bench.make("d", Value::Null).await;
    bench.clock.turn_seconds(1);
    assert_eq!(bench.find(TEXTS).await, ["a2", "c"]);
    bench.quirks(json!({})).await;
    assert_eq!(bench.find(TEXTS).await, ["a2", "c", "d"], "off is off");
}

#[tokio::test]
async fn children_are_as_late_when_asked() {
    let bench = Bench::of("gdrive");
    let folder = json!({"mimeType": "application/vnd.google-apps.folder"});
    let folder = bench.make("folder", folder).await;
    let moved = bench.make("moved", Value::Null).await;
    bench.quirks(json!({"search_lag": 60, "children_too": true})).await;
    let path = format!("files/{moved}?addParents={folder}&removeParents=root");
    bench.drive(Method::PATCH, &path, json!({})).await;
    let fresh = json!({"mimeType": "application/vnd.google-apps.folder"});
    let fresh = bench.make("fresh", fresh).await;
    bench.make("inside", json!({"parents": [fresh]})).await;
    let (there, inside) = (format!("'{folder}' in parents"), format!("'{fresh}' in parents"));
    assert_eq!(bench.find(ROOT).await, ["folder", "moved"]);
    assert!(bench.find(&there).await.is_empty());
    assert!(bench.find(&inside).await.is_empty());
    bench.clock.turn_seconds(60);
    assert_eq!(bench.find(ROOT).await, ["folder", "fresh"]);
    assert_eq!(bench.find(&there).await, ["moved"]);
    assert_eq!(bench.find(&inside).await, ["inside"]);
}

#[tokio::test]
async fn changes_are_told_late_and_none_is_lost() {
    let bench = Bench::of("gdrive");
    bench.quirks(json!({"changes_lag": 60})).await;
    let token = bench.start().await;
    let first = bench.make("first", Value::Null).await;
    bench.clock.turn_seconds(30);
    let second = bench.make("second", Value::Null).await;
    let (seen, token) = bench.changes(&token).await;
    assert!(seen.is_empty());
    assert_eq!(bench.start().await, token, "who begins now hears of both");
    assert_eq!(bench.find(TEXTS).await, ["first", "second"], "searches are another matter");

    bench.clock.turn_seconds(30);
    let (seen, token) = bench.changes(&token).await;
    assert_eq!(seen, [first.as_str()]);
    // What changes again while it is late is told once, later.
    bench.rename(&second, "second, again").await;
    bench.clock.turn_seconds(30);
    let (seen, token) = bench.changes(&token).await;
    assert!(seen.is_empty());
    bench.clock.turn_seconds(30);
    let (seen, token) = bench.changes(&token).await;
    assert_eq!(seen, [second.as_str()]);
    assert!(bench.changes(&token).await.0.is_empty());
}

#[tokio::test]
async fn a_token_from_before_the_lag_does_not_go_back() {
    let bench = Bench::of("gdrive");
    bench.make("first", Value::Null).await;
    let token = bench.start().await;
    bench.quirks(json!({"changes_lag": 60})).await;
    assert_eq!(bench.changes(&token).await, (Vec::new(), token));
}
