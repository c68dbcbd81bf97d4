//! `files/*` of metadata, folders, moving, copying, deleting.

use serde_json::{Value, json};

use super::World;
use super::auth::Caller;
use super::drive::{Drive, Moment, Node, conflict};
use super::path::{Asked, is_wellformed, lower, renamed};
use super::refusal::{Refusal, lookup, path_error, tag, tagged};
use super::render::{Wanted, deleted, metadata, node};

/// The most files that one call moves, copies or deletes; batches take more.
const MAX_FILES: usize = 10_000;

/// A boolean argument.
pub(super) fn flag(arg: &Value, name: &str) -> bool {
    arg.get(name).and_then(Value::as_bool).unwrap_or(false)
}

impl Drive {
    /// The path that an argument means, whether something is there or not; else a `LookupError`.
    pub(super) fn path_of(&self, asked: &Asked) -> Result<String, &'static str> {
        let path = match asked {
            Asked::Path(path) => path.clone(),
            Asked::Id(id, rest) => {
                let key = self.ids.get(id).ok_or("not_found")?;
                let node = self.nodes.get(key).ok_or("not_found")?;
                format!("{}{rest}", node.path)
            }
            Asked::Rev(rev) => self.revision(rev).map(|one| one.path.clone()).ok_or("not_found")?,
            Asked::Namespace(namespace, rest) if *namespace == self.namespace => rest.clone(),
            Asked::Namespace(..) => return Err("not_found"),
        };
        if is_wellformed(&path) { Ok(path) } else { Err("malformed_path") }
    }

    /// What is there; else a `LookupError`.
    pub(super) fn find(&self, asked: &Asked) -> Result<&Node, &'static str> {
        self.node(&self.path_of(asked)?).ok_or("not_found")
    }
}

/// The path that a write goes to; a path that leads nowhere is a `WriteError`.
pub(super) fn target(
    drive: &Drive,
    arg: &Value,
    field: &str,
) -> Result<Result<String, Value>, Refusal> {
    let asked = Asked::read(arg, field)?;
    Ok(drive.path_of(&asked).map_err(|_| tag("malformed_path")))
}

pub(super) fn get_metadata(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let asked = Asked::read(arg, "path")?;
    if asked == Asked::Path(String::new()) {
        return Err(Refusal::Bad("request body: path: The root folder is unsupported.".into()));
    }
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let path = drive.path_of(&asked).map_err(path_error)?;
    if let Some(found) = drive.node(&path) {
        return Ok(metadata(found, &Wanted::read(arg)));
    }
    if flag(arg, "include_deleted")
        && let Some(gone) = drive.gone.get(&lower(&path))
    {
        return Ok(deleted(&gone.path));
    }
    Err(path_error("not_found"))
}

pub(super) fn create_folder(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let made = make_folder(state.drive(caller.person)?, arg, &moment)?;
    let made = made.map_err(|error| Refusal::Route(tagged("path", error)))?;
    Ok(json!({"metadata": node(&made, &Wanted::default())}))
}

pub(super) fn make_folder(
    drive: &mut Drive,
    arg: &Value,
    moment: &Moment<'_>,
) -> Result<Result<Node, Value>, Refusal> {
    if arg.get("path").and_then(Value::as_str).is_some_and(|path| path.starts_with("id:")) {
        return Err(Refusal::Bad(
            "request body: path: did not match pattern '(/(.|[\\r\\n])*)|(ns:[0-9]+(/.*)?)'".into(),
        ));
    }
    let path = match target(drive, arg, "path")? {
        Ok(path) => path,
        Err(error) => return Ok(Err(error)),
    };
    Ok(drive.folder(&path, flag(arg, "autorename"), moment))
}

/// `move_v2`.
pub(super) fn move_(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    relocate(world, caller, arg, false)
}

/// `copy_v2`.
pub(super) fn copy(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    relocate(world, caller, arg, true)
}

fn relocate(world: &World, caller: &Caller, arg: &Value, copy: bool) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let done = transfer(drive, arg, flag(arg, "autorename"), copy, Some(MAX_FILES), &moment)?;
    let done = done.map_err(Refusal::Route)?;
    Ok(json!({"metadata": metadata(&done, &Wanted::default())}))
}

