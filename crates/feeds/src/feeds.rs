//! The running feed: polls accounts when the schedule says so, as long as their shards are owned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tramontane_accounts::{Directory, Opened};
use tramontane_activity::schedule::{
    Budget, BudgetId, Class, Health, Outcome, Poll, Push, Schedule, Spec,
};
use tramontane_connector::changes::Heard;
use tramontane_connector::{Connector, Cx, Kind, Lent, Registry, Retry};
use tramontane_model::{AccountId, Clock};
use tramontane_store::feeds::{self, Feed, FeedState};
use tramontane_store::{Db, log};

use crate::account::{Followed, Lending, Polled};
use crate::announcing::Announcing;
use crate::error::{Error, Result};
use crate::held::Held;
use crate::live::Live;
use crate::owner::{Owned, Owner};
use crate::push::Pushing;
use crate::trail::{Look, Nudged, Nudger, Trails};
use crate::writer::{Writer, Writing};
use crate::{retention, seal, shard};

/// How often feeds that were made or stopped elsewhere are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the long polls are given to the accounts where they are worth most.
const ASSIGN_EVERY: Duration = Duration::from_secs(30);
/// How often the log is tidied.
const UPKEEP_EVERY: Duration = Duration::from_secs(600);
/// How far a look goes back behind the one before, in microseconds.
const OVERLAP: i64 = 10_000_000;
/// So many folders are remembered for an account; beyond, everything is looked at.
const MAX_HEARD: usize = 10_000;
/// How many feeds are read from the database at a time.
const PAGE: i64 = 1_000;
/// The most accounts that are listened to: folders of this machine, and queues.
const MAX_WATCHES: usize = 1_024;
/// The most nudges that are kept for accounts that are still being taken up.
const MAX_EARLY: usize = 10_000;
/// How long what was written is left alone where folders are listed: longer than a file is taken to be still
/// being written, so that a look does not tear what belongs together.
const SETTLED: Duration = Duration::from_secs(4);
/// The most accounts that are kept in memory although nothing is done for them.
const MAX_WARM: usize = 4_096;

/// What the operator can set.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many accounts are polled at once.
    pub concurrency: usize,
    /// Polls a second of one service, all accounts together, that are aimed at.
    pub service_rate: f64,
    /// Polls a second of all services together that are aimed at.
    pub rate: f64,
    /// Days that events are kept, at least [`retention::LEAST_DAYS`]; applications may keep fewer.
    pub days: i64,
    /// How many connections may be held open at services that answer them when something changes.
    pub long_polls: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 64, service_rate: 20.0, rate: 200.0, days: 30, long_polls: 512 }
    }
}

/// What the running feed is lent.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Accounts.
    pub directory: Directory,
    /// Services.
    pub registry: Registry,
    /// The way out.
    pub lent: Arc<dyn Lent>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Pushes.
    pub pushing: Pushing,
    /// A name of this node that stays the same over restarts: what a process of it left when it was killed is
    /// taken over at once.
    pub node: String,
    /// A word that no other process of this node has, new at each start.
    pub start: String,
    /// Wakes readers.
    pub live: Live,
    /// Counts the changes of subscriptions: [`crate::Following::changes`].
    pub subscriptions: watch::Receiver<u64>,
    /// What the operator can set.
    pub options: Options,
}

/// The running feed. Cheap to clone.
#[derive(Clone)]
pub struct Feeds(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    lending: Lending,
    options: Options,
    pushing: Pushing,
    live: Live,
    owned: watch::Receiver<Owned>,
    wake: Notify,
    state: Mutex<State>,
    trails: Trails,
    begin: Mutex<Option<(Owner, Writer)>>,
    tidied: tokio::sync::Mutex<retention::Tidied>,
}

/// An account that is kept in memory.
pub(crate) struct Warm {
    pub(crate) account: Arc<tokio::sync::Mutex<Followed>>,
    /// When it was polled last, in milliseconds.
    polled: i64,
}

pub(crate) struct State {
    pub(crate) schedule: Schedule,
    budgets: BTreeMap<String, BudgetId>,
    /// Which budgets a refusal of an account is about.
    throttles: BTreeMap<i64, BudgetId>,
    pub(crate) warm: BTreeMap<i64, Warm>,
    /// What was heard of since the last poll.
    heard: BTreeMap<i64, Heard>,
    /// Nudges of accounts that are not followed here, or not yet.
    early: BTreeSet<i64>,
    /// Accounts that are looked at when what was written there has settled.
    settling: BTreeSet<i64>,
    /// Accounts whose channels want to be looked after.
    repairs: BTreeSet<i64>,
    read: BTreeSet<i64>,
    /// What hears of changes in accounts on this machine; dropping one ends it.
    watches: BTreeMap<i64, AbortOnDropHandle<()>>,
    /// Long polls.
    pub(crate) held: Held,
}

