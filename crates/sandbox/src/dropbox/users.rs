//! `users/*`, `check/user`, `auth/token/revoke`.

use serde_json::{Value, json};

use super::auth::Caller;
use super::refusal::{Refusal, tag, tagged};
use super::render::{account_id, member_id, name, team_id};
use super::{World, space};
use crate::people::{PEOPLE, Person};

/// `FullAccount`.
pub(super) fn current_account(
    world: &World,
    caller: &Caller,
    _arg: &Value,
) -> Result<Value, Refusal> {
    let namespace = world.state().drive(caller.person)?.namespace.clone();
    Ok(json!({
        "account_id": account_id(caller.person), "name": name(caller.person),
        "email": caller.person.email, "email_verified": true, "disabled": false,
        "country": "PT", "locale": "en", "referral_link": "https://db.tt/sandbox",
        "is_paired": false, "account_type": tag("business"),
        "team": {"id": team_id(), "name": "example.com", "sharing_policies": sharing_policies(),
            "office_addin_policy": tag("enabled")},
        "team_member_id": member_id(caller.person),
        "root_info": space::root_info(world, caller.person, &namespace),
    }))
}

/// `TeamSharingPolicies`.
pub(super) fn sharing_policies() -> Value {
    json!({"shared_folder_member_policy": tag("anyone"), "shared_folder_join_policy": tag("from_anyone"),
        "shared_link_create_policy": tag("default_public"), "group_creation_policy": tag("admins_and_members"),
        "shared_folder_link_restriction_policy": tag("anyone")})
}

/// `SpaceUsage`.
pub(super) fn space_usage(world: &World, caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    Ok(world.state().drive(caller.person)?.space())
}

fn basic(person: &Person) -> Value {
    json!({"account_id": account_id(person), "name": name(person), "email": person.email,
        "email_verified": true, "disabled": false, "is_teammate": true, "team_member_id": member_id(person)})
}

fn person_of(id: &Value) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| id.as_str() == Some(&account_id(person)))
}

pub(super) fn account(_world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let person = arg.get("account_id").and_then(person_of);
    person.map(basic).ok_or_else(|| Refusal::Route(tag("no_account")))
}

pub(super) fn account_batch(
    _world: &World,
    _caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let ids = arg.get("account_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for id in ids {
        let person =
            person_of(&id).ok_or_else(|| Refusal::Route(tagged("no_account", id.clone())))?;
        found.push(basic(person));
    }
    Ok(found.into())
}

pub(super) fn echo(_world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    Ok(json!({"result": arg.get("query").and_then(Value::as_str).unwrap_or_default()}))
}

/// The token itself is ended where the call comes in.
pub(super) fn revoke(_world: &World, _caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    Ok(Value::Null)
}
