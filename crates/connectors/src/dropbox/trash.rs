//! Deleted files as a trash, restored from their revisions.
//!
//! Dropbox has no trash of its own kind: deleted things stay in listings that ask for them
//! (`include_deleted`), by path and without ids, and files come back by `files/restore`. What was
//! deleted with a folder is not told apart from the folder: the topmost deleted thing stands for all.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use tramontane_connector::entry::Trashed;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::Trash;
use tramontane_connector::{
    Conflict, Cx, Entry, EntryKind, EntryRef, Error, Hashes, Place, Result,
};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use super::api::Api;
use super::entry::{Metadata, folder_of};
use super::listing::{Cursor, Parents, fetch};
use super::place::{Verb, purge, transfer};
use super::storage::DropboxStorage;
use super::versions::revisions;
use super::{lookup, write};

/// The most entries of a page: each costs a call.
const MAX_PAGE: usize = 100;
/// Calls for one page at once.
const AT_ONCE: usize = 4;
/// The most files that come back with a folder.
const MAX_RESTORED: usize = 1_000;
/// The most pages that are looked through for what was in a folder, or to empty the trash.
const MAX_PAGES: usize = 1_000;

/// The path or id that an entry of the trash is known by.
fn known_by(id: &NativeId) -> Result<&str> {
    let text = id.as_str();
    let path = text.len() > 1 && text.starts_with('/') && !text.contains('\0');
    if path { Ok(text) } else { super::entry::address(id).and_then(super::storage::not_root) }
}

fn is_path(address: &str) -> bool {
    address.starts_with('/')
}

/// What the last revision of a deleted path tells. A folder has none.
async fn entry_of(api: &Api<'_>, gone: &Metadata) -> Result<Option<Entry>> {
    let path = gone.path();
    let mut entry = match revisions(api, path, "path", 1).await {
        Ok((mut entries, answer)) => {
            let deleted = answer.get("is_deleted").and_then(Value::as_bool).unwrap_or(true);
            let Some(last) = entries.pop().filter(|_| deleted) else { return Ok(None) };
            let mut entry = Entry::file(NativeId::new(gone.key()), gone.name.clone(), None);
            let (modified, hashes) = last.content();
            entry.size = last.size;
            entry.modified = modified;
            entry.hashes = hashes;
            let at = answer.get("server_deleted").and_then(Value::as_str);
            entry.trashed =
                Some(Trashed { at: at.and_then(Timestamp::parse), original_parent: None });
            entry
        }
        Err(error) if error.is_not_found() => {
            let mut entry = Entry::folder(NativeId::new(gone.key()), gone.name.clone(), None);
            entry.can_create_folders = false;
            entry.can_upload_files = false;
            entry.hashes = Hashes::default();
            entry.trashed = Some(Trashed { at: None, original_parent: None });
            entry
        }
        Err(error) => return Err(error),
    };
    entry.path = Some(path.to_owned());
    Ok(Some(entry))
}

/// Whether a path lies below one of these.
fn is_below(path: &str, folders: &HashSet<String>) -> bool {
    let mut above = folder_of(path);
    while !above.is_empty() {
        if folders.contains(above) {
            return true;
        }
        above = folder_of(above);
    }
    false
}

