//! Items as Box tells them, and as entries.

use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::entry::{Parent, Trashed};
use tramontane_connector::error::Kind;
use tramontane_connector::{ETag, Entry, EntryKind, Error, Hashes, Person, Result};
use tramontane_model::{NativeId, Timestamp};

use super::id::{Id, What};

/// What is asked of every item (<https://developer.box.com/reference/resources/file/>).
pub(super) const FIELDS: &str = "type,id,etag,sequence_id,name,size,sha1,file_version,parent,\
    path_collection,created_at,modified_at,content_created_at,content_modified_at,created_by,\
    modified_by,owned_by,permissions,item_status,trashed_at,shared_link,url";

/// A page of anything: by marker, or by offset.
#[derive(Debug, Deserialize)]
pub(super) struct Entries {
    pub(super) entries: Vec<Value>,
    pub(super) next_marker: Option<Value>,
    pub(super) total_count: Option<u64>,
}

impl Entries {
    /// The marker of the next page. Box leaves it out, or gives null or nothing, on the last one.
    pub(super) fn next(&self) -> Option<String> {
        match self.next_marker.as_ref()? {
            Value::String(marker) if !marker.is_empty() => Some(marker.clone()),
            Value::Number(marker) => Some(marker.to_string()),
            _ => None,
        }
    }
}

/// A reference to another object.
#[derive(Debug, Deserialize)]
pub(super) struct Mini {
    #[serde(rename = "type")]
    pub(super) word: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) login: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Path {
    entries: Vec<Mini>,
}

#[derive(Debug, Deserialize)]
struct May {
    can_download: Option<bool>,
    can_upload: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type")]
    word: String,
    id: String,
    etag: Option<String>,
    name: Option<String>,
    size: Option<f64>,
    sha1: Option<String>,
    file_version: Option<Mini>,
    parent: Option<Mini>,
    path_collection: Option<Path>,
    created_at: Option<String>,
    modified_at: Option<String>,
    content_created_at: Option<String>,
    content_modified_at: Option<String>,
    created_by: Option<Mini>,
    modified_by: Option<Mini>,
    owned_by: Option<Mini>,
    permissions: Option<May>,
    item_status: Option<String>,
    trashed_at: Option<String>,
}

/// Someone. Whoever shared anonymously or was deleted has no id.
pub(super) fn person(mini: Option<Mini>) -> Option<Person> {
    let mini = mini?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let person = Person {
        id: filled(mini.id).map(NativeId::new),
        name: filled(mini.name),
        email: filled(mini.login),
    };
    (person != Person::default()).then_some(person)
}

pub(super) fn moment(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| Timestamp::parse(text))
}

/// Reads an item. `raw`: whether the entry shall carry it as it is.
pub(super) fn entry(value: Value, raw: bool) -> Result<Entry> {
    let kept = raw.then(|| value.clone());
    let item: Item = serde_json::from_value(value).map_err(|cause| {
        Error::new(Kind::Broken, "Box tells of an object in a form that is not known.")
            .because(cause)
    })?;
    let id = Id::of(&item.word, &item.id)
        .ok_or_else(|| Error::new(Kind::Broken, "Box tells of an object of an unknown kind."))?;
    Ok(Entry { raw: kept, ..item.entry(&id) })
}

/// Whether a listed value is an item that we know; Box may list kinds that come later.
pub(super) fn is_known(value: &Value) -> bool {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    text("type").zip(text("id")).is_some_and(|(word, id)| Id::of(word, id).is_some())
}

impl Item {
    fn entry(self, id: &Id) -> Entry {
        let is_trashed = self.item_status.as_deref().is_some_and(|status| status != "active");
        let parent = self.parent.as_ref().and_then(|parent| {
            let id = Id::of("folder", parent.id.as_deref()?)?;
            Some(Parent { id: id.native(), name: parent.name.clone() })
        });
        // What others share with the account lies in its root.
        let parent = match parent {
            None if !id.is_root() && !is_trashed => {
                Some(Parent { id: Id::root().native(), name: None })
            }
            parent => parent,
        };
        let name = self.name.unwrap_or_default();
        let path = match (&self.path_collection, id.is_root()) {
            (_, true) => Some("/".to_owned()),
            (Some(path), _) if !is_trashed => {
                let mut text = String::new();
                for folder in path.entries.iter().skip(1) {
                    text.push('/');
                    text.push_str(folder.name.as_deref().unwrap_or_default());
                }
                Some(format!("{text}/{name}"))
            }
            _ => None,
        };
        let trashed = is_trashed.then(|| Trashed {
            at: moment(self.trashed_at.as_ref()),
            original_parent: parent.as_ref().map(|parent| parent.id.clone()),
        });
        let kind = id.what.kind();
        let bare = match kind {
            EntryKind::Folder => Entry::folder(id.native(), name, parent),
            EntryKind::File => Entry::file(id.native(), name, parent),
        };
        let may_upload = self.permissions.as_ref().and_then(|may| may.can_upload).unwrap_or(true);
        let may_download =
            self.permissions.as_ref().and_then(|may| may.can_download).unwrap_or(true);
        let folder = kind == EntryKind::Folder;
        let created = self.content_created_at.as_ref().filter(|_| !folder);
        let modified = self.content_modified_at.as_ref().filter(|_| !folder);
        Entry {
            path,
            size: self.size.filter(|_| id.what == What::File).and_then(whole),
            downloadable: id.what == What::File && may_download,
            created: moment(created.or(self.created_at.as_ref())),
            modified: moment(modified.or(self.modified_at.as_ref())),
            etag: self.etag.map(ETag::strong),
            version: self.file_version.and_then(|version| version.id),
            hashes: Hashes {
                sha1: self.sha1.map(|hash| hash.to_ascii_lowercase()),
                ..Hashes::default()
            },
            owner: person(self.owned_by),
            creator: person(self.created_by),
            last_modifier: person(self.modified_by),
            can_create_folders: folder && may_upload,
            can_upload_files: folder && may_upload,
            // Box's ids are the same for everyone, but for the root.
            shared_id: (!id.is_root()).then(|| id.native()),
            trashed,
            ..bare
        }
    }
}

/// Box writes large sizes as floating-point numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
pub(super) fn whole(size: f64) -> Option<u64> {
    (size.is_finite() && (0.0..9.0e15).contains(&size)).then_some(size as u64)
}
