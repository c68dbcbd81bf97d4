//! The state of one account: a generation, the changes over it, and the blocks that were used lately.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::block::{Block, BlockId};
use super::cache::Cache;
use super::digest::{Digest, record_hash};
use super::error::Error;
use super::manifest::Manifest;
use super::overlay::Overlay;
use super::record::{KeyOrder, Record, RecordRef};

/// The most blocks that one [`Error::Missing`] names.
const ASKED_BLOCKS: usize = 8;

/// Records that are read at a time for children, most of which may lie deeper.
const CHILDREN_AHEAD: usize = 64;

/// A stretch of an account's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Records, ascending. May be empty although more follow.
    pub records: Vec<Record>,
    /// Where to go on, or none at the end.
    pub next: Option<Vec<u8>>,
}

/// What lies directly in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its key.
    pub key: Vec<u8>,
    /// Its record. None for a folder that is there only because keys go through it, as on S3.
    pub record: Option<Record>,
}

/// A stretch of a folder's children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// Children, ascending. May be empty although more follow.
    pub children: Vec<Child>,
    /// Where to go on, or none at the end.
    pub next: Option<Vec<u8>>,
}

/// The state of one account, as it is looked up and changed between scans.
///
/// Nothing here waits. When a block is needed that is not in memory, the answer is [`Error::Missing`] with the
/// ids to load; the caller hands them to [`State::supply`] and asks the same again. Blocks stay in memory
/// within a bound, so at most the few that one answer needs should be supplied before it is asked for.
pub struct State {
    base: Manifest,
    overlay: Overlay,
    /// Ranked keys whose entries were changed since [`State::saved`].
    unsaved: BTreeSet<Vec<u8>>,
    cache: Cache,
}

impl State {
    /// A generation and what has changed over it. Decoded blocks take at most `cache_bytes` (at least 8 MiB),
    /// a few hundred bytes aside.
    ///
    /// # Errors
    ///
    /// [`Error::MixedOrders`] when the overlay is not one over this generation.
    pub fn new(base: Manifest, overlay: Overlay, cache_bytes: usize) -> Result<Self, Error> {
        if overlay.order() != base.order() {
            return Err(Error::MixedOrders);
        }
        Ok(Self { base, overlay, unsaved: BTreeSet::new(), cache: Cache::new(cache_bytes)? })
    }

    /// The generation.
    #[must_use]
    pub fn base(&self) -> &Manifest {
        &self.base
    }

    /// What has changed over it.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The generation and what has changed over it: what [`super::Merge`] takes.
    #[must_use]
    pub fn into_parts(self) -> (Manifest, Overlay) {
        (self.base, self.overlay)
    }

    /// Takes a stored block in.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of this block.
    pub fn supply(&mut self, id: BlockId, stored: &[u8]) -> Result<(), Error> {
        self.cache.supply(id, self.base.order(), stored)
    }

    /// Decoded blocks take at most so much memory from now on (at least 8 MiB): an answer that needs very many of them
    /// at once would otherwise never be given.
    pub fn bound_cache(&mut self, bytes: usize) {
        self.cache.bound(bytes);
    }

