//! What observations add up to: a copy of a collection, kept by its changes alone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tramontane_connector::changes::{Change, Changes, Collection, Hint, KeyedBy, Seen};
use tramontane_connector::{Cx, Entry};
use tramontane_model::NativeId;

/// The most pages that are read in a row.
const MAX_PAGES: usize = 10_000;
/// How long a change may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collection as its observations show it.
#[derive(Clone, Debug)]
pub struct Mirror {
    keyed_by: KeyedBy,
    root: NativeId,
    known: BTreeMap<String, Entry>,
    /// What services called the changes, by the key of what changed.
    pub hints: Vec<(String, Hint)>,
    /// What was told with the entry as it lies in the trash.
    pub trashed: Vec<Entry>,
}

impl Mirror {
    /// Of nothing yet.
    #[must_use]
    pub fn new(keyed_by: KeyedBy, of: &Collection) -> Self {
        let (known, hints, trashed) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { keyed_by, root: of.root.clone(), known, hints, trashed }
    }

    /// Takes in one observation.
    pub fn apply(&mut self, change: &Change) {
        let key = match &change.seen {
            Seen::There { entry, key, .. } => {
                let key = key.clone().unwrap_or_else(|| entry.id.as_str().to_owned());
                self.known.insert(key.clone(), entry.as_ref().clone());
                key
            }
            Seen::Gone { key, trashed } => {
                self.known.remove(key);
                if self.keyed_by == KeyedBy::Path {
                    let below = format!("{key}/");
                    self.known.retain(|path, _| !path.starts_with(&below));
                }
                self.trashed.extend(trashed.as_deref().cloned());
                key.clone()
            }
        };
        self.hints.extend(change.hint.map(|hint| (key, hint)));
    }

    /// The one thing with this id; none when there is none, or more than one.
    #[must_use]
    pub fn get(&self, id: &NativeId) -> Option<&Entry> {
        let mut found = self.known.values().filter(|entry| entry.id == *id);
        let first = found.next();
        if found.next().is_none() { first } else { None }
    }

    /// The thing with this id, when every folder above it is known up to the collection's root.
    #[must_use]
    pub fn reached(&self, id: &NativeId) -> Option<&Entry> {
        let entry = self.get(id)?;
        let mut above = entry.parent.as_ref()?.id.clone();
        for _ in 0..1_000 {
            if above == self.root {
                return Some(entry);
            }
            above = self.get(&above)?.parent.as_ref()?.id.clone();
        }
        None
    }

    /// How much is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes in everything after a cursor. Gives the new cursor and how many pages there were.
    ///
    /// # Errors
    /// What the service says, and a feed without end.
    pub async fn drain(
        &mut self,
        changes: &dyn Changes,
        cx: &Cx,
        of: &Collection,
        mut cursor: String,
    ) -> anyhow::Result<(String, usize)> {
        for n in 1..=MAX_PAGES {
            let page = changes.changes(cx, of, &cursor).await.context("changes")?;
            page.changes.iter().for_each(|change| self.apply(change));
            cursor = page.next;
            if !page.more {
                return Ok((cursor, n));
            }
        }
        bail!("the feed does not end")
    }

    /// Takes in the complete listing, from `at` on. Gives its last cursor and how many pages there were.
    ///
    /// # Errors
    /// What the service says, and a listing without end.
    pub async fn list(
        &mut self,
        changes: &dyn Changes,
        cx: &Cx,
        of: &Collection,
        mut at: Option<String>,
    ) -> anyhow::Result<(Option<String>, usize)> {
        for n in 1..=MAX_PAGES {
            let page = changes.listing(cx, of, at.as_deref()).await.context("listing")?;
            page.entries.iter().for_each(|change| self.apply(change));
            ensure!(page.next.is_none() || page.next != at, "the listing turns in a circle");
            at = page.next;
            if at.is_none() {
                return Ok((page.cursor, n));
            }
        }
        bail!("the listing does not end")
    }

    /// Takes in what changes until this holds. Gives the new cursor.
    ///
    /// # Errors
    /// When it does not come to hold.
    pub async fn until(
        &mut self,
        changes: &dyn Changes,
        cx: &Cx,
        of: &Collection,
        mut cursor: String,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<String> {
        let begun = std::time::Instant::now();
        loop {
            cursor = self.drain(changes, cx, of, cursor).await?.0;
            if holds(self) {
                return Ok(cursor);
            }
            ensure!(begun.elapsed() < PATIENCE, "it never showed that {what}: {:?}", self.known);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
