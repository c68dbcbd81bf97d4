//! The files that changed last, by the newest events of an account.
//!
//! Events are taken from the newest back. What they say of an object is what it is now, unless a newer one says
//! otherwise: it was told already, it is gone, or a folder above it is gone or lies elsewhere.

use std::collections::{HashMap, HashSet};

use tramontane_activity::{Action, Category, Event};
use tramontane_connector::Entry;
use tramontane_model::NativeId;

use super::States;
use crate::error::Result;
use crate::log::{Log, MAX_PAGE};

/// The most events that are looked at.
const MAX_EVENTS: i64 = 20_000;
/// How many folders above each other are climbed.
const MAX_CLIMB: usize = 512;

/// Files that changed, by what was noticed.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Their metadata as it was last noticed, each file once, in no particular order.
    pub files: Vec<Entry>,
    /// Everything that was noticed since is in it: microseconds since 1970.
    pub since: i64,
    /// How many files and folders there are in the account.
    pub items: u64,
}

impl States {
    /// The files of an account that changed last, by its newest events: until there are `enough`, or no more
    /// events. `None` when nothing is known: the account is not followed, not everything was listed once, its
    /// default feed is off or tells of some folders only, or nothing has happened yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recent(&self, log: &Log, account: i64, enough: usize) -> Result<Option<Recent>> {
        let Ok(_seat) = self.room.acquire().await else { return Ok(None) };
        let Some(opened) = self.open_followed(account).await? else { return Ok(None) };
        let (Some(head), true) = (opened.head, opened.watches_all) else { return Ok(None) };
        let items = opened.items;
        let settings_since = opened.settings_since;
        drop(opened);
        let Some(extent) = log.extent(account).await? else { return Ok(None) };
        let (mut newest, mut since, mut next) = (Newest::default(), None, head);
        while next >= extent.first && head - next < MAX_EVENTS && newest.files.len() < enough {
            let after = (next - MAX_PAGE as i64).max(extent.first - 1);
            let count = usize::try_from(next - after).unwrap_or(MAX_PAGE);
            let page = log.page(account, after, count).await?;
            for one in page.events.iter().rev().filter(|one| one.sequence <= next) {
                newest.take(&one.event);
                since = Some(one.at);
            }
            next = after;
        }
        let Some(since) = since else { return Ok(None) };
        let files = newest.files;
        Ok(Some(Recent { files, since: since.max(settings_since), items }))
    }
}

/// What the events so far say, from the newest back.
#[derive(Default)]
struct Newest {
    files: Vec<Entry>,
    /// Files that were told, or are gone.
    told: HashSet<String>,
    /// Folders that are gone, by what comes after.
    gone: HashSet<String>,
    /// The folders above a folder, since it was moved there.
    above: HashMap<String, Vec<String>>,
    /// Folders that got another id with another name, the newest first.
    renamed: Vec<(String, String)>,
}

impl Newest {
    fn take(&mut self, event: &Event) {
        if event.category != Category::Storage {
            return;
        }
        let id = self.now(&event.object.id);
        let above: Vec<String> = above(event).iter().map(|id| self.now(id)).collect();
        let before = event.before.as_ref().and_then(|before| before.id.as_ref());
        if event.object.kind == "folder" {
            match event.action {
                Action::Delete => {
                    self.gone.insert(id);
                }
                Action::Move | Action::Rename => {
                    if self.is_gone(&above) {
                        self.gone.insert(id.clone());
                    }
                    if let Some(before) = before {
                        self.renamed.push((before.clone(), event.object.id.clone()));
                    }
                    self.above.entry(id).or_insert(above);
                }
                _ => {}
            }
            return;
        }
        let is_new = self.told.insert(id.clone());
        if is_new
            && event.action != Action::Delete
            && !self.is_gone(&above)
            && !self.is_gone(std::slice::from_ref(&id))
            && let Ok(mut entry) = event.entry.read::<Entry>()
        {
            entry.id = NativeId::new(id);
            self.files.push(entry);
        }
        if let Some(before) = before {
            // What had this id before is the same file.
            self.told.insert(self.now(before));
        }
    }

