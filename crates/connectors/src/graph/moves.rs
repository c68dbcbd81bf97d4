//! Moves and copies. Sources: "Move a driveItem to a new folder" (one `PATCH`; only within a drive; the
//! target by its real id), "driveItem: copy" (a job with a monitor, "Working with APIs that take a long
//! time to complete").
//!
//! Neither is documented to replace a file that has the name. So that file is put aside under another
//! name first, and deleted (into the recycle bin) when the new one is in its place; when that fails, it
//! gets its name back.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::{
    Conflict, Entry, EntryKind, EntryRef, Error, Kind, Place, Repeat, Result,
};
use tramontane_model::Op;
use url::Url;

use super::api::{Client, nonsense};
use super::fault::{Detail, fault, of_job};
use super::id::{Id, same_drive};
use super::item::missing;
use super::names;
use super::sites::only_below;
use super::storage::parent_of;

/// The longest pause between two looks at a job.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// What files have that were put aside.
const ASIDE: &str = "~tramontane-";

fn op(kind: EntryKind, copy: bool) -> Op {
    match (kind, copy) {
        (EntryKind::File, false) => Op::FileMove,
        (EntryKind::Folder, false) => Op::FolderMove,
        (EntryKind::File, true) => Op::FileCopy,
        (EntryKind::Folder, true) => Op::FolderCopy,
    }
}

/// The item that is moved or copied: never a root or a site.
fn source(what: &EntryRef, verb: &str) -> Result<(String, String)> {
    match Id::parse(&what.id)?.itself() {
        Id::Item(drive, item) => Ok((drive, item)),
        _ => Err(only_below(verb)),
    }
}

pub(super) async fn relocate(
    client: Client<'_>,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
) -> Result<Entry> {
    let (drive, item) = source(what, "Moving")?;
    names::check(&to.name)?;
    let parent = parent_of(to)?;
    let (target, folder) = client.real(&parent).await.map_err(into_parent)?;
    if !same_drive(&drive, &target) {
        // "Items can't be moved between drives using this request".
        return Err(Error::declined(op(what.kind, false)));
    }
    let it = Id::Item(drive, item);
    let mut aside = None;
    if conflict == Conflict::Replace
        && let Some(there) = client.child(&parent, &to.name).await?
        && Id::parse(&there.id)?.itself() != it
    {
        check_replace(what.kind, &there, op(what.kind, false))?;
        aside = Some(put_aside(client, &there).await?);
    }
    let moved =
        patch(client, &it, json!({"name": to.name, "parentReference": {"id": folder}})).await;
    let value = match moved {
        Ok(value) => value,
        Err(error) => {
            if let Some(aside) = aside {
                // Gets its name back; when even this fails, it is still there under the other.
                let _ = patch(client, &aside, json!({"name": to.name})).await;
            }
            return Err(explain(client, what, to, error).await);
        }
    };
    if let Some(aside) = aside {
        let request = client.request("delete", Method::DELETE, &client.path(&aside)?)?;
        client.send(request).await?;
    }
    client.entry(value).await
}

/// Which of both ends a refusal is about.
async fn explain(client: Client<'_>, what: &EntryRef, to: &Place, error: Error) -> Error {
    if error.is_not_found()
        && let Err(gone) = client.look(what).await
    {
        return gone;
    }
    match client.explain(to, error).await {
        error if error.is_not_found() => into_parent(error),
        error => error,
    }
}

fn into_parent(error: Error) -> Error {
    if error.is_not_found() {
        let text = "The folder to write into is not there.";
        return Error::new(Kind::ParentNotFound, text).because(error);
    }
    error
}

/// Files replace files; folders are merged by others.
fn check_replace(kind: EntryKind, there: &Entry, op: Op) -> Result<()> {
    match (kind, there.kind) {
        (EntryKind::File, EntryKind::File) => Ok(()),
        (EntryKind::Folder, EntryKind::Folder) => Err(Error::declined(op)),
        _ => Err(Error::conflict(&there.name, Some(there.reference()))),
    }
}

