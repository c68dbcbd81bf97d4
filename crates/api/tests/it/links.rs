//! Sections 25 and 19.3 of the wire API: links, and what their URLs show.

use http::Method;
use serde_json::{Value, json};
use tramontane_model::AccountId;

use crate::house::{BASE, House, Reply};

/// A link of ours: the service in memory makes its own when it may.
async fn link(house: &House, account: AccountId, mut body: Value) -> Value {
    body["native"] = json!(false);
    let path = format!("/v1/accounts/{account}/storage/links");
    let reply = house.post(&path).key().json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn page_of(link: &Value) -> String {
    link["url"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned()
}

async fn form(house: &House, page: &str, password: &str, peer: &str) -> Reply {
    house
        .post(page)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("password={password}&form-submit=1"))
        .from(peer)
        .send()
        .await
}

#[tokio::test]
async fn a_link_is_made_listed_changed_and_deleted() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let made = link(&house, account, json!({"file_id": file, "direct_link": "true"})).await;
    assert_eq!(
        made.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "id",
            "type",
            "api",
            "href",
            "url",
            "account",
            "file_id",
            "file_name",
            "direct",
            "active",
            "password",
            "expiration",
            "created",
            "modified"
        ]
    );
    assert_eq!(made["file_name"], "q1.pdf");
    assert_eq!(
        (&made["direct"], &made["active"], &made["password"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert!(made["id"].as_str().unwrap().len() >= 22, "128 bits");
    let other = link(&house, account, json!({"file_id": file})).await;
    assert_ne!(other["id"], made["id"], "every create makes a new link");

    let list = format!("/v1/accounts/{account}/storage/links");
    assert_eq!(house.get(&list).key().send().await.json()["total"], 2);
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(one).key().send().await.json(), made, "R11");
    let change = json!({"active": false, "password": "hush", "file_id": "file_eA"});
    let changed = house.patch(&format!("{one}?file_id=file_eA")).key().json(change).send().await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!((&changed["active"], &changed["password"]), (&json!(false), &json!(true)));
    assert_eq!(changed["file_id"], made["file_id"]);
    assert_eq!(house.get(&format!("{list}?active=false")).key().send().await.json()["total"], 1);
    assert_eq!(house.get(&format!("{one}?active=true")).key().send().await.problem().0, 404);
    let open = json!({"password": null, "expiration": "2026-05-01T00:00:00"});
    let changed = house.patch(one).key().json(open).send().await.json();
    assert_eq!(changed["password"], false);
    assert_eq!(changed["expiration"], "2026-05-01T00:00:00.000000Z", "no offset means UTC");
    assert_eq!(house.delete(one).key().send().await.status, 204);
    assert_eq!(house.delete(one).key().send().await.problem().0, 404);
}

#[tokio::test]
async fn links_of_several_accounts_are_one_list() {
    let house = House::new().await;
    let (a, b) = (house.account("a").await, house.account("b").await);
    for (account, name) in [(a, "1"), (b, "2"), (a, "3")] {
        let file = house.file(account, name, b"x").await;
        link(&house, account, json!({"file_id": file})).await;
        house.clock.turn_seconds(1);
    }
    let path = format!("/v1/accounts/{a},{b}/storage/links");
    let list = house.get(&path).key().send().await.json();
    let names: Vec<_> = list["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["file_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["3", "2", "1"]);
    assert_eq!(list["objects"][1]["account"], b.number());
    let made = house.post(&path).key().json(json!({"file_id": "file_eA"})).send().await;
    assert_eq!(made.problem(), (400, "bad_request".into()));
}

#[tokio::test]
async fn wrong_targets_are_refused() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "doc", b"x").await;
    let path = format!("/v1/accounts/{account}/storage/links");
    let native = tramontane_model::ResourceId::parse(&file).unwrap().native;
    house.memory.forbid_download(account, &native).unwrap();
    for (body, expected) in [
        (json!({}), (400, "invalid_parameters")),
        (json!({"file_id": "rubbish"}), (400, "invalid_parameters")),
        (json!({"file_id": "folder_eA"}), (400, "invalid_parameters")),
        (json!({"file_id": "file_bm90aGVyZQ"}), (404, "not_found")),
        (json!({"file_id": file, "direct": true}), (400, "request_failed")),
        (json!({"file_id": file, "expiration": "tomorrow"}), (400, "invalid_parameters")),
        (json!({"folder_id": "root", "native": false}), (501, "not_implemented")),
        (
            json!({"file_id": file, "access": "organization", "native": false}),
            (501, "not_implemented"),
        ),
        (json!({"file_id": file, "role": "writer", "max_downloads": 3}), (501, "not_implemented")),
        (json!({"file_id": file, "access": "everyone"}), (400, "invalid_parameters")),
        (json!({"file_id": file, "role": "owner"}), (400, "invalid_parameters")),
    ] {
        let reply = house.post(&path).key().json(body.clone()).send().await;
        assert_eq!(reply.problem(), (expected.0, expected.1.to_owned()), "{body}");
    }
    assert_eq!(house.get(&path).key().send().await.json()["total"], 0);
}

