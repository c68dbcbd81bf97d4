//! A file or folder as a connector reports it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tramontane_model::{Kind, NativeId, ResourceId, Timestamp};

/// File or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Has content.
    File,
    /// Has children: a folder, a bucket, a drive, a share.
    Folder,
}

impl EntryKind {
    /// The kind as ids write it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::File => Kind::File,
            Self::Folder => Kind::Folder,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.kind().as_str()
    }
}

/// Which object is meant: its kind and the service's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryRef {
    /// File or folder.
    pub kind: EntryKind,
    /// The service's id.
    pub id: NativeId,
}

impl EntryRef {
    /// A file.
    #[must_use]
    pub fn file(id: NativeId) -> Self {
        Self { kind: EntryKind::File, id }
    }

    /// A folder.
    #[must_use]
    pub fn folder(id: NativeId) -> Self {
        Self { kind: EntryKind::Folder, id }
    }

    /// Our id of it.
    #[must_use]
    pub fn resource(&self) -> ResourceId {
        ResourceId::new(self.kind.kind(), self.id.clone())
    }
}

/// An entity tag, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ETag {
    /// What stands between the quotes.
    pub value: String,
    /// Whether it may stay the same although the content changed.
    pub weak: bool,
}

impl ETag {
    /// A tag that changes with every change of the content.
    #[must_use]
    pub fn strong(value: impl Into<String>) -> Self {
        Self { value: value.into(), weak: false }
    }

    /// A tag that may miss a change (made of whole-second times, say).
    #[must_use]
    pub fn weak(value: impl Into<String>) -> Self {
        Self { value: value.into(), weak: true }
    }

    /// Reads the form of RFC 9110 section 8.8.3, and bare words, which some servers send.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (weak, quoted) = match text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let value = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = value.unwrap_or(quoted);
        let fine = !value.is_empty()
            && value.len() <= 1_024
            && !value.contains('"')
            && value.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        fine.then(|| Self { value: value.to_owned(), weak })
    }
}

impl std::fmt::Display for ETag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.value)
    }
}

/// Content hashes in lower-case hex, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// MD5.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub md5: Option<String>,
    /// SHA-1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha1: Option<String>,
    /// SHA-256.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// CRC-32C.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub crc32c: Option<String>,
    /// Microsoft's `QuickXorHash`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quickxor: Option<String>,
    /// Dropbox's content hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dropbox: Option<String>,
}

/// Someone at the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The service's id of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NativeId>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// The folder that an entry is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The service's id of the folder.
    pub id: NativeId,
    /// Its name; `None` when telling it would cost another call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One file or folder. Its serialized form is kept in the activity log: members may be added to it, never
/// renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// File or folder.
    pub kind: EntryKind,
    /// The service's stable id of it. For services without ids: the path.
    pub id: NativeId,
    /// Its name, exactly as the service has it.
    pub name: String,
    /// The folder it is in; `None` for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The display path from the root, starting with `/`; `None` where the service has no paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes of content; `None` for folders and where the service does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The media type that the service tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Whether the content can be fetched.
    pub downloadable: bool,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When its content last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// Changes with the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<ETag>,
    /// The service's id of this version of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Content hashes that the service tells without reading the content.
    #[serde(default)]
    pub hashes: Hashes,
    /// Who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Person>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<Person>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modifier: Option<Person>,
    /// Whether folders may be made in it (folders only).
    pub can_create_folders: bool,
    /// Whether files may be made in it (folders only).
    pub can_upload_files: bool,
    /// Another id of it, the same for everyone who can see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_id: Option<NativeId>,
    /// When it was put into the trash, and from where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed: Option<Trashed>,
    /// What the service said of it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

/// What is known of an entry in the trash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trashed {
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The folder it was deleted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_parent: Option<NativeId>,
}

impl Entry {
    /// A file with nothing known but its id, name and folder.
    #[must_use]
    pub fn file(id: NativeId, name: impl Into<String>, parent: Option<Parent>) -> Self {
        Self::bare(EntryKind::File, id, name.into(), parent)
    }

    /// A folder with nothing known but its id, name and folder. It takes files and folders.
    #[must_use]
    pub fn folder(id: NativeId, name: impl Into<String>, parent: Option<Parent>) -> Self {
        Self::bare(EntryKind::Folder, id, name.into(), parent)
    }

    fn bare(kind: EntryKind, id: NativeId, name: String, parent: Option<Parent>) -> Self {
        let folder = kind == EntryKind::Folder;
        Self {
            kind,
            id,
            name,
            parent,
            path: None,
            size: None,
            media_type: None,
            downloadable: !folder,
            created: None,
            modified: None,
            etag: None,
            version: None,
            hashes: Hashes::default(),
            owner: None,
            creator: None,
            last_modifier: None,
            can_create_folders: folder,
            can_upload_files: folder,
            shared_id: None,
            trashed: None,
            raw: None,
        }
    }

    /// Which object this is.
    #[must_use]
    pub fn reference(&self) -> EntryRef {
        EntryRef { kind: self.kind, id: self.id.clone() }
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == EntryKind::Folder
    }

    /// The media type that the service tells, else the one that the name's extension suggests, else
    /// `application/octet-stream`.
    #[must_use]
    pub fn guessed_media_type(&self) -> String {
        match &self.media_type {
            Some(known) if !known.is_empty() => known.clone(),
            _ => mime_guess::from_path(&self.name).first_or_octet_stream().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_etags_as_servers_send_them() {
        assert_eq!(ETag::parse("\"7f\""), Some(ETag::strong("7f")));
        assert_eq!(ETag::parse("W/\"7f\""), Some(ETag::weak("7f")));
        assert_eq!(ETag::parse("7f"), Some(ETag::strong("7f")));
        assert_eq!(ETag::parse("\"\""), None);
        assert_eq!(ETag::parse("\"a b\""), None);
    }
}
