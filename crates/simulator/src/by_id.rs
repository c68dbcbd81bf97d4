//! A service that names things by ids and tells the latest state of what changed, once each, as Google
//! Drive and Microsoft's drives do: coalesced, a deleted or moved folder alone, doubles, disorder, lost cursors.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tramontane_activity::Metadata;
use tramontane_activity::feed::{ItemKind, Observation, Rules, Seen, There, Told};

use crate::run::{Quirks, Service};
use crate::truth::{Done, ROOT, Truth};

/// The service.
#[derive(Debug, Default)]
pub struct ById {
    truth: Truth,
    /// When each id was made, in the service's counting.
    made: BTreeMap<String, u64>,
    /// When each id changed last.
    changed: BTreeMap<String, u64>,
    count: u64,
    /// Cursors before this are forgotten.
    forgotten: u64,
}

impl ById {
    fn observation(&self, id: &str, after: u64) -> Observation {
        let seen = match self.truth.node(id) {
            Some(node) if self.truth.visible(id) => Seen::There(Arc::new(There {
                kind: if node.folder { ItemKind::Folder } else { ItemKind::File },
                id: id.to_owned(),
                parent: Some(node.parent.clone()),
                name: node.name.clone(),
                path: None,
                fingerprint: if node.folder { 0 } else { node.version },
                strong: true,
                size: (!node.folder).then_some(node.version),
                sharing: None,
                old: self.made.get(id).is_some_and(|made| *made <= after),
                entry: Metadata::default(),
            })),
            Some(node) => {
                let within = (node.parent != ROOT).then(|| node.parent.clone());
                Seen::Gone { trashed: true, within }
            }
            None => Seen::Gone { trashed: false, within: None },
        };
        Observation { key: id.to_owned(), seen, at: None, by: None, hint: None }
    }
}

impl Service for ById {
    fn rules(&self) -> Rules {
        Rules {
            sweeps: false,
            settle: 0,
            path_ids: false,
            names_by_path: false,
            silent_below: true,
            trees: false,
            splits_moves: false,
            root: ROOT.to_owned(),
            root_id: ROOT.to_owned(),
        }
    }

    fn truth(&self) -> &Truth {
        &self.truth
    }

    fn key(&self, id: &str) -> String {
        id.to_owned()
    }

    fn id(&self, id: &str) -> String {
        id.to_owned()
    }

    fn fingerprint(&self, id: &str) -> u64 {
        self.truth.node(id).map_or(0, |node| if node.folder { 0 } else { node.version })
    }

    fn mutate(&mut self, random: &mut StdRng, now: i64) {
        if let Some(done) = self.truth.mutate(random, now) {
            let (Done::Touched(id) | Done::Moved(id, _) | Done::Removed(id, _)) = done;
            self.count += 1;
            self.made.entry(id.clone()).or_insert(self.count);
            self.changed.insert(id, self.count);
        }
    }

    fn latest(&mut self) -> Told {
        Told::Latest(self.count.to_string())
    }

    fn listing(&mut self, at: Option<&str>, random: &mut StdRng) -> Told {
        let after = at.unwrap_or_default();
        let size = random.random_range(1..8);
        let ids: Vec<String> = self
            .truth
            .seen()
            .into_iter()
            .filter(|id| id.as_str() > after)
            .take(size)
            .cloned()
            .collect();
        let next = (ids.len() == size).then(|| ids[size - 1].clone());
        let entries = ids.iter().map(|id| self.observation(id, self.count)).collect();
        Told::Listing { entries, next, cursor: None }
    }

    fn changes(&mut self, cursor: &str, random: &mut StdRng, quirks: &Quirks) -> Told {
        let after: u64 = cursor.parse().expect("a cursor that was given out");
        if quirks.forgets && random.random_bool(0.05) {
            self.forgotten = self.count + 1;
        }
        if after < self.forgotten && random.random_bool(0.5) {
            self.forgotten = 0;
            return Told::Expired;
        }
        let mut waiting: Vec<(u64, String)> = self
            .changed
            .iter()
            .filter(|(_, at)| **at > after)
            .map(|(id, at)| (*at, id.clone()))
            .collect();
        waiting.sort();
        let size = random.random_range(1..8).min(waiting.len());
        let more = size < waiting.len();
        waiting.truncate(size);
        let next = waiting.last().map_or(after, |(at, _)| *at).to_string();
        let mut ids: Vec<String> = waiting.into_iter().map(|(_, id)| id).collect();
        if quirks.doubles {
            let again: Vec<String> =
                ids.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
            ids.extend(again);
        }
        if quirks.disorder {
            ids.shuffle(random);
        }
        let observations = ids.iter().map(|id| self.observation(id, after)).collect();
        Told::Changes { observations, next, more }
    }

    fn folder(&mut self, key: &str, _at: Option<&str>, _random: &mut StdRng, _now: i64) -> Told {
        if key != ROOT && !self.truth.visible(key) {
            return Told::NoFolder;
        }
        let ids: Vec<String> = self.truth.children(key).into_iter().cloned().collect();
        let entries = ids.iter().map(|id| self.observation(id, self.count)).collect();
        Told::Folder { entries, next: None }
    }

    fn exists(&self, key: &str) -> bool {
        self.truth.visible(key)
    }
}
