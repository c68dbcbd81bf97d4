//! What is known of a collection, kept in a snapshot: how items become records.
//!
//! Where there are ids, an item lies under `i` and its key, and its folder lists it under `c`, the folder, a zero
//! byte, its name in lower case, a zero byte and its key: so that a folder's items lie together. Where
//! paths are all there is, an item lies under its path, and its name and folder follow from it.

use crate::feed::item::{Item, ItemKind};
use crate::feed::known::{Known, Stretch};
use crate::snapshot::{
    Error, Input, KeyOrder, Manifest, Overlay, Record, RecordRef, State, flag, put_number,
};

/// The most items of one folder that are looked at.
const MAX_CHILDREN: usize = 1_000_000;
const PAGE: usize = 4_096;
const GONE: u8 = 8;
/// The extra bytes hold more than the plain form does.
const EXTRA: u8 = 16;
/// The flag of records whose extra bytes begin with the size. What was remembered before sizes were has none.
pub const SIZED: u8 = 32;
/// The id is the key with the extra text before it.
const BELOW: u8 = 64;

/// What is known of one collection.
pub struct Remembered {
    state: State,
    by_path: bool,
}

/// A place in what is known of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// The key of the folder that is looked below; only where keys are paths, elsewhere it says nothing.
    pub below: Option<String>,
    /// Where to go on; at the beginning without.
    pub at: Option<Vec<u8>>,
}

