//! Who has access: listed, granted, changed, taken away.
//!
//! Source: "Share files, folders and drives" of the Drive API.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::Google;
use super::access::{GROUPS, permission_id};
use super::call::{Call, nothing, object};
use super::fault::{Answer, Fault};
use super::render::{is_address, is_own_domain};
use super::state::{File, Grantee, Permission, Role, State};
use super::update::text;
use crate::people::find;

const FIELDS: &str = "id,type,kind,role";
const LIST_FIELDS: &str = "kind,nextPageToken,permissions(id,type,kind,role)";

fn no_permission(id: &str) -> Fault {
    Fault::not_found(format!("Permission not found: {id}."))
}

/// The file, when the caller may look at who has access.
fn shared<'a>(state: &'a State, call: &Call, id: &str) -> Answer<&'a File> {
    state.with_role(call.person, id, call.all_drives(), call.now, Role::Writer)
}

/// The file, when the caller may change who has access.
fn sharing<'a>(state: &'a State, call: &Call, id: &str) -> Answer<&'a File> {
    let (file, role) = state.seen(call.person, id, call.all_drives(), call.now)?;
    let least = match (file.drive.as_ref() == Some(&file.id), file.writers_can_share) {
        (true, _) => Role::Organizer,
        (false, true) => Role::Writer,
        (false, false) => Role::FileOrganizer,
    };
    if state.roots.values().any(|root| *root == file.id) {
        return Err(Fault::forbidden(
            "cannotShareRootFolder",
            "The root folder of My Drive cannot be shared.",
        ));
    }
    if role < least { Err(Fault::role()) } else { Ok(file) }
}

/// `GET files/{id}/permissions`.
pub(super) async fn list(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let size = call.page_size(100, 100)?;
    let state = google.state();
    let file = shared(&state, &call, &id)?;
    let all = state.permissions_of(file);
    let from = match call.text("pageToken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|from| *from < all.len())
            .ok_or_else(|| Fault::invalid("pageToken", "Invalid Value"))?,
    };
    let page: Vec<Value> = all.iter().skip(from).take(size).cloned().collect();
    let mut answer = json!({"kind": "drive#permissionList", "permissions": page});
    if let (true, Some(members)) = (from + size < all.len(), answer.as_object_mut()) {
        members.insert("nextPageToken".into(), (from + size).to_string().into());
    }
    call.reply(answer, LIST_FIELDS)
}

fn shown(state: &State, file: &str, id: &str) -> Answer<Value> {
    let file = state.files.get(file).ok_or_else(|| Fault::no_file(file))?;
    let all = state.permissions_of(file);
    let found = all.into_iter().find(|one| text(one, "id") == Some(id));
    found.ok_or_else(|| no_permission(id))
}

/// `GET files/{id}/permissions/{permission}`.
pub(super) async fn get(
    Shared(google): Shared<Google>,
    Path((id, permission)): Path<(String, String)>,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let state = google.state();
    let file = shared(&state, &call, &id)?.id.clone();
    call.reply(shown(&state, &file, &permission)?, FIELDS)
}

fn grantee(meta: &Value) -> Answer<Grantee> {
    let address = || {
        let address = text(meta, "emailAddress").filter(|address| is_address(address));
        address.map(str::to_owned).ok_or_else(|| {
            Fault::bad(
                "invalidSharingRequest",
                "Bad Request. User message: \"The specified emailAddress is invalid or not applicable for the given permission type.\"",
            )
        })
    };
    match text(meta, "type") {
        Some("user") => Ok(Grantee::User(address()?)),
        Some("group") => {
            let address = address()?;
            if !GROUPS.iter().any(|group| group.email.eq_ignore_ascii_case(&address)) {
                return Err(Fault::bad("invalidSharingRequest", "There is no such group."));
            }
            Ok(Grantee::Group(address))
        }
        Some("domain") => {
            let domain = text(meta, "domain").filter(|domain| is_own_domain(domain));
            let domain = domain.ok_or_else(|| {
                Fault::bad("invalid", "The specified domain is invalid or not applicable for the given permission type.")
            })?;
            Ok(Grantee::Domain(domain.to_owned()))
        }
        Some("anyone") => Ok(Grantee::Anyone),
        Some(_) => Err(Fault::bad("invalid", "The permission type field is invalid.")),
        None => Err(Fault::bad("required", "The permission type field is required.")),
    }
}

