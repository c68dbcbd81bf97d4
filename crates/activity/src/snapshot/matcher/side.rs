//! The candidates of one side, and pairs between the sides.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::snapshot::block::Block;
use crate::snapshot::error::Error;
use crate::snapshot::record::{KeyOrder, RecordRef, flag};

/// No partner, no parent.
const NONE: u32 = u32::MAX;

/// The candidates of one side, ascending.
pub(super) struct Side {
    order: KeyOrder,
    records: Block,
    parents: Vec<u32>,
}

impl Side {
    pub(super) fn new(order: KeyOrder) -> Self {
        Self { order, records: Block::new(order), parents: Vec::new() }
    }

    pub(super) fn push(&mut self, record: RecordRef<'_>) -> Result<(), Error> {
        let last = self.records.last_key();
        if last.is_some_and(|last| self.order.compare(last, record.key).is_ge()) {
            return Err(Error::Unsorted);
        }
        self.records.push(record);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn size(&self) -> usize {
        self.records.size()
    }

    pub(super) fn get(&self, place: usize) -> Option<RecordRef<'_>> {
        self.records.get(place)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (usize, RecordRef<'_>)> {
        self.records.records().enumerate()
    }

    /// The place of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        let place = self.records.place(key);
        self.records.get(place).filter(|record| record.key == key).map(|_| place)
    }

    /// The folder among the candidates that this one lies directly in.
    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        self.parents.get(place).filter(|parent| **parent != NONE).map(|parent| *parent as usize)
    }

    /// The same side, knowing the folder of each.
    pub(super) fn with_parents(mut self) -> Self {
        let mut parents = Vec::with_capacity(self.len());
        let mut with_slash = Vec::new();
        for record in self.records.records() {
            let (folder, _) = split(record.key);
            let mut found = if folder.len() < record.key.len() { self.find(folder) } else { None };
            // Objects that stand for folders on S3 end with a slash.
            if found.is_none() && self.order == KeyOrder::Bytes && !folder.is_empty() {
                with_slash.clear();
                with_slash.extend_from_slice(folder);
                with_slash.push(b'/');
                found = self.find(&with_slash).filter(|_| with_slash != record.key);
            }
            let folder = found.filter(|place| self.get(*place).is_some_and(RecordRef::is_folder));
            parents.push(folder.map_or(NONE, number));
        }
        self.parents = parents;
        self
    }
}

/// A path's folder, without its slash, and what follows it. A slash at the end belongs to the name.
pub(super) fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let bare = key.strip_suffix(b"/").unwrap_or(key);
    match bare.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            (key.get(..slash).unwrap_or_default(), key.get(slash + 1..).unwrap_or_default())
        }
        None => (&[], key),
    }
}

/// A folder's path with a name below it.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let bare = folder.strip_suffix(b"/").unwrap_or(folder);
    let mut path = Vec::with_capacity(bare.len() + 1 + name.len());
    path.extend_from_slice(bare);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// A place as it is kept: the limits keep it under 2^31.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

/// Which of the gone is which of the new.
#[derive(Clone)]
pub(super) struct Pairs {
    to: Vec<u32>,
    from: Vec<u32>,
    count: u64,
}

