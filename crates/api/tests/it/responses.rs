//! What every answer keeps to (wire API, sections 3, 8, 42): each row is a test.

use http::Method;
use serde_json::{Value, json};

use crate::house::{BASE, House};

#[tokio::test]
async fn r1_r12_json_has_a_bare_type_and_is_not_stored() {
    let house = House::new().await;
    let account = house.account("one").await;
    for path in ["/v1/accounts", "/v1/nothing", "/v1/openapi.json", "/v1/accounts?active=x"] {
        let reply = house.get(path).key().send().await;
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
    let file = house.file(account, "a.txt", b"a").await;
    let path = format!("/v1/accounts/{account}/storage/files/{file}/contents");
    let reply = house.get(&path).key().send().await;
    assert_eq!(reply.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn r2_json_is_ascii() {
    let house = House::new().await;
    let account = house.account("one").await;
    house.file(account, "größe 📄.txt", b"a").await;
    let path = format!("/v1/accounts/{account}/storage/folders/root/contents");
    let reply = house.get(&path).key().send().await;
    assert!(reply.bytes.is_ascii());
    assert_eq!(reply.json()["objects"][0]["name"], "größe 📄.txt");
    let path = format!("/v1/accounts/{account}/storage/search?q=");
    let reply = house.get(&path).key().send().await;
    assert!(reply.bytes.is_ascii());
    let conflict = house.post(&format!("/v1/accounts/{account}/storage/folders")).key();
    let reply = conflict.json(json!({"name": "größe 📄.txt"})).send().await;
    assert_eq!(reply.status, 409);
    assert!(reply.bytes.is_ascii());
}

#[tokio::test]
async fn r3_r4_r5_r6_the_top_is_an_object_and_ids_are_never_null() {
    fn check(value: &Value, path: &str) {
        match value {
            Value::Object(members) => {
                for name in ["type", "api", "href"] {
                    assert_ne!(members.get(name), Some(&Value::Null), "{path}: {name}");
                }
                if members.get("type") == Some(&"object_list".into()) {
                    assert!(members["objects"].is_array(), "{path}");
                }
                if members.contains_key("href") {
                    assert_ne!(members.get("id"), Some(&Value::Null), "{path}");
                }
                members.values().for_each(|member| check(member, path));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, path)),
            _ => {}
        }
    }
    let house = House::new().await;
    let account = house.account("one").await;
    let file = house.file(account, "a.txt", b"a").await;
    let base = format!("/v1/accounts/{account}");
    for path in [
        "/v1/accounts".to_owned(),
        "/v1/public/services?retrieve_properties=true".to_owned(),
        "/v1/public/services/memory".to_owned(),
        format!("{base}?retrieve_full=true"),
        format!("{base}/capabilities"),
        format!("{base}/storage/folders/root"),
        format!("{base}/storage/folders/root/contents"),
        format!("{base}/storage/folders/root/contents?recursive=true"),
        format!("{base}/storage/files/{file}"),
        format!("{base}/storage/files/{file}/permissions"),
        format!("{base}/storage/files/{file}/properties"),
        format!("{base}/storage/files/{file}/versions"),
        format!("{base}/storage/recent"),
        format!("{base}/storage/search?q=a"),
        format!("{base}/storage/trash"),
    ] {
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let body = reply.json();
        assert!(body.is_object(), "{path}");
        assert_eq!(body.get("error_code"), None, "{path}");
        check(&body, &path);
    }
}

#[tokio::test]
async fn r7_statuses_say_what_was_done() {
    let house = House::new().await;
    let account = house.account("one").await;
    let folders = format!("/v1/accounts/{account}/storage/folders");
    let made = house.post(&folders).key().json(json!({"name": "Plans"})).send().await;
    assert_eq!(made.status, 201);
    let again = house.post(&folders).key().json(json!({"name": "Plans"})).send().await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["id"], made.json()["id"]);
    let path = format!("{folders}/{}", made.json()["id"].as_str().unwrap());
    let gone = house.delete(&path).key().send().await;
    assert_eq!(gone.status, 204);
    assert!(gone.bytes.is_empty());
    assert!(gone.headers.get("content-type").is_none());
}

#[tokio::test]
async fn r9_r11_objects_are_whole_and_the_same_wherever_they_are_met() {
    let house = House::new().await;
    let account = house.account("one").await;
    let path = format!("/v1/accounts/{account}/storage/files");
    let metadata = json!({"parent_id": "root", "name": "q1.pdf"}).to_string();
    let made = house.post(&path).key().header("x-kloudless-metadata", metadata).body("1234").send();
    let made = made.await.json();
    let id = made["id"].as_str().unwrap();
    let got = house.get(&format!("{path}/{id}")).key().send().await.json();
    let listed = house.get(&format!("/v1/accounts/{account}/storage/folders/root/contents")).key();
    let listed = listed.send().await.json()["objects"][0].clone();
    assert_eq!(made, got);
    assert_eq!(got, listed);
    for member in [
        "id",
        "type",
        "api",
        "href",
        "ids",
        "id_type",
        "raw_id",
        "account",
        "name",
        "size",
        "mime_type",
        "downloadable",
        "path",
        "parent",
        "ancestors",
        "owner",
        "creator",
        "last_modifier",
        "created",
        "modified",
        "etag",
        "hashes",
    ] {
        assert!(got.get(member).is_some(), "{member}");
    }
    assert_eq!(got["href"], format!("{BASE}/v1/accounts/{account}/storage/files/{id}"));
    assert_eq!(got["parent"]["id"], "root");
    assert_eq!(got["parent"]["id_type"], "path");
    assert_eq!(got["ids"]["default"], id);
    assert_eq!(got["mime_type"], "application/pdf");
    assert_eq!(got["size"], 4);
    assert!(got.get("raw").is_none() && got.get("link").is_none());
    let root = house.get(&format!("/v1/accounts/{account}/storage/folders/root")).key();
    let root = root.send().await.json();
    assert_eq!((&root["id"], &root["id_type"]), (&json!("root"), &json!("path")));
    assert_eq!((&root["parent"], &root["ancestors"]), (&Value::Null, &json!([])));
    assert_eq!((&root["name"], &root["size"]), (&json!("Memory"), &Value::Null));
    for member in ["can_create_folders", "can_upload_files", "can_list_recursively"] {
        assert_eq!(root[member], true, "{member}");
    }
    for member in ["mime_type", "downloadable", "etag", "hashes"] {
        assert!(root.get(member).is_none(), "{member}");
    }
}

#[tokio::test]
async fn accounts_are_the_same_wherever_they_are_met() {
    let house = House::new().await;
    let body = json!({
        "service": "memory", "account": "ana", "drive": "d", "password": "p", "admin": false,
        "custom_properties": {"customer": "c-17"}, "href": "x", "nonsense": [1],
    });
    let made = house.post("/v1/accounts").key().json(body.clone()).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let id = made["id"].as_i64().unwrap();
    let got = house.get(&format!("/v1/accounts/{id}")).key().send().await.json();
    let listed = house.get("/v1/accounts").key().send().await.json()["objects"][0].clone();
    assert_eq!(made, got);
    assert_eq!(got, listed);
    for member in [
        "id",
        "type",
        "api",
        "href",
        "account",
        "service",
        "service_name",
        "admin",
        "active",
        "enabled",
        "internal_use",
        "apis",
        "effective_scope",
        "created",
        "modified",
        "token_expiry",
        "refresh_token_expiry",
        "custom_properties",
        "object_definitions",
        "proxy_connection",
        "credential",
    ] {
        assert!(got.get(member).is_some(), "{member}");
    }
    assert_eq!(got["custom_properties"], json!({"customer": "c-17"}));
    assert!(!got.to_string().contains("\"p\""), "no secret comes back");
    let again = house.post("/v1/accounts").key().json(body).send().await;
    assert_eq!((again.status.as_u16(), again.json()["id"].as_i64()), (200, Some(id)));
}

#[tokio::test]
async fn browsers_of_any_origin_are_answered() {
    let house = House::new().await;
    for path in ["/v1/accounts/1/storage/files/x", "/v1/nothing", "/v1/accounts"] {
        let ask = house.ask(Method::OPTIONS, path).header("origin", "https://www.example.com");
        let ask = ask.header("access-control-request-headers", "authorization, x-thing");
        let reply = ask.header("access-control-request-method", "GET").send().await;
        assert_eq!(reply.status, 204, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-allow-methods").contains("GET"), "{path}");
        assert_eq!(reply.header("access-control-max-age"), "86400");
        if path != "/v1/nothing" {
            assert_eq!(reply.header("access-control-allow-headers"), "authorization, x-thing");
        }
    }
    let files = house.ask(Method::OPTIONS, "/v1/accounts/1/storage/files/x").send().await;
    assert_eq!(files.header("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,DELETE,OPTIONS");
    for path in ["/v1/accounts", "/v1/nothing"] {
        let reply = house.get(path).send().await;
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-expose-headers").contains("X-Request-Id"));
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_keeps_the_clients() {
    let house = House::new().await;
    let reply = house.get("/v1/nothing").header("x-request-id", "mine-1").send().await;
    assert_eq!(reply.header("x-request-id"), reply.json()["id"].as_str().unwrap());
    assert_eq!(reply.header("x-request-id").len(), 36);
    assert_eq!(reply.header("x-client-request-id"), "mine-1");
    let long = "x".repeat(129);
    let reply = house.get("/v1/nothing").header("x-request-id", &long).send().await;
    assert_eq!(reply.header("x-client-request-id"), "");
    let reply = house.get("/v1/accounts").key().send().await;
    assert_eq!(reply.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_in_our_form() {
    let house = House::new().await;
    let reply = house.put("/v1/accounts").key().send().await;
    assert_eq!(reply.problem(), (405, "method_not_allowed".into()));
    assert_eq!(reply.header("allow"), "GET,HEAD,POST,OPTIONS");
    for path in
        ["/", "/v0/accounts", "/v2/accounts", "/v1", "/v1/x/y", "/%00", "/v1/accounts/a/b/c"]
    {
        let reply = house.get(path).send().await;
        assert_eq!(reply.problem(), (404, "not_found".into()), "{path}");
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    assert_eq!(house.ask(odd, "/v1/accounts").key().send().await.status, 405);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let house = House::new().await;
    let account = house.account("one").await;
    let file = house.file(account, "a.txt", b"abc").await;
    for path in [
        "/v1/accounts".to_owned(),
        "/v1/nothing".to_owned(),
        format!("/v1/accounts/{account}/storage/files/{file}"),
        format!("/v1/accounts/{account}/storage/files/{file}/contents"),
    ] {
        let get = house.get(&path).key().send().await;
        let head = house.ask(Method::HEAD, &path).key().send().await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.bytes.is_empty(), "{path}");
        assert_eq!(head.header("content-length"), get.bytes.len().to_string(), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[tokio::test]
async fn later_categories_answer_501_after_the_credential() {
    let house = House::new().await;
    let account = house.account("one").await;
    for noun in [
        "cal/calendars",
        "cal",
        "chat/conversations",
        "messaging/x",
        "crm/contacts",
        "email/messages",
        "activity",
        "meetings/windows",
        "itsm/tickets",
        "helpdesk",
        "accounting/x",
        "objects/x",
        "sharing",
        "mappings/x/y",
    ] {
        let path = format!("/v1/accounts/{account}/{noun}");
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.problem(), (501, "not_implemented".into()), "{noun}");
        assert_eq!(reply.json()["capability"]["support"], "unsupported", "{noun}");
        assert_eq!(house.post(&path).key().send().await.status, 501, "{noun}");
        assert_eq!(house.get(&path).send().await.status, 403, "{noun}");
    }
    assert_eq!(house.get("/v1/meetings/windows").key().send().await.status, 501);
    assert_eq!(house.get("/v1/events").send().await.status, 403);
    let page = house.get("/m/b/anything").send().await;
    assert_eq!(page.problem(), (501, "not_implemented".into()));
}

#[tokio::test]
async fn services_tell_two_rules_for_every_operation() {
    let house = House::new().await;
    let list = house.get("/v1/public/services?retrieve_properties=true").send().await.json();
    assert_eq!(list["total"], 1);
    let service = &list["objects"][0];
    assert_eq!(service["href"], format!("{BASE}/v1/public/services/memory"));
    let rules = service["properties"]["capabilities"].as_object().unwrap();
    for (name, rules) in rules {
        let admins: Vec<_> =
            rules.as_array().unwrap().iter().map(|rule| rule["admin"].clone()).collect();
        assert_eq!(admins, [json!(false), json!(true)], "{name}");
    }
    assert_eq!(rules["storage.folders.list"][0]["result"], true);
    assert_eq!(rules["calendar.events.write"][0]["result"], false);
    assert!(rules["calendar.events.write"][0]["reason"]["message"].is_string());
    assert!(list["objects"][0]["logo_url"].is_string());
    let logo = house.get("/static/services/memory.svg").send().await;
    assert_eq!((logo.status.as_u16(), logo.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(house.get("/v1/public/services/none").send().await.status, 404);
    assert_eq!(house.get("/v1/public/services?app_id=none").send().await.status, 404);
    assert_eq!(house.get("/v1/public/services?category=crm").send().await.json()["count"], 0);
    let plain = house.get("/v1/public/services/memory").send().await.json();
    assert!(plain.get("properties").is_none());
}

#[tokio::test]
async fn the_document_describes_what_is_served() {
    let house = House::new().await;
    let document = house.get("/v1/openapi.json").send().await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], BASE);
    let text = document.to_string();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert_ne!(operation["summary"], "", "{method} {path}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
        }
    }
    let mut from = 0;
    while let Some(at) = text[from..].find("\"$ref\":\"#/components/") {
        let start = from + at + "\"$ref\":\"#/components/".len();
        let end = start + text[start..].find('"').unwrap();
        let (kind, name) = text[start..end].split_once('/').unwrap();
        assert!(document["components"][kind].get(name).is_some(), "{kind}/{name}");
        from = end;
    }
}
