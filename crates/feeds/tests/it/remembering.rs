//! What is remembered of an account is read in any process as the last commit left it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tramontane_activity::feed::remembered::order;
use tramontane_activity::feed::{
    Ask, ItemKind, Machine, Observation, Remembered, Rules, Seen, There, Told,
};
use tramontane_activity::segment::{Group, encode};
use tramontane_activity::snapshot::{BlockId, Error as Lacking, Manifest, Merge, Overlay};
use tramontane_connector::EntryRef;
use tramontane_feeds::state::{At, Digest, Prefix, Search};
use tramontane_feeds::{Error, States};
use tramontane_model::NativeId;
use tramontane_store::feeds::{self, Collection};
use tramontane_store::log::{self, Append, CollectionWrite, Commit, Committed};
use tramontane_store::states;

use crate::house::{House, on_each_engine};

/// An object: its path below the root, and its size; folders have none.
type Tree = BTreeMap<String, Option<u64>>;

/// A collection that is looked at and written as the feed does.
struct Watched<'h> {
    house: &'h House,
    account: i64,
    rules: Rules,
    machine: Machine,
    known: Remembered,
    blocks: BTreeMap<BlockId, Vec<u8>>,
    row: Option<Collection>,
    number: i64,
}

fn rules(path_ids: bool, root_id: &str) -> Rules {
    Rules {
        sweeps: path_ids,
        settle: 0,
        path_ids,
        names_by_path: false,
        silent_below: false,
        splits_moves: false,
        trees: false,
        root: if path_ids { String::new() } else { root_id.to_owned() },
        root_id: root_id.to_owned(),
    }
}

impl<'h> Watched<'h> {
    fn new(house: &'h House, account: i64, rules: Rules) -> Self {
        let order = order(rules.path_ids);
        let known = Remembered::new(rules.path_ids, Manifest::empty(order), Overlay::new(order), 0);
        Self {
            house,
            account,
            machine: Machine::new(rules.clone()),
            known: known.unwrap(),
            rules,
            blocks: BTreeMap::new(),
            row: None,
            number: 0,
        }
    }

    /// The service's id of a path: the path, or a hash of it.
    fn id(&self, path: &str) -> String {
        match (self.rules.path_ids, path) {
            (_, "") => self.rules.root_id.clone(),
            (true, _) if self.rules.root_id == "/" => path.to_owned(),
            (true, _) => format!("{}{path}", self.rules.root_id),
            (false, _) => format!("id-{:x}", xxhash_rust::xxh3::xxh3_64(path.as_bytes())),
        }
    }

    fn observed(&self, path: &str, size: Option<u64>) -> Observation {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let by_path = self.rules.path_ids;
        let there = There {
            kind: if size.is_some() { ItemKind::File } else { ItemKind::Folder },
            id: self.id(path),
            parent: Some(if by_path { folder.to_owned() } else { self.id(folder) }),
            name: name.to_owned(),
            path: None,
            fingerprint: size.map_or(0, |size| size + 1),
            strong: false,
            size,
            sharing: None,
            old: false,
            entry: tramontane_activity::Metadata::default(),
        };
        let key = if by_path { path.to_owned() } else { self.id(path) };
        Observation {
            key,
            seen: Seen::There(std::sync::Arc::new(there)),
            at: None,
            by: None,
            hint: None,
        }
    }

