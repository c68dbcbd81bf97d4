//! Earlier contents: Drive's revisions ("REST Resource: revisions"). Drive itself forgets those older than
//! 30 days, and all but the last hundred, unless they are kept for ever.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tramontane_connector::entry::{Hashes, Person};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Body, Cx, ETag, Entry, EntryKind, Error, Kind, Result};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use super::api::Client;
use super::ids::{Target, is_id, missing};
use super::item::{Item, User};
use super::read;
use super::storage::DriveStorage;
use super::upload;

/// The most pages of revisions that are read: Drive keeps a few hundred.
const MAX_PAGES: usize = 10;
const FIELDS: &str = "nextPageToken,revisions(id,modifiedTime,size,md5Checksum,\
lastModifyingUser(permissionId,displayName,emailAddress))";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revision {
    id: String,
    modified_time: Option<Timestamp>,
    size: Option<String>,
    md5_checksum: Option<String>,
    last_modifying_user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionList {
    #[serde(default)]
    revisions: Vec<Revision>,
    next_page_token: Option<String>,
}

async fn file(client: &Client<'_>, id: &NativeId) -> Result<Item> {
    let Some(Target::Item(id)) = Target::of(id) else { return Err(missing(EntryKind::File)) };
    let item = client.get(id, EntryKind::File).await?;
    if !item.is_blob() {
        let text = "Earlier contents of Google's own documents can be seen at Google only.";
        return Err(Error::unsupported(Op::VersionsList, text));
    }
    Ok(item)
}

fn version_id(id: &str) -> Result<&str> {
    if is_id(id) { Ok(id) } else { Err(Error::not_found("There is no such version.")) }
}

/// All revisions, the newest first: Drive lists the oldest first.
async fn all(client: &Client<'_>, item: &Item) -> Result<Vec<Revision>> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut query = vec![("pageSize", "1000"), ("fields", FIELDS)];
        query.extend(token.as_deref().map(|token| ("pageToken", token)));
        let url = client.url(&["files", &item.id, "revisions"], &query)?;
        let list: RevisionList =
            client.json(Request::new("revisions_list", Method::GET, url)).await?;
        found.extend(list.revisions);
        token = list.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

#[async_trait]
impl Versions for DriveStorage {
    async fn list(&self, cx: &Cx, id: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let client = self.client(cx);
        let item = file(&client, id).await?;
        let from = match page.cursor.as_deref() {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| {
                Error::new(Kind::CursorExpired, "This cursor is not one of this listing.")
            })?,
        };
        let all = all(&client, &item).await?;
        let next = from.saturating_add(page.limit);
        let next = (next < all.len()).then(|| next.to_string());
        let items = all.into_iter().skip(from).take(page.limit).map(|one| Version {
            current: item.head_revision_id.as_ref() == Some(&one.id),
            size: one.size.and_then(|size| size.parse().ok()),
            modified: one.modified_time,
            last_modifier: one.last_modifying_user.map(|user| Person {
                id: user.permission_id.map(NativeId::new),
                name: user.display_name,
                email: user.email_address,
            }),
            hashes: Hashes { md5: one.md5_checksum, ..Hashes::default() },
            id: one.id,
        });
        Ok(Page { items: items.collect(), next })
    }

    async fn read(
        &self,
        cx: &Cx,
        id: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        let client = self.client(cx);
        let item = file(&client, id).await?;
        let path = ["files", &item.id, "revisions", version_id(version)?];
        let url = client.url(&path, &[("alt", "media")])?;
        let answer = client.send(read::get("revisions_download", url, how.range)).await?;
        let content = read::content(answer, how.range)?;
        Ok(Content { etag: Some(ETag::strong(version)), ..content })
    }

    /// Drive cannot go back by itself: the content is read and written again.
    async fn restore(&self, cx: &Cx, id: &NativeId, version: &str) -> Result<Entry> {
        let old = Versions::read(self, cx, id, version, &ReadOptions::default()).await?;
        let client = self.client(cx);
        let item = file(&client, id).await?;
        let size = old.body.len().or(old.size);
        let body =
            Body::new(old.body.into_stream(), size).with_media_type(Some(item.mime_type.clone()));
        let content = upload::Content::of(body, &item.name).await?;
        let item = upload::replace(&client, &item.id, content).await?;
        client.entry(item).await
    }

    async fn delete(&self, cx: &Cx, id: &NativeId, version: &str) -> Result<()> {
        let client = self.client(cx);
        let item = file(&client, id).await?;
        if item.head_revision_id.as_deref() == Some(version) {
            let text = "The content that the file has now cannot be deleted as a version.";
            return Err(Error::new(Kind::NotAllowed, text));
        }
        let url = client.url(&["files", &item.id, "revisions", version_id(version)?], &[])?;
        client.send(Request::new("revisions_delete", Method::DELETE, url)).await.map(|_| ())
    }
}
