//! Section 29 of the wire API: events by cursor, as pages, one by one, and waited for.

use serde_json::{Value, json};
use tramontane_accounts::{Access, NewToken};
use tramontane_activity::{Action, Actor, Before, Category, Metadata};
use tramontane_api::ApiLimits;
use tramontane_connector::{Entry, EntryKind, EntryRef, Storage as _};
use tramontane_model::{AccountId, ResourceId};

use crate::activity::{Writer, event};
use crate::house::{House, Reply, on_each_engine};

fn names(body: &Value) -> Vec<&str> {
    let objects = body["objects"].as_array().unwrap().iter();
    objects.map(|event| event["metadata"]["name"].as_str().unwrap()).collect()
}

async fn read(house: &House, account: AccountId, query: &str) -> Reply {
    house.get(&format!("/v1/accounts/{account}/events{query}")).key().send().await
}

/// The entry of a file as the connector tells it.
async fn entry(house: &House, account: AccountId, id: &str) -> Entry {
    let opened = house.app().directory().open(account).await.unwrap().unwrap();
    let storage = house.app().storage("memory").unwrap();
    let within = std::time::Duration::from_secs(30);
    let (lent, of) = (house.app().lent().clone(), opened.account.clone());
    let cx = tramontane_connector::Cx::interactive(of, lent, within);
    let native = ResourceId::parse(id).unwrap().native;
    storage.get(&cx, &EntryRef { kind: EntryKind::File, id: native }).await.unwrap()
}

#[tokio::test]
async fn pages_follow_each_other_by_cursor() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let empty = read(&house, account, "").await;
        assert_eq!(empty.status, 200, "{}", empty.text());
        let nothing = json!({"type": "object_list", "api": "events", "cursor": "0", "count": 0,
            "remaining": 0, "objects": []});
        assert_eq!(empty.json(), nothing);
        let latest = read(&house, account, "/latest").await.json();
        assert_eq!(latest, json!({"cursor": "0", "api": "events", "type": "cursor"}));

        let writer = Writer::new(&house).await;
        writer.files(account, &["a", "b", "c"]).await;
        writer.files(account, &["d", "e"]).await;
        let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
        loop {
            let page = read(&house, account, &format!("?cursor={cursor}&page_size=2")).await.json();
            assert!(page.get("page").is_none() && page.get("next_page").is_none());
            assert_eq!(page["count"], page["objects"].as_array().unwrap().len());
            if page["count"] == 0 {
                assert_eq!((&page["cursor"], &page["remaining"]), (&json!(cursor), &json!(0)));
                break;
            }
            cursor = page["cursor"].as_str().unwrap().to_owned();
            assert_eq!(page["remaining"], 5 - cursor.parse::<i64>().unwrap());
            seen.extend(names(&page).into_iter().map(str::to_owned));
        }
        assert_eq!((seen.join(""), cursor.as_str()), ("abcde".to_owned(), "5"));
        for whole in ["", "?cursor=", "?cursor=after-auth", "?cursor=earliest", "?page_size=1000"] {
            assert_eq!(names(&read(&house, account, whole).await.json()).concat(), "abcde");
        }
        assert_eq!(read(&house, account, "/latest").await.json()["cursor"], "5");
        let newest = read(&house, account, "?cursor=latest").await.json();
        assert_eq!((&newest["cursor"], &newest["count"]), (&json!("5"), &json!(0)));
        house
    })
    .await;
}

#[tokio::test]
async fn bad_cursors_and_sizes_are_named() {
    let house = House::new().await;
    let account = house.account("a").await;
    Writer::new(&house).await.files(account, &["a"]).await;
    for (query, param) in [
        ("?cursor=2", "cursor"),
        ("?cursor=-1", "cursor"),
        ("?cursor=x", "cursor"),
        ("?cursor=1.5", "cursor"),
        ("?cursor=time:soon", "cursor"),
        ("?cursor=99999999999999999999999", "cursor"),
        ("?page_size=0", "page_size"),
        ("?page_size=1001", "page_size"),
        ("?wait=61", "wait"),
        ("?wait=x", "wait"),
    ] {
        let reply = read(&house, account, query).await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{query}");
        assert_eq!(reply.json()["param"], param, "{query}");
    }
    let other = house.account("b").await;
    let both = house.get(&format!("/v1/accounts/{account},{other}/events")).key().send().await;
    assert_eq!(both.problem(), (400, "bad_request".into()));
    let wrong = house.post(&format!("/v1/accounts/{account}/events")).key().send().await;
    assert_eq!(wrong.problem().0, 405);
}

