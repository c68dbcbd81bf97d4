//! Made-up listings, the plain map that everything is held against, and blocks in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tramontane_activity::snapshot::{
    Absent, BlockId, Builder, Error, KeyOrder, Manifest, NewBlock, Reader, Record, RecordRef, Sink,
};
use tramontane_activity::snapshot::{Listing, State};

/// Stored blocks.
pub(crate) type Store = BTreeMap<BlockId, Vec<u8>>;

/// Numbers that look random and are the same every time (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A path whose names hold bytes on both sides of the slash.
pub(crate) fn path(numbers: &mut Numbers) -> Vec<u8> {
    const NAMES: &[&str] =
        &["a", "a-b", "a b", "a.b", "a0", "Bericht", "d\u{e9}j\u{e0}", "IMG", "\0", "~"];
    let mut path = String::new();
    for _ in 0..numbers.below(4) {
        path += NAMES[usize::try_from(numbers.below(NAMES.len() as u64)).unwrap()];
        path.push('/');
    }
    path += NAMES[usize::try_from(numbers.below(NAMES.len() as u64)).unwrap()];
    path += &numbers.below(2000).to_string();
    path.into_bytes()
}

/// Some record with this key.
pub(crate) fn record(key: Vec<u8>, numbers: &mut Numbers) -> Record {
    let extra = match numbers.below(3) {
        0 => Vec::new(),
        _ => numbers.next().to_string().into_bytes(),
    };
    let flags = u8::from(numbers.below(8) == 0);
    Record { key, flags, fingerprint: numbers.below(50), extra }
}

/// Some records in key order.
pub(crate) fn records(order: KeyOrder, count: usize, seed: u64) -> Vec<Record> {
    let mut numbers = Numbers(seed);
    let made = (0..count).map(|_| {
        let key = path(&mut numbers);
        record(key, &mut numbers)
    });
    sorted(order, made)
}

/// Records in key order, of each key the last one.
pub(crate) fn sorted(order: KeyOrder, records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let by_key: BTreeMap<_, _> =
        records.into_iter().map(|record| (record.key.clone(), record)).collect();
    let mut records: Vec<_> = by_key.into_values().collect();
    records.sort_by(|one, other| order.compare(&one.key, &other.key));
    records
}

/// Some of the records left out, some changed, some new ones put in.
pub(crate) fn edited(order: KeyOrder, old: &[Record], edits: usize, seed: u64) -> Vec<Record> {
    let mut numbers = Numbers(seed);
    let mut new: BTreeMap<_, _> =
        old.iter().map(|record| (record.key.clone(), record.clone())).collect();
    for _ in 0..edits {
        let pick = usize::try_from(numbers.below(old.len().max(1) as u64)).unwrap();
        let key = old.get(pick).map(|record| record.key.clone());
        match (numbers.below(3), key) {
            (0, Some(key)) => drop(new.remove(&key)),
            (1, Some(key)) => drop(new.insert(key.clone(), record(key, &mut numbers))),
            _ => {
                let key = path(&mut numbers);
                new.insert(key.clone(), record(key, &mut numbers));
            }
        }
    }
    sorted(order, new.into_values())
}

/// A generation of these records, made in one go.
pub(crate) fn build(order: KeyOrder, records: &[Record], store: &mut Store) -> Manifest {
    let mut builder = Builder::new(order).unwrap();
    for record in records {
        store.extend(builder.push(record.borrowed()).unwrap().map(|new| (new.id, new.bytes)));
    }
    let (rest, manifest) = builder.finish().unwrap();
    store.extend(rest.map(|new| (new.id, new.bytes)));
    manifest
}

/// All records of a generation.
pub(crate) fn read(manifest: &Manifest, store: &Store) -> Vec<Record> {
    let mut reader = Reader::new(manifest, store).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        records.push(record.to_record());
    }
    records
}

/// Asks until no block is missing; never more often than there are blocks to ask for.
pub(crate) fn ask<T>(
    state: &mut State,
    store: &Store,
    question: impl Fn(&mut State) -> Result<T, Error>,
) -> T {
    for _ in 0..100 {
        match question(state) {
            Ok(answer) => return answer,
            Err(Error::Missing(ids)) => {
                assert!(!ids.is_empty());
                for id in ids {
                    state.supply(id, &store[&id]).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the blocks that were supplied were never enough");
}

/// A sink that writes all down.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) added: Vec<Record>,
    pub(crate) changed: Vec<(Record, Record)>,
    pub(crate) removed: Vec<Record>,
    pub(crate) blocks: Store,
    pub(crate) keep: Option<fn(&[u8]) -> bool>,
}

impl Sink for Heard {
    fn added(&mut self, new: RecordRef<'_>) -> Result<(), Error> {
        self.added.push(new.to_record());
        Ok(())
    }

    fn changed(&mut self, old: RecordRef<'_>, new: RecordRef<'_>) -> Result<(), Error> {
        self.changed.push((old.to_record(), new.to_record()));
        Ok(())
    }

    fn removed(&mut self, old: RecordRef<'_>) -> Result<Absent, Error> {
        self.removed.push(old.to_record());
        Ok(if self.keep.is_some_and(|keep| keep(old.key)) { Absent::Keep } else { Absent::Gone })
    }

    fn block(&mut self, block: NewBlock) -> Result<(), Error> {
        self.blocks.insert(block.id, block.bytes);
        Ok(())
    }
}

pub(crate) fn orders() -> impl Strategy<Value = KeyOrder> {
    prop_oneof![Just(KeyOrder::Bytes), Just(KeyOrder::Components)]
}

/// Few cases, each of thousands of records: they are made of many blocks.
pub(crate) fn large() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}
