//! Revisions: earlier contents of files.
//!
//! Source: "Manage file revisions" of the Drive API.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};

use super::Google;
use super::call::{Call, nothing, object};
use super::content;
use super::fault::{Answer, Fault};
use super::render::user;
use super::state::{File, Revision, Role, State, time};

const FIELDS: &str = "kind,id,mimeType,modifiedTime";
const LIST_FIELDS: &str = "kind,nextPageToken,revisions(kind,id,mimeType,modifiedTime)";

fn render(one: &Revision, file: &File, call: &Call) -> Value {
    let mut shown = json!({
        "kind": "drive#revision", "id": one.id, "mimeType": one.mime,
        "modifiedTime": time(one.modified), "lastModifyingUser": user(one.by, call.person),
    });
    if let (true, Some(members)) = (file.is_blob(), shown.as_object_mut()) {
        members.insert("keepForever".into(), one.keep_forever.into());
        members.insert("published".into(), one.published.into());
        members.insert("size".into(), one.content.len().to_string().into());
        members.insert("md5Checksum".into(), one.md5.clone().into());
        members.insert("originalFilename".into(), one.original_name.clone().into());
    }
    shown
}

fn file_of<'a>(state: &'a State, call: &Call, id: &str) -> Answer<&'a File> {
    // Revisions know no `supportsAllDrives`.
    let file = state.with_role(call.person, id, true, call.now, Role::Writer)?;
    if file.is_folder() || file.revisions.is_empty() {
        return Err(Fault::forbidden(
            "revisionsNotSupported",
            "The file does not support revisions.",
        ));
    }
    Ok(file)
}

fn revision_of<'a>(file: &'a File, id: &str) -> Answer<&'a Revision> {
    let wanted = |one: &&Revision| id == "head" || one.id == id;
    let found = file.revisions.iter().rev().find(wanted);
    found.ok_or_else(|| Fault::not_found(format!("Revision not found: {id}.")))
}

/// `GET files/{id}/revisions`: the oldest first.
pub(super) async fn list(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let size = call.page_size(200, 1_000)?;
    let state = google.state();
    let file = file_of(&state, &call, &id)?;
    let from = match call.text("pageToken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|from| *from < file.revisions.len())
            .ok_or_else(|| Fault::invalid("pageToken", "Invalid Value"))?,
    };
    let page = file.revisions.iter().skip(from).take(size);
    let page: Vec<Value> = page.map(|one| render(one, file, &call)).collect();
    let mut answer = json!({"kind": "drive#revisionList", "revisions": page});
    if let (true, Some(members)) = (from + size < file.revisions.len(), answer.as_object_mut()) {
        members.insert("nextPageToken".into(), (from + size).to_string().into());
    }
    call.reply(answer, LIST_FIELDS)
}

/// `GET files/{id}/revisions/{revision}`: metadata, or with `alt=media` the content.
pub(super) async fn get(
    Shared(google): Shared<Google>,
    Path((id, revision)): Path<(String, String)>,
    headers: HeaderMap,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let state = google.state();
    let file = file_of(&state, &call, &id)?;
    let one = revision_of(file, &revision)?;
    if call.text("alt") == Some("media") {
        if !file.is_blob() {
            return Err(Fault::forbidden(
                "fileNotDownloadable",
                "Only files with binary content can be downloaded. Use Export with Docs Editors files.",
            ));
        }
        return content::bytes(&one.content, &one.mime, &headers);
    }
    call.reply(render(one, file, &call), FIELDS)
}

/// `PATCH files/{id}/revisions/{revision}`: whether it is kept forever, or published.
pub(super) async fn update(
    Shared(google): Shared<Google>,
    Path((id, revision)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let mut state = google.state();
    let file = file_of(&state, &call, &id)?;
    let (id, revision) = (file.id.clone(), revision_of(file, &revision)?.id.clone());
    let pinned = file.revisions.iter().filter(|one| one.keep_forever).count();
    let pins = meta.get("keepForever").and_then(Value::as_bool);
    if pins == Some(true) && pinned >= 200 {
        return Err(Fault::forbidden(
            "revisionPinLimitExceeded",
            "At most 200 revisions of a file can be kept forever.",
        ));
    }
    let file = state.files.get_mut(&id).ok_or_else(|| Fault::no_file(&id))?;
    if let Some(one) = file.revisions.iter_mut().find(|one| one.id == revision) {
        one.keep_forever = pins.unwrap_or(one.keep_forever);
        one.published = meta.get("published").and_then(Value::as_bool).unwrap_or(one.published);
    }
    file.version += 1;
    google.note_file(&mut state, &id, BTreeSet::new(), "update", "properties");
    let file = file_of(&state, &call, &id)?;
    call.reply(render(revision_of(file, &revision)?, file, &call), FIELDS)
}

/// `DELETE files/{id}/revisions/{revision}`: not the one that the file has now.
pub(super) async fn delete(
    Shared(google): Shared<Google>,
    Path((id, revision)): Path<(String, String)>,
    call: Call,
) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    let file = file_of(&state, &call, &id)?;
    let one = revision_of(file, &revision)?;
    if !file.is_blob() {
        return Err(Fault::forbidden(
            "revisionDeletionNotSupported",
            "Revisions of this file cannot be deleted.",
        ));
    }
    if file.head().is_some_and(|head| head.id == one.id) {
        return Err(Fault::forbidden(
            "cannotDeleteOnlyRevision",
            "The last revision of a file cannot be deleted.",
        ));
    }
    let (id, revision) = (file.id.clone(), one.id.clone());
    let mut changed = file.clone();
    changed.revisions.retain(|one| one.id != revision);
    changed.version += 1;
    state.put(changed);
    google.note_file(&mut state, &id, BTreeSet::new(), "update", "properties");
    Ok(nothing())
}
