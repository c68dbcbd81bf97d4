//! Section 30 of the wire API: subscriptions, made with accounts and by hand.

use serde_json::{Value, json};
use tramontane_activity::Action;
use tramontane_api::ApiLimits;
use tramontane_feeds::following::FIRST_FEED;
use tramontane_model::AccountId;
use tramontane_store::feeds::{self, FeedState};

use crate::activity::{Writer, event};
use crate::house::{House, on_each_engine};

async fn switch_events(house: &House, on: bool) {
    let directory = house.app().directory();
    let changed = directory
        .update_application(house.developer, &house.app_id, |row| row.events_enabled = on)
        .await;
    changed.unwrap();
}

async fn state(house: &House, account: AccountId) -> Option<FeedState> {
    let feed = feeds::find(&house.scratch.db, account.number()).await.unwrap();
    feed.map(|feed| feed.state)
}

fn path(account: AccountId) -> String {
    format!("/v1/accounts/{account}/subscriptions")
}

#[tokio::test]
async fn every_new_account_has_its_default_subscription() {
    on_each_engine(ApiLimits::default(), |house| async {
        let body = json!({"account": "imported", "service": "memory"});
        let made = house.post("/v1/accounts").key().json(body).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let account = AccountId::new(made.json()["id"].as_i64().unwrap()).unwrap();
        let list = house.get(&path(account)).key().send().await.json();
        assert_eq!((&list["total"], &list["count"]), (&json!(1), &json!(1)));
        let one = &list["objects"][0];
        let id = one["id"].as_str().unwrap();
        assert!(id.starts_with("sub_"));
        assert_eq!(
            *one,
            json!({
                "id": id, "type": "subscription", "api": "events",
                "href": format!("https://tramontane.example.com/v1/accounts/{account}/subscriptions/{id}"),
                "account": account.number(), "default": true, "active": true,
                "subscription_type": "changes", "monitored_resources": [], "raw_data": false,
                "created": one["created"], "modified": one["created"],
            })
        );
        for name in [id, "default"] {
            let found = house.get(&format!("{}/{name}", path(account))).key().send().await;
            assert_eq!(found.json(), *one);
        }
        let again = house.post(&path(account)).key().send().await;
        assert_eq!((again.status.as_u16(), again.json()), (200, one.clone()));
        assert_eq!(state(&house, account).await, Some(FeedState::Following));
        let other = house.account("b").await;
        let foreign = house.get(&format!("{}/{id}", path(other))).key().send().await;
        assert_eq!(foreign.problem(), (404, "not_found".into()));
        house
    })
    .await;
}

#[tokio::test]
async fn accounts_connected_while_events_are_off_wait_to_be_asked_for() {
    on_each_engine(ApiLimits::default(), |house| async {
        switch_events(&house, false).await;
        let account = house.account("a").await;
        let events = format!("/v1/accounts/{account}/events");
        assert_eq!(house.get(&events).key().send().await.problem(), (403, "forbidden".into()));
        let made = house.post(&path(account)).key().send().await;
        assert_eq!(made.problem(), (403, "forbidden".into()));
        switch_events(&house, true).await;
        assert_eq!(house.get(&events).key().send().await.problem(), (403, "forbidden".into()));
        assert_eq!(house.app().following().sweep().await.unwrap(), 0, "it was never wanted");
        assert_eq!(state(&house, account).await, None);
        let made = house.post(&path(account)).key().json(json!({})).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(house.get(&events).key().send().await.status, 200);
        assert_eq!(state(&house, account).await, Some(FeedState::Following));
        switch_events(&house, false).await;
        assert_eq!(house.get(&events).key().send().await.problem(), (403, "forbidden".into()));
        house
    })
    .await;
}

#[tokio::test]
async fn a_deleted_default_subscription_comes_back_with_its_sequence() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let writer = Writer::new(&house).await;
        writer.files(account, &["a", "b"]).await;
        let default = format!("{}/default", path(account));
        let before = house.get(&default).key().send().await.json();
        assert_eq!(house.delete(&default).key().send().await.status, 204);
        assert_eq!(house.delete(&default).key().send().await.problem().0, 404);
        assert_eq!(state(&house, account).await, Some(FeedState::Stopped));
        for tail in ["", "/latest", &format!("/evt_{account}_1"), "/stream"] {
            let path = format!("/v1/accounts/{account}/events{tail}");
            let off = house.get(&path).key().send().await;
            assert_eq!(off.problem(), (403, "forbidden".into()), "{tail}");
        }
        assert_eq!(house.app().following().sweep().await.unwrap(), 0, "it was deleted on purpose");
        let made = house.post(&path(account)).key().send().await;
        assert_eq!((made.status.as_u16(), &made.json()["id"]), (201, &before["id"]));
        assert_eq!(state(&house, account).await, Some(FeedState::Following));
        writer.files(account, &["c"]).await;
        let events = house.get(&format!("/v1/accounts/{account}/events")).key().send().await.json();
        assert_eq!(events["cursor"], "3");
        assert_eq!(events["objects"][2]["sequence"], 3);
        house
    })
    .await;
}

