//! Measures deliveries: events in the log, signed messages over real connections to receivers of this
//! process, positions and attempts in the database. `scripts/bench deliver` runs it.
//!
//!     deliver DATABASE_URL EVENTS ENDPOINTS ACCOUNTS
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measurement that cannot be made must stop"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tramontane_accounts::{Directory, Keys, Masters, NewAccount, Options};
use tramontane_activity::segment::{Group, encode};
use tramontane_activity::{Action, Category, Event, Object};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Credential, Registry};
use tramontane_feeds::deliver::{DeliveryOptions, Endpoint, Format, Owner, Post, Render};
use tramontane_feeds::{Deliveries, Live, Log, Numbered, shard};
use tramontane_model::{Clock, SystemClock};
use tramontane_store::log::{self, Append, Commit, Committed, slice_of};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_store::{Db, shards};
use tramontane_vault::{MasterKey, SystemEntropy, WebhookSecret};
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};

/// Events of one transaction.
const COMMIT: usize = 256;
/// So many messages may have been written and not arrived.
const AHEAD: usize = 512;

/// Shows events about as long as the API does.
struct Shown;

#[async_trait]
impl Render for Shown {
    async fn event(
        &self,
        owner: &Owner,
        of: &Numbered,
    ) -> tramontane_feeds::Result<Option<String>> {
        let (id, event) = (format!("evt_{}_{}", of.feed, of.sequence), &of.event);
        let shown = serde_json::json!({
            "id": id, "type": event.action.as_str(), "api": "events",
            "href": format!("https://tramontane.example.com/v1/accounts/{}/events/{id}", owner.account),
            "account": owner.account, "application": &*owner.application, "action": "+",
            "modified": null, "ip": null, "user_id": null, "event_category": event.category.as_str(),
            "event_type": event.action.as_str(), "event_subtype": null,
            "metadata": {"id": event.object.id, "type": event.object.kind, "name": event.object.name},
            "sequence": of.sequence, "detected": event.detected_at().to_string(),
        });
        Ok(Some(shown.to_string()))
    }
}

struct Out(Wire);

