//! Section 20 of the wire API: each rule a test.

use http::Method;
use serde_json::{Value, json};

use crate::house::{BASE, House};

fn of(house: &House) -> String {
    format!("/v1/meta/applications/{}", house.app_id)
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn developers_see_and_name_themselves_only() {
    let house = House::new().await;
    let list = house.get("/v1/meta/developers").meta().send().await.json();
    assert_eq!((list["total"].clone(), list["count"].clone()), (json!(1), json!(1)));
    let own = &list["objects"][0];
    assert_eq!(
        members(own),
        ["id", "type", "api", "href", "email", "first_name", "last_name", "created", "modified"]
    );
    let path = format!("/v1/meta/developers/{}", house.developer);
    assert_eq!(own["href"], format!("{BASE}{path}"));
    let body = json!({"first_name": "Ana", "email": "evil@example.com"});
    let changed = house.patch(&path).meta().json(body).send().await.json();
    assert_eq!(
        (&changed["first_name"], &changed["email"]),
        (&json!("Ana"), &json!("dev@example.com"))
    );
    assert_eq!(house.get(&path).meta().send().await.json(), changed);
    let other = house.get("/v1/meta/developers/31").meta().send().await;
    assert_eq!(other.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn only_a_meta_token_manages() {
    let house = House::new().await;
    let account = house.account("a").await;
    let token = house.token(account).await;
    for auth in [
        String::new(),
        format!("APIKey {}", house.api_key),
        format!("Bearer {token}"),
        "Bearer tmm_unknown".into(),
        format!("Bearer {0},{0}", house.meta),
    ] {
        for path in ["/v1/meta/applications", "/v1/applications", "/v1/meta/developers"] {
            let ask = house.get(path);
            let ask = if auth.is_empty() { ask } else { ask.auth(&auth) };
            let reply = ask.send().await;
            assert_eq!(reply.problem(), (403, "forbidden".into()), "{auth} {path}");
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
    }
    let old = house.get("/v1/applications").auth(format!("developerkey {}", house.meta));
    assert_eq!(old.send().await.status, 200);
}

#[tokio::test]
async fn an_application_is_made_changed_and_deleted() {
    let house = House::new().await;
    let path = "/v1/meta/applications";
    let made =
        house.post(path).meta().json(json!({"name": "Second", "active": false})).send().await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!(
        members(&made),
        [
            "id",
            "type",
            "api",
            "href",
            "name",
            "description",
            "logo_url",
            "active",
            "implicit_grant_enabled",
            "recent_enabled",
            "events_enabled",
            "source",
            "created",
            "modified"
        ]
    );
    assert_eq!(made["active"], true, "active is for updates only");
    let id = made["id"].as_str().unwrap();
    assert!((20..=64).contains(&id.len()));
    let one = format!("{path}/{id}");
    assert_eq!(house.get(&one).meta().send().await.json(), made, "R11");
    let keys = house.get(&format!("{one}/apikeys")).meta().send().await.json();
    assert_eq!(keys["total"], 1, "a new application has one API key");

    house.clock.turn_seconds(5);
    let change = json!({
        "name": "New", "active": "false", "logo_url": "https://e.example/l.png",
        "events_grant_enabled": false, "implicit_grant_enabled": 1, "id": "x", "developer": 9
    });
    let changed = house.patch(&one).meta().json(change).send().await.json();
    assert_eq!(changed["name"], "New");
    assert_eq!(changed["active"], false);
    assert_eq!(changed["events_enabled"], false);
    assert_eq!(changed["implicit_grant_enabled"], true);
    assert_eq!(changed["id"], id);
    assert_ne!(changed["modified"], made["modified"]);
    let listed = house.get(&format!("{path}?active=false")).meta().send().await.json();
    assert_eq!(listed["objects"], json!([changed]));
    for (days, shown) in [(json!(7), json!(7)), (json!(30), json!(30)), (json!(null), json!(null))]
    {
        let changed = house.patch(&one).meta().json(json!({"event_days": days})).send().await;
        assert_eq!(changed.json()["event_days"], shown);
    }

    assert_eq!(house.delete(&one).meta().send().await.status, 204);
    assert_eq!(house.get(&one).meta().send().await.problem().0, 404);
    assert_eq!(house.delete(&one).meta().send().await.problem().0, 404);
}

#[tokio::test]
async fn bad_members_of_an_application_are_named() {
    let house = House::new().await;
    for (body, member) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(201)}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"name": "a", "logo_url": "javascript:x"}), "logo_url"),
        (json!({"name": "a", "recent_enabled": "maybe"}), "recent_enabled"),
        (json!({"name": "a", "source": "nothere"}), "source"),
        (json!({"name": "a", "token_lifetime": 1}), "token_lifetime"),
        (json!({"name": "a", "event_days": 6}), "event_days"),
        (json!({"name": "a", "event_days": 3_651}), "event_days"),
    ] {
        let reply = house.post("/v1/meta/applications").meta().json(body.clone()).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{body}");
        assert_eq!(reply.json()["param"], member, "{body}");
    }
    let list = house.get("/v1/meta/applications").meta().send().await.json();
    assert_eq!(list["total"], 1, "nothing was made");
}