#[tokio::test]
async fn a_direct_link_is_the_content_shown_in_a_sandbox() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "page.html", b"<script>steal()</script>").await;
    let made = link(&house, account, json!({"file_id": file, "direct": true})).await;
    let page = page_of(&made);
    let shown = house.get(&page).send().await;
    assert_eq!(
        (shown.status.as_u16(), shown.bytes.as_slice()),
        (200, &b"<script>steal()</script>"[..])
    );
    assert!(shown.header("content-disposition").starts_with("inline"));
    assert!(shown.header("content-security-policy").starts_with("sandbox;"));
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert_eq!(shown.header("access-control-allow-origin"), "", "pages send no CORS headers");
    let part = house.get(&page).header("range", "bytes=1-6").send().await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "script"));
    let head = house.ask(Method::HEAD, &page).send().await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "24"));
}

#[tokio::test]
async fn a_direct_link_with_a_password_takes_it_in_the_query_or_as_basic() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"secret").await;
    let made =
        link(&house, account, json!({"file_id": file, "direct": true, "password": "sesame"})).await;
    let page = page_of(&made);
    let without = house.get(&page).send().await;
    assert_eq!(without.problem(), (401, "authentication_required".into()));
    assert!(without.header("www-authenticate").starts_with("Basic"));
    let wrong = house.get(&format!("{page}?password=nope")).send().await;
    assert_eq!(wrong.problem().0, 401);
    let right = house.get(&format!("{page}?password=sesame")).send().await;
    assert_eq!(right.text(), "secret");
    let basic = house.get(&page).auth("Basic YW55b25lOnNlc2FtZQ==").send().await;
    assert_eq!(basic.text(), "secret");
    let contents = house.get(&format!("{page}/contents")).send().await;
    assert_eq!(contents.problem().0, 401, "no way around");
}

#[tokio::test]
async fn a_page_names_the_file_and_leads_to_its_content() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "<b>plan & co.pdf", &[7; 48_213]).await;
    let made = link(&house, account, json!({"file_id": file})).await;
    let page = page_of(&made);
    let shown = house.get(&page).send().await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    let policy = shown.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("style-src 'sha256-"));
    let text = shown.text();
    assert!(!text.contains("<b>plan") && text.contains("48.2 kB") && !text.contains("<script"));
    assert!(text.contains(&format!("href=\"{BASE}{page}/contents\"")), "{text}");
    let content = house.get(&format!("{page}/contents")).send().await;
    assert_eq!(content.bytes.len(), 48_213);
    assert!(content.header("content-disposition").starts_with("attachment"));
}

