//! What Dropbox is late with when a test asks for it: `POST /_quirks` with seconds of the sandbox's clock.
//!
//! Searches read an index that hears of writes later, and tell of files as the index has them; cursors
//! tell of changes later. `get_metadata`, `list_folder` itself and webhooks are never late.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use tramontane_model::Timestamp;

use super::World;
use super::drive::{Drive, Node};
use super::path::{below, split};
use crate::quirks::{self, Late};

/// What is late, and by how much.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Quirks {
    /// `search_v2` sees writes so many seconds later.
    pub(super) search_lag: u32,
    /// `list_folder/continue`, `get_latest_cursor` and long polls see writes so many seconds later.
    pub(super) changes_lag: u32,
    /// Pages of new cursors hold no more than so many; 0: as many as were asked for.
    pub(super) page: usize,
}

/// What searches know: nodes by lower path.
#[derive(Debug)]
pub(super) struct Index {
    known: BTreeMap<String, Node>,
    late: Late<(String, Option<Node>)>,
}

impl Index {
    fn learn(&mut self, (key, node): (String, Option<Node>)) {
        if let Some(node) = node {
            self.known.insert(key, node);
            return;
        }
        // What was below a folder went with it.
        let (from, to) = below(&key);
        let lost: Vec<String> = self.known.range(from..to).map(|(key, _)| key.clone()).collect();
        for key in lost {
            self.known.remove(&key);
        }
        self.known.remove(&key);
    }
}

impl Drive {
    /// Sets what is late. What was written before searches became late is known to them.
    fn set_quirks(&mut self, quirks: Quirks) {
        self.quirks = quirks;
        if quirks.search_lag == 0 {
            self.index = None;
        } else if self.index.is_none() {
            self.index = Some(Index { known: self.nodes.clone(), late: Late::default() });
        }
    }

    /// Has the index hear later of what is at a key now.
    pub(super) fn index_later(&mut self, key: &str, at: Timestamp) {
        if let Some(index) = &mut self.index
            && let Some(oldest) =
                index.late.push(at, (key.to_owned(), self.nodes.get(key).cloned()))
        {
            index.learn(oldest);
        }
    }

    /// What searches read by now.
    pub(super) fn searched(&mut self, now: Timestamp) -> &BTreeMap<String, Node> {
        let Some(index) = &mut self.index else { return &self.nodes };
        let horizon = quirks::horizon(now, self.quirks.search_lag);
        while let Some(write) = index.late.next_until(horizon) {
            index.learn(write);
        }
        &index.known
    }

    /// The number of the last change that cursors tell of by now.
    pub(super) fn told(&self, now: Timestamp) -> u64 {
        if self.quirks.changes_lag == 0 {
            return self.sequence;
        }
        let horizon = quirks::horizon(now, self.quirks.changes_lag);
        let untold = self.journal.iter().find(|change| change.at > horizon);
        untold.map_or(self.sequence, |change| change.sequence.saturating_sub(1))
    }

    /// Changes after one and up to another. Left out is what changed again since, itself or by a folder
    /// above it: the later change will tell of it.
    pub(super) fn changes(&self, after: u64, told: u64) -> impl Iterator<Item = (u64, &String)> {
        let untold = self.journal.iter().rev().take_while(|change| change.sequence > told);
        let untold: BTreeSet<&str> = untold.map(|change| change.key.as_str()).collect();
        let is_told = move |key: &str| {
            let mut line = std::iter::successors(Some(key), |key| split(key).map(|(up, _)| up));
            untold.is_empty() || !line.any(|key| untold.contains(key))
        };
        // Sequences have no gaps.
        let skipped = usize::try_from(after.saturating_sub(self.oldest())).unwrap_or(usize::MAX);
        let span = self.journal.range(skipped.min(self.journal.len())..);
        let span = span.take_while(move |change| change.sequence <= told);
        let span = span.filter(move |change| is_told(&change.key));
        span.map(|change| (change.sequence, &change.key))
    }
}

/// `POST /_quirks`.
pub(super) async fn set(State(world): State<World>, body: String) -> Response {
    quirks::set(&body, |quirks| {
        for drive in world.state().drives.values_mut() {
            drive.set_quirks(quirks);
        }
    })
}
