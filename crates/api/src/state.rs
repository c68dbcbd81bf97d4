//! What handlers need, in one place.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tramontane_accounts::upstream::Grants;
use tramontane_accounts::{Directory, Keys};
use tramontane_connector::{Lent, Registry, http};
use tramontane_feeds::{Deliveries, Feeds, Following, Log, States};
use tramontane_fill::{Ceilings, Filled, Spool};
use tramontane_model::{AccountId, Clock, Timestamp};
use tramontane_store::{Db, Journal};
use tramontane_tasks::Tasks;
use tramontane_vault::{Entropy, Sealer};
use url::Url;

use crate::events::Streams;
use crate::limits::ApiLimits;
use crate::public::Public;
use crate::rate::Rates;
use crate::site::Site;

/// How long a member of an organisation counts as known without asking the service.
const MEMBER_KNOWN: Duration = Duration::from_secs(600);

/// Requests to URLs that a caller named: unsigned and guarded. The wire implements it.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Gets a URL, following at most five redirects, each of them guarded.
    ///
    /// # Errors
    /// `Guarded`, `Invalid`, `Unavailable`, `Timeout`, `Broken`.
    async fn fetch(
        &self,
        url: Url,
        within: Duration,
    ) -> tramontane_connector::Result<http::Response>;

    /// Sends a request once (a webhook's trial, say).
    ///
    /// # Errors
    /// As [`Fetch::fetch`].
    async fn send(
        &self,
        request: http::Request,
        within: Duration,
    ) -> tramontane_connector::Result<http::Response>;
}

/// What an [`App`] is made of.
pub struct Parts {
    /// Applications, accounts, credentials, tokens; with the database, the keys and the clock.
    pub directory: Directory,
    /// OAuth at services.
    pub grants: Grants,
    /// The connectors.
    pub registry: Registry,
    /// What connectors are lent.
    pub lent: Arc<dyn Lent>,
    /// Requests to URLs that a caller named.
    pub fetch: Arc<dyn Fetch>,
    /// Background tasks.
    pub tasks: Tasks,
    /// The activity log.
    pub log: Log,
    /// Webhooks at work.
    pub deliveries: Deliveries,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where usage and request logs go.
    pub journal: Journal,
    /// Where content waits on disk.
    pub spool: Spool,
    /// How far emulations go.
    pub ceilings: Ceilings,
    /// The public URLs and the trusted proxies.
    pub site: Site,
    /// The limits.
    pub limits: ApiLimits,
}

/// Everything that handlers need. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// An [`App`] that this does not keep alive.
#[derive(Clone)]
pub(crate) struct WeakApp(Weak<Inner>);

impl fmt::Debug for WeakApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakApp")
    }
}

impl WeakApp {
    /// The app, while there is one.
    pub(crate) fn upgrade(&self) -> Option<App> {
        self.0.upgrade().map(App)
    }
}

struct Inner {
    parts: Parts,
    storages: HashMap<&'static str, Arc<Filled>>,
    pages: Sealer,
    room: Arc<Semaphore>,
    rates: Rates,
    public: Public,
    /// Members of organisations that were seen lately, by account and the service's id.
    members: Cache<(i64, String), ()>,
    following: Following,
    states: States,
    streams: Streams,
    draining: CancellationToken,
    feeds: OnceLock<Feeds>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("connectors", &self.0.parts.registry).finish_non_exhaustive()
    }
}

