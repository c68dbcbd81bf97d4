//! The hosted connect page: what a browser is shown, and what a hostile one gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_api::ApiLimits;
use tramontane_connector::oauth::{ClientAuth, RefreshRules, ScopeSet};
use tramontane_connector::{
    Category, Connector, Cx, Descriptor, Error, Identity, Kind, OAuth, Result, Storage,
};
use tramontane_testkit::Memory;

use crate::house::{BASE, House};
use crate::login::{Browser, CALLBACK, attribute, parameter, proof};

const BACK: (&str, &str) = ("redirect_uri", CALLBACK);

static CLOUD: Descriptor = Descriptor {
    name: "cloud",
    friendly_name: "Cloud Drive",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[],
    documentation: "https://cloud.example",
};
static HAZE: Descriptor = Descriptor { name: "haze", friendly_name: "Haze", ..CLOUD };

/// A service behind OAuth whose users are who the test says.
struct Cloud {
    about: &'static Descriptor,
    oauth: OAuth,
    users: Arc<Mutex<VecDeque<Result<Identity>>>>,
    memory: Memory,
}

#[async_trait]
impl Connector for Cloud {
    fn descriptor(&self) -> &'static Descriptor {
        self.about
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    async fn identify(&self, _: &Cx) -> Result<Identity> {
        self.users.lock().unwrap().pop_front().unwrap()
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        self.memory.storage()
    }
}

struct Clouds {
    house: House,
    users: Arc<Mutex<VecDeque<Result<Identity>>>>,
}

impl Clouds {
    async fn new() -> Self {
        let users = Arc::<Mutex<VecDeque<Result<Identity>>>>::default();
        let cloud = |about: &'static Descriptor, host: &str| -> Arc<dyn Connector> {
            let url = |path: &str| format!("https://{host}{path}").parse().unwrap();
            Arc::new(Cloud {
                about,
                users: users.clone(),
                memory: Memory::new(),
                oauth: OAuth {
                    authorize: url("/authorize"),
                    token: url("/token"),
                    revoke: None,
                    client_auth: ClientAuth::Body,
                    pkce: true,
                    authorize_params: &[("access_type", "offline")],
                    scopes: &[ScopeSet { api: "storage", admin: false, scopes: &["files"] }],
                    refresh: RefreshRules {
                        rotates: false,
                        idle_life: None,
                        access_life: std::time::Duration::from_secs(3600),
                    },
                    service_account: None,
                },
            })
        };
        let more = vec![cloud(&CLOUD, "login.cloud.example"), cloud(&HAZE, "login.haze.example")];
        let house = House::built(ApiLimits::default(), more, None).await;
        house.redirect(CALLBACK).await;
        for service in ["cloud", "haze"] {
            let path = format!("/v1/meta/applications/{}/service_keys", house.app_id);
            let body = json!({
                "service": service, "client_id": format!("our-{service}"), "client_secret": "s3cret",
            });
            let made = house.post(&path).meta().json(body).send().await;
            assert_eq!(made.status, 201, "{}", made.text());
        }
        Self { house, users }
    }

    fn user(&self, id: &str) {
        let identity = Identity { id: id.into(), display: format!("{id}@cloud.example") };
        self.users.lock().unwrap().push_back(Ok(identity));
    }

    fn gives_token(&self) {
        self.house.outside.answers(|_| {
            let body = json!({
                "access_token": "at", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "rt",
            });
            (200, body.to_string().into_bytes())
        });
    }

    /// Begins with one service; gives the address of its login page.
    async fn leave(&self, browser: &Browser<'_>, service: &str, more: &[(&str, &str)]) -> String {
        let mut query = vec![BACK, ("scope", service)];
        query.extend_from_slice(more);
        let way = browser.begin(&query).await;
        let away = browser.get(&way).await;
        assert_eq!(away.status, 302, "{}", away.text());
        away.header("location").to_owned()
    }
}

fn returning(login: &str, code: &str) -> String {
    let state = parameter(login, "state").unwrap();
    format!("/v1/oauth/callback?state={state}&code={code}")
}

