//! What is known of a collection, kept in a snapshot: how items become records.
//!
//! Where there are ids, an item lies under `i` and its key, and its folder lists it under `c`, the folder, a zero
//! byte, its name in lower case, a zero byte and its key: so that a folder's items lie together. Where
//! paths are all there is, an item lies under its path, and its name and folder follow from it.

use crate::feed::item::{Item, ItemKind};
use crate::feed::known::{Known, Stretch};
use crate::snapshot::{Error, KeyOrder, Manifest, Overlay, Record, RecordRef, State, flag};

/// The most items of one folder that are looked at.
const MAX_CHILDREN: usize = 1_000_000;
const PAGE: usize = 4_096;
const GONE: u8 = 8;
/// The extra bytes hold more than the plain form does.
const EXTRA: u8 = 16;

/// What is known of one collection.
pub struct Remembered {
    state: State,
    by_path: bool,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").field("by_path", &self.by_path).finish_non_exhaustive()
    }
}

/// The order of keys in a collection's snapshot.
#[must_use]
pub fn order(path_ids: bool) -> KeyOrder {
    if path_ids { KeyOrder::Components } else { KeyOrder::Bytes }
}

impl Remembered {
    /// What lies in a snapshot. `path_ids` as in the collection's rules; the root of such a collection has the
    /// empty key.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub fn new(
        path_ids: bool,
        base: Manifest,
        overlay: Overlay,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        Ok(Self { state: State::new(base, overlay, cache_bytes)?, by_path: path_ids })
    }

    /// The snapshot beneath.
    pub fn state(&mut self) -> &mut State {
        &mut self.state
    }

    /// Writes an item, or forgets it.
    ///
    /// # Errors
    /// [`Error::Missing`]: nothing was written.
    pub fn put(&mut self, key: &str, item: Option<&Item>) -> Result<(), Error> {
        let before = self.get(key)?;
        if self.by_path {
            match item {
                Some(item) => {
                    let record = by_path(key, item);
                    self.state.upsert(record.borrowed())?;
                }
                None => {
                    self.state.remove(key.as_bytes())?;
                }
            }
            return Ok(());
        }
        if let Some(was) = before.as_ref().filter(|was| !was.gone)
            && let Some(entry) = listed(key, was)
        {
            self.state.remove(&entry)?;
        }
        match item {
            Some(item) => {
                let record = by_id(key, item);
                self.state.upsert(record.borrowed())?;
                if let Some(entry) = listed(key, item).filter(|_| !item.gone) {
                    let extra = key.as_bytes();
                    let record = RecordRef { key: &entry, flags: 0, fingerprint: 0, extra };
                    self.state.upsert(record)?;
                }
            }
            None => {
                self.state.remove(&own(key))?;
            }
        }
        Ok(())
    }

    fn keys_below(&mut self, prefix: &[u8]) -> Result<Vec<String>, Error> {
        let (mut keys, mut from) = (Vec::new(), None);
        loop {
            let page = self.state.prefix(prefix, from.as_deref(), PAGE)?;
            keys.extend(
                page.records.into_iter().filter_map(|record| String::from_utf8(record.extra).ok()),
            );
            match page.next {
                Some(next) if keys.len() < MAX_CHILDREN => from = Some(next),
                _ => return Ok(keys),
            }
        }
    }
}

impl Known for Remembered {
    fn get(&mut self, key: &str) -> Result<Option<Item>, Error> {
        if self.by_path {
            let record = self.state.get(key.as_bytes())?;
            return Ok(record.map(|record| from_path(key, &record)));
        }
        let record = self.state.get(&own(key))?;
        record.map(|record| from_id(key, &record)).transpose()
    }

