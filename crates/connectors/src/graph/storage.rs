//! The files of a Graph account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, header};
use serde_json::{Value, json};
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Quota, ReadOptions, SearchQuery, ThumbnailSize,
    UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, HashKind,
    Kind, Links, Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest};
use url::Url;

use super::api::{Api, Client, collection};
use super::id::Id;
use super::item::{Item, if_match, missing};
use super::sites::only_below;
use super::{Flavour, abilities, moves, names, read, search, write};

/// The files of OneDrive and SharePoint.
pub struct GraphStorage {
    pub(super) api: Arc<Api>,
}

impl GraphStorage {
    fn is_top(&self, id: &Id) -> bool {
        self.api.flavour == Flavour::Sharepoint && *id == Id::Root
    }
}

impl Client<'_> {
    /// The JSON of an item.
    pub(super) async fn item(&self, id: &Id) -> Result<Value> {
        self.get("item", &self.path(id)?).await
    }

    /// The item as it shows, which for a shortcut is where it was put.
    pub(super) async fn look(&self, of: &EntryRef) -> Result<Entry> {
        match Id::parse(&of.id)? {
            Id::Root if self.api.flavour == Flavour::Sharepoint => match of.kind {
                EntryKind::Folder => Ok(self.top()),
                EntryKind::File => Err(missing(of.kind)),
            },
            Id::Site(_) if of.kind == EntryKind::File => Err(missing(of.kind)),
            Id::Site(site) => self.site(&site).await,
            id => self.entry_of_kind(self.item(&id.itself()).await?, of.kind).await,
        }
    }

    /// The child with this name; case as the service has it.
    pub(super) async fn child(&self, parent: &Id, name: &str) -> Result<Option<Entry>> {
        match self.get("child", self.child_path(parent, name)?.trim_end_matches(':')).await {
            Ok(value) => self.entry(value).await.map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a refusal say what is wrong with the place that something was to be put in.
    pub(super) async fn explain(&self, at: &Place, error: Error) -> Error {
        let status = error.fault.as_ref().and_then(|fault| fault.status);
        if !matches!(status, Some(400 | 403 | 404 | 405 | 409)) {
            return error;
        }
        let above = match Id::parse(&at.parent) {
            Ok(id) => self.look(&EntryRef::folder(id.native())).await,
            Err(error) => Err(error),
        };
        if above.is_err_and(|error| error.is_not_found()) {
            return nowhere().because(error);
        }
        if error.is_conflict() {
            let by = match Id::parse(&at.parent) {
                Ok(parent) => self.child(&parent, &at.name).await.ok().flatten(),
                Err(_) => None,
            };
            return Error::conflict(&at.name, by.map(|entry| entry.reference())).because(error);
        }
        error
    }
}

fn nowhere() -> Error {
    Error::new(Kind::ParentNotFound, "The folder to write into is not there.")
}

/// The folder to put something into.
pub(super) fn parent_of(at: &Place) -> Result<Id> {
    Id::parse(&at.parent).map_err(|error| nowhere().because(error))
}

#[async_trait]
impl Storage for GraphStorage {
    fn abilities(&self, account: &Account) -> Abilities {
        abilities::of(self.api.flavour, account)
    }

    fn root(&self, _account: &Account) -> NativeId {
        Id::Root.native()
    }

    fn takes_name(&self, _account: &Account, name: &str) -> bool {
        names::check(name).is_ok()
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.api.at(cx).look(of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        let (client, id) = (self.api.at(cx), Id::parse(folder)?);
        if self.is_top(&id) {
            return client.list_top(page).await;
        }
        if let Id::Site(site) = &id {
            return client.list_site(site, page).await;
        }
        let request = match &page.cursor {
            Some(cursor) => client.next("children", cursor)?,
            None => {
                let path = format!(
                    "{}/children?$top={}",
                    client.path(&id)?,
                    page.limit.min(abilities::MAX_PAGE)
                );
                client.request("children", Method::GET, &path)?
            }
        };
        let (children, next) = collection(client.json(request).await?)?;
        if children.is_empty() && page.cursor.is_none() {
            // Files have no children, which is not an error of Graph.
            let followed = client.item(&id.followed()).await?;
            client.entry_of_kind(followed, EntryKind::Folder).await?;
        }
        let mut items = Vec::with_capacity(children.len());
        for child in children {
            items.push(client.entry(child).await?);
        }
        Ok(Page { items, next })
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        read::read(self.api.at(cx), &Id::parse(file)?, how).await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let (client, parent) = (self.api.at(cx), parent_of(at)?);
        if self.is_top(&parent) || matches!(parent, Id::Site(_)) {
            return Err(Error::declined(Op::FileRead));
        }
        if names::check(&at.name).is_err() {
            // A name that the service does not take is not there.
            return Ok(None);
        }
        client.child(&parent, &at.name).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        let (client, parent) = (self.api.at(cx), parent_of(at)?);
        names::check(&at.name)?;
        match write::create(client, &parent, &at.name, body, how).await {
            Err(error) => Err(client.explain(at, error).await),
            made => made,
        }
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let client = self.api.at(cx);
        match write::update(client, &Id::parse(file)?, body, if_match).await {
            // Graph says "bad request" of a folder.
            Err(error) if error.kind == Kind::Invalid => {
                client.look(&EntryRef::file(file.clone())).await?;
                Err(error)
            }
            done => done,
        }
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        let (client, parent) = (self.api.at(cx), parent_of(at)?);
        names::check(&at.name)?;
        let body =
            json!({"name": at.name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"});
        let made = async {
            let path = format!("{}/children", client.path(&parent)?);
            client.json(client.with("create_folder", Method::POST, &path, &body)?).await
        };
        match made.await {
            Ok(value) => client.entry(value).await,
            Err(error) => Err(client.explain(at, error).await),
        }
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        moves::relocate(self.api.at(cx), what, to, c).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        moves::copy(self.api.at(cx), what, to, c).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        let (client, id) = (self.api.at(cx), Id::parse(&what.id)?.itself());
        if matches!(id, Id::Root | Id::Site(_) | Id::DriveRoot(_)) {
            return Err(only_below("Deleting"));
        }
        // Deleting a folder takes all below it, so the kind is never taken on trust.
        let value = client.item(&id).await?;
        let item = Item::read(&value)?;
        if item.kind() != what.kind {
            return Err(missing(what.kind));
        }
        let full = what.kind == EntryKind::Folder && item.remote_item.is_none() && !item.is_empty();
        if full && !how.recursive {
            let path = format!("{}/children?$top=1&$select=id", client.path(&id)?);
            let (children, _) = collection(client.get("children", &path).await?)?;
            if !children.is_empty() {
                return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
            }
        }
        let path = client.path(&id)?;
        let mut request = if how.permanent {
            if self.api.flavour == Flavour::Personal {
                return Err(Error::declined(Op::FileDeletePermanently));
            }
            client.request("permanent_delete", Method::POST, &format!("{path}/permanentDelete"))?
        } else {
            client.request("delete", Method::DELETE, &path)?
        };
        if let Some(etag) = &how.if_match {
            request = request.header(header::IF_MATCH, if_match(etag));
        }
        client.send(request).await.map(|_| ())
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        search::search(self.api.at(cx), query, page).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        let entry = Storage::get(self, cx, &EntryRef::file(file.clone())).await?;
        let told = match kind {
            HashKind::QuickXor => entry.hashes.quickxor,
            HashKind::Sha1 => entry.hashes.sha1,
            HashKind::Sha256 => entry.hashes.sha256,
            _ => None,
        };
        told.ok_or_else(|| Error::declined(Op::FileHash))
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        read::thumbnail(self.api.at(cx), &Id::parse(file)?, size).await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        let client = self.api.at(cx);
        if self.api.flavour == Flavour::Sharepoint {
            return Err(Error::declined(Op::QuotaRead));
        }
        let path = format!("{}/drive?$select=id,quota", client.whose()?);
        let drive = client.get("quota", &path).await?;
        let number = |name: &str| drive.pointer(name).and_then(Value::as_u64);
        // Business drives without a limit say 0.
        let total = number("/quota/total").filter(|total| *total > 0);
        Ok(Quota { used: number("/quota/used"), total })
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, _lasting: Duration) -> Result<Url> {
        let client = self.api.at(cx);
        let value = client.item(&Id::parse(file)?.followed()).await?;
        client.entry_of_kind(value.clone(), EntryKind::File).await?;
        read::download_url(&Item::read(&value)?)
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
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
}