#[tokio::test]
async fn a_service_is_connected_through_its_own_login() {
    let clouds = Clouds::new().await;
    let browser = Browser::new(&clouds.house);
    let more =
        [("state", "st"), ("raw[login_hint]", "ana@example.com"), ("raw[scope]", "everything")];
    let login = clouds.leave(&browser, "cloud", &more).await;
    assert!(login.starts_with("https://login.cloud.example/authorize?"), "{login}");
    let asked = |name: &str| parameter(&login, name);
    assert_eq!(asked("client_id").as_deref(), Some("our-cloud"));
    assert_eq!(asked("redirect_uri").as_deref(), Some(&*format!("{BASE}/v1/oauth/callback")));
    assert_eq!(asked("scope").as_deref(), Some("files"));
    assert_eq!(asked("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(asked("login_hint").as_deref(), Some("ana@example.com"));
    assert_ne!(asked("state").as_deref(), Some("st"), "the application's state stays here");
    clouds.gives_token();
    clouds.user("ana");
    let end = browser.get(&returning(&login, "good")).await;
    assert_eq!(end.status, 302, "{}", end.text());
    assert_eq!(parameter(end.header("location"), "state").as_deref(), Some("st"));
    let code = parameter(end.header("location"), "code").unwrap();
    let given = clouds.house.redeem(&code, &[BACK]).await.json();
    let auth = format!("Bearer {}", given["access_token"].as_str().unwrap());
    let account = clouds.house.get("/v1/accounts/me").auth(auth).send().await.json();
    assert_eq!(account["account"], "ana@cloud.example");
    assert_eq!(account["effective_scope"], "cloud:normal.storage.default:kloudless");
    let sent = clouds.house.outside.sent.lock().unwrap();
    assert_eq!(sent.last().unwrap().url, "https://login.cloud.example/token");
}

#[tokio::test]
async fn an_answer_is_taken_once_and_in_the_browser_that_was_sent_away() {
    let clouds = Clouds::new().await;
    let victim = Browser::new(&clouds.house);
    let attacker = Browser::new(&clouds.house);
    let login = clouds.leave(&attacker, "cloud", &[]).await;
    let planted = returning(&login, "of-the-attacker");
    assert_eq!(victim.get(&planted).await.status, 410, "no cookie at all");
    clouds.leave(&victim, "cloud", &[]).await;
    assert_eq!(victim.get(&planted).await.status, 410, "another browser's state");
    for state in ["", "x", "x.y", &"s".repeat(200)] {
        let reply = victim.get(&format!("/v1/oauth/callback?state={state}&code=c")).await;
        assert!(matches!(reply.status.as_u16(), 400 | 410), "{state}");
    }
    assert!(clouds.house.outside.sent.lock().unwrap().is_empty(), "no code was exchanged");
    clouds.gives_token();
    clouds.user("mallory");
    assert_eq!(attacker.get(&planted).await.status, 302);
    assert_eq!(attacker.get(&planted).await.status, 410, "it was used");
    let old = clouds.leave(&attacker, "cloud", &[]).await;
    clouds.house.clock.turn_seconds(1_801);
    assert_eq!(attacker.get(&returning(&old, "c")).await.status, 410, "it has expired");
}

#[tokio::test]
async fn services_cannot_be_mixed_up() {
    let clouds = Clouds::new().await;
    let browser = Browser::new(&clouds.house);
    // The code is always exchanged where the user was sent, whatever page sent the answer.
    let login = clouds.leave(&browser, "haze", &[]).await;
    let foreign = format!("{}&iss=https://login.cloud.example", returning(&login, "stolen"));
    assert_eq!(browser.get(&foreign).await.status, 410, "another issuer's answer");
    assert!(clouds.house.outside.sent.lock().unwrap().is_empty());
    clouds.gives_token();
    clouds.user("ana");
    let own = format!("{}&iss=https://login.haze.example/x", returning(&login, "own"));
    assert_eq!(browser.get(&own).await.status, 302);
    let sent = clouds.house.outside.sent.lock().unwrap().last().unwrap().url.clone();
    assert_eq!(sent, "https://login.haze.example/token");
    // Leaving for a second service makes the first one's answer void.
    let way = browser.begin(&[BACK, ("scope", "cloud haze")]).await;
    let first = browser.get(&format!("{way}/cloud")).await.header("location").to_owned();
    browser.get(&format!("{way}/haze")).await;
    assert_eq!(browser.get(&returning(&first, "late")).await.status, 410);
}

#[tokio::test]
async fn what_a_service_refuses_is_told_and_the_user_may_choose_again() {
    let clouds = Clouds::new().await;
    let browser = Browser::new(&clouds.house);
    let back = |login: &str, rest: &str| {
        let state = parameter(login, "state").unwrap();
        format!("/v1/oauth/callback?state={state}&{rest}")
    };
    let login = clouds.leave(&browser, "cloud", &[]).await;
    let denied =
        browser.get(&back(&login, "error=access_denied&error_description=%3Cb%3Eno")).await;
    assert_eq!(denied.status, 302);
    let page = browser.get(denied.header("location")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("You did not give access at Cloud Drive"), "{text}");
    assert!(text.contains("role=\"alert\"") && !text.contains("<b>no"));

    for (answer, said) in [
        ((400, br#"{"error":"invalid_grant"}"#.to_vec()), "could not complete"),
        ((200, b"<html>not json".to_vec()), "could not complete"),
        ((200, br#"{"token_type":"Bearer"}"#.to_vec()), "could not complete"),
        ((200, vec![b'['; 3 << 20]), "could not complete"),
        ((500, b"oops".to_vec()), "could not complete"),
    ] {
        let login = clouds.leave(&browser, "cloud", &[]).await;
        clouds.house.outside.answers(move |_| answer.clone());
        let reply = browser.get(&returning(&login, "c")).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        let page = browser.get(reply.header("location")).await.text();
        assert!(page.contains(said), "{page}");
    }
    let login = clouds.leave(&browser, "cloud", &[]).await;
    clouds.gives_token();
    let refused = Error::new(Kind::Forbidden, "The account has no drive.");
    clouds.users.lock().unwrap().push_back(Err(refused));
    let reply = browser.get(&returning(&login, "c")).await;
    let page = browser.get(reply.header("location")).await.text();
    assert!(page.contains("The account has no drive."), "{page}");
    let total = clouds.house.get("/v1/accounts").key().send().await.json()["total"].clone();
    assert_eq!(total, 0);
}

#[tokio::test]
async fn a_broken_account_is_connected_again_by_the_same_person_only() {
    let clouds = Clouds::new().await;
    let house = &clouds.house;
    let browser = Browser::new(house);
    let login = clouds.leave(&browser, "cloud", &[]).await;
    clouds.gives_token();
    clouds.user("ana");
    browser.get(&returning(&login, "c")).await;
    let account = house.get("/v1/accounts").key().send().await.json()["objects"][0]["id"].clone();
    let link = house.post("/v1/connect_links").key().json(json!({"account": account}));
    let link = link.send().await.json()["url"].as_str().unwrap().to_owned();
    let way = browser.get(&link).await.header("location").to_owned();
    let login = browser.get(&way).await.header("location").to_owned();
    assert_eq!(parameter(&login, "login_hint").as_deref(), Some("ana@cloud.example"));
    clouds.gives_token();
    clouds.user("bob");
    let reply = browser.get(&returning(&login, "c")).await;
    let choice = reply.header("location").to_owned();
    let page = browser.get(&choice).await.text();
    assert!(page.contains("You signed in as bob@cloud.example"), "{page}");
    let login = browser.get(&way).await.header("location").to_owned();
    clouds.gives_token();
    clouds.user("ana");
    let done = browser.get(&returning(&login, "c")).await;
    assert_eq!(done.status, 200);
    assert!(done.text().contains("works with Notes again"), "{}", done.text());
    let accounts = house.get("/v1/accounts").key().send().await.json();
    assert_eq!((&accounts["total"], &accounts["objects"][0]["id"]), (&json!(1), &account));
}

#[tokio::test]
async fn the_choice_holds_what_the_scope_leaves_and_what_is_set_up() {
    let clouds = Clouds::new().await;
    let browser = Browser::new(&clouds.house);
    let way = browser.begin(&[BACK, ("scope", "any")]).await;
    let page = browser.get(&way).await.text();
    for name in ["Cloud Drive", "Haze", "Memory"] {
        assert!(page.contains(name), "{name}");
    }
    let one = browser.get(&browser.begin(&[BACK, ("scope", "haze cloud")]).await).await.text();
    assert!(!one.contains("Memory") && one.contains("Haze"));
    let only = browser.begin(&[BACK, ("scope", "memory")]).await;
    assert!(only.ends_with("/memory"), "a single service starts at once: {only}");
    // What the scope does not leave cannot be had by its address either.
    let way = browser.begin(&[BACK, ("scope", "haze cloud")]).await;
    let reply = browser.get(&format!("{way}/memory")).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (302, way.as_str()));
    let page = browser.get(&way).await.text();
    let proof = proof(&page);
    let posted = browser.post(&format!("{way}/memory"), &[("proof", &proof)]).await;
    assert_eq!(posted.status, 302);
    let path = format!("/v1/meta/applications/{}/service_keys", clouds.house.app_id);
    let keys = clouds.house.get(&path).meta().send().await.json();
    let keys = keys["objects"].as_array().unwrap();
    let key = keys.iter().find(|key| key["service"] == "cloud").unwrap()["id"].as_str().unwrap();
    clouds.house.delete(&format!("{path}/{key}")).meta().send().await;
    let location = browser.begin(&[BACK, ("scope", "cloud")]).await;
    assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_scope"));
}

async fn house() -> House {
    let house = House::new().await;
    house.redirect(CALLBACK).await;
    house
}

#[tokio::test]
async fn a_wrong_password_is_told_on_the_form_and_never_sent_back() {
    let house = house().await;
    let browser = Browser::new(&house);
    let form = browser.begin(&[BACK, ("form_data", r#"{"drive":"mine","password":"p"}"#)]).await;
    let page = browser.get(&form).await.text();
    assert!(page.contains("value=\"mine\"") && !page.contains("value=\"p\""));
    let reply = browser.submit(&form, &[("drive", "else"), ("password", "wrong")]).await;
    assert_eq!(reply.status, 422);
    let page = reply.text();
    assert!(page.contains("Memory does not accept this sign-in"), "{page}");
    assert!(page.contains("The service refuses the password."));
    assert!(page.contains("value=\"else\"") && !page.contains("value=\"wrong\""));
    let end = browser.submit(&form, &[("drive", "else"), ("password", "right")]).await;
    assert!(end.header("location").starts_with(CALLBACK));
    assert_eq!(browser.get(&form).await.status, 410, "the handshake is over");
    let again = browser.post(&form, &[("proof", "x")]).await;
    assert_eq!(again.status, 410);
}

#[tokio::test]
async fn a_form_is_taken_from_our_own_page_in_the_same_browser_alone() {
    let house = house().await;
    let browser = Browser::new(&house);
    let form = browser.begin(&[BACK]).await;
    let proof = proof(&browser.get(&form).await.text());
    let cookies = browser.cookies.borrow().clone();
    let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}"));
    let cookie = cookie.collect::<Vec<_>>().join("; ");
    let send = |proof: &str, headers: &[(&str, &str)]| {
        let mut ask = house.post(&form).header("cookie", &cookie);
        ask = ask.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.body(format!("drive=one&proof={proof}"))
    };
    for (proof, headers) in [
        ("", vec![]),
        ("0000", vec![]),
        (proof.as_str(), vec![("sec-fetch-site", "cross-site")]),
        (proof.as_str(), vec![("sec-fetch-site", "same-site")]),
        (proof.as_str(), vec![("origin", "https://evil.example")]),
    ] {
        assert_eq!(send(proof, &headers).send().await.status, 410, "{headers:?}");
    }
    let other = Browser::new(&house);
    other.begin(&[BACK]).await;
    assert_eq!(other.post(&form, &[("proof", &proof)]).await.status, 410);
    let total = house.get("/v1/accounts").key().send().await.json()["total"].clone();
    assert_eq!(total, 0);
    let good = [("sec-fetch-site", "same-origin"), ("origin", "null")];
    assert_eq!(send(&proof, &good).send().await.status, 302);
}

#[tokio::test]
async fn giving_up_tells_the_application() {
    let house = house().await;
    house.trust("app.example.com").await;
    let browser = Browser::new(&house);
    let form = browser.begin(&[BACK, ("state", "st")]).await;
    let end = browser.submit(&form, &[]).await;
    assert_eq!(end.status, 302, "the only field has a default");
    let form = browser.begin(&[BACK, ("state", "st")]).await;
    let proof_of = proof(&browser.get(&form).await.text());
    let cancel = form.replace("/memory", "/cancel");
    assert_eq!(browser.post(&cancel, &[("proof", "no")]).await.status, 410);
    let end = browser.post(&cancel, &[("proof", &proof_of)]).await;
    let location = end.header("location");
    assert_eq!(parameter(location, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(location, "state").as_deref(), Some("st"));
    assert_eq!(browser.get(&form).await.status, 410);
    let query =
        [("response_type", "token"), ("origin", "https://app.example.com"), ("request_id", "7")];
    let form = browser.begin(&query).await;
    let proof_of = proof(&browser.get(&form).await.text());
    let page = browser.post(&form.replace("/memory", "/cancel"), &[("proof", &proof_of)]).await;
    let letter = crate::login::message(&page.text());
    assert_eq!((&letter["data"]["error"], &letter["id"]), (&json!("access_denied"), &json!("7")));
}

#[tokio::test]
async fn pages_cannot_be_framed_leak_nothing_and_run_only_what_they_name() {
    let house = house().await;
    house.set(json!({"logo_url": "https://cdn.example.com/logo.png"})).await;
    let browser = Browser::new(&house);
    let begin = browser.authorize(&[BACK]).await;
    let form = begin.header("location").to_owned();
    let cookie = begin.header("set-cookie").to_owned();
    for part in ["__Host-", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let shown = browser.get(&form).await;
    let lost = browser.get("/connect/unknown").await;
    let bad = browser.get("/v1/oauth").await;
    for reply in [&begin, &shown, &lost, &bad] {
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("cross-origin-opener-policy"), "unsafe-none");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
    let policy = shown.header("content-security-policy").to_owned();
    let page = shown.text();
    let nonce = attribute(&page, "nonce");
    assert!(policy.contains(&format!("script-src 'nonce-{nonce}'")), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'));
    assert!(policy.contains("form-action 'self' https://app.example.com"), "{policy}");
    assert!(policy.contains("img-src 'self' https://cdn.example.com"), "{policy}");
    assert_ne!(nonce, attribute(&browser.get(&form).await.text(), "nonce"));
    for event in ["onclick=", "onload=", "javascript:", "style=\""] {
        assert!(!page.contains(event), "{event}");
    }
    let relay = house.get("/static/iexd.html").send().await;
    assert_eq!(relay.status, 200);
    assert!(relay.header("content-security-policy").contains("frame-ancestors *"));
    assert!(relay.header("x-frame-options").is_empty());
}

#[tokio::test]
async fn names_and_colours_of_an_application_cannot_become_markup() {
    let house = house().await;
    let name = "<img src=x onerror=alert(1)>\"'&{service}";
    house
        .set(json!({"name": name, "connect_theme": {"accent": "#7a0", "ground": "#102030"}}))
        .await;
    let browser = Browser::new(&house);
    let page = browser.get(&browser.begin(&[BACK]).await).await.text();
    assert!(!page.contains("<img src=x") && page.contains("onerror"));
    assert!(page.contains("--accent:#77aa00;") && page.contains("--on-ground:#ffffff;"));
    let path = format!("/v1/meta/applications/{}", house.app_id);
    for theme in [
        json!({"accent": "red"}),
        json!({"accent": "#fff;}</style><script>"}),
        json!({"shadow": "#fff"}),
        json!("#fff"),
        json!({"accent": 7}),
    ] {
        let reply = house.patch(&path).meta().json(json!({"connect_theme": theme})).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
        assert_eq!(reply.json()["param"], "connect_theme");
    }
    let shown = house.get(&path).meta().send().await.json();
    assert_eq!(shown["connect_theme"]["accent"], "#7a0");
    house.set(json!({"connect_theme": Value::Null})).await;
    let page = browser.get(&browser.begin(&[BACK]).await).await.text();
    assert!(!page.contains("--accent:#77aa00"));
}

#[tokio::test]
async fn the_page_speaks_the_language_that_is_asked_for() {
    let house = house().await;
    let browser = Browser { language: "de-AT,en;q=0.5", ..Browser::new(&house) };
    let form = browser.begin(&[BACK]).await;
    let page = browser.get(&form).await;
    assert_eq!(page.header("content-language"), "de");
    assert!(page.text().contains("<html lang=\"de\">") && page.text().contains("Memory verbinden"));
    let page = browser.get(&format!("{form}?lang=ja")).await;
    assert!(page.text().contains("Memory を接続"));
    let kept = browser.get(&form).await;
    assert!(kept.text().contains("Memory を接続"), "the switch is remembered");
    let missing = browser.get(&format!("{form}?lang=xx")).await;
    assert!(missing.text().contains("Memory を接続"));
}

#[tokio::test]
async fn many_tries_from_one_address_have_to_wait() {
    let house = house().await;
    let browser = Browser::new(&house);
    let form = browser.begin(&[BACK]).await;
    let proof = proof(&browser.get(&form).await.text());
    let fields = [("proof", proof.as_str()), ("password", "wrong")];
    for _ in 0..60 {
        assert_eq!(browser.post(&form, &fields).await.status, 422);
    }
    let reply = browser.post(&form, &fields).await;
    assert_eq!(reply.status, 429);
    assert!(reply.text().contains("Too many tries"));
    assert!(!reply.header("retry-after").is_empty());
}
