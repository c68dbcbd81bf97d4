//! Accounts of services behind OAuth: imported by tokens, changed, checked, ended with their grant.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_api::ApiLimits;
use tramontane_connector::oauth::ACCESS_TOKEN;
use tramontane_connector::{
    Category, ClientAuth, Connector, Cx, Descriptor, Error, Identity, Kind, OAuth, RefreshRules,
    Result, ScopeSet,
};
use url::Url;

use crate::house::House;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "drive",
    friendly_name: "Drive",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[],
    documentation: "https://drive.example.com/docs",
};

struct Drive(OAuth);

impl Drive {
    fn shared() -> Arc<dyn Connector> {
        let url =
            |path: &str| Url::parse("https://drive.example.com/").unwrap().join(path).unwrap();
        Arc::new(Self(OAuth {
            authorize: url("authorize"),
            token: url("token"),
            revoke: Some(url("revoke")),
            client_auth: ClientAuth::Body,
            pkce: true,
            authorize_params: &[],
            scopes: &[ScopeSet { api: "basic", admin: false, scopes: &["profile"] }],
            refresh: RefreshRules {
                rotates: true,
                idle_life: None,
                access_life: Duration::from_secs(3_600),
            },
            service_account: None,
        }))
    }
}

#[async_trait]
impl Connector for Drive {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        match cx.account.credential.get(ACCESS_TOKEN) {
            Some("bad") | None => Err(Error::new(Kind::Credential, "The token is refused.")),
            Some(_) => Ok(Identity { id: "u-1".into(), display: "ana@example.com".into() }),
        }
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.0)
    }
}

async fn house() -> House {
    let house = House::built(ApiLimits::default(), vec![Drive::shared()], None).await;
    let path = format!("/v1/meta/applications/{}/service_keys", house.app_id);
    let key = json!({"service": "drive", "client_id": "cid", "client_secret": "hush"});
    let made = house.post(&path).meta().json(key).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    house
}

fn import(more: Value) -> Value {
    let mut body = json!({"account": "ana@example.com", "service": "drive"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn an_account_is_imported_by_a_refresh_token_and_shows_when_its_tokens_end() {
    let house = house().await;
    let none = house.post("/v1/accounts").key().json(import(json!({}))).send().await;
    assert_eq!(none.problem(), (400, "invalid_parameters".into()));
    assert_eq!(
        none.json()["error_param"].as_str().or(none.json()["param"].as_str()),
        Some("refresh_token")
    );
    house.outside.answers(|sent| {
        assert_eq!(sent.url, "https://drive.example.com/token");
        let answer = json!({"access_token": "a1", "refresh_token": "r2", "expires_in": 60,
            "refresh_token_expires_in": 86_400});
        (200, answer.to_string().into_bytes())
    });
    let body = import(json!({"refresh_token": "r1"}));
    let made = house.post("/v1/accounts?verify=true").key().json(body).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let account = made.json();
    assert_eq!(account["token_expiry"], "2026-03-02T09:16:00.000000Z");
    assert_eq!(account["refresh_token_expiry"], "2026-03-03T09:15:00.000000Z");
    assert!(!made.text().contains("r2") && !made.text().contains("a1"));
    // A new token's end is not that of the old one.
    let path = format!("/v1/accounts/{}", account["id"]);
    let changed = house.patch(&path).key().json(json!({"token": "a2"})).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["token_expiry"], Value::Null);
    let until = json!({"token": "a3", "token_expiry": "2026-03-02T10:00:00Z"});
    let changed = house.patch(&path).key().json(until).send().await;
    assert_eq!(changed.json()["token_expiry"], "2026-03-02T10:00:00.000000Z");
}

#[tokio::test]
async fn a_refused_refresh_token_imports_nothing_when_it_is_to_be_verified() {
    let house = house().await;
    house.outside.answers(|_| (400, br#"{"error": "invalid_grant"}"#.to_vec()));
    let body = import(json!({"refresh_token": "r1"}));
    let refused = house.post("/v1/accounts?verify=true").key().json(body).send().await;
    assert_eq!(refused.problem(), (401, "service_unauthorized".into()));
    let listed = house.get("/v1/accounts?service=drive").key().send().await;
    assert_eq!(listed.json()["total"], 0);
    let robot = import(json!({"service_account": "true"}));
    let refused = house.post("/v1/accounts").key().json(robot).send().await;
    assert_eq!(refused.status, 400, "this service has no service accounts");
}

#[tokio::test]
async fn deleting_an_account_gives_its_grant_back_and_says_what_came_of_it() {
    let house = house().await;
    for (status, said) in [(200, "done"), (500, "failed")] {
        let body = import(json!({"refresh_token": "r1", "token": "a1"}));
        let made = house.post("/v1/accounts").key().json(body).send().await;
        let path = format!("/v1/accounts/{}?revoke=true", made.json()["id"]);
        house.outside.answers(move |sent| {
            assert_eq!(sent.url, "https://drive.example.com/revoke");
            (status, Vec::new())
        });
        let deleted = house.delete(&path).key().send().await;
        assert_eq!((deleted.status.as_u16(), deleted.header("tramontane-revoked")), (204, said));
        assert_eq!(house.delete(&path).key().send().await.status, 404);
    }
}
