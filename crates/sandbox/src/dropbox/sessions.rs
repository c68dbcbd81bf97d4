//! Upload sessions, sequential and concurrent.
//!
//! "Performance guide" and the functions `files/upload_session/*`: concurrent sessions take parts in any order, each
//! at a multiple of 4 MiB and, but for the last one, of a multiple of 4 MiB.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::State;
use super::World;
use super::auth::Caller;
use super::content::{commit, finish_error, matches_hash};
use super::drive::Moment;
use super::files::flag;
use super::refusal::{Refusal, tag, tag_of, tagged, with_members};
use super::render::{Wanted, node};

/// What parts of concurrent sessions are multiples of.
const STEP: u64 = 4 << 20;
/// Sessions live for so many seconds: 7 days.
const LIFE: i64 = 7 * 24 * 3_600;
/// The most sessions that are kept; the oldest go.
const MAX_SESSIONS: usize = 2_000;
/// The most bytes that all sessions hold in this machine's memory.
const MAX_BYTES: u64 = 1 << 30;

/// One session.
pub(super) struct Session {
    person: &'static str,
    concurrent: bool,
    closed: bool,
    pieces: BTreeMap<u64, Bytes>,
    begun: Timestamp,
    number: u64,
}

impl Session {
    fn len(&self) -> u64 {
        self.pieces.last_key_value().map_or(0, |(at, piece)| at + piece.len() as u64)
    }

    fn is_whole(&self) -> bool {
        let mut at = 0;
        self.pieces.iter().all(|(offset, piece)| {
            let fits = *offset == at;
            at += piece.len() as u64;
            fits
        })
    }

    fn held(&self) -> u64 {
        self.pieces.values().map(|piece| piece.len() as u64).sum()
    }

    fn whole(&self) -> Bytes {
        match self.pieces.values().next() {
            Some(only) if self.pieces.len() == 1 => only.clone(),
            _ => {
                let mut whole = BytesMut::new();
                for piece in self.pieces.values() {
                    whole.extend_from_slice(piece);
                }
                whole.freeze()
            }
        }
    }
}

fn offset_error(correct: u64) -> Value {
    with_members("incorrect_offset", json!({"correct_offset": correct}))
}

fn begin(world: &World, state: &mut State, person: &'static str, concurrent: bool) -> String {
    let now = world.now();
    state.sessions.retain(|_, session| now < session.begun.plus_seconds(LIFE));
    while state.sessions.len() >= MAX_SESSIONS {
        let oldest = state.sessions.iter().min_by_key(|(_, one)| one.number);
        let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
        state.sessions.remove(&oldest);
    }
    let number = state.sessions.values().map(|one| one.number).max().unwrap_or(0) + 1;
    let id = world.dice.token("pid_upload_session:ABz", 40);
    let session =
        Session { person, concurrent, closed: false, pieces: BTreeMap::new(), begun: now, number };
    state.sessions.insert(id.clone(), session);
    id
}

fn is_concurrent(arg: &Value) -> bool {
    arg.get("session_type").and_then(tag_of) == Some("concurrent")
}

/// `upload_session/start_batch`.
pub(super) fn start_batch(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let count = arg.get("num_sessions").and_then(Value::as_u64).unwrap_or(0);
    if !(1..=1_000).contains(&count) {
        return Err(Refusal::Bad(format!(
            "request body: num_sessions: {count} is not within range [1, 1000]"
        )));
    }
    let mut state = world.state();
    let ids: Vec<String> =
        (0..count).map(|_| begin(world, &mut state, caller.by.id, is_concurrent(arg))).collect();
    Ok(json!({"session_ids": ids}))
}