#[tokio::test]
async fn a_source_lends_its_settings_but_not_its_keys() {
    let house = House::new().await;
    let of = of(&house);
    house
        .patch(&of)
        .meta()
        .json(json!({"implicit_grant_enabled": true, "require_pkce": true}))
        .send()
        .await;
    for (list, body) in [
        ("trusted_domains", json!({"domain": "www.example.com"})),
        ("redirect_uris", json!({"url": "https://www.example.com/cb"})),
        ("service_keys", json!({"service": "memory", "client_id": "c", "client_secret": "s"})),
    ] {
        let reply = house.post(&format!("{of}/{list}")).meta().json(body).send().await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let body = json!({"name": "Copy", "source": house.app_id, "recent_enabled": false});
    let made = house.post("/v1/meta/applications").meta().json(body).send().await.json();
    assert_eq!(made["implicit_grant_enabled"], true);
    assert_eq!(made["recent_enabled"], false, "what is given wins");
    assert_eq!(made["require_pkce"], true);
    assert_eq!(made["source"], house.app_id);
    let new = format!("/v1/meta/applications/{}", made["id"].as_str().unwrap());
    for (list, count) in
        [("trusted_domains", 1), ("redirect_uris", 1), ("service_keys", 1), ("webhooks", 0)]
    {
        let got = house.get(&format!("{new}/{list}")).meta().send().await.json();
        assert_eq!(got["total"], count, "{list}");
    }
    let keys = house.get(&format!("{new}/apikeys")).meta().send().await.json();
    assert_ne!(keys["objects"][0]["key"], house.api_key);
}

#[tokio::test]
async fn api_keys_are_listed_in_full_and_deleted_by_themselves() {
    let house = House::new().await;
    let keys = format!("{}/apikeys", of(&house));
    house.clock.turn_seconds(1);
    let made = house.post(&keys).meta().send().await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!(members(&made), ["key", "type", "api", "href", "created", "modified"]);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("tmk_"));
    let list = house.get(&keys).meta().send().await.json();
    assert_eq!(list["total"], 2);
    let listed: Vec<_> = list["objects"].as_array().unwrap().iter().collect();
    assert!(listed.contains(&&made), "R11");
    assert_eq!(listed[0]["key"], house.api_key);
    let asked =
        house.get("/v1/accounts/1/storage/links").auth(format!("APIKey {key}")).send().await;
    assert_eq!(asked.problem().0, 404, "the key opens the application");
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.delete(one).meta().send().await.status, 204);
    assert_eq!(house.delete(one).meta().send().await.problem().0, 404);
    let asked =
        house.get("/v1/accounts/1/storage/links").auth(format!("APIKey {key}")).send().await;
    assert_eq!(asked.problem(), (403, "forbidden".into()), "at once, also in caches");
    let last = house.delete(&format!("{keys}/{}", house.api_key)).meta().send().await;
    assert_eq!(last.status, 204, "deleting the last key is allowed");
}

