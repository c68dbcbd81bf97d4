//! Files and folders moved, renamed, copied, deleted.

use http::Method;
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{
    Conflict, Entry, EntryKind, EntryRef, Error, Kind, Place, Repeat, Result,
};
use tramontane_model::Op;

use super::api::{Client, with_json};
use super::fault::{of_parent, says};
use super::ids::{ROOT, Target, missing};
use super::item::Item;
use super::list::{Corpus, How, namesake};
use super::write::{folder_of, matches, metadata, taken};
use super::{query, upload};

/// Drive's id of something that may be moved or deleted: no folder of ours, no top of a drive.
fn movable(what: &EntryRef) -> Result<&str> {
    match Target::of(&what.id) {
        Some(Target::Item(id)) => Ok(id),
        Some(_) => Err(Error::new(Kind::NotAllowed, "This folder stays where it is.")),
        None => Err(missing(what.kind)),
    }
}

fn stays(item: &Item) -> Result<()> {
    if item.is_drive() {
        return Err(Error::new(Kind::NotAllowed, "Shared drives are managed at Google."));
    }
    Ok(())
}

/// Who has the name that something is to get, when it is someone else.
async fn in_the_way(
    client: &Client<'_>,
    folder: &str,
    name: &str,
    but: Option<&str>,
) -> Result<Option<Item>> {
    let found = namesake(client, folder, name).await.map_err(of_parent)?;
    Ok(found.filter(|there| Some(there.id.as_str()) != but))
}

/// What is to be replaced; refuses what cannot be.
async fn replaced(
    client: &Client<'_>,
    source: &Item,
    folder: &str,
    to: &Place,
    conflict: Conflict,
    op: Op,
    but: Option<&str>,
) -> Result<Option<Item>> {
    if conflict == Conflict::Fail {
        return Ok(None);
    }
    match in_the_way(client, folder, &to.name, but).await? {
        None => Ok(None),
        Some(there) if there.is_folder() && source.is_folder() => Err(Error::declined(op)),
        Some(there) if there.is_folder() || source.is_folder() => Err(taken(&to.name, &there)),
        Some(there) => Ok(Some(there)),
    }
}

/// Changes metadata of a file ("files.update").
pub(super) async fn patch(
    client: &Client<'_>,
    id: &str,
    changes: &Value,
    more: &[(&str, &str)],
) -> Result<Item> {
    let mut query = vec![("supportsAllDrives", "true"), ("fields", client.fields())];
    query.extend_from_slice(more);
    let url = client.url(&["files", id], &query)?;
    let request = with_json("files_update", Method::PATCH, url, changes);
    client.item(request.repeat(Repeat::Yes)).await
}

/// Gives a file or folder another name, another folder, or both.
pub(super) async fn relocate(
    client: &Client<'_>,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
) -> Result<Entry> {
    let source = client.get(movable(what)?, what.kind).await?;
    stays(&source)?;
    let root = client.root().await?;
    let same = source.parent(&root) == to.parent;
    let op = match (what.kind, same) {
        (EntryKind::File, true) => Op::FileRename,
        (EntryKind::File, false) => Op::FileMove,
        (EntryKind::Folder, true) => Op::FolderRename,
        (EntryKind::Folder, false) => Op::FolderMove,
    };
    // What was shared may be renamed where it is, although it has no folder here.
    let folder = match same && to.parent.as_str() == super::ids::SHARED {
        true => None,
        false => Some(folder_of(client, &to.parent).await?),
    };
    let old = match &folder {
        Some(folder) => {
            let but = Some(source.id.as_str());
            replaced(client, &source, folder, to, conflict, op, but).await?
        }
        None => None,
    };
    let mut more = Vec::new();
    let from = source.parents.first().cloned().unwrap_or_default();
    if let (Some(folder), false) = (&folder, same) {
        more.push(("addParents", folder.as_str()));
        if !from.is_empty() {
            more.push(("removeParents", from.as_str()));
        }
    }
    let mut changes = json!({});
    if source.name != to.name {
        changes = json!({"name": to.name});
    }
    let moved = patch(client, &source.id, &changes, &more).await.map_err(|error| {
        // Some moves between My Drive and shared drives Drive leaves to copying.
        let between = [
            "teamDrivesFolderMoveInNotSupported",
            "teamDrivesParentLimit",
            "cannotMoveTrashedItemIntoTeamDrive",
            "cannotMoveTrashedItemOutOfTeamDrive",
            "fileOwnerNotMemberOfTeamDrive",
            "crossDomainMoveRestriction",
        ];
        if between.iter().any(|reason| says(&error, reason)) {
            return Error::declined(op).because(error);
        }
        if !same && says(&error, "badRequest") && what.kind == EntryKind::Folder {
            let text = "A folder cannot be put into itself or below itself.";
            return Error::new(Kind::IntoItself, text).because(error);
        }
        error
    })?;
    // Both have the name for a moment; so nothing is lost when this fails.
    if let Some(old) = old {
        trash(client, &old.id).await?;
    }
    client.entry(moved).await
}

