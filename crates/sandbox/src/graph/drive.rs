//! One drive: its items, their names and versions, and the order in which they changed.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;
use tramontane_model::content_hash::QuickXor;

use super::fault::{Fault, bad, changed, full, not_found};
use super::names;
use crate::people::Person;
use crate::world::Dice;

/// What a drive holds at most in earnest, in bytes; it says that it holds more.
const MAX_BYTES: u64 = 2 << 30;
/// Items of one drive.
const MAX_ITEMS: usize = 200_000;
/// Earlier contents of one file.
pub(super) const MAX_VERSIONS: usize = 50;
/// Deleted items that a delta still tells of.
pub(super) const MAX_GONE: usize = 10_000;

/// What kind of drive it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// OneDrive for personal use.
    Personal,
    /// Somebody's OneDrive for Business.
    Business,
    /// A library of a SharePoint site.
    Library,
}

/// An earlier content.
#[derive(Clone, Debug)]
pub(super) struct OldVersion {
    pub(super) number: u32,
    pub(super) content: Bytes,
    pub(super) modified: Timestamp,
    pub(super) modifier: &'static Person,
}

/// A permission of one item.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    pub(super) id: String,
    pub(super) roles: Vec<String>,
    pub(super) to: Option<&'static Person>,
    /// For groups: id and name.
    pub(super) group: Option<(String, String)>,
    pub(super) link: Option<Link>,
}

/// What makes a permission a sharing link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// `view`, `edit` or `embed`.
    pub(super) kind: String,
    /// `anonymous`, `organization` or `users`.
    pub(super) scope: String,
    pub(super) password: Option<String>,
    pub(super) expires: Option<Timestamp>,
}

/// A file, a folder, a package, or a place where another drive's folder shows.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) guid: String,
    pub(super) name: String,
    pub(super) parent: Option<String>,
    pub(super) folder: bool,
    pub(super) package: bool,
    /// Drive and item of a folder of someone else that shows here.
    pub(super) remote: Option<(String, String)>,
    pub(super) content: Bytes,
    /// The content's hashes as they are told, computed once.
    pub(super) hashes: Value,
    pub(super) number: u32,
    pub(super) versions: VecDeque<OldVersion>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) client_created: Timestamp,
    pub(super) client_modified: Timestamp,
    pub(super) creator: &'static Person,
    pub(super) modifier: &'static Person,
    pub(super) tag: u64,
    pub(super) content_tag: u64,
    pub(super) seq: u64,
    pub(super) locked: bool,
    pub(super) sharing: Vec<Sharing>,
}

/// A drive.
pub(super) struct Drive {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) flavour: Flavour,
    pub(super) owner: Option<&'static Person>,
    pub(super) site: Option<String>,
    pub(super) created: Timestamp,
    pub(super) root: String,
    pub(super) items: BTreeMap<String, Item>,
    pub(super) names: BTreeMap<String, BTreeMap<String, String>>,
    /// Deleted items with the number of their deletion, oldest first.
    pub(super) gone: VecDeque<(u64, Item)>,
    pub(super) seq: u64,
    /// Cursors from before this are forgotten.
    pub(super) floor: u64,
    /// Counts how often all cursors were forgotten.
    pub(super) generation: u64,
    /// Up to which change the search knows the drive; all of it when `None`.
    pub(super) indexed: Option<u64>,
    pub(super) bin: BTreeMap<String, Vec<Item>>,
    pub(super) used: u64,
    dice: Dice,
}

/// Who does something, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    pub(super) person: &'static Person,
    pub(super) now: Timestamp,
}

/// What to do when a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Fail,
    Replace,
    Rename,
}

impl Behaviour {
    pub(super) fn read(text: Option<&str>, usual: Self) -> Result<Self, Fault> {
        match text {
            None => Ok(usual),
            Some("fail") => Ok(Self::Fail),
            Some("replace") => Ok(Self::Replace),
            Some("rename") => Ok(Self::Rename),
            Some(other) => Err(bad(format!("Unsupported conflict behavior {other}"))),
        }
    }
}

