//! Shared folders in the files of those whom they are shared with: mounted and unmounted by themselves, and
//! the same for all of them.
//!
//! "mount_folder": "Once mounted, the shared folder will appear in their Dropbox." Each person has a copy, with
//! the same ids and revisions, that follows what any of them does.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::auth::Caller;
use super::drive::{Drive, Node};
use super::path::lower;
use super::refusal::{Refusal, tag, tagged};
use super::sharing::told;
use super::{State, World};
use crate::people::{PEOPLE, Person, find};

fn is_viewer(role: &str) -> bool {
    role.starts_with("viewer") || role == "traverse"
}

/// Where a shared folder is mounted.
fn mount_of(drive: &Drive, id: &str) -> Option<String> {
    let mut nodes = drive.nodes.iter();
    nodes.find(|(_, node)| node.shared_folder.as_deref() == Some(id)).map(|(key, _)| key.clone())
}

/// What is below a mounted folder, by the rest of the path in lower case, with the rest as it is written.
fn inside(drive: &Drive, key: &str) -> BTreeMap<String, (String, Node)> {
    let Some(root) = drive.nodes.get(key) else { return BTreeMap::new() };
    let below = drive.tree(key).into_iter().skip(1);
    below
        .filter_map(|one| {
            let node = drive.nodes.get(&one)?;
            let rest = node.path.get(root.path.len()..)?.to_owned();
            Some((lower(&rest), (rest, node.clone())))
        })
        .collect()
}

fn same(one: &Node, other: &Node) -> bool {
    let rev = |node: &Node| node.file.as_ref().map(|file| file.rev.clone());
    one.id == other.id && rev(one) == rev(other)
}

/// Brings one person's copy to what it shall be; whether anything changed.
fn follow(
    drive: &mut Drive,
    key: &str,
    wanted: &BTreeMap<String, (String, Node)>,
    now: Timestamp,
) -> bool {
    let Some(root) = drive.nodes.get(key).map(|node| node.path.clone()) else { return false };
    let there = inside(drive, key);
    let mut changed = false;
    for (rest, (_, node)) in there.iter().rev() {
        if wanted.contains_key(rest) {
            continue;
        }
        let key = lower(&node.path);
        if let Some(gone) = drive.take(&key) {
            drive.remember(&key, &gone, now);
            if let Some(file) = gone.file {
                drive.keep(file);
            }
            drive.note(&key, now);
            changed = true;
        }
    }
    for (rest, (shown, node)) in wanted {
        let before = there.get(rest);
        if before.is_some_and(|(own, there)| own == shown && same(there, node)) {
            continue;
        }
        let mut node = node.clone();
        node.path = format!("{root}{shown}");
        let key = lower(&node.path);
        if let Some(file) = &mut node.file {
            file.path.clone_from(&node.path);
            file.key.clone_from(&key);
        }
        // Properties are an app's and a user's own.
        node.properties = before.map(|(_, there)| there.properties.clone()).unwrap_or_default();
        if let Some(old) = drive.take(&key).and_then(|old| old.file) {
            drive.keep(old);
        }
        drive.insert(node);
        drive.note(&key, now);
        changed = true;
    }
    changed
}

/// Shows the other members of shared folders what someone did; gives those for whom something changed.
pub(super) fn mirror(world: &World, by: &Person) -> Vec<&'static Person> {
    let now = world.now();
    let mut state = world.state();
    let shared = state.shared.iter().filter(|(id, one)| one.node != **id && one.mounted.len() > 1);
    let shared = shared.filter(|(_, one)| one.mounted.contains(by.id));
    let shared: Vec<_> = shared.map(|(id, one)| (id.clone(), one.mounted.clone())).collect();
    let mut told = Vec::new();
    for (id, mounted) in shared {
        let Some(own) = state.drives.get(by.id) else { continue };
        let Some(key) = mount_of(own, &id) else {
            // Whoever deletes a shared folder has left it; the others keep it.
            if let Some(shared) = state.shared.get_mut(&id) {
                shared.mounted.remove(by.id);
            }
            continue;
        };
        let wanted = inside(own, &key);
        for person in PEOPLE.iter().filter(|one| *one != by && mounted.contains(one.id)) {
            let Some(drive) = state.drives.get_mut(person.id) else { continue };
            let Some(key) = mount_of(drive, &id) else { continue };
            if follow(drive, &key, &wanted, now) && !told.contains(&person) {
                told.push(person);
            }
        }
    }
    told
}