#[tokio::test]
async fn the_right_password_is_remembered_for_this_link_for_fifteen_minutes() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"secret").await;
    let body = json!({"file_id": file, "password": "open sesame"});
    let first = page_of(&link(&house, account, body.clone()).await);
    let made = link(&house, account, body).await;
    let second = page_of(&made);
    let asked = house.get(&first).send().await;
    assert_eq!(asked.status, 200);
    assert!(
        asked.text().contains("id=\"id_password\"")
            && asked.text().contains("name=\"form-submit\"")
    );
    assert!(!asked.text().contains("a.txt"), "the name is not told before");
    let hidden = house.get(&format!("{first}/contents")).send().await;
    assert!(hidden.text().contains("id_password") && !hidden.text().contains("secret"));
    let wrong = form(&house, &first, "sesame", "192.0.2.1").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("set-cookie")), (200, ""));
    assert!(wrong.text().contains("role=\"alert\""));

    let right = form(&house, &first, "open+sesame", "192.0.2.1").await;
    assert_eq!(right.status, 200);
    assert!(right.text().contains("a.txt"));
    let cookie = right.header("set-cookie").to_owned();
    for mark in ["HttpOnly", "Secure", "SameSite=Lax", "Max-Age=900", &format!("Path={first}")] {
        assert!(cookie.contains(mark), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();
    let content = house.get(&format!("{first}/contents")).header("cookie", &pair).send().await;
    assert_eq!(content.text(), "secret");
    let renamed =
        pair.replace(first.strip_prefix("/l/").unwrap(), second.strip_prefix("/l/").unwrap());
    let other = house.get(&second).header("cookie", format!("{pair}; {renamed}")).send().await;
    assert!(other.text().contains("id_password"), "good for one link only");
    house.clock.turn_seconds(15 * 60 + 1);
    let late = house.get(&first).header("cookie", &pair).send().await;
    assert!(late.text().contains("id_password"));
}

#[tokio::test]
async fn a_new_password_ends_the_old_cookie() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"secret").await;
    let made = link(&house, account, json!({"file_id": file, "password": "old"})).await;
    let page = page_of(&made);
    let right = form(&house, &page, "old", "192.0.2.1").await;
    let pair = right.header("set-cookie").split(';').next().unwrap().to_owned();
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    house.patch(one).key().json(json!({"password": "new"})).send().await;
    let shown = house.get(&page).header("cookie", pair).send().await;
    assert!(shown.text().contains("id_password"));
}

#[tokio::test]
async fn ten_wrong_passwords_are_enough_for_one_link_and_address() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"secret").await;
    let page = page_of(&link(&house, account, json!({"file_id": file, "password": "right"})).await);
    for n in 0..10 {
        let wrong = form(&house, &page, &format!("wrong{n}"), "192.0.2.1").await;
        assert_eq!(wrong.status, 200, "{n}");
    }
    let stopped = form(&house, &page, "right", "192.0.2.1").await;
    assert_eq!(stopped.status, 429, "also the right one, or guessing would go on");
    assert!(stopped.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(form(&house, &page, "right", "192.0.2.2").await.status, 200);
    house.clock.turn_seconds(1_201);
    assert_eq!(form(&house, &page, "right", "192.0.2.1").await.status, 200);
    for _ in 0..20 {
        let again = form(&house, &page, "right", "192.0.2.3").await;
        assert_eq!(again.status, 200, "right ones do not count");
    }
}

#[tokio::test]
async fn a_link_that_is_off_ended_or_unknown_says_so() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    for (body, direct) in [
        (json!({"file_id": file, "active": false}), false),
        (json!({"file_id": file, "expiration": "2020-01-01"}), false),
        (json!({"file_id": file, "active": false, "direct": true}), true),
    ] {
        let page = page_of(&link(&house, account, body).await);
        let shown = house.get(&page).send().await;
        assert_eq!(shown.status, 403);
        if direct {
            assert_eq!(shown.problem().1, "forbidden");
        } else {
            assert!(shown.text().contains("not active"));
        }
        let contents = house.get(&format!("{page}/contents")).send().await;
        assert_eq!(contents.status, 403);
    }
    let unknown = house.get("/l/AAAAAAAAAAAAAAAAAAAAAA").send().await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("does not exist"));
    let page = page_of(&link(&house, account, json!({"file_id": file})).await);
    let gone = format!("/v1/accounts/{account}/storage/files/{file}");
    assert_eq!(house.delete(&gone).key().send().await.status, 204);
    let missing = house.get(&page).send().await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("moved, renamed or deleted"));
    house.delete(&format!("/v1/accounts/{account}")).key().send().await;
    assert_eq!(house.get(&page).send().await.status, 404, "its account is gone");
}

