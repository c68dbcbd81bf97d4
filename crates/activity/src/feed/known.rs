//! What is known of a collection: looked up by key and by folder, in blocks that may have to be loaded first.

use std::collections::{BTreeMap, BTreeSet};

use crate::feed::item::Item;
use crate::snapshot::Error;

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

    fn named(&mut self, folder: &str, lower: &str) -> Result<Vec<String>, Error> {
        let mut children = self.children(folder)?;
        children.retain(|(_, item)| item.name.to_lowercase() == lower);
        Ok(children.into_iter().map(|(key, _)| key).collect())
    }
}
