//! Lookups, ranges, children and digests through a generation and an overlay.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tramontane_activity::snapshot::{
    Child, Digest, Error, KeyOrder, Overlay, Record, State, record_hash,
};

use crate::listing::{Numbers, Store, ask, build, edited, large, orders, path, record, records};

/// A state whose generation and overlay together have what the second listing has.
fn state(order: KeyOrder, old: &[Record], new: &[Record], store: &mut Store) -> State {
    let base = build(order, old, store);
    let mut state = State::new(base, Overlay::new(order), 0).unwrap();
    let are: BTreeMap<_, _> = new.iter().map(|record| (&record.key, record)).collect();
    let were: BTreeMap<_, _> = old.iter().map(|record| (&record.key, record)).collect();
    for record in old.iter().filter(|record| !are.contains_key(&record.key)) {
        let before = ask(&mut state, store, |state| state.remove(&record.key));
        assert_eq!(before.as_ref(), Some(record));
    }
    for record in new {
        if were.get(&record.key) != Some(&record) {
            let before = ask(&mut state, store, |state| state.upsert(record.borrowed()));
            assert_eq!(before.as_ref(), were.get(&record.key).copied());
        }
    }
    state
}

fn digest<'r>(records: impl IntoIterator<Item = &'r Record>) -> Digest {
    let mut digest = Digest::default();
    for record in records {
        digest.add(record_hash(record.borrowed()));
    }
    digest
}

/// The children of a prefix, by looking at every record.
fn children(order: KeyOrder, records: &[Record], prefix: &[u8]) -> Vec<Child> {
    let mut found: Vec<Child> = Vec::new();
    for record in records.iter().filter(|record| record.key.starts_with(prefix)) {
        let below = &record.key[prefix.len()..];
        let child = match below.iter().position(|byte| *byte == b'/') {
            Some(slash) => Child { key: record.key[..prefix.len() + slash].to_vec(), record: None },
            None if below.is_empty() => continue,
            None => Child { key: record.key.clone(), record: Some(record.clone()) },
        };
        let known = |there: &Child| {
            there.key == child.key && (order == KeyOrder::Components || there.record.is_none())
        };
        if child.record.is_some() || !found.iter().any(known) {
            found.push(child);
        }
    }
    found
}

