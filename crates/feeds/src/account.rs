//! One account that is followed: its collections, and one poll of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tramontane_accounts::Directory;
use tramontane_activity::feed::{Ask, Phase, Told};
use tramontane_connector::changes::Heard;
use tramontane_connector::push::Reach;
use tramontane_connector::{Connector, Cx, Lent, Registry};
use tramontane_model::AccountId;
use tramontane_store::accounts::CredentialState;
use tramontane_store::{Db, feeds};

use crate::arrivals;
use crate::collection::Kept;
use crate::error::{Error, Result};
use crate::following::Watched;
use crate::held::Waiting;
use crate::push::{Channels, Pushing};
use crate::source::Source;
use crate::writer::Writing;

/// The most questions of one poll; what is left is asked in the next one, which follows at once.
const MAX_STEPS: usize = 2_000;
/// How often a service is asked which collections there are, although it did not say that they changed.
const LOOK_EVERY: Duration = Duration::from_secs(1_800);
/// How long it is known whether the service's own JSON is wanted.
const RAW_KEPT: Duration = Duration::from_secs(60);
/// How long one question may take.
const STEP: Duration = Duration::from_secs(90);
/// A sweep of everything takes at most this share of the time: one part in so many.
const SHARE: u32 = 20;
/// The most folders that wait to be looked at; beyond, everything is.
const MAX_HEARD: usize = 10_000;
/// The least time between two sweeps of everything.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Where a sweep takes no longer than this, what a look at some folders finds gone is told when a sweep has not found
/// it elsewhere.
const QUICK: Duration = Duration::from_secs(30);
/// And where sweeps that follow such looks take at most this share of the time: one part in so many and one.
const QUICK_SHARE: u32 = 3;
/// The most time between two sweeps of everything.
const SWEEP_WITHIN: Duration = Duration::from_secs(3_600);

/// What following an account is lent.
#[derive(Clone)]
pub(crate) struct Lending {
    pub(crate) db: Db,
    pub(crate) directory: Directory,
    pub(crate) registry: Registry,
    pub(crate) lent: Arc<dyn Lent>,
    pub(crate) writing: Writing,
    pub(crate) pushing: Pushing,
    /// Counts the changes of subscriptions that this process made.
    pub(crate) subscriptions: watch::Receiver<u64>,
}

/// What a poll came to.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    /// Events that it wrote.
    pub(crate) events: u32,
    /// When they happened, as the service says, in milliseconds.
    pub(crate) times: Vec<i64>,
    /// Requests that it made.
    pub(crate) requests: u32,
    /// What the service told: entries and changes.
    pub(crate) seen: u32,
    /// Files may be still being written: they are looked at again soon.
    pub(crate) unsettled: bool,
    /// It was cut short: there is more.
    pub(crate) more: bool,
    /// Whether all collections are pushed; `None` where the service has no channels.
    pub(crate) pushed: Option<bool>,
    /// Everything was listed for the first time: no changes, whatever was found.
    pub(crate) first: bool,
}

struct One {
    source: Source,
    kept: Kept,
    swept: Option<(Instant, Duration)>,
    /// Since when everything is being looked at.
    since: Option<Instant>,
    /// What was heard of while something else was being looked at.
    heard: Option<Heard>,
}

/// An account at work.
pub(crate) struct Followed {
    id: AccountId,
    lending: Lending,
    collections: Option<BTreeMap<String, One>>,
    /// The collections may have changed.
    look: bool,
    /// When the service was asked for them last.
    looked: Option<Instant>,
    /// Whether a subscription wants the service's own JSON, when that was looked up, and after how many changes.
    raw: Option<(bool, Instant, u64)>,
    synced: i64,
    channels: Channels,
}

impl Followed {
    pub(crate) fn new(id: AccountId, lending: Lending) -> Self {
        Self {
            id,
            lending,
            collections: None,
            look: true,
            looked: None,
            raw: None,
            synced: 0,
            channels: Channels::default(),
        }
    }

    /// Forgets what is in memory: it may not be what was committed.
    pub(crate) fn forget(&mut self) {
        self.collections = None;
        self.look = true;
    }

    /// The service failed: what is in memory is what was committed, but there may be other collections by now.
    pub(crate) fn look_again(&mut self) {
        self.look = true;
    }

    /// The service asks to look after the channels.
    pub(crate) fn repair(&mut self) {
        self.channels.repair = true;
    }

