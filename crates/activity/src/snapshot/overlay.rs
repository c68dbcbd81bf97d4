//! Changes on top of a generation that have not been merged into it.

use std::collections::BTreeMap;

use super::columns::{
    Input, Packer, Texts, Unpacker, front_code, open_form, put_bytes, put_number, put_runs,
    read_front_coded, read_runs, seal_form,
};
use super::digest::{Digest, record_hash};
use super::error::Error;
use super::record::{EXTRA_BYTES, KEY_BYTES, KeyOrder, Record, RecordRef};

/// The most entries of an overlay.
pub const OVERLAY_ENTRIES: usize = 1024 * 1024;
/// The most bytes of keys, and of extras, of an overlay.
pub const OVERLAY_BYTES: usize = 64 * 1024 * 1024;
/// Kind and version of a stored overlay.
const KIND: [u8; 4] = *b"TSO\x01";
/// Bits of an entry in the stored form.
const PRESENT: u8 = 1;
const REPLACES: u8 = 2;

/// What is known of a key beyond the generation below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The hash of the record that the generation has under this key.
    pub(super) replaces: Option<u128>,
    /// What there is now.
    pub(super) now: Option<Value>,
}

/// A record but for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) flags: u8,
    pub(super) fingerprint: u64,
    pub(super) extra: Box<[u8]>,
}

impl Entry {
    pub(super) fn record(&self, key: Vec<u8>) -> Option<Record> {
        let value = self.now.as_ref()?;
        let (flags, fingerprint) = (value.flags, value.fingerprint);
        Some(Record { key, flags, fingerprint, extra: value.extra.to_vec() })
    }

    /// Whether the generation has just this already.
    fn changes_nothing(&self, key: &[u8]) -> bool {
        let now = self.record(key.to_vec()).map(|record| record_hash(record.borrowed()));
        now == self.replaces
    }
}

/// Records that came or changed, and keys that went, since a generation was written.
///
/// It remembers of each key what it replaces, so that counts and digests stay exact without looking into
/// blocks. Small pieces of it can be stored as they arise and put together again with [`Overlay::absorb`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    order: KeyOrder,
    /// By ranked key: its byte order is the key order.
    entries: BTreeMap<Vec<u8>, Entry>,
    bytes: usize,
}

impl Overlay {
    /// An overlay without entries.
    #[must_use]
    pub fn new(order: KeyOrder) -> Self {
        Self { order, ..Self::default() }
    }

    /// The order of its keys.
    #[must_use]
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// How many keys it has something to say of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is time to merge it into a generation of so many records: beyond 1,024 entries and 1 %, beyond
    /// 100,000 (which take some 20 MB of memory), or half way to the bound of bytes.
    #[must_use]
    pub fn is_due(&self, count: u64) -> bool {
        let entries = self.len() as u64;
        (entries > 1024 && entries > count / 100)
            || entries > 100_000
            || self.bytes > OVERLAY_BYTES / 2
    }

    /// What it says of a key: nothing, or what there is now (`Some(None)`: it is gone).
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Option<Record>> {
        self.entries.get(&self.order.ranked(key)).map(|entry| entry.record(key.to_vec()))
    }

    /// What a key is now. `base` is the record that the generation below has under it: it must be given right
    /// when the overlay has no entry of the key yet, and is not looked at otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]: merge first.
    pub fn set(
        &mut self,
        key: &[u8],
        now: Option<RecordRef<'_>>,
        base: Option<RecordRef<'_>>,
    ) -> Result<(), Error> {
        if let Some(record) = now {
            RecordRef { key, ..record }.check()?;
        }
        let ranked = self.order.ranked(key);
        let replaces = match self.entries.get(&ranked) {
            Some(entry) => entry.replaces,
            None => base.map(record_hash),
        };
        let now = now.map(|record| Value {
            flags: record.flags,
            fingerprint: record.fingerprint,
            extra: record.extra.into(),
        });
        self.insert(ranked, Entry { replaces, now })
    }

    fn insert(&mut self, ranked: Vec<u8>, entry: Entry) -> Result<(), Error> {
        let extra = |entry: &Entry| entry.now.as_ref().map_or(0, |value| value.extra.len());
        let former = self.entries.get(&ranked);
        let gone = former.map_or(0, |former| ranked.len() + extra(former));
        let bytes = self.bytes - gone + ranked.len() + extra(&entry);
        if bytes > OVERLAY_BYTES || (former.is_none() && self.len() >= OVERLAY_ENTRIES) {
            return Err(Error::TooLarge { what: "an overlay", most: OVERLAY_ENTRIES });
        }
        self.bytes = bytes;
        self.entries.insert(ranked, entry);
        Ok(())
    }

    /// Lays a later piece over this one. Both must be of the same generation.
    ///
    /// # Errors
    ///
    /// [`Error::MixedOrders`], [`Error::TooLarge`].
    pub fn absorb(&mut self, later: Self) -> Result<(), Error> {
        if later.order != self.order {
            return Err(Error::MixedOrders);
        }
        for (ranked, entry) in later.entries {
            let replaces = self.entries.get(&ranked).map_or(entry.replaces, |known| known.replaces);
            self.insert(ranked, Entry { replaces, now: entry.now })?;
        }
        Ok(())
    }

