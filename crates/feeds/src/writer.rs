//! The writer: takes what collections have to write, and commits as much of it together as has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tramontane_activity::segment::{Group, encode};
use tramontane_activity::{Event, Metadata};
use tramontane_model::Clock;
use tramontane_store::announcements::Announcement;
use tramontane_store::log::{self, Append, CollectionWrite, Commit, Committed, FeedWrite};
use tramontane_store::{Db, feeds};

use crate::error::{Error, Result};
use crate::following::Watched;
use crate::live::Live;
use crate::owner::Owned;
use crate::shard;

/// So much may wait to be written.
const QUEUE: usize = 1_024;
/// How long the memory of an account's subscriptions is good, in microseconds.
const HEADS_KEPT: i64 = 10_000_000;
/// So many accounts are remembered.
const MAX_HEADS: usize = 100_000;
/// So many jobs are committed together.
const GROUP: usize = 256;

/// What one account has to write.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) account: i64,
    pub(crate) events: Vec<Event>,
    pub(crate) collections: Vec<CollectionWrite>,
    pub(crate) gone: Vec<String>,
    pub(crate) schedule: Option<Vec<u8>>,
    /// Announcements that the events are of.
    pub(crate) taken: Vec<Announcement>,
    done: oneshot::Sender<Result<()>>,
}

/// The door to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writing(mpsc::Sender<Job>);

impl Writing {
    /// Writes, and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Lost`] when the shard is not owned any more or the account is gone; the database's.
    pub(crate) async fn write(
        &self,
        account: i64,
        events: Vec<Event>,
        collections: Vec<CollectionWrite>,
        gone: Vec<String>,
        schedule: Option<Vec<u8>>,
    ) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let taken = Vec::new();
        let job = Job { account, events, collections, gone, schedule, taken, done };
        self.send(job, answer).await
    }

    /// Writes what was announced, and waits until it is durable.
    ///
    /// # Errors
    /// As [`Writing::write`]; [`Error::Lost`] also when it was taken before.
    pub(crate) async fn announce(
        &self,
        account: i64,
        events: Vec<Event>,
        taken: Vec<Announcement>,
    ) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let (collections, gone) = (Vec::new(), Vec::new());
        let job = Job { account, events, collections, gone, schedule: None, taken, done };
        self.send(job, answer).await
    }

    async fn send(&self, job: Job, answer: oneshot::Receiver<Result<()>>) -> Result<()> {
        self.0.send(job).await.map_err(|_| Error::Lost)?;
        answer.await.map_err(|_| Error::Lost)?
    }
}

/// Commits.
pub(crate) struct Writer {
    db: Db,
    clock: Arc<dyn Clock>,
    live: Live,
    owned: watch::Receiver<Owned>,
    jobs: mpsc::Receiver<Job>,
    /// The heads of the feeds of accounts that were written lately. Those of other processes' making are
    /// seen when the memory of an account is older than [`HEADS_KEPT`].
    heads: BTreeMap<i64, Heads>,
    subscriptions: watch::Receiver<u64>,
    /// The slice that was written last, and the feeds that are noted in it.
    slice: i64,
    noted: BTreeSet<i64>,
}

#[derive(Clone, Debug)]
struct Heads {
    read: i64,
    heads: Vec<Head>,
}

#[derive(Clone, Debug)]
struct Head {
    feed: i64,
    head: i64,
    watched: Watched,
}

