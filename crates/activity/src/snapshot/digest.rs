//! A checksum of a set of records that does not depend on their order: what a customer compares a mirror by.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::record::RecordRef;

/// How many records there are in a key range, and the sum of their hashes modulo 2^128.
///
/// Digests of neighbouring ranges add up to that of both. A record's hash is [`record_hash`], which anyone
/// with an XXH3 library can compute. It finds what got lost or damaged on the way, at odds of 2^-128 to miss;
/// it is no defence against someone who makes up names so that hashes cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    /// Records in the range.
    pub count: u64,
    /// The sum of their hashes modulo 2^128.
    pub sum: u128,
}

impl Digest {
    /// Takes one more record in.
    pub fn add(&mut self, record_hash: u128) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(record_hash);
    }

    /// Takes one record out again.
    pub fn subtract(&mut self, record_hash: u128) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(record_hash);
    }
}

impl std::ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl std::iter::Sum for Digest {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        let mut whole = Self::default();
        parts.for_each(|part| whole += part);
        whole
    }
}

impl fmt::Display for Digest {
    /// `count-sum`, the sum as 32 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{:032x}", self.count, self.sum)
    }
}

/// The hash of a record in a [`Digest`]: XXH3-128 with seed 0 of fingerprint (8 bytes, little-endian), flags
/// (1 byte), length of the key (4 bytes, little-endian), key, extra.
#[must_use]
pub fn record_hash(record: RecordRef<'_>) -> u128 {
    hash_with(&mut Vec::new(), record)
}

/// The same, with a buffer to use again.
pub(super) fn hash_with(buffer: &mut Vec<u8>, record: RecordRef<'_>) -> u128 {
    buffer.clear();
    buffer.extend_from_slice(&record.fingerprint.to_le_bytes());
    buffer.push(record.flags);
    let length = u32::try_from(record.key.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(record.key);
    buffer.extend_from_slice(record.extra);
    xxh3_128(buffer)
}
