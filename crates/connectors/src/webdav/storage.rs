//! The files of a WebDAV account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use moka::sync::Cache;
use tramontane_connector::storage::{
    Content, DeleteOptions, Properties, Quota, ReadOptions, SearchQuery, ThumbnailSize, Trash,
    UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place,
    Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use super::auth::Auth;
use super::dav::{Dav, missing};
use super::fault::{fault, is_unknown_method};
use super::listing::Listings;
use super::profile::Profile;
use super::xml::Ns;
use super::{abilities, cloud, path, props, read, write};

/// How long what is known of an account's authentication is kept without use.
const KEPT_IDLE: Duration = Duration::from_secs(900);

/// The files of WebDAV accounts.
#[derive(Clone)]
pub struct DavStorage {
    auths: Cache<(i64, i64), Arc<Auth>>,
    listings: Listings,
}

impl Default for DavStorage {
    fn default() -> Self {
        let auths = Cache::builder().max_capacity(200_000).time_to_idle(KEPT_IDLE).build();
        Self { auths, listings: Listings::default() }
    }
}

impl std::fmt::Debug for DavStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DavStorage").finish_non_exhaustive()
    }
}

impl DavStorage {
    /// What signs this account's requests, the same as long as account and revision are.
    pub(super) fn auth(&self, account: &Account) -> Arc<Auth> {
        let key = (account.id.number(), account.revision);
        self.auths.get_with(key, || Auth::of(account))
    }

    /// Forgets the listing of a folder in which something was changed.
    pub(super) fn forget(&self, cx: &Cx, folder: &NativeId) {
        self.listings.forget(cx, folder);
    }

    fn changed(&self, cx: &Cx, id: &NativeId) {
        if let Some((folder, _)) = path::split(id) {
            self.listings.forget(cx, &folder);
        }
    }

    /// `MOVE` or `COPY` of one thing to another place.
    async fn transfer(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: &Place,
        conflict: Conflict,
        method: Method,
    ) -> Result<Entry> {
        let dav = Dav::of(cx)?;
        let id = path::at(to)?;
        let Some((parent, _)) = path::split(&what.id) else {
            return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
        };
        let source = dav.get(what).await?;
        if id == what.id {
            return match method {
                Method::Move => Ok(source),
                Method::Copy => Err(Error::conflict(&source.name, Some(source.reference()))),
            };
        }
        if what.kind == EntryKind::Folder && path::is_within(&id, &what.id) {
            return Err(Error::new(Kind::IntoItself, "A folder cannot be put into itself."));
        }
        let op = method.op(what.kind, parent == to.parent);
        if !dav.profile.takes_destination(&id) {
            return Err(Error::declined(op));
        }
        let mut overwrite = false;
        if conflict == Conflict::Replace
            && let Some(there) = dav.look_if_any(&id).await?
        {
            match (what.kind, there.kind) {
                (EntryKind::File, EntryKind::File) => overwrite = true,
                (EntryKind::Folder, EntryKind::Folder) => return Err(Error::declined(op)),
                _ => return Err(Error::conflict(&there.name, Some(there.reference()))),
            }
        }
        let folder = what.kind == EntryKind::Folder;
        let (from, to_url) = (dav.profile.url(&what.id, folder)?, dav.profile.url(&id, folder)?);
        let (name, verb) = method.words();
        let hidden = matches!(method, Method::Copy) && overwrite && dav.profile.cloud.is_none();
        let done = if hidden {
            write::copy_over(&dav, from, &id, &to_url).await
        } else {
            dav.transfer(name, verb, from, &to_url, overwrite, &[]).await.map(|_| ())
        };
        match done {
            Ok(()) => {}
            Err(error) if error.kind == Kind::Precondition => {
                return Err(write::taken(&dav, &id).await);
            }
            Err(error) if lacks(&error) => return Err(Error::declined(op).because(error)),
            Err(error) => return Err(write::explain(&dav, &to.parent, error).await),
        }
        self.changed(cx, &what.id);
        self.changed(cx, &id);
        dav.get(&EntryRef { kind: what.kind, id }).await
    }
}

#[derive(Clone, Copy)]
enum Method {
    Move,
    Copy,
}

impl Method {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Move => ("move", "MOVE"),
            Self::Copy => ("copy", "COPY"),
        }
    }

    fn op(self, kind: EntryKind, same_folder: bool) -> Op {
        match (self, kind, same_folder) {
            (Self::Move, EntryKind::File, true) => Op::FileRename,
            (Self::Move, EntryKind::File, false) => Op::FileMove,
            (Self::Move, EntryKind::Folder, true) => Op::FolderRename,
            (Self::Move, EntryKind::Folder, false) => Op::FolderMove,
            (Self::Copy, EntryKind::File, _) => Op::FileCopy,
            (Self::Copy, EntryKind::Folder, _) => Op::FolderCopy,
        }
    }
}

