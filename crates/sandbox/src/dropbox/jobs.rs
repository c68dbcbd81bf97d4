//! Batches, which become jobs: begun in one call, asked for in another.

use serde_json::{Value, json};

use super::State;
use super::World;
use super::auth::Caller;
use super::files::{flag, make_folder, remove, transfer};
use super::refusal::{Refusal, tag, tagged, with_members};
use super::render::{Wanted, metadata, node};

/// The most entries of a batch.
const MAX_ENTRIES: usize = 1_000;
/// The most jobs that are kept; the oldest go.
const MAX_JOBS: usize = 1_000;

/// A job that is done, although nobody was told so yet.
pub(super) struct Job {
    person: &'static str,
    result: Value,
    /// How many times it still says that it is in progress.
    busy: u32,
}

/// Begins a job with this result.
pub(super) fn begin(world: &World, state: &mut State, caller: &Caller, result: Value) -> Value {
    if state.jobs.len() >= MAX_JOBS {
        state.jobs.pop_first();
    }
    let id = world.dice.token("dbjid:AAD", 30);
    state.jobs.insert(id.clone(), Job { person: caller.by.id, result, busy: 1 });
    tagged("async_job_id", id.into())
}

/// Every function that asks for a job.
pub(super) fn check(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let id = arg.get("async_job_id").and_then(Value::as_str).unwrap_or_default();
    let mut state = world.state();
    let job = state.jobs.get_mut(id).filter(|job| job.person == caller.by.id);
    let job = job.ok_or_else(|| Refusal::Route(tag("invalid_async_job_id")))?;
    if job.busy > 0 {
        job.busy -= 1;
        return Ok(tag("in_progress"));
    }
    Ok(job.result.clone())
}

fn entries(arg: &Value, name: &str) -> Result<Vec<Value>, Refusal> {
    let entries = arg.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(Refusal::Bad(format!(
            "request body: {name}: expected 1 to {MAX_ENTRIES} items, got {}",
            entries.len()
        )));
    }
    Ok(entries)
}

fn complete(done: Vec<Value>) -> Value {
    with_members("complete", json!({"entries": done}))
}

/// `delete_batch`.
pub(super) fn delete_batch(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let mut done = Vec::new();
    for entry in entries(arg, "entries")? {
        done.push(match remove(state.drive(caller.person)?, &entry, None, &moment)? {
            Ok(gone) => {
                with_members("success", json!({"metadata": metadata(&gone, &Wanted::default())}))
            }
            Err(error) => tagged("failure", error),
        });
    }
    Ok(begin(world, &mut state, caller, complete(done)))
}

fn relocate_batch(
    world: &World,
    caller: &Caller,
    arg: &Value,
    copy: bool,
) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let mut done = Vec::new();
    for entry in entries(arg, "entries")? {
        let drive = state.drive(caller.person)?;
        done.push(match transfer(drive, &entry, flag(arg, "autorename"), copy, None, &moment)? {
            Ok(there) => tagged("success", metadata(&there, &Wanted::default())),
            Err(error) => tagged("failure", tagged("relocation_error", error)),
        });
    }
    Ok(begin(world, &mut state, caller, complete(done)))
}

/// `move_batch_v2`.
pub(super) fn move_batch(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    relocate_batch(world, caller, arg, false)
}

/// `copy_batch_v2`.
pub(super) fn copy_batch(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    relocate_batch(world, caller, arg, true)
}

/// `create_folder_batch`: at once, unless a job is asked for.
pub(super) fn create_folder_batch(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let mut done = Vec::new();
    for path in entries(arg, "paths")? {
        let one = json!({"path": path, "autorename": flag(arg, "autorename")});
        done.push(match make_folder(state.drive(caller.person)?, &one, &moment)? {
            Ok(made) => {
                with_members("success", json!({"metadata": node(&made, &Wanted::default())}))
            }
            Err(error) => tagged("failure", tagged("path", error)),
        });
    }
    let result = complete(done);
    if flag(arg, "force_async") {
        return Ok(begin(world, &mut state, caller, result));
    }
    Ok(result)
}
