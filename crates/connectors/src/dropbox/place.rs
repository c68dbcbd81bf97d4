//! Moving, copying, deleting: by the service itself, in jobs where there is much.

use std::time::Duration;

use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{Conflict, Entry, EntryKind, EntryRef, Error, Place, Result};
use tramontane_model::Op;

use super::api::{Api, put};
use super::entry::{Metadata, address, child_address, is_rev};
use super::fault::explain;
use super::lookup;

/// How long to wait before a job is asked for again.
const JOB_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two looks at a job.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Move,
    Copy,
}

impl Verb {
    fn functions(self) -> [&'static str; 3] {
        match self {
            Self::Move => ["files/move_v2", "files/move_batch_v2", "files/move_batch/check_v2"],
            Self::Copy => ["files/copy_v2", "files/copy_batch_v2", "files/copy_batch/check_v2"],
        }
    }

    fn op(self) -> Op {
        match self {
            Self::Move => Op::FolderMove,
            Self::Copy => Op::FolderCopy,
        }
    }
}

/// Moves or copies something to a place.
pub(super) async fn transfer(
    api: &Api<'_>,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
    verb: Verb,
) -> Result<Entry> {
    if address(&what.id)?.is_empty() {
        let (kind, text) = match verb {
            Verb::Move => (Kind::NotAllowed, "The root folder stays where it is."),
            Verb::Copy => (Kind::IntoItself, "A folder cannot be put into itself or below itself."),
        };
        return Err(Error::new(kind, text));
    }
    let source = lookup::metadata(api, what).await?;
    let folder = lookup::folder(api, &to.parent).await?;
    if what.kind == EntryKind::Folder && is_within(&folder.key, source.key()) {
        let text = "A folder cannot be put into itself or below itself.";
        return Err(Error::new(Kind::IntoItself, text));
    }
    let path = child_address(&to.parent, &to.name)?;
    if format!("{}/{}", folder.path, to.name) == source.path() {
        return match verb {
            Verb::Move => source.entry(Some(folder.parent())),
            Verb::Copy => Err(Error::conflict(&to.name, Some(what.clone()))),
        };
    }
    let mut replaced = None;
    if conflict == Conflict::Replace
        && let Some(there) = lookup::at(api, &path).await?
        && there.id.as_deref() != Some(what.id.as_str())
    {
        match (what.kind, there.kind()) {
            (EntryKind::File, EntryKind::File) => replaced = Some(there),
            (EntryKind::Folder, EntryKind::Folder) => return Err(Error::declined(verb.op())),
            (_, kind) => {
                let by = EntryRef { kind, id: there.native()? };
                return Err(Error::conflict(&to.name, Some(by)));
            }
        }
    }
    // Dropbox replaces nothing by a move. What is in the way goes to where deleted files can be had
    // back from, and comes back when the move fails.
    if let Some(there) = &replaced {
        put_aside(api, there).await?;
    }
    match relocate(api, address(&what.id)?, &path, verb).await {
        Ok(done) => done.entry(Some(folder.parent())),
        Err(error) => {
            if let Some(there) = &replaced {
                bring_back(api, there).await;
            }
            match error.kind {
                Kind::Conflict(_) => Err(lookup::conflict(api, &path, &to.name).await),
                _ => Err(error),
            }
        }
    }
}

/// Whether a path is another or lies below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn put_aside(api: &Api<'_>, there: &Metadata) -> Result<()> {
    let argument = json!({"path": there.id, "parent_rev": there.rev});
    let gone: Result<Value> = api.change("files/delete_v2", &argument).await;
    match gone {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) if error.is_conflict() => Err(Error::new(
            Kind::Precondition,
            "The file that was to be replaced has changed in the meantime.",
        )),
        Err(error) => Err(error),
    }
}

/// Undoes [`put_aside`]. When that fails too, the file can still be restored from the trash.
async fn bring_back(api: &Api<'_>, there: &Metadata) {
    let argument = json!({"path": there.path(), "rev": there.rev});
    if let Err(error) = api.change::<Value>("files/restore", &argument).await {
        tracing::warn!(%error, "a replaced file is left in Dropbox's deleted files");
    }
}

fn is_too_much(error: &Error) -> bool {
    let code = error.fault.as_ref().and_then(|fault| fault.code.as_deref());
    code.is_some_and(|code| code.contains("too_many_files"))
}

async fn relocate(api: &Api<'_>, from: &str, to: &str, verb: Verb) -> Result<Metadata> {
    let [function, batch, check] = verb.functions();
    let argument = json!({"from_path": from, "to_path": to, "autorename": false, "allow_ownership_transfer": false});
    let done: Result<Value> = api.change(function, &argument).await;
    let found = match done {
        Ok(done) => done.get("metadata").cloned(),
        // More than 10,000 files at once are for batches.
        Err(error) if is_too_much(&error) => {
            let entries =
                json!({"entries": [{"from_path": from, "to_path": to}], "autorename": false});
            let result = job(api, batch, &entries, check).await?;
            Some(first(batch, &result)?)
        }
        Err(error) => return Err(error),
    };
    Metadata::read(found.unwrap_or(Value::Null), api.cx.raw)
}

