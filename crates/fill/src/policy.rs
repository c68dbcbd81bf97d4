//! What the API asks for when a name is taken: refuse, keep both, replace.

use serde::{Deserialize, Serialize};
use tramontane_connector::place::check_name;
use tramontane_connector::storage::{DeleteOptions, UploadSession, UploadedPart};
use tramontane_connector::{
    Body, Conflict, Cx, Entry, EntryRef, Error, Kind, Place, Result, Storage, WriteOptions,
};
use tramontane_model::Op;

use crate::ancestry::not_into_itself;
use crate::filled::Filled;
use crate::lend::Lender;
use crate::names::FreeNames;
use crate::progress::Progress;
use crate::transfer::{Side, bring};
use crate::{sessions, upload, walk};

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What was left out of a folder, because it cannot be downloaded or may not be put there.
    pub skipped: Vec<Skipped>,
}

impl Placed {
    pub(crate) fn new(entry: Entry) -> Self {
        Self { entry, created: true, skipped: Vec::new() }
    }

    pub(crate) fn over(entry: Entry) -> Self {
        Self { entry, created: false, skipped: Vec::new() }
    }
}

impl Filled {
    /// Makes a file of a body. `how.conflict` is not looked at, `policy` is. `how.if_match` with
    /// `Replace` means the file that is replaced; the value `*` means any.
    ///
    /// Keeping both: the name is chosen and claimed within this process before the body is sent, and
    /// the service is asked to refuse a taken one. When another process takes the name in between, the
    /// next one is tried as long as the body was not begun or is small; else the conflict is told.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict`, `Precondition`, `Body`, and what the service says.
    pub async fn upload(
        &self,
        cx: &Cx,
        at: &Place,
        body: Body,
        policy: Policy,
        how: &WriteOptions,
    ) -> Result<Placed> {
        check_name(&at.name)?;
        match policy {
            Policy::Fail => {
                let how = WriteOptions { conflict: Conflict::Fail, ..how.clone() };
                self.create(cx, at, body, &how).await.map(Placed::new)
            }
            Policy::KeepBoth => {
                let how = WriteOptions { conflict: Conflict::Fail, if_match: None, ..how.clone() };
                let lender = Lender::of(body).await?;
                let mut names = FreeNames::new(self, cx, at, false, None)?;
                let mut lost = None;
                loop {
                    let (place, _claim) = names.next().await?;
                    let Some(body) = lender.lend() else {
                        return Err(lost.unwrap_or_else(|| Error::internal("The body is gone.")));
                    };
                    match upload::create(self, cx, &place, body, &how).await {
                        Err(error) if error.is_conflict() => lost = Some(error),
                        done => return done.map(Placed::new),
                    }
                }
            }
            Policy::Replace => self.upload_over(cx, at, body, how).await,
        }
    }

