//! Folders that moved, told by what lies in them.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::side::{Pairs, Side, join, may_be_same, split};
use crate::snapshot::record::RecordRef;

/// What is known of a side's folders.
struct Folders {
    /// By folder: the places of what lies directly in it.
    children: BTreeMap<usize, Vec<usize>>,
    /// By place: a mark of all that lies below a folder, names and fingerprints; of files, of themselves.
    marks: Vec<u64>,
}

impl Folders {
    fn of(side: &Side) -> Self {
        let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut below = vec![0_u64; side.len()];
        let mut marks = vec![0_u64; side.len()];
        // What is below comes after its folder: from the end on, a folder's own come before it.
        for place in (0..side.len()).rev() {
            let Some(record) = side.get(place) else { continue };
            let inner = below.get(place).copied().unwrap_or_default();
            let mark = if record.is_folder() { inner } else { record.fingerprint };
            if let Some(own) = marks.get_mut(place) {
                *own = mark;
            }
            if let Some(folder) = side.parent(place) {
                children.entry(folder).or_default().push(place);
                if let Some(sum) = below.get_mut(folder) {
                    *sum = sum.wrapping_add(xxh3_64_with_seed(&named(record), mark));
                }
            }
        }
        Self { children, marks }
    }

    fn children(&self, folder: usize) -> &[usize] {
        self.children.get(&folder).map(Vec::as_slice).unwrap_or_default()
    }

    /// The marks of the names directly in a folder, ascending.
    fn names(&self, side: &Side, folder: usize) -> Vec<u64> {
        let records = self.children(folder).iter().filter_map(|place| side.get(*place));
        let mut names: Vec<_> = records.map(|record| xxh3_64(&named(record))).collect();
        names.sort_unstable();
        names
    }
}

/// A name, and whether it is a folder's.
fn named(record: RecordRef<'_>) -> Vec<u8> {
    let mut name = split(record.key).1.to_vec();
    name.push(u8::from(record.is_folder()));
    name
}

/// Pairs folders. `votes` are pairs of files, sure and less sure ones.
pub(super) fn pair(gone: &Side, new: &Side, pairs: &mut Pairs, mut votes: Pairs, ids: bool) {
    let (were, are) = (Folders::of(gone), Folders::of(new));
    let may = |one: usize, other: usize| match (gone.get(one), new.get(other)) {
        (Some(one), Some(other)) => may_be_same(one, other, ids),
        _ => false,
    };
    // The same all the way down.
    let whole = |side: &Folders| -> Vec<(u64, usize)> {
        let marked =
            side.children.keys().filter_map(|place| Some((*side.marks.get(*place)?, *place)));
        marked.collect()
    };
    pairs.unique(whole(&were).into_iter(), whole(&are).into_iter(), |one, other| {
        may(one, other) && were.names(gone, one) == are.names(new, other)
    });
    // What agrees in a folder votes for where it went; from below, so that folders vote too.
    for (folder, children) in were.children.iter().rev() {
        if pairs.to(*folder).is_some() {
            continue;
        }
        let mut tally: BTreeMap<usize, usize> = BTreeMap::new();
        for child in children {
            let there = pairs.to(*child).or_else(|| votes.to(*child));
            if let Some(home) = there.and_then(|there| new.parent(there)) {
                *tally.entry(home).or_default() += 1;
            }
        }
        let most = tally.iter().max_by_key(|(_, votes)| **votes).map(|(home, _)| *home);
        if let Some(home) = most
            && pairs.from(home).is_none()
            && may(*folder, home)
            && overlaps(&were.names(gone, *folder), &are.names(new, home))
        {
            pairs.pair(*folder, home);
            votes.pair(*folder, home);
        }
    }
    // The same names, whatever they hold.
    let same_names = |folders: &Folders, side: &Side| -> Vec<(u64, usize)> {
        let several = folders.children.iter().filter(|(_, children)| children.len() > 1);
        let places = several.map(|(place, _)| *place);
        let marked = places.map(|place| {
            let names = folders.names(side, place).into_iter();
            (names.fold(0, |mark: u64, name| mark.rotate_left(5).wrapping_mul(31) ^ name), place)
        });
        marked.collect()
    };
    pairs.unique(
        same_names(&were, gone).into_iter(),
        same_names(&are, new).into_iter(),
        |one, other| may(one, other) && were.names(gone, one) == are.names(new, other),
    );
}

/// Whether two ascending lists have at least four fifths of the longer one in common.
fn overlaps(one: &[u64], other: &[u64]) -> bool {
    let (mut common, mut rest) = (0, other);
    for name in one {
        let skip = rest.partition_point(|there| there < name);
        rest = rest.get(skip..).unwrap_or_default();
        if rest.first() == Some(name) {
            common += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    common > 0 && common * 5 >= one.len().max(other.len()) * 4
}

/// Pairs what went along with a folder, at the same place below it, and tells by place among the gone what did.
pub(super) fn carry(gone: &Side, new: &Side, pairs: &mut Pairs, ids: bool) -> Vec<bool> {
    let mut carried = vec![false; gone.len()];
    // Folders come before what is below them.
    for (place, record) in gone.records() {
        let folder = gone.parent(place).and_then(|parent| pairs.to(parent));
        let Some(folder) = folder.and_then(|folder| new.get(folder)) else { continue };
        let Some(expected) = new.find(&join(folder.key, split(record.key).1)) else { continue };
        if pairs.to(place).is_none()
            && pairs.from(expected).is_none()
            && new.get(expected).is_some_and(|there| may_be_same(record, there, ids))
        {
            pairs.pair(place, expected);
        }
        if let Some(carried) = carried.get_mut(place) {
            *carried = pairs.to(place) == Some(expected);
        }
    }
    carried
}
