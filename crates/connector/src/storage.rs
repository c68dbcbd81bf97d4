//! The files of an account: the operations that a connector offers, and how it says which.
//!
//! Required are `abilities`, `root`, `get`, `list` and `read`; everything else answers "declined" until a
//! connector overrides it, and the gap filler then does what can be built from the rest. A connector
//! may also decline a single call of an operation that it has ("can copy, but not this one").
//!
//! Parts that come together or not at all (upload sessions, trash, versions, permissions, properties, links)
//! are traits of their own: having the part is having the capability.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tramontane_model::{NativeId, Op, Page, PageRequest, Timestamp};
use url::Url;

use crate::abilities::{Abilities, HashKind};
use crate::account::Account;
use crate::body::Body;
use crate::cx::Cx;
use crate::entry::{ETag, Entry, EntryRef, Hashes, Person};
use crate::error::{Error, Result};
use crate::links::Links;
use crate::place::{Conflict, Place, WriteOptions};

/// Which bytes of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From this byte up to and including that one; to the end without one.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

impl ByteRange {
    /// The first byte and the number of bytes that this means for content of `size` bytes; `None`
    /// when it lies outside.
    #[must_use]
    pub fn resolve(self, size: u64) -> Option<(u64, u64)> {
        match self {
            Self::From(first, last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < size && first < end).then(|| (first, end - first))
            }
            Self::Last(count) => {
                let count = count.min(size);
                (count > 0).then(|| (size - count, count))
            }
        }
    }
}

/// How to read content.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Only these bytes. A connector that cannot, declines `FileRange`.
    pub range: Option<ByteRange>,
    /// For documents native to a service: the media type or extension to export to.
    pub export: Option<String>,
}

/// Content with what came along.
#[derive(Debug)]
pub struct Content {
    /// The bytes asked for. `body.len()` is set whenever it is known.
    pub body: Body,
    /// The first byte that `body` holds, counted from 0. Not 0 only when a range was asked for.
    pub offset: u64,
    /// The size of the whole content, when known.
    pub size: Option<u64>,
    /// The etag of the content.
    pub etag: Option<ETag>,
    /// When it last changed.
    pub modified: Option<Timestamp>,
    /// Its media type, as the service says.
    pub media_type: Option<String>,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// For folders: with all that is in it. Without, a folder that holds something is `NotEmpty`.
    pub recursive: bool,
    /// Past the trash.
    pub permanent: bool,
    /// For files: only when it has this etag.
    pub if_match: Option<ETag>,
}

/// What to search for.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// The words, trimmed, not empty.
    pub text: String,
    /// Only below these folders; everywhere when empty.
    pub below: Vec<NativeId>,
}

/// An entry of a recursive listing.
#[derive(Clone, Debug)]
pub struct TreeEntry {
    /// The entry.
    pub entry: Entry,
    /// 1 for a direct child.
    pub depth: u32,
}

/// Space of an account, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// Used.
    pub used: Option<u64>,
    /// Used and free together; `None` when unlimited or unknown.
    pub total: Option<u64>,
}

/// A size of preview picture: the longest side in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailSize(pub u32);

/// The files of an account.
#[async_trait]
pub trait Storage: Send + Sync {
    /// What this account can do. Cheap: no call to the service. Servers of one protocol differ, so a
    /// connector may look at settings that connecting recorded.
    fn abilities(&self, account: &Account) -> Abilities;

    /// The id of the account's root folder.
    fn root(&self, account: &Account) -> NativeId;

    /// Whether the service takes this name, where [`crate::NameRules`] cannot say it: names that it keeps
    /// for itself, characters that a name may not begin with. Names that it does not take are refused as
    /// `Invalid` by whatever writes. No call to the service.
    fn takes_name(&self, _account: &Account, _name: &str) -> bool {
        true
    }

    /// The entry, or `NotFound`; also when it is of the other kind than `of.kind`.
    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry>;

    /// One page of a folder's children, in the service's order. `NotFound` when there is no such
    /// folder. A cursor that cannot be read is `CursorExpired`.
    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>>;

    /// The content of a file. `NotFound` for folders.
    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content>;

    /// The child with this name; `None` when there is none. Case as the service has it. Without it,
    /// the gap filler lists the folder.
    async fn child(&self, _cx: &Cx, _at: &Place) -> Result<Option<Entry>> {
        Err(Error::declined(Op::FileRead))
    }

    /// Makes a file. Nothing is visible under the name until the content is complete, where the
    /// service allows it; a body that breaks off leaves nothing behind. A service that needs the
    /// length declines `FileCreateUnsized` when the body does not tell it.
    async fn create(
        &self,
        _cx: &Cx,
        _at: &Place,
        _body: Body,
        _how: &WriteOptions,
    ) -> Result<Entry> {
        Err(Error::declined(Op::FileCreate))
    }

