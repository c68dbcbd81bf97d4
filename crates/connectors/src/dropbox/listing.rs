//! Listings: one folder, and everything below a folder, by Dropbox's cursors.
//!
//! `files/list_folder` takes the length of pages once, for all of them, and may go beyond it; callers
//! ask for another length at every page. So a cursor of ours is Dropbox's cursor of a page, and how
//! many of its entries were given already.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::TreeEntry;
use tramontane_connector::{Cx, Entry, EntryKind, EntryRef, Error, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::api::Api;
use super::entry::{Metadata, ROOT, ROOT_NAME, address, folder_of};
use super::lookup;
use super::storage::DropboxStorage;

/// The longest page that `list_folder` takes.
const MAX_PAGE: usize = 2_000;

/// A page as Dropbox gave it.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) entries: Vec<Value>,
    /// The cursor of the next page; `None` when this was the last one.
    pub(super) next: Option<String>,
}

/// Where a listing of ours goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Dropbox's cursor of the page; none for the first.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// How many of its entries were given already.
    #[serde(rename = "s", default)]
    pub(super) skip: usize,
    /// The path of the folder, for trees; the last folder given, for the trash.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<String>,
    /// The length of pages that Dropbox was asked for.
    #[serde(rename = "l", default)]
    pub(super) limit: usize,
}

impl Cursor {
    pub(super) fn read(page: &PageRequest) -> Result<Self> {
        let Some(text) = &page.cursor else {
            return Ok(Self { limit: page.limit.clamp(1, MAX_PAGE), ..Self::default() });
        };
        serde_json::from_str(text).map_err(|cause| {
            let text = "The cursor of this listing is gone. Start again.";
            Error::new(Kind::CursorExpired, text).because(cause)
        })
    }

    pub(super) fn write(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|cause| Error::internal("The cursor cannot be written.").because(cause))
    }

    /// Where the listing goes on after so many entries of a page.
    pub(super) fn after(&self, given: usize, page: &Fetched) -> Option<Self> {
        if given < page.entries.len() {
            return Some(Self { skip: given, ..self.clone() });
        }
        let next = page.next.clone()?;
        Some(Self { at: Some(next), skip: 0, ..self.clone() })
    }
}

/// Gets the page of a cursor, or takes it from where it was kept. A page of which less is `wanted` than
/// there is, is kept for the next call.
pub(super) async fn fetch(
    storage: &DropboxStorage,
    cx: &Cx,
    folder: &str,
    options: &Value,
    cursor: &Cursor,
    wanted: usize,
) -> Result<Arc<Fetched>> {
    let member = cx.as_user.as_deref().unwrap_or_default().to_owned();
    let place = match &cursor.at {
        Some(at) => at.clone(),
        None => format!("{folder} {options} {}", cursor.limit),
    };
    let key = (cx.account.id.number(), member, place);
    if cursor.skip > 0
        && let Some(kept) = storage.pages.get(&key)
    {
        return Ok(kept);
    }
    let api = storage.api(cx);
    let answer: Value = match &cursor.at {
        Some(at) => api.look("files/list_folder/continue", &json!({"cursor": at})).await?,
        None => {
            let mut argument = options.clone();
            if let Some(members) = argument.as_object_mut() {
                members.insert("path".into(), folder.into());
                members.insert("limit".into(), cursor.limit.into());
            }
            api.look("files/list_folder", &argument).await?
        }
    };
    let entries = answer.get("entries").and_then(Value::as_array).cloned();
    let entries = entries
        .ok_or_else(|| Error::new(Kind::Broken, "Dropbox's listing is not the JSON expected."))?;
    let more = answer.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let next = answer.get("cursor").and_then(Value::as_str).filter(|_| more).map(str::to_owned);
    if next.is_some() && next == cursor.at {
        return Err(Error::new(Kind::Broken, "Dropbox's listing does not come to an end."));
    }
    let fetched = Arc::new(Fetched { entries, next });
    if fetched.entries.len() > cursor.skip.saturating_add(wanted) {
        storage.pages.insert(key, Arc::clone(&fetched));
    }
    Ok(fetched)
}

/// One page of a folder.
pub(super) async fn list(
    storage: &DropboxStorage,
    cx: &Cx,
    folder: &NativeId,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    let path = address(folder)?;
    let cursor = Cursor::read(page)?;
    let fetched = fetch(storage, cx, path, &json!({}), &cursor, page.limit).await?;
    let name = path.is_empty().then(|| ROOT_NAME.to_owned());
    let parent = Parent { id: folder.clone(), name };
    let mut items = Vec::new();
    let mut given = cursor.skip;
    for value in fetched.entries.iter().skip(cursor.skip).take(page.limit) {
        given += 1;
        let found = Metadata::read(value.clone(), cx.raw)?;
        // Cursors go on with what changed since: what was deleted is no entry.
        if !found.is_deleted() {
            items.push(found.entry(Some(parent.clone()))?);
        }
    }
    let next = cursor.after(given, &fetched).map(|next| next.write()).transpose()?;
    Ok(Page { items, next })
}

