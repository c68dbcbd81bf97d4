//! What the tests stand on: the whole API on a fresh database, a service in memory, a clock turned by
//! hand, and a way out that answers as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tramontane_accounts::upstream::{BackChannel, GrantOptions, Grants, OperatorClients};
use tramontane_accounts::{Access, Directory, Keys, Masters, NewAccount, NewToken, Options};
use tramontane_api::front::Peer;
use tramontane_api::{ApiLimits, App, Fetch, Front, Parts, Site, WebhookView};
use tramontane_connector::http as outgoing;
use tramontane_connector::{Connector, Credential, Error, Kind, Lent, Registry};
use tramontane_feeds::deliver::{DeliveryOptions, Post};
use tramontane_feeds::{Deliveries, Live, Log};
use tramontane_fill::{Ceilings, Spool};
use tramontane_model::time::ManualClock;
use tramontane_model::{AccountId, Timestamp};
use tramontane_store::scratch::Scratch;
use tramontane_store::{Journal, Pace};
use tramontane_tasks::{Settings, Tasks};
use tramontane_testkit::{Memory, Offline};
use tramontane_vault::{MasterKey, SystemEntropy};

/// Runs a test on each database engine.
pub(crate) async fn on_each_engine<F: Future<Output = House>>(
    limits: ApiLimits,
    test: impl Fn(House) -> F,
) {
    let (test, limits) = (&test, &limits);
    tramontane_store::scratch::on_each_engine(|scratch| async move {
        test(House::on(scratch, limits.clone(), Vec::new(), None).await).await.scratch
    })
    .await;
}

/// The public URL of the server in tests.
pub(crate) const BASE: &str = "https://tramontane.example.com";

/// The whole API and what it needs.
pub(crate) struct House {
    pub(crate) front: Front,
    pub(crate) clock: ManualClock,
    pub(crate) memory: Memory,
    pub(crate) outside: Arc<Outside>,
    pub(crate) meta: String,
    pub(crate) developer: i64,
    pub(crate) app_id: String,
    pub(crate) api_key: String,
    _folder: tempfile::TempDir,
    pub(crate) scratch: Scratch,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    /// The body as JSON; `null` when there is none.
    pub(crate) fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The status and the `error_code`.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.json();
        (self.status.as_u16(), body["error_code"].as_str().unwrap_or_default().to_owned())
    }
}

