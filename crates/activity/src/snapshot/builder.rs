//! Makes blocks of ascending records, cut where the keys themselves say.

use xxhash_rust::xxh3::xxh3_64;

use super::block::{BLOCK_BYTES, BLOCK_RECORDS, Block, BlockId, Encoder};
use super::digest::{Digest, hash_with};
use super::error::Error;
use super::manifest::{BlockRef, Manifest};
use super::record::{KeyOrder, RecordRef};

/// The fewest records of a block, the last one aside.
pub const FEWEST_RECORDS: usize = 256;
/// A block ends after a key whose hash is a multiple of this: after so many records on average, beyond the fewest.
const CUT: u64 = 1024;

/// A block that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlock {
    /// Names it.
    pub id: BlockId,
    /// Its stored form.
    pub bytes: Vec<u8>,
}

/// Ascending records in, blocks out.
///
/// Where a block ends depends on its own records alone: after [`FEWEST_RECORDS`], with the first key whose
/// hash is a multiple of 1,024; with 4,096 records; or with [`BLOCK_BYTES`] of text. So a record that comes or
/// goes moves the ends near it, and the blocks beyond are byte for byte those that were there before.
pub struct Builder {
    order: KeyOrder,
    encoder: Encoder,
    pending: Block,
    done: Vec<BlockRef>,
    last: Vec<u8>,
    buffer: Vec<u8>,
}

impl Builder {
    /// A builder for keys of this order.
    ///
    /// # Errors
    ///
    /// When there is no memory for the compressor.
    pub fn new(order: KeyOrder) -> Result<Self, Error> {
        Ok(Self {
            order,
            encoder: Encoder::new()?,
            pending: Block::new(order),
            done: Vec::new(),
            last: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Takes a record; gives a block when this record ends one.
    ///
    /// # Errors
    ///
    /// [`Error::Unsorted`] when it does not come after the one before; [`Error::TooLarge`].
    pub fn push(&mut self, record: RecordRef<'_>) -> Result<Option<NewBlock>, Error> {
        record.check()?;
        let before = self.pending.last_key();
        let before = before.or(if self.done.is_empty() { None } else { Some(&self.last) });
        if before.is_some_and(|before| self.order.compare(before, record.key).is_ge()) {
            return Err(Error::Unsorted);
        }
        self.pending.push(record);
        let count = self.pending.len();
        let ends = count >= BLOCK_RECORDS
            || self.pending.size() >= BLOCK_BYTES
            || (count >= FEWEST_RECORDS && xxh3_64(record.key).is_multiple_of(CUT));
        if ends { self.cut().map(Some) } else { Ok(None) }
    }

    /// Ends the generation: the last block, if one is open, and the manifest.
    ///
    /// # Errors
    ///
    /// When compression fails.
    pub fn finish(mut self) -> Result<(Option<NewBlock>, Manifest), Error> {
        let rest = if self.pending.is_empty() { None } else { Some(self.cut()?) };
        Ok((rest, Manifest::of(self.order, self.done)))
    }

    /// Whether a block ends where the records so far end.
    pub(super) fn is_at_cut(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes a block over as it is. Only at a cut, and in order. What follows is held to come after `last`, a key
    /// of the block.
    pub(super) fn reuse(&mut self, block: BlockRef, last: &[u8]) {
        self.last.clear();
        self.last.extend_from_slice(last);
        self.done.push(block);
    }

    fn cut(&mut self) -> Result<NewBlock, Error> {
        let mut digest = Digest::default();
        for record in self.pending.records() {
            digest.add(hash_with(&mut self.buffer, record));
        }
        let bytes = self.encoder.encode(&self.pending)?;
        let id = BlockId::of(&bytes);
        let first = self.pending.get(0).map(|record| record.key.into()).unwrap_or_default();
        self.done.push(BlockRef { id, first, digest });
        self.last.clear();
        self.last.extend_from_slice(self.pending.last_key().unwrap_or_default());
        self.pending.clear();
        Ok(NewBlock { id, bytes })
    }
}
