//! The comparison: observations against what was known, and the events that explain the difference.
//!
//! What a reader of the events can rely on: replayed in order over what was there, they give what is there
//! now. A folder's deletion or move covers what is in it; a folder that comes back is followed by events for
//! what is in it. An entry's folder is there before the entry, and a folder is deleted after what was moved
//! out of it. Observations that show nothing new give no event, so doubles and replays vanish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Action, Before, Category, Event, Object, PERMISSIONS};
use crate::feed::item::{Item, ItemKind};
use crate::feed::known::Known;
use crate::feed::matching;
use crate::feed::observation::{Hint, Observation, Seen, There};
use crate::feed::order::{Operation, ordered};
use crate::feed::seen::{Batch, MAX_DEPTH, Touched};
use crate::metadata::Metadata;
use crate::snapshot::Error;

/// How a collection's service behaves where services differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// There is no cursor: folders are listed, one by one.
    pub sweeps: bool,
    /// A file that changed less than so many microseconds ago may be still being written (sweeps only).
    pub settle: i64,
    /// There are no ids but paths: keys and ids change with every rename and move.
    pub path_ids: bool,
    /// There are ids, but observations name folders and what is gone by path, in lower case. Such a name
    /// begins with `/`.
    pub names_by_path: bool,
    /// A folder that moves or comes back is told without what is in it.
    pub silent_below: bool,
    /// A rename or move may come as "gone" and "there" on different pages.
    pub splits_moves: bool,
    /// Everything can be listed in one go, depth first (sweeps only).
    #[serde(default)]
    pub trees: bool,
    /// The key of the collection's root.
    pub root: String,
    /// The service's id of the root.
    pub root_id: String,
}

/// What becomes of entries whose folder has not been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They wait for it.
    Wait,
    /// They are taken without it.
    Take,
    /// They are left out: it has been gone for long, or never was in sight. Should it be shown, they are
    /// shown with it.
    Drop,
}

/// When a comparison happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now, in microseconds.
    pub now: i64,
    /// Nothing more is waiting at the service: what is gone is gone.
    pub finish: bool,
    /// What becomes of entries whose folder has not been shown.
    pub orphans: Orphans,
    /// The observations repair a lost cursor.
    pub recovered: bool,
    /// Nobody wants to know what happened, only what there is now: no events.
    pub quiet: bool,
}

/// What a comparison comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// What happened, in an order that can be replayed.
    pub events: Vec<Event>,
    /// What to remember; `None` forgets.
    pub writes: Vec<(String, Option<Item>)>,
    /// Observations that wait for the end of the run.
    pub held: Vec<Observation>,
    /// Folders whose contents must be listed, since the service does not tell them.
    pub relist: Vec<String>,
}

/// Compares a batch of observations, in the service's order, with what is known.
///
/// # Errors
/// [`Error::Missing`]: load these blocks and compare again. Nothing has happened yet.
pub fn compare(
    rules: &Rules,
    known: &mut dyn Known,
    observations: &[Observation],
    moment: Moment,
) -> Result<Compared, Error> {
    let mut apart = BTreeSet::new();
    loop {
        match compare_once(rules, known, observations, moment, &apart)? {
            Ok(compared) => return Ok(compared),
            // Each round takes at least one move apart, so this ends.
            Err(circle) => apart.extend(circle),
        }
    }
}

/// Compares, with the moves of the keys in `apart` told as a deletion and an addition. Gives the keys of moves
/// that wait for each other, if there are any.
fn compare_once(
    rules: &Rules,
    known: &mut dyn Known,
    observations: &[Observation],
    moment: Moment,
    apart: &BTreeSet<String>,
) -> Result<Result<Compared, BTreeSet<String>>, Error> {
    let mut batch = Batch::new(rules.clone(), known);
    batch.take(observations, moment.orphans == Orphans::Take)?;
    if rules.path_ids {
        batch.leave_out_lost()?;
    }
    let held = held(&mut batch, moment)?;
    if !held.is_empty() {
        let told = std::mem::take(&mut batch.told);
        let (mut wait, mut go): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|one| held.contains(&one.key));
        if moment.orphans == Orphans::Drop {
            for lost in std::mem::take(&mut wait) {
                match &lost.seen {
                    // It went where it cannot be seen.
                    Seen::There(there) => {
                        let seen = Seen::Gone { trashed: false, within: None };
                        go.push(Observation { key: there.id.clone(), seen, ..lost.clone() });
                    }
                    Seen::Gone { .. } | Seen::Whole => wait.push(lost),
                }
            }
        }
        let through = Moment { finish: true, orphans: Orphans::Take, ..moment };
        let mut rest = compare(rules, known, &go, through)?;
        rest.held = wait;
        return Ok(Ok(rest));
    }
    Comparison::of(batch, moment, apart).events()
}

