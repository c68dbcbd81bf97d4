//! A service behind OAuth: its connector, and its token endpoint in this process, which fails as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tramontane_accounts::upstream::{BackChannel, GrantOptions, Grants, OperatorClients};
use tramontane_accounts::{Directory, NewAccount, Opened};
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN};
use tramontane_connector::{
    Body, Category, ClientAuth, Connector, Credential, Cx, Descriptor, Error, Identity, Kind, Lent,
    OAuth, Permit, RefreshRules, Registry, Repeat, Result, ScopeSet, ServiceAccount, Settings,
    Tokens as _,
};
use tramontane_model::time::ManualClock;
use tramontane_model::{AccountId, Clock};
use tramontane_sandbox::{CLIENT_ID, CLIENT_SECRET, Dice, Issuer, IssuerRules, find};
use url::Url;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "drive",
    friendly_name: "Drive",
    category: Category::FileStore,
    apis: &["storage", "events"],
    fields: &[],
    documentation: "https://drive.example.com/docs",
};
const SCOPES: &[ScopeSet] = &[
    ScopeSet { api: "basic", admin: false, scopes: &["profile"] },
    ScopeSet { api: "storage", admin: false, scopes: &["files", "profile"] },
    ScopeSet { api: "events", admin: false, scopes: &["changes"] },
    ScopeSet { api: "storage", admin: true, scopes: &["files.all"] },
];
/// How long the service's refresh tokens live unused.
pub(crate) const IDLE: i64 = 10 * 86_400;

/// The connector.
pub(crate) struct Drive {
    oauth: OAuth,
    /// Whether it ends grants in a way of its own, which takes a live access token.
    own_revocation: bool,
}

impl Drive {
    pub(crate) fn new() -> Self {
        Self::with(ClientAuth::Basic, true)
    }

    /// With the endpoints of an `oidc-provider`.
    pub(crate) fn provided_by(base: &Url) -> Self {
        let mut drive = Self::new();
        drive.oauth.authorize = base.join("auth").unwrap();
        drive.oauth.token = base.join("token").unwrap();
        drive.oauth.revoke = Some(base.join("token/revocation").unwrap());
        drive.oauth.authorize_params = &[];
        drive
    }

    /// With its token endpoint there.
    pub(crate) fn at(token: Url) -> Self {
        let mut drive = Self::new();
        drive.oauth.token = token;
        drive
    }

    pub(crate) fn with(client_auth: ClientAuth, pkce: bool) -> Self {
        let url =
            |path: &str| Url::parse("https://drive.example.com/").unwrap().join(path).unwrap();
        let oauth = OAuth {
            authorize: url("authorize?brand=1"),
            token: url("token"),
            revoke: Some(url("revoke")),
            client_auth,
            pkce,
            authorize_params: &[("access_type", "offline")],
            scopes: SCOPES,
            refresh: RefreshRules {
                rotates: true,
                idle_life: Some(Duration::from_secs(IDLE.unsigned_abs())),
                access_life: Duration::from_secs(3_600),
            },
            service_account: Some(ServiceAccount::SignedAssertion),
        };
        Self { oauth, own_revocation: false }
    }

    /// With a way of its own to end grants.
    pub(crate) fn with_its_own_revocation() -> Self {
        Self { own_revocation: true, ..Self::new() }
    }
}

#[async_trait]
impl Connector for Drive {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let refused = || Error::new(Kind::Credential, "The token is refused.");
        cx.account.credential.get(ACCESS_TOKEN).ok_or_else(refused)?;
        Ok(Identity { id: "u-ana".into(), display: "ana@example.com".into() })
    }

    fn oauth(&self) -> Option<&OAuth> {
        Some(&self.oauth)
    }

    fn revoke_request(&self, token: &str) -> Option<Request> {
        let url = Url::parse("https://drive.example.com/revoke-live").unwrap();
        let request = Request::new("revoke", http::Method::POST, url);
        self.own_revocation.then(|| request.bytes(token.to_owned()))
    }
}

/// What the endpoint does with one request, in place of answering it as it should.
pub(crate) enum Trouble {
    /// It does what was asked, but the answer is lost.
    LoseAnswer,
    /// It answers this, whatever was asked.
    Say(u16, String),
    /// Nothing arrives.
    Unreachable,
    /// It does what was asked at once, but the answer comes only when the test says so.
    Hold(Arc<Notify>),
}

/// A form, and the `Authorization` that came with it.
pub(crate) type Arrived = (BTreeMap<String, String>, Option<String>);

/// The service's OAuth server.
pub(crate) struct Endpoint {
    pub(crate) issuer: Issuer,
    troubles: Mutex<VecDeque<Trouble>>,
    /// The forms that arrived, and their `Authorization`.
    pub(crate) seen: Mutex<Vec<Arrived>>,
    /// Told when a request arrives.
    pub(crate) arrived: Notify,
}

impl Endpoint {
    /// `grace`: how long a spent refresh token still gives the same answer.
    pub(crate) fn new(clock: &ManualClock, grace: Duration) -> Arc<Self> {
        let rules = IssuerRules {
            title: "Drive",
            access_life: Duration::from_secs(3_600),
            rotates: true,
            grace,
            offline: None,
            token_prefix: "at-",
        };
        Self::of(Issuer::new(rules, Arc::new(clock.clone()), Dice::new(7)))
    }

    pub(crate) fn of(issuer: Issuer) -> Arc<Self> {
        let (troubles, seen, arrived) = Default::default();
        Arc::new(Self { issuer, troubles, seen, arrived })
    }