proptest! {
    #![proptest_config(large())]

    #[test]
    fn find_each_record_and_nothing_else(
        order in orders(), count in 0..6000_usize, seed: u64, edits in 0..300_usize, change: u64,
    ) {
        let old = records(order, count, seed);
        let new = edited(order, &old, edits, change);
        let mut store = Store::new();
        let mut state = state(order, &old, &new, &mut store);
        let model: BTreeMap<_, _> = new.iter().map(|record| (&record.key, record)).collect();
        let mut numbers = Numbers(seed ^ change);
        let made: Vec<_> = (0..200).map(|_| path(&mut numbers)).collect();
        for key in old.iter().chain(&new).map(|record| &record.key).chain(&made) {
            let found = ask(&mut state, &store, |state| state.get(key));
            prop_assert_eq!(found.as_ref(), model.get(key).copied());
        }
    }

    #[test]
    fn walk_ranges_and_prefixes_page_by_page(
        order in orders(), count in 0..6000_usize, seed: u64, edits in 0..300_usize, change: u64,
        most in 1..700_usize,
    ) {
        let old = records(order, count, seed);
        let new = edited(order, &old, edits, change);
        let mut store = Store::new();
        let mut state = state(order, &old, &new, &mut store);
        let mut numbers = Numbers(seed ^ change);
        let mut walk = |from: &[u8], to: Option<&[u8]>| {
            let (mut found, mut next) = (Vec::new(), Some(from.to_vec()));
            while let Some(from) = next {
                let page = ask(&mut state, &store, |state| state.range(&from, to, most));
                assert!(page.records.len() <= most);
                found.extend(page.records);
                next = page.next;
            }
            found
        };
        prop_assert_eq!(&walk(b"", None), &new);
        for _ in 0..5 {
            let (from, to) = (path(&mut numbers), path(&mut numbers));
            let within = |record: &&Record| {
                order.compare(&record.key, &from).is_ge() && order.compare(&record.key, &to).is_lt()
            };
            let expected: Vec<_> = new.iter().filter(within).cloned().collect();
            prop_assert_eq!(walk(&from, Some(&to)), expected);
        }
        for prefix in [&b"a"[..], b"a/", b"d\xc3", b"IMG1", b"\0/", b"~", b"nothing"] {
            let expected: Vec<_> =
                new.iter().filter(|record| record.key.starts_with(prefix)).cloned().collect();
            let end = order.prefix_end(prefix);
            prop_assert_eq!(walk(prefix, end.as_deref()), expected);
        }
    }

    #[test]
    fn list_children_without_what_lies_deeper(
        order in orders(), count in 0..6000_usize, seed: u64, edits in 0..100_usize, change: u64,
        most in 1..50_usize,
    ) {
        let old = records(order, count, seed);
        let new = edited(order, &old, edits, change);
        let mut store = Store::new();
        let mut state = state(order, &old, &new, &mut store);
        for prefix in [&b""[..], b"a/", b"a-b/", b"a/a/", b"a/IMG/", b"~/a.b/", b"nothing/"] {
            let (mut found, mut next, mut first) = (Vec::new(), None, true);
            while first || next.is_some() {
                first = false;
                let from: Option<Vec<u8>> = next.take();
                let page = ask(&mut state, &store, |state| {
                    state.children(prefix, from.as_deref(), most)
                });
                assert!(page.children.len() <= most);
                found.extend(page.children);
                next = page.next;
            }
            prop_assert_eq!(found, children(order, &new, prefix));
        }
    }

    #[test]
    fn digests_of_parts_add_up_to_that_of_the_whole(
        order in orders(), count in 0..9000_usize, seed: u64, edits in 0..300_usize, change: u64,
        most in 1..20_usize,
    ) {
        let old = records(order, count, seed);
        let new = edited(order, &old, edits, change);
        let mut store = Store::new();
        let mut state = state(order, &old, &new, &mut store);
        prop_assert_eq!(state.digest(), digest(&new));
        // Cut where blocks begin, all but the outermost parts need no block.
        let cuts = state.parts(b"", None, most);
        prop_assert!(cuts.len() < most && cuts.is_sorted_by(|a, b| order.compare(a, b).is_lt()));
        prop_assert_eq!(cuts.len(), (most - 1).min(state.base().blocks().len().saturating_sub(1)));
        let mut fresh = State::new(state.base().clone(), state.overlay().clone(), 0).unwrap();
        let mut whole = Digest::default();
        let froms = [Vec::new()].into_iter().chain(cuts.iter().cloned());
        let tos = cuts.iter().cloned().map(Some).chain([None]);
        for (from, to) in froms.zip(tos) {
            whole += fresh.range_digest(&from, to.as_deref()).unwrap();
        }
        prop_assert_eq!(whole, state.digest());
        // Anywhere else the blocks at both ends are needed, no more.
        let mut numbers = Numbers(seed ^ change);
        for _ in 0..5 {
            let (from, to) = (path(&mut numbers), path(&mut numbers));
            let mut fresh = State::new(state.base().clone(), state.overlay().clone(), 0).unwrap();
            if let Err(Error::Missing(ids)) = fresh.range_digest(&from, Some(&to)) {
                prop_assert!(ids.len() <= 2);
            }
            let within = |record: &&Record| {
                order.compare(&record.key, &from).is_ge() && order.compare(&record.key, &to).is_lt()
            };
            let found = ask(&mut state, &store, |state| state.range_digest(&from, Some(&to)));
            prop_assert_eq!(found, digest(new.iter().filter(within)));
        }
    }
}

#[test]
fn memory_for_blocks_stays_within_its_bound() {
    let mut numbers = Numbers(7);
    let long = |index: u64| {
        let mut key = format!("{index:08}/").into_bytes();
        key.resize(2000, b'x');
        record(key, &mut numbers)
    };
    let records: Vec<_> = (0..20_000).map(long).collect();
    let mut store = Store::new();
    let base = build(KeyOrder::Bytes, &records, &mut store);
    let bound = 8 * 1024 * 1024;
    let mut state = State::new(base, Overlay::new(KeyOrder::Bytes), bound).unwrap();
    let mut most = 0;
    for record in records.iter().step_by(97) {
        assert_eq!(ask(&mut state, &store, |state| state.get(&record.key)).as_ref(), Some(record));
        most = most.max(state.cached_bytes());
    }
    assert!(most <= bound && most > bound / 2, "{most}");
    // What was used last is still there.
    assert!(state.get(&records[19_999 / 97 * 97].key).is_ok());
    assert!(state.needs([records[0].key.as_slice()]).len() == 1);
}
