//! Walks the records of a generation in order, one block in memory.

use std::collections::BTreeMap;
use std::io;

use super::block::{Block, BlockId, Decoder};
use super::error::Error;
use super::manifest::Manifest;
use super::record::{Record, RecordRef};

/// Where blocks are stored, for whoever can wait for them. Everything here can also be driven without it, by
/// handing blocks over when they are asked for.
pub trait Blocks {
    /// Reads the stored form of a block into a buffer that is empty.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    fn read(&mut self, id: BlockId, into: &mut Vec<u8>) -> io::Result<()>;
}

impl Blocks for &BTreeMap<BlockId, Vec<u8>> {
    fn read(&mut self, id: BlockId, into: &mut Vec<u8>) -> io::Result<()> {
        into.extend_from_slice(self.get(&id).ok_or(io::ErrorKind::NotFound)?);
        Ok(())
    }
}

/// Records in ascending order, lent one after another.
pub trait Listing {
    /// The next record, or none after the last.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn next(&mut self) -> Result<Option<RecordRef<'_>>, Error>;
}

impl Listing for std::slice::Iter<'_, Record> {
    fn next(&mut self) -> Result<Option<RecordRef<'_>>, Error> {
        Ok(Iterator::next(self).map(Record::borrowed))
    }
}

/// A walk over a generation.
pub struct Reader<'a, B> {
    manifest: &'a Manifest,
    blocks: B,
    decoder: Decoder,
    stored: Vec<u8>,
    block: Block,
    next_block: usize,
    next: usize,
}

impl<'a, B: Blocks> Reader<'a, B> {
    /// A walk from the first key on.
    ///
    /// # Errors
    ///
    /// When there is no memory for the decompressor.
    pub fn new(manifest: &'a Manifest, blocks: B) -> Result<Self, Error> {
        Ok(Self {
            manifest,
            blocks,
            decoder: Decoder::new()?,
            stored: Vec::new(),
            block: Block::new(manifest.order()),
            next_block: 0,
            next: 0,
        })
    }

    /// Goes on with the first record whose key is not before this one.
    ///
    /// # Errors
    ///
    /// When its block cannot be read.
    pub fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        self.block.clear();
        self.next = 0;
        if let Some(place) = self.manifest.place(key) {
            self.load(place)?;
            self.next = self.block.place(key);
        }
        Ok(())
    }

    fn load(&mut self, place: usize) -> Result<(), Error> {
        let Some(wanted) = self.manifest.blocks().get(place) else { return Ok(()) };
        self.stored.clear();
        self.blocks.read(wanted.id, &mut self.stored)?;
        let order = self.manifest.order();
        self.decoder.decode_named(wanted.id, order, &self.stored, &mut self.block)?;
        self.next_block = place + 1;
        Ok(())
    }
}

impl<B: Blocks> Listing for Reader<'_, B> {
    fn next(&mut self) -> Result<Option<RecordRef<'_>>, Error> {
        if self.next >= self.block.len() {
            if self.next_block >= self.manifest.blocks().len() {
                return Ok(None);
            }
            self.load(self.next_block)?;
            self.next = 0;
        }
        self.next += 1;
        Ok(self.block.get(self.next - 1))
    }
}