/// The keys whose observations must wait for the rest of the run: entries whose folder was not shown yet,
/// and, where moves may be split, what is gone without having turned up elsewhere.
fn held(batch: &mut Batch<'_>, moment: Moment) -> Result<BTreeSet<String>, Error> {
    let rules = batch.rules.clone();
    let mut held = std::mem::take(&mut batch.unplaced);
    let mut orphans = Vec::new();
    for (key, one) in &batch.touched {
        match &one.after {
            Some(there) if one.named && moment.orphans != Orphans::Take => {
                if let Some(parent) = &there.parent
                    && *parent != rules.root
                {
                    orphans.push((key.clone(), parent.clone()));
                }
            }
            None if rules.splits_moves && !moment.finish && one.named && one.was().is_some() => {
                held.insert(key.clone());
            }
            _ => {}
        }
    }
    for (key, parent) in orphans {
        let there = match batch.touched.get(&parent) {
            Some(one) => one.after.is_some(),
            None => batch.known.get(&parent)?.is_some_and(|item| !item.gone),
        };
        if !there {
            held.insert(key);
        }
    }
    // What lies in a folder that waits, waits with it.
    loop {
        let more: Vec<String> = batch
            .touched
            .iter()
            .filter(|(key, one)| {
                let inside = one.after.as_ref().and_then(|there| there.parent.as_ref());
                one.named && !held.contains(*key) && inside.is_some_and(|at| held.contains(at))
            })
            .map(|(key, _)| key.clone())
            .collect();
        if more.is_empty() {
            return Ok(held);
        }
        held.extend(more);
    }
}

/// One entry before and after.
pub(super) struct Pair {
    pub(super) old: String,
    pub(super) new: String,
}

/// What of these observations is the same thing at another place, where keys are paths: old key → new key.
///
/// # Errors
/// [`Error::Missing`]: load these blocks and ask again.
pub(super) fn moves(
    rules: &Rules,
    known: &mut dyn Known,
    observations: &[Observation],
) -> Result<BTreeMap<String, String>, Error> {
    let mut batch = Batch::new(rules.clone(), known);
    batch.take(observations, true)?;
    batch.leave_out_lost()?;
    let moment =
        Moment { now: 0, finish: true, orphans: Orphans::Take, recovered: false, quiet: true };
    Ok(Comparison::of(batch, moment, &BTreeSet::new()).moved)
}

struct Comparison<'a> {
    batch: Batch<'a>,
    moment: Moment,
    pairs: Vec<Pair>,
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    /// Old key → new key of what moved.
    moved: BTreeMap<String, String>,
}

impl<'a> Comparison<'a> {
    fn of(batch: Batch<'a>, moment: Moment, apart: &BTreeSet<String>) -> Self {
        let rules = &batch.rules;
        let (mut pairs, mut added, mut removed) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (key, one) in &batch.touched {
            match (one.was(), &one.after) {
                (Some(was), Some(there)) => {
                    if was.kind != there.kind {
                        removed.insert(key.clone());
                        added.insert(key.clone());
                    } else {
                        pairs.push(Pair { old: key.clone(), new: key.clone() });
                    }
                }
                (Some(_), None) => {
                    removed.insert(key.clone());
                }
                (None, Some(_)) => {
                    added.insert(key.clone());
                }
                (None, None) => {}
            }
        }
        let found = if rules.path_ids {
            matching::by_likeness(&batch.touched, &removed, &added)
        } else {
            Vec::new()
        };
        let mut moved = BTreeMap::new();
        for pair in found.into_iter().filter(|pair| !apart.contains(&pair.old)) {
            removed.remove(&pair.old);
            added.remove(&pair.new);
            moved.insert(pair.old.clone(), pair.new.clone());
            pairs.push(pair);
        }
        Self { batch, moment, pairs, added, removed, moved }
    }

