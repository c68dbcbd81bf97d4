//! The end of a look at folders: where what is new came from, whether what is missing is gone, and what of it is told.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::MASS;
use super::look::{Look, Step, Trace};
use super::{MAX_LIVELY, MAX_VERIFIED, Machine, Phase, Plan, SAMPLE, TORN, gone, hash, sweep};
use crate::feed::compare::moves;
use crate::feed::item::{Item, ItemKind};
use crate::feed::kept::Held;
use crate::feed::known::Known;
use crate::feed::observation::{Observation, Seen};
use crate::snapshot::Error;

/// So many known items are searched in one step.
const SEARCHED: usize = 4_096;
/// The most folders that are looked at once more because something new may come from there.
const MAX_SUSPECTS: usize = 32;
/// No more items are counted to say that many would go.
const COUNTED: usize = 20_000;

impl Machine {
    /// What follows a step of a look: the next page, or the end of it, or of a part of it when too much waits.
    pub(super) fn onward(
        mut self,
        known: &mut dyn Known,
        now: i64,
        mut plan: Plan,
    ) -> Result<Plan, Error> {
        let listed = matches!(&self.phase, Phase::Sweeping { stack, .. } if stack.is_empty());
        let full = self.look.new > self.room.new || self.look.gone > self.room.gone;
        let end = self.look.again.is_empty() && (listed || full);
        self.look.step = if !self.look.closing.is_empty() {
            Step::Closing
        } else if end {
            Step::Ending
        } else {
            Step::Listing
        };
        if self.look.step != Step::Ending || !plan.writes.is_empty() {
            // What the last page brought is written before the end is looked at.
            plan.commit |= self.first;
            plan.next = self;
            return Ok(plan);
        }
        if self.look.thorough && !self.look.traced && !self.first && self.rules.path_ids {
            self.look.traced = true;
            let trace = Trace::of(&self.held);
            if !trace.is_idle() {
                self.look.step = Step::Tracing(trace);
                plan.next = self;
                return Ok(plan);
            }
        }
        self.choose(listed, known)?;
        let missing: Vec<String> = gone_of(self.look.telling.iter()).cloned().collect();
        if missing.is_empty() {
            return self.conclude(known, now, listed, plan);
        }
        let many = MASS.max(usize::try_from(self.items / 5).unwrap_or(usize::MAX)).min(COUNTED);
        let covered = self.covered(&missing, known, many)?;
        let sample = covered > many || missing.len() > MAX_VERIFIED;
        let mut keys = sampled(&missing, sample);
        if !sample {
            keys.extend(self.left(&missing, known)?);
        }
        self.look.step = Step::Verifying { keys, sample };
        plan.next = self;
        Ok(plan)
    }

    /// Searches a stretch of what is known for what is new.
    pub(super) fn traced(
        mut self,
        mut trace: Trace,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let stretch = known.all(trace.from.as_deref(), SEARCHED)?;
        for (key, item) in &stretch.items {
            trace.take(key, item);
        }
        trace.from = stretch.next;
        if trace.from.is_some() && trace.suspects.len() < MAX_SUSPECTS {
            self.look.step = Step::Tracing(trace);
            return Ok(self.nothing(false));
        }
        let mut again: Vec<String> = trace.suspects.into_iter().take(MAX_SUSPECTS).collect();
        // The outermost first: should it be gone, what is in it need not be looked at.
        again.sort_by_key(|key| std::cmp::Reverse((key.matches('/').count(), key.clone())));
        self.look.revisited.extend(again.iter().cloned());
        self.look.again = again;
        let plan = Plan::default_for(&self);
        self.onward(known, now, plan)
    }

