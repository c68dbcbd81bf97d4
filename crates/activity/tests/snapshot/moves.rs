//! Moves and renames among removals and additions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tramontane_activity::snapshot::{
    KeyOrder, Limits, Matched, Matcher, Outcome, Record, RecordRef, flag,
};

use crate::listing::{Numbers, sorted};

fn file(key: &str, fingerprint: u64) -> Record {
    Record { key: key.into(), fingerprint, ..Record::default() }
}

fn strong(key: &str, fingerprint: u64) -> Record {
    Record { flags: flag::STRONG, ..file(key, fingerprint) }
}

fn empty(key: &str) -> Record {
    Record { flags: flag::STRONG | flag::EMPTY, ..file(key, 0) }
}

fn folder(key: &str) -> Record {
    Record { flags: flag::FOLDER, ..file(key, 0) }
}

fn with_id(record: Record, id: &str) -> Record {
    Record { extra: id.into(), ..record }
}

fn matched(gone: Vec<Record>, new: Vec<Record>, limits: Limits) -> Matched {
    let order = KeyOrder::Components;
    let mut matcher = Matcher::new(order, limits);
    for record in sorted(order, gone) {
        matcher.removed(record.borrowed()).unwrap();
    }
    for record in sorted(order, new) {
        matcher.added(record.borrowed()).unwrap();
    }
    matcher.finish()
}

fn shown(outcome: Outcome<'_>) -> String {
    let key = |record: RecordRef<'_>| String::from_utf8_lossy(record.key).into_owned();
    let mark = |changed| if changed { "*" } else { "" };
    match outcome {
        Outcome::Removed(from) => format!("-{}", key(from)),
        Outcome::Added(to) => format!("+{}", key(to)),
        Outcome::Moved { from, to, changed } => {
            format!("{}>{}{}", key(from), key(to), mark(changed))
        }
        Outcome::Carried { from, to, changed } => {
            format!("({}>{}{})", key(from), key(to), mark(changed))
        }
    }
}

fn outcomes(gone: Vec<Record>, new: Vec<Record>) -> Vec<String> {
    matched(gone, new, Limits::default()).outcomes().map(shown).collect()
}

#[test]
fn files_are_found_by_content_then_by_name_then_by_folder() {
    let gone = vec![strong("a/x.txt", 1), file("a/y.txt", 2), file("a/z.txt", 3)];
    let new = vec![strong("b/new.txt", 1), file("b/y.txt", 2), file("a/zz.txt", 3)];
    assert_eq!(outcomes(gone, new), ["a/z.txt>a/zz.txt", "a/x.txt>b/new.txt", "a/y.txt>b/y.txt"]);
}

#[test]
fn a_weak_fingerprint_alone_is_not_enough() {
    assert_eq!(outcomes(vec![file("a/x", 1)], vec![file("b/y", 1)]), ["-a/x", "+b/y"]);
}

#[test]
fn what_is_not_unique_stays_a_removal_and_an_addition() {
    let gone = vec![strong("a", 1)];
    let new = vec![strong("x/b", 1), strong("x/c", 1)];
    assert_eq!(outcomes(gone, new), ["-a", "+x/b", "+x/c"]);
    // The name tells which of them it is.
    let new = vec![strong("x/a", 1), strong("x/c", 1)];
    assert_eq!(outcomes(vec![strong("a", 1)], new), ["a>x/a", "+x/c"]);
}

#[test]
fn empty_files_are_not_found_by_their_content() {
    assert_eq!(outcomes(vec![empty("a/x")], vec![empty("b/y")]), ["-a/x", "+b/y"]);
    assert_eq!(outcomes(vec![empty("a/x")], vec![empty("a/y")]), ["-a/x", "+a/y"]);
    assert_eq!(outcomes(vec![empty("a/x")], vec![empty("b/x")]), ["a/x>b/x"]);
}

#[test]
fn an_id_outweighs_all_else() {
    let limits = Limits { extra_is_id: true, ..Limits::default() };
    let gone = vec![with_id(strong("a", 1), "id:1"), with_id(strong("b", 2), "id:2")];
    let new = vec![with_id(strong("c", 2), "id:1"), with_id(strong("d", 1), "id:9")];
    let matched = matched(gone, new, limits);
    let found: Vec<_> = matched.outcomes().map(shown).collect();
    assert_eq!(found, ["-b", "a>c*", "+d"]);
}