    /// The id that something has now which had this one at the time of the event.
    fn now(&self, id: &str) -> String {
        let mut id = id.to_owned();
        for (old, new) in self.renamed.iter().rev() {
            if let Some(below) = id.strip_prefix(old.as_str())
                && (below.is_empty() || below.starts_with('/'))
            {
                id = format!("{new}{below}");
            }
        }
        id
    }

    /// Whether one of these folders, the nearest first, is gone, or lies in one that is.
    fn is_gone(&self, above: &[String]) -> bool {
        let mut chain = above;
        for _ in 0..MAX_CLIMB {
            let mut moved = None;
            for folder in chain {
                if self.gone.contains(folder) {
                    return true;
                }
                if let Some(above) = self.above.get(folder) {
                    moved = Some(above.as_slice());
                    break;
                }
            }
            match moved {
                Some(next) => chain = next,
                None => return false,
            }
        }
        false
    }
}

/// The folders above an object after an event: those of before follow behind the root.
fn above(event: &Event) -> &[String] {
    let Some(root) = event.above.last() else { return &[] };
    let end = event.above.iter().position(|id| id == root).unwrap_or_default();
    event.above.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tramontane_activity::{Before, Object};

    use super::*;

    fn event(action: Action, kind: &str, id: &str, above: &[&str]) -> Event {
        let entry = Entry::file(NativeId::new(id), id, None);
        Event {
            action,
            category: Category::Storage,
            subtype: None,
            object: Object {
                kind: kind.into(),
                id: id.into(),
                name: id.into(),
                parent: None,
                path: None,
            },
            before: None,
            happened: None,
            detected: 0,
            actor: None,
            entry: serde_json::to_value(entry).unwrap().into(),
            recovered: false,
            above: above.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn was(id: &str, event: Event) -> Event {
        Event { before: Some(Before { id: Some(id.into()), ..Before::default() }), ..event }
    }

    /// The ids that are left of events in the order in which they happened.
    fn left(events: &[Event]) -> Vec<String> {
        let mut newest = Newest::default();
        events.iter().rev().for_each(|event| newest.take(event));
        let mut ids: Vec<String> = newest.files.iter().map(|one| one.id.to_string()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn each_file_is_there_once_and_not_when_it_is_gone() {
        use Action::{Add, Delete, Update};
        assert_eq!(
            left(&[
                event(Add, "file", "a", &["root"]),
                event(Add, "file", "b", &["root"]),
                event(Update, "file", "a", &["root"]),
                event(Delete, "file", "b", &["root"]),
                event(Add, "folder", "f", &["root"]),
                event(Add, "file", "c", &["f", "root"]),
                event(Delete, "folder", "f", &["root"]),
            ]),
            ["a"]
        );
    }

    #[test]
    fn what_moved_out_of_a_folder_before_it_went_is_there_and_what_moved_in_is_not() {
        use Action::{Add, Delete, Move};
        assert_eq!(
            left(&[
                event(Add, "file", "a", &["f", "root"]),
                event(Add, "file", "b", &["g", "f", "root"]),
                event(Add, "file", "c", &["h", "root"]),
                // Where it is now, the root, where it was.
                event(Move, "file", "a", &["root", "f", "root"]),
                event(Move, "folder", "g", &["root", "f", "root"]),
                event(Move, "folder", "h", &["f", "root", "root"]),
                event(Delete, "folder", "f", &["root"]),
            ]),
            ["a", "b"]
        );
    }

    #[test]
    fn ids_that_are_paths_follow_their_folders() {
        use Action::{Add, Delete, Move, Rename, Update};
        assert_eq!(
            left(&[
                event(Add, "file", "/f/a", &["/f", "/"]),
                event(Add, "file", "/f/b", &["/f", "/"]),
                was("/f", event(Rename, "folder", "/g", &["/"])),
                was("/g/b", event(Rename, "file", "/g/c", &["/g", "/"])),
                event(Add, "file", "/f", &["/"]),
                was("/g", event(Move, "folder", "/h/g", &["/h", "/", "/"])),
                event(Update, "file", "/h/g/c", &["/h/g", "/h", "/"]),
                event(Add, "file", "/x/y", &["/x", "/"]),
                event(Delete, "folder", "/x", &["/"]),
            ]),
            ["/f", "/h/g/a", "/h/g/c"]
        );
    }
}
