//! The folder's handle and everything that is done beneath it. All of it blocks; callers move it off
//! the async threads.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Result as IoResult};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::RenameFlags;
use tramontane_connector::entry::Parent;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::Quota;
use tramontane_connector::{Conflict, ETag, Entry, EntryKind, Error, Result};
use tramontane_model::Timestamp;

use super::fault::{fault, parent_fault};
use super::path::{LocalPath, UPLOAD_PREFIX, disk_name, shown_name};

/// Opening does not wait: a pipe that somebody put there would wait for ever.
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// The folder of one account, open.
#[derive(Debug)]
pub(super) struct Disk {
    root: Dir,
}

impl Disk {
    /// Opens the folder.
    pub(super) fn open(root: &str) -> Result<Self> {
        let opened = Dir::open_ambient_dir(root, ambient_authority());
        let root = opened.map_err(|cause| {
            let text = format!("The folder {root} of this account cannot be opened: {cause}.");
            let kind = match cause.kind() {
                ErrorKind::PermissionDenied => Kind::Forbidden,
                _ => Kind::Unavailable,
            };
            Error::new(kind, text).retry(tramontane_connector::Retry::Never).because(cause)
        })?;
        Ok(Self { root })
    }

    /// What is at a path; links that lead outside or nowhere, and what is neither file nor folder,
    /// are not there.
    fn look(&self, path: &Path) -> Result<(EntryKind, Metadata)> {
        let found = self.root.metadata(path).map_err(|error| match error.kind() {
            // The sandbox answers so when a link leads outside.
            ErrorKind::PermissionDenied if self.is_link(path) => {
                Error::not_found("There is no such file or folder.")
            }
            _ => fault(error),
        })?;
        match kind_of(&found) {
            Some(kind) => Ok((kind, found)),
            None => Err(Error::not_found("This is neither a file nor a folder.")),
        }
    }

    fn is_link(&self, path: &Path) -> bool {
        self.root.symlink_metadata(path).is_ok_and(|found| found.is_symlink())
    }

    /// The entry at a path, of either kind.
    pub(super) fn entry(&self, path: &LocalPath) -> Result<Entry> {
        let (kind, found) = self.look(&path.on_disk())?;
        Ok(entry(path, kind, &found))
    }

    /// The entry, if it is of this kind.
    pub(super) fn entry_of(&self, path: &LocalPath, kind: EntryKind) -> Result<Entry> {
        let entry = self.entry(path)?;
        if entry.kind == kind {
            Ok(entry)
        } else {
            Err(Error::not_found("There is no such file or folder."))
        }
    }

