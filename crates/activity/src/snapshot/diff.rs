//! Compares a generation with a new listing and writes the next generation, in one pass.

use super::block::{Block, BlockId, Decoder};
use super::builder::{Builder, NewBlock};
use super::error::Error;
use super::manifest::Manifest;
use super::reader::{Blocks, Listing};
use super::record::RecordRef;

/// What to do with a record that the new listing does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is gone: leave it out of the new generation.
    Gone,
    /// It was not looked for (its folder could not be listed), or is not to be believed gone yet: keep it.
    Keep,
}

/// Who hears of the differences. Calls come in key order.
///
/// An error of a call ends the comparison.
pub trait Sink {
    /// The new listing has a record that the old generation had not.
    ///
    /// # Errors
    ///
    /// When it cannot be taken.
    fn added(&mut self, new: RecordRef<'_>) -> Result<(), Error>;

    /// Both have the key, with other flags, fingerprint or extra.
    ///
    /// # Errors
    ///
    /// When it cannot be taken.
    fn changed(&mut self, old: RecordRef<'_>, new: RecordRef<'_>) -> Result<(), Error>;

    /// The new listing does not have a record of the old generation. The answer says what becomes of it.
    ///
    /// # Errors
    ///
    /// When it cannot be taken.
    fn removed(&mut self, old: RecordRef<'_>) -> Result<Absent, Error>;

    /// The new generation has a block that the old one had not. It must be stored before the manifest is.
    ///
    /// # Errors
    ///
    /// When it cannot be stored.
    fn block(&mut self, block: NewBlock) -> Result<(), Error>;
}

/// What a comparison went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records that only the new listing has.
    pub added: u64,
    /// Records that differ.
    pub changed: u64,
    /// Records that are gone.
    pub removed: u64,
    /// Records that the new listing does not have and that were kept.
    pub kept: u64,
    /// Records that are the same.
    pub same: u64,
    /// Blocks of the old generation that the new one has too.
    pub reused: u64,
    /// Blocks that were written.
    pub written: u64,
}

/// A comparison under way. It does no IO: [`Diff::push`] and [`Diff::drain`] say which block of the old generation
/// they need, [`Diff::supply`] takes it. One old block and one new one are in memory, no more.
///
/// A block whose records all stayed is taken over without being written again. Changes that lie over the generation
/// in an [`Overlay`](super::Overlay) are to be [merged](super::Merge) first.
pub struct Diff {
    old: Manifest,
    decoder: Decoder,
    block: Block,
    /// The place of the old block that is compared.
    at: usize,
    /// Whether that block is in memory.
    loaded: bool,
    /// The next record of it.
    next: usize,
    /// Whether the new generation has a cut where this block begins, and all its records so far have stayed:
    /// they are then not in the builder yet, for the whole block may stay.
    shared: bool,
    builder: Builder,
    /// The last key of the new listing, where it is not the record before `next`.
    last: Option<Vec<u8>>,
    totals: Totals,
}

impl Diff {
    /// Compares this generation with the listing that is going to be pushed, which must come in its key order.
    ///
    /// # Errors
    ///
    /// When there is no memory for the compressor.
    pub fn new(old: Manifest) -> Result<Self, Error> {
        let order = old.order();
        Ok(Self {
            old,
            decoder: Decoder::new()?,
            block: Block::new(order),
            at: 0,
            loaded: false,
            next: 0,
            shared: false,
            builder: Builder::new(order)?,
            last: None,
            totals: Totals::default(),
        })
    }

    /// The block that is needed next, if one is. May be loaded ahead.
    #[must_use]
    pub fn wants(&self) -> Option<BlockId> {
        if self.loaded {
            return None;
        }
        self.old.blocks().get(self.at).map(|block| block.id)
    }

    /// The block after the one that is compared or wanted: what to load ahead.
    #[must_use]
    pub fn upcoming(&self) -> Option<BlockId> {
        self.old.blocks().get(self.at + 1).map(|block| block.id)
    }

    /// Takes the block that [`Diff::wants`] names. One that is not wanted is passed over.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of this block.
    pub fn supply(&mut self, id: BlockId, stored: &[u8]) -> Result<(), Error> {
        if self.wants() != Some(id) {
            return Ok(());
        }
        self.decoder.decode_named(id, self.old.order(), stored, &mut self.block)?;
        self.loaded = true;
        self.next = 0;
        self.shared = self.builder.is_at_cut();
        Ok(())
    }

    /// Takes the next record of the new listing. `Some(id)` says that it was not taken: supply this block, and
    /// push the same record again.
    ///
    /// # Errors
    ///
    /// [`Error::Unsorted`] when it does not come after the one before; [`Error::TooLarge`]; those of the sink.
    pub fn push(
        &mut self,
        new: RecordRef<'_>,
        sink: &mut impl Sink,
    ) -> Result<Option<BlockId>, Error> {
        loop {
            if let Some(id) = self.wants() {
                return Ok(Some(id));
            }
            let Some(old) = self.block.get(self.next) else {
                self.add(new, sink)?;
                return Ok(None);
            };
            if old.key == new.key {
                if old == new {
                    self.totals.same += 1;
                    self.last = None;
                    self.stay(sink)?;
                } else {
                    new.check()?;
                    self.totals.changed += 1;
                    sink.changed(old, new)?;
                    self.unshare(sink)?;
                    write(&mut self.builder, &mut self.totals, new, sink)?;
                    self.last = None;
                    self.step();
                }
                return Ok(None);
            }
            if self.old.order().compare(old.key, new.key).is_gt() {
                self.add(new, sink)?;
                return Ok(None);
            }
            self.check_ascends(new.key)?;
            self.absent(sink)?;
        }
    }

