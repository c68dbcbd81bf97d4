//! What the simulated Drive holds: files, shared drives, the log of changes, channels, uploads.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use md5::Md5;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;

use crate::people::{PEOPLE, Person};
use crate::world::Dice;

/// The media type of folders.
pub(super) const FOLDER: &str = "application/vnd.google-apps.folder";
/// The media type of shortcuts.
pub(super) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";
/// What an account may hold as the service tells it: 15 GB.
pub(super) const NOMINAL_BYTES: u64 = 15 << 30;
/// What an account may really hold here.
pub(super) const REAL_BYTES: u64 = 2 << 30;
/// The most files of the whole simulation.
const MAX_FILES: usize = 500_000;
/// The most unfinished uploads.
pub(super) const MAX_SESSIONS: usize = 1_000;

/// One content of a file.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) id: String,
    pub(super) content: Bytes,
    pub(super) mime: String,
    pub(super) modified: Timestamp,
    pub(super) by: &'static Person,
    pub(super) keep_forever: bool,
    pub(super) published: bool,
    pub(super) md5: String,
    pub(super) sha1: String,
    pub(super) sha256: String,
    pub(super) original_name: String,
}

/// A grant on a file, or on the root folder of a shared drive.
#[derive(Clone, Debug)]
pub(super) struct Permission {
    pub(super) id: String,
    pub(super) kind: Grantee,
    pub(super) role: Role,
    pub(super) allow_discovery: bool,
    pub(super) since: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

/// Whom a permission is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grantee {
    /// By address; someone outside has no account here.
    User(String),
    Group(String),
    Domain(String),
    Anyone,
}

/// Roles, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Reader,
    Commenter,
    Writer,
    FileOrganizer,
    Organizer,
    Owner,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Commenter => "commenter",
            Self::Writer => "writer",
            Self::FileOrganizer => "fileOrganizer",
            Self::Organizer => "organizer",
            Self::Owner => "owner",
        }
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        let all = [
            Self::Reader,
            Self::Commenter,
            Self::Writer,
            Self::FileOrganizer,
            Self::Organizer,
            Self::Owner,
        ];
        all.into_iter().find(|role| role.as_str() == word)
    }
}

/// Put into the trash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trashed {
    pub(super) at: Timestamp,
    pub(super) by: &'static Person,
}

/// A file, folder, document or shortcut.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mime: String,
    /// The one folder that it is in; none for the roots.
    pub(super) parent: Option<String>,
    /// Nobody, in shared drives.
    pub(super) owner: Option<&'static Person>,
    pub(super) drive: Option<String>,
    pub(super) trashed: Option<Trashed>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) modified_by: &'static Person,
    pub(super) version: u64,
    pub(super) description: Option<String>,
    pub(super) starred: BTreeSet<&'static str>,
    pub(super) viewed: BTreeMap<&'static str, Timestamp>,
    pub(super) properties: BTreeMap<String, String>,
    /// By client and key.
    pub(super) app_properties: BTreeMap<(String, String), String>,
    pub(super) permissions: Vec<Permission>,
    pub(super) revisions: Vec<Revision>,
    /// Id and media type of what a shortcut leads to.
    pub(super) target: Option<(String, String)>,
    pub(super) color: Option<String>,
    pub(super) writers_can_share: bool,
    pub(super) copy_needs_writer: bool,
}

impl File {
    pub(super) fn is_folder(&self) -> bool {
        self.mime == FOLDER
    }

    /// Whether it has bytes of its own: no folder, no shortcut, no document of Google's.
    pub(super) fn is_blob(&self) -> bool {
        !self.mime.starts_with("application/vnd.google-apps.")
    }

    pub(super) fn head(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.revisions.iter().map(|one| one.content.len() as u64).sum()
    }
}

/// A shared drive; its files hang below a root folder that has its id.
#[derive(Clone, Debug)]
pub(super) struct SharedDrive {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) hidden: BTreeSet<&'static str>,
    pub(super) restrictions: BTreeMap<String, bool>,
    pub(super) color: String,
    pub(super) request: String,
}