    /// Looks at a tree until the machine rests, committing each step. Blocks are made with every so manieth
    /// commit.
    async fn look(&mut self, tree: &Tree, merge_every: usize) {
        if self.rules.sweeps {
            self.machine.sweep();
        }
        for step in 1.. {
            let told = match self.machine.ask() {
                Ask::Rest => return,
                Ask::Latest => Told::Latest("c".into()),
                Ask::Folder { folder, .. } => Told::Folder {
                    entries: tree
                        .iter()
                        .filter(|(path, _)| path.rsplit_once('/').unwrap().0 == folder)
                        .map(|(path, size)| self.observed(path, *size))
                        .collect(),
                    next: None,
                },
                Ask::Tree(_) => unreachable!("folders are listed"),
                Ask::Listing(_) => Told::Listing {
                    entries: tree.iter().map(|(path, size)| self.observed(path, *size)).collect(),
                    next: None,
                    cursor: None,
                },
                Ask::Verify(keys) => Told::There(
                    keys.into_iter().filter(|key| tree.contains_key(key)).collect::<BTreeSet<_>>(),
                ),
                Ask::Changes(_) if step > 3 => return,
                Ask::Changes(_) => Told::Changes {
                    observations: tree
                        .iter()
                        .map(|(path, size)| self.observed(path, *size))
                        .collect(),
                    next: "c".into(),
                    more: false,
                },
            };
            let machine = self.machine.clone();
            let plan = self.with(|known| machine.plan(told.clone(), known, 1));
            for (key, item) in &plan.writes {
                self.with(|known| known.put(key, item.as_ref()));
            }
            if plan.commit {
                self.commit(&plan, step % merge_every == 0).await;
            }
            self.machine = plan.next;
        }
    }

    fn with<T>(&mut self, mut work: impl FnMut(&mut Remembered) -> Result<T, Lacking>) -> T {
        loop {
            match work(&mut self.known) {
                Err(Lacking::Missing(ids)) => {
                    for id in ids {
                        self.known.state().supply(id, &self.blocks[&id]).unwrap();
                    }
                }
                done => return done.unwrap(),
            }
        }
    }

    async fn commit(&mut self, plan: &tramontane_activity::feed::Plan, merges: bool) {
        let (mut put, mut drop, mut change) = (Vec::new(), Vec::new(), None);
        let mut manifest = self.row.as_ref().map(|row| row.manifest.clone()).unwrap_or_default();
        let unsaved = self.known.state().unsaved();
        if merges {
            let (base, overlay) =
                (self.known.state().base().clone(), self.known.state().overlay().clone());
            let mut merge = Merge::new(base.clone(), overlay).unwrap();
            let mut store = |block: tramontane_activity::snapshot::NewBlock| {
                put.push((block.id, block.bytes));
                Ok(())
            };
            while let Some(id) = merge.wants() {
                merge.supply(id, &self.blocks[&id], &mut store).unwrap();
            }
            let next = merge.finish(&mut store).unwrap();
            let kept: BTreeSet<_> = next.blocks().iter().map(|block| block.id).collect();
            drop.extend(base.blocks().iter().map(|block| block.id).filter(|id| !kept.contains(id)));
            manifest = next.encode().unwrap();
            self.known.state().merged(next).unwrap();
            self.blocks.extend(put.iter().cloned());
            self.number = 0;
        } else if !unsaved.is_empty() {
            change = Some((self.number, unsaved.encode().unwrap()));
            self.number += 1;
            self.known.state().saved();
        }
        let expected = self.row.as_ref().map(|row| row.generation);
        let row = Collection {
            account: self.account,
            id: String::new(),
            root: self.rules.root_id.clone(),
            name: None,
            generation: expected.unwrap_or(0) + 1,
            cursor: None,
            manifest,
            progress: serde_json::to_vec(&plan.next.stored()).unwrap(),
            modified: 1,
        };
        let name = |id: &BlockId| format!("{:032x}", id.0);
        let collection = CollectionWrite {
            row: row.clone(),
            expected,
            change,
            forget_changes: merges,
            put: put.iter().map(|(id, bytes)| (name(id), bytes.clone())).collect(),
            drop: drop.iter().map(name).collect(),
        };
        let db = &self.house.db;
        let head = log::extent(db, self.account).await.unwrap().unwrap().head;
        let mut appends = Vec::new();
        if !plan.events.is_empty() {
            let group = Group::of(self.account, head + 1, &plan.events).unwrap();
            let events = i64::try_from(plan.events.len()).unwrap();
            let body = encode(&[group]);
            appends.push(Append { feed: self.account, head, events, body, opens: true });
        }
        let commit = Commit {
            shard: 0,
            epoch: self.house.epoch,
            slice: 1,
            now: log::SLICE_MICROS,
            appends,
            collections: vec![collection],
            ..Commit::default()
        };
        assert!(matches!(log::commit(db, &commit).await.unwrap(), Committed::At(_)));
        self.row = Some(row);
    }

