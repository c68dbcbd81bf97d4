//! The one wrapper: asks the service, and fills in what it declines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tramontane_connector::place::check_name;
use tramontane_connector::storage::{
    ByteRange, Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, TreeEntry, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, HashKind,
    Kind, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest, Support, Timestamp};
use url::Url;

use crate::ancestry::not_into_itself;
use crate::ceilings::Ceilings;
use crate::claims::Claims;
use crate::copy_tree::TreeCopy;
use crate::progress::Quiet;
use crate::spool::Spool;
use crate::transfer::Side;
use crate::{
    child, copy, delete_tree, gaps, hash, list_tree, range, recent, relocate, search, thumbnail,
    upload,
};

/// A connector's storage with its gaps filled. One for all accounts of a connector.
pub struct Filled {
    native: Arc<dyn Storage>,
    spool: Spool,
    ceilings: Ceilings,
    claims: Claims,
}

impl Filled {
    /// This storage, its gaps filled, within the default ceilings.
    #[must_use]
    pub fn new(native: Arc<dyn Storage>, spool: Spool) -> Self {
        Self { native, spool, ceilings: Ceilings::default(), claims: Claims::default() }
    }

    /// The same, within other ceilings.
    #[must_use]
    pub fn with_ceilings(self, ceilings: Ceilings) -> Self {
        Self { ceilings, ..self }
    }

    /// What it may do before it says no.
    #[must_use]
    pub fn ceilings(&self) -> &Ceilings {
        &self.ceilings
    }

    /// Where it spools.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The service itself.
    #[must_use]
    pub fn native(&self) -> &Arc<dyn Storage> {
        &self.native
    }

    /// How every operation is supported for this account.
    #[must_use]
    pub fn support(&self, account: &Account) -> BTreeMap<Op, Support> {
        gaps::support(&self.native.abilities(account))
    }

