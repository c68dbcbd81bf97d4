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

    /// The folder that something in the trash was in, when that is still there.
    async fn old_home(&self, id: &Id) -> Result<Option<Id>> {
        let url = self.api(&[id.what.plural(), &id.number, "trash"], &[("fields", FIELDS)])?;
        let value: Value = self.json(self.request("get_trashed", Method::GET, url)).await?;
        let trashed = item::entry(value, false)?.trashed;
        let home = trashed.and_then(|trashed| trashed.original_parent);
        let Some(home) = home.as_ref().and_then(Id::parse) else { return Ok(None) };
        Ok(is_folder(self, &home).await?.then_some(home))
    }

    /// Brings something back to a place. Box takes another folder only when the old one is gone; else it
    /// comes back there, under a name that is free, and is moved on.
    async fn restore_to(&self, id: &Id, to: &Place) -> Result<Entry> {
        check_name(&to.name)?;
        let folder = folder_of(to)?;
        match self.old_home(id).await? {
            Some(home) if home != folder => {}
            _ => return self.restore(id, Some((&to.name, &folder))).await,
        }
        let back = match self.restore(id, None).await {
            Err(error) if error.is_conflict() => {
                let aside = format!("{}.restored", super::upload::random()?);
                self.restore(id, Some((&aside, &folder))).await?
            }
            done => done?,
        };
        let moved = self.relocate(id, to, Conflict::Fail).await;
        if moved.is_err() {
            let back = Id::of_ref(&back.reference()).ok_or_else(missing)?;
            // The error of the move says more.
            let how = DeleteOptions { recursive: true, ..DeleteOptions::default() };
            let _ = self.delete(&back, &how).await;
        }
        moved
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
        let bring = || async {
            match to {
                Some(to) => client.restore_to(&id, to).await,
                None => client.restore(&id, None).await,
            }
        };
        let refused = match bring().await {
            Err(error) if c == Conflict::Replace && error.is_conflict() => error,
            done => return done,
        };
        let Kind::Conflict(Some(there)) = &refused.kind else { return Err(refused) };
        let there = Id::of_ref(there).filter(|there| there.what != What::Folder);
        let Some(there) = there.filter(|_| id.what != What::Folder) else { return Err(refused) };
        client.delete(&there, &DeleteOptions::default()).await?;
        let done = bring().await;
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
