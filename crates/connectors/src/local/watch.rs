//! Hears of changes in a folder from the operating system (inotify on Linux).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use notify::event::{AccessKind, AccessMode, EventKind, Flag};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tramontane_connector::changes::{Heard, Watch};
use tramontane_connector::{Error, Kind, Result};

use super::path::UPLOAD_PREFIX;

/// What is heard within this time belongs together.
const TOGETHER: Duration = Duration::from_millis(10);
/// So many changes may wait to be heard; beyond, everything is looked at.
const QUEUE: usize = 4_096;

/// A folder that is watched with all below it.
pub(super) struct FolderWatch {
    changes: mpsc::Receiver<String>,
    missed: Arc<AtomicBool>,
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// `Unavailable` when the system has no more watches to give, or cannot watch this file system.
    pub(super) fn begin(root: &str) -> Result<Self> {
        let broken = |cause: notify::Error| {
            let text = format!("The folder cannot be watched: {cause}.");
            Error::new(Kind::Unavailable, text)
        };
        // Links in the root's own path are followed, so that what is heard begins with it.
        let root = std::fs::canonicalize(root).map_err(|cause| broken(cause.into()))?;
        let (sender, changes) = mpsc::channel(QUEUE);
        let missed = Arc::new(AtomicBool::new(false));
        let (lost, below) = (Arc::clone(&missed), root.clone());
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let folders = event.as_ref().map(|event| folders(event, &below));
                let heard = match folders {
                    Ok(Some(folders)) => {
                        folders.into_iter().all(|folder| sender.try_send(folder).is_ok())
                    }
                    Ok(None) | Err(_) => false,
                };
                if !heard {
                    lost.store(true, Ordering::Relaxed);
                    // Wakes whoever waits; when the queue is full it is awake anyway.
                    let _ = sender.try_send(String::new());
                }
            })
            .map_err(broken)?;
        watcher.watch(&root, RecursiveMode::Recursive).map_err(broken)?;
        Ok(Self { changes, missed, _watcher: watcher })
    }
}

/// The folders whose contents an event is about; `None` when events were lost.
fn folders(event: &notify::Event, root: &Path) -> Option<BTreeSet<String>> {
    if event.attrs.flag() == Some(Flag::Rescan) {
        return None;
    }
    let worth = match event.kind {
        // A file that was written to is looked at when it is closed: before, it is half a file.
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(notify::event::ModifyKind::Data(_)) => false,
        _ => true,
    };
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(UPLOAD_PREFIX)
    };
    let paths = event.paths.iter().filter(|path| worth && !ours(path));
    Some(paths.filter_map(|path| folder(path, root)).collect())
}

fn folder(path: &Path, root: &Path) -> Option<String> {
    let below = path.parent()?.strip_prefix(root).ok()?;
    let mut folder = String::new();
    for part in below.components() {
        folder.push('/');
        folder.push_str(part.as_os_str().to_str()?);
    }
    Some(folder)
}

#[async_trait]
impl Watch for FolderWatch {
    async fn next(&mut self) -> Option<Heard> {
        let first = self.changes.recv().await?;
        // A move is heard in two places, one after the other: both are looked at together, or it would be
        // taken for a deletion.
        tokio::time::sleep(TOGETHER).await;
        let mut folders = BTreeSet::from([first]);
        while let Ok(more) = self.changes.try_recv() {
            folders.insert(more);
        }
        if self.missed.swap(false, Ordering::Relaxed) {
            return Some(Heard::Everything);
        }
        Some(Heard::Folders(folders.into_iter().collect()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_heard_with_their_folders() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("docs")).unwrap();
        let mut watch = FolderWatch::begin(home.path().to_str().unwrap()).unwrap();
        let mut heard = BTreeSet::new();
        std::fs::write(home.path().join("docs/a.txt"), b"a").unwrap();
        while !heard.contains("/docs") {
            match watch.next().await.unwrap() {
                Heard::Folders(folders) => heard.extend(folders),
                Heard::Everything => panic!("nothing was missed"),
            }
        }
        assert!(!heard.contains(""));
        std::fs::rename(home.path().join("docs/a.txt"), home.path().join("b.txt")).unwrap();
        while !heard.contains("") {
            match watch.next().await.unwrap() {
                Heard::Folders(folders) => heard.extend(folders),
                Heard::Everything => panic!("nothing was missed"),
            }
        }
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_watched() {
        assert!(FolderWatch::begin("/nowhere/at/all").is_err());
    }
}
