//! The storage of a Box account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, HashKind,
    Links, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};
use url::Url;

use super::abilities::abilities;
use super::client::{Client, Sites};
use super::fault::cursor;
use super::id::{Id, What};
use super::item::{self, Entries, FIELDS};

/// The longest page of a listing (<https://developer.box.com/reference/get-folders-id-items/>).
const MAX_PAGE: usize = 1_000;
/// How long Box's download URLs are good.
const DOWNLOAD_LIFE: Duration = Duration::from_secs(900);

/// The storage of Box accounts.
pub(super) struct BoxStorage {
    sites: Arc<Sites>,
}

impl BoxStorage {
    pub(super) fn new(sites: Arc<Sites>) -> Self {
        Self { sites }
    }

    pub(super) fn client<'a>(&'a self, cx: &'a Cx) -> Client<'a> {
        Client { cx, sites: &self.sites }
    }
}

/// The object is not there, or the id is none of Box's.
pub(super) fn missing() -> Error {
    Error::not_found("The object is not there.")
}

/// The folder to write into is not there.
pub(super) fn no_parent() -> Error {
    Error::new(Kind::ParentNotFound, "The folder to write into is not there.")
}

/// The folder of a place.
pub(super) fn folder_of(at: &Place) -> Result<Id> {
    Id::parse(&at.parent).filter(|id| id.what == What::Folder).ok_or_else(no_parent)
}

/// A file with content.
pub(super) fn file_of(file: &NativeId) -> Result<Id> {
    let id = Id::parse(file).filter(|id| id.what != What::Folder).ok_or_else(missing)?;
    if id.what == What::Link {
        return Err(Error::new(Kind::NotAllowed, "A bookmark has no content."));
    }
    Ok(id)
}

/// `GET /users/me`, as far as space goes.
#[derive(Deserialize)]
struct Space {
    space_amount: Option<f64>,
    space_used: Option<f64>,
}

/// What Box calls space without limit, in bytes.
const UNLIMITED: f64 = 999_999_999_999_999.0;

impl Client<'_> {
    /// The item with this id.
    pub(super) async fn item(&self, id: &Id) -> Result<Entry> {
        let url = self.api(&[id.what.plural(), &id.number], &[("fields", FIELDS)])?;
        let value: Value = self.json(self.request("get_item", Method::GET, url)).await?;
        item::entry(value, self.cx.raw)
    }

    pub(super) async fn children(&self, folder: &Id, page: &PageRequest) -> Result<Page<Entry>> {
        let limit = page.limit.min(MAX_PAGE).to_string();
        let mut query = vec![("fields", FIELDS), ("limit", limit.as_str()), ("usemarker", "true")];
        if let Some(marker) = &page.cursor {
            query.push(("marker", marker));
        }
        let url = self.api(&["folders", &folder.number, "items"], &query)?;
        let entries: Result<Entries> = self.json(self.request("list", Method::GET, url)).await;
        let entries = entries.map_err(|error| cursor(error, page.cursor.is_some()))?;
        let next = entries.next();
        let items = entries.entries.into_iter().filter(item::is_known);
        let items: Result<Vec<Entry>> =
            items.map(|value| item::entry(value, self.cx.raw)).collect();
        Ok(Page { items: items?, next })
    }
}

#[async_trait]
impl Storage for BoxStorage {
    fn abilities(&self, _account: &Account) -> Abilities {
        abilities(self.sites.is_box())
    }

    fn root(&self, _account: &Account) -> NativeId {
        Id::root().native()
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.client(cx).item(&Id::of_ref(of).ok_or_else(missing)?).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        let folder = Id::parse(folder).filter(|id| id.what == What::Folder).ok_or_else(missing)?;
        self.client(cx).children(&folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        self.client(cx).content(&file_of(file)?, None, how).await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        self.client(cx).child(at).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        self.client(cx).create(at, body, how).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        self.client(cx).update(&file_of(file)?, body, if_match).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        self.client(cx).make_folder(at).await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        self.client(cx).relocate(&Id::of_ref(what).ok_or_else(missing)?, to, c).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        self.client(cx).copy(&Id::of_ref(what).ok_or_else(missing)?, to, c).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        self.client(cx).delete(&Id::of_ref(what).ok_or_else(missing)?, how).await
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        self.client(cx).search(query, page).await
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        self.client(cx).recent(after, limit).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        if kind != HashKind::Sha1 {
            return Err(Error::declined(Op::FileHash));
        }
        let entry = self.client(cx).item(&file_of(file)?).await?;
        entry.hashes.sha1.ok_or_else(|| Error::declined(Op::FileHash))
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        self.client(cx).thumbnail(&file_of(file)?, size).await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        let client = self.client(cx);
        let url = client.api(&["users", "me"], &[("fields", "space_amount,space_used")])?;
        let space: Space = client.json(client.request("quota", Method::GET, url)).await?;
        let total = space.space_amount.filter(|total| (0.0..UNLIMITED).contains(total));
        Ok(Quota {
            used: space.space_used.and_then(item::whole),
            total: total.and_then(item::whole),
        })
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, lasts: Duration) -> Result<Url> {
        // Box says itself how long, and it is not long.
        if lasts > DOWNLOAD_LIFE {
            return Err(Error::declined(Op::UploadUrlCreate));
        }
        self.client(cx).content_url(&file_of(file)?, None).await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    fn permissions(&self) -> Option<&dyn Permissions> {
        Some(self)
    }

    fn links(&self) -> Option<&dyn Links> {
        Some(self)
    }

    fn properties(&self) -> Option<&dyn Properties> {
        Some(self)
    }
}

/// Whether a folder is there: some of Box's answers do not say which of two objects is not.
pub(super) async fn is_folder(client: &Client<'_>, folder: &Id) -> Result<bool> {
    match client.item(folder).await {
        Ok(entry) => Ok(entry.kind == EntryKind::Folder),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
