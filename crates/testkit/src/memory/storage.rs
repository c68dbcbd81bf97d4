//! Files and folders of the service in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tramontane_connector::storage::{
    Content, DeleteOptions, Permissions, Properties, Quota, ReadOptions, SearchQuery,
    ThumbnailSize, Trash, TreeEntry, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Case, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error,
    HashKind, Kind, Limits, Links, NameRules, Place, Result, Semantics, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Ops, Page, PageRequest, Reason, Timestamp};
use url::Url;

use super::Memory;
use super::drive::{Drive, ROOT, etag, hashes, native};

/// The largest file that memory takes.
const MAX_BYTES: usize = 256 << 20;

const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileCreateUnsized,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileRename,
    Op::FileMove,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDeletePermanently,
    Op::FileDownload,
    Op::FileRange,
    Op::FileConditional,
    Op::FileHash,
    Op::FolderCreate,
    Op::FolderRename,
    Op::FolderMove,
    Op::FolderCopy,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::FolderListRecursively,
    Op::SearchName,
    Op::RecentList,
    Op::PermissionsList,
    Op::FilePermissionsWrite,
    Op::FolderPermissionsWrite,
    Op::PropertiesList,
    Op::PropertiesUpdate,
    Op::PropertiesDeleteAll,
    Op::LinkCreate,
    Op::MultipartCreate,
    Op::TrashList,
    Op::TrashRestore,
    Op::VersionsList,
    Op::QuotaRead,
]);

/// One page of what is in memory; the cursor is the number of the items before it.
pub(super) fn page_of<T>(all: Vec<T>, page: &PageRequest) -> Result<Page<T>> {
    let start: usize = match &page.cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::new(Kind::CursorExpired, "The cursor is not one of ours."))?,
    };
    let total = all.len();
    let items: Vec<T> = all.into_iter().skip(start).take(page.limit).collect();
    let end = start + items.len();
    Ok(Page { items, next: (end < total).then(|| end.to_string()) })
}

/// The content from `content` that `how` asks for.
pub(super) fn cut(
    content: &Bytes,
    how: &ReadOptions,
    tag: Option<ETag>,
    modified: Timestamp,
) -> Result<Content> {
    let size = content.len() as u64;
    let (offset, count) = match how.range {
        None => (0, size),
        Some(range) => range.resolve(size).ok_or_else(|| {
            Error::new(Kind::Range(Some(size)), "The range lies outside the content.")
        })?,
    };
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
    let end = start.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
    // Pieces as they come over a network, so that nobody relies on one piece.
    let whole = content.slice(start..end.min(content.len()));
    let pieces: Vec<Result<Bytes>> =
        whole.chunks(64 << 10).map(|piece| Ok(whole.slice_ref(piece))).collect();
    Ok(Content {
        body: Body::new(futures::stream::iter(pieces), Some(count)),
        offset,
        size: Some(size),
        etag: tag,
        modified: Some(modified),
        media_type: None,
    })
}

fn check(at: &Place) -> Result<()> {
    tramontane_connector::place::check_name(&at.name)?;
    if at.name.len() > 255 {
        return Err(Error::invalid("name must be at most 255 bytes long on this service."));
    }
    Ok(())
}

impl Memory {
    /// Makes or replaces a file in one step, as a service does when the last byte is there.
    pub(super) fn put(
        drive: &mut Drive,
        at: &Place,
        content: Bytes,
        how: &WriteOptions,
        now: Timestamp,
    ) -> Result<Entry> {
        let parent = drive.parent_of(at)?;
        let there = drive.in_the_way(parent, &at.name, EntryKind::File, how.conflict)?;
        drive.matches(there, how.if_match.as_ref())?;
        let modified = how.modified.unwrap_or(now);
        let id = match there {
            Some(id) => {
                drive.write(id, content, modified)?;
                id
            }
            None => {
                let id = drive.insert(EntryKind::File, parent, &at.name, now);
                let node = drive.get_mut(id)?;
                node.content = content;
                node.modified = modified;
                id
            }
        };
        drive.entry(id)
    }

    fn copy_node(drive: &mut Drive, from: u64, parent: u64, name: &str, now: Timestamp) -> u64 {
        let Some(mut node) = drive.nodes.get(&from).cloned() else { return from };
        let children: Vec<(u64, String)> =
            drive.children(from).map(|(id, node)| (id, node.name.clone())).collect();
        let id = drive.fresh();
        node.parent = parent;
        name.clone_into(&mut node.name);
        node.created = now;
        node.older.clear();
        node.links.clear();
        drive.nodes.insert(id, node);
        for (child, name) in children {
            Self::copy_node(drive, child, id, &name, now);
        }
        id
    }

