//! One person's files: what is there, what was there, and the journal of changes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;

use super::lag::{Index, Quirks};
use super::path::{below, is_disallowed, is_wellformed, lower, renamed, split};
use super::refusal::{tag, tagged};
use crate::people::Person;
use crate::world::Dice;

/// What a person has in name.
pub(super) const QUOTA: u64 = 15 << 30;
/// What a person has in this machine's memory.
const REAL_QUOTA: u64 = 2 << 30;
/// How many bytes of replaced and deleted contents are kept for restoring.
const KEPT: u64 = 128 << 20;
/// How many of them there are at most.
const MAX_PAST: usize = 20_000;
/// How many deleted files and folders are remembered.
const MAX_GONE: usize = 3_000;
/// How many changes cursors can look back.
const JOURNAL: usize = 50_000;
/// The most files and folders of a person.
const MAX_NODES: usize = 200_000;

/// One content of a file.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) rev: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: String,
    /// The path in lower case.
    pub(super) key: String,
    pub(super) content: Bytes,
    pub(super) hash: String,
    pub(super) client_modified: Timestamp,
    pub(super) server_modified: Timestamp,
    /// Documents native to the service, which can be exported only.
    pub(super) paper: bool,
}

/// A file or folder that is there.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: String,
    /// As people wrote it.
    pub(super) path: String,
    /// The content; `None` for folders.
    pub(super) file: Option<Revision>,
    pub(super) properties: BTreeMap<String, BTreeMap<String, String>>,
    /// The shared folder that it is, as this person has mounted it.
    pub(super) shared_folder: Option<String>,
    /// Of a shared folder: whether this person may look only.
    pub(super) read_only: bool,
    /// The shared folder that it lies in, and whether this person may look only.
    pub(super) within: Option<(String, bool)>,
}

impl Node {
    pub(super) fn name(&self) -> &str {
        split(&self.path).map_or("", |(_, name)| name)
    }

    pub(super) fn is_folder(&self) -> bool {
        self.file.is_none()
    }
}

/// Something that was there.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) path: String,
    pub(super) at: Timestamp,
    pub(super) folder: bool,
}

/// One line of the journal.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) sequence: u64,
    /// The path in lower case.
    pub(super) key: String,
    pub(super) at: Timestamp,
}

/// How a file is written.
pub(super) struct Write<'a> {
    pub(super) content: Bytes,
    pub(super) hash: String,
    pub(super) mode: Mode<'a>,
    pub(super) autorename: bool,
    pub(super) strict: bool,
    pub(super) client_modified: Option<Timestamp>,
    pub(super) paper: bool,
}

/// `WriteMode`.
#[derive(Clone, Copy)]
pub(super) enum Mode<'a> {
    Add,
    Overwrite,
    Update(&'a str),
}

/// What is lent to every change.
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    pub(super) dice: &'a Dice,
}

/// One person's files. Keys of all maps by path are in lower case.
pub(super) struct Drive {
    pub(super) person: &'static Person,
    pub(super) namespace: String,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) ids: BTreeMap<String, String>,
    pub(super) gone: BTreeMap<String, Gone>,
    gone_in_order: VecDeque<String>,
    /// Contents that are no longer current, the oldest first.
    pub(super) past: VecDeque<Revision>,
    pub(super) journal: VecDeque<Change>,
    pub(super) sequence: u64,
    /// Cursors of an earlier generation are reset.
    pub(super) generation: u64,
    /// What is late, and what searches know when they are.
    pub(super) quirks: Quirks,
    pub(super) index: Option<Index>,
    used: u64,
    kept: u64,
    revisions: u64,
}

/// A `WriteError`.
pub(super) type WriteError = Value;

pub(super) fn conflict(kind: &str) -> WriteError {
    tagged("conflict", tag(kind))
}

fn malformed() -> WriteError {
    tag("malformed_path")
}

/// Dropbox's content hash, in hex (<https://www.dropbox.com/developers/reference/content-hash>).
pub(super) fn content_hash(content: &[u8]) -> String {
    let mut whole = Sha256::new();
    for block in content.chunks(4 << 20) {
        whole.update(Sha256::digest(block));
    }
    hex::encode(whole.finalize())
}

