//! The state of one account in memory: a tree of nodes with stable ids, and the rules that hold in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tramontane_connector::entry::{Hashes, Parent, Trashed};
use tramontane_connector::storage::{GranteeKind, Permission};
use tramontane_connector::{
    Conflict, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place, Result, ShareLink,
};
use tramontane_model::{NativeId, Timestamp};

pub(super) const ROOT: u64 = 0;

/// A content that a file had.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) revision: u64,
    pub(super) content: Bytes,
    pub(super) modified: Timestamp,
}

/// A property with the moments it was set first and last.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) value: String,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) kind: EntryKind,
    pub(super) name: String,
    pub(super) parent: u64,
    pub(super) content: Bytes,
    pub(super) media_type: Option<String>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) revision: u64,
    pub(super) older: Vec<Kept>,
    pub(super) properties: BTreeMap<String, Set>,
    pub(super) grants: Vec<Permission>,
    pub(super) links: Vec<ShareLink>,
    pub(super) trashed: Option<Timestamp>,
    pub(super) downloadable: bool,
}

/// An upload in parts.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) at: Place,
    pub(super) how: tramontane_connector::WriteOptions,
    pub(super) parts: BTreeMap<u32, Bytes>,
}

pub(super) struct Drive {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) next: u64,
}

pub(super) fn native(id: u64) -> NativeId {
    NativeId::new(format!("m{id}"))
}

/// Only the form that [`native`] writes: one object has one id.
pub(super) fn parse(id: &NativeId) -> Option<u64> {
    let number: u64 = id.as_str().strip_prefix('m')?.parse().ok()?;
    (native(number) == *id).then_some(number)
}

fn missing() -> Error {
    Error::not_found("There is no such object.")
}

impl Drive {
    pub(super) fn new(now: Timestamp) -> Self {
        let mut drive = Self { nodes: BTreeMap::new(), sessions: BTreeMap::new(), next: 1 };
        drive.nodes.insert(ROOT, Self::node(EntryKind::Folder, "", ROOT, now));
        drive
    }

    fn node(kind: EntryKind, name: &str, parent: u64, now: Timestamp) -> Node {
        let owner = Permission {
            id: Some(NativeId::new("me")),
            grantee: GranteeKind::User,
            role: "owner".into(),
            email: Some("me@example.com".into()),
            name: Some("Me".into()),
            inherited: false,
        };
        Node {
            kind,
            name: name.into(),
            parent,
            content: Bytes::new(),
            media_type: None,
            created: now,
            modified: now,
            revision: 1,
            older: Vec::new(),
            properties: BTreeMap::new(),
            grants: vec![owner],
            links: Vec::new(),
            trashed: None,
            downloadable: true,
        }
    }

