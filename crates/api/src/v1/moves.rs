//! Rename, move and copy of files and folders, also to other accounts (wire API, sections 22.4, 22.5,
//! 23).

use http::HeaderMap;
use tramontane_connector::{Cx, EntryKind, EntryRef, Place, Storage as _};
use tramontane_fill::{Side, move_across, transfer};
use tramontane_model::{Code, Op};

use crate::account::Account;
use crate::answer::made;
use crate::json::JsonBody;
use crate::objects::Tags;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::v1::conflict;
use crate::v1::target::{Target, with_link};
use crate::v1::upload::{check_name, long};

/// `PATCH`: another name, another folder, another account.
///
/// # Errors
/// As section 22.4.
pub async fn place(
    account: &Account,
    of: &EntryRef,
    query: &Query,
    headers: &HeaderMap,
    body: &JsonBody,
) -> Answer {
    let policy = conflict::placing(query)?;
    let name = body.text("name")?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let target = Target::read(account, body).await?;
    let (renames, moves) = match of.kind {
        EntryKind::File => (Op::FileRename, Op::FileMove),
        EntryKind::Folder => (Op::FolderRename, Op::FolderMove),
    };
    let storage = account.storage_for(if target.parent.is_some() { moves } else { renames })?;
    let cx = long_unless_quick(account, target.account.is_some() || of.kind == EntryKind::Folder);
    let entry = storage.get(&cx, of).await?;
    match_first(headers, &entry)?;
    let Some(other) = &target.account else {
        let parent = target.parent.or(entry.parent.as_ref().map(|parent| parent.id.clone()));
        let Some(parent) = parent.filter(|_| entry.id != storage.root(&cx.account)) else {
            // The root: nothing to do, or nothing that may be done.
            if name.is_none() && !body.has("parent_id") {
                return made(false, &Render::new(account, query)?.one(entry).await?);
            }
            let text = "The root folder stays where it is.";
            return Err(Problem::new(Code::PermissionDenied, text));
        };
        let to = Place::new(parent, name.unwrap_or_else(|| entry.name.clone()));
        let placed = storage.place(&cx, of, &to, policy).await?;
        return made(false, &Render::new(account, query)?.one(placed.entry).await?);
    };
    let there = other.storage_for(Op::FileCreate)?;
    let there_cx = other.cx().within(there.ceilings().transfer);
    let parent = target.parent.unwrap_or_else(|| there.root(&there_cx.account));
    let to = Place::new(parent, name.unwrap_or_else(|| entry.name.clone()));
    let (from, into) = (Side { storage, cx: &cx }, Side { storage: there, cx: &there_cx });
    let placed = move_across(from, of, into, &to, policy, account.progress()).await?;
    made(false, &Render::new(other, query)?.one(placed.entry).await?)
}

/// `POST .../copy`.
///
/// # Errors
/// As section 22.5.
pub async fn copy(account: &Account, of: &EntryRef, query: &Query, body: &JsonBody) -> Answer {
    let policy = conflict::making(query)?;
    let name = body.text("name")?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let target = Target::read(account, body).await?;
    let Some(parent) = target.parent else {
        return Err(Problem::invalid("parent_id", "is required"));
    };
    let op = if of.kind == EntryKind::File { Op::FileCopy } else { Op::FolderCopy };
    let reads = target.account.as_ref().map_or(op, |_| Op::FileDownload);
    let storage = account.storage_for(reads)?;
    let cx = long_unless_quick(account, true);
    let name = match name {
        Some(name) => name,
        None => storage.get(&cx, of).await?.name,
    };
    let to = Place::new(parent, name);
    let own = target.account.as_ref().unwrap_or(account);
    let placed = match &target.account {
        None => storage.duplicate(&cx, of, &to, policy, account.progress()).await?,
        Some(other) => {
            let there = other.storage_for(Op::FileCreate)?;
            let there_cx = other.cx().within(there.ceilings().transfer);
            let (from, into) = (Side { storage, cx: &cx }, Side { storage: there, cx: &there_cx });
            transfer(from, of, into, &to, policy, account.progress()).await?
        }
    };
    let shown = Render::new(own, query)?.one(placed.entry.clone()).await?;
    with_link(own, query, &placed.entry, shown, true).await
}

/// Work of many bytes has its own ceilings instead of the caller's deadline.
fn long_unless_quick(account: &Account, long_work: bool) -> Cx {
    if long_work { long(account) } else { account.cx() }
}

/// `If-Match` where the service has no conditional form: looked at before anything is done.
///
/// # Errors
/// `precondition_failed`.
pub fn match_first(headers: &HeaderMap, entry: &tramontane_connector::Entry) -> Answer<()> {
    let holds = match Tags::read(headers, http::header::IF_MATCH) {
        None | Some(Tags::Any) => true,
        Some(Tags::These(tags)) => {
            entry.etag.as_ref().is_some_and(|own| !own.weak && tags.contains(own))
        }
    };
    if holds {
        return Ok(());
    }
    let text = "The object has changed: its ETag is not the one in If-Match.";
    Err(Problem::new(Code::PreconditionFailed, text).param("If-Match"))
}