    fn children(&mut self, folder: &str) -> Result<Vec<(String, Item)>, Error> {
        let mut found = Vec::new();
        if self.by_path {
            let mut from = None;
            loop {
                let mut page = self.inside(folder, from.as_deref(), PAGE)?;
                found.append(&mut page.items);
                match page.next {
                    Some(next) if found.len() < MAX_CHILDREN => from = Some(next),
                    _ => return Ok(found),
                }
            }
        }
        for key in self.keys_below(&listing(folder))? {
            if let Some(item) = self.get(&key)? {
                found.push((key, item));
            }
        }
        Ok(found)
    }

    fn inside(&mut self, folder: &str, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error> {
        if !self.by_path {
            return Ok(Stretch { items: self.children(folder)?, next: None });
        }
        let page = self.state.children(format!("{folder}/").as_bytes(), from, most)?;
        let records = page.children.into_iter().filter_map(|child| {
            let record = child.record?;
            Some(Record { key: child.key, ..record })
        });
        Ok(Stretch { items: there(records), next: page.next })
    }

    fn all(&mut self, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error> {
        if !self.by_path {
            return Ok(Stretch::default());
        }
        let page = self.state.range(from.unwrap_or_default(), None, most)?;
        Ok(Stretch { items: there(page.records.into_iter()), next: page.next })
    }

    fn named(&mut self, folder: &str, lower: &str) -> Result<Vec<String>, Error> {
        if self.by_path {
            let mut children = self.children(folder)?;
            children.retain(|(_, item)| item.name.to_lowercase() == lower);
            return Ok(children.into_iter().map(|(key, _)| key).collect());
        }
        let mut prefix = listing(folder);
        prefix.extend_from_slice(lower.as_bytes());
        prefix.push(0);
        self.keys_below(&prefix)
    }
}

fn own(key: &str) -> Vec<u8> {
    [b"i", key.as_bytes()].concat()
}

fn listing(folder: &str) -> Vec<u8> {
    [b"c", folder.as_bytes(), b"\0"].concat()
}

fn listed(key: &str, item: &Item) -> Option<Vec<u8>> {
    let mut entry = listing(item.parent.as_deref()?);
    entry.extend_from_slice(item.name.to_lowercase().as_bytes());
    entry.push(0);
    entry.extend_from_slice(key.as_bytes());
    Some(entry)
}

fn flags(item: &Item) -> u8 {
    let folder = if item.kind == ItemKind::Folder { flag::FOLDER } else { 0 };
    let strong = if item.strong { flag::STRONG } else { 0 };
    folder | strong | if item.gone { GONE } else { 0 }
}

fn by_id(key: &str, item: &Item) -> Record {
    let mut extra = item.sharing.to_le_bytes().to_vec();
    let id = if item.id == key { "" } else { item.id.as_str() };
    for text in [item.parent.as_deref().unwrap_or_default(), id, item.name.as_str()] {
        extra.extend_from_slice(text.as_bytes());
        extra.push(0);
    }
    Record { key: own(key), flags: flags(item), fingerprint: item.fingerprint, extra }
}

fn from_id(key: &str, record: &Record) -> Result<Item, Error> {
    const DAMAGED: Error = Error::Damaged("an item's record");
    let (sharing, texts) = record.extra.split_first_chunk::<8>().ok_or(DAMAGED)?;
    let mut texts = texts.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text));
    let mut text = || texts.next().map(std::borrow::Cow::into_owned).ok_or(DAMAGED);
    let (parent, id, name) = (text()?, text()?, text()?);
    Ok(Item {
        kind: kind(record),
        id: if id.is_empty() { key.to_owned() } else { id },
        parent: Some(parent).filter(|parent| !parent.is_empty()),
        name,
        fingerprint: record.fingerprint,
        strong: record.flags & flag::STRONG != 0,
        sharing: u64::from_le_bytes(*sharing),
        gone: record.flags & GONE != 0,
    })
}

fn by_path(key: &str, item: &Item) -> Record {
    let plain = item.id == key && item.sharing == 0;
    let mut extra = Vec::new();
    if !plain {
        extra.extend_from_slice(&item.sharing.to_le_bytes());
        extra.extend_from_slice(item.id.as_bytes());
    }
    let flags = flags(item) | if plain { 0 } else { EXTRA };
    Record { key: key.as_bytes().to_vec(), flags, fingerprint: item.fingerprint, extra }
}