async fn patch(client: Client<'_>, id: &Id, body: Value) -> Result<Value> {
    // Names and folders are set, not added to: once more is the same.
    let request = client.with("patch", Method::PATCH, &client.path(id)?, &body)?;
    client.json(request.repeat(Repeat::Yes)).await
}

async fn put_aside(client: Client<'_>, there: &Entry) -> Result<Id> {
    let id = Id::parse(&there.id)?.itself();
    patch(client, &id, json!({"name": aside()?})).await?;
    Ok(id)
}

fn aside() -> Result<String> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::internal("The system gives no randomness.").because(cause))?;
    Ok(format!("{ASIDE}{}", hex::encode(bytes)))
}

pub(super) async fn copy(
    client: Client<'_>,
    what: &EntryRef,
    to: &Place,
    conflict: Conflict,
) -> Result<Entry> {
    let (drive, item) = source(what, "Copying")?;
    names::check(&to.name)?;
    let parent = parent_of(to)?;
    if conflict == Conflict::Replace
        && let Some(there) = client.child(&parent, &to.name).await?
    {
        check_replace(what.kind, &there, op(what.kind, true))?;
        // Beside it first, so that a copy that fails leaves the other as it was.
        let beside = Place::new(to.parent.clone(), aside()?);
        let made = Box::pin(copy(client, what, &beside, Conflict::Fail)).await?;
        return relocate(client, &made.reference(), to, Conflict::Replace).await;
    }
    let (target, folder) = client.real(&parent).await.map_err(into_parent)?;
    let mut path = format!("{}/copy", client.path(&Id::Item(drive, item))?);
    if client.api.flavour != super::Flavour::Personal {
        // "The conflictBehavior is not supported for OneDrive Consumer"; there it always fails.
        path.push_str("?@microsoft.graph.conflictBehavior=fail");
    }
    let body = json!({"name": to.name, "parentReference": {"driveId": target, "id": folder}});
    let started = client.send(client.with("copy", Method::POST, &path, &body)?).await;
    let answer = match started {
        Ok(answer) => answer,
        Err(error) => return Err(explain(client, what, to, error).await),
    };
    let monitor = answer.header(&header::LOCATION).and_then(|url| Url::parse(url).ok());
    let monitor = monitor.ok_or_else(nonsense)?;
    match wait(client, &monitor).await {
        Ok(Some(id)) => client.entry(client.item(&Id::Item(target, id)).await?).await,
        Ok(None) => client.child(&parent, &to.name).await?.ok_or_else(|| missing(what.kind)),
        Err(error) => Err(client.explain(to, error).await),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Progress {
    status: String,
    resource_id: Option<String>,
    error: Option<Detail>,
}

/// Waits for a job; its monitor wants no credential. Gives the id of what it made, when it tells.
async fn wait(client: Client<'_>, monitor: &Url) -> Result<Option<String>> {
    let mut pause = Duration::from_millis(50);
    loop {
        let request = tramontane_connector::http::Request {
            follow: false,
            ..Client::bare("monitor", Method::GET, monitor.clone())
        };
        let answer = client.cx.send(request).await?;
        if answer.status == StatusCode::SEE_OTHER {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(fault(answer).await);
        }
        let progress: Progress = answer.json().await?;
        match progress.status.as_str() {
            "completed" => return Ok(progress.resource_id),
            "failed" | "deleteFailed" | "cancelled" => {
                let error = of_job(&progress.error.unwrap_or_default());
                return Err(conflicted(error));
            }
            _ => {}
        }
        if client.cx.time_left() <= pause {
            let text = "The service is still copying. The copy will be there in a while.";
            return Err(Error::new(Kind::Timeout, text));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// A job's conflict has no status of its own.
fn conflicted(mut error: Error) -> Error {
    if error.is_conflict()
        && let Some(fault) = &mut error.fault
    {
        fault.status = Some(409);
    }
    error
}
