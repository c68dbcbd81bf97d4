//! What is remembered of accounts, for readers: searched, summed up, and compared with a customer's mirror.
//!
//! Any process may read it, whichever owns the account's shard: it is what the last commit left in the
//! database, with the place in the log of that very commit. Nothing is locked and nothing is written. A block
//! that was read too late, since a merge has replaced it, has the reader begin again. Memory is bounded by the
//! readers that work at once, the number of blocks by what each answer may read.

mod digest;
mod recent;
mod search;
mod size;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tramontane_activity::feed::remembered::{From, Items, order};
use tramontane_activity::feed::{Item, ItemKind, Known as _, Machine, Phase, Remembered, Rules};
use tramontane_activity::snapshot::{self, BlockId, Manifest, Overlay};
use tramontane_connector::{EntryKind, EntryRef};
use tramontane_model::NativeId;
use tramontane_store::feeds::{Collection, FeedState};
use tramontane_store::{Db, states};

pub use digest::{Digest, Part as DigestPart, Prefix, Sum};
pub use recent::Recent;
pub use search::{At, Found, Hit, Search};
pub use size::Size;

use crate::error::{Error, Result};
use crate::following::Watched;

/// So many readers work at once in a process.
const READERS: usize = 4;
/// How often a reader begins again because what it read was replaced.
const TRIES: usize = 8;
/// Memory for decoded blocks of one reader, in bytes.
const CACHE: usize = 8 << 20;
/// Items of a page.
const PAGE: usize = 4_096;
/// After so many rounds of loading blocks for one page something is wrong.
const MAX_ROUNDS: usize = 1_000;
/// The most blocks that are read for one answer: some five million items.
pub const MAX_BLOCKS: usize = 4_096;

/// What is remembered of accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct States {
    db: Db,
    room: Arc<Semaphore>,
}

impl States {
    /// What lies in a database.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, room: Arc::new(Semaphore::new(READERS)) }
    }

    /// As [`States::open`], while the account is followed: nothing new would be known else.
    async fn open_followed(&self, account: i64) -> Result<Option<Opened>> {
        Ok(self.open(account).await?.filter(|opened| opened.is_followed))
    }

    /// Opens what is known of an account as the last commit left it. `None` when not everything in it was listed
    /// once: then nothing can be said of what is not known.
    async fn open(&self, account: i64) -> Result<Option<Opened>> {
        let Some(standing) = states::standing(&self.db, account).await? else { return Ok(None) };
        let subscription = standing.subscription.filter(|one| one.active);
        if standing.collections.is_empty() {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(standing.collections.len());
        let (mut items, mut is_listing) = (0, false);
        for (row, changes) in standing.collections {
            let machine = serde_json::from_slice::<Machine>(&row.progress)
                .map_err(|_| snapshot::Error::Damaged("the progress of a collection"))?;
            if !machine.has_listed() {
                return Ok(None);
            }
            items += machine.items();
            is_listing |= matches!(machine.phase(), Phase::Fresh | Phase::Listing { .. });
            parts.push(Part { row, changes, rules: machine.rules().clone() });
        }
        Ok(Some(Opened {
            db: self.db.clone(),
            account,
            parts,
            is_followed: standing.feed.state == FeedState::Following,
            is_listing,
            items,
            settings_since: subscription.as_ref().map_or(0, |one| one.modified),
            head: subscription.as_ref().map(|one| one.head),
            watches_all: subscription.is_some_and(|one| Watched::of(&one).folders.is_empty()),
            synced: standing.feed.synced,
            loaded: 0,
        }))
    }
}

/// What is known of one account at one commit.
struct Opened {
    db: Db,
    account: i64,
    parts: Vec<Part>,
    is_followed: bool,
    /// A collection is being listed: it may have come lately, and not all in it is known.
    is_listing: bool,
    /// How many files and folders there are.
    items: u64,
    /// When what the default feed tells of was last changed.
    settings_since: i64,
    /// The number of the newest event of the default feed; `None` when that is off.
    head: Option<i64>,
    /// The default feed tells of everything.
    watches_all: bool,
    /// When something was last written, in microseconds.
    synced: Option<i64>,
    /// Blocks that were read so far.
    loaded: usize,
}