    fn events(mut self) -> Result<Result<Compared, BTreeSet<String>>, Error> {
        if self.moment.quiet {
            return Ok(Ok(Compared { writes: self.writes(), ..Compared::default() }));
        }
        let mut operations = Vec::new();
        for pair in std::mem::take(&mut self.pairs) {
            operations.extend(self.changed(&pair)?);
        }
        let mut relist = Vec::new();
        for key in std::mem::take(&mut self.added) {
            operations.extend(self.appeared(&key, &mut relist)?);
        }
        for key in self.removed.clone() {
            operations.extend(self.disappeared(&key)?);
        }
        for folder in std::mem::take(&mut self.batch.doubtful) {
            let is_there = match self.touched(&folder) {
                Some(one) => one.after.is_some(),
                None => self.batch.known.get(&folder)?.is_some_and(|item| !item.gone),
            };
            if self.batch.rules.silent_below && is_there && !relist.contains(&folder) {
                relist.push(folder);
            }
        }
        let events = match ordered(operations, &self.batch.rules) {
            Ok(events) => events,
            Err(circle) => return Ok(Err(circle)),
        };
        Ok(Ok(Compared { events, writes: self.writes(), held: Vec::new(), relist }))
    }

    /// What to remember.
    fn writes(&self) -> Vec<(String, Option<Item>)> {
        let mut writes = Vec::new();
        for (key, one) in &self.batch.touched {
            let after = match &one.after {
                Some(there) => Some(there.item(one.before.as_ref())),
                // Remembered where ids tell that it is the same one when it comes back.
                None if one.trashed && !self.batch.rules.path_ids => {
                    let item = one.before.clone().unwrap_or_else(|| unknown(key));
                    Some(Item { gone: true, parent: None, ..item })
                }
                None if one.before.as_ref().is_some_and(|item| item.gone) && !one.named => {
                    one.before.clone()
                }
                None => None,
            };
            if after != one.before {
                writes.push((key.clone(), after));
            }
        }
        writes
    }