/// What a change is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    File(String),
    Drive(String),
}

/// The last change of one thing: the log is coalesced.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) target: Target,
    pub(super) at: Timestamp,
    pub(super) drive: Option<String>,
    /// The shared drives that it was in before.
    pub(super) left: BTreeSet<String>,
    /// Everyone who could see it before or after.
    pub(super) audience: BTreeSet<&'static str>,
}

/// What a channel watches.
#[derive(Clone, Debug)]
pub(super) enum Watched {
    Changes { drive: Option<String> },
    File(String),
}

/// One subscription to pushes.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) resource: String,
    pub(super) uri: String,
    pub(super) address: url::Url,
    pub(super) token: Option<String>,
    pub(super) expires: Timestamp,
    pub(super) person: &'static Person,
    pub(super) watched: Watched,
    pub(super) sent: u64,
}

/// An upload that is not finished.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) person: &'static Person,
    pub(super) client: String,
    /// The file whose content it replaces; `None` makes one.
    pub(super) file: Option<String>,
    pub(super) meta: Value,
    pub(super) query: crate::issuer::Params,
    pub(super) mime: Option<String>,
    pub(super) total: Option<u64>,
    pub(super) got: Vec<u8>,
    pub(super) until: Timestamp,
    /// The file that came of it, once it is finished.
    pub(super) done: Option<String>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, File>,
    pub(super) children: BTreeMap<String, BTreeSet<String>>,
    pub(super) roots: BTreeMap<&'static str, String>,
    pub(super) drives: BTreeMap<String, SharedDrive>,
    pub(super) log: BTreeMap<u64, Change>,
    pub(super) latest: BTreeMap<Target, u64>,
    pub(super) seq: u64,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// What is late, and what searches know when they are.
    pub(super) quirks: super::lag::Quirks,
    pub(super) index: Option<Box<super::lag::Index>>,
    /// Bytes of all files together.
    total: u64,
}

impl Change {
    /// Whether a shared drive's log tells of it.
    pub(super) fn is_of(&self, drive: &str) -> bool {
        self.drive.as_deref() == Some(drive) || self.left.contains(drive)
    }
}

impl State {
    /// Everyone with an empty My Drive.
    pub(super) fn fresh(dice: &Dice, now: Timestamp) -> Self {
        let mut state = Self { seq: 1_000, ..Self::default() };
        for person in PEOPLE {
            let id = dice.token("0A", 17);
            let mut root = blank(id.clone(), "My Drive".into(), FOLDER.into(), person, now);
            root.owner = Some(person);
            state.put(root);
            state.roots.insert(person.id, id);
        }
        state
    }

    /// Files and shared drives as they are, without anything else.
    pub(super) fn files_alone(&self) -> Self {
        Self {
            files: self.files.clone(),
            children: self.children.clone(),
            roots: self.roots.clone(),
            drives: self.drives.clone(),
            total: self.total,
            ..Self::default()
        }
    }

    /// The id of someone's My Drive.
    pub(super) fn root(&self, person: &Person) -> &str {
        self.roots.get(person.id).map(String::as_str).unwrap_or_default()
    }

    /// Whether it is the top of My Drive or of a shared drive.
    pub(super) fn is_root(&self, file: &File) -> bool {
        file.parent.is_none()
            && (file.drive.as_ref() == Some(&file.id)
                || self.roots.values().any(|root| *root == file.id))
    }

    /// Adds a file, or puts it in place of what had its id.
    pub(super) fn put(&mut self, file: File) {
        if let Some(old) = self.files.get(&file.id)
            && old.parent != file.parent
            && let Some(above) = &old.parent
            && let Some(siblings) = self.children.get_mut(above)
        {
            siblings.remove(&file.id);
        }
        if let Some(parent) = &file.parent {
            self.children.entry(parent.clone()).or_default().insert(file.id.clone());
        }
        self.total += file.bytes();
        if let Some(old) = self.files.insert(file.id.clone(), file) {
            self.total = self.total.saturating_sub(old.bytes());
        }
    }

