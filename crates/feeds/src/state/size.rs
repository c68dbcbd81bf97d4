//! How much lies in a folder, by what is remembered.

use std::collections::HashMap;

use tramontane_activity::feed::remembered::From;
use tramontane_activity::feed::{Item, ItemKind};
use tramontane_model::NativeId;
use xxhash_rust::xxh3::xxh3_64;

use super::{MAX_BLOCKS, Opened, States, TRIES, Walk};
use crate::error::{Error, Result};

/// The most folders that are kept in memory while it is found out what lies in one: some 30 MB.
const MAX_FOLDERS: usize = 500_000;

/// How much lies in a folder and in all folders below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the files whose size is known.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Files whose size is not known: the service does not tell it, or they were last seen by a version that
    /// did not remember it.
    pub unsized_files: u64,
    /// Whether this is all. There was too much to look at everything when it is not, and the numbers are the
    /// least that there is.
    pub whole: bool,
    /// The account has several collections (drives, libraries): what a folder above them shows is not known here.
    pub scattered: bool,
    /// When something was last written of the account, in microseconds since 1970.
    pub synced: Option<i64>,
}

impl Size {
    fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files += other.files;
        self.folders += other.folders;
        self.unsized_files += other.unsized_files;
    }

    fn count(&mut self, item: &Item) {
        match item.kind {
            ItemKind::Folder => self.folders += 1,
            ItemKind::File => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(item.size.unwrap_or(0));
                self.unsized_files += u64::from(item.size.is_none());
            }
        }
    }
}

/// What lies directly in a folder, and which folder that is in, by the hashes of their keys.
#[derive(Default)]
struct Direct {
    size: Size,
    parent: Option<u64>,
}

impl States {
    /// How much lies in a folder. `None` when that is not known: the account is not followed, not everything was
    /// listed once, or there is no such folder. `root` is the account's.
    ///
    /// # Errors
    /// Those of the database; [`Error::Replaced`].
    pub async fn size(
        &self,
        account: i64,
        root: &NativeId,
        folder: &NativeId,
    ) -> Result<Option<Size>> {
        let Ok(_seat) = self.room.acquire().await else { return Ok(None) };
        for _ in 0..TRIES {
            let Some(mut opened) = self.open_followed(account).await? else { return Ok(None) };
            match opened.size(root, folder).await {
                Err(Error::Replaced) => {}
                done => return done,
            }
        }
        Err(Error::Replaced)
    }
}

impl Opened {
    async fn size(&mut self, root: &NativeId, folder: &NativeId) -> Result<Option<Size>> {
        let (synced, parts, whole) = (self.synced, self.parts.len(), !self.is_listing);
        let mut size = Size { whole, scattered: parts > 1, synced, ..Size::default() };
        let everything = folder == root;
        let mut met = false;
        for part in 0..parts {
            let Some(mut walk) = self.walk(part)? else { break };
            let is_root = everything || walk.part.rules.root_id == folder.as_str();
            let found = if is_root {
                walk.all_below(None, &mut size).await?;
                true
            } else if walk.part.rules.path_ids {
                walk.below_path(folder.as_str(), &mut size).await?
            } else {
                walk.below_id(folder.as_str(), &mut size).await?
            };
            met |= found;
            if (found && !everything) || *walk.loaded > MAX_BLOCKS {
                break;
            }
        }
        Ok(met.then_some(size))
    }
}

impl Walk<'_> {
    /// Counts everything, or everything below a path.
    async fn all_below(&mut self, folder: Option<String>, size: &mut Size) -> Result<()> {
        let mut from = From { below: folder, at: None };
        loop {
            let page = match self.page(&from).await {
                Err(Error::TooMuch) => {
                    size.whole = false;
                    return Ok(());
                }
                page => page?,
            };
            page.items.iter().for_each(|(_, item)| size.count(item));
            let Some(next) = page.next else { return Ok(()) };
            from = next;
        }
    }

    async fn below_path(&mut self, folder: &str, size: &mut Size) -> Result<bool> {
        let Some(Some(key)) = self.part.key_of(folder) else { return Ok(false) };
        let item = self.get(&key).await?;
        let is_folder = item
            .is_some_and(|item| item.kind == ItemKind::Folder && item.id == folder && !item.gone);
        if is_folder {
            self.all_below(Some(key), size).await?;
        }
        Ok(is_folder)
    }

    /// Where there are ids, what lies in a folder lies anywhere: all items are looked at once, those of each folder
    /// summed up, and the sums of those below the folder added.
    async fn below_id(&mut self, folder: &str, size: &mut Size) -> Result<bool> {
        let item = self.get(folder).await?;
        if !item.is_some_and(|item| item.kind == ItemKind::Folder && !item.gone) {
            return Ok(false);
        }
        let mut direct: HashMap<u64, Direct> = HashMap::new();
        let mut from = From::default();
        loop {
            let page = match self.page(&from).await {
                Err(Error::TooMuch) => {
                    size.whole = false;
                    break;
                }
                page => page?,
            };
            for (key, item) in &page.items {
                let parent = item.parent.as_deref().map(|parent| xxh3_64(parent.as_bytes()));
                if item.kind == ItemKind::Folder {
                    direct.entry(xxh3_64(key.as_bytes())).or_default().parent = parent;
                }
                if let Some(parent) = parent {
                    direct.entry(parent).or_default().size.count(item);
                }
            }
            if direct.len() > MAX_FOLDERS {
                size.whole = false;
                break;
            }
            let Some(next) = page.next else { break };
            from = next;
        }
        let top = xxh3_64(folder.as_bytes());
        // Whether a folder is the one, or lies below it.
        let mut inside: HashMap<u64, bool> = HashMap::from([(top, true)]);
        for (id, one) in &direct {
            let (mut at, mut way) = (Some(*id), Vec::new());
            let known = loop {
                let Some(here) = at else { break false };
                if let Some(known) = inside.get(&here) {
                    break *known;
                }
                way.push(here);
                // A circle of folders, which no service should have, is not below anything.
                inside.insert(here, false);
                at = direct.get(&here).and_then(|one| one.parent);
            };
            way.into_iter().for_each(|here| {
                inside.insert(here, known);
            });
            if inside.get(id) == Some(&true) {
                size.add(&one.size);
            }
        }
        Ok(true)
    }
}