#[async_trait]
impl Trash for DropboxStorage {
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>> {
        let api = self.api(cx);
        let mut cursor = Cursor::read(page)?;
        cursor.limit = 2_000;
        let limit = page.limit.clamp(1, MAX_PAGE);
        let options = json!({"recursive": true, "include_deleted": true});
        let fetched = fetch(self, cx, "", &options, &cursor, 0).await?;
        let mut parents = Parents::new(self, cx);
        let mut tops: HashSet<String> = cursor.base.iter().cloned().collect();
        let mut found = Vec::new();
        let mut given = 0;
        for value in &fetched.entries {
            if found.len() >= limit {
                break;
            }
            given += 1;
            let one = Metadata::read(value.clone(), false)?;
            if !one.is_deleted() {
                if one.kind() == EntryKind::Folder {
                    parents.learn(one.key(), &one.native()?);
                }
                continue;
            }
            if is_below(one.key(), &tops) {
                continue;
            }
            tops.insert(one.key().to_owned());
            if given > cursor.skip {
                cursor.base = Some(one.key().to_owned());
                found.push(one);
            }
        }
        let calls = found.into_iter().map(|gone| {
            let api = &api;
            async move {
                let entry = entry_of(api, &gone).await;
                (gone, entry)
            }
        });
        let mut looked = stream::iter(calls).buffered(AT_ONCE);
        let mut items = Vec::new();
        while let Some((gone, entry)) = looked.next().await {
            let Some(mut entry) = entry? else { continue };
            let parent = parents.find(folder_of(gone.key())).await?;
            if let Some(trashed) = &mut entry.trashed {
                trashed.original_parent = parent.as_ref().map(|parent| parent.id.clone());
            }
            entry.parent = parent;
            if cx.raw {
                entry.raw = Some(
                    json!({".tag": "deleted", "name": gone.name, "path_lower": gone.path_lower,
                    "path_display": gone.path_display}),
                );
            }
            items.push(entry);
        }
        let next = cursor.after(given, &fetched).map(|next| next.write()).transpose()?;
        Ok(Page { items, next })
    }

    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry> {
        let api = self.api(cx);
        let address = known_by(&what.id)?;
        let back = match what.kind {
            EntryKind::File => restore_file(&api, address, to, c).await?,
            EntryKind::Folder => restore_folder(self, cx, address).await?,
        };
        match to {
            Some(to) if !is_at(&back, to) => {
                let moved = transfer(&api, &back.reference(), to, c, Verb::Move).await;
                if moved.is_err() && back.kind == EntryKind::File {
                    // What could not be put where it was wanted goes back into the trash.
                    let argument = json!({"path": back.id.as_str()});
                    let _ = api.change::<Value>("files/delete_v2", &argument).await;
                }
                moved
            }
            _ => Ok(back),
        }
    }

    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()> {
        let api = self.api(cx);
        let address = known_by(&what.id)?;
        let path = if is_path(address) {
            address.to_owned()
        } else {
            let (entries, answer) = revisions(&api, address, "id", 1).await?;
            let deleted = answer.get("is_deleted").and_then(Value::as_bool).unwrap_or(false);
            let last = entries.into_iter().next().filter(|_| deleted);
            let last = last.ok_or_else(|| Error::not_found("This is not in the trash."))?;
            last.path().to_owned()
        };
        // What is there is not in the trash, and must not be deleted by this.
        if lookup::at(&api, &path).await?.is_some() {
            return Err(Error::not_found("This is not in the trash."));
        }
        purge(&api, &path).await
    }

    async fn empty(&self, cx: &Cx) -> Result<()> {
        let mut cursor = Cursor { limit: 2_000, ..Cursor::default() };
        let options = json!({"recursive": true, "include_deleted": true});
        let mut tops = HashSet::new();
        for _ in 0..MAX_PAGES {
            let step = cx.within(cx.time_left().max(std::time::Duration::from_secs(30)));
            let fetched = fetch(self, &step, "", &options, &cursor, usize::MAX).await?;
            for value in &fetched.entries {
                let one = Metadata::read(value.clone(), false)?;
                if one.is_deleted() && !is_below(one.key(), &tops) {
                    tops.insert(one.key().to_owned());
                    match purge(&self.api(&step), one.path()).await {
                        Err(error) if !error.is_not_found() => return Err(error),
                        _ => {}
                    }
                }
            }
            match &fetched.next {
                Some(next) => cursor.at = Some(next.clone()),
                None => return Ok(()),
            }
        }
        let text = "There is more in the trash than can be deleted at once: do it again.";
        Err(Error::unsupported(Op::TrashList, text))
    }
}

fn is_at(entry: &Entry, place: &Place) -> bool {
    entry.name == place.name
        && entry.parent.as_ref().is_some_and(|parent| parent.id == place.parent)
}

