//! `team/*`: the people and groups of the team, for team tokens.

use serde_json::{Value, json};

use super::World;
use super::auth::Caller;
use super::refusal::{Refusal, put, tag, tag_of, tagged, with_members};
use super::render::{account_id, member_id, name, team_id};
use super::users::sharing_policies;
use crate::people::{PEOPLE, Person};

/// When everyone came: 2020-01-02T03:04:05Z.
const JOINED: &str = "2020-01-02T03:04:05Z";
/// The same in milliseconds.
const JOINED_MILLIS: u64 = 1_577_934_245_000;

/// The groups: their ids, names and members.
const GROUPS: &[(&str, &str, &[&str])] = &[
    ("g:1d31f47b00000000000000000000000a", "Everyone", &["ana", "ben", "ada"]),
    ("g:1d31f47b00000000000000000000000b", "Sales", &["ana", "ben"]),
];

fn profile(world: &World, person: &Person, with_groups: bool) -> Value {
    let mut profile = json!({
        "team_member_id": member_id(person), "account_id": account_id(person), "email": person.email,
        "email_verified": true, "secondary_emails": [], "status": tag("active"), "name": name(person),
        "membership_type": tag("full"), "joined_on": JOINED,
    });
    if with_groups {
        let of = GROUPS.iter().filter(|(_, _, members)| members.contains(&person.id));
        let groups: Vec<&str> = of.map(|(id, ..)| *id).collect();
        put(&mut profile, "groups", json!(groups));
        let state = world.state();
        let namespace = state.drives.get(person.id).map(|drive| drive.namespace.clone());
        put(&mut profile, "member_folder_id", namespace.unwrap_or_default());
    }
    profile
}

fn member(world: &World, person: &Person) -> Value {
    let mut member = json!({"profile": profile(world, person, true)});
    if person.admin {
        put(
            &mut member,
            "roles",
            json!([{"role_id": "pid_dbtmr:AAAAAGI9i9v0m", "name": "Team",
            "description": "Manage everything"}]),
        );
    }
    member
}

/// A page of something, with a cursor that holds its end.
fn page<T: Clone>(all: &[T], arg: &Value, begin: usize, limit: usize) -> (Vec<T>, String, bool) {
    let _ = arg;
    let page: Vec<T> = all.iter().skip(begin).take(limit).cloned().collect();
    let end = begin + page.len();
    (page, format!("team-{end}-{limit}"), end < all.len())
}

fn limit(arg: &Value) -> Result<usize, Refusal> {
    match arg.get("limit").and_then(Value::as_u64).unwrap_or(1_000) {
        limit @ 1..=1_000 => Ok(usize::try_from(limit).unwrap_or(1_000)),
        limit => {
            Err(Refusal::Bad(format!("request body: limit: {limit} is not within range [1, 1000]")))
        }
    }
}

fn cursor(arg: &Value) -> Result<(usize, usize), Refusal> {
    let text = arg.get("cursor").and_then(Value::as_str).unwrap_or_default();
    let numbers = text.strip_prefix("team-").and_then(|rest| rest.split_once('-'));
    let read = numbers.and_then(|(end, limit)| Some((end.parse().ok()?, limit.parse().ok()?)));
    read.ok_or_else(|| Refusal::Route(tag("invalid_cursor")))
}

fn members_page(world: &World, arg: &Value, begin: usize, limit: usize) -> Value {
    let (page, cursor, more) = page(PEOPLE, arg, begin, limit);
    let members: Vec<Value> = page.iter().map(|person| member(world, person)).collect();
    json!({"members": members, "cursor": cursor, "has_more": more})
}

/// `members/list_v2`.
pub(super) fn members(world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    Ok(members_page(world, arg, 0, limit(arg)?))
}

/// `members/list/continue_v2`.
pub(super) fn more_members(world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let (begin, limit) = cursor(arg)?;
    Ok(members_page(world, arg, begin, limit))
}

/// `members/get_info_v2`.
pub(super) fn member_info(world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let asked = arg.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    let info = asked.iter().map(|selector| {
        let kind = tag_of(selector).unwrap_or_default();
        let value = selector.get(kind).and_then(Value::as_str).unwrap_or_default();
        let person = PEOPLE.iter().find(|person| match kind {
            "team_member_id" => member_id(person) == value,
            "email" => person.email == value,
            _ => false,
        });
        match person {
            Some(person) => with_members("member_info", member(world, person)),
            None => tagged("id_not_found", value.into()),
        }
    });
    let info: Vec<Value> = info.collect();
    Ok(json!({"members_info": info}))
}