#[tokio::test]
async fn an_event_shows_the_object_as_the_storage_api_does() {
    let house = House::new().await;
    let account = house.account("a").await;
    let writer = Writer::new(&house).await;
    let id = house.file(account, "übung.txt", b"content").await;
    let path = format!("/v1/accounts/{account}/storage/files/{id}");
    let shown = house.get(&path).key().send().await.json();
    let entry = entry(&house, account, &id).await;
    let mut renamed = event(Action::Rename, "übung.txt");
    renamed.object.id = entry.id.as_str().to_owned();
    renamed.entry = Metadata::of(&entry);
    renamed.happened = Some(1_772_442_898_000_000);
    renamed.actor = Some(Actor { id: Some("u-7".into()), ..Actor::default() });
    let above = entry.parent.clone().unwrap().id;
    renamed.before = Some(Before {
        name: Some("before.txt".into()),
        parent: Some(above.as_str().into()),
        path: Some("/before.txt".into()),
        ..Before::default()
    });
    writer.happen(account, &[renamed]).await;
    let body = read(&house, account, "").await.json();
    let mut one = body["objects"][0].clone();
    assert_eq!(one["metadata"], shown, "the same object, whichever way it is reached");
    one.as_object_mut().unwrap().remove("metadata");
    let number = account.number();
    assert_eq!(
        one,
        json!({
            "id": format!("evt_{number}_1"), "type": "rename", "api": "events",
            "href": format!("https://tramontane.example.com/v1/accounts/{number}/events/evt_{number}_1"),
            "account": number, "action": "~", "modified": "2026-03-02T09:14:58.000000Z", "ip": null,
            "user_id": "user_dS03", "event_category": "storage", "event_type": "rename",
            "event_subtype": null,
            "previous": {
                "name": "before.txt", "path": "/before.txt",
                "parent": {"id": "root", "type": "folder", "name": "Memory", "id_type": "path"},
            },
            "sequence": 1, "detected": "2026-03-02T09:15:00.000000Z",
            "recovered": false,
        })
    );
    let single = read(&house, account, &format!("/evt_{number}_1")).await;
    assert_eq!(single.json(), body["objects"][0], "one event is the item of the list");
}

#[tokio::test]
async fn raw_data_is_shown_on_request_and_only_what_was_kept() {
    let house = House::new().await;
    let account = house.account("a").await;
    let writer = Writer::new(&house).await;
    let id = house.file(account, "a.txt", b"content").await;
    let mut entry = entry(&house, account, &id).await;
    let (mut without, mut with) = (event(Action::Add, "a.txt"), event(Action::Update, "a.txt"));
    entry.raw = None;
    without.entry = Metadata::of(&entry);
    entry.raw = Some(json!({"own": 1}));
    with.entry = Metadata::of(&entry);
    writer.happen(account, &[without, with]).await;
    let path = format!("/v1/accounts/{account}/events");
    let asked = house.get(&path).key().header("x-kloudless-raw-data", "true").send().await.json();
    assert!(asked["objects"][0]["metadata"].get("raw").is_none());
    assert_eq!(asked["objects"][1]["metadata"]["raw"]["object"], json!({"own": 1}));
    let plain = read(&house, account, "").await;
    assert!(!plain.text().contains("\"raw\""));
}

