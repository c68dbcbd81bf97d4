//! What changed, by `list_folder`'s cursors over the whole tree, and the long poll that tells of news.
//!
//! "Detecting Changes Guide" (<https://developers.dropbox.com/detecting-changes-guide>) and the reference
//! of `files/list_folder`, its `continue`, `get_latest_cursor` and `longpoll`
//! (<https://www.dropbox.com/developers/documentation/http/documentation>).

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::changes::{
    Change, ChangeFacts, ChangePage, Changes, Collection, KeyedBy, ListingPage, Seen, Waited,
};
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{Account, Cx, EntryKind, Error, Push, Repeat, Result};
use tramontane_model::NativeId;

use super::api::{Api, Hosts};
use super::entry::{Metadata, ROOT, ROOT_NAME, folder_of};
use super::fault::fault;
use super::listing::Parents;
use super::lookup;
use super::storage::DropboxStorage;

/// The longest page that `list_folder` takes.
const PAGE: usize = 2_000;
/// The most folders that are asked for by their paths for one page of changes.
const MAX_LOOKUPS: usize = 50;
/// The shortest and the longest that a long poll takes, in seconds.
const POLL: (u64, u64) = (30, 480);
/// What Dropbox adds to a long poll "to avoid thundering herds", in seconds at most.
const JITTER: u64 = 90;

/// How the feed behaves. Cursors have no life that is documented: they may be `reset` when they were not
/// used for long, so that each is used every other day.
const FACTS: ChangeFacts = ChangeFacts {
    keyed_by: KeyedBy::Path,
    // What lies in a folder that moved is told of, each at its new path.
    silent_below: false,
    splits_moves: true,
    at_least: Duration::from_secs(10),
    at_most: Duration::from_secs(2 * 86_400),
    backstop: Duration::from_secs(3_600),
    waits: true,
};

/// The arguments that a cursor keeps: everything that [`tramontane_connector::Storage::list`] shows. A
/// shared folder in the tree ("mounted") is part of it.
fn argument() -> Value {
    json!({
        "path": "", "recursive": true, "include_deleted": false, "include_mounted_folders": true,
        "include_non_downloadable_files": true, "limit": PAGE,
    })
}

/// `ListFolderResult`.
#[derive(Deserialize)]
struct Listed {
    entries: Vec<Value>,
    cursor: String,
    has_more: bool,
}

/// `ListFolderLongpollResult`.
#[derive(Deserialize)]
struct Polled {
    changes: bool,
    backoff: Option<u64>,
}

impl Listed {
    /// Guards against a listing that turns in a circle.
    fn after(self, cursor: &str) -> Result<Self> {
        if self.has_more && self.cursor == cursor {
            return Err(Error::new(Kind::Broken, "Dropbox's listing does not come to an end."));
        }
        Ok(self)
    }
}

/// The ids of folders by their paths, as far as one page tells of them. Nothing is remembered beyond it:
/// another folder may have come to a path since.
struct Folders<'a> {
    api: Api<'a>,
    known: HashMap<String, Option<NativeId>>,
    asked: usize,
}

