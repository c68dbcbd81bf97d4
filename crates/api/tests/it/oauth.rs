//! Sections 18 and 52 of the wire API: our OAuth server, rule by rule.

use serde_json::{Value, json};

use crate::house::{BASE, House};
use crate::login::{Browser, CALLBACK, attribute, message, pairs, parameter};

const VERIFIER: &str = "tramontane-example-verifier-0123456789-abcdefghijk";
const CHALLENGE: &str = "L-YD3y3f7wZIlQVs0pjhhVapq05WgkvYeYO91PUaAQU";

async fn house() -> House {
    let house = House::new().await;
    house.redirect(CALLBACK).await;
    house
}

/// A code for a new account, with its first leg's further parameters.
async fn code(house: &House, more: &[(&str, &str)]) -> String {
    let browser = Browser::new(house);
    let mut query = vec![("response_type", "code"), ("redirect_uri", CALLBACK)];
    query.extend_from_slice(more);
    let end = browser.connect("one", &query).await;
    assert_eq!(end.status, 302, "{}", end.text());
    parameter(end.header("location"), "code").unwrap()
}

const BACK: (&str, &str) = ("redirect_uri", CALLBACK);

#[tokio::test]
async fn a_code_is_exchanged_for_a_token_that_opens_the_account() {
    let house = house().await;
    let browser = Browser::new(&house);
    let state = "a b&c=\u{e9}#%\"<";
    let properties = json!({"customer": "c-17", "n": 7}).to_string();
    let end = browser
        .connect(
            "one",
            &[
                ("response_type", "code"),
                ("redirect_uri", CALLBACK),
                ("scope", "any.storage"),
                ("state", state),
                ("custom_properties", &properties),
            ],
        )
        .await;
    assert_eq!(end.status, 302, "{}", end.text());
    let location = end.header("location");
    assert!(location.starts_with(&format!("{CALLBACK}?code=")), "{location}");
    assert_eq!(parameter(location, "state").as_deref(), Some(state));
    let code = parameter(location, "code").unwrap();
    assert!(code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
    let given = house.redeem(&code, &[BACK]).await;
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(given.header("cache-control"), "no-store");
    let body = given.json();
    let token = body["access_token"].as_str().unwrap();
    assert!(token.starts_with("tmb_"));
    assert_eq!(
        body,
        json!({
            "access_token": token, "token_type": "Bearer", "scope": "any.storage",
        })
    );
    let auth = format!("Bearer {token}");
    let account = house.get("/v1/accounts/me").auth(&auth).send().await.json();
    assert_eq!(account["account"], "one@memory");
    assert_eq!(account["effective_scope"], "memory:normal.storage.default:kloudless");
    assert_eq!(account["custom_properties"], json!({"customer": "c-17", "n": "7"}));
    let verified = house.get("/v1/oauth/token/").auth(&auth).send().await.json();
    assert_eq!(verified["account_id"], account["id"]);
    assert_eq!(verified["scope"], "any.storage");
}

#[tokio::test]
async fn a_client_shows_its_secret_in_every_way_that_clients_do() {
    let house = house().await;
    let path = format!("/v1/meta/applications/{}/client_secret", house.app_id);
    let secret = house.post(&path).meta().send().await.json();
    let secret = secret["client_secret"].as_str().unwrap().to_owned();
    let basic = |secret: &str| {
        use base64::Engine as _;
        let pair = format!("{}:{secret}", house.app_id);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    let key = format!("APIKey {}", house.api_key);
    // Header, whether the body names the client, the secret in the body, the declared type.
    for (header, named, body_secret, kind) in [
        (None, true, Some(house.api_key.as_str()), "application/x-www-form-urlencoded"),
        (None, true, Some(secret.as_str()), "application/form-urlencoded"),
        (None, true, Some(secret.as_str()), "application/json"),
        (Some(basic(&secret)), false, None, "application/x-www-form-urlencoded"),
        (Some(basic(&house.api_key)), true, None, "application/x-www-form-urlencoded"),
        (Some(key.clone()), false, None, "application/x-www-form-urlencoded"),
        (Some(key.clone()), true, Some(house.api_key.as_str()), "application/form-urlencoded"),
    ] {
        let code = code(&house, &[]).await;
        let mut form = vec![("grant_type", "authorization_code"), ("code", code.as_str()), BACK];
        if named {
            form.push(("client_id", &house.app_id));
        }
        form.extend(body_secret.map(|secret| ("client_secret", secret)));
        let text = if kind == "application/json" {
            let members = form.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
            Value::Object(members.collect()).to_string()
        } else {
            pairs(&form)
        };
        let mut ask = house.post("/v1/oauth/token").header("content-type", kind).body(text);
        if let Some(header) = &header {
            ask = ask.auth(header);
        }
        let reply = ask.send().await;
        assert_eq!(reply.status, 200, "{header:?} {kind}: {}", reply.text());
    }
}

#[tokio::test]
async fn errors_of_the_token_endpoint_have_both_vocabularies() {
    let house = house().await;
    let good = code(&house, &[]).await;
    let id = house.app_id.clone();
    let wrong = ("client_secret", "tmk_wrong");
    for (form, error, status) in [
        (vec![("grant_type", "password")], "unsupported_grant_type", 400),
        (vec![], "invalid_request", 400),
        (vec![("grant_type", "authorization_code"), ("code", "x")], "invalid_request", 400),
        (
            vec![("grant_type", "authorization_code"), ("client_id", &id), wrong, ("code", &good)],
            "invalid_client",
            401,
        ),
        (
            vec![("grant_type", "authorization_code"), ("client_id", "nobody"), ("code", &good)],
            "invalid_client",
            401,
        ),
        (
            vec![("grant_type", "authorization_code"), ("client_id", &id), ("code", &good), BACK],
            "invalid_client",
            401,
        ),
        (
            vec![
                ("grant_type", "authorization_code"),
                ("client_id", &id),
                ("client_secret", &house.api_key),
                ("code", "tmc_unknown"),
            ],
            "invalid_grant",
            400,
        ),
        (vec![("code", "a"), ("code", "b"), ("grant_type", "x")], "invalid_request", 400),
    ] {
        let reply = house.token_request(&form).await;
        let body = reply.json();
        assert_eq!((&body["error"], reply.status.as_u16()), (&json!(error), status), "{form:?}");
        let code = if status == 401 { "unauthorized" } else { "bad_request" };
        assert_eq!((&body["error_code"], &body["status_code"]), (&json!(code), &json!(status)));
        assert_eq!(body["error_description"], body["message"]);
        assert!(body["id"].is_string());
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    assert_eq!(house.redeem(&good, &[BACK]).await.status, 200, "the code is still good");
}

#[tokio::test]
async fn a_code_is_good_once_for_ten_minutes_and_its_reuse_revokes() {
    let house = house().await;
    let late = code(&house, &[]).await;
    house.clock.turn_seconds(601);
    assert_eq!(house.redeem(&late, &[BACK]).await.json()["error"], "invalid_grant");
    let code = code(&house, &[]).await;
    let given = house.redeem(&code, &[BACK]).await.json();
    let auth = format!("Bearer {}", given["access_token"].as_str().unwrap());
    assert_eq!(house.get("/v1/accounts/me").auth(&auth).send().await.status, 200);
    assert_eq!(house.redeem(&code, &[BACK]).await.json()["error"], "invalid_grant");
    let dead = house.get("/v1/oauth/token").auth(&auth).send().await;
    assert_eq!(dead.problem(), (400, "invalid_token".into()));
}

#[tokio::test]
async fn a_code_belongs_to_its_client_and_its_redirect_uri() {
    let house = house().await;
    let other = house.post("/v1/meta/applications").meta().json(json!({"name": "Other"}));
    let other = other.send().await.json()["id"].as_str().unwrap().to_owned();
    let keys = house.get(&format!("/v1/meta/applications/{other}/apikeys")).meta().send().await;
    let key = keys.json()["objects"][0]["key"].as_str().unwrap().to_owned();
    let stolen = code(&house, &[]).await;
    let theft = [
        ("grant_type", "authorization_code"),
        ("code", stolen.as_str()),
        ("client_id", other.as_str()),
        ("client_secret", key.as_str()),
        BACK,
    ];
    assert_eq!(house.token_request(&theft).await.json()["error"], "invalid_grant");
    assert_eq!(house.redeem(&stolen, &[BACK]).await.status, 200, "a thief cannot spoil it");
    for uri in ["https://app.example.com/cb2", "https://app.example.com/cb?x", ""] {
        let code = code(&house, &[]).await;
        let reply = house.redeem(&code, &[("redirect_uri", uri)]).await;
        assert_eq!(reply.json()["error"], "invalid_grant", "{uri}");
        let again = house.redeem(&code, &[BACK]).await;
        assert_eq!(again.json()["error"], "invalid_grant", "the code is void");
    }
}

#[tokio::test]
async fn pkce_is_s256_and_lets_public_clients_go_without_a_secret() {
    let house = house().await;
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let public = async |code: &str, verifier: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", house.app_id.as_str()),
            BACK,
            ("code_verifier", verifier),
        ];
        house.token_request(&form).await
    };
    let good = code(&house, &pkce).await;
    assert_eq!(public(&good, VERIFIER).await.status, 200);
    let injected = code(&house, &pkce).await;
    let other = "another-verifier-0123456789-0123456789-0123";
    assert_eq!(public(&injected, other).await.json()["error"], "invalid_grant");
    let without = house.redeem(&code(&house, &pkce).await, &[BACK]).await;
    assert_eq!(
        without.json()["error"],
        "invalid_grant",
        "a secret does not stand for the verifier"
    );

    let browser = Browser::new(&house);
    for bad in [
        vec![("code_challenge", CHALLENGE)],
        vec![("code_challenge", CHALLENGE), ("code_challenge_method", "plain")],
        vec![("code_challenge", "short"), ("code_challenge_method", "S256")],
        vec![("code_challenge_method", "S256")],
    ] {
        let mut query = vec![("redirect_uri", CALLBACK)];
        query.extend(bad);
        let location = browser.begin(&query).await;
        assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_request"), "{query:?}");
    }
    house.set(json!({"require_pkce": true})).await;
    let location = browser.begin(&[BACK]).await;
    assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn tokens_that_expire_are_refreshed_and_reuse_ends_the_family() {
    let house = house().await;
    house.set(json!({"token_lifetime": 3600})).await;
    let given = house.redeem(&code(&house, &[]).await, &[BACK]).await.json();
    assert_eq!(given["expires_in"], 3600);
    let first = given["refresh_token"].as_str().unwrap().to_owned();
    assert!(first.starts_with("tmr_"));
    let auth = |given: &Value| format!("Bearer {}", given["access_token"].as_str().unwrap());
    house.clock.turn_seconds(3601);
    let expired = house.get("/v1/accounts/me").auth(auth(&given)).send().await;
    assert_eq!(expired.problem(), (401, "invalid_token".into()));
    let refresh = |token: String| {
        let house = &house;
        async move {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.as_str()),
                ("client_id", house.app_id.as_str()),
                ("client_secret", house.api_key.as_str()),
            ];
            house.token_request(&form).await
        }
    };
    let second = refresh(first.clone()).await.json();
    assert_eq!(house.get("/v1/accounts/me").auth(auth(&second)).send().await.status, 200);
    house.clock.turn_seconds(29);
    let again = refresh(first.clone()).await.json();
    assert_eq!(again["access_token"], second["access_token"], "a lost answer is given again");
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    assert_eq!(again["expires_in"], 3571);
    house.clock.turn_seconds(2);
    assert_eq!(refresh(first).await.json()["error"], "invalid_grant");
    let dead = house.get("/v1/oauth/token").auth(auth(&second)).send().await;
    assert_eq!(dead.problem(), (400, "invalid_token".into()), "the family is ended");
    let last = second["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(last).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_needs_the_client_that_it_was_given_to() {
    let house = house().await;
    house.set(json!({"token_lifetime": 600})).await;
    let given = house.redeem(&code(&house, &[]).await, &[BACK]).await.json();
    let token = given["refresh_token"].as_str().unwrap();
    let bare = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", house.app_id.as_str()),
    ];
    assert_eq!(house.token_request(&bare).await.json()["error"], "invalid_client");
    let mut form = bare.to_vec();
    form.push(("client_secret", &house.api_key));
    assert_eq!(house.token_request(&form).await.status, 200);
}