    /// Replaces a file's content; name and folder stay, and the id where the service can. `NotFound`
    /// when there is no such file.
    async fn update(
        &self,
        _cx: &Cx,
        _file: &NativeId,
        _body: Body,
        _if_match: Option<&ETag>,
    ) -> Result<Entry> {
        Err(Error::declined(Op::FileUpdate))
    }

    /// Makes a folder. A taken name is always a conflict that carries what is there.
    async fn create_folder(&self, _cx: &Cx, _at: &Place) -> Result<Entry> {
        Err(Error::declined(Op::FolderCreate))
    }

    /// Gives a file or folder another name, another folder, or both. The entry that comes back may
    /// have another id. `Replace` replaces a file by a file; a folder that is in the way of a folder
    /// is declined (merging is the gap filler's).
    async fn relocate(
        &self,
        _cx: &Cx,
        what: &EntryRef,
        _to: &Place,
        _c: Conflict,
    ) -> Result<Entry> {
        Err(Error::declined(match what.kind {
            crate::EntryKind::File => Op::FileMove,
            crate::EntryKind::Folder => Op::FolderMove,
        }))
    }

    /// Copies a file or folder within the account. As [`Storage::relocate`] for conflicts.
    async fn copy(&self, _cx: &Cx, what: &EntryRef, _to: &Place, _c: Conflict) -> Result<Entry> {
        Err(Error::declined(match what.kind {
            crate::EntryKind::File => Op::FileCopy,
            crate::EntryKind::Folder => Op::FolderCopy,
        }))
    }

    /// Deletes a file or folder. `NotFound` when it is not there. A connector that cannot delete a
    /// folder with all below it in few calls declines `FolderDelete` for `recursive`; it must still
    /// delete empty folders.
    async fn delete(&self, _cx: &Cx, what: &EntryRef, _how: &DeleteOptions) -> Result<()> {
        Err(Error::declined(match what.kind {
            crate::EntryKind::File => Op::FileDelete,
            crate::EntryKind::Folder => Op::FolderDelete,
        }))
    }

    /// Everything below a folder, folders before their contents. A service without a feed of changes gives it depth
    /// first (what is in a folder, however deep, before what comes after the folder), with paths, and with pages that
    /// go on after a key, so that a look at everything takes no more than this.
    async fn list_tree(
        &self,
        _cx: &Cx,
        _folder: &NativeId,
        _page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        Err(Error::declined(Op::FolderListRecursively))
    }

    /// As [`Storage::list_tree`], for whoever knows what was there before: files that lay ahead of this page then, some
    /// hundreds apart. A service that lists by key can list the stretches between them at once, and give a page that
    /// is so many times as long.
    async fn list_tree_ahead(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
        _ahead: &[NativeId],
    ) -> Result<Page<TreeEntry>> {
        self.list_tree(cx, folder, page).await
    }

    /// Files and folders that match, best first.
    async fn search(
        &self,
        _cx: &Cx,
        _query: &SearchQuery,
        _page: &PageRequest,
    ) -> Result<Page<Entry>> {
        Err(Error::declined(Op::SearchName))
    }

    /// The files that changed last, newest first, at most `limit`, only those after a moment.
    async fn recent(
        &self,
        _cx: &Cx,
        _after: Option<Timestamp>,
        _limit: usize,
    ) -> Result<Vec<Entry>> {
        Err(Error::declined(Op::RecentList))
    }

    /// A hash of a file's content that the service computes, in lower-case hex.
    async fn hash(&self, _cx: &Cx, _file: &NativeId, _kind: HashKind) -> Result<String> {
        Err(Error::declined(Op::FileHash))
    }

    /// A preview picture that the service makes, as JPEG or PNG. `NotFound` when this file has none.
    async fn thumbnail(&self, _cx: &Cx, _file: &NativeId, _size: ThumbnailSize) -> Result<Body> {
        Err(Error::declined(Op::FileThumbnail))
    }

    /// How much space is used and left.
    async fn quota(&self, _cx: &Cx) -> Result<Quota> {
        Err(Error::declined(Op::QuotaRead))
    }

    /// A URL of the service from which a file can be fetched without credentials for a while.
    async fn download_url(&self, _cx: &Cx, _file: &NativeId, _for: Duration) -> Result<Url> {
        Err(Error::declined(Op::UploadUrlCreate))
    }

    /// A URL of the service that takes a file's content by `PUT` without credentials for a while.
    async fn upload_url(&self, _cx: &Cx, _at: &Place, _for: Duration) -> Result<Url> {
        Err(Error::declined(Op::UploadUrlCreate))
    }

    /// Uploads in parts.
    fn sessions(&self) -> Option<&dyn UploadSessions> {
        None
    }

    /// The trash.
    fn trash(&self) -> Option<&dyn Trash> {
        None
    }

    /// Earlier contents of files.
    fn versions(&self) -> Option<&dyn Versions> {
        None
    }