#[tokio::test]
async fn a_deletion_shows_what_was_known() {
    let house = House::new().await;
    let account = house.account("a").await;
    let mut deleted = event(Action::Delete, "gone.txt");
    deleted.recovered = true;
    let mut folder = event(Action::Delete, "box");
    folder.object.kind = "folder".into();
    (folder.object.path, folder.object.parent) = (None, None);
    let mut own = event(Action::Update, "me");
    own.category = Category::Account;
    own.object.kind = "account".into();
    own.object.id = account.to_string();
    own.subtype = Some("needs_reconnect".into());
    let mut damaged = event(Action::Add, "odd");
    damaged.entry = json!({"kind": "file"}).into();
    Writer::new(&house).await.happen(account, &[deleted, folder, own, damaged]).await;
    let body = read(&house, account, "").await.json();
    let (number, objects) = (account.number(), &body["objects"]);
    let id = |raw: &str, kind: &str| {
        use base64::Engine as _;
        format!("{kind}_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(raw))
    };
    assert_eq!(
        objects[0]["metadata"],
        json!({
            "id": id("id-gone.txt", "file"), "type": "file", "api": "storage", "id_type": "default",
            "raw_id": "id-gone.txt", "account": number, "name": "gone.txt", "path": "/f/gone.txt",
            "parent": {"id": id("folder-1", "folder"), "type": "folder", "name": null, "id_type": "default"},
        })
    );
    assert_eq!((&objects[0]["action"], &objects[0]["recovered"]), (&json!("-"), &json!(true)));
    assert_eq!(objects[0]["previous"], Value::Null);
    let known = &objects[1]["metadata"];
    assert_eq!((&known["type"], &known["path"]), (&json!("folder"), &Value::Null));
    assert_eq!(known["parent"], Value::Null);
    assert_eq!(objects[2]["event_category"], "account");
    assert_eq!(objects[2]["event_subtype"], "needs_reconnect");
    assert_eq!(objects[2]["metadata"]["api"], "core");
    assert_eq!(objects[3]["metadata"]["name"], "odd", "what cannot be read does not stop the feed");
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_told_with_advice() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let mut writer = Writer::new(&house).await;
        let first = writer.slice;
        writer.files(account, &["a", "b"]).await;
        writer.open(first + 1).await;
        house.clock.turn_seconds(86_400);
        writer.files(account, &["c", "d"]).await;
        let since = |seconds: i64| {
            let time = house.app().now().plus_seconds(seconds).to_string();
            format!("?cursor=time:{time}")
        };
        assert_eq!(names(&read(&house, account, &since(-3_600)).await.json()).concat(), "cd");
        assert_eq!(names(&read(&house, account, &since(-90_000)).await.json()).concat(), "abcd");
        assert_eq!(read(&house, account, &since(1)).await.json()["cursor"], "4");
        writer.drop_slice(first).await;
        let lost = read(&house, account, "?cursor=1").await.json();
        assert_eq!((&lost["truncated"], names(&lost).concat().as_str()), (&json!(true), "cd"));
        assert!(lost["guidance"].as_str().unwrap().contains("recursive=true"));
        for good in ["", "?cursor=after-auth", "?cursor=2"] {
            let whole = read(&house, account, good).await.json();
            assert!(whole.get("truncated").is_none(), "{good}");
            assert_eq!(names(&whole).concat(), "cd");
        }
        let number = account.number();
        assert_eq!(read(&house, account, &format!("/evt_{number}_1")).await.problem().0, 404);
        assert_eq!(read(&house, account, &format!("/evt_{number}_3")).await.status, 200);
        house
    })
    .await;
}

#[tokio::test]
async fn one_event_is_found_by_its_id_alone() {
    let house = House::new().await;
    let (account, other) = (house.account("a").await, house.account("b").await);
    let writer = Writer::new(&house).await;
    writer.files(account, &["a"]).await;
    writer.files(other, &["b"]).await;
    for id in ["nonsense", "evt_1_1", &format!("evt_{other}_1"), &format!("evt_{account}_2")] {
        let reply = read(&house, account, &format!("/{id}")).await;
        assert_eq!(reply.problem(), (404, "not_found".into()), "{id}");
    }
}

#[tokio::test]
async fn a_request_waits_until_something_happens() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let writer = Writer::new(&house).await;
        let waiting = read(&house, account, "?wait=60&cursor=0");
        let live = house.app().log().live().clone();
        let happening = async {
            while !live.is_read(account.number()) {
                tokio::task::yield_now().await;
            }
            writer.files(account, &["a"]).await;
        };
        let (reply, ()) = tokio::join!(waiting, happening);
        assert_eq!(names(&reply.json()), ["a"]);
        let ready = read(&house, account, "?wait=60&cursor=0").await.json();
        assert_eq!(names(&ready), ["a"], "what is there is given at once");
        let over = read(&house, account, "?wait=1&cursor=1").await.json();
        assert_eq!((&over["count"], &over["cursor"]), (&json!(0), &json!("1")));
        assert!(!live.is_read(account.number()), "nobody waits any more");
        house
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_down_lets_nobody_wait() {
    let house = House::new().await;
    let account = house.account("a").await;
    house.app().draining().cancel();
    let reply = read(&house, account, "?wait=60").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["count"]), (200, &json!(0)));
}

