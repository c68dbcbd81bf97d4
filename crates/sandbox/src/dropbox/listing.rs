//! `files/list_folder` with its cursors: the listing first, then every change since it began; long polls.
//!
//! "Detecting Changes Guide": <https://developers.dropbox.com/detecting-changes-guide>

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::World;
use super::auth::Caller;
use super::drive::Drive;
use super::files::flag;
use super::path::{Asked, below, lower, split};
use super::refusal::{Refusal, path_error, tag};
use super::render::{Wanted, deleted, metadata};

/// The most entries of a page, and how many when the caller does not say.
const MAX_PAGE: usize = 2_000;
const USUAL_PAGE: usize = 500;
/// How often a long poll looks for changes that are told late.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a cursor holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cursor {
    person: String,
    /// The folder, in lower case.
    folder: String,
    recursive: bool,
    deleted: bool,
    limit: usize,
    generation: u64,
    #[serde(default)]
    templates: Option<Vec<String>>,
    /// The last key that the listing gave; `None` when the listing is over.
    after: Option<String>,
    /// Changes after this one are still to be told.
    sequence: u64,
}

impl Cursor {
    fn write(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("AA{}", BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix("AA")?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn covers(&self, key: &str) -> bool {
        let rest = key.strip_prefix(self.folder.as_str());
        let Some(rest) = rest else { return false };
        if rest.is_empty() {
            return self.recursive && !self.folder.is_empty();
        }
        rest.starts_with('/')
            && (self.recursive || split(key).is_some_and(|(up, _)| up == self.folder))
    }

    fn wanted(&self) -> Wanted {
        Wanted { templates: self.templates.clone(), shared_members: false }
    }
}

/// Whose files a cursor is of.
pub(super) fn whose(cursor: &str) -> Option<String> {
    Cursor::read(cursor).map(|cursor| cursor.person)
}

fn begin(drive: &Drive, arg: &Value) -> Result<Cursor, Refusal> {
    let asked = Asked::read(arg, "path")?;
    if asked == Asked::Path("/".into()) {
        return Err(Refusal::Bad(
            "request body: path: Specify the root folder as an empty string rather than as \"/\"."
                .into(),
        ));
    }
    let path = drive.path_of(&asked).map_err(path_error)?;
    match drive.node(&path) {
        Some(node) if !node.is_folder() => return Err(path_error("not_folder")),
        None if !path.is_empty() => return Err(path_error("not_found")),
        _ => {}
    }
    let limit = match arg.get("limit").and_then(Value::as_u64) {
        None => USUAL_PAGE,
        Some(limit @ 1..=2_000) => usize::try_from(limit).unwrap_or(MAX_PAGE),
        Some(limit) => {
            return Err(Refusal::Bad(format!(
                "request body: limit: {limit} is not within range [1, 2000]"
            )));
        }
    };
    let limit = if drive.quirks.page == 0 { limit } else { limit.min(drive.quirks.page) };
    Ok(Cursor {
        person: drive.person.id.to_owned(),
        folder: lower(&path),
        recursive: flag(arg, "recursive"),
        deleted: flag(arg, "include_deleted"),
        limit,
        generation: drive.generation,
        templates: Wanted::read(arg).templates,
        after: Some(String::new()),
        sequence: drive.sequence,
    })
}

/// One page of what the folder holds.
fn listed(drive: &Drive, mut cursor: Cursor, now: Timestamp) -> Value {
    let after = cursor.after.clone().unwrap_or_default();
    let (from, to) = below(&cursor.folder);
    let mut keys: BTreeMap<&String, Value> = BTreeMap::new();
    let itself = cursor.recursive && !cursor.folder.is_empty() && after.is_empty();
    let start = if after.is_empty() { from } else { after.clone() };
    // One more than the limit and one after it, to know whether a straggler may come along.
    let enough = cursor.limit + 2;
    let wanted = cursor.wanted();
    if itself && let Some((key, node)) = drive.nodes.get_key_value(&cursor.folder) {
        keys.insert(key, metadata(node, &wanted));
    }
    let live = drive.nodes.range(start.clone()..to.clone());
    let live = live.filter(|(key, _)| **key > after && cursor.covers(key)).take(enough);
    keys.extend(live.map(|(key, node)| (key, metadata(node, &wanted))));
    if cursor.deleted {
        let gone = drive.gone.range(start..to);
        let gone = gone.filter(|(key, _)| **key > after && cursor.covers(key)).take(enough);
        keys.extend(gone.map(|(key, gone)| (key, deleted(&gone.path))));
    }
    // The limit is "approximate": a single straggler comes along.
    let most = if keys.len() == cursor.limit + 1 { keys.len() } else { cursor.limit };
    let more = keys.len() > most;
    let page: Vec<(&String, Value)> = keys.into_iter().take(most).collect();
    cursor.after = if more { page.last().map(|(key, _)| (*key).clone()) } else { None };
    let entries: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
    // Changes while the listing went on are told when it is over.
    let pending = !more && drive.told(now) > cursor.sequence;
    json!({"entries": entries, "cursor": cursor.write(), "has_more": more || pending})
}

/// One page of what changed, the change that came last the last; several of one path are one.
fn changed(drive: &Drive, mut cursor: Cursor, now: Timestamp) -> Value {
    let told = drive.told(now);
    let new = drive.changes(cursor.sequence, told).filter(|(_, key)| cursor.covers(key));
    let mut last: BTreeMap<&String, u64> = BTreeMap::new();
    for (n, key) in new {
        last.insert(key, n);
    }
    let mut ordered: Vec<(u64, &String)> = last.into_iter().map(|(key, n)| (n, key)).collect();
    ordered.sort_unstable();
    let more = ordered.len() > cursor.limit;
    ordered.truncate(cursor.limit);
    cursor.sequence = match ordered.last() {
        Some((n, _)) if more => *n,
        _ => told.max(cursor.sequence),
    };
    let wanted = cursor.wanted();
    let entries: Vec<Value> = ordered
        .iter()
        .filter_map(|(_, key)| match drive.nodes.get(*key) {
            Some(node) => Some(metadata(node, &wanted)),
            None => {
                drive.gone.get(*key).map(|gone| deleted(&gone.path)).or_else(|| Some(deleted(key)))
            }
        })
        .collect();
    json!({"entries": entries, "cursor": cursor.write(), "has_more": more})
}

pub(super) fn list_folder(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let cursor = begin(drive, arg)?;
    Ok(listed(drive, cursor, world.now()))
}

pub(super) fn latest_cursor(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let mut cursor = begin(drive, arg)?;
    cursor.after = None;
    cursor.sequence = drive.told(world.now());
    Ok(json!({"cursor": cursor.write()}))
}

/// Reads a cursor argument; `reset` when what it builds on is forgotten.
fn read(drive: &Drive, arg: &Value) -> Result<Cursor, Refusal> {
    let text = arg.get("cursor").and_then(Value::as_str).unwrap_or_default();
    let cursor = Cursor::read(text).filter(|cursor| cursor.person == drive.person.id);
    let cursor =
        cursor.ok_or_else(|| Refusal::Bad(format!("Invalid \"cursor\" parameter: {text:?}")))?;
    if cursor.generation != drive.generation || cursor.sequence < drive.oldest() {
        return Err(Refusal::Route(tag("reset")));
    }
    Ok(cursor)
}

/// `list_folder/continue`.
pub(super) fn go_on(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let cursor = read(drive, arg)?;
    if !drive.has_folder(&cursor.folder) {
        return Err(path_error("not_found"));
    }
    let show = if cursor.after.is_some() { listed } else { changed };
    Ok(show(drive, cursor, world.now()))
}

/// `list_folder/longpoll`: unsigned; answers at a change or when the time is over.
pub(super) async fn longpoll(
    State(world): State<World>,
    headers: http::HeaderMap,
    body: String,
) -> Response {
    const ROUTE: &str = "files/list_folder/longpoll";
    if headers.contains_key(http::header::AUTHORIZATION) {
        let why =
            "Unexpected HTTP header \"Authorization\": this function takes no authentication.";
        return Refusal::Bad(why.into()).answer(ROUTE);
    }
    let Ok(arg) = serde_json::from_str::<Value>(&body) else {
        return Refusal::Bad("request body: could not decode input as JSON".into()).answer(ROUTE);
    };
    let timeout = arg.get("timeout").and_then(Value::as_u64).unwrap_or(30);
    if !(30..=480).contains(&timeout) {
        let why = format!("request body: timeout: {timeout} is not within range [30, 480]");
        return Refusal::Bad(why).answer(ROUTE);
    }
    let mut changes = world.changes.subscribe();
    let wait = async {
        loop {
            changes.borrow_and_update();
            match has_changed(&world, &arg) {
                Ok(false) => {}
                done => return done,
            }
            // Nothing but the clock says when a late change is told.
            let look_again = if is_late(&world) { LOOK_AGAIN } else { Duration::MAX };
            if let Ok(Err(_)) = tokio::time::timeout(look_again, changes.changed()).await {
                return Ok(false);
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(timeout), wait).await;
    match told.unwrap_or(Ok(false)) {
        Ok(changes) => Json(json!({"changes": changes})).into_response(),
        Err(refusal) => refusal.answer(ROUTE),
    }
}

fn is_late(world: &World) -> bool {
    world.state().drives.values().any(|drive| drive.quirks.changes_lag > 0)
}

fn has_changed(world: &World, arg: &Value) -> Result<bool, Refusal> {
    let text = arg.get("cursor").and_then(Value::as_str).unwrap_or_default();
    let state = world.state();
    let person = Cursor::read(text).map(|cursor| cursor.person);
    let drive = person.and_then(|person| state.drives.get(person.as_str()));
    let drive =
        drive.ok_or_else(|| Refusal::Bad(format!("Invalid \"cursor\" parameter: {text:?}")))?;
    let cursor = read(drive, arg)?;
    let mut new = drive.changes(cursor.sequence, drive.told(world.now()));
    Ok(cursor.after.is_some() || new.any(|(_, key)| cursor.covers(key)))
}
