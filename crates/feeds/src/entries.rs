//! From a connector's words to the core's: entries, changes and people as observations.

use std::sync::Arc;

use tramontane_activity::feed::{Hint, ItemKind, Observation, Rules, Seen, There};
use tramontane_activity::{Actor, Metadata};
use tramontane_connector::changes::{self, Change};
use tramontane_connector::{Entry, EntryKind, Person};
use xxhash_rust::xxh3::Xxh3;

/// How far the service's clock may be off when it is asked whether something is old, in microseconds.
const SKEW: i64 = 120_000_000;

/// A change that a service told.
#[must_use]
pub fn observed(change: &Change, rules: &Rules, synced: i64) -> Observation {
    let at = change.at.map(|at| at.micros());
    let by = change.by.as_ref().map(actor);
    let hint = change.hint.map(|hint| match hint {
        changes::Hint::Copied => Hint::Copied,
        changes::Hint::Restored => Hint::Restored,
        changes::Hint::Shared => Hint::Shared,
    });
    let (key, seen) = match &change.seen {
        changes::Seen::There { entry, key, sharing } => {
            let key = key.clone().unwrap_or_else(|| entry.id.as_str().to_owned());
            let parent = if rules.names_by_path {
                Some(match key.rsplit_once('/') {
                    Some(("", _)) | None => rules.root.clone(),
                    Some((folder, _)) => folder.to_owned(),
                })
            } else {
                entry.parent.as_ref().map(|parent| parent.id.as_str().to_owned())
            };
            let mut there = there(entry, parent, synced, false);
            there.sharing = *sharing;
            (key, Seen::There(Arc::new(there)))
        }
        changes::Seen::Gone { key, trashed } => {
            let within = trashed.as_ref().and_then(|entry| entry.parent.as_ref());
            let within = within.map(|parent| parent.id.as_str().to_owned());
            let within = within.filter(|folder| *folder != rules.root);
            (key.clone(), Seen::Gone { trashed: trashed.is_some(), within })
        }
    };
    Observation { key, seen, at, by, hint }
}

/// An entry of a folder's listing. A `bare` one goes without its metadata, where no events are made of it.
#[must_use]
pub fn listed(entry: &Entry, folder: &str, rules: &Rules, synced: i64, bare: bool) -> Observation {
    let key = if rules.path_ids {
        format!("{folder}/{}", entry.name)
    } else {
        entry.id.as_str().to_owned()
    };
    let there = there(entry, Some(folder.to_owned()), synced, bare);
    let at = entry.modified.map(|at| at.micros()).filter(|_| entry.kind == EntryKind::File);
    Observation { key, seen: Seen::There(Arc::new(there)), at, by: None, hint: None }
}

fn there(entry: &Entry, parent: Option<String>, synced: i64, bare: bool) -> There {
    There {
        kind: match entry.kind {
            EntryKind::File => ItemKind::File,
            EntryKind::Folder => ItemKind::Folder,
        },
        id: entry.id.as_str().to_owned(),
        parent,
        name: entry.name.clone(),
        path: entry.path.clone(),
        fingerprint: fingerprint(entry),
        strong: is_strong(entry),
        size: entry.size.filter(|_| entry.kind == EntryKind::File),
        sharing: None,
        old: entry.created.is_some_and(|made| made.micros() < synced + SKEW),
        entry: if bare { Metadata::default() } else { kept(entry) },
    }
}

/// What of an entry goes into the log.
pub(crate) fn kept(entry: &Entry) -> Metadata {
    Metadata::of(entry)
}

/// Changes with the content and stays the same through moves: of what the service tells, the surest.
#[must_use]
pub fn fingerprint(entry: &Entry) -> u64 {
    if entry.kind == EntryKind::Folder {
        return 0;
    }
    let mut hash = Xxh3::new();
    hash.update(&entry.size.unwrap_or(u64::MAX).to_le_bytes());
    let hashes = &entry.hashes;
    let told = [
        &hashes.sha256,
        &hashes.sha1,
        &hashes.md5,
        &hashes.dropbox,
        &hashes.quickxor,
        &hashes.crc32c,
    ];
    let strong = entry.etag.as_ref().filter(|etag| !etag.weak);
    if let Some(told) = told.into_iter().flatten().next() {
        hash.update(told.as_bytes());
    } else if let Some(etag) = strong {
        hash.update(etag.value.as_bytes());
    } else if let Some(modified) = entry.modified {
        hash.update(&modified.micros().to_le_bytes());
    }
    // 0 means that nothing is known.
    hash.digest().max(1)
}

/// Whether the fingerprint tells the content itself: a hash of it, or a strong etag.
fn is_strong(entry: &Entry) -> bool {
    let strong = entry.etag.as_ref().is_some_and(|etag| !etag.weak);
    let hashed = entry.hashes != tramontane_connector::Hashes::default();
    entry.kind == EntryKind::File && entry.size != Some(0) && (strong || hashed)
}

fn actor(person: &Person) -> Actor {
    Actor {
        id: person.id.as_ref().map(|id| id.as_str().to_owned()),
        name: person.name.clone(),
        email: person.email.clone(),
    }
}
