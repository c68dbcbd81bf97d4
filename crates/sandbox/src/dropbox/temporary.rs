//! Links that need no token: for reading a file, and for writing one.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json, Response};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::auth::Caller;
use super::call::MAX_UPLOAD;
use super::content::{commit, content_of};
use super::drive::Revision;
use super::path::Asked;
use super::refusal::{Refusal, path_error, tag};
use super::render::revision;
use super::{World, mounts};
use crate::people::Person;

/// The most links that are kept; the oldest go.
const MAX_TICKETS: usize = 5_000;
/// How long a link for reading is good, in seconds: four hours.
const READ_LIFE: i64 = 4 * 3_600;

/// What a link opens.
pub(super) enum What {
    Read(Revision),
    Write(&'static Person, Value),
}

/// One link.
pub(super) struct Ticket {
    what: What,
    until: Timestamp,
}

fn keep(world: &World, what: What, seconds: i64) -> String {
    let mut state = world.state();
    let now = world.now();
    state.tickets.retain(|_, ticket| now < ticket.until);
    if state.tickets.len() >= MAX_TICKETS {
        state.tickets.pop_first();
    }
    let id = world.dice.token("", 43);
    state.tickets.insert(id.clone(), Ticket { what, until: now.plus_seconds(seconds) });
    id
}

/// `files/get_temporary_link`.
pub(super) fn link(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let asked = Asked::read(arg, "path")?;
    let found = {
        let mut state = world.state();
        let drive = state.drive(caller.person)?;
        let node = drive.find(&asked).map_err(path_error)?;
        node.file.clone().ok_or_else(|| path_error("not_file"))?
    };
    if found.paper {
        return Err(Refusal::Route(tag("unsupported_file")));
    }
    let metadata = revision(&found);
    let id = keep(world, What::Read(found), READ_LIFE);
    Ok(json!({"metadata": metadata, "link": format!("{}temporary/{id}", caller.base)}))
}

/// `files/get_temporary_upload_link`.
pub(super) fn upload_link(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let info = arg.get("commit_info").cloned().unwrap_or_default();
    Asked::read(&info, "path")?;
    let seconds = arg.get("duration").and_then(Value::as_f64).unwrap_or(14_400.0);
    if !(60.0..=14_400.0).contains(&seconds) {
        return Err(Refusal::Bad(format!(
            "request body: duration: {seconds} is not within range [60.0, 14400.0]"
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let id = keep(world, What::Write(caller.person, info), seconds as i64);
    Ok(json!({"link": format!("{}apitul/1/{id}", caller.base)}))
}

pub(super) async fn download(
    State(world): State<World>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let state = world.state();
    match state.tickets.get(&id) {
        Some(Ticket { what: What::Read(found), until }) if world.now() < *until => {
            match content_of(found, &headers) {
                Ok(mut answer) => {
                    answer.headers_mut().remove("Dropbox-API-Result");
                    answer
                }
                Err(refusal) => refusal.answer("temporary"),
            }
        }
        _ => StatusCode::GONE.into_response(),
    }
}

pub(super) async fn upload(
    State(world): State<World>,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let Ok(whole) = Limited::new(body, MAX_UPLOAD).collect().await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let moment = world.moment();
    let mut state = world.state();
    // A link is good for one upload.
    let (person, info) = match state.tickets.remove(&id) {
        Some(Ticket { what: What::Write(person, info), until }) if moment.now < until => {
            (person, info)
        }
        _ => return StatusCode::GONE.into_response(),
    };
    let drive = match state.drive(person) {
        Ok(drive) => drive,
        Err(refusal) => return refusal.answer("apitul"),
    };
    let done = commit(drive, &info, whole.to_bytes(), &moment);
    drop(state);
    for other in mounts::mirror(&world, person) {
        world.changed(other);
    }
    world.changed(person);
    match done {
        Ok(Ok(made)) => {
            let hash = made.file.map(|file| file.hash).unwrap_or_default();
            Json(json!({"content-hash": hash})).into_response()
        }
        Ok(Err(error)) => (StatusCode::CONFLICT, Json(error)).into_response(),
        Err(refusal) => refusal.answer("apitul"),
    }
}
