//! The machine of one collection: what to ask of the service next, and what its answer comes to.
//!
//! A machine is a value. [`Machine::ask`] says what to do; [`Machine::plan`] takes the answer and gives a
//! [`Plan`]: events, what to remember, and the machine as it is afterwards. Nothing has happened until the
//! plan is committed, whole, under the shard's fence; then the machine of the plan takes the place of
//! this one. A crash at any point leaves the machine that was committed last, which asks again. What the
//! service tells twice is absorbed by the comparison.
//!
//! Two ways lead through it. A service with a cursor: `Fresh` (take a cursor) → `Listing` (everything that is
//! there, without events the first time) → `Following` (changes after the cursor), and back to `Fresh` when the
//! service forgot the cursor. A service without: `Sweeping` (folder by folder) or `Streaming` (everything in one go) →
//! `Resting`, and again.

mod ending;
mod listing;
mod look;
mod sweeping;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::ending::sampled;
pub use self::look::Room;
use self::look::{Look, Step};
use crate::event::Event;
use crate::feed::compare::{Moment, Orphans, Rules, compare};
use crate::feed::item::{Item, ItemKind};
use crate::feed::kept::{Held, Shown};
use crate::feed::known::Known;
use crate::feed::observation::{Observation, Seen};
use crate::snapshot::Error;

/// The most observations that wait; beyond, they are taken as they are.
const MAX_HELD: usize = 20_000;
/// How long an entry waits for its folder to be shown, in microseconds.
const PATIENCE: i64 = 600_000_000;
/// The most keys that are looked at one by one before they are called gone.
pub const MAX_VERIFIED: usize = 200;
/// How many are looked at when many seem to be gone.
pub const SAMPLE: usize = 50;
/// How long what is gone is not told because it may be what is still being written elsewhere, in microseconds.
const TORN: i64 = 10_000_000;
/// The most folders that are remembered as lively.
const MAX_LIVELY: usize = 64;

/// Where a collection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A cursor must be taken.
    Fresh,
    /// Everything is being listed.
    Listing {
        /// Where to read on.
        at: Option<String>,
        /// The cursor that was taken before.
        cursor: String,
    },
    /// Changes are read.
    Following {
        /// After this.
        cursor: String,
    },
    /// Folders are being listed.
    Sweeping {
        /// Those still to do, the next one last.
        stack: Vec<String>,
        /// Also what is below them.
        deep: bool,
    },
    /// Everything is being listed in one go, depth first.
    Streaming {
        /// Where to read on.
        at: Option<String>,
    },
    /// Everything was listed to repair a lost cursor; what was known and not shown must be looked at.
    Closing {
        /// The cursor to follow from.
        cursor: String,
        /// What was not shown; `None` before that was found out.
        missing: Option<Vec<String>>,
        /// There is too much of it to look at each.
        sample: bool,
    },
    /// All folders were listed.
    Resting,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Take a cursor that stands now.
    Latest,
    /// List a page of everything.
    Listing(Option<String>),
    /// Read what changed after the cursor.
    Changes(String),
    /// List a page of a folder. Services with a cursor: the whole folder.
    Folder {
        /// Its key.
        folder: String,
        /// Where to read on.
        at: Option<String>,
    },
    /// List a page of everything, depth first, folders before what is in them.
    Tree(Option<String>),
    /// Look at these one by one.
    Verify(Vec<String>),
    /// Nothing until the next poll.
    Rest,
}

/// What the service answered.
#[derive(Clone, Debug)]
pub enum Told {
    /// To [`Ask::Latest`].
    Latest(String),
    /// To [`Ask::Listing`].
    Listing {
        /// What is there.
        entries: Vec<Observation>,
        /// Where to read on.
        next: Option<String>,
        /// The cursor at the end, where the listing gives it.
        cursor: Option<String>,
    },
    /// To [`Ask::Changes`].
    Changes {
        /// What was seen.
        observations: Vec<Observation>,
        /// The cursor after it.
        next: String,
        /// Whether more is waiting.
        more: bool,
    },
    /// The service has forgotten the cursor, or the place in a listing.
    Expired,
    /// To [`Ask::Folder`].
    Folder {
        /// What is in it.
        entries: Vec<Observation>,
        /// Where to read on.
        next: Option<String>,
    },
    /// To [`Ask::Tree`].
    Tree {
        /// What is there.
        entries: Vec<Observation>,
        /// Where to read on.
        next: Option<String>,
    },
    /// To [`Ask::Folder`]: there is no such folder (any more).
    NoFolder,
    /// To [`Ask::Verify`]: those that are still there.
    There(BTreeSet<String>),
}