/// One collection.
struct Part {
    row: Collection,
    changes: Vec<Vec<u8>>,
    rules: Rules,
}

impl Part {
    /// The key of the folder with this id, where keys are paths, as far as ids can be told from paths. The
    /// root has none: `Some(None)`.
    fn key_of(&self, id: &str) -> Option<Option<String>> {
        if !self.rules.path_ids {
            return None;
        }
        let root = self.rules.root_id.as_str();
        if id == root {
            return Some(None);
        }
        let below = if root == "/" { id } else { id.strip_prefix(root)? };
        below.starts_with('/').then(|| Some(below.to_owned()))
    }

    /// The service's id of the folder that an item is in; `None` when there is none that is known.
    fn folder_of(&self, key: &str, item: &Item) -> Option<String> {
        let parent = item.parent.as_deref()?;
        if parent == self.rules.root {
            return Some(self.rules.root_id.clone());
        }
        if !self.rules.path_ids {
            return Some(parent.to_owned());
        }
        let above = item.id.strip_suffix(key)?;
        Some(format!("{above}{parent}"))
    }
}

/// What is known of one collection, block by block.
struct Walk<'o> {
    db: &'o Db,
    account: i64,
    part: &'o Part,
    known: Remembered,
    loaded: &'o mut usize,
}

impl Opened {
    /// Begins to walk through a collection.
    fn walk(&mut self, part: usize) -> Result<Option<Walk<'_>>> {
        let Some(part) = self.parts.get(part) else { return Ok(None) };
        let order = order(part.rules.path_ids);
        let base = match part.row.manifest.as_slice() {
            [] => Manifest::empty(order),
            stored => Manifest::decode(stored)?,
        };
        let mut overlay = Overlay::new(order);
        for data in &part.changes {
            overlay.absorb(Overlay::decode(data)?)?;
        }
        let known = Remembered::new(part.rules.path_ids, base, overlay, CACHE)?;
        let (db, account, loaded) = (&self.db, self.account, &mut self.loaded);
        Ok(Some(Walk { db, account, part, known, loaded }))
    }
}

impl Walk<'_> {
    /// A page of items.
    async fn page(&mut self, from: &From) -> Result<Items> {
        for _ in 0..MAX_ROUNDS {
            match self.known.page(from, PAGE) {
                Err(snapshot::Error::Missing(blocks)) => self.load(&blocks).await?,
                done => return Ok(done?),
            }
        }
        Err(snapshot::Error::Damaged("blocks are asked for again and again").into())
    }

    /// The item with this key.
    async fn get(&mut self, key: &str) -> Result<Option<Item>> {
        for _ in 0..MAX_ROUNDS {
            match self.known.get(key) {
                Err(snapshot::Error::Missing(blocks)) => self.load(&blocks).await?,
                done => return Ok(done?),
            }
        }
        Err(snapshot::Error::Damaged("blocks are asked for again and again").into())
    }

    async fn load(&mut self, blocks: &[BlockId]) -> Result<()> {
        *self.loaded += blocks.len();
        if *self.loaded > MAX_BLOCKS {
            return Err(Error::TooMuch);
        }
        let names: Vec<String> = blocks.iter().map(|id| format!("{:032x}", id.0)).collect();
        let found = states::blocks(self.db, self.account, &self.part.row.id, &names).await?;
        for (id, name) in blocks.iter().zip(&names) {
            let stored = found.iter().find(|(found, _)| found == name);
            // A merge has put another in its place since this state was opened.
            let (_, stored) = stored.ok_or(Error::Replaced)?;
            self.known.state().supply(*id, stored)?;
        }
        Ok(())
    }
}

/// Which object an item is.
fn reference(item: &Item) -> EntryRef {
    let kind = match item.kind {
        ItemKind::File => EntryKind::File,
        ItemKind::Folder => EntryKind::Folder,
    };
    EntryRef { kind, id: NativeId::new(item.id.as_str()) }
}
