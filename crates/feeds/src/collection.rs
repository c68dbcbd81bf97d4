//! A collection in memory: its machine, what is known of it, and how both are written.

use tramontane_activity::Event;
use tramontane_activity::feed::remembered::order;
use tramontane_activity::feed::{Ask, Item, ItemKind, Known as _, Machine, Plan, Remembered, Told};
use tramontane_activity::snapshot::{self, BlockId, Manifest, Merge, Overlay};
use tramontane_store::log::CollectionWrite;
use tramontane_store::{Db, feeds};

use crate::error::Result;
use crate::source::Source;

/// Memory for decoded blocks of one collection, in bytes.
const CACHE: usize = 8 << 20;
/// What one answer that needs very many blocks at once may take: the deletion of a folder with a million files.
const MAX_CACHE: usize = 1 << 30;
/// After so many rounds of loading blocks there is more room for them.
const ROUNDS: usize = 100;
/// After so many rounds of loading blocks something is wrong.
const MAX_ROUNDS: usize = 10_000;
/// So many files lie between those that a listing of everything is told of: a little less than a page.
const APART: usize = 900;
/// So many pages ahead.
const STRETCHES: usize = 8;
/// The most changes over the blocks that lie in rows of their own.
const MAX_CHANGES: i64 = 64;

/// A collection at work.
#[derive(Debug)]
pub(crate) struct Kept {
    db: Db,
    account: i64,
    row: Option<feeds::Collection>,
    /// What happens next.
    pub(crate) machine: Machine,
    known: Option<Remembered>,
    /// The number of the next change over the blocks.
    number: i64,
    /// What its folder was called when it was first seen.
    name: Option<String>,
}

/// What a plan writes.
#[derive(Debug)]
pub(crate) struct Writes {
    /// Events for the log.
    pub(crate) events: Vec<Event>,
    /// The collection as it shall be.
    pub(crate) collection: CollectionWrite,
    next: Machine,
    merged: Option<Manifest>,
}

impl Kept {
    /// A collection as it was committed last; a new one when there is no row.
    ///
    /// # Errors
    /// When what is stored cannot be read.
    pub(crate) fn new(
        db: Db,
        account: i64,
        row: Option<feeds::Collection>,
        source: &Source,
    ) -> Result<Self> {
        let machine = match &row {
            Some(row) => {
                let mut machine = serde_json::from_slice::<Machine>(&row.progress)
                    .map_err(|_| snapshot::Error::Damaged("the progress of a collection"))?
                    .resumed();
                machine.lists(source.rules());
                machine
            }
            None => Machine::new(source.rules().clone()),
        };
        let name = row.as_ref().and_then(|row| row.name.clone());
        Ok(Self { db, account, row, machine, known: None, number: 0, name })
    }

    /// The collection as it was committed last.
    pub(crate) fn row(&self) -> Option<&feeds::Collection> {
        self.row.as_ref()
    }

    /// The first plan of a collection that is new: that there is one. `arrived`: it came to an account that was
    /// followed before, so what is in it is news. `name`: what its folder is called.
    pub(crate) fn begin(&mut self, arrived: bool, name: &str) -> Plan {
        if arrived {
            self.machine = Machine::arrived(self.machine.rules().clone());
        }
        self.name = Some(name.to_owned());
        let (events, writes) = (Vec::new(), Vec::new());
        Plan { events, writes, next: self.machine.clone(), commit: true }
    }

    fn id<'s>(&'s self, source: &'s Source) -> &'s str {
        &source.collection().id
    }

    async fn load(&mut self, source: &Source) -> Result<()> {
        if self.known.is_some() {
            return Ok(());
        }
        let path_ids = self.machine.rules().path_ids;
        let order = order(path_ids);
        let base = match &self.row {
            Some(row) if !row.manifest.is_empty() => Manifest::decode(&row.manifest)?,
            _ => Manifest::empty(order),
        };
        let mut overlay = Overlay::new(order);
        for (number, data) in feeds::changes(&self.db, self.account, self.id(source)).await? {
            overlay.absorb(Overlay::decode(&data)?)?;
            self.number = number + 1;
        }
        self.known = Some(Remembered::new(path_ids, base, overlay, CACHE)?);
        Ok(())
    }

