//! Folders listed, and the child with a name found.

use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::http::Request;
use tramontane_connector::{Entry, EntryKind, Error, Kind, Place, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::api::Client;
use super::ids::{DRIVES, ROOT, SHARED, Target, VIRTUAL, missing};
use super::item::{Capabilities, FOLDER, Item, virtual_folder};
use super::query;

/// The most that Drive puts on one page.
const MAX_PAGE: usize = 1_000;
/// The most shared drives that Drive puts on one page.
const MAX_DRIVES: usize = 100;
/// The most pages that are looked through for a name.
const MAX_NAMESAKES: usize = 20;

/// What a listing looks through ("corpora").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Corpus {
    /// What the account has, was given, or opened.
    User,
    /// One shared drive.
    Drive(Arc<str>),
    /// Everything.
    All,
}

impl From<Option<Arc<str>>> for Corpus {
    fn from(drive: Option<Arc<str>>) -> Self {
        drive.map_or(Self::User, Self::Drive)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileList {
    #[serde(default)]
    files: Vec<Value>,
    next_page_token: Option<String>,
}

/// A shared drive ("REST Resource: drives").
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SharedDrive {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    created_time: Option<tramontane_model::Timestamp>,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DriveList {
    #[serde(default)]
    drives: Vec<Value>,
    next_page_token: Option<String>,
}

/// A page of files.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<String>,
}

/// How to list.
pub(super) struct How<'a> {
    pub(super) query: &'a str,
    pub(super) corpus: &'a Corpus,
    pub(super) order: Option<&'a str>,
    pub(super) limit: usize,
    pub(super) token: Option<&'a str>,
}

impl Client<'_> {
    /// One page of files ("files.list"). Uploads that are not finished are left out.
    pub(super) async fn files(&self, how: &How<'_>) -> Result<Found> {
        let size = how.limit.clamp(1, MAX_PAGE).to_string();
        let fields = format!("nextPageToken,files({})", self.fields());
        let mut query = vec![
            ("q", how.query),
            ("pageSize", &size),
            ("fields", &fields),
            ("supportsAllDrives", "true"),
            ("includeItemsFromAllDrives", "true"),
            ("spaces", "drive"),
        ];
        match how.corpus {
            Corpus::User => query.push(("corpora", "user")),
            Corpus::All => query.push(("corpora", "allDrives")),
            Corpus::Drive(id) => query.extend([("corpora", "drive"), ("driveId", &**id)]),
        }
        query.extend(how.order.map(|order| ("orderBy", order)));
        query.extend(how.token.map(|token| ("pageToken", token)));
        let url = self.url(&["files"], &query)?;
        let list: FileList = self.json(Request::new("files_list", Method::GET, url)).await?;
        let items: Result<Vec<Item>> =
            list.files.into_iter().map(|file| self.item_from(file)).collect();
        let mut items = items?;
        items.retain(|item| !item.is_unfinished());
        Ok(Found { items, next: list.next_page_token.filter(|token| !token.is_empty()) })
    }

    /// One page of the shared drives ("drives.list").
    pub(super) async fn drives(
        &self,
        limit: usize,
        token: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let size = limit.clamp(1, MAX_DRIVES).to_string();
        let fields = if self.cx.raw { "*" } else { DRIVE_FIELDS };
        let mut query = vec![("pageSize", size.as_str()), ("fields", fields)];
        query.extend(token.map(|token| ("pageToken", token)));
        let url = self.url(&["drives"], &query)?;
        let list: DriveList = self.json(Request::new("drives_list", Method::GET, url)).await?;
        Ok((list.drives, list.next_page_token.filter(|token| !token.is_empty())))
    }

    /// A shared drive as a folder.
    pub(super) fn drive_entry(&self, value: Value) -> Result<Entry> {
        let raw = self.cx.raw.then(|| value.clone());
        let drive: SharedDrive = serde_json::from_value(value).map_err(|cause| {
            Error::new(Kind::Broken, "Google's answer is not the JSON expected.").because(cause)
        })?;
        let item = Item {
            id: drive.id.clone(),
            name: drive.name,
            mime_type: FOLDER.to_owned(),
            drive_id: Some(drive.id),
            created_time: drive.created_time,
            capabilities: drive.capabilities,
            raw,
            ..Item::default()
        };
        Ok(item.entry(""))
    }

