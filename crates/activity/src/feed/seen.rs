//! What a batch of observations comes to: for each key that it touches, what was there and what is there now.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Actor;
use crate::feed::compare::Rules;
use crate::feed::item::{Item, ItemKind};
use crate::feed::known::Known;
use crate::feed::observation::{Hint, Observation, Seen, There};
use crate::metadata::Metadata;
use crate::snapshot::Error;

/// How deep folders may lie: deeper ones are cut off from their root.
pub(super) const MAX_DEPTH: usize = 512;

/// What became of one key.
#[derive(Clone, Debug)]
pub(super) struct Touched {
    /// What was known.
    pub(super) before: Option<Item>,
    /// What is there now.
    pub(super) after: Option<Arc<There>>,
    /// It lies in the trash.
    pub(super) trashed: bool,
    /// It was named itself, not just covered by a folder above.
    pub(super) named: bool,
    /// When in the batch it was touched first.
    pub(super) order: usize,
    pub(super) at: Option<i64>,
    pub(super) by: Option<Actor>,
    pub(super) hint: Option<Hint>,
}

impl Touched {
    /// What was there, trash not counted.
    pub(super) fn was(&self) -> Option<&Item> {
        self.before.as_ref().filter(|item| !item.gone)
    }
}

/// What an observation that names paths comes to.
enum Named {
    /// This, by key.
    Key(Observation),
    /// Nothing that is known.
    Nothing,
    /// Its folder is not known.
    Unplaced,
}

