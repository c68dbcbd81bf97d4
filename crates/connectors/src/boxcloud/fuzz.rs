//! Fuzz targets: events as Box writes them, and cursors as they come back.

use serde_json::Value;
use tramontane_connector::changes::Seen;
use tramontane_fuzz::fuzz;

use super::events::{self, Page};
use super::id::Id;
use super::walk::Walk;

fuzz!(
    event_pages,
    [
        r#"{"chunk_size":1,"next_stream_position":"1152922976252290886","entries":[{"type":"event","event_id":"e",
        "event_type":"ITEM_MOVE","created_at":"2026-01-01T00:00:00Z","created_by":{"type":"user","id":"1"},
        "source":{"type":"folder","id":"12","sequence_id":"3","name":"a","parent":null}}]}"#,
        r#"{"next_stream_position":7,"entries":[{"event_type":"COLLAB_ADD_COLLABORATOR",
        "source":{"type":"collaboration","id":"1","item":{"type":"file","id":"2","name":"b"}}},{"source":null}]}"#,
        r#"{"entries":[{"event_id":"a","event_type":"ITEM_TRASH","source":{"type":"file","id":"1","name":"c"}}]}"#,
    ],
    |data| {
        let Ok(page) = serde_json::from_slice::<Page>(data) else { return };
        drop(page.next());
        for told in events::told(page.entries, false) {
            let id = told.id.native();
            match told.change(None).seen {
                Seen::There { entry, .. } => {
                    assert!(Id::parse(&entry.id).is_some() && entry.id == id);
                }
                Seen::Gone { key, .. } => assert_eq!(key, id.as_str()),
            }
        }
    }
);

fuzz!(walks, [r#"[["0",null],["12","marker"]]"#, "[]", r#"[["../1",null]]"#, "{}"], |data| {
    if let Ok(walk) = Walk::read(&String::from_utf8_lossy(data)) {
        let again = Walk::read(&walk.write().unwrap()).unwrap();
        assert_eq!(walk, again);
        let value: Value = serde_json::from_str(&walk.write().unwrap()).unwrap();
        let folders = value.as_array().unwrap().iter();
        assert!(folders.filter_map(|one| one.get(0)?.as_str()).all(super::id::is_number));
    }
});
