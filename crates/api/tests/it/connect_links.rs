//! Connect links (wire API, section 54): made on the server, good for one browser.

use serde_json::json;

use crate::house::House;
use crate::login::{Browser, CALLBACK, parameter};

#[tokio::test]
async fn connect_links_are_good_for_one_browser_and_keep_everything_on_the_server() {
    let house = House::new().await;
    house.redirect(CALLBACK).await;
    let body = json!({
        "scope": "memory", "redirect_uri": CALLBACK, "state": "st",
        "custom_properties": {"customer": "c-17"}, "form_data": {"drive": "prefilled"},
        "expires_in": 600,
    });
    let made = house.post("/v1/connect_links").key().json(body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert!(made["expires"].is_string());
    let url = made["url"].as_str().unwrap();
    assert!(!url.contains("c-17"));
    let browser = Browser::new(&house);
    let first = browser.get(url).await;
    assert_eq!(first.status, 302, "{}", first.text());
    let form = first.header("location").to_owned();
    assert!(browser.get(&form).await.text().contains("prefilled"));
    let stranger = Browser::new(&house);
    assert_eq!(stranger.get(url).await.status, 410, "another browser comes too late");
    assert_eq!(stranger.get(&form).await.status, 410);
    assert_eq!(browser.get(url).await.status, 302, "the same browser goes on");
    let end = browser.submit(&form, &[("drive", "one")]).await;
    let code = parameter(end.header("location"), "code").unwrap();
    assert_eq!(parameter(end.header("location"), "state").as_deref(), Some("st"));
    let given = house.redeem(&code, &[("redirect_uri", CALLBACK)]).await.json();
    let auth = format!("Bearer {}", given["access_token"].as_str().unwrap());
    let account = house.get("/v1/accounts/me").auth(auth).send().await.json();
    assert_eq!(account["custom_properties"], json!({"customer": "c-17"}));
    assert_eq!(browser.get(url).await.status, 410, "it is used up");

    let late = house.post("/v1/connect_links").key().json(json!({"expires_in": 60})).send().await;
    let late = late.json()["url"].as_str().unwrap().to_owned();
    house.clock.turn_seconds(61);
    assert_eq!(Browser::new(&house).get(&late).await.status, 410);
    for (body, param) in [
        (json!({"redirect_uri": "https://evil.example"}), "redirect_uri"),
        (json!({"scope": "nothing"}), "scope"),
        (json!({"scope": "memory:"}), "scope"),
        (json!({"custom_properties": []}), "custom_properties"),
        (json!({"expires_in": 59}), "expires_in"),
        (json!({"access": ["fly"]}), "access"),
    ] {
        let reply = house.post("/v1/connect_links").key().json(body).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
        assert_eq!(reply.json()["param"], param);
    }
    let own = house.token(house.account("x").await).await;
    let own = house.post("/v1/connect_links").auth(format!("Bearer {own}")).send().await;
    assert_eq!(own.problem(), (403, "forbidden".into()));
}