fn role_of(meta: &Value, file: &File) -> Answer<Role> {
    let word = text(meta, "role");
    let word =
        word.ok_or_else(|| Fault::bad("required", "The permission role field is required."))?;
    let role = Role::read(word);
    let role =
        role.ok_or_else(|| Fault::bad("invalid", "The permission role field is invalid."))?;
    let drive_only = matches!(role, Role::FileOrganizer | Role::Organizer);
    if (drive_only && file.drive.is_none()) || (role == Role::Owner && file.drive.is_some()) {
        return Err(Fault::forbidden(
            "invalidSharingRequest",
            "The specified role is not applicable for this item.",
        ));
    }
    Ok(role)
}

fn expiry(meta: &Value) -> Answer<Option<Timestamp>> {
    text(meta, "expirationTime")
        .map(|at| {
            Timestamp::parse(at)
                .ok_or_else(|| Fault::bad("invalid", "Invalid value for: expirationTime"))
        })
        .transpose()
}

/// `POST files/{id}/permissions`.
pub(super) async fn create(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let mut state = google.state();
    let file = sharing(&state, &call, &id)?;
    let kind = grantee(&meta)?;
    let role = role_of(&meta, file)?;
    if role == Role::Owner {
        return transfer(&google, &call, &mut state, &id, &kind);
    }
    if matches!(kind, Grantee::Anyone | Grantee::Domain(_)) && role > Role::Writer {
        return Err(Fault::bad("invalid", "The role is not applicable for the permission type."));
    }
    if meta.get("expirationTime").is_some() && !matches!(kind, Grantee::User(_) | Grantee::Group(_))
    {
        return Err(Fault::bad(
            "invalid",
            "Expiration dates can only be set on user and group permissions.",
        ));
    }
    let allow_discovery = meta.get("allowFileDiscovery").and_then(Value::as_bool).unwrap_or(false);
    let before = state.audience(file, call.now);
    let file = file.id.clone();
    let granted = Permission {
        id: permission_id(&kind, allow_discovery),
        kind,
        role,
        allow_discovery,
        since: call.now,
        expires: expiry(&meta)?,
    };
    let key = granted.id.clone();
    if let Some(file) = state.files.get_mut(&file) {
        match file.permissions.iter_mut().find(|one| one.id == granted.id) {
            Some(there) => *there = granted,
            None => file.permissions.push(granted),
        }
        file.version += 1;
    }
    note(&google, &mut state, &file, before);
    call.reply(shown(&state, &file, &key)?, FIELDS)
}

/// Tells of the change: of the file's, or of who is in a shared drive.
fn note(
    google: &Google,
    state: &mut State,
    file: &str,
    before: std::collections::BTreeSet<&'static str>,
) {
    if state.drives.contains_key(file) {
        google.note_drive(state, file, before);
    } else {
        google.note_file(state, file, before, "update", "permissions");
    }
}

/// Gives a file to someone else; the owner of before stays as a writer.
fn transfer(
    google: &Google,
    call: &Call,
    state: &mut State,
    id: &str,
    kind: &Grantee,
) -> Answer<Response> {
    let file = state.with_role(call.person, id, call.all_drives(), call.now, Role::Owner)?;
    if !call.flag("transferOwnership") {
        return Err(Fault::forbidden(
            "forbidden",
            "The transferOwnership parameter must be enabled when the permission role is 'owner'.",
        ));
    }
    let Grantee::User(email) = kind else {
        return Err(Fault::bad("invalid", "Only a user can own a file."));
    };
    let heir = find(email).ok_or_else(|| {
        Fault::forbidden(
            "invalidOwnershipTransfer",
            "Ownership can be given within the organization only.",
        )
    })?;
    let before = state.audience(file, call.now);
    let id = file.id.clone();
    let root = state.root(heir).to_owned();
    let old = Grantee::User(call.person.email.into());
    let mut changed = file.clone();
    changed.owner = Some(heir);
    changed.permissions.retain(|one| one.kind != *kind && one.kind != old);
    changed.permissions.push(Permission {
        id: permission_id(&old, false),
        kind: old,
        role: Role::Writer,
        allow_discovery: false,
        since: call.now,
        expires: None,
    });
    if call.flag("moveToNewOwnersRoot") {
        changed.parent = Some(root);
    }
    changed.version += 1;
    state.put(changed);
    note(google, state, &id, before);
    call.reply(shown(state, &id, &permission_id(kind, false))?, FIELDS)
}