    fn root(&self) -> NativeId {
        NativeId::new(self.rules.root_id.as_str())
    }

    fn shown(&self, path: &str, folder: bool) -> String {
        if path.is_empty() {
            return "root".into();
        }
        let id = NativeId::new(self.id(path));
        let of = if folder { EntryRef::folder(id) } else { EntryRef::file(id) };
        of.resource().to_string()
    }

    /// The hash of everything in a tree, by the rule in docs/activity.md.
    fn hash(&self, tree: &Tree) -> u128 {
        tree.iter().fold(0_u128, |sum, (path, size)| {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let id = self.shown(path, size.is_none());
            let size = size.map(|size| size.to_string()).unwrap_or_default();
            let line = [&id, &self.shown(folder, true), &size, name].join("\0");
            let digest: [u8; 32] = Sha256::digest(line).into();
            sum.wrapping_add(u128::from_be_bytes(*digest.first_chunk().unwrap()))
        })
    }
}

fn tree(folders: usize, files: usize) -> Tree {
    let mut tree = Tree::new();
    for folder in 0..folders {
        let above = if folder % 3 == 2 { format!("/top/f{}", folder - 1) } else { "/top".into() };
        tree.insert(format!("{above}/f{folder}"), None);
        for file in 0..files {
            let name = format!("{above}/f{folder}/Report {file:03}.txt");
            tree.insert(name, Some((folder * 1_000 + file) as u64));
        }
    }
    tree.insert("/top".into(), None);
    tree
}

async fn found(states: &States, account: i64, text: &str, below: &[NativeId]) -> BTreeSet<String> {
    let (mut at, mut found) = (None, BTreeSet::new());
    loop {
        let until = Instant::now() + Duration::from_secs(60);
        let (text, below) = (text.to_owned(), below.to_vec());
        let asked = Search { text, below, at: at.clone(), limit: 7, until };
        let page = states.search(account, &asked).await.unwrap().unwrap();
        for hit in &page.hits {
            assert!(found.insert(hit.of.id.to_string()), "{hit:?} came twice");
        }
        let Some(next) = page.next else { return found };
        // As it travels in a cursor.
        let text = serde_json::to_string(&next).unwrap();
        at = Some(serde_json::from_str::<At>(&text).unwrap());
    }
}

fn whole(digest: &Digest) -> (u64, u128) {
    (digest.parts[0].sum.count, digest.parts[0].sum.hash)
}

