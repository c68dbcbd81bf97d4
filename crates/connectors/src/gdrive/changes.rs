//! What changed, by the logs of changes that Drive keeps: one of the user, one of each shared drive.
//!
//! "Retrieve changes" (<https://developers.google.com/workspace/drive/api/guides/manage-changes>) and the
//! reference of `changes`.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tramontane_connector::changes::{
    Change, ChangeFacts, ChangePage, Changes, Collection, KeyedBy, ListingPage, Seen,
};
use tramontane_connector::http::Request;
use tramontane_connector::{Account, Cx, Entry, Push, Result};
use tramontane_model::{NativeId, Timestamp};

use super::api::Client;
use super::ids::{ROOT, VIRTUAL, is_id, missing};
use super::item::{FIELDS, User, virtual_folder};
use super::odd;
use super::storage::DriveStorage;

/// The longest page of both logs and listings.
const PAGE: &str = "1000";
/// The most shared drives that are followed.
const MAX_DRIVES: usize = 999;
/// How many shared drives are asked for at once.
const DRIVES_PAGE: usize = 100;

/// How the logs behave. Page tokens do not expire, as the guide says.
const FACTS: ChangeFacts = ChangeFacts {
    keyed_by: KeyedBy::Id,
    silent_below: true,
    splits_moves: false,
    at_least: Duration::from_secs(10),
    at_most: Duration::from_secs(7 * 86_400),
    // "Notifications are not 100% reliable" (said of all Google's channels, in the Calendar guide).
    backstop: Duration::from_secs(1_800),
    waits: false,
};

/// What the feed needs of a file beyond what an entry does.
const MORE: &str = "permissionIds,shared,trashingUser(permissionId,displayName,emailAddress)";

/// One page of a log ("REST Resource: changes", `changes.list`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    #[serde(default)]
    changes: Vec<Noted>,
    next_page_token: Option<String>,
    new_start_page_token: Option<String>,
}

/// One change of a log: the latest state of a file or a shared drive.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Noted {
    change_type: String,
    removed: bool,
    time: Option<Timestamp>,
    file_id: Option<String>,
    file: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileList {
    #[serde(default)]
    files: Vec<Value>,
    next_page_token: Option<String>,
}

/// Who may see a file, and who threw it away.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct More {
    permission_ids: Option<Vec<String>>,
    shared: Option<bool>,
    trashing_user: Option<User>,
}

impl More {
    fn of(file: &Value) -> Self {
        Self::deserialize(file).unwrap_or_default()
    }

    /// Changes with who may see the file, not with what they may do. Files of shared drives have no
    /// permission ids: who may see them changes with the drive.
    fn sharing(&self) -> Option<u64> {
        let mut ids = self.permission_ids.clone()?;
        ids.sort_unstable();
        let mut hash = Sha256::new();
        hash.update([u8::from(self.shared.unwrap_or_default())]);
        for id in ids {
            hash.update(id.as_bytes());
            hash.update([0]);
        }
        hash.finalize().first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

fn gone(key: String, at: Option<Timestamp>) -> Change {
    Change { seen: Seen::Gone { key, trashed: None }, at, by: None, hint: None }
}

fn there(entry: Entry, at: Option<Timestamp>) -> Change {
    let by = entry.last_modifier.clone();
    let seen = Seen::There { entry: Box::new(entry), key: None, sharing: None };
    Change { seen, at, by, hint: None }
}

/// The shared drive whose log is meant; none for the user's own.
pub(super) fn drive_of(of: &Collection) -> Result<Option<&str>> {
    match of.id.as_str() {
        "" => Ok(None),
        id if is_id(id) => Ok(Some(id)),
        _ => Err(missing(tramontane_connector::EntryKind::Folder)),
    }
}

/// What every call about a log says: which one, and that shared drives are understood.
pub(super) fn log_query<'a>(
    drive: Option<&'a str>,
    token: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let mut query = vec![("supportsAllDrives", "true")];
    query.extend(drive.map(|drive| ("driveId", drive)));
    if let Some(token) = token {
        query.extend([
            ("pageToken", token),
            ("pageSize", PAGE),
            ("spaces", "drive"),
            ("includeRemoved", "true"),
            ("includeItemsFromAllDrives", "true"),
            ("includeCorpusRemovals", "true"),
        ]);
    }
    query
}

impl Client<'_> {
    /// What a log says of a file. Whatever lies in another collection is gone from this one.
    async fn noted_file(&self, noted: Noted, drive: Option<&str>) -> Result<Option<Change>> {
        let Noted { file, file_id, removed, time, .. } = noted;
        let top = self.root().await?;
        // The top of a drive goes with the drive.
        if file_id.as_deref().is_some_and(|id| id == &*top || Some(id) == drive) {
            return Ok(None);
        }
        let Some(file) = file.filter(|_| !removed) else {
            return file_id.map(|id| Ok(gone(id, time))).transpose();
        };
        let change = self.file(file, drive, time).await?;
        // A file elsewhere has the id that it had here.
        Ok(change.or_else(|| file_id.map(|id| gone(id, time))))
    }

