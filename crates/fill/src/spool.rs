//! The disk that content waits on: temporary files and the parts of uploads.

use std::path::{Path, PathBuf};

/// A folder of the server's data directory that content is spooled into. A cluster whose nodes shall
/// go on with each other's spooled uploads mounts the same folder on all of them.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
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
}