#[tokio::test]
async fn a_link_with_a_limit_of_downloads_is_used_up() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    let body = json!({"file_id": file, "direct": true, "max_downloads": 2});
    let made = link(&house, account, body).await;
    let page = page_of(&made);
    assert_eq!(house.ask(Method::HEAD, &page).send().await.status, 200, "looking is free");
    assert_eq!(house.get(&page).send().await.status, 200);
    assert_eq!(house.get(&page).send().await.status, 200);
    assert_eq!(house.get(&page).send().await.status, 403);
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(one).key().send().await.json()["downloads"], 2);
}

#[tokio::test]
async fn link_pages_are_limited_per_address() {
    let house = House::new().await;
    let mut last = 0;
    for _ in 0..301 {
        last = house.get("/l/none").from("192.0.2.77").send().await.status.as_u16();
    }
    assert_eq!(last, 429);
    assert_eq!(house.get("/l/none").from("192.0.2.78").send().await.status, 404);
}

#[tokio::test]
async fn a_token_limited_to_a_folder_sees_its_links_only() {
    let house = House::new().await;
    let account = house.account("a").await;
    let folder = house
        .post(&format!("/v1/accounts/{account}/storage/folders"))
        .key()
        .json(json!({"name": "Plans", "parent_id": "root"}))
        .send()
        .await
        .json();
    let outside = house.file(account, "outside", b"x").await;
    let made = link(&house, account, json!({"file_id": outside})).await;
    let access = format!("storage:read@{0} storage:write@{0}", folder["id"].as_str().unwrap());
    let token = house
        .post(&format!("/v1/accounts/{account}/tokens"))
        .key()
        .json(json!({"access": [access.split(' ').next().unwrap(), access.split(' ').nth(1).unwrap()]}))
        .send()
        .await
        .json();
    let auth = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(one).auth(&auth).send().await.problem().0, 404);
    let list = house.get("/v1/accounts/me/storage/links").auth(&auth).send().await;
    assert_eq!(list.problem(), (403, "permission_denied".into()));
    let make =
        house.post("/v1/accounts/me/storage/links").auth(&auth).json(json!({"file_id": outside}));
    assert_eq!(make.send().await.problem(), (403, "permission_denied".into()));
}

