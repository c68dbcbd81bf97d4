//! Merges an overlay into its generation, rewriting only what it touches.

use std::iter::Peekable;

use super::block::{Block, BlockId, Decoder};
use super::builder::{Builder, NewBlock};
use super::error::Error;
use super::manifest::Manifest;
use super::overlay::{Changes, Overlay};
use super::record::Record;

/// Merges an overlay into its generation. Only blocks that it touches are read and written, and those next to
/// them until a cut falls where one was before.
///
/// Does no IO: supply the block that [`Merge::wants`] names until it names none, then [`Merge::finish`].
pub struct Merge {
    base: Manifest,
    changes: Peekable<Changes>,
    builder: Builder,
    decoder: Decoder,
    block: Block,
    at: usize,
}

impl Merge {
    /// Merges this overlay into this generation, the one that it was made over.
    ///
    /// # Errors
    ///
    /// [`Error::MixedOrders`]; when there is no memory for the compressor.
    pub fn new(base: Manifest, overlay: Overlay) -> Result<Self, Error> {
        let order = base.order();
        if overlay.order() != order {
            return Err(Error::MixedOrders);
        }
        let mut merge = Self {
            base,
            changes: overlay.into_changes().peekable(),
            builder: Builder::new(order)?,
            decoder: Decoder::new()?,
            block: Block::new(order),
            at: 0,
        };
        merge.pass();
        Ok(merge)
    }

    /// The block that is needed next. None: all have been merged.
    #[must_use]
    pub fn wants(&self) -> Option<BlockId> {
        self.base.blocks().get(self.at).map(|block| block.id)
    }

    /// Takes the block that is wanted and gives the new blocks that it makes. One that is not wanted is passed
    /// over.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of this block; those of `store`.
    pub fn supply(
        &mut self,
        id: BlockId,
        stored: &[u8],
        store: &mut impl FnMut(NewBlock) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.wants() != Some(id) {
            return Ok(());
        }
        let order = self.base.order();
        self.decoder.decode_named(id, order, stored, &mut self.block)?;
        let block = std::mem::take(&mut self.block);
        for record in block.records() {
            self.lay(store, |key| order.compare(key, record.key).is_lt())?;
            match self.changes.next_if(|(key, _)| key == record.key) {
                Some((key, entry)) => self.write(entry.record(key), store)?,
                None => {
                    if let Some(block) = self.builder.push(record)? {
                        store(block)?;
                    }
                }
            }
        }
        self.block = block;
        let end = self.base.blocks().get(self.at + 1).map(|next| next.first.clone());
        self.lay(store, |key| end.as_ref().is_none_or(|end| order.compare(key, end).is_lt()))?;
        self.at += 1;
        self.pass();
        Ok(())
    }

    /// Ends the new generation.
    ///
    /// # Errors
    ///
    /// Those of `store`.
    pub fn finish(
        mut self,
        store: &mut impl FnMut(NewBlock) -> Result<(), Error>,
    ) -> Result<Manifest, Error> {
        self.lay(store, |_| true)?;
        let (rest, manifest) = self.builder.finish()?;
        if let Some(block) = rest {
            store(block)?;
        }
        Ok(manifest)
    }

    /// Takes over blocks that nothing touches.
    fn pass(&mut self) {
        while self.builder.is_at_cut()
            && let Some(block) = self.base.blocks().get(self.at)
        {
            if let Some((key, _)) = self.changes.peek() {
                let order = self.base.order();
                let next = self.base.blocks().get(self.at + 1);
                if next.is_none_or(|next| order.compare(key, &next.first).is_lt()) {
                    return;
                }
            }
            self.builder.reuse(block.clone(), &block.first);
            self.at += 1;
        }
    }

    /// Writes the changes that come next, while their keys are such.
    fn lay(
        &mut self,
        store: &mut impl FnMut(NewBlock) -> Result<(), Error>,
        these: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Error> {
        while let Some((key, entry)) = self.changes.next_if(|(key, _)| these(key)) {
            self.write(entry.record(key), store)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        record: Option<Record>,
        store: &mut impl FnMut(NewBlock) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(record) = record
            && let Some(block) = self.builder.push(record.borrowed())?
        {
            store(block)?;
        }
        Ok(())
    }
}
