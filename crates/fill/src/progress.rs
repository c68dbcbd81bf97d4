//! How long work tells what it has done, and is told to stop.

use tramontane_connector::{Entry, EntryRef, Error, Kind, Result};

/// What became of one object of a folder's work.
#[derive(Debug)]
pub struct Item<'a> {
    /// What was worked on.
    pub what: EntryRef,
    /// Its name.
    pub name: &'a str,
    /// What was made of it, or why nothing was.
    pub outcome: std::result::Result<&'a Entry, &'a Error>,
}

/// Listens to long work. Every method may be called often and from several tasks at once; none may
/// block.
pub trait Progress: Send + Sync {
    /// One object is done, or was left out.
    fn item(&self, _item: &Item<'_>) {}

    /// So many more bytes of content were moved.
    fn bytes(&self, _count: u64) {}

    /// Whether the work shall stop. What is done stays done.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Listens to nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {}

/// Fails when the work shall stop.
pub(crate) fn go_on(progress: &dyn Progress) -> Result<()> {
    if progress.cancelled() {
        return Err(Error::new(Kind::Cancelled, "The work was cancelled."));
    }
    Ok(())
}