fn summary((id, name, members): &(&str, &str, &[&str])) -> Value {
    json!({"group_name": name, "group_id": id, "member_count": members.len(),
        "group_management_type": tag("company_managed")})
}

fn groups_page(arg: &Value, begin: usize, limit: usize) -> Value {
    let (page, cursor, more) = page(GROUPS, arg, begin, limit);
    let groups: Vec<Value> = page.iter().map(summary).collect();
    json!({"groups": groups, "cursor": cursor, "has_more": more})
}

/// `groups/list`.
pub(super) fn groups(_world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    Ok(groups_page(arg, 0, limit(arg)?))
}

/// `groups/list/continue`.
pub(super) fn more_groups(_world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let (begin, limit) = cursor(arg)?;
    Ok(groups_page(arg, begin, limit))
}

fn group_members(world: &World, members: &[&str]) -> Vec<Value> {
    let people = PEOPLE.iter().filter(|person| members.contains(&person.id));
    people
        .map(|person| {
            let access = tag(if person.admin { "owner" } else { "member" });
            json!({"profile": profile(world, person, false), "access_type": access})
        })
        .collect()
}

/// `groups/get_info`.
pub(super) fn group_info(world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let ids = arg.get("group_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let info = ids.iter().map(|id| {
        let group = GROUPS.iter().find(|(own, ..)| id.as_str() == Some(own));
        match group {
            Some(group) => {
                let mut full = summary(group);
                put(&mut full, "members", group_members(world, group.2));
                put(&mut full, "created", JOINED_MILLIS);
                with_members("group_info", full)
            }
            None => tagged("id_not_found", id.clone()),
        }
    });
    Ok(info.collect::<Vec<Value>>().into())
}

/// `groups/members/list`.
pub(super) fn members_of(world: &World, _caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let id = arg.pointer("/group/group_id").and_then(Value::as_str).unwrap_or_default();
    let at = GROUPS.iter().position(|(own, ..)| *own == id);
    let at = at.ok_or_else(|| Refusal::Route(tag("group_not_found")))?;
    group_page(world, at, 0, limit(arg)?)
}

fn group_page(world: &World, at: usize, begin: usize, limit: usize) -> Result<Value, Refusal> {
    let group = GROUPS.get(at).ok_or_else(|| Refusal::Route(tag("invalid_cursor")))?;
    let all = group_members(world, group.2);
    let page: Vec<Value> = all.iter().skip(begin).take(limit).cloned().collect();
    let end = begin + page.len();
    Ok(
        json!({"members": page, "cursor": format!("group-{at}-{end}-{limit}"), "has_more": end < all.len()}),
    )
}

/// `groups/members/list/continue`.
pub(super) fn more_members_of(
    world: &World,
    _caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let text = arg.get("cursor").and_then(Value::as_str).unwrap_or_default();
    let mut numbers = text.strip_prefix("group-").unwrap_or_default().split('-').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(at)), Some(Ok(begin)), Some(Ok(limit))) => group_page(world, at, begin, limit),
        _ => Err(Refusal::Route(tag("invalid_cursor"))),
    }
}

/// `token/get_authenticated_admin`.
pub(super) fn admin(world: &World, caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    Ok(json!({"admin_profile": profile(world, caller.person, true)}))
}

/// `get_info`.
pub(super) fn info(_world: &World, _caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    let people = PEOPLE.len();
    Ok(json!({"name": "example.com", "team_id": team_id(), "num_licensed_users": 10,
        "num_provisioned_users": people, "num_used_licenses": people,
        "policies": {"sharing": sharing_policies(), "emm_state": tag("disabled"),
            "office_addin": tag("enabled"), "suggest_members_policy": tag("enabled")}}))
}

/// `namespaces/list`.
pub(super) fn namespaces(world: &World, _caller: &Caller, _arg: &Value) -> Result<Value, Refusal> {
    let state = world.state();
    let all = PEOPLE.iter().filter_map(|person| {
        let drive = state.drives.get(person.id)?;
        Some(json!({"name": person.name, "namespace_id": drive.namespace,
            "namespace_type": tag("team_member_folder"), "team_member_id": member_id(person)}))
    });
    let all: Vec<Value> = all.collect();
    Ok(json!({"namespaces": all, "cursor": "namespaces-end", "has_more": false}))
}
