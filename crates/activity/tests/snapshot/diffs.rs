//! Differences are exactly those of two maps, and the next generation is the one that would be built afresh.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tramontane_activity::snapshot::{Diff, Error, KeyOrder, Manifest, Record, diff};

use crate::listing::{Heard, Store, build, edited, large, orders, read, records};

fn by_key(records: &[Record]) -> BTreeMap<&[u8], &Record> {
    records.iter().map(|record| (record.key.as_slice(), record)).collect()
}

fn check(order: KeyOrder, old: &[Record], new: &[Record]) -> Result<(), TestCaseError> {
    let mut store = Store::new();
    let before = build(order, old, &mut store);
    let mut heard = Heard::default();
    let (after, totals) = diff(&before, &store, new.iter(), &mut heard).unwrap();

    let (were, are) = (by_key(old), by_key(new));
    let added: Vec<_> =
        new.iter().filter(|record| !were.contains_key(record.key.as_slice())).cloned().collect();
    let removed: Vec<_> =
        old.iter().filter(|record| !are.contains_key(record.key.as_slice())).cloned().collect();
    let changed: Vec<_> = new
        .iter()
        .filter_map(|record| Some(((*were.get(record.key.as_slice())?).clone(), record.clone())))
        .filter(|(old, new)| old != new)
        .collect();
    prop_assert_eq!(&heard.added, &added);
    prop_assert_eq!(&heard.removed, &removed);
    prop_assert_eq!(&heard.changed, &changed);
    prop_assert_eq!(totals.same as usize, new.len() - added.len() - changed.len());

    let mut afresh = Store::new();
    prop_assert_eq!(&after, &build(order, new, &mut afresh));
    prop_assert_eq!((totals.reused + totals.written) as usize, after.blocks().len());
    prop_assert!(heard.blocks.keys().all(|id| !store.contains_key(id)), "wrote what was there");
    store.extend(heard.blocks);
    prop_assert_eq!(read(&after, &store), new);
    Ok(())
}

proptest! {
    #![proptest_config(large())]

    #[test]
    fn of_long_listings(
        order in orders(), count in 0..9000_usize, seed: u64, edits in 0..400_usize, change: u64,
    ) {
        let old = records(order, count, seed);
        check(order, &old, &edited(order, &old, edits, change))?;
    }

    #[test]
    fn of_listings_that_have_nothing_in_common(order in orders(), seed: u64, other: u64) {
        check(order, &records(order, 3000, seed), &records(order, 3000, other))?;
    }

    #[test]
    fn keeps_what_is_not_to_be_believed_gone(order in orders(), seed: u64, change: u64) {
        let old = records(order, 3000, seed);
        let new = edited(order, &old, 600, change);
        let mut store = Store::new();
        let before = build(order, &old, &mut store);
        let keep = |key: &[u8]| key.len().is_multiple_of(2);
        let mut heard = Heard { keep: Some(keep), ..Heard::default() };
        let (after, totals) = diff(&before, &store, new.iter(), &mut heard).unwrap();
        let kept = heard.removed.into_iter().filter(|record| keep(&record.key));
        let expected = crate::listing::sorted(order, kept.chain(new));
        prop_assert_eq!(&after, &build(order, &expected, &mut store));
        prop_assert_eq!(totals.kept + totals.added + totals.changed + totals.same, after.count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_short_listings(
        order in orders(), count in 0..12_usize, seed: u64, edits in 0..12_usize, change: u64,
    ) {
        let old = records(order, count, seed);
        check(order, &old, &edited(order, &old, edits, change))?;
    }
}

#[test]
fn an_end_of_the_listing_in_the_middle_removes_the_rest() {
    let old = records(KeyOrder::Components, 6000, 1);
    check(KeyOrder::Components, &old, &old[..2000]).unwrap();
    check(KeyOrder::Components, &old, &[]).unwrap();
    check(KeyOrder::Components, &old[..2000], &old).unwrap();
    check(KeyOrder::Components, &old[4000..], &old).unwrap();
}

#[test]
fn records_out_of_order_are_refused_wherever_they_fall() {
    let old = records(KeyOrder::Bytes, 3000, 2);
    let mut store = Store::new();
    let manifest = build(KeyOrder::Bytes, &old, &mut store);
    let mut refused = 0;
    for second in [0, 1, 499, 500, 501, 502, old.len() - 1] {
        let mut diff = Diff::new(manifest.clone()).unwrap();
        let mut heard = Heard::default();
        let mut push = |record: &Record| loop {
            match diff.push(record.borrowed(), &mut heard)? {
                Some(id) => diff.supply(id, &store[&id])?,
                None => return Ok::<(), Error>(()),
            }
        };
        push(&old[500]).unwrap();
        let answer = push(&old[second]);
        assert_eq!(matches!(answer, Err(Error::Unsorted)), second <= 500, "{second}: {answer:?}");
        refused += u32::from(answer.is_err());
    }
    assert_eq!(refused, 4);
    let none = Manifest::empty(KeyOrder::Bytes);
    let twice = [old[7].clone(), old[7].clone()];
    let answer = diff(&none, &store, twice.iter(), &mut Heard::default());
    assert!(matches!(answer, Err(Error::Unsorted)));
}

#[test]
fn a_comparison_that_was_not_drained_does_not_end() {
    let old = records(KeyOrder::Bytes, 3000, 8);
    let mut store = Store::new();
    let manifest = build(KeyOrder::Bytes, &old, &mut store);
    let answer = Diff::new(manifest).unwrap().finish(&mut Heard::default());
    assert!(matches!(answer, Err(Error::Missing(ids)) if ids.len() == 1));
}
