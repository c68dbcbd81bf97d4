//! A reader's copy of the tree, kept by events alone: each must be applicable, and change something.

use std::collections::BTreeMap;

use tramontane_activity::feed::{Item, ItemKind, Table};
use tramontane_activity::{Action, Event};

use crate::truth::ROOT;

/// One entry of the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The id of the folder it is in.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
}

/// The copy, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// The entries.
    pub entries: BTreeMap<String, Copy>,
    /// How often each was told to have changed.
    pub updates: BTreeMap<String, u64>,
    paths_are_ids: bool,
}

impl Mirror {
    /// What a reader knows at first.
    #[must_use]
    pub fn of(table: &Table, paths_are_ids: bool) -> Self {
        let ids: BTreeMap<String, String> =
            table.items().map(|(key, item)| (key.to_owned(), item.id.clone())).collect();
        let parent = |item: &Item| {
            let key = item.parent.clone().unwrap_or_default();
            ids.get(&key).cloned().unwrap_or(key)
        };
        let entries = table
            .items()
            .filter(|(_, item)| !item.gone)
            .map(|(_, item)| {
                let copy = Copy {
                    parent: parent(item),
                    name: item.name.clone(),
                    folder: item.kind == ItemKind::Folder,
                };
                (item.id.clone(), copy)
            })
            .collect();
        Self { entries, updates: BTreeMap::new(), paths_are_ids }
    }

    /// Applies one event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        let object = &event.object;
        let id = object.id.clone();
        let parent = object.parent.clone().unwrap_or_default();
        let copy = Copy {
            parent: parent.clone(),
            name: object.name.clone(),
            folder: object.kind == "folder",
        };
        if event.action != Action::Delete
            && parent != ROOT
            && !self.entries.get(&parent).is_some_and(|one| one.folder)
        {
            return Err(format!("{parent:?} is not there to hold {id:?}"));
        }
        match event.action {
            Action::Add | Action::Copy | Action::Restore => {
                if self.entries.insert(id.clone(), copy).is_some() {
                    return Err(format!("{id:?} was there already"));
                }
            }
            Action::Delete => {
                if !self.entries.contains_key(&id) {
                    return Err(format!("{id:?} was not there"));
                }
                self.delete(&id);
            }
            Action::Update => {
                if self.entries.get(&id) != Some(&copy) {
                    return Err(format!("{id:?} is not as the update says"));
                }
                *self.updates.entry(id).or_default() += 1;
            }
            Action::Rename | Action::Move => {
                let before = event.before.as_ref().ok_or("nothing is said of before")?;
                let old = before.id.clone().unwrap_or_else(|| id.clone());
                let was = self.entries.remove(&old).ok_or(format!("{old:?} was not there"))?;
                if was == copy && old == id {
                    return Err(format!("{id:?} did not move"));
                }
                if before.name.as_ref().is_some_and(|name| *name != was.name) {
                    return Err(format!("{old:?} had another name before"));
                }
                if before.parent.as_ref().is_some_and(|parent| *parent != was.parent) {
                    return Err(format!("{old:?} was in {:?} before", was.parent));
                }
                if (event.action == Action::Move) != (was.parent != parent) {
                    return Err(format!("{id:?}: {:?} is not what happened", event.action));
                }
                if self.entries.insert(id.clone(), copy).is_some() {
                    return Err(format!("{id:?} is in the way"));
                }
                if old != id {
                    self.follow(&old, &id);
                }
            }
        }
        Ok(())
    }

    fn delete(&mut self, id: &str) {
        self.entries.remove(id);
        let inside: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, copy)| copy.parent == id)
            .map(|(child, _)| child.clone())
            .collect();
        for child in inside {
            self.delete(&child);
        }
    }

    /// What is in a folder whose id is its path has new ids when the folder moves.
    fn follow(&mut self, old: &str, new: &str) {
        assert!(self.paths_are_ids, "an id changed that never does");
        let inside: Vec<(String, Copy)> = self
            .entries
            .iter()
            .filter(|(_, copy)| copy.parent == old)
            .map(|(id, copy)| (id.clone(), copy.clone()))
            .collect();
        for (id, copy) in inside {
            self.entries.remove(&id);
            let to = format!("{new}/{}", copy.name);
            self.entries.insert(to.clone(), Copy { parent: new.to_owned(), ..copy });
            self.follow(&id, &to);
        }
    }
}
