//! Asks a service what the machine of a collection wants to know.

use std::collections::BTreeSet;
use std::sync::Arc;

use tramontane_activity::feed::{Ask, Item, ItemKind, Observation, Rules, Told};
use tramontane_connector::changes::{Changes, Collection, KeyedBy};
use tramontane_connector::{
    Connector, Cx, Entry, EntryKind, EntryRef, Error, Kind, Result, Storage,
};
use tramontane_model::{NativeId, Op, PageRequest};

use crate::entries;

/// The most entries of one folder, where it must be told whole.
const MAX_FOLDER: usize = 200_000;
/// The most entries of one page.
const PAGE: usize = 2_000;
/// How long a file of a service without change cursor is left alone after it changed, in microseconds: it may
/// be still being written.
const SETTLE: i64 = 2_000_000;

/// One collection of an account, as its service is asked about it.
#[derive(Clone)]
pub struct Source {
    storage: Arc<dyn Storage>,
    changes: Option<Arc<dyn Changes>>,
    collection: Collection,
    rules: Rules,
}

/// The key of the root where keys are paths.
const PATH_ROOT: &str = "";

impl Source {
    /// A collection of an account. Services without a change cursor have one, which is swept.
    ///
    /// # Errors
    /// `Unsupported` for services without files.
    pub fn of(connector: &dyn Connector, cx: &Cx, collection: Option<Collection>) -> Result<Self> {
        let storage = connector.require_storage()?;
        let changes = connector.changes();
        let root = storage.root(&cx.account);
        let collection =
            collection.unwrap_or_else(|| Collection { id: String::new(), root: root.clone() });
        let root_id = collection.root.as_str().to_owned();
        let rules = match &changes {
            Some(changes) => {
                let facts = changes.facts(&cx.account);
                Rules {
                    sweeps: false,
                    settle: 0,
                    path_ids: false,
                    names_by_path: facts.keyed_by == KeyedBy::Path,
                    silent_below: facts.silent_below,
                    splits_moves: facts.splits_moves,
                    trees: false,
                    root: root_id.clone(),
                    root_id,
                }
            }
            None => {
                let abilities = storage.abilities(&cx.account);
                let stable_ids = abilities.semantics.stable_ids;
                let settle = if connector.hears_at_once() { 0 } else { SETTLE };
                Rules {
                    sweeps: true,
                    settle,
                    path_ids: !stable_ids,
                    names_by_path: false,
                    silent_below: false,
                    splits_moves: false,
                    trees: !stable_ids && abilities.native.has(Op::FolderListRecursively),
                    root: if stable_ids { root_id.clone() } else { PATH_ROOT.to_owned() },
                    root_id,
                }
            }
        };
        Ok(Self { storage, changes, collection, rules })
    }