    /// The cursors of the collections that are followed.
    pub(crate) fn cursors(&self) -> Vec<String> {
        self.settled().map(|(_, cursor)| cursor.to_owned()).collect()
    }

    fn settled(&self) -> impl Iterator<Item = (&One, &str)> {
        let all = self.collections.iter().flatten().map(|(_, one)| one);
        all.filter_map(|one| {
            let machine = &one.kept.machine;
            machine.cursor().filter(|_| machine.is_settled()).map(|cursor| (one, cursor))
        })
    }

    /// What a long poll at the service needs; `None` before the account was read.
    ///
    /// # Errors
    /// [`Error::Off`] when the account cannot be read; those of the database.
    pub(crate) async fn waiting(&self) -> Result<Option<Waiting>> {
        if self.collections.is_none() {
            return Ok(None);
        }
        let (connector, cx) = self.open().await?;
        let changes = connector.changes().ok_or(Error::Off)?;
        if !changes.facts(&cx.account).waits {
            return Err(Error::Off);
        }
        let cursors = self
            .settled()
            .map(|(one, cursor)| (one.source.collection().clone(), cursor.to_owned()));
        Ok(Some(Waiting { cursors: cursors.collect(), changes, cx }))
    }

    /// Whether a subscription wants the service's own JSON. It is looked up once a minute, and when this process
    /// changed one.
    async fn wants_raw(&mut self) -> Result<bool> {
        let changes = *self.lending.subscriptions.borrow();
        if let Some((raw, at, of)) = self.raw
            && at.elapsed() < RAW_KEPT
            && of == changes
        {
            return Ok(raw);
        }
        let rows = feeds::subscriptions(&self.lending.db, self.id.number()).await?;
        let raw = rows.iter().any(|row| row.active && Watched::of(row).raw);
        self.raw = Some((raw, Instant::now(), changes));
        Ok(raw)
    }

    /// The account's connector, and the context of calls.
    async fn open(&self) -> Result<(Arc<dyn Connector>, Cx)> {
        let opened = self.lending.directory.open(self.id).await?.ok_or(Error::Lost)?;
        if !opened.row.active || opened.row.credential_state == CredentialState::Dead {
            return Err(Error::Off);
        }
        let connector = self.lending.registry.get(&opened.account.service).ok_or(Error::Off)?;
        let lent = Arc::clone(&self.lending.lent);
        let cx = Cx::interactive(opened.account.clone(), lent, STEP).background(STEP);
        Ok((Arc::clone(connector), cx))
    }