    /// A file as an entry, its folder named as our ids do.
    pub(super) async fn entry(&self, item: Item) -> Result<Entry> {
        // Drive calls the top of every shared drive "Drive"; its name is told elsewhere.
        if item.is_drive() {
            let fields = if self.cx.raw { "*" } else { "id,name,createdTime,capabilities" };
            let url = self.url(&["drives", &item.id], &[("fields", fields)])?;
            let drive = self.json::<Value>(Request::new("drives_get", Method::GET, url)).await?;
            return self.drive_entry(drive);
        }
        let root = self.root().await?;
        Ok(item.entry(&root))
    }

    /// Files as entries.
    pub(super) async fn entries(&self, items: Vec<Item>) -> Result<Vec<Entry>> {
        let root = self.root().await?;
        Ok(items.into_iter().map(|item| item.entry(&root)).collect())
    }
}

const DRIVE_FIELDS: &str = "nextPageToken,drives(id,name,createdTime,capabilities(canAddChildren))";

/// Where a listing goes on.
#[derive(Debug, PartialEq, Eq)]
enum Cursor {
    /// At Drive's page token, in this shared drive or none.
    Upstream(Option<Arc<str>>, String),
    /// At the n-th of our own folders.
    Virtual(usize),
}

impl Cursor {
    fn read(text: &str) -> Result<Self> {
        let stale = || Error::new(Kind::CursorExpired, "This cursor is not one of this listing.");
        if let Some(number) = text.strip_prefix("v:") {
            return number.parse().map(Self::Virtual).map_err(|_| stale());
        }
        let (drive, token) =
            text.strip_prefix("p:").and_then(|rest| rest.split_once(':')).ok_or_else(stale)?;
        let fits = drive.is_empty() || super::ids::is_id(drive);
        if !fits || token.is_empty() {
            return Err(stale());
        }
        let drive = Some(drive).filter(|drive| !drive.is_empty()).map(Arc::from);
        Ok(Self::Upstream(drive, token.to_owned()))
    }

    fn write(&self) -> String {
        match self {
            Self::Upstream(drive, token) => format!("p:{}:{token}", drive.as_deref().unwrap_or("")),
            Self::Virtual(at) => format!("v:{at}"),
        }
    }
}

/// One page of a folder.
pub(super) async fn list(
    client: &Client<'_>,
    folder: &NativeId,
    page: &PageRequest,
) -> Result<Page<Entry>> {
    let target = Target::of(folder).ok_or_else(|| missing(EntryKind::Folder))?;
    let cursor = page.cursor.as_deref().map(Cursor::read).transpose()?;
    match target {
        Target::Root => root(client, cursor, page.limit).await,
        Target::Drives => drives(client, cursor, page.limit).await,
        Target::Shared => {
            let (drive, token) = upstream(cursor)?;
            listed(client, query::SHARED, drive, token, page.limit).await
        }
        Target::Item(id) => {
            let wanted = query::children(id);
            if cursor.is_some() {
                let (drive, token) = upstream(cursor)?;
                return listed(client, &wanted, drive, token, page.limit).await;
            }
            // Drive lists a file, or a folder in the trash, as an empty folder: look at it as well.
            let guess = client.known_drive(id).flatten();
            let check = client.get(id, EntryKind::Folder);
            let items = listed(client, &wanted, guess.clone(), None, page.limit);
            let (folder, found) = futures::future::join(check, items).await;
            let drive = folder?.drive_id.as_deref().map(Arc::from);
            if drive == guess {
                return found;
            }
            listed(client, &wanted, drive, None, page.limit).await
        }
    }
}

fn upstream(cursor: Option<Cursor>) -> Result<(Option<Arc<str>>, Option<String>)> {
    match cursor {
        None => Ok((None, None)),
        Some(Cursor::Upstream(drive, token)) => Ok((drive, Some(token))),
        Some(Cursor::Virtual(_)) => {
            Err(Error::new(Kind::CursorExpired, "This cursor is not one of this listing."))
        }
    }
}

async fn listed(
    client: &Client<'_>,
    query: &str,
    drive: Option<Arc<str>>,
    token: Option<String>,
    limit: usize,
) -> Result<Page<Entry>> {
    let corpus = Corpus::from(drive.clone());
    let how = How { query, corpus: &corpus, order: None, limit, token: token.as_deref() };
    let found = client.files(&how).await?;
    let next = found.next.map(|token| Cursor::Upstream(drive, token).write());
    Ok(Page { items: client.entries(found.items).await?, next })
}

/// My Drive, and after its own items the folders of shared drives and of what others shared.
async fn root(client: &Client<'_>, cursor: Option<Cursor>, limit: usize) -> Result<Page<Entry>> {
    let mut page = match cursor {
        Some(Cursor::Virtual(at)) => {
            return Ok(virtual_page(Vec::new(), at, limit));
        }
        cursor => {
            let (drive, token) = upstream(cursor)?;
            listed(client, &query::children(ROOT), drive, token, limit).await?
        }
    };
    if page.next.is_none() {
        let items = std::mem::take(&mut page.items);
        page = virtual_page(items, 0, limit);
    }
    Ok(page)
}

