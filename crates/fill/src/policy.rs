//! What the API asks for when a name is taken: refuse, keep both, replace.

use tramontane_connector::storage::{UploadSession, UploadedPart};
use tramontane_connector::{Body, Cx, Entry, EntryRef, Error, Place, Result, WriteOptions};
use tramontane_model::Op;

use crate::filled::Filled;
use crate::progress::Progress;

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Refuse with a conflict.
    Fail,
    /// Put it beside, under the smallest free `name (n).ext`.
    KeepBoth,
    /// Replace a file's content; merge a folder into a folder.
    Replace,
}

/// What to do when a folder's name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderPolicy {
    /// Give the folder that is there; refuse when it is a file.
    Existing,
    /// Refuse with a conflict.
    Fail,
    /// Make it beside, under the smallest free `name (n)`.
    KeepBoth,
}

/// One object that a folder's work left out, and why.
#[derive(Debug)]
pub struct Skipped {
    /// What was left out.
    pub what: EntryRef,
    /// Its name.
    pub name: String,
    /// Why.
    pub error: Error,
}

/// What came of putting something somewhere.
#[derive(Debug)]
pub struct Placed {
    /// What is there now.
    pub entry: Entry,
    /// Whether it is new there; false when it replaced, merged into or simply was what is there.
    pub created: bool,
    /// What was left out of a folder, because it cannot be downloaded.
    pub skipped: Vec<Skipped>,
}

impl Filled {
    /// Makes a file of a body. `how.conflict` is not looked at, `policy` is. `how.if_match` with
    /// `Replace` means the file that is replaced; the value `*` means any.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict`, `Precondition`, `Body`, and what the service says.
    pub async fn upload(
        &self,
        _cx: &Cx,
        _at: &Place,
        _body: Body,
        _policy: Policy,
        _how: &WriteOptions,
    ) -> Result<Placed> {
        Err(Error::declined(Op::FileCreate))
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict`, and what the service says.
    pub async fn make_folder(
        &self,
        _cx: &Cx,
        _at: &Place,
        _policy: FolderPolicy,
    ) -> Result<Placed> {
        Err(Error::declined(Op::FolderCreate))
    }

    /// Renames and moves within the account. The root is `NotAllowed`, a folder into itself or below
    /// itself `IntoItself`; to where it is already changes nothing. The id may change.
    ///
    /// # Errors
    /// As said, `NotFound`, `ParentNotFound`, `Conflict`, and what the service says.
    pub async fn place(
        &self,
        _cx: &Cx,
        what: &EntryRef,
        _to: &Place,
        _policy: Policy,
    ) -> Result<Placed> {
        let _ = what;
        Err(Error::declined(Op::FileMove))
    }

    /// Copies within the account, folders with all below them. The root and a folder into itself are
    /// `IntoItself`. What cannot be downloaded is left out and told.
    ///
    /// # Errors
    /// As said, `NotFound`, `ParentNotFound`, `Conflict`, `Cancelled`, and what the service says.
    pub async fn duplicate(
        &self,
        _cx: &Cx,
        _what: &EntryRef,
        _to: &Place,
        _policy: Policy,
        _progress: &dyn Progress,
    ) -> Result<Placed> {
        Err(Error::declined(Op::FileCopy))
    }

    /// Begins an upload in parts, natively or spooled. The session says which.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict` when refusing is asked for and known already.
    pub async fn start_session(
        &self,
        _cx: &Cx,
        _at: &Place,
        _size: Option<u64>,
        _policy: Policy,
        _how: &WriteOptions,
    ) -> Result<UploadSession> {
        Err(Error::declined(Op::MultipartCreate))
    }

    /// Takes one part; sending it again replaces it. The body must be as long as it says.
    ///
    /// # Errors
    /// `Body`, `NotFound` when the session is gone.
    pub async fn put_part(
        &self,
        _cx: &Cx,
        _session: &UploadSession,
        _number: u32,
        _body: Body,
    ) -> Result<UploadedPart> {
        Err(Error::declined(Op::MultipartCreate))
    }

    /// Makes the file of the parts, 1 to n in order.
    ///
    /// # Errors
    /// `Conflict`, `Precondition`, `Invalid` when a part is missing, `NotFound` when the session is
    /// gone.
    pub async fn finish_session(
        &self,
        _cx: &Cx,
        _session: &UploadSession,
        _parts: &[UploadedPart],
    ) -> Result<Placed> {
        Err(Error::declined(Op::MultipartCreate))
    }

    /// Gives an upload up and frees what it took. Nothing to do is fine.
    ///
    /// # Errors
    /// What the service says.
    pub async fn abort_session(&self, _cx: &Cx, _session: &UploadSession) -> Result<()> {
        Ok(())
    }
}
