//! The way of services without a cursor: folders listed one by one, what is missing looked at.

use std::collections::BTreeSet;

use super::listing::MASS;
use super::{
    MAX_HELD, MAX_LIVELY, MAX_VERIFIED, Machine, Phase, Plan, SAMPLE, Suspicion, TORN, gone,
};
use crate::feed::item::ItemKind;
use crate::feed::kept::Held;
use crate::feed::known::Known;
use crate::feed::observation::{Observation, Seen};
use crate::snapshot::Error;

impl Machine {
    pub(super) fn pop(&mut self) {
        if let Phase::Sweeping { stack, .. } = &mut self.phase {
            stack.pop();
        }
    }

    pub(super) fn spoil(&mut self) {
        self.held = Held::default();
        self.suspicion = Some(Suspicion::MassDelete);
        self.phase = Phase::Resting;
    }

    /// One folder of a sweep. What is new or missing waits for the end, where moves can be told.
    pub(super) fn swept(
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
    pub(super) fn being_written(&mut self, one: &Observation, now: i64) -> bool {
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
    pub(super) fn ended(
        mut self,
        known: &mut dyn Known,
        now: i64,
        mut plan: Plan,
    ) -> Result<Plan, Error> {
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
    pub(super) fn covered(
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
    pub(super) fn conclude(
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
    pub(super) fn is_torn(
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

    pub(super) fn verified(
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

/// All keys, or some that stand for them.
pub(super) fn sampled(keys: &[String], sample: bool) -> Vec<String> {
    let step = if sample { keys.len().div_ceil(SAMPLE).max(1) } else { 1 };
    keys.iter().step_by(step).cloned().collect()
}
