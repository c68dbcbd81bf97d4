//! The files of a Dropbox account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use serde_json::{Value, json};
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, TreeEntry, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Links, Place,
    Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Page, PageRequest};
use url::Url;

use super::api::{Api, Hosts};
use super::entry::{self, ROOT, address, child_address};
use super::listing::Fetched;
use super::{abilities, listing, lookup, place, read, search, write};

/// How long a page that was longer than asked for is kept for the call that goes on with it.
const PAGE_KEPT: Duration = Duration::from_secs(60);
/// How many entries of such pages are kept at most, for all accounts together.
const ENTRIES_KEPT: u64 = 20_000;
/// How long a folder's id is remembered for the listing that goes on below it.
const PARENT_KEPT: Duration = Duration::from_secs(60);

/// The files of Dropbox accounts.
#[derive(Clone)]
pub(super) struct DropboxStorage {
    pub(super) hosts: Arc<Hosts>,
    /// Pages that were longer than asked for, by account, member and cursor.
    pub(super) pages: Cache<(i64, String, String), Arc<Fetched>>,
    /// Ids of folders by account, member and path, for long listings alone.
    pub(super) parents: Cache<(i64, String, String), NativeId>,
}

impl DropboxStorage {
    pub(super) fn new(hosts: Arc<Hosts>) -> Self {
        Self {
            hosts,
            pages: Cache::builder()
                .weigher(|_, page: &Arc<Fetched>| {
                    u32::try_from(page.entries.len()).unwrap_or(u32::MAX)
                })
                .max_capacity(ENTRIES_KEPT)
                .time_to_live(PAGE_KEPT)
                .build(),
            parents: Cache::builder().max_capacity(100_000).time_to_live(PARENT_KEPT).build(),
        }
    }

    pub(super) fn api<'a>(&'a self, cx: &'a Cx) -> Api<'a> {
        Api::new(cx, &self.hosts)
    }
}

/// The sizes of previews that Dropbox makes, by their longest side ("get_thumbnail_v2").
const THUMBNAILS: [(u32, &str); 9] = [
    (32, "w32h32"),
    (64, "w64h64"),
    (128, "w128h128"),
    (256, "w256h256"),
    (480, "w480h320"),
    (640, "w640h480"),
    (960, "w960h640"),
    (1_024, "w1024h768"),
    (2_048, "w2048h1536"),
];

#[async_trait]
impl Storage for DropboxStorage {
    fn abilities(&self, account: &Account) -> Abilities {
        abilities::of(account)
    }

    fn root(&self, _account: &Account) -> NativeId {
        NativeId::new(ROOT)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        if address(&of.id)?.is_empty() {
            return match of.kind {
                EntryKind::Folder => Ok(entry::root()),
                EntryKind::File => Err(Error::not_found("The object is not there.")),
            };
        }
        let api = self.api(cx);
        let found = lookup::metadata(&api, of).await?;
        lookup::entry(&api, found).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        listing::list(self, cx, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        address(file).and_then(not_root)?;
        read::read(&self.api(cx), file.as_str(), how).await.map(|(content, _)| content)
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let api = self.api(cx);
        let found = lookup::at(&api, &child_address(&at.parent, &at.name)?).await?;
        match found {
            Some(found) => lookup::entry(&api, found).await.map(Some),
            None => Ok(None),
        }
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        write::create(&self.api(cx), at, body, how).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        write::update(&self.api(cx), file, body, if_match).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        write::create_folder(&self.api(cx), at).await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        place::transfer(&self.api(cx), what, to, c, place::Verb::Move).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        place::transfer(&self.api(cx), what, to, c, place::Verb::Copy).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        place::delete(&self.api(cx), what, how).await
    }

    async fn list_tree(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        listing::tree(self, cx, folder, page).await
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        search::search(self, cx, query, page).await
    }

    async fn thumbnail(&self, cx: &Cx, file: &NativeId, size: ThumbnailSize) -> Result<Body> {
        let path = address(file).and_then(not_root)?;
        let fits = THUMBNAILS.iter().find(|(side, _)| *side >= size.0);
        let (_, size) = fits.or(THUMBNAILS.last()).copied().unwrap_or((64, "w64h64"));
        let argument = json!({"resource": {".tag": "path", "path": path}, "format": "jpeg",
            "size": size, "mode": "bestfit"});
        let (answer, _) = self.api(cx).fetch("files/get_thumbnail_v2", &argument, None).await?;
        Ok(answer.body.with_media_type(Some("image/jpeg".into())))
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        let usage: Value = self.api(cx).look("users/get_space_usage", &Value::Null).await?;
        Ok(quota_of(&usage))
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, _lasting: Duration) -> Result<Url> {
        // Links are good for four hours, whatever is asked for ("get_temporary_link").
        let argument = json!({"path": address(file).and_then(not_root)?});
        let answer: Value = self.api(cx).look("files/get_temporary_link", &argument).await?;
        let link = answer.get("link").and_then(Value::as_str).unwrap_or_default();
        Url::parse(link).map_err(|cause| {
            Error::new(
                tramontane_connector::Kind::Broken,
                "Dropbox gave a link that is no address.",
            )
            .because(cause)
        })
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

/// The address of something that is not the root folder.
pub(super) fn not_root(address: &str) -> Result<&str> {
    if address.is_empty() { Err(Error::not_found("The object is not there.")) } else { Ok(address) }
}

/// What `SpaceUsage` says. Members of a team share its space, unless they have a limit of their own.
fn quota_of(usage: &Value) -> Quota {
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let own = number("/used");
    if usage.pointer("/allocation/.tag").and_then(Value::as_str) != Some("team") {
        return Quota { used: own, total: number("/allocation/allocated").filter(|all| *all > 0) };
    }
    match number("/allocation/user_within_team_space_allocated").filter(|limit| *limit > 0) {
        Some(limit) => Quota { used: own, total: Some(limit) },
        None => {
            let total = number("/allocation/allocated").filter(|all| *all > 0);
            Quota { used: number("/allocation/used").or(own), total }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_told_for_people_for_teams_and_for_members_with_a_limit() {
        let own = json!({"used": 5, "allocation": {".tag": "individual", "allocated": 10}});
        assert_eq!(quota_of(&own), Quota { used: Some(5), total: Some(10) });
        let team = |limit: u64| {
            json!({"used": 5, "allocation": {".tag": "team", "used": 50, "allocated": 100,
                "user_within_team_space_allocated": limit}})
        };
        assert_eq!(quota_of(&team(0)), Quota { used: Some(50), total: Some(100) });
        assert_eq!(quota_of(&team(20)), Quota { used: Some(5), total: Some(20) });
    }
}
