//! `sharing/*` of members: who has access to files and to shared folders.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::auth::Caller;
use super::drive::{Drive, Node};
use super::files::flag;
use super::path::{Asked, lower};
use super::refusal::{Refusal, put, tag, tag_of, tagged, with_members};
use super::render::{account_id, member_id, time};
use super::{State, World, jobs, mounts};
use crate::people::{PEOPLE, Person, find};

/// The most members of one file or folder.
const MAX_MEMBERS: usize = 1_000;

/// Who was given access to what, by the file's id or the shared folder's.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) owner: &'static Person,
    pub(super) node: String,
    /// Roles by address.
    pub(super) members: BTreeMap<String, String>,
    /// Of folders: the people in whose files it is.
    pub(super) mounted: BTreeSet<&'static str>,
}

impl Shared {
    fn of(owner: &'static Person, node: &Node) -> Self {
        let (members, mounted) = (BTreeMap::new(), BTreeSet::from([owner.id]));
        Self { owner, node: node.id.clone(), members, mounted }
    }

    /// What someone may do with it; none when it is not shared with them.
    pub(super) fn role(&self, person: &Person) -> Option<&str> {
        if self.owner == person {
            return Some("owner");
        }
        self.members.get(person.email).map(String::as_str)
    }
}

fn user(person: &Person) -> Value {
    json!({"account_id": account_id(person), "email": person.email, "display_name": person.name,
        "same_team": true, "team_member_id": member_id(person)})
}

/// Members as `SharedFolderMembers` and `SharedFileMembers` tell them.
fn members(shared: &Shared) -> Value {
    let mut users = vec![json!({"access_type": tag("owner"), "is_inherited": false,
        "user": user(shared.owner), "permissions": []})];
    let mut invitees = Vec::new();
    for (email, role) in &shared.members {
        match find(email) {
            Some(person) => users.push(json!({"access_type": tag(role), "is_inherited": false,
                "user": user(person), "permissions": []})),
            None => invitees.push(json!({"access_type": tag(role), "is_inherited": false,
                "invitee": tagged("email", email.as_str().into()), "permissions": []})),
        }
    }
    json!({"users": users, "groups": [], "invitees": invitees})
}

/// The address of a `MemberSelector`.
fn selected(member: &Value) -> Result<String, Value> {
    match tag_of(member) {
        Some("email") => {
            let email = member.get("email").and_then(Value::as_str).unwrap_or_default();
            let fits = email
                .split_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            if fits { Ok(email.to_lowercase()) } else { Err(tagged("invalid_email", email.into())) }
        }
        _ => {
            let id = member.get("dropbox_id").and_then(Value::as_str).unwrap_or_default();
            let person = PEOPLE.iter().find(|one| account_id(one) == id || member_id(one) == id);
            person
                .map(|one| one.email.to_owned())
                .ok_or_else(|| tagged("invalid_dropbox_id", id.into()))
        }
    }
}

fn role_of(value: Option<&Value>) -> String {
    value.and_then(tag_of).unwrap_or("viewer").to_owned()
}

fn file_node(drive: &Drive, arg: &Value) -> Result<Node, Refusal> {
    let refused = |why: &str| Refusal::Route(tagged("access_error", tag(why)));
    let text = arg.get("file").and_then(Value::as_str).unwrap_or_default();
    let asked = Asked::parse(text)
        .ok_or_else(|| Refusal::Bad("request body: file: did not match pattern".into()))?;
    match drive.find(&asked) {
        Ok(node) if node.is_folder() => Err(refused("is_folder")),
        Ok(node) => Ok(node.clone()),
        Err(_) => Err(refused("invalid_file")),
    }
}

fn shared_file<'a>(
    state: &'a mut State,
    caller: &Caller,
    arg: &Value,
) -> Result<&'a mut Shared, Refusal> {
    let node = file_node(state.drive(caller.person)?, arg)?;
    let fresh = Shared::of(caller.person, &node);
    Ok(state.shared.entry(node.id).or_insert(fresh))
}

/// `list_file_members`.
pub(super) fn file_members(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    Ok(members(shared_file(&mut state, caller, arg)?))
}

