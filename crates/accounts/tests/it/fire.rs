//! Refresh under fire: real processes on one database, a slow token endpoint with single-use refresh
//! tokens, and processes killed at every step of a refresh. No account may be lost that the service
//! itself has not ended.
//!
//! `TRAMONTANE_FIRE_RUNS` (6 unless set) is the number of seeded runs on each engine,
//! `TRAMONTANE_FIRE_DELAY_MS` (1000 unless set) how long the endpoint takes when 64 callers want one
//! token.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::routing::post;
use http::HeaderMap;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tramontane_accounts::upstream::{BackChannel, GrantOptions, Grants, OperatorClients, Step};
use tramontane_accounts::{Directory, Keys, Masters, Options};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Connector, Kind, Registry, Tokens as _};
use tramontane_model::time::ManualClock;
use tramontane_model::{AccountId, Clock as _, SystemClock};
use tramontane_sandbox::{CLIENT_ID, CLIENT_SECRET, Dice, Issuer, IssuerRules, find};
use tramontane_store::Db;
use tramontane_store::scratch::{Scratch, on_each_engine};
use tramontane_vault::{MasterKey, SystemEntropy};
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};
use url::Url;

use crate::drive::{Drive, granted};

/// Where a process is killed.
const STEPS: [&str; 6] = ["leased", "intended", "asking", "answering", "answered", "stored"];

struct Channel(Wire);

