//! Content that waits on the server's own disk: dropped chunks, and the bodies of uploads that run as
//! tasks. Files are whole or not there.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tramontane_connector::{Body, Error, Kind, Result};

/// Bytes read at once.
const PIECE_BYTES: usize = 256 << 10;

/// A folder that content is kept in.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// In bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// Some bytes of a kept file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The file's name.
    pub name: String,
    /// How many bytes to leave out at the beginning.
    pub skip: u64,
    /// How many follow.
    pub len: u64,
}

impl Kept {
    /// Content in this folder, which is made when it is needed.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let fine = !name.is_empty()
            && name.len() <= 200
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if fine { Ok(self.dir.join(name)) } else { Err(Error::internal("A bad name to keep.")) }
    }

    /// Keeps a body of at most `limit` bytes under a name over `[A-Za-z0-9_-]`, in place of what was
    /// kept there. Whatever breaks off leaves nothing.
    ///
    /// # Errors
    /// `TooLarge`, `Body`, `Full` when the disk is.
    pub async fn keep(&self, name: &str, body: Body, limit: u64) -> Result<Parcel> {
        let path = self.path(name)?;
        fs::create_dir_all(&self.dir).await.map_err(disk)?;
        let (mut guard, mut file) = Partial::create(path.with_extension("part")).await?;
        let mut hash = Sha256::new();
        let mut size = 0u64;
        let mut pieces = body.checked().into_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            if size > limit {
                return Err(too_large(limit));
            }
            hash.update(&piece);
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        drop(file);
        fs::rename(&guard.path, &path).await.map_err(disk)?;
        guard.done = true;
        Ok(Parcel { size, sha256: hex::encode(hash.finalize()) })
    }

    /// The stretches, one after the other, as one body.
    ///
    /// # Errors
    /// `Internal` when a name is bad. A file that is gone breaks the body.
    pub fn read(&self, stretches: Vec<Stretch>) -> Result<Body> {
        let len = stretches.iter().map(|stretch| stretch.len).sum();
        let paths: Result<Vec<_>> = stretches
            .into_iter()
            .map(|one| Ok((self.path(&one.name)?, one.skip, one.len)))
            .collect();
        let pieces = stream::iter(paths?).flat_map(|(path, skip, len)| pieces(path, skip, len));
        Ok(Body::new(pieces, Some(len)))
    }

    /// The size of a kept file; `None` when it is not there.
    ///
    /// # Errors
    /// `Internal` when the disk cannot be read.
    pub async fn size(&self, name: &str) -> Result<Option<u64>> {
        match fs::metadata(self.path(name)?).await {
            Ok(facts) => Ok(Some(facts.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(error)),
        }
    }

    /// Removes a kept file. Not there is fine.
    pub async fn remove(&self, name: &str) {
        if let Ok(path) = self.path(name)
            && let Err(error) = fs::remove_file(&path).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "kept content cannot be removed");
        }
    }

    /// Removes files that were last written more than `older_than` ago, as left by processes that
    /// died; gives how many.
    pub async fn sweep(&self, older_than: std::time::Duration) -> usize {
        let Ok(mut entries) = fs::read_dir(&self.dir).await else { return 0 };
        let mut count = 0;
        while let Ok(Some(entry)) = entries.next_entry().await {
            let Ok(facts) = entry.metadata().await else { continue };
            let age = facts.modified().ok().and_then(|at| at.elapsed().ok());
            if facts.is_file()
                && age.is_some_and(|age| age > older_than)
                && fs::remove_file(entry.path()).await.is_ok()
            {
                count += 1;
            }
        }
        count
    }
}

/// A body that breaks off with `TooLarge` beyond so many bytes.
#[must_use]
pub fn at_most(body: Body, limit: u64) -> Body {
    let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
    let mut seen = 0u64;
    let pieces = body.into_stream().map(move |piece| {
        let piece = piece?;
        seen = seen.saturating_add(piece.len() as u64);
        if seen <= limit { Ok(piece) } else { Err(too_large(limit)) }
    });
    Body::new(pieces, len).with_media_type(media_type)
}

