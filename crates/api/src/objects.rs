//! Files and folders on the wire (wire API, sections 6, 21, 49).

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value};
use tramontane_connector::storage::Permission;
use tramontane_connector::{
    ETag, Entry, EntryKind, EntryRef, HashKind, Hashes, Kind, Person, Storage as _,
};
use tramontane_fill::Filled;
use tramontane_model::{Kind as IdKind, NativeId, Op, ResourceId, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// How many folders are climbed for `expand=ancestors`.
const MAX_CLIMB: usize = 250;

/// A folder that an object lies in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FolderReference)]
pub struct Above {
    /// The folder's id.
    pub id: String,
    /// Always `folder`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name, when known.
    pub name: Option<String>,
    /// Which of its ids `id` is.
    pub id_type: &'static str,
}

/// Someone at the service.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = PersonReference)]
pub struct Someone {
    /// The person's id.
    pub id: Option<String>,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Someone {
    /// Someone as a connector tells of them.
    #[must_use]
    pub fn of(person: Option<Person>) -> Self {
        let person = person.unwrap_or_default();
        Self {
            id: person.id.map(|id| ResourceId::new(IdKind::User, id).to_string()),
            name: person.name,
            email: person.email,
        }
    }
}

/// What the service itself said of an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Raw {
    /// The service's id.
    pub id: String,
    /// The service's name of the type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The service's own JSON.
    #[schema(value_type = Object)]
    pub object: Value,
}

/// The members that only some answers have.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Extra {
    /// With `X-Kloudless-Raw-Data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
    /// The URL of the link that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// In recursive listings: 1 is a direct child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// In the trash: when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub trashed: Option<Option<Timestamp>>,
    /// In the trash: the folder it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub original_parent: Option<Option<String>>,
    /// With `expand=permissions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Grant>>,
}

macro_rules! object {
    ($(#[$about:meta])* $name:ident { $($(#[$own_about:meta])* $own:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize, ToSchema)]
        pub struct $name {
            /// Its id.
            pub id: String,
            /// What it is.
            #[serde(rename = "type")]
            pub kind: &'static str,
            /// Always `storage`.
            pub api: &'static str,
            /// Where it is retrieved.
            pub href: String,
            /// All ids of it.
            pub ids: BTreeMap<&'static str, String>,
            /// Which of them `id` is.
            pub id_type: &'static str,
            /// The service's id.
            pub raw_id: String,
            /// The account.
            pub account: i64,
            /// Its name.
            pub name: String,
            /// Bytes.
            pub size: Option<u64>,
            /// The display path.
            pub path: Option<String>,
            /// The folder it is in; `null` for the root.
            pub parent: Option<Above>,
            /// The folders above, from the root; `null` when finding them costs extra calls.
            pub ancestors: Option<Vec<Above>>,
            /// Who owns it.
            pub owner: Someone,
            /// Who made it.
            pub creator: Someone,
            /// Who changed it last.
            pub last_modifier: Someone,
            /// When it was made.
            #[schema(value_type = Option<String>, format = DateTime)]
            pub created: Option<Timestamp>,
            /// When it was last changed.
            #[schema(value_type = Option<String>, format = DateTime)]
            pub modified: Option<Timestamp>,
            $($(#[$own_about])* pub $own: $kind,)*
            /// What only some answers have.
            #[serde(flatten)]
            pub extra: Extra,
        }
    };
}

object! {
    /// A file.
    File {
        /// The media type.
        mime_type: String,
        /// Whether the content can be fetched.
        downloadable: bool,
        /// The entity tag of the content.
        etag: Option<String>,
        /// Content hashes in hex.
        #[schema(value_type = HashMap<String, String>)]
        hashes: Hashes,
    }
}

object! {
    /// A folder.
    Folder {
        /// Whether folders may be made in it.
        can_create_folders: bool,
        /// Whether files may be made in it.
        can_upload_files: bool,
        /// Whether everything below can be listed at once.
        can_list_recursively: bool,
    }
}

/// A file or a folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Object {
    /// A file.
    File(Box<File>),
    /// A folder.
    Folder(Box<Folder>),
}

impl Object {
    /// The members that only some answers have.
    pub fn extra(&mut self) -> &mut Extra {
        match self {
            Self::File(file) => &mut file.extra,
            Self::Folder(folder) => &mut folder.extra,
        }
    }

    /// The etag, for the header.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        match self {
            Self::File(file) => file.etag.as_deref(),
            Self::Folder(_) => None,
        }
    }

    fn set_ancestors(&mut self, ancestors: Vec<Above>) {
        match self {
            Self::File(file) => file.ancestors = Some(ancestors),
            Self::Folder(folder) => folder.ancestors = Some(ancestors),
        }
    }
}

