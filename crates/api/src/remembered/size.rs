//! How much lies in a folder: by what is remembered, else by a walk as far as one goes.

use serde::Serialize;
use tramontane_connector::{Entry, Storage as _};
use tramontane_feeds::state::Size;
use tramontane_model::{NativeId, Op, PageRequest, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::problem::Answer;

/// Entries of a page of the walk.
const PAGE: usize = 1_000;

/// How much lies in a folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FolderSize {
    /// The folder.
    id: String,
    /// Always `folder_size`.
    r#type: &'static str,
    /// Always `storage`.
    api: &'static str,
    /// The account.
    account: i64,
    /// Bytes of all files in it and below it.
    size: u64,
    /// Files in it and below it.
    files: u64,
    /// Folders in it and below it.
    folders: u64,
    /// Files whose size is not known: they count no bytes.
    unsized_files: u64,
    /// Whether that is all. There was too much to look at when it is not, and there is at least so much.
    complete: bool,
    /// Whether it is what the activity feed remembers; else the folders were listed.
    remembered: bool,
    /// When it was so: for what is remembered, when something was last noticed in the account.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

/// `GET /storage/folders/{folder}/size`.
///
/// # Errors
/// `not_found`; what the service says.
pub(crate) async fn retrieve(account: Account) -> Answer {
    let folder = account.folder().await?;
    let storage = account.storage_for(Op::FolderListRecursively)?;
    let entry = storage.get(&account.cx(), &folder).await?;
    let known = remembered(&account, &entry).await?;
    let (remembered, now) = (known.is_some(), account.app().now());
    let size = match known {
        Some(size) => size,
        None => walked(&account, &folder.id).await?,
    };
    ok(&FolderSize {
        id: account.param("folder").to_owned(),
        r#type: "folder_size",
        api: "storage",
        account: account.id().number(),
        size: size.bytes,
        files: size.files,
        folders: size.folders,
        unsized_files: size.unsized_files,
        complete: size.whole,
        remembered,
        as_of: size.synced.map_or(now, Timestamp::from_micros),
    })
}

async fn remembered(account: &Account, folder: &Entry) -> Answer<Option<Size>> {
    if account.as_user().is_some() {
        return Ok(None);
    }
    let root = account.storage()?.root(&account.opened.account);
    let states = account.app().states();
    let size = states.size(account.id().number(), &root, &folder.id).await?;
    // A folder that only holds drives or libraries, which have places of their own in what is remembered.
    let holds_others = folder.id != root && !folder.can_create_folders && !folder.can_upload_files;
    Ok(size.filter(|size| !(size.scattered && holds_others)))
}

/// Lists everything below a folder, as far as there is time and as much as a walk may.
async fn walked(account: &Account, folder: &NativeId) -> Answer<Size> {
    let storage = account.storage_for(Op::FolderListRecursively)?;
    let cx = account.cx();
    let enough = cx.time_left() / 2;
    let (mut size, mut cursor) = (Size::default(), None);
    loop {
        let request = PageRequest { cursor, limit: PAGE };
        let page = storage.list_tree(&cx, folder, &request).await?;
        for entry in page.items.into_iter().map(|item| item.entry) {
            if entry.is_folder() {
                size.folders += 1;
                continue;
            }
            size.files += 1;
            size.unsized_files += u64::from(entry.size.is_none());
            size.bytes = size.bytes.saturating_add(entry.size.unwrap_or(0));
        }
        size.whole = page.next.is_none();
        let many = size.files + size.folders > storage.ceilings().walk_items;
        if size.whole || many || cx.time_left() < enough {
            return Ok(size);
        }
        cursor = page.next;
    }
}