    /// Reads what changed since the last poll and writes it. `heard`: where to look, for services without a
    /// cursor. `schedule` is kept with whatever is written.
    ///
    /// # Errors
    /// The service's, the database's, [`Error::Lost`]. After an error, [`Followed::forget`].
    pub(crate) async fn poll(
        &mut self,
        heard: Option<Heard>,
        schedule: Option<Vec<u8>>,
    ) -> Result<Polled> {
        let (connector, mut cx) = self.open().await?;
        cx.raw = self.wants_raw().await?;
        let mut polled = Polled::default();
        self.load(connector.as_ref(), &cx, &mut polled).await?;
        let ids: Vec<String> =
            self.collections.iter().flatten().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.advance(&id, &cx, heard.as_ref(), schedule.as_ref(), &mut polled).await?;
        }
        let mut all = self.collections.iter().flatten();
        polled.unsettled = all.any(|(_, one)| one.kept.machine.is_unsettled());
        // Collections that came or went are looked at in the next poll, which follows at once.
        polled.more |= self.look;
        self.synced = cx.now().micros();
        self.keep_channels(connector.as_ref(), &cx, &mut polled).await?;
        Ok(polled)
    }

    /// Sees to the channels of what is followed by a cursor.
    async fn keep_channels(
        &mut self,
        connector: &dyn Connector,
        cx: &Cx,
        polled: &mut Polled,
    ) -> Result<()> {
        let has = connector.changes().is_some_and(|changes| {
            changes.push().is_some_and(|push| push.reach() == Reach::Channel)
        });
        if !has || self.lending.pushing.base.is_none() {
            return Ok(());
        }
        let mut all = true;
        for one in self.collections.iter().flatten().map(|(_, one)| one) {
            let (true, Some(cursor)) = (one.kept.machine.is_settled(), one.kept.machine.cursor())
            else {
                all = false;
                continue;
            };
            let (db, pushing, of) =
                (&self.lending.db, &self.lending.pushing, one.source.collection());
            let cx = cx.within(STEP);
            all &= self.channels.keep(db, pushing, connector, &cx, of, cursor).await?;
        }
        polled.pushed = Some(all);
        Ok(())
    }

    /// Loads the collections, and asks the service which there are when that may have changed.
    async fn load(
        &mut self,
        connector: &dyn Connector,
        cx: &Cx,
        polled: &mut Polled,
    ) -> Result<()> {
        let overdue = self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if self.collections.is_some() && !self.look && !(overdue && connector.changes().is_some()) {
            return Ok(());
        }
        let mut there = match connector.changes() {
            Some(changes) => {
                polled.requests += 1;
                changes.collections(cx).await?.into_iter().map(Some).collect()
            }
            None => vec![None],
        };
        there.truncate(1_000);
        let mut before = self.collections.take().unwrap_or_default();
        let mut rows: BTreeMap<String, feeds::Collection> = BTreeMap::new();
        if before.is_empty() {
            if self.synced == 0 {
                let feed = feeds::find(&self.lending.db, self.id.number()).await?;
                self.synced = feed.and_then(|feed| feed.synced).unwrap_or(0);
            }
            let stored = feeds::collections(&self.lending.db, self.id.number()).await?;
            rows.extend(stored.into_iter().map(|row| (row.id.clone(), row)));
        }
        let was_known = !before.is_empty() || !rows.is_empty();
        let (mut now, mut new) = (BTreeMap::new(), Vec::new());
        for collection in there {
            let source = Source::of(connector, cx, collection)?;
            let id = source.collection().id.clone();
            let one = match before.remove(&id) {
                Some(one) => one,
                None => {
                    let row = rows.remove(&id);
                    if row.is_none() {
                        new.push(id.clone());
                    }
                    let kept = Kept::new(self.lending.db.clone(), self.id.number(), row, &source)?;
                    One { source, kept, swept: None, since: None, heard: None }
                }
            };
            now.insert(id, one);
        }
        let gone = before.into_values().filter_map(|one| one.kept.row().cloned());
        let gone: Vec<feeds::Collection> = gone.chain(rows.into_values()).collect();
        // Those of the beginning are noted together, so that one that comes later is known to have come.
        if connector.changes().is_some() && (!new.is_empty() || !gone.is_empty()) {
            self.note(&mut now, &new, gone, was_known, cx, polled).await?;
        }
        self.collections = Some(now);
        self.looked = Some(Instant::now());
        self.look = false;
        Ok(())
    }

    /// Writes which collections came and went, with their events: what was there from the beginning is no news.
    async fn note(
        &self,
        all: &mut BTreeMap<String, One>,
        new: &[String],
        gone: Vec<feeds::Collection>,
        was_known: bool,
        cx: &Cx,
        polled: &mut Polled,
    ) -> Result<()> {
        let now = cx.now().micros();
        let (mut events, mut writes) = (Vec::new(), Vec::new());
        for row in &gone {
            events.push(arrivals::left(&row.root, row.name.as_deref(), now));
        }
        for id in new {
            let Some(one) = all.get_mut(id) else { continue };
            polled.requests += 1;
            let root = one.source.root(&cx.within(STEP)).await?;
            let mut plan = one.kept.begin(was_known, &root.name);
            if was_known {
                plan.events.push(arrivals::came(&root, now));
            }
            let mut written = one.kept.writes(plan, &one.source, now).await?;
            events.append(&mut written.events);
            writes.push((id, written));
        }
        polled.events += u32::try_from(events.len()).unwrap_or(0);
        let account = self.id.number();
        let gone = gone.into_iter().map(|row| row.id).collect();
        let collections = writes.iter().map(|(_, written)| written.collection.clone()).collect();
        self.lending.writing.write(account, events, collections, gone, None).await?;
        for (id, written) in writes {
            if let Some(one) = all.get_mut(id) {
                one.kept.committed(&written)?;
            }
        }
        Ok(())
    }

    /// Brings one collection up to date.
    async fn advance(
        &mut self,
        id: &str,
        cx: &Cx,
        heard: Option<&Heard>,
        schedule: Option<&Vec<u8>>,
        polled: &mut Polled,
    ) -> Result<()> {
        let synced = self.synced;
        let Some(one) = self.collections.as_mut().and_then(|all| all.get_mut(id)) else {
            return Ok(());
        };
        one.begin(heard);
        for _ in 0..MAX_STEPS {
            if one.kept.machine.is_sweeping() {
                one.since.get_or_insert_with(Instant::now);
            }
            let ask = one.kept.machine.ask();
            if ask == Ask::Rest {
                if let Some(since) = one.since.take() {
                    one.swept = Some((Instant::now(), since.elapsed()));
                }
                polled.more |= one.heard.is_some();
                return Ok(());
            }
            let bare = one.kept.machine.is_first() && one.kept.machine.rules().sweeps;
            let items = one.kept.items(&ask, &one.source).await?;
            // Where nothing is to be looked at, nobody is asked: the machine goes on by itself.
            polled.requests += u32::from(ask != Ask::Verify(Vec::new()));
            let answer = one.source.answer(&cx.within(STEP), &ask, &items, synced, bare).await?;
            self.look |= answer.collections;
            let more = match &answer.told {
                Told::Changes { more, .. } => *more,
                _ => true,
            };
            polled.seen = polled.seen.saturating_add(seen(&answer.told));
            let now = cx.now().micros();
            let plan = one.kept.plan(answer.told, &one.source, now).await?;
            if plan.commit {
                let first = !one.kept.machine.is_settled() && plan.events.is_empty();
                polled.first |= first;
                let events = u32::try_from(plan.events.len()).unwrap_or(u32::MAX);
                polled.events = polled.events.saturating_add(events);
                let times = plan.events.iter().filter_map(|event| event.happened);
                polled.times.extend(times.map(|at| at / 1_000).take(1_000));
                let mut writes = one.kept.writes(plan, &one.source, now).await?;
                let events = std::mem::take(&mut writes.events);
                let account = self.id.number();
                let collections = vec![writes.collection.clone()];
                let schedule = schedule.cloned();
                self.lending
                    .writing
                    .write(account, events, collections, Vec::new(), schedule)
                    .await?;
                one.kept.committed(&writes)?;
            } else {
                one.kept.machine = plan.next;
            }
            let waits_for_more = matches!(one.kept.machine.ask(), Ask::Changes(_));
            if !more && waits_for_more {
                return Ok(());
            }
        }
        polled.more = true;
        Ok(())
    }
}

