//! Gap: listing everything below a folder, by a walk whose cursor holds the folders still to come.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tramontane_connector::storage::TreeEntry;
use tramontane_connector::{Cx, Error, Kind, Result, Storage};
use tramontane_model::{NativeId, Page, PageRequest};

use crate::filled::Filled;
use crate::spool::Spool;
use crate::walk::too_deep;

/// A cursor of more bytes is kept in the spool.
const LONGEST_CURSOR: usize = 3_000;

/// Where the walk is in one folder. In the cursor, ids below the folder are written without its own.
#[derive(Debug, Serialize, Deserialize)]
struct Frame {
    #[serde(rename = "f")]
    folder: NativeId,
    /// The page to list next; none when the folder's listing is finished.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
    /// The folders of the pages so far that are still to be entered.
    #[serde(rename = "p")]
    pending: VecDeque<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Next {
    #[serde(rename = "0")]
    First,
    #[serde(rename = "c")]
    After(String),
}

impl Frame {
    fn new(folder: NativeId) -> Self {
        Self { folder, next: Some(Next::First), pending: VecDeque::new() }
    }

    fn push(&mut self, id: &NativeId) {
        let short = id.as_str().strip_prefix(self.folder.as_str());
        self.pending.push_back(match short {
            Some(rest) => format!("+{rest}"),
            None => format!("={id}"),
        });
    }

    fn pop(&mut self) -> Option<NativeId> {
        let short = self.pending.pop_front()?;
        Some(NativeId::new(match short.strip_prefix('+') {
            Some(rest) => format!("{}{rest}", self.folder),
            None => short.get(1..).unwrap_or_default().to_owned(),
        }))
    }
}

/// One page of everything below `folder`, folders before their contents, down to `max_depth`.
///
/// The page ends early when half of the caller's time is over, so that long walks answer in pieces.
pub(crate) async fn list_tree(
    storage: &Filled,
    cx: &Cx,
    folder: &NativeId,
    max_depth: Option<u32>,
    page: &PageRequest,
) -> Result<Page<TreeEntry>> {
    let mut stack = match &page.cursor {
        None => vec![Frame::new(folder.clone())],
        Some(cursor) => read(storage.spool(), cursor).await?,
    };
    let longest = storage.abilities(&cx.account).limits.max_page.max(1);
    let enough = Instant::now() + cx.time_left() / 2;
    let mut items = Vec::new();
    while items.len() < page.limit && (items.is_empty() || Instant::now() < enough) {
        let depth = u32::try_from(stack.len()).unwrap_or(u32::MAX);
        let Some(top) = stack.last_mut() else { break };
        if let Some(folder) = top.pop() {
            if depth >= storage.ceilings().depth {
                return Err(too_deep(storage));
            }
            stack.push(Frame::new(folder));
            continue;
        }
        let Some(next) = top.next.take() else {
            stack.pop();
            continue;
        };
        let limit = (page.limit - items.len()).min(longest);
        let request = match &next {
            Next::First => PageRequest::first(limit),
            Next::After(cursor) => PageRequest::after(cursor.clone(), limit),
        };
        let listed = match storage.list(cx, &top.folder, &request).await {
            Ok(listed) => listed,
            // A folder below that vanished or that may not be read holds nothing to list.
            Err(error) if depth > 1 && matches!(error.kind, Kind::NotFound | Kind::Forbidden) => {
                stack.pop();
                continue;
            }
            Err(error) => return Err(error),
        };
        if listed.next.is_some() && listed.next == request.cursor {
            let text = "The service's listing does not come to an end.";
            return Err(Error::new(Kind::Broken, text));
        }
        top.next = listed.next.map(Next::After);
        for entry in listed.items {
            if entry.is_folder() && max_depth.is_none_or(|max| depth < max) {
                top.push(&entry.id);
            }
            items.push(TreeEntry { entry, depth });
        }
    }
    while stack.last().is_some_and(|top| top.next.is_none() && top.pending.is_empty()) {
        stack.pop();
    }
    let next = if stack.is_empty() { None } else { Some(write(storage.spool(), &stack).await?) };
    Ok(Page { items, next })
}

async fn write(spool: &Spool, stack: &[Frame]) -> Result<String> {
    let text = serde_json::to_string(stack)
        .map_err(|cause| Error::internal("The walk's cursor cannot be written.").because(cause))?;
    if text.len() <= LONGEST_CURSOR {
        return Ok(text);
    }
    Ok(format!("@{}", spool.note(&text).await?))
}

async fn read(spool: &Spool, cursor: &str) -> Result<Vec<Frame>> {
    let lost =
        || Error::new(Kind::CursorExpired, "The cursor of this listing is gone. Start again.");
    let text = match cursor.strip_prefix('@') {
        Some(id) => spool.noted(id).await.map_err(|_| lost())?.ok_or_else(lost)?,
        None => cursor.to_owned(),
    };
    serde_json::from_str(&text).map_err(|cause| lost().because(cause))
}