/// An object as it is shown: whole, or only the members that were asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Shown {
    /// All of it.
    Whole(Object),
    /// Some of it.
    #[schema(value_type = Object)]
    Part(Map<String, Value>),
}

/// A grant on an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Grant {
    /// The grantee's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `user`, `group`, `domain`, `anyone`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What they may do.
    pub role: String,
    /// Their address.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// Only when it comes from a folder above.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

impl Grant {
    /// A connector's grant as it is shown.
    #[must_use]
    pub fn of(grant: Permission) -> Self {
        use tramontane_connector::storage::GranteeKind;
        let (kind, id_kind) = match grant.grantee {
            GranteeKind::User => ("user", IdKind::User),
            GranteeKind::Group => ("group", IdKind::Group),
            GranteeKind::Domain => ("domain", IdKind::Group),
            GranteeKind::Anyone => ("anyone", IdKind::Group),
        };
        Self {
            id: grant.id.map(|id| ResourceId::new(id_kind, id).to_string()),
            kind,
            role: grant.role,
            email: grant.email,
            name: grant.name,
            inherited: grant.inherited,
        }
    }
}

/// Turns a connector's entries into what the API shows.
pub struct Render<'a> {
    account: &'a Account,
    storage: &'a Filled,
    root: NativeId,
    root_name: &'static str,
    /// Whether ids are paths, so that the path's id is the id.
    ids_are_paths: bool,
    lists_recursively: bool,
    fields: Option<Vec<String>>,
    ancestors: bool,
    permissions: bool,
    hash: Option<HashKind>,
}

impl<'a> Render<'a> {
    /// What the account's files look like, with what the query asks for.
    ///
    /// # Errors
    /// `not_implemented` for services without files; `invalid_parameters` for what is not known.
    pub fn new(account: &'a Account, query: &Query) -> Answer<Self> {
        let storage = account.storage()?.as_ref();
        let abilities = storage.native().abilities(&account.opened.account);
        let connector = account.app().registry().get(&account.opened.account.service);
        let mut render = Self {
            account,
            storage,
            root: storage.native().root(&account.opened.account),
            root_name: connector.map_or("", |connector| connector.descriptor().friendly_name),
            ids_are_paths: !abilities.semantics.stable_ids,
            lists_recursively: tramontane_fill::support_of(&abilities, Op::FolderListRecursively)
                .is_supported(),
            fields: None,
            ancestors: false,
            permissions: false,
            hash: None,
        };
        if query.text("fields").is_some() {
            render.fields = Some(query.list("fields").map(str::to_owned).collect());
        }
        for word in query.list("expand") {
            match word {
                "ancestors" => render.ancestors = true,
                "permissions" => render.permissions = true,
                // Connectors tell the owner whenever they can.
                "owner" => {}
                _ => {
                    let rule = "may hold ancestors, owner and permissions";
                    return Err(Problem::invalid("expand", rule));
                }
            }
        }
        render.hash = match query.text("hashes") {
            None => None,
            Some("md5") => Some(HashKind::Md5),
            Some("sha1") => Some(HashKind::Sha1),
            Some("sha256") => Some(HashKind::Sha256),
            Some("crc32c") => Some(HashKind::Crc32c),
            Some(_) => {
                return Err(Problem::invalid("hashes", "must be md5, sha1, sha256 or crc32c"));
            }
        };
        Ok(render)
    }

    /// As [`Render::new`], with nothing asked for.
    ///
    /// # Errors
    /// As [`Render::new`].
    pub fn plain(account: &'a Account) -> Answer<Self> {
        Self::new(account, &Query::default())
    }

