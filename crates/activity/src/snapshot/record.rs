//! One item's state, and the orders that keys can have.

use std::cmp::Ordering;

use super::error::Error;

/// The longest key, in bytes: eight times the longest path of Linux.
pub const KEY_BYTES: usize = 32 * 1024;
/// The longest extra, in bytes.
pub const EXTRA_BYTES: usize = 64 * 1024;

/// Bits of [`Record::flags`] that this module knows. The other five are the caller's.
pub mod flag {
    /// The item is a folder.
    pub const FOLDER: u8 = 1;
    /// The fingerprint covers the content (a hash of it, and its size) and nothing else, so that equal
    /// fingerprints mean equal content wherever the two lie.
    pub const STRONG: u8 = 2;
    /// The item is a file of zero bytes: all of these have the same content.
    pub const EMPTY: u8 = 4;
}

/// One item, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// What the item is found by: its path, its lower-case path, or its id. At most [`KEY_BYTES`].
    pub key: Vec<u8>,
    /// Bits, see [`flag`].
    pub flags: u8,
    /// Everything that is only compared, folded into 64 bits: size, time, ETag. A change that leaves it equal
    /// goes unseen, once in 2^64 changes.
    pub fingerprint: u64,
    /// What must be known beyond that, often nothing: the id beside a path, or parent and name beside an id.
    /// At most [`EXTRA_BYTES`].
    pub extra: Vec<u8>,
}

impl Record {
    /// The same record, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> RecordRef<'_> {
        RecordRef {
            key: &self.key,
            flags: self.flags,
            fingerprint: self.fingerprint,
            extra: &self.extra,
        }
    }
}

/// One item, borrowed from a block or from whoever lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordRef<'a> {
    /// See [`Record::key`].
    pub key: &'a [u8],
    /// See [`Record::flags`].
    pub flags: u8,
    /// See [`Record::fingerprint`].
    pub fingerprint: u64,
    /// See [`Record::extra`].
    pub extra: &'a [u8],
}

impl RecordRef<'_> {
    /// The same record, owned.
    #[must_use]
    pub fn to_record(self) -> Record {
        Record {
            key: self.key.to_vec(),
            flags: self.flags,
            fingerprint: self.fingerprint,
            extra: self.extra.to_vec(),
        }
    }

    /// Whether the item is a folder.
    #[must_use]
    pub fn is_folder(self) -> bool {
        self.flags & flag::FOLDER != 0
    }

    /// Refuses what is longer than its bound.
    pub(super) fn check(self) -> Result<(), Error> {
        if self.key.len() > KEY_BYTES {
            return Err(Error::TooLarge { what: "a key", most: KEY_BYTES });
        }
        if self.extra.len() > EXTRA_BYTES {
            return Err(Error::TooLarge { what: "an extra", most: EXTRA_BYTES });
        }
        Ok(())
    }
}

/// The order of the keys of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyOrder {
    /// By bytes, as S3 lists objects and as suits ids.
    #[default]
    Bytes,
    /// By bytes, but `/` before every other: by the components of a path. A walk that goes into each folder
    /// when it meets it, names in byte order, gives its paths in just this order.
    Components,
}

impl KeyOrder {
    /// Which of two keys comes first.
    #[must_use]
    pub fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Self::Bytes => one.cmp(other),
            Self::Components => {
                let shared = common_prefix(one, other);
                match (one.get(shared), other.get(shared)) {
                    (Some(one), Some(other)) => rank(*one).cmp(&rank(*other)),
                    (None, None) => Ordering::Equal,
                    (None, Some(_)) => Ordering::Less,
                    (Some(_), None) => Ordering::Greater,
                }
            }
        }
    }

    /// Whether one byte comes before another, where two keys first differ.
    pub(super) fn precedes(self, one: u8, other: u8) -> bool {
        match self {
            Self::Bytes => one < other,
            Self::Components => rank(one) < rank(other),
        }
    }

    /// The key in a form whose byte order is this order.
    pub(super) fn ranked(self, key: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes => key.to_vec(),
            Self::Components => key.iter().map(|byte| rank(*byte)).collect(),
        }
    }

    /// The key of its ranked form.
    pub(super) fn unranked(self, ranked: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes => ranked.to_vec(),
            Self::Components => ranked.iter().map(|byte| unrank(*byte)).collect(),
        }
    }

    /// The smallest key after this one: where to go on when this one was the last.
    #[must_use]
    pub fn successor(self, key: &[u8]) -> Vec<u8> {
        let smallest = match self {
            Self::Bytes => 0,
            Self::Components => b'/',
        };
        let mut next = Vec::with_capacity(key.len() + 1);
        next.extend_from_slice(key);
        next.push(smallest);
        next
    }

    /// The smallest key after all that begin with this prefix, or none when they go to the end.
    #[must_use]
    pub fn prefix_end(self, prefix: &[u8]) -> Option<Vec<u8>> {
        let mut ranked = self.ranked(prefix);
        while let Some(byte) = ranked.pop() {
            if byte < u8::MAX {
                ranked.push(byte + 1);
                return Some(self.unranked(&ranked));
            }
        }
        None
    }

    /// How it is written in headers.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Components => 1,
        }
    }

    /// The order that a header names.
    pub(super) fn of_code(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Bytes),
            1 => Ok(Self::Components),
            _ => Err(Error::Damaged("no such key order")),
        }
    }
}

/// A permutation of the bytes: `/` first, the others as they were.
fn rank(byte: u8) -> u8 {
    match byte.cmp(&b'/') {
        Ordering::Less => byte + 1,
        Ordering::Equal => 0,
        Ordering::Greater => byte,
    }
}

/// Its inverse.
fn unrank(rank: u8) -> u8 {
    match rank {
        0 => b'/',
        1..=b'/' => rank - 1,
        _ => rank,
    }
}

/// How many bytes two keys share from the start.
pub(super) fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let (words, _) = one.as_chunks::<8>();
    let (others, _) = other.as_chunks::<8>();
    let mut shared = 0;
    for (word, other) in words.iter().zip(others) {
        let differing = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return shared + differing.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    let rest = one.iter().zip(other).skip(shared);
    shared + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_a_permutation_with_the_slash_first() {
        for byte in 0..=u8::MAX {
            assert_eq!(unrank(rank(byte)), byte);
        }
        assert_eq!(rank(b'/'), 0);
    }

    #[test]
    fn components_put_a_folder_before_the_names_that_go_on_where_its_own_ends() {
        let order = KeyOrder::Components;
        let mut keys = [&b"a-b"[..], b"a/z", b"a", b"a b", b"a/b/c", b"b"];
        keys.sort_by(|one, other| order.compare(one, other));
        assert_eq!(keys, [&b"a"[..], b"a/b/c", b"a/z", b"a b", b"a-b", b"b"]);
    }

    #[test]
    fn the_end_of_a_prefix_is_past_all_its_keys_and_before_the_next() {
        let order = KeyOrder::Components;
        let end = order.prefix_end(b"a/").unwrap_or_default();
        assert_eq!(order.compare(&end, b"a/\xff\xff"), Ordering::Greater);
        assert_eq!(order.compare(&end, b"a\x00"), Ordering::Equal);
        assert_eq!(KeyOrder::Bytes.prefix_end(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(KeyOrder::Bytes.prefix_end(b"\xff\xff"), None);
    }
}
