//! Delivers events to webhooks: reads the log for each endpoint by cursor, sends, keeps how far it came.
//!
//! The doors: [`Deliveries`] (what the API asks: a test, the log of attempts, replays), and
//! [`Deliveries::run`] (the work itself, for the shards that this node holds). What is sent when is decided
//! by the `activity` crate's machine; here are its time, its storage and its network.
//!
//! Each endpoint has one task of its own with its own places: however slow it is, no other waits.

mod attempts;
mod courier;
mod endpoint;
mod message;
mod pages;
mod replay;
mod run;
mod send;
mod standing;
mod stock;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tramontane_accounts::Directory;
use tramontane_connector::http::{Request, Response};
use tramontane_store::Db;
use tramontane_vault::Entropy;

use crate::error::Result;
use crate::log::{Log, Numbered};

pub use attempts::{Delivery, Wanted};
pub use endpoint::{Endpoint, Format};
pub use replay::ReplayRequest;
pub use send::Answered;
pub use standing::Standing;

/// Sends one request to an address that an application named: guarded, no redirects, once. The wire does.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends it; gives the head of the answer.
    ///
    /// # Errors
    /// `Guarded`, `Invalid`, `Unavailable`, `Timeout`, `Broken`.
    async fn post(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response>;
}

/// Whose an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account.
    pub account: i64,
    /// Its application.
    pub application: Arc<str>,
    /// Its service.
    pub service: Arc<str>,
}

/// Shows an event as the API does (wire API, section 29.2).
#[async_trait]
pub trait Render: Send + Sync {
    /// The event as a JSON object, with the member `application` added; `None` when it can never be shown.
    ///
    /// # Errors
    /// When it cannot be shown now: the message is sent later.
    async fn event(&self, owner: &Owner, event: &Numbered) -> Result<Option<String>>;
}

/// How much at once, and how long.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOptions {
    /// Messages under way to one endpoint. A fifth of it at most are retries.
    pub parallel: usize,
    /// Messages under way in all.
    pub places: usize,
    /// How long one message may take, with its answer.
    pub within: Duration,
    /// How often a busy endpoint's position is written.
    pub keep_every: Duration,
    /// How often webhooks that were changed elsewhere are looked for.
    pub look_every: Duration,
    /// Days that attempts are kept.
    pub log_days: i64,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            parallel: 32,
            places: 2_048,
            within: Duration::from_secs(15),
            keep_every: Duration::from_millis(50),
            look_every: Duration::from_secs(5),
            log_days: 30,
        }
    }
}

/// Webhooks at work. Cheap to clone.
#[derive(Clone)]
pub struct Deliveries(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) directory: Directory,
    pub(crate) log: Log,
    pub(crate) post: Arc<dyn Post>,
    pub(crate) render: OnceLock<Arc<dyn Render>>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) options: DeliveryOptions,
    /// Rung when a webhook was changed in this process.
    pub(crate) changed: Notify,
    /// Rung when a replay was asked for in this process.
    pub(crate) replays: Notify,
    pub(crate) places: Semaphore,
    pub(crate) pages: pages::Pages,
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deliveries({:?})", self.0.options)
    }
}

impl Deliveries {
    /// Deliveries from this log, sent through `post`.
    #[must_use]
    pub fn new(
        directory: Directory,
        log: Log,
        post: Arc<dyn Post>,
        entropy: Arc<dyn Entropy>,
        options: DeliveryOptions,
    ) -> Self {
        let pages = pages::Pages::new(log.clone(), directory.db().clone());
        let places = Semaphore::new(options.places.clamp(1, Semaphore::MAX_PERMITS));
        let (changed, replays) = (Notify::new(), Notify::new());
        Self(Arc::new(Inner {
            directory,
            log,
            post,
            render: OnceLock::new(),
            entropy,
            options,
            changed,
            replays,
            places,
            pages,
        }))
    }

    /// Names who shows events; the first one counts. Without, only messages in the compatible form go out.
    pub fn show_with(&self, render: Arc<dyn Render>) {
        let _ = self.0.render.set(render);
    }

    /// Says that a webhook was made, changed or deleted: it counts at once, not only at the next look.
    pub fn changed(&self) {
        self.0.changed.notify_one();
    }

    /// The form of no outstanding ranges, for new webhooks' positions.
    #[must_use]
    pub fn fresh_ranges() -> Vec<u8> {
        tramontane_activity::delivery::Checkpoint::at(0).encode()
    }
}

impl Inner {
    pub(crate) fn db(&self) -> &Db {
        self.directory.db()
    }

    pub(crate) fn now(&self) -> i64 {
        self.directory.clock().now().micros()
    }

    /// A random number.
    pub(crate) fn chance(&self) -> u32 {
        let mut bytes = [0; 4];
        self.entropy.fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
}