    pub(super) fn fresh(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    /// Whether neither it nor a folder above it is in the trash.
    pub(super) fn alive(&self, mut id: u64) -> bool {
        while let Some(node) = self.nodes.get(&id) {
            if node.trashed.is_some() {
                return false;
            }
            if id == ROOT {
                return true;
            }
            id = node.parent;
        }
        false
    }

    pub(super) fn live(&self, kind: EntryKind, id: &NativeId) -> Result<u64> {
        let id = parse(id).ok_or_else(missing)?;
        let node = self.nodes.get(&id).ok_or_else(missing)?;
        if node.kind == kind && self.alive(id) { Ok(id) } else { Err(missing()) }
    }

    pub(super) fn get(&self, id: u64) -> Result<&Node> {
        self.nodes.get(&id).ok_or_else(missing)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or_else(missing)
    }

    pub(super) fn parent_of(&self, at: &Place) -> Result<u64> {
        self.live(EntryKind::Folder, &at.parent)
            .map_err(|_| Error::new(Kind::ParentNotFound, "The folder to write into is not there."))
    }

    /// The live children of a folder, in the order they were made.
    pub(super) fn children(&self, of: u64) -> impl Iterator<Item = (u64, &Node)> {
        let all = self.nodes.iter().map(|(id, node)| (*id, node));
        all.filter(move |(id, node)| *id != ROOT && node.parent == of && node.trashed.is_none())
    }

    pub(super) fn named(&self, parent: u64, name: &str) -> Option<u64> {
        self.children(parent).find(|(_, node)| node.name == name).map(|(id, _)| id)
    }

    pub(super) fn reference(&self, id: u64) -> Option<EntryRef> {
        self.nodes.get(&id).map(|node| EntryRef { kind: node.kind, id: native(id) })
    }

    /// What stands in the way of putting a `kind` at a place: nothing, or a file that may be replaced.
    pub(super) fn in_the_way(
        &self,
        parent: u64,
        name: &str,
        kind: EntryKind,
        how: Conflict,
    ) -> Result<Option<u64>> {
        let Some(there) = self.named(parent, name) else { return Ok(None) };
        let files = kind == EntryKind::File && self.get(there)?.kind == EntryKind::File;
        if files && how == Conflict::Replace {
            return Ok(Some(there));
        }
        Err(Error::conflict(name, self.reference(there)))
    }

    pub(super) fn insert(
        &mut self,
        kind: EntryKind,
        parent: u64,
        name: &str,
        now: Timestamp,
    ) -> u64 {
        let id = self.fresh();
        self.nodes.insert(id, Self::node(kind, name, parent, now));
        id
    }

    /// Sets a file's content and keeps the one it had.
    pub(super) fn write(&mut self, id: u64, content: Bytes, modified: Timestamp) -> Result<()> {
        let node = self.get_mut(id)?;
        node.older.push(Kept {
            revision: node.revision,
            content: std::mem::replace(&mut node.content, content),
            modified: node.modified,
        });
        node.revision += 1;
        node.modified = modified;
        Ok(())
    }

    /// Fails unless the file has this etag.
    pub(super) fn matches(&self, id: Option<u64>, tag: Option<&ETag>) -> Result<()> {
        let Some(tag) = tag else { return Ok(()) };
        let has = id.and_then(|id| self.nodes.get(&id).map(|node| etag(id, node)));
        if has.as_ref() == Some(tag) {
            return Ok(());
        }
        Err(Error::new(Kind::Precondition, "The file has changed in the meantime."))
    }

    /// Whether `id` is `folder` or lies below it.
    pub(super) fn below(&self, mut id: u64, folder: u64) -> bool {
        loop {
            if id == folder {
                return true;
            }
            match self.nodes.get(&id) {
                Some(node) if id != ROOT => id = node.parent,
                _ => return false,
            }
        }
    }

    /// Everything below a folder that is not in the trash, folders before their contents.
    pub(super) fn descendants(&self, folder: u64) -> Vec<(u64, u32)> {
        let mut found = Vec::new();
        let mut stack = vec![(folder, 0)];
        while let Some((of, depth)) = stack.pop() {
            for (id, node) in self.children(of) {
                found.push((id, depth + 1));
                if node.kind == EntryKind::Folder {
                    stack.push((id, depth + 1));
                }
            }
        }
        found
    }

    /// Removes a node and all below it for good, also what of it is in the trash.
    pub(super) fn remove(&mut self, id: u64) {
        let mut stack = vec![id];
        while let Some(of) = stack.pop() {
            self.nodes.remove(&of);
            stack.extend(
                self.nodes
                    .iter()
                    .filter(|(id, node)| **id != ROOT && node.parent == of)
                    .map(|(id, _)| *id),
            );
        }
    }

    fn path(&self, mut id: u64) -> String {
        let mut names = Vec::new();
        while let Some(node) = self.nodes.get(&id).filter(|_| id != ROOT) {
            names.push(node.name.as_str());
            id = node.parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    pub(super) fn entry(&self, id: u64) -> Result<Entry> {
        let node = self.get(id)?;
        let parent = (id != ROOT).then(|| Parent {
            id: native(node.parent),
            name: self.nodes.get(&node.parent).map(|parent| parent.name.clone()),
        });
        let mut entry = match node.kind {
            EntryKind::File => Entry::file(native(id), &node.name, parent),
            EntryKind::Folder => Entry::folder(native(id), &node.name, parent),
        };
        entry.path = Some(self.path(id));
        entry.created = Some(node.created);
        entry.modified = Some(node.modified);
        if node.kind == EntryKind::File {
            entry.size = Some(node.content.len() as u64);
            entry.media_type.clone_from(&node.media_type);
            entry.etag = Some(etag(id, node));
            entry.version = Some(node.revision.to_string());
            entry.downloadable = node.downloadable;
            entry.hashes = hashes(&node.content);
        }
        entry.trashed = node
            .trashed
            .map(|at| Trashed { at: Some(at), original_parent: Some(native(node.parent)) });
        Ok(entry)
    }
}

pub(super) fn etag(id: u64, node: &Node) -> ETag {
    ETag::strong(format!("{id}-{}", node.revision))
}

pub(super) fn hashes(content: &Bytes) -> Hashes {
    Hashes { sha256: Some(hex::encode(Sha256::digest(content))), ..Hashes::default() }
}
