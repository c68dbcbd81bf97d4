//! What is known of a collection: looked up by key and by folder, in blocks that may have to be loaded first.

use std::collections::{BTreeMap, BTreeSet};

use crate::feed::item::Item;
use crate::snapshot::Error;

/// A stretch of what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Items with their keys. May be empty although more follow.
    pub items: Vec<(String, Item)>,
    /// Where to go on, or none at the end.
    pub next: Option<Vec<u8>>,
}

/// What is known of a collection.
pub trait Known {
    /// The item with this key, also one that is in the trash.
    ///
    /// # Errors
    /// [`Error::Missing`] when a block must be loaded first; when what is stored is damaged.
    fn get(&mut self, key: &str) -> Result<Option<Item>, Error>;

    /// The items in a folder, with their keys, in order; none that are in the trash.
    ///
    /// # Errors
    /// [`Error::Missing`] when a block must be loaded first; when what is stored is damaged.
    fn children(&mut self, folder: &str) -> Result<Vec<(String, Item)>, Error>;

    /// Some of the items in a folder, in the order of [`Known::children`], about `most` at a time: a folder may hold
    /// more than one answer should.
    ///
    /// # Errors
    /// [`Error::Missing`] when a block must be loaded first; when what is stored is damaged.
    fn inside(&mut self, folder: &str, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error>;

    /// Some of all items, about `most` at a time, where keys are paths; none where they are not.
    ///
    /// # Errors
    /// [`Error::Missing`] when a block must be loaded first; when what is stored is damaged.
    fn all(&mut self, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error>;

    /// The keys of the items in a folder whose names are this one in lower case.
    ///
    /// # Errors
    /// [`Error::Missing`] when a block must be loaded first; when what is stored is damaged.
    fn named(&mut self, folder: &str, lower: &str) -> Result<Vec<String>, Error>;
}

/// A collection in memory: for tests, and for collections that were just listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    items: BTreeMap<String, Item>,
    inside: BTreeMap<String, BTreeSet<String>>,
}

impl Table {
    /// Writes an item, or forgets it.
    pub fn put(&mut self, key: &str, item: Option<Item>) {
        if let Some(parent) = self.items.get(key).and_then(|item| item.parent.clone())
            && let Some(inside) = self.inside.get_mut(&parent)
        {
            inside.remove(key);
            if inside.is_empty() {
                self.inside.remove(&parent);
            }
        }
        match item {
            Some(item) => {
                if let Some(parent) = &item.parent {
                    self.inside.entry(parent.clone()).or_default().insert(key.to_owned());
                }
                self.items.insert(key.to_owned(), item);
            }
            None => {
                self.items.remove(key);
            }
        }
    }

    /// All items, by key.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().map(|(key, item)| (key.as_str(), item))
    }
}

impl Known for Table {
    fn get(&mut self, key: &str) -> Result<Option<Item>, Error> {
        Ok(self.items.get(key).cloned())
    }

    fn children(&mut self, folder: &str) -> Result<Vec<(String, Item)>, Error> {
        let keys = self.inside.get(folder).into_iter().flatten();
        let items = keys.filter_map(|key| Some((key.clone(), self.items.get(key)?.clone())));
        Ok(items.filter(|(_, item)| !item.gone).collect())
    }

    fn inside(&mut self, folder: &str, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error> {
        let mut items = self.children(folder)?;
        items.retain(|(key, _)| from.is_none_or(|from| key.as_bytes() >= from));
        Ok(stretch(items, most))
    }

    fn all(&mut self, from: Option<&[u8]>, most: usize) -> Result<Stretch, Error> {
        let from = from.map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let some = self.items.range(from..).filter(|(_, item)| !item.gone).take(most + 1);
        Ok(stretch(some.map(|(key, item)| (key.clone(), item.clone())).collect(), most))
    }

    fn named(&mut self, folder: &str, lower: &str) -> Result<Vec<String>, Error> {
        let mut children = self.children(folder)?;
        children.retain(|(_, item)| item.name.to_lowercase() == lower);
        Ok(children.into_iter().map(|(key, _)| key).collect())
    }
}

fn stretch(mut items: Vec<(String, Item)>, most: usize) -> Stretch {
    let next = items.get(most.max(1)).map(|(key, _)| key.as_bytes().to_vec());
    items.truncate(most.max(1));
    Stretch { items, next }
}