#[tokio::test]
async fn searches_sizes_and_digests_are_those_of_what_is_there() {
    on_each_engine(|house| async {
        for (account, rules) in
            [(1, rules(true, "/")), (1, rules(true, "/bucket")), (2, rules(false, "top-of-all"))]
        {
            let states = States::new(house.db.clone());
            let mut watched = Watched::new(&house, account, rules);
            let mut tree = tree(12, 40);
            watched.look(&tree, 5).await;
            // Another process, or this one.
            let digest =
                states.digest(account, &watched.root(), &[Prefix::default()]).await.unwrap();
            let digest = digest.unwrap();
            assert_eq!(whole(&digest), (tree.len() as u64, watched.hash(&tree)));
            assert_eq!(digest.roots, ["root"]);
            let wanted = |words: &str, below: &str| -> BTreeSet<String> {
                let hits = tree.keys().filter(|path| {
                    let name = path.rsplit_once('/').unwrap().1;
                    name.to_lowercase().contains(words) && path.starts_with(&format!("{below}/"))
                });
                hits.map(|path| watched.id(path)).collect()
            };
            for words in ["rePORT 01", "F1", "txt", "nothing"] {
                let hits = found(&states, account, words, &[]).await;
                assert_eq!(hits, wanted(&words.to_lowercase(), ""), "{words}");
            }
            let folder = NativeId::new(watched.id("/top/f4"));
            let below = std::slice::from_ref(&folder);
            if watched.rules.path_ids {
                let hits = found(&states, account, "report", below).await;
                assert_eq!(hits, wanted("report", "/top/f4"));
                let nowhere =
                    [NativeId::new("/no"), NativeId::new(watched.id("/top/f4/Report 001.txt"))];
                for below in nowhere {
                    let until = Instant::now();
                    let (text, below) = ("x".into(), vec![below]);
                    let asked = Search { text, below, at: None, limit: 7, until };
                    assert_eq!(states.search(account, &asked).await.unwrap(), None);
                }
            }
            let inside = tree.iter().filter(|(path, _)| path.starts_with("/top/f4/"));
            let bytes: u64 = inside.clone().filter_map(|(_, size)| *size).sum();
            let files = inside.filter(|(_, size)| size.is_some()).count() as u64;
            let size = states.size(account, &watched.root(), &folder).await.unwrap().unwrap();
            assert_eq!((size.bytes, size.files, size.folders, size.whole), (bytes, files, 1, true));
            let all =
                states.size(account, &watched.root(), &watched.root()).await.unwrap().unwrap();
            assert_eq!((all.files, all.folders, all.unsized_files), (480, 13, 0));
            assert_eq!(all.bytes, tree.values().flatten().sum::<u64>());
            let none = states.size(account, &watched.root(), &NativeId::new("/no/such")).await;
            assert_eq!(none.unwrap(), None);
            // Something changes; its event and what is known come together.
            tree.insert("/top/f4/late.txt".into(), Some(7));
            watched.look(&tree, 100).await;
            let after = states.digest(account, &watched.root(), &[Prefix::default()]).await;
            let after = after.unwrap().unwrap();
            assert_eq!(whole(&after), (tree.len() as u64, watched.hash(&tree)));
            assert_eq!(after.head, digest.head + 1);
            narrow(&states, account, &watched, &after).await;
            forget(&house, account).await;
        }
        house
    })
    .await;
}

/// The ranges that a digest is split into add up, and are what they are by themselves.
async fn narrow(states: &States, account: i64, watched: &Watched<'_>, whole: &Digest) {
    let few = &whole.parts[0];
    let objects = few.objects.as_ref().unwrap();
    assert_eq!(objects.len() as u64, few.sum.count);
    assert!(few.parts.is_empty());
    let prefixes: Vec<Prefix> =
        (0..16).map(|digit| format!("{digit:x}").parse().unwrap()).collect();
    let parts = states.digest(account, &watched.root(), &prefixes).await.unwrap().unwrap().parts;
    let (mut count, mut hash) = (0, 0_u128);
    for part in &parts {
        count += part.sum.count;
        hash = hash.wrapping_add(part.sum.hash);
        for (id, own) in part.objects.as_ref().unwrap() {
            let key = Sha256::digest(id);
            assert_eq!(format!("{:x}", key[0] >> 4), part.prefix.to_string());
            assert!(objects.contains(&(id.clone(), *own)));
        }
    }
    assert_eq!((count, hash), (few.sum.count, few.sum.hash));
}

async fn forget(house: &House, account: i64) {
    let gone = vec![(account, String::new())];
    let commit = Commit { shard: 0, epoch: house.epoch, slice: 1, gone, ..Commit::default() };
    assert!(matches!(log::commit(&house.db, &commit).await.unwrap(), Committed::At(_)));
}

