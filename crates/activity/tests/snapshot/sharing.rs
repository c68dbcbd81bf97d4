//! Generations share what did not change, and stored forms are what they were.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tramontane_activity::snapshot::{
    Block, BlockId, Error, FEWEST_RECORDS, Header, KeyOrder, Manifest, Record,
};

use crate::listing::{Store, build, edited, large, orders, records};

fn ids(manifest: &Manifest) -> BTreeSet<BlockId> {
    manifest.blocks().iter().map(|block| block.id).collect()
}

proptest! {
    #![proptest_config(large())]

    /// The blocks around an edit are new. Beyond them the same cuts are found again: with cuts that are
    /// independent of each other, after two or three blocks, rarely more.
    #[test]
    fn an_edit_shifts_nothing_far_away(order in orders(), seed: u64, edits in 1..4_usize, change: u64) {
        let old = records(order, 30_000, seed);
        let new = edited(order, &old, edits, change);
        let mut store = Store::new();
        let before = build(order, &old, &mut store);
        let after = build(order, &new, &mut store);
        let (before, after) = (ids(&before), ids(&after));
        let fresh = after.difference(&before).count();
        prop_assert!(fresh <= 6 * edits, "{} of {} blocks are new", fresh, after.len());
    }

    #[test]
    fn manifests_and_blocks_are_read_as_they_were_written(order in orders(), count in 0..5000_usize, seed: u64) {
        let records = records(order, count, seed);
        let mut store = Store::new();
        let manifest = build(order, &records, &mut store);
        prop_assert_eq!(&Manifest::decode(&manifest.encode().unwrap()).unwrap(), &manifest);
        let mut all = Vec::new();
        for (index, named) in manifest.blocks().iter().enumerate() {
            let stored = &store[&named.id];
            let header = Header::read(stored).unwrap();
            let block = Block::decode(stored).unwrap();
            prop_assert_eq!(header.first, &*named.first);
            prop_assert_eq!(header.first, block.get(0).unwrap().key);
            prop_assert_eq!(header.last, block.get(block.len() - 1).unwrap().key);
            prop_assert_eq!((header.count, header.order), (block.len(), order));
            prop_assert_eq!(block.len() as u64, named.digest.count);
            prop_assert!(block.len() >= FEWEST_RECORDS || index + 1 == manifest.blocks().len());
            all.extend(block.records().map(|record| record.to_record()));
        }
        prop_assert_eq!(all, records);
    }
}

#[test]
fn very_long_keys_and_extras_end_a_block_by_their_bytes() {
    let long = |index: u32| {
        let mut key = vec![b'k'; 30_000];
        key.extend_from_slice(&index.to_be_bytes());
        Record { key, extra: vec![b'x'; 60_000], fingerprint: index.into(), flags: 0 }
    };
    let records: Vec<_> = (0..100).map(long).collect();
    let mut store = Store::new();
    let manifest = build(KeyOrder::Bytes, &records, &mut store);
    assert!(manifest.blocks().len() > 7);
    assert_eq!(crate::listing::read(&manifest, &store), records);
}

#[test]
fn a_block_that_is_not_the_one_asked_for_is_refused() {
    let records = records(KeyOrder::Bytes, 3000, 5);
    let mut store = Store::new();
    let manifest = build(KeyOrder::Bytes, &records, &mut store);
    let (one, other) = (manifest.blocks()[0].id, manifest.blocks()[1].id);
    let mut state =
        tramontane_activity::snapshot::State::new(manifest, Default::default(), 0).unwrap();
    assert!(matches!(state.supply(one, &store[&other]), Err(Error::WrongBlock(id)) if id == one));
}

/// Every bit of a stored block and manifest is covered by the checksum or the kind.
#[test]
fn a_flipped_bit_is_found() {
    let records = records(KeyOrder::Components, 300, 6);
    let mut store = Store::new();
    let manifest = build(KeyOrder::Components, &records, &mut store);
    let stored = store.into_values().next().unwrap();
    for at in (0..stored.len()).step_by(7) {
        let mut damaged = stored.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Block::decode(&damaged).is_err(), "byte {at}");
    }
    let stored = manifest.encode().unwrap();
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Manifest::decode(&damaged).is_err(), "byte {at}");
    }
}
