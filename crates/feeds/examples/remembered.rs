//! Measures what is read of what is remembered: a search, the size of a folder, digests.
//!
//!     cargo run --release -p tramontane-feeds --example remembered [ENTRIES]
//!
//! On SQLite, and on PostgreSQL where one answers as in the tests. Makes up accounts of a million entries, keyed by path and
//! by id, and prints a table.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot be made must stop"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tramontane_activity::feed::remembered::order;
use tramontane_activity::feed::{Item, ItemKind, Machine, Remembered, Rules, Table, Told};
use tramontane_activity::snapshot::{BlockId, Error, Manifest, Merge, NewBlock, Overlay};
use tramontane_feeds::States;
use tramontane_feeds::state::{Prefix, Search};
use tramontane_model::NativeId;
use tramontane_store::feeds::{Collection, Feed, Subscription};
use tramontane_store::log::{self, CollectionWrite, Commit, Committed};
use tramontane_store::scratch::{self, Scratch};
use tramontane_store::{Db, feeds, shards};

/// Files of a folder.
const FILES: usize = 99;

fn rules(path_ids: bool) -> Rules {
    Rules {
        sweeps: true,
        settle: 0,
        path_ids,
        names_by_path: false,
        silent_below: false,
        splits_moves: false,
        trees: false,
        root: if path_ids { String::new() } else { "root".into() },
        root_id: if path_ids { "/".into() } else { "root".into() },
    }
}

/// The key and the item with a number: each hundredth is a folder, ten of them in a folder.
fn item(number: usize, path_ids: bool) -> (String, Item) {
    let folder = number / (FILES + 1);
    let top = format!("top {}", folder / 10);
    let is_folder = number.is_multiple_of(FILES + 1);
    let mixed = xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes());
    let path = format!("/{top}/folder {folder}");
    let name = if is_folder {
        format!("folder {folder}")
    } else {
        format!("quarterly report {:03} {:04x}.docx", number % (FILES + 1), mixed & 0xffff)
    };
    let id = |number: usize| {
        let mixed = xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes());
        format!("1{mixed:032x}")
    };
    let (key, parent) = match (path_ids, is_folder) {
        (true, true) => (path, format!("/{top}")),
        (true, false) => (format!("{path}/{name}"), path),
        (false, true) => (id(number), "root".to_owned()),
        (false, false) => (id(number), id(number - number % (FILES + 1))),
    };
    let item = Item {
        kind: if is_folder { ItemKind::Folder } else { ItemKind::File },
        id: key.clone(),
        parent: Some(parent),
        name,
        fingerprint: if is_folder { 0 } else { mixed | 1 },
        strong: false,
        size: (!is_folder).then_some(mixed % 2_000_000),
        sharing: 0,
        gone: false,
    };
    (key, item)
}

/// What is remembered of so many items, in blocks.
fn remember(entries: usize, path_ids: bool) -> (Manifest, BTreeMap<BlockId, Vec<u8>>) {
    let order = order(path_ids);
    let (mut base, mut blocks) = (Manifest::empty(order), BTreeMap::<BlockId, Vec<u8>>::new());
    let mut next = 0;
    while next < entries {
        let overlay = Overlay::new(order);
        let mut known = Remembered::new(path_ids, base.clone(), overlay, 64 << 20).unwrap();
        let until = entries.min(next + 200_000);
        for number in next..until {
            let (key, item) = item(number, path_ids);
            while let Err(error) = known.put(&key, Some(&item)) {
                let Error::Missing(ids) = error else { panic!("{error}") };
                for id in ids {
                    known.state().supply(id, &blocks[&id]).unwrap();
                }
            }
        }
        next = until;
        let overlay = known.state().overlay().clone();
        let mut made = Vec::new();
        let mut store = |block: NewBlock| {
            made.push((block.id, block.bytes));
            Ok(())
        };
        let mut merge = Merge::new(base, overlay).unwrap();
        while let Some(id) = merge.wants() {
            merge.supply(id, &blocks[&id], &mut store).unwrap();
        }
        base = merge.finish(&mut store).unwrap();
        blocks.extend(made);
        let kept: std::collections::BTreeSet<_> =
            base.blocks().iter().map(|block| block.id).collect();
        blocks.retain(|id, _| kept.contains(id));
    }
    (base, blocks)
}

