//! Gap: deleting a folder with all below it, the deepest first.

use futures::FutureExt;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{Cx, EntryKind, EntryRef, Error, Kind, Result};
use tramontane_model::NativeId;

use crate::copy::together;
use crate::filled::Filled;
use crate::walk::{Pages, too_deep};

/// So many children are taken up at once; the rest of a larger folder comes after they are deleted.
const BATCH: usize = 10_000;
/// How often a folder is looked into again because something new appeared in it.
const ROUNDS: u32 = 5;

struct Frame {
    folder: NativeId,
    rounds: u32,
    /// Whether everything that was listed is gone, so that the folder itself can go.
    emptied: bool,
}

/// Deletes what is in the folder, then the folder.
pub(crate) async fn delete_tree(
    storage: &Filled,
    cx: &Cx,
    folder: &NativeId,
    permanent: bool,
) -> Result<()> {
    let how = DeleteOptions { recursive: false, permanent, if_match: None };
    let mut stack = vec![Frame { folder: folder.clone(), rounds: 0, emptied: false }];
    while let Some(top) = stack.last_mut() {
        if top.emptied {
            let what = EntryRef { kind: EntryKind::Folder, id: top.folder.clone() };
            match storage.native().delete(&storage.step(cx), &what, &how).await {
                Ok(()) => {}
                // Folders that are only prefixes go with the last thing in them.
                Err(error) if error.is_not_found() => {}
                Err(error) if error.kind == Kind::NotEmpty && top.rounds < ROUNDS => {
                    top.emptied = false;
                    continue;
                }
                Err(error) => return Err(error),
            }
            stack.pop();
            continue;
        }
        top.rounds += 1;
        let (folders, files, whole) = children(storage, cx, &top.folder).await?;
        top.emptied = true;
        if !whole {
            // More is to come: what was deleted until then is no round in vain.
            top.rounds = 0;
        }
        delete_files(storage, cx, files, &how).await?;
        if stack.len() + 1 > usize::try_from(storage.ceilings().depth).unwrap_or(usize::MAX)
            && !folders.is_empty()
        {
            return Err(too_deep(storage));
        }
        let frames = folders.into_iter().map(|folder| Frame { folder, rounds: 0, emptied: false });
        stack.extend(frames);
    }
    Ok(())
}

async fn children(
    storage: &Filled,
    cx: &Cx,
    folder: &NativeId,
) -> Result<(Vec<NativeId>, Vec<EntryRef>, bool)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    let mut pages = Pages::of(storage, cx, folder).each_in_its_time();
    loop {
        match pages.next().await {
            Ok(Some(entries)) => {
                for entry in entries {
                    match entry.kind {
                        EntryKind::Folder => folders.push(entry.id),
                        EntryKind::File => files.push(entry.reference()),
                    }
                }
            }
            Ok(None) => return Ok((folders, files, true)),
            Err(error) if error.is_not_found() => return Ok((folders, files, true)),
            Err(error) => return Err(error),
        }
        if folders.len() + files.len() >= BATCH {
            return Ok((folders, files, false));
        }
    }
}

async fn delete_files(
    storage: &Filled,
    cx: &Cx,
    files: Vec<EntryRef>,
    how: &DeleteOptions,
) -> Result<()> {
    let at_once = storage.ceilings().concurrency;
    let mut work = Vec::with_capacity(files.len());
    for what in files {
        let one = async move { storage.native().delete(&storage.step(cx), &what, how).await };
        work.push(one.boxed());
    }
    let failed = together(work, at_once).await.into_iter().filter_map(Result::err);
    let failed: Option<Error> = failed.into_iter().find(|error| !error.is_not_found());
    failed.map_or(Ok(()), Err)
}
