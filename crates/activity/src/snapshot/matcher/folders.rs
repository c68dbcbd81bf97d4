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

    /// The marks of names in folders of which this holds, with their places.
    fn unsettled(
        &self,
        side: &Side,
        which: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (u64, usize)> {
        let folders = self.children.iter().filter(move |(folder, _)| which(**folder));
        folders.flat_map(|(_, children)| children).filter_map(|place| {
            let record = side.get(*place)?;
            Some((xxh3_64(&named(record)), *place))
        })
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

/// Both sides, and what is known of their folders.
struct Sides<'s> {
    gone: &'s Side,
    new: &'s Side,
    were: Folders,
    are: Folders,
    ids: bool,
}

/// Pairs folders. `votes` are pairs of files, sure and less sure ones.
pub(super) fn pair(gone: &Side, new: &Side, pairs: &mut Pairs, mut votes: Pairs, ids: bool) {
    let sides = Sides { gone, new, were: Folders::of(gone), are: Folders::of(new), ids };
    sides.whole(pairs);
    sides.elect(pairs, &mut votes, 1);
    sides.same_names(pairs);
    // Names that are nowhere else vote too, though what they hold has changed.
    let mut names = Pairs::new(gone, new);
    names.unique(
        sides.were.unsettled(gone, |folder| pairs.to(folder).is_none()),
        sides.are.unsettled(new, |folder| pairs.from(folder).is_none()),
        |one, other| sides.may_be_same(one, other),
    );
    sides.elect(pairs, &mut names, 2);
}

impl Sides<'_> {
    fn may_be_same(&self, one: usize, other: usize) -> bool {
        match (self.gone.get(one), self.new.get(other)) {
            (Some(one), Some(other)) => may_be_same(one, other, self.ids),
            _ => false,
        }
    }

    fn have_same_names(&self, one: usize, other: usize) -> bool {
        self.may_be_same(one, other)
            && self.were.names(self.gone, one) == self.are.names(self.new, other)
    }

    /// Pairs folders that hold the same all the way down.
    fn whole(&self, pairs: &mut Pairs) {
        let marked = |side: &Folders| -> Vec<(u64, usize)> {
            let folders = side.children.keys();
            folders.filter_map(|place| Some((*side.marks.get(*place)?, *place))).collect()
        };
        let (were, are) = (marked(&self.were), marked(&self.are));
        pairs.unique(were.into_iter(), are.into_iter(), |one, other| {
            self.have_same_names(one, other)
        });
    }

    /// Pairs folders with the same names directly in them, two at least, whatever they hold.
    fn same_names(&self, pairs: &mut Pairs) {
        let marked = |folders: &Folders, side: &Side| -> Vec<(u64, usize)> {
            let several = folders.children.iter().filter(|(_, children)| children.len() > 1);
            let mark = |place: usize| {
                let names = folders.names(side, place).into_iter();
                names.fold(0, |mark: u64, name| mark.rotate_left(5).wrapping_mul(31) ^ name)
            };
            several.map(|(place, _)| (mark(*place), *place)).collect()
        };
        let (were, are) = (marked(&self.were, self.gone), marked(&self.are, self.new));
        pairs.unique(were.into_iter(), are.into_iter(), |one, other| {
            self.have_same_names(one, other)
        });
    }

    /// Lets what lies in a folder vote for where the folder went, from below, so that folders vote too. The one
    /// with the most votes is it, when at least so many names, and four fifths of them, are in both.
    fn elect(&self, pairs: &mut Pairs, votes: &mut Pairs, least: usize) {
        for (folder, children) in self.were.children.iter().rev() {
            if pairs.to(*folder).is_some() {
                continue;
            }
            let mut tally: BTreeMap<usize, usize> = BTreeMap::new();
            for child in children {
                let there = pairs.to(*child).or_else(|| votes.to(*child));
                if let Some(home) = there.and_then(|there| self.new.parent(there)) {
                    *tally.entry(home).or_default() += 1;
                }
            }
            let most = tally.iter().max_by_key(|(_, votes)| **votes).map(|(home, _)| *home);
            if let Some(home) = most
                && pairs.from(home).is_none()
                && self.may_be_same(*folder, home)
                && self.overlap(*folder, home, least)
            {
                pairs.pair(*folder, home);
                votes.pair(*folder, home);
            }
        }
    }

    fn overlap(&self, folder: usize, home: usize, least: usize) -> bool {
        let (one, other) = (self.were.names(self.gone, folder), self.are.names(self.new, home));
        let common = in_common(&one, &other);
        common >= least && common * 5 >= one.len().max(other.len()) * 4
    }
}

/// How much two ascending lists have in common.
fn in_common(one: &[u64], other: &[u64]) -> usize {
    let (mut common, mut rest) = (0, other);
    for name in one {
        let skip = rest.partition_point(|there| there < name);
        rest = rest.get(skip..).unwrap_or_default();
        if rest.first() == Some(name) {
            common += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    common
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
