//! Who has access to a file or folder (wire API, section 26).

use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use tramontane_connector::storage::{GranteeKind, Permission, PermissionChange};
use tramontane_connector::{EntryKind, EntryRef};
use tramontane_model::{Op, ResourceId, Support};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::json::{AnyJson, JsonBody};
use crate::objects::Grant;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The most changes in one request.
const MOST: usize = 1_000;

/// The whole set of grants.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grants {
    /// Every grant.
    pub permissions: Vec<Grant>,
}

/// `GET .../files/{file}/permissions`.
///
/// # Errors
/// `not_implemented`; what the service says.
pub async fn of_file(account: Account) -> Answer {
    let file = account.file().await?;
    list(&account, &file).await
}

/// `GET .../folders/{folder}/permissions`.
///
/// # Errors
/// As [`of_file`].
pub async fn of_folder(account: Account) -> Answer {
    let folder = account.folder().await?;
    list(&account, &folder).await
}

/// `PUT .../files/{file}/permissions`.
///
/// # Errors
/// As section 26.
pub async fn put_file(account: Account, query: Query, body: AnyJson) -> Answer {
    let file = account.file().await?;
    change(&account, &file, &query, body, true).await
}

/// `PATCH .../files/{file}/permissions`.
///
/// # Errors
/// As section 26.
pub async fn patch_file(account: Account, query: Query, body: AnyJson) -> Answer {
    let file = account.file().await?;
    change(&account, &file, &query, body, false).await
}

/// `PUT .../folders/{folder}/permissions`.
///
/// # Errors
/// As section 26.
pub async fn put_folder(account: Account, query: Query, body: AnyJson) -> Answer {
    let folder = account.folder().await?;
    change(&account, &folder, &query, body, true).await
}

/// `PATCH .../folders/{folder}/permissions`.
///
/// # Errors
/// As section 26.
pub async fn patch_folder(account: Account, query: Query, body: AnyJson) -> Answer {
    let folder = account.folder().await?;
    change(&account, &folder, &query, body, false).await
}

async fn list(account: &Account, of: &EntryRef) -> Answer<Response> {
    let storage = account.storage_for(Op::PermissionsList)?;
    use tramontane_connector::Storage as _;
    let Some(permissions) = storage.permissions() else {
        return Err(none(account, Op::PermissionsList));
    };
    show(permissions.list(&account.cx(), of).await?)
}

async fn change(
    account: &Account,
    of: &EntryRef,
    query: &Query,
    AnyJson(body): AnyJson,
    only: bool,
) -> Answer<Response> {
    let notify = query.flag("notify")?.unwrap_or(false);
    let changes = read(body)?;
    let op = match of.kind {
        EntryKind::File => Op::FilePermissionsWrite,
        EntryKind::Folder => Op::FolderPermissionsWrite,
    };
    let storage = account.storage_for(op)?;
    use tramontane_connector::Storage as _;
    let Some(permissions) = storage.permissions() else { return Err(none(account, op)) };
    let cx = account.cx();
    let mut wanted = Vec::with_capacity(changes.len());
    let owns = changes.iter().any(|change| change.role.as_deref() == Some("owner"));
    let owners: Vec<Permission> = if owns {
        let all = permissions.list(&cx, of).await?;
        all.into_iter().filter(|grant| grant.role == "owner").collect()
    } else {
        Vec::new()
    };
    for change in changes {
        if change.role.as_deref() != Some("owner") {
            wanted.push(change);
            continue;
        }
        // The owner stays and may be listed; giving a thing away is another matter.
        let same = owners.iter().any(|owner| {
            (change.id.is_some() && change.id == owner.id)
                || (change.email.is_some() && change.email == owner.email)
        });
        if !same {
            let text = "The owner of an object cannot be changed here.";
            return Err(Problem::new(tramontane_model::Code::NotImplemented, text).param("role"));
        }
    }
    show(permissions.change(&cx, of, &wanted, only, notify).await?)
}

fn none(account: &Account, op: Op) -> Problem {
    let lacks = tramontane_model::Reason::lacks("The service has no permissions.");
    let support = account.support(op).unwrap_or(Support::Unsupported(lacks));
    Problem::unsupported(op, &support)
}

fn show(grants: Vec<Permission>) -> Answer<Response> {
    ok(&Grants { permissions: grants.into_iter().map(Grant::of).collect() })
}

