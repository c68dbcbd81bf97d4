//! Sections 52 and 18.8 of the wire API: tokens of accounts, made, listed, ended, verified.

use serde_json::{Value, json};

use crate::house::House;

#[tokio::test]
async fn a_token_is_made_by_the_application_listed_without_its_value_and_ended() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/tokens");
    let body = json!({"label": "phone", "access": ["storage:read"], "expires_in": 60});
    let made = house.post(&path).key().json(body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["token_type"], &made["expires_in"]), (&json!("Bearer"), &json!(60)));
    let token = made["access_token"].as_str().unwrap();
    assert!(token.starts_with("tmb_"));
    let listed = house.get(&path).key().send().await;
    assert!(!listed.text().contains(token));
    let listed = listed.json();
    assert_eq!((&listed["total"], &listed["objects"][0]["label"]), (&json!(1), &json!("phone")));
    assert_eq!(listed["objects"][0]["access"], json!(["storage:read"]));

    let auth = format!("Bearer {token}");
    let mine = house.get("/v1/accounts/me/storage/folders/root/contents").auth(&auth).send().await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    let body = json!({"name": "x", "parent_id": "root"});
    let write = house.post("/v1/accounts/me/storage/folders").auth(&auth).json(body).send().await;
    assert_eq!(write.problem(), (403, "permission_denied".into()));
    let own = house.post(&path).auth(&auth).send().await;
    assert_eq!(own.problem(), (403, "forbidden".into()), "a token makes no tokens");

    let id = made["id"].as_str().unwrap();
    assert_eq!(house.delete(&format!("{path}/{id}")).key().send().await.status, 204);
    assert_eq!(house.delete(&format!("{path}/{id}")).key().send().await.problem().0, 404);
    let dead = house.get("/v1/accounts/me").auth(&auth).send().await;
    assert_eq!(dead.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn bad_wishes_for_a_token_are_named() {
    let house = House::new().await;
    let account = house.account("a").await;
    let path = format!("/v1/accounts/{account}/tokens");
    for (body, member) in [
        (json!({"access": ["nonsense"]}), "access"),
        (json!({"access": 7}), "access"),
        (json!({"expires_in": 0}), "expires_in"),
        (json!({"label": "x".repeat(201)}), "label"),
    ] {
        let reply = house.post(&path).key().json(body).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
        assert_eq!(reply.json()["param"], member);
    }
}

#[tokio::test]
async fn a_token_is_verified_and_a_bad_one_is_exactly_400() {
    let house = House::new().await;
    let account = house.account("a").await;
    let token = house.token(account).await;
    for path in ["/v1/oauth/token", "/v1/oauth/token/"] {
        let reply = house.get(path).auth(format!("Bearer {token}")).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = reply.json();
        assert_eq!(body["client_id"], house.app_id);
        assert_eq!(body["account_id"], account.number());
        assert_eq!(body["expires_in"], Value::Null);
        assert_eq!((&body["api"], &body["type"]), (&json!("core"), &json!("access_token")));
    }
    let path = format!("/v1/accounts/{account}/tokens");
    let short = house.post(&path).key().json(json!({"expires_in": 1})).send().await.json();
    house.clock.turn_seconds(2);
    for token in ["tmb_unknown", short["access_token"].as_str().unwrap()] {
        let bad = house.get("/v1/oauth/token").auth(format!("Bearer {token}")).send().await;
        assert_eq!(bad.problem(), (400, "invalid_token".into()));
        let body = bad.json();
        assert_eq!((&body["error"], &body["status_code"]), (&json!("invalid_token"), &json!(400)));
    }
    assert_eq!(house.get("/v1/oauth/token").send().await.problem(), (403, "forbidden".into()));
}