#[async_trait]
impl Post for Out {
    async fn post(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response> {
        self.0.unsigned(request, within).await
    }
}

#[derive(Default)]
struct Received {
    count: AtomicUsize,
    checked: AtomicUsize,
    /// Microseconds from the moment that an event was noticed to its arrival.
    late: Mutex<Vec<i64>>,
    secrets: Mutex<BTreeMap<String, Arc<WebhookSecret>>>,
}

async fn receive(
    received: Arc<Received>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let number = received.count.fetch_add(1, Ordering::Relaxed);
    let now = SystemClock.now().micros();
    let text = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    // One in sixteen is looked at: the receiver shares the processors with what it measures.
    if number.is_multiple_of(16) {
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let noticed = message["timestamp"].as_str().unwrap();
        let noticed = tramontane_model::Timestamp::parse(noticed).unwrap().micros();
        received.late.lock().unwrap().push(now - noticed);
        let secret = received.secrets.lock().unwrap().get(head.uri.path()).cloned().unwrap();
        let at = text("webhook-timestamp").parse().unwrap();
        let signed = secret.sign(&text("webhook-id"), at, &body);
        assert_eq!(signed, text("webhook-signature"), "a signature does not verify");
        received.checked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(hyper::Response::new(Full::new(Bytes::new())))
}

async fn serve(received: Arc<Received>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let received = Arc::clone(&received);
            tokio::spawn(async move {
                let service = service_fn(move |request| receive(Arc::clone(&received), request));
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}

fn event(number: usize, now: i64) -> Event {
    let name = format!("Quarterly report {number}.pdf");
    Event {
        action: Action::Add,
        category: Category::Storage,
        subtype: None,
        object: Object {
            kind: "file".into(),
            id: format!("id:a4ayc_80_OEAAAAAAAAA{number:08}"),
            name: name.clone(),
            parent: Some("id:a4ayc_80_OEAAAAAAAAAXw".into()),
            path: Some(format!("/Reports/2026/{name}")),
        },
        before: None,
        happened: Some(now),
        detected: now,
        actor: None,
        entry: tramontane_activity::Metadata::default(),
        recovered: false,
        above: Vec::new(),
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0) / 1024
}

fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

async fn connect(directory: &Directory, application: &str, number: usize) -> i64 {
    let name = format!("account{number}@example.com");
    let new = NewAccount {
        service: "local".into(),
        admin: false,
        identity: Some(name.clone()),
        display: name,
        settings: BTreeMap::new(),
        credential: Credential::none(),
        custom_properties: BTreeMap::new(),
        scope: String::new(),
        token_expiry: None,
        refresh_token_expiry: None,
    };
    directory.import(application, new).await.unwrap().opened.id().number()
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |index: usize| words[index].parse::<usize>().expect("a number");
    let (events, endpoints, accounts) = (number(2), number(3), number(4));
    let db = Db::connect(&words[1]).await.expect("the database answers");
    db.migrate().await.expect("an empty database");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let masters = Masters::only(MasterKey::generate(&SystemEntropy));
    let keys =
        Keys::load(db.clone(), masters, clock.clone(), Arc::new(SystemEntropy)).await.unwrap();
    let directory = Directory::new(db.clone(), keys, Options::default()).unwrap();
    let first = directory.first_run("dev@example.com", "Bench").await.unwrap();
    let application = first.expect("an empty database").application.id;
    shards::ensure(&db, shard::SHARDS).await.unwrap();
    let mut epochs = BTreeMap::new();
    for id in 0..shard::SHARDS {
        let taken = shards::take(&db, id, "bench", 1, i64::MAX).await.unwrap();
        epochs.insert(id, taken.expect("an empty database").epoch);
    }
    let now = clock.now().micros();
    for slice in [slice_of(now), slice_of(now) + 1] {
        log::ensure_slice(&db, slice, now).await.unwrap();
    }
    let mut ids = Vec::new();
    for number in 0..accounts {
        ids.push(connect(&directory, &application, number).await);
    }

    let received = Arc::new(Received::default());
    let port = serve(Arc::clone(&received)).await;
    for number in 0..endpoints {
        let endpoint = Endpoint { format: Format::Standard, ..Endpoint::default() };
        let path = format!("/hook/{number}");
        let row = Webhook {
            id: format!("whk_{number}"),
            application: application.clone(),
            url: format!("http://127.0.0.1:{port}{path}"),
            active: true,
            settings: endpoint.settings(),
            created: now,
            modified: now,
        };
        let sealed = directory.new_webhook_secret(&row.id, endpoint.scheme()).unwrap();
        webhooks::insert(&db, &row, Some(&sealed), &Deliveries::fresh_ranges()).await.unwrap();
        let opened = directory.open_webhook_secrets(&[sealed]).await.unwrap();
        let text =
            secrecy::ExposeSecret::expose_secret(&opened.current().unwrap().to_text()).to_owned();
        let secret = Arc::new(WebhookSecret::parse(&text).unwrap());
        received.secrets.lock().unwrap().insert(path, secret);
    }
    let guard = Guard::allowing(&["127.0.0.0/8".to_owned()]).unwrap();
    let config = WireConfig { guard, ..WireConfig::default() };
    let registry = Registry::of([]);
    let wire = Wire::new(config, registry, clock.clone(), Arc::new(SystemLookup)).unwrap();
    let log = Log::new(db.clone(), Live::default());
    let deliveries = Deliveries::new(
        directory,
        log.clone(),
        Arc::new(Out(wire)),
        Arc::new(SystemEntropy),
        DeliveryOptions::default(),
    );
    deliveries.show_with(Arc::new(Shown));
    let (_held, owned) = watch::channel(Arc::new(epochs.clone()));
    let stop = CancellationToken::new();
    let (running, told) = (deliveries.clone(), stop.clone());
    let running = tokio::spawn(async move { running.run(owned, told).await });
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (before, busy, begun) = (memory(), processor_seconds(), Instant::now());
    let mut heads: BTreeMap<i64, i64> = BTreeMap::new();
    let mut written = 0;
    // What all accounts have goes into one transaction, as a busy writer makes them; never further ahead than a
    // moment's worth, so that what is measured is delivery and not a queue.
    let size = (COMMIT / endpoints / accounts).max(1);
    while written < events {
        while written * endpoints > received.count.load(Ordering::Relaxed) + AHEAD {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let now = clock.now().micros();
        let mut commits: BTreeMap<i64, Commit> = BTreeMap::new();
        for account in &ids {
            let head = heads.entry(*account).or_insert(0);
            let size = size.min(events - written);
            if size == 0 {
                break;
            }
            let batch: Vec<_> = (0..size).map(|number| event(written + number, now)).collect();
            let body = encode(&[Group::of(*account, *head + 1, &batch).unwrap()]);
            let (feed, opens) = (*account, *head == 0);
            let append = Append { feed, head: *head, events: size as i64, body, opens };
            let shard = shard::of(*account);
            let (epoch, slice) = (epochs[&shard], slice_of(now));
            let fresh = || Commit { shard, epoch, slice, now, ..Commit::default() };
            commits.entry(shard).or_insert_with(fresh).appends.push(append);
            *head += size as i64;
            written += size;
        }
        let commits: Vec<Commit> = commits.into_values().collect();
        let done = log::commit_all(&db, &commits).await.unwrap();
        for (commit, outcome) in commits.iter().zip(done) {
            let Committed::At(first) = outcome else { panic!("the log does not take a commit") };
            log.live().committed(commit, first);
        }
    }
    let all = events * endpoints;
    while received.count.load(Ordering::Relaxed) < all {
        assert!(begun.elapsed() < Duration::from_secs(600), "messages are missing");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let busy = processor_seconds() - busy;
    let after = memory();
    stop.cancel();
    running.await.unwrap();
    let mut late = std::mem::take(&mut *received.late.lock().unwrap());
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{{\"messages\": {all}, \"arrived\": {}, \"per_second\": {:.0}, \"p50_ms\": {:.1}, \"p99_ms\": {:.1}, \
         \"processor_seconds\": {busy:.1}, \"memory_before_mib\": {before}, \"memory_after_mib\": {after}, \
         \"signatures_checked\": {}}}",
        received.count.load(Ordering::Relaxed),
        all as f64 / took,
        at(0.5),
        at(0.99),
        received.checked.load(Ordering::Relaxed),
    );
}