/// One request under construction.
pub(crate) struct Ask<'a> {
    house: &'a House,
    request: http::request::Builder,
    body: Body,
    peer: &'a str,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    /// With a header of bytes that need not be text.
    pub(crate) fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.request = self.request.header(name, http::HeaderValue::from_bytes(value).unwrap());
        self
    }

    /// With this value of `Authorization`.
    pub(crate) fn auth(self, value: impl AsRef<str>) -> Self {
        self.header(AUTHORIZATION.as_str(), value)
    }

    /// As the application's server.
    pub(crate) fn key(self) -> Self {
        let value = format!("APIKey {}", self.house.api_key);
        self.auth(value)
    }

    /// As the developer.
    pub(crate) fn meta(self) -> Self {
        let value = format!("Bearer {}", self.house.meta);
        self.auth(value)
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.request = self.request.header(CONTENT_TYPE, "application/json");
        self.body = Body::from(body.to_string());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn from<'b>(self, peer: &'b str) -> Ask<'b>
    where
        Self: 'b,
    {
        Ask { peer, ..self }
    }

    /// Sends it and reads the body, which may break off.
    pub(crate) async fn stream(self) -> (u16, Result<Vec<u8>, axum::Error>) {
        let request = self.request.body(self.body).unwrap();
        let response = self.house.front.handle(request).await;
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        (status, bytes.map(|bytes| bytes.to_vec()))
    }

    pub(crate) async fn send(self) -> Reply {
        let mut request = self.request.body(self.body).unwrap();
        request
            .extensions_mut()
            .insert(Peer((self.peer.parse::<std::net::IpAddr>().unwrap(), 9).into()));
        let response = self.house.front.handle(request).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default().to_vec();
        Reply { status: parts.status, headers: parts.headers, bytes }
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(ApiLimits::default()).await
    }

    pub(crate) async fn with(limits: ApiLimits) -> Self {
        Self::built(limits, Vec::new(), None).await
    }

    /// With more connectors than memory, and another way out than none.
    pub(crate) async fn built(
        limits: ApiLimits,
        more: Vec<Arc<dyn Connector>>,
        lent: Option<Arc<dyn Lent>>,
    ) -> Self {
        Self::on(Scratch::sqlite().await, limits, more, lent).await
    }

    /// On a database of any engine.
    pub(crate) async fn on(
        scratch: Scratch,
        limits: ApiLimits,
        more: Vec<Arc<dyn Connector>>,
        lent: Option<Arc<dyn Lent>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(Timestamp::from_seconds(1_772_442_900));
        let lent_clock: Arc<dyn tramontane_model::Clock> = Arc::new(clock.clone());
        let entropy: Arc<dyn tramontane_vault::Entropy> = Arc::new(SystemEntropy);
        let masters = Masters::only(MasterKey::generate(&SystemEntropy));
        let db = scratch.db.clone();
        let keys =
            Keys::load(db.clone(), masters, lent_clock.clone(), entropy.clone()).await.unwrap();
        let directory = Directory::new(db.clone(), keys, Options::default()).unwrap();
        let first = directory.first_run("dev@example.com", "Notes").await.unwrap().unwrap();
        let memory = Memory::new();
        let own: Arc<dyn Connector> = Arc::new(memory.clone());
        let outside = Arc::new(Outside::default());
        let settings = Settings {
            tick: Duration::from_millis(5),
            poll: Duration::from_millis(10),
            ..Settings::of_node("test")
        };
        let registry = Registry::of(more.into_iter().chain([own]));
        let (clients, options) = (OperatorClients::default(), GrantOptions::default());
        let grants =
            Grants::new(directory.clone(), registry.clone(), clients, outside.clone(), options);
        let deliveries = Deliveries::new(
            directory.clone(),
            Log::new(db.clone(), Live::default()),
            outside.clone(),
            entropy.clone(),
            DeliveryOptions::default(),
        );
        let app = App::new(Parts {
            deliveries: deliveries.clone(),
            tasks: Tasks::new(db.clone(), lent_clock, entropy.clone(), settings),
            log: Log::new(db.clone(), Live::default()),
            directory,
            grants,
            registry,
            lent: lent.unwrap_or_else(|| Offline::with_clock(clock.clone())),
            fetch: outside.clone(),
            entropy,
            journal: Journal::start(db, Pace::default()).0,
            spool: Spool::new(folder.path().join("spool")),
            ceilings: Ceilings::default(),
            site: Site::new(&[BASE.to_owned()], Vec::new()).unwrap(),
            limits,
        });
        deliveries.show_with(Arc::new(WebhookView::new(&app, BASE.to_owned())));
        Self {
            front: Front::new(app),
            clock,
            memory,
            outside,
            meta: first.meta_token.expose_secret().to_owned(),
            developer: first.developer.id,
            app_id: first.application.id,
            api_key: first.api_key.expose_secret().to_owned(),
            _folder: folder,
            scratch,
        }
    }

    pub(crate) fn app(&self) -> &App {
        self.front.app()
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path);
        Ask { house: self, request, body: Body::empty(), peer: "192.0.2.10" }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    pub(crate) fn put(&self, path: &str) -> Ask<'_> {
        self.ask(Method::PUT, path)
    }

    pub(crate) fn patch(&self, path: &str) -> Ask<'_> {
        self.ask(Method::PATCH, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }

    /// Connects an account of the service in memory.
    pub(crate) async fn account(&self, name: &str) -> AccountId {
        self.account_of("memory", name).await
    }

    /// Connects an account of any service.
    pub(crate) async fn account_of(&self, service: &str, name: &str) -> AccountId {
        self.account_for(&self.app_id, service, name).await
    }

    /// Connects an account of any service to any application.
    pub(crate) async fn account_for(
        &self,
        application: &str,
        service: &str,
        name: &str,
    ) -> AccountId {
        let new = NewAccount {
            service: service.into(),
            admin: false,
            identity: Some(name.into()),
            display: name.into(),
            settings: BTreeMap::from([("drive".into(), name.into())]),
            credential: Credential::none(),
            custom_properties: BTreeMap::new(),
            scope: "memory:normal.storage.default:kloudless".into(),
            token_expiry: None,
            refresh_token_expiry: None,
        };
        self.app().directory().import(application, new).await.unwrap().opened.id()
    }

    /// A token of an account.
    pub(crate) async fn token(&self, account: AccountId) -> String {
        let all = Access::everything();
        let made =
            self.app().directory().create_token(&self.app_id, account, &all, NewToken::default());
        made.await.unwrap().token.expose_secret().to_owned()
    }

    /// Puts a file into an account; gives its id.
    pub(crate) async fn file(&self, account: AccountId, name: &str, content: &[u8]) -> String {
        let reply = self
            .post(&format!("/v1/accounts/{account}/storage/files"))
            .key()
            .header("x-kloudless-metadata", json!({"parent_id": "root", "name": name}).to_string())
            .body(content.to_vec())
            .send()
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }
}

type Answering = Box<dyn Fn(&Sent) -> (u16, Vec<u8>) + Send + Sync>;

/// A request that went out.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
}

/// The world outside: nothing answers until a test says so.
#[derive(Default)]
pub(crate) struct Outside {
    answering: Mutex<VecDeque<Answering>>,
    pub(crate) sent: Mutex<Vec<Sent>>,
}

impl Outside {
    /// The next request is answered so.
    pub(crate) fn answers(&self, answer: impl Fn(&Sent) -> (u16, Vec<u8>) + Send + Sync + 'static) {
        self.answering.lock().unwrap().push_back(Box::new(answer));
    }
}

#[async_trait]
impl BackChannel for Outside {
    async fn send(
        &self,
        request: outgoing::Request,
        within: Duration,
    ) -> tramontane_connector::Result<outgoing::Response> {
        Fetch::send(self, request, within).await
    }
}

#[async_trait]
impl Post for Outside {
    async fn post(
        &self,
        request: outgoing::Request,
        within: Duration,
    ) -> tramontane_connector::Result<outgoing::Response> {
        Fetch::send(self, request, within).await
    }
}

#[async_trait]
impl Fetch for Outside {
    async fn fetch(
        &self,
        url: url::Url,
        within: Duration,
    ) -> tramontane_connector::Result<outgoing::Response> {
        Fetch::send(self, outgoing::Request::new("fetch", Method::GET, url), within).await
    }

    async fn send(
        &self,
        request: outgoing::Request,
        _within: Duration,
    ) -> tramontane_connector::Result<outgoing::Response> {
        let sent =
            Sent { method: request.method, url: request.url.to_string(), headers: request.headers };
        let answering = self.answering.lock().unwrap().pop_front();
        let answer = answering.map(|answer| answer(&sent));
        self.sent.lock().unwrap().push(sent);
        let (status, body) =
            answer.ok_or_else(|| Error::new(Kind::Guarded, "The address may not be called."))?;
        Ok(outgoing::Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: tramontane_connector::Body::from_bytes(body),
            url: request.url,
        })
    }
}
