//! People and groups of the organisation: the resource types `user`, `group` and `organization`.

use http::Method;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::fault::{Fault, bad};
use super::show::selected;
use super::world::{Group, World, guid, tenant};
use crate::people::{PEOPLE, Person};

fn user(person: &Person, personal: bool) -> Value {
    let (given, surname) = person.name.split_once(' ').unwrap_or((person.name, ""));
    let id = if personal {
        guid(person.id).replace('-', "").chars().take(16).collect()
    } else {
        guid(person.id)
    };
    let mut value = json!({
        "id": id, "displayName": person.name, "givenName": given, "surname": surname,
        "mail": person.email, "userPrincipalName": person.email,
        "businessPhones": [], "jobTitle": null, "mobilePhone": null, "officeLocation": null,
        "preferredLanguage": null,
    });
    if let (false, Some(members)) = (personal, value.as_object_mut()) {
        members.insert("userType".into(), "Member".into());
        members.insert("accountEnabled".into(), true.into());
        members.insert("createdDateTime".into(), "2024-03-01T08:00:00Z".into());
        members.insert("otherMails".into(), json!([]));
        members.insert("proxyAddresses".into(), json!([format!("SMTP:{}", person.email)]));
    }
    value
}

fn group(group: &Group) -> Value {
    json!({
        "id": group.id, "displayName": group.name, "description": group.description,
        "createdDateTime": "2024-03-01T08:00:00Z", "groupTypes": ["Unified"],
        "mail": null, "mailEnabled": false, "mailNickname": group.name.to_lowercase(),
        "securityEnabled": true, "visibility": "Private",
    })
}

pub(super) fn me(world: &World, call: &Call) -> Outcome {
    if call.who.app {
        return Err(bad("/me request is only valid with delegated authentication flow."));
    }
    Ok(Answer::json(selected(user(call.who.person, world.personal), call)))
}

pub(super) fn organization(world: &World) -> Outcome {
    if world.personal {
        return Err(Fault::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ));
    }
    Ok(Answer::json(json!({"value": [{
        "id": tenant(), "displayName": "Example", "tenantType": "AAD",
        "verifiedDomains": [{"name": "example.com", "isDefault": true, "isInitial": true, "type": "Managed", "capabilities": "Email"}],
    }]})))
}

/// A page of a list, `$skiptoken` being the place of its first entry.
fn page(call: &Call, all: Vec<Value>) -> Outcome {
    let top = call.top(100)?.min(999);
    let skip: usize = match call.parameter("$skiptoken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| Fault::new(400, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request."))?,
    };
    let more = all.len() > skip + top;
    let value: Vec<Value> =
        all.into_iter().skip(skip).take(top).map(|one| selected(one, call)).collect();
    let mut body = json!({"value": value});
    if let (true, Some(members)) = (more, body.as_object_mut()) {
        let next = (skip + top).to_string();
        members.insert("@odata.nextLink".into(), call.link(&[("$skiptoken", &next)]).into());
    }
    Ok(Answer::json(body))
}

fn typed(mut value: Value, kind: &str) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert("@odata.type".into(), format!("#microsoft.graph.{kind}").into());
    }
    value
}

pub(super) fn route(world: &World, call: &Call, words: &[&str]) -> Outcome {
    if world.personal || call.method != Method::GET {
        return Err(Fault::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ));
    }
    if !call.who.app && !call.who.person.admin {
        return Err(Fault::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ));
    }
    let known = |id: &str| {
        world.groups.iter().find(|group| group.id == id).ok_or_else(|| {
        Fault::new(404, "Request_ResourceNotFound", format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present."))
    })
    };
    match words {
        ["users"] => page(call, PEOPLE.iter().map(|person| user(person, false)).collect()),
        ["users", id] => Ok(Answer::json(selected(user(world.person(id)?, false), call))),
        ["users", id, "memberOf" | "transitiveMemberOf", ..] => {
            let person = world.person(id)?;
            let of = world.groups.iter().filter(|group| group.members.contains(&person));
            page(call, of.map(|one| typed(group(one), "group")).collect())
        }
        ["groups"] => page(call, world.groups.iter().map(group).collect()),
        ["groups", id] => Ok(Answer::json(selected(group(known(id)?), call))),
        ["groups", id, "members", ..] => page(
            call,
            known(id)?.members.iter().map(|person| typed(user(person, false), "user")).collect(),
        ),
        _ => Err(bad("Resource not found for the segment.")),
    }
}
