//! Files: read, made without content, copied, deleted; ids handed out beforehand; the trash emptied.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Json, Response};
use http::HeaderMap;
use serde_json::{Value, json};

use super::Google;
use super::call::{Call, nothing, object};
use super::content;
use super::fault::{Answer, Fault};
use super::render::FILE_FIELDS;
use super::state::{FOLDER, File, Role, SHORTCUT, State, blank, revision};
use super::update::{self, text};

/// `GET files/{id}`: metadata, or with `alt=media` the content.
pub(super) async fn get(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    headers: HeaderMap,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let state = google.state();
    let (file, role) = state.seen(call.person, &id, call.all_drives(), call.now)?;
    if call.text("alt") == Some("media") {
        return content::media(file, role, &headers, &call);
    }
    call.reply(state.render(file, &call), FILE_FIELDS)
}

/// `POST files`: metadata only.
pub(super) async fn create(
    Shared(google): Shared<Google>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let id = google.make(&call, &meta, None)?;
    let state = google.state();
    let (file, _) = state.seen(call.person, &id, true, call.now)?;
    call.reply(state.render(file, &call), FILE_FIELDS)
}

/// Content that comes with a request.
pub(super) struct Incoming {
    pub(super) bytes: bytes::Bytes,
    pub(super) mime: Option<String>,
}

/// The media type of new content: as the metadata says, as the content came, as the name suggests.
fn mime_of(meta: &Value, incoming: Option<&Incoming>, name: &str) -> String {
    let sent = incoming.and_then(|content| content.mime.as_deref());
    let sent = sent.filter(|mime| *mime != "application/octet-stream");
    match (text(meta, "mimeType").or(sent), incoming) {
        (Some(mime), _) => mime.to_owned(),
        (None, _) => mime_guess::from_path(name).first_or_octet_stream().to_string(),
    }
}

