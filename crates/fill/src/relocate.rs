//! Gap: renaming and moving by copying, verifying, and only then deleting the source.

use futures::FutureExt;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{
    Case, Conflict, Cx, ETag, Entry, EntryRef, Error, Kind, Place, Result, Storage,
};
use tramontane_model::{Op, ResourceId};

use crate::copy;
use crate::copy_tree::{Copied, TreeCopy};
use crate::filled::Filled;
use crate::names::FreeNames;
use crate::progress::Quiet;
use crate::transfer::Side;

/// Copies to the new place, then deletes the source. On failure both may exist, never neither.
pub(crate) async fn relocate(
    storage: &Filled,
    cx: &Cx,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
) -> Result<Entry> {
    let side = Side { storage, cx };
    let source = storage.get(cx, what).await?;
    if is_in_its_own_way(storage, cx, &source, to) {
        return by_way_of_another_name(storage, cx, &source, to).await;
    }
    if !source.is_folder() {
        let work = TreeCopy { from: side, to: side, within: true, progress: &Quiet };
        let made = work.one(&source, to, conflict).await?;
        return finish(side, &source, side, made).await;
    }
    let made = storage.create_folder(cx, to).await?;
    let work = TreeCopy { from: side, to: side, within: true, progress: &Quiet };
    let copied = match work.run(&source, &made.id, false).await {
        Ok(mut copied) if !copied.skipped.is_empty() => {
            copy::remove(side, &made).await;
            return Err(copied.skipped.remove(0).error);
        }
        Ok(copied) => copied,
        Err(error) => {
            copy::remove(side, &made).await;
            return Err(error);
        }
    };
    delete_copied(side, &copied).await.map_err(|error| left_behind(error, &made))?;
    Ok(made)
}

/// Whether the new name differs from the old one in case only, where such names are one: the copy would
/// find its name taken by what it is made of.
fn is_in_its_own_way(storage: &Filled, cx: &Cx, source: &Entry, to: &Place) -> bool {
    let folded = storage.abilities(&cx.account).semantics.case == Case::Preserving;
    let is_here = source.parent.as_ref().is_some_and(|parent| parent.id == to.parent);
    folded && is_here && source.name.to_lowercase() == to.name.to_lowercase()
}

/// Renames twice. When the second time fails, the old name is given back as far as that goes.
async fn by_way_of_another_name(
    storage: &Filled,
    cx: &Cx,
    source: &Entry,
    to: &Place,
) -> Result<Entry> {
    let old = Place::new(to.parent.clone(), source.name.clone());
    let (aside, _claim) =
        FreeNames::new(storage, cx, &old, source.is_folder(), None)?.next().await?;
    let what = source.reference();
    let moved = Box::pin(storage.relocate(cx, &what, &aside, Conflict::Fail)).await?.reference();
    match Box::pin(storage.relocate(cx, &moved, to, Conflict::Fail)).await {
        Err(error) => {
            let _ = Box::pin(storage.relocate(cx, &moved, &old, Conflict::Fail)).await;
            Err(error)
        }
        done => done,
    }
}

/// Deletes a file that was copied, if it is still what was copied.
pub(crate) async fn finish(
    from: Side<'_>,
    source: &Entry,
    to: Side<'_>,
    made: Entry,
) -> Result<Entry> {
    match delete_file(from, &source.reference(), source.etag.clone()).await {
        Ok(()) => Ok(made),
        Err(error) if error.is_not_found() => Ok(made),
        Err(error) if error.kind == Kind::Precondition => {
            copy::remove(to, &made).await;
            let text = format!("\"{}\" changed while it was moved. Try again.", source.name);
            Err(Error::new(Kind::Precondition, text).because(error))
        }
        Err(error) => Err(left_behind(error, &made)),
    }
}

/// The same error, with the id of the copy that stays.
pub(crate) fn left_behind(mut error: Error, made: &Entry) -> Error {
    let id = ResourceId::new(made.kind.kind(), made.id.clone());
    error.message =
        format!("Copied, but the source could not be deleted: {} The copy is {id}.", error.message);
    error
}

async fn delete_file(from: Side<'_>, what: &EntryRef, etag: Option<ETag>) -> Result<()> {
    let how = DeleteOptions { recursive: false, permanent: permanent(from), if_match: etag };
    from.storage.delete(&from.storage.step(from.cx), what, &how).await
}

/// What was moved does not belong into the trash.
fn permanent(from: Side<'_>) -> bool {
    from.storage.abilities(&from.cx.account).native.has(Op::FileDeletePermanently)
}

/// Deletes exactly what was copied, so that nothing is lost that came or changed meanwhile.
pub(crate) async fn delete_copied(from: Side<'_>, copied: &Copied) -> Result<()> {
    let at_once = from.storage.ceilings().concurrency;
    let mut work = Vec::with_capacity(copied.files.len());
    for (what, etag) in &copied.files {
        work.push(delete_file(from, what, etag.clone()).boxed());
    }
    for done in copy::together(work, at_once).await {
        match done {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    let how = DeleteOptions { recursive: false, permanent: permanent(from), if_match: None };
    for folder in copied.folders.iter().rev() {
        let step = from.storage.step(from.cx);
        match from.storage.delete(&step, folder, &how).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