/// The file and the place of a permission that is its own.
fn own(state: &State, call: &Call, id: &str, permission: &str) -> Answer<(String, usize)> {
    let file = sharing(state, call, id)?;
    let at = file.permissions.iter().position(|one| one.id == permission);
    if let Some(at) = at {
        return Ok((file.id.clone(), at));
    }
    // One that comes from above is there, but is not to be touched here.
    shown(state, &file.id, permission)?;
    let owner = file.owner.map(|owner| permission_id(&Grantee::User(owner.email.into()), false));
    if owner.as_deref() == Some(permission) {
        return Err(Fault::role());
    }
    if file.drive.is_some() {
        return Err(Fault::forbidden(
            "cannotModifyInheritedTeamDrivePermission",
            "Cannot update or delete an inherited permission on a shared drive item.",
        ));
    }
    Err(Fault::forbidden(
        "cannotModifyInheritedPermission",
        "Cannot update or delete an inherited permission.",
    ))
}

/// `PATCH files/{id}/permissions/{permission}`.
pub(super) async fn update(
    Shared(google): Shared<Google>,
    Path((id, permission)): Path<(String, String)>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let meta = object(body).await?;
    let mut state = google.state();
    if text(&meta, "role") == Some("owner") {
        let file = sharing(&state, &call, &id)?;
        let found = file.permissions.iter().find(|one| one.id == permission);
        let kind = found.map(|one| one.kind.clone()).ok_or_else(|| no_permission(&permission))?;
        return transfer(&google, &call, &mut state, &id, &kind);
    }
    let (file, at) = own(&state, &call, &id, &permission)?;
    let whole = state.files.get(&file).ok_or_else(|| Fault::no_file(&file))?;
    let before = state.audience(whole, call.now);
    let role = role_of(&meta, whole)?;
    let expires = expiry(&meta)?;
    if let Some(changed) = state.files.get_mut(&file) {
        if let Some(one) = changed.permissions.get_mut(at) {
            one.role = role;
            one.expires = expires.or(one.expires.filter(|_| !call.flag("removeExpiration")));
        }
        changed.version += 1;
    }
    note(&google, &mut state, &file, before);
    call.reply(shown(&state, &file, &permission)?, FIELDS)
}

/// `DELETE files/{id}/permissions/{permission}`.
pub(super) async fn delete(
    Shared(google): Shared<Google>,
    Path((id, permission)): Path<(String, String)>,
    call: Call,
) -> Answer<Response> {
    call.writes()?;
    let mut state = google.state();
    // Everyone may leave.
    let mine = permission_id(&Grantee::User(call.person.email.into()), false);
    let (file, at) = if permission == mine {
        let (file, _) = state.seen(call.person, &id, call.all_drives(), call.now)?;
        match file.permissions.iter().position(|one| one.id == permission) {
            Some(at) => (file.id.clone(), at),
            None => own(&state, &call, &id, &permission)?,
        }
    } else {
        own(&state, &call, &id, &permission)?
    };
    let whole = state.files.get(&file).ok_or_else(|| Fault::no_file(&file))?;
    let organizers = whole.permissions.iter().filter(|one| one.role == Role::Organizer).count();
    let last = whole.permissions.get(at).is_some_and(|one| one.role == Role::Organizer);
    if state.drives.contains_key(&file) && last && organizers == 1 {
        return Err(Fault::forbidden(
            "teamDriveMustHaveOrganizer",
            "A shared drive needs an organizer.",
        ));
    }
    let before = state.audience(whole, call.now);
    if let Some(changed) = state.files.get_mut(&file) {
        changed.permissions.remove(at);
        changed.version += 1;
    }
    note(&google, &mut state, &file, before);
    Ok(nothing())
}
