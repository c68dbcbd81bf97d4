//! A file server: nothing but listings, page by page and made while things change; paths are all the names there are;
//! times are rounded to seconds; files may be half-written. Some list everything in one go, as object stores do.

use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tramontane_activity::Metadata;
use tramontane_activity::feed::{ItemKind, Observation, Rules, Seen, There, Told};

use crate::run::{Quirks, Service};
use crate::truth::{ROOT, Truth};

/// How long a file is left alone after it changed, in microseconds.
pub const SETTLE: i64 = 2_000_000;

/// The service.
#[derive(Debug)]
pub struct Swept {
    /// What is there.
    pub truth: Truth,
    /// How many entries a page holds.
    pub page: usize,
    /// It lists everything in one go.
    pub trees: bool,
    /// A listing that fails to show what is there, as a mount that fell off does.
    pub blind: bool,
}

impl Swept {
    /// A server with nothing on it.
    #[must_use]
    pub fn new(page: usize, trees: bool) -> Self {
        Self { truth: Truth::without_trash(), page, trees, blind: false }
    }

    /// A page of everything, in the order of paths by bytes, where a folder's ends with a slash.
    fn tree(&self, at: Option<&str>) -> Told {
        let at = at.unwrap_or_default();
        let mut keys: Vec<(String, &String)> = self
            .truth
            .seen()
            .into_iter()
            .map(|id| {
                let folder = self.truth.node(id).is_some_and(|node| node.folder);
                (format!("{}{}", self.truth.path(id), if folder { "/" } else { "" }), id)
            })
            .filter(|(key, _)| key.as_str() > at)
            .collect();
        keys.sort();
        let next = keys.get(self.page).and(keys.get(self.page - 1)).map(|(key, _)| key.clone());
        // The folders on the way that the page before did not go.
        let (mut entries, mut before) = (Vec::new(), at.to_owned());
        for (key, id) in keys.into_iter().take(self.page) {
            let mut above = Vec::new();
            let mut node = self.truth.node(id).expect("it is there");
            while node.parent != ROOT {
                let path = format!("{}/", self.truth.path(&node.parent));
                if before.starts_with(&path) {
                    break;
                }
                above.push(self.there(&node.parent));
                node = self.truth.node(&node.parent).expect("it is there");
            }
            entries.extend(above.into_iter().rev());
            entries.push(self.there(id));
            before = key;
        }
        Told::Tree { entries, next }
    }

    /// The key of a folder.
    #[must_use]
    pub fn place(&self, id: &str) -> String {
        self.folder_key(id)
    }

    fn folder_key(&self, id: &str) -> String {
        if id == ROOT { ROOT.to_owned() } else { self.truth.path(id) }
    }

    fn there(&self, id: &str) -> Observation {
        let node = self.truth.node(id).expect("it is there");
        let path = self.truth.path(id);
        let there = There {
            kind: if node.folder { ItemKind::Folder } else { ItemKind::File },
            id: path.clone(),
            parent: Some(self.folder_key(&node.parent)),
            name: node.name.clone(),
            path: None,
            fingerprint: self.fingerprint(id),
            strong: false,
            size: (!node.folder).then_some(self.fingerprint(id)),
            sharing: None,
            old: false,
            entry: Metadata::default(),
        };
        let at = Some(node.modified);
        Observation { key: path, seen: Seen::There(Arc::new(there)), at, by: None, hint: None }
    }
}

impl Service for Swept {
    fn rules(&self) -> Rules {
        Rules {
            sweeps: true,
            settle: SETTLE,
            path_ids: true,
            names_by_path: false,
            silent_below: false,
            splits_moves: false,
            trees: self.trees,
            root: ROOT.to_owned(),
            root_id: ROOT.to_owned(),
        }
    }

    fn truth(&self) -> &Truth {
        &self.truth
    }

    fn key(&self, id: &str) -> String {
        self.truth.path(id)
    }

    fn id(&self, id: &str) -> String {
        self.truth.path(id)
    }

    /// The size and the whole second of the last change.
    fn fingerprint(&self, id: &str) -> u64 {
        self.truth.node(id).map_or(0, |node| {
            let second = node.modified.div_euclid(1_000_000).unsigned_abs();
            if node.folder { 0 } else { (node.version << 34) ^ second }
        })
    }

    fn mutate(&mut self, random: &mut StdRng, now: i64) {
        self.truth.mutate(random, now);
    }

    fn latest(&mut self) -> Told {
        unreachable!("it has no cursor")
    }

    fn listing(&mut self, at: Option<&str>, random: &mut StdRng) -> Told {
        if self.blind && random.random_bool(0.7) {
            return Told::Tree { entries: Vec::new(), next: None };
        }
        self.tree(at)
    }

    fn changes(&mut self, _cursor: &str, _random: &mut StdRng, _quirks: &Quirks) -> Told {
        unreachable!("it has no cursor")
    }

    fn folder(&mut self, key: &str, at: Option<&str>, random: &mut StdRng, _now: i64) -> Told {
        let id = if key == ROOT { Some(ROOT.to_owned()) } else { self.truth.at(key).cloned() };
        let Some(id) = id else { return Told::NoFolder };
        if id != ROOT && !self.truth.node(&id).is_some_and(|node| node.folder) {
            return Told::NoFolder;
        }
        if self.blind && random.random_bool(0.7) {
            return Told::Folder { entries: Vec::new(), next: None };
        }
        let inside: Vec<String> = self.truth.children(&id).into_iter().cloned().collect();
        let mut inside: Vec<Observation> = inside.iter().map(|id| self.there(id)).collect();
        inside.retain(|one| at.is_none_or(|at| one.key.as_str() > at));
        inside.sort_by(|one, other| one.key.cmp(&other.key));
        let next = inside.get(self.page).and(inside.get(self.page - 1)).map(|one| one.key.clone());
        inside.truncate(self.page);
        Told::Folder { entries: inside, next }
    }

    fn exists(&self, key: &str) -> bool {
        self.truth.at(key).is_some()
    }

    fn heal(&mut self) {
        self.blind = false;
    }

    fn ail(&mut self) {
        self.blind = true;
    }
}