/// `add_file_member`.
pub(super) fn add_file_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let shared = shared_file(&mut state, caller, arg)?;
    let role = role_of(arg.get("access_level"));
    let mut results = Vec::new();
    for member in arg.get("members").and_then(Value::as_array).cloned().unwrap_or_default() {
        let result = match selected(&member) {
            Ok(email) if shared.members.len() < MAX_MEMBERS => {
                shared.members.insert(email, role.clone());
                tagged("success", tag(&role))
            }
            _ => tagged("member_error", tag("invalid_member")),
        };
        results.push(json!({"member": member, "result": result}));
    }
    Ok(results.into())
}

/// `update_file_member`.
pub(super) fn update_file_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let shared = shared_file(&mut state, caller, arg)?;
    let none = || Refusal::Route(tagged("member_error", tag("invalid_member")));
    let email = selected(arg.get("member").unwrap_or(&Value::Null)).map_err(|_| none())?;
    let role = role_of(arg.get("access_level"));
    let there = shared.members.get_mut(&email).ok_or_else(none)?;
    there.clone_from(&role);
    Ok(json!({"access_level": tag(&role)}))
}

/// `remove_file_member_2`.
pub(super) fn remove_file_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let shared = shared_file(&mut state, caller, arg)?;
    let email = selected(arg.get("member").unwrap_or(&Value::Null)).ok();
    Ok(match email.and_then(|email| shared.members.remove(&email)) {
        Some(_) => with_members("success", json!({})),
        None => tagged("member_error", tag("invalid_member")),
    })
}

/// `SharedFolderMetadata`, as this person has it. `path`: where it is mounted.
pub(super) fn folder_metadata(
    world: &World,
    id: &str,
    shared: &Shared,
    person: &Person,
    name: &str,
    path: Option<&str>,
) -> Value {
    let mut told = json!({"access_type": tag(shared.role(person).unwrap_or("viewer")),
        "is_inside_team_folder": false, "is_team_folder": false, "name": name,
        "policy": {"acl_update_policy": tag("owner"), "shared_link_policy": tag("anyone"),
            "member_policy": tag("anyone"), "resolved_member_policy": tag("anyone")},
        "preview_url": format!("https://www.dropbox.com/scl/fo/{id}"), "shared_folder_id": id,
        "time_invited": time(world.now()), "access_inheritance": tag("inherit"), "permissions": []});
    if let Some(path) = path {
        put(&mut told, "path_lower", lower(path));
        put(&mut told, "path_display", path);
    }
    told
}

/// `share_folder`.
pub(super) fn share_folder(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let asked = Asked::read(arg, "path")?;
    let bad = |error: Value| Refusal::Route(tagged("bad_path", error));
    let drive = state.drive(caller.person)?;
    let node = drive.find(&asked).map_err(|_| bad(tag("invalid_path")))?.clone();
    if !node.is_folder() {
        return Err(bad(tag("is_file")));
    }
    if let Some(id) = &node.shared_folder {
        let id = id.clone();
        let told = state.shared.get(&id).map(|shared| {
            folder_metadata(world, &id, shared, caller.person, node.name(), Some(&node.path))
        });
        return Err(bad(with_members("already_shared", told.unwrap_or_default())));
    }
    let key = lower(&node.path);
    let inside = key.match_indices('/').skip(1).any(|(at, _)| {
        let above = key.get(..at).unwrap_or_default();
        drive.nodes.get(above).is_some_and(|node| node.shared_folder.is_some())
    });
    if inside {
        return Err(bad(tag("inside_shared_folder")));
    }
    let id = format!("{}", 5_000_000_000 + world.dice.below(1_000_000_000));
    if let Some(node) = drive.nodes.get_mut(&key) {
        node.shared_folder = Some(id.clone());
    }
    for key in drive.tree(&key).into_iter().skip(1) {
        if let Some(node) = drive.nodes.get_mut(&key) {
            node.within = Some((id.clone(), false));
        }
    }
    let shared = Shared::of(caller.person, &node);
    let told = folder_metadata(world, &id, &shared, caller.person, node.name(), Some(&node.path));
    state.shared.insert(id.clone(), shared);
    let result = with_members("complete", told);
    if flag(arg, "force_async") {
        return Ok(jobs::begin(world, &mut state, caller, result));
    }
    Ok(result)
}