/// What an answer comes to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What happened.
    pub events: Vec<Event>,
    /// What to remember.
    pub writes: Vec<(String, Option<Item>)>,
    /// The machine afterwards.
    pub next: Machine,
    /// Whether committing it is worth a transaction: something must not be forgotten.
    pub commit: bool,
}

/// Why a sweep did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suspicion {
    /// So much seemed to be gone that was there when it was looked at.
    MassDelete,
}

/// One collection on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    rules: Rules,
    phase: Phase,
    /// Nothing was known before: what is found now is the beginning, not news.
    first: bool,
    /// What is found now repairs a lost cursor.
    recovering: bool,
    /// Waits for the end of the run or sweep.
    held: Held,
    /// Since when something waits beyond the end of a run.
    waiting_since: Option<i64>,
    /// Folders to list before anything else.
    relist: Vec<String>,
    /// Folders where something changed, and when.
    lively: BTreeMap<String, i64>,
    /// Files that may be still being written, as they were last seen.
    unsettled: BTreeMap<String, u64>,
    /// Those that were unsettled before the sweep that is under way.
    #[serde(default)]
    settling: BTreeMap<String, u64>,
    /// Since when what is gone waits for what is unsettled.
    #[serde(default)]
    torn_since: Option<i64>,
    /// Folders in which the first listing showed something before it showed them.
    #[serde(default)]
    awaited: BTreeSet<String>,
    /// How many items are known.
    items: u64,
    suspicion: Option<Suspicion>,
    /// The hashes of the keys that the listing has shown. Not kept: a listing that repairs begins again
    /// after a crash.
    #[serde(skip)]
    shown: Shown,
    /// What the look at folders that is under way has gathered.
    #[serde(skip)]
    look: Look,
    #[serde(skip)]
    room: Room,
}