    /// Takes a file away; what is below it stays.
    pub(super) fn remove(&mut self, id: &str) -> Option<File> {
        let file = self.files.remove(id)?;
        self.total = self.total.saturating_sub(file.bytes());
        if let Some(above) = &file.parent
            && let Some(siblings) = self.children.get_mut(above)
        {
            siblings.remove(id);
        }
        self.children.remove(id);
        Some(file)
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.files.len() >= MAX_FILES
    }

    /// The ids of what is directly in a folder.
    pub(super) fn children_of(&self, id: &str) -> impl Iterator<Item = &File> {
        let ids = self.children.get(id).into_iter().flatten();
        ids.filter_map(|id| self.files.get(id))
    }

    /// The file itself and everything below it, from the top.
    pub(super) fn tree(&self, id: &str) -> Vec<String> {
        let mut found = vec![id.to_owned()];
        let mut at = 0;
        while let Some(next) = found.get(at).cloned() {
            found.extend(self.children_of(&next).map(|file| file.id.clone()));
            at += 1;
        }
        found
    }

    /// The file and the folders above it, up to its root.
    pub(super) fn line<'a>(&'a self, file: &'a File) -> impl Iterator<Item = &'a File> {
        std::iter::successors(Some(file), |file| self.files.get(file.parent.as_ref()?))
    }

    /// Whether it or a folder above it is in the trash.
    pub(super) fn is_trashed(&self, file: &File) -> bool {
        self.line(file).any(|one| one.trashed.is_some())
    }

    /// Bytes that a person's own files take, the trash included.
    pub(super) fn usage(&self, person: &Person) -> u64 {
        let own = self.files.values().filter(|file| file.owner == Some(person));
        own.map(File::bytes).sum()
    }

    /// Whether so many more bytes have room with this person, or in shared drives.
    pub(super) fn has_room(&self, person: Option<&Person>, more: u64) -> bool {
        // The exact sum is looked for only when it could matter.
        if self.total.saturating_add(more) <= REAL_BYTES / 2 {
            return true;
        }
        let used = match person {
            Some(person) => self.usage(person),
            None => self.files.values().filter(|file| file.owner.is_none()).map(File::bytes).sum(),
        };
        used.saturating_add(more) <= REAL_BYTES.min(NOMINAL_BYTES)
    }
}

/// A file with nothing in it, made by this person now.
pub(super) fn blank(
    id: String,
    name: String,
    mime: String,
    by: &'static Person,
    now: Timestamp,
) -> File {
    File {
        id,
        name,
        mime,
        parent: None,
        owner: None,
        drive: None,
        trashed: None,
        created: now,
        modified: now,
        modified_by: by,
        version: 1,
        description: None,
        starred: BTreeSet::new(),
        viewed: BTreeMap::new(),
        properties: BTreeMap::new(),
        app_properties: BTreeMap::new(),
        permissions: Vec::new(),
        revisions: Vec::new(),
        target: None,
        color: None,
        writers_can_share: true,
        copy_needs_writer: false,
    }
}

/// A content with its checksums.
pub(super) fn revision(
    dice: &Dice,
    content: Bytes,
    mime: &str,
    name: &str,
    by: &'static Person,
    now: Timestamp,
) -> Revision {
    Revision {
        id: dice.token("0B", 50),
        mime: mime.to_owned(),
        modified: now,
        by,
        keep_forever: false,
        published: false,
        md5: hex::encode(Md5::digest(&content)),
        sha1: hex::encode(Sha1::digest(&content)),
        sha256: hex::encode(Sha256::digest(&content)),
        original_name: name.to_owned(),
        content,
    }
}

/// A moment as Google writes it: in milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    Timestamp::from_millis(at.micros().div_euclid(1_000)).to_string()
}
