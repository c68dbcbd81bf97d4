//! A service that names what is gone by its path, as Dropbox does: a rename is "gone" and "there", in either
//! order, perhaps on different pages; a folder takes what is in it along, each told by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tramontane_activity::Metadata;
use tramontane_activity::feed::{ItemKind, Observation, Rules, Seen, There, Told};

use crate::run::{Quirks, Service};
use crate::truth::{Done, ROOT, Truth};

/// The service.
#[derive(Debug, Default)]
pub struct ByPath {
    truth: Truth,
    /// When each path changed last.
    changed: BTreeMap<String, u64>,
    count: u64,
}

impl ByPath {
    fn touch(&mut self, path: String) {
        self.count += 1;
        self.changed.insert(path, self.count);
    }

    /// Notes everything at and below a node, folders first.
    fn touch_all(&mut self, id: &str) {
        self.touch(self.truth.path(id));
        let inside: Vec<String> = self.truth.children(id).into_iter().cloned().collect();
        for child in inside {
            self.touch_all(&child);
        }
    }

    fn there(&self, id: &str) -> Observation {
        let node = self.truth.node(id).expect("it is there");
        let path = self.truth.path(id);
        let parent =
            if node.parent == ROOT { ROOT.to_owned() } else { self.truth.path(&node.parent) };
        let there = There {
            kind: if node.folder { ItemKind::Folder } else { ItemKind::File },
            id: id.to_owned(),
            parent: Some(parent),
            name: node.name.clone(),
            path: Some(path.clone()),
            fingerprint: if node.folder { 0 } else { node.version },
            strong: true,
            size: (!node.folder).then_some(node.version),
            sharing: None,
            old: false,
            entry: Metadata::default(),
        };
        Observation {
            key: path,
            seen: Seen::There(Arc::new(there)),
            at: None,
            by: None,
            hint: None,
        }
    }

    fn at(&self, path: &str) -> Observation {
        match self.truth.at(path) {
            Some(id) => self.there(id),
            None => Observation {
                key: path.to_owned(),
                seen: Seen::Gone { trashed: false, within: None },
                at: None,
                by: None,
                hint: None,
            },
        }
    }
}

impl Service for ByPath {
    fn rules(&self) -> Rules {
        Rules {
            sweeps: false,
            settle: 0,
            path_ids: false,
            names_by_path: true,
            silent_below: false,
            trees: false,
            splits_moves: true,
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
        match self.truth.mutate(random, now) {
            Some(Done::Touched(id)) => self.touch_all(&id),
            Some(Done::Moved(id, old)) => {
                if random.random_bool(0.5) {
                    self.touch(old);
                    self.touch_all(&id);
                } else {
                    self.touch_all(&id);
                    self.touch(old);
                }
            }
            Some(Done::Removed(_, old)) => self.touch(old),
            None => {}
        }
    }

    fn latest(&mut self) -> Told {
        Told::Latest(self.count.to_string())
    }

    fn listing(&mut self, at: Option<&str>, random: &mut StdRng) -> Told {
        let after = at.unwrap_or_default().to_owned();
        let size = random.random_range(1..8);
        let mut paths: Vec<String> =
            self.truth.seen().into_iter().map(|id| self.truth.path(id)).collect();
        paths.sort();
        paths.retain(|path| *path > after);
        paths.truncate(size);
        let next = (paths.len() == size).then(|| paths[size - 1].clone());
        let entries = paths.iter().map(|path| self.at(path)).collect();
        Told::Listing { entries, next, cursor: None }
    }

    fn changes(&mut self, cursor: &str, random: &mut StdRng, quirks: &Quirks) -> Told {
        let after: u64 = cursor.parse().expect("a cursor that was given out");
        if quirks.forgets && random.random_bool(0.03) {
            return Told::Expired;
        }
        let mut waiting: Vec<(u64, String)> = self
            .changed
            .iter()
            .filter(|(_, at)| **at > after)
            .map(|(path, at)| (*at, path.clone()))
            .collect();
        waiting.sort();
        let size = random.random_range(1..6).min(waiting.len());
        let more = size < waiting.len();
        waiting.truncate(size);
        let next = waiting.last().map_or(after, |(at, _)| *at).to_string();
        let observations = waiting.iter().map(|(_, path)| self.at(path)).collect();
        Told::Changes { observations, next, more }
    }

    fn folder(&mut self, key: &str, _at: Option<&str>, _random: &mut StdRng, _now: i64) -> Told {
        if key != ROOT && !self.truth.visible(key) {
            return Told::NoFolder;
        }
        let ids: Vec<String> = self.truth.children(key).into_iter().cloned().collect();
        let inside = ids.iter().map(|id| {
            let mut one = self.there(id);
            one.key.clone_from(id);
            if let Seen::There(there) = &mut one.seen {
                let there = Arc::make_mut(there);
                there.parent = Some(key.to_owned());
            }
            one
        });
        Told::Folder { entries: inside.collect(), next: None }
    }

    fn exists(&self, key: &str) -> bool {
        self.truth.visible(key)
    }
}