impl App {
    /// An app of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let storages = parts.registry.iter().filter_map(|connector| {
            let filled = Filled::new(connector.storage()?, parts.spool.clone());
            let filled = filled.with_ceilings(parts.ceilings);
            Some((connector.descriptor().name, Arc::new(filled)))
        });
        let storages = storages.collect();
        let pages = parts.directory.keys().sealer("pt_");
        let room = Arc::new(Semaphore::new(parts.limits.concurrency.min(Semaphore::MAX_PERMITS)));
        let rates = Rates::new(&parts.limits);
        let public = Public::default();
        let members = Cache::builder().max_capacity(10_000).time_to_live(MEMBER_KNOWN).build();
        let (db, clock) = (parts.directory.db().clone(), parts.directory.clock().clone());
        let states = States::new(db.clone());
        let following = Following::new(db, clock, parts.entropy.clone());
        let streams = Streams::new(parts.limits.streams);
        let draining = CancellationToken::new();
        Self(Arc::new(Inner {
            parts,
            storages,
            pages,
            room,
            rates,
            public,
            members,
            following,
            states,
            streams,
            draining,
            feeds: OnceLock::new(),
        }))
    }

    /// The app, without keeping it alive.
    pub(crate) fn downgrade(&self) -> WeakApp {
        WeakApp(Arc::downgrade(&self.0))
    }

    /// Whether this member of an organisation was there a short while ago.
    pub(crate) fn knows_member(&self, member: &(i64, String)) -> bool {
        self.0.members.contains_key(member)
    }

    /// Notes that this member is there.
    pub(crate) fn note_member(&self, member: (i64, String)) {
        self.0.members.insert(member, ());
    }

    /// Applications, accounts and tokens.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.0.parts.directory
    }

    /// OAuth at services: clients, authorization, exchange.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.0.parts.grants
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> &Db {
        self.0.parts.directory.db()
    }

    /// The keys that seal.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        self.0.parts.directory.keys()
    }

    /// The connectors.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.parts.registry
    }

    /// What connectors are lent.
    #[must_use]
    pub fn lent(&self) -> &Arc<dyn Lent> {
        &self.0.parts.lent
    }

    /// Requests to URLs that a caller named.
    #[must_use]
    pub fn fetch(&self) -> &Arc<dyn Fetch> {
        &self.0.parts.fetch
    }

    /// Background tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.parts.tasks
    }

    /// The activity log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0.parts.log
    }

    /// The subscriptions of accounts.
    #[must_use]
    pub fn following(&self) -> &Following {
        &self.0.following
    }

    /// What is remembered of accounts.
    pub(crate) fn states(&self) -> &States {
        &self.0.states
    }

    /// Names the running feed of this process: it hears of what is written through the API, and tells how feeds
    /// are. The first one counts.
    pub fn follow_with(&self, feeds: Feeds) {
        let _ = self.0.feeds.set(feeds);
    }

    /// The running feed of this process; `None` where none runs.
    pub(crate) fn feeds(&self) -> Option<&Feeds> {
        self.0.feeds.get()
    }

    /// Tells that something was written to an account.
    pub(crate) fn written(&self, account: AccountId, service: &str) {
        if let Some(feeds) = self.feeds() {
            feeds.written(account, service);
        }
    }

    /// The event streams that are open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// Cancelled when the server goes down: what waits for events says goodbye then.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// Webhooks at work: trials, the log of deliveries, replays.
    #[must_use]
    pub fn deliveries(&self) -> &Deliveries {
        &self.0.parts.deliveries
    }

    /// Randomness.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.parts.entropy.as_ref()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.parts.directory.clock()
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Where usage and request logs go.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.parts.journal
    }

    /// Where content waits on disk.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.0.parts.spool
    }

    /// The public URLs and the trusted proxies.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.0.parts.site
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &ApiLimits {
        &self.0.parts.limits
    }

    /// The files of a service, its gaps filled; `None` for services without files.
    #[must_use]
    pub fn storage(&self, service: &str) -> Option<&Arc<Filled>> {
        self.0.storages.get(service)
    }

    /// What seals page tokens (`pt_...`).
    #[must_use]
    pub fn pages(&self) -> &Sealer {
        &self.0.pages
    }

    /// Room for requests under way.
    pub(crate) fn room(&self) -> &Arc<Semaphore> {
        &self.0.room
    }

    /// Our own rate limits.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// What the public endpoints count and hold.
    pub(crate) fn public(&self) -> &Public {
        &self.0.public
    }
}