impl Writer {
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        live: Live,
        owned: watch::Receiver<Owned>,
        subscriptions: watch::Receiver<u64>,
    ) -> (Self, Writing) {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let writer = Self {
            db,
            clock,
            live,
            owned,
            jobs,
            heads: BTreeMap::new(),
            subscriptions,
            slice: 0,
            noted: BTreeSet::new(),
        };
        (writer, Writing(sender))
    }

    /// Works until nobody holds the door any more.
    pub(crate) async fn run(mut self) {
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.recv_many(&mut jobs, GROUP).await > 0 {
            let mut group: Vec<Job> = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                // Two jobs of one account build on each other: the second goes into a commit of its own.
                if group.iter().any(|other| other.account == job.account) {
                    self.write_together(std::mem::take(&mut group)).await;
                }
                group.push(job);
            }
            self.write_together(group).await;
        }
    }

    async fn write_together(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        match self.commit(&group).await {
            Ok(true) => {
                for job in group {
                    let _ = job.done.send(Ok(()));
                }
            }
            // One of them cannot be written: find out which.
            Ok(false) => {
                for job in group {
                    self.write_alone(job).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, jobs = group.len(), "a commit of the activity log failed");
                let mut error = Some(error);
                for job in group {
                    let error = error.take().unwrap_or(Error::Lost);
                    let _ = job.done.send(Err(error));
                }
                self.heads.clear();
            }
        }
    }

    /// Writes one job; once more with what the database says, should the memory of it be old.
    async fn write_alone(&mut self, job: Job) {
        let account = job.account;
        let group = [job];
        let mut outcome = Err(Error::Lost);
        for _ in 0..2 {
            self.heads.remove(&account);
            outcome = match self.commit(&group).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Error::Lost),
                Err(error) => Err(error),
            };
            if !matches!(outcome, Err(Error::Lost)) {
                break;
            }
        }
        let [job] = group;
        let _ = job.done.send(outcome);
    }

    /// Commits a group. `false` when some of it is not what the database has.
    async fn commit(&mut self, group: &[Job]) -> Result<bool> {
        let now = self.clock.now().micros();
        let slice = log::slice_of(now).max(self.slice);
        if slice != self.slice {
            log::ensure_slice(&self.db, slice, now).await?;
            self.slice = slice;
            self.noted.clear();
        }
        let owned = Arc::clone(&self.owned.borrow());
        let mut commits: BTreeMap<i64, Commit> = BTreeMap::new();
        let mut grown: Vec<Head> = Vec::new();
        for job in group {
            let id = shard::of(job.account);
            let Some(epoch) = owned.get(&id) else { return Ok(false) };
            let heads = self.heads(job.account, now).await?;
            let commit = commits.entry(id).or_insert_with(|| Commit {
                shard: id,
                epoch: *epoch,
                slice,
                now,
                ..Commit::default()
            });
            for head in heads.iter().filter(|_| !job.events.is_empty()) {
                let wanted = job.events.iter().filter(|event| head.watched.has(event));
                let wanted: Vec<&Event> = wanted.collect();
                if wanted.is_empty() {
                    continue;
                }
                let plain: Vec<Event>;
                let wanted = if !head.watched.raw && wanted.iter().any(|event| has_raw(event)) {
                    plain = wanted.into_iter().map(without_raw).collect();
                    plain.iter().collect()
                } else {
                    wanted
                };
                let group = Group::of(head.feed, head.head + 1, &wanted)?;
                let events = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
                commit.appends.push(Append {
                    feed: head.feed,
                    head: head.head,
                    events,
                    body: encode(&[group]),
                    opens: !self.noted.contains(&head.feed),
                });
                grown.push(Head { head: head.head + events, ..head.clone() });
            }
            commit.collections.extend(job.collections.iter().cloned());
            commit.gone.extend(job.gone.iter().map(|id| (job.account, id.clone())));
            if job.taken.is_empty() {
                commit.feeds.push(FeedWrite {
                    account: job.account,
                    schedule: job.schedule.clone(),
                    synced: now,
                });
            }
            commit.taken.extend(job.taken.iter().cloned());
        }
        let commits: Vec<Commit> = commits.into_values().collect();
        let outcomes = log::commit_all(&self.db, &commits).await?;
        if outcomes.iter().any(|outcome| !matches!(outcome, Committed::At(_))) {
            return Ok(false);
        }
        self.noted.extend(grown.iter().map(|head| head.feed));
        for job in group {
            let known = self.heads.get_mut(&job.account);
            for head in known.into_iter().flat_map(|known| &mut known.heads) {
                if let Some(now) = grown.iter().find(|one| one.feed == head.feed) {
                    head.head = now.head;
                }
            }
        }
        for (commit, outcome) in commits.iter().zip(outcomes) {
            if let Committed::At(first) = outcome {
                self.live.committed(commit, first);
            }
        }
        Ok(true)
    }

    async fn heads(&mut self, account: i64, now: i64) -> Result<Vec<Head>> {
        let changed = self.subscriptions.has_changed().unwrap_or(false);
        if changed || self.heads.len() > MAX_HEADS {
            self.subscriptions.mark_unchanged();
            self.heads.clear();
        }
        if let Some(known) = self.heads.get(&account)
            && (now - known.read).abs() < HEADS_KEPT
        {
            return Ok(known.heads.clone());
        }
        let rows = feeds::subscriptions(&self.db, account).await?;
        let active = rows.into_iter().filter(|row| row.active);
        let heads: Vec<Head> = active
            .map(|row| Head { feed: row.feed, head: row.head, watched: Watched::of(&row) })
            .collect();
        self.heads.insert(account, Heads { read: now, heads: heads.clone() });
        Ok(heads)
    }
}

/// The event without the service's own JSON of its object.
fn without_raw(event: &Event) -> Event {
    let mut event = event.clone();
    if has_raw(&event)
        && let Ok(mut members) = event.entry.read::<serde_json::Map<String, serde_json::Value>>()
        && members.remove("raw").is_some()
    {
        event.entry = Metadata::of(&members);
    }
    event
}

/// Whether the event may carry the service's own JSON. A name cannot look like it: its quotes are escaped.
fn has_raw(event: &Event) -> bool {
    event.entry.text().contains("\"raw\":{")
}
