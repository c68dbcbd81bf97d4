//! The Admin SDK's Directory API: users and groups of the organisation, for its administrators.

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use serde_json::{Value, json};

use super::Google;
use super::access::{DOMAIN, GROUPS, Group, number_of};
use super::call::Call;
use super::fault::{Answer, Fault};
use crate::people::{PEOPLE, Person};

const CUSTOMER: &str = "C01sandbox";
const USERS: &[&str] = &[
    "https://www.googleapis.com/auth/admin.directory.user",
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
];
const GROUPS_SCOPES: &[&str] = &[
    "https://www.googleapis.com/auth/admin.directory.group",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
];
const MEMBERS: &[&str] = &[
    "https://www.googleapis.com/auth/admin.directory.group.member",
    "https://www.googleapis.com/auth/admin.directory.group.member.readonly",
    "https://www.googleapis.com/auth/admin.directory.group",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
];

fn allowed(call: &Call, scopes: &[&str]) -> Answer<()> {
    call.has(scopes)?;
    if call.person.admin {
        Ok(())
    } else {
        Err(Fault::forbidden("forbidden", "Not Authorized to access this resource/api"))
    }
}

fn missing(what: &str) -> Fault {
    Fault::not_found(format!("Resource Not Found: {what}"))
}

/// The organisation must be named: by `customer` or by `domain`.
fn of_ours(call: &Call) -> Answer<()> {
    match (call.text("customer"), call.text("domain")) {
        (Some("my_customer" | CUSTOMER), _) => Ok(()),
        (None, Some(domain)) if domain.eq_ignore_ascii_case(DOMAIN) => Ok(()),
        (None, None) => Err(Fault::bad("badRequest", "Bad Request")),
        _ => Err(missing("domain")),
    }
}

fn user_json(person: &Person) -> Value {
    let (given, family) = person.name.split_once(' ').unwrap_or((person.name, ""));
    json!({
        "kind": "admin#directory#user", "id": number_of(person.email, 21),
        "etag": "\"sandbox\"", "primaryEmail": person.email,
        "name": {"givenName": given, "familyName": family, "fullName": person.name},
        "isAdmin": person.admin, "isDelegatedAdmin": false, "suspended": false, "archived": false,
        "creationTime": "2024-01-15T09:30:00.000Z", "lastLoginTime": "2026-01-15T09:30:00.000Z",
        "emails": [
            {"address": person.email, "primary": true},
            {"address": format!("{}@mail.example.com", person.id)},
        ],
        "nonEditableAliases": [format!("{}@example.com.test-google-a.com", person.id)],
        "customerId": CUSTOMER, "orgUnitPath": "/", "isMailboxSetup": true,
        "includeInGlobalAddressList": true, "agreedToTerms": true,
    })
}

fn group_json(group: &Group) -> Value {
    json!({
        "kind": "admin#directory#group", "id": group.id, "etag": "\"sandbox\"",
        "email": group.email, "name": group.name, "description": group.description,
        "directMembersCount": group.members.len().to_string(), "adminCreated": true,
    })
}

fn is_user(person: &Person, key: &str) -> bool {
    person.email.eq_ignore_ascii_case(key) || number_of(person.email, 21) == key
}

fn user_of(key: &str) -> Answer<&'static Person> {
    PEOPLE.iter().find(|person| is_user(person, key)).ok_or_else(|| missing("userKey"))
}

fn group_of(key: &str) -> Answer<&'static Group> {
    let found =
        GROUPS.iter().find(|group| group.id == key || group.email.eq_ignore_ascii_case(key));
    found.ok_or_else(|| missing("groupKey"))
}

/// One page of a list that is in memory.
fn page(call: &Call, name: &str, kind: &str, most: usize, all: Vec<Value>) -> Answer<Response> {
    let size = match call.text("maxResults") {
        None => most.min(100),
        Some(text) => {
            let size = text.parse::<usize>().ok().filter(|size| *size > 0);
            size.ok_or_else(|| Fault::invalid("maxResults", "Invalid Input: maxResults"))?.min(most)
        }
    };
    let from = match call.text("pageToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("~at~")
            .and_then(|at| at.parse::<usize>().ok())
            .filter(|at| *at < all.len())
            .ok_or_else(|| Fault::invalid("pageToken", "Invalid Input: pageToken"))?,
    };
    let more = from + size < all.len();
    let items: Vec<Value> = all.into_iter().skip(from).take(size).collect();
    let mut answer = json!({"kind": kind, "etag": "\"sandbox\"", name: items});
    if let (true, Some(members)) = (more, answer.as_object_mut()) {
        members.insert("nextPageToken".into(), format!("~at~{}", from + size).into());
    }
    call.reply(answer, "*")
}

/// `GET users`.
pub(super) async fn users(call: Call) -> Answer<Response> {
    allowed(&call, USERS)?;
    of_ours(&call)?;
    page(&call, "users", "admin#directory#users", 500, PEOPLE.iter().map(user_json).collect())
}

/// `GET users/{user}`.
pub(super) async fn user(Path(key): Path<String>, call: Call) -> Answer<Response> {
    allowed(&call, USERS)?;
    call.reply(user_json(user_of(&key)?), "*")
}

/// `GET groups`: all, or with `userKey` those of one user.
pub(super) async fn groups(call: Call) -> Answer<Response> {
    allowed(&call, GROUPS_SCOPES)?;
    let found: Vec<Value> = match call.text("userKey") {
        Some(key) => {
            let person = user_of(key)?;
            let within = |group: &&Group| group.members.iter().any(|(id, _)| *id == person.id);
            GROUPS.iter().filter(within).map(group_json).collect()
        }
        None => {
            of_ours(&call)?;
            GROUPS.iter().map(group_json).collect()
        }
    };
    page(&call, "groups", "admin#directory#groups", 200, found)
}

/// `GET groups/{group}`.
pub(super) async fn group(Path(key): Path<String>, call: Call) -> Answer<Response> {
    allowed(&call, GROUPS_SCOPES)?;
    call.reply(group_json(group_of(&key)?), "*")
}

fn member_json(person: &Person, role: &str) -> Value {
    json!({
        "kind": "admin#directory#member", "etag": "\"sandbox\"",
        "id": number_of(person.email, 21), "email": person.email, "role": role,
        "type": "USER", "status": "ACTIVE",
    })
}

fn members_of(group: &'static Group) -> impl Iterator<Item = (&'static Person, &'static str)> {
    group.members.iter().filter_map(|(id, role)| Some((crate::people::find(id)?, *role)))
}

/// `GET groups/{group}/members`.
pub(super) async fn members(Path(key): Path<String>, call: Call) -> Answer<Response> {
    allowed(&call, MEMBERS)?;
    let all = members_of(group_of(&key)?).map(|(person, role)| member_json(person, role));
    page(&call, "members", "admin#directory#members", 200, all.collect())
}

/// `GET groups/{group}/members/{member}`.
pub(super) async fn member(
    Shared(_): Shared<Google>,
    Path((key, member)): Path<(String, String)>,
    call: Call,
) -> Answer<Response> {
    allowed(&call, MEMBERS)?;
    let found = members_of(group_of(&key)?).find(|(person, _)| is_user(person, &member));
    let (person, role) = found.ok_or_else(|| missing("memberKey"))?;
    call.reply(member_json(person, role), "*")
}
