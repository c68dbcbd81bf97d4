//! Files: upload, replace, rename, move, copy, download, delete (wire API, sections 22, 44, 45, 48, 49).

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::house::{House, Reply};

struct Drive {
    house: House,
    base: String,
}

impl Drive {
    async fn new() -> Self {
        let house = House::new().await;
        let account = house.account("one").await;
        Self { base: format!("/v1/accounts/{account}/storage"), house }
    }

    async fn upload(&self, query: &str, name: &str, content: &'static str) -> Reply {
        let metadata = json!({"parent_id": "root", "name": name}).to_string();
        let ask = self.house.post(&format!("{}/files{query}", self.base)).key();
        ask.header("x-kloudless-metadata", metadata).body(content).send().await
    }

    async fn file(&self, name: &str, content: &'static str) -> String {
        let reply = self.upload("", name, content).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn folder(&self, name: &str) -> String {
        let path = format!("{}/folders", self.base);
        let reply = self.house.post(&path).key().json(json!({"name": name})).send().await;
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, tail: &str) -> Reply {
        self.house.get(&format!("{}{tail}", self.base)).key().send().await
    }

    async fn patch(&self, tail: &str, body: Value) -> Reply {
        self.house.patch(&format!("{}{tail}", self.base)).key().json(body).send().await
    }

    async fn post(&self, tail: &str, body: Value) -> Reply {
        self.house.post(&format!("{}{tail}", self.base)).key().json(body).send().await
    }

    async fn content(&self, id: &str) -> String {
        self.get(&format!("/files/{id}/contents")).await.text()
    }
}

#[tokio::test]
async fn a_taken_name_is_kept_beside_replaced_or_refused() {
    let drive = Drive::new().await;
    let first = drive.upload("", "a.tar.gz", "1").await;
    assert_eq!(first.status, 201);
    let beside = drive.upload("", "a.tar.gz", "22").await;
    assert_eq!((beside.status.as_u16(), &beside.json()["name"]), (201, &json!("a.tar (1).gz")));
    let over = drive.upload("?overwrite=true", "a.tar.gz", "333").await;
    assert_eq!((over.status.as_u16(), &over.json()["id"]), (200, &first.json()["id"]));
    assert_eq!(over.json()["size"], 3);
    let refused = drive.upload("?overwrite=true&conflict=fail", "a.tar.gz", "4").await;
    assert_eq!(refused.problem(), (409, "naming_conflict".into()));
    assert_eq!(refused.json()["conflicting_resource_id"], first.json()["id"]);
    let renamed = drive.upload("?conflict=rename", "a.tar.gz", "5").await;
    assert_eq!(renamed.json()["name"], "a.tar (2).gz");
    let replaced = drive.upload("?conflict=replace", "new.txt", "6").await;
    assert_eq!(replaced.status, 201);
    let metadata = json!({"parent_id": "root", "name": "a.tar.gz"}).to_string();
    let ask = drive.house.post(&format!("{}/files", drive.base)).key().header("if-none-match", "*");
    let reply = ask.header("x-kloudless-metadata", metadata).body("7").send().await;
    assert_eq!(reply.problem(), (409, "naming_conflict".into()));
    assert_eq!(
        drive.upload("?conflict=x", "b", "8").await.problem(),
        (400, "invalid_parameters".into())
    );
    assert_eq!(
        drive.upload("?overwrite=x", "b", "8").await.problem(),
        (400, "invalid_parameters".into())
    );
}

#[tokio::test]
async fn uploads_name_what_is_wrong() {
    let drive = Drive::new().await;
    let file = drive.file("a.txt", "a").await;
    let path = format!("{}/files", drive.base);
    for (metadata, code, param) in [
        (json!({"name": "b"}).to_string(), "invalid_parameters", "parent_id"),
        (json!({"parent_id": "root"}).to_string(), "invalid_parameters", "name"),
        (json!({"parent_id": 1, "name": "b"}).to_string(), "invalid_parameters", "parent_id"),
        (json!({"parent_id": "root", "name": ""}).to_string(), "invalid_parameters", "name"),
        (json!({"parent_id": "root", "name": "a/b"}).to_string(), "invalid_parameters", "name"),
        (json!({"parent_id": "root", "name": ".."}).to_string(), "invalid_parameters", "name"),
        (json!({"parent_id": "x", "name": "b"}).to_string(), "invalid_parent_folder", "parent_id"),
        (json!({"parent_id": file, "name": "b"}).to_string(), "invalid_parent_folder", "parent_id"),
        (
            json!({"parent_id": "folder_bm9uZQ", "name": "b"}).to_string(),
            "invalid_parent_folder",
            "parent_id",
        ),
    ] {
        let ask = drive.house.post(&path).key().header("x-kloudless-metadata", &metadata);
        let reply = ask.body("x").send().await;
        assert_eq!(reply.problem(), (400, code.into()), "{metadata}");
        assert_eq!(reply.json()["param"], param, "{metadata}");
    }
    let ask = drive.house.post(&path).key().header("x-kloudless-metadata", "nonsense");
    assert_eq!(ask.body("x").send().await.problem(), (400, "bad_request".into()));
    let ask = drive.house.post(&path).key().header("content-type", "application/octet-stream");
    assert_eq!(ask.body("x").send().await.problem(), (400, "bad_request".into()));
    assert_eq!(drive.get("/folders/root/contents").await.json()["count"], 1, "nothing was left");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let drive = Drive::new().await;
    let metadata = json!({"parent_id": "root", "name": "b.txt"}).to_string();
    let broken = Body::from_stream(futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"half")),
        Err(std::io::Error::other("gone")),
    ]));
    let ask = drive.house.post(&format!("{}/files", drive.base)).key();
    let reply = ask.header("x-kloudless-metadata", metadata).body(broken).send().await;
    assert_eq!(reply.problem(), (400, "bad_request".into()));
    assert_eq!(drive.get("/folders/root/contents").await.json()["count"], 0);
}

