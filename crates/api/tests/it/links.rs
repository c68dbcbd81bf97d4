//! Sections 25 and 19.3 of the wire API: links, and what their URLs show.

use http::Method;
use serde_json::{Value, json};
use tramontane_model::AccountId;

use crate::house::{BASE, House, Reply};

async fn link(house: &House, account: AccountId, body: Value) -> Value {
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
        (json!({"folder_id": "root"}), (501, "not_implemented")),
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
