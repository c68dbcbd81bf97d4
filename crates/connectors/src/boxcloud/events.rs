//! Events of the user's stream as observations.
//!
//! <https://developer.box.com/reference/get-events/>, <https://developer.box.com/guides/events/user-events/for-user/>.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::changes::{Change, Hint, Seen};
use tramontane_connector::error::Kind;
use tramontane_connector::{Entry, EntryKind, Error, Person, Result};
use tramontane_model::{NativeId, Timestamp};

use super::id::Id;
use super::item::{self, Mini, is_known, moment, person};

/// A page of the stream.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) entries: Vec<Value>,
    next_stream_position: Option<Value>,
}

impl Page {
    /// Where the stream goes on; Box writes it as a number or as text.
    pub(super) fn next(&self) -> Result<String> {
        let next = match &self.next_stream_position {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let fits = |text: &String| is_position(text);
        next.filter(fits)
            .ok_or_else(|| Error::new(Kind::Broken, "Box does not say where its events go on."))
    }
}

/// Whether a text can be a position in the stream.
pub(super) fn is_position(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[derive(Deserialize)]
struct Event {
    event_id: Option<String>,
    event_type: Option<String>,
    created_at: Option<String>,
    created_by: Option<Mini>,
    source: Option<Value>,
}

/// What is to be done about one thing, after all events of a page.
pub(super) struct Told {
    pub(super) id: Id,
    /// The thing as the last event has it; `None` when it must be looked at.
    entry: Option<Entry>,
    sequence: Option<u64>,
    at: Option<Timestamp>,
    by: Option<Person>,
    hint: Option<Hint>,
    /// Whether it is a folder that may have come into sight with what is in it.
    pub(super) comes_whole: bool,
    /// Whether it was shared with someone, perhaps with this account.
    pub(super) is_given: bool,
}

impl Told {
    pub(super) fn must_be_looked_at(&self) -> bool {
        self.entry.is_none()
    }

    /// The observation. `now`: the thing as it was looked at; `None` when it is out of sight.
    pub(super) fn change(self, now: Option<Entry>) -> Change {
        let entry = self.entry.or(now);
        let key = self.id.native().as_str().to_owned();
        let seen = match entry {
            Some(entry) if entry.trashed.is_none() => {
                Seen::There { entry: Box::new(entry), key: None, sharing: None }
            }
            trashed => Seen::Gone { key, trashed: trashed.map(Box::new) },
        };
        Change { seen, at: self.at, by: self.by, hint: self.hint }
    }
}

fn hint_of(word: &str) -> Option<Hint> {
    match word {
        "ITEM_COPY" => Some(Hint::Copied),
        "ITEM_UNDELETE_VIA_TRASH" => Some(Hint::Restored),
        "ITEM_SHARED" | "ITEM_SHARED_CREATE" | "ITEM_SHARED_UNSHARE" => Some(Hint::Shared),
        _ if word.starts_with("COLLAB_") => Some(Hint::Shared),
        _ => None,
    }
}

/// Reads one event; `None` when it is of nothing that we know. The source of an event is the thing as it was
/// then, and of a collaboration perhaps the collaboration itself.
fn read(event: Event, raw: bool) -> Option<Told> {
    let word = event.event_type.unwrap_or_default();
    let source = event.source?;
    let collab = word.starts_with("COLLAB_");
    let is_whole = is_known(&source);
    let source = match is_whole {
        true => source,
        false => source.get("item").filter(|item| is_known(item))?.clone(),
    };
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    let id = Id::of(text("type")?, text("id")?).filter(|id| !id.is_root())?;
    let sequence = text("sequence_id").and_then(|text| text.parse().ok());
    // Whoever may not see the folder that something was moved to is not told of it.
    let hides = word == "ITEM_MOVE" && source.get("parent").is_none_or(Value::is_null);
    let has_name = text("name").is_some();
    let entry = match collab || hides || !is_whole || !has_name {
        true => None,
        false => Some(item::entry(source, raw).ok()?),
    };
    let entry = match (entry, word.as_str()) {
        (Some(entry), "ITEM_TRASH") if entry.trashed.is_none() => Some(in_the_trash(entry)),
        (entry, _) => entry,
    };
    let moves = matches!(word.as_str(), "ITEM_MOVE" | "ITEM_COPY" | "ITEM_UNDELETE_VIA_TRASH");
    Some(Told {
        entry,
        sequence,
        at: moment(event.created_at.as_ref()),
        by: person(event.created_by),
        hint: hint_of(&word),
        comes_whole: moves && id.what.kind() == EntryKind::Folder,
        is_given: collab && word != "COLLAB_REMOVE_COLLABORATOR",
        id,
    })
}

/// An event says that it was thrown away, whatever its source says.
fn in_the_trash(entry: Entry) -> Entry {
    let original_parent = entry.parent.as_ref().map(|parent| parent.id.clone());
    let trashed = tramontane_connector::entry::Trashed { at: None, original_parent };
    Entry { trashed: Some(trashed), ..entry }
}

/// What a page of events says of each thing, in the order in which each was last told of. "Events may be
/// returned twice" and not quite in order: of several the one with the highest `sequence_id` counts.
pub(super) fn told(entries: Vec<Value>, raw: bool) -> Vec<Told> {
    let mut seen = HashSet::new();
    let mut all: Vec<Option<Told>> = Vec::new();
    let mut last: HashMap<NativeId, usize> = HashMap::new();
    for value in entries {
        let Ok(event) = Event::deserialize(value) else { continue };
        if event.event_id.clone().is_some_and(|id| !seen.insert(id)) {
            continue;
        }
        let Some(mut told) = read(event, raw) else { continue };
        let before = last.insert(told.id.native(), all.len());
        if let Some(before) = before.and_then(|at| all.get_mut(at)).and_then(Option::take) {
            told = merged(before, told);
        }
        all.push(Some(told));
    }
    all.into_iter().flatten().collect()
}

fn merged(before: Told, after: Told) -> Told {
    let comes_whole = before.comes_whole || after.comes_whole;
    let is_given = before.is_given || after.is_given;
    let looked = before.must_be_looked_at() || after.must_be_looked_at();
    let is_later = before.sequence.is_none() || after.sequence >= before.sequence;
    let (mut kept, other) = if is_later { (after, before) } else { (before, after) };
    kept.hint = kept.hint.or(other.hint);
    if looked {
        kept.entry = None;
    }
    Told { comes_whole, is_given, ..kept }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: &str, word: &str, source: Value) -> Value {
        json!({"type": "event", "event_id": id, "event_type": word, "source": source,
            "created_at": "2026-01-02T03:04:05-08:00", "created_by": {"type": "user", "id": "7", "name": "Ann"}})
    }

    fn file(sequence: &str, name: &str) -> Value {
        json!({"type": "file", "id": "1", "sequence_id": sequence, "etag": sequence, "name": name,
            "item_status": "active", "parent": {"type": "folder", "id": "2"}})
    }

    fn names(entries: Vec<Value>) -> Vec<String> {
        let told = told(entries, false).into_iter();
        told.map(|told| match told.change(None).seen {
            Seen::There { entry, .. } => entry.name,
            Seen::Gone { key, .. } => format!("-{key}"),
        })
        .collect()
    }

    #[test]
    fn doubled_and_disordered_events_end_in_the_latest_state() {
        let (a, b) = (
            event("e1", "ITEM_UPLOAD", file("0", "a")),
            event("e2", "ITEM_RENAME", file("1", "b")),
        );
        assert_eq!(names(vec![a.clone(), b.clone(), a.clone()]), ["b"]);
        assert_eq!(names(vec![b.clone(), a.clone(), b.clone()]), ["b"]);
        let mut bin = file("2", "b");
        bin["item_status"] = "trashed".into();
        let bin = event("e3", "ITEM_TRASH", bin);
        assert_eq!(names(vec![bin.clone(), b.clone()]), ["-file:1"]);
        let back = event("e4", "ITEM_UNDELETE_VIA_TRASH", file("3", "b"));
        assert_eq!(names(vec![a, b, bin, back]), ["b"]);
    }

    #[test]
    fn an_event_tells_when_who_and_what() {
        let change =
            told(vec![event("e", "ITEM_COPY", file("0", "a"))], false).remove(0).change(None);
        assert_eq!(change.at, Timestamp::parse("2026-01-02T11:04:05Z"));
        assert_eq!(change.by.unwrap().name.as_deref(), Some("Ann"));
        assert_eq!(change.hint, Some(Hint::Copied));
        let folder = json!({"type": "folder", "id": "9", "name": "f", "parent": {"type": "folder", "id": "2"}});
        let told = told(vec![event("e", "ITEM_COPY", folder)], false).remove(0);
        assert!(told.comes_whole && !told.must_be_looked_at());
    }

    #[test]
    fn what_events_do_not_show_is_looked_at() {
        let hidden = json!({"type": "folder", "id": "9", "name": "f", "parent": null});
        let collab =
            json!({"type": "collaboration", "id": "5", "item": {"type": "folder", "id": "9"}});
        for (word, source) in [("ITEM_MOVE", hidden), ("COLLAB_ADD_COLLABORATOR", collab)] {
            let one = told(vec![event("e", word, source)], false).remove(0);
            assert!(one.must_be_looked_at(), "{word}");
            assert!(matches!(one.change(None).seen, Seen::Gone { key, .. } if key == "folder:9"));
        }
    }

    #[test]
    fn what_is_nothing_of_ours_is_passed_over() {
        for source in [
            json!(null),
            json!({"type": "comment", "id": "5"}),
            json!({"type": "file", "id": "../1"}),
            json!({"type": "folder", "id": "0", "name": "All Files"}),
            json!("x"),
        ] {
            assert!(told(vec![event("e", "ITEM_UPLOAD", source), json!(7)], false).is_empty());
        }
    }
}