/// Moves or copies; the inner error is a `RelocationError`.
pub(super) fn transfer(
    drive: &mut Drive,
    arg: &Value,
    autorename: bool,
    copy: bool,
    most: Option<usize>,
    moment: &Moment<'_>,
) -> Result<Result<Node, Value>, Refusal> {
    let from = Asked::read(arg, "from_path")?;
    let found = match drive.find(&from) {
        Ok(found) => found.clone(),
        Err(why) => return Ok(Err(tagged("from_lookup", lookup(why)))),
    };
    let mut to = match target(drive, arg, "to_path")? {
        Ok(to) if !to.is_empty() => to,
        Ok(_) => return Ok(Err(tagged("to", conflict("folder")))),
        Err(error) => return Ok(Err(tagged("to", error))),
    };
    let (from_key, to_key) = (lower(&found.path), lower(&to));
    if !copy && drive.is_read_only(&from_key) {
        return Ok(Err(tagged("from_write", tag("no_write_permission"))));
    }
    let into_shared = drive.lies_in(&to_key).is_some() && !copy;
    if into_shared && drive.tree(&from_key).iter().any(|key| drive.is_mount(key)) {
        return Ok(Err(tag("cant_nest_shared_folder")));
    }
    if found.is_folder() && to_key.starts_with(&format!("{from_key}/")) {
        return Ok(Err(tag(if copy {
            "duplicated_or_nested_paths"
        } else {
            "cant_move_folder_into_itself"
        })));
    }
    if most.is_some_and(|most| drive.tree(&from_key).len() > most) {
        return Ok(Err(tag("too_many_files")));
    }
    let only_case = !copy && from_key == to_key && found.path != to;
    if let Some(there) = drive.node(&to)
        && !only_case
    {
        let folder = there.is_folder();
        if !autorename {
            return Ok(Err(tagged("to", conflict(if folder { "folder" } else { "file" }))));
        }
        let free = (1..).map(|n| renamed(&to, n, found.is_folder()));
        to = free.into_iter().find(|path| drive.node(path).is_none()).unwrap_or_default();
    }
    Ok(drive.relocate(&found.path, &to, copy, moment).map_err(|error| tagged("to", error)))
}

pub(super) fn delete(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let gone = remove(drive, arg, Some(MAX_FILES), &moment)?.map_err(Refusal::Route)?;
    Ok(json!({"metadata": metadata(&gone, &Wanted::default())}))
}

/// Deletes; the inner error is a `DeleteError`.
pub(super) fn remove(
    drive: &mut Drive,
    arg: &Value,
    most: Option<usize>,
    moment: &Moment<'_>,
) -> Result<Result<Node, Value>, Refusal> {
    let asked = Asked::read(arg, "path")?;
    if asked == Asked::Path(String::new()) {
        return Ok(Err(tagged("path_write", tag("no_write_permission"))));
    }
    let found = match drive.find(&asked) {
        Ok(found) => found.clone(),
        Err(why) => return Ok(Err(tagged("path_lookup", lookup(why)))),
    };
    if let Some(wanted) = arg.get("parent_rev").and_then(Value::as_str) {
        match &found.file {
            None => return Ok(Err(tagged("path_write", conflict("folder")))),
            Some(file) if file.rev != wanted => {
                return Ok(Err(tagged("path_write", conflict("file"))));
            }
            Some(_) => {}
        }
    }
    let key = lower(&found.path);
    if drive.is_read_only(&key) {
        return Ok(Err(tagged("path_write", tag("no_write_permission"))));
    }
    if most.is_some_and(|most| drive.tree(&key).len() > most) {
        return Ok(Err(tag("too_many_files")));
    }
    drive.delete(&key, moment.now);
    Ok(Ok(found))
}

/// Deletes, also what is deleted already, and forgets it.
pub(super) fn permanently_delete(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let asked = Asked::read(arg, "path")?;
    let path =
        drive.path_of(&asked).map_err(|why| Refusal::Route(tagged("path_lookup", lookup(why))))?;
    let key = lower(&path);
    if drive.node(&path).is_some() {
        remove(drive, arg, Some(MAX_FILES), &moment)?.map_err(Refusal::Route)?;
    } else if !drive.gone.contains_key(&key) {
        return Err(Refusal::Route(tagged("path_lookup", lookup("not_found"))));
    }
    drive.forget(&key);
    Ok(Value::Null)
}