impl Folders<'_> {
    fn forget(&mut self, gone: &str) {
        self.known.retain(|path, _| {
            path.strip_prefix(gone).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
    }

    /// The folder at a path. `None` when nothing is there any more, which a later page tells of, or when
    /// too many were asked for.
    async fn find(&mut self, path: &str) -> Result<Option<Parent>> {
        if path.is_empty() {
            return Ok(Some(Parent { id: NativeId::new(ROOT), name: Some(ROOT_NAME.into()) }));
        }
        let known = match self.known.get(path) {
            Some(known) => known.clone(),
            None if self.asked >= MAX_LOOKUPS => None,
            None => {
                self.asked += 1;
                let found = lookup::at(&self.api, path).await?;
                let folder = found.filter(|found| found.kind() == EntryKind::Folder);
                let id = folder.map(|found| found.native()).transpose()?;
                self.known.insert(path.to_owned(), id.clone());
                id
            }
        };
        Ok(known.map(|id| Parent { id, name: None }))
    }
}

/// What one entry of a page says. A deleted one has a path and no id.
fn there(found: Metadata, parent: Option<Parent>) -> Result<Change> {
    let key = found.path_lower.clone();
    let (at, _) = found.content();
    let entry = found.entry(parent)?;
    let by = entry.last_modifier.clone();
    Ok(Change {
        seen: Seen::There { entry: Box::new(entry), key, sharing: None },
        at,
        by,
        hint: None,
    })
}

fn gone(found: &Metadata) -> Change {
    let seen = Seen::Gone { key: found.key().to_owned(), trashed: None };
    Change { seen, at: None, by: None, hint: None }
}

#[async_trait]
impl Changes for DropboxStorage {
    fn facts(&self, _account: &Account) -> ChangeFacts {
        FACTS
    }

    /// One: the tree that the account's paths begin in, be it the user's home or the team's space.
    async fn collections(&self, _cx: &Cx) -> Result<Vec<Collection>> {
        Ok(vec![Collection { id: String::new(), root: NativeId::new(ROOT) }])
    }

    async fn latest(&self, cx: &Cx, _of: &Collection) -> Result<String> {
        #[derive(Deserialize)]
        struct Latest {
            cursor: String,
        }
        let function = "files/list_folder/get_latest_cursor";
        let latest: Latest = self.api(cx).look(function, &argument()).await?;
        Ok(latest.cursor)
    }

    /// "Entries are in order": what is gone and comes again at a path comes in this order. A move is a path
    /// that is gone and another one that is there with the same id, in either order, perhaps not on the same
    /// page.
    async fn changes(&self, cx: &Cx, _of: &Collection, cursor: &str) -> Result<ChangePage> {
        let api = self.api(cx);
        let listed = api.look("files/list_folder/continue", &json!({"cursor": cursor})).await;
        let listed = listed.and_then(|listed: Listed| listed.after(cursor))?;
        let mut folders = Folders { api, known: HashMap::new(), asked: 0 };
        let mut changes = Vec::with_capacity(listed.entries.len());
        for value in listed.entries {
            let found = Metadata::read(value, cx.raw)?;
            if found.is_deleted() {
                folders.forget(found.key());
                changes.push(gone(&found));
                continue;
            }
            if found.kind() == EntryKind::Folder {
                folders.known.insert(found.key().to_owned(), Some(found.native()?));
            }
            let parent = folders.find(folder_of(found.key())).await?;
            changes.push(there(found, parent)?);
        }
        Ok(ChangePage { changes, next: listed.cursor, more: listed.has_more, collections: false })
    }

    async fn listing(&self, cx: &Cx, _of: &Collection, at: Option<&str>) -> Result<ListingPage> {
        let api = self.api(cx);
        let listed = match at {
            Some(at) => api.look("files/list_folder/continue", &json!({"cursor": at})).await,
            None => api.look("files/list_folder", &argument()).await,
        };
        let listed = listed.and_then(|listed: Listed| listed.after(at.unwrap_or_default()))?;
        // Folders come before what is in them, so that most are known when they are needed.
        let mut parents = Parents::new(self, cx);
        let mut entries = Vec::with_capacity(listed.entries.len());
        for value in listed.entries {
            let found = Metadata::read(value, cx.raw)?;
            if found.is_deleted() {
                entries.push(gone(&found));
                continue;
            }
            if found.kind() == EntryKind::Folder {
                parents.learn(found.key(), &found.native()?);
            }
            let parent = parents.find(folder_of(found.key())).await?;
            entries.push(there(found, parent)?);
        }
        let (next, cursor) = match listed.has_more {
            true => (Some(listed.cursor), None),
            false => (None, Some(listed.cursor)),
        };
        Ok(ListingPage { entries, next, cursor })
    }

    /// `list_folder/longpoll`, which takes no credential: the cursor is one. It lasts 30 to 480 seconds, and
    /// up to 90 more.
    async fn wait(
        &self,
        cx: &Cx,
        _of: &Collection,
        cursor: &str,
        within: Duration,
    ) -> Result<Waited> {
        const FUNCTION: &str = "files/list_folder/longpoll";
        let seconds = within.as_secs().saturating_sub(JITTER).clamp(POLL.0, POLL.1);
        let url = Hosts::join(&self.hosts.notify, &format!("2/{FUNCTION}"))?;
        let body = json!({"cursor": cursor, "timeout": seconds}).to_string();
        let request = Request::new(FUNCTION, Method::POST, url).repeat(Repeat::Yes);
        let mut request = request.header(header::CONTENT_TYPE, "application/json").bytes(body);
        request.signed = false;
        request.follow = false;
        let waiting = cx.waiting(within.saturating_add(Duration::from_secs(10)));
        let polled = async {
            let answer = waiting.send(request).await?;
            if !answer.status.is_success() {
                return Err(fault(FUNCTION, answer).await);
            }
            answer.json::<Polled>().await
        };
        // To break it off loses nothing: the cursor stays where it is.
        let Ok(polled) = tokio::time::timeout(within, polled).await else {
            return Ok(Waited::default());
        };
        let polled = polled?;
        let back_off = polled.backoff.map(|wait| Duration::from_secs(wait.min(3_600)));
        Ok(Waited { changed: polled.changes, back_off })
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }
}