fn path_of(link: &Value) -> String {
    link["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned()
}

/// Makes a link without saying whose.
async fn either(house: &House, account: AccountId, body: Value) -> Value {
    let path = format!("/v1/accounts/{account}/storage/links");
    let reply = house.post(&path).key().json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

async fn patched(house: &House, link: &Value, body: Value) -> Value {
    let reply = house.patch(&path_of(link)).key().json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn native(file: &Value) -> tramontane_model::NativeId {
    tramontane_model::ResourceId::parse(file.as_str().unwrap()).unwrap().native
}

#[tokio::test]
async fn a_link_is_the_services_own_where_that_can_be_what_was_asked() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let there = |id: &Value| house.memory.links_to(account, &native(id)).unwrap();
    let made = either(
        &house,
        account,
        json!({"file_id": file, "password": "hush", "expiration": "2030-05-01"}),
    )
    .await;
    assert_eq!((&made["native"], &made["password"]), (&json!(true), &json!(true)));
    let own = there(&made["file_id"]);
    assert_eq!(own.len(), 1);
    assert_eq!(made["url"], own[0].url.as_str());
    assert!(own[0].password && own[0].expires.is_some());
    let got = house.get(&path_of(&made)).key().send().await.json();
    assert_eq!(got, made);

    // The service has one link of a kind: the next is ours, and each goes its own way.
    let second = either(&house, account, json!({"file_id": file})).await;
    assert!(second.get("native").is_none());
    assert!(second["url"].as_str().unwrap().starts_with(BASE), "{second}");
    let list = format!("/v1/accounts/{account}/storage/links");
    assert_eq!(house.get(&list).key().send().await.json()["total"], 2);
    for (more, whose) in [
        (json!({"direct": true}), false),
        (json!({"active": false}), false),
        (json!({"max_downloads": 1}), false),
        (json!({"expiration": "2020-01-01"}), false),
        (json!({"native": false}), false),
        (json!({"access": "organization"}), true),
        (json!({"role": "writer"}), true),
    ] {
        let file = house.file(account, "other", b"x").await;
        let mut body = more.clone();
        body["file_id"] = json!(file);
        let made = either(&house, account, body).await;
        assert_eq!(made.get("native").is_some(), whose, "{more}");
        assert_eq!(there(&made["file_id"]).len(), usize::from(whose), "{more}");
        for name in ["access", "role"] {
            assert_eq!(made.get(name), more.get(name), "{more}");
        }
    }
    assert_eq!(house.delete(&path_of(&second)).key().send().await.status, 204);
    assert_eq!(there(&made["file_id"]).len(), 1, "that was the other one");
    assert_eq!(house.delete(&path_of(&made)).key().send().await.status, 204);
    assert!(there(&made["file_id"]).is_empty(), "removed at the service too");
    let only = json!({"file_id": made["file_id"], "native": true, "direct": true});
    let refused = house.post(&list).key().json(only).send().await;
    assert_eq!(refused.problem(), (501, "not_implemented".into()));
}

#[tokio::test]
async fn a_link_of_the_service_changes_there_or_becomes_ours() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let made = either(&house, account, json!({"file_id": file})).await;
    let there = || house.memory.links_to(account, &native(&made["file_id"])).unwrap();

    let changed = patched(&house, &made, json!({"password": "hush"})).await;
    assert_eq!((&changed["url"], &changed["native"]), (&made["url"], &json!(true)));
    assert!(there()[0].password);
    let changed = patched(&house, &made, json!({"expiration": "2030-05-01T00:00:00"})).await;
    assert_eq!(changed["expiration"], "2030-05-01T00:00:00.000000Z");
    assert!(there()[0].expires.is_some());
    let changed = patched(&house, &made, json!({"password": null, "expiration": null})).await;
    assert_eq!(changed["password"], false);
    assert!(!there()[0].password && there()[0].expires.is_none());

    // Off is gone at the service; on again it has another address.
    let off = patched(&house, &made, json!({"active": false})).await;
    assert_eq!((&off["active"], &off["native"]), (&json!(false), &json!(true)));
    assert!(there().is_empty());
    assert_eq!(house.get(&path_of(&made)).key().send().await.json()["active"], false);
    let on = patched(&house, &made, json!({"active": true})).await;
    assert_eq!(on["url"], there()[0].url.as_str());
    assert_ne!(on["url"], made["url"]);

    // What no link of the service's can be, one of ours is.
    let direct = patched(&house, &made, json!({"direct": true})).await;
    assert!(there().is_empty() && direct.get("native").is_none());
    assert_eq!(house.get(&page_of(&direct)).send().await.text(), "hello");
    let ended = either(&house, account, json!({"file_id": file})).await;
    assert_eq!(ended["native"], true);
    let ended = patched(&house, &ended, json!({"expiration": "2020-01-01"})).await;
    assert!(there().is_empty(), "nothing of it is left open");
    assert_eq!(house.get(&page_of(&ended)).send().await.status, 403);
}

#[tokio::test]
async fn a_link_with_a_password_that_is_switched_on_again_keeps_its_password() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let made = either(&house, account, json!({"file_id": file, "password": "sesame"})).await;
    assert_eq!(made["native"], true);
    patched(&house, &made, json!({"active": false})).await;
    // Nobody knows the password any more but by its hash, so the link is ours from now on.
    let on = patched(&house, &made, json!({"active": true})).await;
    assert_eq!((on.get("native"), &on["password"]), (None, &json!(true)));
    let page = page_of(&on);
    assert!(!house.get(&page).send().await.text().contains("q1.pdf"));
    assert!(form(&house, &page, "sesame", "192.0.2.9").await.text().contains("q1.pdf"));
}