#[test]
fn a_folder_brings_along_what_is_in_it() {
    let below = |top: &str| {
        let mut all = vec![folder(top), folder(&format!("{top}/in"))];
        // Content that is there many times tells nothing by itself.
        all.extend((0..50).map(|at| strong(&format!("{top}/in/{at}"), at % 2)));
        all.extend((0..50).map(|at| empty(&format!("{top}/e{at}"))));
        all
    };
    let found = matched(below("old"), below("other/new"), Limits::default());
    assert_eq!((found.tally().moved, found.tally().carried), (1, 101));
    let moves: Vec<_> = found.outcomes().map(shown).filter(|one| !one.starts_with('(')).collect();
    assert_eq!(moves, ["old>other/new"]);
}

#[test]
fn a_folder_that_changed_on_the_way_is_found_by_four_fifths_of_its_names() {
    let gone = |count: u64| {
        let mut all = vec![folder("old")];
        all.extend((0..count).map(|at| file(&format!("old/{at}"), at)));
        all
    };
    let mut new = vec![folder("new"), file("new/fresh", 99)];
    new.extend((0..8).map(|at| file(&format!("new/{at}"), at)));
    // Of ten names eight are on both sides; one of them has changed, one is new, two are gone.
    new[9].fingerprint = 77;
    let found = outcomes(gone(10), new.clone());
    assert_eq!(found[..3], ["-old/9", "-old/8", "old>new"]);
    assert!(found.contains(&"(old/7>new/7*)".to_owned()));
    assert!(found.contains(&"+new/fresh".to_owned()));
    assert_eq!(found.len(), 3 + 8 + 1);
    // Of eleven, eight are too few for the folder; its files are found one by one.
    let found = outcomes(gone(11), new);
    assert!(found.contains(&"-old".to_owned()) && found.contains(&"old/3>new/3".to_owned()));
}

#[test]
fn a_folder_of_files_with_new_times_is_found_by_its_names_alone() {
    let gone = vec![folder("old"), file("old/a", 1), file("old/b", 2)];
    let new = vec![folder("new"), file("new/a", 3), file("new/b", 4)];
    assert_eq!(outcomes(gone, new), ["old>new", "(old/a>new/a*)", "(old/b>new/b*)"]);
    let gone = vec![folder("old"), file("old/a", 1)];
    let new = vec![folder("new"), file("new/a", 3)];
    assert_eq!(outcomes(gone, new), ["-old/a", "-old", "+new", "+new/a"]);
}

#[test]
fn four_fifths_of_the_names_tell_a_folder_though_all_in_it_changed() {
    let all = |top: &str, count: u64, fingerprint: u64| {
        let mut all = vec![folder(top)];
        all.extend((0..count).map(|at| file(&format!("{top}/{at}"), at + fingerprint)));
        all
    };
    let found = outcomes(all("old", 10, 0), all("new", 8, 100));
    assert_eq!(found[..3], ["-old/9", "-old/8", "old>new"]);
    assert_eq!(found.len(), 3 + 8);
    assert!(outcomes(all("old", 10, 0), all("new", 7, 100)).contains(&"-old".to_owned()));
    // The names of two folders tell neither.
    let both = [all("new", 10, 100), all("other", 10, 200)].concat();
    assert!(outcomes(all("old", 10, 0), both).contains(&"-old".to_owned()));
}

#[test]
fn what_left_a_folder_leaves_before_the_folder_goes() {
    let gone = vec![folder("d"), file("d/keep", 1), file("d/waste", 2)];
    assert_eq!(outcomes(gone, vec![file("keep", 1)]), ["-d/waste", "d/keep>keep", "-d"]);
}

#[test]
fn a_file_that_left_a_folder_that_moved_has_its_own_move() {
    let mut gone = vec![folder("old")];
    gone.extend((0..10).map(|at| strong(&format!("old/{at}"), at)));
    let mut new = vec![folder("new"), strong("elsewhere", 3)];
    new.extend((0..10).filter(|at| *at != 3).map(|at| strong(&format!("new/{at}"), at)));
    let found = outcomes(gone, new);
    assert_eq!(found.iter().filter(|one| one.starts_with('(')).count(), 9);
    assert!(found.contains(&"old>new".to_owned()));
    assert!(found.contains(&"old/3>elsewhere".to_owned()));
    assert_eq!(found.len(), 11);
}