/// Brings a file back to where it was. Something that is there now is in the way, unless the file
/// goes elsewhere in the end.
async fn restore_file(
    api: &Api<'_>,
    address: &str,
    to: Option<&Place>,
    c: Conflict,
) -> Result<Entry> {
    let mode = if is_path(address) { "path" } else { "id" };
    let (entries, answer) = revisions(api, address, mode, 1).await?;
    let deleted = answer.get("is_deleted").and_then(Value::as_bool).unwrap_or(false);
    let last = entries.into_iter().next().filter(|_| deleted);
    let last = last.ok_or_else(|| Error::not_found("This file is not in the trash."))?;
    if let Some(there) = lookup::at(api, last.path()).await?
        && (to.is_some() || c == Conflict::Fail || there.kind() == EntryKind::Folder)
    {
        let by = EntryRef { kind: there.kind(), id: there.native()? };
        return Err(Error::conflict(&last.name, Some(by)));
    }
    if let Some(to) = to {
        lookup::folder(api, &to.parent).await?;
        let taken = lookup::at(api, &super::entry::child_address(&to.parent, &to.name)?).await?;
        if let Some(there) = taken.filter(|_| c == Conflict::Fail) {
            let by = EntryRef { kind: there.kind(), id: there.native()? };
            return Err(Error::conflict(&to.name, Some(by)));
        }
    }
    let argument = json!({"path": last.path(), "rev": last.rev});
    let back: Value = api.change("files/restore", &argument).await?;
    lookup::entry(api, Metadata::read(back, api.cx.raw)?).await
}

/// Brings a folder back: makes it again and restores every file that was deleted below it.
async fn restore_folder(storage: &DropboxStorage, cx: &Cx, address: &str) -> Result<Entry> {
    let api = storage.api(cx);
    if !is_path(address) {
        let text =
            "A deleted folder is known by its path alone: take its id from the trash's listing.";
        return Err(Error::not_found(text));
    }
    if let Some(there) = lookup::at(&api, address).await? {
        let by = EntryRef { kind: there.kind(), id: there.native()? };
        return Err(Error::conflict(&there.name, Some(by)));
    }
    let mut cursor = Cursor { limit: 2_000, ..Cursor::default() };
    let options = json!({"recursive": true, "include_deleted": true});
    let mut inside = Vec::new();
    let mut shown = None;
    for _ in 0..MAX_PAGES {
        let fetched = fetch(storage, cx, "", &options, &cursor, usize::MAX).await?;
        for value in &fetched.entries {
            let one = Metadata::read(value.clone(), false)?;
            if one.is_deleted() && one.key() == address {
                shown = one.path_display.clone();
            } else if one.is_deleted() && is_below(one.key(), &HashSet::from([address.to_owned()]))
            {
                inside.push(one);
            }
        }
        if inside.len() > MAX_RESTORED {
            let text = "More than 1,000 files were in this folder: restore it at Dropbox itself.";
            return Err(Error::unsupported(Op::TrashRestore, text));
        }
        match &fetched.next {
            Some(next) => cursor.at = Some(next.clone()),
            None => break,
        }
    }
    let shown = shown.ok_or_else(|| Error::not_found("This folder is not in the trash."))?;
    let made = write::folder_at(&api, &shown).await?;
    for one in inside {
        match revisions(&api, one.path(), "path", 1).await {
            Ok((entries, _)) => {
                let Some(last) = entries.into_iter().next() else { continue };
                let argument = json!({"path": one.path(), "rev": last.rev});
                api.change::<Value>("files/restore", &argument).await?;
            }
            // A folder within.
            Err(error) if error.is_not_found() => match write::folder_at(&api, one.path()).await {
                Err(error) if !matches!(error.kind, Kind::Conflict(_)) => return Err(error),
                _ => {}
            },
            Err(error) => return Err(error),
        }
    }
    lookup::entry(&api, made).await
}