impl Drive {
    pub(super) fn new(
        id: String,
        name: &str,
        flavour: Flavour,
        owner: Option<&'static Person>,
        by: By,
        dice: Dice,
    ) -> Self {
        let mut drive = Self {
            id,
            name: name.into(),
            flavour,
            owner,
            site: None,
            created: by.now,
            root: String::new(),
            items: BTreeMap::new(),
            names: BTreeMap::new(),
            gone: VecDeque::new(),
            seq: 0,
            floor: 0,
            generation: 0,
            indexed: None,
            bin: BTreeMap::new(),
            used: 0,
            dice,
        };
        let mut root = drive.blank("root", None, true, by);
        if flavour == Flavour::Personal {
            root.id = format!("{}!101", drive.id.to_uppercase());
        }
        drive.root.clone_from(&root.id);
        drive.names.insert(root.id.clone(), BTreeMap::new());
        drive.items.insert(root.id.clone(), root);
        drive
    }

    fn hex(&self, length: usize) -> String {
        (0..length)
            .map(|_| {
                char::from_digit(u32::try_from(self.dice.below(16)).unwrap_or(0), 16).unwrap_or('0')
            })
            .collect()
    }

    pub(super) fn blank(
        &mut self,
        name: &str,
        parent: Option<String>,
        folder: bool,
        by: By,
    ) -> Item {
        self.seq += 1;
        let guid = self.hex(32).to_uppercase();
        let guid = format!(
            "{}-{}-{}-{}-{}",
            part(&guid, 0, 8),
            part(&guid, 8, 12),
            part(&guid, 12, 16),
            part(&guid, 16, 20),
            part(&guid, 20, 32)
        );
        let id = match self.flavour {
            Flavour::Personal => format!("{}!s{}", self.id.to_uppercase(), self.hex(32)),
            Flavour::Business | Flavour::Library => {
                let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
                let mut id = String::from("01");
                for _ in 0..32 {
                    let at = usize::try_from(self.dice.below(32)).unwrap_or(0);
                    id.push(char::from(letters.get(at).copied().unwrap_or(b'A')));
                }
                id
            }
        };
        Item {
            id,
            guid,
            name: name.into(),
            parent,
            folder,
            package: false,
            remote: None,
            content: Bytes::new(),
            hashes: hashes(self.flavour, &[]),
            number: 1,
            versions: VecDeque::new(),
            created: by.now,
            modified: by.now,
            client_created: by.now,
            client_modified: by.now,
            creator: by.person,
            modifier: by.person,
            tag: 1,
            content_tag: 1,
            seq: self.seq,
            locked: false,
            sharing: Vec::new(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn item(&self, id: &str) -> Result<&Item, Fault> {
        self.items.get(id).ok_or_else(not_found)
    }

    pub(super) fn item_mut(&mut self, id: &str) -> Result<&mut Item, Fault> {
        self.items.get_mut(id).ok_or_else(not_found)
    }

    pub(super) fn child(&self, parent: &str, name: &str) -> Option<&Item> {
        self.items.get(self.names.get(parent)?.get(&names::folded(name))?)
    }

    /// Children by name, those after a name only.
    pub(super) fn children(
        &self,
        parent: &str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &Item> {
        let bound = match after {
            Some(after) => std::ops::Bound::Excluded(after.to_owned()),
            None => std::ops::Bound::Unbounded,
        };
        let names =
            self.names.get(parent).map(|names| names.range((bound, std::ops::Bound::Unbounded)));
        names.into_iter().flatten().filter_map(|(_, id)| self.items.get(id))
    }

    pub(super) fn child_count(&self, folder: &str) -> usize {
        self.names.get(folder).map_or(0, BTreeMap::len)
    }

    /// The item at these names below another.
    pub(super) fn walk(&self, from: &str, path: &[String]) -> Result<&Item, Fault> {
        let mut at = self.item(from)?;
        for name in path {
            at = self.child(&at.id, name).ok_or_else(not_found)?;
        }
        Ok(at)
    }

    /// The names from the root down to an item.
    pub(super) fn path(&self, id: &str) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = self.items.get(id);
        while let Some(item) = at {
            let Some(parent) = &item.parent else { break };
            path.push(item.name.clone());
            at = self.items.get(parent);
        }
        path.reverse();
        path
    }

    /// An item and all above it, the nearest first.
    pub(super) fn lineage(&self, id: &str) -> Vec<&Item> {
        let mut found = Vec::new();
        let mut at = self.items.get(id);
        while let Some(item) = at {
            found.push(item);
            at = item.parent.as_ref().and_then(|parent| self.items.get(parent));
        }
        found
    }

    /// Everything below an item, folders before their contents.
    pub(super) fn below(&self, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = VecDeque::from([id.to_owned()]);
        while let Some(at) = open.pop_front() {
            for child in self.children(&at, None) {
                found.push(child.id.clone());
                if child.folder {
                    open.push_back(child.id.clone());
                }
            }
        }
        found
    }

    pub(super) fn etag(&self, item: &Item) -> String {
        match self.flavour {
            Flavour::Personal => {
                format!("a{}", BASE64_URL_SAFE_NO_PAD.encode(format!("{}.{}", item.id, item.tag)))
            }
            _ => format!("\"{{{}}},{}\"", item.guid, item.tag),
        }
    }

    pub(super) fn ctag(&self, item: &Item) -> String {
        match self.flavour {
            Flavour::Personal => format!(
                "a{}",
                BASE64_URL_SAFE_NO_PAD.encode(format!("c:{}.{}", item.id, item.content_tag))
            ),
            _ => format!("\"c:{{{}}},{}\"", item.guid, item.content_tag),
        }
    }

    /// Whether an `if-match` header names the item as it is.
    pub(super) fn check_match(&self, item: &Item, if_match: Option<&str>) -> Result<(), Fault> {
        let Some(wanted) = if_match else { return Ok(()) };
        let bare = |text: &str| text.trim().trim_matches('"').to_owned();
        let wanted = bare(wanted);
        if wanted == "*" || wanted == bare(&self.etag(item)) || wanted == bare(&self.ctag(item)) {
            Ok(())
        } else {
            Err(changed())
        }
    }

    pub(super) fn check_place(&self, parent: &str, name: &str) -> Result<(), Fault> {
        names::check(name)?;
        let above = self.item(parent)?;
        if !above.folder {
            return Err(Fault::new(400, "invalidRequest", "The parent item is not a folder"));
        }
        let long: usize = self.path(parent).iter().map(|part| part.chars().count() + 1).sum();
        if long + name.chars().count() > names::MAX_PATH {
            return Err(bad("The specified path is too long").inner("pathIsTooLong"));
        }
        if self.items.len() >= MAX_ITEMS {
            return Err(full());
        }
        if self.flavour == Flavour::Library
            && parent == self.root
            && name.eq_ignore_ascii_case("forms")
        {
            return Err(bad("The provided name is reserved at the top of a library"));
        }
        Ok(())
    }

    pub(super) fn check_room(&self, more: usize) -> Result<(), Fault> {
        if self.used.saturating_add(more as u64) > MAX_BYTES { Err(full()) } else { Ok(()) }
    }

    pub(super) fn free_name(&self, parent: &str, name: &str, folder: bool) -> String {
        (1..)
            .map(|n| names::numbered(name, n, folder))
            .find(|name| self.child(parent, name).is_none())
            .unwrap_or_else(|| name.to_owned())
    }

    pub(super) fn enter(&mut self, item: Item) {
        if let Some(parent) = &item.parent {
            self.names
                .entry(parent.clone())
                .or_default()
                .insert(names::folded(&item.name), item.id.clone());
        }
        if item.folder {
            self.names.entry(item.id.clone()).or_default();
        }
        self.items.insert(item.id.clone(), item);
    }

    pub(super) fn touch(&mut self, id: &str, by: By, content: bool) {
        self.seq += 1;
        let seq = self.seq;
        if let Some(item) = self.items.get_mut(id) {
            item.seq = seq;
            item.tag += 1;
            item.modified = by.now;
            item.modifier = by.person;
            if content {
                item.content_tag += 1;
                item.client_modified = by.now;
            }
        }
    }
}

fn part(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// The `hashes` facet: `quickXorHash` everywhere, SHA-1 and SHA-256 on personal drives.
pub(super) fn hashes(flavour: Flavour, content: &[u8]) -> Value {
    let mut quick = QuickXor::default();
    quick.update(content);
    let quick = BASE64_STANDARD.encode(quick.finalize());
    match flavour {
        Flavour::Personal => json!({
            "quickXorHash": quick,
            "sha1Hash": hex::encode_upper(Sha1::digest(content)),
            "sha256Hash": hex::encode_upper(Sha256::digest(content)),
        }),
        Flavour::Business | Flavour::Library => json!({"quickXorHash": quick}),
    }
}