#[tokio::test]
async fn tokens_are_revoked_and_looked_at_by_their_client() {
    let house = house().await;
    house.set(json!({"token_lifetime": 600})).await;
    let access = [("access", "storage:read events:events")];
    let given = house.redeem(&code(&house, &access).await, &[BACK]).await.json();
    let token = given["access_token"].as_str().unwrap();
    let refresh = given["refresh_token"].as_str().unwrap();
    let auth = format!("Bearer {token}");
    let body = json!({"name": "x", "parent_id": "root"});
    let write = house.post("/v1/accounts/me/storage/folders").auth(&auth).json(body).send().await;
    assert_eq!(write.problem(), (403, "permission_denied".into()));
    let ask = |path: &'static str, token: &str| {
        let body = json!({"token": token});
        house.post(path).key().json(body)
    };
    let seen = ask("/v1/oauth/introspect", token).send().await.json();
    assert_eq!(seen["active"], true);
    assert_eq!(seen["client_id"], house.app_id);
    assert_eq!(seen["access"], json!(["storage:read", "events:events"]));
    assert_eq!(seen["exp"].as_i64().unwrap() - seen["iat"].as_i64().unwrap(), 600);
    assert_eq!(seen["sub"], seen["account_id"].to_string());
    assert_eq!(ask("/v1/oauth/introspect", refresh).send().await.json()["active"], true);
    let unknown = ask("/v1/oauth/introspect", "tmb_x").send().await.json();
    assert_eq!(unknown, json!({"active": false}));
    let open =
        house.post("/v1/oauth/introspect").json(json!({"token": token, "client_id": house.app_id}));
    assert_eq!(open.send().await.problem(), (401, "unauthorized".into()));

    assert_eq!(ask("/v1/oauth/revoke", "tmb_x").send().await.status, 200);
    assert_eq!(ask("/v1/oauth/revoke", refresh).send().await.status, 200);
    let dead = house.get("/v1/accounts/me").auth(&auth).send().await;
    assert_eq!(dead.problem(), (403, "forbidden".into()));
    assert_eq!(ask("/v1/oauth/introspect", token).send().await.json(), json!({"active": false}));
}

