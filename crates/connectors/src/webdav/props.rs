//! Which properties are asked for, and what they say of a file or folder.

use serde_json::{Map, Value};
use tramontane_connector::entry::Parent;
use tramontane_connector::{ETag, Entry, Hashes, Person};
use tramontane_model::{NativeId, Timestamp};

use super::fault::date;
use super::path;
use super::profile::Dialect;
use super::xml::{Item, Ns};

const HEAD: &str = r#"<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>"#;
const TAIL: &str = "</d:prop></d:propfind>";

/// The name that the root shows.
const ROOT_NAME: &str = "WebDAV";

/// The properties of a file or folder that any server may have.
pub(super) const PLAIN: &str = "<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:creationdate/><d:getetag/><d:getcontenttype/>";
/// What ownCloud and Nextcloud add.
pub(super) const OC: &str =
    "<oc:fileid/><oc:permissions/><oc:size/><oc:checksums/><oc:owner-id/><oc:owner-display-name/>";

/// The body of a `PROPFIND` for these properties.
pub(super) fn propfind(props: &[&str]) -> String {
    [HEAD, &props.concat(), TAIL].concat()
}

/// The body that asks for all that an entry needs.
pub(super) fn of_entries(dialect: Dialect) -> String {
    if dialect.has_oc_props() { propfind(&[PLAIN, OC]) } else { propfind(&[PLAIN]) }
}

/// What a response says of a file or folder, but for its name and place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub folder: bool,
    pub size: Option<u64>,
    pub media_type: Option<Box<str>>,
    pub modified: Option<Timestamp>,
    pub created: Option<Timestamp>,
    pub etag: Option<ETag>,
    pub cloud: Option<Box<CloudFacts>>,
    pub raw: Option<Box<Value>>,
}

/// What ownCloud's properties add.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CloudFacts {
    pub fileid: Option<String>,
    pub permissions: Option<String>,
    pub hashes: Hashes,
    pub owner: Option<Person>,
}

impl Facts {
    /// Reads a response. With `raw`, keeps all of it as JSON too.
    pub(super) fn of(item: &Item, raw: bool) -> Self {
        let folder = is_folder(item);
        let text = |name| item.text(Ns::Dav, name);
        let media_type = text("getcontenttype").filter(|kind| kind.contains('/'));
        Self {
            folder,
            size: if folder { None } else { text("getcontentlength").and_then(|n| n.parse().ok()) },
            media_type: media_type.filter(|_| !folder).map(Into::into),
            modified: text("getlastmodified").and_then(date),
            // Nextcloud says 1970 for what it does not know.
            created: text("creationdate").and_then(date).filter(|made| made.seconds() > 0),
            etag: text("getetag").and_then(ETag::parse),
            cloud: cloud(item),
            raw: raw.then(|| Box::new(json(item))),
        }
    }

    /// The entry with this id.
    pub(super) fn entry(self, id: &NativeId) -> Entry {
        let (name, parent) = match path::split(id) {
            Some((parent, name)) => {
                let of_parent = path::split(&parent).map_or(ROOT_NAME, |(_, name)| name).to_owned();
                (name.to_owned(), Some(Parent { id: parent, name: Some(of_parent) }))
            }
            None => (ROOT_NAME.to_owned(), None),
        };
        let mut entry = if self.folder {
            Entry::folder(id.clone(), name, parent)
        } else {
            Entry::file(id.clone(), name, parent)
        };
        entry.path = Some(id.as_str().to_owned());
        entry.size = self.size;
        entry.media_type = self.media_type.map(String::from);
        entry.modified = self.modified;
        entry.created = self.created;
        entry.etag = self.etag;
        entry.raw = self.raw.map(|raw| *raw);
        if let Some(cloud) = self.cloud {
            if let Some(granted) = &cloud.permissions {
                entry.can_upload_files = self.folder && granted.contains('C');
                entry.can_create_folders = self.folder && granted.contains('K');
                entry.downloadable = !self.folder && granted.contains('G');
            }
            entry.shared_id = cloud.fileid.map(NativeId::new);
            entry.hashes = cloud.hashes;
            entry.owner = cloud.owner;
        }
        entry
    }
}

/// Servers say it in the resource type; some leave that out and only write a slash at the end.
fn is_folder(item: &Item) -> bool {
    let typed = item.prop(Ns::Dav, "resourcetype").map(|prop| &prop.children);
    if typed.is_some_and(|of| of.iter().any(|(ns, name)| *ns == Ns::Dav && name == "collection")) {
        return true;
    }
    if item.text(Ns::Dav, "getcontenttype") == Some("httpd/unix-directory") {
        return true;
    }
    item.href.ends_with('/') && item.text(Ns::Dav, "getcontentlength").is_none()
}

fn cloud(item: &Item) -> Option<Box<CloudFacts>> {
    let text = |name| item.text(Ns::Owncloud, name);
    let fileid = text("fileid").map(str::to_owned);
    let permissions = text("permissions").map(str::to_owned);
    if fileid.is_none() && permissions.is_none() {
        return None;
    }
    let name = text("owner-display-name").map(str::to_owned);
    let owner =
        text("owner-id").map(|id| Person { id: Some(NativeId::new(id)), name, email: None });
    let hashes = text("checksums").map(checksums).unwrap_or_default();
    Some(Box::new(CloudFacts { fileid, permissions, hashes, owner }))
}

/// Reads `SHA1:... MD5:... ADLER32:...`.
fn checksums(text: &str) -> Hashes {
    let mut hashes = Hashes::default();
    for word in text.split_whitespace() {
        let Some((kind, value)) = word.split_once(':') else { continue };
        let value = value.to_ascii_lowercase();
        let hex = |length: usize| {
            (value.len() == length && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .then(|| value.clone())
        };
        match kind.to_ascii_uppercase().as_str() {
            "SHA1" => hashes.sha1 = hex(40),
            "MD5" => hashes.md5 = hex(32),
            "SHA256" => hashes.sha256 = hex(64),
            _ => {}
        }
    }
    hashes
}

fn json(item: &Item) -> Value {
    let mut map = Map::new();
    map.insert("href".into(), Value::String(item.href.clone()));
    for prop in item.props.iter().filter(|prop| super::xml::is_success(prop.status)) {
        let prefix = match prop.ns {
            Ns::Dav => "d",
            Ns::Owncloud => "oc",
            Ns::Nextcloud => "nc",
            Ns::Sabre => "s",
            Ns::Ours => "t",
            Ns::Other => "x",
        };
        let text = prop.text.trim();
        let value = if text.is_empty() && !prop.children.is_empty() {
            prop.children.iter().map(|(_, name)| Value::String(name.clone())).collect()
        } else {
            Value::String(text.to_owned())
        };
        map.insert(format!("{prefix}:{}", prop.name), value);
    }
    Value::Object(map)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_checksums_and_leaves_out_what_is_malformed() {
        let sha1 = "A".repeat(40);
        let read = checksums(&format!("SHA1:{sha1} MD5:xyz ADLER32:1 nonsense"));
        assert_eq!(read, Hashes { sha1: Some("a".repeat(40)), ..Hashes::default() });
    }

    #[test]
    fn entries_know_their_place() {
        let facts = Facts::of(&Item { href: "/x/".into(), ..Item::default() }, false);
        assert!(facts.folder);
        let entry = facts.entry(&NativeId::new("/a/b"));
        assert_eq!((entry.name.as_str(), entry.path.as_deref()), ("b", Some("/a/b")));
        let parent = entry.parent.unwrap();
        assert_eq!((parent.id.as_str(), parent.name.as_deref()), ("/a", Some("a")));
    }
}
