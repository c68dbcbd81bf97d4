//! The manifest of a generation: which blocks it has, where each begins, and what they add up to.

use super::block::{BLOCK_RECORDS, BlockId};
use super::columns::{
    Input, Packer, Texts, Unpacker, front_code, open_form, put_bytes, put_number, read_front_coded,
    seal_form,
};
use super::digest::Digest;
use super::error::Error;
use super::record::{KEY_BYTES, KeyOrder};

/// The most blocks of a generation: some thousand million records.
pub const MANIFEST_BLOCKS: usize = 1024 * 1024;
/// The most bytes that the first keys of all blocks may have.
const FIRST_KEYS: usize = 128 * 1024 * 1024;
/// Kind and version of a stored manifest.
const KIND: [u8; 4] = *b"TSM\x01";

/// One block of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Names its stored bytes.
    pub id: BlockId,
    /// Its first key.
    pub first: Box<[u8]>,
    /// The count and sum of its records.
    pub digest: Digest,
}

/// A generation of an account's state: immutable blocks in key order.
///
/// It is what must be committed together with the events and the cursor that the state belongs to. Two
/// generations share the blocks that both name; a block that no generation names any more can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    order: KeyOrder,
    blocks: Vec<BlockRef>,
}

impl Manifest {
    /// The generation without records: what a first scan is compared with.
    #[must_use]
    pub fn empty(order: KeyOrder) -> Self {
        Self { order, blocks: Vec::new() }
    }

    pub(super) fn of(order: KeyOrder, blocks: Vec<BlockRef>) -> Self {
        Self { order, blocks }
    }

    /// The order of its keys.
    #[must_use]
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// Its blocks in key order.
    #[must_use]
    pub fn blocks(&self) -> &[BlockRef] {
        &self.blocks
    }

    /// Count and sum of all records, without looking into a block.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.blocks.iter().map(|block| block.digest).sum()
    }

    /// How many records it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.digest().count
    }

    /// The place of the block that has this key if any has. None in an empty generation.
    #[must_use]
    pub fn place(&self, key: &[u8]) -> Option<usize> {
        if self.blocks.is_empty() {
            return None;
        }
        let after =
            self.blocks.partition_point(|block| self.order.compare(&block.first, key).is_le());
        Some(after.saturating_sub(1))
    }

    /// The stored form: about 50 bytes a block beside its share of the first key.
    ///
    /// # Errors
    ///
    /// When there are more blocks than [`MANIFEST_BLOCKS`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.blocks.len() > MANIFEST_BLOCKS {
            return Err(Error::TooLarge { what: "a manifest", most: MANIFEST_BLOCKS });
        }
        let mut keys = Texts::default();
        for block in &self.blocks {
            if keys.size() + block.first.len() > FIRST_KEYS {
                return Err(Error::TooLarge {
                    what: "the first keys of a manifest",
                    most: FIRST_KEYS,
                });
            }
            keys.push(&block.first);
        }
        let (mut numbers, mut text) = (Vec::new(), Vec::new());
        front_code(&keys, &mut numbers, &mut text);
        for block in &self.blocks {
            put_number(&mut numbers, block.digest.count);
        }
        let mut form = open_form(KIND);
        form.push(self.order.code());
        put_number(&mut form, self.blocks.len() as u64);
        if let Some(first) = keys.get(0) {
            put_bytes(&mut form, first);
            let mut packer = Packer::new()?;
            packer.put(&mut form, &numbers)?;
            packer.put(&mut form, &text)?;
        }
        for block in &self.blocks {
            form.extend_from_slice(&block.id.0.to_le_bytes());
            form.extend_from_slice(&block.digest.sum.to_le_bytes());
        }
        seal_form(&mut form);
        Ok(form)
    }

    /// Reads a stored manifest. Any bytes may be given.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of a manifest.
    pub fn decode(stored: &[u8]) -> Result<Self, Error> {
        let mut input = Input::of_form(stored, KIND)?;
        let order = KeyOrder::of_code(input.byte()?)?;
        // Each block takes 32 bytes of ids and sums: a false count cannot reserve more than was sent.
        let count = input.size(MANIFEST_BLOCKS.min(stored.len() / 32))?;
        let mut blocks = Vec::with_capacity(count);
        if count > 0 {
            let first = input.bytes(KEY_BYTES)?;
            let (mut numbers, mut text) = (Vec::new(), Vec::new());
            let mut unpacker = Unpacker::new()?;
            unpacker.take(&mut input, count * 8, &mut numbers)?;
            unpacker.take(&mut input, FIRST_KEYS, &mut text)?;
            let (mut numbers, mut text) = (Input::new(&numbers), Input::new(&text));
            let mut keys = Texts::default();
            let most = FIRST_KEYS;
            read_front_coded(&mut keys, first, count, order, most, &mut numbers, &mut text)?;
            for index in 0..count {
                let records = numbers.size(BLOCK_RECORDS)? as u64;
                let id = BlockId(u128::from_le_bytes(input.array()?));
                let digest = Digest { count: records, sum: u128::from_le_bytes(input.array()?) };
                let first = keys.get(index).unwrap_or_default().into();
                blocks.push(BlockRef { id, first, digest });
            }
            numbers.finish()?;
            text.finish()?;
        }
        input.finish()?;
        Ok(Self { order, blocks })
    }
}