    /// One object, without what costs further calls.
    #[must_use]
    pub fn object(&self, entry: Entry) -> Object {
        let is_root = entry.kind == EntryKind::Folder && entry.id == self.root;
        let of = EntryRef { kind: entry.kind, id: entry.id };
        let id = if is_root { "root".to_owned() } else { of.resource().to_string() };
        let mut ids = BTreeMap::new();
        ids.insert("default", id.clone());
        if self.ids_are_paths || is_root {
            ids.insert("path", id.clone());
        }
        if let Some(shared) = entry.shared_id {
            ids.insert("shared", ResourceId::new(of.kind.kind(), shared).to_string());
        }
        let noun = if of.kind == EntryKind::File { "files" } else { "folders" };
        let href = self.account.href(&format!("/storage/{noun}/{id}"));
        let parent = match (&entry.parent, is_root) {
            (_, true) | (None, _) => None,
            (Some(parent), false) => Some(self.above(&parent.id, parent.name.clone())),
        };
        let ancestors = match &parent {
            None if is_root => Some(Vec::new()),
            Some(parent) if parent.id == "root" => Some(vec![parent.clone()]),
            _ => None,
        };
        let raw = self.account.wants_raw().then(|| Raw {
            id: of.id.as_str().to_owned(),
            kind: of.kind.as_str(),
            object: entry.raw.unwrap_or_else(|| Value::Object(Map::new())),
        });
        let name = if is_root { self.root_name.to_owned() } else { entry.name };
        let mut extra = Extra { raw, ..Extra::default() };
        if let Some(trashed) = entry.trashed {
            extra.trashed = Some(trashed.at);
            let from = trashed.original_parent.map(|id| self.above(&id, None).id);
            extra.original_parent = Some(from);
        }
        let account = self.account.id().number();
        match of.kind {
            EntryKind::File => {
                let guessed = || mime_guess::from_path(&name).first_or_octet_stream().to_string();
                let mime_type = entry.media_type.filter(|known| !known.is_empty());
                Object::File(Box::new(File {
                    mime_type: mime_type.unwrap_or_else(guessed),
                    id,
                    kind: "file",
                    api: "storage",
                    href,
                    ids,
                    id_type: "default",
                    raw_id: of.id.as_str().to_owned(),
                    account,
                    name,
                    size: entry.size,
                    path: entry.path,
                    parent,
                    ancestors,
                    owner: Someone::of(entry.owner),
                    creator: Someone::of(entry.creator),
                    last_modifier: Someone::of(entry.last_modifier),
                    created: entry.created,
                    modified: entry.modified,
                    downloadable: entry.downloadable,
                    etag: entry.etag.map(|etag| etag.to_string()),
                    hashes: entry.hashes,
                    extra,
                }))
            }
            EntryKind::Folder => Object::Folder(Box::new(Folder {
                id,
                kind: "folder",
                api: "storage",
                href,
                ids,
                id_type: if is_root { "path" } else { "default" },
                raw_id: of.id.as_str().to_owned(),
                account,
                name,
                size: None,
                path: entry.path,
                parent,
                ancestors,
                owner: Someone::of(entry.owner),
                creator: Someone::of(entry.creator),
                last_modifier: Someone::of(entry.last_modifier),
                created: entry.created,
                modified: entry.modified,
                can_create_folders: entry.can_create_folders,
                can_upload_files: entry.can_upload_files,
                can_list_recursively: self.lists_recursively,
                extra,
            })),
        }
    }

    fn above(&self, id: &NativeId, name: Option<String>) -> Above {
        if *id == self.root {
            let name = Some(self.root_name.to_owned());
            return Above { id: "root".to_owned(), kind: "folder", name, id_type: "path" };
        }
        let id = ResourceId::new(IdKind::Folder, id.clone()).to_string();
        Above { id, kind: "folder", name, id_type: "default" }
    }

    /// One object as it is shown, with what was asked for.
    ///
    /// # Errors
    /// What the further calls give.
    pub async fn one(&self, mut entry: Entry) -> Answer<Shown> {
        if let (Some(kind), EntryKind::File) = (self.hash, entry.kind) {
            let known = known(&mut entry.hashes, kind);
            if known.is_none() && entry.downloadable {
                let hash = self.storage.hash(&self.account.cx(), &entry.id, kind).await?;
                *known = Some(hash);
            }
        }
        let mut shown = self.many(vec![entry]).await?;
        shown.pop().ok_or_else(|| Problem::internal("an object was not shown"))
    }

    /// Objects of a list as they are shown, with what was asked for.
    ///
    /// # Errors
    /// What the further calls give.
    pub async fn many(&self, entries: Vec<Entry>) -> Answer<Vec<Shown>> {
        let objects = self.objects(entries, self.ancestors).await?;
        objects.into_iter().map(|object| self.cut(object)).collect()
    }

    /// Objects of a recursive listing: each has its depth and its ancestors.
    ///
    /// # Errors
    /// What the further calls give.
    pub async fn tree(&self, entries: Vec<Entry>, depths: &[u32]) -> Answer<Vec<Shown>> {
        let mut objects = self.objects(entries, true).await?;
        for (object, depth) in objects.iter_mut().zip(depths) {
            object.extra().depth = Some(*depth);
        }
        objects.into_iter().map(|object| self.cut(object)).collect()
    }