/// Begins a batch and waits for its end, as long as the caller has time.
pub(super) async fn job(
    api: &Api<'_>,
    function: &'static str,
    argument: &Value,
    check: &'static str,
) -> Result<Value> {
    let mut answer: Value = api.change(function, argument).await?;
    let id = answer.get("async_job_id").and_then(Value::as_str).map(str::to_owned);
    let mut pause = JOB_PAUSE;
    loop {
        match answer.get(".tag").and_then(Value::as_str) {
            Some("complete") => return Ok(answer),
            Some("failed") => {
                let body = json!({"error": answer.get("failed")});
                return Err(explain(function, 409, &http::HeaderMap::new(), &body.to_string()));
            }
            _ => {}
        }
        let Some(id) = &id else {
            return Err(Error::new(Kind::Broken, "Dropbox began a job without naming it."));
        };
        if api.cx.time_left() <= pause {
            let text = "Dropbox is still at work; what was asked for will be done in a while.";
            return Err(Error::new(Kind::Timeout, text));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        answer = api.look(check, &json!({"async_job_id": id})).await?;
    }
}

/// The outcome of a batch's only entry.
fn first(function: &'static str, result: &Value) -> Result<Value> {
    let entry = result.pointer("/entries/0").cloned().unwrap_or(Value::Null);
    if let Some(done) = entry.get("success") {
        return Ok(done.clone());
    }
    if entry.get(".tag").and_then(Value::as_str) == Some("success") {
        return Ok(entry.get("metadata").cloned().unwrap_or(Value::Null));
    }
    let failure = entry.get("failure").cloned().unwrap_or(Value::Null);
    let body = json!({"error": failure.get("relocation_error").unwrap_or(&failure)});
    Err(explain(function, 409, &http::HeaderMap::new(), &body.to_string()))
}

pub(super) async fn delete(api: &Api<'_>, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
    let path = address(&what.id)?;
    if path.is_empty() {
        return Err(Error::new(Kind::NotAllowed, "The root folder cannot be deleted."));
    }
    // Deleting takes all below along, so the kind is never taken on trust.
    let there = lookup::metadata(api, what).await?;
    let changed = || Error::new(Kind::Precondition, "The file has changed in the meantime.");
    let mut argument = json!({"path": path});
    if let Some(wanted) = how.if_match.as_ref().filter(|_| what.kind == EntryKind::File) {
        if !is_rev(&wanted.value) {
            return Err(changed());
        }
        put(&mut argument, "parent_rev", wanted.value.as_str());
    }
    if what.kind == EntryKind::Folder && !how.recursive {
        let inside: Value =
            api.look("files/list_folder", &json!({"path": path, "limit": 1})).await?;
        if inside.pointer("/entries/0").is_some() {
            return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
        }
    }
    let done: Result<Value> = api.change("files/delete_v2", &argument).await;
    match done {
        Ok(_) => {}
        Err(error) if error.is_conflict() && how.if_match.is_some() => return Err(changed()),
        Err(error) if is_too_much(&error) => {
            let entries = json!({"entries": [argument]});
            let result =
                job(api, "files/delete_batch", &entries, "files/delete_batch/check").await?;
            first("files/delete_batch", &result)?;
        }
        Err(error) => return Err(error),
    }
    if how.permanent {
        // It has no id any more.
        purge(api, there.path()).await?;
    }
    Ok(())
}

/// Deletes for good what is at a path or was there.
pub(super) async fn purge(api: &Api<'_>, path: &str) -> Result<()> {
    api.change("files/permanently_delete", &json!({"path": path})).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_lies_below() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a"));
        assert!(!is_within("/ab", "/a") && !is_within("", "/a"));
    }

    #[test]
    fn the_outcome_of_a_batch_is_that_of_its_entry() {
        let moved =
            json!({"entries": [{".tag": "success", "success": {".tag": "file", "name": "a"}}]});
        assert_eq!(
            first("files/move_batch_v2", &moved).ok(),
            Some(json!({".tag": "file", "name": "a"}))
        );
        let failed = json!({"entries": [{".tag": "failure", "failure": {".tag": "relocation_error",
            "relocation_error": {".tag": "to", "to": {".tag": "conflict", "conflict": {".tag": "file"}}}}}]});
        let error = first("files/move_batch_v2", &failed).err().map(|error| error.kind);
        assert_eq!(error, Some(Kind::Conflict(None)));
    }
}