#[tokio::test]
async fn nothing_is_said_before_everything_was_listed_or_when_nobody_follows() {
    on_each_engine(|house| async {
        let states = States::new(house.db.clone());
        let root = NativeId::new("/");
        let everything = [Prefix::default()];
        let digest = || states.digest(1, &root, &everything);
        assert_eq!(digest().await.unwrap(), None);
        let mut watched = Watched::new(&house, 1, rules(true, "/"));
        let tree = tree(3, 2);
        // The first folder alone.
        let listed = vec![watched.observed("/top", None)];
        let told = Told::Folder { entries: listed, next: None };
        let plan = watched.machine.clone().plan(told, &mut watched.known, 1).unwrap();
        watched.commit(&plan, false).await;
        assert_eq!(digest().await.unwrap(), None);
        assert_eq!(states.size(1, &root, &root).await.unwrap(), None);
        let mut watched =
            Watched { row: watched.row.clone(), ..Watched::new(&house, 1, rules(true, "/")) };
        watched.number = 1;
        watched.look(&tree, 2).await;
        assert!(digest().await.unwrap().is_some());
        assert!(states.size(1, &root, &root).await.unwrap().is_some());
        let row = feeds::subscriptions(&house.db, 1).await.unwrap().remove(0);
        let some = serde_json::json!({"folders": ["/top"]});
        let row = feeds::Subscription { settings: some, ..row };
        assert!(feeds::update_subscription(&house.db, &row).await.unwrap());
        assert!(matches!(digest().await, Err(Error::Invalid { field: "digest", .. })));
        assert!(states.size(1, &root, &root).await.unwrap().is_some());
        assert!(feeds::unsubscribe(&house.db, 1, &row.id, 2).await.unwrap());
        assert!(matches!(digest().await, Err(Error::Off)));
        assert_eq!(states.size(1, &root, &root).await.unwrap(), None);
        house
    })
    .await;
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_one_commit_or_another() {
    on_each_engine(|house| async {
        let mut watched = Watched::new(&house, 1, rules(true, "/"));
        let mut tree = tree(12, 40);
        watched.look(&tree, 1).await;
        let root = watched.root();
        let states = States::new(house.db.clone());
        let (mut right, done) = (BTreeMap::new(), AtomicBool::new(false));
        right.insert(0, (tree.len() as u64, watched.hash(&tree)));
        let write = async {
            for number in 0..30 {
                // Blocks all over are replaced with each.
                let folder = number % 4 * 3;
                tree.insert(format!("/top/f{folder}/late {number}.txt"), Some(number));
                watched.look(&tree, 1).await;
                let head = log::extent(&house.db, 1).await.unwrap().unwrap().head;
                right.insert(head, (tree.len() as u64, watched.hash(&tree)));
            }
            done.store(true, Ordering::Relaxed);
        };
        let read = async {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let digest = states.digest(1, &root, &[Prefix::default()]).await.unwrap().unwrap();
                seen.push((digest.head, whole(&digest)));
            }
            seen
        };
        let ((), seen) = tokio::join!(write, read);
        assert!(!seen.is_empty());
        for (head, whole) in seen {
            assert_eq!(right.get(&head), Some(&whole), "at {head}");
        }
        house
    })
    .await;
}

#[tokio::test]
async fn a_reader_whose_blocks_are_gone_gives_up_in_the_end() {
    on_each_engine(|house| async {
        let mut watched = Watched::new(&house, 1, rules(true, "/"));
        watched.look(&tree(12, 40), 1).await;
        let row = watched.row.clone().unwrap();
        let manifest = Manifest::decode(&row.manifest).unwrap();
        let ids: Vec<String> =
            manifest.blocks().iter().map(|block| format!("{:032x}", block.id.0)).collect();
        let stored = states::blocks(&house.db, 1, "", &ids).await.unwrap();
        assert_eq!(stored.len(), ids.len());
        let lost = CollectionWrite {
            expected: Some(row.generation),
            row,
            change: None,
            forget_changes: false,
            put: Vec::new(),
            drop: ids,
        };
        let (epoch, collections) = (house.epoch, vec![lost]);
        let commit = Commit { shard: 0, epoch, slice: 1, collections, ..Commit::default() };
        assert!(matches!(log::commit(&house.db, &commit).await.unwrap(), Committed::At(_)));
        let states = States::new(house.db.clone());
        let size = states.size(1, &watched.root(), &watched.root()).await;
        assert!(matches!(size, Err(Error::Replaced)), "{size:?}");
        house
    })
    .await;
}