#[tokio::test]
async fn further_subscriptions_have_feeds_of_their_own() {
    on_each_engine(ApiLimits::default(), |house| async {
        let account = house.account("a").await;
        let writer = Writer::new(&house).await;
        let folder = house.post(&format!("/v1/accounts/{account}/storage/folders"));
        let body = json!({"name": "box", "parent_id": "root"});
        let folder = folder.key().json(body).send().await.json()["id"].clone();
        let watched = json!([{"id": folder, "type": "folder"}, {"id": "root"}, {"id": folder}]);
        let body = json!({"monitored_resources": watched, "subscription_type": "changes"});
        let made = house.post(&path(account)).key().json(body.clone()).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let shown = json!([{"id": folder, "type": "folder"}, {"id": "root", "type": "folder"}]);
        assert_eq!((&made["default"], &made["monitored_resources"]), (&json!(false), &shown));
        let second = house.post(&path(account)).key().json(body).send().await.json();
        assert_ne!(second["id"], made["id"]);
        let rows = house.app().log().subscriptions(account.number()).await.unwrap();
        let mut numbers: Vec<i64> = rows.iter().map(|row| row.feed).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [account.number(), FIRST_FEED, FIRST_FEED + 1]);

        writer.append(account, FIRST_FEED, &[event(Action::Add, "in the box")]).await;
        let of = |row: &Value| format!("{}/{}", path(account), row["id"].as_str().unwrap());
        let activity = house.get(&format!("{}/activity", of(&made))).key().send().await.json();
        assert_eq!((&activity["count"], &activity["cursor"]), (&json!(1), &json!("1")));
        let one = &activity["objects"][0];
        assert_eq!(one["id"], format!("evt_{FIRST_FEED}_1"));
        let href = one["href"].as_str().unwrap().strip_prefix(crate::house::BASE).unwrap();
        assert_eq!(house.get(href).key().send().await.json(), *one);
        let latest = house.get(&format!("{}/activity/latest", of(&made))).key().send().await;
        assert_eq!(latest.json()["cursor"], "1");
        let default = house.get(&format!("{}/default/activity", path(account))).key().send().await;
        assert_eq!(default.json()["count"], 0, "each has its own events");
        let none = house.get(&format!("{}/sub_none/activity", path(account))).key().send().await;
        assert_eq!(none.problem(), (404, "not_found".into()));

        // What others still watch goes on without the default one.
        let default = format!("{}/default", path(account));
        assert_eq!(house.delete(&default).key().send().await.status, 204);
        assert_eq!(state(&house, account).await, Some(FeedState::Following));
        for row in [&made, &second] {
            assert_eq!(house.delete(&of(row)).key().send().await.status, 204);
        }
        assert_eq!(state(&house, account).await, Some(FeedState::Stopped));
        house
    })
    .await;
}

#[tokio::test]
async fn a_subscription_is_changed_and_switched_off() {
    let house = House::new().await;
    let account = house.account("a").await;
    let default = format!("{}/default", path(account));
    let body = json!({"active": "false", "monitored_resources": ["root"], "creator": 1});
    let changed = house.patch(&default).key().json(body).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(changed["active"], false);
    assert_eq!(changed["monitored_resources"], json!([{"id": "root", "type": "folder"}]));
    assert_eq!(state(&house, account).await, Some(FeedState::Stopped), "nobody gets events");
    let events = house.get(&format!("/v1/accounts/{account}/events")).key().send().await;
    assert_eq!(events.status, 200, "what was kept can be read");
    let same = house.patch(&default).key().json(json!({})).send().await.json();
    assert_eq!(same, changed, "a change that changes nothing");
    let body = json!({"active": true, "monitored_resources": []});
    let back = house.patch(&default).key().json(body).send().await.json();
    assert_eq!((&back["active"], &back["monitored_resources"]), (&json!(true), &json!([])));
    assert_eq!(state(&house, account).await, Some(FeedState::Following));
}

#[tokio::test]
async fn bad_subscriptions_are_named() {
    let house = House::new().await;
    let account = house.account("a").await;
    let many: Vec<Value> = (0..101).map(|number| json!(format!("folder_{number}"))).collect();
    for (body, param) in [
        (json!({"monitored_resources": "root"}), "monitored_resources"),
        (json!({"monitored_resources": [7]}), "monitored_resources"),
        (json!({"monitored_resources": [{"type": "folder"}]}), "monitored_resources"),
        (json!({"monitored_resources": [{"id": "root", "type": "file"}]}), "monitored_resources"),
        (json!({"monitored_resources": [{"id": "file_YQ"}]}), "monitored_resources"),
        (json!({"monitored_resources": many}), "monitored_resources"),
        (json!({"subscription_type": "all"}), "subscription_type"),
        (json!({"active": "perhaps"}), "active"),
        (json!({"default": 7}), "default"),
    ] {
        let refused = house.post(&path(account)).key().json(body.clone()).send().await;
        assert_eq!(refused.problem(), (400, "invalid_parameters".into()), "{body}");
        assert_eq!(refused.json()["param"], param, "{body}");
    }
    let audit = json!({"subscription_type": "audit"});
    let later = house.post(&path(account)).key().json(audit).send().await;
    assert_eq!(later.problem(), (501, "not_implemented".into()));
    let body = json!({"default": false});
    for _ in 1..20 {
        let more = house.post(&path(account)).key().json(body.clone()).send().await;
        assert_eq!(more.status, 201, "{}", more.text());
    }
    let over = house.post(&path(account)).key().json(body).send().await;
    assert_eq!(over.problem(), (400, "invalid_parameters".into()));
}
