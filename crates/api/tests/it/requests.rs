//! What existing clients send (wire API, section 2.1): each row is a test.

use axum::body::Body;
use http::Method;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn t1_slashes_and_question_marks_do_not_matter() {
    let house = House::new().await;
    let account = house.account("one").await;
    for path in [
        format!("/v1/accounts/{account}"),
        format!("/v1/accounts/{account}/"),
        format!("/v1//accounts///{account}//"),
        format!("/v1/accounts/{account}/?"),
        format!("/v1/%61ccounts/{account}"),
    ] {
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.json()["id"], account.number());
        assert!(reply.headers.get("location").is_none());
    }
    let meta = house.get(&format!("/v1/meta/applications//{}", house.app_id)).meta().send().await;
    assert_eq!(meta.status, 200);
}

#[tokio::test]
async fn t2_schemes_are_equal_in_any_case() {
    let house = House::new().await;
    let account = house.account("one").await;
    let token = house.token(account).await;
    for scheme in ["APIKey", "ApiKey", "apikey", "APIKEY"] {
        let value = format!("{scheme} {}", house.api_key);
        assert_eq!(house.get("/v1/accounts").auth(value).send().await.status, 200, "{scheme}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let reply = house.get("/v1/accounts/me").auth(format!("{scheme} {token}")).send().await;
        assert_eq!(reply.status, 200, "{scheme}");
    }
    for scheme in ["DeveloperKey", "developerkey", "Bearer"] {
        let value = format!("{scheme} {}", house.meta);
        let reply = house.get("/v1/meta/applications").auth(value).send().await;
        assert_eq!(reply.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn t3_booleans_have_many_spellings() {
    let house = House::new().await;
    let account = house.account("one").await;
    for (word, there) in [
        ("true", true),
        ("True", true),
        ("TRUE", true),
        ("1", true),
        ("yes", true),
        ("on", true),
        ("false", false),
        ("False", false),
        ("0", false),
        ("no", false),
        ("off", false),
        ("", true),
    ] {
        let path = format!("/v1/accounts?active={word}");
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.json()["count"], i64::from(there), "{word}");
        let path = format!("/v1/accounts/{account}/storage/folders/root");
        let reply = house.get(&path).key().header("x-kloudless-raw-data", word).send().await;
        assert_eq!(reply.json().get("raw").is_some(), there && !word.is_empty(), "{word}");
    }
    let reply = house.get("/v1/accounts?active=maybe").key().send().await;
    assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    assert_eq!(reply.json()["param"], "active");
    let path = format!("/v1/accounts/{account}");
    let reply = house.get(&format!("{path}/storage/folders/root")).key();
    let reply = reply.header("x-kloudless-raw-data", "maybe").send().await;
    assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn t4_bodies_of_get_and_delete_do_nothing() {
    let house = House::new().await;
    let account = house.account("one").await;
    let file = house.file(account, "a.txt", b"a").await;
    let path = format!("/v1/accounts/{account}/storage/folders/root/contents");
    let filter = json!({"page_size": 0, "active": "maybe", "page": "x"});
    let reply = house.get(&path).key().json(filter.clone()).send().await;
    assert_eq!((reply.status.as_u16(), reply.json()["count"].as_i64()), (200, Some(1)));
    let not_json = house.get(&path).key().header("content-type", "application/json").body("{");
    assert_eq!(not_json.send().await.status, 200);
    let path = format!("/v1/accounts/{account}/storage/files/{file}");
    assert_eq!(house.ask(Method::HEAD, &path).key().json(filter.clone()).send().await.status, 200);
    assert_eq!(house.delete(&path).key().json(filter).send().await.status, 204);
}

#[tokio::test]
async fn t5_t6_echoed_and_unknown_members_are_ignored() {
    let house = House::new().await;
    let (one, two) = (house.account("one").await, house.account("two").await);
    let file = house.file(one, "a.txt", b"a").await;
    let body = json!({
        "name": "b.txt", "account_id": two.number(), "file_id": "x", "folder_id": 7,
        "link_id": null, "application_id": "y", "queryParams": {"overwrite": "true"},
        "creator": {"id": 1}, "owner": null, "href": "https://x", "type": "folder", "id": "z",
    });
    let path = format!("/v1/accounts/{one}/storage/files/{file}");
    let reply = house.patch(&path).key().json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["name"], "b.txt");
    assert_eq!(reply.json()["account"], one.number());
}

#[tokio::test]
async fn t7_t8_empty_bodies_and_missing_types_are_fine() {
    let house = House::new().await;
    let account = house.account("one").await;
    let file = house.file(account, "a.txt", b"a").await;
    let path = format!("/v1/accounts/{account}/storage/files/{file}");
    assert_eq!(house.patch(&path).key().send().await.status, 200);
    let typed = house.patch(&path).key().header("content-type", "application/json");
    assert_eq!(typed.send().await.status, 200);
    let untyped = house.patch(&path).key().body(json!({"name": "b.txt"}).to_string());
    assert_eq!(untyped.send().await.json()["name"], "b.txt");
    let charset = house.patch(&path).key().header("content-type", "application/json;charset=UTF-8");
    let reply = charset.body(json!({"name": "c.txt"}).to_string()).send().await;
    assert_eq!(reply.json()["name"], "c.txt");
    let permissions = house.put(&format!("{path}/permissions")).key().send().await;
    assert_eq!(permissions.status, 200, "{}", permissions.text());
    assert!(permissions.json()["permissions"].is_array());
}

#[tokio::test]
async fn t9_text_that_is_not_utf8_is_latin1() {
    let house = House::new().await;
    let account = house.account("one").await;
    let path = format!("/v1/accounts/{account}/storage/folders");
    let reply = house.post(&path).key().body(b"{\"name\":\"caf\xe9\"}".to_vec()).send().await;
    assert_eq!(reply.json()["name"], "café");
    let path = format!("/v1/accounts/{account}/storage/files");
    let metadata = b"{\"parent_id\":\"root\",\"name\":\"\xfcber.txt\"}";
    let reply = house.post(&path).key().header_bytes("x-kloudless-metadata", metadata);
    assert_eq!(reply.body("x").send().await.json()["name"], "über.txt");
    let metadata = "{\"parent_id\":\"root\",\"name\":\"naïve\\u0021.txt\"}";
    let reply = house.post(&path).key().header_bytes("x-kloudless-metadata", metadata.as_bytes());
    assert_eq!(reply.body("x").send().await.json()["name"], "naïve!.txt");
}

#[tokio::test]
async fn t10_content_is_raw_bytes_whatever_it_is_called() {
    let house = House::new().await;
    let account = house.account("one").await;
    let metadata = json!({"parent_id": "root", "name": "a.bin"}).to_string();
    let types = [
        None,
        Some("application/octet-stream"),
        Some("application/x-www-form-urlencoded"),
        Some("application/json"),
        Some("multipart/form-data; boundary=x"),
    ];
    for media_type in types {
        let path = format!("/v1/accounts/{account}/storage/files?overwrite=true");
        let mut ask = house.post(&path).key().header("x-kloudless-metadata", &metadata);
        if let Some(media_type) = media_type {
            ask = ask.header("content-type", media_type);
        }
        let reply = ask.body("a=b&{not json").send().await;
        assert!(reply.status.is_success(), "{media_type:?} {}", reply.text());
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/accounts/{account}/storage/files/{id}");
        let mut ask = house.put(&path).key();
        if let Some(media_type) = media_type {
            ask = ask.header("content-type", media_type);
        }
        assert_eq!(ask.body("{}").send().await.status, 200);
        let content = house.get(&format!("{path}/contents")).key().send().await;
        assert_eq!(content.bytes, b"{}", "{media_type:?}");
    }
}

#[tokio::test]
async fn t11_forms_are_read_in_any_order_and_without_their_end() {
    let house = House::new().await;
    let account = house.account("one").await;
    let metadata = |name: &str| json!({"parent_id": "root", "name": name}).to_string();
    let part = |name: &str, more: &str, content: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}")
    };
    let file = |content: &str| part("file", "; filename=\"x.txt\"", content);
    for (name, body) in [
        ("1", format!("{}\r\n{}\r\n--B--\r\n", part("metadata", "", &metadata("1")), file("one"))),
        ("2", format!("{}\r\n{}\r\n--B--\r\n", file("one"), part("metadata", "", &metadata("2")))),
        ("3", format!("{}\r\n{}", part("metadata", "", &metadata("3")), file("one"))),
        ("4", format!("{}\r\n{}\r\n--B\r\n", part("metadata", "", &metadata("4")), file("one"))),
        ("5", format!("{}\r\n{}\r\n--B", file("one"), part("metadata", "", &metadata("5")))),
        ("6", format!("{}\r\n{}", file("one"), part("metadata", "", &metadata("6")))),
        (
            "7",
            format!(
                "{}\r\n{}\r\n{}\r\n--B--",
                part("token", "", "x"),
                part("metadata", "", &metadata("7")),
                file("one")
            ),
        ),
    ] {
        let path = format!("/v1/accounts/{account}/storage/files");
        let ask = house.post(&path).key().header("content-type", "multipart/form-data; boundary=B");
        let reply = ask.body(body).send().await;
        assert_eq!(reply.status, 201, "{name}: {}", reply.text());
        assert_eq!(reply.json()["name"], name);
        assert_eq!(reply.json()["size"], 3, "{name}");
    }
    for bad in ["", "--B--", "--B\r\n\r\n", "rubbish", &file("one"), &part("metadata", "", "{}")] {
        let path = format!("/v1/accounts/{account}/storage/files");
        let ask = house.post(&path).key().header("content-type", "multipart/form-data; boundary=B");
        let reply = ask.body(bad.to_owned()).send().await;
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
    let path = format!("/v1/accounts/{account}/storage/files");
    let reply = house.post(&path).key().header("content-type", "multipart/form-data").send().await;
    assert_eq!(reply.problem(), (400, "bad_request".into()));
}

#[tokio::test]
async fn t13_the_first_page_has_three_names() {
    let house = House::new().await;
    let account = house.account("one").await;
    house.file(account, "a.txt", b"a").await;
    for list in
        ["storage/folders/root/contents", "storage/recent", "storage/search?q=a", "storage/trash"]
    {
        let joint = if list.contains('?') { '&' } else { '?' };
        for page in ["", "page=", "page=1"] {
            let path = format!("/v1/accounts/{account}/{list}{joint}{page}");
            let reply = house.get(&path).key().send().await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            assert_eq!(reply.json()["page"], 1, "{path}");
        }
    }
    for page in ["", "page=", "page=1"] {
        let reply = house.get(&format!("/v1/accounts?{page}")).key().send().await;
        assert_eq!(reply.json()["page"], 1);
    }
}

#[tokio::test]
async fn t14_ids_are_equal_encoded_and_padded() {
    let house = House::new().await;
    let account = house.account("one").await;
    let file = house.file(account, "a.txt", b"a").await;
    let payload = file.strip_prefix("file_").unwrap();
    let padding = "=".repeat((4 - payload.len() % 4) % 4);
    for id in [
        file.clone(),
        format!("{file}{padding}"),
        format!("{file}{}", padding.replace('=', "%3D")),
        file.replace('_', "%5F"),
        format!("f{payload}"),
    ] {
        let path = format!("/v1/accounts/{account}/storage/files/{id}");
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.json()["id"], file.as_str(), "{id}: {}", reply.text());
    }
}

#[tokio::test]
async fn t15_t16_odd_queries_are_read_leniently() {
    let house = House::new().await;
    let account = house.account("one").await;
    house.file(account, "a b.txt", b"a").await;
    for query in ["?true", "?unknown=1&x", "?&&", "?%", "?a=%zz", "?page_size=1&page_size=2"] {
        let path = format!("/v1/accounts/{account}/storage/folders/root/contents{query}");
        let reply = house.get(&path).key().send().await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    }
    let path = format!("/v1/accounts/{account}/storage/search?q=a+b&x={{|}}");
    assert_eq!(house.get(&path).key().send().await.json()["count"], 1);
}

#[tokio::test]
async fn t17_t18_other_headers_change_nothing() {
    let house = House::new().await;
    let account = house.account("one").await;
    let ask = house
        .get(&format!("/v1/accounts/{account}"))
        .key()
        .header("x-kloudless-source", "js")
        .header("x-kloudless-client-user-agent", "{}")
        .header("kloudless-version", "1")
        .header("accept-charset", "latin1")
        .header("accept", "text/html");
    let reply = ask.send().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn t19_strings_stand_for_numbers_and_booleans() {
    let house = House::new().await;
    let (one, two) = (house.account("one").await, house.account("two").await);
    let file = house.file(one, "a.txt", b"a").await;
    let path = format!("/v1/accounts/{one}/storage/files/{file}/copy");
    let body = json!({"parent_id": "root", "account": two.number().to_string()});
    let reply = house.post(&path).key().json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.json()["account"], two.number());
    let path = format!("/v1/accounts/{one}");
    let reply = house.patch(&path).key().json(json!({"active": "false"})).send().await;
    assert_eq!(reply.json()["active"], false);
}

#[tokio::test]
async fn bodies_have_limits_and_must_be_objects() {
    let house = House::new().await;
    let account = house.account("one").await;
    let path = format!("/v1/accounts/{account}/storage/folders");
    for bad in ["{", "[]", "\"x\"", "7", "nonsense"] {
        let reply = house.post(&path).key().body(bad).send().await;
        assert_eq!(reply.problem(), (400, "bad_request".into()), "{bad}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    let reply = house.post(&path).key().body(large).send().await;
    assert_eq!(reply.problem(), (413, "request_too_large".into()));
    let broken = Body::from_stream(futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"{\"na")),
        Err(std::io::Error::other("gone")),
    ]));
    let reply = house.post(&path).key().body(broken).send().await;
    assert_eq!(reply.problem(), (400, "bad_request".into()));
}
