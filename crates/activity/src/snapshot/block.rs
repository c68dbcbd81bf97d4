//! Blocks: some thousand records in key order, as they are stored and as they are searched.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::columns::{
    Input, Packer, Texts, Unpacker, front_code, open_form, put_bytes, put_number, put_runs,
    read_front_coded, read_runs, seal_form,
};
use super::error::Error;
use super::record::{EXTRA_BYTES, KEY_BYTES, KeyOrder, RecordRef};

/// The most records of a block.
pub const BLOCK_RECORDS: usize = 4096;
/// A block ends once its keys and extras reach so many bytes.
pub const BLOCK_BYTES: usize = 1024 * 1024;
/// What keys and extras of a block can have at most: it ends with the record that reaches the bound above.
const MOST_BYTES: usize = BLOCK_BYTES + KEY_BYTES + EXTRA_BYTES;
/// Kind and version of a stored block.
const KIND: [u8; 4] = *b"TSB\x01";
/// Where the extras of a block lie: nowhere; behind the keys, as older versions wrote them; in a column of their
/// own, so that numbers do not spoil the packing of text.
const NO_EXTRAS: u8 = 0;
const EXTRAS_APART: u8 = 2;
/// The most bytes of lengths and flags that a record takes: three numbers under 2^17 and a run.
const NUMBERS: usize = 3 * 3 + 3;

/// Names a block by the XXH3-128 of its stored bytes.
///
/// Whoever chooses names freely could, with effort, make two of their own blocks collide. So ids are to be
/// kept per account: a block of one account must never be answered for that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u128);

impl BlockId {
    /// The id of a block's stored bytes.
    #[must_use]
    pub fn of(stored: &[u8]) -> Self {
        Self(xxh3_128(stored))
    }
}

impl fmt::Display for BlockId {
    /// 32 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// What a block says of itself, readable without unpacking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The order of its keys.
    pub order: KeyOrder,
    /// Records in it.
    pub count: usize,
    /// Its smallest key.
    pub first: &'a [u8],
    /// Its largest key.
    pub last: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header of a stored block and checks the checksum over all of it.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of a block.
    pub fn read(stored: &'a [u8]) -> Result<Self, Error> {
        Self::of(&mut Input::of_form(stored, KIND)?)
    }

    fn of(input: &mut Input<'a>) -> Result<Self, Error> {
        let order = KeyOrder::of_code(input.byte()?)?;
        let count = input.size(BLOCK_RECORDS)?;
        if count == 0 {
            return Err(Error::Damaged("a block has no records"));
        }
        Ok(Self { order, count, first: input.bytes(KEY_BYTES)?, last: input.bytes(KEY_BYTES)? })
    }
}

/// A block in memory, whole keys side by side: searched by halving, walked without unpacking again.
#[derive(Clone, Debug, Default)]
pub struct Block {
    order: KeyOrder,
    keys: Texts,
    flags: Vec<u8>,
    fingerprints: Vec<u64>,
    extras: Texts,
}

impl Block {
    /// An empty block for keys of this order.
    #[must_use]
    pub fn new(order: KeyOrder) -> Self {
        Self { order, ..Self::default() }
    }

    /// Reads a stored block. Any bytes may be given.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of a block.
    pub fn decode(stored: &[u8]) -> Result<Self, Error> {
        let mut block = Self::default();
        Decoder::new()?.decode(stored, &mut block)?;
        Ok(block)
    }

    /// The order of its keys.
    #[must_use]
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        Some(RecordRef {
            key: self.keys.get(index)?,
            flags: *self.flags.get(index)?,
            fingerprint: *self.fingerprints.get(index)?,
            extra: self.extras.get(index)?,
        })
    }

    /// The records, ascending.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The place of the first record whose key is not before this one.
    #[must_use]
    pub fn place(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let there = self.keys.get(middle).unwrap_or_default();
            if self.order.compare(there, key).is_lt() { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The record with this key.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<RecordRef<'_>> {
        self.get(self.place(key)).filter(|record| record.key == key)
    }

    pub(super) fn last_key(&self) -> Option<&[u8]> {
        self.keys.last()
    }

    /// Bytes of keys and extras.
    pub(super) fn size(&self) -> usize {
        self.keys.size() + self.extras.size()
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.keys.weight()
            + self.extras.weight()
            + self.flags.capacity()
            + self.fingerprints.capacity() * 8
    }

    /// Adds a record, which must come after the last one. The caller checks it and the bounds.
    pub(super) fn push(&mut self, record: RecordRef<'_>) {
        self.keys.push(record.key);
        self.flags.push(record.flags);
        self.fingerprints.push(record.fingerprint);
        self.extras.push(record.extra);
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.flags.clear();
        self.fingerprints.clear();
        self.extras.clear();
    }
}

/// Writes blocks. Keeps its memory from one to the next.
pub(super) struct Encoder {
    packer: Packer,
    numbers: Vec<u8>,
    text: Vec<u8>,
    extras: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Result<Self, Error> {
        let (numbers, text, extras) = Default::default();
        Ok(Self { packer: Packer::new()?, numbers, text, extras })
    }

