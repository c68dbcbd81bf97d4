//! The log of changes: coalesced, one for every person, one for every shared drive.
//!
//! Source: "Retrieve changes" of the Drive API. Start tokens are numbers that grow, as they really are;
//! nothing may be read into them.

use std::collections::BTreeSet;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Value, json};

use super::Google;
use super::call::Call;
use super::fault::{Answer, Fault};
use super::state::{Change, State, Target, time};

const FIELDS: &str = "kind,nextPageToken,newStartPageToken,changes(kind,type,changeType,time,removed,fileId,driveId,file(kind,id,name,mimeType))";

impl Google {
    /// Writes down that a file changed, and tells subscribers. `before`: who could see it before;
    /// `how`: the word of pushes for files; `what`: what of it changed.
    pub(super) fn note_file(
        &self,
        state: &mut State,
        id: &str,
        before: BTreeSet<&'static str>,
        how: &'static str,
        what: &'static str,
    ) {
        let now = self.now();
        let Some(file) = state.files.get(id) else { return };
        let drive = file.drive.clone();
        let mut audience = state.audience(file, now);
        audience.extend(before);
        self.write(state, Target::File(id.to_owned()), drive, audience, how, what);
    }

    /// Writes down that a file is gone for good.
    pub(super) fn note_gone(
        &self,
        state: &mut State,
        id: &str,
        drive: Option<String>,
        before: BTreeSet<&'static str>,
    ) {
        self.write(state, Target::File(id.to_owned()), drive, before, "remove", "");
    }

    /// Writes down that a shared drive came, changed, or went, or who is in it.
    pub(super) fn note_drive(&self, state: &mut State, id: &str, before: BTreeSet<&'static str>) {
        let now = self.now();
        let mut audience =
            state.files.get(id).map(|root| state.audience(root, now)).unwrap_or_default();
        audience.extend(before);
        let (target, drive) = (Target::Drive(id.to_owned()), Some(id.to_owned()));
        self.write(state, target, drive, audience, "update", "");
    }

    fn write(
        &self,
        state: &mut State,
        target: Target,
        drive: Option<String>,
        mut audience: BTreeSet<&'static str>,
        how: &'static str,
        what: &'static str,
    ) {
        state.seq += 1;
        let seq = state.seq;
        let told = audience.clone();
        let mut left = BTreeSet::new();
        if let Some(old) = state.latest.insert(target.clone(), seq)
            && let Some(old) = state.log.remove(&old)
        {
            // Whoever has not read the old one must still hear of the thing.
            audience.extend(old.audience);
            left.extend(old.left);
            left.extend(old.drive);
        }
        if let Some(drive) = &drive {
            left.remove(drive);
        }
        let now = self.now();
        state.index_later(&target, now);
        let change = Change { target, at: now, drive, left, audience };
        state.log.insert(seq, change.clone());
        self.push(state, &change, &told, how, what);
    }
}

/// Which shared drive's log is meant; `None`: the caller's own.
pub(super) fn log_of(state: &State, call: &Call) -> Answer<Option<String>> {
    let Some(id) = call.text("driveId").or_else(|| call.text("teamDriveId")) else {
        return Ok(None);
    };
    let missing = || Fault::not_found(format!("Shared drive not found: {id}"));
    if !call.all_drives() {
        return Err(missing());
    }
    let root = state.files.get(id).filter(|file| file.drive.as_deref() == Some(id));
    let role = root.and_then(|root| state.role(call.person, root, call.now));
    role.map(|_| Some(id.to_owned())).ok_or_else(missing)
}

/// `GET changes/startPageToken`.
pub(super) async fn start(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.reads()?;
    let state = google.state();
    log_of(&state, &call)?;
    let token = state.next_untold(call.now, 0).to_string();
    call.reply(json!({"kind": "drive#startPageToken", "startPageToken": token}), "*")
}

/// `GET changes`.
pub(super) async fn list(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.reads()?;
    let size = call.page_size(100, 1_000)?;
    let state = google.state();
    let size = state.quirks.page(size);
    let log = log_of(&state, &call)?;
    let from = page_token(&state, &call)?;
    let mut found = Vec::new();
    let mut next = None;
    let untold = state.next_untold(call.now, from);
    for (seq, change) in state.log.range(from..untold.max(from)) {
        let Some(shown) = render(&state, &call, change, log.as_deref()) else { continue };
        if found.len() == size {
            next = Some(*seq);
            break;
        }
        found.push(shown);
    }
    let mut answer = json!({"kind": "drive#changeList", "changes": found});
    if let Some(members) = answer.as_object_mut() {
        match next {
            Some(seq) => members.insert("nextPageToken".into(), seq.to_string().into()),
            None => members.insert("newStartPageToken".into(), untold.to_string().into()),
        };
    }
    call.reply(answer, FIELDS)
}

/// Where to read on.
pub(super) fn page_token(state: &State, call: &Call) -> Answer<u64> {
    let token = call.text("pageToken");
    let token =
        token.ok_or_else(|| Fault::required("pageToken", "Required parameter: pageToken"))?;
    let from = token.parse::<u64>().ok().filter(|from| *from > 0 && *from <= state.seq + 1);
    from.ok_or_else(|| Fault::invalid("pageToken", format!("Invalid page token: {token}")))
}

/// One change as this caller sees it; `None` when it is not for them.
fn render(state: &State, call: &Call, change: &Change, log: Option<&str>) -> Option<Value> {
    match log {
        Some(drive) if !change.is_of(drive) => return None,
        None if !change.audience.contains(call.person.id) => return None,
        _ => {}
    }
    let shared = change.drive.is_some();
    let all = call.flag("includeItemsFromAllDrives") || call.flag("includeTeamDriveItems");
    if shared && log.is_none() && (!all || call.flag("restrictToMyDrive")) {
        return None;
    }
    let word = |is_file: bool| if is_file { "file" } else { "drive" };
    let is_file = matches!(change.target, Target::File(_));
    let mut shown = json!({
        "kind": "drive#change", "type": word(is_file), "changeType": word(is_file),
        "time": time(change.at),
    });
    let members = shown.as_object_mut()?;
    // What moved out of a shared drive is gone from its log; "includeCorpusRemovals" shows it all the same.
    let out = log.is_some() && change.drive.as_deref() != log;
    let (removed, key, id, object) = match &change.target {
        Target::File(id) => {
            let file = state.files.get(id);
            let seen = file.filter(|file| state.role(call.person, file, call.now).is_some());
            let seen = seen.filter(|_| !out || call.flag("includeCorpusRemovals"));
            let shown = seen.map(|file| ("file", state.render(file, call)));
            (out || shown.is_none(), "fileId", id, shown)
        }
        Target::Drive(id) => {
            let seen = state.drive_for(call, id);
            (seen.is_none(), "driveId", id, seen.map(|drive| ("drive", drive)))
        }
    };
    if removed && call.text("includeRemoved") == Some("false") {
        return None;
    }
    members.insert("removed".into(), removed.into());
    members.insert(key.into(), id.clone().into());
    if let Some((name, object)) = object {
        members.insert(name.into(), object);
    }
    Some(shown)
}
