//! Fuzz targets: stored blocks, manifests, overlays and runs, as bytes from anywhere.

use tramontane_fuzz::fuzz;

use super::block::{Block, Encoder, Header};
use super::columns::seal_form;
use super::manifest::Manifest;
use super::overlay::Overlay;
use super::reader::Listing;
use super::record::{KeyOrder, Record};
use super::runs::{MergedRuns, RunSorter};
use super::{Builder, flag};

/// Records with all that can vary: shared prefixes, flags, extras, some of them empty.
fn records(count: u64) -> impl Iterator<Item = Record> {
    (0..count).map(|index| Record {
        key: format!("photos/2024/{:02}/IMG_{index:05}.jpg", index / 20).into_bytes(),
        flags: if index % 10 == 0 { flag::FOLDER } else { 0 },
        fingerprint: index.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        extra: if index % 3 == 0 { Vec::new() } else { format!("id:{index}").into_bytes() },
    })
}

fn block(count: u64, order: KeyOrder) -> Vec<u8> {
    let mut block = Block::new(order);
    records(count).for_each(|record| block.push(record.borrowed()));
    Encoder::new().and_then(|mut encoder| encoder.encode(&block)).unwrap_or_default()
}

fn manifest(count: u64) -> Vec<u8> {
    let made = Builder::new(KeyOrder::Components).and_then(|mut builder| {
        for record in records(count) {
            builder.push(record.borrowed())?;
        }
        builder.finish()?.1.encode()
    });
    made.unwrap_or_default()
}

fn overlay(count: u64) -> Vec<u8> {
    let mut overlay = Overlay::new(KeyOrder::Components);
    for (index, record) in records(count).enumerate() {
        let now = (index % 4 > 0).then(|| record.borrowed());
        let base = (index % 3 > 0).then(|| record.borrowed());
        let _ = overlay.set(&record.key, now, base);
    }
    overlay.encode().unwrap_or_default()
}

fn run(count: u64) -> Vec<u8> {
    let mut run = Vec::new();
    if let Ok(mut sorter) = RunSorter::new(KeyOrder::Bytes, 0) {
        for record in records(count) {
            let _ = sorter.push(record.borrowed());
        }
        let _ = sorter.write(&mut run);
    }
    run
}

/// The bytes as they are, and with a checksum that fits, so that what lies behind it is reached too.
fn both_ways(data: &[u8], check: impl Fn(&[u8])) {
    check(data);
    let mut sealed = data.to_vec();
    seal_form(&mut sealed);
    check(&sealed);
}

fuzz!(
    blocks,
    [
        block(1, KeyOrder::Bytes),
        block(12, KeyOrder::Components),
        block(200, KeyOrder::Bytes),
        Vec::new()
    ]
    .each_ref(),
    |data| both_ways(data, |stored| {
        let Ok(block) = Block::decode(stored) else { return };
        assert_eq!(Header::read(stored).ok().map(|header| header.count), Some(block.len()));
        let keys: Vec<_> = block.records().map(|record| record.key).collect();
        assert!(keys.is_sorted_by(|one, other| block.order().compare(one, other).is_lt()));
        assert!(block.records().all(|record| block.find(record.key) == Some(record)));
        // What was read can be written, and is then read as the same.
        let again = Encoder::new().and_then(|mut encoder| encoder.encode(&block));
        let again = again.and_then(|again| Block::decode(&again));
        assert!(again.is_ok_and(|again| again.records().eq(block.records())));
    })
);

fuzz!(manifests, [manifest(0), manifest(10), manifest(3000)].each_ref(), |data| both_ways(
    data,
    |stored| {
        let Ok(manifest) = Manifest::decode(stored) else { return };
        let firsts = manifest.blocks().iter().map(|block| &block.first);
        assert!(firsts.is_sorted_by(|one, other| manifest.order().compare(one, other).is_lt()));
        let again = manifest.encode().and_then(|again| Manifest::decode(&again));
        assert_eq!(again.ok(), Some(manifest));
    }
));

fuzz!(overlays, [overlay(0), overlay(1), overlay(50)].each_ref(), |data| both_ways(
    data,
    |stored| {
        let Ok(overlay) = Overlay::decode(stored) else { return };
        let again = overlay.encode().and_then(|again| Overlay::decode(&again));
        assert_eq!(again.ok(), Some(overlay));
    }
));

fuzz!(runs, [run(0), run(5), run(1500)].each_ref(), |data| {
    let sources = vec![data, data.get(data.len() / 2..).unwrap_or_default()];
    for sources in [vec![data], sources] {
        let Ok(mut merged) = MergedRuns::new(KeyOrder::Bytes, sources) else { continue };
        let mut before: Option<Vec<u8>> = None;
        while let Ok(Some(record)) = merged.next() {
            assert!(before.is_none_or(|before| before.as_slice() < record.key));
            before = Some(record.key.to_vec());
        }
    }
});
