//! Earlier contents of files.
//!
//! <https://developer.box.com/guides/files/file-versions/>

use serde_json::{Value, json};

use super::answer::{Answer, Fault, created, nothing, ok, time};
use super::call::Call;
use super::items::required;
use super::node::{Key, Kind, Version};
use super::show::user_mini;
use super::store::Store;

fn shown(store: &Store, version: &Version) -> Value {
    json!({
        "type": "file_version", "id": version.id.to_string(), "sha1": version.sha1,
        "name": version.name, "size": version.content.len(), "created_at": time(version.created),
        "modified_at": time(version.created), "modified_by": user_mini(store, version.modified_by),
        "trashed_at": version.trashed.map(time), "trashed_by": null, "purged_at": null,
    })
}

impl Call<'_> {
    /// `GET /files/:id/versions`: those before the current one, newest first.
    pub(super) fn versions(&mut self, id: &str) -> Answer {
        let node = self.store.seen(self.me, Kind::File, id)?;
        let mut past: Vec<&Version> = node.versions.iter().rev().skip(1).collect();
        past.sort_by_key(|one| std::cmp::Reverse(one.created));
        let (limit, offset) = (self.limit(1_000, 1_000)?, self.offset()?);
        let entries: Vec<Value> = past
            .iter()
            .skip(offset)
            .take(limit)
            .map(|version| shown(self.store, version))
            .collect();
        ok(&json!({
            "total_count": past.len(), "entries": entries, "limit": limit, "offset": offset,
            "order": [],
        }))
    }

    fn past(&self, id: &str, version: &str) -> Result<(Key, Version), Fault> {
        let node = self.store.seen(self.me, Kind::File, id)?;
        let found = node.versions.iter().find(|one| one.id.to_string() == version);
        let found = found.ok_or_else(|| Fault::missing("file_version", version))?;
        Ok((node.key, found.clone()))
    }

    fn change_versions(
        &mut self,
        id: &str,
        version: &str,
        change: impl FnOnce(&mut Vec<Version>, usize),
    ) -> Result<Key, Fault> {
        let (key, found) = self.past(id, version)?;
        if !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        if let Some(node) = self.store.nodes.get_mut(&key)
            && let Some(at) = node.versions.iter().position(|one| one.id == found.id)
        {
            change(&mut node.versions, at);
        }
        Ok(key)
    }

    /// `GET /files/:id/versions/:id`.
    pub(super) fn version(&mut self, id: &str, version: &str) -> Answer {
        let (_, found) = self.past(id, version)?;
        ok(&shown(self.store, &found))
    }

    /// `POST /files/:id/versions/current`: a copy of an old version becomes the newest.
    pub(super) fn promote(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let (key, old) = self.past(id, required(&body, "id")?)?;
        if old.trashed.is_some() {
            return Err(Fault::new(400, "bad_request", "The version is in the trash"));
        }
        if !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        let fresh = self.fresh_version(&old.name, old.content);
        let told = shown(self.store, &fresh);
        let now = self.store.now();
        if let Some(node) = self.store.nodes.get_mut(&key) {
            node.content_modified = now;
        }
        self.store.add_content(key, fresh);
        self.store.touch(key, self.me);
        self.tell("ITEM_UPLOAD", key);
        created(&told)
    }

    /// `DELETE /files/:id/versions/:id`: into the trash. The current version stays.
    pub(super) fn delete_version(&mut self, id: &str, version: &str) -> Answer {
        let (key, found) = self.past(id, version)?;
        let current = self.store.nodes.get(&key).and_then(|node| node.current());
        if current.is_some_and(|current| current.id == found.id) {
            return Err(Fault::new(403, "forbidden", "The current version cannot be deleted"));
        }
        let now = self.store.now();
        self.change_versions(id, version, |all, at| {
            if let Some(one) = all.get_mut(at) {
                one.trashed = Some(now);
            }
        })?;
        nothing()
    }

    /// `PUT /files/:id/versions/:id` with `trashed_at: null`: back from the trash.
    pub(super) fn restore_version(&mut self, id: &str, version: &str) -> Answer {
        self.change_versions(id, version, |all, at| {
            if let Some(one) = all.get_mut(at) {
                one.trashed = None;
            }
        })?;
        self.version(id, version)
    }
}
