//! The trash: one's own and, after it, those of the shared drives.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::storage::Trash;
use tramontane_connector::{Conflict, Cx, Entry, EntryRef, Error, Kind, Place, Result};
use tramontane_model::{Page, PageRequest};

use super::api::Client;
use super::fault::of_parent;
use super::ids::{Target, is_id, missing};
use super::item::Item;
use super::list::{Corpus, How, namesake};
use super::place::{erase, patch};
use super::storage::DriveStorage;
use super::write::{folder_of, taken};

/// The most shared drives that are looked through.
const MAX_DRIVES: usize = 1_000;

fn stale() -> Error {
    Error::new(Kind::CursorExpired, "This cursor is not one of this listing.")
}

/// Whose trash a page is of, and where it goes on.
fn read_cursor(text: &str) -> Result<(Option<String>, Option<String>)> {
    let (drive, token) = text.split_once(':').ok_or_else(stale)?;
    if !drive.is_empty() && !is_id(drive) {
        return Err(stale());
    }
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok((some(drive), some(token)))
}

/// The ids of the shared drives, in order.
async fn drives(client: &Client<'_>) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let mut token = None;
    loop {
        let (drives, next) = client.drives(100, token.as_deref()).await?;
        let ids = drives.iter().filter_map(|drive| drive.get("id")).filter_map(Value::as_str);
        found.extend(ids.map(str::to_owned));
        token = next;
        if token.is_none() || found.len() >= MAX_DRIVES {
            found.sort();
            return Ok(found);
        }
    }
}

/// Something that is in the trash itself, not by a folder above it.
async fn thrown(client: &Client<'_>, what: &EntryRef) -> Result<Item> {
    let Some(Target::Item(id)) = Target::of(&what.id) else { return Err(missing(what.kind)) };
    let item = client.get_any(id).await?;
    if item.kind() == what.kind && item.explicitly_trashed {
        Ok(item)
    } else {
        Err(Error::not_found("This is not in the trash."))
    }
}

#[async_trait]
impl Trash for DriveStorage {
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>> {
        let client = self.client(cx);
        let (drive, token) = match page.cursor.as_deref() {
            Some(cursor) => read_cursor(cursor)?,
            None => (None, None),
        };
        let corpus = Corpus::from(drive.as_deref().map(Arc::from));
        let how = How {
            query: "trashed = true",
            corpus: &corpus,
            order: None,
            limit: page.limit,
            token: token.as_deref(),
        };
        let found = client.files(&how).await?;
        let mut items = found.items;
        // What lies in a folder that was thrown away comes back with it.
        items
            .retain(|item| item.explicitly_trashed && (drive.is_some() || item.drive_id.is_none()));
        let next = match found.next {
            Some(token) => Some(format!("{}:{token}", drive.unwrap_or_default())),
            None => {
                let after = drive.unwrap_or_default();
                let next = drives(&client).await?.into_iter().find(|id| *id > after);
                next.map(|id| format!("{id}:"))
            }
        };
        Ok(Page { items: client.entries(items).await?, next })
    }

    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry> {
        let client = self.client(cx);
        let item = thrown(&client, what).await?;
        let root = client.root().await?;
        let place = match to {
            Some(place) => place.clone(),
            None => Place::new(item.parent(&root), item.name.clone()),
        };
        let folder = folder_of(&client, &place.parent).await?;
        let there = namesake(&client, &folder, &place.name).await.map_err(of_parent)?;
        if let Some(there) = &there
            && (c == Conflict::Fail || there.is_folder() || item.is_folder())
        {
            return Err(taken(&place.name, there));
        }
        let mut more = Vec::new();
        let from = item.parents.first().cloned().unwrap_or_default();
        if item.parent(&root) != place.parent {
            more.push(("addParents", folder.as_str()));
            if !from.is_empty() {
                more.push(("removeParents", from.as_str()));
            }
        }
        let changes = json!({"trashed": false, "name": place.name});
        let back = patch(&client, &item.id, &changes, &more).await?;
        if back.trashed {
            let text = "The folder that it was in is in the trash as well: restore that, or name another folder.";
            return Err(Error::new(Kind::ParentNotFound, text));
        }
        if let Some(old) = there {
            patch(&client, &old.id, &json!({"trashed": true}), &[]).await?;
        }
        client.entry(back).await
    }

    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()> {
        let client = self.client(cx);
        let item = thrown(&client, what).await?;
        erase(&client, &item.id).await
    }

    /// One's own trash, and those of the shared drives where the account may.
    async fn empty(&self, cx: &Cx) -> Result<()> {
        let client = self.client(cx);
        let url = client.url(&["files", "trash"], &[])?;
        client.send(Request::new("files_empty_trash", Method::DELETE, url)).await?;
        for drive in drives(&client).await? {
            let url = client.url(&["files", "trash"], &[("driveId", &drive)])?;
            match client.send(Request::new("files_empty_trash", Method::DELETE, url)).await {
                Ok(_) => {}
                Err(error) if matches!(error.kind, Kind::Forbidden | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
