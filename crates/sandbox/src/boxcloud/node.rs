//! What is kept: items with their versions, collaborations, people, groups.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};
use tramontane_model::Timestamp;

/// The three kinds of items. Each has ids of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Folder,
    File,
    Link,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
            Self::Link => "web_link",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Folder, Self::File, Self::Link].into_iter().find(|kind| kind.word() == word)
    }

    /// The word in paths.
    pub(super) fn of_path(word: &str) -> Option<Self> {
        match word {
            "folders" => Some(Self::Folder),
            "files" => Some(Self::File),
            "web_links" => Some(Self::Link),
            _ => None,
        }
    }
}

/// One item. Folder 0 is everyone's own root and is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) id: u64,
}

impl Key {
    pub(super) fn folder(id: u64) -> Self {
        Self { kind: Kind::Folder, id }
    }

    pub(super) fn is_root(self) -> bool {
        self == Self::folder(0)
    }
}

/// One content that a file has or had.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: u64,
    pub(super) content: Bytes,
    pub(super) sha1: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) modified_by: u64,
    pub(super) trashed: Option<Timestamp>,
}

/// A shared link.
#[derive(Clone, Debug)]
pub(super) struct SharedLink {
    pub(super) token: String,
    pub(super) access: String,
    pub(super) password: Option<String>,
    pub(super) unshared_at: Option<Timestamp>,
    pub(super) can_download: bool,
    pub(super) can_edit: bool,
}

/// One instance of a metadata template.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) values: Map<String, Value>,
}

/// A file, folder or web link.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) name: String,
    /// The folder's id; 0: the owner's root.
    pub(super) parent: u64,
    pub(super) owner: u64,
    pub(super) etag: u64,
    pub(super) description: String,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) content_created: Timestamp,
    pub(super) content_modified: Timestamp,
    pub(super) created_by: u64,
    pub(super) modified_by: u64,
    /// Of files: every version, the current one last.
    pub(super) versions: Vec<Version>,
    /// Of web links.
    pub(super) url: String,
    /// Set on what was thrown away itself, not on what is below it.
    pub(super) trashed: Option<Timestamp>,
    pub(super) shared: Option<SharedLink>,
    /// By `scope/template`.
    pub(super) metadata: BTreeMap<String, Metadata>,
    pub(super) tags: Vec<String>,
}

impl Node {
    pub(super) fn current(&self) -> Option<&Version> {
        self.versions.last()
    }

    pub(super) fn size(&self) -> u64 {
        self.current().map_or(0, |version| version.content.len() as u64)
    }

    /// Bytes that all versions take.
    pub(super) fn weight(&self) -> u64 {
        self.versions.iter().map(|version| version.content.len() as u64).sum()
    }
}

/// Someone's access to an item.
#[derive(Clone, Debug)]
pub(super) struct Collaboration {
    pub(super) id: u64,
    pub(super) item: Key,
    pub(super) who: Grantee,
    pub(super) role: String,
    pub(super) created_by: u64,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

/// Who collaborates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grantee {
    User(u64),
    Group(u64),
    /// Invited by address, not known to Box yet.
    Invited(String),
}

/// Someone with an account.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) login: String,
    /// `admin`, `coadmin` or `user`.
    pub(super) role: &'static str,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) space: u64,
}

/// A group of the enterprise.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

/// Someone's place in a group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) id: u64,
    pub(super) user: u64,
    pub(super) group: u64,
    /// `member` or `admin`.
    pub(super) role: String,
    pub(super) created: Timestamp,
}

/// What someone may do with an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "Box's own list of permissions")]
pub(super) struct Powers {
    pub(super) preview: bool,
    pub(super) download: bool,
    pub(super) upload: bool,
    pub(super) edit: bool,
    pub(super) own: bool,
}

impl Powers {
    pub(super) const ALL: Self =
        Self { preview: true, download: true, upload: true, edit: true, own: true };

    /// <https://support.box.com/hc/en-us/articles/360044196413> (collaborator permission levels)
    pub(super) fn of(role: &str) -> Self {
        let none = Self::default();
        match role {
            "owner" | "co-owner" => Self::ALL,
            "editor" => Self { own: false, ..Self::ALL },
            "viewer" => Self { preview: true, download: true, ..none },
            "previewer" => Self { preview: true, ..none },
            "uploader" => Self { upload: true, ..none },
            "viewer uploader" => Self { preview: true, download: true, upload: true, ..none },
            "previewer uploader" => Self { preview: true, upload: true, ..none },
            _ => none,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            preview: self.preview || other.preview,
            download: self.download || other.download,
            upload: self.upload || other.upload,
            edit: self.edit || other.edit,
            own: self.own || other.own,
        }
    }
}
