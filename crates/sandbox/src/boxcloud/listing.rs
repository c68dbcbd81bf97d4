//! What is in a folder, by offset and by marker; what was used last.

use serde_json::{Value, json};

use super::answer::{Answer, Fault, ok, time};
use super::call::Call;
use super::node::{Key, Kind};
use super::show::{self, Fields};

/// The deepest offset that Box takes.
const MAX_OFFSET: usize = 300_000;

impl Call<'_> {
    /// `GET /folders/:id/items`.
    pub(super) fn folder_items(&mut self, id: &str) -> Answer {
        let folder = match id {
            "0" => 0,
            id => self.store.seen(self.me, Kind::Folder, id)?.key.id,
        };
        let fields = self.fields(Fields::Mini);
        let all: Vec<Key> =
            self.store.listing(self.me, folder).into_iter().map(|node| node.key).collect();
        let total = all.len();
        let show = |key: &Key| {
            self.store.nodes.get(key).map(|node| show::item(self.store, self.me, node, &fields))
        };
        if self.flag("usemarker") {
            let limit = self.limit(100, 1_000)?;
            let (page, next) = self.marked(all, 100, 1_000)?;
            let entries: Vec<Value> = page.iter().filter_map(show).collect();
            let mut body = json!({"entries": entries, "limit": limit});
            if let (Some(next), Some(members)) = (next, body.as_object_mut()) {
                members.insert("next_marker".into(), next.into());
            }
            return ok(&body);
        }
        if self.query.contains_key("marker") {
            return Err(Fault::invalid("marker", "'usemarker' must be true to page by marker."));
        }
        let (limit, offset) = (self.limit(100, 1_000)?, self.offset()?);
        if offset > MAX_OFFSET {
            return Err(Fault::invalid("offset", "Offsets beyond 300000 are not taken."));
        }
        let entries: Vec<Value> = all.iter().skip(offset).take(limit).filter_map(show).collect();
        ok(&json!({
            "total_count": total, "entries": entries, "offset": offset, "limit": limit,
            "order": [{"by": "type", "direction": "ASC"}, {"by": "name", "direction": "ASC"}],
        }))
    }

    /// Notes that the caller did something with a file.
    pub(super) fn note_recent(&mut self, key: Key, what: &'static str) {
        if key.kind != Kind::File {
            return;
        }
        let now = self.store.now();
        let recent = self.store.recents.entry(self.me).or_default();
        recent.retain(|(other, _, _)| *other != key);
        recent.push_front((key, now, what));
        recent.truncate(1_000);
    }

    /// `GET /recent_items`.
    pub(super) fn recent_items(&mut self) -> Answer {
        let fields = self.fields(Fields::Mini);
        let recent = self.store.recents.get(&self.me).cloned().unwrap_or_default();
        let mut shown = Vec::new();
        for (key, at, what) in recent {
            let Some(node) = self.store.nodes.get(&key).filter(|_| self.store.live(key)) else {
                continue;
            };
            shown.push(json!({
                "type": "recent_item", "interaction_type": what, "interacted_at": time(at),
                "item": show::item(self.store, self.me, node, &fields),
            }));
        }
        let limit = self.limit(100, 1_000)?;
        let (page, next) = self.marked(shown, 100, 1_000)?;
        let mut body = json!({"entries": page, "limit": limit});
        if let (Some(next), Some(members)) = (next, body.as_object_mut()) {
            members.insert("next_marker".into(), next.into());
        }
        ok(&body)
    }
}
