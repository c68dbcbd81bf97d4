//! Files as Drive shows them, and what they are for us.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::entry::{Hashes, Parent, Trashed};
use tramontane_connector::{ETag, Entry, EntryKind, Person};
use tramontane_model::{NativeId, Timestamp};

use super::ids::{DRIVES, ROOT, SHARED};

/// The media type of folders.
pub(super) const FOLDER: &str = "application/vnd.google-apps.folder";
/// What the media types of Google's own documents begin with.
pub(super) const DOCUMENTS: &str = "application/vnd.google-apps.";

/// What is asked of every file.
pub(super) const FIELDS: &str = "id,name,mimeType,parents,size,trashed,explicitlyTrashed,trashedTime,\
createdTime,modifiedTime,md5Checksum,sha1Checksum,sha256Checksum,headRevisionId,version,\
owners(permissionId,displayName,emailAddress),\
lastModifyingUser(permissionId,displayName,emailAddress),ownedByMe,driveId,shortcutDetails,\
capabilities(canAddChildren,canDownload),thumbnailLink,properties,appProperties";

/// What the name of a file begins with whose upload in parts is complete but not finished.
pub(super) const UPLOAD_PREFIX: &str = ".tramontane-upload-";
/// The property that such a file has.
pub(super) const UPLOAD_MARK: &str = "tramontaneUpload";

/// A user, as in `owners` and `lastModifyingUser`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct User {
    pub(super) permission_id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) email_address: Option<String>,
}

impl User {
    pub(super) fn person(self) -> Person {
        Person {
            id: self.permission_id.map(NativeId::new),
            name: self.display_name,
            email: self.email_address,
        }
    }
}

/// Where a shortcut leads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ShortcutDetails {
    pub(super) target_id: Option<String>,
    pub(super) target_mime_type: Option<String>,
}

/// What the account may do to a file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Capabilities {
    pub(super) can_add_children: Option<bool>,
    pub(super) can_download: Option<bool>,
}

/// A file resource ("REST Resource: files").
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mime_type: String,
    pub(super) parents: Vec<String>,
    pub(super) size: Option<String>,
    pub(super) trashed: bool,
    pub(super) explicitly_trashed: bool,
    pub(super) trashed_time: Option<Timestamp>,
    pub(super) created_time: Option<Timestamp>,
    pub(super) modified_time: Option<Timestamp>,
    pub(super) md5_checksum: Option<String>,
    pub(super) sha1_checksum: Option<String>,
    pub(super) sha256_checksum: Option<String>,
    pub(super) head_revision_id: Option<String>,
    pub(super) version: Option<String>,
    pub(super) owners: Vec<User>,
    pub(super) last_modifying_user: Option<User>,
    pub(super) owned_by_me: Option<bool>,
    pub(super) drive_id: Option<String>,
    pub(super) shortcut_details: Option<ShortcutDetails>,
    pub(super) capabilities: Capabilities,
    pub(super) thumbnail_link: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) app_properties: BTreeMap<String, String>,
    /// The whole, when the caller wants it.
    #[serde(skip)]
    pub(super) raw: Option<Value>,
}

/// The format that a document is exported to when the caller names none (wire API, section 22.6).
pub(super) fn export_of(mime: &str) -> Option<&'static str> {
    Some(match mime.strip_prefix(DOCUMENTS)? {
        "document" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "spreadsheet" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "presentation" => {
            "application/vnd.openxmlformats-officedocument.presentationml.presentation"
        }
        "drawing" => "application/pdf",
        "script" => "application/vnd.google-apps.script+json",
        _ => return None,
    })
}

impl Item {
    pub(super) fn is_folder(&self) -> bool {
        self.mime_type == FOLDER
    }

    pub(super) fn kind(&self) -> EntryKind {
        if self.is_folder() { EntryKind::Folder } else { EntryKind::File }
    }

    /// Whether it has bytes of its own: no folder, no shortcut, no document of Google's.
    pub(super) fn is_blob(&self) -> bool {
        !self.mime_type.starts_with(DOCUMENTS)
    }

    /// Whether it is the top of a shared drive.
    pub(super) fn is_drive(&self) -> bool {
        self.drive_id.as_ref() == Some(&self.id)
    }

    /// Whether it is an upload of ours that waits to be finished.
    pub(super) fn is_unfinished(&self) -> bool {
        self.name.starts_with(UPLOAD_PREFIX) && self.app_properties.contains_key(UPLOAD_MARK)
    }

