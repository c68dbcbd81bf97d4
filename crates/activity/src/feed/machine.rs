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
//! service forgot the cursor. A service without: `Sweeping` (folder by folder) → `Resting`, and again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

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
/// So many may vanish at once before it is doubted.
const MASS: usize = 1_000;
/// The most folders that are listed again after a listing that passed them over.
const MAX_RELIST: usize = 10_000;
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
    /// Folders were listed; what seems to be gone must be looked at.
    Verifying {
        /// The keys to look at.
        keys: Vec<String>,
        /// These stand for many more: one that is there spoils the sweep.
        sample: bool,
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
    /// List a folder, completely.
    Folder(String),
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
    /// To [`Ask::Changes`] or [`Ask::Listing`]: the service has forgotten the cursor.
    Expired,
    /// To [`Ask::Folder`]: all that is in it.
    Folder(Vec<Observation>),
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
    /// How many items are known.
    items: u64,
    suspicion: Option<Suspicion>,
    /// The hashes of the keys that the listing has shown. Not kept: a listing that repairs begins again
    /// after a crash.
    #[serde(skip)]
    shown: Shown,
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
            items: 0,
            suspicion: None,
            shown: Shown::default(),
        }
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
        if matches!(self.phase, Phase::Sweeping { .. } | Phase::Verifying { .. }) && !self.first {
            self.phase = sweep(&self.rules);
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

    /// Begins a sweep of everything.
    pub fn sweep(&mut self) {
        if self.phase == Phase::Resting {
            self.phase = sweep(&self.rules);
            // Those that the sweep does not show are gone again.
            self.settling = std::mem::take(&mut self.unsettled);
        }
    }

    /// Begins a round through these folders, and those whose files were still being written.
    pub fn visit(&mut self, folders: Vec<String>) {
        if self.phase == Phase::Resting {
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
            return Ask::Folder(folder.clone());
        }
        match &self.phase {
            Phase::Fresh => Ask::Latest,
            Phase::Listing { at, .. } => Ask::Listing(at.clone()),
            Phase::Following { cursor } => Ask::Changes(cursor.clone()),
            // With nothing left to list, the end is looked at.
            Phase::Sweeping { stack, .. } => stack
                .last()
                .map_or_else(|| Ask::Verify(Vec::new()), |folder| Ask::Folder(folder.clone())),
            Phase::Verifying { keys, .. } => Ask::Verify(keys.clone()),
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
            (Phase::Following { .. }, Told::Folder(entries)) => next.relisted(entries, known, now),
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
            (Phase::Sweeping { .. }, Told::Folder(entries)) => next.swept(&entries, known, now),
            (Phase::Sweeping { stack, .. }, Told::NoFolder) => {
                // Its parent's listing says what became of it, in this sweep or in the next one.
                let root_is_gone = stack.last().is_some_and(|key| *key == self.rules.root);
                next.pop();
                if root_is_gone {
                    next.spoil();
                    return Ok(next.nothing(true));
                }
                let plan = Plan::default_for(&next);
                next.ended(known, now, plan)
            }
            (Phase::Sweeping { stack, .. }, Told::There(_)) if stack.is_empty() => {
                let plan = Plan::default_for(&next);
                next.ended(known, now, plan)
            }
            (Phase::Closing { cursor, missing: None, .. }, Told::There(_)) => {
                let missing = next.unshown(known)?;
                next.closing(cursor.clone(), missing, known)
            }
            (Phase::Closing { cursor, missing: Some(missing), sample }, Told::There(there)) => {
                next.closed(cursor.clone(), missing, &there, *sample, known, now)
            }
            (Phase::Verifying { sample, .. }, Told::There(there)) => {
                next.verified(&there, *sample, known, now)
            }
            // An answer to something that was not asked: ask again.
            _ => Ok(next.nothing(false)),
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
        let moment = Moment { now, finish, orphans, recovered: self.recovering };
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

    fn listed(
        mut self,
        entries: Vec<Observation>,
        at: Option<String>,
        cursor: String,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let last = at.is_none();
        if !self.first {
            let by_path = self.rules.names_by_path;
            self.shown.extend(entries.iter().filter_map(|one| match &one.seen {
                Seen::There(there) if by_path => Some(hash(&there.id)),
                Seen::There(_) => Some(hash(&one.key)),
                Seen::Gone { .. } | Seen::Whole => None,
            }));
        }
        let mut batch = self.held.take();
        batch.extend(entries);
        let first = self.first;
        // The first time there is no order to keep, so nothing waits.
        let mut plan = self.compared(&batch, last, known, now)?;
        if self.rules.names_by_path && moves_folders(&plan.writes, known)? {
            // A folder moved while everything was listed: what was in it was shown under its old path, and what
            // became of it will be told by paths that nobody knows. It is listed again.
            plan.next.shown.clear();
            plan.next.phase = Phase::Listing { at: None, cursor };
            plan.commit = true;
            return Ok(plan);
        }
        plan.next.phase = match at {
            Some(_) => Phase::Listing { at, cursor },
            None if first => {
                plan.next.first = false;
                plan.next.relist.clear();
                Phase::Following { cursor }
            }
            None => Phase::Closing { cursor, missing: None, sample: false },
        };
        plan.commit = true;
        Ok(plan)
    }

    /// What was known and was not shown by the listing; of a folder and what is in it, the folder.
    fn unshown(&self, known: &mut dyn Known) -> Result<Vec<String>, Error> {
        let mut queue = vec![self.rules.root.clone()];
        let (mut met, mut missing) = (BTreeSet::new(), Vec::new());
        while let Some(folder) = queue.pop() {
            for (key, item) in known.children(&folder)? {
                if !met.insert(hash(&key)) {
                    continue;
                }
                if !self.shown.contains(hash(&key)) {
                    missing.push(key);
                } else if item.kind == ItemKind::Folder {
                    queue.push(key);
                }
            }
        }
        Ok(missing)
    }

    /// Looks at what is missing, and at the folders that it was in: a listing that was made while things
    /// changed may have passed it over.
    fn closing(
        mut self,
        cursor: String,
        mut missing: Vec<String>,
        known: &mut dyn Known,
    ) -> Result<Plan, Error> {
        if missing.is_empty() {
            self.recovering = false;
            self.shown.clear();
            self.phase = Phase::Following { cursor };
            return Ok(self.nothing(true));
        }
        let many = MASS.max(usize::try_from(self.items / 5).unwrap_or(usize::MAX));
        let sample = self.covered(&missing, known, many)? > many;
        if !sample {
            for key in missing.clone() {
                let folder = known.get(&key)?.and_then(|item| item.parent);
                missing.extend(folder.filter(|folder| *folder != self.rules.root));
            }
            missing.sort();
            missing.dedup();
        }
        self.phase = Phase::Closing { cursor, missing: Some(missing), sample };
        Ok(self.nothing(false))
    }

    fn closed(
        mut self,
        cursor: String,
        missing: &[String],
        there: &BTreeSet<String>,
        sample: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let doubtful = sample && !there.is_empty();
        let lost = missing.iter().filter(|key| !doubtful && !there.contains(*key));
        // A folder that went meanwhile may come back: it is remembered, so that it is listed then.
        let lost: Vec<_> = lost
            .map(|key| Observation {
                seen: Seen::Gone { trashed: true, within: None },
                ..gone(key.clone())
            })
            .collect();
        // The listing passed over a folder that is there, so it did not show what is in it either.
        let mut passed: Vec<String> =
            missing.iter().filter(|key| there.contains(*key)).cloned().collect();
        while let Some(key) = passed.pop() {
            let folder = known.get(&key)?.is_some_and(|item| item.kind == ItemKind::Folder);
            if folder && !self.relist.contains(&key) && self.relist.len() < MAX_RELIST {
                passed.extend(known.children(&key)?.into_iter().map(|(key, _)| key));
                self.relist.push(key);
            }
        }
        let held = std::mem::take(&mut self.held);
        let mut plan = self.compared(&lost, true, known, now)?;
        plan.next.held = held;
        plan.next.suspicion = doubtful.then_some(Suspicion::MassDelete);
        plan.next.recovering = false;
        plan.next.shown.clear();
        plan.next.phase = Phase::Following { cursor };
        plan.commit = true;
        Ok(plan)
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

    fn pop(&mut self) {
        if let Phase::Sweeping { stack, .. } = &mut self.phase {
            stack.pop();
        }
    }

    fn spoil(&mut self) {
        self.held = Held::default();
        self.suspicion = Some(Suspicion::MassDelete);
        self.phase = Phase::Resting;
    }

    /// One folder of a sweep. What is new or missing waits for the end, where moves can be told.
    fn swept(
        mut self,
        entries: &[Observation],
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let Phase::Sweeping { stack, deep } = &self.phase else { return Ok(self.nothing(false)) };
        let (folder, deep) = (stack.last().cloned().unwrap_or_default(), *deep);
        let mut now_known = Vec::new();
        let mut shown = BTreeSet::new();
        let (mut below, mut wait) = (Vec::new(), Vec::new());
        for one in entries {
            let Seen::There(there) = &one.seen else { continue };
            shown.insert(one.key.clone());
            let before = known.get(&one.key)?.filter(|item| !item.gone);
            let same_kind = before.as_ref().is_some_and(|item| item.kind == there.kind);
            let changed = before.as_ref().is_none_or(|item| item.fingerprint != there.fingerprint);
            if there.kind == ItemKind::Folder && (deep || before.is_none()) {
                below.push(one.key.clone());
            }
            let writing = there.kind == ItemKind::File && changed && self.being_written(one, now);
            if writing && !self.first {
                continue;
            }
            if same_kind || self.first {
                now_known.push(one.clone());
            } else {
                wait.push(one.clone());
            }
        }
        for (key, _) in known.children(&folder)? {
            if !shown.contains(&key) {
                wait.push(gone(key));
            }
        }
        self.held.push(wait);
        self.pop();
        if let Phase::Sweeping { stack, .. } = &mut self.phase {
            below.sort();
            below.reverse();
            stack.extend(below);
        }
        let held = std::mem::take(&mut self.held);
        let mut plan = self.compared(&now_known, true, known, now)?;
        plan.next.held = held;
        let next = plan.next.clone();
        next.ended(known, now, plan)
    }

    /// Whether a file seems to be still being written: it changed a moment ago, and not as it was last seen.
    fn being_written(&mut self, one: &Observation, now: i64) -> bool {
        let Seen::There(there) = &one.seen else { return false };
        let young = one.at.is_some_and(|at| now.saturating_sub(at) < self.rules.settle);
        let last = [self.unsettled.remove(&one.key), self.settling.remove(&one.key)];
        if !young || last.contains(&Some(there.fingerprint)) {
            return false;
        }
        if self.unsettled.len() >= MAX_HELD {
            return false;
        }
        self.unsettled.insert(one.key.clone(), there.fingerprint);
        if let Some(parent) = &there.parent {
            self.lively.insert(parent.clone(), now);
        }
        true
    }

    /// The end of a sweep, if it is the end: what waited is looked at, then taken.
    fn ended(mut self, known: &mut dyn Known, now: i64, mut plan: Plan) -> Result<Plan, Error> {
        let done = matches!(&self.phase, Phase::Sweeping { stack, .. } if stack.is_empty());
        if !done && self.held.len() <= MAX_HELD {
            plan.next = self;
            plan.commit |= plan.next.first;
            return Ok(plan);
        }
        if !plan.writes.is_empty() {
            // What the last folder brought is written before the end is looked at.
            plan.next = self;
            return Ok(plan);
        }
        let missing: Vec<String> = self
            .held
            .iter()
            .filter(|one| matches!(one.seen, Seen::Gone { .. }))
            .map(|one| one.key.clone())
            .collect();
        if !missing.is_empty() && done {
            let many = MASS.max(usize::try_from(self.items / 5).unwrap_or(usize::MAX));
            let covered = self.covered(&missing, known, many)?;
            let sample = covered > many || missing.len() > MAX_VERIFIED;
            let keys = sampled(&missing, sample);
            self.phase = Phase::Verifying { keys, sample };
            plan.next = self;
            return Ok(plan);
        }
        self.conclude(known, now, done, plan)
    }

    /// How many items would go with these, counted to a little beyond `enough`.
    fn covered(
        &self,
        keys: &[String],
        known: &mut dyn Known,
        enough: usize,
    ) -> Result<usize, Error> {
        let (mut queue, mut count) = (keys.to_vec(), 0);
        while let Some(key) = queue.pop() {
            count += 1;
            if count > enough {
                break;
            }
            queue.extend(known.children(&key)?.into_iter().map(|(key, _)| key));
        }
        Ok(count)
    }

    /// Takes what waited.
    fn conclude(
        mut self,
        known: &mut dyn Known,
        now: i64,
        done: bool,
        plan: Plan,
    ) -> Result<Plan, Error> {
        let mut batch = self.held.take();
        if !done {
            // Too much is new to wait for the end. What is missing waits on: it may turn up yet.
            let (missing, new) =
                batch.into_iter().partition(|one| matches!(one.seen, Seen::Gone { .. }));
            self.held.push(missing);
            batch = new;
        }
        let missing = self.held.clone();
        let mut last = self.compared(&batch, true, known, now)?;
        last.next.held = missing;
        if done {
            last.next.phase = Phase::Resting;
            last.next.first = false;
            last.next.suspicion = None;
        }
        last.commit |= plan.commit || (done && self.first);
        Ok(last)
    }

    /// Whether what is gone may be what is still being written elsewhere: a move that was looked at too early
    /// and would be told as a deletion and, later, an addition. Their folders are looked at again soon.
    fn is_torn(
        &mut self,
        held: &[Observation],
        known: &mut dyn Known,
        now: i64,
    ) -> Result<bool, Error> {
        let gone = held.iter().filter(|one| matches!(one.seen, Seen::Gone { .. }));
        let gone: Vec<&Observation> = gone.collect();
        let mut is_new = false;
        for key in self.unsettled.keys() {
            is_new |= known.get(key)?.is_none_or(|item| item.gone);
        }
        let since = self.torn_since.unwrap_or(now);
        if gone.is_empty() || !is_new || (now - since).abs() > TORN {
            return Ok(false);
        }
        self.torn_since = Some(since);
        for one in gone.iter().take(MAX_LIVELY) {
            if let Some(parent) = known.get(&one.key)?.and_then(|item| item.parent) {
                self.lively.insert(parent, now);
            }
        }
        Ok(true)
    }

    fn verified(
        mut self,
        there: &BTreeSet<String>,
        sample: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        if sample && !there.is_empty() {
            self.spoil();
            return Ok(self.nothing(true));
        }
        let mut held = self.held.take();
        held.retain(|one| !(matches!(one.seen, Seen::Gone { .. }) && there.contains(&one.key)));
        if !self.first && self.is_torn(&held, known, now)? {
            // Nothing of it is told: the next look finds it again, with the other half.
            self.phase = Phase::Resting;
            return Ok(self.nothing(false));
        }
        self.torn_since = None;
        self.held.push(held);
        self.phase = Phase::Sweeping { stack: Vec::new(), deep: false };
        let plan = Plan::default_for(&self);
        self.conclude(known, now, true, plan)
    }
}

impl Plan {
    fn default_for(next: &Machine) -> Self {
        Self { events: Vec::new(), writes: Vec::new(), next: next.clone(), commit: false }
    }
}

/// Whether a folder that is known gets another place or name.
fn moves_folders(writes: &[(String, Option<Item>)], known: &mut dyn Known) -> Result<bool, Error> {
    for (key, item) in writes {
        let Some(item) = item.as_ref().filter(|item| item.kind == ItemKind::Folder) else {
            continue;
        };
        let before = known.get(key)?.filter(|before| !before.gone);
        if before.is_some_and(|before| before.parent != item.parent || before.name != item.name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All keys, or some that stand for them.
fn sampled(keys: &[String], sample: bool) -> Vec<String> {
    let step = if sample { keys.len().div_ceil(SAMPLE).max(1) } else { 1 };
    keys.iter().step_by(step).cloned().collect()
}

fn sweep(rules: &Rules) -> Phase {
    Phase::Sweeping { stack: vec![rules.root.clone()], deep: true }
}

fn gone(key: String) -> Observation {
    let seen = Seen::Gone { trashed: false, within: None };
    Observation { key, seen, at: None, by: None, hint: None }
}

fn hash(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes())
}
