//! A storage with some of its native operations taken away, so that the gap functions must do them; it
//! also notes what each operation gave, so that declarations can be held against behaviour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, TreeEntry, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, HashKind,
    Links, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Ops, Page, PageRequest, Timestamp};
use url::Url;

/// How often an operation was done by the service, and how often it was declined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Done, or failed for another reason than declining.
    pub done: u32,
    /// Declined.
    pub declined: u32,
}

/// A storage without some operations.
pub struct Masked {
    inner: Arc<dyn Storage>,
    without: Ops,
    seen: Mutex<BTreeMap<Op, Seen>>,
}

impl Masked {
    /// The storage as it is, watched.
    #[must_use]
    pub fn nothing(inner: Arc<dyn Storage>) -> Self {
        Self::without(inner, Ops::NONE)
    }

    /// The storage without these operations.
    #[must_use]
    pub fn without(inner: Arc<dyn Storage>, without: Ops) -> Self {
        Self { inner, without, seen: Mutex::default() }
    }

    /// What each operation gave so far.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<Op, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn pass<T>(&self, ops: &[Op], call: impl Future<Output = Result<T>>) -> Result<T> {
        if let Some(op) = ops.iter().find(|op| self.without.has(**op)) {
            return Err(Error::declined(*op));
        }
        let outcome = call.await;
        let declined = outcome.as_ref().is_err_and(Error::is_declined);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            let seen = seen.entry(*op).or_default();
            if declined {
                seen.declined += 1;
            } else {
                seen.done += 1;
            }
        }
        outcome
    }

    fn part<T>(&self, ops: &[Op], part: Option<T>) -> Option<T> {
        part.filter(|_| !ops.iter().any(|op| self.without.has(*op)))
    }
}

const TRASH: &[Op] = &[Op::TrashList, Op::TrashRestore];
const PERMISSIONS: &[Op] =
    &[Op::PermissionsList, Op::FilePermissionsWrite, Op::FolderPermissionsWrite];
const PROPERTIES: &[Op] = &[Op::PropertiesList, Op::PropertiesUpdate, Op::PropertiesDeleteAll];

const fn by_kind(kind: EntryKind, file: [Op; 2], folder: [Op; 2]) -> [Op; 2] {
    match kind {
        EntryKind::File => file,
        EntryKind::Folder => folder,
    }
}

#[async_trait]
impl Storage for Masked {
    fn abilities(&self, account: &Account) -> Abilities {
        let mut abilities = self.inner.abilities(account);
        for op in self.without.iter() {
            abilities.native = abilities.native.without(op);
        }
        // A part comes as a whole or not at all.
        for part in [TRASH, PERMISSIONS, PROPERTIES] {
            if part.iter().any(|op| self.without.has(*op)) {
                abilities.native = part.iter().fold(abilities.native, |left, op| left.without(*op));
            }
        }
        abilities
    }

    fn root(&self, account: &Account) -> NativeId {
        self.inner.root(account)
    }

    fn takes_name(&self, account: &Account, name: &str) -> bool {
        self.inner.takes_name(account, name)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.inner.get(cx, of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.inner.list(cx, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        let ops: &[Op] = if how.range.is_some() { &[Op::FileRange] } else { &[] };
        self.pass(ops, self.inner.read(cx, file, how)).await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        if self.without.has(Op::FileRead) {
            return Err(Error::declined(Op::FileRead));
        }
        self.inner.child(cx, at).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        let unsized_ops = [Op::FileCreate, Op::FileCreateUnsized];
        let ops = if body.len().is_none() { &unsized_ops[..] } else { &[Op::FileCreate] };
        self.pass(ops, self.inner.create(cx, at, body, how)).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        self.pass(&[Op::FileUpdate], self.inner.update(cx, file, body, if_match)).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        self.pass(&[Op::FolderCreate], self.inner.create_folder(cx, at)).await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        let ops =
            by_kind(what.kind, [Op::FileRename, Op::FileMove], [Op::FolderRename, Op::FolderMove]);
        self.pass(&ops, self.inner.relocate(cx, what, to, c)).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        let [op, _] = by_kind(what.kind, [Op::FileCopy; 2], [Op::FolderCopy; 2]);
        self.pass(&[op], self.inner.copy(cx, what, to, c)).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        // Deleting one empty folder is required of everyone who deletes folders.
        let mut ops = match what.kind {
            EntryKind::File => vec![Op::FileDelete],
            EntryKind::Folder if how.recursive => vec![Op::FolderDelete],
            EntryKind::Folder => vec![],
        };
        if how.permanent && what.kind == EntryKind::File {
            ops.push(Op::FileDeletePermanently);
        }
        self.pass(&ops, self.inner.delete(cx, what, how)).await
    }

    async fn list_tree(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        self.pass(&[Op::FolderListRecursively], self.inner.list_tree(cx, folder, page)).await
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        self.pass(&[Op::SearchName], self.inner.search(cx, query, page)).await
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        self.pass(&[Op::RecentList], self.inner.recent(cx, after, limit)).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        self.pass(&[Op::FileHash], self.inner.hash(cx, file, kind)).await
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        self.pass(&[Op::FileThumbnail], self.inner.thumbnail(cx, file, size)).await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        self.pass(&[Op::QuotaRead], self.inner.quota(cx)).await
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, lasting: Duration) -> Result<Url> {
        self.pass(&[Op::UploadUrlCreate], self.inner.download_url(cx, file, lasting)).await
    }

    async fn upload_url(&self, cx: &Cx, at: &Place, lasting: Duration) -> Result<Url> {
        self.pass(&[Op::UploadUrlCreate], self.inner.upload_url(cx, at, lasting)).await
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
        self.part(&[Op::MultipartCreate], self.inner.sessions())
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.part(TRASH, self.inner.trash())
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.part(&[Op::VersionsList], self.inner.versions())
    }

    fn permissions(&self) -> Option<&dyn Permissions> {
        self.part(PERMISSIONS, self.inner.permissions())
    }

    fn properties(&self) -> Option<&dyn Properties> {
        self.part(PROPERTIES, self.inner.properties())
    }

    fn links(&self) -> Option<&dyn Links> {
        self.part(&[Op::LinkCreate], self.inner.links())
    }
}
