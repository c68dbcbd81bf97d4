//! The door to grants: what they hang on, and how patient they are.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Semaphore;
use tramontane_connector::Registry;

use super::flight::{Flight, Of};
use super::held::{Held, Pause};
use super::{BackChannel, OperatorClients};
use crate::directory::Directory;

/// The most tokens that are kept in memory.
const MOST_HELD: u64 = 20_000;
/// How long a token that nobody asks for is kept in memory.
const HELD_IDLE: Duration = Duration::from_secs(3_600);
/// The most calls at once to one service's token endpoint.
const PLACES: usize = 32;

/// A step of a refresh, told to [`GrantOptions::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The lease is taken.
    Leased,
    /// The intent is written; the service is asked next.
    Intended,
    /// The service answered with tokens; they are in memory alone.
    Answered,
    /// They are written.
    Stored,
}

/// What is told of every step of every refresh. For tests that stop the process there.
pub type Probe = Arc<dyn Fn(Step) + Send + Sync>;

/// How token endpoints are dealt with.
#[derive(Clone)]
pub struct GrantOptions {
    /// How long a token endpoint may take for one answer.
    pub call_time: Duration,
    /// How long a lease holds: longer than `call_time`, so that nobody else begins while an answer
    /// may still come.
    pub lease: Duration,
    /// How long to wait for a refresh that another process does.
    pub patience: Duration,
    /// How often to look whether it is done.
    pub look: Duration,
    /// Tries in a row under one lease.
    pub tries: u32,
    /// The wait before the second try; doubles with every failure.
    pub first_wait: Duration,
    /// The longest wait between failures.
    pub longest_wait: Duration,
    /// A token that is refused sooner than this after it was obtained is not refreshed once more.
    pub rest: Duration,
    /// How often to look for grants that would lapse.
    pub tick: Duration,
    /// Told of every step.
    pub probe: Option<Probe>,
}

impl Default for GrantOptions {
    fn default() -> Self {
        Self {
            call_time: Duration::from_secs(40),
            lease: Duration::from_secs(60),
            patience: Duration::from_secs(90),
            look: Duration::from_millis(200),
            tries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(600),
            rest: Duration::from_secs(10),
            tick: Duration::from_secs(60),
            probe: None,
        }
    }
}

impl fmt::Debug for GrantOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantOptions").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// Grants of all accounts at services with OAuth. Cheap to clone.
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    directory: Directory,
    registry: Registry,
    clients: OperatorClients,
    channel: Arc<dyn BackChannel>,
    options: GrantOptions,
    owner: String,
    held: Cache<Of, Held>,
    paused: Cache<Of, Pause>,
    flights: Mutex<HashMap<Of, Flight>>,
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("clients", &self.0.clients).finish_non_exhaustive()
    }
}

impl Grants {
    /// Grants of the accounts of this directory.
    #[must_use]
    pub fn new(
        directory: Directory,
        registry: Registry,
        clients: OperatorClients,
        channel: Arc<dyn BackChannel>,
        options: GrantOptions,
    ) -> Self {
        let owner = directory.marked_id("p_");
        Self(Arc::new(Inner {
            directory,
            registry,
            clients,
            channel,
            options,
            owner,
            held: Cache::builder().max_capacity(MOST_HELD).time_to_idle(HELD_IDLE).build(),
            paused: Cache::builder().max_capacity(MOST_HELD).time_to_idle(HELD_IDLE).build(),
            flights: Mutex::default(),
            places: Mutex::default(),
        }))
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(super) fn operator_clients(&self) -> &OperatorClients {
        &self.0.clients
    }

    pub(super) fn channel(&self) -> &dyn BackChannel {
        self.0.channel.as_ref()
    }

    pub(super) fn options(&self) -> &GrantOptions {
        &self.0.options
    }

    /// This process's name among those that take leases.
    pub(super) fn owner(&self) -> &str {
        &self.0.owner
    }

    /// Tokens in memory.
    pub(super) fn held(&self) -> &Cache<Of, Held> {
        &self.0.held
    }

    /// Failures that are told again for a while.
    pub(super) fn paused(&self) -> &Cache<Of, Pause> {
        &self.0.paused
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, HashMap<Of, Flight>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places at a service's token endpoint: a slow one must not take all there are.
    pub(super) fn places(&self, service: &str) -> Arc<Semaphore> {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Semaphore::new(PLACES));
        Arc::clone(places.entry(service.to_owned()).or_insert_with(fresh))
    }

    pub(super) fn now(&self) -> i64 {
        self.0.directory.clock().now().micros()
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(probe) = &self.0.options.probe {
            probe(step);
        }
    }
}
