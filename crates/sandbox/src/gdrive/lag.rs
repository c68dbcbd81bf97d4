//! What Drive is late with when a test asks for it: `POST /_quirks` with seconds of the sandbox's clock.
//!
//! Searches read an index that hears of writes later, and tell of files as the index has them; the log
//! of changes tells later. `files.get`, and pushes, are never late.

use axum::extract::State as Shared;
use axum::response::Response;
use tramontane_model::Timestamp;

use super::Google;
use super::state::{File, SharedDrive, State, Target};
use crate::quirks::{self, Late};

/// What is late, and by how much.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Quirks {
    /// `files.list` sees writes so many seconds later, unless its query names a parent.
    pub(super) search_lag: u32,
    /// Queries that name a parent are as late as the others.
    pub(super) children_too: bool,
    /// `changes.list` and `changes.getStartPageToken` see writes so many seconds later.
    pub(super) changes_lag: u32,
    /// Pages of files and of changes hold no more than so many; 0: as many as were asked for.
    pub(super) page: usize,
}

impl Quirks {
    /// How much a page holds that so many were asked for.
    pub(super) fn page(&self, asked: usize) -> usize {
        if self.page == 0 { asked } else { asked.min(self.page) }
    }
}

/// What one write left of a thing.
#[derive(Clone, Debug)]
enum Left {
    File(String, Option<Box<File>>),
    Drive(String, Option<Box<SharedDrive>>),
}

/// What searches know.
#[derive(Debug)]
pub(super) struct Index {
    known: State,
    late: Late<Left>,
}

impl Index {
    fn add(&mut self, at: Timestamp, left: Left) {
        if let Some(oldest) = self.late.push(at, left) {
            self.learn(oldest);
        }
    }

    fn learn(&mut self, left: Left) {
        match left {
            Left::File(_, Some(file)) => self.known.put(*file),
            Left::File(id, None) => {
                self.known.remove(&id);
            }
            Left::Drive(id, Some(drive)) => {
                self.known.drives.insert(id, *drive);
            }
            Left::Drive(id, None) => {
                self.known.drives.remove(&id);
            }
        }
    }
}

impl State {
    /// Sets what is late. What was written before searches became late is known to them.
    fn set_quirks(&mut self, quirks: Quirks) {
        self.quirks = quirks;
        if quirks.search_lag == 0 {
            self.index = None;
        } else if self.index.is_none() {
            let index = Index { known: self.files_alone(), late: Late::default() };
            self.index = Some(Box::new(index));
        }
    }

    /// Has the index hear of a write later.
    pub(super) fn index_later(&mut self, target: &Target, at: Timestamp) {
        let Some(mut index) = self.index.take() else { return };
        let (Target::File(id) | Target::Drive(id)) = target;
        if let Target::Drive(id) = target {
            let drive = self.drives.get(id).cloned().map(Box::new);
            index.add(at, Left::Drive(id.clone(), drive));
        }
        if self.files.contains_key(id) {
            // Moves between drives change what is below as well.
            for id in self.tree(id) {
                let file = self.files.get(&id).cloned().map(Box::new);
                index.add(at, Left::File(id, file));
            }
        } else {
            index.add(at, Left::File(id.clone(), None));
        }
        self.index = Some(index);
    }

    /// Has the index hear of everything that it is time for.
    pub(super) fn index_due(&mut self, now: Timestamp) {
        let horizon = quirks::horizon(now, self.quirks.search_lag);
        if let Some(index) = &mut self.index {
            while let Some(left) = index.late.next_until(horizon) {
                index.learn(left);
            }
        }
    }

    /// What a listing reads: the index when it is late.
    pub(super) fn searched(&self, names_parent: bool) -> &Self {
        match &self.index {
            Some(index) if !names_parent || self.quirks.children_too => &index.known,
            _ => self,
        }
    }

    /// The first change that the log does not tell of yet, or the one that will be made next.
    pub(super) fn next_untold(&self, now: Timestamp, from: u64) -> u64 {
        let next = self.seq + 1;
        if self.quirks.changes_lag == 0 {
            return next;
        }
        let horizon = quirks::horizon(now, self.quirks.changes_lag);
        let untold = self.log.range(from..).find(|(_, change)| change.at > horizon);
        untold.map_or(next, |(seq, _)| *seq)
    }
}

/// `POST /_quirks`.
pub(super) async fn set(Shared(google): Shared<Google>, body: String) -> Response {
    quirks::set(&body, |quirks| google.state().set_quirks(quirks))
}