/// The functions that carry content.
pub(super) fn upload(
    world: &World,
    caller: &Caller,
    name: &str,
    arg: &Value,
    bytes: Bytes,
) -> Result<Value, Refusal> {
    if !matches_hash(arg, &bytes) {
        return Err(Refusal::Route(tag("content_hash_mismatch")));
    }
    let moment = world.moment();
    let mut state = world.state();
    match name {
        "files/upload_session/start" => {
            let concurrent = is_concurrent(arg);
            if concurrent && !bytes.is_empty() {
                return Err(Refusal::Route(tag("concurrent_session_data_not_allowed")));
            }
            if concurrent && flag(arg, "close") {
                return Err(Refusal::Route(tag("concurrent_session_close_not_allowed")));
            }
            let id = begin(world, &mut state, caller.by.id, concurrent);
            if let Some(session) = state.sessions.get_mut(&id) {
                if !bytes.is_empty() {
                    session.pieces.insert(0, bytes);
                }
                session.closed = flag(arg, "close");
            }
            Ok(json!({"session_id": id}))
        }
        "files/upload_session/append_v2" => {
            let close = flag(arg, "close");
            append(&mut state, caller, arg, bytes, close).map_err(Refusal::Route)?;
            Ok(Value::Null)
        }
        _ => {
            if !bytes.is_empty() {
                let concurrent = session(&mut state, caller, arg).is_ok_and(|one| one.concurrent);
                if concurrent {
                    return Err(Refusal::Route(tag("concurrent_session_data_not_allowed")));
                }
                append(&mut state, caller, arg, bytes.clone(), false)
                    .map_err(|error| Refusal::Route(tagged("lookup_failed", error)))?;
            }
            let made = finish(&mut state, caller, arg, bytes.len() as u64, &moment)?;
            made.map_err(Refusal::Route)
        }
    }
}

fn cursor(arg: &Value) -> (String, u64) {
    let cursor = arg.get("cursor").cloned().unwrap_or_default();
    let id = cursor.get("session_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    (id, cursor.get("offset").and_then(Value::as_u64).unwrap_or(0))
}

fn session<'a>(
    state: &'a mut State,
    caller: &Caller,
    arg: &Value,
) -> Result<&'a mut Session, Value> {
    let (id, _) = cursor(arg);
    let session = state.sessions.get_mut(&id);
    session.filter(|one| one.person == caller.by.id).ok_or_else(|| tag("not_found"))
}

fn append(
    state: &mut State,
    caller: &Caller,
    arg: &Value,
    bytes: Bytes,
    close: bool,
) -> Result<(), Value> {
    let held: u64 = state.sessions.values().map(Session::held).sum();
    let (_, offset) = cursor(arg);
    let session = session(state, caller, arg)?;
    if held + bytes.len() as u64 > MAX_BYTES {
        return Err(tag("too_large"));
    }
    if session.closed && !session.concurrent {
        return Err(tag("closed"));
    }
    if session.concurrent {
        if !offset.is_multiple_of(STEP) {
            return Err(tag("concurrent_session_invalid_offset"));
        }
        if !close && !(bytes.len() as u64).is_multiple_of(STEP) {
            return Err(tag("concurrent_session_invalid_data_size"));
        }
    } else if offset != session.len() {
        return Err(offset_error(session.len()));
    }
    if !bytes.is_empty() {
        session.pieces.insert(offset, bytes);
    }
    session.closed |= close;
    Ok(())
}

/// Makes the file. `more`: bytes that came with the call itself.
fn finish(
    state: &mut State,
    caller: &Caller,
    arg: &Value,
    more: u64,
    moment: &Moment<'_>,
) -> Result<Result<Value, Value>, Refusal> {
    let (id, offset) = cursor(arg);
    let session = match session(state, caller, arg) {
        Ok(session) => session,
        Err(error) => return Ok(Err(tagged("lookup_failed", error))),
    };
    if session.concurrent && !session.closed {
        return Ok(Err(tag("concurrent_session_not_closed")));
    }
    if !session.is_whole() {
        return Ok(Err(tag("concurrent_session_missing_data")));
    }
    if offset + more != session.len() {
        return Ok(Err(tagged("lookup_failed", offset_error(session.len()))));
    }
    let whole = session.whole();
    let info = arg.get("commit").cloned().unwrap_or_default();
    let made = commit(state.drive(caller.person)?, &info, whole, moment)?;
    Ok(match made {
        Ok(made) => {
            state.sessions.remove(&id);
            Ok(node(&made, &Wanted::default()))
        }
        Err(error) => Err(finish_error(error)),
    })
}

/// `upload_session/finish_batch_v2`.
pub(super) fn finish_batch(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let entries = arg.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut done = Vec::new();
    for entry in &entries {
        done.push(match finish(&mut state, caller, entry, 0, &moment)? {
            Ok(file) => with_members("success", file),
            Err(error) => tagged("failure", error),
        });
    }
    Ok(json!({"entries": done}))
}