/// Reads a list of grants, a map of addresses to roles, or nothing.
pub(crate) fn read(body: Value) -> Answer<Vec<PermissionChange>> {
    let changes: Vec<PermissionChange> = match body {
        Value::Null => Vec::new(),
        Value::Array(list) => list.into_iter().map(one).collect::<Answer<_>>()?,
        Value::Object(map) => match map.get("permissions") {
            // What a GET gave, sent back.
            Some(Value::Array(list)) if map.len() == 1 => {
                list.iter().cloned().map(one).collect::<Answer<_>>()?
            }
            _ => map.into_iter().map(pair).collect::<Answer<_>>()?,
        },
        _ => {
            let text =
                "The body must be a list of permissions, or an object of addresses and roles.";
            return Err(Problem::bad_request(text));
        }
    };
    if changes.len() > MOST {
        return Err(Problem::bad_request(format!("At most {MOST} permissions in one request.")));
    }
    Ok(changes)
}

fn pair((address, role): (String, Value)) -> Answer<PermissionChange> {
    let role = match role {
        Value::Null => None,
        Value::String(role) => Some(role),
        _ => return Err(Problem::invalid(address, "must be a role or null")),
    };
    Ok(PermissionChange {
        grantee: GranteeKind::User,
        id: None,
        email: Some(checked(address)?),
        role: known(role)?,
    })
}

fn one(item: Value) -> Answer<PermissionChange> {
    let Value::Object(members) = item else {
        return Err(Problem::bad_request("Each permission must be an object."));
    };
    let body = JsonBody::new(members);
    let grantee = match body.text("type")?.as_deref() {
        None | Some("user") => GranteeKind::User,
        Some("group") => GranteeKind::Group,
        Some("domain") => GranteeKind::Domain,
        Some("anyone") => GranteeKind::Anyone,
        Some(_) => return Err(Problem::invalid("type", "must be user, group, domain or anyone")),
    };
    let id = match body.text("id")?.filter(|id| !id.is_empty()) {
        None => None,
        Some(id) => {
            let read = ResourceId::parse(&id).map(|id| id.native);
            Some(read.ok_or_else(|| Problem::invalid("id", "must be the id of a user or group"))?)
        }
    };
    let email = match body.text("email")?.filter(|email| !email.is_empty()) {
        None => None,
        Some(email) => Some(checked(email)?),
    };
    if id.is_none() && email.is_none() && grantee != GranteeKind::Anyone {
        return Err(Problem::invalid("email", "or id is required"));
    }
    if !body.has("role") {
        return Err(Problem::invalid("role", "is required; null removes the permission"));
    }
    Ok(PermissionChange { grantee, id, email, role: known(body.text("role")?)? })
}

fn known(role: Option<String>) -> Answer<Option<String>> {
    const ROLES: [&str; 6] = ["owner", "writer", "commenter", "reader", "previewer", "uploader"];
    match role {
        None => Ok(None),
        // Services have roles of their own; what they are called is in their lists.
        Some(role) if ROLES.contains(&role.as_str()) => Ok(Some(role)),
        Some(role) if !role.is_empty() && role.len() <= 100 => Ok(Some(role.to_lowercase())),
        Some(_) => Err(Problem::invalid("role", format!("must be one of {}", ROLES.join(", ")))),
    }
}

fn checked(address: String) -> Answer<String> {
    let address = address.trim().to_owned();
    let fine = address.len() <= 320
        && !address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        && address.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if fine { Ok(address) } else { Err(Problem::invalid("email", "must be an email address")) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_maps_and_nothing_are_read() {
        let list = read(json!([{"type": "user", "role": "reader", "email": "ben@example.com"}]));
        let map = read(json!({"ben@example.com": "reader"}));
        assert_eq!(list.unwrap(), map.unwrap());
        for nothing in [Value::Null, json!({}), json!([])] {
            assert!(read(nothing).unwrap().is_empty());
        }
        assert_eq!(read(json!({"a@b.c": null})).unwrap().pop().unwrap().role, None);
    }

    #[test]
    fn bad_grants_are_refused() {
        for bad in [
            json!("x"),
            json!([1]),
            json!([{"role": "reader"}]),
            json!([{"email": "a@b.c"}]),
            json!([{"email": "nobody", "role": "reader"}]),
            json!([{"email": "a@b.c", "role": "reader", "type": "robot"}]),
            json!([{"id": "nonsense", "role": "reader"}]),
            json!({"nobody": "reader"}),
            json!({"a@b.c": 7}),
            json!({"a@b.c": ""}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
