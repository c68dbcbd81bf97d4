//! Folder listings, which a server gives whole: sorted, and kept for a moment so that the pages of a
//! large folder do not each fetch it again.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tramontane_connector::{Cx, Entry, EntryKind, Error, Kind, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::dav::{Dav, Depth, is_no_folder, missing};
use super::path::{self, Anchor, Whose};
use super::props::{self, Facts};
use super::xml::is_success;

/// Names that begin so are uploads on their way; nobody sees them.
pub(super) const UPLOAD_PREFIX: &str = ".tramontane-upload-";

/// How long a listing serves its later pages.
const KEPT: Duration = Duration::from_secs(60);
/// The most entries that all kept listings have together.
const KEPT_ENTRIES: u64 = 400_000;

/// One child of a folder.
#[derive(Debug)]
struct Child {
    name: String,
    facts: Facts,
}

type Key = (i64, i64, NativeId, bool);

/// The listings that are kept.
#[derive(Clone, Debug)]
pub(super) struct Listings(Cache<Key, Arc<Vec<Child>>>);

impl Default for Listings {
    fn default() -> Self {
        let weigh =
            |_: &Key, value: &Arc<Vec<Child>>| u32::try_from(value.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(KEPT_ENTRIES).weigher(weigh).time_to_live(KEPT).build())
    }
}

impl Listings {
    fn key(cx: &Cx, folder: &NativeId) -> Key {
        (cx.account.id.number(), cx.account.revision, folder.clone(), cx.raw)
    }

    /// Forgets a folder in which something was changed.
    pub(super) fn forget(&self, cx: &Cx, folder: &NativeId) {
        for raw in [false, true] {
            let (account, revision, folder, _) = Self::key(cx, folder);
            self.0.invalidate(&(account, revision, folder, raw));
        }
    }

    /// One page. The first one asks the server; later ones only when the listing is not kept any
    /// more. The cursor is the last name given, so a page goes on at the right place even then.
    pub(super) async fn page(
        &self,
        dav: &Dav<'_>,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        let after = match &page.cursor {
            Some(cursor) => Some(cursor.strip_prefix("after:").ok_or_else(|| {
                Error::new(
                    Kind::CursorExpired,
                    "The cursor cannot be read. List again from the start.",
                )
            })?),
            None => None,
        };
        let key = Self::key(dav.cx, folder);
        let kept = after.and_then(|_| self.0.get(&key));
        let children = match kept {
            Some(children) => children,
            None => Arc::new(fetch(dav, folder).await?),
        };
        let from = match after {
            Some(name) => children.partition_point(|child| child.name.as_str() <= name),
            None => 0,
        };
        let rest = children.get(from..).unwrap_or_default();
        let taken = rest.get(..page.limit.min(rest.len())).unwrap_or_default();
        let items =
            taken.iter().map(|child| child.facts.clone().entry(&path::child(folder, &child.name)));
        let items: Vec<Entry> = items.collect();
        let next = (taken.len() < rest.len())
            .then(|| taken.last().map(|child| format!("after:{}", child.name)))
            .flatten();
        match &next {
            Some(_) => self.0.insert(key, children),
            None => self.0.invalidate(&key),
        }
        Ok(Page { items, next })
    }

    /// Whether a folder holds anything. Uploads on their way count: they are someone's.
    pub(super) async fn is_empty(dav: &Dav<'_>, folder: &NativeId) -> Result<bool> {
        Ok(children(dav, folder).await?.is_empty())
    }
}

async fn fetch(dav: &Dav<'_>, folder: &NativeId) -> Result<Vec<Child>> {
    let mut found = children(dav, folder).await?;
    found.retain(|child| !child.name.starts_with(UPLOAD_PREFIX));
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    found.dedup_by(|one, other| one.name == other.name);
    Ok(found)
}

async fn children(dav: &Dav<'_>, folder: &NativeId) -> Result<Vec<Child>> {
    let url = dav.profile.url(folder, true)?;
    let mut anchor = Anchor::of(&url);
    let body = props::of_entries(dav.profile.dialect);
    let (raw, mut children, mut no_folder) = (dav.cx.raw, Vec::new(), false);
    let request = Dav::propfind("propfind_children", url, Depth::One, body);
    let found = dav.find(request, |item| {
        let gone = item.status.is_some_and(|status| !is_success(status));
        let facts = Facts::of(&item, raw);
        match anchor.place(&item.href, facts.folder) {
            Whose::Own => no_folder = no_folder || gone || !facts.folder,
            Whose::Child(name) if !gone => children.push(Child { name, facts }),
            Whose::Child(_) | Whose::Foreign => {}
        }
        Ok(())
    });
    match found.await {
        Ok(()) if no_folder && children.is_empty() => Err(missing(EntryKind::Folder)),
        Ok(()) => Ok(children),
        Err(error) if is_no_folder(&error) && !dav.is_folder(folder).await? => {
            Err(missing(EntryKind::Folder).because(error))
        }
        Err(error) => Err(error),
    }
}
