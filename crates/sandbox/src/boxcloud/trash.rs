//! The trash: thrown away, looked at, brought back, deleted for good.
//!
//! <https://developer.box.com/guides/trash/>

use serde_json::{Value, json};

use super::answer::{Answer, Fault, created, nothing, ok};
use super::call::Call;
use super::items::parent_of;
use super::node::{Key, Kind, Node};
use super::show::{self, Fields};
use super::store::text;

impl Call<'_> {
    /// `DELETE` of an item: into the trash.
    pub(super) fn throw_away(&mut self, kind: Kind, id: &str) -> Answer {
        if kind == Kind::Folder && id == "0" {
            return Err(Fault::forbidden());
        }
        let node = self.store.seen(self.me, kind, id)?;
        self.check_match(node)?;
        let key = node.key;
        if !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        let recursive = self.flag("recursive");
        let full = kind == Kind::Folder && self.store.children(self.me, key.id).next().is_some();
        if full && !recursive {
            return Err(Fault::new(400, "folder_not_empty", "Cannot delete - folder not empty"));
        }
        self.tell("ITEM_TRASH", key);
        self.store.unhang(key);
        self.store.touch(key, self.me);
        let now = self.store.now();
        if let Some(node) = self.store.nodes.get_mut(&key) {
            node.trashed = Some(now);
        }
        nothing()
    }

    /// An item that lies in the trash itself and that the caller may see.
    fn in_trash(&self, kind: Kind, id: &str) -> Result<&Node, Fault> {
        let key = super::routes::key(kind, id)?;
        let node = self.store.nodes.get(&key).filter(|node| node.trashed.is_some());
        node.filter(|_| self.store.powers(self.me, key).edit)
            .ok_or_else(|| Fault::missing(kind.word(), id))
    }

    /// `GET /files/:id/trash`.
    pub(super) fn trashed(&mut self, kind: Kind, id: &str) -> Answer {
        let fields = self.fields(Fields::Standard);
        let node = self.in_trash(kind, id)?;
        ok(&show::item(self.store, self.me, node, &fields))
    }

    /// `GET /folders/trash/items`: the caller's, newest first.
    pub(super) fn trash_items(&mut self) -> Answer {
        let fields = self.fields(Fields::Mini);
        let mut all: Vec<&Node> = self
            .store
            .nodes
            .values()
            .filter(|node| node.owner == self.me && node.trashed.is_some())
            .collect();
        all.sort_by_key(|node| (std::cmp::Reverse(node.trashed), node.key));
        let total = all.len();
        let show = |node: &&Node| show::item(self.store, self.me, node, &fields);
        let limit = self.limit(100, 1_000)?;
        if self.flag("usemarker") {
            let (page, next) = self.marked(all, 100, 1_000)?;
            let entries: Vec<Value> = page.iter().map(show).collect();
            return ok(&json!({"entries": entries, "limit": limit, "next_marker": next}));
        }
        let offset = self.offset()?;
        let entries: Vec<Value> = all.iter().skip(offset).take(limit).map(show).collect();
        ok(&json!({"total_count": total, "entries": entries, "offset": offset, "limit": limit}))
    }

    /// `POST` of an item: back from the trash, to where it was.
    pub(super) fn restore(&mut self, kind: Kind, id: &str) -> Answer {
        let body = self.json()?;
        let node = match self.in_trash(kind, id) {
            Ok(node) => node.clone(),
            Err(fault) if self.store.live(super::routes::key(kind, id)?) => {
                let text = "Item is not in trash";
                return Err(Fault {
                    status: 409,
                    code: "not_trashed",
                    message: text.into(),
                    ..fault
                });
            }
            Err(fault) => return Err(fault),
        };
        let name = text(&body, "name").unwrap_or(&node.name).to_owned();
        let old = Key::folder(node.parent);
        // The folder that is named counts only when the one it was in is gone.
        let place = if node.parent == 0 || self.store.live(old) {
            (node.parent, node.owner)
        } else if let Ok(wanted) = parent_of(&body) {
            self.store.target(self.me, &wanted)?
        } else {
            return Err(Fault::missing("parent", &node.parent.to_string()));
        };
        self.check_free(kind, &name, place, None)?;
        let mut owned = vec![node.key];
        if kind == Kind::Folder && place.1 != node.owner {
            owned.extend(self.store.below(node.key.id));
        }
        self.store.give(&owned, place.1);
        if let Some(own) = self.store.nodes.get_mut(&node.key) {
            own.trashed = None;
            own.name = name;
            own.parent = place.0;
        }
        self.store.hang(node.key);
        self.store.touch(node.key, self.me);
        self.tell("ITEM_UNDELETE_VIA_TRASH", node.key);
        self.shown(node.key, created)
    }

    /// `DELETE /files/:id/trash`: for good.
    pub(super) fn purge(&mut self, kind: Kind, id: &str) -> Answer {
        let key = self.in_trash(kind, id)?.key;
        self.tell("ITEM_DELETE", key);
        self.store.purge(key);
        nothing()
    }
}
