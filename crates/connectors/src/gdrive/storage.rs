//! The files of a Google Drive account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tramontane_connector::http::Request;
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, HashKind,
    Links, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};
use url::Url;

use super::api::{Api, Client};
use super::ids::{DRIVES, ROOT, SHARED, Target, VIRTUAL, missing};
use super::item::virtual_folder;
use super::{abilities, list, place, read, search, upload, write};

/// The files of Google Drive accounts.
#[derive(Debug)]
pub struct DriveStorage {
    api: Arc<Api>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    storage_quota: StorageQuota,
}

#[derive(Deserialize)]
struct StorageQuota {
    usage: Option<String>,
    limit: Option<String>,
}

impl DriveStorage {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self { api }
    }

    pub(super) fn client<'a>(&'a self, cx: &'a Cx) -> Client<'a> {
        Client::new(&self.api, cx)
    }
}

/// My Drive, also where a stand-in has no such file.
async fn root(client: &Client<'_>) -> Result<Entry> {
    match client.get_any(ROOT).await {
        Ok(item) => {
            let id = item.id.clone();
            Ok(item.entry(&id))
        }
        Err(error) if error.is_not_found() => {
            Ok(Entry::folder(NativeId::new(ROOT), "My Drive", None))
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Storage for DriveStorage {
    fn abilities(&self, _account: &Account) -> Abilities {
        abilities::abilities()
    }

    fn root(&self, _account: &Account) -> NativeId {
        NativeId::new(ROOT)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        let client = self.client(cx);
        let target = Target::of(&of.id).ok_or_else(|| missing(of.kind))?;
        let id = match target {
            Target::Item(id) => id,
            _ if of.kind == EntryKind::File => return Err(missing(of.kind)),
            Target::Root => return root(&client).await,
            Target::Drives => DRIVES,
            Target::Shared => SHARED,
        };
        if let Some((id, name)) = VIRTUAL.iter().find(|(own, _)| *own == id) {
            return Ok(virtual_folder(id, name));
        }
        let item = client.get(id, of.kind).await?;
        client.entry(item).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        list::list(&self.client(cx), folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        read::read(&self.client(cx), file, how).await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        list::child(&self.client(cx), at).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        write::create(&self.client(cx), at, body, how).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        write::update(&self.client(cx), file, body, if_match).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        write::create_folder(&self.client(cx), at).await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        place::relocate(&self.client(cx), what, to, c).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        place::copy(&self.client(cx), what, to, c).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        place::delete(&self.client(cx), what, how).await
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        search::search(&self.client(cx), query, page).await
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        search::recent(&self.client(cx), after, limit).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        let Some(Target::Item(id)) = Target::of(file) else {
            return Err(missing(EntryKind::File));
        };
        let item = self.client(cx).get(id, EntryKind::File).await?;
        let known = match kind {
            HashKind::Md5 => item.md5_checksum,
            HashKind::Sha1 => item.sha1_checksum,
            HashKind::Sha256 => item.sha256_checksum,
            _ => None,
        };
        known.ok_or_else(|| Error::declined(Op::FileHash))
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        read::thumbnail(&self.client(cx), file, size).await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        let client = self.client(cx);
        let url = client.url(&["about"], &[("fields", "storageQuota")])?;
        let about: About = client.json(Request::new("about", Method::GET, url)).await?;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(Quota {
            used: number(about.storage_quota.usage),
            total: number(about.storage_quota.limit),
        })
    }

    /// The URL of a resumable upload: it takes the content by `PUT` without a credential, once, within a
    /// week, whatever was asked for.
    async fn upload_url(&self, cx: &Cx, at: &Place, _lasting: Duration) -> Result<Url> {
        let client = self.client(cx);
        let folder = write::folder_of(&client, &at.parent).await?;
        let mime = upload::media_type(None, &at.name);
        let meta = write::metadata(&client, &at.name, &folder, &mime).await?;
        upload::begin(&client, &meta, &mime, None).await.map_err(super::fault::of_parent)
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
