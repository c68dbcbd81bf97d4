//! `sharing/*` of links: made, listed, changed, revoked.
//!
//! Their settings are checked as the plan without limits does; what a smaller plan refuses is not simulated.

use serde_json::{Map, Value, json};
use tramontane_model::Timestamp;

use super::World;
use super::auth::Caller;
use super::drive::Node;
use super::path::{Asked, lower};
use super::refusal::{Refusal, path_error, put, tag, tag_of, tagged};
use super::render::{time, with_tag};
use crate::people::Person;

/// The most links of a person.
const MAX_LINKS: usize = 10_000;

/// One link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Who made it.
    person: &'static str,
    /// Whose files it leads into.
    whose: &'static Person,
    node: String,
    settings: Value,
}

fn visibility(settings: &Value) -> &'static str {
    let team = settings.get("audience").and_then(tag_of) == Some("team");
    if settings.get("link_password").is_some() && team {
        "team_and_password"
    } else if settings.get("link_password").is_some() {
        "password"
    } else if team || settings.get("requested_visibility").and_then(tag_of) == Some("team_only") {
        "team_only"
    } else {
        "public"
    }
}

/// `SharedLinkMetadata`.
fn metadata(url: &str, link: &Link, node: &Node) -> Value {
    let seen = visibility(&link.settings);
    let permissions = json!({"resolved_visibility": tag(seen), "requested_visibility": tag(seen),
        "can_revoke": true, "visibility_policies": [], "can_set_expiry": true, "can_remove_expiry": true,
        "allow_download": true, "can_allow_download": true, "can_disallow_download": false,
        "allow_comments": true, "team_restricts_comments": false,
        "link_access_level": tag("viewer"), "effective_audience": tag(if seen.starts_with("team") { "team" } else { "public" }),
        "require_password": seen.ends_with("password")});
    let mut value = json!({"url": url, "id": node.id, "name": node.name(),
        "path_lower": lower(&node.path), "link_permissions": permissions});
    if let Some(expires) = link.settings.get("expires").filter(|value| !value.is_null()) {
        put(&mut value, "expires", expires.clone());
    }
    let Some(file) = &node.file else { return with_tag("folder", value) };
    put(&mut value, "client_modified", time(file.client_modified));
    put(&mut value, "server_modified", time(file.server_modified));
    put(&mut value, "rev", file.rev.as_str());
    put(&mut value, "size", file.content.len());
    with_tag("file", value)
}

/// Checks what is asked of a link. Passwords that are to go are `link_password: null` afterwards.
fn checked(world: &World, settings: &Value) -> Result<Map<String, Value>, Refusal> {
    let refused = || Refusal::Route(tagged("settings_error", tag("invalid_settings")));
    let mut settings = settings.as_object().cloned().unwrap_or_default();
    match settings.get("require_password").and_then(Value::as_bool) {
        Some(true) if !settings.get("link_password").is_some_and(Value::is_string) => {
            return Err(refused());
        }
        Some(false) => {
            settings.insert("link_password".into(), Value::Null);
        }
        _ => {}
    }
    if let Some(expires) = settings.get("expires").filter(|value| !value.is_null()) {
        let at = expires.as_str().and_then(Timestamp::parse);
        if at.is_none_or(|at| at <= world.now()) {
            return Err(refused());
        }
    }
    Ok(settings)
}

/// `create_shared_link_with_settings`.
pub(super) fn create(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let asked = Asked::read(arg, "path")?;
    let mut state = world.state();
    let node = state.drive(caller.person)?.find(&asked).map_err(path_error)?.clone();
    let there = state.links.iter().find(|(_, link)| link.node == node.id);
    if let Some((url, link)) = there {
        let error = tagged("metadata", metadata(url, link, &node));
        return Err(Refusal::Route(tagged("shared_link_already_exists", error)));
    }
    if state.links.len() >= MAX_LINKS {
        return Err(Refusal::Route(tag("access_denied")));
    }
    let kind = if node.is_folder() { "fo" } else { "fi" };
    let token = world.dice.token("", 22);
    let url = format!(
        "https://www.dropbox.com/scl/{kind}/{token}?rlkey={}&dl=0",
        world.dice.token("", 22)
    );
    let mut settings = checked(world, arg.get("settings").unwrap_or(&Value::Null))?;
    settings.retain(|_, value| !value.is_null());
    let settings = Value::Object(settings);
    let link = Link { person: caller.by.id, whose: caller.person, node: node.id.clone(), settings };
    let answer = metadata(&url, &link, &node);
    state.links.insert(url, link);
    Ok(answer)
}

/// `list_shared_links`.
pub(super) fn list(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let only = match arg.get("path").and_then(Value::as_str) {
        None => None,
        Some(_) => {
            let asked = Asked::read(arg, "path")?;
            Some(state.drive(caller.person)?.find(&asked).map_err(path_error)?.id.clone())
        }
    };
    let own = state.links.iter().filter(|(_, link)| link.person == caller.by.id);
    let own = own.filter(|(_, link)| only.as_ref().is_none_or(|only| link.node == *only));
    let own: Vec<(String, Link)> = own.map(|(url, link)| (url.clone(), link.clone())).collect();
    let links: Vec<Value> = own
        .iter()
        .filter_map(|(url, link)| {
            let drive = state.drives.get(link.whose.id)?;
            let node = drive.ids.get(&link.node).and_then(|key| drive.nodes.get(key))?;
            Some(metadata(url, link, node))
        })
        .collect();
    Ok(json!({"links": links, "has_more": false}))
}

fn named(world: &World, caller: &Caller, arg: &Value) -> Result<(String, Link, Node), Refusal> {
    let url = arg.get("url").and_then(Value::as_str).unwrap_or_default();
    let missing = || Refusal::Route(tag("shared_link_not_found"));
    let mut state = world.state();
    let link = state.links.get(url).filter(|link| link.person == caller.by.id);
    let link = link.cloned().ok_or_else(missing)?;
    let drive = state.drive(link.whose)?;
    let node = drive.ids.get(&link.node).and_then(|key| drive.nodes.get(key)).cloned();
    Ok((url.to_owned(), link, node.ok_or_else(missing)?))
}

/// `get_shared_link_metadata`.
pub(super) fn get(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let (url, link, node) = named(world, caller, arg)?;
    Ok(metadata(&url, &link, &node))
}

/// `modify_shared_link_settings`.
pub(super) fn modify(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let (url, mut link, node) = named(world, caller, arg)?;
    let new = checked(world, arg.get("settings").unwrap_or(&Value::Null))?;
    if !link.settings.is_object() {
        link.settings = json!({});
    }
    if let Some(members) = link.settings.as_object_mut() {
        members.extend(new);
        if arg.get("remove_expiration").and_then(Value::as_bool) == Some(true) {
            members.remove("expires");
        }
        members.retain(|_, value| !value.is_null());
    }
    world.state().links.insert(url.clone(), link.clone());
    Ok(metadata(&url, &link, &node))
}

/// `revoke_shared_link`.
pub(super) fn revoke(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let (url, ..) = named(world, caller, arg)?;
    world.state().links.remove(&url);
    Ok(Value::Null)
}
