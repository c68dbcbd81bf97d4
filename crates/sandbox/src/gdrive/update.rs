//! Metadata changed: names, places, the trash, properties.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use serde_json::Value;
use tramontane_model::Timestamp;

use super::Google;
use super::call::{Call, object};
use super::fault::{Answer, Fault};
use super::files::{Incoming, parent_for};
use super::render::FILE_FIELDS;
use super::state::{File, Role, State, Trashed, revision};

/// The most bytes of a property's key and value together.
const MAX_PROPERTY: usize = 124;
/// The most public properties of a file, and the most of one application's own.
const MAX_PROPERTIES: usize = 30;

/// A text of a JSON object.
pub(super) fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of.get(name).and_then(Value::as_str)
}

fn moment(of: &Value, name: &str) -> Answer<Option<Timestamp>> {
    let Some(written) = text(of, name) else { return Ok(None) };
    Timestamp::parse(written)
        .map(Some)
        .ok_or_else(|| Fault::bad("invalid", format!("Invalid value for: {name}")))
}

/// Writes what the metadata says of a file itself.
pub(super) fn apply(file: &mut File, meta: &Value, call: &Call) -> Answer<()> {
    if let Some(name) = text(meta, "name") {
        name.clone_into(&mut file.name);
    }
    if let Some(description) = text(meta, "description") {
        file.description = Some(description.to_owned());
    }
    match meta.get("starred").and_then(Value::as_bool) {
        Some(true) => {
            file.starred.insert(call.person.id);
        }
        Some(false) => {
            file.starred.remove(call.person.id);
        }
        None => {}
    }
    if let Some(at) = moment(meta, "modifiedTime")? {
        file.modified = at;
    }
    if let Some(at) = moment(meta, "createdTime")? {
        file.created = at;
    }
    if let Some(at) = moment(meta, "viewedByMeTime")? {
        file.viewed.insert(call.person.id, at);
    }
    if let Some(color) = text(meta, "folderColorRgb") {
        file.color = Some(color.to_owned());
    }
    if let Some(may) = meta.get("writersCanShare").and_then(Value::as_bool) {
        file.writers_can_share = may;
    }
    if let Some(needs) = meta.get("copyRequiresWriterPermission").and_then(Value::as_bool) {
        file.copy_needs_writer = needs;
    }
    properties(file, meta, call)
}

fn properties(file: &mut File, meta: &Value, call: &Call) -> Answer<()> {
    for (name, private) in [("properties", false), ("appProperties", true)] {
        let Some(Value::Object(changes)) = meta.get(name) else { continue };
        for (key, value) in changes {
            let own = (call.client.clone(), key.clone());
            match value {
                Value::Null if private => {
                    file.app_properties.remove(&own);
                }
                Value::Null => {
                    file.properties.remove(key);
                }
                Value::String(value) => {
                    if key.len() + value.len() > MAX_PROPERTY {
                        return Err(Fault::forbidden(
                            "propertyTooLarge",
                            "The combined key and value of a property is limited to 124 bytes.",
                        ));
                    }
                    if private {
                        file.app_properties.insert(own, value.clone());
                    } else {
                        file.properties.insert(key.clone(), value.clone());
                    }
                }
                _ => return Err(Fault::bad("invalid", "Invalid property value.")),
            }
        }
        let own = file.app_properties.keys().filter(|(client, _)| *client == call.client).count();
        if file.properties.len() > MAX_PROPERTIES || own > MAX_PROPERTIES {
            return Err(Fault::forbidden(
                "tooManyProperties",
                "The number of properties exceeds the limit.",
            ));
        }
    }
    Ok(())
}

/// `PATCH files/{id}`: metadata only.
pub(super) async fn update(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let id = google.change(&call, &id, &meta, None)?;
    let state = google.state();
    let (file, _) = state.seen(call.person, &id, true, call.now)?;
    call.reply(state.render(file, &call), FILE_FIELDS)
}

