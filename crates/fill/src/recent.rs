//! Gap: the files that changed last, by a bounded walk over everything.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tramontane_connector::{Cx, Entry, Kind, Result, Storage};
use tramontane_model::{NativeId, Op, PageRequest, Timestamp};

use crate::filled::Filled;
use crate::walk::{PAGE, Pages, too_deep, too_many};

/// Keeps the newest files of those it is shown.
struct Newest {
    after: Option<Timestamp>,
    limit: usize,
    seen: u64,
    files: Vec<Entry>,
}

impl Newest {
    fn show(&mut self, entry: Entry) {
        let fits = entry.modified.is_some() && entry.modified > self.after;
        if !entry.is_folder() && fits {
            self.files.push(entry);
        }
        if self.files.len() >= self.limit.saturating_mul(2).max(1_000) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.files.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
        self.files.truncate(self.limit);
    }
}

/// Looks at every file of the account; fails when there are more than the ceiling, because the newest
/// could be among the rest.
pub(crate) async fn recent(
    storage: &Filled,
    cx: &Cx,
    after: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let mut newest = Newest { after, limit, seen: 0, files: Vec::new() };
    let root = storage.root(&cx.account);
    if storage.abilities(&cx.account).native.has(Op::FolderListRecursively) {
        in_one_listing(storage, cx, &root, &mut newest).await?;
    } else {
        folder_by_folder(storage, cx, root, &mut newest).await?;
    }
    newest.cut();
    Ok(newest.files)
}

async fn in_one_listing(
    storage: &Filled,
    cx: &Cx,
    root: &NativeId,
    newest: &mut Newest,
) -> Result<()> {
    let mut cursor = None;
    loop {
        let request = PageRequest { cursor, limit: PAGE };
        let page = storage.list_tree(cx, root, &request).await?;
        newest.seen += page.items.len() as u64;
        page.items.into_iter().for_each(|item| newest.show(item.entry));
        if page.next.is_none() {
            return Ok(());
        }
        if newest.seen > storage.ceilings().walk_items {
            return Err(too_many(storage, Op::RecentList));
        }
        cursor = page.next;
    }
}

async fn folder_by_folder(
    storage: &Filled,
    cx: &Cx,
    root: NativeId,
    newest: &mut Newest,
) -> Result<()> {
    let mut waiting = vec![(root.clone(), 0u32)];
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < storage.ceilings().concurrency.max(1)
            && let Some((folder, depth)) = waiting.pop()
        {
            running.push(async move {
                let entries = children(storage, cx, &folder).await;
                (folder, depth, entries)
            });
        }
        let Some((folder, depth, entries)) = running.next().await else { return Ok(()) };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error)
                if folder != root && matches!(error.kind, Kind::NotFound | Kind::Forbidden) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        newest.seen += entries.len() as u64;
        if newest.seen > storage.ceilings().walk_items {
            return Err(too_many(storage, Op::RecentList));
        }
        for entry in entries {
            if entry.is_folder() {
                if depth + 1 >= storage.ceilings().depth {
                    return Err(too_deep(storage));
                }
                waiting.push((entry.id, depth + 1));
            } else {
                newest.show(entry);
            }
        }
    }
}

async fn children(storage: &Filled, cx: &Cx, folder: &NativeId) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut pages = Pages::of(storage, cx, folder);
    while let Some(entries) = pages.next().await? {
        all.extend(entries);
        if all.len() as u64 > storage.ceilings().walk_items {
            return Err(too_many(storage, Op::RecentList));
        }
    }
    Ok(all)
}
