//! Earlier contents of files (<https://developer.box.com/guides/files/file-versions/>).

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Cx, Entry, Error, Hashes, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::client::Client;
use super::id::is_number;
use super::item::{Entries, Mini, moment, person, whole};
use super::storage::{BoxStorage, file_of};

/// The longest page of versions.
const MAX_PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Past {
    id: String,
    sha1: Option<String>,
    size: Option<f64>,
    created_at: Option<String>,
    modified_at: Option<String>,
    modified_by: Option<Mini>,
    trashed_at: Option<String>,
}

impl Past {
    fn version(self) -> Version {
        Version {
            id: self.id,
            size: self.size.and_then(whole),
            modified: moment(self.modified_at.as_ref().or(self.created_at.as_ref())),
            last_modifier: person(self.modified_by),
            current: false,
            hashes: Hashes { sha1: self.sha1, ..Hashes::default() },
        }
    }
}

/// The content that a file has now. Box lists only what came before it.
fn current(entry: Entry) -> Option<Version> {
    Some(Version {
        id: entry.version?,
        size: entry.size,
        modified: entry.modified,
        last_modifier: entry.last_modifier,
        current: true,
        hashes: entry.hashes,
    })
}

fn version_id(version: &str) -> Result<&str> {
    match is_number(version) {
        true => Ok(version),
        false => Err(Error::not_found("The file has no such version.")),
    }
}

#[async_trait]
impl Versions for BoxStorage {
    async fn list(&self, cx: &Cx, file: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let (client, id) = (self.client(cx), file_of(file)?);
        let offset: usize = match &page.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                Error::new(Kind::CursorExpired, "The cursor cannot be read: start again.")
            })?,
        };
        let mut items = Vec::new();
        if offset == 0 {
            items.extend(current(client.item(&id).await?));
            if page.limit == 1 {
                return Ok(Page { items, next: Some("1".into()) });
            }
        }
        // Position 0 is the current one, so that the rest is one further on.
        let (skip, limit) = (offset.saturating_sub(1), (page.limit - items.len()).min(MAX_PAGE));
        let (size, from) = (limit.to_string(), skip.to_string());
        let query = [
            ("fields", "id,sha1,size,created_at,modified_at,modified_by,trashed_at"),
            ("limit", size.as_str()),
            ("offset", from.as_str()),
        ];
        let url = client.api(&["files", &id.number, "versions"], &query)?;
        let found: Entries = client.json(client.request("versions", Method::GET, url)).await?;
        let reached = skip + limit;
        let more = found.total_count.is_some_and(|total| total > reached as u64);
        for value in found.entries {
            let past: Past = serde_json::from_value(value).map_err(|cause| {
                Error::new(Kind::Broken, "Box tells of a version in a form that is not known.")
                    .because(cause)
            })?;
            // Deleted versions stay listed for a while.
            if past.trashed_at.is_none() {
                items.push(past.version());
            }
        }
        Ok(Page { items, next: more.then(|| (reached + 1).to_string()) })
    }

    async fn read(
        &self,
        cx: &Cx,
        file: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        self.client(cx).content(&file_of(file)?, Some(version_id(version)?), how).await
    }

    async fn restore(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<Entry> {
        let (client, id, version) = (self.client(cx), file_of(file)?, version_id(version)?);
        let now = client.item(&id).await?;
        if now.version.as_deref() == Some(version) {
            return Ok(now);
        }
        promote(&client, &id.number, version).await?;
        client.item(&id).await
    }

    async fn delete(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<()> {
        let (client, id, version) = (self.client(cx), file_of(file)?, version_id(version)?);
        let url = client.api(&["files", &id.number, "versions", version], &[])?;
        client.done(client.request("delete_version", Method::DELETE, url)).await
    }
}

/// <https://developer.box.com/reference/post-files-id-versions-current/>
async fn promote(client: &Client<'_>, file: &str, version: &str) -> Result<()> {
    let url = client.api(&["files", file, "versions", "current"], &[])?;
    let body = json!({"type": "file_version", "id": version});
    let _: Value = client.json(client.with_json("promote", Method::POST, url, &body)).await?;
    Ok(())
}