    async fn upload_over(
        &self,
        cx: &Cx,
        at: &Place,
        body: Body,
        how: &WriteOptions,
    ) -> Result<Placed> {
        let abilities = self.abilities(&cx.account);
        let there = match self.child(cx, at).await? {
            Some(there) if there.is_folder() => {
                return Err(Error::conflict(&at.name, Some(there.reference())));
            }
            there => there,
        };
        if let Some(wanted) = &how.if_match {
            upload::matches(there.as_ref(), wanted)?;
        }
        let how = WriteOptions { conflict: Conflict::Replace, ..how.clone() };
        match there {
            // Only an update keeps the id where ids are not names.
            Some(there)
                if abilities.semantics.stable_ids && abilities.native.has(Op::FileUpdate) =>
            {
                let made = self.update(cx, &there.id, body, how.if_match.as_ref()).await;
                made.map(Placed::over)
            }
            Some(_) => self.create(cx, at, body, &how).await.map(Placed::over),
            None => self.create(cx, at, body, &how).await.map(Placed::new),
        }
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict`, and what the service says.
    pub async fn make_folder(&self, cx: &Cx, at: &Place, policy: FolderPolicy) -> Result<Placed> {
        check_name(&at.name)?;
        let error = match (policy, self.create_folder(cx, at).await) {
            (FolderPolicy::Fail, made) => return made.map(Placed::new),
            (_, Err(error)) if error.is_conflict() => error,
            (_, made) => return made.map(Placed::new),
        };
        if policy == FolderPolicy::Existing {
            let there = self.child(cx, at).await?;
            return there.filter(Entry::is_folder).map(Placed::over).ok_or(error);
        }
        let mut names = FreeNames::new(self, cx, at, true, None)?;
        loop {
            let (place, _claim) = names.next().await?;
            match self.create_folder(cx, &place).await {
                Err(error) if error.is_conflict() => {}
                made => return made.map(Placed::new),
            }
        }
    }

    /// Renames and moves within the account. The root is `NotAllowed`, a folder into itself or below
    /// itself `IntoItself`; to where it is already changes nothing. The id may change.
    ///
    /// # Errors
    /// As said, `NotFound`, `ParentNotFound`, `Conflict`, and what the service says.
    pub async fn place(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: &Place,
        policy: Policy,
    ) -> Result<Placed> {
        check_name(&to.name)?;
        let source = self.get(cx, what).await?;
        if source.id == self.root(&cx.account) {
            return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
        }
        if is_at(&source, to) {
            return Ok(Placed::over(source));
        }
        if source.is_folder() {
            not_into_itself(self, cx, &source.id, &to.parent).await?;
        }
        match policy {
            Policy::Fail => self.relocate(cx, what, to, Conflict::Fail).await.map(Placed::new),
            Policy::KeepBoth => {
                let mut names = FreeNames::new(self, cx, to, source.is_folder(), Some(&source.id))?;
                loop {
                    let (place, _claim) = names.next().await?;
                    if is_at(&source, &place) {
                        return Ok(Placed::over(source));
                    }
                    match self.relocate(cx, what, &place, Conflict::Fail).await {
                        Err(error) if error.is_conflict() => {}
                        done => return done.map(Placed::new),
                    }
                }
            }
            Policy::Replace => self.place_over(cx, &source, to).await,
        }
    }

    async fn place_over(&self, cx: &Cx, source: &Entry, to: &Place) -> Result<Placed> {
        let what = source.reference();
        let there = self.child(cx, to).await?.filter(|there| there.id != source.id);
        let Some(there) = there else {
            return self.relocate(cx, &what, to, Conflict::Replace).await.map(Placed::new);
        };
        if there.kind != source.kind {
            return Err(Error::conflict(&to.name, Some(there.reference())));
        }
        if !source.is_folder() {
            return self.relocate(cx, &what, to, Conflict::Replace).await.map(Placed::over);
        }
        // The folder that is in the way may be the one that the source is in.
        if not_into_itself(self, cx, &there.id, &source.id).await.is_err() {
            return Err(Error::conflict(&to.name, Some(there.reference())));
        }
        self.merge(cx, source, &there).await?;
        Ok(Placed::over(self.get(cx, &there.reference()).await?))
    }

    /// Moves all that is in one folder into another, folders into folders and over files, then
    /// deletes the emptied folder. What cannot be moved stays where it was.
    async fn merge(&self, cx: &Cx, source: &Entry, target: &Entry) -> Result<()> {
        let mut children = Vec::new();
        let mut pages = walk::Pages::of(self, cx, &source.id).each_in_its_time();
        while let Some(entries) = pages.next().await? {
            children.extend(entries);
        }
        for child in children {
            let at = Place::new(target.id.clone(), child.name.clone());
            Box::pin(self.place(&self.step(cx), &child.reference(), &at, Policy::Replace)).await?;
        }
        let how = DeleteOptions::default();
        match self.delete(&self.step(cx), &source.reference(), &how).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Copies within the account, folders with all below them. The root and a folder into itself are
    /// `IntoItself`. What cannot be downloaded is left out and told.
    ///
    /// # Errors
    /// As said, `NotFound`, `ParentNotFound`, `Conflict`, `Cancelled`, and what the service says.
    pub async fn duplicate(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: &Place,
        policy: Policy,
        progress: &dyn Progress,
    ) -> Result<Placed> {
        let source = self.get(cx, what).await?;
        if source.is_folder() {
            not_into_itself(self, cx, &source.id, &to.parent).await?;
        }
        if is_at(&source, to) && policy == Policy::Replace {
            return Ok(Placed::over(source));
        }
        let side = Side { storage: self, cx };
        bring(side, &source, side, to, policy, true, progress).await.map(|(placed, _)| placed)
    }

    /// Begins an upload in parts, natively or spooled. The session says which. Keeping both, a native
    /// session's name is chosen now; a spooled one's in the end.
    ///
    /// # Errors
    /// `ParentNotFound`, `Conflict` when refusing is asked for and known already.
    pub async fn start_session(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        policy: Policy,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        sessions::start(self, cx, at, size, policy, how).await
    }

    /// Takes one part; sending it again replaces it. The body must be as long as it says.
    ///
    /// # Errors
    /// `Body`, `NotFound` when the session is gone.
    pub async fn put_part(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        sessions::put(self, cx, session, number, body).await
    }

    /// Makes the file of the parts, 1 to n in order.
    ///
    /// # Errors
    /// `Conflict`, `Precondition`, `Invalid` when a part is missing, `NotFound` when the session is
    /// gone.
    pub async fn finish_session(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Placed> {
        sessions::finish(self, cx, session, parts).await
    }

    /// Gives an upload up and frees what it took. Nothing to do is fine.
    ///
    /// # Errors
    /// What the service says.
    pub async fn abort_session(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        sessions::abort(self, cx, session).await
    }
}

/// Whether an entry is at this place already.
fn is_at(entry: &Entry, place: &Place) -> bool {
    entry.name == place.name
        && entry.parent.as_ref().is_some_and(|parent| parent.id == place.parent)
}
