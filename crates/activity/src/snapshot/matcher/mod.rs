//! Finds the moves and renames among what a scan found gone and what it found new.

mod folders;
mod side;

use std::collections::BTreeSet;

use super::error::Error;
use super::record::{KeyOrder, RecordRef};
use side::{Pairs, Side};

/// How much a [`Matcher`] takes, and what it may go by. With paths of 60 bytes a candidate takes about 150 bytes of
/// memory while it is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most candidates, removed and added together.
    pub candidates: usize,
    /// The most bytes of their keys and extras together, at most 1 GiB.
    pub bytes: usize,
    /// Whether extras are ids that an item keeps when it moves. Two candidates that have different ones are then
    /// never the same item.
    pub extra_is_id: bool,
}

impl Default for Limits {
    /// A million candidates in 256 MiB, extras that are not ids.
    fn default() -> Self {
        Self { candidates: 1_000_000, bytes: 256 * 1024 * 1024, extra_is_id: false }
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Gone, and nowhere found again.
    Removed(RecordRef<'a>),
    /// Moved or renamed: one event. A folder brings along what is below it.
    Moved {
        /// What it was, where it was.
        from: RecordRef<'a>,
        /// What it is, where it is.
        to: RecordRef<'a>,
        /// Whether flags or fingerprint differ too.
        changed: bool,
    },
    /// Went along with a folder that moved: no event, unless it changed.
    Carried {
        /// What it was, where it was.
        from: RecordRef<'a>,
        /// What it is, where it is.
        to: RecordRef<'a>,
        /// Whether flags or fingerprint differ too.
        changed: bool,
    },
    /// New.
    Added(RecordRef<'a>),
}

/// How many candidates came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Removed for good.
    pub removed: u64,
    /// Added for good.
    pub added: u64,
    /// Moved on their own.
    pub moved: u64,
    /// Gone along with a folder.
    pub carried: u64,
    /// Removals that were past a limit and not taken.
    pub removals_passed: u64,
    /// Additions that were past a limit and not taken.
    pub additions_passed: u64,
}

/// Collects what a scan found gone and new, and tells which of it is the same item at another place.
///
/// Rules, the surest first. Each pairs only what is unique on both sides; what is ambiguous stays a removal and
/// an addition.
///
/// 1. The same id, where extras are ids.
/// 2. A folder: all below it is the same; or at least four fifths of the names directly in it are, and either
///    something in it agrees in content or two of the names at least are found nowhere else, or the names
///    together are not. What lies below at the same place then went along.
/// 3. The same content, by a [strong](super::flag::STRONG) fingerprint; not for [empty](super::flag::EMPTY) files.
/// 4. The same fingerprint and name (a move), or fingerprint and folder (a rename).
///
/// Memory is bounded by [`Limits`]. A candidate past them is not taken: it stays a plain removal or addition, and
/// [`Tally`] counts it.
pub struct Matcher {
    order: KeyOrder,
    limits: Limits,
    gone: Side,
    new: Side,
    tally: Tally,
}

impl Matcher {
    /// A matcher for paths of this order.
    #[must_use]
    pub fn new(order: KeyOrder, limits: Limits) -> Self {
        let limits = Limits {
            candidates: limits.candidates.min(u32::MAX as usize / 2),
            bytes: limits.bytes.min(1 << 30),
            ..limits
        };
        let (gone, new) = (Side::new(order), Side::new(order));
        Self { order, limits, gone, new, tally: Tally::default() }
    }

    /// Takes what is gone, ascending. False: not taken, treat it as removed.
    ///
    /// # Errors
    ///
    /// [`Error::Unsorted`], [`Error::TooLarge`].
    pub fn removed(&mut self, record: RecordRef<'_>) -> Result<bool, Error> {
        record.check()?;
        let taken = self.has_room(record);
        if taken {
            self.gone.push(record)?;
        } else {
            self.tally.removals_passed += 1;
        }
        Ok(taken)
    }

    /// Takes what is new, ascending. False: not taken, treat it as added.
    ///
    /// # Errors
    ///
    /// [`Error::Unsorted`], [`Error::TooLarge`].
    pub fn added(&mut self, record: RecordRef<'_>) -> Result<bool, Error> {
        record.check()?;
        let taken = self.has_room(record);
        if taken {
            self.new.push(record)?;
        } else {
            self.tally.additions_passed += 1;
        }
        Ok(taken)
    }

    fn has_room(&self, record: RecordRef<'_>) -> bool {
        let bytes = self.gone.size() + self.new.size() + record.key.len() + record.extra.len();
        self.gone.len() + self.new.len() < self.limits.candidates && bytes <= self.limits.bytes
    }

    /// Matches what was taken. To be called when the scan has ended: before, the other side may not be known.
    #[must_use]
    pub fn finish(self) -> Matched {
        let Self { order, limits, gone, new, mut tally } = self;
        let ids = limits.extra_is_id;
        let (gone, new) = (gone.with_parents(), new.with_parents());
        let mut pairs = Pairs::new(&gone, &new);
        if ids {
            pairs.by_id(&gone, &new);
        }
        // Files that agree vote for their folders. Which they are in the end is decided after the folders, for
        // what went along with one is no candidate any more.
        let mut votes = pairs.clone();
        votes.by_content(&gone, &new, ids);
        folders::pair(&gone, &new, &mut pairs, votes, ids);
        let carried = folders::carry(&gone, &new, &mut pairs, ids);
        pairs.by_content(&gone, &new, ids);
        let mut matched = Matched { order, gone, new, pairs, carried, tally };
        tally.carried = matched.carried.iter().filter(|carried| **carried).count() as u64;
        tally.moved = matched.pairs.count() - tally.carried;
        tally.removed = matched.gone.len() as u64 - matched.pairs.count();
        tally.added = matched.new.len() as u64 - matched.pairs.count();
        matched.tally = tally;
        matched
    }
}

/// What a [`Matcher`] found.
pub struct Matched {
    order: KeyOrder,
    gone: Side,
    new: Side,
    pairs: Pairs,
    /// By place among the gone: whether it went along with a folder.
    carried: Vec<bool>,
    tally: Tally,
}

impl Matched {
    /// How many candidates came to what.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The order of the keys.
    #[must_use]
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// What became of each candidate, in an order in which a mirror can follow: removals, what is below first,
    /// but not of folders that something moves out of; then moves and additions by the key that they lead to, so
    /// that folders come before what is put into them; then the removals that were held back.
    ///
    /// Keys are those of the old listing (`from`) and of the new one (`to`): what moves out of a folder that
    /// moves itself is named by where it was before both.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome<'_>> {
        let left = self.left_behind();
        let (held, first): (Vec<_>, Vec<_>) = (0..self.gone.len())
            .rev()
            .filter(|place| self.pairs.to(*place).is_none())
            .partition(|place| left.contains(place));
        let removed = |place| self.gone.get(place).map(Outcome::Removed);
        first
            .into_iter()
            .filter_map(removed)
            .chain((0..self.new.len()).filter_map(|place| self.arrival(place)))
            .chain(held.into_iter().filter_map(removed))
    }

    fn arrival(&self, place: usize) -> Option<Outcome<'_>> {
        let to = self.new.get(place)?;
        let Some(origin) = self.pairs.from(place) else { return Some(Outcome::Added(to)) };
        let from = self.gone.get(origin)?;
        let changed = from.flags != to.flags || from.fingerprint != to.fingerprint;
        Some(if self.carried.get(origin).copied().unwrap_or_default() {
            Outcome::Carried { from, to, changed }
        } else {
            Outcome::Moved { from, to, changed }
        })
    }

    /// Gone folders that something moves out of.
    fn left_behind(&self) -> BTreeSet<usize> {
        let mut left = BTreeSet::new();
        for place in 0..self.gone.len() {
            if self.pairs.to(place).is_some() {
                let mut above = self.gone.parent(place);
                while let Some(folder) = above {
                    if !left.insert(folder) {
                        break;
                    }
                    above = self.gone.parent(folder);
                }
            }
        }
        left
    }
}