impl Google {
    /// Changes a file, with or without new content. Gives its id.
    pub(super) fn change(
        &self,
        call: &Call,
        id: &str,
        meta: &Value,
        incoming: Option<Incoming>,
    ) -> Answer<String> {
        let mut state = self.state();
        let (file, role) = state.seen(call.person, id, call.all_drives(), call.now)?;
        if meta.get("parents").is_some() {
            return Err(Fault::forbidden(
                "fieldNotWritable",
                "The parents field is not directly writable in update requests. Use the addParents and removeParents parameters instead.",
            ));
        }
        let before = state.audience(file, call.now);
        let id = file.id.clone();
        let mut changed = file.clone();
        // Stars and views are everyone's own; the rest takes a writer.
        let only_own = meta.as_object().is_some_and(|members| {
            members.keys().all(|name| matches!(name.as_str(), "starred" | "viewedByMeTime"))
        }) && incoming.is_none();
        let moves = call.text("addParents").is_some() || call.text("removeParents").is_some();
        if role < Role::Writer && (!only_own || moves) {
            return Err(Fault::role());
        }
        if state.is_root(file) && (moves || text(meta, "name").is_some()) {
            return Err(Fault::role());
        }
        let mut kind = ("update", if incoming.is_some() { "content" } else { "properties" });
        if let Some(trashed) = meta.get("trashed").and_then(Value::as_bool) {
            if state.is_root(file) || role < State::role_to_delete(file, false) {
                return Err(Fault::role());
            }
            changed.trashed = match (trashed, changed.trashed) {
                (true, None) => Some(Trashed { at: call.now, by: call.person }),
                (true, there) => there,
                (false, _) => None,
            };
            kind = (if trashed { "trash" } else { "untrash" }, "");
        }
        apply(&mut changed, meta, call)?;
        if moves {
            relocate(&state, call, &mut changed, role)?;
            kind.1 = "parents";
        }
        if let Some(content) = incoming {
            self.replace(&state, call, meta, &mut changed, content)?;
        }
        changed.version += 1;
        let drive = changed.drive.clone();
        let moved_between = drive != file.drive;
        state.put(changed);
        if moved_between {
            // What is below goes along.
            for below in state.tree(&id) {
                if let Some(file) = state.files.get_mut(&below) {
                    file.drive.clone_from(&drive);
                    file.owner = drive.is_none().then_some(call.person);
                }
            }
        }
        self.note_file(&mut state, &id, before, kind.0, kind.1);
        Ok(id)
    }

    fn replace(
        &self,
        state: &State,
        call: &Call,
        meta: &Value,
        file: &mut File,
        content: Incoming,
    ) -> Answer<()> {
        if file.is_folder() || file.target.is_some() {
            return Err(Fault::forbidden(
                "fileNotDownloadable",
                "Only files with binary content can be updated.",
            ));
        }
        let size = content.bytes.len() as u64;
        if !state.has_room(file.owner, size) {
            return Err(Fault::full());
        }
        let sent = content.mime.filter(|mime| mime != "application/octet-stream");
        if file.is_blob() {
            file.mime = text(meta, "mimeType").map(str::to_owned).or(sent).unwrap_or_else(|| {
                mime_guess::from_path(&file.name).first_or_octet_stream().to_string()
            });
        }
        let dice = &self.0.lent.dice;
        let (mime, name) = (file.mime.clone(), file.name.clone());
        let mut head = revision(dice, content.bytes, &mime, &name, call.person, call.now);
        head.keep_forever = call.flag("keepRevisionForever");
        file.revisions.push(head);
        // The oldest go that nobody pinned: a hundred stay.
        while file.revisions.len() > 100 {
            let Some(at) = file.revisions.iter().position(|one| !one.keep_forever) else { break };
            file.revisions.remove(at);
        }
        file.modified = moment(meta, "modifiedTime")?.unwrap_or(call.now);
        file.modified_by = call.person;
        Ok(())
    }
}

/// Puts a file into another folder. It has one folder only, so that adding one takes it out of the other.
fn relocate(state: &State, call: &Call, file: &mut File, role: Role) -> Answer<()> {
    let several = |name: &str| -> Vec<String> {
        let given = call.text(name).unwrap_or_default().split(',').map(str::trim);
        let real = |id: &str| match id {
            "root" => state.root(call.person).to_owned(),
            other => other.to_owned(),
        };
        given.filter(|id| !id.is_empty()).map(real).collect()
    };
    let (added, removed) = (several("addParents"), several("removeParents"));
    let Some(to) = added.first() else {
        return Err(Fault::forbidden(
            "cannotRemoveParent",
            "Removing the last parent of a file is not supported.",
        ));
    };
    let leaves = file.parent.as_ref().is_none_or(|from| removed.contains(from));
    if added.len() > 1 || (!leaves && file.owner != Some(call.person)) {
        return Err(Fault::forbidden(
            "cannotAddParent",
            "Increasing the number of parents is not allowed",
        ));
    }
    let asked = serde_json::json!({"parents": [to]});
    let (folder, drive) = parent_for(state, call, &asked)?;
    let target = state.files.get(&folder).ok_or_else(|| Fault::no_file(&folder))?;
    if state.line(target).any(|above| above.id == file.id) {
        return Err(Fault::bad(
            "badRequest",
            "A folder cannot be moved into itself or one of its descendants.",
        ));
    }
    if drive != file.drive {
        if file.is_folder() && drive.is_some() {
            return Err(Fault::forbidden(
                "teamDrivesFolderMoveInNotSupported",
                "Moving folders into shared drives is not supported.",
            ));
        }
        if role < State::role_to_delete(file, false) {
            return Err(Fault::role());
        }
        file.owner = drive.is_none().then_some(call.person);
        file.drive = drive;
    }
    file.parent = Some(folder);
    Ok(())
}