#[tokio::test]
async fn a_url_is_fetched_and_saved() {
    let drive = Drive::new().await;
    drive.house.outside.answers(|sent| {
        assert_eq!(sent.url, "https://www.example.com/q1.pdf");
        (200, b"content".to_vec())
    });
    let body =
        json!({"url": "https://www.example.com/q1.pdf", "parent_id": "root", "name": "q1.pdf"});
    let reply = drive.post("/files", body.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.json()["size"].as_i64()), (201, Some(7)));
    drive.house.outside.answers(|_| (404, Vec::new()));
    assert_eq!(drive.post("/files", body.clone()).await.problem(), (400, "request_failed".into()));
    // The guard refuses.
    assert_eq!(drive.post("/files", body).await.problem(), (400, "request_failed".into()));
    for bad in ["", "/etc/passwd", "file:///etc/passwd", "ftp://x/y"] {
        let body = json!({"url": bad, "parent_id": "root", "name": "q"});
        assert_eq!(
            drive.post("/files", body).await.problem(),
            (400, "invalid_parameters".into()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn content_is_replaced_in_place() {
    let drive = Drive::new().await;
    let id = drive.file("a.txt", "one").await;
    let path = format!("{}/files/{id}", drive.base);
    let etag = drive.get(&format!("/files/{id}")).await.header("etag").to_owned();
    let stale = drive.house.put(&path).key().header("if-match", "\"stale\"").body("x").send().await;
    assert_eq!(stale.problem(), (412, "precondition_failed".into()));
    let held = drive.house.put(&path).key().header("if-match", &etag).body("two").send().await;
    assert_eq!((held.status.as_u16(), &held.json()["id"]), (200, &json!(id)));
    assert_ne!(held.json()["etag"].as_str(), Some(etag.as_str()));
    let several = format!("\"x\", {}", held.json()["etag"].as_str().unwrap());
    let reply = drive.house.put(&path).key().header("if-match", several).body("three").send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let any = drive.house.put(&path).key().header("if-match", "*").body("four").send().await;
    assert_eq!(any.status, 200, "{}", any.text());
    assert_eq!(drive.content(&id).await, "four");
    let none = drive.house.put(&format!("{}/files/file_bm9uZQ", drive.base)).key().body("x");
    assert_eq!(none.send().await.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn names_and_folders_change_together() {
    let drive = Drive::new().await;
    let (a, b) = (drive.file("a.txt", "a").await, drive.file("b.txt", "b").await);
    let folder = drive.folder("Plans").await;
    let same =
        drive.patch(&format!("/files/{a}"), json!({"name": "a.txt", "parent_id": "root"})).await;
    assert_eq!((same.status.as_u16(), &same.json()["id"]), (200, &json!(a)));
    let taken = drive.patch(&format!("/files/{a}"), json!({"name": "b.txt"})).await;
    assert_eq!(taken.problem(), (409, "naming_conflict".into()));
    assert_eq!(taken.json()["conflicting_resource_id"], b.as_str());
    let beside =
        drive.patch(&format!("/files/{a}?overwrite=false"), json!({"name": "b.txt"})).await;
    assert_eq!(beside.json()["name"], "b (1).txt");
    let over = drive.patch(&format!("/files/{a}?overwrite=true"), json!({"name": "b.txt"})).await;
    assert_eq!((over.status.as_u16(), &over.json()["name"]), (200, &json!("b.txt")));
    let id = over.json()["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "c.txt", "parent_id": folder});
    let moved = drive.patch(&format!("/files/{id}"), body).await;
    assert_eq!(moved.json()["parent"]["id"], folder.as_str());
    assert_eq!(moved.json()["name"], "c.txt");
    let id = moved.json()["id"].as_str().unwrap().to_owned();
    for (body, code) in [
        (json!({"parent_id": "x"}), "invalid_parent_folder"),
        (json!({"parent_id": "folder_bm9uZQ"}), "invalid_parent_folder"),
        (json!({"name": "a/b"}), "invalid_parameters"),
        (json!({"name": []}), "invalid_parameters"),
        (json!({"account": "x"}), "invalid_parameters"),
    ] {
        let reply = drive.patch(&format!("/files/{id}"), body.clone()).await;
        assert_eq!(reply.problem(), (400, code.into()), "{body}");
    }
    let stale = drive.house.patch(&format!("{}/files/{id}", drive.base)).key();
    let stale = stale.header("if-match", "\"stale\"").json(json!({"name": "d"})).send().await;
    assert_eq!(stale.problem(), (412, "precondition_failed".into()));
}

#[tokio::test]
async fn files_go_to_other_accounts() {
    let drive = Drive::new().await;
    let two = drive.house.account("two").await;
    let (a, b) = (drive.file("a.txt", "aa").await, drive.file("b.txt", "bb").await);
    let body = json!({"parent_id": "root", "account": two.number(), "name": "copy.txt"});
    let copy = drive.post(&format!("/files/{a}/copy"), body).await;
    assert_eq!((copy.status.as_u16(), &copy.json()["account"]), (201, &json!(two.number())));
    assert_eq!(drive.get(&format!("/files/{a}")).await.status, 200);
    let moved = drive.patch(&format!("/files/{b}"), json!({"account": two.to_string()})).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(
        (&moved.json()["account"], &moved.json()["name"]),
        (&json!(two.number()), &json!("b.txt"))
    );
    assert_eq!(drive.get(&format!("/files/{b}")).await.problem(), (404, "not_found".into()));
    let there = format!(
        "/v1/accounts/{two}/storage/files/{}/contents",
        moved.json()["id"].as_str().unwrap()
    );
    assert_eq!(drive.house.get(&there).key().send().await.text(), "bb");
    let body = json!({"parent_id": "root", "account": 7});
    let nobody = drive.post(&format!("/files/{a}/copy"), body.clone()).await;
    assert_eq!(nobody.problem(), (404, "not_found".into()));
    let one = drive.base.split('/').nth(3).unwrap().parse::<i64>().unwrap();
    let token = drive.house.token(tramontane_model::AccountId::new(one).unwrap()).await;
    let body = json!({"parent_id": "root", "account": two.number()});
    let ask = drive.house.post(&format!("{}/files/{a}/copy", drive.base));
    let refused = ask.auth(format!("Bearer {token}")).json(body).send().await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn copies_need_a_parent_and_may_have_a_link() {
    let drive = Drive::new().await;
    let a = drive.file("a.txt", "aa").await;
    let none = drive.post(&format!("/files/{a}/copy"), json!({})).await;
    assert_eq!(none.problem(), (400, "invalid_parameters".into()));
    assert_eq!(none.json()["param"], "parent_id");
    let copy = drive.post(&format!("/files/{a}/copy"), json!({"parent_id": "root"})).await;
    assert_eq!((copy.status.as_u16(), &copy.json()["name"]), (201, &json!("a (1).txt")));
    assert!(copy.json().get("link").is_none());
    let linked =
        drive.post(&format!("/files/{a}/copy?link=true"), json!({"parent_id": "root"})).await;
    assert!(linked.json()["link"].as_str().unwrap().contains("/l/"), "{}", linked.text());
    let options = format!("/files/{a}/copy?link=true&link_options=x");
    let bad = drive.post(&options, json!({"parent_id": "root"})).await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn upload_locations_take_copies_without_a_token_for_them() {
    let drive = Drive::new().await;
    let two = drive.house.account("two").await;
    let a = drive.file("a.txt", "aa").await;
    let body = json!({"account": "upload_location", "drop_account": null, "parent_id": null, "drop_uri": "x"});
    let none = drive.post(&format!("/files/{a}/copy"), body.clone()).await;
    assert_eq!(none.problem(), (404, "not_found".into()));
    let path = format!("/v1/meta/applications/{}/upload_locations", drive.house.app_id);
    let location = json!({"account": two.number(), "folder_id": "root"});
    let made = drive.house.post(&path).meta().json(location).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let one = drive.base.split('/').nth(3).unwrap().parse::<i64>().unwrap();
    let token = drive.house.token(tramontane_model::AccountId::new(one).unwrap()).await;
    let ask = drive.house.post(&format!("{}/files/{a}/copy", drive.base));
    let copy = ask.auth(format!("Bearer {token}")).json(body).send().await;
    assert_eq!((copy.status.as_u16(), &copy.json()["account"]), (201, &json!(two.number())));
    let body = json!({"account": "upload_location", "drop_account": 7});
    let other = drive.post(&format!("/files/{a}/copy"), body).await;
    assert_eq!(other.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn downloads_say_what_they_are() {
    let drive = Drive::new().await;
    let id = drive.file("naïve \"plan\".json", "{\"a\":1}").await;
    let reply = drive.get(&format!("/files/{id}/contents")).await;
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(reply.header("content-length"), "7");
    assert_eq!(reply.header("accept-ranges"), "bytes");
    assert!(reply.header("content-disposition").contains("filename*=UTF-8''na%C3%AFve"));
    let text = drive.file("a.txt", "abc").await;
    let reply = drive.get(&format!("/files/{text}/contents")).await;
    assert_eq!(reply.header("content-type"), "text/plain");
    let empty = drive.file("empty.txt", "").await;
    let reply = drive.get(&format!("/files/{empty}/contents")).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-length")), (200, "0"));
    let none = drive.get("/files/file_bm9uZQ/contents").await;
    assert_eq!(none.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn what_has_no_content_is_refused() {
    let drive = Drive::new().await;
    let id = drive.file("a.gdoc", "x").await;
    let one = drive.base.split('/').nth(3).unwrap().parse::<i64>().unwrap();
    let account = tramontane_model::AccountId::new(one).unwrap();
    let native = tramontane_model::ResourceId::parse(&id).unwrap().native;
    drive.house.memory.forbid_download(account, &native).unwrap();
    for method in [Method::GET, Method::HEAD] {
        let path = format!("{}/files/{id}/contents", drive.base);
        let reply = drive.house.ask(method, &path).key().send().await;
        assert_eq!(reply.status, 403);
    }
    let reply = drive.get(&format!("/files/{id}/contents")).await;
    assert_eq!(reply.problem(), (403, "permission_denied".into()));
}

#[tokio::test]
async fn ranges_and_preconditions_hold() {
    let drive = Drive::new().await;
    let id = drive.file("a.txt", "0123456789").await;
    let path = format!("{}/files/{id}/contents", drive.base);
    let etag = drive.get(&format!("/files/{id}/contents")).await.header("etag").to_owned();
    let ranged =
        async |range: &str| drive.house.get(&path).key().header("range", range).send().await;
    for (range, status, body, content_range) in [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=5-", 206, "56789", "bytes 5-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=8-99", 206, "89", "bytes 8-9/10"),
        ("bytes=0-", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=0-1,3-4", 200, "0123456789", ""),
        ("lines=1-2", 200, "0123456789", ""),
        ("bytes=x", 200, "0123456789", ""),
        ("bytes=5-1", 200, "0123456789", ""),
    ] {
        let reply = ranged(range).await;
        assert_eq!(reply.status, status, "{range}: {}", reply.text());
        assert_eq!(
            (reply.text().as_str(), reply.header("content-range")),
            (body, content_range),
            "{range}"
        );
        assert_eq!(reply.header("content-length"), body.len().to_string(), "{range}");
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let reply = ranged(range).await;
        assert_eq!(reply.problem(), (416, "range_not_satisfiable".into()), "{range}");
        assert_eq!(reply.header("content-range"), "bytes */10", "{range}");
    }
    let ask = || drive.house.get(&path).key();
    let same = ask().header("if-none-match", &etag).send().await;
    assert_eq!((same.status.as_u16(), same.header("etag")), (304, etag.as_str()));
    assert!(same.bytes.is_empty());
    assert_eq!(ask().header("if-none-match", "\"other\"").send().await.status, 200);
    assert_eq!(ask().header("if-match", "\"other\"").send().await.status, 412);
    assert_eq!(ask().header("if-match", &etag).send().await.status, 200);
    let fresh = ask().header("range", "bytes=0-0").header("if-range", &etag).send().await;
    assert_eq!((fresh.status.as_u16(), fresh.text()), (206, "0".into()));
    for stale in ["\"other\"", "W/\"x\"", "Fri, 27 Feb 2026 16:40:02 GMT"] {
        let reply = ask().header("range", "bytes=0-0").header("if-range", stale).send().await;
        assert_eq!(reply.status, 200, "{stale}");
    }
    // A condition that holds no ETag is one that nothing meets; an empty one is none.
    assert_eq!(ask().header("if-match", "\"broken").send().await.status, 412);
    assert_eq!(ask().header("if-match", "").send().await.status, 200);
    let file = format!("{}/files/{id}", drive.base);
    let spared = drive.house.delete(&file).key().header("if-match", "\"broken").send().await;
    assert_eq!(spared.problem(), (412, "precondition_failed".into()));
    let metadata = drive.house.get(&format!("{}/files/{id}", drive.base)).key();
    assert_eq!(metadata.header("if-none-match", &etag).send().await.status, 304);
    let redirected = drive.get(&format!("/files/{id}/contents?redirect=true")).await;
    assert!(matches!(redirected.status.as_u16(), 200 | 302));
}

#[tokio::test]
async fn deleted_files_are_in_the_trash_and_come_back() {
    let drive = Drive::new().await;
    let id = drive.file("a.txt", "a").await;
    let path = format!("{}/files/{id}", drive.base);
    assert_eq!(drive.house.delete(&path).key().send().await.status, 204);
    assert_eq!(drive.house.delete(&path).key().send().await.problem(), (404, "not_found".into()));
    assert_eq!(drive.get(&format!("/files/{id}")).await.problem(), (404, "not_found".into()));
    let trash = drive.get("/trash").await.json();
    assert_eq!(trash["count"], 1);
    assert!(trash["objects"][0]["trashed"].is_string());
    assert_eq!(trash["objects"][0]["original_parent"], "root");
    let back = drive.post(&format!("/files/{id}/restore"), json!({"name": "b.txt"})).await;
    assert_eq!(
        (back.status.as_u16(), &back.json()["name"]),
        (200, &json!("b.txt")),
        "{}",
        back.text()
    );
    let again = drive.post(&format!("/files/{id}/restore"), json!({})).await;
    assert_eq!(again.problem(), (404, "not_found".into()));
    let gone = drive.house.delete(&format!("{path}?permanent=true")).key().send().await;
    assert_eq!(gone.status, 204);
    assert_eq!(drive.get("/trash").await.json()["count"], 0);
    // `conflict` applies here as everywhere (section 44).
    let first = drive.file("d.txt", "old").await;
    drive.house.delete(&format!("{}/files/{first}", drive.base)).key().send().await;
    drive.file("d.txt", "new").await;
    let restore = |word: &str| format!("/files/{first}/restore{word}");
    let refused = drive.post(&restore(""), json!({})).await;
    assert_eq!(refused.problem(), (409, "naming_conflict".into()));
    let beside = drive.post(&restore("?conflict=rename"), json!({})).await;
    assert_eq!(
        (beside.status.as_u16(), &beside.json()["name"]),
        (200, &json!("d (1).txt")),
        "{}",
        beside.text()
    );
    let id = drive.file("c.txt", "c").await;
    drive.house.delete(&format!("{}/files/{id}", drive.base)).key().send().await;
    let purged = drive.house.delete(&format!("{}/trash/{id}", drive.base)).key().send().await;
    assert_eq!(purged.status, 204);
    assert_eq!(drive.house.delete(&format!("{}/trash", drive.base)).key().send().await.status, 204);
}

#[tokio::test]
async fn versions_are_listed_read_and_restored() {
    let drive = Drive::new().await;
    let id = drive.file("a.txt", "one").await;
    let path = format!("{}/files/{id}", drive.base);
    drive.house.clock.turn_seconds(1);
    drive.house.put(&path).key().body("second").send().await;
    let list = drive.get(&format!("/files/{id}/versions")).await.json();
    assert_eq!(list["count"], 2, "{list}");
    assert_eq!(
        (&list["objects"][0]["current"], &list["objects"][1]["current"]),
        (&json!(true), &json!(false))
    );
    let old = list["objects"][1]["id"].as_str().unwrap();
    let one = drive.get(&format!("/files/{id}/versions/{old}")).await.json();
    assert_eq!(one, list["objects"][1]);
    let content = drive.get(&format!("/files/{id}/versions/{old}/contents")).await;
    assert_eq!(content.text(), "one");
    let ask = drive.house.get(&format!("{path}/versions/{old}/contents")).key();
    let part = ask.header("range", "bytes=1-").send().await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "ne".into()));
    let back = drive.post(&format!("/files/{id}/versions/{old}/restore"), json!({})).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(drive.content(&id).await, "one");
    let gone = drive.house.delete(&format!("{path}/versions/{old}")).key().send().await;
    assert_eq!(gone.status, 204);
    for bad in ["nothing", "~", "~zz", "%00"] {
        let reply = drive.get(&format!("/files/{id}/versions/{bad}")).await;
        assert_eq!(reply.problem(), (404, "not_found".into()), "{bad}");
    }
}

#[tokio::test]
async fn permissions_and_properties_are_kept() {
    let drive = Drive::new().await;
    let id = drive.file("a.txt", "a").await;
    for noun in [format!("/files/{id}"), format!("/folders/{}", drive.folder("F").await)] {
        let path = format!("{}{noun}/permissions", drive.base);
        let body = json!([{"type": "user", "role": "reader", "email": "ben@example.com"}]);
        let set = drive.house.put(&path).key().json(body).send().await;
        assert_eq!(set.status, 200, "{}", set.text());
        assert!(set.json().get("objects").is_none() && set.json().get("type").is_none());
        let map =
            drive.house.patch(&path).key().json(json!({"cy@example.com": "writer"})).send().await;
        let roles = map.json()["permissions"].as_array().unwrap().len();
        assert!(roles >= 2, "{}", map.text());
        let away =
            drive.house.patch(&path).key().json(json!({"cy@example.com": null})).send().await;
        assert_eq!(away.json()["permissions"].as_array().unwrap().len(), roles - 1);
        let bad = drive.house.patch(&path).key().json(json!({"nobody": "reader"})).send().await;
        assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
        let own =
            drive.house.patch(&path).key().json(json!({"cy@example.com": "owner"})).send().await;
        assert_eq!(own.problem(), (501, "not_implemented".into()));

        let path = format!("{}{noun}/properties", drive.base);
        let body = json!([{"key": "department", "value": "sales"}, {"key": "draft", "value": "x"}]);
        let set = drive.house.patch(&path).key().json(body).send().await;
        assert_eq!(set.json()["properties"].as_array().unwrap().len(), 2, "{}", set.text());
        let body = json!([{"key": "draft", "value": null, "extra": 1}]);
        let set = drive.house.patch(&path).key().json(body).send().await;
        assert_eq!(set.json()["properties"][0]["value"], "sales");
        assert_eq!(drive.house.get(&path).key().send().await.json(), set.json());
        assert_eq!(drive.house.delete(&path).key().send().await.status, 204);
        assert_eq!(drive.house.get(&path).key().send().await.json(), json!({"properties": []}));
    }
}

#[tokio::test]
async fn fields_expansions_and_hashes_are_given_when_asked_for() {
    let drive = Drive::new().await;
    let folder = drive.folder("A").await;
    let body = json!({"name": "B", "parent_id": folder});
    let inner = drive.post("/folders", body).await.json()["id"].as_str().unwrap().to_owned();
    let id = drive.file("a.txt", "abc").await;
    drive.patch(&format!("/files/{id}"), json!({"parent_id": inner})).await;
    let some = drive.get(&format!("/files/{id}?fields=name,size")).await.json();
    let names: Vec<&str> = some.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "type", "api", "href", "name", "size"]);
    let list = drive.get(&format!("/folders/{inner}/contents?fields=name")).await.json();
    assert_eq!(list["objects"][0].as_object().unwrap().len(), 5);
    assert_eq!(drive.get(&format!("/files/{id}")).await.json()["ancestors"], Value::Null);
    let full = drive.get(&format!("/files/{id}?expand=ancestors,permissions,owner")).await.json();
    let above: Vec<_> =
        full["ancestors"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(above, [json!("Memory"), json!("A"), json!("B")]);
    assert!(full["permissions"].is_array());
    let hashed = drive.get(&format!("/files/{id}?hashes=md5")).await.json();
    assert_eq!(hashed["hashes"]["md5"], "900150983cd24fb0d6963f7d28e17f72");
    for bad in ["expand=x", "hashes=x"] {
        let reply = drive.get(&format!("/files/{id}?{bad}")).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    let raw = drive.house.get(&format!("{}/files/{id}", drive.base)).key();
    let raw = raw.header("x-kloudless-raw-data", "true").send().await.json();
    assert!(raw["raw"]["object"].is_object());
    assert_eq!(raw["raw"]["type"], "file");
}

#[tokio::test]
async fn previews_are_made_of_pictures_only() {
    let drive = Drive::new().await;
    let text = drive.file("a.txt", "no picture").await;
    let none = drive.get(&format!("/files/{text}/thumbnail")).await;
    assert_eq!(none.problem(), (404, "not_found".into()));
    for bad in ["size=huge", "format=gif"] {
        let reply = drive.get(&format!("/files/{text}/thumbnail?{bad}")).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
}
