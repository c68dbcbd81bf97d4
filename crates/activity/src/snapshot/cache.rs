//! Blocks that were used lately, ready to be searched, within a bound of memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::{Block, BlockId, Decoder};
use super::error::Error;
use super::record::KeyOrder;

/// The smallest bound: several of the largest blocks, so that an answer that needs two can be given.
const LEAST_BYTES: usize = 8 * 1024 * 1024;

/// A cache of decoded blocks that lets go of what was not used for longest.
pub(super) struct Cache {
    most: usize,
    used: usize,
    blocks: BTreeMap<BlockId, (Arc<Block>, u64)>,
    by_use: BTreeMap<u64, BlockId>,
    uses: u64,
    decoder: Decoder,
    /// Where blocks are decoded, before they are kept in no more memory than they need.
    desk: Block,
}

impl Cache {
    pub(super) fn new(most_bytes: usize) -> Result<Self, Error> {
        Ok(Self {
            most: most_bytes.max(LEAST_BYTES),
            used: 0,
            blocks: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            decoder: Decoder::new()?,
            desk: Block::default(),
        })
    }

    /// A block, which now counts as used last.
    pub(super) fn get(&mut self, id: BlockId) -> Option<Arc<Block>> {
        let (block, used) = self.blocks.get_mut(&id)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(block))
    }

    pub(super) fn has(&self, id: BlockId) -> bool {
        self.blocks.contains_key(&id)
    }

    /// Takes a stored block in, and lets go of others when there is no room.
    pub(super) fn supply(
        &mut self,
        id: BlockId,
        order: KeyOrder,
        stored: &[u8],
    ) -> Result<(), Error> {
        if self.has(id) {
            return Ok(());
        }
        self.decoder.decode_named(id, order, stored, &mut self.desk)?;
        let block = self.desk.clone();
        self.used += block.weight();
        self.uses += 1;
        self.blocks.insert(id, (Arc::new(block), self.uses));
        self.by_use.insert(self.uses, id);
        self.shrink();
        Ok(())
    }

    /// Takes so much memory from now on.
    pub(super) fn bound(&mut self, most_bytes: usize) {
        self.most = most_bytes.max(LEAST_BYTES);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.used > self.most && self.blocks.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((block, _)) = self.blocks.remove(&oldest) {
                self.used -= block.weight();
            }
        }
    }

    /// Bytes of memory that the blocks take.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}
