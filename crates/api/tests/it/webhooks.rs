//! Webhooks in the standard form, and what is told of deliveries (wire API, sections 20.4, 31, 50).

use http::Method;
use serde_json::{Value, json};
use tramontane_vault::WebhookSecret;

use crate::house::{BASE, House};

fn hooks(house: &House) -> String {
    format!("/v1/meta/applications/{}/webhooks", house.app_id)
}

/// Registers a webhook in the standard form; gives its path and the object.
async fn standard(house: &House, more: Value) -> (String, Value) {
    house.outside.answers(|_| (204, Vec::new()));
    let mut body = json!({"url": "https://hooks.example.com/in", "format": "standard"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = house.post(&hooks(house)).key().json(body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    (made["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned(), made)
}

fn last_headers(house: &House) -> http::HeaderMap {
    house.outside.sent.lock().unwrap().last().unwrap().headers.clone()
}

#[tokio::test]
async fn a_standard_webhook_is_pinged_then_saved_with_a_secret_of_its_own() {
    let house = House::new().await;
    let (one, made) = standard(&house, json!({"events": ["storage.*"], "batch_size": 5})).await;
    assert_eq!((&made["format"], &made["active"]), (&json!("standard"), &json!(true)));
    assert_eq!((&made["events"], &made["batch_size"]), (&json!(["storage.*"]), &json!(5)));
    let headers = last_headers(&house);
    assert_eq!(headers["content-type"], "application/json");
    let secret = house.get(&format!("{one}/secret")).key().send().await.json();
    assert_eq!(secret["previous_until"], Value::Null);
    let text = secret["secret"].as_str().unwrap().to_owned();
    let at = headers["webhook-timestamp"].to_str().unwrap().parse::<i64>().unwrap();
    let id = headers["webhook-id"].to_str().unwrap();
    assert!(id.starts_with("msg_"));
    // The body is what the ping says; only its signature can be told from here.
    let webhook = made["id"].as_str().unwrap();
    let body = json!({
        "type": "webhook.ping", "timestamp": "2026-03-02T09:15:00.000000Z",
        "data": {"webhook": webhook, "application": house.app_id},
    });
    let signed = WebhookSecret::parse(&text).unwrap().sign(id, at, body.to_string().as_bytes());
    assert_eq!(headers["webhook-signature"], signed.as_str());
    let stored =
        tramontane_store::webhook_secrets::list(house.app().db(), webhook, 0).await.unwrap();
    assert!(!String::from_utf8_lossy(&stored[0].sealed).contains(&text));
}

#[tokio::test]
async fn a_rotation_signs_with_both_for_a_day() {
    let house = House::new().await;
    let (one, _) = standard(&house, json!({})).await;
    let before = house.get(&format!("{one}/secret")).meta().send().await.json();
    house.clock.turn_seconds(1);
    let after = house.post(&format!("{one}/secret/rotate")).meta().send().await;
    assert_eq!(after.status, 200);
    assert_ne!(after.json()["secret"], before["secret"]);
    assert_eq!(after.json()["previous_until"], "2026-03-03T09:15:01.000000Z");
    for (hours, signatures) in [(0, 2), (25, 1)] {
        house.clock.turn_seconds(hours * 3_600);
        house.outside.answers(|_| (200, b"thanks".to_vec()));
        let test = house.post(&format!("{one}/test")).meta().send().await.json();
        assert_eq!((&test["delivered"], &test["status_code"]), (&json!(true), &json!(200)));
        assert_eq!(test["response_excerpt"], "thanks");
        let signed = last_headers(&house)["webhook-signature"].to_str().unwrap().to_owned();
        assert_eq!(signed.split(' ').count(), signatures, "{signed}");
    }
}

#[tokio::test]
async fn ed25519_shows_its_public_key_alone() {
    let house = House::new().await;
    let (one, made) = standard(&house, json!({"signature": "ed25519"})).await;
    assert_eq!(made["signature"], "ed25519");
    let signed = last_headers(&house)["webhook-signature"].to_str().unwrap().to_owned();
    assert!(signed.starts_with("v1a,"), "{signed}");
    let secret = house.get(&format!("{one}/secret")).key().send().await.json();
    assert!(secret["secret"].as_str().unwrap().starts_with("whpk_"));
}

#[tokio::test]
async fn changes_are_checked_and_another_url_is_tried_first() {
    let house = House::new().await;
    let (one, _) = standard(&house, json!({})).await;
    for (body, param) in [
        (json!({"events": ["Storage"]}), "events"),
        (json!({"events": "storage.*"}), "events"),
        (json!({"batch_size": 0}), "batch_size"),
        (json!({"batch_size": 101}), "batch_size"),
        (json!({"format": "kloudless"}), "format"),
        (json!({"accounts": ["x"]}), "accounts"),
        (json!({"rate_limit": 0}), "rate_limit"),
        (json!({"url": "http://hooks.example.com/"}), "url"),
        (json!({"url": "https://elsewhere.example.com/"}), "url"),
    ] {
        let refused = house.patch(&one).meta().json(body.clone()).send().await;
        assert_eq!(refused.problem(), (400, "invalid_parameters".into()), "{body}");
        assert_eq!(refused.json()["param"], param, "{body}");
    }
    house.outside.answers(|_| (200, Vec::new()));
    let change = json!({
        "url": "https://elsewhere.example.com/", "ordered": true, "description": "nightly",
        "active": false, "rate_limit": 50, "services": ["dropbox"],
    });
    let changed = house.patch(&one).key().json(change.clone()).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for (member, value) in change.as_object().unwrap() {
        assert_eq!(&changed.json()[member], value, "{member}");
    }
    assert_eq!(house.get(&one).key().send().await.json(), changed.json());
}

#[tokio::test]
async fn a_limited_key_and_another_applications_key_look_after_no_webhooks() {
    let house = House::new().await;
    let (one, _) = standard(&house, json!({})).await;
    let keys = format!("/v1/meta/applications/{}/apikeys", house.app_id);
    let body = json!({"access": ["storage:read"]});
    let limited = house.post(&keys).meta().json(body).send().await.json()["key"].clone();
    let auth = format!("APIKey {}", limited.as_str().unwrap());
    assert_eq!(house.get(&one).auth(&auth).send().await.problem().0, 403);
    let other =
        house.post("/v1/meta/applications").meta().json(json!({"name": "Other"})).send().await;
    let id = other.json()["id"].as_str().unwrap().to_owned();
    let theirs = format!("/v1/meta/applications/{id}/webhooks");
    assert_eq!(house.get(&theirs).key().send().await.problem().0, 404);
    assert_eq!(house.get(&one).send().await.problem().0, 403);
}

#[tokio::test]
async fn the_log_is_empty_at_first_and_foreign_ids_are_not_there() {
    let house = House::new().await;
    let (one, _) = standard(&house, json!({})).await;
    for prefix in ["", "?status=failed&account=7&since=2026-03-01&until=2026-03-09"] {
        let list = house.get(&format!("{one}/deliveries{prefix}")).key().send().await;
        assert_eq!((list.status.as_u16(), &list.json()["total"]), (200, &json!(0)));
    }
    let bad = house.get(&format!("{one}/deliveries?status=lost")).key().send().await;
    assert_eq!(bad.json()["param"], "status");
    for path in ["/deliveries/dlv_x", "/deliveries/dlv_AAAAAAAAAQEA", "/replay/rpl_x"] {
        assert_eq!(
            house.get(&format!("{one}{path}")).key().send().await.problem().0,
            404,
            "{path}"
        );
    }
    let path = format!("{one}/deliveries/dlv_x/replay");
    assert_eq!(house.ask(Method::POST, &path).key().send().await.problem().0, 404);
}

#[tokio::test]
async fn a_replay_is_a_task_that_can_be_looked_at() {
    let house = House::new().await;
    let (one, _) = standard(&house, json!({})).await;
    let path = format!("{one}/replay");
    assert_eq!(house.post(&path).key().json(json!({})).send().await.json()["param"], "since");
    let body = json!({"since": "2026-03-05T00:00:00Z", "until": "2026-03-01T00:00:00Z"});
    assert_eq!(house.post(&path).key().json(body).send().await.json()["param"], "since");
    let body = json!({"since": "2026-03-01T00:00:00Z", "accounts": [7], "status": "failed"});
    let made = house.post(&path).key().json(body.clone()).send().await;
    assert_eq!(made.status, 202, "{}", made.text());
    let at = made.json()["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    assert_eq!(house.get(&at).key().send().await.json(), made.json());
    for _ in 0..9 {
        assert_eq!(house.post(&path).key().json(body.clone()).send().await.status, 202);
    }
    assert_eq!(house.post(&path).key().json(body).send().await.problem().0, 400);
}

#[tokio::test]
async fn the_compatible_form_has_no_secret_and_its_test_is_the_check() {
    let house = House::new().await;
    let id = house.app_id.clone();
    house.outside.answers(move |_| (200, id.clone().into_bytes()));
    let body = json!({"url": "https://hooks.example.com/in"});
    let made = house.post(&hooks(&house)).key().json(body).send().await.json();
    let one = made["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    let secret = house.get(&format!("{one}/secret")).key().send().await;
    assert_eq!(secret.problem(), (400, "bad_request".into()));
    house.outside.answers(|_| (500, b"no".to_vec()));
    let test = house.post(&format!("{one}/test")).key().send().await.json();
    assert_eq!((&test["delivered"], &test["status_code"]), (&json!(false), &json!(500)));
    let empty = tramontane_vault::webhook_signature(&house.api_key, b"");
    assert_eq!(last_headers(&house)["x-kloudless-signature"], empty.as_str());
    let old =
        format!("/v1/applications/{}/webhooks/{}", house.app_id, made["id"].as_str().unwrap());
    assert_eq!(house.get(&old).meta().send().await.json(), made);
}
