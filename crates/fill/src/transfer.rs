//! Between accounts and services: streamed, verified, and nothing partial left behind.

use tramontane_connector::place::check_name;
use tramontane_connector::{Conflict, Cx, Entry, EntryRef, Error, Kind, Place, Result, Storage};

use crate::copy;
use crate::copy_tree::{Copied, TreeCopy};
use crate::filled::Filled;
use crate::names::FreeNames;
use crate::policy::{FolderPolicy, Placed, Policy};
use crate::progress::{Item, Progress};
use crate::relocate::{delete_copied, finish, left_behind};

/// One end of a transfer.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The account's files.
    pub storage: &'a Filled,
    /// The context for calls to it.
    pub cx: &'a Cx,
}

/// Copies a file or folder to another account, verified by size and by hash where both sides have
/// one. A partial destination is removed on failure; when the work is cancelled, what is done stays
/// done. What cannot be downloaded or may not be put there is left out and told.
///
/// # Errors
/// As [`Filled::duplicate`]; `Broken` when what arrived is not what was sent.
pub async fn transfer(
    from: Side<'_>,
    what: &EntryRef,
    to: Side<'_>,
    at: &Place,
    policy: Policy,
    progress: &dyn Progress,
) -> Result<Placed> {
    if from.cx.account.id == to.cx.account.id {
        return from.storage.duplicate(from.cx, what, at, policy, progress).await;
    }
    let source = from.storage.get(from.cx, what).await?;
    bring(from, &source, to, at, policy, false, progress).await.map(|(placed, _)| placed)
}

/// Moves a file or folder to another account: [`transfer`], then deletes the source. When something
/// was left out, or deleting fails, the source stays and the error names the copy's id.
///
/// # Errors
/// As [`transfer`], and what deleting says.
pub async fn move_across(
    from: Side<'_>,
    what: &EntryRef,
    to: Side<'_>,
    at: &Place,
    policy: Policy,
    progress: &dyn Progress,
) -> Result<Placed> {
    if from.cx.account.id == to.cx.account.id {
        return from.storage.place(from.cx, what, at, policy).await;
    }
    let source = from.storage.get(from.cx, what).await?;
    if source.id == from.storage.root(&from.cx.account) {
        return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
    }
    let (placed, copied) = bring(from, &source, to, at, policy, false, progress).await?;
    let Some(copied) = copied else {
        let entry = finish(from, &source, to, placed.entry).await?;
        return Ok(Placed { entry, ..placed });
    };
    if let Some(skipped) = placed.skipped.into_iter().next() {
        let mut error = skipped.error;
        error.message = format!("\"{}\" cannot be moved: {}", skipped.name, error.message);
        return Err(left_behind(error, &placed.entry));
    }
    match delete_copied(from, &copied).await {
        Ok(()) => Ok(Placed { skipped: Vec::new(), ..placed }),
        Err(error) => Err(left_behind(error, &placed.entry)),
    }
}

/// Copies from one side to the other, which may be the same account. For folders, tells what was
/// copied.
pub(crate) async fn bring(
    from: Side<'_>,
    source: &Entry,
    to: Side<'_>,
    at: &Place,
    policy: Policy,
    within: bool,
    progress: &dyn Progress,
) -> Result<(Placed, Option<Copied>)> {
    check_name(&at.name)?;
    let work = TreeCopy { from, to, within, progress };
    if source.is_folder() {
        let (placed, copied) = bring_folder(work, source, at, policy).await?;
        return Ok((placed, Some(copied)));
    }
    let placed = bring_file(work, source, at, policy).await?;
    let outcome = Ok(&placed.entry);
    progress.item(&Item { what: source.reference(), name: &source.name, outcome });
    Ok((placed, None))
}

async fn bring_file(
    work: TreeCopy<'_>,
    source: &Entry,
    at: &Place,
    policy: Policy,
) -> Result<Placed> {
    let to = work.to;
    match policy {
        Policy::Fail => {
            to.storage.check_free(to.cx, &source.reference(), at).await?;
            if work.within
                && to.storage.child(to.cx, at).await?.is_some_and(|it| it.id == source.id)
            {
                return Err(Error::conflict(&at.name, Some(source.reference())));
            }
            work.one(source, at, Conflict::Fail).await.map(Placed::new)
        }
        Policy::KeepBoth => {
            let mut names = FreeNames::new(to.storage, to.cx, at, false, None)?;
            loop {
                let (place, _claim) = names.next().await?;
                match work.one(source, &place, Conflict::Fail).await {
                    Err(error) if error.is_conflict() => {}
                    done => return done.map(Placed::new),
                }
            }
        }
        Policy::Replace => {
            let there = to.storage.child(to.cx, at).await?;
            if let Some(folder) = there.as_ref().filter(|there| there.is_folder()) {
                return Err(Error::conflict(&at.name, Some(folder.reference())));
            }
            let made = work.one(source, at, Conflict::Replace).await?;
            Ok(Placed { entry: made, created: there.is_none(), skipped: Vec::new() })
        }
    }
}

async fn bring_folder(
    work: TreeCopy<'_>,
    source: &Entry,
    at: &Place,
    policy: Policy,
) -> Result<(Placed, Copied)> {
    let to = work.to;
    let policy = match policy {
        Policy::Fail => FolderPolicy::Fail,
        Policy::KeepBoth => FolderPolicy::KeepBoth,
        Policy::Replace => FolderPolicy::Existing,
    };
    if work.within
        && let Some(made) = native_folder(work, source, at, policy).await?
    {
        let outcome = Ok(&made);
        work.progress.item(&Item { what: source.reference(), name: &source.name, outcome });
        return Ok((Placed::new(made), Copied::default()));
    }
    let target = to.storage.make_folder(&to.storage.step(to.cx), at, policy).await?;
    match work.run(source, &target.entry.id, !target.created).await {
        Ok(mut copied) => {
            let skipped = std::mem::take(&mut copied.skipped);
            Ok((Placed { skipped, ..target }, copied))
        }
        Err(error) => {
            if target.created && error.kind != Kind::Cancelled {
                copy::remove(to, &target.entry).await;
            }
            Err(error)
        }
    }
}

/// The service's own copy of a folder; none when it declines.
async fn native_folder(
    work: TreeCopy<'_>,
    source: &Entry,
    at: &Place,
    policy: FolderPolicy,
) -> Result<Option<Entry>> {
    let Side { storage, cx } = work.to;
    let what = source.reference();
    let mut names = FreeNames::new(storage, cx, at, true, None)?;
    loop {
        let (place, _claim) = match policy {
            FolderPolicy::KeepBoth => {
                names.next().await.map(|(place, claim)| (place, Some(claim)))?
            }
            _ => {
                storage.check_free(cx, &what, at).await.or_else(|error| {
                    if policy == FolderPolicy::Fail { Err(error) } else { Ok(()) }
                })?;
                (at.clone(), None)
            }
        };
        match storage.native().copy(&storage.step(cx), &what, &place, Conflict::Fail).await {
            Ok(made) => return Ok(Some(made)),
            Err(error) if error.is_declined() => return Ok(None),
            Err(error) if error.is_conflict() => match policy {
                FolderPolicy::KeepBoth => {}
                // What is there is merged into, or refused in its own words.
                FolderPolicy::Existing => return Ok(None),
                FolderPolicy::Fail => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}