async fn write(db: &Db, account: i64, entries: usize, path_ids: bool) -> usize {
    let (manifest, blocks) = remember(entries, path_ids);
    let feed = Feed { shard: 0, ..Feed::new(account, 1) };
    let subscription = Subscription::first(format!("sub_{account}"), account, 1);
    assert!(feeds::subscribe(db, &feed, &subscription).await.unwrap());
    let machine = Machine::new(rules(path_ids));
    let machine = machine
        .plan(Told::Folder { entries: Vec::new(), next: None }, &mut Table::default(), 1)
        .unwrap()
        .next;
    let bytes = blocks.values().map(Vec::len).sum();
    let put = blocks.into_iter().map(|(id, bytes)| (format!("{:032x}", id.0), bytes)).collect();
    let collection = CollectionWrite {
        row: Collection {
            account,
            id: String::new(),
            root: "/".into(),
            name: None,
            generation: 1,
            cursor: None,
            manifest: manifest.encode().unwrap(),
            progress: serde_json::to_vec(&machine).unwrap(),
            modified: 1,
        },
        expected: None,
        change: None,
        forget_changes: false,
        put,
        drop: Vec::new(),
    };
    let epoch = shards::take(db, 0, "bench", 1, 0).await.unwrap().unwrap().epoch;
    let collections = vec![collection];
    let commit = Commit { shard: 0, epoch, slice: 1, collections, ..Commit::default() };
    assert!(matches!(log::commit(db, &commit).await.unwrap(), Committed::At(_)));
    bytes
}

async fn measure(scratch: Scratch, entries: usize) -> Scratch {
    let db = &scratch.db;
    scratch::seed(db, &[("one", &[1, 2])]).await;
    shards::ensure(db, 1).await.unwrap();
    log::ensure_slice(db, 1, 1).await.unwrap();
    for (account, path_ids) in [(1, true), (2, false)] {
        let bytes = write(db, account, entries, path_ids).await;
        let states = States::new(db.clone());
        let root = NativeId::new(if path_ids { "/" } else { "root" });
        let folder = NativeId::new(item(0, path_ids).0);
        let search = async |text: &str| {
            let (text, until) = (text.to_owned(), Instant::now() + Duration::from_secs(600));
            let asked = Search { text, below: Vec::new(), at: None, limit: 1_000, until };
            states.search(account, &asked).await.unwrap().unwrap().hits.len()
        };
        let mut row = vec![
            format!("{:?}", db.dialect()),
            if path_ids { "paths" } else { "ids" }.to_owned(),
            format!("{:.1} B an entry", bytes as f64 / entries as f64),
        ];
        let begun = Instant::now();
        assert_eq!(search("no such name").await, 0);
        row.push(format!("{:.0} ms", begun.elapsed().as_secs_f64() * 1e3));
        let begun = Instant::now();
        let size = states.size(account, &root, &folder).await.unwrap().unwrap();
        assert_eq!((size.files, size.whole), (FILES as u64, true));
        row.push(format!("{:.0} ms", begun.elapsed().as_secs_f64() * 1e3));
        for prefix in ["", "3fa"] {
            let begun = Instant::now();
            let prefix: Prefix = prefix.parse().unwrap();
            let digest = states.digest(account, &root, &[prefix]).await.unwrap().unwrap();
            assert!(digest.parts[0].sum.count > 0);
            row.push(format!("{:.0} ms", begun.elapsed().as_secs_f64() * 1e3));
        }
        println!("| {} |", row.join(" | "));
    }
    scratch
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let entries = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    println!(
        "| database | keys | stored | search through all | size of one folder | digest | digest of one range |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    scratch::on_each_engine(|scratch| measure(scratch, entries)).await;
}
