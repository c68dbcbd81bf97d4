//! Gap: copying a folder, one object after the other.

use std::time::Duration;

use futures::FutureExt;
use tramontane_connector::{
    Conflict, ETag, Entry, EntryRef, Error, Kind, Place, Result, Retry, Storage,
};
use tramontane_model::NativeId;

use crate::copy;
use crate::policy::Skipped;
use crate::progress::{Item, Progress, go_on};
use crate::transfer::Side;
use crate::walk::{Pages, too_deep};

/// How often one file is tried when the service fails in a way that may pass.
const ATTEMPTS: u32 = 3;
/// The longest wait that a service may ask for between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What became of a folder's copy.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    /// The files that were copied, as they were then.
    pub(crate) files: Vec<(EntryRef, Option<ETag>)>,
    /// The folders that were copied, folders before what is in them.
    pub(crate) folders: Vec<EntryRef>,
    /// What was left out.
    pub(crate) skipped: Vec<Skipped>,
}

/// The work of copying folders.
#[derive(Clone, Copy)]
pub(crate) struct TreeCopy<'a> {
    pub(crate) from: Side<'a>,
    pub(crate) to: Side<'a>,
    /// Whether both sides are one account, which may copy files itself.
    pub(crate) within: bool,
    pub(crate) progress: &'a dyn Progress,
}

impl TreeCopy<'_> {
    /// Copies all that is in `source` into `target`. With `merge`, into folders and over files that
    /// are there. The copy holds what the source held when its listing passed by.
    ///
    /// What cannot be had or may not be put there is left out and told; what keeps the whole work
    /// from going on (a refused credential, a full disk, a service that is down) ends it.
    pub(crate) async fn run(
        &self,
        source: &Entry,
        target: &NativeId,
        merge: bool,
    ) -> Result<Copied> {
        let mut copied = Copied { folders: vec![source.reference()], ..Copied::default() };
        let mut stack = vec![(source.id.clone(), target.clone(), 1u32, merge)];
        while let Some((folder, into, depth, merge)) = stack.pop() {
            if depth > self.from.storage.ceilings().depth {
                return Err(too_deep(self.from.storage));
            }
            let mut pages = Pages::of(self.from.storage, self.from.cx, &folder).each_in_its_time();
            loop {
                go_on(self.progress)?;
                let entries = match pages.next().await {
                    Ok(Some(entries)) => entries,
                    Ok(None) => break,
                    // A folder below that vanished or may not be read is left out, not the whole.
                    Err(error) if folder != source.id && skippable(&error) => {
                        let what =
                            EntryRef { kind: tramontane_connector::EntryKind::Folder, id: folder };
                        let name = what.id.to_string();
                        copied.folders.retain(|one| *one != what);
                        self.skip(&mut copied, what, &name, error);
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let (folders, files): (Vec<_>, Vec<_>) =
                    entries.into_iter().partition(Entry::is_folder);
                self.files(files, &into, merge, &mut copied).await?;
                for entry in folders {
                    let reference = entry.reference();
                    match self.folder(&entry, &into, merge).await {
                        Ok((made, merged)) => {
                            self.tell(&reference, &entry.name, Ok(&made));
                            copied.folders.push(reference);
                            stack.push((entry.id, made.id, depth + 1, merged));
                        }
                        Err(error) if skippable(&error) => {
                            self.skip(&mut copied, reference, &entry.name, error);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(copied)
    }

    async fn files(
        &self,
        files: Vec<Entry>,
        into: &NativeId,
        merge: bool,
        copied: &mut Copied,
    ) -> Result<()> {
        let at_once = self.to.storage.ceilings().concurrency;
        let mut work = Vec::with_capacity(files.len());
        for entry in files {
            let one = async move {
                let made = self.file(&entry, into, merge).await;
                (entry, made)
            };
            work.push(one.boxed());
        }
        for (entry, made) in copy::together(work, at_once).await {
            match made {
                Ok(made) => {
                    self.tell(&entry.reference(), &entry.name, Ok(&made));
                    copied.files.push((entry.reference(), entry.etag));
                }
                Err(error) if skippable(&error) => {
                    self.skip(copied, entry.reference(), &entry.name, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn file(&self, entry: &Entry, into: &NativeId, merge: bool) -> Result<Entry> {
        let conflict = if merge { Conflict::Replace } else { Conflict::Fail };
        let at = Place::new(into.clone(), entry.name.clone());
        let mut attempt = 1;
        loop {
            go_on(self.progress)?;
            let made = self.one(entry, &at, conflict).await;
            let Err(error) = made else { return made };
            let wait = match error.retry {
                Retry::Soon => Duration::from_millis(500) * attempt,
                Retry::After(wait) if wait <= LONGEST_WAIT => wait,
                _ => return Err(error),
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Copies one file, natively within an account.
    pub(crate) async fn one(&self, entry: &Entry, at: &Place, conflict: Conflict) -> Result<Entry> {
        if self.within {
            let step = self.to.storage.step(self.to.cx);
            match self.to.storage.native().copy(&step, &entry.reference(), at, conflict).await {
                Err(error) if error.is_declined() => {}
                done => return done,
            }
        }
        copy::stream(self.from, entry, self.to, at, conflict, self.progress).await
    }

    /// The folder to copy into, and whether it was there before.
    async fn folder(&self, entry: &Entry, into: &NativeId, merge: bool) -> Result<(Entry, bool)> {
        let at = Place::new(into.clone(), entry.name.clone());
        let step = self.to.storage.step(self.to.cx);
        match self.to.storage.create_folder(&step, &at).await {
            Err(error) if error.is_conflict() && merge => {
                let there = self.to.storage.child(&step, &at).await?;
                there.filter(Entry::is_folder).map(|there| (there, true)).ok_or(error)
            }
            made => Ok((made?, false)),
        }
    }

    fn tell(&self, what: &EntryRef, name: &str, outcome: std::result::Result<&Entry, &Error>) {
        self.progress.item(&Item { what: what.clone(), name, outcome });
    }

    fn skip(&self, copied: &mut Copied, what: EntryRef, name: &str, error: Error) {
        self.tell(&what, name, Err(&error));
        copied.skipped.push(Skipped { what, name: name.to_owned(), error });
    }
}

/// Whether an error is of one object alone, so that the work on the others goes on.
fn skippable(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::NotFound
            | Kind::Conflict(_)
            | Kind::Invalid
            | Kind::Forbidden
            | Kind::NotAllowed
            | Kind::TooLarge
            | Kind::Declined(_)
            | Kind::Unsupported(_)
    )
}
