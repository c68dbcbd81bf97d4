//! Folders made; files and folders renamed, moved, copied, deleted.

use http::Method;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{Conflict, Entry, EntryKind, Error, Place, Result};
use tramontane_model::Op;

use super::abilities::name_fault;
use super::client::{Client, matching};
use super::id::{Id, What};
use super::item::{self, FIELDS};
use super::storage::{folder_of, is_folder, missing, no_parent};

/// Refuses names that Box does not take, before anything is sent.
pub(super) fn check_name(name: &str) -> Result<()> {
    match name_fault(name) {
        Some(why) => Err(Error::invalid(why)),
        None => Ok(()),
    }
}

/// `{"name": ..., "parent": {"id": ...}}`
pub(super) fn placed(name: &str, folder: &Id) -> Value {
    json!({"name": name, "parent": {"id": folder.number}})
}

/// What came back is not what was sent away: nothing but the parent can be missing.
pub(super) fn parent_missing(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => no_parent().because(error),
        _ => error,
    }
}

impl Client<'_> {
    /// `POST /folders` (<https://developer.box.com/reference/post-folders/>).
    pub(super) async fn make_folder(&self, at: &Place) -> Result<Entry> {
        check_name(&at.name)?;
        let folder = folder_of(at)?;
        let url = self.api(&["folders"], &[("fields", FIELDS)])?;
        let body = placed(&at.name, &folder);
        let made = self.json(self.with_json("create_folder", Method::POST, url, &body)).await;
        item::entry(made.map_err(parent_missing)?, self.cx.raw)
    }

    /// Sends an item's new place, by `PUT` of the item or `POST` of its copy.
    async fn put_at(&self, id: &Id, to: &Place, copies: bool) -> Result<Entry> {
        let folder = folder_of(to)?;
        let body = placed(&to.name, &folder);
        let (name, method, mut path) = match copies {
            true => ("copy", Method::POST, vec![id.what.plural(), &id.number]),
            false => ("move", Method::PUT, vec![id.what.plural(), &id.number]),
        };
        if copies {
            path.push("copy");
        }
        let url = self.api(&path, &[("fields", FIELDS)])?;
        match self.json(self.with_json(name, method, url, &body)).await {
            Ok(value) => item::entry(value, self.cx.raw),
            // Box's answer does not always say which of the two is not there.
            Err(error) if error.is_not_found() && !is_folder(self, &folder).await? => {
                Err(no_parent().because(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The file that is in the way of this error's request, when it may be replaced.
    fn in_the_way(id: &Id, error: &Error) -> Result<Option<Id>> {
        let Kind::Conflict(Some(there)) = &error.kind else { return Ok(None) };
        let Some(there) = Id::parse(&there.id).filter(|there| there != id) else { return Ok(None) };
        Ok(match (there.what, id.what) {
            (What::Folder, What::Folder) => return Err(Error::declined(Op::FolderMove)),
            (What::Folder, _) | (_, What::Folder) => None,
            _ => Some(there),
        })
    }

    /// Puts an item where another one is: Box replaces nothing, so the other goes to the trash first
    /// and comes back when it was in vain.
    async fn place(&self, id: &Id, to: &Place, c: Conflict, copies: bool) -> Result<Entry> {
        check_name(&to.name)?;
        let refused = match self.put_at(id, to, copies).await {
            Err(error) if c == Conflict::Replace && error.is_conflict() => error,
            done => return done,
        };
        let Some(there) = Self::in_the_way(id, &refused)? else { return Err(refused) };
        self.throw_away(&there, &DeleteOptions::default()).await?;
        let done = self.put_at(id, to, copies).await;
        if done.is_err() {
            let url = self.api(&[there.what.plural(), &there.number], &[])?;
            // What cannot be brought back stays in the trash.
            let _ = self.done(self.with_json("restore", Method::POST, url, &json!({}))).await;
        }
        done
    }

    /// Another name, another folder, or both (<https://developer.box.com/reference/put-files-id/>).
    pub(super) async fn relocate(&self, id: &Id, to: &Place, c: Conflict) -> Result<Entry> {
        if id.is_root() {
            return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
        }
        self.place(id, to, c, false).await
    }

    /// A copy, made by Box (<https://developer.box.com/reference/post-files-id-copy/>).
    pub(super) async fn copy(&self, id: &Id, to: &Place, c: Conflict) -> Result<Entry> {
        match id.what {
            What::Link => {
                return Err(Error::new(Kind::NotAllowed, "Box cannot copy bookmarks."));
            }
            // Box copies every folder but the root.
            What::Folder if id.is_root() => return Err(Error::declined(Op::FolderCopy)),
            _ => {}
        }
        let op = if id.what == What::Folder { Op::FolderCopy } else { Op::FileCopy };
        self.place(id, to, c, true).await.map_err(|error| match error.kind {
            Kind::Declined(_) => Error::declined(op),
            _ => error,
        })
    }

    /// Into the trash (<https://developer.box.com/reference/delete-files-id/>).
    async fn throw_away(&self, id: &Id, how: &DeleteOptions) -> Result<()> {
        let recursive = how.recursive && id.what == What::Folder;
        let query: &[(&str, &str)] = if recursive { &[("recursive", "true")] } else { &[] };
        let url = self.api(&[id.what.plural(), &id.number], query)?;
        let request = self.request("delete", Method::DELETE, url);
        self.done(matching(request, how.if_match.as_ref())).await
    }

    /// From the trash, for good (<https://developer.box.com/reference/delete-files-id-trash/>).
    pub(super) async fn purge(&self, id: &Id) -> Result<()> {
        let url = self.api(&[id.what.plural(), &id.number, "trash"], &[])?;
        self.done(self.request("purge", Method::DELETE, url)).await
    }

    /// Into the trash, and past it when wanted.
    pub(super) async fn delete(&self, id: &Id, how: &DeleteOptions) -> Result<()> {
        if id.is_root() {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
        }
        self.throw_away(id, how).await?;
        if !how.permanent {
            return Ok(());
        }
        match self.purge(id).await {
            // Accounts whose administrator turned the trash off delete at once.
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    /// The child with this name. Box has no look-up by name, but its preflight check tells what has
    /// the name (<https://developer.box.com/reference/options-files-content/>).
    pub(super) async fn child(&self, at: &Place) -> Result<Option<Entry>> {
        let folder = folder_of(at)?;
        if name_fault(&at.name).is_some() {
            return Ok(None);
        }
        match self.preflight(&folder, &at.name, 0).await {
            Ok(()) => Ok(None),
            Err(error) => match error.kind {
                Kind::Conflict(Some(there)) => {
                    let id = Id::of_ref(&there).ok_or_else(missing)?;
                    match self.item(&id).await {
                        Ok(entry) => Ok(Some(entry)),
                        Err(error) if error.is_not_found() => Ok(None),
                        Err(error) => Err(error),
                    }
                }
                // Where one may not upload, or the account is full, the folder is listed instead.
                Kind::Forbidden | Kind::Full | Kind::Conflict(None) => {
                    Err(Error::declined(Op::FileRead))
                }
                _ => Err(error),
            },
        }
    }
}

/// The kind of what is in the way of a file.
pub(super) fn is_file(there: &tramontane_connector::EntryRef) -> bool {
    there.kind == EntryKind::File
}
