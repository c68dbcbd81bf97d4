//! Search by name and content.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Cx, Entry, Error, Result};
use tramontane_model::{Page, PageRequest};

use super::entry::{Metadata, address, folder_of};
use super::listing::Parents;
use super::storage::DropboxStorage;

/// The most matches of a page, and the longest query ("search_v2").
const MAX_PAGE: usize = 1_000;
const MAX_QUERY: usize = 1_000;

/// Which of the folders is searched, and Dropbox's cursor in it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "i")]
    folder: usize,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

pub(super) async fn search(
    storage: &DropboxStorage,
    cx: &Cx,
    query: &SearchQuery,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    if query.text.chars().count() > MAX_QUERY {
        return Err(Error::invalid("q must be at most 1000 characters long."));
    }
    let cursor: Cursor = match &page.cursor {
        None => Cursor::default(),
        Some(text) => serde_json::from_str(text).map_err(|cause| {
            let text = "The cursor of this search is gone. Start again.";
            Error::new(Kind::CursorExpired, text).because(cause)
        })?,
    };
    let folder = match query.below.get(cursor.folder) {
        Some(folder) => address(folder)?.to_owned(),
        None => String::new(),
    };
    let api = storage.api(cx);
    let answer: Value = match &cursor.at {
        Some(at) => api.look("files/search/continue_v2", &json!({"cursor": at})).await?,
        None => {
            let argument = json!({"query": query.text, "options": {"path": folder,
                "max_results": page.limit.clamp(1, MAX_PAGE), "file_status": {".tag": "active"},
                "filename_only": false}});
            api.look("files/search_v2", &argument).await?
        }
    };
    let matches = answer.get("matches").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut parents = Parents::new(storage, cx);
    let mut items = Vec::new();
    for one in matches {
        let Some(found) = one.pointer("/metadata/metadata").cloned() else { continue };
        let found = Metadata::read(found, cx.raw)?;
        if found.is_deleted() {
            continue;
        }
        let parent = parents.find(folder_of(found.key())).await?;
        items.push(found.entry(parent)?);
    }
    let more = answer.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let at = answer.get("cursor").and_then(Value::as_str).filter(|_| more).map(str::to_owned);
    let next = match at {
        Some(at) => Some(Cursor { at: Some(at), ..cursor }),
        None if cursor.folder + 1 < query.below.len() => {
            Some(Cursor { folder: cursor.folder + 1, at: None })
        }
        None => None,
    };
    let next = next
        .map(|next| serde_json::to_string(&next))
        .transpose()
        .map_err(|cause| Error::internal("The cursor cannot be written.").because(cause))?;
    Ok(Page { items, next })
}