/// Takes a shared folder out of someone's files.
pub(super) fn unmount(state: &mut State, id: &str, person: &Person, now: Timestamp) {
    if let Some(shared) = state.shared.get_mut(id) {
        shared.mounted.remove(person.id);
    }
    if let Some(drive) = state.drives.get_mut(person.id)
        && let Some(key) = mount_of(drive, id)
    {
        drive.delete(&key, now);
    }
}

/// Gives a member who has mounted a shared folder another role in it.
pub(super) fn allow(state: &mut State, id: &str, email: &str, role: &str) {
    let Some(drive) = find(email).and_then(|person| state.drives.get_mut(person.id)) else {
        return;
    };
    for node in drive.nodes.values_mut() {
        if node.shared_folder.as_deref() == Some(id) {
            node.read_only = is_viewer(role);
        }
        if let Some((above, read_only)) = &mut node.within
            && above == id
        {
            *read_only = is_viewer(role);
        }
    }
}

/// `mount_folder`.
pub(super) fn mount(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let id = arg.get("shared_folder_id").and_then(Value::as_str).unwrap_or_default();
    let refused = || Refusal::Route(tagged("access_error", tag("invalid_id")));
    let now = world.now();
    let mut state = world.state();
    let shared = state.shared.get(id).filter(|one| one.node != id).ok_or_else(refused)?;
    let role = shared.role(caller.person).ok_or_else(refused)?.to_owned();
    let mounted = shared.mounted.clone();
    if shared.mounted.contains(caller.person.id) {
        return Err(Refusal::Route(tag("already_mounted")));
    }
    let mut copies = mounted.iter().filter_map(|person| state.drives.get(person));
    let found = copies.find_map(|drive| Some((drive, mount_of(drive, id)?)));
    let Some((whole, key)) = found else { return Err(Refusal::Route(tag("not_mountable"))) };
    let root = whole.nodes.get(&key).cloned().ok_or_else(refused)?;
    let wanted = inside(whole, &key);
    let drive = state.drive(caller.person)?;
    let mut path = format!("/{}", root.name());
    if drive.node(&path).is_some() {
        path = drive.free(&path, true);
    }
    let key = lower(&path);
    drive.insert(Node {
        path,
        properties: BTreeMap::new(),
        read_only: is_viewer(&role),
        within: None,
        ..root
    });
    drive.note(&key, now);
    follow(drive, &key, &wanted, now);
    if let Some(shared) = state.shared.get_mut(id) {
        shared.mounted.insert(caller.person.id);
    }
    told(world, &state, id, caller.person).ok_or_else(refused)
}

/// `unmount_folder`.
pub(super) fn leave(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let id = arg.get("shared_folder_id").and_then(Value::as_str).unwrap_or_default();
    let mut state = world.state();
    let shared = state.shared.get(id).filter(|one| one.node != id);
    let role = shared.and_then(|one| one.role(caller.person));
    if role.is_none() {
        return Err(Refusal::Route(tagged("access_error", tag("invalid_id"))));
    }
    if !shared.is_some_and(|one| one.mounted.contains(caller.person.id)) {
        return Err(Refusal::Route(tagged("access_error", tag("unmounted"))));
    }
    unmount(&mut state, id, caller.person, world.now());
    Ok(Value::Null)
}

/// `list_mountable_folders`: what one could mount.
pub(super) fn mountable(world: &World, caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    let state = world.state();
    let open = state.shared.iter().filter(|(_, one)| !one.mounted.contains(caller.person.id));
    let entries = open.filter_map(|(id, _)| told(world, &state, id, caller.person));
    Ok(json!({"entries": entries.collect::<Vec<_>>()}))
}
