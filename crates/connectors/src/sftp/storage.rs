//! The files of an SFTP account.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::Either;
use futures::{StreamExt, stream};
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Content, DeleteOptions, Quota, ReadOptions};
use tramontane_connector::{
    Abilities, Account, Body, Case, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Limits,
    NameRules, Place, Repeat, Result, Semantics, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Ops, Page, PageRequest, Reason, Timestamp};

use super::fault::{fault, is_lost, is_refusal};
use super::link::{Link, Links};
use super::path::{ROOT, SftpPath, UPLOAD_PREFIX};
use super::transfer::{Hidden, OpenFile};

/// The name that the root shows.
const ROOT_NAME: &str = "SFTP";
/// The most entries of one folder that are read.
const MOST_ENTRIES: usize = 1_000_000;

/// The files of SFTP accounts.
#[derive(Debug, Default)]
pub struct SftpStorage {
    links: Links,
}

impl SftpStorage {
    pub(super) async fn link(&self, cx: &Cx) -> Result<Arc<Link>> {
        self.links.get(cx).await
    }

    /// One call over the account's connection; a connection that broke is made anew for the next
    /// attempt.
    async fn call<T, F>(
        &self,
        cx: &Cx,
        name: &'static str,
        repeat: Repeat,
        work: impl Fn(Arc<Link>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        cx.call(name, repeat, || async {
            let link = self.links.get(cx).await?;
            let done = work(Arc::clone(&link)).await;
            if let Err(error) = &done
                && (is_lost(error) || link.is_closed())
            {
                self.links.drop_link(cx, &link).await;
            }
            done
        })
        .await
    }

    async fn write(
        &self,
        cx: &Cx,
        at: &SftpPath,
        body: Body,
        how: &WriteOptions,
        must_exist: bool,
    ) -> Result<Entry> {
        let link = self.links.get(cx).await?;
        let there = look_maybe(&link, at).await?;
        match &there {
            Some(there) if there.is_folder() && must_exist => {
                return Err(Error::not_found("There is no such file."));
            }
            Some(there) if how.conflict == Conflict::Fail || there.is_folder() => {
                return Err(Error::conflict(&there.name, Some(there.reference())));
            }
            None if must_exist || how.if_match.is_some() => {
                return Err(Error::not_found("There is no such file."));
            }
            _ => {}
        }
        check_etag(there.as_ref(), how.if_match.as_ref())?;
        let parent = at.parent().ok_or_else(|| Error::invalid("The root folder is not a file."))?;
        let mut random = [0u8; 12];
        getrandom::fill(&mut random).map_err(|error| {
            Error::internal(format!("The machine gives no randomness: {error}."))
        })?;
        let hidden =
            parent.child(&format!("{UPLOAD_PREFIX}{}", hex::encode(random))).at(link.base());
        confined(&link, &parent).await?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let opened = OpenFile::open(&link, &hidden, flags).await;
        let opened = opened.map_err(|error| parent_fault(fault(error)))?;
        let hidden = Hidden::new(&link, hidden);
        opened.write(body).await?;
        opened.close().await?;
        if let Some(attrs) = kept_attributes(how, there.as_ref()) {
            link.sftp().setstat(hidden.path(), attrs).await.map_err(fault)?;
        }
        check_etag(look_maybe(&link, at).await?.as_ref(), how.if_match.as_ref())?;
        put(&link, hidden.path(), at, EntryKind::File, how.conflict).await?;
        hidden.placed();
        look(&link, at).await
    }
}

/// What a new content keeps: the time that was asked for.
fn kept_attributes(how: &WriteOptions, _there: Option<&Entry>) -> Option<FileAttributes> {
    let seconds = u32::try_from(how.modified?.seconds()).ok()?;
    let mut attrs = FileAttributes::empty();
    attrs.atime = Some(seconds);
    attrs.mtime = Some(seconds);
    Some(attrs)
}

/// Puts what is at `from` to `to`, as the conflict rule says.
async fn put(
    link: &Link,
    from: &str,
    to: &SftpPath,
    kind: EntryKind,
    conflict: Conflict,
) -> Result<()> {
    let target = to.at(link.base());
    let there = look_maybe(link, to).await?;
    let taken =
        |there: &Entry| Error::conflict(to.name().unwrap_or_default(), Some(there.reference()));
    match (&there, conflict) {
        (Some(there), Conflict::Fail) => return Err(taken(there)),
        (Some(there), Conflict::Replace) if there.kind != kind => return Err(taken(there)),
        (Some(there), Conflict::Replace) if there.is_folder() => {
            return Err(Error::declined(Op::FolderMove));
        }
        (Some(_), Conflict::Replace) => {
            if link.can_rename_over() {
                return link.rename_over(from, &target).await;
            }
            // Version 3 of the protocol never renames over a file; without the extension there is a
            // moment in which neither is there.
            link.sftp().remove(target.clone()).await.map_err(fault)?;
        }
        (None, _) => {}
    }
    if kind == EntryKind::File && link.can_link() {
        // A hard link is refused when the name was taken meanwhile; a rename may not be.
        match link.sftp().hardlink(from, target.clone()).await {
            Ok(_) => {
                link.sftp().remove(from).await.map_err(fault)?;
                return Ok(());
            }
            Err(error) if is_refusal(&error) => {
                if let Some(there) = look_maybe(link, to).await? {
                    return Err(taken(&there));
                }
            }
            // The file system has no hard links: rename after all.
            Err(_) => {}
        }
    }
    match link.sftp().rename(from, target).await {
        Ok(_) => Ok(()),
        Err(error) => match look_maybe(link, to).await? {
            Some(there) => Err(taken(&there)),
            None => Err(parent_fault(fault(error))),
        },
    }
}

fn parent_fault(error: Error) -> Error {
    if error.is_not_found() {
        return Error::new(Kind::ParentNotFound, "There is no such folder to put it into.");
    }
    error
}

fn check_etag(there: Option<&Entry>, wanted: Option<&ETag>) -> Result<()> {
    match wanted {
        Some(wanted) if there.and_then(|there| there.etag.as_ref()) != Some(wanted) => {
            Err(Error::new(Kind::Precondition, "The file has changed in the meantime."))
        }
        _ => Ok(()),
    }
}

/// Refuses a path that links lead out of the account's folder.
async fn confined(link: &Link, path: &SftpPath) -> Result<()> {
    if link.base() == ROOT || path.is_root() {
        return Ok(());
    }
    let real = link.sftp().realpath(path.at(link.base())).await;
    let real = real.map_err(|error| match is_refusal(&error) {
        true => Error::not_found("There is no such file or folder."),
        false => fault(error),
    })?;
    let real = real.files.into_iter().next().map(|file| file.filename).unwrap_or_default();
    let inside = real == link.base()
        || real.strip_prefix(link.base()).is_some_and(|rest| rest.starts_with('/'));
    if inside { Ok(()) } else { Err(Error::not_found("There is no such file or folder.")) }
}

/// What is at a path; links are followed within the folder.
async fn look(link: &Link, path: &SftpPath) -> Result<Entry> {
    let full = path.at(link.base());
    // Both questions go out together.
    let (inside, found) = futures::future::join(confined(link, path), link.sftp().stat(full)).await;
    let found = found.map_err(fault)?;
    inside?;
    entry(path, &found.attrs)
        .ok_or_else(|| Error::not_found("This is neither a file nor a folder."))
}

async fn look_maybe(link: &Link, path: &SftpPath) -> Result<Option<Entry>> {
    match look(link, path).await {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn look_of(link: &Link, path: &SftpPath, kind: EntryKind) -> Result<Entry> {
    let entry = look(link, path).await?;
    if entry.kind == kind {
        Ok(entry)
    } else {
        Err(Error::not_found("There is no such file or folder."))
    }
}

fn entry(path: &SftpPath, attrs: &FileAttributes) -> Option<Entry> {
    let name = path.name().unwrap_or(ROOT_NAME);
    let parent = path.parent().map(|above| Parent {
        id: above.id(),
        name: Some(above.name().unwrap_or(ROOT_NAME).to_owned()),
    });
    let kind = attrs.file_type();
    let mut entry = if kind.is_dir() {
        Entry::folder(path.id(), name, parent)
    } else if kind.is_file() {
        Entry::file(path.id(), name, parent)
    } else {
        return None;
    };
    entry.path = Some(path.as_str().to_owned());
    entry.modified = attrs.mtime.map(|seconds| Timestamp::from_seconds(i64::from(seconds)));
    if kind.is_file() {
        entry.size = attrs.size;
        // Whole seconds and the size can miss a change, so it is weak.
        entry.etag = Some(ETag::weak(format!(
            "{:x}-{:x}",
            attrs.mtime.unwrap_or(0),
            attrs.size.unwrap_or(0)
        )));
    }
    entry.raw = Some(serde_json::json!({
        "path": path.as_str(), "size": attrs.size, "mtime": attrs.mtime, "atime": attrs.atime,
        "uid": attrs.uid, "gid": attrs.gid, "permissions": attrs.permissions.map(|mode| format!("{mode:o}")),
    }));
    Some(entry)
}

/// All names of a folder with what the server said of them, by name.
async fn names(link: &Arc<Link>, path: &SftpPath) -> Result<Vec<(String, FileAttributes)>> {
    confined(link, path).await?;
    let _place =
        link.handles().acquire().await.map_err(|_| Error::internal("The connection is closed."))?;
    let opened = link.sftp().opendir(path.at(link.base())).await;
    let handle = opened.map_err(|error| match is_refusal(&error) {
        // OpenSSH answers so when it is a file.
        true => Error::not_found("There is no such folder."),
        false => fault(error),
    })?;
    let mut found = Vec::new();
    let outcome = loop {
        match link.sftp().readdir(handle.handle.clone()).await {
            Ok(page) => {
                for file in page.files {
                    let hidden = matches!(file.filename.as_str(), "." | "..")
                        || file.filename.starts_with(UPLOAD_PREFIX)
                        || file.filename.contains('/');
                    if !hidden {
                        found.push((file.filename, file.attrs));
                    }
                }
                if found.len() > MOST_ENTRIES {
                    break Err(Error::new(
                        Kind::TooLarge,
                        "The folder holds more than a million entries.",
                    ));
                }
            }
            Err(russh_sftp::client::error::Error::Status(status))
                if status.status_code == StatusCode::Eof =>
            {
                break Ok(());
            }
            Err(error) => break Err(fault(error)),
        }
    };
    let _ = link.sftp().close(handle.handle).await;
    outcome?;
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[async_trait]
impl Storage for SftpStorage {
    fn abilities(&self, _account: &Account) -> Abilities {
        Abilities {
            native: Ops::of(&[
                Op::FileCreate,
                Op::FileCreateUnsized,
                Op::FileUpdate,
                Op::FileRead,
                Op::FileRename,
                Op::FileMove,
                Op::FileDelete,
                Op::FileDeletePermanently,
                Op::FileDownload,
                Op::FileRange,
                Op::FolderCreate,
                Op::FolderRename,
                Op::FolderMove,
                Op::FolderList,
                Op::FolderRead,
                Op::QuotaRead,
            ]),
            reasons: vec![
                (Op::TrashList, Reason::lacks("SFTP has no trash.")),
                (Op::TrashRestore, Reason::lacks("SFTP has no trash.")),
                (Op::VersionsList, Reason::lacks("SFTP keeps no earlier contents.")),
                (
                    Op::PermissionsList,
                    Reason::lacks("Owners and modes of SFTP name no people of the API."),
                ),
                (
                    Op::FileConditional,
                    Reason::lacks(
                        "Etags are made of times in whole seconds and can miss a change.",
                    ),
                ),
                (Op::Raw, Reason::lacks("SFTP has no HTTP API to pass requests to.")),
            ],
            semantics: Semantics {
                case: Case::Sensitive,
                duplicate_names: false,
                names: NameRules { max_bytes: 255, forbidden: &[], trailing_dot_or_space: true },
                time_precision_micros: 1_000_000,
                stable_ids: false,
                hashes: &[],
                empty_folders: true,
            },
            limits: Limits {
                max_file_bytes: None,
                account_concurrency: 32,
                service_concurrency: 512,
                account_rate: None,
                max_page: 10_000,
            },
        }
    }

    fn root(&self, _account: &Account) -> NativeId {
        NativeId::new(ROOT)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        let path = SftpPath::read(&of.id)?;
        self.call(cx, "stat", Repeat::Yes, |link| {
            let path = path.clone();
            async move { look_of(&link, &path, of.kind).await }
        })
        .await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        let path = SftpPath::read(folder)?;
        let after = page.cursor.as_ref().map(|cursor| {
            let read = hex::decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            read.ok_or_else(|| {
                Error::new(Kind::CursorExpired, "The cursor is none of this listing's.")
            })
        });
        let after = after.transpose()?;
        self.call(cx, "readdir", Repeat::Yes, |link| {
            let (path, after) = (path.clone(), after.clone());
            async move {
                let mut found = names(&link, &path).await?;
                if let Some(after) = after {
                    found.retain(|(name, _)| *name > after);
                }
                let more = found.len() > page.limit;
                found.truncate(page.limit);
                let next = match found.last() {
                    Some((name, _)) if more => Some(hex::encode(name)),
                    _ => None,
                };
                let link = &link;
                let looked = stream::iter(found).map(|(name, attrs)| {
                    let child = path.child(&name);
                    if attrs.file_type().is_symlink() {
                        Either::Left(async move { look_maybe(link, &child).await })
                    } else {
                        Either::Right(async move { Ok(entry(&child, &attrs)) })
                    }
                });
                let looked: Vec<Result<Option<Entry>>> = looked.buffered(16).collect().await;
                let mut items = Vec::with_capacity(looked.len());
                for one in looked {
                    items.extend(one?);
                }
                Ok(Page { items, next })
            }
        })
        .await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        let path = SftpPath::read(file)?;
        let range = how.range;
        self.call(cx, "read", Repeat::Yes, |link| {
            let path = path.clone();
            async move {
                look_of(&link, &path, EntryKind::File).await?;
                let opened = OpenFile::open(&link, &path.at(link.base()), OpenFlags::READ).await;
                let opened = opened.map_err(fault)?;
                let attrs = opened.attributes().await?;
                let found = entry(&path, &attrs);
                let size = attrs.size.unwrap_or(0);
                let (offset, len) = match range {
                    Some(range) => range.resolve(size).ok_or_else(|| {
                        Error::new(Kind::Range(Some(size)), "The range lies outside the content.")
                    })?,
                    None => (0, size),
                };
                Ok(Content {
                    body: opened.into_body(offset, len),
                    offset,
                    size: Some(size),
                    etag: found.as_ref().and_then(|found| found.etag.clone()),
                    modified: found.and_then(|found| found.modified),
                    media_type: None,
                })
            }
        })
        .await
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let path = SftpPath::read(&at.parent)?.child(&at.name);
        self.call(cx, "stat", Repeat::Yes, |link| {
            let path = path.clone();
            async move { look_maybe(&link, &path).await }
        })
        .await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        self.write(cx, &SftpPath::of(at)?, body, how, false).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let how = WriteOptions { if_match: if_match.cloned(), ..WriteOptions::replace() };
        self.write(cx, &SftpPath::read(file)?, body, &how, true).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        let path = SftpPath::of(at)?;
        self.call(cx, "mkdir", Repeat::No, |link| {
            let path = path.clone();
            async move {
                if let Some(parent) = path.parent() {
                    confined(&link, &parent).await.map_err(parent_fault)?;
                }
                match link.sftp().mkdir(path.at(link.base()), FileAttributes::empty()).await {
                    Ok(_) => look(&link, &path).await,
                    Err(error) => match look_maybe(&link, &path).await? {
                        Some(there) => Err(Error::conflict(&there.name, Some(there.reference()))),
                        None if is_refusal(&error) => Err(Error::new(
                            Kind::ParentNotFound,
                            "There is no such folder to put it into.",
                        )),
                        None => Err(parent_fault(fault(error))),
                    },
                }
            }
        })
        .await
    }

    async fn relocate(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        let (from, to) = (SftpPath::read(&what.id)?, SftpPath::of(to)?);
        if from.is_root() {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be moved."));
        }
        self.call(cx, "rename", Repeat::No, |link| {
            let (from, to) = (from.clone(), to.clone());
            async move {
                let there = look_of(&link, &from, what.kind).await?;
                if from == to {
                    return Ok(there);
                }
                if what.kind == EntryKind::Folder && from.holds(&to) {
                    return Err(Error::new(
                        Kind::ParentNotFound,
                        "A folder cannot be moved into itself.",
                    ));
                }
                let parent =
                    to.parent().ok_or_else(|| Error::invalid("name must not be empty."))?;
                look_of(&link, &parent, EntryKind::Folder).await.map_err(parent_fault)?;
                put(&link, &from.at(link.base()), &to, what.kind, c).await?;
                look(&link, &to).await
            }
        })
        .await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        let path = SftpPath::read(&what.id)?;
        if path.is_root() {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
        }
        self.call(cx, "delete", Repeat::No, |link| {
            let path = path.clone();
            async move {
                let there = look_of(&link, &path, what.kind).await?;
                check_etag(Some(&there), how.if_match.as_ref())?;
                let full = path.at(link.base());
                let bare = link.sftp().lstat(full.clone()).await.map_err(fault)?;
                // A link goes, not what it leads to.
                if what.kind == EntryKind::File || bare.attrs.file_type().is_symlink() {
                    return link.sftp().remove(full).await.map(|_| ()).map_err(fault);
                }
                match link.sftp().rmdir(full).await {
                    Ok(_) => Ok(()),
                    Err(error) if is_refusal(&error) && how.recursive => {
                        Err(Error::declined(Op::FolderDelete))
                    }
                    Err(error) if is_refusal(&error) => {
                        Err(Error::new(Kind::NotEmpty, "The folder is not empty."))
                    }
                    Err(error) => Err(fault(error)),
                }
            }
        })
        .await
    }

    async fn quota(&self, cx: &Cx) -> Result<Quota> {
        self.call(cx, "statvfs", Repeat::Yes, |link| async move {
            if !link.tells_space() {
                return Err(Error::declined(Op::QuotaRead));
            }
            let found = link.sftp().statvfs(link.base()).await.map_err(fault)?;
            let total = found.blocks.saturating_mul(found.fragment_size);
            let free = found.blocks_avail.saturating_mul(found.fragment_size);
            Ok(Quota { used: Some(total.saturating_sub(free)), total: Some(total) })
        })
        .await
    }
}
