//! Overlays: stored in pieces, put together, merged.

use proptest::prelude::*;
use tramontane_activity::snapshot::{
    Error, KeyOrder, Manifest, Merge, Overlay, Record, State, diff,
};

use crate::listing::{
    Heard, Numbers, Store, ask, build, large, orders, path, record, records, sorted,
};

/// The next generation, how many blocks were read for it, and what was written.
fn merge(base: &Manifest, overlay: Overlay, store: &Store) -> (Manifest, usize, Store) {
    let mut merge = Merge::new(base.clone(), overlay).unwrap();
    let (mut read, mut written) = (0, Store::new());
    let mut keep = |block: tramontane_activity::snapshot::NewBlock| {
        written.insert(block.id, block.bytes);
        Ok(())
    };
    while let Some(id) = merge.wants() {
        read += 1;
        merge.supply(id, &store[&id], &mut keep).unwrap();
    }
    let manifest = merge.finish(&mut keep).unwrap();
    (manifest, read, written)
}

/// Changes a state and a plain list alike, storing the overlay piece by piece.
fn change(
    order: KeyOrder,
    count: usize,
    seed: u64,
    changes: usize,
    store: &mut Store,
) -> (State, Vec<Vec<u8>>, Vec<Record>) {
    let old = records(order, count, seed);
    let base = build(order, &old, store);
    let mut state = State::new(base, Overlay::new(order), 0).unwrap();
    let mut model: std::collections::BTreeMap<_, _> =
        old.iter().map(|record| (record.key.clone(), record.clone())).collect();
    let mut numbers = Numbers(!seed);
    let mut pieces = Vec::new();
    for step in 0..changes {
        let pick = usize::try_from(numbers.below(old.len().max(1) as u64)).unwrap();
        let known = old.get(pick).map(|record| record.key.clone());
        let key = known.filter(|_| step % 3 > 0).unwrap_or_else(|| path(&mut numbers));
        if numbers.below(3) == 0 {
            let before = ask(&mut state, store, |state| state.remove(&key));
            assert_eq!(before, model.remove(&key));
        } else {
            let record = record(key, &mut numbers);
            let before = ask(&mut state, store, |state| state.upsert(record.borrowed()));
            assert_eq!(before, model.insert(record.key.clone(), record));
        }
        if step % 7 == 0 {
            pieces.push(state.unsaved().encode().unwrap());
            state.saved();
        }
    }
    pieces.push(state.unsaved().encode().unwrap());
    (state, pieces, sorted(order, model.into_values()))
}

proptest! {
    #![proptest_config(large())]

    #[test]
    fn merge_into_the_generation_that_would_be_built_afresh(
        order in orders(), count in 0..9000_usize, seed: u64, changes in 0..200_usize,
    ) {
        let mut store = Store::new();
        let (mut state, _, model) = change(order, count, seed, changes, &mut store);
        let (next, read, written) = merge(state.base(), state.overlay().clone(), &store);
        let mut afresh = Store::new();
        prop_assert_eq!(&next, &build(order, &model, &mut afresh));
        prop_assert!(read <= state.base().blocks().len());
        prop_assert!(changes > 0 || (read == 0 && written.is_empty()));
        store.extend(written);
        prop_assert_eq!(crate::listing::read(&next, &store), model);
        let digest = state.digest();
        state.merged(next).unwrap();
        prop_assert_eq!(state.digest(), digest);
        prop_assert!(state.overlay().is_empty());
    }

    #[test]
    fn pieces_put_together_are_the_whole(
        order in orders(), count in 0..3000_usize, seed: u64, changes in 0..200_usize,
    ) {
        let mut store = Store::new();
        let (state, pieces, model) = change(order, count, seed, changes, &mut store);
        let mut overlay = Overlay::new(order);
        for piece in pieces {
            overlay.absorb(Overlay::decode(&piece).unwrap()).unwrap();
        }
        prop_assert_eq!(&overlay, state.overlay());
        let (next, ..) = merge(state.base(), overlay, &store);
        prop_assert_eq!(next, build(order, &model, &mut store));
    }
}

#[test]
fn one_change_reads_and_writes_a_few_blocks_of_many() {
    let order = KeyOrder::Components;
    let mut store = Store::new();
    let old = records(order, 60_000, 3);
    let base = build(order, &old, &mut store);
    let mut state = State::new(base, Overlay::new(order), 0).unwrap();
    let changed = Record { fingerprint: u64::MAX, ..old[old.len() / 2].clone() };
    ask(&mut state, &store, |state| state.upsert(changed.borrowed()));
    let (next, read, written) = merge(state.base(), state.overlay().clone(), &store);
    assert_eq!((read, written.len()), (1, 1));
    let ids: Vec<_> = next.blocks().iter().map(|block| block.id).collect();
    let kept = state.base().blocks().iter().filter(|block| ids.contains(&block.id)).count();
    assert_eq!(kept, next.blocks().len() - 1);
    assert!(kept > 20, "{kept}");
}

