//! A file server: nothing but listings, made while things change; paths are all the names there are; times are
//! rounded to seconds; files may be half-written.

use rand::RngExt as _;
use rand::rngs::StdRng;
use tramontane_activity::feed::{ItemKind, Observation, Rules, Seen, There, Told};

use crate::run::{Quirks, Service};
use crate::truth::{ROOT, Truth};

/// How long a file is left alone after it changed, in microseconds.
pub const SETTLE: i64 = 2_000_000;

/// The service.
#[derive(Debug)]
pub struct Swept {
    truth: Truth,
    /// A listing that fails to show what is there, as a mount that fell off does.
    pub blind: bool,
}

impl Default for Swept {
    fn default() -> Self {
        Self { truth: Truth::without_trash(), blind: false }
    }
}

impl Swept {
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
            entry: serde_json::Value::Null,
        };
        let at = Some(node.modified);
        Observation { key: path, seen: Seen::There(Box::new(there)), at, by: None, hint: None }
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

    fn listing(&mut self, _at: Option<&str>, _random: &mut StdRng) -> Told {
        unreachable!("it has no listing of everything")
    }

    fn changes(&mut self, _cursor: &str, _random: &mut StdRng, _quirks: &Quirks) -> Told {
        unreachable!("it has no cursor")
    }

    fn folder(&mut self, key: &str, random: &mut StdRng, _now: i64) -> Told {
        let id = if key == ROOT { Some(ROOT.to_owned()) } else { self.truth.at(key).cloned() };
        let Some(id) = id else { return Told::NoFolder };
        if id != ROOT && !self.truth.node(&id).is_some_and(|node| node.folder) {
            return Told::NoFolder;
        }
        if self.blind && random.random_bool(0.7) {
            return Told::Folder(Vec::new());
        }
        let inside: Vec<String> = self.truth.children(&id).into_iter().cloned().collect();
        Told::Folder(inside.iter().map(|id| self.there(id)).collect())
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
