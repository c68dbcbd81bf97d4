//! Folders: create, list, move, copy, delete (wire API, sections 10, 23, 47).

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

    async fn make(&self, query: &str, body: Value) -> Reply {
        self.house.post(&format!("{}/folders{query}", self.base)).key().json(body).send().await
    }

    async fn folder(&self, name: &str, parent: &str) -> String {
        let reply = self.make("", json!({"name": name, "parent_id": parent})).await;
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn file(&self, name: &str, parent: &str) -> String {
        let metadata = json!({"parent_id": parent, "name": name}).to_string();
        let ask = self.house.post(&format!("{}/files", self.base)).key();
        let reply = ask.header("x-kloudless-metadata", metadata).body("x").send().await;
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

    async fn delete(&self, tail: &str) -> Reply {
        self.house.delete(&format!("{}{tail}", self.base)).key().send().await
    }

    async fn names(&self, folder: &str) -> Vec<String> {
        let list = self.get(&format!("/folders/{folder}/contents")).await.json();
        let objects = list["objects"].as_array().unwrap();
        let mut names: Vec<String> =
            objects.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_folder_that_is_there_is_given_or_refused() {
    let drive = Drive::new().await;
    let made = drive.make("", json!({"name": "Plans"})).await;
    assert_eq!((made.status.as_u16(), &made.json()["parent"]["id"]), (201, &json!("root")));
    let same = drive.make("", json!({"name": "Plans", "parent_id": "root"})).await;
    assert_eq!((same.status.as_u16(), &same.json()["id"]), (200, &made.json()["id"]));
    for query in
        ["?conflict_if_exists=true", "?conflict=fail", "?conflict=fail&conflict_if_exists=false"]
    {
        let refused = drive.make(query, json!({"name": "Plans"})).await;
        assert_eq!(refused.problem(), (409, "naming_conflict".into()), "{query}");
        assert_eq!(refused.json()["conflicting_resource_id"], made.json()["id"]);
    }
    let beside = drive.make("?conflict=rename", json!({"name": "Plans"})).await;
    assert_eq!((beside.status.as_u16(), &beside.json()["name"]), (201, &json!("Plans (1)")));
    let bad = drive.make("?conflict=replace", json!({"name": "Plans"})).await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
    drive.file("note", "root").await;
    for query in ["", "?conflict_if_exists=true"] {
        let refused = drive.make(query, json!({"name": "note"})).await;
        assert_eq!(refused.problem(), (409, "naming_conflict".into()), "{query}");
    }
    for (body, code) in [
        (json!({}), "invalid_parameters"),
        (json!({"name": ""}), "invalid_parameters"),
        (json!({"name": 7}), "invalid_parameters"),
        (json!({"name": "a\u{0}"}), "invalid_parameters"),
        (json!({"name": "x".repeat(1025)}), "invalid_parameters"),
        (json!({"name": "a", "parent_id": "F123"}), "invalid_parent_folder"),
        (json!({"name": "a", "parent_id": "folder_bm9uZQ"}), "invalid_parent_folder"),
    ] {
        assert_eq!(drive.make("", body.clone()).await.problem(), (400, code.into()), "{body}");
    }
}

#[tokio::test]
async fn a_file_is_no_folder_and_a_folder_no_file() {
    let drive = Drive::new().await;
    let (file, folder) = (drive.file("a", "root").await, drive.folder("F", "root").await);
    for path in [
        format!("/folders/{file}"),
        format!("/folders/{file}/contents"),
        format!("/files/{folder}"),
        format!("/files/{folder}/contents"),
        "/files/root".to_owned(),
        format!("/folders/{}", file.replace("file_", "folder_")),
        format!("/files/{}", folder.replace("folder_", "file_")),
        "/folders/F123456".to_owned(),
    ] {
        assert_eq!(drive.get(&path).await.problem(), (404, "not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn the_root_stays() {
    let drive = Drive::new().await;
    let into = drive.folder("F", "root").await;
    for body in [json!({"name": "x"}), json!({"parent_id": into})] {
        let reply = drive.patch("/folders/root", body).await;
        assert_eq!(reply.problem(), (403, "permission_denied".into()));
    }
    assert_eq!(drive.patch("/folders/root", json!({})).await.status, 200);
    for query in ["", "?recursive=true"] {
        let reply = drive.delete(&format!("/folders/root{query}")).await;
        assert_eq!(reply.problem(), (403, "permission_denied".into()));
    }
    let copy = drive.post("/folders/root/copy", json!({"parent_id": into})).await;
    assert_eq!(copy.problem(), (400, "invalid_parent_folder".into()));
}

#[tokio::test]
async fn folders_move_but_not_into_themselves() {
    let drive = Drive::new().await;
    let (a, b) = (drive.folder("A", "root").await, drive.folder("B", "root").await);
    let inner = drive.folder("In", &a).await;
    for parent in [&a, &inner] {
        let reply = drive.patch(&format!("/folders/{a}"), json!({"parent_id": parent})).await;
        assert_eq!(reply.problem(), (400, "invalid_parent_folder".into()));
        let reply = drive.post(&format!("/folders/{a}/copy"), json!({"parent_id": parent})).await;
        assert_eq!(reply.problem(), (400, "invalid_parent_folder".into()));
    }
    let moved = drive.patch(&format!("/folders/{a}"), json!({"parent_id": b})).await;
    assert_eq!(
        (moved.status.as_u16(), &moved.json()["parent"]["name"]),
        (200, &json!("B")),
        "{}",
        moved.text()
    );
    assert_eq!(drive.names(&b).await, ["A"]);
    let taken =
        drive.patch(&format!("/folders/{b}"), json!({"name": "A", "parent_id": "root"})).await;
    assert_eq!(taken.status, 200);
}

#[tokio::test]
async fn copies_are_deep_and_merge_when_told_to() {
    let drive = Drive::new().await;
    let a = drive.folder("A", "root").await;
    let inner = drive.folder("In", &a).await;
    drive.file("deep.txt", &inner).await;
    let copy = drive.post(&format!("/folders/{a}/copy"), json!({"parent_id": "root"})).await;
    assert_eq!(
        (copy.status.as_u16(), &copy.json()["name"]),
        (201, &json!("A (1)")),
        "{}",
        copy.text()
    );
    let id = copy.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(drive.names(&id).await, ["In"]);
    drive.file("new.txt", &inner).await;
    let body = json!({"parent_id": "root", "name": "A (1)"});
    let merged = drive.post(&format!("/folders/{a}/copy?overwrite=true"), body.clone()).await;
    assert_eq!(merged.json()["id"], id.as_str(), "{}", merged.text());
    let tree = drive.get(&format!("/folders/{id}/contents?recursive=true")).await.json();
    assert_eq!(tree["count"], 3);
    let refused = drive.post(&format!("/folders/{a}/copy?conflict=fail"), body).await;
    assert_eq!(refused.problem(), (409, "naming_conflict".into()));
    let two = drive.house.account("two").await;
    let body = json!({"parent_id": "root", "account": two.number()});
    let across = drive.post(&format!("/folders/{a}/copy"), body).await;
    assert_eq!(
        (across.status.as_u16(), &across.json()["account"]),
        (201, &json!(two.number())),
        "{}",
        across.text()
    );
    let body = json!({"account": two.number(), "name": "Moved"});
    let moved = drive.patch(&format!("/folders/{a}"), body).await;
    assert_eq!(
        (moved.status.as_u16(), &moved.json()["name"]),
        (200, &json!("Moved")),
        "{}",
        moved.text()
    );
    assert_eq!(drive.get(&format!("/folders/{a}")).await.status, 404);
}

#[tokio::test]
async fn full_folders_are_deleted_only_when_told_to() {
    let drive = Drive::new().await;
    let a = drive.folder("A", "root").await;
    drive.file("x", &a).await;
    let refused = drive.delete(&format!("/folders/{a}")).await;
    assert_eq!(refused.problem(), (403, "folder_not_empty".into()));
    assert_eq!(drive.names(&a).await, ["x"]);
    assert_eq!(drive.delete(&format!("/folders/{a}?recursive=true")).await.status, 204);
    assert_eq!(drive.delete(&format!("/folders/{a}?recursive=true")).await.status, 404);
    let b = drive.folder("B", "root").await;
    assert_eq!(drive.delete(&format!("/folders/{b}")).await.status, 204);
}

#[tokio::test]
async fn everything_below_comes_folders_first() {
    let drive = Drive::new().await;
    let a = drive.folder("A", "root").await;
    let inner = drive.folder("In", &a).await;
    drive.file("deep.txt", &inner).await;
    drive.file("top.txt", "root").await;
    let tree = drive.get("/folders/root/contents?recursive=true").await.json();
    let place = |name: &str| {
        let objects = tree["objects"].as_array().unwrap();
        objects.iter().position(|one| one["name"] == name).unwrap()
    };
    assert!(place("A") < place("In") && place("In") < place("deep.txt"));
    let deep = &tree["objects"][place("deep.txt")];
    assert_eq!(deep["depth"], 3);
    let names: Vec<_> =
        deep["ancestors"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("Memory"), json!("A"), json!("In")]);
    let shallow = drive.get("/folders/root/contents?recursive=true&max_depth=1").await.json();
    assert_eq!(shallow["count"], 2);
    let files = drive.get("/folders/root/contents?recursive=true&types=file").await.json();
    assert_eq!(files["count"], 2);
    let folders = drive.get("/folders/root/contents?types=folder").await.json();
    assert_eq!(folders["count"], 1);
    for bad in ["types=x", "max_depth=0", "max_depth=x", "recursive=x"] {
        let reply = drive.get(&format!("/folders/root/contents?{bad}")).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    let mut seen = 0;
    let mut page = String::new();
    loop {
        let path = format!("/folders/root/contents?recursive=true&page_size=1&page={page}");
        let one = drive.get(&path).await.json();
        seen += one["count"].as_i64().unwrap();
        match one["next_page"].as_str() {
            Some(next) => page = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 4);
}