fn too_large(limit: u64) -> Error {
    let text = format!("The content is larger than the {limit} bytes allowed here.");
    Error::new(Kind::TooLarge, text)
}

fn pieces(path: PathBuf, skip: u64, len: u64) -> stream::BoxStream<'static, Result<Bytes>> {
    enum State {
        Closed(PathBuf, u64, u64),
        Open(File, u64),
        End,
    }
    stream::unfold(State::Closed(path, skip, len), |state| async move {
        let (mut file, left) = match state {
            State::Closed(path, skip, len) => match open(&path, skip).await {
                Ok(file) => (file, len),
                Err(error) => return Some((Err(error), State::End)),
            },
            State::Open(file, left) => (file, left),
            State::End => return None,
        };
        if left == 0 {
            return None;
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut buffer = bytes::BytesMut::with_capacity(room);
        let read = (&mut file).take(room as u64).read_buf(&mut buffer).await;
        match read {
            Ok(0) => {
                let text = "Kept content is shorter than it was.";
                Some((Err(Error::internal(text)), State::End))
            }
            Ok(count) => Some((Ok(buffer.freeze()), State::Open(file, left - count as u64))),
            Err(error) => Some((Err(disk(error)), State::End)),
        }
    })
    .boxed()
}

async fn open(path: &Path, skip: u64) -> Result<File> {
    let mut file = File::open(path).await.map_err(disk)?;
    if skip > 0 {
        file.seek(std::io::SeekFrom::Start(skip)).await.map_err(disk)?;
    }
    Ok(file)
}

fn disk(error: std::io::Error) -> Error {
    let text = match error.kind() {
        std::io::ErrorKind::StorageFull => "The server's disk is full.",
        _ => "The server's disk cannot be used.",
    };
    Error::internal(text).because(error)
}

/// A file being written, removed when it is not finished.
struct Partial {
    path: PathBuf,
    done: bool,
}

impl Partial {
    async fn create(path: PathBuf) -> Result<(Self, File)> {
        // Two writers of one name must not write into each other's file.
        let unique = format!("part{}", uuid::Uuid::new_v4().simple());
        let path = path.with_extension(unique);
        let file = File::create_new(&path).await.map_err(disk)?;
        Ok((Self { path, done: false }, file))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // One unlink: quick enough to do where the drop happens. What stays is swept later.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_and_gives_back_in_stretches() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("x"));
        let parcel = kept.keep("a", Body::from_bytes("hello "), 10).await.unwrap();
        assert_eq!(parcel.size, 6);
        kept.keep("b", Body::from_bytes("my world"), 10).await.unwrap();
        let stretch = |name: &str, skip, len| Stretch { name: name.into(), skip, len };
        let body = kept.read(vec![stretch("a", 0, 6), stretch("b", 3, 5)]).unwrap();
        assert_eq!(body.len(), Some(11));
        assert_eq!(&body.collect(100).await.unwrap()[..], b"hello world");
        kept.remove("a").await;
        kept.remove("a").await;
        assert_eq!(kept.size("a").await.unwrap(), None);
        assert_eq!(kept.size("b").await.unwrap(), Some(8));
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_too_large_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        let error = kept.keep("a", Body::from_bytes("hello"), 4).await.unwrap_err();
        assert_eq!(error.kind, Kind::TooLarge);
        let broken = Body::new(
            stream::iter([Ok(Bytes::from("he")), Err(Error::new(Kind::Body, "cut"))]),
            None,
        );
        assert!(kept.keep("a", broken, 100).await.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn names_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        for bad in ["", "..", "a/b", "../a", "a.b", "a\0"] {
            assert!(kept.keep(bad, Body::empty(), 1).await.is_err(), "{bad:?}");
        }
    }
}
