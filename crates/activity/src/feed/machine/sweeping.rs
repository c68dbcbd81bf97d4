//! The way of services without a cursor: folders listed one by one, or everything in one go, and compared.

use super::look::{Open, Step};
use super::{MAX_HELD, Machine, Phase, Plan, Suspicion, gone, hash};
use crate::feed::item::ItemKind;
use crate::feed::kept::Held;
use crate::feed::known::Known;
use crate::feed::observation::{Observation, Seen};
use crate::snapshot::Error;

/// So many known items are compared in one step.
const STRETCH: usize = 1_024;
/// So many stretches are compared along with the page that shows a folder's end.
const STRETCHES: usize = 4;
/// The most folders that are noticed to be new in a listing of everything without being listed.
const MAX_DEPTH: usize = 512;

/// What a page comes to.
#[derive(Default)]
struct Noticed {
    /// What is known already, and changed.
    now: Vec<Observation>,
    /// What is new: it waits for the end, where moves can be told.
    wait: Vec<Observation>,
    /// Folders to list.
    below: Vec<String>,
}

impl Machine {
    pub(super) fn pop(&mut self) {
        if let Phase::Sweeping { stack, .. } = &mut self.phase {
            stack.pop();
        }
        self.look.open.clear();
        self.look.at = None;
    }

    pub(super) fn spoil(&mut self) {
        self.held = Held::default();
        self.look.doubted.clear();
        self.look = self.look.next(false, false);
        self.suspicion = Some(Suspicion::MassDelete);
        self.phase = Phase::Resting;
    }

    /// A page of a folder of a sweep.
    pub(super) fn swept(
        mut self,
        entries: &[Observation],
        next: Option<String>,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        if let Some(folder) = self.look.again.last().cloned() {
            return self.revisited(&folder, entries, next, known, now);
        }
        let Phase::Sweeping { stack, deep } = &self.phase else { return Ok(self.nothing(false)) };
        let (folder, deep) = (stack.last().cloned().unwrap_or_default(), *deep);
        if !deep {
            self.climb(&folder, known)?;
        }
        let mut open = self.look.open.pop().unwrap_or_else(|| Open::of(&folder));
        let mut noticed = self.noticed(entries, &mut open, deep, known, now)?;
        noticed.below.sort();
        noticed.below.reverse();
        self.pop();
        if let Phase::Sweeping { stack, .. } = &mut self.phase {
            stack.append(&mut noticed.below);
            if next.is_some() {
                stack.push(folder);
            }
        }
        match next {
            Some(next) => {
                self.look.open.push(open);
                self.look.at = Some(next);
            }
            None => self.close(open),
        }
        self.took(noticed, known, now)
    }

    /// A page of a folder that is looked at once more.
    fn revisited(
        mut self,
        folder: &str,
        entries: &[Observation],
        next: Option<String>,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        let mut open = self.look.aside.take().unwrap_or_else(|| Open::of(folder));
        let mut noticed = self.noticed(entries, &mut open, false, known, now)?;
        match &mut self.phase {
            Phase::Sweeping { stack, .. } => {
                // Whatever page the folder on top stands at, it stays there.
                let top = if self.look.at.is_some() { stack.pop() } else { None };
                stack.append(&mut noticed.below);
                stack.extend(top);
            }
            // Where everything is listed in one go, what is in a new folder is shown by the next listing.
            _ => noticed.wait.retain(|one| !is_folder(one)),
        }
        self.look.aside_at.clone_from(&next);
        if next.is_some() {
            self.look.aside = Some(open);
        } else {
            self.look.again.pop();
            self.close(open);
        }
        self.took(noticed, known, now)
    }