#[test]
fn a_change_that_is_taken_back_costs_no_block() {
    let mut store = Store::new();
    let old = records(KeyOrder::Bytes, 3000, 4);
    let base = build(KeyOrder::Bytes, &old, &mut store);
    let mut state = State::new(base, Overlay::new(KeyOrder::Bytes), 0).unwrap();
    let new = Record { key: b"new".to_vec(), ..Record::default() };
    ask(&mut state, &store, |state| state.remove(&old[9].key));
    ask(&mut state, &store, |state| state.upsert(new.borrowed()));
    ask(&mut state, &store, |state| state.upsert(old[9].borrowed()));
    ask(&mut state, &store, |state| state.remove(b"new"));
    let (next, read, _) = merge(state.base(), state.overlay().clone(), &store);
    assert_eq!((&next, read), (state.base(), 0));
}

#[test]
fn it_is_due_when_it_outgrows_its_generation() {
    let mut overlay = Overlay::new(KeyOrder::Bytes);
    let mut grow = |to: u32| {
        for index in 0..to {
            overlay.set(&index.to_be_bytes(), Some(Record::default().borrowed()), None).unwrap();
        }
        overlay.clone()
    };
    assert!(!grow(1024).is_due(1000));
    assert!(grow(1100).is_due(1000) && grow(1100).is_due(109_000));
    assert!(!grow(1100).is_due(1_000_000));
    assert!(!grow(100_000).is_due(100_000_000) && grow(100_001).is_due(100_000_000));
}

#[test]
fn a_change_during_a_merge_is_not_lost() {
    let mut store = Store::new();
    let old = records(KeyOrder::Bytes, 600, 4);
    let base = build(KeyOrder::Bytes, &old, &mut store);
    let mut state = State::new(base, Overlay::new(KeyOrder::Bytes), 0).unwrap();
    ask(&mut state, &store, |state| state.remove(&old[9].key));
    let (next, ..) = merge(state.base(), state.overlay().clone(), &store);
    ask(&mut state, &store, |state| state.remove(&old[10].key));
    assert!(matches!(state.merged(next), Err(Error::Stale)));
    assert_eq!(state.get(&old[10].key).unwrap(), None);
}

/// The records where blocks end are the ones that matter most: without one, or with one more behind it, a block
/// runs on into the next.
#[test]
fn cuts_that_go_and_records_behind_them_give_what_would_be_built_afresh() {
    let order = KeyOrder::Components;
    let old = records(order, 12_000, 11);
    let mut store = Store::new();
    let base = build(order, &old, &mut store);
    let mut ran_on = 0;
    for block in &base.blocks()[1..] {
        let first = old.iter().position(|record| *record.key == *block.first).unwrap();
        let last = &old[first - 1];
        let behind = Record { key: order.successor(&last.key), ..Record::default() };
        assert!(order.compare(&behind.key, &block.first).is_lt());
        let mut without = old.clone();
        without.remove(first - 1);
        let mut with = old.clone();
        with.insert(first, behind.clone());
        for (new, key, now) in
            [(without, &last.key, None), (with, &behind.key, Some(behind.borrowed()))]
        {
            let expected = build(order, &new, &mut Store::new());
            let mut state = State::new(base.clone(), Overlay::new(order), 0).unwrap();
            ask(&mut state, &store, |state| match now {
                Some(record) => state.upsert(record),
                None => state.remove(key),
            });
            let (next, read, _) = merge(&base, state.overlay().clone(), &store);
            assert_eq!(next, expected);
            ran_on += usize::from(read > 1);
            let mut heard = Heard::default();
            let (next, totals) = diff(&base, &store, new.iter(), &mut heard).unwrap();
            assert_eq!(next, expected);
            assert!(heard.blocks.keys().all(|id| !store.contains_key(id)));
            assert_eq!(heard.blocks.len() as u64, totals.written);
        }
    }
    assert!(ran_on > base.blocks().len() / 2, "{ran_on}");
}

#[test]
fn a_block_that_comes_before_all_others_shifts_none() {
    let order = KeyOrder::Bytes;
    let old = records(order, 5000, 12);
    let mut store = Store::new();
    let base = build(order, &old, &mut store);
    // As many as the smallest block has, before the first key, and the last of them is one to cut at.
    let number = |number: u64| Record { key: number.to_be_bytes().to_vec(), ..Record::default() };
    let mut new: Vec<_> = (0..255).map(number).collect();
    let cut =
        (255..).find(|n: &u64| xxhash_rust::xxh3::xxh3_64(&n.to_be_bytes()).is_multiple_of(1024));
    new.push(number(cut.unwrap()));
    new.extend(old);
    let mut heard = Heard::default();
    let (next, totals) = diff(&base, &store, new.iter(), &mut heard).unwrap();
    assert_eq!((totals.removed, totals.written), (0, 1));
    assert_eq!(totals.reused as usize, base.blocks().len());
    assert_eq!(next, build(order, &new, &mut Store::new()));
}
