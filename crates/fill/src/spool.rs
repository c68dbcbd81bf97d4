//! The disk that content waits on: temporary files, the parts of uploads, and long cursors.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;
use tramontane_connector::{Body, Error, HashKind, Kind, Result};

use crate::digest::Hasher;

/// How much is read from and handed to the disk at once, in bytes.
const CHUNK: usize = 256 << 10;

/// A folder of the server's data directory that content is spooled into. A cluster whose nodes shall
/// go on with each other's spooled uploads mounts the same folder on all of them.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
}

/// What was written to the spool.
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Spool {
    /// The spool in this folder, which is made when it is needed.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes uploads and cursors that nobody has touched for so long.
    ///
    /// # Errors
    /// `Internal` when the disk fails.
    pub async fn sweep(&self, unused_for: Duration) -> Result<u64> {
        let mut removed = 0;
        for kind in ["uploads", "cursors"] {
            let mut found = match tokio::fs::read_dir(self.dir.join(kind)).await {
                Ok(found) => found,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(disk(error)),
            };
            while let Some(one) = found.next_entry().await.map_err(disk)? {
                let Ok(about) = one.metadata().await else { continue };
                let age = about.modified().ok().and_then(|when| when.elapsed().ok());
                if age.is_none_or(|age| age < unused_for) {
                    continue;
                }
                let gone = if about.is_dir() {
                    tokio::fs::remove_dir_all(one.path()).await
                } else {
                    tokio::fs::remove_file(one.path()).await
                };
                removed += u64::from(gone.is_ok());
            }
        }
        Ok(removed)
    }

    /// Writes a body to a nameless file and gives it back with its length known. The file goes when
    /// the body is dropped, whatever happens.
    pub async fn keep(&self, body: Body, limit: u64) -> Result<Body> {
        let media_type = body.media_type().map(str::to_owned);
        let dir = self.dir.clone();
        let file = blocking(move || {
            std::fs::create_dir_all(&dir)?;
            tempfile::tempfile_in(&dir)
        })
        .await?;
        let mut file = File::from_std(file);
        let written = copy_in(&mut file, body, limit).await?;
        file.seek(SeekFrom::Start(0)).await.map_err(disk)?;
        let pieces = ReaderStream::with_capacity(file, CHUNK).map(|piece| piece.map_err(disk));
        Ok(Body::new(pieces, Some(written.size)).checked().with_media_type(media_type))
    }

    fn upload(&self, id: &str) -> Result<PathBuf> {
        Ok(self.dir.join("uploads").join(plain(id)?))
    }

    /// Makes the folder of a new upload and gives its id.
    pub(crate) async fn begin(&self) -> Result<String> {
        let id = random()?;
        tokio::fs::create_dir_all(self.upload(&id)?).await.map_err(disk)?;
        Ok(id)
    }

    /// Keeps one part. It is there whole or not at all; sent again, it replaces the one before.
    pub(crate) async fn put(
        &self,
        id: &str,
        number: u32,
        body: Body,
        limit: u64,
    ) -> Result<Written> {
        let folder = self.upload(id)?;
        let unfinished = Unfinished(folder.join(format!("part-{number:05}.{}", random()?)));
        let mut file = match File::create_new(&unfinished.0).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::not_found("There is no such upload."));
            }
            Err(error) => return Err(disk(error)),
        };
        let written = copy_in(&mut file, body.checked(), limit).await?;
        file.sync_data().await.map_err(disk)?;
        drop(file);
        let place = folder.join(format!("part-{number:05}"));
        tokio::fs::rename(&unfinished.0, place).await.map_err(disk)?;
        Ok(written)
    }

    /// The parts, one after the other, as one body. Each must be there with its size.
    pub(crate) async fn compose(&self, id: &str, parts: &[(u32, u64)]) -> Result<Body> {
        let folder = self.upload(id)?;
        if !tokio::fs::try_exists(&folder).await.map_err(disk)? {
            return Err(Error::not_found("There is no such upload."));
        }
        let mut paths = Vec::with_capacity(parts.len());
        let mut total = 0u64;
        for (number, size) in parts {
            let path = folder.join(format!("part-{number:05}"));
            match tokio::fs::metadata(&path).await {
                Ok(about) if about.len() == *size => {}
                _ => return Err(Error::invalid(format!("Part {number} is missing."))),
            }
            total = total.saturating_add(*size);
            paths.push(path);
        }
        let pieces = futures::stream::iter(paths)
            .then(|path| async move { File::open(path).await.map_err(disk) })
            .flat_map(|file| match file {
                Ok(file) => ReaderStream::with_capacity(file, CHUNK)
                    .map(|piece| piece.map_err(disk))
                    .boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            });
        Ok(Body::new(pieces, Some(total)).checked())
    }

    /// Removes an upload with its parts.
    pub(crate) async fn discard(&self, id: &str) -> Result<()> {
        match tokio::fs::remove_dir_all(self.upload(id)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk(error)),
            _ => Ok(()),
        }
    }

    /// Keeps a text that is too long for a cursor and gives a short name for it.
    pub(crate) async fn note(&self, text: &str) -> Result<String> {
        let id = random()?;
        let folder = self.dir.join("cursors");
        tokio::fs::create_dir_all(&folder).await.map_err(disk)?;
        tokio::fs::write(folder.join(&id), text).await.map_err(disk)?;
        Ok(id)
    }

    /// The text that was kept; none when it is gone.
    pub(crate) async fn noted(&self, id: &str) -> Result<Option<String>> {
        let path = self.dir.join("cursors").join(plain(id)?);
        Ok(tokio::fs::read_to_string(path).await.ok())
    }
}

/// A file that is removed unless it was renamed before.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn copy_in(file: &mut File, body: Body, limit: u64) -> Result<Written> {
    file.set_max_buf_size(1 << 20);
    let mut hasher = Hasher::new(&[HashKind::Sha256]);
    let mut pieces = body.into_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        hasher.take(&piece);
        if hasher.count() > limit {
            let text = format!("The content is larger than the {limit} bytes that are kept here.");
            return Err(Error::new(Kind::TooLarge, text));
        }
        file.write_all(&piece).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    let sha256 = hasher.hashes().sha256.unwrap_or_default();
    Ok(Written { size: hasher.count(), sha256 })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("Work on the spool was cut off.").because(error))?
        .map_err(disk)
}

fn disk(error: std::io::Error) -> Error {
    Error::internal(format!("The server's spool directory failed: {error}.")).because(error)
}

fn random() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal(format!("The machine gives no randomness: {error}.")))?;
    Ok(hex::encode(bytes))
}

/// Only names that [`random`] gives lead into the spool.
fn plain(id: &str) -> Result<&str> {
    let fine = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fine { Ok(id) } else { Err(Error::not_found("There is no such upload.")) }
}
