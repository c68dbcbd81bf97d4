//! What the tests stand on: a database with accounts, a clock turned by hand, work that does as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tramontane_model::time::ManualClock;
use tramontane_model::{AccountId, Timestamp};
use tramontane_store::Db;
use tramontane_store::scratch::{self, Scratch};
use tramontane_tasks::{Executor, Kind, Operation, Outcome, Payload, Settings, Tasks, Work};
use tramontane_vault::SystemEntropy;

pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) clock: ManualClock,
    scratch: Scratch,
}

/// Runs a test on each database engine.
pub(crate) async fn on_each_engine<F: Future<Output = House>>(test: impl Fn(House) -> F) {
    let test = &test;
    scratch::on_each_engine(|scratch| async move {
        let clock = ManualClock::at(Timestamp::from_seconds(1_772_442_900));
        let house = House { db: scratch.db.clone(), clock, scratch };
        house.seed().await;
        test(house).await.scratch
    })
    .await;
}

impl House {
    async fn seed(&self) {
        scratch::seed(&self.db, &[("one", &[1]), ("two", &[2])]).await;
    }

    /// Tasks of a process with this name.
    pub(crate) fn tasks(&self, node: &str) -> Tasks {
        let settings = Settings {
            tick: Duration::from_millis(5),
            poll: Duration::from_millis(10),
            lease: Duration::from_secs(30),
            max_running: 2,
            ..Settings::of_node(node)
        };
        Tasks::new(self.db.clone(), Arc::new(self.clock.clone()), Arc::new(SystemEntropy), settings)
    }
}

pub(crate) fn account(number: i64) -> AccountId {
    AccountId::new(number).unwrap()
}

pub(crate) fn operation(kind: Kind) -> Operation {
    Operation {
        kind,
        method: "POST".into(),
        path: "/storage/files/file_eA/copy".into(),
        query: String::new(),
        headers: BTreeMap::new(),
        payload: Payload::Json(json!({"parent_id": "root"})),
        caller: json!({}),
    }
}

pub(crate) async fn submit(tasks: &Tasks, of: i64, kind: Kind) -> String {
    let id = tasks.mint_id();
    tasks.submit(id, account(of), &operation(kind)).await.unwrap().id
}

type Step = Box<dyn Fn(Arc<Work>) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// Does what it was told, in order; after that it succeeds with 200.
#[derive(Default)]
pub(crate) struct Script {
    steps: Mutex<VecDeque<Step>>,
    pub(crate) begun: Notify,
    pub(crate) runs: Mutex<Vec<(String, bool)>>,
    pub(crate) ended: Mutex<Vec<String>>,
}

impl Script {
    pub(crate) fn then<F>(self, step: impl Fn(Arc<Work>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.steps.lock().unwrap().push_back(Box::new(move |work| Box::pin(step(work))));
        self
    }

    pub(crate) fn runs(&self) -> Vec<(String, bool)> {
        self.runs.lock().unwrap().clone()
    }
}

pub(crate) fn ok(body: Value) -> Outcome {
    Outcome { status: 200, body: Some(body) }
}

#[async_trait]
impl Executor for Script {
    async fn run(&self, work: Arc<Work>) -> Outcome {
        self.runs.lock().unwrap().push((work.id().to_owned(), work.resumed()));
        self.begun.notify_one();
        let step = self.steps.lock().unwrap().pop_front();
        match step {
            Some(step) => step(work).await,
            None => ok(json!({"done": true})),
        }
    }

    fn failed(&self, work: &Work, message: &str) -> Outcome {
        let body = json!({"id": work.id(), "message": message});
        Outcome { status: 400, body: Some(body) }
    }

    async fn ended(&self, work: &Work) {
        self.ended.lock().unwrap().push(work.id().to_owned());
    }
}