#[tokio::test]
async fn a_link_that_someone_removed_at_the_service_is_not_active_and_can_be_made_again() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let made = either(&house, account, json!({"file_id": file})).await;
    house.memory.remove_links(account, &native(&made["file_id"])).unwrap();
    let got = house.get(&path_of(&made)).key().send().await.json();
    assert_eq!(got["active"], false);
    let now = format!("{}?active=true", path_of(&made));
    assert_eq!(house.get(&now).key().send().await.problem().0, 404);
    let again = patched(&house, &made, json!({"active": true})).await;
    assert_eq!((&again["active"], &again["native"]), (&json!(true), &json!(true)));
    assert_ne!(again["url"], made["url"]);
    house.memory.remove_links(account, &native(&made["file_id"])).unwrap();
    assert_eq!(house.delete(&path_of(&made)).key().send().await.status, 204);
}

#[tokio::test]
async fn folders_are_shared_by_links_of_the_service() {
    let house = House::new().await;
    let account = house.account("a").await;
    let folders = format!("/v1/accounts/{account}/storage/folders");
    let folder =
        house.post(&folders).key().json(json!({"name": "Plans", "parent_id": "root"})).send().await;
    let id = folder.json()["id"].clone();
    let made = either(&house, account, json!({"folder_id": id})).await;
    assert_eq!((&made["folder_id"], &made["folder_name"]), (&id, &json!("Plans")));
    assert!(made.get("file_id").is_none() && made["native"] == true);
    assert_eq!(house.get(&path_of(&made)).key().send().await.json(), made);
    let direct = house.patch(&path_of(&made)).key().json(json!({"direct": true})).send().await;
    assert_eq!(direct.problem(), (501, "not_implemented".into()));
    let off = patched(&house, &made, json!({"active": false})).await;
    assert_eq!(off["active"], false);
    assert_eq!(house.delete(&path_of(&made)).key().send().await.status, 204);
}

#[tokio::test]
async fn a_link_to_a_members_file_is_followed_as_that_member() {
    let house = House::new().await;
    let body = json!({"service": "memory", "account": "boss", "drive": "d", "admin": true});
    let account = house.post("/v1/accounts").key().json(body).send().await.json()["id"].clone();
    let users = house.get(&format!("/v1/accounts/{account}/team/users")).key().send().await.json();
    let ben = users["objects"][1]["id"].as_str().unwrap();
    let files = format!("/v1/accounts/{account}/storage/files");
    let sent = house
        .post(&files)
        .key()
        .header("x-kloudless-as-user", ben)
        .header("x-kloudless-metadata", r#"{"name": "ben.txt", "parent_id": "root"}"#)
        .header("content-type", "application/octet-stream")
        .body("of ben")
        .send()
        .await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let file = sent.json()["id"].clone();
    let links = format!("/v1/accounts/{account}/storage/links");
    let make =
        |body: Value| house.post(&links).key().header("x-kloudless-as-user", ben).json(body).send();
    let ours = make(json!({"file_id": file, "direct": true})).await.json();
    assert_eq!(house.get(&page_of(&ours)).send().await.text(), "of ben");
    // The service's own is looked at, changed and removed as the member, whoever asks.
    let theirs = make(json!({"file_id": file})).await.json();
    assert_eq!(theirs["native"], true, "{theirs}");
    assert_eq!(house.get(&path_of(&theirs)).key().send().await.json()["active"], true);
    assert_eq!(patched(&house, &theirs, json!({"password": "x"})).await["url"], theirs["url"]);
    assert_eq!(house.delete(&path_of(&theirs)).key().send().await.status, 204);
}