    /// The size of its content; documents of Google's tell one that no export has.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.size.as_deref().filter(|_| self.is_blob()).and_then(|size| size.parse().ok())
    }

    /// Changes with the content. Documents have no revision that tells; their version also counts
    /// changes of metadata.
    pub(super) fn etag(&self) -> Option<ETag> {
        match (&self.head_revision_id, &self.version) {
            (Some(revision), _) => Some(ETag::strong(revision.clone())),
            (None, Some(version)) if !self.is_folder() => Some(ETag::weak(version.clone())),
            _ => None,
        }
    }

    /// Whether the content, an export, or the content that a shortcut leads to can be fetched.
    pub(super) fn is_downloadable(&self) -> bool {
        let mime = match &self.shortcut_details {
            Some(shortcut) => shortcut.target_mime_type.as_deref().unwrap_or_default(),
            None => self.mime_type.as_str(),
        };
        let has = !mime.starts_with(DOCUMENTS) || export_of(mime).is_some();
        has && (self.shortcut_details.is_some() || self.capabilities.can_download != Some(false))
    }

    /// The folder it is in, as our ids name it. `root`: Drive's own id of the account's My Drive.
    pub(super) fn parent(&self, root: &str) -> NativeId {
        match self.parents.first() {
            Some(above) if above == root => NativeId::new(ROOT),
            Some(above) => NativeId::new(above.clone()),
            None if self.is_drive() => NativeId::new(DRIVES),
            // Owned, but in a folder that is gone or that the account may not see.
            None if self.owned_by_me == Some(true) => NativeId::new(ROOT),
            None => NativeId::new(SHARED),
        }
    }

    /// What it is for us. `root`: Drive's own id of the account's My Drive.
    pub(super) fn entry(self, root: &str) -> Entry {
        let is_root = self.id == root || self.id == ROOT;
        let parent = (!is_root).then(|| Parent { id: self.parent(root), name: None });
        let id = if is_root { NativeId::new(ROOT) } else { NativeId::new(self.id.clone()) };
        let (size, etag, downloadable) = (self.bytes(), self.etag(), self.is_downloadable());
        let mut entry = match self.kind() {
            EntryKind::Folder => {
                let mut folder = Entry::folder(id, self.name, parent);
                let may = self.capabilities.can_add_children.unwrap_or(true);
                folder.can_create_folders = may;
                folder.can_upload_files = may;
                folder
            }
            EntryKind::File => {
                let mut file = Entry::file(id, self.name, parent);
                file.size = size;
                file.media_type = Some(self.mime_type).filter(|mime| !mime.is_empty());
                file.downloadable = downloadable;
                file.etag = etag;
                file.version = self.head_revision_id.or(self.version);
                file.hashes = Hashes {
                    md5: self.md5_checksum,
                    sha1: self.sha1_checksum,
                    sha256: self.sha256_checksum,
                    ..Hashes::default()
                };
                file
            }
        };
        entry.created = self.created_time;
        entry.modified = self.modified_time;
        entry.owner = self.owners.into_iter().next().map(User::person);
        entry.last_modifier = self.last_modifying_user.map(User::person);
        if self.trashed {
            let from = self.parents.into_iter().next();
            let from = from.map(|id| if id == root { ROOT.to_owned() } else { id });
            entry.trashed =
                Some(Trashed { at: self.trashed_time, original_parent: from.map(NativeId::new) });
        }
        entry.raw = self.raw;
        entry
    }
}

/// A folder that Drive does not have: shared drives, or what others shared.
pub(super) fn virtual_folder(id: &str, name: &str) -> Entry {
    let parent = Parent { id: NativeId::new(ROOT), name: None };
    let mut folder = Entry::folder(NativeId::new(id), name, Some(parent));
    folder.can_create_folders = false;
    folder.can_upload_files = false;
    folder
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value) -> Item {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_document_has_no_size_and_can_be_exported() {
        let entry = item(json!({
            "id": "1d", "name": "Plan", "mimeType": "application/vnd.google-apps.document",
            "parents": ["0Aroot"], "size": "1024", "version": "7",
        }))
        .entry("0Aroot");
        assert_eq!((entry.size, entry.downloadable), (None, true));
        assert_eq!(entry.etag, Some(ETag::weak("7")));
        assert_eq!(entry.parent.unwrap().id, NativeId::new(ROOT));
        let form = item(json!({"id": "1f", "mimeType": "application/vnd.google-apps.form"}));
        assert!(!form.is_downloadable());
    }

    #[test]
    fn shortcuts_are_files_whatever_they_lead_to() {
        for (mime, downloadable) in
            [("text/plain", true), (FOLDER, false), ("application/vnd.google-apps.document", true)]
        {
            let entry = item(json!({
                "id": "1s", "name": "s", "mimeType": "application/vnd.google-apps.shortcut", "parents": ["1p"],
                "shortcutDetails": {"targetId": "1t", "targetMimeType": mime},
            }))
            .entry("0Aroot");
            assert_eq!((entry.kind, entry.downloadable), (EntryKind::File, downloadable), "{mime}");
        }
    }

    #[test]
    fn what_has_no_parent_has_a_place_all_the_same() {
        let place = |value| item(value).parent("0Aroot").as_str().to_owned();
        assert_eq!(place(json!({"id": "1", "ownedByMe": false})), SHARED);
        assert_eq!(place(json!({"id": "1", "ownedByMe": true})), ROOT);
        assert_eq!(place(json!({"id": "0Ad", "driveId": "0Ad"})), DRIVES);
        assert_eq!(place(json!({"id": "1", "driveId": "0Ad", "parents": ["0Ad"]})), "0Ad");
        let root = item(json!({"id": "0Aroot", "name": "My Drive", "mimeType": FOLDER}));
        let root = root.entry("0Aroot");
        assert_eq!((root.id.as_str(), root.parent), (ROOT, None));
    }
}