/// How much a service told.
fn seen(told: &Told) -> u32 {
    let count = match told {
        Told::Listing { entries, .. }
        | Told::Folder { entries, .. }
        | Told::Tree { entries, .. } => entries.len(),
        Told::Changes { observations, .. } => observations.len(),
        Told::Latest(_) | Told::Expired | Told::NoFolder | Told::There(_) => 0,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl One {
    /// Decides what a poll of a service without a cursor looks at.
    fn begin(&mut self, heard: Option<&Heard>) {
        self.heard = match (self.heard.take(), heard.cloned()) {
            (Some(Heard::Folders(mut known)), Some(Heard::Folders(more)))
                if known.len() + more.len() <= MAX_HEARD =>
            {
                known.extend(more);
                Some(Heard::Folders(known))
            }
            (None, one) | (one, None) => one,
            (Some(_), Some(_)) => Some(Heard::Everything),
        };
        if *self.kept.machine.phase() != Phase::Resting {
            return;
        }
        let heard = self.heard.take();
        let due = self.swept.is_none_or(|(ended, took)| {
            ended.elapsed() >= (took * SHARE).clamp(SWEEP_EVERY, SWEEP_WITHIN)
        });
        let (mut visit, everything) = match heard {
            Some(Heard::Folders(folders)) => (folders, false),
            Some(Heard::Everything) => (Vec::new(), true),
            None => (Vec::new(), false),
        };
        // What happened before this process listened was heard by nobody.
        if self.swept.is_none() || everything || (due && visit.is_empty()) {
            self.kept.machine.sweep();
            return;
        }
        if visit.is_empty() || self.kept.machine.is_unsettled() {
            visit.extend(self.kept.machine.lively());
        }
        visit.push(self.kept.machine.rules().root.clone());
        // Where changes are heard as they happen, both ends of a move are heard of.
        let hears = self.kept.machine.rules().settle == 0;
        let quick = self
            .swept
            .is_some_and(|(ended, took)| took <= QUICK && ended.elapsed() >= took * QUICK_SHARE);
        self.kept.machine.visit(visit, quick && !hears);
    }
}