#[tokio::test]
async fn keys_that_are_shown_once_are_masked_and_deleted_by_id() {
    let house = House::new().await;
    let of = of(&house);
    let app = house.patch(&of).meta().json(json!({"keys_show_once": true})).send().await.json();
    assert_eq!(app["keys_show_once"], true);
    let keys = format!("{of}/apikeys");
    let made =
        house.post(&keys).meta().json(json!({"label": "ci", "expires_in": 60})).send().await.json();
    let full = made["key"].as_str().unwrap().to_owned();
    let list = house.get(&keys).meta().send().await;
    assert!(!list.text().contains(&full) && !list.text().contains(&house.api_key));
    let list = list.json();
    let listed = list["objects"].as_array().unwrap().iter().find(|key| key["id"] == made["id"]);
    let listed = listed.unwrap();
    assert_eq!(listed["label"], "ci");
    assert!(listed["key"].as_str().unwrap().ends_with("****"));
    assert_eq!(listed["href"], made["href"]);
    let one = listed["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.delete(one).meta().send().await.status, 204);
}

#[tokio::test]
async fn a_client_secret_is_shown_once_and_kept_as_a_hash() {
    let house = House::new().await;
    let of = of(&house);
    let made = house.post(&format!("{of}/client_secret")).meta().send().await;
    assert_eq!(made.status, 201);
    let secret = made.json()["client_secret"].as_str().unwrap().to_owned();
    let app = house.get(&of).meta().send().await;
    assert!(!app.text().contains(&secret));
    assert_eq!(app.json()["client_secret_set"], true);
    let row = house.app().directory().application(house.developer, &house.app_id).await.unwrap();
    assert!(!row.settings.to_string().contains(&secret));
    let again = house.post(&format!("{of}/client-secret")).meta().send().await.json();
    assert_ne!(again["client_secret"], secret);
}

#[tokio::test]
async fn a_webhook_is_saved_when_it_answers_with_the_application() {
    let house = House::new().await;
    let hooks = format!("{}/webhooks", of(&house));
    let id = house.app_id.clone();
    house.outside.answers(move |_| (200, format!(" \"{id}\"\n").into_bytes()));
    let url = "https://hooks.example.com/in";
    let made = house.post(&hooks).meta().json(json!({"url": url})).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(members(&made), ["id", "type", "api", "href", "url", "created", "modified"]);
    {
        let sent = house.outside.sent.lock().unwrap();
        assert_eq!((sent[0].method.clone(), sent[0].url.as_str()), (Method::POST, url));
        let expected = tramontane_vault::webhook_signature(&house.api_key, b"");
        assert_eq!(sent[0].headers["x-kloudless-signature"], expected.as_str());
    }
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    assert_eq!(house.get(&one).meta().send().await.json(), made);
    let id = house.app_id.clone();
    house.outside.answers(move |_| (200, id.clone().into_bytes()));
    let again = house.post(&hooks).meta().json(json!({"url": url})).send().await;
    assert_eq!(again.status, 201, "the same URL may be registered more than once");
    assert_eq!(house.get(&hooks).meta().send().await.json()["total"], 2);
    assert_eq!(house.patch(&one).meta().json(json!({})).send().await.json(), made);
    assert_eq!(house.delete(&one).meta().send().await.status, 204);
    assert_eq!(house.get(&one).meta().send().await.problem().0, 404);
}

#[tokio::test]
async fn a_webhook_that_fails_its_trial_is_not_saved() {
    let house = House::new().await;
    let hooks = format!("{}/webhooks", of(&house));
    let refused = |body: Value| {
        let ask = house.post(&hooks).meta().json(body);
        async move { ask.send().await }
    };
    let url = json!({"url": "https://hooks.example.com/in"});
    let id = house.app_id.clone();
    house.outside.answers(move |_| (201, id.clone().into_bytes()));
    house.outside.answers(|_| (200, b"someone else".to_vec()));
    house.outside.answers(|_| (200, vec![b'x'; 100_000]));
    for why in ["201", "id", "id", "may not be called"] {
        let reply = refused(url.clone()).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
        assert_eq!(reply.json()["param"], "url");
        assert!(reply.json()["message"].as_str().unwrap().contains(why), "{}", reply.text());
    }
    for bad in
        ["http://hooks.example.com/in", "ftp://x.example/", "nothing", "https://u:p@h.example/"]
    {
        let reply = refused(json!({"url": bad})).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    assert_eq!(refused(json!({})).await.json()["param"], "url");
    house.delete(&format!("{}/apikeys/{}", of(&house), house.api_key)).meta().send().await;
    let keyless = refused(url).await;
    assert!(keyless.text().contains("no active API key"), "{}", keyless.text());
    assert_eq!(house.get(&hooks).meta().send().await.json()["total"], 0);
}

#[tokio::test]
async fn sites_are_checked_listed_and_deleted() {
    let house = House::new().await;
    for (list, member, good, bad) in [
        ("trusted_domains", "domain", "*.example.com", "https://x/path"),
        ("redirect_uris", "url", "com.example.notes://connect", "javascript:alert(1)"),
    ] {
        let path = format!("{}/{list}", of(&house));
        let made = house.post(&path).meta().json(json!({member: good})).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        assert_eq!(made[member], good);
        let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
        assert_eq!(house.get(one).meta().send().await.json(), made);
        assert_eq!(house.get(&path).meta().send().await.json()["objects"], json!([made]));
        for body in [json!({member: bad}), json!({}), json!({member: ""})] {
            let reply = house.post(&path).meta().json(body).send().await;
            assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
            assert_eq!(reply.json()["param"], member);
        }
        assert_eq!(house.delete(one).meta().send().await.status, 204);
        assert_eq!(house.delete(one).meta().send().await.problem().0, 404);
    }
}

#[tokio::test]
async fn secrets_of_service_keys_go_in_and_never_out() {
    let house = House::new().await;
    let path = format!("{}/service_keys", of(&house));
    let body = json!({"service": "memory", "client_id": "c1", "client_secret": "hush-hush"});
    let made = house.post(&path).meta().json(body.clone()).send().await;
    assert_eq!(made.status, 201);
    assert!(!made.text().contains("hush"));
    let made = made.json();
    assert_eq!(made["client_secret_set"], true);
    assert_eq!(made["scopes"], Value::Null);
    let twice = house.post(&path).meta().json(body).send().await;
    assert_eq!(twice.problem(), (400, "invalid_parameters".into()));
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    let change = json!({"client_secret": null, "scopes": ["a", "b"]});
    let changed = house.patch(one).meta().json(change).send().await.json();
    assert_eq!(changed["client_secret_set"], false);
    assert_eq!(changed["scopes"], json!(["a", "b"]));
    assert_eq!(changed["client_id"], "c1");
    let moved = house.patch(one).meta().json(json!({"service": "other"})).send().await;
    assert_eq!(moved.json()["param"], "service");
    let unknown = json!({"service": "nope", "client_id": "x"});
    let unknown = house.post(&path).meta().json(unknown).send().await;
    assert_eq!(unknown.json()["param"], "service");
    assert_eq!(house.delete(one).meta().send().await.status, 204);
}

#[tokio::test]
async fn the_first_location_is_the_default_and_the_default_moves() {
    let house = House::new().await;
    let account = house.account("a").await.number();
    let path = format!("{}/upload_locations", of(&house));
    let body = json!({"account": account, "folder_id": "folder_L1JlcG9ydHM="});
    let first = house.post(&path).meta().json(body).send().await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.json();
    assert_eq!(
        (&first["default"], &first["folder_id"]),
        (&json!(true), &json!("folder_L1JlcG9ydHM"))
    );
    let body = json!({"account": account.to_string(), "folder_id": "root", "max_file_size": 10});
    let second = house.post(&path).meta().json(body).send().await.json();
    assert_eq!(second["default"], false);
    let two = second["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    let moved = house
        .patch(two)
        .meta()
        .json(json!({"default": true, "max_file_size": null}))
        .send()
        .await
        .json();
    assert_eq!((&moved["default"], &moved["max_file_size"]), (&json!(true), &Value::Null));
    let one = first["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(one).meta().send().await.json()["default"], false);
    assert_eq!(house.delete(two).meta().send().await.status, 204);
    assert_eq!(house.get(one).meta().send().await.json()["default"], true);
    for (body, member) in [
        (json!({"folder_id": "root"}), "account"),
        (json!({"account": 7, "folder_id": "root"}), "account"),
        (json!({"account": account}), "folder_id"),
        (json!({"account": account, "folder_id": "file_eA"}), "folder_id"),
    ] {
        let reply = house.post(&path).meta().json(body).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
        assert_eq!(reply.json()["param"], member);
    }
}

#[tokio::test]
async fn every_spelling_and_prefix_leads_to_the_same_thing() {
    let house = House::new().await;
    let id = &house.app_id;
    for path in [
        format!("/v1/meta/applications/{id}/trusted_domains"),
        format!("/v1/meta/applications/{id}/trusted-domains"),
        format!("/v1/applications/{id}/trusted_domains"),
        format!("/v1/applications/{id}/redirect-uris"),
        format!("/v1/applications/{id}/upload-locations"),
        format!("/v1/applications/{id}/fe_upload_locations"),
        format!("/v1/meta/applications/{id}/fe-upload-locations/"),
        format!("/v1/meta/applications//{id}/service-keys"),
        "/v1/meta/usage-reports".into(),
    ] {
        let reply = house.get(&path).meta().send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.json()["type"], "object_list");
    }
}

#[tokio::test]
async fn another_developers_application_is_not_there() {
    let house = House::new().await;
    let directory = house.app().directory();
    let other = directory.create_developer("other@example.com", "O", "T").await.unwrap();
    let new = tramontane_accounts::NewApplication { name: "Theirs".into(), ..Default::default() };
    let (theirs, _) = directory.create_application(other.id, new).await.unwrap();
    for tail in
        ["", "/apikeys", "/webhooks", "/trusted_domains", "/service_keys", "/upload_locations"]
    {
        let path = format!("/v1/meta/applications/{}{tail}", theirs.id);
        assert_eq!(house.get(&path).meta().send().await.problem().0, 404, "{tail}");
    }
    let theirs = format!("/v1/meta/applications/{}", theirs.id);
    assert_eq!(house.delete(&theirs).meta().send().await.problem().0, 404);
}

#[tokio::test]
async fn usage_is_told_by_day_and_billing_is_not_there() {
    let house = House::new().await;
    let account = house.account("a").await;
    house.get(&format!("/v1/accounts/{account}/storage/links")).key().send().await;
    house.app().journal().flush().await;
    let path = format!("/v1/meta/usage_reports?application={}", house.app_id);
    let report = house.get(&path).meta().send().await.json();
    let day = &report["objects"][0];
    assert_eq!((&day["requests"], &day["active_accounts"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(day["day"], "2026-03-02");
    let empty = format!("{path}&start=2026-01-01&end=2026-01-31");
    assert_eq!(house.get(&empty).meta().send().await.json()["total"], 0);
    for bad in ["start=x", "start=2026-02-02&end=2026-01-01", "start=2020-01-01&end=2026-01-01"] {
        let reply = house.get(&format!("/v1/meta/usage_reports?{bad}")).meta().send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    for gone in ["/v1/meta/licenses", "/v1/meta/invoices", "/v1/meta/billing"] {
        assert_eq!(house.get(gone).meta().send().await.problem(), (404, "not_found".into()));
    }
}