    /// How the service behaves.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The folder that the collection lies below.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn root(&self, cx: &Cx) -> Result<Entry> {
        self.storage.get(cx, &EntryRef::folder(self.collection.root.clone())).await
    }

    /// The service's answer. `items` holds what is known of the keys that are asked about; with `bare`, what is there
    /// comes without its metadata.
    ///
    /// # Errors
    /// The service's. An expired cursor is no error but an answer.
    pub async fn answer(
        &self,
        cx: &Cx,
        ask: &Ask,
        items: &[(String, Option<Item>)],
        synced: i64,
        bare: bool,
    ) -> Result<Answer> {
        let told = match ask {
            Ask::Latest => Told::Latest(self.changes()?.latest(cx, &self.collection).await?),
            Ask::Listing(at) => {
                let page = self.changes()?.listing(cx, &self.collection, at.as_deref()).await;
                match expired(page)? {
                    None => Told::Expired,
                    Some(page) => Told::Listing {
                        entries: self.observed(&page.entries, synced),
                        next: page.next,
                        cursor: page.cursor,
                    },
                }
            }
            Ask::Changes(cursor) => {
                let page = self.changes()?.changes(cx, &self.collection, cursor).await;
                match expired(page)? {
                    None => Told::Expired,
                    Some(page) => {
                        let observations = self.observed(&page.changes, synced);
                        let told = Told::Changes { observations, next: page.next, more: page.more };
                        return Ok(Answer { told, collections: page.collections });
                    }
                }
            }
            Ask::Folder { folder, at } => {
                let view = View { key: folder, at: at.as_deref(), synced, bare };
                self.folder(cx, &view, items).await?
            }
            Ask::Tree(at) => {
                let ahead = items.iter().filter_map(|(_, item)| item.as_ref());
                let ahead: Vec<NativeId> =
                    ahead.map(|item| NativeId::new(item.id.as_str())).collect();
                let view = View { key: &self.rules.root, at: at.as_deref(), synced, bare };
                self.tree(cx, &view, &ahead).await?
            }
            Ask::Verify(keys) => Told::There(self.verify(cx, keys, items).await?),
            Ask::Rest => Told::There(BTreeSet::new()),
        };
        Ok(Answer { told, collections: false })
    }

    fn changes(&self) -> Result<&dyn Changes> {
        self.changes
            .as_deref()
            .ok_or_else(|| Error::new(Kind::Internal, "The service has no change cursor."))
    }

    fn observed(&self, changes: &[tramontane_connector::Change], synced: i64) -> Vec<Observation> {
        changes.iter().map(|change| entries::observed(change, &self.rules, synced)).collect()
    }

    async fn folder(
        &self,
        cx: &Cx,
        view: &View<'_>,
        items: &[(String, Option<Item>)],
    ) -> Result<Told> {
        let id = if view.key == self.rules.root {
            self.collection.root.clone()
        } else {
            match items.iter().find(|(of, _)| of == view.key).and_then(|(_, item)| item.as_ref()) {
                Some(item) => NativeId::new(item.id.as_str()),
                None => return self.new_folder(cx, view).await,
            }
        };
        self.list(cx, &id, view).await
    }

    /// A folder of a sweep that is not known yet: found from the root down by its name.
    async fn new_folder(&self, cx: &Cx, view: &View<'_>) -> Result<Told> {
        if !self.rules.path_ids {
            return self.list(cx, &NativeId::new(view.key), view).await;
        }
        let mut at = self.collection.root.clone();
        for name in view.key.split('/').filter(|name| !name.is_empty()) {
            let place = tramontane_connector::Place::new(at.clone(), name);
            let child = match self.storage.child(cx, &place).await {
                Ok(child) => child,
                Err(error) if matches!(error.kind, Kind::Declined(_)) => {
                    let all = self.entries(cx, &at).await?;
                    all.and_then(|all| all.into_iter().find(|entry| entry.name == name))
                }
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
            match child {
                Some(entry) if entry.kind == EntryKind::Folder => at = entry.id,
                _ => return Ok(Told::NoFolder),
            }
        }
        self.list(cx, &at, view).await
    }

    /// A page of a folder where folders are swept, else all that is in it.
    async fn list(&self, cx: &Cx, id: &NativeId, view: &View<'_>) -> Result<Told> {
        let seen = |entries: &[Entry]| {
            let seen = entries.iter();
            seen.map(|entry| entries::listed(entry, view.key, &self.rules, view.synced, view.bare))
                .collect()
        };
        if !self.rules.sweeps {
            return Ok(match self.entries(cx, id).await? {
                None => Told::NoFolder,
                Some(entries) => Told::Folder { entries: seen(&entries), next: None },
            });
        }
        let limit = self.storage.abilities(&cx.account).limits.max_page.clamp(1, PAGE);
        let request = PageRequest { cursor: view.at.map(str::to_owned), limit };
        match self.storage.list(&fresh(cx), id, &request).await {
            Ok(page) => Ok(Told::Folder { entries: seen(&page.items), next: page.next }),
            Err(error) if error.is_not_found() => Ok(Told::NoFolder),
            Err(error) if error.kind == Kind::CursorExpired => Ok(Told::Expired),
            Err(error) => Err(error),
        }
    }

    /// A page of everything. Its entries come depth first and say their paths.
    async fn tree(&self, cx: &Cx, view: &View<'_>, ahead: &[NativeId]) -> Result<Told> {
        let limit = self.storage.abilities(&cx.account).limits.max_page.clamp(1, PAGE);
        let request = PageRequest { cursor: view.at.map(str::to_owned), limit };
        let root = &self.collection.root;
        let page = self.storage.list_tree_ahead(&fresh(cx), root, &request, ahead).await;
        let Some(page) = expired(page)? else { return Ok(Told::Expired) };
        let entries = page.items.iter().filter_map(|one| {
            let (folder, _) = one.entry.path.as_deref()?.rsplit_once('/')?;
            Some(entries::listed(&one.entry, folder, &self.rules, view.synced, view.bare))
        });
        Ok(Told::Tree { entries: entries.collect(), next: page.next })
    }

    /// Everything in a folder; `None` when there is no such folder.
    async fn entries(&self, cx: &Cx, id: &NativeId) -> Result<Option<Vec<Entry>>> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let request = PageRequest { cursor, limit: 1_000 };
            let page = match self.storage.list(&fresh(cx), id, &request).await {
                Ok(page) => page,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            };
            entries.extend(page.items);
            if entries.len() > MAX_FOLDER {
                let text = format!("A folder holds more than {MAX_FOLDER} entries.");
                return Err(Error::new(Kind::TooLarge, text));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Some(entries));
            }
        }
    }

    async fn verify(
        &self,
        cx: &Cx,
        keys: &[String],
        items: &[(String, Option<Item>)],
    ) -> Result<BTreeSet<String>> {
        let mut there = BTreeSet::new();
        for key in keys {
            let item = items.iter().find(|(of, _)| of == key).and_then(|(_, item)| item.as_ref());
            let Some(item) = item else { continue };
            let id = NativeId::new(item.id.as_str());
            let of = match item.kind {
                ItemKind::File => EntryRef::file(id),
                ItemKind::Folder => EntryRef::folder(id),
            };
            match self.storage.get(&fresh(cx), &of).await {
                Ok(entry) if entry.trashed.is_none() => {
                    there.insert(key.clone());
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(there)
    }
}

/// Which folder is listed, from where on, and how its entries are shown.
struct View<'a> {
    key: &'a str,
    at: Option<&'a str>,
    synced: i64,
    bare: bool,
}

/// A service's answer.
#[derive(Debug)]
pub struct Answer {
    /// For the machine.
    pub told: Told,
    /// The account's collections may have changed.
    pub collections: bool,
}

/// Each call of many has the whole time to itself.
fn fresh(cx: &Cx) -> Cx {
    cx.within(std::time::Duration::from_secs(60))
}

fn expired<T>(page: Result<T>) -> Result<Option<T>> {
    match page {
        Ok(page) => Ok(Some(page)),
        Err(error) if error.kind == Kind::CursorExpired => Ok(None),
        Err(error) => Err(error),
    }
}