impl Drive {
    pub(super) fn new(person: &'static Person, namespace: String) -> Self {
        Self {
            person,
            namespace,
            nodes: BTreeMap::new(),
            ids: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_in_order: VecDeque::new(),
            past: VecDeque::new(),
            journal: VecDeque::new(),
            sequence: 0,
            generation: 0,
            quirks: Quirks::default(),
            index: None,
            used: 0,
            kept: 0,
            revisions: 0,
        }
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(&lower(path))
    }

    /// Whether the folder is there; the root always is.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || self.node(path).is_some_and(Node::is_folder)
    }

    /// The shared folder above a key, and whether this person may look only.
    pub(super) fn lies_in(&self, key: &str) -> Option<(String, bool)> {
        let mut above = split(key).map(|(above, _)| above);
        while let Some(here) = above.filter(|here| !here.is_empty()) {
            if let Some(node) = self.nodes.get(here)
                && let Some(id) = &node.shared_folder
            {
                return Some((id.clone(), node.read_only));
            }
            above = split(here).map(|(above, _)| above);
        }
        None
    }

    /// Whether a shared folder is mounted at this key.
    pub(super) fn is_mount(&self, key: &str) -> bool {
        self.nodes.get(key).is_some_and(|node| node.shared_folder.is_some())
    }

    /// Whether something below a shared folder is there to look at only.
    pub(super) fn is_read_only(&self, key: &str) -> bool {
        self.lies_in(key).is_some_and(|(_, read_only)| read_only)
    }

    /// A content by its revision, current or past.
    pub(super) fn revision(&self, rev: &str) -> Option<&Revision> {
        let current = self.nodes.values().filter_map(|node| node.file.as_ref());
        self.past.iter().chain(current).find(|one| one.rev == rev)
    }

    pub(super) fn note(&mut self, key: &str, at: Timestamp) {
        self.sequence += 1;
        self.journal.push_back(Change { sequence: self.sequence, key: key.to_owned(), at });
        self.index_later(key, at);
        if self.journal.len() > JOURNAL {
            self.journal.pop_front();
        }
    }

    /// The first change that the journal still tells of.
    pub(super) fn oldest(&self) -> u64 {
        self.journal.front().map_or(self.sequence, |change| change.sequence.saturating_sub(1))
    }

    fn next_rev(&mut self) -> String {
        self.revisions += 1;
        format!("{:013x}{:09x}", 0x0006_2b00_0000_0000_u64 + self.revisions, self.sequence)
    }

    pub(super) fn insert(&mut self, mut node: Node) {
        let key = lower(&node.path);
        node.within = self.lies_in(&key);
        self.used += node.file.as_ref().map_or(0, |file| file.content.len() as u64);
        self.gone.remove(&key);
        self.ids.insert(node.id.clone(), key.clone());
        self.nodes.insert(key, node);
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let node = self.nodes.remove(key)?;
        self.ids.remove(&node.id);
        self.used -= node.file.as_ref().map_or(0, |file| file.content.len() as u64);
        Some(node)
    }

    pub(super) fn remember(&mut self, key: &str, node: &Node, at: Timestamp) {
        let gone = Gone { path: node.path.clone(), at, folder: node.is_folder() };
        self.gone.insert(key.to_owned(), gone);
        self.gone_in_order.push_back(key.to_owned());
        if self.gone_in_order.len() > MAX_GONE
            && let Some(oldest) = self.gone_in_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    pub(super) fn keep(&mut self, revision: Revision) {
        self.kept += revision.content.len() as u64;
        self.past.push_back(revision);
        while self.kept > KEPT || self.past.len() > MAX_PAST {
            let Some(oldest) = self.past.pop_front() else { break };
            self.kept -= oldest.content.len() as u64;
        }
    }

    fn check_target(&self, path: &str) -> Result<(), WriteError> {
        let Some((_, name)) = split(path) else { return Err(malformed()) };
        if !is_wellformed(path) {
            return Err(malformed());
        }
        if is_disallowed(name) {
            return Err(tag("disallowed_name"));
        }
        if self.is_read_only(&lower(path)) {
            return Err(tag("no_write_permission"));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(tag("insufficient_space"));
        }
        Ok(())
    }

    /// Makes the folders above a path that are not there, as every write of Dropbox does, and gives
    /// the path as those folders write it.
    fn prepare(&mut self, path: &str, moment: &Moment<'_>) -> Result<String, WriteError> {
        let (parent, name) = split(path).ok_or_else(malformed)?;
        let mut shown = String::new();
        for part in parent.split('/').skip(1) {
            let here = format!("{shown}/{part}");
            shown = match self.node(&here) {
                Some(node) if node.is_folder() => node.path.clone(),
                Some(_) => return Err(conflict("file_ancestor")),
                None => {
                    self.make_folder(&here, moment);
                    here
                }
            };
        }
        Ok(format!("{shown}/{name}"))
    }

    fn make_folder(&mut self, path: &str, moment: &Moment<'_>) {
        self.insert(Node {
            id: moment.dice.token("id:", 22),
            path: path.to_owned(),
            file: None,
            properties: BTreeMap::new(),
            shared_folder: None,
            read_only: false,
            within: None,
        });
        self.note(&lower(path), moment.now);
    }

    pub(super) fn free(&self, path: &str, folder: bool) -> String {
        let mut names = (1..).map(|n| renamed(path, n, folder));
        names.find(|path| self.node(path).is_none()).unwrap_or_else(|| path.to_owned())
    }

    /// Makes a folder.
    pub(super) fn folder(
        &mut self,
        path: &str,
        autorename: bool,
        moment: &Moment<'_>,
    ) -> Result<Node, WriteError> {
        self.check_target(path)?;
        let mut path = self.prepare(path, moment)?;
        if let Some(there) = self.node(&path) {
            if !autorename {
                return Err(conflict(if there.is_folder() { "folder" } else { "file" }));
            }
            path = self.free(&path, true);
        }
        self.make_folder(&path, moment);
        self.node(&path).cloned().ok_or_else(malformed)
    }

    /// Writes a file.
    pub(super) fn write(
        &mut self,
        path: &str,
        write: Write<'_>,
        moment: &Moment<'_>,
    ) -> Result<Node, WriteError> {
        self.check_target(path)?;
        if self.used + write.content.len() as u64 > REAL_QUOTA.min(QUOTA) {
            return Err(tag("insufficient_space"));
        }
        let mut path = self.prepare(path, moment)?;
        let mut replaced = None;
        match self.node(&path).cloned() {
            None => {
                if matches!(write.mode, Mode::Update(_)) && write.strict {
                    return Err(conflict("file"));
                }
            }
            Some(there) => match &there.file {
                None if write.autorename => path = self.free(&path, false),
                None => return Err(conflict("folder")),
                Some(file) => {
                    let same = file.hash == write.hash;
                    let replaces = match write.mode {
                        Mode::Overwrite => true,
                        Mode::Update(rev) => file.rev == rev,
                        Mode::Add => false,
                    };
                    if replaces {
                        replaced = Some(there.clone());
                    } else if same && !write.strict {
                        return Ok(there);
                    } else if write.autorename {
                        path = self.free(&path, false);
                    } else {
                        return Err(conflict("file"));
                    }
                }
            },
        }
        let rev = self.next_rev();
        let (id, properties) = match replaced {
            Some(there) => {
                path.clone_from(&there.path);
                if let Some(node) = self.take(&lower(&path))
                    && let Some(file) = node.file
                {
                    self.keep(file);
                }
                (there.id, there.properties)
            }
            None => (moment.dice.token("id:", 22), BTreeMap::new()),
        };
        let file = Revision {
            rev,
            id: id.clone(),
            name: split(&path).map_or("", |(_, name)| name).to_owned(),
            key: lower(&path),
            path: path.clone(),
            content: write.content,
            hash: write.hash,
            client_modified: write.client_modified.unwrap_or(moment.now),
            server_modified: moment.now,
            paper: write.paper,
        };
        let node = Node {
            id,
            path,
            file: Some(file),
            properties,
            shared_folder: None,
            read_only: false,
            within: None,
        };
        let key = lower(&node.path);
        self.insert(node);
        self.note(&key, moment.now);
        self.nodes.get(&key).cloned().ok_or_else(malformed)
    }

    /// The keys of a node and of everything below it, folders before their contents.
    pub(super) fn tree(&self, key: &str) -> Vec<String> {
        let (from, to) = below(key);
        let mut keys: Vec<String> =
            self.nodes.range(from..to).map(|(key, _)| key.clone()).collect();
        if self.nodes.contains_key(key) {
            keys.insert(0, key.to_owned());
        }
        keys
    }

    /// Moves or copies what is at `from` to `to`, which is free. Gives what is there now.
    pub(super) fn relocate(
        &mut self,
        from: &str,
        to: &str,
        copy: bool,
        moment: &Moment<'_>,
    ) -> Result<Node, WriteError> {
        self.check_target(to)?;
        let to = self.prepare(to, moment)?;
        let from_key = lower(from);
        let keys = self.tree(&from_key);
        if copy {
            let more: u64 = keys
                .iter()
                .filter_map(|key| self.nodes.get(key)?.file.as_ref())
                .map(|file| file.content.len() as u64)
                .sum();
            if self.used + more > REAL_QUOTA.min(QUOTA) {
                return Err(tag("insufficient_space"));
            }
        }
        let shown = self.node(from).map(|node| node.path.clone()).unwrap_or_default();
        let mut moved = Vec::new();
        for key in &keys {
            let node = if copy { self.nodes.get(key).cloned() } else { self.take(key) };
            let Some(mut node) = node else { continue };
            if !copy {
                self.remember(key, &node, moment.now);
            }
            let rest = node.path.get(shown.len()..).unwrap_or_default();
            node.path = format!("{to}{rest}");
            if copy {
                node.id = moment.dice.token("id:", 22);
                node.shared_folder = None;
                node.read_only = false;
            }
            if let Some(file) = &mut node.file {
                if !copy {
                    // The content under its old name stays among the revisions of the path.
                    self.keep(file.clone());
                }
                file.id.clone_from(&node.id);
                file.path.clone_from(&node.path);
                file.key = lower(&node.path);
                file.name = split(&node.path).map_or("", |(_, name)| name).to_owned();
                file.rev = self.next_rev();
                if copy {
                    file.server_modified = moment.now;
                }
            }
            moved.push(node);
        }
        if !copy {
            self.note(&from_key, moment.now);
        }
        for node in moved {
            let key = lower(&node.path);
            self.insert(node);
            self.note(&key, moment.now);
        }
        // Renames that change the case alone leave nothing behind.
        self.node(&to).cloned().ok_or_else(malformed)
    }

    /// Deletes what is at a key, with all below it.
    pub(super) fn delete(&mut self, key: &str, now: Timestamp) {
        for key in self.tree(key) {
            let Some(node) = self.take(&key) else { continue };
            self.remember(&key, &node, now);
            if let Some(file) = node.file {
                self.keep(file);
            }
        }
        self.note(key, now);
    }

    /// Forgets what was at a key and below it, with all its revisions.
    pub(super) fn forget(&mut self, key: &str) {
        let (from, to) = below(key);
        let keys: Vec<String> =
            self.gone.range(from.clone()..to.clone()).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.gone.remove(&key);
        }
        self.gone.remove(key);
        let mut kept = 0;
        self.past.retain(|one| {
            let forgotten = one.key == key || (one.key >= from && one.key < to);
            if !forgotten {
                kept += one.content.len() as u64;
            }
            !forgotten
        });
        self.kept = kept;
    }

    /// The space that is used, as `SpaceUsage` tells it.
    pub(super) fn space(&self) -> Value {
        json!({"used": self.used, "allocation": {".tag": "team", "used": self.used, "allocated": QUOTA,
            "user_within_team_space_allocated": 0, "user_within_team_space_limit_type": {".tag": "off"},
            "user_within_team_space_used_cached": self.used}})
    }
}

impl Drive {
    /// Gives what is at a key another id: a file that came back is the one that it was.
    pub(super) fn rename_id(&mut self, key: &str, id: &str) {
        let Some(node) = self.nodes.get_mut(key) else { return };
        self.ids.remove(&node.id);
        node.id = id.to_owned();
        if let Some(file) = &mut node.file {
            file.id = id.to_owned();
        }
        self.ids.insert(id.to_owned(), key.to_owned());
        if let Some(at) = self.journal.back().map(|change| change.at) {
            self.index_later(key, at);
        }
    }
}