    /// Bytes of memory that decoded blocks take.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.cache.used()
    }

    /// The blocks that looking up these keys would need and that are not in memory, the first few of them: to
    /// load them in one go.
    #[must_use]
    pub fn needs<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Vec<BlockId> {
        let mut needed = BTreeSet::new();
        for key in keys {
            if needed.len() >= ASKED_BLOCKS {
                break;
            }
            if self.overlay.get(key).is_none()
                && let Some(id) = self.home(key)
                && !self.cache.has(id)
            {
                needed.insert(id);
            }
        }
        needed.into_iter().collect()
    }

    /// The record with this key.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Record>, Error> {
        match self.overlay.get(key) {
            Some(now) => Ok(now),
            None => self.base_get(key),
        }
    }

    /// Puts a record in the place of the one with its key, if any, and gives that.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::TooLarge`] when the overlay is full: merge it.
    pub fn upsert(&mut self, record: RecordRef<'_>) -> Result<Option<Record>, Error> {
        self.set(record.key, Some(record))
    }

    /// Takes out the record with this key and gives it, if there is one.
    ///
    /// # Errors
    ///
    /// As [`State::upsert`].
    pub fn remove(&mut self, key: &[u8]) -> Result<Option<Record>, Error> {
        self.set(key, None)
    }

    fn set(&mut self, key: &[u8], now: Option<RecordRef<'_>>) -> Result<Option<Record>, Error> {
        let before = self.get(key)?;
        if before.as_ref().map(Record::borrowed) == now {
            return Ok(before);
        }
        // Where the overlay has no entry yet, what is there now is the generation's.
        self.overlay.set(key, now, before.as_ref().map(Record::borrowed))?;
        self.unsaved.insert(self.base.order().ranked(key));
        Ok(before)
    }

    /// The changes since [`State::saved`] as an overlay of their own: what to store with the events that they
    /// belong to. When the state is loaded, the pieces are put together in order with [`Overlay::absorb`].
    #[must_use]
    pub fn unsaved(&self) -> Overlay {
        self.overlay.piece(self.unsaved.iter())
    }

    /// Says that the changes so far are stored.
    pub fn saved(&mut self) {
        self.unsaved.clear();
    }

    /// Goes over to the generation that [`super::Merge`] made of this one and its overlay. The overlay is empty
    /// from now on; blocks that both generations have stay in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when the digests differ, as when something changed since the merge began;
    /// [`Error::MixedOrders`].
    pub fn merged(&mut self, next: Manifest) -> Result<(), Error> {
        if next.order() != self.base.order() {
            return Err(Error::MixedOrders);
        }
        if next.digest() != self.digest() {
            return Err(Error::Stale);
        }
        self.overlay = Overlay::new(next.order());
        self.unsaved.clear();
        self.base = next;
        Ok(())
    }

    /// How many records there are, and the digest of all of them. Needs no block.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut digest = self.base.digest();
        self.overlay.correct(&mut digest, &[], None);
        digest
    }

    /// The digest of the keys from `from` on and before `to`. Needs the blocks at both ends at most, and none
    /// where the range begins and ends with blocks (see [`State::parts`]).
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub fn range_digest(&mut self, from: &[u8], to: Option<&[u8]>) -> Result<Digest, Error> {
        let order = self.base.order();
        if to.is_some_and(|to| order.compare(from, to).is_ge()) {
            return Ok(Digest::default());
        }
        let mut digest = Digest::default();
        let mut missing = Vec::new();
        let start = self.base.place(from).unwrap_or_default();
        for index in start..self.base.blocks().len() {
            let Some(block) = self.base.blocks().get(index) else { break };
            if to.is_some_and(|to| order.compare(&block.first, to).is_ge()) {
                break;
            }
            let next = self.base.blocks().get(index + 1);
            let begins = order.compare(&block.first, from).is_ge();
            let ends =
                to.is_none_or(|to| next.is_some_and(|next| order.compare(&next.first, to).is_le()));
            let (id, whole) = (block.id, block.digest);
            if begins && ends {
                digest += whole;
                continue;
            }
            match self.cache.get(id) {
                None => missing.push(id),
                Some(block) => {
                    let end = to.map_or(block.len(), |to| block.place(to));
                    for index in block.place(from)..end {
                        block.get(index).map(record_hash).into_iter().for_each(|h| digest.add(h));
                    }
                }
            }
        }
        if !missing.is_empty() {
            return Err(Error::Missing(missing));
        }
        self.overlay.correct(&mut digest, from, to);
        Ok(digest)
    }

    /// Splits the keys from `from` on and before `to` where blocks begin, into at most so many parts of about
    /// as many records: the keys where all but the first part begin. Their digests, but for the outermost, need
    /// no block, so that two sides find where they differ by halving.
    #[must_use]
    pub fn parts(&self, from: &[u8], to: Option<&[u8]>, most: usize) -> Vec<Vec<u8>> {
        let order = self.base.order();
        // Nothing of the generation lies before its first block.
        let within = self.base.blocks().iter().skip(1).filter(|block| {
            order.compare(&block.first, from).is_gt()
                && to.is_none_or(|to| order.compare(&block.first, to).is_lt())
        });
        let firsts: Vec<_> = within.map(|block| &block.first).collect();
        let cuts = firsts.len().min(most.saturating_sub(1));
        let place = |cut: usize| (cut + 1) * (firsts.len() + 1) / (cuts + 1) - 1;
        (0..cuts).filter_map(|cut| firsts.get(place(cut))).map(|key| key.to_vec()).collect()
    }

    /// Records from a key on and before another, at most so many (and at least one, if there is one).
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub fn range(&mut self, from: &[u8], to: Option<&[u8]>, most: usize) -> Result<Page, Error> {
        let order = self.base.order();
        let most = most.max(1);
        let mut page = Page::default();
        let mut from = from.to_vec();
        let mut index = self.base.place(&from).unwrap_or_default();
        let mut walked = 0;
        loop {
            let id = self.base.blocks().get(index).map(|block| block.id);
            let block = match id {
                None => Arc::new(Block::new(order)),
                Some(id) => match self.cache.get(id) {
                    Some(block) => block,
                    None if walked == 0 => return Err(self.missing(index, to, most)),
                    None => {
                        page.next = Some(from);
                        return Ok(page);
                    }
                },
            };
            // What lies before the next block, or before the end.
            let next = self.base.blocks().get(index + 1).map(|block| block.first.to_vec());
            let next = next.filter(|next| to.is_none_or(|to| order.compare(next, to).is_lt()));
            let end = next.as_deref().or(to);
            if self.walk(&block, &from, end, next.is_some(), most, &mut page) {
                let last = page.records.last().map(|record| order.successor(&record.key));
                page.next = last.filter(|next| to.is_none_or(|to| order.compare(next, to).is_lt()));
                return Ok(page);
            }
            match next {
                None => return Ok(page),
                Some(next) => from = next,
            }
            walked += 1;
            index += 1;
        }
    }

    /// Records whose keys begin with a prefix, from a key on: the first page from the prefix itself.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub fn prefix(
        &mut self,
        prefix: &[u8],
        from: Option<&[u8]>,
        most: usize,
    ) -> Result<Page, Error> {
        let end = self.base.order().prefix_end(prefix);
        self.range(from.unwrap_or(prefix), end.as_deref(), most)
    }

    /// What lies directly below a prefix that ends with `/` (or is empty: the top), from a key on. Skips over
    /// what lies deeper without reading it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub fn children(
        &mut self,
        prefix: &[u8],
        from: Option<&[u8]>,
        most: usize,
    ) -> Result<Children, Error> {
        let order = self.base.order();
        let end = order.prefix_end(prefix);
        let mut found = Children::default();
        let mut cursor = from.unwrap_or(prefix).to_vec();
        let mut moved = false;
        loop {
            let wanted = most.max(1).saturating_sub(found.children.len());
            if wanted == 0 {
                found.next = Some(cursor);
                return Ok(found);
            }
            let page = match self.range(&cursor, end.as_deref(), wanted.min(CHILDREN_AHEAD)) {
                Ok(page) => page,
                Err(Error::Missing(_)) if moved => {
                    found.next = Some(cursor);
                    return Ok(found);
                }
                Err(error) => return Err(error),
            };
            moved = true;
            // Where to go on when the page holds nothing that is skipped past its end.
            let mut skip: Option<Vec<u8>> = None;
            for record in page.records {
                if skip.as_ref().is_some_and(|to| order.compare(&record.key, to).is_lt()) {
                    continue;
                }
                let below = record.key.get(prefix.len()..).unwrap_or_default();
                match below.iter().position(|byte| *byte == b'/') {
                    _ if below.is_empty() => {}
                    Some(slash) => {
                        let through = prefix.len() + slash;
                        let key = record.key.get(..through).unwrap_or_default().to_vec();
                        skip = past(order, &key);
                        found.children.push(Child { key, record: None });
                        if skip.is_none() {
                            return Ok(found);
                        }
                    }
                    None => {
                        let key = record.key.clone();
                        // Here what lies below a child follows it at once; by bytes it does not, and is then
                        // met as the prefix that it is there.
                        if order == KeyOrder::Components {
                            skip = past(order, &key);
                        }
                        found.children.push(Child { key, record: Some(record) });
                    }
                }
            }
            let next = match (page.next, skip) {
                (None, None) => return Ok(found),
                (Some(next), None) => next,
                // The page may have ended within what is skipped.
                (Some(next), Some(skip)) if order.compare(&next, &skip).is_gt() => next,
                (None, Some(_)) => return Ok(found),
                (Some(_), Some(skip)) => skip,
            };
            if end.as_ref().is_some_and(|end| order.compare(&next, end).is_ge()) {
                return Ok(found);
            }
            cursor = next;
        }
    }

    /// Takes what a block and the overlay have of a range. True: the page is full, and there are `more` blocks or
    /// records.
    fn walk(
        &self,
        block: &Block,
        from: &[u8],
        end: Option<&[u8]>,
        more: bool,
        most: usize,
        page: &mut Page,
    ) -> bool {
        let order = self.base.order();
        let end_ranked = end.map(|end| order.ranked(end));
        let mut over = self.overlay.from(from);
        let mut next_over = || {
            let (ranked, entry) = over.next()?;
            let within = end_ranked.as_ref().is_none_or(|end| ranked < end);
            within.then(|| (order.unranked(ranked), entry))
        };
        let stop = end.map_or(block.len(), |end| block.place(end));
        let mut below = (block.place(from)..stop).filter_map(|index| block.get(index)).peekable();
        let mut above = next_over();
        loop {
            if page.records.len() >= most {
                return below.peek().is_some() || above.is_some() || more;
            }
            let record = match (below.peek(), &above) {
                (None, None) => return false,
                (Some(record), None) => {
                    let record = record.to_record();
                    below.next();
                    Some(record)
                }
                (record, Some((key, entry))) => {
                    let side = record.map(|record| order.compare(record.key, key));
                    if side.is_some_and(std::cmp::Ordering::is_lt) {
                        below.next().map(RecordRef::to_record)
                    } else {
                        if side.is_some_and(std::cmp::Ordering::is_eq) {
                            below.next();
                        }
                        let record = entry.record(key.clone());
                        above = next_over();
                        record
                    }
                }
            };
            page.records.extend(record);
        }
    }

    /// The blocks from one on that a page of so many records needs.
    fn missing(&self, start: usize, to: Option<&[u8]>, most: usize) -> Error {
        let order = self.base.order();
        let mut ids = Vec::new();
        let mut records = 0;
        for block in self.base.blocks().iter().skip(start).take(ASKED_BLOCKS) {
            let past = to.is_some_and(|to| order.compare(&block.first, to).is_ge());
            if !ids.is_empty() && (past || records >= most as u64) {
                break;
            }
            records += block.digest.count;
            if !self.cache.has(block.id) {
                ids.push(block.id);
            }
        }
        Error::Missing(ids)
    }

    /// The block of the generation that has this key if any has.
    fn home(&self, key: &[u8]) -> Option<BlockId> {
        let place = self.base.place(key)?;
        self.base.blocks().get(place).map(|block| block.id)
    }

    fn base_get(&mut self, key: &[u8]) -> Result<Option<Record>, Error> {
        let Some(id) = self.home(key) else { return Ok(None) };
        let block = self.cache.get(id).ok_or_else(|| Error::Missing(vec![id]))?;
        Ok(block.find(key).map(RecordRef::to_record))
    }
}

/// The smallest key past a folder and all below it.
fn past(order: KeyOrder, folder: &[u8]) -> Option<Vec<u8>> {
    let mut below = folder.to_vec();
    below.push(b'/');
    order.prefix_end(&below)
}
