//! The trash (wire API, section 48).

use tramontane_connector::place::free_name;
use tramontane_connector::storage::Trash;
use tramontane_connector::{Conflict, EntryKind, EntryRef, Kind, Place, Storage as _};
use tramontane_fill::Policy;
use tramontane_model::{Code, Op, PageRequest, ResourceId};

use crate::account::Account;
use crate::answer::{empty, made, ok};
use crate::json::JsonBody;
use crate::paging::TokenPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::v1::conflict;
use crate::v1::upload::check_name;

/// So many names are tried when what is restored is kept beside what is there.
const MOST_NAMES: u32 = 100;

fn part(account: &Account, op: Op) -> Answer<&dyn Trash> {
    let storage = account.storage_for(op)?;
    storage.trash().ok_or_else(|| Problem::new(Code::NotImplemented, "The service has no trash."))
}

/// `GET /storage/trash`.
///
/// # Errors
/// `not_implemented`; what the service says.
pub async fn list(account: Account, query: Query) -> Answer {
    account.require_everywhere()?;
    let render = Render::new(&account, &query)?;
    let context = format!("{}|trash", account.scope());
    let page = TokenPage::<String>::read(account.app(), &query, context).await?;
    let trash = part(&account, Op::TrashList)?;
    let cx = account.cx();
    let mut ask = PageRequest { cursor: page.at.clone(), limit: page.size };
    let (entries, next) = loop {
        let found = trash.list(&cx, &ask).await?;
        match found.next {
            Some(next) if found.items.is_empty() => ask = PageRequest::after(next, page.size),
            next => break (found.items, next),
        }
    };
    let mut shown = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut object = render.object(entry);
        // In the trash these two are always there, be it as null.
        object.extra().trashed.get_or_insert(None);
        object.extra().original_parent.get_or_insert(None);
        shown.push(render.cut(object)?);
    }
    ok(&page.answer("storage", shown, next)?)
}

/// `POST /storage/files/{file}/restore`.
///
/// # Errors
/// As section 48.
pub async fn restore_file(account: Account, query: Query, body: JsonBody) -> Answer {
    restore(&account, EntryKind::File, "file", &query, &body).await
}

/// `POST /storage/folders/{folder}/restore`.
///
/// # Errors
/// As section 48.
pub async fn restore_folder(account: Account, query: Query, body: JsonBody) -> Answer {
    restore(&account, EntryKind::Folder, "folder", &query, &body).await
}

async fn restore(
    account: &Account,
    kind: EntryKind,
    param: &str,
    query: &Query,
    body: &JsonBody,
) -> Answer {
    account.require_everywhere()?;
    let of = read(account.param(param), Some(kind)).ok_or_else(|| Problem::not_found(param))?;
    let policy = conflict::placing(query)?;
    let how = if policy == Policy::Replace { Conflict::Replace } else { Conflict::Fail };
    let name = body.text("name")?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let parent = match body.text("parent_id")? {
        None => None,
        Some(id) => Some(account.parent(&id).await?),
    };
    let trash = part(account, Op::TrashRestore)?;
    let cx = account.cx();
    let beside = policy == Policy::KeepBoth;
    let to = match (parent, name) {
        (None, None) if !beside => None,
        (Some(parent), Some(name)) => Some(Place::new(parent, name)),
        (parent, name) => {
            let trashed = find(trash, &cx, &of).await?;
            let from = trashed.trashed.and_then(|trashed| trashed.original_parent);
            let parent = parent.or(from).ok_or_else(|| {
                Problem::invalid("parent_id", "is required: the original folder is not known")
            })?;
            Some(Place::new(parent, name.unwrap_or(trashed.name)))
        }
    };
    let entry = match &to {
        Some(to) if beside => restore_beside(trash, &cx, &of, to).await?,
        to => trash.restore(&cx, &of, to.as_ref(), how).await?,
    };
    made(false, &Render::new(account, query)?.one(entry).await?)
}

/// Restores under the first name that is free, as section 10 counts them. The service decides whether
/// a name is: nothing is looked up before.
async fn restore_beside(
    trash: &dyn Trash,
    cx: &tramontane_connector::Cx,
    of: &EntryRef,
    to: &Place,
) -> Answer<tramontane_connector::Entry> {
    let mut at = to.clone();
    for number in 1..=MOST_NAMES {
        match trash.restore(cx, of, Some(&at), Conflict::Fail).await {
            Err(error) if matches!(error.kind, Kind::Conflict(_)) => {
                at.name = free_name(&to.name, number, of.kind == EntryKind::Folder);
            }
            done => return Ok(done?),
        }
    }
    let text = format!("The first {MOST_NAMES} names beside \"{}\" are taken.", to.name);
    Err(Problem::new(Code::NamingConflict, text))
}

async fn find(
    trash: &dyn Trash,
    cx: &tramontane_connector::Cx,
    of: &EntryRef,
) -> Answer<tramontane_connector::Entry> {
    let mut ask = PageRequest::first(1_000);
    loop {
        let page = trash.list(cx, &ask).await?;
        if let Some(found) = page.items.into_iter().find(|entry| entry.reference() == *of) {
            return Ok(found);
        }
        match page.next {
            Some(next) => ask = PageRequest::after(next, 1_000),
            None => return Err(Problem::not_found(of.kind.as_str())),
        }
    }
}

/// `DELETE /storage/trash/{object}`.
///
/// # Errors
/// As section 48.
pub async fn purge(account: Account) -> Answer {
    account.require_everywhere()?;
    let of = read(account.param("object"), None).ok_or_else(|| Problem::not_found("object"))?;
    part(&account, Op::TrashList)?.purge(&account.cx(), &of).await?;
    Ok(empty())
}

/// `DELETE /storage/trash`.
///
/// # Errors
/// As section 48.
pub async fn clear(account: Account) -> Answer {
    account.require_everywhere()?;
    part(&account, Op::TrashList)?.empty(&account.cx()).await?;
    Ok(empty())
}

fn read(id: &str, kind: Option<EntryKind>) -> Option<EntryRef> {
    let id = ResourceId::parse(id)?;
    let own = match id.kind {
        Some(tramontane_model::Kind::File) => EntryKind::File,
        Some(tramontane_model::Kind::Folder) => EntryKind::Folder,
        None => kind.unwrap_or(EntryKind::File),
        Some(_) => return None,
    };
    let fits = kind.is_none_or(|kind| kind == own);
    fits.then_some(EntryRef { kind: own, id: id.native })
}
