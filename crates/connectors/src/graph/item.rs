//! A `driveItem` as an entry. Source: "driveItem resource type" and the facets that it names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::entry::Parent;
use tramontane_connector::{ETag, Entry, EntryKind, Error, Hashes, Person, Result};
use tramontane_model::{NativeId, Timestamp};

use super::api::{Client, nonsense};
use super::id::{Id, same_drive};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) size: Option<u64>,
    e_tag: Option<String>,
    c_tag: Option<String>,
    created_date_time: Option<String>,
    last_modified_date_time: Option<String>,
    file_system_info: Option<Times>,
    pub(super) parent_reference: Option<Reference>,
    file: Option<File>,
    folder: Option<Folder>,
    package: Option<Value>,
    root: Option<Value>,
    shared: Option<Value>,
    pub(super) remote_item: Option<Box<Item>>,
    created_by: Option<By>,
    last_modified_by: Option<By>,
    #[serde(rename = "@microsoft.graph.downloadUrl")]
    pub(super) download_url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reference {
    pub(super) drive_id: Option<String>,
    pub(super) id: Option<String>,
    name: Option<String>,
    path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Times {
    created_date_time: Option<String>,
    last_modified_date_time: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    mime_type: Option<String>,
    hashes: Option<FileHashes>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileHashes {
    quick_xor_hash: Option<String>,
    sha1_hash: Option<String>,
    sha256_hash: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Folder {
    child_count: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct By {
    user: Option<User>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct User {
    id: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
}

impl By {
    pub(super) fn person(self) -> Option<Person> {
        let user = self.user?;
        Some(Person { id: user.id.map(NativeId::new), name: user.display_name, email: user.email })
    }
}

impl Item {
    pub(super) fn read(value: &Value) -> Result<Self> {
        let item = Self::deserialize(value).map_err(|cause| nonsense().because(cause))?;
        if item.id.is_empty() { Err(nonsense()) } else { Ok(item) }
    }

    pub(super) fn is_root(&self) -> bool {
        self.root.is_some()
    }

    /// A notebook is neither a file with content nor a folder with children here.
    pub(super) fn is_package(&self) -> bool {
        self.package.is_some()
    }

    pub(super) fn kind(&self) -> EntryKind {
        let meant = self.remote_item.as_deref().unwrap_or(self);
        if meant.folder.is_some() || self.is_root() { EntryKind::Folder } else { EntryKind::File }
    }

    pub(super) fn drive(&self) -> Option<&str> {
        self.parent_reference.as_ref()?.drive_id.as_deref()
    }

    /// Whether a folder is known to be empty.
    pub(super) fn is_empty(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.child_count == Some(0))
    }

    pub(super) fn hashes(&self) -> Hashes {
        let told = self.file.as_ref().and_then(|file| file.hashes.clone()).unwrap_or_default();
        let lower = |hex: Option<String>, length: usize| {
            let hex = hex?.to_ascii_lowercase();
            let fine = hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            fine.then_some(hex)
        };
        Hashes {
            // "quickXorHash: ... returned base64-encoded".
            quickxor: told
                .quick_xor_hash
                .and_then(|text| BASE64_STANDARD.decode(text).ok())
                .filter(|bytes| bytes.len() == 20)
                .map(hex::encode),
            sha1: lower(told.sha1_hash, 40),
            sha256: lower(told.sha256_hash, 64),
            ..Hashes::default()
        }
    }
}

/// An etag as it goes back into `If-Match`: those of Business come in quotes, those of personal drives
/// without.
pub(super) fn if_match(etag: &ETag) -> String {
    if etag.value.starts_with('{') { format!("\"{}\"", etag.value) } else { etag.value.clone() }
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(Timestamp::parse)
}

impl Client<'_> {
    /// An item as an entry.
    pub(super) async fn entry(&self, value: Value) -> Result<Entry> {
        let item = Item::read(&value)?;
        let drive = item.drive().map(str::to_owned);
        let drive = drive.ok_or_else(nonsense)?;
        let home = self.home().await?;
        let id = id_of(&item, &drive, home.as_deref());
        let parent =
            if id == Id::Root { None } else { self.parent(&item, &drive, home.as_deref()).await? };
        let name = match (&id, &item.name) {
            (Id::Root, _) => self.api.flavour.root_name().to_owned(),
            (Id::DriveRoot(drive), name) => {
                let library = self.facts(drive).await.map(|facts| facts.name).unwrap_or_default();
                if library.is_empty() { name.clone().unwrap_or_default() } else { library }
            }
            (_, name) => name.clone().ok_or_else(nonsense)?,
        };
        let mut entry = match item.kind() {
            EntryKind::File => Entry::file(id.native(), name, parent),
            EntryKind::Folder => Entry::folder(id.native(), name, parent),
        };
        let times = item.file_system_info.clone().unwrap_or_default();
        entry.created = moment(times.created_date_time.as_deref())
            .or_else(|| moment(item.created_date_time.as_deref()));
        entry.modified = moment(times.last_modified_date_time.as_deref())
            .or_else(|| moment(item.last_modified_date_time.as_deref()));
        entry.hashes = item.hashes();
        entry.etag = item.e_tag.as_deref().and_then(ETag::parse);
        if entry.kind == EntryKind::File {
            entry.size = item.size;
            entry.version = item.c_tag.clone();
            entry.media_type = item.file.as_ref().and_then(|file| file.mime_type.clone());
            entry.downloadable = !item.is_package();
        }
        entry.creator = item.created_by.clone().and_then(By::person);
        entry.last_modifier = item.last_modified_by.clone().and_then(By::person);
        entry.raw = self.cx.raw.then_some(value);
        Ok(entry)
    }

    async fn parent(&self, item: &Item, drive: &str, home: Option<&str>) -> Result<Option<Parent>> {
        let reference = item.parent_reference.clone().unwrap_or_default();
        if item.is_root() {
            // A library lies in its site; another person's drive does not lie anywhere.
            let Some(site) = self.facts(drive).await?.site else { return Ok(None) };
            let above = if self.is_own_site(&site).await? { Id::Root } else { Id::Site(site) };
            return Ok(Some(Parent { id: above.native(), name: None }));
        }
        let foreign = home.is_some_and(|home| !same_drive(home, drive));
        if foreign && item.shared.is_some() {
            // What was shared shows among one's own things; what lies above it is not ours to see.
            return Ok(Some(Parent { id: Id::Root.native(), name: None }));
        }
        let Some(above) = reference.id else { return Ok(None) };
        let at_root = match &reference.path {
            Some(path) => path.ends_with("/root:") || path.ends_with("/root:/"),
            None => self.facts(drive).await.is_ok_and(|facts| facts.root == above),
        };
        let id =
            if at_root { Self::root_id(home, drive) } else { Id::Item(drive.to_owned(), above) };
        let name = reference.name.filter(|_| !at_root);
        Ok(Some(Parent { id: id.native(), name }))
    }

    /// An item's entry, when it is of this kind.
    pub(super) async fn entry_of_kind(&self, value: Value, kind: EntryKind) -> Result<Entry> {
        let entry = self.entry(value).await?;
        if entry.kind == kind { Ok(entry) } else { Err(missing(kind)) }
    }
}

fn id_of(item: &Item, drive: &str, home: Option<&str>) -> Id {
    if item.is_root() {
        return Client::root_id(home, drive);
    }
    let remote = item.remote_item.as_deref();
    match remote.and_then(|remote| Some((remote.drive()?.to_owned(), remote.id.clone()))) {
        Some((there, id)) => Id::Shortcut([drive.to_owned(), item.id.clone(), there, id]),
        None => Id::Item(drive.to_owned(), item.id.clone()),
    }
}

/// Nothing of this kind.
pub(super) fn missing(kind: EntryKind) -> Error {
    let word = if kind == EntryKind::File { "file" } else { "folder" };
    Error::not_found(format!("There is no such {word}."))
}