#[test]
fn what_is_past_the_limit_is_counted_and_left_as_it_is() {
    let limits = Limits { candidates: 2, ..Limits::default() };
    let gone = vec![strong("a", 1), strong("b", 2), strong("c", 3)];
    let tally = matched(gone, vec![strong("x", 1)], limits).tally();
    assert_eq!((tally.removed, tally.removals_passed), (2, 1));
    assert_eq!((tally.added, tally.additions_passed, tally.moved), (0, 1, 0));
    let limits = Limits { bytes: 3, ..Limits::default() };
    let tally = matched(vec![strong("long", 1)], vec![strong("x", 1)], limits).tally();
    assert_eq!((tally.removals_passed, tally.added), (1, 1));
}

/// A tree whose items know who they are, which no candidate tells.
struct Tree(BTreeMap<String, u64>, u64);

impl Tree {
    fn grown(numbers: &mut Numbers) -> Self {
        let mut tree = Self(BTreeMap::new(), 1);
        let mut folders = vec![String::new()];
        for _ in 0..60 {
            let home =
                folders[usize::try_from(numbers.below(folders.len() as u64)).unwrap()].clone();
            let is_folder = numbers.below(3) == 0;
            let path =
                format!("{home}{}{}", if is_folder { "F" } else { "f" }, numbers.below(1000));
            if tree.0.insert(path.clone(), tree.1).is_none() && is_folder {
                folders.push(format!("{path}/"));
            }
            tree.1 += 1;
        }
        tree
    }

    /// Takes an item to another place, with all that is below.
    fn take(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moved: Vec<_> = self
            .0
            .iter()
            .filter(|(path, _)| *path == from || path.starts_with(&below))
            .map(|(path, who)| (path.clone(), format!("{to}{}", &path[from.len()..]), *who))
            .collect();
        for (old, ..) in &moved {
            self.0.remove(old);
        }
        self.0.extend(moved.into_iter().map(|(_, new, who)| (new, who)));
    }

    fn records(&self) -> BTreeMap<Vec<u8>, Record> {
        let record = |(path, who): (&String, &u64)| {
            let is_folder = path.rsplit('/').next().unwrap().starts_with('F');
            let record = if is_folder { folder(path) } else { strong(path, *who) };
            (record.key.clone(), record)
        };
        self.0.iter().map(record).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is moved about: each candidate has one outcome, a file is never taken for another one, and
    /// each file that moved is found.
    #[test]
    fn of_a_tree_with_telling_contents_are_all_found(seed: u64, moves in 1..6_usize) {
        let mut numbers = Numbers(seed);
        let mut tree = Tree::grown(&mut numbers);
        let before = tree.records();
        for _ in 0..moves {
            let paths: Vec<_> = tree.0.keys().cloned().collect();
            let from = &paths[usize::try_from(numbers.below(paths.len() as u64)).unwrap()];
            let inside = |path: &&String| {
                path.rsplit('/').next().unwrap().starts_with('F')
                    && *path != from
                    && !path.starts_with(&format!("{from}/"))
            };
            let homes: Vec<_> = paths.iter().filter(inside).collect();
            let letter = &from.rsplit('/').next().unwrap()[..1];
            let name = format!("{letter}new{}", numbers.below(1_000_000));
            let to = match homes.get(usize::try_from(numbers.below(paths.len() as u64)).unwrap()) {
                Some(home) => format!("{home}/{name}"),
                None => name,
            };
            tree.take(from, &to);
        }
        let after = tree.records();
        let lost = before.values().filter(|one| !after.contains_key(&one.key)).cloned().collect();
        let found = after.values().filter(|one| !before.contains_key(&one.key)).cloned().collect();
        let matched = matched(lost, found, Limits::default());

        let mut listing: BTreeSet<_> = before.keys().cloned().collect();
        for outcome in matched.outcomes() {
            match outcome {
                Outcome::Removed(from) => {
                    prop_assert!(from.is_folder(), "a file moved and was not found");
                    prop_assert!(listing.remove(from.key));
                }
                Outcome::Added(to) => {
                    prop_assert!(to.is_folder(), "a file moved and was not found");
                    prop_assert!(listing.insert(to.key.to_vec()));
                }
                Outcome::Moved { from, to, changed } | Outcome::Carried { from, to, changed } => {
                    prop_assert!(!changed && from.is_folder() == to.is_folder());
                    prop_assert!(listing.remove(from.key) && listing.insert(to.key.to_vec()));
                }
            }
        }
        prop_assert!(listing.iter().eq(after.keys()));
    }
}
