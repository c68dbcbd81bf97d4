//! Shared drives.
//!
//! Source: "Manage shared drives" of the Drive API.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use serde_json::{Value, json};

use super::Google;
use super::access::permission_id;
use super::call::{Call, nothing, object};
use super::fault::{Answer, Fault};
use super::query::{Compare, Query, name_contains};
use super::state::{FOLDER, Grantee, Permission, Role, SharedDrive, State, blank, time};
use super::update::text;

const FIELDS: &str = "kind,id,name";
const LIST_FIELDS: &str = "kind,nextPageToken,drives(kind,id,name)";
/// The most shared drives of the whole simulation.
const MAX_DRIVES: usize = 1_000;

/// The drive and what the caller may do in it.
fn drive_of<'a>(state: &'a State, call: &Call, id: &str) -> Answer<(&'a SharedDrive, Role)> {
    let missing = || Fault::not_found(format!("Shared drive not found: {id}"));
    let drive = state.drives.get(id).ok_or_else(missing)?;
    let root = state.files.get(id).ok_or_else(missing)?;
    let admin = call.flag("useDomainAdminAccess") && call.person.admin;
    let role = state.role(call.person, root, call.now).or(admin.then_some(Role::Organizer));
    Ok((drive, role.ok_or_else(missing)?))
}

/// A drive as this caller sees it.
pub(super) fn render(drive: &SharedDrive, role: Role, call: &Call) -> Value {
    let (edits, organizes) = (role >= Role::Writer, role >= Role::Organizer);
    json!({
        "kind": "drive#drive", "id": drive.id, "name": drive.name,
        "createdTime": time(drive.created), "hidden": drive.hidden.contains(call.person.id),
        "colorRgb": drive.color, "restrictions": drive.restrictions,
        "capabilities": {
            "canAddChildren": edits, "canComment": role >= Role::Commenter, "canCopy": true,
            "canDeleteChildren": organizes, "canDeleteDrive": organizes, "canDownload": true,
            "canEdit": edits, "canListChildren": true, "canManageMembers": organizes,
            "canReadRevisions": edits, "canRename": edits, "canRenameDrive": organizes,
            "canShare": edits, "canTrashChildren": role >= Role::FileOrganizer,
        },
    })
}

/// `GET drives`.
pub(super) async fn list(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.reads()?;
    let size = call.page_size(10, 100)?;
    let query = Query::read(call.text("q").unwrap_or_default())?;
    let state = google.state();
    let after = match call.text("pageToken") {
        None => "",
        Some(token) => token
            .strip_prefix("~drives~")
            .ok_or_else(|| Fault::invalid("pageToken", "Invalid Value"))?,
    };
    let mut found: Vec<Value> = Vec::new();
    let mut more = false;
    for (id, drive) in &state.drives {
        let Ok((_, role)) = drive_of(&state, &call, id) else { continue };
        let wanted = match &query {
            None => true,
            Some(query) => fits(drive, query, &call),
        };
        if id.as_str() <= after || !wanted {
            continue;
        }
        if found.len() == size {
            more = true;
            break;
        }
        found.push(render(drive, role, &call));
    }
    let last = found.last().and_then(|one| text(one, "id")).map(str::to_owned);
    let mut answer = json!({"kind": "drive#driveList", "drives": found});
    if let (true, Some(last), Some(members)) = (more, last, answer.as_object_mut()) {
        members.insert("nextPageToken".into(), format!("~drives~{last}").into());
    }
    call.reply(answer, LIST_FIELDS)
}

fn fits(drive: &SharedDrive, query: &Query, call: &Call) -> bool {
    match query {
        Query::And(one, two) => fits(drive, one, call) && fits(drive, two, call),
        Query::Or(one, two) => fits(drive, one, call) || fits(drive, two, call),
        Query::Not(one) => !fits(drive, one, call),
        Query::Text(field, Compare::Contains, value) if field == "name" => {
            name_contains(&drive.name, value)
        }
        Query::Text(field, compare, value) if field == "name" => {
            (drive.name == *value) == (*compare == Compare::Is)
        }
        Query::Flag(field, wanted) if field == "hidden" => {
            drive.hidden.contains(call.person.id) == *wanted
        }
        Query::Time(field, compare, value) if field == "createdTime" => {
            compare.holds(drive.created, *value)
        }
        _ => false,
    }
}

/// `GET drives/{id}`.
pub(super) async fn get(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let state = google.state();
    let (drive, role) = drive_of(&state, &call, &id)?;
    call.reply(render(drive, role, &call), FIELDS)
}

