//! Revisions as versions.

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Cx, Entry, EntryRef, Error, Result};
use tramontane_model::{NativeId, Op, Page, PageRequest};

use super::api::Api;
use super::entry::{Metadata, address, is_rev};
use super::read::foreign;
use super::storage::{DropboxStorage, not_root};
use super::{lookup, read};

/// The most revisions that Dropbox tells of a file ("list_revisions"); there is no further page.
const MOST: u64 = 100;

/// The revisions of a file by its id, newest first, and whether it is deleted.
pub(super) async fn revisions(
    api: &Api<'_>,
    path: &str,
    mode: &str,
    limit: u64,
) -> Result<(Vec<Metadata>, Value)> {
    let argument = json!({"path": path, "mode": {".tag": mode}, "limit": limit});
    let answer: Value = api.look("files/list_revisions", &argument).await?;
    let entries = answer.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    let entries = entries.into_iter().map(|one| Metadata::read(one, api.cx.raw));
    Ok((entries.collect::<Result<Vec<_>>>()?, answer))
}

/// A revision that must be one of this file.
async fn checked(api: &Api<'_>, file: &NativeId, version: &str) -> Result<Metadata> {
    let path = address(file).and_then(not_root)?;
    if !is_rev(version) {
        return Err(foreign());
    }
    let (entries, _) = revisions(api, path, "id", MOST).await?;
    let found = entries.into_iter().find(|one| one.rev.as_deref() == Some(version));
    found.ok_or_else(foreign)
}

#[async_trait]
impl Versions for DropboxStorage {
    async fn list(&self, cx: &Cx, file: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let api = self.api(cx);
        let there = lookup::metadata(&api, &EntryRef::file(file.clone())).await?;
        let skip = match &page.cursor {
            None => 0,
            Some(text) => text.parse::<usize>().map_err(|cause| {
                let text = "The cursor of these versions is gone. Start again.";
                Error::new(Kind::CursorExpired, text).because(cause)
            })?,
        };
        let path = address(file).and_then(not_root)?;
        let (entries, _) = revisions(&api, path, "id", MOST).await?;
        let count = entries.len();
        let items = entries.into_iter().skip(skip).take(page.limit).map(|one| {
            let (modified, hashes) = one.content();
            Version {
                current: one.rev == there.rev,
                id: one.rev.unwrap_or_default(),
                size: one.size,
                modified,
                last_modifier: None,
                hashes,
            }
        });
        let items: Vec<Version> = items.collect();
        let end = skip.saturating_add(items.len());
        Ok(Page { items, next: (end < count).then(|| end.to_string()) })
    }

    async fn read(
        &self,
        cx: &Cx,
        file: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        address(file).and_then(not_root)?;
        if !is_rev(version) {
            return Err(foreign());
        }
        let (content, of) = read::read(&self.api(cx), &format!("rev:{version}"), how).await?;
        // Revisions of other files can be named as well.
        match of.and_then(|of| of.id) {
            Some(id) if id == file.as_str() => Ok(content),
            _ => Err(foreign()),
        }
    }

    async fn restore(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<Entry> {
        let api = self.api(cx);
        let there = lookup::metadata(&api, &EntryRef::file(file.clone())).await?;
        checked(&api, file, version).await?;
        // This function takes no ids ("restore").
        let argument = json!({"path": there.path(), "rev": version});
        let restored: Value = api.change("files/restore", &argument).await?;
        lookup::entry(&api, Metadata::read(restored, cx.raw)?).await
    }

    async fn delete(&self, _cx: &Cx, _file: &NativeId, _version: &str) -> Result<()> {
        let text = "Dropbox does not delete single versions of a file.";
        Err(Error::unsupported(Op::VersionsList, text))
    }
}
