//! The files of a local folder.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::io::ReaderStream;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Content, DeleteOptions, Quota, ReadOptions};
use tramontane_connector::{
    Abilities, Account, Body, Case, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Limits,
    NameRules, Place, Repeat, Result, Semantics, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Ops, Page, PageRequest, Reason};

use super::disk::Disk;
use super::fault::fault;
use super::path::{LocalPath, ROOT};
use super::upload;

/// How much is read from the disk at once, in bytes.
const CHUNK: usize = 256 << 10;

/// Runs what blocks off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("Work on the disk was cut off.").because(error))?
}

/// The files of local folders.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalStorage;

impl LocalStorage {
    async fn with_disk<T: Send + 'static>(
        cx: &Cx,
        name: &'static str,
        repeat: Repeat,
        work: impl Fn(&Disk) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let root = cx.account.required_setting("root")?.to_owned();
        cx.call(name, repeat, || {
            let (root, work) = (root.clone(), work.clone());
            blocking(move || work(&Disk::open(&root)?))
        })
        .await
    }

    async fn write(
        cx: &Cx,
        at: LocalPath,
        body: Body,
        how: WriteOptions,
        must_exist: bool,
    ) -> Result<Entry> {
        let root = cx.account.required_setting("root")?.to_owned();
        let disk = Arc::new(blocking(move || Disk::open(&root)).await?);
        upload::write(disk, at, body, how, must_exist).await
    }
}

/// The path of a place, its folder checked.
fn place(at: &Place) -> Result<LocalPath> {
    let parent = LocalPath::read(&at.parent)
        .map_err(|_| Error::new(Kind::ParentNotFound, "There is no such folder to put it into."))?;
    if at.name.len() > 255 {
        return Err(Error::invalid("name is longer than the disk takes (255 bytes)."));
    }
    if at.name.starts_with(super::path::UPLOAD_PREFIX) {
        return Err(Error::invalid("name must not begin with \".tramontane-upload-\"."));
    }
    Ok(parent.child(&at.name))
}

#[async_trait]
impl Storage for LocalStorage {
    fn abilities(&self, _account: &Account) -> Abilities {
        Abilities {
            native: Ops::of(&[
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
                Op::FolderCreate,
                Op::FolderRename,
                Op::FolderMove,
                Op::FolderDelete,
                Op::FolderList,
                Op::FolderRead,
                Op::QuotaRead,
            ]),
            reasons: vec![
                (Op::TrashList, Reason::lacks("A disk has no trash.")),
                (Op::TrashRestore, Reason::lacks("A disk has no trash.")),
                (Op::VersionsList, Reason::lacks("A disk keeps no earlier contents.")),
                (
                    Op::PermissionsList,
                    Reason::lacks("Owners and modes of a disk name no people of the API."),
                ),
                (Op::Raw, Reason::lacks("A disk has no API to pass requests to.")),
            ],
            semantics: Semantics {
                case: Case::Sensitive,
                duplicate_names: false,
                names: NameRules { max_bytes: 255, forbidden: &[], trailing_dot_or_space: true },
                time_precision_micros: 1,
                stable_ids: false,
                hashes: &[],
                empty_folders: true,
            },
            limits: Limits {
                max_file_bytes: None,
                account_concurrency: 64,
                service_concurrency: 256,
                account_rate: None,
                max_page: 10_000,
            },
        }
    }

    fn root(&self, _account: &Account) -> NativeId {
        NativeId::new(ROOT)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        let (path, kind) = (LocalPath::read(&of.id)?, of.kind);
        Self::with_disk(cx, "stat", Repeat::Yes, move |disk| disk.entry_of(&path, kind)).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        let path = LocalPath::read(folder)?;
        let limit = page.limit;
        let after = match &page.cursor {
            Some(cursor) => {
                let read = hex::decode(cursor).map_err(|_| {
                    Error::new(Kind::CursorExpired, "The cursor is none of this listing's.")
                })?;
                Some(read)
            }
            None => None,
        };
        Self::with_disk(cx, "list", Repeat::Yes, move |disk| {
            let (items, next) = disk.list(&path, after.as_deref(), limit)?;
            Ok(Page { items, next: next.map(hex::encode) })
        })
        .await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        let path = LocalPath::read(file)?;
        let range = how.range;
        let (file, entry, offset, len) = Self::with_disk(cx, "read", Repeat::Yes, move |disk| {
            let (mut file, entry) = disk.read(&path)?;
            let size = entry.size.unwrap_or(0);
            let (offset, len) = match range {
                Some(range) => range.resolve(size).ok_or_else(|| {
                    Error::new(Kind::Range(Some(size)), "The range lies outside the content.")
                })?,
                None => (0, size),
            };
            file.seek(SeekFrom::Start(offset)).map_err(fault)?;
            Ok((file, entry, offset, len))
        })
        .await?;
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(CHUNK);
        let limited = tokio::io::AsyncReadExt::take(file, len);
        let pieces = ReaderStream::with_capacity(limited, CHUNK);
        let pieces = futures::StreamExt::map(pieces, |piece| piece.map_err(fault));
        Ok(Content {
            // A file that is cut while it is read must not pass for a whole one.
            body: Body::new(pieces, Some(len)).checked(),
            offset,
            size: entry.size,
            etag: entry.etag,
            modified: entry.modified,
            media_type: None,
        })
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let path = LocalPath::read(&at.parent)?.child(&at.name);
        Self::with_disk(cx, "stat", Repeat::Yes, move |disk| match disk.entry(&path) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        Self::write(cx, place(at)?, body, how.clone(), false).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let how = WriteOptions { if_match: if_match.cloned(), ..WriteOptions::replace() };
        Self::write(cx, LocalPath::read(file)?, body, how, true).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        place(at)?;
        let (parent, name) = (LocalPath::read(&at.parent)?, at.name.clone());
        Self::with_disk(cx, "mkdir", Repeat::No, move |disk| disk.create_folder(&parent, &name))
            .await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        let (from, kind, to) = (LocalPath::read(&what.id)?, what.kind, place(to)?);
        Self::with_disk(cx, "rename", Repeat::No, move |disk| disk.relocate(&from, kind, &to, c))
            .await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        if what.kind == EntryKind::Folder {
            return Err(Error::declined(Op::FolderCopy));
        }
        let (from, to) = (LocalPath::read(&what.id)?, place(to)?);
        let root = cx.account.required_setting("root")?.to_owned();
        // Not under the call's deadline: a large file takes its time.
        blocking(move || upload::copy(&Disk::open(&root)?, &from, &to, c)).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        let (path, kind, how) = (LocalPath::read(&what.id)?, what.kind, how.clone());
        Self::with_disk(cx, "delete", Repeat::No, move |disk| {
            disk.delete(&path, kind, how.recursive, how.if_match.as_ref())
        })
        .await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        Self::with_disk(cx, "statvfs", Repeat::Yes, Disk::quota).await
    }
}
