//! What really is there: a tree that is changed at random, with a history that only the checks may see.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

/// The id of the root folder.
pub const ROOT: &str = "root";

/// One file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The folder it is in.
    pub parent: String,
    /// Its name; no two in one folder have the same.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Counts its contents.
    pub version: u64,
    /// When its content changed.
    pub modified: i64,
    /// In the trash, by itself (not because a folder above is).
    pub trashed: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub enum Done {
    /// Made, written, renamed, moved or brought back.
    Touched(String),
    /// Renamed or moved, from this path.
    Moved(String, String),
    /// Put into the trash or deleted, from this path.
    Removed(String, String),
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    nodes: BTreeMap<String, Node>,
    count: u64,
    no_trash: bool,
}

impl Truth {
    /// An empty tree where deleting is for good.
    #[must_use]
    pub fn without_trash() -> Self {
        Self { no_trash: true, ..Self::default() }
    }

    /// The node, also one in the trash.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    /// Whether it can be seen: neither it nor a folder above is in the trash.
    #[must_use]
    pub fn visible(&self, id: &str) -> bool {
        let mut at = id;
        while at != ROOT {
            match self.nodes.get(at) {
                Some(node) if !node.trashed => at = &node.parent,
                _ => return false,
            }
        }
        true
    }

    /// Its path, `/a/b`.
    #[must_use]
    pub fn path(&self, id: &str) -> String {
        let (mut at, mut path) = (id, String::new());
        while at != ROOT {
            let Some(node) = self.nodes.get(at) else { break };
            path = format!("/{}{path}", node.name);
            at = &node.parent;
        }
        path
    }

    /// The visible node with this path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&String> {
        self.nodes.keys().find(|id| self.visible(id) && self.path(id) == path)
    }

    /// What can be seen in a folder.
    #[must_use]
    pub fn children(&self, folder: &str) -> Vec<&String> {
        let inside = self.nodes.iter().filter(|(_, node)| node.parent == folder && !node.trashed);
        if folder == ROOT || self.visible(folder) {
            inside.map(|(id, _)| id).collect()
        } else {
            Vec::new()
        }
    }

    /// Everything that can be seen.
    #[must_use]
    pub fn seen(&self) -> Vec<&String> {
        self.nodes.keys().filter(|id| self.visible(id)).collect()
    }

    fn folders(&self) -> Vec<String> {
        let folders = self.nodes.iter().filter(|(id, node)| node.folder && self.visible(id));
        std::iter::once(ROOT.to_owned()).chain(folders.map(|(id, _)| id.clone())).collect()
    }

    fn free_name(&self, folder: &str, random: &mut StdRng) -> String {
        loop {
            let name = format!("n{}", random.random_range(0..40));
            let taken = self.nodes.values().any(|node| node.parent == folder && node.name == name);
            if !taken {
                return name;
            }
        }
    }

    /// Makes a file or folder that changed at this moment; gives its id.
    pub fn make(&mut self, parent: &str, name: &str, folder: bool, modified: i64) -> String {
        self.count += 1;
        let id = format!("id{}", self.count);
        let (parent, name, version) = (parent.to_owned(), name.to_owned(), self.count * 1_000);
        let node = Node { parent, name, folder, version, modified, trashed: false };
        self.nodes.insert(id.clone(), node);
        id
    }

    /// Moves or renames.
    pub fn relocate(&mut self, id: &str, parent: &str, name: &str) {
        if let Some(node) = self.nodes.get_mut(id) {
            (node.parent, node.name) = (parent.to_owned(), name.to_owned());
        }
    }

    /// Changes something at random; gives what, or `None` when the dice asked for what cannot be.
    pub fn mutate(&mut self, random: &mut StdRng, now: i64) -> Option<Done> {
        let seen: Vec<String> = self.seen().into_iter().cloned().collect();
        let folders = self.folders();
        match random.random_range(0..100) {
            0..40 if seen.len() < 60 => {
                let parent = folders.choose(random)?.clone();
                if self.nodes.values().filter(|node| node.parent == parent).count() > 20 {
                    return None;
                }
                self.count += 1;
                let id = format!("id{}", self.count);
                let name = self.free_name(&parent, random);
                let folder = random.random_bool(0.3);
                let version = self.count * 1_000;
                let node = Node { parent, name, folder, version, modified: now, trashed: false };
                self.nodes.insert(id.clone(), node);
                Some(Done::Touched(id))
            }
            0..55 => {
                let id = seen.choose(random)?.clone();
                let node = self.nodes.get_mut(&id)?;
                if node.folder {
                    return None;
                }
                node.version += 1;
                node.modified = now;
                Some(Done::Touched(id))
            }
            55..67 => {
                let id = seen.choose(random)?.clone();
                let (old, parent) = (self.path(&id), self.nodes[&id].parent.clone());
                let name = self.free_name(&parent, random);
                self.nodes.get_mut(&id)?.name = name;
                Some(Done::Moved(id, old))
            }
            67..80 => {
                let id = seen.choose(random)?.clone();
                let to = folders.choose(random)?.clone();
                let mut at = to.clone();
                while at != ROOT {
                    if at == id {
                        return None;
                    }
                    at = self.nodes[&at].parent.clone();
                }
                if self.nodes.values().filter(|node| node.parent == to).count() > 20 {
                    return None;
                }
                let old = self.path(&id);
                let clash = self.nodes.iter().any(|(other, node)| {
                    *other != id && node.parent == to && node.name == self.nodes[&id].name
                });
                let name = if clash || random.random_bool(0.2) {
                    self.free_name(&to, random)
                } else {
                    self.nodes[&id].name.clone()
                };
                let node = self.nodes.get_mut(&id)?;
                (node.parent, node.name) = (to, name);
                Some(Done::Moved(id, old))
            }
            80..92 => {
                let id = seen.choose(random)?.clone();
                let old = self.path(&id);
                if self.no_trash || random.random_bool(0.3) {
                    self.forget(&id);
                } else {
                    self.nodes.get_mut(&id)?.trashed = true;
                }
                Some(Done::Removed(id, old))
            }
            _ => {
                let trashed: Vec<String> = self
                    .nodes
                    .iter()
                    .filter(|(_, node)| {
                        node.trashed && (node.parent == ROOT || self.visible(&node.parent))
                    })
                    .map(|(id, _)| id.clone())
                    .collect();
                let id = trashed.choose(random)?.clone();
                self.nodes.get_mut(&id)?.trashed = false;
                Some(Done::Touched(id))
            }
        }
    }

    fn forget(&mut self, id: &str) {
        let inside: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.parent == id)
            .map(|(child, _)| child.clone())
            .collect();
        for child in inside {
            self.forget(&child);
        }
        self.nodes.remove(id);
    }
}