    /// What became of an entry that was there and is there.
    fn changed(&mut self, pair: &Pair) -> Result<Vec<Operation>, Error> {
        let Some(was) = self.touched(&pair.old).and_then(|one| one.was().cloned()) else {
            return Ok(Vec::new());
        };
        let Some((one, there)) = self.after(&pair.new) else { return Ok(Vec::new()) };
        let parent = was.parent.as_ref().map(|key| self.moved.get(key).unwrap_or(key));
        let elsewhere = parent != there.parent.as_ref();
        let renamed = was.name != there.name;
        let mut events = Vec::new();
        let mut before = Before::default();
        if elsewhere || renamed {
            before.name = renamed.then(|| was.name.clone());
            before.id = (was.id != there.id).then(|| was.id.clone());
            if elsewhere {
                before.parent = self.id_before(was.parent.as_deref())?;
            }
            before.path = self.path_before(&pair.old)?;
            let action = if elsewhere { Action::Move } else { Action::Rename };
            let mut event = self.event(action, &pair.new, &one, &there, Some(before))?;
            let keys = self.above_before(&was)?;
            event.above.extend(self.ids(&keys)?);
            events.push(event);
        }
        let moves = !events.is_empty();
        if there.kind == ItemKind::File && was.fingerprint != there.fingerprint {
            events.push(self.event(Action::Update, &pair.new, &one, &there, None)?);
        }
        let told = there.sharing.is_some_and(|sharing| was.sharing != 0 && sharing != was.sharing);
        if told {
            let mut event = self.event(Action::Update, &pair.new, &one, &there, None)?;
            event.subtype = Some(PERMISSIONS.to_owned());
            events.push(event);
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let left = if moves { self.above_before(&was)? } else { Vec::new() };
        // What went along with its folder is told of where it is once the folder has moved.
        let placed = moves || pair.old != pair.new;
        let inside = if placed { self.above_after(&there)? } else { Vec::new() };
        Ok(vec![Operation {
            order: one.order,
            events,
            makes: moves.then(|| pair.new.clone()),
            inside,
            vacates: (moves && pair.old != pair.new).then(|| pair.old.clone()),
            carried: if moves { self.carried(&was) } else { None },
            leaves: left,
            deletes: None,
        }])
    }

    /// An entry that was not there.
    fn appeared(
        &mut self,
        key: &str,
        relist: &mut Vec<String>,
    ) -> Result<Option<Operation>, Error> {
        let Some((one, there)) = self.after(key) else { return Ok(None) };
        let back = one.before.as_ref().is_some_and(|item| item.gone);
        let action = match one.hint {
            Some(Hint::Restored) => Action::Restore,
            Some(Hint::Copied) => Action::Copy,
            _ if back => Action::Restore,
            _ => Action::Add,
        };
        let silent = self.batch.rules.silent_below && there.kind == ItemKind::Folder;
        if silent && (back || there.old) {
            relist.push(key.to_owned());
        }
        let event = self.event(action, key, &one, &there, None)?;
        let inside = self.above_after(&there)?;
        Ok(Some(Operation {
            order: one.order,
            events: vec![event],
            makes: Some(key.to_owned()),
            inside,
            vacates: None,
            carried: None,
            leaves: Vec::new(),
            deletes: None,
        }))
    }

    /// An entry that is not there any more, unless a folder above says so already.
    fn disappeared(&mut self, key: &str) -> Result<Option<Operation>, Error> {
        let Some(one) = self.touched(key).cloned() else { return Ok(None) };
        let Some(was) = one.was().cloned() else { return Ok(None) };
        if was.parent.as_ref().is_some_and(|parent| self.removed.contains(parent)) {
            return Ok(None);
        }
        let object = Object {
            kind: was.kind.as_str().to_owned(),
            id: was.id.clone(),
            name: was.name.clone(),
            parent: self.id_before(was.parent.as_deref())?,
            path: self.path_before(key)?,
        };
        let mut event = self.plain(Action::Delete, object, &one);
        let keys = self.above_before(&was)?;
        event.above = self.ids(&keys)?;
        Ok(Some(Operation {
            order: one.order,
            events: vec![event],
            makes: None,
            inside: Vec::new(),
            vacates: Some(key.to_owned()),
            carried: self.carried(&was),
            leaves: Vec::new(),
            deletes: Some(key.to_owned()),
        }))
    }

    fn touched(&self, key: &str) -> Option<&Touched> {
        self.batch.touched.get(key)
    }

    fn after(&self, key: &str) -> Option<(Touched, Arc<There>)> {
        let one = self.touched(key)?;
        Some((one.clone(), one.after.clone()?))
    }

    fn event(
        &mut self,
        action: Action,
        key: &str,
        one: &Touched,
        there: &There,
        before: Option<Before>,
    ) -> Result<Event, Error> {
        let path = match &there.path {
            Some(path) => Some(path.clone()),
            None => self.path_after(key)?,
        };
        let object = Object {
            kind: there.kind.as_str().to_owned(),
            id: there.id.clone(),
            name: there.name.clone(),
            parent: self.id_after(there.parent.as_deref())?,
            path,
        };
        let mut event = self.plain(action, object, one);
        let keys = self.above_after(there)?;
        event.above = self.ids(&keys)?;
        event.before = before.filter(|before| !before.is_empty());
        event.entry = there.entry.clone();
        Ok(event)
    }

    fn plain(&self, action: Action, object: Object, one: &Touched) -> Event {
        Event {
            action,
            category: Category::Storage,
            subtype: None,
            object,
            before: None,
            happened: one.at,
            detected: self.moment.now,
            actor: one.by.clone(),
            entry: Metadata::default(),
            recovered: self.moment.recovered,
            above: Vec::new(),
        }
    }

    /// The service's id of a folder as it was.
    fn id_before(&mut self, key: Option<&str>) -> Result<Option<String>, Error> {
        let Some(key) = key else { return Ok(None) };
        if key == self.batch.rules.root {
            return Ok(Some(self.batch.rules.root_id.clone()));
        }
        if !self.batch.rules.path_ids {
            return Ok(Some(key.to_owned()));
        }
        Ok(self.batch.known.get(key)?.map(|item| item.id))
    }

    /// The service's id of a folder as it is.
    fn id_after(&mut self, key: Option<&str>) -> Result<Option<String>, Error> {
        if let Some(there) = key.and_then(|key| self.after(key)) {
            return Ok(Some(there.1.id.clone()));
        }
        self.id_before(key)
    }

    /// The service's ids of these folders, and of the root.
    fn ids(&mut self, keys: &[String]) -> Result<Vec<String>, Error> {
        let mut ids = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            ids.extend(self.id_after(Some(key))?);
        }
        ids.push(self.batch.rules.root_id.clone());
        Ok(ids)
    }

