//! `files/list_revisions` and `files/restore`.

use serde_json::{Value, json};

use super::World;
use super::auth::Caller;
use super::drive::{Drive, Mode, Revision, Write};
use super::files::target;
use super::path::{Asked, lower};
use super::refusal::{Refusal, path_error, put, tag, tag_of, tagged};
use super::render::{Wanted, node, revision, time};

/// Every content that fits, newest first.
fn history(drive: &Drive, fits: impl Fn(&Revision) -> bool) -> Vec<Revision> {
    let current = drive.nodes.values().filter_map(|node| node.file.as_ref());
    let mut all: Vec<Revision> =
        drive.past.iter().chain(current).filter(|one| fits(one)).cloned().collect();
    all.sort_by(|one, two| two.rev.cmp(&one.rev));
    all
}

/// `files/list_revisions`.
pub(super) fn list(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let asked = Asked::read(arg, "path")?;
    let limit = arg.get("limit").and_then(Value::as_u64).unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Refusal::Bad(format!(
            "request body: limit: {limit} is not within range [1, 100]"
        )));
    }
    let by_id = arg.get("mode").and_then(tag_of) == Some("id");
    // An id may also be one of something that is deleted.
    let (path, id) = match &asked {
        Asked::Id(id, rest) if rest.is_empty() => match drive.ids.get(id) {
            Some(key) => (
                drive.nodes.get(key).map(|node| node.path.clone()).unwrap_or_default(),
                Some(id.clone()),
            ),
            None => {
                let known = history(drive, |one| one.id == *id);
                let last = known.first().ok_or_else(|| path_error("not_found"))?;
                (last.path.clone(), Some(id.clone()))
            }
        },
        other => {
            let path = drive.path_of(other).map_err(path_error)?;
            let id = drive.node(&path).map(|node| node.id.clone());
            (path, id)
        }
    };
    let key = lower(&path);
    let there = drive.nodes.get(&key);
    if there.is_some_and(super::drive::Node::is_folder)
        || drive.gone.get(&key).is_some_and(|gone| gone.folder)
    {
        return Err(path_error("not_file"));
    }
    let mut entries = match (by_id, &id) {
        (true, Some(id)) => history(drive, |one| one.id == *id),
        _ => history(drive, |one| one.key == key),
    };
    if entries.is_empty() {
        return Err(path_error("not_found"));
    }
    entries.truncate(usize::try_from(limit).unwrap_or(100));
    let entries: Vec<Value> = entries.iter().map(revision).collect();
    let mut answer = json!({"is_deleted": there.is_none(), "entries": entries});
    if there.is_none()
        && let Some(gone) = drive.gone.get(&key)
    {
        put(&mut answer, "server_deleted", time(gone.at));
    }
    Ok(answer)
}

/// `files/restore`.
pub(super) fn restore(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    if arg.get("path").and_then(Value::as_str).is_some_and(|path| path.starts_with("id:")) {
        return Err(Refusal::Bad(
            "request body: path: did not match pattern '(/(.|[\\r\\n])*)|(ns:[0-9]+(/.*)?)'".into(),
        ));
    }
    let path =
        target(drive, arg, "path")?.map_err(|error| Refusal::Route(tagged("path_write", error)))?;
    let rev = arg.get("rev").and_then(Value::as_str).unwrap_or_default();
    let old =
        drive.revision(rev).cloned().ok_or_else(|| Refusal::Route(tag("invalid_revision")))?;
    let write = Write {
        content: old.content,
        hash: old.hash,
        mode: Mode::Overwrite,
        autorename: false,
        strict: false,
        client_modified: Some(old.client_modified),
        paper: old.paper,
    };
    let deleted = drive.node(&path).is_none();
    let made = drive.write(&path, write, &moment);
    let mut made = made.map_err(|error| Refusal::Route(tagged("path_write", error)))?;
    // A deleted file that comes back to its own place is the same file again.
    if deleted && !drive.ids.contains_key(&old.id) && old.key == lower(&path) {
        drive.rename_id(&lower(&path), &old.id);
        made.id.clone_from(&old.id);
        if let Some(file) = &mut made.file {
            file.id.clone_from(&old.id);
        }
    }
    Ok(node(&made, &Wanted::default()))
}
