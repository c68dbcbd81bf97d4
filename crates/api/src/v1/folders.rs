//! Folders: create, metadata, contents, rename, move, copy, delete (wire API, sections 23, 47).

use http::HeaderMap;
use tramontane_connector::storage::{DeleteOptions, TreeEntry};
use tramontane_connector::{Entry, EntryKind, Place, Storage as _};
use tramontane_model::{NativeId, Op, PageRequest};

use crate::account::Account;
use crate::answer::{empty, made, ok};
use crate::json::JsonBody;
use crate::objects::Shown;
use crate::paging::{List, TokenPage};
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::v1::upload::check_name;
use crate::v1::{conflict, files, moves};

/// `POST /storage/folders`.
///
/// # Errors
/// As section 23.
pub async fn create(account: Account, query: Query, body: JsonBody) -> Answer {
    let policy = conflict::making_folder(&query)?;
    let name = body.required_text("name")?;
    check_name(&name)?;
    let parent = match body.text("parent_id")? {
        Some(id) => account.parent(&id).await?,
        None => account.parent("root").await?,
    };
    let storage = account.storage_for(Op::FolderCreate)?;
    let placed = storage.make_folder(&account.cx(), &Place::new(parent, name), policy).await?;
    made(placed.created, &Render::new(&account, &query)?.one(placed.entry).await?)
}

/// `GET /storage/folders/{folder}`.
///
/// # Errors
/// `not_found`; what the service says.
pub async fn retrieve(account: Account, query: Query, headers: HeaderMap) -> Answer {
    let folder = account.folder().await?;
    let render = Render::new(&account, &query)?;
    let entry = account.storage_for(Op::FolderRead)?.get(&account.cx(), &folder).await?;
    files::show(&render, entry, &headers).await
}

/// `GET /storage/folders/{folder}/contents`.
///
/// # Errors
/// As sections 7, 23 and 47.
pub async fn contents(account: Account, query: Query) -> Answer {
    let folder = account.folder().await?;
    let render = Render::new(&account, &query)?;
    let kind = match query.text("types") {
        None | Some("file,folder" | "folder,file") => None,
        Some("file") => Some(EntryKind::File),
        Some("folder") => Some(EntryKind::Folder),
        Some(_) => return Err(Problem::invalid("types", "must be file or folder")),
    };
    let depth = query.number("max_depth", 1, 100_000)?;
    let depth = depth.and_then(|depth| u32::try_from(depth).ok());
    if query.flag("recursive")? == Some(true) {
        let listing = Tree { account: &account, folder: &folder.id, kind, depth };
        return ok(&listing.page(&query, &render).await?);
    }
    let context = format!("{}|contents|{}|{kind:?}", account.scope(), folder.id);
    let page = TokenPage::<String>::read(account.app(), &query, context).await?;
    let storage = account.storage_for(Op::FolderList)?;
    let cx = account.cx();
    let mut ask = PageRequest { cursor: page.at.clone(), limit: page.size };
    let (entries, next) = loop {
        let found = storage.list(&cx, &folder.id, &ask).await?;
        let entries: Vec<Entry> = found
            .items
            .into_iter()
            .filter(|entry| kind.is_none_or(|kind| entry.kind == kind))
            .collect();
        // Existing iterators stop at an empty page, so one is never given while there is more.
        match found.next {
            Some(next) if entries.is_empty() => ask = PageRequest::after(next, page.size),
            next => break (entries, next),
        }
    };
    ok(&page.answer("storage", render.many(entries).await?, next)?)
}

/// Everything below a folder.
struct Tree<'a> {
    account: &'a Account,
    folder: &'a NativeId,
    kind: Option<EntryKind>,
    depth: Option<u32>,
}

impl Tree<'_> {
    async fn page(&self, query: &Query, render: &Render<'_>) -> Answer<List<Shown>> {
        let context = format!(
            "{}|tree|{}|{:?}|{:?}",
            self.account.scope(),
            self.folder,
            self.kind,
            self.depth
        );
        let page = TokenPage::<String>::read(self.account.app(), query, context).await?;
        let storage = self.account.storage_for(Op::FolderListRecursively)?;
        let cx = self.account.cx();
        let mut ask = PageRequest { cursor: page.at.clone(), limit: page.size };
        let (found, next): (Vec<TreeEntry>, _) = loop {
            let found = storage.list_down_to(&cx, self.folder, self.depth, &ask).await?;
            let wanted = |one: &TreeEntry| self.kind.is_none_or(|kind| one.entry.kind == kind);
            let items: Vec<TreeEntry> = found.items.into_iter().filter(wanted).collect();
            match found.next {
                Some(next) if items.is_empty() => ask = PageRequest::after(next, page.size),
                next => break (items, next),
            }
        };
        let depths: Vec<u32> = found.iter().map(|one| one.depth).collect();
        let entries = found.into_iter().map(|one| one.entry).collect();
        let shown = render.tree(entries, &depths).await?;
        page.answer("storage", shown, next)
    }
}

/// `PATCH /storage/folders/{folder}`.
///
/// # Errors
/// As sections 22.4 and 23.
pub async fn update(account: Account, query: Query, headers: HeaderMap, body: JsonBody) -> Answer {
    let folder = account.folder().await?;
    moves::place(&account, &folder, &query, &headers, &body).await
}

/// `POST /storage/folders/{folder}/copy`.
///
/// # Errors
/// As sections 22.5 and 23.
pub async fn copy(account: Account, query: Query, body: JsonBody) -> Answer {
    let folder = account.folder().await?;
    moves::copy(&account, &folder, &query, &body).await
}

/// `DELETE /storage/folders/{folder}`.
///
/// # Errors
/// As section 23.
pub async fn delete(account: Account, query: Query) -> Answer {
    let folder = account.folder().await?;
    let recursive = query.flag("recursive")?.unwrap_or(false);
    let permanent = query.flag("permanent")?.unwrap_or(false);
    let storage = account.storage_for(Op::FolderDelete)?;
    let how = DeleteOptions { recursive, permanent, if_match: None };
    let cx = if recursive { super::upload::long(&account) } else { account.cx() };
    storage.delete(&cx, &folder, &how).await?;
    Ok(empty())
}