#[async_trait]
impl BackChannel for Channel {
    async fn send(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response> {
        self.0.unsigned(request, within).await
    }
}

async fn directory(db: Db, master: MasterKey) -> Directory {
    let clock = Arc::new(SystemClock);
    let keys = Keys::load(db.clone(), Masters::only(master), clock, Arc::new(SystemEntropy));
    Directory::new(db, keys.await.unwrap(), Options::default()).unwrap()
}

fn grants(directory: &Directory, token: &Url, kill_at: Option<&str>) -> Grants {
    let connector: Arc<dyn Connector> = Arc::new(Drive::at(token.clone()));
    let mut clients = OperatorClients::default();
    clients.set("drive", false, CLIENT_ID, Some(SecretString::from(CLIENT_SECRET)));
    let kill_at = match kill_at {
        Some("leased") => Some(Step::Leased),
        Some("intended") => Some(Step::Intended),
        Some("answered") => Some(Step::Answered),
        Some("stored") => Some(Step::Stored),
        _ => None,
    };
    let slow = std::env::var("FIRE_CALL_MS").ok().and_then(|text| text.parse().ok());
    let call_time = Duration::from_millis(slow.unwrap_or(800));
    let options = GrantOptions {
        call_time,
        lease: call_time + Duration::from_millis(400),
        look: Duration::from_millis(20),
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(100),
        probe: kill_at.map(|at| -> tramontane_accounts::upstream::Probe {
            Arc::new(move |step| {
                if step == at {
                    die();
                }
            })
        }),
        ..GrantOptions::default()
    };
    over_http(directory, &connector, clients, options)
}

/// Grants whose token endpoint is really asked, on this machine.
pub(crate) fn over_http(
    directory: &Directory,
    connector: &Arc<dyn Connector>,
    clients: OperatorClients,
    options: GrantOptions,
) -> Grants {
    let channel = Arc::new(Channel(loopback_wire(connector)));
    let registry = Registry::of([Arc::clone(connector)]);
    Grants::new(directory.clone(), registry, clients, channel, options)
}

/// A wire that may call this machine.
pub(crate) fn loopback_wire(connector: &Arc<dyn Connector>) -> Wire {
    let guard = Guard::allowing(&["127.0.0.0/8".to_owned()]).unwrap();
    let config = WireConfig { guard, ..WireConfig::default() };
    let (clock, lookup) = (Arc::new(SystemClock), Arc::new(SystemLookup));
    Wire::new(config, Registry::of([Arc::clone(connector)]), clock, lookup).unwrap()
}

/// Kills this process as nothing can be prepared for.
fn die() {
    let id = std::process::id().to_string();
    std::process::Command::new("kill").args(["-9", &id]).status().unwrap();
    // The signal may take a moment to arrive; nothing more must be done until then.
    loop {
        std::thread::park();
    }
}

/// The token endpoint.
#[derive(Clone)]
struct Service(Arc<Mutex<Now>>);

struct Now {
    issuer: Issuer,
    before: Duration,
    after: Duration,
    /// The process that is killed when a request has arrived (`asking`), or was worked on
    /// (`answering`).
    victim: Option<(u32, &'static str)>,
}

async fn answer(
    State(service): State<Service>,
    headers: HeaderMap,
    form: String,
) -> axum::response::Response {
    let kill_if = |when: &str| {
        let victim = service.0.lock().unwrap().victim.take_if(|(_, at)| *at == when);
        if let Some((id, _)) = victim {
            std::process::Command::new("kill").args(["-9", &id.to_string()]).status().unwrap();
        }
    };
    kill_if("asking");
    let (issuer, before, after) = {
        let now = service.0.lock().unwrap();
        (now.issuer.clone(), now.before, now.after)
    };
    // The endpoint is slow: that is what it is here for.
    tokio::time::sleep(before).await;
    let answer = issuer.token(&headers, &form);
    kill_if("answering");
    tokio::time::sleep(after).await;
    answer
}

fn issuer(grace: Duration, seed: u64) -> Issuer {
    let rules = IssuerRules {
        title: "Drive",
        access_life: Duration::from_secs(3_600),
        rotates: true,
        grace,
        offline: None,
        token_prefix: "at-",
    };
    Issuer::new(rules, Arc::new(SystemClock), Dice::new(seed))
}

struct Fire {
    scratch: Scratch,
    service: Service,
    token: Url,
    master: MasterKey,
    directory: Directory,
    app: String,
}

impl Fire {
    async fn on(scratch: Scratch) -> Self {
        let (before, after) = (Duration::ZERO, Duration::ZERO);
        let now = Now { issuer: issuer(Duration::ZERO, 0), before, after, victim: None };
        let service = Service(Arc::new(Mutex::new(now)));
        let router = axum::Router::new().route("/token", post(answer)).with_state(service.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let master = MasterKey::generate(&SystemEntropy);
        let directory = directory(scratch.db.clone(), master.clone()).await;
        let first = directory.first_run("operator@localhost", "first").await.unwrap().unwrap();
        let app = first.application.id;
        Self { scratch, service, token: token.parse().unwrap(), master, directory, app }
    }

    /// An account with a fresh grant whose access token has ended.
    async fn account(&self, issuer: Issuer) -> AccountId {
        let endpoint = crate::drive::Endpoint::of(issuer.clone());
        let clock = ManualClock::at(SystemClock.now());
        let mut new = granted(&endpoint, &clock);
        new.token_expiry = Some(clock.now().micros() - 1);
        self.service.0.lock().unwrap().issuer = issuer;
        self.directory.import(&self.app, new).await.unwrap().opened.id()
    }

    /// A process of its own that asks for a token many times at once.
    fn process(&self, account: AccountId, callers: usize, call: Duration, kill: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fire::worker", "--ignored", "--nocapture", "--test-threads=1"])
            .env("FIRE_DB", &self.scratch.url)
            .env("FIRE_MASTER", self.master.to_text().expose_secret())
            .env("FIRE_TOKEN_URL", self.token.as_str())
            .env("FIRE_ACCOUNT", account.number().to_string())
            .env("FIRE_CALLERS", callers.to_string())
            .env("FIRE_CALL_MS", call.as_millis().to_string())
            .env("FIRE_KILL_AT", kill)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

/// What a process printed: the tokens that its callers got, or why not.
async fn outcomes(child: Child) -> Vec<String> {
    let (child, lines) = ready(child).await;
    rest(child, lines).await
}

type Printed = Lines<BufReader<ChildStdout>>;

/// Waits until a process has opened everything and is about to ask.
async fn ready(mut child: Child) -> (Child, Printed) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "ready" {
            break;
        }
    }
    (child, lines)
}

async fn rest(mut child: Child, mut lines: Printed) -> Vec<String> {
    let mut outcomes = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, outcome)) = line.split_once("outcome ") {
            outcomes.push(outcome.to_owned());
        }
    }
    child.wait().await.unwrap();
    outcomes
}