    /// A file as it is in this collection; `None` when it is not in it, or not whole yet.
    async fn file(
        &self,
        file: Value,
        drive: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<Option<Change>> {
        let more = More::of(&file);
        let item = self.item_from(file)?;
        let root = self.root().await?;
        let is_top = item.is_drive() || item.id == *root;
        if item.drive_id.as_deref() != drive || item.is_unfinished() || is_top {
            return Ok(None);
        }
        let trashed = item.trashed;
        let entry = item.entry(&root);
        if trashed {
            let by = more.trashing_user.map(User::person).or_else(|| entry.last_modifier.clone());
            let seen =
                Seen::Gone { key: entry.id.as_str().to_owned(), trashed: Some(Box::new(entry)) };
            return Ok(Some(Change { seen, at, by, hint: None }));
        }
        let mut change = there(entry, at);
        if let Seen::There { sharing, .. } = &mut change.seen {
            *sharing = more.sharing();
        }
        Ok(Some(change))
    }
}

#[async_trait]
impl Changes for DriveStorage {
    fn facts(&self, _account: &Account) -> ChangeFacts {
        FACTS
    }

    /// The user's own log, which also has what others shared and tells of shared drives that come and go,
    /// and the log of each shared drive, which alone is complete for what is in it.
    async fn collections(&self, cx: &Cx) -> Result<Vec<Collection>> {
        let client = self.client(cx);
        let mut all = vec![Collection { id: String::new(), root: NativeId::new(ROOT) }];
        let mut token: Option<String> = None;
        while all.len() <= MAX_DRIVES {
            let (drives, next) = client.drives(DRIVES_PAGE, token.as_deref()).await?;
            for drive in drives {
                let entry = client.drive_entry(drive)?;
                all.push(Collection { id: entry.id.as_str().to_owned(), root: entry.id });
            }
            if next.is_none() || next == token {
                break;
            }
            token = next;
        }
        all.truncate(MAX_DRIVES.saturating_add(1));
        Ok(all)
    }

    async fn latest(&self, cx: &Cx, of: &Collection) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Start {
            start_page_token: String,
        }
        let client = self.client(cx);
        let url = client.url(&["changes", "startPageToken"], &log_query(drive_of(of)?, None))?;
        let start: Start = client.json(Request::new("changes_start", Method::GET, url)).await?;
        Ok(start.start_page_token)
    }

    /// `changes.list`. The log has one entry for each thing that changed, however often. The user's own log
    /// also names what changes in shared drives: that is gone from here, and there by the drive's own log.
    /// Who changed it is who last modified the file, or threw it away.
    async fn changes(&self, cx: &Cx, of: &Collection, cursor: &str) -> Result<ChangePage> {
        let client = self.client(cx);
        let drive = drive_of(of)?;
        let file = if cx.raw { "*".to_owned() } else { format!("{FIELDS},{MORE}") };
        let fields = format!(
            "nextPageToken,newStartPageToken,changes(changeType,removed,time,fileId,driveId,\
             file({file}))"
        );
        let mut query = log_query(drive, Some(cursor));
        query.push(("fields", &fields));
        let url = client.url(&["changes"], &query)?;
        let log: Log = client.json(Request::new("changes_list", Method::GET, url)).await?;
        let mut page = ChangePage::default();
        for noted in log.changes {
            match noted.change_type.as_str() {
                "drive" => page.collections = true,
                _ => page.changes.extend(client.noted_file(noted, drive).await?),
            }
        }
        page.more = log.next_page_token.is_some();
        let next = log.next_page_token.or(log.new_start_page_token);
        page.next = next.ok_or_else(|| odd("page token"))?;
        Ok(page)
    }

    /// `files.list` over everything. The folders that are not Drive's come first, so that the folder of what
    /// others shared is known.
    async fn listing(&self, cx: &Cx, of: &Collection, at: Option<&str>) -> Result<ListingPage> {
        let client = self.client(cx);
        let drive = drive_of(of)?;
        let mut page = ListingPage::default();
        if at.is_none() && drive.is_none() {
            let own = VIRTUAL.iter().map(|(id, name)| there(virtual_folder(id, name), None));
            page.entries.extend(own);
        }
        let fields = if cx.raw { "*".to_owned() } else { format!("{FIELDS},{MORE}") };
        let fields = format!("nextPageToken,files({fields})");
        let mut query = vec![
            ("q", "trashed = false"),
            ("pageSize", PAGE),
            ("spaces", "drive"),
            ("fields", &fields),
            ("supportsAllDrives", "true"),
        ];
        match drive {
            None => query.extend([("corpora", "user"), ("includeItemsFromAllDrives", "false")]),
            Some(id) => query.extend([
                ("corpora", "drive"),
                ("driveId", id),
                ("includeItemsFromAllDrives", "true"),
            ]),
        }
        query.extend(at.map(|token| ("pageToken", token)));
        let url = client.url(&["files"], &query)?;
        let list: FileList = client.json(Request::new("files_list", Method::GET, url)).await?;
        for file in list.files {
            page.entries.extend(client.file(file, drive, None).await?);
        }
        page.next = list.next_page_token.filter(|token| !token.is_empty());
        Ok(page)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_may_see_a_file_is_told_whatever_the_order() {
        let of = |file: Value| More::of(&file).sharing();
        let two = of(json!({"permissionIds": ["1", "2"], "shared": true}));
        assert_eq!(two, of(json!({"permissionIds": ["2", "1"], "shared": true})));
        assert_ne!(two, of(json!({"permissionIds": ["12"], "shared": true})));
        assert_ne!(two, of(json!({"permissionIds": ["1"], "shared": true})));
        assert_eq!(of(json!({"shared": true})), None);
        // Kept in databases: the same in every release.
        assert_eq!(
            of(json!({"permissionIds": [], "shared": false})).unwrap(),
            0x6e34_0b9c_ffb3_7a98
        );
    }
}