    fn movable(drive: &Drive, what: &EntryRef, parent: u64) -> Result<u64> {
        let id = drive.live(what.kind, &what.id)?;
        if id == ROOT {
            return Err(Error::new(Kind::NotAllowed, "The root folder stays where it is."));
        }
        if drive.below(parent, id) {
            return Err(Error::new(Kind::IntoItself, "A folder cannot go into itself."));
        }
        Ok(id)
    }
}

#[async_trait]
impl Storage for Memory {
    fn abilities(&self, _account: &Account) -> Abilities {
        Abilities {
            native: NATIVE,
            reasons: vec![(
                Op::SearchContent,
                Reason::lacks("Memory does not look into what it holds."),
            )],
            semantics: Semantics {
                case: Case::Sensitive,
                duplicate_names: false,
                names: NameRules { max_bytes: 255, forbidden: &[], trailing_dot_or_space: true },
                time_precision_micros: 1,
                stable_ids: true,
                hashes: &[HashKind::Sha256],
                empty_folders: true,
            },
            limits: Limits {
                max_file_bytes: Some(MAX_BYTES as u64),
                account_concurrency: 64,
                service_concurrency: 256,
                account_rate: None,
                max_page: 1_000,
            },
        }
    }

    fn root(&self, _account: &Account) -> NativeId {
        native(ROOT)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.on(cx, |drive| drive.entry(drive.live(of.kind, &of.id)?))
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.on(cx, |drive| {
            let of = drive.live(EntryKind::Folder, folder)?;
            let bad = || Error::new(Kind::CursorExpired, "The cursor is not one of ours.");
            let after: u64 = match &page.cursor {
                None => 0,
                Some(cursor) => cursor.parse().map_err(|_| bad())?,
            };
            let mut ids: Vec<u64> =
                drive.children(of).map(|(id, _)| id).filter(|id| *id > after).collect();
            let more = ids.len() > page.limit;
            ids.truncate(page.limit);
            let next = ids.last().filter(|_| more).map(u64::to_string);
            let items = ids.iter().map(|id| drive.entry(*id)).collect::<Result<_>>()?;
            Ok(Page { items, next })
        })
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            let node = drive.get(id)?;
            if !node.downloadable {
                let text = "This file has no content that can be downloaded.";
                return Err(Error::new(Kind::NotAllowed, text));
            }
            cut(&node.content, how, Some(etag(id, node)), node.modified)
        })
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        self.on(cx, |drive| {
            let parent = drive.parent_of(at)?;
            drive.named(parent, &at.name).map(|id| drive.entry(id)).transpose()
        })
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        check(at)?;
        self.on(cx, |drive| drive.parent_of(at))?;
        let media_type = body.media_type().map(str::to_owned);
        let content = body.checked().collect(MAX_BYTES).await?;
        self.on(cx, |drive| {
            let made = Self::put(drive, at, content, how, cx.now())?;
            let id = drive.live(EntryKind::File, &made.id)?;
            drive.get_mut(id)?.media_type = media_type;
            drive.entry(id)
        })
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        self.on(cx, |drive| drive.matches(Some(drive.live(EntryKind::File, file)?), if_match))?;
        let content = body.checked().collect(MAX_BYTES).await?;
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            drive.matches(Some(id), if_match)?;
            drive.write(id, content, cx.now())?;
            drive.entry(id)
        })
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        check(at)?;
        self.on(cx, |drive| {
            let parent = drive.parent_of(at)?;
            drive.in_the_way(parent, &at.name, EntryKind::Folder, Conflict::Fail)?;
            let id = drive.insert(EntryKind::Folder, parent, &at.name, cx.now());
            drive.entry(id)
        })
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        check(to)?;
        self.on(cx, |drive| {
            drive.live(what.kind, &what.id)?;
            let parent = drive.parent_of(to)?;
            let id = Self::movable(drive, what, parent)?;
            let there = drive.named(parent, &to.name).filter(|there| *there != id);
            if let Some(there) = there {
                let folders =
                    what.kind == EntryKind::Folder && drive.get(there)?.kind == EntryKind::Folder;
                if folders && c == Conflict::Replace {
                    return Err(Error::declined(Op::FolderMove));
                }
                drive.in_the_way(parent, &to.name, what.kind, c)?;
                drive.remove(there);
            }
            let node = drive.get_mut(id)?;
            node.parent = parent;
            to.name.clone_into(&mut node.name);
            drive.entry(id)
        })
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        check(to)?;
        self.on(cx, |drive| {
            drive.live(what.kind, &what.id)?;
            let parent = drive.parent_of(to)?;
            let id = drive.live(what.kind, &what.id)?;
            if drive.below(parent, id) {
                return Err(Error::new(Kind::IntoItself, "A folder cannot go into itself."));
            }
            // A folder with something that has no content is left to the gap filler, which skips it.
            let all = drive.descendants(id);
            let whole =
                all.iter().all(|(id, _)| drive.get(*id).is_ok_and(|node| node.downloadable));
            let merge = drive.named(parent, &to.name).is_some() && c == Conflict::Replace;
            if what.kind == EntryKind::Folder && (merge || !whole) {
                return Err(Error::declined(Op::FolderCopy));
            }
            if !drive.get(id)?.downloadable {
                return Err(Error::declined(Op::FileCopy));
            }
            if let Some(there) = drive.in_the_way(parent, &to.name, what.kind, c)? {
                let (content, modified) = {
                    let node = drive.get(id)?;
                    (node.content.clone(), node.modified)
                };
                if there != id {
                    drive.write(there, content, modified)?;
                }
                return drive.entry(there);
            }
            let made = Self::copy_node(drive, id, parent, &to.name, cx.now());
            drive.entry(made)
        })
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        self.on(cx, |drive| {
            let id = drive.live(what.kind, &what.id)?;
            if id == ROOT {
                return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
            }
            if what.kind == EntryKind::Folder
                && !how.recursive
                && drive.children(id).next().is_some()
            {
                return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
            }
            drive.matches(Some(id), how.if_match.as_ref())?;
            if how.permanent {
                drive.remove(id);
            } else {
                drive.get_mut(id)?.trashed = Some(cx.now());
            }
            Ok(())
        })
    }

    async fn list_tree(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        self.on(cx, |drive| {
            let of = drive.live(EntryKind::Folder, folder)?;
            let page = page_of(drive.descendants(of), page)?;
            let items = page
                .items
                .iter()
                .map(|(id, depth)| Ok(TreeEntry { entry: drive.entry(*id)?, depth: *depth }));
            Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
        })
    }

    async fn search(
        &self,
        cx: &Cx,
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<Entry>> {
        let words = query.text.to_lowercase();
        self.on(cx, |drive| {
            let below = query.below.iter().map(|id| drive.live(EntryKind::Folder, id));
            let below: Vec<u64> = below.collect::<Result<_>>()?;
            let found = drive.descendants(ROOT).into_iter().map(|(id, _)| id).filter(|id| {
                let inside = |folder: &u64| id != folder && drive.below(*id, *folder);
                (below.is_empty() || below.iter().any(inside))
                    && drive.get(*id).is_ok_and(|node| node.name.to_lowercase().contains(&words))
            });
            let page = page_of(found.collect(), page)?;
            let items = page.items.iter().map(|id| drive.entry(*id));
            Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
        })
    }

    async fn recent(&self, cx: &Cx, after: Option<Timestamp>, limit: usize) -> Result<Vec<Entry>> {
        self.on(cx, |drive| {
            let all = drive.descendants(ROOT).into_iter().map(|(id, _)| drive.entry(id));
            let mut files: Vec<Entry> = all
                .filter_map(Result::ok)
                .filter(|entry| !entry.is_folder())
                .filter(|entry| after.is_none_or(|after| entry.modified > Some(after)))
                .collect();
            files.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
            files.truncate(limit);
            Ok(files)
        })
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            match kind {
                HashKind::Sha256 => {
                    hashes(&drive.get(id)?.content).sha256.ok_or_else(|| Error::internal("no hash"))
                }
                _ => Err(Error::declined(Op::FileHash)),
            }
        })
    }

    async fn thumbnail(&self, _cx: &Cx, _file: &NativeId, _size: ThumbnailSize) -> Result<Body> {
        Err(Error::declined(Op::FileThumbnail))
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        self.on(cx, |drive| {
            let used = drive.nodes.values().map(|node| node.content.len() as u64).sum();
            Ok(Quota { used: Some(used), total: Some(1 << 40) })
        })
    }

    async fn download_url(&self, _cx: &Cx, _file: &NativeId, _for: Duration) -> Result<Url> {
        Err(Error::declined(Op::UploadUrlCreate))
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
        Some(self)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    fn permissions(&self) -> Option<&dyn Permissions> {
        Some(self)
    }

    fn properties(&self) -> Option<&dyn Properties> {
        Some(self)
    }

    fn links(&self) -> Option<&dyn Links> {
        Some(self)
    }
}