    /// Everything below a folder, folders before their contents, down to `max_depth`.
    ///
    /// # Errors
    /// As [`Storage::list_tree`].
    pub async fn list_down_to(
        &self,
        cx: &Cx,
        folder: &NativeId,
        max_depth: Option<u32>,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        match max_depth {
            None => self.list_tree(cx, folder, page).await,
            Some(_) => list_tree::list_tree(self, cx, folder, max_depth, page).await,
        }
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    fn has(&self, cx: &Cx, op: Op) -> bool {
        self.native.abilities(&cx.account).native.has(op)
    }

    /// The context for one step of work of many steps: what the caller still has, but at least the
    /// time that a step may take.
    pub(crate) fn step(&self, cx: &Cx) -> Cx {
        cx.within(cx.time_left().max(self.ceilings.step))
    }

    /// A declined call that nothing can fill is unsupported, with the connector's reason.
    pub(crate) fn refused(&self, cx: &Cx, error: Error) -> Error {
        let Kind::Declined(op) = error.kind else { return error };
        let reason = self.native.abilities(&cx.account).reason(op);
        Error::unsupported(op, reason.message)
    }

    async fn filled<T>(
        &self,
        cx: &Cx,
        native: impl Future<Output = Result<T>>,
        fill: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let done = match native.await {
            Err(error) if error.is_declined() => fill.await,
            done => done,
        };
        done.map_err(|error| self.refused(cx, error))
    }

    fn is_root(&self, cx: &Cx, what: &EntryRef) -> bool {
        what.id == self.native.root(&cx.account)
    }

    /// Looks first where the service cannot refuse a taken name by itself.
    pub(crate) async fn check_free(&self, cx: &Cx, what: &EntryRef, to: &Place) -> Result<()> {
        if self.has(cx, Op::FileConditional) {
            return Ok(());
        }
        match self.child(cx, to).await? {
            Some(there) if there.id != what.id => {
                Err(Error::conflict(&to.name, Some(there.reference())))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Storage for Filled {
    fn abilities(&self, account: &Account) -> Abilities {
        self.native.abilities(account)
    }

    fn root(&self, account: &Account) -> NativeId {
        self.native.root(account)
    }

    fn takes_name(&self, account: &Account, name: &str) -> bool {
        self.native.takes_name(account, name)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.native.get(cx, of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.native.list(cx, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        let content = match (self.native.read(cx, file, how).await, how.range) {
            (Err(error), Some(asked)) if error.kind == Kind::Declined(Op::FileRange) => {
                return range::read(self, cx, file, how, asked).await;
            }
            (content, _) => content.map_err(|error| self.refused(cx, error))?,
        };
        match how.range {
            // A service may ignore a range and send the whole.
            Some(asked @ ByteRange::From(first, _)) if first > 0 && content.offset == 0 => {
                range::cut(content, asked).await
            }
            _ => Ok(content),
        }
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let native = async { self.native.child(cx, at).await.map_err(child::parent) };
        self.filled(cx, native, child::child(self, cx, at)).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        check_name(&at.name)?;
        let guarded = how.conflict == Conflict::Fail && !self.has(cx, Op::FileConditional);
        let _claim = if guarded { Some(self.claims.wait(cx, at).await?) } else { None };
        upload::create(self, cx, at, body, how).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        upload::update(self, cx, file, body, if_match).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        check_name(&at.name)?;
        let made = self.native.create_folder(cx, at).await;
        made.map_err(|error| self.refused(cx, error))
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        check_name(&to.name)?;
        if self.is_root(cx, what) {
            return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
        }
        if what.kind == EntryKind::Folder {
            not_into_itself(self, cx, &what.id, &to.parent).await?;
        }
        let _claim = match c {
            Conflict::Fail if !self.has(cx, Op::FileConditional) => {
                // Whoever renames to the name that he has claimed already is let through.
                let claim = self.claims.attempt(cx, to);
                self.check_free(cx, what, to).await?;
                claim
            }
            _ => None,
        };
        let native = self.native.relocate(cx, what, to, c);
        self.filled(cx, native, relocate::relocate(self, cx, what, to, c)).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        check_name(&to.name)?;
        if what.kind == EntryKind::Folder {
            not_into_itself(self, cx, &what.id, &to.parent).await?;
        }
        if c == Conflict::Fail {
            self.check_free(cx, what, to).await?;
        }
        let fill = async {
            let side = Side { storage: self, cx };
            let source = self.get(cx, what).await?;
            if !source.is_folder() {
                return copy::stream(side, &source, side, to, c, &Quiet).await;
            }
            let made = self.create_folder(cx, to).await?;
            let work = TreeCopy { from: side, to: side, within: true, progress: &Quiet };
            let failed = match work.run(&source, &made.id, false).await {
                Ok(mut copied) => copied.skipped.pop().map(|skipped| skipped.error),
                Err(error) => Some(error),
            };
            let Some(error) = failed else { return Ok(made) };
            copy::remove(side, &made).await;
            Err(error)
        };
        self.filled(cx, self.native.copy(cx, what, to, c), fill).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        if self.is_root(cx, what) {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
        }
        if how.permanent && !self.has(cx, Op::FileDeletePermanently) {
            return Err(self.refused(cx, Error::declined(Op::FileDeletePermanently)));
        }
        let wanted = how.if_match.as_ref();
        let there = async { self.get(cx, what).await.map(Some) };
        let if_match = upload::precondition(self, cx, wanted, there).await?;
        let how = DeleteOptions { if_match, ..how.clone() };
        let fill = async {
            if what.kind == EntryKind::File || !how.recursive {
                return Err(Error::declined(Op::FileDelete));
            }
            self.get(cx, what).await?;
            delete_tree::delete_tree(self, cx, &what.id, how.permanent).await
        };
        self.filled(cx, self.native.delete(cx, what, &how), fill).await
    }

    async fn list_tree(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        if !self.has(cx, Op::FolderListRecursively) {
            // A cursor of ours would only puzzle the service.
            return list_tree::list_tree(self, cx, folder, None, page).await;
        }
        self.native.list_tree(cx, folder, page).await.map_err(|error| self.refused(cx, error))
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        if !self.has(cx, Op::SearchName) {
            return search::search(self, cx, query, page).await;
        }
        self.native.search(cx, query, page).await.map_err(|error| self.refused(cx, error))
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        let native = self.native.recent(cx, after, limit);
        self.filled(cx, native, recent::recent(self, cx, after, limit)).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        let native = self.native.hash(cx, file, kind);
        self.filled(cx, native, hash::hash(self, cx, file, kind)).await
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        let native = self.native.thumbnail(cx, file, size);
        self.filled(cx, native, thumbnail::thumbnail(self, cx, file, size)).await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        self.native.quota(cx).await.map_err(|error| self.refused(cx, error))
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, lasting: Duration) -> Result<Url> {
        let url = self.native.download_url(cx, file, lasting).await;
        url.map_err(|error| self.refused(cx, error))
    }

    async fn upload_url(&self, cx: &Cx, at: &Place, lasting: Duration) -> Result<Url> {
        let url = self.native.upload_url(cx, at, lasting).await;
        url.map_err(|error| self.refused(cx, error))
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.native.trash()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.native.versions()
    }

    fn permissions(&self) -> Option<&dyn Permissions> {
        self.native.permissions()
    }

    fn properties(&self) -> Option<&dyn Properties> {
        self.native.properties()
    }

    fn links(&self) -> Option<&dyn tramontane_connector::Links> {
        self.native.links().map(|_| self as &dyn tramontane_connector::Links)
    }
}