    /// The piece that has only these keys.
    pub(super) fn piece<'a>(&self, ranked: impl Iterator<Item = &'a Vec<u8>>) -> Self {
        let mut piece = Self::new(self.order);
        for ranked in ranked {
            if let Some(entry) = self.entries.get(ranked) {
                // A part of what was within the bounds is within them.
                let _ = piece.insert(ranked.clone(), entry.clone());
            }
        }
        piece
    }

    /// The entries that change something, ascending by key.
    pub(super) fn into_changes(self) -> Changes {
        Changes { order: self.order, entries: self.entries.into_iter() }
    }

    /// Entries by ranked key from one key on.
    pub(super) fn from(&self, key: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        self.entries.range(self.order.ranked(key)..)
    }

    /// What it changes of the digest of a key range, which ends before `to`.
    pub(super) fn correct(&self, digest: &mut Digest, from: &[u8], to: Option<&[u8]>) {
        let end = to.map(|to| self.order.ranked(to));
        for (ranked, entry) in self.from(from) {
            if end.as_ref().is_some_and(|end| ranked >= end) {
                break;
            }
            if let Some(hash) = entry.replaces {
                digest.subtract(hash);
            }
            if let Some(record) = entry.record(self.order.unranked(ranked)) {
                digest.add(record_hash(record.borrowed()));
            }
        }
    }

    /// The stored form.
    ///
    /// # Errors
    ///
    /// When compression fails.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut keys = Texts::default();
        let (mut kinds, mut flags, mut extras) = (Vec::new(), Vec::new(), Vec::new());
        let (mut numbers, mut text, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        for (ranked, entry) in &self.entries {
            keys.push(&self.order.unranked(ranked));
            kinds.push(
                u8::from(entry.now.is_some()) * PRESENT
                    + u8::from(entry.replaces.is_some()) * REPLACES,
            );
            if let Some(hash) = entry.replaces {
                raw.extend_from_slice(&hash.to_le_bytes());
            }
            if let Some(value) = &entry.now {
                flags.push(value.flags);
                extras.push(&value.extra);
                raw.extend_from_slice(&value.fingerprint.to_le_bytes());
            }
        }
        front_code(&keys, &mut numbers, &mut text);
        put_runs(&mut numbers, &kinds);
        put_runs(&mut numbers, &flags);
        for extra in extras {
            put_number(&mut numbers, extra.len() as u64);
            text.extend_from_slice(extra);
        }
        let mut form = open_form(KIND);
        form.push(self.order.code());
        put_number(&mut form, keys.len() as u64);
        if let Some(first) = keys.get(0) {
            put_bytes(&mut form, first);
            let mut packer = Packer::new()?;
            packer.put(&mut form, &numbers)?;
            packer.put(&mut form, &text)?;
            form.extend_from_slice(&raw);
        }
        seal_form(&mut form);
        Ok(form)
    }

    /// Reads a stored overlay. Any bytes may be given.
    ///
    /// # Errors
    ///
    /// When the bytes are not those of an overlay.
    pub fn decode(stored: &[u8]) -> Result<Self, Error> {
        let mut input = Input::of_form(stored, KIND)?;
        let order = KeyOrder::of_code(input.byte()?)?;
        let mut overlay = Self::new(order);
        let count = input.size(OVERLAY_ENTRIES)?;
        if count > 0 {
            let first = input.bytes(KEY_BYTES)?;
            let (mut numbers, mut text) = (Vec::new(), Vec::new());
            let mut unpacker = Unpacker::new()?;
            unpacker.take(&mut input, count * 16, &mut numbers)?;
            unpacker.take(&mut input, 2 * OVERLAY_BYTES, &mut text)?;
            let (mut numbers, mut text) = (Input::new(&numbers), Input::new(&text));
            let mut keys = Texts::default();
            let most = OVERLAY_BYTES;
            read_front_coded(&mut keys, first, count, order, most, &mut numbers, &mut text)?;
            let (mut kinds, mut flags) = (Vec::new(), Vec::new());
            read_runs(&mut kinds, count, &mut numbers)?;
            let present = kinds.iter().filter(|kind| **kind & PRESENT != 0).count();
            read_runs(&mut flags, present, &mut numbers)?;
            let mut flags = flags.into_iter();
            for (index, kind) in kinds.into_iter().enumerate() {
                if kind > PRESENT | REPLACES {
                    return Err(Error::Damaged("no such kind of entry"));
                }
                let replaces = if kind & REPLACES == 0 {
                    None
                } else {
                    Some(u128::from_le_bytes(input.array()?))
                };
                let now = if kind & PRESENT == 0 {
                    None
                } else {
                    let flags = flags.next().unwrap_or_default();
                    let fingerprint = u64::from_le_bytes(input.array()?);
                    let extra = text.take(numbers.size(EXTRA_BYTES)?)?.into();
                    Some(Value { flags, fingerprint, extra })
                };
                let ranked = order.ranked(keys.get(index).unwrap_or_default());
                overlay.insert(ranked, Entry { replaces, now })?;
            }
            numbers.finish()?;
            text.finish()?;
        }
        input.finish()?;
        Ok(overlay)
    }
}

/// The entries of an overlay that change something, ascending by key.
pub(super) struct Changes {
    order: KeyOrder,
    entries: std::collections::btree_map::IntoIter<Vec<u8>, Entry>,
}

impl Iterator for Changes {
    type Item = (Vec<u8>, Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (ranked, entry) = self.entries.next()?;
            let key = self.order.unranked(&ranked);
            if !entry.changes_nothing(&key) {
                return Some((key, entry));
            }
        }
    }
}