/// The shared folder that an argument names, which must be the caller's.
fn shared_folder<'a>(
    state: &'a mut State,
    caller: &Caller,
    arg: &Value,
) -> Result<(String, &'a mut Shared), Refusal> {
    let id = arg.get("shared_folder_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let refused = || Refusal::Route(tagged("access_error", tag("invalid_id")));
    let shared =
        state.shared.get_mut(&id).filter(|one| !one.node.eq(&id) && one.owner == caller.person);
    shared.map(|shared| (id, shared)).ok_or_else(refused)
}

/// A shared folder as one of its people sees it.
pub(super) fn told(world: &World, state: &State, id: &str, person: &Person) -> Option<Value> {
    let shared = state.shared.get(id).filter(|one| one.node != id)?;
    shared.role(person)?;
    let at = |person: &Person| {
        let drive = state.drives.get(person.id)?;
        drive.nodes.values().find(|node| node.shared_folder.as_deref() == Some(id))
    };
    let (own, whole) = (at(person), at(shared.owner));
    let name = own.or(whole).map_or("Shared", Node::name);
    let path = own.map(|node| node.path.as_str());
    Some(folder_metadata(world, id, shared, person, name, path))
}

/// `get_folder_metadata`.
pub(super) fn get_folder(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let id = arg.get("shared_folder_id").and_then(Value::as_str).unwrap_or_default();
    let state = world.state();
    told(world, &state, id, caller.person).ok_or_else(|| Refusal::Route(tag("invalid_id")))
}

/// `list_folders`: of one's own, and those that one is a member of.
pub(super) fn list_folders(world: &World, caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    let state = world.state();
    let entries = state.shared.keys().filter_map(|id| told(world, &state, id, caller.person));
    Ok(json!({"entries": entries.collect::<Vec<_>>()}))
}

/// `list_folder_members`.
pub(super) fn folder_members(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let id = arg.get("shared_folder_id").and_then(Value::as_str).unwrap_or_default();
    let state = world.state();
    let shared = state.shared.get(id).filter(|one| one.node != id);
    let shared = shared.filter(|one| one.role(caller.person).is_some());
    shared.map(members).ok_or_else(|| Refusal::Route(tag("invalid_id")))
}

/// `add_folder_member`.
pub(super) fn add_folder_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let (_, shared) = shared_folder(&mut state, caller, arg)?;
    for member in arg.get("members").and_then(Value::as_array).cloned().unwrap_or_default() {
        let selector = member.get("member").unwrap_or(&Value::Null);
        let email =
            selected(selector).map_err(|error| Refusal::Route(tagged("bad_member", error)))?;
        if shared.members.len() >= MAX_MEMBERS {
            return Err(Refusal::Route(tagged("too_many_members", MAX_MEMBERS.into())));
        }
        shared.members.insert(email, role_of(member.get("access_level")));
    }
    Ok(Value::Null)
}

/// `update_folder_member`.
pub(super) fn update_folder_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let (id, shared) = shared_folder(&mut state, caller, arg)?;
    let none = || Refusal::Route(tagged("member_error", tag("not_a_member")));
    let email = selected(arg.get("member").unwrap_or(&Value::Null)).map_err(|_| none())?;
    let role = role_of(arg.get("access_level"));
    let there = shared.members.get_mut(&email).ok_or_else(none)?;
    there.clone_from(&role);
    mounts::allow(&mut state, &id, &email, &role);
    Ok(json!({"access_level": tag(&role)}))
}

/// `remove_folder_member`: always a job.
pub(super) fn remove_folder_member(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let (id, shared) = shared_folder(&mut state, caller, arg)?;
    let none = || Refusal::Route(tagged("member_error", tag("not_a_member")));
    let email = selected(arg.get("member").unwrap_or(&Value::Null)).map_err(|_| none())?;
    shared.members.remove(&email).ok_or_else(none)?;
    if let Some(person) = find(&email) {
        mounts::unmount(&mut state, &id, person, world.now());
    }
    Ok(jobs::begin(world, &mut state, caller, with_members("complete", json!({}))))
}

/// `unshare_folder`: always a job.
pub(super) fn unshare_folder(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let (id, shared) = shared_folder(&mut state, caller, arg)?;
    let members = shared.mounted.clone();
    for person in PEOPLE.iter().filter(|one| members.contains(one.id) && **one != *caller.person) {
        mounts::unmount(&mut state, &id, person, world.now());
    }
    state.shared.remove(&id);
    let drive = state.drive(caller.person)?;
    for node in drive.nodes.values_mut() {
        if node.shared_folder.as_deref() == Some(id.as_str()) {
            node.shared_folder = None;
        }
        if node.within.as_ref().is_some_and(|(above, _)| *above == id) {
            node.within = None;
        }
    }
    Ok(jobs::begin(world, &mut state, caller, tag("complete")))
}
