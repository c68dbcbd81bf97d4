//! Dropbox's metadata as entries, ids and paths.

use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::{ETag, Entry, EntryKind, Error, Hashes, Person, Result};
use tramontane_model::{NativeId, Timestamp};

/// Our id of the root folder, which has none at Dropbox.
pub(super) const ROOT: &str = "/";
/// What the root folder is called.
pub(super) const ROOT_NAME: &str = "Dropbox";
/// The longest id that is passed on.
const MAX_ID: usize = 200;

/// An id or a path as Dropbox takes it, from ours. What can be no id is not there.
pub(super) fn address(id: &NativeId) -> Result<&str> {
    let text = id.as_str();
    if text == ROOT {
        return Ok("");
    }
    let rest = text.strip_prefix("id:").unwrap_or_default();
    let fits = !rest.is_empty()
        && rest.len() <= MAX_ID
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits { Ok(text) } else { Err(Error::not_found("The object is not there.")) }
}

/// The address of a name in a folder. "A path relative to a folder's ID can be constructed by using a
/// slash" (HTTP documentation, section "Path formats").
pub(super) fn child_address(parent: &NativeId, name: &str) -> Result<String> {
    Ok(format!("{}/{name}", address(parent)?))
}

/// Whether this can be a revision: `[0-9a-f]{9,}`.
pub(super) fn is_rev(text: &str) -> bool {
    (9..=MAX_ID).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The folder that a path is in; `""` for things in the root.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Rights on something in a shared folder.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SharingInfo {
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    traverse_only: bool,
    #[serde(default)]
    no_access: bool,
    modified_by: Option<String>,
    shared_folder_id: Option<String>,
    parent_shared_folder_id: Option<String>,
}

/// `FileMetadata`, `FolderMetadata` or `DeletedMetadata`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(rename = ".tag", default)]
    tag: Option<String>,
    pub(super) name: String,
    pub(super) path_lower: Option<String>,
    pub(super) path_display: Option<String>,
    pub(super) id: Option<String>,
    client_modified: Option<String>,
    server_modified: Option<String>,
    pub(super) rev: Option<String>,
    pub(super) size: Option<u64>,
    content_hash: Option<String>,
    is_downloadable: Option<bool>,
    sharing_info: Option<SharingInfo>,
    shared_folder_id: Option<String>,
    #[serde(default)]
    pub(super) property_groups: Vec<PropertyGroup>,
    #[serde(skip)]
    raw: Option<Value>,
}

/// Properties by template.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PropertyGroup {
    pub(super) template_id: String,
    #[serde(default)]
    pub(super) fields: Vec<PropertyField>,
}

/// One property.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PropertyField {
    pub(super) name: String,
    pub(super) value: String,
}

impl Metadata {
    /// Reads metadata; `keep` keeps the service's own words.
    pub(super) fn read(value: Value, keep: bool) -> Result<Self> {
        let raw = keep.then(|| value.clone());
        let mut read: Self = serde_json::from_value(value).map_err(|cause| {
            Error::new(Kind::Broken, "Dropbox's answer is not the JSON expected.").because(cause)
        })?;
        read.raw = raw;
        Ok(read)
    }