impl Machine {
    /// A collection of which nothing is known.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let phase = if rules.sweeps { sweep(&rules) } else { Phase::Fresh };
        Self {
            phase,
            rules,
            first: true,
            recovering: false,
            held: Held::default(),
            waiting_since: None,
            relist: Vec::new(),
            lively: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            settling: BTreeMap::new(),
            torn_since: None,
            awaited: BTreeSet::new(),
            items: 0,
            suspicion: None,
            shown: Shown::default(),
            look: Look::default(),
            room: Room::default(),
        }
    }

    /// A collection that came to an account which was followed before: what is in it is news.
    #[must_use]
    pub fn arrived(rules: Rules) -> Self {
        Self { first: false, ..Self::new(rules) }
    }

    /// Whether everything was listed once.
    #[must_use]
    pub fn has_listed(&self) -> bool {
        !self.first
    }

    /// The form that is kept. What waits for the end of a sweep is not: the sweep begins again.
    #[must_use]
    pub fn stored(&self) -> Self {
        let mut stored = self.clone();
        if self.rules.sweeps {
            stored.held = Held::default();
        }
        stored
    }

    /// The machine that was committed last. A sweep, and a listing that repairs a lost cursor, begin again,
    /// since what they had shown is not kept.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        if matches!(self.phase, Phase::Sweeping { .. } | Phase::Streaming { .. }) && !self.first {
            self.phase = sweep(&self.rules);
            self.look.thorough = true;
        }
        if let Phase::Listing { at, .. } = &mut self.phase
            && !self.first
        {
            *at = None;
        }
        if let Phase::Closing { cursor, .. } = &self.phase {
            self.phase = Phase::Listing { at: None, cursor: cursor.clone() };
        }
        self
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How the service behaves.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The cursor, when there is one.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.phase {
            Phase::Following { cursor }
            | Phase::Listing { cursor, .. }
            | Phase::Closing { cursor, .. } => Some(cursor),
            _ => None,
        }
    }

    /// Whether everything was listed once.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.first && matches!(self.phase, Phase::Following { .. } | Phase::Resting)
    }

    /// Whether observations wait for what comes next.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many items are known.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Why the last sweep did not count.
    #[must_use]
    pub fn suspicion(&self) -> Option<Suspicion> {
        self.suspicion
    }

    /// Folders where something changed lately, the liveliest first.
    #[must_use]
    pub fn lively(&self) -> Vec<String> {
        let mut lively: Vec<_> = self.lively.iter().collect();
        lively.sort_by_key(|(key, at)| (std::cmp::Reverse(**at), (*key).clone()));
        lively.into_iter().map(|(key, _)| key.clone()).collect()
    }

    /// Whether files wait to be looked at again soon.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Whether what is found is the beginning, of which no events are made.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Whether everything is being looked at.
    #[must_use]
    pub fn is_sweeping(&self) -> bool {
        matches!(self.phase, Phase::Sweeping { deep: true, .. } | Phase::Streaming { .. })
    }

    /// The last key that a listing of everything has shown.
    #[must_use]
    pub fn last_shown(&self) -> Option<&str> {
        self.look.last.as_deref()
    }

    /// Takes how the service is listed from what it can do now.
    pub fn lists(&mut self, rules: &Rules) {
        self.rules.trees = rules.trees;
        self.rules.settle = rules.settle;
        if !rules.trees && matches!(self.phase, Phase::Streaming { .. }) {
            self.phase = sweep(&self.rules);
        }
    }

    /// Sets how much may wait.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Begins a sweep of everything.
    pub fn sweep(&mut self) {
        if self.phase == Phase::Resting {
            self.look = self.look.next(true, false);
            self.phase = sweep(&self.rules);
            // Those that the sweep does not show are gone again.
            self.settling = std::mem::take(&mut self.unsettled);
        }
    }

    /// Begins a round through these folders, and those whose files were still being written. With `thorough`, what
    /// is gone from them without being found elsewhere is told when everything was looked at, and what is new in
    /// them is looked for where it may have come from; without, both are told as they are.
    pub fn visit(&mut self, folders: Vec<String>, thorough: bool) {
        if self.phase == Phase::Resting {
            self.look = self.look.next(thorough, false);
            let mut stack = folders;
            stack.sort();
            stack.dedup();
            stack.reverse();
            self.phase = Phase::Sweeping { stack, deep: false };
        }
    }

    /// What to do next.
    #[must_use]
    pub fn ask(&self) -> Ask {
        if let (Some(folder), Phase::Following { .. }) = (self.relist.first(), &self.phase) {
            return Ask::Folder { folder: folder.clone(), at: None };
        }
        match &self.look.step {
            Step::Listing => {}
            Step::Verifying { keys, .. } => return Ask::Verify(keys.clone()),
            Step::Closing | Step::Tracing(_) | Step::Ending | Step::Telling => {
                return Ask::Verify(Vec::new());
            }
        }
        if let Some(folder) = self.look.again.last() {
            return Ask::Folder { folder: folder.clone(), at: self.look.aside_at.clone() };
        }
        match &self.phase {
            Phase::Fresh => Ask::Latest,
            Phase::Listing { at, .. } => Ask::Listing(at.clone()),
            Phase::Following { cursor } => Ask::Changes(cursor.clone()),
            // With nothing left to list, the end is looked at.
            Phase::Sweeping { stack, .. } => match stack.last() {
                Some(folder) => Ask::Folder { folder: folder.clone(), at: self.look.at.clone() },
                None => Ask::Verify(Vec::new()),
            },
            Phase::Streaming { at } => Ask::Tree(at.clone()),
            Phase::Closing { missing: None, .. } => Ask::Verify(Vec::new()),
            Phase::Closing { missing: Some(missing), sample, .. } => {
                Ask::Verify(sampled(missing, *sample))
            }
            Phase::Resting => Ask::Rest,
        }
    }

    /// What an answer comes to.
    ///
    /// # Errors
    /// [`Error::Missing`]: load these blocks and plan again with the same answer.
    pub fn plan(&self, told: Told, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        let mut next = self.clone();
        match (&self.phase, told) {
            (Phase::Fresh, Told::Latest(cursor)) => {
                next.phase = Phase::Listing { at: None, cursor };
                next.shown.clear();
                Ok(next.nothing(true))
            }
            (Phase::Listing { cursor, .. }, Told::Listing { entries, next: at, cursor: given }) => {
                let cursor = given.unwrap_or_else(|| cursor.clone());
                next.listed(entries, at, cursor, known, now)
            }
            (Phase::Listing { .. } | Phase::Following { .. }, Told::Expired) => {
                next.phase = Phase::Fresh;
                next.recovering = !next.first;
                next.held = Held::default();
                next.relist.clear();
                Ok(next.nothing(true))
            }
            (Phase::Following { .. }, Told::Changes { observations, next: cursor, more }) => {
                next.changed(observations, cursor, more, known, now)
            }
            (Phase::Following { .. }, Told::Folder { entries, .. }) => {
                next.relisted(entries, known, now)
            }
            (Phase::Following { .. }, Told::NoFolder) => {
                // It went again before it could be listed. Should it come back, it is listed then. It may be
                // a folder above that went, and that may be back by then: so that one is looked at, too.
                let folder = next.relist.remove(0);
                let above = known.get(&folder)?.and_then(|item| item.parent);
                let held = std::mem::take(&mut next.held);
                let seen = Seen::Gone { trashed: true, within: None };
                let lost = Observation { key: folder, seen, at: None, by: None, hint: None };
                let mut plan = next.compared(&[lost], true, known, now)?;
                plan.next.held = held;
                plan.commit = true;
                let above = above
                    .filter(|above| *above != self.rules.root && !plan.next.relist.contains(above));
                plan.next.relist.extend(above);
                Ok(plan)
            }
            (Phase::Sweeping { .. } | Phase::Streaming { .. }, told) => {
                next.looked(told, known, now)
            }
            (Phase::Closing { cursor, missing: None, .. }, Told::There(_)) => {
                let missing = if next.first { next.unplaced(known)? } else { next.unshown(known)? };
                next.closing(cursor.clone(), missing, known)
            }
            (Phase::Closing { cursor, missing: Some(missing), sample }, Told::There(there)) => {
                next.closed(cursor.clone(), missing, &there, *sample, known, now)
            }
            // An answer to something that was not asked: ask again.
            _ => Ok(next.nothing(false)),
        }
    }

    /// What an answer comes to while folders are looked at.
    fn looked(mut self, told: Told, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        match (std::mem::take(&mut self.look.step), told) {
            (Step::Listing, Told::Folder { entries, next }) => {
                self.swept(&entries, next, known, now)
            }
            (Step::Listing, Told::Tree { entries, next })
                if matches!(self.phase, Phase::Streaming { .. }) =>
            {
                self.streamed(&entries, next, known, now)
            }
            (Step::Listing, Told::NoFolder) => self.no_folder(known, now),
            (Step::Listing, Told::Expired) => Ok(self.lost_place()),
            (Step::Closing, Told::There(_)) => self.closed_on(known, now),
            (Step::Telling, Told::There(_)) => self.tell_more(known, now),
            (Step::Tracing(trace), Told::There(_)) => self.traced(trace, known, now),
            (Step::Verifying { keys, sample }, Told::There(there)) => {
                self.verified(&keys, &there, sample, known, now)
            }
            (Step::Listing | Step::Ending, Told::There(_)) => {
                let plan = Plan::default_for(&self);
                self.onward(known, now, plan)
            }
            // An answer to something that was not asked: ask again.
            (step, _) => {
                self.look.step = step;
                Ok(self.nothing(false))
            }
        }
    }

    fn nothing(self, commit: bool) -> Plan {
        Plan { events: Vec::new(), writes: Vec::new(), next: self, commit }
    }

    fn count(
        &mut self,
        writes: &[(String, Option<Item>)],
        known: &mut dyn Known,
    ) -> Result<(), Error> {
        for (key, after) in writes {
            let before = known.get(key)?.is_some_and(|item| !item.gone);
            let after = after.as_ref().is_some_and(|item| !item.gone);
            match (before, after) {
                (false, true) => self.items += 1,
                (true, false) => self.items = self.items.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Compares, and notes what the comparison leaves to do.
    fn compared(
        &mut self,
        observations: &[Observation],
        finish: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let named_by_id = !self.rules.names_by_path;
        let overdue = self.waiting_since.is_some_and(|since| (now - since).abs() > PATIENCE);
        let orphans = if self.rules.sweeps || (self.first && named_by_id) {
            Orphans::Take
        } else if overdue {
            Orphans::Drop
        } else {
            Orphans::Wait
        };
        let quiet = self.first && self.rules.sweeps;
        let moment = Moment { now, finish, orphans, recovered: self.recovering, quiet };
        let mut compared = compare(&self.rules, known, observations, moment)?;
        if compared.held.len() > MAX_HELD {
            let through = Moment { finish: true, orphans: Orphans::Take, ..moment };
            compared = compare(&self.rules, known, observations, through)?;
        }
        self.waiting_since = if compared.held.is_empty() || !finish {
            None
        } else {
            self.waiting_since.or(Some(now))
        };
        self.held.push(compared.held);
        for folder in compared.relist {
            if !self.relist.contains(&folder) {
                self.relist.push(folder);
            }
        }
        self.count(&compared.writes, known)?;
        let events = if self.first { Vec::new() } else { compared.events };
        self.note_lively(&compared.writes, now);
        let commit = !events.is_empty() || !compared.writes.is_empty();
        Ok(Plan { events, writes: compared.writes, next: self.clone(), commit })
    }

    fn note_lively(&mut self, writes: &[(String, Option<Item>)], now: i64) {
        if !self.rules.sweeps || self.first {
            return;
        }
        for (_, item) in writes {
            if let Some(parent) = item.as_ref().and_then(|item| item.parent.clone()) {
                self.lively.insert(parent, now);
            }
        }
        while self.lively.len() > MAX_LIVELY {
            let oldest = self.lively.iter().min_by_key(|(key, at)| (**at, (*key).clone()));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.lively.remove(&oldest);
        }
    }

    fn changed(
        mut self,
        observations: Vec<Observation>,
        cursor: String,
        more: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let moved = self.cursor() != Some(cursor.as_str());
        let held = !self.held.is_empty();
        let mut batch = self.held.take();
        batch.extend(observations);
        let mut plan = self.compared(&batch, !more, known, now)?;
        plan.next.phase = Phase::Following { cursor };
        // A cursor that moves although nothing happened is worth no transaction of its own: an older one
        // shows the same again.
        plan.commit |= held || more || (moved && !batch.is_empty());
        Ok(plan)
    }

    fn relisted(
        mut self,
        entries: Vec<Observation>,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let folder = self.relist.remove(0);
        let held = std::mem::take(&mut self.held);
        let mut batch = entries;
        // What is below a folder that came to light came to light with it.
        let folders: Vec<String> = batch
            .iter()
            .filter(|one| matches!(&one.seen, Seen::There(there) if there.kind == ItemKind::Folder))
            .map(|one| one.key.clone())
            .collect();
        let mut fresh = Vec::new();
        for key in folders {
            if known.get(&key)?.is_none_or(|item| item.gone) {
                fresh.push(key);
            }
        }
        batch.push(Observation { key: folder, seen: Seen::Whole, at: None, by: None, hint: None });
        let mut plan = self.compared(&batch, true, known, now)?;
        let waiting: BTreeSet<String> = plan.next.relist.iter().cloned().collect();
        plan.next.relist.extend(fresh.into_iter().filter(|key| !waiting.contains(key)));
        plan.next.held = held;
        plan.commit = true;
        Ok(plan)
    }
}

impl Plan {
    fn default_for(next: &Machine) -> Self {
        Self { events: Vec::new(), writes: Vec::new(), next: next.clone(), commit: false }
    }
}

fn sweep(rules: &Rules) -> Phase {
    if rules.trees {
        return Phase::Streaming { at: None };
    }
    Phase::Sweeping { stack: vec![rules.root.clone()], deep: true }
}

fn gone(key: String) -> Observation {
    let seen = Seen::Gone { trashed: false, within: None };
    Observation { key, seen, at: None, by: None, hint: None }
}

fn hash(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes())
}