    /// One page of a folder by name, after `after`.
    pub(super) fn list(
        &self,
        path: &LocalPath,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<Vec<u8>>)> {
        let mut names = Vec::new();
        for item in self.root.read_dir(path.on_disk()).map_err(fault)? {
            let name = item.map_err(fault)?.file_name();
            let hidden = name.as_bytes().starts_with(UPLOAD_PREFIX.as_bytes());
            if !hidden && after.is_none_or(|after| name.as_bytes() > after) {
                names.push(name);
            }
        }
        names.sort_unstable();
        let folder = self.root.open_dir(path.on_disk()).map_err(fault)?;
        let more = names.len() > limit;
        names.truncate(limit);
        let next = if more { names.last().map(|name| name.as_bytes().to_vec()) } else { None };
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            // What has gone since, or leads outside, is left out.
            let found = match folder.symlink_metadata(&name) {
                Ok(found) if found.is_symlink() => {
                    self.root.metadata(path.on_disk().join(&name)).ok()
                }
                other => other.ok(),
            };
            if let Some(found) = found
                && let Some(kind) = kind_of(&found)
            {
                entries.push(entry(&path.child(&shown_name(&name)), kind, &found));
            }
        }
        Ok((entries, next))
    }

    /// A file, open for reading, with its entry.
    pub(super) fn read(&self, path: &LocalPath) -> Result<(File, Entry)> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(O_NONBLOCK);
        self.entry_of(path, EntryKind::File)?;
        let file = self.root.open_with(path.on_disk(), &options).map_err(fault)?;
        let found = file.metadata().map_err(fault)?;
        if !found.is_file() {
            return Err(Error::not_found("There is no such file."));
        }
        Ok((file.into_std(), entry(path, EntryKind::File, &found)))
    }

    /// The handle of a folder that something is to be put into.
    pub(super) fn folder(&self, path: &LocalPath) -> Result<Dir> {
        self.root.open_dir(path.on_disk()).map_err(parent_fault)
    }

    /// Makes a folder.
    pub(super) fn create_folder(&self, at: &LocalPath, name: &str) -> Result<Entry> {
        let path = at.child(name);
        match self.folder(at)?.create_dir(disk_name(name)) {
            Ok(()) => self.entry(&path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(self.conflict(&path)),
            Err(error) => Err(parent_fault(error)),
        }
    }

    /// The conflict with what is at this path.
    pub(super) fn conflict(&self, path: &LocalPath) -> Error {
        let taken = self.entry(path).ok().map(|entry| entry.reference());
        Error::conflict(path.name().unwrap_or_default(), taken)
    }

    /// Puts what is at `name` in `from` to `to_name` in `to`, as the conflict rule says. `kind` is what
    /// is being put there.
    pub(super) fn put(
        &self,
        (from, name): (&Dir, &OsStr),
        (to, target): (&Dir, &LocalPath),
        kind: EntryKind,
        conflict: Conflict,
    ) -> Result<()> {
        let to_name = disk_name(target.name().unwrap_or_default());
        if conflict == Conflict::Replace {
            match self.entry(target) {
                Ok(there) if there.kind != kind => return Err(self.conflict(target)),
                Ok(there) if there.is_folder() => {
                    return Err(Error::declined(tramontane_model::Op::FolderMove));
                }
                Ok(_) => return from.rename(name, to, &to_name).map_err(fault),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        match rename_unless_taken(from, name, to, &to_name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(self.conflict(target)),
            other => other.map_err(parent_fault),
        }
    }

    /// Renames or moves.
    pub(super) fn relocate(
        &self,
        what: &LocalPath,
        kind: EntryKind,
        to: &LocalPath,
        conflict: Conflict,
    ) -> Result<Entry> {
        self.entry_of(what, kind)?;
        let (Some(parent), Some(name)) = (what.parent(), what.name()) else {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be moved."));
        };
        if what == to {
            return self.entry(to);
        }
        if kind == EntryKind::Folder && what.holds(to) {
            return Err(Error::new(Kind::ParentNotFound, "A folder cannot be moved into itself."));
        }
        let from = self.folder(&parent)?;
        let target = self.folder(&to.parent().unwrap_or(LocalPath::root()))?;
        self.put((&from, &disk_name(name)), (&target, to), kind, conflict)?;
        self.entry(to)
    }

    /// Deletes.
    pub(super) fn delete(
        &self,
        what: &LocalPath,
        kind: EntryKind,
        recursive: bool,
        if_match: Option<&ETag>,
    ) -> Result<()> {
        let entry = self.entry_of(what, kind)?;
        if what.is_root() {
            return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
        }
        check_etag(&entry, if_match)?;
        let path = what.on_disk();
        // A link goes, not what it leads to.
        let done = if kind == EntryKind::File || self.is_link(&path) {
            self.root.remove_file(&path)
        } else if recursive {
            self.root.remove_dir_all(&path)
        } else {
            self.root.remove_dir(&path)
        };
        done.map_err(fault)
    }

    /// Space of the disk that the folder is on.
    pub(super) fn quota(&self) -> Result<Quota> {
        let found = rustix::fs::fstatvfs(&self.root).map_err(|error| fault(error.into()))?;
        let block = found.f_frsize;
        let total = found.f_blocks.saturating_mul(block);
        let free = found.f_bavail.saturating_mul(block);
        Ok(Quota { used: Some(total.saturating_sub(free)), total: Some(total) })
    }
}

/// Renames without ever replacing: atomic where the file system can, else looked up first.
fn rename_unless_taken(from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> IoResult<()> {
    match rustix::fs::renameat_with(from, name, to, to_name, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    if to.symlink_metadata(to_name).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    from.rename(name, to, to_name)
}

/// Refuses when the entry has another etag than asked for.
pub(super) fn check_etag(entry: &Entry, wanted: Option<&ETag>) -> Result<()> {
    match wanted {
        Some(wanted) if entry.etag.as_ref() != Some(wanted) => {
            Err(Error::new(Kind::Precondition, "The file has changed in the meantime."))
        }
        _ => Ok(()),
    }
}

fn kind_of(found: &Metadata) -> Option<EntryKind> {
    if found.is_file() {
        Some(EntryKind::File)
    } else if found.is_dir() {
        Some(EntryKind::Folder)
    } else {
        None
    }
}

/// The name that the root shows.
pub(super) const ROOT_NAME: &str = "Local folder";

fn entry(path: &LocalPath, kind: EntryKind, found: &Metadata) -> Entry {
    let name = path.name().unwrap_or(ROOT_NAME).to_owned();
    let parent = path.parent().map(|above| Parent {
        id: above.id(),
        name: Some(above.name().unwrap_or(ROOT_NAME).to_owned()),
    });
    let mut entry = match kind {
        EntryKind::File => Entry::file(path.id(), name, parent),
        EntryKind::Folder => Entry::folder(path.id(), name, parent),
    };
    entry.path = Some(path.to_string());
    entry.modified = Some(moment(found.mtime(), found.mtime_nsec()));
    entry.created = found.created().ok().and_then(|when| {
        let since = when.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok().map(Timestamp::from_micros)
    });
    if kind == EntryKind::File {
        entry.size = Some(found.len());
        // Our own writes always make a new inode; other programs' writes move the time.
        entry.etag = Some(ETag::strong(format!(
            "{:x}-{:x}-{:x}-{:x}",
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec()
        )));
    }
    entry.raw = Some(serde_json::json!({
        "path": path.to_string(), "inode": found.ino(), "mode": format!("{:o}", found.mode()),
        "uid": found.uid(), "gid": found.gid(), "links": found.nlink(), "size": found.len(),
    }));
    entry
}

fn moment(seconds: i64, nanos: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000))
}