    /// A page of a listing of everything: depth first, each folder before what is in it.
    pub(super) fn streamed(
        mut self,
        entries: &[Observation],
        next: Option<String>,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Plan, Error> {
        if self.look.open.is_empty() {
            self.look.open.push(Open::of(&self.rules.root));
        }
        let mut noticed = Noticed::default();
        for one in entries {
            let Seen::There(there) = &one.seen else { continue };
            let parent = there.parent.as_deref().unwrap_or_default();
            let depth = self.look.open.iter().rposition(|open| open.folder == parent);
            match depth {
                Some(depth) => {
                    while self.look.open.len() > depth + 1 {
                        if let Some(open) = self.look.open.pop() {
                            self.close(open);
                        }
                    }
                }
                // The beginning goes on after a crash in folders that were shown before it.
                None if self.first => {}
                // Things changed while they were listed: the next listing shows it where it is.
                None => continue,
            }
            let Some(mut open) = self.look.open.pop() else { continue };
            let page = self.noticed(std::slice::from_ref(one), &mut open, false, known, now)?;
            self.look.open.push(open);
            noticed.now.extend(page.now);
            noticed.wait.extend(page.wait);
            if there.kind == ItemKind::Folder && self.look.open.len() < MAX_DEPTH {
                self.look.open.push(Open::of(&one.key));
            }
        }
        self.look.last = entries.last().map(|one| one.key.clone()).or(self.look.last);
        self.phase = match next {
            Some(at) => Phase::Streaming { at: Some(at) },
            None => {
                while let Some(open) = self.look.open.pop() {
                    self.close(open);
                }
                Phase::Sweeping { stack: Vec::new(), deep: true }
            }
        };
        self.took(noticed, known, now)
    }

    /// A folder of a sweep is not there (any more).
    pub(super) fn no_folder(mut self, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        if let Some(folder) = self.look.again.pop() {
            (self.look.aside, self.look.aside_at) = (None, None);
            // What is in it went with it; what became of it, the folder above shows.
            let below = format!("{folder}/");
            self.look.again.retain(|other| !other.starts_with(&below));
            let above = known.get(&folder)?.and_then(|item| item.parent);
            self.look.again.extend(above.filter(|above| self.look.revisited.insert(above.clone())));
            let plan = Plan::default_for(&self);
            return self.onward(known, now, plan);
        }
        let Phase::Sweeping { stack, .. } = &self.phase else { return Ok(self.nothing(false)) };
        // Its parent's listing says what became of it, in this sweep or in the next one.
        let root_is_gone = stack.last().is_some_and(|key| *key == self.rules.root);
        let visited = match &self.phase {
            Phase::Sweeping { stack, deep: false } => stack.last().cloned(),
            _ => None,
        };
        self.pop();
        if let Some(folder) = visited {
            // Here it may not be: a folder of which something was heard may have gone with those above it.
            self.rise(&folder);
        }
        if root_is_gone {
            self.spoil();
            return Ok(self.nothing(true));
        }
        let plan = Plan::default_for(&self);
        self.onward(known, now, plan)
    }

    /// A folder that is looked at alone, and is not known, may lie in others that are not known either: they are looked
    /// at, too.
    fn climb(&mut self, folder: &str, known: &mut dyn Known) -> Result<(), Error> {
        if self.first || folder == self.rules.root || self.look.at.is_some() {
            return Ok(());
        }
        let waits = self.held.iter().any(|one| one.key == folder);
        if !waits && known.get(folder)?.is_none_or(|item| item.gone) {
            self.rise(folder);
        }
        Ok(())
    }

    /// The folder above one that is looked at alone is looked at, too. Only paths say which that is.
    fn rise(&mut self, folder: &str) {
        let Some((above, _)) = folder.rsplit_once('/').filter(|_| self.rules.path_ids) else {
            return;
        };
        let above = if above.is_empty() { self.rules.root.as_str() } else { above };
        if let Phase::Sweeping { stack, .. } = &mut self.phase
            && !stack.iter().any(|other| other == above)
            && self.look.risen.insert(above.to_owned())
        {
            stack.insert(0, above.to_owned());
        }
    }

    /// The service has forgotten the place in a listing: that listing begins again.
    pub(super) fn lost_place(mut self) -> Plan {
        if self.look.again.is_empty() {
            self.look.at = None;
            self.look.open.clear();
        } else {
            (self.look.aside, self.look.aside_at) = (None, None);
        }
        if let Phase::Streaming { at } = &mut self.phase {
            *at = None;
        }
        self.nothing(false)
    }

    /// What of a page is new, and what has changed.
    fn noticed(
        &mut self,
        entries: &[Observation],
        open: &mut Open,
        deep: bool,
        known: &mut dyn Known,
        now: i64,
    ) -> Result<Noticed, Error> {
        let mut noticed = Noticed::default();
        open.shown.extend(entries.iter().map(|one| hash(&one.key)));
        for one in entries {
            let Seen::There(there) = &one.seen else { continue };
            let before = known.get(&one.key)?.filter(|item| !item.gone);
            let same_kind = before.as_ref().is_some_and(|item| item.kind == there.kind);
            let changed = before.as_ref().is_none_or(|item| item.fingerprint != there.fingerprint);
            if there.kind == ItemKind::Folder && (deep || before.is_none()) {
                noticed.below.push(one.key.clone());
            }
            let writing = there.kind == ItemKind::File && changed && self.being_written(one, now);
            if writing && !self.first {
                continue;
            }
            if before.as_ref().is_some_and(|item| there.item(Some(item)) == *item) {
                continue;
            }
            if same_kind || self.first {
                noticed.now.push(one.clone());
            } else {
                noticed.wait.push(one.clone());
            }
        }
        Ok(noticed)
    }

    /// A folder was listed whole: what was known in it and was not shown is missing.
    fn close(&mut self, open: Open) {
        // At the beginning nothing is known but what this very sweep has shown.
        if !self.first {
            self.look.closing.push(open);
        }
    }

    /// Takes what a page comes to.
    fn took(mut self, noticed: Noticed, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        self.look.count(&noticed.wait);
        self.held.push(noticed.wait);
        self.compare_closing(known)?;
        if noticed.now.is_empty() {
            let plan = Plan::default_for(&self);
            return self.onward(known, now, plan);
        }
        let held = std::mem::take(&mut self.held);
        let mut plan = self.compared(&noticed.now, true, known, now)?;
        plan.next.held = held;
        let next = plan.next.clone();
        next.onward(known, now, plan)
    }

    /// Goes on with the folders that were listed whole.
    pub(super) fn closed_on(mut self, known: &mut dyn Known, now: i64) -> Result<Plan, Error> {
        self.look.step = Step::Listing;
        self.compare_closing(known)?;
        let plan = Plan::default_for(&self);
        self.onward(known, now, plan)
    }

    fn compare_closing(&mut self, known: &mut dyn Known) -> Result<(), Error> {
        for _ in 0..STRETCHES {
            let Some(mut open) = self.look.closing.pop() else { return Ok(()) };
            let stretch = known.inside(&open.folder, open.from.as_deref(), STRETCH)?;
            let missing =
                stretch.items.into_iter().filter(|(key, _)| !open.shown.contains(hash(key)));
            let missing: Vec<Observation> = missing.map(|(key, _)| gone(key)).collect();
            self.look.count(&missing);
            self.held.push(missing);
            if stretch.next.is_some() {
                open.from = stretch.next;
                self.look.closing.push(open);
            }
        }
        Ok(())
    }

    /// Whether a file seems to be still being written: it changed a moment ago, and not as it was last seen.
    fn being_written(&mut self, one: &Observation, now: i64) -> bool {
        let Seen::There(there) = &one.seen else { return false };
        let young = one.at.is_some_and(|at| now.saturating_sub(at) < self.rules.settle);
        let last = [self.unsettled.remove(&one.key), self.settling.remove(&one.key)];
        // Two looks that follow each other at once are one look in this.
        let settled = last.contains(&Some(there.fingerprint)) && !self.look.second;
        if !young || settled || self.unsettled.len() >= MAX_HELD {
            return false;
        }
        self.unsettled.insert(one.key.clone(), there.fingerprint);
        if let Some(parent) = &there.parent {
            self.lively.insert(parent.clone(), now);
        }
        true
    }
}

fn is_folder(one: &Observation) -> bool {
    matches!(&one.seen, Seen::There(there) if there.kind == ItemKind::Folder)
}
