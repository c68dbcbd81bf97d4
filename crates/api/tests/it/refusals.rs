//! Who is let in and who is not (wire API, sections 4, 12, 13, 52): each row is a test.

use std::time::Duration;

use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tramontane_accounts::{Access, AccountChange, NewKey, NewToken};
use tramontane_api::ApiLimits;
use tramontane_api::limits::Rate;
use tramontane_model::AccountId;

use crate::house::{House, Reply};

async fn get(house: &House, path: &str, auth: &str) -> Reply {
    house.get(path).auth(auth).send().await
}

#[tokio::test]
async fn credentials_that_are_none_are_forbidden() {
    let house = House::new().await;
    let account = house.account("one").await;
    let token = house.token(account).await;
    let own = format!("/v1/accounts/{account}");
    let none = house.get(&own).send().await;
    assert_eq!(none.problem(), (403, "forbidden".into()));
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"tramontane\"");
    for auth in [
        "Basic YTpi".to_owned(),
        "AccountKey abc".to_owned(),
        "nonsense".to_owned(),
        "Bearer".to_owned(),
        "Bearer unknown".to_owned(),
        "Bearer a'--".to_owned(),
        "APIKey unknown".to_owned(),
        format!("Bearer {}", house.api_key),
        format!("APIKey {token}"),
        format!("Bearer {}", house.meta),
        format!("DeveloperKey {}", house.meta),
        format!("Bearer {token},"),
        format!("Bearer {token},unknown"),
    ] {
        let reply = get(&house, &own, &auth).await;
        assert_eq!(reply.problem(), (403, "forbidden".into()), "{auth}");
        assert!(reply.header("www-authenticate").starts_with("Bearer realm"), "{auth}");
    }
    let meta = "/v1/meta/applications";
    for auth in [format!("Bearer {token}"), format!("APIKey {}", house.api_key)] {
        assert_eq!(get(&house, meta, &auth).await.problem(), (403, "forbidden".into()), "{auth}");
    }
    let bytes = house.get(&own).header_bytes("authorization", b"Bearer \xff\xfe").send().await;
    assert_eq!(bytes.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn switched_off_and_revoked_credentials_are_forbidden() {
    let house = House::new().await;
    let account = house.account("one").await;
    let token = house.token(account).await;
    let own = format!("/v1/accounts/{account}");
    let directory = house.app().directory();
    let spare = directory.create_key(&house.app_id, &NewKey::default()).await.unwrap();
    let auth = format!("APIKey {}", spare.key.expose_secret());
    assert_eq!(get(&house, &own, &auth).await.status, 200);
    directory.set_key_active(&house.app_id, &spare.row.id, false).await.unwrap();
    assert_eq!(get(&house, &own, &auth).await.problem(), (403, "forbidden".into()));
    let made = directory
        .create_token(&house.app_id, account, &Access::everything(), NewToken::default())
        .await
        .unwrap();
    let auth = format!("Bearer {}", made.token.expose_secret());
    assert_eq!(get(&house, &own, &auth).await.status, 200);
    directory.revoke_token(account, &made.row.id).await.unwrap();
    assert_eq!(get(&house, &own, &auth).await.problem(), (403, "forbidden".into()));
    let path = format!("/v1/meta/applications/{}", house.app_id);
    let off = house.patch(&path).meta().json(json!({"active": false})).send().await;
    assert_eq!(off.status, 200, "{}", off.text());
    for auth in [format!("APIKey {}", house.api_key), format!("Bearer {token}")] {
        assert_eq!(get(&house, &own, &auth).await.problem(), (403, "forbidden".into()));
    }
}

#[tokio::test]
async fn a_token_opens_its_own_account_and_a_key_its_applications() {
    let house = House::new().await;
    let (one, two) = (house.account("one").await, house.account("two").await);
    let token = house.token(one).await;
    let bearer = format!("Bearer {token}");
    for id in ["me".to_owned(), one.to_string()] {
        let reply = get(&house, &format!("/v1/accounts/{id}"), &bearer).await;
        assert_eq!(reply.json()["id"], one.number());
    }
    for other in [two.to_string(), "1".to_owned(), "0".to_owned(), "x".to_owned(), "-1".to_owned()]
    {
        let path = format!("/v1/accounts/{other}");
        assert_eq!(
            get(&house, &path, &bearer).await.problem(),
            (403, "forbidden".into()),
            "{other}"
        );
        if other != two.to_string() {
            let reply = house.get(&path).key().send().await;
            assert_eq!(reply.problem(), (404, "not_found".into()), "{other}");
        }
    }
    let me = house.get("/v1/accounts/me").key().send().await;
    assert_eq!(me.problem(), (400, "bad_request".into()));
    let list = get(&house, "/v1/accounts", &bearer).await.json();
    assert_eq!(
        (list["total"].as_i64(), list["objects"][0]["id"].as_i64()),
        (Some(1), Some(one.number()))
    );
    assert_eq!(house.get("/v1/accounts").key().send().await.json()["total"], 2);
    let import = house.post("/v1/accounts").auth(&bearer).json(json!({})).send().await;
    assert_eq!(import.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn an_expired_token_is_401() {
    let house = House::new().await;
    let account = house.account("one").await;
    let new = NewToken {
        expires: Some(house.app().now().plus_seconds(60).micros()),
        ..NewToken::default()
    };
    let all = Access::everything();
    let made =
        house.app().directory().create_token(&house.app_id, account, &all, new).await.unwrap();
    let auth = format!("Bearer {}", made.token.expose_secret());
    let path = format!("/v1/accounts/{account}");
    assert_eq!(get(&house, &path, &auth).await.status, 200);
    house.clock.turn_seconds(61);
    let reply = get(&house, &path, &auth).await;
    assert_eq!(reply.problem(), (401, "invalid_token".into()));
    assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn a_switched_off_account_is_closed() {
    let house = House::new().await;
    let account = house.account("one").await;
    let bearer = format!("Bearer {}", house.token(account).await);
    let path = format!("/v1/accounts/{account}");
    let off = house.patch(&path).key().json(json!({"active": false})).send().await;
    assert_eq!(
        (off.json()["active"].clone(), off.json()["enabled"].clone()),
        (json!(false), json!(false))
    );
    let root = format!("{path}/storage/folders/root");
    assert_eq!(house.get(&root).key().send().await.problem(), (403, "forbidden".into()));
    for own in [&root, &path, &format!("{path}?active=True")] {
        assert_eq!(get(&house, own, &bearer).await.problem(), (403, "forbidden".into()), "{own}");
    }
    assert_eq!(house.get(&path).key().send().await.status, 200);
    let wanted = house.get(&format!("{path}?active=true")).key().send().await;
    assert_eq!(wanted.problem(), (404, "not_found".into()));
    assert_eq!(house.get(&format!("{path}?enabled=false")).key().send().await.status, 200);
    assert_eq!(house.patch(&path).key().json(json!({"enabled": "true"})).send().await.status, 200);
    assert_eq!(house.get(&root).key().send().await.status, 200);
}

#[tokio::test]
async fn a_dead_credential_is_401_until_it_is_renewed() {
    let house = House::new().await;
    let body = json!({"service": "memory", "account": "ana", "drive": "d", "password": "wrong"});
    let verified = house.post("/v1/accounts?verify=true").key().json(body.clone()).send().await;
    assert_eq!(verified.problem(), (401, "service_unauthorized".into()));
    let made = house.post("/v1/accounts").key().json(body).send().await;
    assert_eq!(made.status, 201);
    let path = format!("/v1/accounts/{}", made.json()["id"]);
    let checked = house.post(&format!("{path}/check")).key().send().await;
    assert_eq!(
        (checked.status.as_u16(), &checked.json()["credential"]["state"]),
        (200, &json!("dead"))
    );
    let root = house.get(&format!("{path}/storage/folders/root")).key().send().await;
    assert_eq!(root.problem(), (401, "service_unauthorized".into()));
    let on = house.patch(&path).key().json(json!({"active": true})).send().await;
    assert_eq!(on.problem(), (401, "service_unauthorized".into()));
    let fixed = house.patch(&path).key().json(json!({"password": "right"})).send().await;
    assert_eq!(fixed.json()["credential"]["state"], "ok", "{}", fixed.text());
    assert_eq!(house.get(&format!("{path}/storage/folders/root")).key().send().await.status, 200);
}

#[tokio::test]
async fn acting_as_a_user_needs_an_administrators_account() {
    let house = House::new().await;
    let account = house.account("one").await;
    let root = format!("/v1/accounts/{account}/storage/folders/root");
    let reply = house.get(&root).key().header("x-kloudless-as-user", "user_dS0x").send().await;
    assert_eq!(reply.problem(), (403, "forbidden".into()));
    assert!(reply.json()["message"].as_str().unwrap().contains("administrator"));
    let admin = json!({"service": "memory", "account": "boss", "drive": "d", "admin": true});
    let admin = house.post("/v1/accounts").key().json(admin).send().await.json()["id"].clone();
    let root = format!("/v1/accounts/{admin}/storage/folders/root");
    let reply = house.get(&root).key().header("x-kloudless-as-user", "user_dS0x").send().await;
    assert_eq!(reply.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn the_first_failing_check_decides() {
    let house = House::new().await;
    let account = house.account("one").await;
    let path = format!("/v1/accounts/{account}/storage/folders/root/contents");
    // Route and method, before the credential.
    assert_eq!(house.ask(Method::PUT, &path).send().await.status, 405);
    assert_eq!(house.get("/v1/accounts/1/nothing").send().await.status, 404);
    // The credential, before parameters.
    assert_eq!(house.get(&format!("{path}?page_size=x")).send().await.status, 403);
    // The account, before its state and parameters.
    let other =
        house.get("/v1/accounts/7/storage/folders/x/contents?page_size=x").key().send().await;
    assert_eq!(other.problem(), (404, "not_found".into()));
    // The state, before parameters.
    let own = format!("/v1/accounts/{account}");
    house.patch(&own).key().json(json!({"active": false})).send().await;
    assert_eq!(house.get(&format!("{path}?page_size=x")).key().send().await.status, 403);
    house.patch(&own).key().json(json!({"active": true})).send().await;
    // Headers of writes are parameters too: method, credential and account come before them.
    let long = "x".repeat(256);
    for (name, value) in [("idempotency-key", long.as_str()), ("x-kloudless-async", "maybe")] {
        let folders = format!("{own}/storage/folders");
        let ask = |method: Method, path: &str| house.ask(method, path).header(name, value);
        let wrong = ask(Method::PUT, &folders).key().send().await;
        assert_eq!(wrong.problem(), (405, "method_not_allowed".into()), "{name}");
        let nobody = ask(Method::POST, &folders).send().await;
        assert_eq!(nobody.problem(), (403, "forbidden".into()), "{name}");
        let other = ask(Method::POST, "/v1/accounts/7/storage/folders").key().send().await;
        assert_eq!(other.problem(), (404, "not_found".into()), "{name}");
        let bad = ask(Method::POST, &folders).key().json(json!({"name": "x"})).send().await;
        assert_eq!(bad.problem(), (400, "invalid_parameters".into()), "{name}");
    }
    let meta = house.post("/v1/meta/applications").header("idempotency-key", &long);
    assert_eq!(meta.send().await.problem(), (403, "forbidden".into()));
    // Parameters, before capabilities.
    let search = house.get(&format!("{own}/storage/search?q=%20")).key().send().await;
    assert_eq!(search.problem(), (400, "invalid_parameters".into()));
    let bad = house.get(&format!("{path}?page_size=x")).key().send().await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn access_lists_limit_what_and_where() {
    let house = House::new().await;
    let account = house.account("one").await;
    let base = format!("/v1/accounts/{account}/storage");
    let folder =
        house.post(&format!("{base}/folders")).key().json(json!({"name": "In"})).send().await;
    let folder = folder.json()["id"].as_str().unwrap().to_owned();
    let inner = json!({"name": "Deep", "parent_id": folder});
    let inner = house.post(&format!("{base}/folders")).key().json(inner).send().await;
    let inner = inner.json()["id"].as_str().unwrap().to_owned();
    let outside = house.file(account, "out.txt", b"x").await;
    let token = async |access: &str| {
        let access = Access::from_stored(Some(access)).unwrap();
        let new = NewToken { access: Some(access), ..NewToken::default() };
        let all = Access::everything();
        let made = house.app().directory().create_token(&house.app_id, account, &all, new);
        format!("Bearer {}", made.await.unwrap().token.expose_secret())
    };
    let reader = token("storage:read").await;
    assert_eq!(get(&house, &format!("{base}/files/{outside}"), &reader).await.status, 200);
    let refused = house.delete(&format!("{base}/files/{outside}")).auth(&reader).send().await;
    assert_eq!(refused.problem(), (403, "permission_denied".into()));
    assert!(refused.header("www-authenticate").contains("error=\"insufficient_scope\""));
    let raw = house.post(&format!("/v1/accounts/{account}/raw")).auth(&reader).send().await;
    assert_eq!(raw.problem(), (403, "permission_denied".into()));
    let own = format!("/v1/accounts/{account}");
    assert_eq!(get(&house, &own, &reader).await.status, 200);
    let gone = house.delete(&own).auth(&reader).send().await;
    assert_eq!(gone.problem(), (403, "permission_denied".into()));

    let here = token(&format!("storage:read@{folder} storage:write@{folder}")).await;
    for (path, status) in [
        (format!("{base}/folders/{folder}"), 200),
        (format!("{base}/folders/{inner}/contents"), 200),
        (format!("{base}/folders/root"), 403),
        (format!("{base}/folders/root/contents"), 403),
        (format!("{base}/files/{outside}"), 403),
        (format!("{base}/files/{outside}/contents"), 403),
        (format!("{base}/recent"), 403),
        (format!("{base}/search?q=x"), 200),
        (format!("{base}/search?q=x&parents=root"), 403),
        (format!("{base}/trash"), 403),
    ] {
        assert_eq!(get(&house, &path, &here).await.status, status, "{path}");
    }
    assert_eq!(get(&house, &format!("{base}/search?q=out"), &here).await.json()["count"], 0);
    for (parent, status) in [(inner.as_str(), 201), ("root", 403)] {
        let body = json!({"name": "New", "parent_id": parent});
        let reply = house.post(&format!("{base}/folders")).auth(&here).json(body).send().await;
        assert_eq!(reply.status, status, "{parent}");
    }
    let nothing = token("calendar:read").await;
    let reply = get(&house, &format!("{base}/folders/root"), &nothing).await;
    assert_eq!(reply.problem(), (403, "permission_denied".into()));
}

#[tokio::test]
async fn several_accounts_only_where_it_is_allowed() {
    let house = House::new().await;
    let (one, two) = (house.account("one").await, house.account("two").await);
    house.file(one, "same.txt", b"1").await;
    house.clock.turn_seconds(1);
    house.file(two, "same.txt", b"2").await;
    let both = format!("/v1/accounts/{one},{two}");
    for list in ["storage/recent", "storage/search?q=same", "storage/links"] {
        let reply = house.get(&format!("{both}/{list}")).key().send().await;
        if list == "storage/links" && reply.status == 404 {
            continue;
        }
        assert_eq!(reply.status, 200, "{list}: {}", reply.text());
    }
    let recent = house.get(&format!("{both}/storage/recent")).key().send().await.json();
    let accounts: Vec<_> =
        recent["objects"].as_array().unwrap().iter().map(|o| o["account"].clone()).collect();
    assert_eq!(accounts, [json!(two.number()), json!(one.number())]);
    assert_eq!(recent["total"], 2);
    for path in ["storage/folders/root", "storage/folders/root/contents", "storage/trash", ""] {
        let reply = house.get(&format!("{both}/{path}")).key().send().await;
        assert_eq!(reply.problem(), (400, "bad_request".into()), "{path}");
    }
    let (first, second) = (house.token(one).await, house.token(two).await);
    let tokens = format!("Bearer {first},{second}");
    let path = format!("{both}/storage/search?q=same");
    assert_eq!(get(&house, &path, &tokens).await.json()["count"], 2);
    let me = get(&house, "/v1/accounts/me/storage/search?q=same", &tokens).await;
    assert_eq!(me.json()["count"], 2);
    let half = get(&house, &path, &format!("Bearer {first}")).await;
    assert_eq!(half.problem(), (403, "forbidden".into()));
    let many: Vec<String> = (1..=51).map(|id| id.to_string()).collect();
    let reply = house.get(&format!("/v1/accounts/{}/storage/recent", many.join(","))).key();
    assert_eq!(reply.send().await.problem(), (400, "bad_request".into()));
}

#[tokio::test]
async fn our_own_limit_is_told_before_and_when_it_is_reached() {
    let rate = Rate { requests: 2, window: Duration::from_secs(60) };
    let limits = ApiLimits { application_rate: Some(rate), ..ApiLimits::default() };
    let house = House::with(limits).await;
    let first = house.get("/v1/accounts").key().send().await;
    assert_eq!(first.header("ratelimit-limit"), "2");
    assert_eq!(first.header("ratelimit-remaining"), "1");
    assert_eq!(house.get("/v1/accounts").key().send().await.status, 200);
    let over = house.get("/v1/accounts").key().send().await;
    assert_eq!(over.problem(), (429, "too_many_requests".into()));
    assert!(over.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(over.header("ratelimit-remaining"), "0");
    let unlimited = House::new().await;
    let reply = unlimited.get("/v1/accounts").key().send().await;
    assert_eq!(reply.header("ratelimit-limit"), "");
}

#[tokio::test]
async fn deleting_an_account_ends_its_tokens() {
    let house = House::new().await;
    let account = house.account("one").await;
    let bearer = format!("Bearer {}", house.token(account).await);
    let path = format!("/v1/accounts/{account}");
    assert_eq!(house.delete(&path).auth(&bearer).send().await.status, 204);
    assert_eq!(house.delete(&path).auth(&bearer).send().await.problem(), (403, "forbidden".into()));
    assert_eq!(house.delete(&path).key().send().await.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn imports_and_updates_are_checked() {
    let house = House::new().await;
    for (body, param) in [
        (json!({"service": "memory"}), "account"),
        (json!({"account": "a"}), "service"),
        (json!({"account": "a", "service": "none"}), "service"),
        (json!({"account": 7, "service": "memory"}), "account"),
        (
            json!({"account": "a", "service": "memory", "custom_properties": []}),
            "custom_properties",
        ),
        (json!({"account": "a", "service": "memory", "token_expiry": "soon"}), "token_expiry"),
    ] {
        let reply = house.post("/v1/accounts").key().json(body.clone()).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{body}");
        assert_eq!(reply.json()["param"], param, "{body}");
    }
    let account = house.account("one").await;
    let path = format!("/v1/accounts/{account}");
    let body = json!({"custom_properties": {"a": "1", "b": "2"}});
    house.patch(&path).key().json(body).send().await;
    let body = json!({"custom_properties": {"a": null, "c": "3"}, "service": "memory"});
    let reply = house.patch(&path).key().json(body).send().await;
    assert_eq!(reply.json()["custom_properties"], json!({"b": "2", "c": "3"}));
    let filtered = house.get("/v1/accounts?custom_properties[b]=2").key().send().await;
    assert_eq!(filtered.json()["total"], 1);
    let filtered = house.get("/v1/accounts?custom_properties[b]=3").key().send().await;
    assert_eq!(filtered.json()["total"], 0);
    let reply = house.patch(&path).key().json(json!({"service": "gdrive"})).send().await;
    assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    let reply = house.patch(&path).key().json(json!({})).send().await;
    assert_eq!(reply.status, 200);
    let id = AccountId::new(account.number()).unwrap();
    let change = AccountChange::default();
    house.app().directory().update_account(&house.app_id, id, &change).await.unwrap();
}

#[tokio::test]
async fn raw_ids_become_ids() {
    let house = House::new().await;
    let account = house.account("one").await;
    for path in ["encode_raw_id", "storage/convert_id"] {
        let path = format!("/v1/accounts/{account}/{path}");
        for (body, id) in [
            (json!({"raw_id": "/Reports/q1.pdf", "type": "file"}), "file_L1JlcG9ydHMvcTEucGRm"),
            (json!({"raw_id": "/Reports/q1.pdf"}), "file_L1JlcG9ydHMvcTEucGRm"),
            (json!({"id": "/Reports", "type": "folder"}), "folder_L1JlcG9ydHM"),
            (json!({"raw_id": "root", "type": "folder"}), "root"),
        ] {
            let reply = house.post(&path).key().json(body.clone()).send().await;
            assert_eq!(reply.json()["id"], id, "{body}");
        }
        let reply =
            house.post(&path).key().json(json!({"raw_id": "x", "type": "robot"})).send().await;
        assert_eq!(reply.problem(), (400, "invalid_resource_type".into()));
        for bad in
            [json!({}), json!({"raw_id": ""}), json!({"raw_id": []}), json!({"raw_id": "a\u{0}"})]
        {
            let reply = house.post(&path).key().json(bad.clone()).send().await;
            assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
        }
    }
}