    /// The stored form of a block: the same for the same records, always. The block must not be empty.
    pub(super) fn encode(&mut self, block: &Block) -> Result<Vec<u8>, Error> {
        self.numbers.clear();
        self.text.clear();
        self.extras.clear();
        front_code(&block.keys, &mut self.numbers, &mut self.text);
        put_runs(&mut self.numbers, &block.flags);
        if block.extras.size() > 0 {
            for index in 0..block.extras.len() {
                let extra = block.extras.get(index).unwrap_or_default();
                put_number(&mut self.numbers, extra.len() as u64);
                self.extras.extend_from_slice(extra);
            }
        }
        let mut form = open_form(KIND);
        form.push(block.order.code());
        put_number(&mut form, block.len() as u64);
        put_bytes(&mut form, block.keys.get(0).unwrap_or_default());
        put_bytes(&mut form, block.keys.last().unwrap_or_default());
        form.push(if self.extras.is_empty() { NO_EXTRAS } else { EXTRAS_APART });
        self.packer.put(&mut form, &self.numbers)?;
        self.packer.put(&mut form, &self.text)?;
        if !self.extras.is_empty() {
            self.packer.put(&mut form, &self.extras)?;
        }
        for fingerprint in &block.fingerprints {
            form.extend_from_slice(&fingerprint.to_le_bytes());
        }
        seal_form(&mut form);
        Ok(form)
    }
}

/// Reads blocks. Keeps its memory from one to the next.
pub(super) struct Decoder {
    unpacker: Unpacker,
    numbers: Vec<u8>,
    text: Vec<u8>,
    extras: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Result<Self, Error> {
        let (numbers, text, extras) = Default::default();
        Ok(Self { unpacker: Unpacker::new()?, numbers, text, extras })
    }

    /// Reads the block that an id names.
    pub(super) fn decode_named(
        &mut self,
        id: BlockId,
        order: KeyOrder,
        stored: &[u8],
        into: &mut Block,
    ) -> Result<(), Error> {
        if BlockId::of(stored) != id {
            return Err(Error::WrongBlock(id));
        }
        self.decode(stored, into)?;
        if into.order == order { Ok(()) } else { Err(Error::MixedOrders) }
    }

    /// Reads any bytes into a block; what was in it is gone, also when they are not those of a block.
    pub(super) fn decode(&mut self, stored: &[u8], into: &mut Block) -> Result<(), Error> {
        into.clear();
        let mut input = Input::of_form(stored, KIND)?;
        let header = Header::of(&mut input)?;
        let count = header.count;
        let form = input.byte()?;
        if form > EXTRAS_APART {
            return Err(Error::Damaged("no such form of extras"));
        }
        self.unpacker.take(&mut input, count * NUMBERS, &mut self.numbers)?;
        self.unpacker.take(&mut input, MOST_BYTES, &mut self.text)?;
        self.extras.clear();
        if form == EXTRAS_APART {
            self.unpacker.take(&mut input, MOST_BYTES, &mut self.extras)?;
        }
        let mut numbers = Input::new(&self.numbers);
        let mut text = Input::new(&self.text);
        into.order = header.order;
        let (keys, first) = (&mut into.keys, header.first);
        read_front_coded(keys, first, count, header.order, MOST_BYTES, &mut numbers, &mut text)?;
        if into.keys.last() != Some(header.last) {
            return Err(Error::Damaged("the last key is not that of the header"));
        }
        read_runs(&mut into.flags, count, &mut numbers)?;
        let mut extras = Input::new(&self.extras);
        let from = if form == EXTRAS_APART { &mut extras } else { &mut text };
        for _ in 0..count {
            let length = if form == NO_EXTRAS { 0 } else { numbers.size(EXTRA_BYTES)? };
            into.extras.push(from.take(length)?);
        }
        extras.finish()?;
        for _ in 0..count {
            into.fingerprints.push(u64::from_le_bytes(input.array()?));
        }
        numbers.finish()?;
        text.finish()?;
        input.finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A block as versions wrote it that put the extras behind the keys.
    fn older(block: &Block) -> Vec<u8> {
        let (mut numbers, mut text) = (Vec::new(), Vec::new());
        front_code(&block.keys, &mut numbers, &mut text);
        put_runs(&mut numbers, &block.flags);
        for record in block.records() {
            put_number(&mut numbers, record.extra.len() as u64);
            text.extend_from_slice(record.extra);
        }
        let mut form = open_form(KIND);
        form.push(block.order.code());
        put_number(&mut form, block.len() as u64);
        put_bytes(&mut form, block.keys.get(0).unwrap());
        put_bytes(&mut form, block.keys.last().unwrap());
        form.push(1);
        let mut packer = Packer::new().unwrap();
        packer.put(&mut form, &numbers).unwrap();
        packer.put(&mut form, &text).unwrap();
        for fingerprint in &block.fingerprints {
            form.extend_from_slice(&fingerprint.to_le_bytes());
        }
        seal_form(&mut form);
        form
    }

    #[test]
    fn blocks_of_older_versions_are_read_and_so_are_those_without_extras() {
        for extra in ["", "id of it"] {
            let mut block = Block::new(KeyOrder::Bytes);
            for number in 0..300_u16 {
                let key = format!("folder/file {number:03}");
                let extra =
                    extra.get(..usize::from(number) % (extra.len() + 1)).unwrap().as_bytes();
                let fingerprint = u64::from(number);
                block.push(RecordRef { key: key.as_bytes(), flags: 32, fingerprint, extra });
            }
            let new = Encoder::new().unwrap().encode(&block).unwrap();
            for stored in [older(&block), new] {
                let read = Block::decode(&stored).unwrap();
                assert!(read.records().eq(block.records()));
            }
        }
    }
}
