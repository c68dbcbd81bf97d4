//! What the tests of deliveries stand on: an application with accounts, a log that they append to, and a
//! receiver that answers as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tramontane_accounts::{Directory, Keys, Masters, NewAccount, Options};
use tramontane_activity::segment::{Group, encode};
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{Body, Credential};
use tramontane_feeds::deliver::{DeliveryOptions, Endpoint, Format, Owner, Post, Render};
use tramontane_feeds::{Deliveries, Live, Log, Numbered, Owned, Result, shard};
use tramontane_model::Timestamp;
use tramontane_model::time::ManualClock;
use tramontane_store::log::{self, Append, Commit, Committed, slice_of};
use tramontane_store::scratch::{self, Scratch};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_store::{Db, shards};
use tramontane_vault::{MasterKey, SystemEntropy};

use crate::house::event;

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The account and the sequence numbers of its events.
    pub(crate) fn events(&self) -> (i64, Vec<i64>) {
        let data = &self.json()["data"];
        let number = |event: &Value| event["sequence"].as_i64().unwrap();
        let events = match data["events"].as_array() {
            Some(events) => events.iter().map(number).collect(),
            None => vec![number(data)],
        };
        (data["account"].as_i64().unwrap(), events)
    }
}

type Answering = Box<dyn Fn(&Arrived) -> (u16, &'static str) + Send + Sync>;

/// Takes messages; answers 200 unless told otherwise.
#[derive(Default)]
pub(crate) struct Receiver {
    arrived: Mutex<Vec<Arrived>>,
    answering: Mutex<Option<Answering>>,
    slow: Mutex<Option<String>>,
}

impl Receiver {
    pub(crate) fn answers(
        &self,
        answer: impl Fn(&Arrived) -> (u16, &'static str) + Send + Sync + 'static,
    ) {
        *self.answering.lock().unwrap() = Some(Box::new(answer));
    }

    /// Messages to this URL are never answered.
    pub(crate) fn hangs(&self, url: &str) {
        *self.slow.lock().unwrap() = Some(url.to_owned());
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Those that were taken.
    pub(crate) fn taken(&self) -> Vec<Arrived> {
        self.arrived().into_iter().filter(|one| one.status == 200).collect()
    }

    pub(crate) fn forget(&self) {
        self.arrived.lock().unwrap().clear();
    }
}

#[async_trait]
impl Post for Receiver {
    async fn post(&self, request: Request, _: Duration) -> tramontane_connector::Result<Response> {
        assert!(!request.signed && !request.follow);
        let Payload::Bytes(body) = request.payload else { panic!("a message is in memory") };
        let url = request.url.to_string();
        if self.slow.lock().unwrap().as_deref() == Some(&url) {
            std::future::pending::<()>().await;
        }
        let mut one = Arrived { url, headers: request.headers, body: body.to_vec(), status: 200 };
        let answer = self.answering.lock().unwrap().as_ref().map(|answer| answer(&one));
        let (status, text) = answer.unwrap_or((200, ""));
        one.status = status;
        self.arrived.lock().unwrap().push(one);
        let mut headers = HeaderMap::new();
        if let Some(seconds) = text.strip_prefix("retry ") {
            headers.insert("retry-after", seconds.parse().unwrap());
        }
        Ok(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Body::from_bytes(text),
            url: request.url,
        })
    }
}

pub(crate) struct Stage {
    pub(crate) db: Db,
    pub(crate) directory: Directory,
    pub(crate) log: Log,
    pub(crate) clock: ManualClock,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) deliveries: Deliveries,
    pub(crate) application: String,
    pub(crate) api_key: String,
    pub(crate) accounts: Vec<i64>,
    owned: watch::Sender<Owned>,
    epochs: BTreeMap<i64, i64>,
    scratch: Scratch,
}

/// Deliveries at work.
pub(crate) struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    /// As a shutdown does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Runs a test on each engine, with so many accounts.
pub(crate) async fn on_each_engine<F: Future<Output = Stage>>(
    accounts: usize,
    test: impl Fn(Stage) -> F,
) {
    let test = &test;
    scratch::on_each_engine(|scratch| async move {
        let stage = Stage::new(scratch, accounts).await;
        test(stage).await.scratch
    })
    .await;
}

impl Stage {
    async fn new(scratch: Scratch, count: usize) -> Self {
        let db = scratch.db.clone();
        let clock = ManualClock::at(Timestamp::from_seconds(1_772_442_900));
        let lent: Arc<dyn tramontane_model::Clock> = Arc::new(clock.clone());
        let masters = Masters::only(MasterKey::generate(&SystemEntropy));
        let keys = Keys::load(db.clone(), masters, lent, Arc::new(SystemEntropy)).await.unwrap();
        let directory = Directory::new(db.clone(), keys, Options::default()).unwrap();
        let first = directory.first_run("dev@example.com", "Notes").await.unwrap().unwrap();
        shards::ensure(&db, shard::SHARDS).await.unwrap();
        let mut epochs = BTreeMap::new();
        for id in 0..shard::SHARDS {
            let taken = shards::take(&db, id, "test", 1, i64::MAX).await.unwrap().unwrap();
            epochs.insert(id, taken.epoch);
        }
        let log = Log::new(db.clone(), Live::default());
        let receiver = Arc::new(Receiver::default());
        let deliveries = Deliveries::new(
            directory.clone(),
            log.clone(),
            receiver.clone(),
            Arc::new(SystemEntropy),
            DeliveryOptions { look_every: Duration::from_millis(50), ..DeliveryOptions::default() },
        );
        deliveries.show_with(Arc::new(Plain));
        let mut stage = Self {
            db,
            directory,
            log,
            clock,
            receiver,
            deliveries,
            application: first.application.id,
            api_key: first.api_key.expose_secret().to_owned(),
            accounts: Vec::new(),
            owned: watch::channel(Arc::new(epochs.clone())).0,
            epochs,
            scratch,
        };
        log::ensure_slice(&stage.db, slice_of(stage.now()), 1).await.unwrap();
        for number in 0..count {
            stage.connect(&format!("ana{number}@example.com")).await;
        }
        stage
    }

    pub(crate) fn now(&self) -> i64 {
        tramontane_model::Clock::now(&self.clock).micros()
    }

    async fn connect(&mut self, name: &str) {
        let new = NewAccount {
            service: "local".into(),
            admin: false,
            identity: Some(name.into()),
            display: name.into(),
            settings: BTreeMap::new(),
            credential: Credential::none(),
            custom_properties: BTreeMap::new(),
            scope: String::new(),
            token_expiry: None,
            refresh_token_expiry: None,
        };
        let made = self.directory.import(&self.application, new).await.unwrap();
        let account = made.opened.id().number();
        self.accounts.push(account);
    }

    /// Commits so many events to an account.
    pub(crate) async fn happen(&self, account: i64, count: usize) {
        let head = log::extent(&self.db, account).await.unwrap().unwrap().head;
        let name = |number: usize| format!("{}.txt", head + 1 + number as i64);
        let events: Vec<_> = (0..count).map(|number| event(&name(number))).collect();
        let group = Group::of(account, head + 1, &events).unwrap();
        let append = Append {
            feed: account,
            head,
            events: count as i64,
            body: encode(&[group]),
            opens: true,
        };
        let of = shard::of(account);
        let commit = Commit {
            shard: of,
            epoch: self.epochs[&of],
            slice: slice_of(self.now()),
            now: self.now(),
            appends: vec![append],
            ..Commit::default()
        };
        let Committed::At(first) = log::commit(&self.db, &commit).await.unwrap() else { panic!() };
        self.log.live().shard_grew(of, first + count as i64 - 1);
    }

    /// Registers a webhook, past the check.
    pub(crate) async fn webhook(&self, url: &str, endpoint: Endpoint) -> Webhook {
        let row = Webhook {
            id: format!("whk_{}", tramontane_vault::random_id(&SystemEntropy, 12)),
            application: self.application.clone(),
            url: url.into(),
            active: true,
            settings: endpoint.settings(),
            created: self.now(),
            modified: self.now(),
        };
        let secret = match endpoint.format {
            Format::Kloudless => None,
            Format::Standard => {
                Some(self.directory.new_webhook_secret(&row.id, endpoint.scheme()).unwrap())
            }
        };
        let fresh = Deliveries::fresh_ranges();
        webhooks::insert(&self.db, &row, secret.as_ref(), &fresh).await.unwrap();
        self.deliveries.changed();
        row
    }

    pub(crate) fn run(&self) -> Running {
        let stop = CancellationToken::new();
        let (deliveries, owned, told) =
            (self.deliveries.clone(), self.owned.subscribe(), stop.clone());
        let task = tokio::spawn(async move { deliveries.run(owned, told).await });
        Running { task, stop }
    }

    /// Another process, with nothing in memory.
    pub(crate) fn restarted(&mut self) {
        self.deliveries = Deliveries::new(
            self.directory.clone(),
            self.log.clone(),
            self.receiver.clone(),
            Arc::new(SystemEntropy),
            DeliveryOptions { look_every: Duration::from_millis(50), ..DeliveryOptions::default() },
        );
        self.deliveries.show_with(Arc::new(Plain));
    }

    /// Another node takes all shards.
    pub(crate) async fn lose_shards(&mut self) {
        for (id, epoch) in &mut self.epochs {
            assert!(shards::release(&self.db, *id, *epoch).await.unwrap());
            *epoch =
                shards::take(&self.db, *id, "other", 2, i64::MAX).await.unwrap().unwrap().epoch;
        }
    }

    pub(crate) fn hold_shards(&self) {
        self.owned.send_replace(Arc::new(self.epochs.clone()));
    }
}

/// Shows of an event what these tests ask for.
struct Plain;

#[async_trait]
impl Render for Plain {
    async fn event(&self, owner: &Owner, event: &Numbered) -> Result<Option<String>> {
        let shown = serde_json::json!({
            "id": format!("evt_{}_{}", event.feed, event.sequence), "type": event.event.action.as_str(),
            "account": owner.account, "application": &*owner.application, "sequence": event.sequence,
            "metadata": {"type": event.event.object.kind, "name": event.event.object.name},
        });
        Ok(Some(shown.to_string()))
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be: {what}");
}