impl Feeds {
    /// Puts it together. Nothing happens before [`Feeds::serve`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let live = parts.live;
        let (owner, owned) =
            Owner::new(parts.db.clone(), Arc::clone(&parts.clock), parts.node, &parts.start);
        let (writer, writing): (Writer, Writing) = Writer::new(
            parts.db.clone(),
            Arc::clone(&parts.clock),
            live.clone(),
            owned.clone(),
            parts.subscriptions.clone(),
        );
        let now = parts.clock.now().micros() / 1_000;
        let lending = Lending {
            db: parts.db.clone(),
            directory: parts.directory,
            registry: parts.registry,
            lent: parts.lent,
            writing,
            pushing: parts.pushing.clone(),
            subscriptions: parts.subscriptions,
        };
        let state = State {
            schedule: Schedule::new(now),
            budgets: BTreeMap::new(),
            throttles: BTreeMap::new(),
            warm: BTreeMap::new(),
            heard: BTreeMap::new(),
            early: BTreeSet::new(),
            settling: BTreeSet::new(),
            repairs: BTreeSet::new(),
            read: BTreeSet::new(),
            watches: BTreeMap::new(),
            held: Held::default(),
        };
        Self(Arc::new(Inner {
            db: parts.db,
            clock: parts.clock,
            lending,
            options: parts.options,
            pushing: parts.pushing.clone(),
            live,
            owned,
            wake: Notify::new(),
            state: Mutex::new(state),
            trails: Trails::new(),
            begin: Mutex::new(Some((owner, writer))),
            tidied: tokio::sync::Mutex::default(),
        }))
    }

    /// The shards that this process owns, with their epochs.
    #[must_use]
    pub fn owned(&self) -> watch::Receiver<Owned> {
        self.0.owned.clone()
    }

    /// Something may have changed in an account: it is looked at now. An account that is not followed here is
    /// left alone, unless it is being taken up.
    pub fn nudge(&self, account: AccountId, by: Nudger) {
        let (now, at) = (self.now(), self.0.clock.now().micros());
        self.0.trails.nudged(account.number(), Nudged { at, by });
        let mut state = self.state();
        if state.schedule.health(key(account.number())).is_some() {
            state.schedule.nudge(key(account.number()), now);
        } else if state.early.len() < MAX_EARLY {
            // Right after the start it may be about to be taken up.
            state.early.insert(account.number());
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// The API wrote to an account: it is looked at now; where folders are listed, when that has settled.
    pub fn written(&self, account: AccountId, service: &str) {
        if self.settles(service) {
            self.look_later(account, Nudger::Write);
        } else {
            self.nudge(account, Nudger::Write);
        }
    }

    /// Nudges an account when what changed has settled.
    fn look_later(&self, account: AccountId, by: Nudger) {
        if !self.state().settling.insert(account.number()) {
            return;
        }
        let feeds = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SETTLED).await;
            feeds.state().settling.remove(&account.number());
            feeds.nudge(account, by);
        });
    }

    /// Whether what changed at a service must settle before it can be told.
    fn settles(&self, service: &str) -> bool {
        self.connector(service).is_some_and(|one| !one.hears_at_once() && one.changes().is_none())
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn pushing(&self) -> &Pushing {
        &self.0.pushing
    }

    pub(crate) fn connector(&self, service: &str) -> Option<Arc<dyn Connector>> {
        self.0.lending.registry.get(service).cloned()
    }

    /// The service asks to look after the channels of an account.
    pub(crate) fn repair(&self, account: AccountId) {
        self.state().repairs.insert(account.number());
    }

    pub(crate) fn trails(&self) -> &Trails {
        &self.0.trails
    }

    /// How the schedule has an account.
    pub(crate) fn scheduled(&self, account: i64) -> Option<Health> {
        self.state().schedule.health(key(account))
    }

    pub(crate) fn long_polls(&self) -> usize {
        self.0.options.long_polls
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.clock.now().micros() / 1_000
    }

    /// Works until `stop`, then waits for what is under way, at most `drain`. Called once.
    pub async fn serve(&self, stop: CancellationToken, drain: Duration) {
        let begin = self.0.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((owner, writer)) = begin else { return };
        // The owner gives shards back only when nothing is written any more.
        let release = CancellationToken::new();
        let owner = tokio::spawn(owner.run(release.clone()));
        let writer = tokio::spawn(writer.run());
        let upkeep = {
            let (feeds, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move { feeds.keep_up(stop).await })
        };
        let announcing = {
            let (feeds, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move { feeds.announce(stop).await })
        };
        let mut polls = JoinSet::new();
        let mut owned = self.0.owned.clone();
        let (mut seen, mut looked) = (Owned::default(), 0);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut assign = tokio::time::interval(ASSIGN_EVERY);
        loop {
            let now_owned = Arc::clone(&owned.borrow_and_update());
            if *now_owned != *seen {
                if let Err(error) = self.take_up(&seen, &now_owned).await {
                    tracing::warn!(%error, "the feeds of new shards could not be read");
                } else {
                    seen = now_owned;
                }
            }
            self.start_polls(&mut polls);
            let wait = self.wait();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.wake.notified() => {}
                _ = owned.changed() => {}
                Some(_) = polls.join_next() => {}
                _ = look.tick() => {
                    if let Err(error) = self.look(&mut looked, &seen).await {
                        tracing::warn!(%error, "new feeds could not be looked for");
                    }
                }
                _ = assign.tick() => self.assign_long_polls(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.state().held = Held::default();
        let done = async { while polls.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, done).await.is_err() {
            tracing::warn!("polls were still under way; what they had not written is read again");
        }
        polls.shutdown().await;
        let _ = announcing.await;
        release.cancel();
        let _ = owner.await;
        let _ = upkeep.await;
        writer.abort();
    }

    async fn announce(&self, stop: CancellationToken) {
        let announcing = Announcing {
            db: &self.0.db,
            clock: self.0.clock.as_ref(),
            writing: &self.0.lending.writing,
            owned: self.0.owned.clone(),
        };
        announcing.run(stop).await;
    }

    fn wait(&self) -> Duration {
        let next = self.state().schedule.next_at();
        let left = next.map_or(1_000, |at| (at - self.now()).clamp(1, 1_000));
        Duration::from_millis(left.unsigned_abs())
    }

    /// Follows what is in shards that were gained, and lets go of what is in shards that were lost.
    async fn take_up(&self, before: &Owned, now: &Owned) -> Result<()> {
        {
            let mut state = self.state();
            let state = &mut *state;
            let lost: Vec<i64> = state
                .warm
                .keys()
                .copied()
                .chain(state.throttles.keys().copied())
                .filter(|account| now.get(&shard::of(*account)) != before.get(&shard::of(*account)))
                .collect();
            for account in lost {
                state.leave(account);
            }
        }
        for id in now.keys().filter(|id| before.get(*id) != now.get(*id)) {
            let mut after = 0;
            loop {
                let rows = feeds::of_shard(&self.0.db, *id, after, PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = last.account;
                for row in &rows {
                    self.add(row, false).await?;
                }
            }
        }
        self.state().early.clear();
        Ok(())
    }

    /// Looks for feeds that were made, stopped or started, and for readers that came or went.
    async fn look(&self, looked: &mut i64, owned: &Owned) -> Result<()> {
        self.note_readers();
        let now = self.0.clock.now().micros();
        if *looked == 0 {
            *looked = now;
        }
        // Rows are stamped before they are committed: those of the last seconds are looked at again.
        let since = *looked - OVERLAP;
        let rows = feeds::changed_since(&self.0.db, since, PAGE).await?;
        for row in rows.iter().filter(|row| owned.contains_key(&shard::of(row.account))) {
            let is_new = self.state().schedule.health(key(row.account)).is_none();
            if row.state == FeedState::Stopped || is_new {
                self.add(row, true).await?;
            }
        }
        // There may be more than one page holds: the next look goes on where this one ended. No more rows than
        // half a page are stamped with one moment, so it gets on.
        let full = rows.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        *looked = rows.last().filter(|_| full).map_or(now, |row| row.modified + OVERLAP);
        Ok(())
    }

    fn note_readers(&self) {
        let now = self.now();
        let read: BTreeSet<i64> = self.0.live.feeds().into_keys().collect();
        let mut state = self.state();
        let state = &mut *state;
        for account in read.difference(&state.read) {
            state.schedule.set_readers(key(*account), now, 1);
        }
        for account in state.read.difference(&read) {
            state.schedule.set_readers(key(*account), now, 0);
        }
        state.read = read;
    }

    async fn add(&self, row: &Feed, at_once: bool) -> Result<()> {
        if row.state == FeedState::Stopped {
            self.state().leave(row.account);
            return Ok(());
        }
        let Some(id) = AccountId::new(row.account) else { return Ok(()) };
        let Some(opened) = self.0.lending.directory.open(id).await? else {
            self.state().leave(row.account);
            return Ok(());
        };
        let now = self.now();
        let service = opened.account.service.clone();
        let tenant = format!("{service} {}", opened.row.application);
        let options = &self.0.options;
        let mut state = self.state();
        let all = state.budget("", now, options.rate);
        let of_service = state.budget(&service, now, options.service_rate);
        let of_tenant = state.budget(&tenant, now, f64::INFINITY);
        let spec = Spec {
            class: Class::of(&service),
            budgets: [Some(of_service), Some(of_tenant), Some(all)],
            weight: 1.0,
            cost: 1.0,
        };
        state.throttles.insert(row.account, of_tenant);
        state.schedule.add(key(row.account), now, &spec, row.schedule.as_deref());
        let nudged = state.early.remove(&row.account);
        if at_once || nudged || row.synced.is_none() {
            state.schedule.nudge(key(row.account), now);
        }
        drop(state);
        self.watch(&opened);
        self.0.wake.notify_one();
        Ok(())
    }

    /// Begins to hear of changes in an account, where something tells of them.
    fn watch(&self, opened: &Opened) {
        let Some(connector) = self.connector(&opened.account.service) else { return };
        let id = opened.account.id;
        if self.state().watches.len() >= MAX_WATCHES {
            return;
        }
        let lent = Arc::clone(&self.0.lending.lent);
        let cx = Cx::interactive(Arc::clone(&opened.account), lent, Duration::ZERO);
        let mut watch = match connector.watch(&cx) {
            Ok(Some(watch)) => watch,
            Ok(None) => return,
            Err(error) => {
                tracing::info!(account = id.number(), %error, "changes are found by looking");
                return;
            }
        };
        let feeds = self.clone();
        let task = tokio::spawn(async move {
            let mut hears = true;
            while let Some(heard) = watch.next().await {
                if watch.hears() != hears {
                    hears = watch.hears();
                    let push = if hears { Push::Healthy } else { Push::Off };
                    feeds.state().schedule.set_push(key(id.number()), feeds.now(), push);
                }
                if heard == Heard::Folders(Vec::new()) {
                    continue;
                }
                feeds.state().hear(id.number(), heard);
                feeds.nudge(id, Nudger::Watch);
            }
            feeds.state().schedule.set_push(key(id.number()), feeds.now(), Push::Off);
        });
        let mut state = self.state();
        state.schedule.set_push(key(id.number()), self.now(), Push::Healthy);
        state.watches.insert(id.number(), AbortOnDropHandle::new(task));
        drop(state);
        // It hears of what happens from now on; what happened before is found by looking.
        self.nudge(id, Nudger::Start);
    }

    fn start_polls(&self, polls: &mut JoinSet<()>) {
        while polls.len() < self.0.options.concurrency {
            let Some(poll) = self.state().schedule.due(self.now()) else { return };
            let feeds = self.clone();
            polls.spawn(async move { feeds.poll(poll).await });
        }
    }

    async fn poll(&self, poll: Poll) {
        let Some(id) = i64::try_from(poll.feed).ok().and_then(AccountId::new) else { return };
        let (account, heard, schedule) = {
            let mut state = self.state();
            let state = &mut *state;
            let heard = state.heard.remove(&id.number());
            let schedule = state.schedule.encode(poll.feed).map(|bytes| bytes.to_vec());
            let lending = &self.0.lending;
            let warm = state.warm.entry(id.number()).or_insert_with(|| Warm {
                account: Arc::new(tokio::sync::Mutex::new(Followed::new(id, lending.clone()))),
                polled: poll.at,
            });
            warm.polled = poll.at;
            (Arc::clone(&warm.account), heard, schedule)
        };
        let mut followed = account.lock().await;
        if self.state().repairs.remove(&id.number()) {
            followed.repair();
        }
        let outcome = followed.poll(heard, schedule).await;
        match &outcome {
            Ok(_) => {}
            // A sweep goes on where it was.
            Err(Error::Service(_)) => followed.look_again(),
            Err(_) => followed.forget(),
        }
        drop(followed);
        let unsettled = outcome.as_ref().is_ok_and(|polled| polled.unsettled);
        self.finish(&poll, id, outcome);
        if unsettled {
            self.look_later(id, Nudger::Unsettled);
        }
    }

    fn finish(&self, poll: &Poll, id: AccountId, outcome: Result<Polled>) {
        let now = self.now();
        let look = Look {
            at: self.0.clock.now().micros(),
            reason: poll.reason,
            times: 1,
            requests: outcome.as_ref().map_or(0, |polled| polled.requests),
            seen: outcome.as_ref().map_or(0, |polled| polled.seen),
            events: outcome.as_ref().map_or(0, |polled| polled.events),
            error: outcome.as_ref().err().map(ToString::to_string),
        };
        self.0.trails.looked(id.number(), look);
        let mut state = self.state();
        let state = &mut *state;
        match outcome {
            Ok(polled) => {
                let done = Outcome::Done {
                    changes: if polled.first { 0 } else { polled.events },
                    times: &polled.times,
                    requests: polled.requests.max(1),
                    more: polled.more,
                };
                state.schedule.finish(poll, now, done);
                if let Some(live) = polled.pushed {
                    let push = if live { Push::Healthy } else { Push::Off };
                    state.schedule.set_push(poll.feed, now, push);
                }
            }
            Err(error) => {
                tracing::debug!(account = id.number(), %error, "a poll failed");
                let throttled = match &error {
                    Error::Service(error) if error.kind == Kind::RateLimited => Some(error.retry),
                    _ => None,
                };
                let budget = state.throttles.get(&id.number()).copied();
                let outcome = match (throttled, budget) {
                    (Some(retry), Some(budget)) => Outcome::Throttled {
                        budget,
                        retry_after: match retry {
                            Retry::After(wait) => i64::try_from(wait.as_millis()).unwrap_or(0),
                            Retry::Soon | Retry::Never => 0,
                        },
                    },
                    _ => Outcome::Failed,
                };
                state.schedule.finish(poll, now, outcome);
            }
        }
        if state.warm.len() > MAX_WARM {
            state.cool();
        }
        self.0.wake.notify_one();
    }

    /// Does [`Feeds::upkeep`] now and then until `stop`.
    async fn keep_up(&self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.upkeep().await {
                tracing::warn!(%error, "the upkeep of the activity log failed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_EVERY) => {}
            }
        }
    }

    /// Seals rows into blocks, drops what is past retention, and makes the slices of the log that will be needed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn upkeep(&self) -> Result<()> {
        let now = self.0.clock.now().micros();
        let today = log::slice_of(now);
        for slice in [today, today + 1] {
            log::ensure_slice(&self.0.db, slice, now).await?;
        }
        let owned = Arc::clone(&self.0.owned.borrow());
        for (shard, epoch) in owned.iter() {
            seal::seal(&self.0.db, *shard, *epoch, now).await?;
        }
        let mut tidied = self.0.tidied.lock().await;
        retention::tidy(&self.0.db, self.0.options.days, now, &mut tidied).await?;
        Ok(())
    }
}

impl State {
    fn budget(&mut self, name: &str, now: i64, rate: f64) -> BudgetId {
        if let Some(budget) = self.budgets.get(name) {
            return *budget;
        }
        let budget = self.schedule.open_budget(now, Budget::aim(rate));
        self.budgets.insert(name.to_owned(), budget);
        budget
    }

    /// Lets go of the quarter of the accounts in memory that were polled longest ago.
    fn cool(&mut self) {
        let mut idle: Vec<(i64, i64)> = self
            .warm
            .iter()
            .filter(|(_, warm)| Arc::strong_count(&warm.account) == 1)
            .map(|(account, warm)| (warm.polled, *account))
            .collect();
        idle.sort_unstable();
        for (_, account) in idle.into_iter().take(MAX_WARM / 4) {
            self.warm.remove(&account);
        }
    }

    /// Notes where to look in an account.
    fn hear(&mut self, account: i64, heard: Heard) {
        let known = self.heard.entry(account).or_insert_with(|| Heard::Folders(Vec::new()));
        match (known, heard) {
            (Heard::Everything, _) => {}
            (Heard::Folders(known), Heard::Folders(more)) if known.len() < MAX_HEARD => {
                known.extend(more);
            }
            (known, _) => *known = Heard::Everything,
        }
    }

    fn leave(&mut self, account: i64) {
        self.schedule.remove(key(account));
        self.throttles.remove(&account);
        self.warm.remove(&account);
        self.heard.remove(&account);
        self.watches.remove(&account);
        self.held.close(account);
    }
}

/// The number of an account in the schedule.
pub(crate) fn key(account: i64) -> u64 {
    account.unsigned_abs()
}
