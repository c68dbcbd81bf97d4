//! Gap: search by name, in a walk that answers in pieces.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tramontane_connector::storage::SearchQuery;
use tramontane_connector::{Cx, Entry, Error, Kind, Result, Storage};
use tramontane_model::{NativeId, Page, PageRequest};

use crate::filled::Filled;
use crate::walk::PAGE;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// The folders still to be walked, the one under way first.
    roots: Vec<NativeId>,
    /// Where the walk of the first one is.
    tree: Option<String>,
    /// How many matches of the walk's next page were given already.
    given: usize,
}

/// Files and folders whose names contain the words, ignoring case. The answer is complete when there
/// is no further page; a page may be empty although more follow.
pub(crate) async fn search(
    storage: &Filled,
    cx: &Cx,
    query: &SearchQuery,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    let mut at: Cursor = match &page.cursor {
        Some(cursor) => serde_json::from_str(cursor).map_err(|cause| {
            Error::new(Kind::CursorExpired, "The cursor of this search is gone. Start again.")
                .because(cause)
        })?,
        None if query.below.is_empty() => {
            Cursor { roots: vec![storage.root(&cx.account)], ..Cursor::default() }
        }
        None => Cursor { roots: query.below.clone(), ..Cursor::default() },
    };
    let words = query.text.to_lowercase();
    let enough = Instant::now() + cx.time_left() / 2;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while let Some(root) = at.roots.first() {
        let request = PageRequest { cursor: at.tree.clone(), limit: PAGE };
        let walked = storage.list_tree(cx, root, &request).await?;
        looked_at += walked.items.len();
        let matches = walked
            .items
            .into_iter()
            .map(|item| item.entry)
            .filter(|entry| entry.name.to_lowercase().contains(&words))
            .skip(at.given);
        let mut matches = matches.peekable();
        while found.len() < page.limit
            && let Some(entry) = matches.next()
        {
            found.push(entry);
            at.given += 1;
        }
        if matches.peek().is_some() {
            break;
        }
        at.given = 0;
        at.tree = walked.next;
        if at.tree.is_none() {
            at.roots.remove(0);
        }
        let full = found.len() >= page.limit || looked_at >= storage.ceilings().search_step;
        if full || Instant::now() >= enough {
            break;
        }
    }
    let next = match at.roots.is_empty() {
        true => None,
        false => Some(serde_json::to_string(&at).map_err(|cause| {
            Error::internal("The search's cursor cannot be written.").because(cause)
        })?),
    };
    Ok(Page { items: found, next })
}