fn virtual_page(mut items: Vec<Entry>, from: usize, limit: usize) -> Page<Entry> {
    let room = limit.saturating_sub(items.len());
    let more = VIRTUAL.iter().skip(from).take(room);
    items.extend(more.map(|(id, name)| virtual_folder(id, name)));
    let at = from.saturating_add(room);
    let next = (at < VIRTUAL.len()).then(|| Cursor::Virtual(at).write());
    Page { items, next }
}

async fn drives(client: &Client<'_>, cursor: Option<Cursor>, limit: usize) -> Result<Page<Entry>> {
    let (_, token) = upstream(cursor)?;
    let (drives, next) = client.drives(limit, token.as_deref()).await?;
    let items: Result<Vec<Entry>> =
        drives.into_iter().map(|drive| client.drive_entry(drive)).collect();
    Ok(Page { items: items?, next: next.map(|token| Cursor::Upstream(None, token).write()) })
}

/// The child with exactly this name. Of several, a file goes before a folder, and what changed last
/// before what changed earlier.
pub(super) async fn child(client: &Client<'_>, at: &Place) -> Result<Option<Entry>> {
    let target = Target::of(&at.parent).ok_or_else(|| missing(EntryKind::Folder))?;
    let ours = |id: &str| VIRTUAL.iter().find(|(own, name)| *own == id && *name == at.name);
    match target {
        Target::Root => {
            if let Some(item) = namesake(client, ROOT, &at.name).await? {
                return client.entry(item).await.map(Some);
            }
            let own = [DRIVES, SHARED].into_iter().find_map(ours);
            Ok(own.map(|(id, name)| virtual_folder(id, name)))
        }
        Target::Item(id) => match namesake(client, id, &at.name).await? {
            Some(item) => client.entry(item).await.map(Some),
            None => Ok(None),
        },
        // Few enough to be looked through.
        Target::Drives | Target::Shared => {
            let mut request = PageRequest::first(MAX_PAGE);
            for _ in 0..MAX_NAMESAKES {
                let page = list(client, &at.parent, &request).await?;
                let found = page.items.into_iter().find(|entry| entry.name == at.name);
                match (found, page.next) {
                    (Some(found), _) => return Ok(Some(found)),
                    (None, Some(next)) => request = PageRequest::after(next, MAX_PAGE),
                    (None, None) => break,
                }
            }
            Ok(None)
        }
    }
}

/// The item with exactly this name in a folder of Drive's.
pub(super) async fn namesake(
    client: &Client<'_>,
    folder: &str,
    name: &str,
) -> Result<Option<Item>> {
    let corpus = Corpus::from(client.drive_of(folder).await?);
    let query = query::named(folder, name);
    let mut token = None;
    let mut best: Option<Item> = None;
    for _ in 0..MAX_NAMESAKES {
        let how = How {
            query: &query,
            corpus: &corpus,
            order: Some("modifiedTime desc"),
            limit: 100,
            token: token.as_deref(),
        };
        let found = client.files(&how).await?;
        for item in found.items.into_iter().filter(|item| item.name == name) {
            if !item.is_folder() {
                return Ok(Some(item));
            }
            best = best.or(Some(item));
        }
        token = found.next;
        if token.is_none() {
            break;
        }
    }
    Ok(best)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_were() {
        for cursor in [
            Cursor::Upstream(None, "~!!~a:b".into()),
            Cursor::Upstream(Some("0Ad".into()), "t".into()),
            Cursor::Virtual(1),
        ] {
            assert_eq!(Cursor::read(&cursor.write()).unwrap(), cursor);
        }
        for bad in ["", "x", "p:", "p::", "p:a/b:t", "v:x", "v:-1"] {
            assert_eq!(Cursor::read(bad).unwrap_err().kind, Kind::CursorExpired, "{bad}");
        }
    }

    #[test]
    fn our_own_folders_fill_a_page_and_no_more() {
        let page = virtual_page(Vec::new(), 0, 1);
        assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("v:1")));
        let page = virtual_page(Vec::new(), 1, 1);
        assert_eq!((page.items.len(), page.next), (1, None));
        let page = virtual_page(vec![virtual_folder("a", "a")], 0, 1);
        assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("v:0")));
        assert!(virtual_page(Vec::new(), 99, 5).items.is_empty());
    }
}