/// Finds the ids of folders by their paths, and remembers them.
pub(super) struct Parents<'a> {
    storage: &'a DropboxStorage,
    api: Api<'a>,
    known: HashMap<String, Option<NativeId>>,
}

impl<'a> Parents<'a> {
    pub(super) fn new(storage: &'a DropboxStorage, cx: &'a Cx) -> Self {
        Self { storage, api: storage.api(cx), known: HashMap::new() }
    }

    fn key(&self, path: &str) -> (i64, String, String) {
        let member = self.api.cx.as_user.as_deref().unwrap_or_default();
        (self.api.cx.account.id.number(), member.to_owned(), path.to_owned())
    }

    /// A folder that a listing told of.
    pub(super) fn learn(&mut self, path: &str, id: &NativeId) {
        self.storage.parents.insert(self.key(path), id.clone());
        self.known.insert(path.to_owned(), Some(id.clone()));
    }

    /// The folder at a path in lower case, with a call when no listing told of it.
    pub(super) async fn find(&mut self, path: &str) -> Result<Option<Parent>> {
        if path.is_empty() {
            return Ok(Some(Parent { id: NativeId::new(ROOT), name: Some(ROOT_NAME.into()) }));
        }
        let known = match self.known.get(path) {
            Some(known) => known.clone(),
            None => {
                let id = match self.storage.parents.get(&self.key(path)) {
                    Some(id) => Some(id),
                    None => match lookup::at(&self.api, path).await? {
                        Some(found) => Some(found.native()?),
                        None => None,
                    },
                };
                if let Some(id) = &id {
                    self.storage.parents.insert(self.key(path), id.clone());
                }
                self.known.insert(path.to_owned(), id.clone());
                id
            }
        };
        Ok(known.map(|id| Parent { id, name: None }))
    }
}

/// One page of everything below a folder. Dropbox gives folders before their contents.
pub(super) async fn tree(
    storage: &DropboxStorage,
    cx: &Cx,
    folder: &NativeId,
    page: &PageRequest,
) -> Result<Page<TreeEntry>> {
    let path = address(folder)?;
    let mut cursor = Cursor::read(page)?;
    if cursor.base.is_none() {
        let base = if path.is_empty() {
            String::new()
        } else {
            let of = EntryRef { kind: EntryKind::Folder, id: folder.clone() };
            lookup::metadata(&storage.api(cx), &of).await?.key().to_owned()
        };
        cursor.base = Some(base);
    }
    let base = cursor.base.clone().unwrap_or_default();
    let fetched =
        fetch(storage, cx, path, &json!({"recursive": true}), &cursor, page.limit).await?;
    let mut parents = Parents::new(storage, cx);
    parents.learn(&base, folder);
    let mut items = Vec::new();
    let mut given = 0;
    for value in &fetched.entries {
        let passed = given < cursor.skip;
        if !passed && given - cursor.skip >= page.limit {
            break;
        }
        given += 1;
        let found = Metadata::read(value.clone(), cx.raw)?;
        let Some(depth) = depth_below(found.key(), &base).filter(|_| !found.is_deleted()) else {
            continue;
        };
        if found.kind() == EntryKind::Folder {
            parents.learn(found.key(), &found.native()?);
        }
        if !passed && depth > 0 {
            let parent = parents.find(folder_of(found.key())).await?;
            items.push(TreeEntry { entry: found.entry(parent)?, depth });
        }
    }
    let next = cursor.after(given, &fetched).map(|next| next.write()).transpose()?;
    Ok(Page { items, next })
}

/// How deep a path lies below another: 0 for itself, `None` when it lies elsewhere.
fn depth_below(path: &str, base: &str) -> Option<u32> {
    let rest = path.strip_prefix(base)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    u32::try_from(rest.matches('/').count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_counted_from_the_folder() {
        assert_eq!(depth_below("/a/b/c", "/a"), Some(2));
        assert_eq!(depth_below("/a", "/a"), Some(0));
        assert_eq!(depth_below("/ab", "/a"), None);
        assert_eq!(depth_below("/a", ""), Some(1));
        assert_eq!(depth_below("/b", "/a"), None);
    }

    #[test]
    fn a_page_longer_than_asked_for_is_given_in_pieces() {
        let page = Fetched { entries: vec![Value::Null; 3], next: Some("next".into()) };
        let cursor = Cursor { at: Some("this".into()), limit: 2, ..Cursor::default() };
        let rest = cursor.after(2, &page).unwrap_or_default();
        assert_eq!((rest.at.as_deref(), rest.skip), (Some("this"), 2));
        let next = rest.after(3, &page).unwrap_or_default();
        assert_eq!((next.at.as_deref(), next.skip), (Some("next"), 0));
        let last = Fetched { next: None, ..page };
        assert!(rest.after(3, &last).is_none());
    }
}