/// A stretch of what is known of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Keys and items. May be empty although more follow.
    pub items: Vec<(String, Item)>,
    /// Where to go on, or none at the end.
    pub next: Option<From>,
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

    /// Items in the order of their keys, from one on: those below a folder where keys are paths, else all.
    /// None that are in the trash.
    ///
    /// # Errors
    /// [`Error::Missing`] when blocks must be loaded first; when what is stored is damaged.
    pub fn page(&mut self, from: &From, most: usize) -> Result<Items, Error> {
        let prefix = match &from.below {
            _ if !self.by_path => b"i".to_vec(),
            Some(folder) => [folder.as_bytes(), b"/"].concat(),
            None => Vec::new(),
        };
        let page = self.state.prefix(&prefix, from.at.as_deref(), most)?;
        let mut items = Vec::with_capacity(page.records.len());
        for record in page.records {
            if record.flags & GONE != 0 {
                continue;
            }
            let key =
                if self.by_path { &record.key[..] } else { record.key.get(1..).ok_or(DAMAGED)? };
            let key = String::from_utf8(key.to_vec()).map_err(|_| DAMAGED)?;
            let item =
                if self.by_path { from_path(&key, &record)? } else { from_id(&key, &record)? };
            items.push((key, item));
        }
        let next = page.next.map(|at| From { at: Some(at), below: from.below.clone() });
        Ok(Items { items, next })
    }

    /// Where [`Remembered::page`] goes on after an item.
    #[must_use]
    pub fn after(&self, key: &str) -> Vec<u8> {
        let own = if self.by_path { key.as_bytes().to_vec() } else { own(key) };
        self.state.base().order().successor(&own)
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
            return record.map(|record| from_path(key, &record)).transpose();
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
        Ok(Stretch { items: there(records)?, next: page.next })
    }

    fn all(&mut self, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error> {
        if !self.by_path {
            return Ok(Stretch::default());
        }
        let page = self.state.range(from.unwrap_or_default(), None, most)?;
        Ok(Stretch { items: there(page.records.into_iter())?, next: page.next })
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
    let sized = if item.size.is_some() { SIZED } else { 0 };
    folder | strong | sized | if item.gone { GONE } else { 0 }
}

const DAMAGED: Error = Error::Damaged("an item's record");

fn by_id(key: &str, item: &Item) -> Record {
    let mut extra = Vec::new();
    if let Some(size) = item.size {
        put_number(&mut extra, size);
    }
    extra.extend_from_slice(&item.sharing.to_le_bytes());
    let id = if item.id == key { "" } else { item.id.as_str() };
    for text in [item.parent.as_deref().unwrap_or_default(), id, item.name.as_str()] {
        extra.extend_from_slice(text.as_bytes());
        extra.push(0);
    }
    Record { key: own(key), flags: flags(item), fingerprint: item.fingerprint, extra }
}

fn from_id(key: &str, record: &Record) -> Result<Item, Error> {
    let mut extra = Input::new(&record.extra);
    let size = if record.flags & SIZED == 0 { None } else { Some(extra.number()?) };
    let sharing = u64::from_le_bytes(extra.array()?);
    let mut texts = extra.rest().split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut text = || texts.next().map(std::borrow::Cow::into_owned).ok_or(DAMAGED);
    let (parent, id, name) = (text()?, text()?, text()?);
    Ok(Item {
        kind: kind(record),
        id: if id.is_empty() { key.to_owned() } else { id },
        parent: Some(parent).filter(|parent| !parent.is_empty()),
        name,
        fingerprint: record.fingerprint,
        strong: record.flags & flag::STRONG != 0,
        size,
        sharing,
        gone: record.flags & GONE != 0,
    })
}

/// Most items have nothing but a size beside the path: then it takes no more bytes than it needs.
fn by_path(key: &str, item: &Item) -> Record {
    let mut extra = Vec::new();
    let mut flags = flags(item);
    if item.id == key && item.sharing == 0 {
        extra.extend(item.size.map(plain_size).unwrap_or_default());
    } else {
        flags |= EXTRA;
        if let Some(size) = item.size {
            put_number(&mut extra, size);
        }
        extra.extend_from_slice(&item.sharing.to_le_bytes());
        let above = item.id.strip_suffix(key).filter(|_| !key.is_empty());
        if above.is_some() {
            flags |= BELOW;
        }
        extra.extend_from_slice(above.unwrap_or(&item.id).as_bytes());
    }
    Record { key: key.as_bytes().to_vec(), flags, fingerprint: item.fingerprint, extra }
}

fn from_path(key: &str, record: &Record) -> Result<Item, Error> {
    let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
    let is_sized = record.flags & SIZED != 0;
    let (mut size, mut sharing, mut id) = (None, 0, key.to_owned());
    if record.flags & EXTRA == 0 {
        size = is_sized.then(|| read_plain_size(&record.extra));
    } else {
        let mut extra = Input::new(&record.extra);
        if is_sized {
            size = Some(extra.number()?);
        }
        sharing = u64::from_le_bytes(extra.array()?);
        let text = String::from_utf8_lossy(extra.rest());
        id = if record.flags & BELOW == 0 { text.into_owned() } else { format!("{text}{key}") };
    }
    Ok(Item {
        kind: kind(record),
        id,
        parent: Some(parent.to_owned()),
        name: name.to_owned(),
        fingerprint: record.fingerprint,
        strong: record.flags & flag::STRONG != 0,
        size,
        sharing,
        gone: record.flags & GONE != 0,
    })
}

/// A size as it lies beside a path: its bytes, low ones first, without zeros at the end.
#[must_use]
pub fn plain_size(size: u64) -> Vec<u8> {
    let mut bytes = size.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn read_plain_size(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    for (place, byte) in whole.iter_mut().zip(bytes) {
        *place = *byte;
    }
    u64::from_le_bytes(whole)
}

/// Records whose keys are paths as items, without those that are in the trash.
fn there(records: impl Iterator<Item = Record>) -> Result<Vec<(String, Item)>, Error> {
    let mut items = Vec::new();
    for record in records {
        let Ok(key) = String::from_utf8(record.key.clone()) else { continue };
        let item = from_path(&key, &record)?;
        if !item.gone {
            items.push((key, item));
        }
    }
    Ok(items)
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
            size: (kind == ItemKind::File).then_some(70_000),
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

    #[test]
    fn sizes_and_ids_below_a_root_are_kept_and_older_records_are_read() {
        for (path_ids, key, id) in [
            (true, "/a/b", "/a/b"),
            (true, "/a/b", "/bucket/a/b"),
            (true, "/a/b", "x1"),
            (false, "x1", "x1"),
            (false, "x1", "x2"),
        ] {
            for size in [None, Some(0), Some(255), Some(256), Some(1 << 40), Some(u64::MAX)] {
                for sharing in [0, 9] {
                    let parent = if path_ids { "/a" } else { "f" };
                    let file = item(ItemKind::File, id, Some(parent), "b");
                    let file = Item { size, sharing, ..file };
                    let mut known = empty(path_ids);
                    known.put(key, Some(&file)).unwrap();
                    assert_eq!(known.get(key).unwrap(), Some(file));
                }
            }
        }
        // As they were written before sizes were remembered.
        let extra = [&3_u64.to_le_bytes()[..], b"id-of-b"].concat();
        let old = RecordRef { key: b"/a/b", flags: EXTRA | 2, fingerprint: 7, extra: &extra };
        let mut known = empty(true);
        known.state().upsert(old).unwrap();
        known
            .state()
            .upsert(RecordRef { key: b"/a/c", flags: 2, fingerprint: 7, extra: &[] })
            .unwrap();
        let file = Item { size: None, ..item(ItemKind::File, "id-of-b", Some("/a"), "b") };
        assert_eq!(known.get("/a/b").unwrap(), Some(file.clone()));
        let plain = Item { id: "/a/c".into(), name: "c".into(), sharing: 0, ..file.clone() };
        assert_eq!(known.get("/a/c").unwrap(), Some(plain));
        let extra = [&3_u64.to_le_bytes()[..], b"/a\0id-of-b\0b\0"].concat();
        let mut known = empty(false);
        known.state().upsert(RecordRef { key: b"ix", extra: &extra, ..old }).unwrap();
        assert_eq!(known.get("x").unwrap(), Some(file));
    }

    #[test]
    fn everything_is_walked_by_page_and_nothing_else() {
        for path_ids in [true, false] {
            let mut known = empty(path_ids);
            for number in 0..50 {
                let key = format!("/{}/{number:02}", number % 2);
                let parent = format!("/{}", number % 2);
                let file = item(ItemKind::File, &key, Some(&parent), &format!("{number:02}"));
                let file = Item { gone: number == 7, ..file };
                known.put(&key, Some(&file)).unwrap();
            }
            for below in [None, Some("/1".to_owned())] {
                let (mut at, mut found) = (From { below: below.clone(), at: None }, Vec::new());
                loop {
                    let page = known.page(&at, 3).unwrap();
                    found.extend(page.items.into_iter().map(|(key, _)| key));
                    let Some(next) = page.next else { break };
                    at = next;
                }
                let all = if path_ids && below.is_some() { 24 } else { 49 };
                assert_eq!(found.len(), all);
                assert!(found.is_sorted());
            }
        }
    }
}
