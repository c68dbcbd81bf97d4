//! Listings in any order, sorted through runs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tramontane_activity::snapshot::{Error, KeyOrder, Listing, MergedRuns, Record, RunSorter};

use crate::listing::{Numbers, large, orders, path, record, sorted};

fn sort(order: KeyOrder, records: &[Record], run_every: usize) -> Result<Vec<Record>, Error> {
    let mut sorter = RunSorter::new(order, 0)?;
    let mut runs: Vec<Vec<u8>> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        if sorter.push(record.borrowed())? || index % run_every == run_every - 1 {
            let mut run = Vec::new();
            sorter.write(&mut run)?;
            runs.push(run);
        }
    }
    if !sorter.is_empty() {
        let mut run = Vec::new();
        sorter.write(&mut run)?;
        runs.push(run);
    }
    let mut merged = MergedRuns::new(order, runs.iter().map(Vec::as_slice).collect())?;
    let mut found = Vec::new();
    while let Some(record) = merged.next()? {
        found.push(record.to_record());
    }
    Ok(found)
}

proptest! {
    #![proptest_config(large())]

    #[test]
    fn of_a_key_that_came_twice_the_last_record_stays(
        order in orders(), count in 0..8000_usize, seed: u64, run_every in 50..5000_usize,
    ) {
        let mut numbers = Numbers(seed);
        let made: Vec<_> = (0..count)
            .map(|_| {
                let key = path(&mut numbers);
                record(key[..key.len() - 1].to_vec(), &mut numbers)
            })
            .collect();
        let last: BTreeMap<_, _> =
            made.iter().map(|record| (record.key.clone(), record.clone())).collect();
        let expected = sorted(order, last.into_values());
        prop_assert_eq!(sort(order, &made, run_every).unwrap(), expected);
    }
}

#[test]
fn a_full_sorter_says_so_and_takes_no_more() {
    let mut sorter = RunSorter::new(KeyOrder::Bytes, 0).unwrap();
    let record = Record { key: vec![b'k'; 30_000], ..Record::default() };
    let mut pushed = 0;
    while !sorter.push(record.borrowed()).unwrap() {
        pushed += 1;
        assert!(pushed < 40);
    }
    assert!(matches!(sorter.push(record.borrowed()), Err(Error::TooLarge { .. })));
    sorter.write(&mut Vec::new()).unwrap();
    assert!(!sorter.push(record.borrowed()).unwrap());
}

#[test]
fn a_run_that_is_cut_off_is_an_error_not_an_end() {
    let mut sorter = RunSorter::new(KeyOrder::Bytes, 0).unwrap();
    for index in 0..3000_u32 {
        let key = index.to_be_bytes().to_vec();
        sorter.push(Record { key, ..Record::default() }.borrowed()).unwrap();
    }
    let mut run = Vec::new();
    sorter.write(&mut run).unwrap();
    for cut in [0, 3, 4, 100, run.len() - 4, run.len() - 1] {
        let read = MergedRuns::new(KeyOrder::Bytes, vec![&run[..cut]]).and_then(|mut merged| {
            while merged.next()?.is_some() {}
            Ok(())
        });
        assert!(read.is_err(), "cut at {cut}");
    }
}
