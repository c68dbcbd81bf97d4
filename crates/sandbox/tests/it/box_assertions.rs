//! Box's server authentication with a key pair: what an assertion must be, and what ends it.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use tramontane_model::Clock as _;
use tramontane_sandbox::{CLIENT_ID, CLIENT_SECRET};

use super::*;

const ENTERPRISE: &str = "881001";

/// What the key that the sandbox knows signs.
fn signed(header: &Value, claims: &Value) -> String {
    let key: Value = serde_json::from_str(&tramontane_sandbox::robot_key()).unwrap();
    let pem = key["private_key"].as_str().unwrap();
    let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(inner).unwrap()).unwrap();
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

impl Bench {
    /// Claims that are right, good for half a minute.
    fn claims(&self, jti: &str) -> Value {
        let now = self.clock.now().seconds();
        json!({"iss": CLIENT_ID, "sub": ENTERPRISE, "box_sub_type": "enterprise", "jti": jti,
            "aud": "https://api.box.com/oauth2/token", "exp": now + 30})
    }

    async fn assert(&self, assertion: &str, secret: &str) -> (StatusCode, Value) {
        let mut form = url::Url::parse("form:").unwrap();
        form.query_pairs_mut()
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("client_secret", secret)
            .append_pair("assertion", assertion);
        let request = Request::post("/box/oauth2/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::HOST, "sandbox.example.com")
            .body(form.query().unwrap().to_owned().into());
        self.send(request.unwrap()).await
    }
}

fn rs256() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "key"})
}

#[tokio::test]
async fn a_good_assertion_gives_a_token_once() {
    let bench = Bench::of("box");
    let good = signed(&rs256(), &bench.claims("0123456789abcdef"));
    let (status, refused) = bench.assert(&good, "wrong").await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_client")));
    let (status, given) = bench.assert(&good, CLIENT_SECRET).await;
    assert_eq!(status, StatusCode::OK, "{given}");
    assert!(given["access_token"].is_string() && given.get("refresh_token").is_none());
    let me = Request::get("/box/2.0/users/me")
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", given["access_token"].as_str().unwrap()),
        )
        .body(Body::empty());
    let (_, me) = bench.send(me.unwrap()).await;
    assert!(me["login"].as_str().unwrap().starts_with("AutomationUser_"), "{me}");
    let (status, again) = bench.assert(&good, CLIENT_SECRET).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{again}");
    assert!(again["error_description"].as_str().unwrap().contains("'jti'"), "{again}");
    // At this server's own address, too: that is what it is told as.
    let mut own = bench.claims("fedcba9876543210");
    own["aud"] = json!("http://sandbox.example.com/box/oauth2/token");
    assert_eq!(bench.assert(&signed(&rs256(), &own), CLIENT_SECRET).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_assertion_is_held_to_every_claim_and_to_its_signature() {
    let bench = Bench::of("box");
    let now = bench.clock.now().seconds();
    for (n, (claim, value)) in [
        ("iss", json!("someone")),
        ("aud", json!("https://api.box.com/")),
        ("aud", json!(null)),
        ("exp", json!(now)),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 61)),
        ("exp", json!(null)),
        ("jti", json!("short")),
        ("jti", json!("x".repeat(129))),
        ("sub", json!("1")),
        ("sub", json!("")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = bench.claims(&format!("0123456789abcdef-{n}"));
        claims[claim] = value.clone();
        let (status, refused) = bench.assert(&signed(&rs256(), &claims), CLIENT_SECRET).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{claim} {value}: {refused}");
        assert_eq!(refused["error"], "invalid_grant");
        let told = refused["error_description"].as_str().unwrap();
        assert!(claim == "sub" || told.contains(&format!("'{claim}'")), "{claim}: {told}");
    }
    let good = signed(&rs256(), &bench.claims("0123456789abcdef"));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let other = BASE64_URL_SAFE_NO_PAD.encode(bench.claims("another-claim-set").to_string());
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let claims = head.split_once('.').unwrap().1;
    for forged in [
        format!("{header}.{other}.{signature}"),
        format!("{unsigned}.{claims}."),
        format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode([7; 256])),
        String::new(),
        "a.b.c".into(),
    ] {
        let (status, refused) = bench.assert(&forged, CLIENT_SECRET).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    }
    bench.clock.turn_seconds(30);
    assert_eq!(bench.assert(&good, CLIENT_SECRET).await.0, StatusCode::BAD_REQUEST, "it is over");
}
