//! The way of services with a cursor: everything listed, at first and to repair a lost cursor.

use std::collections::BTreeSet;

use super::{Machine, Phase, Plan, Suspicion, gone, hash};
use crate::feed::item::{Item, ItemKind};
use crate::feed::known::Known;
use crate::feed::observation::{Observation, Seen};
use crate::snapshot::Error;

/// So many may vanish at once before it is doubted.
pub(super) const MASS: usize = 1_000;
/// The most folders that are waited for.
const MAX_AWAITED: usize = 100_000;
/// The most folders that are listed again after a listing that passed them over.
const MAX_RELIST: usize = 10_000;

impl Machine {
    pub(super) fn listed(
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
        if first && !self.rules.names_by_path {
            self.await_folders(&batch, known)?;
        }
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
            None if first && plan.next.awaited.is_empty() => {
                plan.next.first = false;
                plan.next.relist.clear();
                Phase::Following { cursor }
            }
            None => Phase::Closing { cursor, missing: None, sample: false },
        };
        plan.commit = true;
        Ok(plan)
    }

    /// Notes the folders in which something is shown before they are.
    fn await_folders(&mut self, batch: &[Observation], known: &mut dyn Known) -> Result<(), Error> {
        for one in batch {
            let Seen::There(there) = &one.seen else { continue };
            let Some(folder) = there.parent.as_ref().filter(|key| **key != self.rules.root) else {
                continue;
            };
            if self.awaited.len() < MAX_AWAITED && known.get(folder)?.is_none() {
                self.awaited.insert(folder.clone());
            }
        }
        Ok(())
    }

    /// What the first listing showed in folders that it never showed: they may have gone meanwhile, and what
    /// was in them with them.
    pub(super) fn unplaced(&self, known: &mut dyn Known) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for folder in &self.awaited {
            if known.get(folder)?.is_none() {
                missing.extend(known.children(folder)?.into_iter().map(|(key, _)| key));
            }
        }
        Ok(missing)
    }

    /// What was known and was not shown by the listing; of a folder and what is in it, the folder.
    pub(super) fn unshown(&self, known: &mut dyn Known) -> Result<Vec<String>, Error> {
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
    pub(super) fn closing(
        mut self,
        cursor: String,
        mut missing: Vec<String>,
        known: &mut dyn Known,
    ) -> Result<Plan, Error> {
        if missing.is_empty() {
            self.settled();
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

    /// The listing is over.
    fn settled(&mut self) {
        if self.first {
            self.relist.clear();
        }
        self.first = false;
        self.recovering = false;
        self.shown.clear();
        self.awaited.clear();
    }

    pub(super) fn closed(
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
        plan.next.settled();
        plan.next.phase = Phase::Following { cursor };
        plan.commit = true;
        Ok(plan)
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