fn lacks(error: &Error) -> bool {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    status.and_then(|code| StatusCode::from_u16(code).ok()).is_some_and(is_unknown_method)
}

#[async_trait]
impl Storage for DavStorage {
    fn abilities(&self, account: &Account) -> Abilities {
        abilities::of(account)
    }

    fn root(&self, _account: &Account) -> NativeId {
        NativeId::new("/")
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        Dav::of(cx)?.get(of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.listings.page(&Dav::of(cx)?, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        read::read(&Dav::of(cx)?, file, how).await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        Dav::of(cx)?.look_if_any(&path::at(at)?).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        let made = write::create(&Dav::of(cx)?, &self.auth(&cx.account), at, body, how).await;
        self.listings.forget(cx, &at.parent);
        made
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let auth = self.auth(&cx.account);
        let made = write::update(&Dav::of(cx)?, &auth, file, body, if_match).await;
        self.changed(cx, file);
        made
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        let dav = Dav::of(cx)?;
        let id = path::at(at)?;
        if !dav.profile.refuses_mkcol
            && let Some(there) = dav.look_if_any(&id).await?
        {
            return Err(Error::conflict(&at.name, Some(there.reference())));
        }
        let answer = cx.send(Dav::request("mkcol", "MKCOL", dav.profile.url(&id, true)?)).await?;
        self.listings.forget(cx, &at.parent);
        if answer.status.is_success() {
            return dav.get(&EntryRef::folder(id)).await;
        }
        let error = fault(answer).await;
        if let Some(there) = dav.look_if_any(&id).await? {
            return Err(Error::conflict(&at.name, Some(there.reference())));
        }
        Err(write::explain(&dav, &at.parent, error).await)
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        self.transfer(cx, what, to, c, Method::Move).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        self.transfer(cx, what, to, c, Method::Copy).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        let dav = Dav::of(cx)?;
        if path::split(&what.id).is_none() {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
        }
        // DELETE of a folder takes all below it, so the kind is never taken on trust.
        let there = dav.get(what).await?;
        write::matches(Some(&there), how.if_match.as_ref())?;
        let folder = what.kind == EntryKind::Folder;
        if folder && !how.recursive && !Listings::is_empty(&dav, &what.id).await? {
            return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
        }
        let if_match = if folder { None } else { how.if_match.as_ref() };
        let done = dav.delete(dav.profile.url(&what.id, folder)?, if_match).await;
        self.changed(cx, &what.id);
        done?;
        match &dav.profile.cloud {
            Some(parts) if how.permanent => cloud::trash::purge_newest(&dav, parts, &what.id).await,
            _ => Ok(()),
        }
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        let dav = Dav::of(cx)?;
        match &dav.profile.cloud {
            Some(parts) => cloud::search::by_name(&dav, parts, query, page).await,
            None => Err(Error::declined(Op::SearchName)),
        }
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        let dav = Dav::of(cx)?;
        match &dav.profile.cloud {
            Some(parts) => cloud::search::recent(&dav, parts, after, limit).await,
            None => Err(Error::declined(Op::RecentList)),
        }
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        let dav = Dav::of(cx)?;
        match &dav.profile.cloud {
            Some(parts) => cloud::thumbnail(&dav, parts, file, size).await,
            None => Err(Error::declined(Op::FileThumbnail)),
        }
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        let dav = Dav::of(cx)?;
        if !dav.profile.quota {
            return Err(Error::declined(Op::QuotaRead));
        }
        let body = props::propfind(&["<d:quota-used-bytes/><d:quota-available-bytes/>"]);
        let item = dav.item(dav.profile.base.clone(), body).await?;
        let number = |name| item.text(Ns::Dav, name).and_then(|text| text.parse::<i64>().ok());
        // Negative numbers are Nextcloud's "not computed", "unknown" and "unlimited".
        let used = number("quota-used-bytes").and_then(|used| u64::try_from(used).ok());
        let free = number("quota-available-bytes").and_then(|free| u64::try_from(free).ok());
        let total = used.zip(free).and_then(|(used, free)| used.checked_add(free));
        Ok(Quota { used, total })
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    fn properties(&self) -> Option<&dyn Properties> {
        Some(self)
    }
}

/// The parts of a Nextcloud, or a decline of the operation.
pub(super) fn cloud_of(profile: &Profile, op: Op) -> Result<&super::profile::Cloud> {
    profile.cloud.as_ref().ok_or_else(|| Error::declined(op))
}

/// The file, which must be there and no folder.
pub(super) async fn file(dav: &Dav<'_>, id: &NativeId) -> Result<Entry> {
    if path::split(id).is_none() {
        return Err(missing(EntryKind::File));
    }
    dav.get(&EntryRef::file(id.clone())).await
}
