//! Which of what is gone is the same as which of what is new: moves and renames where keys are paths.

use std::collections::{BTreeMap, BTreeSet};

use crate::feed::compare::Pair;
use crate::feed::item::{Item, ItemKind};
use crate::feed::observation::There;
use crate::feed::seen::Touched;

/// The share of a folder's names that must have come along for it to be the same folder, in percent.
const SAME_FOLDER: usize = 80;

type Touches = BTreeMap<String, Touched>;

/// By likeness, only where there is no doubt: the same content under the same name elsewhere, or under
/// another name in the same folder, or, where the content tells, anywhere under any name; folders by what came along in them.
pub(super) fn by_likeness(
    touched: &Touches,
    removed: &BTreeSet<String>,
    added: &BTreeSet<String>,
) -> Vec<Pair> {
    let mut likeness = Likeness::of(touched, removed, added);
    likeness.files(|_, name| name.to_owned());
    likeness.files(|parent, _| parent.map(str::to_owned));
    likeness.strong = true;
    likeness.files(|_, _| ());
    likeness.folders();
    likeness.found.into_iter().map(|(old, new)| Pair { old, new }).collect()
}

struct Likeness<'a> {
    old: BTreeMap<&'a String, &'a Item>,
    new: BTreeMap<&'a String, &'a There>,
    found: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    /// Only files whose content tells that they are the same.
    strong: bool,
}

impl<'a> Likeness<'a> {
    fn of(
        touched: &'a Touches,
        removed: &'a BTreeSet<String>,
        added: &'a BTreeSet<String>,
    ) -> Self {
        let old = removed.iter().filter_map(|key| Some((key, touched.get(key)?.was()?)));
        let new = added.iter().filter_map(|key| Some((key, touched.get(key)?.after.as_deref()?)));
        Self {
            old: old.collect(),
            new: new.collect(),
            found: BTreeMap::new(),
            taken: BTreeSet::new(),
            strong: false,
        }
    }

    fn pair(&mut self, old: &str, new: &str) {
        if !self.found.contains_key(old) && self.taken.insert(new.to_owned()) {
            self.found.insert(old.to_owned(), new.to_owned());
        }
    }

    /// Pairs files whose content and `place` are the same, where no other has them.
    fn files<K: Ord>(&mut self, place: impl Fn(Option<&str>, &str) -> K) {
        let mut places: BTreeMap<(u64, K), (Vec<String>, Vec<String>)> = BTreeMap::new();
        for (key, item) in &self.old {
            let fits = item.kind == ItemKind::File && (item.strong || !self.strong);
            if fits && !self.found.contains_key(*key) {
                let at = place(item.parent.as_deref(), &item.name);
                places.entry((item.fingerprint, at)).or_default().0.push((*key).clone());
            }
        }
        for (key, there) in &self.new {
            let fits = there.kind == ItemKind::File && (there.strong || !self.strong);
            if fits && !self.taken.contains(*key) {
                let at = place(there.parent.as_deref(), &there.name);
                places.entry((there.fingerprint, at)).or_default().1.push((*key).clone());
            }
        }
        for (old, new) in places.into_values() {
            if let ([old], [new]) = (old.as_slice(), new.as_slice()) {
                self.pair(old, new);
            }
        }
    }

    /// Pairs folders, the deepest first, by the share of names that came along; then what is left in
    /// them by name.
    fn folders(&mut self) {
        let (mut inside_old, mut inside_new) = (BTreeMap::new(), BTreeMap::new());
        for (key, item) in &self.old {
            if let Some(parent) = &item.parent {
                inside_old.entry(parent.clone()).or_insert_with(Vec::new).push((*key).clone());
            }
        }
        for (key, there) in &self.new {
            if let Some(parent) = &there.parent {
                inside_new.entry(parent.clone()).or_insert_with(Vec::new).push((*key).clone());
            }
        }
        let mut folders: Vec<String> = self
            .old
            .iter()
            .filter(|(_, item)| item.kind == ItemKind::Folder)
            .map(|(key, _)| (*key).clone())
            .collect();
        folders.sort_by_key(|key| std::cmp::Reverse((key.matches('/').count(), key.clone())));
        for old in folders {
            if let Some(new) = self.same_folder(&old, &inside_old, &inside_new) {
                self.pair(&old, &new);
                self.rest(&old, &new, &inside_old, &inside_new);
            }
        }
    }

    /// The new folder that holds most of what was in the old one.
    fn same_folder(
        &self,
        old: &str,
        inside_old: &BTreeMap<String, Vec<String>>,
        inside_new: &BTreeMap<String, Vec<String>>,
    ) -> Option<String> {
        let held = inside_old.get(old)?;
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for child in held {
            let there = self.found.get(child).and_then(|new| self.new.get(new));
            if let Some(parent) = there.and_then(|there| there.parent.as_deref()) {
                *votes.entry(parent).or_default() += 1;
            }
        }
        let (new, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        let there = self.new.get(&new.to_owned())?;
        let most = held.len().max(inside_new.get(new).map_or(0, Vec::len));
        let same = there.kind == ItemKind::Folder
            && !self.taken.contains(new)
            && count * 100 >= most * SAME_FOLDER;
        same.then(|| new.to_owned())
    }

    /// In a folder that moved, what has the same name and kind is the same.
    fn rest(
        &mut self,
        old: &str,
        new: &str,
        inside_old: &BTreeMap<String, Vec<String>>,
        inside_new: &BTreeMap<String, Vec<String>>,
    ) {
        let mut queue = vec![(old.to_owned(), new.to_owned())];
        while let Some((old, new)) = queue.pop() {
            let mut names = BTreeMap::new();
            for key in inside_new.get(&new).into_iter().flatten() {
                if let Some(there) = self.new.get(key)
                    && !self.taken.contains(key)
                {
                    names.insert((there.name.as_str(), there.kind), key.clone());
                }
            }
            let mut matched = Vec::new();
            for key in inside_old.get(&old).into_iter().flatten() {
                if let Some(item) = self.old.get(key)
                    && !self.found.contains_key(key)
                    && let Some(to) = names.get(&(item.name.as_str(), item.kind))
                {
                    matched.push((key.clone(), to.clone()));
                }
            }
            for (from, to) in matched {
                self.pair(&from, &to);
                queue.push((from, to));
            }
        }
    }
}