/// The keys that a batch touches.
pub(super) struct Batch<'a> {
    pub(super) rules: Rules,
    pub(super) known: &'a mut dyn Known,
    pub(super) touched: BTreeMap<String, Touched>,
    /// The observations with keys in the place of paths.
    pub(super) told: Vec<Observation>,
    /// Keys of observations whose folder is not known (yet).
    pub(super) unplaced: BTreeSet<String>,
    /// Folders that may have been in the trash for a while, unnoticed.
    pub(super) doubtful: BTreeSet<String>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(rules: Rules, known: &'a mut dyn Known) -> Self {
        Self {
            rules,
            known,
            touched: BTreeMap::new(),
            told: Vec::new(),
            unplaced: BTreeSet::new(),
            doubtful: BTreeSet::new(),
        }
    }

    /// Takes the observations in their order. With `impatient`, also those whose folder is not known.
    pub(super) fn take(
        &mut self,
        observations: &[Observation],
        impatient: bool,
    ) -> Result<(), Error> {
        let mut waiting: Vec<(usize, Observation)> = Vec::new();
        // Where each was shown last: what waits for its folder must not take the place of what came after it.
        let mut placed: BTreeMap<String, usize> = BTreeMap::new();
        for (number, observation) in self.sorted(observations).into_iter().enumerate() {
            match self.take_one(observation, false)? {
                Some(unplaced) => waiting.push((number, unplaced)),
                None if self.rules.names_by_path => {
                    placed.extend(id_of(observation).map(|id| (id.to_owned(), number)));
                }
                None => {}
            }
        }
        waiting.retain(|(number, one)| {
            id_of(one).and_then(|id| placed.get(id)).is_none_or(|last| last < number)
        });
        // A folder may be shown after what is in it.
        let mut before = usize::MAX;
        while !waiting.is_empty() && waiting.len() < before {
            before = waiting.len();
            let mut still = Vec::new();
            for (number, observation) in &waiting {
                still.extend(self.take_one(observation, false)?.map(|one| (*number, one)));
            }
            waiting = still;
        }
        let waiting = waiting.into_iter().map(|(_, one)| one);
        for observation in waiting {
            if impatient {
                self.take_one(&observation, true)?;
            } else {
                self.unplaced.insert(observation.key.clone());
                self.told.push(observation);
            }
        }
        // Only now, since what is in the folder may be shown after it.
        for observation in observations {
            if observation.seen == Seen::Whole {
                for (key, _) in self.known.children(&observation.key)? {
                    let shown = self.touched.get(&key).is_some_and(|one| one.named);
                    if !shown {
                        self.gone(&key, false, Some(observation), 0)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where there are ids, order says nothing: the last observation of each counts, and what is there comes
    /// first, so that what left a folder is out of it before the folder goes.
    fn sorted<'o>(&self, observations: &'o [Observation]) -> Vec<&'o Observation> {
        if self.rules.path_ids || self.rules.names_by_path {
            return observations.iter().collect();
        }
        let mut last = BTreeMap::new();
        for (number, one) in observations.iter().enumerate() {
            if one.seen != Seen::Whole {
                last.insert(one.key.as_str(), number);
            }
        }
        let kept = observations.iter().enumerate().filter(|(number, one)| {
            one.seen == Seen::Whole || last.get(one.key.as_str()) == Some(number)
        });
        let (there, gone): (Vec<_>, Vec<_>) =
            kept.map(|(_, one)| one).partition(|one| matches!(one.seen, Seen::There(_)));
        there.into_iter().chain(gone).collect()
    }

    /// Leaves out what was shown in a folder that is not there: things changed while folders were listed, and
    /// the next sweep will show them where they are.
    pub(super) fn leave_out_lost(&mut self) -> Result<(), Error> {
        loop {
            let mut lost = Vec::new();
            for (key, one) in &self.touched {
                let Some(parent) = one.after.as_ref().and_then(|there| there.parent.as_ref())
                else {
                    continue;
                };
                let folder = match self.touched.get(parent) {
                    _ if *parent == self.rules.root => true,
                    Some(above) => {
                        above.after.as_ref().is_some_and(|one| one.kind == ItemKind::Folder)
                    }
                    None => self
                        .known
                        .get(parent)?
                        .is_some_and(|item| !item.gone && item.kind == ItemKind::Folder),
                };
                if !folder {
                    lost.push(key.clone());
                }
            }
            if lost.is_empty() {
                return Ok(());
            }
            for key in lost {
                if let Some(one) = self.touched.get_mut(&key) {
                    one.after = None;
                }
            }
        }
    }

    /// Takes one observation; gives it back when its folder is not known, unless `impatient`.
    fn take_one(
        &mut self,
        observation: &Observation,
        impatient: bool,
    ) -> Result<Option<Observation>, Error> {
        let named = match self.named_by_key(observation, impatient)? {
            Named::Key(named) => named,
            Named::Nothing => return Ok(None),
            Named::Unplaced => return Ok(Some(observation.clone())),
        };
        match &named.seen {
            Seen::There(there) => self.there(&named, there)?,
            Seen::Gone { trashed, within } => {
                if let Some(folder) = within {
                    self.doubtful.insert(folder.clone());
                }
                self.gone(&named.key, *trashed, Some(&named), 0)?;
            }
            Seen::Whole => {}
        }
        self.told.push(named);
        Ok(None)
    }

    /// The observation with keys in the place of paths.
    fn named_by_key(&mut self, observation: &Observation, impatient: bool) -> Result<Named, Error> {
        let mut named = observation.clone();
        if !self.rules.names_by_path {
            return Ok(Named::Key(named));
        }
        match &mut named.seen {
            Seen::There(there) => {
                let there = Arc::make_mut(there);
                if let Some(path) = there.parent.clone().filter(|path| path.starts_with('/')) {
                    there.parent = self.find(&path)?;
                    if there.parent.is_none() && !impatient {
                        return Ok(Named::Unplaced);
                    }
                }
                named.key.clone_from(&there.id);
                if let Some(parent) = there.parent.clone() {
                    self.make_room(&parent, &there.name.to_lowercase(), &named.key.clone())?;
                }
            }
            Seen::Gone { .. } if named.key.starts_with('/') => {
                let Some(key) = self.find(&observation.key)? else { return Ok(Named::Nothing) };
                named.key = key;
            }
            Seen::Gone { .. } | Seen::Whole => {}
        }
        Ok(Named::Key(named))
    }

    /// A path holds one thing: what was known there is there no longer, whatever became of it.
    fn make_room(&mut self, folder: &str, lower: &str, key: &str) -> Result<(), Error> {
        for other in self.inside_named(folder, lower)? {
            if other != key {
                let seen = Seen::Gone { trashed: false, within: None };
                let gone = Observation { key: other, seen, at: None, by: None, hint: None };
                self.gone(&gone.key, false, Some(&gone), 0)?;
                self.told.push(gone);
            }
        }
        Ok(())
    }

    /// What lies at a path now, as far as this batch knows.
    fn find(&mut self, path: &str) -> Result<Option<String>, Error> {
        let mut at = self.rules.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()).take(MAX_DEPTH) {
            match self.inside_named(&at, name)?.into_iter().next() {
                Some(key) => at = key,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn inside_named(&mut self, folder: &str, lower: &str) -> Result<Vec<String>, Error> {
        let mut found = self.known.named(folder, lower)?;
        found.retain(|key| !self.touched.contains_key(key));
        let seen = self.touched.iter().filter(|(_, one)| {
            one.after.as_ref().is_some_and(|there| {
                there.parent.as_deref() == Some(folder) && there.name.to_lowercase() == lower
            })
        });
        found.extend(seen.map(|(key, _)| key.clone()));
        Ok(found)
    }

    fn touch(&mut self, key: &str) -> Result<&mut Touched, Error> {
        let order = self.touched.len();
        match self.touched.entry(key.to_owned()) {
            Entry::Occupied(one) => Ok(one.into_mut()),
            Entry::Vacant(place) => {
                let before = self.known.get(key)?;
                let after = before.as_ref().filter(|item| !item.gone).map(still);
                Ok(place.insert(Touched {
                    order,
                    before,
                    after,
                    trashed: false,
                    named: false,
                    at: None,
                    by: None,
                    hint: None,
                }))
            }
        }
    }

    fn there(&mut self, observation: &Observation, there: &Arc<There>) -> Result<(), Error> {
        let one = self.touch(&observation.key)?;
        let was_folder = one.after.as_ref().is_some_and(|one| one.kind == ItemKind::Folder);
        if was_folder && there.kind == ItemKind::File {
            // A file in the place of a folder: what was in the folder went with it.
            self.gone(&observation.key, false, None, 0)?;
        }
        let one = self.touch(&observation.key)?;
        let kept = one.after.as_ref().and_then(|one| one.sharing);
        let mut there = Arc::clone(there);
        if there.sharing.is_none() && kept.is_some() {
            Arc::make_mut(&mut there).sharing = kept;
        }
        one.after = Some(there);
        one.trashed = false;
        one.tell(observation);
        Ok(())
    }

    fn gone(
        &mut self,
        key: &str,
        trashed: bool,
        by: Option<&Observation>,
        depth: usize,
    ) -> Result<(), Error> {
        let one = self.touch(key)?;
        let folder = one.after.as_ref().is_none_or(|one| one.kind == ItemKind::Folder);
        one.after = None;
        one.trashed = trashed && depth == 0;
        if let Some(observation) = by.filter(|_| depth == 0) {
            one.tell(observation);
        }
        if folder && depth < MAX_DEPTH {
            for child in self.inside(key)? {
                self.gone(&child, false, by, depth + 1)?;
            }
        }
        Ok(())
    }

    /// What is in a folder now, as far as this batch knows.
    fn inside(&mut self, folder: &str) -> Result<Vec<String>, Error> {
        let mut found: Vec<String> = Vec::new();
        for (key, _) in self.known.children(folder)? {
            if !self.touched.contains_key(&key) {
                found.push(key);
            }
        }
        let seen = self.touched.iter().filter(|(_, one)| {
            one.after.as_ref().is_some_and(|there| there.parent.as_deref() == Some(folder))
        });
        // Where there are ids, what was shown in a folder that is gone has a place of its own: the service
        // will say where. A path below a path that is gone is gone.
        let all = self.rules.path_ids || self.rules.names_by_path;
        found.extend(seen.filter(|(_, one)| all || !one.named).map(|(key, _)| key.clone()));
        Ok(found)
    }
}

impl Touched {
    fn tell(&mut self, observation: &Observation) {
        self.named = true;
        self.at = observation.at.or(self.at);
        self.by = observation.by.clone().or_else(|| self.by.take());
        self.hint = observation.hint.or(self.hint);
    }
}

/// The id of what an observation shows.
fn id_of(observation: &Observation) -> Option<&str> {
    match &observation.seen {
        Seen::There(there) => Some(there.id.as_str()),
        Seen::Gone { .. } | Seen::Whole => None,
    }
}

/// A known item as an observation that shows it unchanged.
fn still(item: &Item) -> Arc<There> {
    Arc::new(There {
        kind: item.kind,
        id: item.id.clone(),
        parent: item.parent.clone(),
        name: item.name.clone(),
        path: None,
        fingerprint: item.fingerprint,
        strong: item.strong,
        size: item.size,
        sharing: Some(item.sharing),
        old: false,
        entry: Metadata::default(),
    })
}
