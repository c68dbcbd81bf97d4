//! From a connector's entries to what the API shows of them (wire API, sections 21, 49).

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use tramontane_connector::{Entry, EntryKind, EntryRef, HashKind, Hashes, Kind, Storage as _};
use tramontane_fill::Filled;
use tramontane_model::{Kind as IdKind, NativeId, Op, ResourceId};

use crate::account::Account;
use crate::objects::{Above, Extra, File, Folder, Grant, Object, Raw, Shown, Someone};
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// How many folders are climbed for `expand=ancestors`.
const MAX_CLIMB: usize = 250;

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
            Some("quickxor") => Some(HashKind::QuickXor),
            Some("dropbox") => Some(HashKind::DropboxContent),
            Some(_) => {
                let rule = "must be md5, sha1, sha256, crc32c, quickxor or dropbox";
                return Err(Problem::invalid("hashes", rule));
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

    pub(crate) fn above(&self, id: &NativeId, name: Option<String>) -> Above {
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
        HashKind::QuickXor => &mut hashes.quickxor,
        HashKind::DropboxContent => &mut hashes.dropbox,
    }
}