/// Not a test of its own: what the processes run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the others as a process of its own"]
async fn worker() {
    let Ok(url) = std::env::var("FIRE_DB") else { return };
    let text = |name: &str| std::env::var(name).unwrap();
    let master = MasterKey::parse(&text("FIRE_MASTER")).unwrap();
    let directory = directory(Db::connect(&url).await.unwrap(), master).await;
    let token = text("FIRE_TOKEN_URL").parse().unwrap();
    let grants = grants(&directory, &token, Some(&text("FIRE_KILL_AT")));
    let id = AccountId::parse(&text("FIRE_ACCOUNT")).unwrap();
    let opened = directory.open(id).await.unwrap().unwrap();
    println!("\nready");
    let callers = text("FIRE_CALLERS").parse().unwrap();
    let calls = (0..callers).map(|_| async {
        match grants.access_token(&opened.account, None, None).await {
            Ok(token) => println!("\noutcome {}", token.expose_secret()),
            Err(error) => println!("\noutcome failed {:?}", error.kind),
        }
    });
    futures::future::join_all(calls).await;
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_in_four_processes_make_one_refresh() {
    let delay = Duration::from_millis(number("TRAMONTANE_FIRE_DELAY_MS", 1_000));
    on_each_engine(|scratch| async {
        let fire = Fire::on(scratch).await;
        let issuer = issuer(Duration::ZERO, 1);
        let account = fire.account(issuer.clone()).await;
        fire.service.0.lock().unwrap().before = delay;
        let call = delay * 2 + Duration::from_secs(20);
        let processes = (0..4).map(|_| outcomes(fire.process(account, 16, call, "")));
        let tokens: Vec<String> =
            futures::future::join_all(processes).await.into_iter().flatten().collect();
        assert_eq!(tokens.len(), 64);
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
        assert!(issuer.bearer_of(&tokens[0]).is_some());
        assert_eq!(issuer.exchanges(), 1);
        fire.scratch
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_at_every_step_lose_no_account_that_the_service_did_not_end() {
    let runs = number("TRAMONTANE_FIRE_RUNS", 6);
    on_each_engine(|scratch| async {
        let fire = Fire::on(scratch).await;
        let mut ended = 0;
        for seed in 0..runs {
            let mut dice = StdRng::seed_from_u64(seed);
            let at = STEPS[usize::try_from(seed).unwrap() % STEPS.len()];
            let grace = if dice.random_bool(0.5) { 60 } else { 0 };
            let issuer = issuer(Duration::from_secs(grace), seed);
            let account = fire.account(issuer.clone()).await;
            let millis = |dice: &mut StdRng| Duration::from_millis(dice.random_range(0..60));
            let call = Duration::from_millis(800);
            {
                let mut now = fire.service.0.lock().unwrap();
                (now.before, now.after) = (millis(&mut dice), millis(&mut dice));
                now.victim = None;
            }
            let victim = fire.process(account, 4, call, at);
            if matches!(at, "asking" | "answering") {
                fire.service.0.lock().unwrap().victim = victim.id().map(|id| (id, at));
            }
            let other = fire.process(account, 4, call, "");
            let (victim, printed) = ready(victim).await;
            let (_, outcomes) = tokio::join!(rest(victim, printed), outcomes(other));
            fire.service.0.lock().unwrap().victim = None;
            let context = format!("seed {seed}, killed when {at}, grace {grace} s: {outcomes:?}");
            assert_eq!(outcomes.len(), 4, "{context}");
            // Whatever happened: the account works, or the service itself has ended the grant.
            fire.directory.forget_all();
            let opened = fire.directory.open(account).await.unwrap().unwrap();
            let grants = grants(&fire.directory, &fire.token, None);
            match grants.access_token(&opened.account, None, None).await {
                Ok(token) => {
                    assert!(issuer.bearer_of(token.expose_secret()).is_some(), "{context}");
                }
                Err(error) => {
                    assert_eq!(error.kind, Kind::Credential, "{context}");
                    assert!(!issuer.stands(find("ana").unwrap()), "the account is lost: {context}");
                    assert_eq!(grace, 0, "a spent token was good again: {context}");
                    ended += 1;
                }
            }
        }
        println!("{runs} runs; in {ended} the service ended the grant itself");
        fire.scratch
    })
    .await;
}