    /// What is known of the keys that a question is about.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn items(
        &mut self,
        ask: &Ask,
        source: &Source,
    ) -> Result<Vec<(String, Option<Item>)>> {
        let keys = match ask {
            Ask::Folder { folder, .. } if *folder != self.machine.rules().root => {
                vec![folder.clone()]
            }
            Ask::Verify(keys) => keys.clone(),
            Ask::Tree(_) => return self.ahead(source).await,
            _ => return Ok(Vec::new()),
        };
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            let item = self.with(source, |known| known.get(&key)).await?;
            items.push((key, item));
        }
        Ok(items)
    }

    /// Files that lay ahead of a listing of everything the last time, so far apart that a page goes from one to the
    /// next.
    async fn ahead(&mut self, source: &Source) -> Result<Vec<(String, Option<Item>)>> {
        if self.machine.is_first() || self.machine.items() <= APART as u64 {
            return Ok(Vec::new());
        }
        // Anything that lies behind the last key does: the order of keys here need not be the service's.
        let mut from = self.machine.last_shown().map(|key| format!("{key}/").into_bytes());
        let (mut files, mut read) = (Vec::new(), 0);
        while read < APART * STRETCHES {
            let stretch = self.with(source, |known| known.all(from.as_deref(), APART)).await?;
            read += stretch.items.len();
            files.extend(stretch.items.into_iter().filter(|(_, item)| item.kind == ItemKind::File));
            from = stretch.next;
            if from.is_none() {
                break;
            }
        }
        files.sort_by(|one, other| one.1.id.cmp(&other.1.id));
        let marks = files.into_iter().skip(APART - 1).step_by(APART);
        Ok(marks.map(|(key, item)| (key, Some(item))).collect())
    }

    /// Does something with what is known, loading blocks as they are asked for.
    ///
    /// # Errors
    /// Those of the database; damage.
    pub(crate) async fn with<T>(
        &mut self,
        source: &Source,
        mut work: impl FnMut(&mut Remembered) -> std::result::Result<T, snapshot::Error>,
    ) -> Result<T> {
        self.load(source).await?;
        let mut cache = CACHE;
        for round in 1..MAX_ROUNDS {
            let Some(known) = &mut self.known else { break };
            if round % ROUNDS == 0 {
                // The answer needs more blocks at once than there is room for.
                cache = (cache * 4).min(MAX_CACHE);
                known.state().bound_cache(cache);
            }
            match work(known) {
                Ok(done) => {
                    if cache > CACHE {
                        known.state().bound_cache(CACHE);
                    }
                    return Ok(done);
                }
                Err(snapshot::Error::Missing(blocks)) => {
                    for block in blocks {
                        let stored = self.block(block, source).await?;
                        if let Some(known) = &mut self.known {
                            known.state().supply(block, &stored)?;
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(snapshot::Error::Damaged("blocks are asked for again and again").into())
    }

    async fn block(&self, id: BlockId, source: &Source) -> Result<Vec<u8>> {
        let name = format!("{:032x}", id.0);
        let stored = feeds::block(&self.db, self.account, self.id(source), &name).await?;
        Ok(stored.ok_or(snapshot::Error::Damaged("a block is missing"))?)
    }

    /// What an answer comes to.
    ///
    /// # Errors
    /// Those of the database; damage.
    pub(crate) async fn plan(&mut self, told: Told, source: &Source, now: i64) -> Result<Plan> {
        if is_quiet(&self.machine, &told) {
            // Nothing was seen, so nothing has to be loaded.
            let mut nothing = tramontane_activity::feed::Table::default();
            return Ok(self.machine.plan(told, &mut nothing, now)?);
        }
        let machine = self.machine.clone();
        self.with(source, |known| machine.plan(told.clone(), known, now)).await
    }

    /// What must be written for a plan. What is known already holds the plan's writes afterwards; when they
    /// cannot be committed, the collection must be loaded again.
    ///
    /// # Errors
    /// Those of the database; damage.
    pub(crate) async fn writes(&mut self, plan: Plan, source: &Source, now: i64) -> Result<Writes> {
        self.load(source).await?;
        for (key, item) in &plan.writes {
            self.with(source, |known| known.put(key, item.as_ref())).await?;
        }
        let number = self.number;
        let mut put = Vec::new();
        let mut drop = Vec::new();
        let mut merged = None;
        let mut change = None;
        if let Some(known) = &mut self.known {
            let state = known.state();
            let unsaved = state.unsaved();
            let due = state.overlay().is_due(state.base().count()) || number >= MAX_CHANGES;
            if !unsaved.is_empty() && due {
                let (base, overlay) = (state.base().clone(), state.overlay().clone());
                let old: Vec<BlockId> = base.blocks().iter().map(|block| block.id).collect();
                let (next, blocks) = self.merge(base, overlay, source).await?;
                let kept: std::collections::BTreeSet<BlockId> =
                    next.blocks().iter().map(|block| block.id).collect();
                drop.extend(
                    old.iter().filter(|id| !kept.contains(id)).map(|id| format!("{:032x}", id.0)),
                );
                put = blocks;
                merged = Some(next);
            } else if !unsaved.is_empty() {
                change = Some((number, unsaved.encode()?));
            }
        }
        let manifest = match (&merged, &self.row) {
            (Some(next), _) => next.encode()?,
            (None, Some(row)) => row.manifest.clone(),
            (None, None) => Vec::new(),
        };
        let expected = self.row.as_ref().map(|row| row.generation);
        let row = feeds::Collection {
            account: self.account,
            id: source.collection().id.clone(),
            root: source.collection().root.as_str().to_owned(),
            name: self.name.clone(),
            generation: expected.unwrap_or(0) + 1,
            cursor: plan.next.cursor().map(str::to_owned),
            manifest,
            progress: serde_json::to_vec(&plan.next.stored())
                .map_err(|_| snapshot::Error::Damaged("the progress of a collection"))?,
            modified: now,
        };
        let forget_changes = merged.is_some();
        let collection = CollectionWrite { row, expected, change, forget_changes, put, drop };
        Ok(Writes { events: plan.events, collection, next: plan.next, merged })
    }

    async fn merge(
        &self,
        base: Manifest,
        overlay: Overlay,
        source: &Source,
    ) -> Result<(Manifest, Vec<(String, Vec<u8>)>)> {
        let mut put = Vec::new();
        let mut merge = Merge::new(base, overlay)?;
        let mut store = |block: tramontane_activity::snapshot::NewBlock| {
            put.push((format!("{:032x}", block.id.0), block.bytes));
            Ok(())
        };
        while let Some(id) = merge.wants() {
            let stored = self.block(id, source).await?;
            merge.supply(id, &stored, &mut store)?;
        }
        let next = merge.finish(&mut store)?;
        Ok((next, put))
    }

    /// The writes were committed.
    ///
    /// # Errors
    /// When the new generation does not hold what is known: a fault of ours.
    pub(crate) fn committed(&mut self, writes: &Writes) -> Result<()> {
        if let Some(known) = &mut self.known {
            if let Some(next) = &writes.merged {
                known.state().merged(next.clone())?;
                self.number = 0;
            } else if writes.collection.change.is_some() {
                known.state().saved();
                self.number += 1;
            }
        }
        self.row = Some(writes.collection.row.clone());
        self.machine = writes.next.clone();
        Ok(())
    }
}

/// Whether an answer shows nothing that must be compared.
fn is_quiet(machine: &Machine, told: &Told) -> bool {
    match told {
        Told::Latest(_) | Told::Expired => true,
        Told::Changes { observations, .. } => observations.is_empty() && !machine.is_waiting(),
        _ => false,
    }
}