#[tokio::test]
async fn an_unlimited_wish_gets_no_more_than_a_limited_key_may_do() {
    let house = house().await;
    let path = format!("/v1/meta/applications/{}/apikeys", house.app_id);
    let made = house.post(&path).meta().json(json!({"access": ["storage:read"]})).send().await;
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let redeem = |code: String| {
        let (house, key) = (&house, key.clone());
        async move {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("client_secret", key.as_str()),
                BACK,
            ];
            house.token_request(&form).await
        }
    };
    let given = redeem(code(&house, &[]).await).await.json();
    let auth = format!("Bearer {}", given["access_token"].as_str().unwrap());
    let body = json!({"name": "x", "parent_id": "root"});
    let write = house.post("/v1/accounts/me/storage/folders").auth(&auth).json(body).send().await;
    assert_eq!(write.problem(), (403, "permission_denied".into()));
    let more = redeem(code(&house, &[("access", "storage:write")]).await).await;
    assert_eq!(more.json()["error"], "unauthorized_client");
}

#[tokio::test]
async fn errors_in_client_and_redirect_uri_show_a_page_and_never_redirect() {
    let house = house().await;
    let browser = Browser::new(&house);
    for query in
        [vec![], vec![("client_id", "nobody")], vec![("client_id", "<script>alert(1)</script>")]]
    {
        let reply = browser.get(&format!("/v1/oauth?{}", pairs(&query))).await;
        assert_eq!(reply.status, 400, "{query:?}");
        assert!(reply.header("location").is_empty());
        assert!(!reply.text().contains("<script>alert"));
    }
    for uri in [
        "https://evil.example/cb",
        "https://app.example.com/cb/",
        "https://app.example.com/cb/../evil",
        "https://app.example.com/cb?x=1",
        "https://app.example.com/cb#x",
        "https://app.example.com@evil.example/cb",
        "//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        for response_type in ["code", "token"] {
            let query = [("redirect_uri", uri), ("response_type", response_type)];
            let reply = browser.authorize(&query).await;
            assert_eq!(reply.status, 400, "{uri}");
            assert!(reply.header("location").is_empty());
        }
    }
    house.redirect("https://app.example.com/other").await;
    assert_eq!(browser.authorize(&[]).await.status, 400, "two are registered, which one is meant?");
}