    pub(crate) fn next(&self, trouble: Trouble) {
        self.troubles.lock().unwrap().push_back(trouble);
    }

    /// Takes the next trouble back; false when there is none.
    pub(crate) fn skip(&self) -> bool {
        self.troubles.lock().unwrap().pop_front().is_some()
    }

    /// How many requests arrived.
    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    async fn answer(&self, path: &str, request: &Request, form: &str) -> (u16, Vec<u8>) {
        if path == "/revoke-live" {
            let live = self.issuer.bearer_of(form).is_some() && self.issuer.revoke(form);
            return (if live { 200 } else { 401 }, b"{}".to_vec());
        }
        if path == "/revoke" {
            let token = tramontane_sandbox::params(form).remove("token").unwrap();
            let status = if self.issuer.revoke(&token) { 200 } else { 400 };
            return (status, br#"{"error": "invalid_token"}"#.to_vec());
        }
        let answer = self.issuer.token(&request.headers, form);
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, body.to_vec())
    }
}

#[async_trait]
impl BackChannel for Endpoint {
    async fn send(&self, request: Request, _within: Duration) -> Result<Response> {
        assert!(!request.signed, "the account's own credential has no place here");
        let Payload::Bytes(body) = &request.payload else { panic!("a form is in memory") };
        let form = String::from_utf8(body.to_vec()).unwrap();
        let shown = request.headers.get("authorization");
        let shown = shown.map(|value| value.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().push((tramontane_sandbox::params(&form), shown));
        self.arrived.notify_one();
        let trouble = self.troubles.lock().unwrap().pop_front();
        let path = request.url.path().to_owned();
        let (status, body) = match trouble {
            None => self.answer(&path, &request, &form).await,
            Some(Trouble::Say(status, body)) => (status, body.into_bytes()),
            Some(Trouble::Unreachable) => {
                return Err(Error::new(Kind::Unavailable, "connection refused"));
            }
            Some(Trouble::LoseAnswer) => {
                self.answer(&path, &request, &form).await;
                return Err(Error::new(Kind::Timeout, "no answer"));
            }
            Some(Trouble::Hold(until)) => {
                let answer = self.answer(&path, &request, &form).await;
                until.notified().await;
                answer
            }
        };
        Ok(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: http::HeaderMap::new(),
            body: Body::from_bytes(body),
            url: request.url,
        })
    }
}

/// Grants of a directory at this service, impatient enough for tests.
pub(crate) fn grants(directory: &Directory, endpoint: &Arc<Endpoint>) -> Grants {
    grants_of(directory, endpoint, operator_clients(), Drive::new())
}

/// The operator's clients at this service.
pub(crate) fn operator_clients() -> OperatorClients {
    let mut clients = OperatorClients::default();
    clients.set("drive", false, CLIENT_ID, Some(SecretString::from(CLIENT_SECRET)));
    let key = SecretString::from(tramontane_sandbox::robot_key());
    clients.set("drive", true, CLIENT_ID, Some(key));
    clients
}

pub(crate) fn grants_of(
    directory: &Directory,
    endpoint: &Arc<Endpoint>,
    clients: OperatorClients,
    drive: Drive,
) -> Grants {
    let connector: Arc<dyn Connector> = Arc::new(drive);
    let options = GrantOptions {
        look: Duration::from_millis(5),
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(8),
        patience: Duration::from_secs(20),
        ..GrantOptions::default()
    };
    let registry = Registry::of([connector]);
    Grants::new(directory.clone(), registry, clients, endpoint.clone(), options)
}

/// An account with what the service granted to Ana.
pub(crate) fn granted(endpoint: &Endpoint, clock: &ManualClock) -> NewAccount {
    let grant = endpoint.issuer.grant(find("ana").unwrap(), "files profile");
    let tokens =
        [(ACCESS_TOKEN, grant.access_token), (REFRESH_TOKEN, grant.refresh_token.unwrap())];
    NewAccount {
        service: "drive".into(),
        admin: false,
        identity: Some("u-ana".into()),
        display: "ana@example.com".into(),
        settings: Settings::new(),
        credential: Credential::from_iter(tokens),
        custom_properties: BTreeMap::new(),
        scope: String::new(),
        token_expiry: Some(clock.now().plus_seconds(3_600).micros()),
        refresh_token_expiry: None,
    }
}

/// The token that a call of this account would be signed with.
pub(crate) async fn token(
    grants: &Grants,
    account: &Opened,
    refused: Option<&str>,
) -> Result<String> {
    let refused = refused.map(|token| SecretString::from(token.to_owned()));
    let token = grants.access_token(&account.account, None, refused.as_ref()).await?;
    Ok(token.expose_secret().to_owned())
}

pub(crate) async fn now(directory: &Directory, id: AccountId) -> Arc<Opened> {
    directory.forget_all();
    directory.open(id).await.unwrap().unwrap()
}

/// Lends nothing but a clock.
pub(crate) struct Nothing(pub(crate) ManualClock);

#[async_trait]
impl Lent for Nothing {
    async fn send(&self, _: &Cx, _: Request) -> Result<Response> {
        Err(Error::new(Kind::Guarded, "no network"))
    }

    async fn connect(&self, _: &Cx, _: &str, _: u16) -> Result<TcpStream> {
        Err(Error::new(Kind::Guarded, "no network"))
    }

    async fn permit(&self, _: &Cx, _: &'static str) -> Result<Permit> {
        Ok(Permit::holding(()))
    }

    fn after(
        &self,
        _: &Cx,
        _: &'static str,
        _: u32,
        _: Repeat,
        _: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        None
    }

    fn clock(&self) -> &dyn Clock {
        &self.0
    }
}