#[tokio::test]
async fn who_waits_takes_no_turn_to_work_but_is_counted() {
    let limits = ApiLimits { concurrency: 1, streams: 1, ..ApiLimits::default() };
    let house = House::with(limits).await;
    let account = house.account("a").await;
    let writer = Writer::new(&house).await;
    let waiting = read(&house, account, "?wait=60&cursor=0");
    let meanwhile = async {
        while !house.app().log().live().is_read(account.number()) {
            tokio::task::yield_now().await;
        }
        // The only turn is free again as soon as the first request waits.
        let mut second = read(&house, account, "?wait=60&cursor=0").await;
        while !second.text().contains("event streams") {
            assert_eq!(second.status, 429, "{}", second.text());
            tokio::task::yield_now().await;
            second = read(&house, account, "?wait=60&cursor=0").await;
        }
        assert!(second.headers.contains_key("retry-after"));
        assert_eq!(read(&house, account, "").await.status, 200);
        writer.files(account, &["a"]).await;
    };
    let (reply, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(names(&reply.json()), ["a"]);
}

#[tokio::test]
async fn only_who_may_follow_changes_reads_events() {
    let house = House::new().await;
    let (account, other) = (house.account("a").await, house.account("b").await);
    let path = format!("/v1/accounts/{account}/events");
    let token = |list: &'static str| {
        let house = &house;
        async move {
            let access = Some(Access::parse(list.split(' ')).unwrap());
            let (all, new) = (Access::everything(), NewToken { access, ..NewToken::default() });
            let directory = house.app().directory();
            let made = directory.create_token(&house.app_id, account, &all, new).await.unwrap();
            secrecy::ExposeSecret::expose_secret(&made.token).to_owned()
        }
    };
    for list in ["events:read", "events:events", "storage:events", "*"] {
        let auth = format!("Bearer {}", token(list).await);
        assert_eq!(house.get(&path).auth(&auth).send().await.status, 200, "{list}");
        let me = house.get("/v1/accounts/me/events/latest").auth(&auth).send().await;
        assert_eq!(me.status, 200, "{list}");
    }
    for list in ["storage:read", "events:write", "storage:events@folder_YQ", "*@folder_YQ"] {
        let auth = format!("Bearer {}", token(list).await);
        let reply = house.get(&path).auth(&auth).send().await;
        assert_eq!(reply.problem(), (403, "permission_denied".into()), "{list}");
    }
    let auth = format!("Bearer {}", token("*").await);
    let foreign = house.get(&format!("/v1/accounts/{other}/events")).auth(&auth).send().await;
    assert_eq!(foreign.problem(), (403, "forbidden".into()));
    assert_eq!(house.get(&path).send().await.problem(), (403, "forbidden".into()));
    assert_eq!(house.get("/v1/accounts/99/events").key().send().await.problem().0, 404);
}

#[tokio::test]
async fn the_health_of_a_feed_and_why_something_was_not_told() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        Writer::new(&house).await.files(account, &["a", "b", "a"]).await;
        let health = read(&house, account, "/health").await.json();
        assert_eq!((&health["following"], &health["newest"]), (&json!(true), &json!(3)));
        assert_eq!(health["polling"], Value::Null, "nothing polls in this process");
        let all = read(&house, account, "/explain").await.json();
        assert_eq!((&all["events"], &all["deliveries"]), (&json!([]), &json!([])));
        let object = read(&house, account, "").await.json()["objects"][0]["metadata"]["id"].clone();
        let object = object.as_str().unwrap();
        let told = read(&house, account, &format!("/explain?object={object}")).await.json();
        let ids: Vec<&str> = told["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [format!("evt_{account}_3"), format!("evt_{account}_1")]);
        let one = read(&house, account, &format!("/explain?event=evt_{account}_2")).await.json();
        assert_eq!(one["events"][0]["type"], "storage.file.added");
        for (bad, status) in [("object=x", 400), ("event=x", 404), ("event=evt_1_1", 404)] {
            let reply = read(&house, account, &format!("/explain?{bad}")).await;
            assert_eq!(reply.problem().0, status, "{bad}");
        }
        house
    })
    .await;
}