/// Whether an id may be given to a new file: of the form that `generateIds` hands out.
fn is_usable(id: &str) -> bool {
    id.len() == 33
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl Google {
    /// Makes a file of metadata, with or without content. Gives its id.
    pub(super) fn make(
        &self,
        call: &Call,
        meta: &Value,
        incoming: Option<Incoming>,
    ) -> Answer<String> {
        let name = text(meta, "name").unwrap_or("Untitled").to_owned();
        let mime = mime_of(meta, incoming.as_ref(), &name);
        let editor = mime.starts_with("application/vnd.google-apps.");
        let id = match text(meta, "id") {
            Some(id) if !is_usable(id) => {
                return Err(Fault::bad("invalid", "The provided file ID is not usable."));
            }
            Some(_) if editor && mime != FOLDER => {
                return Err(Fault::bad(
                    "invalid",
                    "Generated IDs are not supported for Docs Editors formats.",
                ));
            }
            Some(id) => id.to_owned(),
            None => self.new_id(),
        };
        let mut state = self.state();
        if state.files.contains_key(&id) {
            return Err(Fault::taken());
        }
        if state.is_crowded() {
            return Err(Fault::forbidden("numberOfFilesLimitExceeded", "The sandbox is full."));
        }
        let above = parent_for(&state, call, meta)?;
        let size = incoming.as_ref().map_or(0, |content| content.bytes.len() as u64);
        let owner = above.1.is_none().then_some(call.person);
        if !state.has_room(owner, size) {
            return Err(Fault::full());
        }
        let mut file = blank(id.clone(), name.clone(), mime.clone(), call.person, call.now);
        file.parent = Some(above.0);
        file.drive = above.1;
        file.owner = owner;
        file.viewed.insert(call.person.id, call.now);
        if mime == SHORTCUT {
            file.target = Some(target_of(&state, call, meta)?);
        }
        update::apply(&mut file, meta, call)?;
        // A file that is made without content is an empty one.
        let bytes = incoming.map_or_else(bytes::Bytes::new, |content| content.bytes);
        if file.is_blob() || super::documents::kind(&mime).is_some() {
            let mut head = revision(&self.0.lent.dice, bytes, &mime, &name, call.person, call.now);
            head.keep_forever = call.flag("keepRevisionForever");
            file.revisions.push(head);
        }
        state.put(file);
        self.note_file(&mut state, &id, BTreeSet::new(), "add", "");
        Ok(id)
    }
}

/// The folder that new things go to, and the shared drive that it is in.
pub(super) fn parent_for(
    state: &State,
    call: &Call,
    meta: &Value,
) -> Answer<(String, Option<String>)> {
    let asked: Vec<&str> = match meta.get("parents") {
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if asked.len() > 1 {
        return Err(Fault::bad("invalid", "A file cannot have more than one parent."));
    }
    let id = asked.first().copied().unwrap_or("root");
    let (folder, role) = state.seen(call.person, id, call.all_drives(), call.now)?;
    if !folder.is_folder() {
        return Err(Fault::forbidden("parentNotAFolder", "The specified parent is not a folder."));
    }
    if role < Role::Writer {
        return Err(Fault::role());
    }
    Ok((folder.id.clone(), folder.drive.clone()))
}

fn target_of(state: &State, call: &Call, meta: &Value) -> Answer<(String, String)> {
    let id = meta.pointer("/shortcutDetails/targetId").and_then(Value::as_str);
    let id = id.ok_or_else(|| {
        Fault::bad("shortcutTargetInvalid", "The shortcut's target ID is missing.")
    })?;
    let (target, _) = state.seen(call.person, id, true, call.now)?;
    if target.mime == SHORTCUT {
        let text = "A shortcut cannot have another shortcut as its target.";
        return Err(Fault::bad("shortcutTargetInvalid", text));
    }
    Ok((target.id.clone(), target.mime.clone()))
}

/// `POST files/{id}/copy`.
pub(super) async fn copy(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let mut state = google.state();
    let (source, role) = state.seen(call.person, &id, call.all_drives(), call.now)?;
    let may = role >= Role::Writer || !source.copy_needs_writer;
    if source.is_folder() || !may {
        return Err(Fault::forbidden("cannotCopyFile", "This file cannot be copied by the user."));
    }
    let source = source.clone();
    // Beside the source where the caller may write there, else into My Drive.
    let beside = meta.get("parents").is_none() && source.parent.is_some();
    let place = match beside {
        true => parent_for(&state, &call, &json!({"parents": [source.parent]}))
            .or_else(|_| parent_for(&state, &call, &json!({})))?,
        false => parent_for(&state, &call, &meta)?,
    };
    let fresh = match text(&meta, "id") {
        Some(id) if state.files.contains_key(id) => return Err(Fault::taken()),
        Some(id) if !is_usable(id) || !source.is_blob() => {
            return Err(Fault::bad("invalid", "The provided file ID is not usable."));
        }
        Some(id) => id.to_owned(),
        None => google.new_id(),
    };
    let head = source.head().cloned();
    let size = head.as_ref().map_or(0, |one| one.content.len() as u64);
    let owner = place.1.is_none().then_some(call.person);
    if !state.has_room(owner, size) {
        return Err(Fault::full());
    }
    let name =
        text(&meta, "name").map_or_else(|| format!("Copy of {}", source.name), str::to_owned);
    let mime = text(&meta, "mimeType").unwrap_or(&source.mime).to_owned();
    let mut made = blank(fresh.clone(), name.clone(), mime.clone(), call.person, call.now);
    made.parent = Some(place.0);
    made.drive = place.1;
    made.owner = owner;
    made.target.clone_from(&source.target);
    made.description.clone_from(&source.description);
    made.properties.clone_from(&source.properties);
    made.viewed.insert(call.person.id, call.now);
    update::apply(&mut made, &meta, &call)?;
    if let Some(head) = head {
        let dice = &google.0.lent.dice;
        made.revisions.push(revision(dice, head.content, &mime, &name, call.person, call.now));
    }
    state.put(made);
    google.note_file(&mut state, &fresh, BTreeSet::new(), "add", "");
    let (file, _) = state.seen(call.person, &fresh, true, call.now)?;
    call.reply(state.render(file, &call), FILE_FIELDS)
}

/// `DELETE files/{id}`: for good, with everything below.
pub(super) async fn delete(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    let (file, role) = state.seen(call.person, &id, call.all_drives(), call.now)?;
    if state.is_root(file) || role < State::role_to_delete(file, true) {
        return Err(Fault::role());
    }
    let id = file.id.clone();
    google.erase(&mut state, &id);
    Ok(nothing())
}

impl Google {
    /// Takes a file and everything below it away for good.
    pub(super) fn erase(&self, state: &mut State, id: &str) {
        let now = self.now();
        for id in state.tree(id).into_iter().rev() {
            let Some(file) = state.files.get(&id) else { continue };
            let before = state.audience(file, now);
            let drive = file.drive.clone();
            state.remove(&id);
            self.note_gone(state, &id, drive, before);
        }
    }
}

/// `DELETE files/trash`: one's own, or with `driveId` a shared drive's.
pub(super) async fn empty_trash(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    let fits: Box<dyn Fn(&File) -> bool> = match call.text("driveId") {
        Some(drive) => {
            let root = state.files.get(drive).filter(|file| file.drive.as_deref() == Some(drive));
            let role = root.and_then(|root| state.role(call.person, root, call.now));
            match role {
                None => return Err(Fault::not_found(format!("Shared drive not found: {drive}"))),
                Some(role) if role < Role::Organizer => return Err(Fault::role()),
                Some(_) => {}
            }
            let drive = drive.to_owned();
            Box::new(move |file: &File| file.drive.as_ref() == Some(&drive))
        }
        None => Box::new(|file: &File| file.owner == Some(call.person)),
    };
    let doomed = state.files.values().filter(|file| file.trashed.is_some() && fits(file));
    let doomed: Vec<String> = doomed.map(|file| file.id.clone()).collect();
    for id in doomed {
        google.erase(&mut state, &id);
    }
    Ok(nothing())
}

/// `GET files/generateIds`.
pub(super) async fn generate_ids(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.writes()?;
    let count = call.text("count").unwrap_or("10");
    let count = count.parse::<usize>().ok().filter(|count| (1..=1_000).contains(count));
    let count = count.ok_or_else(|| Fault::invalid("count", "Invalid Value"))?;
    let ids: Vec<String> = (0..count).map(|_| google.new_id()).collect();
    let answer = json!({"kind": "drive#generatedIds", "space": "drive", "ids": ids});
    Ok(Json(call.mask("*")?.apply(answer)).into_response())
}
