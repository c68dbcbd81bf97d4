//! The pieces that stored forms are made of: numbers, front-coded keys, runs of flags, packed columns.

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, Decompressor};

use super::error::Error;
use super::record::{KEY_BYTES, KeyOrder, common_prefix};

/// zstd's level: its default, and on these columns within a few per cent of much slower ones.
const LEVEL: i32 = 3;
/// Bytes of the kind and version of a stored form.
const KIND: usize = 4;
/// Bytes before the part that the checksum covers.
const SEALED: usize = KIND + 8;

/// Adds a number in seven-bit groups, low ones first.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
pub(crate) fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Adds bytes with their length before them.
pub(super) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_number(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// A stored form with room for its checksum.
pub(super) fn open_form(kind: [u8; KIND]) -> Vec<u8> {
    let mut form = kind.to_vec();
    form.resize(SEALED, 0);
    form
}

/// Writes the checksum over all that follows it.
pub(super) fn seal_form(form: &mut [u8]) {
    if let Some((head, rest)) = form.split_at_mut_checked(SEALED)
        && let Some(place) = head.get_mut(KIND..)
    {
        place.copy_from_slice(&xxh3_64(rest).to_le_bytes());
    }
}

/// Bytes from outside, read from the front. Every read is checked.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The content of a stored form of this kind, when its checksum is right.
    pub(super) fn of_form(form: &'a [u8], kind: [u8; KIND]) -> Result<Self, Error> {
        let mut input = Self(form);
        if input.array::<KIND>()? != kind {
            return Err(Error::Damaged("not of the kind and version that was asked for"));
        }
        let sum = u64::from_le_bytes(input.array()?);
        if xxh3_64(input.0) != sum {
            return Err(Error::Damaged("the checksum does not fit"));
        }
        Ok(input)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or(Error::Damaged("ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Error::Damaged("ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.0.split_first().ok_or(Error::Damaged("ends too early"))?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for group in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if group == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * group);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Damaged("a number has too many digits"))
    }

    /// A number that is at most so large.
    pub(super) fn size(&mut self, most: usize) -> Result<usize, Error> {
        let size = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if size > most { Err(Error::Damaged("a size is past its bound")) } else { Ok(size) }
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self, most: usize) -> Result<&'a [u8], Error> {
        let length = self.size(most)?;
        self.take(length)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Damaged("something follows the end")) }
    }
}

/// Keys one after another in one buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    pub(super) fn last(&self) -> Option<&[u8]> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Bytes of all texts. Callers keep it far below 4 GiB.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.close();
    }

    #[expect(clippy::cast_possible_truncation, reason = "bounded by the callers")]
    fn close(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds what begins as the last text does and goes on with this.
    fn push_front_coded(&mut self, shared: usize, rest: &[u8]) -> Result<(), Error> {
        let start =
            self.len().checked_sub(2).and_then(|index| self.ends.get(index)).map_or(0, |end| *end);
        let start = start as usize;
        let end = start.checked_add(shared).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Error::Damaged("a key shares more than there is"))?;
        self.bytes.extend_from_within(start..end);
        self.push(rest);
        Ok(())
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4
    }
}

/// Writes keys but the first: how much each shares with the one before, how much it adds, and that.
pub(super) fn front_code(keys: &Texts, numbers: &mut Vec<u8>, text: &mut Vec<u8>) {
    let mut before = keys.get(0).unwrap_or_default();
    for index in 1..keys.len() {
        let key = keys.get(index).unwrap_or_default();
        let shared = common_prefix(before, key);
        let rest = key.get(shared..).unwrap_or_default();
        put_number(numbers, shared as u64);
        put_number(numbers, rest.len() as u64);
        text.extend_from_slice(rest);
        before = key;
    }
}

/// Reads what [`front_code`] wrote: so many keys, the first of which is known, ascending.
pub(super) fn read_front_coded(
    keys: &mut Texts,
    first: &[u8],
    count: usize,
    order: KeyOrder,
    most: usize,
    numbers: &mut Input<'_>,
    text: &mut Input<'_>,
) -> Result<(), Error> {
    keys.clear();
    keys.push(first);
    let mut length = first.len();
    for _ in 1..count {
        let shared = numbers.size(length)?;
        let rest = text.take(numbers.size(KEY_BYTES - shared)?)?;
        let start = keys.size() - length;
        let next = *rest.first().ok_or(Error::Damaged("a key is a prefix of the one before it"))?;
        // Where the key before goes on, it must differ and be smaller: else these keys do not ascend, or
        // are not written as they would be.
        if shared < length
            && !keys.bytes.get(start + shared).is_some_and(|byte| order.precedes(*byte, next))
        {
            return Err(Error::Damaged("keys do not ascend"));
        }
        if keys.size() + shared + rest.len() > most {
            return Err(Error::Damaged("keys are past their bound"));
        }
        keys.push_front_coded(shared, rest)?;
        length = shared + rest.len();
    }
    Ok(())
}

/// Writes flags as runs: how many, and which.
pub(super) fn put_runs(numbers: &mut Vec<u8>, flags: &[u8]) {
    for run in flags.chunk_by(|one, other| one == other) {
        put_number(numbers, run.len() as u64);
        numbers.push(run.first().copied().unwrap_or_default());
    }
}

/// Reads so many flags.
pub(super) fn read_runs(
    flags: &mut Vec<u8>,
    count: usize,
    numbers: &mut Input<'_>,
) -> Result<(), Error> {
    flags.clear();
    while flags.len() < count {
        let run = numbers.size(count - flags.len())?;
        let byte = numbers.byte()?;
        if run == 0 || flags.last() == Some(&byte) {
            return Err(Error::Damaged("a run of flags is empty or goes on in the next"));
        }
        flags.resize(flags.len() + run, byte);
    }
    Ok(())
}

/// Packs columns. Keeps its memory from one to the next.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self(Compressor::new(LEVEL)?))
    }

    /// Adds a column: its length, its length as stored, and its bytes, packed when that is shorter.
    pub(super) fn put(&mut self, into: &mut Vec<u8>, column: &[u8]) -> Result<(), Error> {
        let packed = self.0.compress(column)?;
        let stored = if packed.len() < column.len() { &packed } else { column };
        put_number(into, column.len() as u64);
        put_bytes(into, stored);
        Ok(())
    }
}

/// Unpacks columns. Keeps its memory from one to the next.
pub(super) struct Unpacker(Decompressor<'static>);

impl Unpacker {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self(Decompressor::new()?))
    }

    /// The next column of the input, into a buffer, when it is at most so long.
    pub(super) fn take(
        &mut self,
        input: &mut Input<'_>,
        most: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let length = input.size(most)?;
        let stored = input.bytes(length)?;
        into.clear();
        if stored.len() == length {
            into.extend_from_slice(stored);
            return Ok(());
        }
        into.reserve(length);
        let unpacked = self.0.decompress_to_buffer(stored, into);
        match unpacked {
            Ok(unpacked) if unpacked == length => Ok(()),
            _ => Err(Error::Damaged("a column does not unpack")),
        }
    }
}
