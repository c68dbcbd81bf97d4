//! Nextcloud's trash: a collection beside the files. An entry of it has the id `trash/NAME.dTIME`.

use async_trait::async_trait;
use tramontane_connector::Place;
use tramontane_connector::entry::Trashed;
use tramontane_connector::storage::Trash;
use tramontane_connector::{Conflict, Cx, Entry, EntryKind, EntryRef, Error, Result, Storage};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};

use crate::webdav::dav::{Dav, Depth, missing};
use crate::webdav::path::{self, Anchor, Whose};
use crate::webdav::profile::Cloud;
use crate::webdav::props::{self, Facts};
use crate::webdav::storage::{DavStorage, cloud_of};
use crate::webdav::write;
use crate::webdav::xml::{Item, Ns};

const PROPS: &str =
    "<nc:trashbin-filename/><nc:trashbin-original-location/><nc:trashbin-deletion-time/>";
const PREFIX: &str = "trash/";

/// One thing in the trash.
struct Trashcan {
    /// Its name in the trash.
    key: String,
    entry: Entry,
    /// Where it was; `None` when that is outside the account's base.
    original: Option<NativeId>,
}

#[async_trait]
impl Trash for DavStorage {
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::TrashList)?;
        let mut all = all(&dav, parts).await?;
        all.sort_by(|one, other| one.key.cmp(&other.key));
        let from = match &page.cursor {
            Some(after) => all.partition_point(|one| one.key.as_str() <= after.as_str()),
            None => 0,
        };
        let more = all.len().saturating_sub(from) > page.limit;
        let items: Vec<Trashcan> = all.into_iter().skip(from).take(page.limit).collect();
        let next = if more { items.last().map(|one| one.key.clone()) } else { None };
        Ok(Page { items: items.into_iter().map(|one| one.entry).collect(), next })
    }

    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::TrashRestore)?;
        let one = find(&dav, parts, what).await?;
        let original = one.original.as_ref().ok_or_else(|| {
            Error::invalid("The entry was deleted from outside this account's folder.")
        })?;
        // Nextcloud restores beside what has the name, under another one, so it is looked for first.
        if let Some(there) = dav.look_if_any(original).await? {
            return Err(Error::conflict(&there.name, Some(there.reference())));
        }
        let folder = what.kind == EntryKind::Folder;
        let from = parts.at(&["trashbin", &parts.user, "trash", &one.key], folder)?;
        let target = parts.at(&["trashbin", &parts.user, "restore", &one.key], folder)?;
        let moved = dav.transfer("restore", "MOVE", from, &target, false, &[]).await;
        let (parent, _) = path::split(original).ok_or_else(|| missing(what.kind))?;
        if let Err(error) = moved {
            return Err(write::explain(&dav, &parent, error).await);
        }
        self.forget(cx, &parent);
        let back = EntryRef { kind: what.kind, id: original.clone() };
        match to {
            Some(place) => self.relocate(cx, &back, place, c).await,
            None => dav.get(&back).await,
        }
    }

    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::TrashList)?;
        let one = find(&dav, parts, what).await?;
        let folder = what.kind == EntryKind::Folder;
        dav.delete(parts.at(&["trashbin", &parts.user, "trash", &one.key], folder)?, None).await?;
        Ok(())
    }

    async fn empty(&self, cx: &Cx) -> Result<()> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::TrashList)?;
        dav.delete(parts.at(&["trashbin", &parts.user, "trash"], true)?, None).await?;
        Ok(())
    }
}

/// Deletes for good what was just deleted from this place: the newest of it in the trash.
pub(in crate::webdav) async fn purge_newest(
    dav: &Dav<'_>,
    parts: &Cloud,
    deleted: &NativeId,
) -> Result<()> {
    let all = all(dav, parts).await?;
    let same = all.into_iter().filter(|one| one.original.as_ref() == Some(deleted));
    let at = |one: &Trashcan| one.entry.trashed.as_ref().and_then(|trashed| trashed.at);
    // Storages without a trash (external ones) delete for good at once.
    let Some(newest) = same.max_by_key(at) else { return Ok(()) };
    let folder = newest.entry.is_folder();
    dav.delete(parts.at(&["trashbin", &parts.user, "trash", &newest.key], folder)?, None).await?;
    Ok(())
}

async fn find(dav: &Dav<'_>, parts: &Cloud, what: &EntryRef) -> Result<Trashcan> {
    let key = what.id.as_str().strip_prefix(PREFIX).ok_or_else(|| missing(what.kind))?;
    let fits = |one: &Trashcan| one.key == key && one.entry.kind == what.kind;
    let mut all = all(dav, parts).await?.into_iter();
    all.find(fits).ok_or_else(|| missing(what.kind))
}

async fn all(dav: &Dav<'_>, parts: &Cloud) -> Result<Vec<Trashcan>> {
    let url = parts.at(&["trashbin", &parts.user, "trash"], true)?;
    let mut anchor = Anchor::of(&url);
    let body = props::propfind(&[props::PLAIN, props::OC, PROPS]);
    let mut found = Vec::new();
    let request = Dav::propfind("propfind_trash", url, Depth::One, body);
    dav.find(request, |item| {
        let facts = Facts::of(&item, dav.cx.raw);
        if let Whose::Child(key) = anchor.place(&item.href, facts.folder) {
            found.push(read(&item, facts, key, parts));
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

fn read(item: &Item, facts: Facts, key: String, parts: &Cloud) -> Trashcan {
    let text = |name| item.text(Ns::Nextcloud, name);
    let original = text("trashbin-original-location").and_then(|place| {
        let segments: Vec<String> =
            place.split('/').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        parts.id(&segments).filter(|id| path::segments(id).is_ok_and(|one| !one.is_empty()))
    });
    let mut entry = facts.entry(&NativeId::new(format!("/{key}")));
    entry.id = NativeId::new(format!("{PREFIX}{key}"));
    entry.parent = None;
    entry.path = None;
    if let Some(name) = text("trashbin-filename") {
        entry.name = name.to_owned();
    }
    let at = text("trashbin-deletion-time").and_then(|time| time.parse().ok());
    entry.trashed = Some(Trashed {
        at: at.map(Timestamp::from_seconds),
        original_parent: original.as_ref().and_then(path::split).map(|(parent, _)| parent),
    });
    Trashcan { key, entry, original }
}