/// Copies a file ("files.copy"). Drive copies no folders.
pub(super) async fn copy(
    client: &Client<'_>,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
) -> Result<Entry> {
    if what.kind == EntryKind::Folder {
        return Err(Error::declined(Op::FolderCopy));
    }
    let Some(Target::Item(id)) = Target::of(&what.id) else { return Err(missing(what.kind)) };
    let source = client.get(id, EntryKind::File).await?;
    let folder = folder_of(client, &to.parent).await?;
    let old = replaced(client, &source, &folder, to, conflict, Op::FileCopy, None).await?;
    if old.as_ref().is_some_and(|old| old.id == source.id) {
        let text = "A file cannot be copied over itself.";
        return Err(Error::new(Kind::Conflict(Some(what.clone())), text));
    }
    // Ids that were handed out beforehand are not taken for documents of Google's, nor for shortcuts.
    let meta = match source.is_blob() {
        true => metadata(client, &to.name, &folder, &source.mime_type).await?,
        false => json!({"name": to.name, "parents": [folder]}),
    };
    let query = [("supportsAllDrives", "true"), ("fields", client.fields())];
    let url = client.url(&["files", &source.id, "copy"], &query)?;
    let repeat = if meta.get("id").is_some() { Repeat::Yes } else { Repeat::No };
    let request = with_json("files_copy", Method::POST, url, &meta).repeat(repeat);
    let done = client.item(request).await;
    let made = upload::made(client, done, &meta).await.map_err(of_parent)?;
    if let Some(old) = old {
        trash(client, &old.id).await?;
    }
    client.entry(made).await
}

async fn trash(client: &Client<'_>, id: &str) -> Result<()> {
    patch(client, id, &json!({"trashed": true}), &[]).await.map(|_| ())
}

/// Deletes past the trash ("files.delete").
pub(super) async fn erase(client: &Client<'_>, id: &str) -> Result<()> {
    let url = client.url(&["files", id], &[("supportsAllDrives", "true")])?;
    client.send(Request::new("files_delete", Method::DELETE, url)).await.map(|_| ())
}

/// Deletes a file or folder, into the trash or for good. Drive takes folders with all below them.
pub(super) async fn delete(
    client: &Client<'_>,
    what: &EntryRef,
    how: &DeleteOptions,
) -> Result<()> {
    let item = client.get(movable(what)?, what.kind).await?;
    stays(&item)?;
    matches(Some(&item), how.if_match.as_ref())?;
    if item.id == *client.root().await? || item.id == ROOT {
        return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
    }
    if item.is_folder() && !how.recursive {
        let corpus = Corpus::from(client.drive_of(&item.id).await?);
        let query = query::children(&item.id);
        let how = How { query: &query, corpus: &corpus, order: None, limit: 1, token: None };
        let found = client.files(&how).await?;
        if !found.items.is_empty() || found.next.is_some() {
            return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
        }
    }
    if how.permanent { erase(client, &item.id).await } else { trash(client, &item.id).await }
}
