//! Files found by words, and those changed last.

use std::collections::{BTreeMap, BTreeSet};

use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Entry, EntryKind, Result};
use tramontane_model::{Page, PageRequest, Timestamp};

use super::api::Client;
use super::ids::{DRIVES, ROOT, SHARED, Target, missing};
use super::item::Item;
use super::list::{Corpus, How};
use super::query;

/// The most folders that are looked up for one page to tell what lies below others.
const MAX_LOOKUPS: usize = 300;
/// The most pages that are read for recent files.
const MAX_PAGES: usize = 20;

/// One page of what has these words in its name or content.
pub(super) async fn search(
    client: &Client<'_>,
    query: &SearchQuery,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    for folder in &query.below {
        if let Target::Item(id) = Target::of(folder).ok_or_else(|| missing(EntryKind::Folder))? {
            client.get(id, EntryKind::Folder).await?;
        }
    }
    let words = query::words(&query.text);
    let how = How {
        query: &words,
        corpus: &Corpus::All,
        order: None,
        limit: page.limit,
        token: page.cursor.as_deref(),
    };
    let found = client.files(&how).await?;
    let mut items = found.items;
    if !query.below.is_empty() {
        let below = query.below.iter().map(|id| id.as_str().to_owned()).collect();
        items = only_below(client, items, &below).await?;
    }
    Ok(Page { items: client.entries(items).await?, next: found.next })
}

/// Keeps what lies below one of these folders. Drive itself can be asked for direct children only.
async fn only_below(
    client: &Client<'_>,
    items: Vec<Item>,
    below: &BTreeSet<String>,
) -> Result<Vec<Item>> {
    let root = client.root().await?;
    let mut above: BTreeMap<String, String> = BTreeMap::new();
    let mut lookups = 0;
    let mut kept = Vec::new();
    for item in items {
        let mut at = item.parent(&root).as_str().to_owned();
        let mut seen = BTreeSet::new();
        loop {
            if below.contains(&at) {
                kept.push(item);
                break;
            }
            let top = matches!(at.as_str(), ROOT | DRIVES | SHARED);
            if top || !seen.insert(at.clone()) {
                break;
            }
            if let Some(next) = above.get(&at) {
                at.clone_from(next);
                continue;
            }
            lookups += 1;
            if lookups > MAX_LOOKUPS {
                let text = "The folders to search below are too many levels up; search everywhere.";
                return Err(tramontane_connector::Error::invalid(text));
            }
            let next = match client.get_any(&at).await {
                Ok(folder) => folder.parent(&root).as_str().to_owned(),
                // A folder that the account may not see.
                Err(error) if error.is_not_found() => SHARED.to_owned(),
                Err(error) => return Err(error),
            };
            above.insert(at, next.clone());
            at = next;
        }
    }
    Ok(kept)
}

/// The files that changed last, newest first.
pub(super) async fn recent(
    client: &Client<'_>,
    after: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let query = query::changed_after(after);
    let mut found: Vec<Item> = Vec::new();
    let mut token = None;
    for _ in 0..MAX_PAGES {
        let how = How {
            query: &query,
            corpus: &Corpus::All,
            order: Some("modifiedTime desc"),
            limit: limit.saturating_sub(found.len()).max(1),
            token: token.as_deref(),
        };
        let page = client.files(&how).await?;
        let newer = |item: &Item| {
            let at = item.modified_time;
            at.is_some() && after.is_none_or(|after| at.is_some_and(|at| at > after))
        };
        found.extend(page.items.into_iter().filter(newer));
        token = page.next;
        if found.len() >= limit || token.is_none() {
            break;
        }
    }
    found.truncate(limit);
    client.entries(found).await
}