impl Pairs {
    pub(super) fn new(gone: &Side, new: &Side) -> Self {
        Self { to: vec![NONE; gone.len()], from: vec![NONE; new.len()], count: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Where one of the gone is now.
    pub(super) fn to(&self, gone: usize) -> Option<usize> {
        self.to.get(gone).filter(|to| **to != NONE).map(|to| *to as usize)
    }

    /// Where one of the new was before.
    pub(super) fn from(&self, new: usize) -> Option<usize> {
        self.from.get(new).filter(|from| **from != NONE).map(|from| *from as usize)
    }

    /// Makes a pair of two that have no partner.
    pub(super) fn pair(&mut self, gone: usize, new: usize) {
        if let (Some(to), Some(from)) = (self.to.get_mut(gone), self.from.get_mut(new))
            && *to == NONE
            && *from == NONE
        {
            *to = number(new);
            *from = number(gone);
            self.count += 1;
        }
    }

    /// Pairs what has no partner yet and the same mark, where the mark is unique on both sides and `same` holds.
    pub(super) fn unique(
        &mut self,
        gone: impl Iterator<Item = (u64, usize)>,
        new: impl Iterator<Item = (u64, usize)>,
        same: impl Fn(usize, usize) -> bool,
    ) {
        let mut gone: Vec<_> = gone.filter(|(_, place)| self.to(*place).is_none()).collect();
        let mut new: Vec<_> = new.filter(|(_, place)| self.from(*place).is_none()).collect();
        gone.sort_unstable();
        new.sort_unstable();
        let mut others = new.chunk_by(|one, other| one.0 == other.0).peekable();
        for group in gone.chunk_by(|one, other| one.0 == other.0) {
            let Some((mark, _)) = group.first() else { continue };
            let before = |group: &[(u64, usize)]| group.first().is_some_and(|one| one.0 < *mark);
            while others.next_if(|group| before(group)).is_some() {}
            if let ([(_, one)], Some([(mark_there, other)])) = (group, others.peek())
                && mark == mark_there
                && same(*one, *other)
            {
                self.pair(*one, *other);
            }
        }
    }

    /// Pairs what has the same id.
    pub(super) fn by_id(&mut self, gone: &Side, new: &Side) {
        let marks = |(place, record): (usize, RecordRef<'_>)| {
            (!record.extra.is_empty()).then(|| (xxh3_64(record.extra), place))
        };
        self.unique(
            gone.records().filter_map(marks),
            new.records().filter_map(marks),
            both(gone, new, |one, other| {
                one.extra == other.extra && one.is_folder() == other.is_folder()
            }),
        );
    }

    /// Pairs files by content, then by fingerprint and name, then by fingerprint and folder.
    pub(super) fn by_content(&mut self, gone: &Side, new: &Side, ids: bool) {
        let agree = move |one: RecordRef<'_>, other: RecordRef<'_>| {
            one.fingerprint == other.fingerprint
                && one.flags == other.flags
                && may_be_same(one, other, ids)
        };
        let strong = |(place, record): (usize, RecordRef<'_>)| {
            let wanted = record.flags & (flag::FOLDER | flag::STRONG | flag::EMPTY) == flag::STRONG;
            wanted.then_some((record.fingerprint, place))
        };
        self.unique(
            gone.records().filter_map(strong),
            new.records().filter_map(strong),
            both(gone, new, agree),
        );
        let named = |(place, record): (usize, RecordRef<'_>)| {
            let (_, name) = split(record.key);
            (!record.is_folder()).then(|| (xxh3_64_with_seed(name, record.fingerprint), place))
        };
        self.unique(
            gone.records().filter_map(named),
            new.records().filter_map(named),
            both(gone, new, |one, other| {
                agree(one, other) && split(one.key).1 == split(other.key).1
            }),
        );
        // The folder of one that is gone is where that folder is now.
        let folders: Vec<Option<usize>> = (0..gone.len())
            .map(|place| gone.parent(place).and_then(|parent| self.to(parent)))
            .collect();
        let folder_now = |place: usize| {
            let moved = folders.get(place).copied().flatten().and_then(|folder| new.get(folder));
            match moved {
                Some(folder) => folder.key.strip_suffix(b"/").unwrap_or(folder.key),
                None => gone.get(place).map(|record| split(record.key).0).unwrap_or_default(),
            }
        };
        // Empty files of one time in one folder are no better told apart by it than by their content.
        let housed = |record: RecordRef<'_>| record.flags & (flag::FOLDER | flag::EMPTY) == 0;
        let housed_gone = gone.records().filter(|(_, record)| housed(*record));
        let housed_new = new.records().filter(|(_, record)| housed(*record));
        self.unique(
            housed_gone.map(|(place, record)| {
                (xxh3_64_with_seed(folder_now(place), record.fingerprint), place)
            }),
            housed_new.map(|(place, record)| {
                (xxh3_64_with_seed(split(record.key).0, record.fingerprint), place)
            }),
            |one, other| match (gone.get(one), new.get(other)) {
                (Some(old), Some(now)) => agree(old, now) && folder_now(one) == split(now.key).0,
                _ => false,
            },
        );
    }
}

/// Whether two can be the same item: the same kind, and no two ids.
pub(super) fn may_be_same(one: RecordRef<'_>, other: RecordRef<'_>, ids: bool) -> bool {
    let two_ids =
        ids && !one.extra.is_empty() && !other.extra.is_empty() && one.extra != other.extra;
    one.is_folder() == other.is_folder() && !two_ids
}

fn both<'s>(
    gone: &'s Side,
    new: &'s Side,
    same: impl Fn(RecordRef<'_>, RecordRef<'_>) -> bool + 's,
) -> impl Fn(usize, usize) -> bool + 's {
    move |one, other| match (gone.get(one), new.get(other)) {
        (Some(one), Some(other)) => same(one, other),
        _ => false,
    }
}
