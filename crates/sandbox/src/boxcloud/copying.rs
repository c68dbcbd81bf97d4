//! Copies within Box, files with their current version and folders with all below them.

use super::answer::{Answer, Fault, created};
use super::call::Call;
use super::items::parent_of;
use super::node::{Key, Kind};
use super::store::text;

impl Call<'_> {
    /// `POST /files/:id/copy` and `POST /folders/:id/copy`.
    pub(super) fn copy_item(&mut self, kind: Kind, id: &str) -> Answer {
        let body = self.json()?;
        let node = self.store.seen(self.me, kind, id)?.clone();
        if !self.store.powers(self.me, node.key).download {
            return Err(Fault::forbidden());
        }
        let place = self.store.target(self.me, &parent_of(&body)?)?;
        let name = text(&body, "name").unwrap_or(&node.name).to_owned();
        if kind == Kind::Folder
            && self.store.upwards(Key::folder(place.0)).any(|above| above.key == node.key)
        {
            let text = "Folder copy creates cyclical folder structure";
            return Err(Fault::new(400, "cyclical_folder_structure", text));
        }
        self.check_free(kind, &name, place, None)?;
        let below = if kind == Kind::Folder { self.store.below(node.key.id) } else { vec![] };
        let weigh = |key: &Key| self.store.nodes.get(key).map_or(0, super::node::Node::size);
        let weight = node.size() + below.iter().map(weigh).sum::<u64>();
        self.store.check_space(place.1, weight)?;
        let version = text(&body, "version").map(str::to_owned);
        let key = self.copy_to(node.key, &name, place, version.as_deref())?;
        self.tell("ITEM_COPY", key);
        self.shown(key, created)
    }

    fn copy_to(
        &mut self,
        from: Key,
        name: &str,
        place: (u64, u64),
        version: Option<&str>,
    ) -> Result<Key, Fault> {
        let Some(source) = self.store.nodes.get(&from).cloned() else {
            return Err(super::items::missing(from));
        };
        let mut copy = self.fresh(from.kind, name, place);
        copy.description = source.description.clone();
        copy.content_created = source.content_created;
        copy.content_modified = source.content_modified;
        copy.url = source.url.clone();
        let content = match version {
            None => source.current(),
            Some(id) => source.versions.iter().find(|one| one.id.to_string() == id),
        };
        if let Some(content) = content.map(|one| one.content.clone()) {
            copy.versions.push(self.fresh_version(name, content));
        } else if from.kind == Kind::File {
            return Err(Fault::missing("file_version", version.unwrap_or_default()));
        }
        let key = self.store.insert(copy)?;
        if from.kind == Kind::Folder {
            let children: Vec<(Key, String)> = self
                .store
                .children(self.me, from.id)
                .map(|(_, node)| (node.key, node.name.clone()))
                .collect();
            for (child, name) in children {
                self.copy_to(child, &name, (key.id, place.1), None)?;
            }
        }
        Ok(key)
    }
}