/// `POST drives`: `requestId` makes it safe to repeat.
pub(super) async fn create(
    Shared(google): Shared<Google>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let request = call.text("requestId");
    let request =
        request.ok_or_else(|| Fault::required("requestId", "Required parameter: requestId"))?;
    let name = text(&meta, "name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Fault::bad("required", "The shared drive needs a name."))?;
    let request = format!("{}/{request}", call.person.id);
    let mut state = google.state();
    if state.drives.values().any(|drive| drive.request == request) {
        return Err(Fault::taken());
    }
    if state.drives.len() >= MAX_DRIVES {
        return Err(Fault::forbidden(
            "teamDriveLimitExceeded",
            "There are too many shared drives.",
        ));
    }
    let id = google.0.lent.dice.token("0A", 17);
    let kind = Grantee::User(call.person.email.into());
    let mut root = blank(id.clone(), name.to_owned(), FOLDER.into(), call.person, call.now);
    root.drive = Some(id.clone());
    root.permissions.push(Permission {
        id: permission_id(&kind, false),
        kind,
        role: Role::Organizer,
        allow_discovery: false,
        since: call.now,
        expires: None,
    });
    state.put(root);
    let restrictions = [
        "adminManagedRestrictions",
        "copyRequiresWriterPermission",
        "domainUsersOnly",
        "driveMembersOnly",
    ];
    let drive = SharedDrive {
        id: id.clone(),
        name: name.to_owned(),
        created: call.now,
        hidden: BTreeSet::new(),
        restrictions: restrictions.map(|name| (name.to_owned(), false)).into_iter().collect(),
        color: text(&meta, "colorRgb").unwrap_or("#0f9d58").to_owned(),
        request,
    };
    state.drives.insert(id.clone(), drive);
    google.note_drive(&mut state, &id, BTreeSet::new());
    let (drive, role) = drive_of(&state, &call, &id)?;
    call.reply(render(drive, role, &call), FIELDS)
}

/// `PATCH drives/{id}`.
pub(super) async fn update(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let mut state = google.state();
    let (_, role) = drive_of(&state, &call, &id)?;
    if role < Role::Organizer {
        return Err(Fault::role());
    }
    if let Some(drive) = state.drives.get_mut(&id) {
        if let Some(name) = text(&meta, "name") {
            name.clone_into(&mut drive.name);
        }
        if let Some(color) = text(&meta, "colorRgb") {
            color.clone_into(&mut drive.color);
        }
        if let Some(Value::Object(wanted)) = meta.get("restrictions") {
            let wanted: BTreeMap<String, bool> = wanted
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.as_bool()?)))
                .filter(|(name, _)| drive.restrictions.contains_key(name))
                .collect();
            drive.restrictions.extend(wanted);
        }
    }
    google.note_drive(&mut state, &id, BTreeSet::new());
    let (drive, role) = drive_of(&state, &call, &id)?;
    call.reply(render(drive, role, &call), FIELDS)
}

/// `DELETE drives/{id}`: an empty one, or with `allowItemDeletion` by an administrator any.
pub(super) async fn delete(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    let (_, role) = drive_of(&state, &call, &id)?;
    if role < Role::Organizer {
        return Err(Fault::role());
    }
    let all = call.flag("allowItemDeletion") && call.flag("useDomainAdminAccess");
    let left = state.tree(&id).iter().skip(1).filter_map(|id| state.files.get(id)).any(|file| {
        // What is in the trash does not keep a drive.
        !state.is_trashed(file)
    });
    if left && !all {
        return Err(Fault::forbidden(
            "cannotDeleteResourceWithChildren",
            "A shared drive with items in it cannot be deleted.",
        ));
    }
    let before =
        state.files.get(&id).map(|root| state.audience(root, call.now)).unwrap_or_default();
    google.erase(&mut state, &id);
    state.drives.remove(&id);
    google.note_drive(&mut state, &id, before);
    Ok(nothing())
}

/// `POST drives/{id}/hide`.
pub(super) async fn hide(shared: Shared<Google>, id: Path<String>, call: Call) -> Answer<Response> {
    set_hidden(shared, id, call, true).await
}

/// `POST drives/{id}/unhide`.
pub(super) async fn unhide(
    shared: Shared<Google>,
    id: Path<String>,
    call: Call,
) -> Answer<Response> {
    set_hidden(shared, id, call, false).await
}

async fn set_hidden(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    hidden: bool,
) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    drive_of(&state, &call, &id)?;
    if let Some(drive) = state.drives.get_mut(&id) {
        if hidden {
            drive.hidden.insert(call.person.id);
        } else {
            drive.hidden.remove(call.person.id);
        }
    }
    let (drive, role) = drive_of(&state, &call, &id)?;
    call.reply(render(drive, role, &call), FIELDS)
}

impl State {
    /// A drive as someone sees it, when they do.
    pub(super) fn drive_for(&self, call: &Call, id: &str) -> Option<Value> {
        let (drive, role) = drive_of(self, call, id).ok()?;
        Some(render(drive, role, call))
    }
}