    /// Who may see what.
    fn permissions(&self) -> Option<&dyn Permissions> {
        None
    }

    /// Properties set on objects.
    fn properties(&self) -> Option<&dyn Properties> {
        None
    }

    /// Share links of the service's own.
    fn links(&self) -> Option<&dyn Links> {
        None
    }
}

/// What a session for an upload in parts needs to go on, opaque to everyone but its connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadSession {
    /// The connector's own state: an upload id, a URL. Stored sealed; may be secret.
    pub state: String,
    /// Every part but the last has exactly so many bytes.
    pub part_size: u64,
    /// Whether parts may come in any order and at the same time.
    pub parallel: bool,
}

/// One part that the service has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// From 1.
    pub number: u32,
    /// In bytes.
    pub size: u64,
    /// What the service gave for it (an etag, say).
    pub receipt: String,
}

/// Uploads in parts that survive a restart of the client and of Tramontane.
#[async_trait]
pub trait UploadSessions: Send + Sync {
    /// Begins. `size` is the whole size when the caller knows it; a connector that needs it and does
    /// not get it declines. Declining `MultipartCreate` makes the gap filler spool the parts.
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession>;

    /// Takes one part. Sending it again replaces it. `body.len()` is set.
    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart>;

    /// Makes the file of the parts, which come in order and without a gap.
    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry>;

    /// Gives the parts up. Nothing to do is fine.
    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()>;
}

/// The trash.
#[async_trait]
pub trait Trash: Send + Sync {
    /// What is in it; each entry has `trashed`.
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>>;
    /// Brings an entry back to where it was, or to another place.
    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry>;
    /// Deletes one entry of the trash for good.
    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()>;
    /// Deletes all of it for good.
    async fn empty(&self, cx: &Cx) -> Result<()>;
}

/// One content that a file has or had.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The service's id of the version.
    pub id: String,
    /// In bytes.
    pub size: Option<u64>,
    /// When this content was written.
    pub modified: Option<Timestamp>,
    /// Who wrote it.
    pub last_modifier: Option<Person>,
    /// Whether it is the file's content now.
    pub current: bool,
    /// Its hashes.
    pub hashes: Hashes,
}

/// Earlier contents of files.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Newest first.
    async fn list(&self, cx: &Cx, file: &NativeId, page: &PageRequest) -> Result<Page<Version>>;
    /// The content of one version.
    async fn read(
        &self,
        cx: &Cx,
        file: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content>;
    /// Makes it the file's newest content.
    async fn restore(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<Entry>;
    /// Deletes one version for good.
    async fn delete(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<()>;
}

/// Who has access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GranteeKind {
    /// A person.
    User,
    /// A group.
    Group,
    /// Everyone of a domain.
    Domain,
    /// Everyone.
    Anyone,
}

/// One grant on a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The service's id of the grantee.
    pub id: Option<NativeId>,
    /// Who.
    pub grantee: GranteeKind,
    /// `owner`, `writer`, `commenter`, `reader`, `previewer`, `uploader`, or the service's own word.
    pub role: String,
    /// Their address.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// Whether it comes from a folder above.
    pub inherited: bool,
}

/// One change to the grants: a role, or none to remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionChange {
    /// Who.
    pub grantee: GranteeKind,
    /// By id.
    pub id: Option<NativeId>,
    /// Or by address.
    pub email: Option<String>,
    /// What they shall have; `None` removes them.
    pub role: Option<String>,
}

/// Who may see what.
#[async_trait]
pub trait Permissions: Send + Sync {
    /// All grants on it.
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Permission>>;
    /// Changes grants; with `only`, removes every other grant but the owner's. Gives the set after.
    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        notify: bool,
    ) -> Result<Vec<Permission>>;
}

/// One property set on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// When it was set first.
    pub created: Option<Timestamp>,
    /// When it was set last.
    pub modified: Option<Timestamp>,
}

/// Properties set on objects.
#[async_trait]
pub trait Properties: Send + Sync {
    /// All of them.
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>>;
    /// Sets these, removes those with `None`; gives the set after.
    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>>;
    /// Removes all.
    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_content() {
        assert_eq!(ByteRange::From(0, Some(9)).resolve(5), Some((0, 5)));
        assert_eq!(ByteRange::From(2, None).resolve(5), Some((2, 3)));
        assert_eq!(ByteRange::From(5, None).resolve(5), None);
        assert_eq!(ByteRange::From(3, Some(2)).resolve(5), None);
        assert_eq!(ByteRange::Last(2).resolve(5), Some((3, 2)));
        assert_eq!(ByteRange::Last(9).resolve(5), Some((0, 5)));
        assert_eq!(ByteRange::Last(0).resolve(5), None);
        assert_eq!(ByteRange::From(0, None).resolve(0), None);
    }
}