#[tokio::test]
async fn every_other_error_goes_back_to_the_client_with_its_state() {
    let house = house().await;
    let browser = Browser::new(&house);
    let long = "s".repeat(4_097);
    for (query, error) in [
        (vec![("response_type", "id_token")], "unsupported_response_type"),
        (vec![("scope", "salesforce")], "invalid_scope"),
        (vec![("scope", "memory.crm")], "invalid_scope"),
        (vec![("scope", "memory:sometimes")], "invalid_scope"),
        (vec![("form_data", "[]")], "invalid_request"),
        (vec![("custom_properties", "{\"a\":[]}")], "invalid_request"),
        (vec![("access", "storage:fly")], "invalid_request"),
    ] {
        let mut all = vec![BACK, ("state", "st")];
        all.extend(query.clone());
        let location = browser.begin(&all).await;
        assert!(location.starts_with(CALLBACK), "{location}");
        assert_eq!(parameter(&location, "error").as_deref(), Some(error), "{query:?}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("st"));
        assert!(!parameter(&location, "error_description").unwrap().is_empty());
    }
    let location = browser.begin(&[BACK, ("state", &long)]).await;
    assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_request"));
    let query = [BACK, ("response_type", "token"), ("state", "st")];
    let location = browser.begin(&query).await;
    assert!(location.starts_with(&format!("{CALLBACK}#error=unauthorized_client&")), "{location}");
}

#[tokio::test]
async fn the_implicit_grant_is_given_where_the_application_allows_it() {
    let house = house().await;
    house.set(json!({"implicit_grant_enabled": true})).await;
    let browser = Browser::new(&house);
    let query = [BACK, ("response_type", "token"), ("scope", "memory.storage"), ("state", "s1")];
    let end = browser.connect("one", &query).await;
    let location = end.header("location");
    let token = parameter(location, "access_token").unwrap();
    let expected =
        format!("{CALLBACK}#access_token={token}&token_type=Bearer&scope=memory.storage&state=s1");
    assert_eq!(location, expected);
    let seen = house.get("/v1/oauth/token").auth(format!("Bearer {token}")).send().await;
    assert_eq!(seen.status, 200);
}

#[tokio::test]
async fn out_of_band_results_are_shown_for_copying() {
    let house = house().await;
    let browser = Browser::new(&house);
    let oob = ("redirect_uri", "urn:ietf:wg:oauth:2.0:oob");
    let page = browser.connect("one", &[oob, ("response_type", "token")]).await;
    assert_eq!(page.status, 200);
    let token = attribute(&page.text(), "readonly value");
    let seen = house.get("/v1/oauth/token").auth(format!("Bearer {token}")).send().await;
    assert_eq!(seen.status, 200);
    let page = browser.connect("one", &[oob, ("response_type", "code")]).await;
    let code = attribute(&page.text(), "readonly value");
    assert_eq!(house.redeem(&code, &[oob]).await.status, 200);
    let page = browser.authorize(&[oob, ("scope", "nothing")]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("invalid_scope"));
}

#[tokio::test]
async fn a_pop_up_posts_to_trusted_origins_alone() {
    let house = house().await;
    house.trust("www.example.com").await;
    let oob = [
        ("redirect_uri", "urn:ietf:wg:oauth:2.0:oob"),
        ("response_type", "token"),
        ("scope", "storage"),
        ("state", "8273645510"),
        ("request_id", "8273645510"),
        ("oob_loading_delay", "99999"),
    ];
    let browser = Browser::new(&house);
    let mut trusted = oob.to_vec();
    trusted.push(("origin", "https://www.example.com"));
    let page = browser.connect("one", &trusted).await.text();
    assert_eq!(attribute(&page, "data-origin"), "https://www.example.com");
    assert_eq!(attribute(&page, "data-delay"), "10000");
    let letter = message(&page);
    assert_eq!((&letter["type"], &letter["id"]), (&json!("authentication"), &json!("8273645510")));
    let data = &letter["data"];
    assert_eq!((&data["state"], &data["scope"]), (&json!("8273645510"), &json!("storage")));
    let token = data["access_token"].as_str().unwrap();
    let seen = house.get("/v1/oauth/token").auth(format!("Bearer {token}")).send().await;
    assert_eq!(seen.status, 200);

    let before = house.get("/v1/accounts").key().send().await.json()["total"].clone();
    for origin in [
        "https://evil.example",
        "http://www.example.com",
        "https://www.example.com.evil.example",
        "https://www.example.com:8443",
        "https://sub.www.example.com",
    ] {
        let mut query = oob.to_vec();
        query.push(("origin", origin));
        let page = browser.authorize(&query).await;
        assert_eq!(page.status, 200);
        let page = page.text();
        let letter = message(&page);
        assert_eq!(letter["data"]["error"], "untrusted_origin", "{origin}");
        assert_eq!(letter["data"]["state"], "8273645510");
        assert!(letter["data"].get("access_token").is_none());
        assert!(!page.contains("tmb_"));
    }
    for origin in ["null", "*", "https://www.example.com/path", "https://a@www.example.com"] {
        let mut query = oob.to_vec();
        query.push(("origin", origin));
        let page = browser.authorize(&query).await.text();
        assert!(page.contains("invalid_request") && !page.contains("data-message"), "{origin}");
    }
    let after = house.get("/v1/accounts").key().send().await.json()["total"].clone();
    assert_eq!(before, after);
    // An origin that loses its trust while the user is connecting gets nothing either.
    let form = browser.begin(&trusted).await;
    let path = format!("/v1/meta/applications/{}/trusted_domains", house.app_id);
    let domain = house.get(&path).meta().send().await.json()["objects"][0]["id"].clone();
    house.delete(&format!("{path}/{}", domain.as_str().unwrap())).meta().send().await;
    let page = browser.submit(&form, &[("drive", "two")]).await.text();
    assert_eq!(message(&page)["data"]["error"], "untrusted_origin");
    assert!(!page.contains("tmb_"));
    // The server's own origin needs no entry.
    let mut own = oob.to_vec();
    own.push(("origin", BASE));
    let page = browser.connect("one", &own).await.text();
    assert!(message(&page)["data"]["access_token"].is_string());
}

#[tokio::test]
async fn the_server_says_what_it_is_and_the_old_entry_what_to_use() {
    let house = house().await;
    let about = house.get("/.well-known/oauth-authorization-server").send().await.json();
    assert_eq!(about["issuer"], BASE);
    assert_eq!(about["token_endpoint"], format!("{BASE}/v1/oauth/token"));
    assert_eq!(about["code_challenge_methods_supported"], json!(["S256"]));
    for path in ["/services", "/services/dropbox", "/services/a/b"] {
        let reply = house.get(path).send().await;
        assert_eq!(reply.status, 410);
        assert!(reply.text().contains("/v1/oauth"));
    }
}

#[tokio::test]
async fn connecting_the_same_identity_again_keeps_the_account_and_its_tokens() {
    let house = house().await;
    let open = |given: Value| format!("Bearer {}", given["access_token"].as_str().unwrap());
    let first = open(house.redeem(&code(&house, &[]).await, &[BACK]).await.json());
    let second = open(house.redeem(&code(&house, &[]).await, &[BACK]).await.json());
    let account = |auth: String| {
        let house = &house;
        async move { house.get("/v1/accounts/me").auth(auth).send().await.json()["id"].clone() }
    };
    assert_eq!(account(first.clone()).await, account(second).await);
    assert!(account(first).await.is_number());
}
