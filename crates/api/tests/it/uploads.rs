//! Sections 19.1, 19.2, 22.8 and 28 of the wire API: dropped files, uploads by one-time URL and in
//! parts.

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use tramontane_model::AccountId;

use crate::house::{BASE, House, Reply};

async fn location(house: &House, account: AccountId, more: Value) -> Value {
    let mut body = json!({"account": account.number(), "folder_id": "root"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/v1/meta/applications/{}/upload_locations", house.app_id);
    let reply = house.post(&path).meta().json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

async fn chunk(house: &House, query: &str, body: &[u8]) -> Reply {
    let path = format!("/drop/{}?{query}", house.app_id);
    house.post(&path).header("x-picker-id", "p1").body(body.to_vec()).send().await
}

async fn content(house: &House, object: &Value) -> Vec<u8> {
    let path = object["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
    house.get(&format!("{path}/contents")).key().send().await.bytes
}

#[tokio::test]
async fn a_widget_learns_whether_its_page_is_trusted() {
    let house = House::new().await;
    let app = format!("/v1/meta/applications/{}", house.app_id);
    house.patch(&app).meta().json(json!({"logo_url": "https://e.example/l.png"})).send().await;
    let domains = format!("{app}/trusted_domains");
    house.post(&domains).meta().json(json!({"domain": "www.example.com"})).send().await;
    for path in ["/file-picker/config/", "/file-explorer/config"] {
        for (origin, trusted) in [
            ("https://www.example.com", true),
            ("http://www.example.com", false),
            (BASE, true),
            ("", false),
        ] {
            let asked =
                format!("{path}?app_id={}&origin={origin}&upload_location_uri=x", house.app_id);
            let reply = house.get(&asked).send().await;
            let expected =
                json!({"user_data": {"trusted": trusted, "logo_url": "https://e.example/l.png"}});
            assert_eq!(reply.json(), expected, "{origin}");
            assert_eq!(reply.header("access-control-allow-origin"), "*");
        }
    }
    assert_eq!(house.get("/file-picker/config?app_id=none").send().await.problem().0, 404);
    let without = house.get("/file-picker/config").send().await;
    assert_eq!(without.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn a_whole_file_is_dropped_beside_what_has_its_name() {
    let house = House::new().await;
    let account = house.account("a").await;
    location(&house, account, json!({})).await;
    let drop = format!("/drop/{}", house.app_id);
    let config = house.get(&drop).header("x-drop-account", "null").send().await;
    assert_eq!(config.json(), json!({"chunk_size": 5_242_880}));
    let first = chunk(&house, "name=a.txt", b"one").await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["name"], "a.txt");
    let second =
        chunk(&house, "name=a.txt&link=true&link_options=%7B%22direct%22:true%7D", b"two").await;
    let second = second.json();
    assert_eq!(second["name"], "a (1).txt");
    assert_eq!(content(&house, &second).await, b"two");
    let link = second["link"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(link).send().await.text(), "two");
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nthree\r\n--b--";
    let third = house
        .post(&format!("{drop}?name=c.txt"))
        .header("content-type", "multipart/form-data; boundary=b")
        .body(form)
        .send()
        .await;
    assert_eq!(content(&house, &third.json()).await, b"three");
}

#[tokio::test]
async fn the_headers_choose_the_location() {
    let house = House::new().await;
    let (a, b) = (house.account("a").await, house.account("b").await);
    let folder = |account: AccountId, name: &'static str, parent: String| {
        let ask = house
            .post(&format!("/v1/accounts/{account}/storage/folders"))
            .key()
            .json(json!({"name": name, "parent_id": parent}));
        async move { ask.send().await.json()["id"].as_str().unwrap().to_owned() }
    };
    let inbox = folder(b, "Inbox", "root".into()).await;
    let below = folder(b, "Below", inbox.clone()).await;
    let aside = folder(b, "Aside", "root".into()).await;
    location(&house, a, json!({})).await;
    location(&house, b, json!({"folder_id": inbox, "allow_subfolders": true})).await;
    let drop = format!("/drop/{}?name=x", house.app_id);
    for (account, folder, expected) in [
        ("undefined".to_owned(), "null".to_owned(), Some((a, "root".to_owned()))),
        (b.to_string(), "null".into(), Some((b, inbox.clone()))),
        (b.to_string(), inbox.clone(), Some((b, inbox.clone()))),
        (b.to_string(), below.clone(), Some((b, below.clone()))),
        (b.to_string(), aside.clone(), None),
        (b.to_string(), "root".into(), None),
        (a.to_string(), below.clone(), None),
        ("7".into(), "null".into(), None),
        ("nonsense".into(), "null".into(), None),
    ] {
        let reply = house
            .post(&drop)
            .header("x-drop-account", &account)
            .header("x-drop-folder", &folder)
            .body("x")
            .send()
            .await;
        match expected {
            Some((account, folder)) => {
                let object = reply.json();
                assert_eq!(object["account"], account.number(), "{object}");
                assert_eq!(object["parent"]["id"], folder);
            }
            None => assert_eq!(reply.problem(), (404, "not_found".into()), "{account} {folder}"),
        }
    }
    assert_eq!(house.post("/drop/none?name=x").body("x").send().await.problem().0, 404);
}

#[tokio::test]
async fn chunks_may_come_in_any_order_at_once_and_again() {
    let house = House::new().await;
    let account = house.account("a").await;
    location(&house, account, json!({})).await;
    let whole: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let parts: Vec<&[u8]> = whole.chunks(9_001).collect();
    let query = |n: usize| {
        format!("name=big.bin&file_id=f1&file_size=100000&chunk={n}&chunks={}", parts.len())
    };
    let early = chunk(&house, &query(7), b"an earlier copy that does not count").await;
    assert_eq!(early.json()["received"], 35);
    let order = [7, 0, 3, 1, 2, 11, 10, 9, 8, 6, 5];
    let replies = join_all(order.iter().map(|n| {
        let query = query(*n);
        let body = parts[*n];
        let house = &house;
        async move { chunk(house, &query, body).await }
    }))
    .await;
    assert!(replies.iter().all(|reply| reply.status == 200), "one is missing still");
    let last = chunk(&house, &query(4), parts[4]).await;
    assert_eq!(last.status, 201, "{}", last.text());
    let object = last.json();
    assert_eq!(content(&house, &object).await, whole);
    let again = chunk(&house, &query(4), parts[4]).await;
    assert_eq!((again.status.as_u16(), again.json()), (201, object), "a repeated chunk");
    let list = format!("/v1/accounts/{account}/storage/folders/root/contents");
    assert_eq!(house.get(&list).key().send().await.json()["count"], 1);
}

#[tokio::test]
async fn all_chunks_at_once_make_one_file() {
    let house = House::new().await;
    let account = house.account("a").await;
    location(&house, account, json!({})).await;
    for round in 0..10 {
        let replies = join_all((0..6).map(|n| {
            let query = format!("name=r{round}&file_id=f{round}&chunk={n}&chunks=6");
            let house = &house;
            async move { chunk(house, &query, &[n as u8; 1000]).await }
        }))
        .await;
        // One request makes the file; a chunk that is looked at after that is answered with it.
        let made: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
        assert!(!made.is_empty());
        assert!(made.iter().all(|reply| reply.json() == made[0].json()));
        assert!(replies.iter().all(|reply| reply.status == 200 || reply.status == 201));
    }
    let list = format!("/v1/accounts/{account}/storage/folders/root/contents");
    let list = house.get(&list).key().send().await.json();
    assert_eq!(list["count"], 10);
    assert!(list["objects"].as_array().unwrap().iter().all(|file| file["size"] == 6000));
}

#[tokio::test]
async fn chunks_by_offset_make_the_file() {
    let house = House::new().await;
    location(&house, house.account("a").await, json!({})).await;
    let first = chunk(&house, "name=o&file_id=f&offset=5&total=10", b"fghij").await;
    assert_eq!(first.json()["received"], 5);
    assert_eq!(first.json()["total"], 10);
    let second = chunk(&house, "file_id=f&offset=0&total=10", b"abcde").await;
    assert_eq!(second.status, 201, "{}", second.text());
    assert_eq!(content(&house, &second.json()).await, b"abcdefghij");
}

#[tokio::test]
async fn bad_chunks_are_named_and_change_nothing() {
    let house = House::new().await;
    location(&house, house.account("a").await, json!({"max_file_size": 10})).await;
    for (query, body, expected) in [
        ("", &b"x"[..], (400, "invalid_parameters")),
        ("name=..", b"x", (400, "invalid_parameters")),
        ("name=a&chunk=0&chunks=2", b"x", (400, "invalid_parameters")),
        ("file_id=f&chunk=0&chunks=2", b"x", (400, "invalid_parameters")),
        ("name=a&file_id=f&chunk=2&chunks=2", b"x", (400, "invalid_parameters")),
        ("name=a&file_id=f&offset=0", b"x", (400, "invalid_parameters")),
        ("name=a&file_id=g&offset=9&total=10", b"xx", (400, "invalid_parameters")),
        ("name=a&link=true&link_options=[", b"x", (400, "invalid_parameters")),
        ("name=a&file_size=11", b"x", (413, "request_too_large")),
        ("name=a", b"eleven bytes", (413, "request_too_large")),
        ("name=a&file_id=h&chunk=0&chunks=1", b"eleven bytes", (413, "request_too_large")),
    ] {
        let reply = chunk(&house, query, body).await;
        assert_eq!(reply.problem(), (expected.0, expected.1.to_owned()), "{query}");
    }
    chunk(&house, "name=a&file_id=f&file_size=4&chunk=0&chunks=2", b"ab").await;
    for query in ["file_id=f&chunk=1&chunks=3", "file_id=f&file_size=5&chunk=1&chunks=2"] {
        assert_eq!(chunk(&house, query, b"cd").await.problem().0, 400, "{query}");
    }
    let short = chunk(&house, "file_id=f&chunk=1&chunks=2", b"c").await;
    assert_eq!(short.json()["param"], "file_size", "{}", short.text());
    let whole = chunk(&house, "file_id=f&chunk=1&chunks=2", b"cd").await;
    assert_eq!(whole.status, 201, "the right chunk mends it: {}", whole.text());
}

#[tokio::test]
async fn a_dropped_upload_is_forgotten_and_idle_ones_too() {
    let house = House::new().await;
    location(&house, house.account("a").await, json!({})).await;
    let half = "name=a&file_id=f&chunk=0&chunks=2";
    chunk(&house, half, b"ab").await;
    let gone = format!("/drop/{}?file_id=f", house.app_id);
    for _ in 0..2 {
        let reply = house.delete(&gone).header("x-picker-id", "p1").send().await;
        assert_eq!(reply.status, 204, "always");
    }
    let nameless = chunk(&house, "file_id=f&chunk=1&chunks=2", b"cd").await;
    assert_eq!(nameless.json()["param"], "name", "nothing is known of it any more");
    chunk(&house, half, b"ab").await;
    house.clock.turn_seconds(24 * 3_600 + 1);
    let late = chunk(&house, "name=a&file_id=f&chunk=1&chunks=2", b"cd").await;
    assert_eq!(late.json()["received"], 2, "the first chunk is gone");
}

#[tokio::test]
async fn uploads_of_other_pages_are_other_uploads() {
    let house = House::new().await;
    location(&house, house.account("a").await, json!({})).await;
    chunk(&house, "name=a&file_id=f&chunk=0&chunks=2", b"ab").await;
    let path = format!("/drop/{}?name=b&file_id=f&chunk=1&chunks=2", house.app_id);
    let other = house.post(&path).header("x-picker-id", "p2").body("cd").send().await;
    assert_eq!((other.status.as_u16(), &other.json()["received"]), (200, &json!(2)));
}

#[tokio::test]
async fn a_location_may_ask_for_a_trusted_page() {
    let house = House::new().await;
    location(&house, house.account("a").await, json!({"require_trusted_origin": true})).await;
    let domains = format!("/v1/meta/applications/{}/trusted_domains", house.app_id);
    house.post(&domains).meta().json(json!({"domain": "www.example.com"})).send().await;
    let path = format!("/drop/{}?name=a", house.app_id);
    for (origin, status) in [("https://www.example.com", 201), ("https://evil.example", 403)] {
        let reply = house.post(&path).header("origin", origin).body("x").send().await;
        assert_eq!(reply.status, status, "{origin}");
    }
    assert_eq!(house.post(&path).body("x").send().await.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn drops_are_limited_per_address() {
    let house = House::new().await;
    let path = format!("/drop/{}", house.app_id);
    let mut last = None;
    for _ in 0..601 {
        last = Some(house.get(&path).from("2001:db8::7").send().await);
    }
    assert_eq!(last.unwrap().problem(), (429, "too_many_requests".into()));
    let neighbour = house.get(&path).from("2001:db8:0:0:1::1").send().await;
    assert_eq!(neighbour.status, 429, "one user has a whole /64");
    assert_eq!(house.get(&path).from("2001:db8:0:1::7").send().await.status, 404);
}

#[tokio::test]
async fn an_upload_url_takes_the_content_once() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/storage/files/upload_url");
    let body = json!({"parent_id": "root", "name": "video.mp4"});
    let made = house.post(&path).key().json(body.clone()).send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        made.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["url", "method", "headers", "expires", "api", "type"]
    );
    assert_eq!((&made["method"], &made["headers"]), (&json!("PUT"), &json!({})));
    let url = made["url"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    let broken = axum::body::Body::from_stream(futures::stream::iter([
        Ok(Bytes::from("half")),
        Err(std::io::Error::other("cut")),
    ]));
    let cut = house.put(&url).body(broken).send().await;
    assert_eq!(cut.problem().0, 400);
    tokio::task::yield_now().await;
    let mut taken = house.put(&url).body("content").send().await;
    for _ in 0..100 {
        if taken.status == 201 {
            break;
        }
        // Giving the URL back happens beside the answer.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        taken = house.put(&url).body("content").send().await;
    }
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(content(&house, &taken.json()).await, b"content");
    assert_eq!(house.put(&url).body("again").send().await.problem(), (404, "not_found".into()));
    let other = house.post(&path).key().json(body).send().await.json();
    assert_ne!(other["url"], made["url"]);
    let late = other["url"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    house.clock.turn_seconds(3_601);
    assert_eq!(house.put(&late).body("late").send().await.problem().0, 404);
    assert_eq!(house.put("/u/ul_forged").body("x").send().await.problem().0, 404);
}

#[tokio::test]
async fn of_many_at_once_one_gets_the_upload_url() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/storage/files/upload_url");
    let made = house.post(&path).key().json(json!({"parent_id": "root", "name": "v"})).send().await;
    let made = made.json();
    let url = made["url"].as_str().unwrap().strip_prefix(BASE).unwrap();
    let replies = join_all((0..8).map(|n| house.put(url).body(vec![n; 100]).send())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
}

async fn begin(house: &House, account: AccountId, body: Value, query: &str) -> Value {
    let path = format!("/v1/accounts/{account}/storage/multipart{query}");
    let reply = house.post(&path).key().json(body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn path_of(session: &Value) -> String {
    session["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned()
}

async fn part(house: &House, session: &Value, number: u64, body: Vec<u8>) -> Reply {
    let path = format!("{}?part_number={number}", path_of(session));
    house.put(&path).key().body(body).send().await
}

#[tokio::test]
async fn parts_in_any_order_make_the_file_and_completing_is_repeatable() {
    let house = House::new().await;
    let account = house.account("a").await;
    let body = json!({"parent_id": "root", "name": "video.mp4"});
    let session = begin(&house, account, body, "").await;
    assert_eq!(
        session.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "id",
            "type",
            "api",
            "href",
            "account",
            "parent_id",
            "name",
            "size",
            "part_size",
            "part_count",
            "parallel_uploads",
            "parts",
            "created",
            "expires"
        ]
    );
    assert_eq!((&session["size"], &session["part_count"]), (&Value::Null, &Value::Null));
    assert!((1..=2_147_483_647).contains(&session["id"].as_i64().unwrap()));
    let part_size = usize::try_from(session["part_size"].as_u64().unwrap()).unwrap();
    let early = house.post(&format!("{}/complete", path_of(&session))).key().send().await;
    assert_eq!(early.problem(), (400, "bad_request".into()));
    assert!(early.text().contains("Part 1"));
    let contents: Vec<Vec<u8>> = vec![vec![1; part_size], vec![2; part_size], vec![3; 77]];
    if session["parallel_uploads"] == true {
        let last = part(&house, &session, 3, contents[2].clone()).await;
        assert_eq!(last.status, 200, "{}", last.text());
        assert_eq!(last.json(), json!({"id": session["id"], "part_number": 3, "size": 77}));
        let gap = house.post(&format!("{}/complete", path_of(&session))).key().send().await;
        assert!(gap.text().contains("Part 1"), "{}", gap.text());
        assert_eq!(part(&house, &session, 1, vec![9; part_size]).await.status, 200);
        assert_eq!(part(&house, &session, 1, contents[0].clone()).await.status, 200, "replaced");
    } else {
        assert_eq!(part(&house, &session, 1, contents[0].clone()).await.status, 200);
    }
    assert_eq!(part(&house, &session, 1, contents[0].clone()).await.status, 200, "equal bytes");
    assert_eq!(part(&house, &session, 2, contents[1].clone()).await.status, 200);
    if session["parallel_uploads"] != true {
        assert_eq!(part(&house, &session, 3, contents[2].clone()).await.status, 200);
    }
    let seen = house.get(&path_of(&session)).key().send().await.json();
    assert_eq!(seen["parts"][2], json!({"part_number": 3, "size": 77}));
    let complete = format!("{}/complete", path_of(&session));
    let done = house.post(&complete).key().json(json!({"ignored": 1})).send().await;
    assert_eq!(done.status, 201, "{}", done.text());
    let again = house.post(&complete).key().send().await;
    assert_eq!((again.status.as_u16(), again.json()), (201, done.json()));
    assert_eq!(content(&house, &done.json()).await, contents.concat());
    let late = part(&house, &session, 4, vec![1]).await;
    assert_eq!(late.problem(), (400, "bad_request".into()));
}

#[tokio::test]
async fn a_known_size_binds_the_parts() {
    let house = House::new().await;
    let account = house.account("a").await;
    let probe = begin(&house, account, json!({"parent_id": "root", "name": "p"}), "").await;
    let part_size = probe["part_size"].as_u64().unwrap();
    let size = part_size * 2 + 5;
    let body = json!({"parent_id": "root", "name": "v", "size": size.to_string(), "account_id": 7});
    let session = begin(&house, account, body, "?overwrite=true").await;
    assert_eq!((&session["size"], &session["part_count"]), (&json!(size), &json!(3)));
    let wrong = |number: u64, size: usize| {
        let (house, session) = (&house, &session);
        async move { part(house, session, number, vec![0; size]).await.problem() }
    };
    let full = usize::try_from(part_size).unwrap();
    for (number, size) in [(1, full - 1), (1, full + 1), (3, 6), (4, 1), (0, 1), (10_001, 1)] {
        assert_eq!(
            wrong(number, size).await,
            (400, "invalid_parameters".into()),
            "{number} {size}"
        );
    }
    let path = path_of(&session);
    let missing = house.put(&path).key().body("x").send().await;
    assert_eq!(missing.json()["param"], "part_number");
    for bad in [
        json!({"name": "a"}),
        json!({"parent_id": "root"}),
        json!({"parent_id": "root", "name": "a", "size": -1}),
    ] {
        let reply = house
            .post(&format!("/v1/accounts/{account}/storage/multipart"))
            .key()
            .json(bad)
            .send()
            .await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    }
}

#[tokio::test]
async fn a_short_part_is_the_last_one() {
    let house = House::new().await;
    let account = house.account("a").await;
    let session = begin(&house, account, json!({"parent_id": "root", "name": "v"}), "").await;
    let full = usize::try_from(session["part_size"].as_u64().unwrap()).unwrap();
    assert_eq!(part(&house, &session, 1, vec![1; 10]).await.status, 200);
    let after = part(&house, &session, 2, vec![2; full]).await;
    assert_eq!(after.problem(), (400, "invalid_parameters".into()), "{}", after.text());
    let done = house.post(&format!("{}/complete", path_of(&session))).key().send().await;
    assert_eq!(done.json()["size"], 10);
}

#[tokio::test]
async fn an_empty_file_needs_no_part() {
    let house = House::new().await;
    let account = house.account("a").await;
    let session =
        begin(&house, account, json!({"parent_id": "root", "name": "e", "size": 0}), "").await;
    assert_eq!(session["part_count"], 0);
    let done = house.post(&format!("{}/complete", path_of(&session))).key().send().await;
    assert_eq!((done.status.as_u16(), &done.json()["size"]), (201, &json!(0)), "{}", done.text());
}

#[tokio::test]
async fn an_aborted_or_expired_upload_is_not_there() {
    let house = House::new().await;
    let account = house.account("a").await;
    let body = json!({"parent_id": "root", "name": "v"});
    let session = begin(&house, account, body.clone(), "").await;
    part(&house, &session, 1, vec![1; 10]).await;
    let path = path_of(&session);
    assert_eq!(house.delete(&path).key().send().await.status, 204);
    assert_eq!(house.delete(&path).key().send().await.problem().0, 404);
    assert_eq!(house.get(&path).key().send().await.problem().0, 404);
    assert_eq!(part(&house, &session, 1, vec![1; 10]).await.problem().0, 404);
    let session = begin(&house, account, body, "").await;
    house.clock.turn_seconds(6 * 86_400);
    assert_eq!(part(&house, &session, 1, vec![1; 10]).await.status, 200);
    house.clock.turn_seconds(6 * 86_400);
    let alive = house.get(&path_of(&session)).key().send().await;
    assert_eq!(alive.status, 200, "seven days from the last part");
    house.clock.turn_seconds(2 * 86_400);
    assert_eq!(house.get(&path_of(&session)).key().send().await.problem().0, 404);
    let other = house.account("b").await;
    let foreign = format!("/v1/accounts/{other}/storage/multipart/{}", session["id"]);
    assert_eq!(house.get(&foreign).key().send().await.problem().0, 404);
}

#[tokio::test]
async fn completing_twice_at_once_makes_one_file() {
    let house = House::new().await;
    let account = house.account("a").await;
    let session = begin(&house, account, json!({"parent_id": "root", "name": "v"}), "").await;
    part(&house, &session, 1, vec![1; 10]).await;
    let complete = format!("{}/complete", path_of(&session));
    let replies = join_all((0..4).map(|_| house.post(&complete).key().send())).await;
    for reply in &replies {
        assert_eq!((reply.status.as_u16(), reply.json()), (201, replies[0].json()));
    }
    let list = format!("/v1/accounts/{account}/storage/folders/root/contents");
    assert_eq!(house.get(&list).key().send().await.json()["count"], 1);
}