    async fn objects(&self, entries: Vec<Entry>, ancestors: bool) -> Answer<Vec<Object>> {
        let mut objects = Vec::with_capacity(entries.len());
        let mut climbed: HashMap<NativeId, Entry> = HashMap::new();
        if ancestors {
            // Folders of the list itself need not be asked for.
            let folders = entries.iter().filter(|entry| entry.is_folder());
            climbed.extend(folders.map(|entry| (entry.id.clone(), entry.clone())));
        }
        for entry in entries {
            let of = entry.reference();
            let parent = entry.parent.as_ref().map(|parent| parent.id.clone());
            let mut object = self.object(entry);
            if ancestors {
                let ancestors = match parent {
                    Some(parent) if of.id != self.root => self.climb(parent, &mut climbed).await?,
                    _ => Vec::new(),
                };
                object.set_ancestors(ancestors);
            }
            if self.permissions {
                object.extra().permissions = self.grants(&of).await?;
            }
            objects.push(object);
        }
        Ok(objects)
    }

    /// An object with only the members that were asked for.
    ///
    /// # Errors
    /// When the object has no JSON form.
    pub fn cut(&self, object: Object) -> Answer<Shown> {
        let Some(fields) = &self.fields else { return Ok(Shown::Whole(object)) };
        let Value::Object(members) = serde_json::to_value(&object).map_err(Problem::internal)?
        else {
            return Ok(Shown::Whole(object));
        };
        let kept = |name: &str| {
            ["id", "type", "api", "href"].contains(&name)
                || fields.iter().any(|field| field == name)
        };
        Ok(Shown::Part(members.into_iter().filter(|(name, _)| kept(name)).collect()))
    }

    async fn grants(&self, of: &EntryRef) -> Answer<Option<Vec<Grant>>> {
        let Some(permissions) = self.storage.permissions() else { return Ok(None) };
        match permissions.list(&self.account.cx(), of).await {
            Ok(grants) => Ok(Some(grants.into_iter().map(Grant::of).collect())),
            Err(error) if matches!(error.kind, Kind::Declined(_) | Kind::Unsupported(_)) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The folders from the root down to this one; each is asked for once in a request.
    async fn climb(
        &self,
        from: NativeId,
        climbed: &mut HashMap<NativeId, Entry>,
    ) -> Answer<Vec<Above>> {
        let mut above = Vec::new();
        let mut at = Some(from);
        while let Some(id) = at.take().filter(|_| above.len() < MAX_CLIMB) {
            if id == self.root {
                above.push(self.above(&id, None));
                break;
            }
            if !climbed.contains_key(&id) {
                let of = EntryRef::folder(id.clone());
                let entry = self.storage.get(&self.account.cx(), &of).await?;
                climbed.insert(id.clone(), entry);
            }
            if let Some(entry) = climbed.get(&id) {
                above.push(self.above(&id, Some(entry.name.clone())));
                at = entry.parent.as_ref().map(|parent| parent.id.clone());
            }
        }
        above.reverse();
        Ok(above)
    }
}

fn known(hashes: &mut Hashes, kind: HashKind) -> &mut Option<String> {
    match kind {
        HashKind::Md5 => &mut hashes.md5,
        HashKind::Sha1 => &mut hashes.sha1,
        HashKind::Sha256 => &mut hashes.sha256,
        HashKind::Crc32c => &mut hashes.crc32c,
    }
}


/// The etags of an `If-Match` or `If-None-Match` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`.
    Any,
    /// These.
    These(Vec<ETag>),
}

impl Tags {
    /// Reads a header; `None` when it is absent or holds no tag.
    #[must_use]
    pub fn read(headers: &http::HeaderMap, name: http::HeaderName) -> Option<Self> {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut tags = Vec::new();
        for part in values.flat_map(|value| value.split(',')) {
            if part.trim() == "*" {
                return Some(Self::Any);
            }
            tags.extend(ETag::parse(part));
        }
        (!tags.is_empty()).then_some(Self::These(tags))
    }

    /// Whether one of them is this, weakly compared (`If-None-Match`).
    #[must_use]
    pub fn meet(&self, etag: Option<&ETag>) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => {
                etag.is_some_and(|etag| tags.iter().any(|tag| tag.value == etag.value))
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderMap;
    use http::header::IF_MATCH;

    use super::*;

    #[test]
    fn tags_are_read_from_lists_and_stars() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, text.parse().unwrap());
            Tags::read(&headers, IF_MATCH)
        };
        assert_eq!(read("*"), Some(Tags::Any));
        assert_eq!(read(""), None);
        let two = read("\"a\", W/\"b\"").unwrap();
        assert!(two.meet(Some(&ETag::strong("a"))));
        assert!(two.meet(Some(&ETag::strong("b"))));
        assert!(!two.meet(Some(&ETag::strong("c"))));
        assert!(!two.meet(None));
        assert!(Tags::Any.meet(None));
    }
}