fn from_path(key: &str, record: &Record) -> Item {
    let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
    let extra = record.extra.split_first_chunk::<8>().filter(|_| record.flags & EXTRA != 0);
    Item {
        kind: kind(record),
        id: extra
            .map_or_else(|| key.to_owned(), |(_, id)| String::from_utf8_lossy(id).into_owned()),
        parent: Some(parent.to_owned()),
        name: name.to_owned(),
        fingerprint: record.fingerprint,
        strong: record.flags & flag::STRONG != 0,
        sharing: extra.map_or(0, |(sharing, _)| u64::from_le_bytes(*sharing)),
        gone: record.flags & GONE != 0,
    }
}

/// Records whose keys are paths as items, without those that are in the trash.
fn there(records: impl Iterator<Item = Record>) -> Vec<(String, Item)> {
    let items = records.filter_map(|record| {
        let key = String::from_utf8(record.key.clone()).ok()?;
        let item = from_path(&key, &record);
        Some((key, item))
    });
    items.filter(|(_, item)| !item.gone).collect()
}

fn kind(record: &Record) -> ItemKind {
    if record.flags & flag::FOLDER != 0 { ItemKind::Folder } else { ItemKind::File }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: ItemKind, id: &str, parent: Option<&str>, name: &str) -> Item {
        Item {
            kind,
            id: id.into(),
            parent: parent.map(str::to_owned),
            name: name.into(),
            fingerprint: if kind == ItemKind::File { 7 } else { 0 },
            strong: true,
            sharing: 3,
            gone: false,
        }
    }

    fn empty(path_ids: bool) -> Remembered {
        let order = order(path_ids);
        Remembered::new(path_ids, Manifest::empty(order), Overlay::new(order), 0).unwrap()
    }

    #[test]
    fn items_with_ids_are_found_by_key_folder_and_name() {
        let mut known = empty(false);
        let folder = item(ItemKind::Folder, "f", Some("root"), "Docs");
        let file = item(ItemKind::File, "x", Some("f"), "A.txt");
        known.put("f", Some(&folder)).unwrap();
        known.put("x", Some(&file)).unwrap();
        assert_eq!(known.get("x").unwrap(), Some(file.clone()));
        assert_eq!(known.children("f").unwrap(), [("x".to_owned(), file.clone())]);
        assert_eq!(known.named("f", "a.txt").unwrap(), ["x"]);
        let moved = Item { parent: Some("root".into()), name: "B.txt".into(), ..file };
        known.put("x", Some(&moved)).unwrap();
        assert!(known.children("f").unwrap().is_empty());
        assert_eq!(known.named("root", "b.txt").unwrap(), ["x"]);
        let gone = Item { gone: true, parent: None, ..moved };
        known.put("x", Some(&gone)).unwrap();
        assert_eq!(known.get("x").unwrap(), Some(gone));
        assert_eq!(known.children("root").unwrap().len(), 1);
        known.put("x", None).unwrap();
        assert_eq!(known.get("x").unwrap(), None);
    }

    #[test]
    fn items_with_paths_are_found_by_path_and_folder() {
        let mut known = empty(true);
        let folder = item(ItemKind::Folder, "id-of-docs", Some(""), "docs");
        let mut file = item(ItemKind::File, "/docs/a", Some("/docs"), "a");
        file.sharing = 0;
        known.put("/docs", Some(&folder)).unwrap();
        known.put("/docs/a", Some(&file)).unwrap();
        assert_eq!(known.get("/docs").unwrap(), Some(folder.clone()));
        assert_eq!(known.children("").unwrap(), [("/docs".to_owned(), folder)]);
        assert_eq!(known.children("/docs").unwrap(), [("/docs/a".to_owned(), file)]);
        known.put("/docs/a", None).unwrap();
        assert!(known.children("/docs").unwrap().is_empty());
    }
}