    fn item_after(&mut self, key: &str) -> Result<Option<(String, Option<String>)>, Error> {
        match self.touched(key) {
            Some(one) => {
                Ok(one.after.as_ref().map(|there| (there.name.clone(), there.parent.clone())))
            }
            None => Ok(self.batch.known.get(key)?.map(|item| (item.name, item.parent))),
        }
    }

    /// The path from the root, where every folder on the way is known.
    fn path_after(&mut self, key: &str) -> Result<Option<String>, Error> {
        let (mut names, mut at) = (Vec::new(), key.to_owned());
        for _ in 0..MAX_DEPTH {
            let Some((name, parent)) = self.item_after(&at)? else { return Ok(None) };
            names.push(name);
            match parent {
                Some(parent) if parent == self.batch.rules.root => return Ok(Some(joined(names))),
                Some(parent) => at = parent,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn path_before(&mut self, key: &str) -> Result<Option<String>, Error> {
        let (mut names, mut at) = (Vec::new(), key.to_owned());
        for _ in 0..MAX_DEPTH {
            let Some(item) = self.batch.known.get(&at)? else { return Ok(None) };
            names.push(item.name);
            match item.parent {
                Some(parent) if parent == self.batch.rules.root => return Ok(Some(joined(names))),
                Some(parent) => at = parent,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The folders that an entry is in now, from the nearest up.
    fn above_after(&mut self, there: &There) -> Result<Vec<String>, Error> {
        let (mut above, mut at) = (Vec::new(), there.parent.clone());
        while let Some(key) = at {
            if key == self.batch.rules.root || above.len() >= MAX_DEPTH {
                break;
            }
            at = self.item_after(&key)?.and_then(|(_, parent)| parent);
            above.push(key);
        }
        Ok(above)
    }

    /// Where an item would be if it had gone along with its old folder.
    fn carried(&self, was: &Item) -> Option<String> {
        let folder = self.moved.get(was.parent.as_ref()?)?;
        Some(format!("{folder}/{}", was.name))
    }

    /// The folders that an item was in, from the nearest up.
    fn above_before(&mut self, was: &Item) -> Result<Vec<String>, Error> {
        let (mut above, mut at) = (Vec::new(), was.parent.clone());
        while let Some(key) = at {
            if key == self.batch.rules.root || above.len() >= MAX_DEPTH {
                break;
            }
            at = self.batch.known.get(&key)?.and_then(|item| item.parent);
            above.push(key);
        }
        Ok(above)
    }
}

/// Something of which nothing is known but that it lies in the trash.
fn unknown(key: &str) -> Item {
    Item {
        kind: ItemKind::Folder,
        id: key.to_owned(),
        parent: None,
        name: String::new(),
        fingerprint: 0,
        strong: false,
        size: None,
        sharing: 0,
        gone: true,
    }
}

fn joined(mut names: Vec<String>) -> String {
    names.reverse();
    format!("/{}", names.join("/"))
}
