//! Search, and the files that changed last.

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Entry, Error, Result};
use tramontane_model::{Page, PageRequest, Timestamp};

use super::client::Client;
use super::fault::cursor;
use super::id::{Id, What};
use super::item::{self, Entries, FIELDS};
use super::storage::missing;

/// The longest page of search (<https://developer.box.com/reference/get-search/>).
const MAX_PAGE: usize = 200;
/// Search goes no deeper.
const MAX_OFFSET: u64 = 10_000;
/// How many folders one search may be below of.
const MAX_FOLDERS: usize = 100;
/// So many pages of recent items are read.
const MAX_RECENT_PAGES: usize = 5;

/// The words as Box's query language takes them literally: quotes and the operators `AND`, `OR` and
/// `NOT`, which are written in capitals, lose their meaning. Box ignores case itself.
pub(super) fn literal(text: &str) -> String {
    let plain: String =
        text.chars().map(|one| if one == '"' || one.is_control() { ' ' } else { one }).collect();
    plain.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct Recent {
    item: Option<Value>,
}

impl Client<'_> {
    pub(super) async fn search(
        &self,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        let text = literal(&query.text);
        if text.is_empty() {
            return Ok(Page::last(Vec::new()));
        }
        let offset: u64 = match &page.cursor {
            None => 0,
            Some(cursor) => {
                cursor.parse().ok().filter(|at| *at <= MAX_OFFSET).ok_or_else(|| {
                    Error::new(
                        Kind::CursorExpired,
                        "The cursor is none of this search: start again.",
                    )
                })?
            }
        };
        let mut folders = Vec::new();
        for folder in &query.below {
            let id = Id::parse(folder).filter(|id| id.what == What::Folder);
            folders.push(id.ok_or_else(missing)?.number);
        }
        if folders.len() > MAX_FOLDERS {
            let text = format!("A search at Box may be below at most {MAX_FOLDERS} folders.");
            return Err(Error::invalid(text));
        }
        let limit = page.limit.min(MAX_PAGE);
        let (size, from) = (limit.to_string(), offset.to_string());
        let folders = folders.join(",");
        let mut asked = vec![
            ("query", text.as_str()),
            ("content_types", "name,description,file_content"),
            ("fields", FIELDS),
            ("limit", &size),
            ("offset", &from),
        ];
        if !folders.is_empty() {
            asked.push(("ancestor_folder_ids", &folders));
        }
        let url = self.api(&["search"], &asked)?;
        let found: Result<Entries> = self.json(self.request("search", Method::GET, url)).await;
        let found = found.map_err(|error| cursor(error, page.cursor.is_some()))?;
        let reached = offset + limit as u64;
        let more = found.total_count.is_some_and(|total| total > reached) && reached <= MAX_OFFSET;
        let items = found.entries.into_iter().filter(item::is_known);
        let items: Result<Vec<Entry>> =
            items.map(|value| item::entry(value, self.cx.raw)).collect();
        Ok(Page { items: items?, next: more.then(|| reached.to_string()) })
    }

    /// The files that the account's user worked with within the last 90 days, at most 1,000, newest
    /// change first (<https://developer.box.com/reference/get-recent-items/>). What only others touched
    /// is not among them.
    pub(super) async fn recent(
        &self,
        after: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MAX_RECENT_PAGES {
            let mut query = vec![("fields", FIELDS), ("limit", "1000")];
            if let Some(marker) = &marker {
                query.push(("marker", marker));
            }
            let url = self.api(&["recent_items"], &query)?;
            let page: Entries = self.json(self.request("recent", Method::GET, url)).await?;
            marker = page.next();
            for value in page.entries {
                let Ok(recent) = serde_json::from_value::<Recent>(value) else { continue };
                // Box tells the last thing done with a file only, which may hide that it was changed.
                if let Some(item) = recent.item.filter(item::is_known) {
                    found.push(item::entry(item, self.cx.raw)?);
                }
            }
            if marker.is_none() {
                break;
            }
        }
        found.retain(|entry| {
            !entry.is_folder() && after.is_none_or(|after| entry.modified > Some(after))
        });
        found.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
        found.truncate(limit);
        Ok(found)
    }
}
