//! What changes a drive: folders made, content written, moves, deletes, restores.

use std::collections::VecDeque;

use bytes::Bytes;

use super::drive::{
    Behaviour, By, Drive, Flavour, Item, MAX_GONE, MAX_VERSIONS, OldVersion, hashes,
};
use super::fault::{Fault, bad, changed, locked, not_found, taken};
use super::names;

impl Drive {
    pub(super) fn make_folder(
        &mut self,
        parent: &str,
        name: &str,
        behaviour: Behaviour,
        by: By,
    ) -> Result<String, Fault> {
        self.check_place(parent, name)?;
        let mut name = name.to_owned();
        if let Some(there) = self.child(parent, &name) {
            match behaviour {
                Behaviour::Replace if there.folder => return Ok(there.id.clone()),
                Behaviour::Rename => name = self.free_name(parent, &name, true),
                _ => return Err(taken()),
            }
        }
        let item = self.blank(&name, Some(parent.into()), true, by);
        let id = item.id.clone();
        self.enter(item);
        Ok(id)
    }

    /// Puts content at a name. Gives the id and whether the file is new.
    pub(super) fn put(
        &mut self,
        parent: &str,
        name: &str,
        content: Bytes,
        behaviour: Behaviour,
        if_match: Option<&str>,
        by: By,
    ) -> Result<(String, bool), Fault> {
        self.check_place(parent, name)?;
        let mut name = name.to_owned();
        if let Some(there) = self.child(parent, &name) {
            match behaviour {
                Behaviour::Fail => return Err(taken()),
                Behaviour::Replace if there.folder => return Err(taken()),
                Behaviour::Replace => {
                    let id = there.id.clone();
                    self.write(&id, content, if_match, by)?;
                    return Ok((id, false));
                }
                Behaviour::Rename => name = self.free_name(parent, &name, false),
            }
        } else if if_match.is_some() {
            return Err(changed());
        }
        self.check_room(content.len())?;
        self.used += content.len() as u64;
        let hashes = hashes(self.flavour, &content);
        let item = Item { content, hashes, ..self.blank(&name, Some(parent.into()), false, by) };
        let id = item.id.clone();
        self.enter(item);
        Ok((id, true))
    }

    /// Replaces a file's content; the old one becomes a version.
    pub(super) fn write(
        &mut self,
        id: &str,
        content: Bytes,
        if_match: Option<&str>,
        by: By,
    ) -> Result<(), Fault> {
        let item = self.item(id)?;
        self.check_match(item, if_match)?;
        if item.folder || item.package {
            return Err(bad("The item is not a file"));
        }
        if item.locked {
            return Err(locked());
        }
        self.check_room(content.len())?;
        self.used += content.len() as u64;
        let hashes = hashes(self.flavour, &content);
        let item = self.item_mut(id)?;
        item.hashes = hashes;
        let old = std::mem::replace(&mut item.content, content);
        item.versions.push_front(OldVersion {
            number: item.number,
            content: old,
            modified: item.modified,
            modifier: item.modifier,
        });
        item.number += 1;
        let dropped =
            if item.versions.len() > MAX_VERSIONS { item.versions.pop_back() } else { None };
        self.used -= dropped.map_or(0, |dropped| dropped.content.len() as u64);
        self.touch(id, by, true);
        Ok(())
    }