    /// Says that the new listing has ended. `Some(id)`: supply this block, and ask again. None: now
    /// [`Diff::finish`].
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn drain(&mut self, sink: &mut impl Sink) -> Result<Option<BlockId>, Error> {
        loop {
            if let Some(id) = self.wants() {
                return Ok(Some(id));
            }
            if self.block.get(self.next).is_none() {
                return Ok(None);
            }
            self.absent(sink)?;
        }
    }

    /// Ends the new generation, after [`Diff::drain`] needed no more block.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when it was not drained; those of the sink.
    pub fn finish(mut self, sink: &mut impl Sink) -> Result<(Manifest, Totals), Error> {
        if let Some(id) = self.drain(sink)? {
            return Err(Error::Missing(vec![id]));
        }
        if self.shared && self.next > 0 {
            self.reuse();
        }
        let (rest, manifest) = self.builder.finish()?;
        if let Some(block) = rest {
            self.totals.written += 1;
            sink.block(block)?;
        }
        Ok((manifest, self.totals))
    }

    /// Writes a record that the old generation had not.
    fn add(&mut self, new: RecordRef<'_>, sink: &mut impl Sink) -> Result<(), Error> {
        new.check()?;
        self.check_ascends(new.key)?;
        self.totals.added += 1;
        sink.added(new)?;
        self.unshare(sink)?;
        write(&mut self.builder, &mut self.totals, new, sink)?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(new.key);
        // Where a cut falls just before this block, it can still be taken over whole.
        self.shared = self.next == 0 && self.builder.is_at_cut();
        Ok(())
    }

    /// Asks what becomes of the next old record, which the new listing does not have.
    fn absent(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let Some(old) = self.block.get(self.next) else { return Ok(()) };
        // The record before `next` is no longer the last of the new listing.
        if self.last.is_none()
            && let Some(before) = self.next.checked_sub(1).and_then(|before| self.block.get(before))
        {
            self.last = Some(before.key.to_vec());
        }
        match sink.removed(old)? {
            Absent::Keep => {
                self.totals.kept += 1;
                self.stay(sink)
            }
            Absent::Gone => {
                self.totals.removed += 1;
                self.unshare(sink)?;
                self.step();
                Ok(())
            }
        }
    }

    /// Carries the next old record over.
    fn stay(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        if !self.shared
            && let Some(old) = self.block.get(self.next)
        {
            write(&mut self.builder, &mut self.totals, old, sink)?;
        }
        self.step();
        Ok(())
    }

    /// Goes to the next old record. The last block stays in memory, for it ends where the listing ended, and
    /// goes on when the new listing does.
    fn step(&mut self) {
        self.next += 1;
        if self.next < self.block.len() || self.at + 1 >= self.old.blocks().len() {
            return;
        }
        if self.shared {
            self.reuse();
        }
        if self.last.is_none() {
            self.last = self.block.last_key().map(<[u8]>::to_vec);
        }
        self.at += 1;
        self.loaded = false;
        self.next = 0;
        self.shared = false;
    }

    fn reuse(&mut self) {
        if let Some(block) = self.old.blocks().get(self.at) {
            self.builder.reuse(block.clone(), self.block.last_key().unwrap_or_default());
            self.totals.reused += 1;
        }
    }

    /// Gives the builder the records of this block that have stayed so far: it will not be taken over whole.
    fn unshare(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        if !self.shared {
            return Ok(());
        }
        self.shared = false;
        for index in 0..self.next {
            if let Some(record) = self.block.get(index) {
                write(&mut self.builder, &mut self.totals, record, sink)?;
            }
        }
        Ok(())
    }

    fn check_ascends(&self, key: &[u8]) -> Result<(), Error> {
        let before = match &self.last {
            Some(last) => Some(last.as_slice()),
            None => {
                let before = self.next.checked_sub(1);
                before.and_then(|before| self.block.get(before)).map(|record| record.key)
            }
        };
        match before {
            Some(before) if self.old.order().compare(before, key).is_ge() => Err(Error::Unsorted),
            _ => Ok(()),
        }
    }
}

/// A whole comparison, for whoever can wait for blocks.
///
/// # Errors
///
/// Those of [`Diff`], of the listing, of the sink and of the storage.
pub fn diff(
    old: &Manifest,
    mut blocks: impl Blocks,
    mut listing: impl Listing,
    sink: &mut impl Sink,
) -> Result<(Manifest, Totals), Error> {
    let mut diff = Diff::new(old.clone())?;
    let mut stored = Vec::new();
    let mut fetch = |diff: &mut Diff, id| {
        stored.clear();
        blocks.read(id, &mut stored)?;
        diff.supply(id, &stored)
    };
    while let Some(record) = listing.next()? {
        while let Some(id) = diff.push(record, sink)? {
            fetch(&mut diff, id)?;
        }
    }
    while let Some(id) = diff.drain(sink)? {
        fetch(&mut diff, id)?;
    }
    diff.finish(sink)
}

/// Writes a record, and the block that it ends.
fn write(
    builder: &mut Builder,
    totals: &mut Totals,
    record: RecordRef<'_>,
    sink: &mut impl Sink,
) -> Result<(), Error> {
    if let Some(block) = builder.push(record)? {
        totals.written += 1;
        sink.block(block)?;
    }
    Ok(())
}
