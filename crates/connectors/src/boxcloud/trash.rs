//! The trash (<https://developer.box.com/guides/trash/>).

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{DeleteOptions, Trash};
use tramontane_connector::{Conflict, Cx, Entry, EntryRef, Error, Place, Result};
use tramontane_model::{Page, PageRequest};

use super::client::Client;
use super::fault::cursor;
use super::id::{Id, What};
use super::item::{self, Entries, FIELDS};
use super::storage::{BoxStorage, folder_of, is_folder, missing, no_parent};
use super::write::{check_name, placed};

/// The longest page of the trash.
const MAX_PAGE: usize = 1_000;
/// The trash is emptied in at most so many pages.
const MAX_PAGES: usize = 10_000;

impl Client<'_> {
    async fn trashed(&self, page: &PageRequest) -> Result<Page<Entry>> {
        let limit = page.limit.min(MAX_PAGE).to_string();
        let mut query = vec![("fields", FIELDS), ("limit", limit.as_str()), ("usemarker", "true")];
        if let Some(marker) = &page.cursor {
            query.push(("marker", marker));
        }
        let url = self.api(&["folders", "trash", "items"], &query)?;
        let found: Result<Entries> = self.json(self.request("list_trash", Method::GET, url)).await;
        let found = found.map_err(|error| cursor(error, page.cursor.is_some()))?;
        let next = found.next();
        let items = found.entries.into_iter().filter(item::is_known);
        let items: Result<Vec<Entry>> =
            items.map(|value| item::entry(value, self.cx.raw)).collect();
        Ok(Page { items: items?, next })
    }

    /// `POST /files/:id` (<https://developer.box.com/reference/post-files-id/>).
    async fn restore(&self, id: &Id, to: Option<(&str, &Id)>) -> Result<Entry> {
        let body = to.map_or_else(|| json!({}), |(name, folder)| placed(name, folder));
        let url = self.api(&[id.what.plural(), &id.number], &[("fields", FIELDS)])?;
        let restored = self.json(self.with_json("restore", Method::POST, url, &body)).await;
        let value: Value = match restored {
            Err(error) if error.is_not_found() => {
                return Err(match to {
                    Some((_, folder)) if !is_folder(self, folder).await? => {
                        no_parent().because(error)
                    }
                    _ => error,
                });
            }
            done => done?,
        };
        // The answer tells what was restored, not everything about it.
        let entry = item::entry(value, self.cx.raw)?;
        self.item(&Id::of_ref(&entry.reference()).ok_or_else(missing)?).await
    }
}

#[async_trait]
impl Trash for BoxStorage {
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>> {
        self.client(cx).trashed(page).await
    }

    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry> {
        let client = self.client(cx);
        let id = Id::of_ref(what).ok_or_else(missing)?;
        let folder = to.map(folder_of).transpose()?;
        let place = match (to, &folder) {
            (Some(to), Some(folder)) => {
                check_name(&to.name)?;
                Some((to.name.as_str(), folder))
            }
            _ => None,
        };
        let refused = match client.restore(&id, place).await {
            Err(error) if c == Conflict::Replace && error.is_conflict() => error,
            done => return done,
        };
        let Kind::Conflict(Some(there)) = &refused.kind else { return Err(refused) };
        let there = Id::of_ref(there).filter(|there| there.what != What::Folder);
        let Some(there) = there.filter(|_| id.what != What::Folder) else { return Err(refused) };
        client.delete(&there, &DeleteOptions::default()).await?;
        let done = client.restore(&id, place).await;
        if done.is_err() {
            // What cannot be brought back stays in the trash.
            let _ = client.restore(&there, None).await;
        }
        done
    }

    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()> {
        self.client(cx).purge(&Id::of_ref(what).ok_or_else(missing)?).await
    }

    /// Box has no call for the whole trash: each thing goes by itself.
    async fn empty(&self, cx: &Cx) -> Result<()> {
        let client = self.client(cx);
        for _ in 0..MAX_PAGES {
            let page = client.trashed(&PageRequest::first(MAX_PAGE)).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let mut gone = 0;
            for entry in &page.items {
                let id = Id::of_ref(&entry.reference()).ok_or_else(missing)?;
                match client.purge(&id).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => gone += 1,
                }
            }
            if gone == 0 {
                break;
            }
        }
        Err(Error::new(Kind::Broken, "The trash of Box does not get empty."))
    }
}