    /// Another name, another folder, or both.
    pub(super) fn relocate(
        &mut self,
        id: &str,
        parent: Option<&str>,
        name: Option<&str>,
        behaviour: Behaviour,
        by: By,
    ) -> Result<(), Fault> {
        let item = self.item(id)?;
        let Some(old_parent) = item.parent.clone() else {
            return Err(Fault::new(403, "accessDenied", "The root cannot be moved or renamed"));
        };
        if item.locked {
            return Err(locked());
        }
        let (old_name, folder) = (item.name.clone(), item.folder);
        let parent = parent.unwrap_or(&old_parent).to_owned();
        let mut name = name.unwrap_or(&old_name).to_owned();
        self.check_place(&parent, &name)?;
        if self.lineage(&parent).iter().any(|above| above.id == id) {
            return Err(bad("An item cannot be moved into itself or below itself"));
        }
        if let Some(there) = self.child(&parent, &name).filter(|there| there.id != id) {
            match behaviour {
                Behaviour::Rename => name = self.free_name(&parent, &name, folder),
                Behaviour::Replace if !there.folder && !folder => {
                    let there = there.id.clone();
                    self.delete(&there, by, false)?;
                }
                _ => return Err(taken()),
            }
        }
        if let Some(names) = self.names.get_mut(&old_parent) {
            names.remove(&names::folded(&old_name));
        }
        self.names.entry(parent.clone()).or_default().insert(names::folded(&name), id.to_owned());
        let item = self.item_mut(id)?;
        item.parent = Some(parent);
        item.name = name;
        self.touch(id, by, false);
        Ok(())
    }

    /// Deletes an item and all below it: into the bin, or for good.
    pub(super) fn delete(&mut self, id: &str, by: By, for_good: bool) -> Result<(), Fault> {
        let item = self.item(id)?;
        if item.parent.is_none() {
            return Err(Fault::new(403, "accessDenied", "The root cannot be deleted"));
        }
        if item.locked {
            return Err(locked());
        }
        let mut ids = vec![id.to_owned()];
        ids.extend(self.below(id));
        let mut binned = Vec::new();
        for id in ids.iter().rev() {
            let Some(item) = self.items.remove(id) else { continue };
            self.names.remove(id);
            if let Some(names) = item.parent.as_ref().and_then(|parent| self.names.get_mut(parent))
            {
                names.remove(&names::folded(&item.name));
            }
            let old: usize = item.versions.iter().map(|version| version.content.len()).sum();
            self.used -= (item.content.len() + old) as u64;
            self.seq += 1;
            let husk = Item {
                content: Bytes::new(),
                versions: VecDeque::new(),
                modified: by.now,
                ..item.clone()
            };
            self.gone.push_back((self.seq, husk));
            binned.push(item);
        }
        while self.gone.len() > MAX_GONE {
            if let Some((seq, _)) = self.gone.pop_front() {
                self.floor = seq;
            }
        }
        // Only a personal drive gives things back through Graph.
        if !for_good && self.flavour == Flavour::Personal && self.bin.len() < 1_000 {
            binned.reverse();
            self.bin.insert(id.to_owned(), binned);
        }
        Ok(())
    }

    /// Brings a deleted item back ("driveItem: restore", OneDrive for personal use).
    pub(super) fn restore(
        &mut self,
        id: &str,
        parent: Option<&str>,
        name: Option<&str>,
        by: By,
    ) -> Result<(), Fault> {
        let mut items = self.bin.get(id).cloned().ok_or_else(not_found)?;
        let Some(top) = items.first_mut() else { return Err(not_found()) };
        if let Some(parent) = parent {
            top.parent = Some(parent.into());
        }
        if let Some(name) = name {
            top.name = name.into();
        }
        let (parent, name) = (top.parent.clone().unwrap_or_default(), top.name.clone());
        self.check_place(&parent, &name)?;
        if self.child(&parent, &name).is_some() {
            return Err(taken());
        }
        self.bin.remove(id);
        for item in items {
            let old: usize = item.versions.iter().map(|version| version.content.len()).sum();
            self.used += (item.content.len() + old) as u64;
            let id = item.id.clone();
            self.gone.retain(|(_, gone)| gone.id != id);
            self.enter(item);
            self.touch(&id, by, false);
        }
        Ok(())
    }

    /// Marks an item as changed.
    pub(super) fn change(
        &mut self,
        id: &str,
        by: By,
        change: impl FnOnce(&mut Item),
    ) -> Result<(), Fault> {
        change(self.item_mut(id)?);
        self.touch(id, by, false);
        Ok(())
    }
}