    /// Decides what of all that waits is told now: what is new, what is gone and is known to be elsewhere, and what
    /// is gone in the second look. The rest is doubted, or waits on.
    fn choose(&mut self, listed: bool, known: &mut dyn Known) -> Result<(), Error> {
        let batch = self.held.take();
        (self.look.new, self.look.gone) = (0, 0);
        self.look.telling = Held::default();
        let (lost, new): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|one| matches!(one.seen, Seen::Gone { .. }));
        let mut moved = BTreeMap::new();
        if self.rules.path_ids && !lost.is_empty() {
            let both: Vec<Observation> = lost.iter().chain(&new).cloned().collect();
            moved = moves(&self.rules, known, &both)?;
        }
        let new = self.put_off(new, &moved, known)?;
        if !self.look.thorough && listed {
            self.look.telling.push(lost);
            self.look.telling.push(new);
            return Ok(());
        }
        // Too much is gone to wait for the end with it.
        let brimming = lost.len() > self.room.gone;
        let (mut told, mut wait, mut doubts) = (Vec::new(), Vec::new(), Vec::new());
        for one in lost {
            let agreed = !self.look.thorough || self.look.doubted.contains(hash(&one.key));
            if moved.contains_key(&one.key) || (agreed && (listed || brimming)) {
                told.push(one);
                continue;
            }
            // What moved out of it is told all the same.
            let (from, to) = (format!("{}/", one.key), format!("{}0", one.key));
            told.extend(moved.range(from..to).map(|(key, _)| gone(key.clone())));
            if listed || brimming {
                doubts.push(hash(&one.key));
            } else {
                wait.push(one);
            }
        }
        self.look.doubts.extend(doubts.into_iter());
        self.look.count(&wait);
        self.held.push(wait);
        self.look.telling.push(told);
        self.look.telling.push(new);
        Ok(())
    }

    /// Where folders are new, the folders that something is missing from: one that was shown before it moved away
    /// seems to have been emptied.
    fn left(&self, missing: &[String], known: &mut dyn Known) -> Result<BTreeSet<String>, Error> {
        let mut left = BTreeSet::new();
        let is_new = |one: &Observation| match &one.seen {
            Seen::There(there) => there.kind == ItemKind::Folder,
            Seen::Gone { .. } | Seen::Whole => false,
        };
        if self.look.telling.iter().any(is_new) {
            for key in missing {
                let folder = known.get(key)?.and_then(|item| item.parent);
                left.extend(folder.filter(|folder| {
                    *folder != self.rules.root && !self.look.emptied.contains(folder)
                }));
            }
            missing.iter().for_each(|key| {
                left.remove(key);
            });
        }
        Ok(left)
    }

    /// Puts off the new files that nothing else has to do with; gives the rest.
    fn put_off(
        &mut self,
        new: Vec<Observation>,
        moved: &BTreeMap<String, String>,
        known: &mut dyn Known,
    ) -> Result<Vec<Observation>, Error> {
        if new.len() <= self.room.told {
            return Ok(new);
        }
        let ends: BTreeSet<&String> = moved.values().collect();
        let (mut now, mut later) = (Vec::new(), BTreeMap::new());
        for one in new {
            let file = matches!(&one.seen, Seen::There(there) if there.kind == ItemKind::File);
            if file && !ends.contains(&one.key) && known.get(&one.key)?.is_none() {
                later.insert(one.key.clone(), one);
            } else {
                now.push(one);
            }
        }
        let mut piece = Vec::new();
        for one in later.into_values() {
            piece.push(one);
            if piece.len() >= self.room.told {
                self.look.later.push(std::mem::take(&mut piece));
            }
        }
        self.look.later.push(piece);
        Ok(now)
    }

    /// Tells some more of what is new.
    pub(super) fn tell_more(mut self, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        let piece = self.look.later.first().unwrap_or_default();
        let wait = std::mem::take(&mut self.held);
        let mut plan = self.compared(&piece, true, known, now)?;
        plan.next.held = wait;
        plan.next.told();
        Ok(plan)
    }

    /// How many items would go with these, counted to a little beyond `enough`.
    pub(super) fn covered(
        &self,
        keys: &[String],
        known: &mut dyn Known,
        enough: usize,
    ) -> Result<usize, Error> {
        let mut queue: Vec<(String, Option<Vec<u8>>)> =
            keys.iter().map(|key| (key.clone(), None)).collect();
        let mut count = queue.len();
        while let Some((key, from)) = queue.pop() {
            if count > enough {
                break;
            }
            let stretch = known.inside(&key, from.as_deref(), SEARCHED)?;
            if let Some(next) = stretch.next {
                queue.push((key, Some(next)));
            }
            count += stretch.items.len();
            let folders = stretch.items.into_iter();
            queue.extend(folders.filter(|(_, item)| is_folder(item)).map(|(key, _)| (key, None)));
        }
        Ok(count)
    }

    /// Tells what was chosen.
    fn conclude(
        mut self,
        known: &mut dyn Known,
        now: i64,
        listed: bool,
        plan: Plan,
    ) -> Result<Plan, Error> {
        let telling = self.look.telling.take();
        let wait = std::mem::take(&mut self.held);
        let mut last = self.compared(&telling, true, known, now)?;
        let next = &mut last.next;
        next.held = wait;
        next.told();
        last.commit |= plan.commit || (listed && self.first);
        Ok(last)
    }

    /// Something was told: the rest of it is next, or the next page, or the look is over.
    fn told(&mut self) {
        if !self.look.later.is_empty() {
            self.look.step = Step::Telling;
            return;
        }
        self.look.step = Step::Listing;
        self.look.traced = false;
        self.look.revisited.clear();
        self.look.emptied.clear();
        if matches!(&self.phase, Phase::Sweeping { stack, .. } if stack.is_empty()) {
            self.first = false;
            self.suspicion = None;
            self.rest();
        }
    }

    /// The look is over. What was gone in it alone is looked for once more, now or with the next one.
    fn rest(&mut self) {
        let Look { thorough, second, .. } = self.look;
        self.held = Held::default();
        self.look.doubted = std::mem::take(&mut self.look.doubts);
        if thorough && !second && !self.look.doubted.is_empty() {
            self.phase = sweep(&self.rules);
            self.look = self.look.next(true, true);
        } else {
            self.phase = Phase::Resting;
            self.look = self.look.next(false, false);
        }
    }

    /// Whether what is gone may be what is still being written elsewhere: a move that was looked at too early
    /// and would be told as a deletion and, later, an addition. Their folders are looked at again soon.
    fn is_torn(
        &mut self,
        telling: &[Observation],
        known: &mut dyn Known,
        now: i64,
    ) -> Result<bool, Error> {
        let gone: Vec<&String> = gone_of(telling.iter()).collect();
        let mut is_new = false;
        for key in self.unsettled.keys() {
            is_new |= known.get(key)?.is_none_or(|item| item.gone);
        }
        let since = self.torn_since.unwrap_or(now);
        if gone.is_empty() || !is_new || (now - since).abs() > TORN {
            return Ok(false);
        }
        self.torn_since = Some(since);
        for key in gone.into_iter().take(MAX_LIVELY) {
            if let Some(parent) = known.get(key)?.and_then(|item| item.parent) {
                self.lively.insert(parent, now);
            }
        }
        Ok(true)
    }

    pub(super) fn verified(
        mut self,
        keys: &[String],
        there: &BTreeSet<String>,
        sample: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        if sample && !there.is_empty() {
            self.spoil();
            return Ok(self.nothing(true));
        }
        let listed = matches!(&self.phase, Phase::Sweeping { stack, .. } if stack.is_empty());
        let mut telling = self.look.telling.take();
        telling.retain(|one| !(matches!(one.seen, Seen::Gone { .. }) && there.contains(&one.key)));
        if !sample {
            let missing: BTreeSet<&String> = gone_of(telling.iter()).collect();
            let lost = keys.iter().filter(|key| !there.contains(*key) && !missing.contains(key));
            let lost: Vec<Observation> = lost.map(|key| gone(key.clone())).collect();
            if !lost.is_empty() {
                // The folder itself has gone: with it, it is another story.
                self.look.emptied.extend(lost.iter().map(|one| one.key.clone()));
                telling.extend(lost);
                self.look.count(&telling);
                self.held.push(telling);
                let plan = Plan::default_for(&self);
                return self.onward(known, now, plan);
            }
        }
        if !self.first && listed && self.is_torn(&telling, known, now)? {
            // Nothing of it is told: the next look finds it again, with the other half.
            self.held = Held::default();
            self.phase = Phase::Resting;
            self.look = self.look.next(false, false);
            return Ok(self.nothing(false));
        }
        if listed {
            self.torn_since = None;
        }
        self.look.telling.push(telling);
        let plan = Plan::default_for(&self);
        self.conclude(known, now, listed, plan)
    }
}

fn gone_of<'o>(
    observations: impl Iterator<Item = &'o Observation>,
) -> impl Iterator<Item = &'o String> {
    observations.filter(|one| matches!(one.seen, Seen::Gone { .. })).map(|one| &one.key)
}

fn is_folder(item: &Item) -> bool {
    item.kind == ItemKind::Folder
}

/// All keys, or some that stand for them.
pub(super) fn sampled(keys: &[String], sample: bool) -> Vec<String> {
    let step = if sample { keys.len().div_ceil(SAMPLE).max(1) } else { 1 };
    keys.iter().step_by(step).cloned().collect()
}
