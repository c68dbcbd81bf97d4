//! A file on its way in: written under a hidden name beside its place, then put there in one step.

use std::ffi::OsString;
use std::fs::File;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions, Permissions};
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tramontane_connector::{Body, Conflict, Entry, EntryKind, Error, Result, WriteOptions};

use super::disk::{Disk, check_etag};
use super::fault::fault;
use super::path::{LocalPath, UPLOAD_PREFIX};
use super::storage::blocking;

/// How much is handed to the disk at once, in bytes.
const CHUNK: usize = 1 << 20;

/// A hidden file that vanishes unless it is put in its place.
pub(super) struct Upload {
    folder: Dir,
    name: OsString,
    placed: bool,
}

impl Upload {
    /// Makes the hidden file in this folder.
    pub(super) fn begin(disk: &Disk, folder: &LocalPath) -> Result<(Self, File)> {
        let folder = disk.folder(folder)?;
        let mut random = [0u8; 12];
        getrandom::fill(&mut random).map_err(|error| {
            Error::internal(format!("The machine gives no randomness: {error}."))
        })?;
        let name = OsString::from(format!("{UPLOAD_PREFIX}{}", hex::encode(random)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = folder.open_with(&name, &options).map_err(fault)?;
        Ok((Self { folder, name, placed: false }, file.into_std()))
    }

    /// Puts the file in its place.
    pub(super) fn place(
        mut self,
        disk: &Disk,
        at: &LocalPath,
        how: &WriteOptions,
        permissions: Option<Permissions>,
    ) -> Result<Entry> {
        if let Some(wanted) = &how.if_match {
            let there = disk.entry_of(at, EntryKind::File)?;
            check_etag(&there, Some(wanted))?;
        }
        if let Some(permissions) = permissions {
            self.folder.set_permissions(&self.name, permissions).map_err(fault)?;
        }
        disk.put((&self.folder, &self.name), (&self.folder, at), EntryKind::File, how.conflict)?;
        self.placed = true;
        disk.entry(at)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.placed {
            // It may be gone already; what cannot be removed stays hidden.
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

/// Writes a body to a new file at `at`, or over the one that is there.
pub(super) async fn write(
    disk: Arc<Disk>,
    at: LocalPath,
    body: Body,
    how: WriteOptions,
    must_exist: bool,
) -> Result<Entry> {
    let folder = at.parent().ok_or_else(|| Error::invalid("The root folder is not a file."))?;
    let (upload, file, permissions) = {
        let (disk, at, how) = (disk.clone(), at.clone(), how.clone());
        blocking(move || begin(&disk, &at, &folder, &how, must_exist)).await?
    };
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(CHUNK);
    let mut pieces = body.checked().into_stream();
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).await.map_err(fault)?;
    }
    file.flush().await.map_err(fault)?;
    let file = file.into_std().await;
    blocking(move || {
        if let Some(modified) = how.modified {
            let since = std::time::Duration::from_micros(modified.micros().try_into().unwrap_or(0));
            file.set_modified(std::time::UNIX_EPOCH + since).map_err(fault)?;
        }
        upload.place(&disk, &at, &how, permissions)
    })
    .await
}

fn begin(
    disk: &Disk,
    at: &LocalPath,
    folder: &LocalPath,
    how: &WriteOptions,
    must_exist: bool,
) -> Result<(Upload, File, Option<Permissions>)> {
    // What is bound to be refused is refused before the content is read.
    let there = match disk.entry(at) {
        Ok(there) => Some(there),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let mut permissions = None;
    match there {
        Some(there) if there.is_folder() && must_exist => {
            return Err(Error::not_found("There is no such file."));
        }
        Some(there) if how.conflict == Conflict::Fail || there.is_folder() => {
            return Err(disk.conflict(at));
        }
        Some(there) => {
            check_etag(&there, how.if_match.as_ref())?;
            permissions = Some(disk.read(at)?.0.metadata().map_err(fault)?.permissions());
        }
        None if must_exist || how.if_match.is_some() => {
            return Err(Error::not_found("There is no such file."));
        }
        None => {}
    }
    let (upload, file) = Upload::begin(disk, folder)?;
    Ok((upload, file, permissions.map(Permissions::from_std)))
}

/// Copies a file on the disk itself.
pub(super) fn copy(
    disk: &Disk,
    from: &LocalPath,
    to: &LocalPath,
    conflict: Conflict,
) -> Result<Entry> {
    let folder = to.parent().ok_or_else(|| Error::invalid("The root folder is not a file."))?;
    let (mut source, _) = disk.read(from)?;
    let (upload, mut target) = Upload::begin(disk, &folder)?;
    std::io::copy(&mut source, &mut target).map_err(fault)?;
    let how = WriteOptions { conflict, if_match: None, modified: None };
    upload.place(disk, to, &how, None)
}