    /// Whether it tells of something that was deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.tag.as_deref() == Some("deleted")
    }

    /// File or folder. Answers that can only be one of the two carry no tag.
    pub(super) fn kind(&self) -> EntryKind {
        match self.tag.as_deref() {
            Some("folder") => EntryKind::Folder,
            Some("file") => EntryKind::File,
            _ if self.rev.is_some() => EntryKind::File,
            _ => EntryKind::Folder,
        }
    }

    /// Our id of it.
    pub(super) fn native(&self) -> Result<NativeId> {
        self.id
            .clone()
            .map(NativeId::new)
            .ok_or_else(|| Error::new(Kind::Broken, "Dropbox told of an object without its id."))
    }

    /// Its path for comparing; `""` when it is nowhere in the account's tree.
    pub(super) fn key(&self) -> &str {
        self.path_lower.as_deref().unwrap_or_default()
    }

    /// The path to write below it.
    pub(super) fn path(&self) -> &str {
        self.path_display.as_deref().unwrap_or_else(|| self.key())
    }

    /// The entry that it is.
    pub(super) fn entry(self, parent: Option<Parent>) -> Result<Entry> {
        let id = self.native()?;
        let sharing = self.sharing_info.unwrap_or_default();
        let writable = !(sharing.read_only || sharing.traverse_only || sharing.no_access);
        let mut entry = match self.tag.as_deref() {
            Some("folder") => Entry::folder(id, self.name, parent),
            Some(_) => Entry::file(id, self.name, parent),
            None if self.rev.is_some() => Entry::file(id, self.name, parent),
            None => Entry::folder(id, self.name, parent),
        };
        entry.path = self.path_display;
        entry.raw = self.raw;
        if entry.is_folder() {
            entry.can_create_folders = writable;
            entry.can_upload_files = writable;
            return Ok(entry);
        }
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
        entry.size = self.size;
        entry.modified = time(&self.client_modified).or_else(|| time(&self.server_modified));
        entry.etag = self.rev.clone().map(ETag::strong);
        entry.version = self.rev;
        entry.hashes = Hashes { dropbox: self.content_hash, ..Hashes::default() };
        entry.downloadable = self.is_downloadable.unwrap_or(true);
        entry.last_modifier = sharing
            .modified_by
            .map(|id| Person { id: Some(NativeId::new(id)), ..Person::default() });
        Ok(entry)
    }

    /// The shared folder that it is.
    pub(super) fn shared_folder(&self) -> Option<String> {
        let told = self.sharing_info.as_ref().and_then(|info| info.shared_folder_id.clone());
        self.shared_folder_id.clone().or(told)
    }

    /// The shared folder that it is in.
    pub(super) fn parent_shared_folder(&self) -> Option<String> {
        self.sharing_info.as_ref()?.parent_shared_folder_id.clone()
    }

    /// When the content came to Dropbox, and its hash: what a version is made of.
    pub(super) fn content(&self) -> (Option<Timestamp>, Hashes) {
        let hashes = Hashes { dropbox: self.content_hash.clone(), ..Hashes::default() };
        (self.server_modified.as_deref().and_then(Timestamp::parse), hashes)
    }
}

/// The root folder.
pub(super) fn root() -> Entry {
    Entry { path: Some("/".into()), ..Entry::folder(NativeId::new(ROOT), ROOT_NAME, None) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn files_and_folders_are_told_apart_with_and_without_tags() {
        let file = json!({"name": "a", "id": "id:a", "rev": "0123456789", "size": 3, "path_lower": "/x/a",
            "path_display": "/X/a", "client_modified": "2020-01-02T03:04:05Z", "content_hash": "ff",
            "is_downloadable": false});
        let entry = Metadata::read(file, true).and_then(|one| one.entry(None));
        let entry = entry.unwrap();
        assert_eq!((entry.kind, entry.size), (EntryKind::File, Some(3)));
        assert_eq!(entry.etag, Some(ETag::strong("0123456789")));
        assert_eq!(entry.hashes.dropbox.as_deref(), Some("ff"));
        assert_eq!(entry.modified, Timestamp::parse("2020-01-02T03:04:05Z"));
        assert!(!entry.downloadable && entry.raw.is_some());
        let folder = json!({".tag": "folder", "name": "f", "id": "id:f", "sharing_info": {"read_only": true}});
        let entry = Metadata::read(folder, false).and_then(|one| one.entry(None));
        let entry = entry.unwrap();
        assert!(entry.is_folder() && !entry.can_upload_files && entry.raw.is_none());
    }

    proptest! {
        #[test]
        fn only_ids_are_addresses(text in any::<String>()) {
            if let Ok(address) = address(&NativeId::new(text.clone())) {
                prop_assert!(address.is_empty() || address == text);
                prop_assert!(address.is_empty() || address.starts_with("id:"));
                prop_assert!(!address.contains(['/', '\\', '.', '%', '?', '#']));
            }
        }
    }

    #[test]
    fn knows_ids_revisions_and_folders() {
        assert_eq!(address(&NativeId::new("/")).ok(), Some(""));
        assert_eq!(address(&NativeId::new("id:a_-1")).ok(), Some("id:a_-1"));
        for bad in ["", "id:", "id:a/b", "/a", "rev:0123456789", "ns:1", "id:é"] {
            assert!(address(&NativeId::new(bad)).is_err(), "{bad}");
        }
        assert!(is_rev("0123456789abcdef") && !is_rev("0123") && !is_rev("0123456789X"));
        assert_eq!((folder_of("/a/b"), folder_of("/a")), ("/a", ""));
    }
}
