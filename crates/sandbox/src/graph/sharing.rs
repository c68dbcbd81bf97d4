//! Who may see what: permissions, invitations and links of an item.

use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::call::{Answer, Call, Outcome};
use super::drive::{Drive, Item, Link, Sharing};
use super::fault::{Fault, bad, not_found};
use super::items::by;
use super::route::{At, done};
use super::show;
use super::world::{World, guid};
use crate::people::{Person, find};

pub(super) fn to_person(id: String, role: &str, person: &'static Person) -> Sharing {
    Sharing { id, roles: vec![role.into()], to: Some(person), group: None, link: None }
}

fn shown(drive: &Drive, sharing: &Sharing, from: Option<&Item>, personal: bool) -> Value {
    let mut value = json!({"id": sharing.id, "roles": sharing.roles});
    let Some(members) = value.as_object_mut() else { return value };
    if let Some(person) = sharing.to {
        members.insert("grantedToV2".into(), show::identity(person, personal));
        members.insert("grantedTo".into(), show::identity(person, personal));
        if personal {
            members.insert(
                "invitation".into(),
                json!({"email": person.email, "signInRequired": true}),
            );
        }
    }
    if let Some((id, name)) = &sharing.group {
        members.insert("grantedToV2".into(), json!({"group": {"id": id, "displayName": name}}));
    }
    if let Some(link) = &sharing.link {
        let url = format!("https://example.sharepoint.com/:x:/g/{}", sharing.id);
        members.insert(
            "link".into(),
            json!({"type": link.kind, "scope": link.scope, "webUrl": url,
                "preventsDownload": false}),
        );
        members.insert("hasPassword".into(), link.password.is_some().into());
        if let Some(at) = link.expires {
            members.insert("expirationDateTime".into(), at.to_string().into());
        }
        members.insert("shareId".into(), format!("u!{}", sharing.id).into());
    }
    if let Some(above) = from {
        members.insert("inheritedFrom".into(), json!({"driveId": drive.id, "id": above.id}));
    }
    value
}

fn owner(drive: &Drive, personal: bool) -> Option<Value> {
    let owner = drive.owner?;
    let sharing = Sharing {
        id: format!("owner-{}", guid(owner.id)),
        roles: vec!["owner".into()],
        to: Some(owner),
        group: None,
        link: None,
    };
    Some(shown(drive, &sharing, None, personal))
}

pub(super) fn route(world: &mut World, call: &Call, at: &At, words: &[&str]) -> Outcome {
    let personal = world.personal;
    let id = at.id()?.to_owned();
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let item = drive.item(&id)?;
    let known = |permission: &str| item.sharing.iter().find(|one| one.id == permission);
    match (call.method.as_str(), words) {
        ("GET", ["permissions"]) => {
            let mut value: Vec<Value> = owner(drive, personal).into_iter().collect();
            for (n, above) in drive.lineage(&id).into_iter().enumerate() {
                let from = (n > 0).then_some(above);
                value.extend(above.sharing.iter().map(|one| shown(drive, one, from, personal)));
            }
            Ok(Answer::json(json!({"value": value})))
        }
        ("GET", ["permissions", permission]) => {
            let found = known(permission).ok_or_else(not_found)?;
            Ok(Answer::json(shown(drive, found, None, personal)))
        }
        ("PATCH", ["permissions", permission]) => {
            let body = call.json()?;
            let mut changed =
                known(permission).ok_or_else(|| missing(drive, &id, permission))?.clone();
            match &mut changed.link {
                Some(link) => link.change(&body, call.now)?,
                None => changed.roles = roles(&body)?,
            }
            let answer = shown(drive, &changed, None, personal);
            world.drive_mut(&at.drive)?.change(&id, by(call), |item| {
                item.sharing.retain(|one| one.id != changed.id);
                item.sharing.push(changed);
            })?;
            Ok(Answer::json(answer))
        }
        ("DELETE", ["permissions", permission]) => {
            let gone = known(permission).ok_or_else(|| missing(drive, &id, permission))?.id.clone();
            world
                .drive_mut(&at.drive)?
                .change(&id, by(call), |item| item.sharing.retain(|one| one.id != gone))?;
            Ok(done())
        }
        ("POST", ["invite"]) => invite(world, call, at, &id),
        ("POST", ["createLink"]) => create_link(world, call, at, &id),
        _ => Err(not_found()),
    }
}

/// A permission that comes from above cannot be changed here.
fn missing(drive: &Drive, id: &str, permission: &str) -> Fault {
    let above = drive
        .lineage(id)
        .into_iter()
        .flat_map(|above| &above.sharing)
        .any(|one| one.id == permission);
    if above || permission.starts_with("owner-") {
        Fault::new(403, "accessDenied", "The permission cannot be changed on this item")
    } else {
        not_found()
    }
}

fn roles(body: &Value) -> Result<Vec<String>, Fault> {
    let roles = body.get("roles").and_then(Value::as_array).cloned().unwrap_or_default();
    let roles: Vec<String> = roles.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let fine =
        !roles.is_empty() && roles.iter().all(|role| matches!(role.as_str(), "read" | "write"));
    if fine { Ok(roles) } else { Err(bad("roles must be read or write")) }
}

fn invite(world: &mut World, call: &Call, at: &At, id: &str) -> Outcome {
    let (personal, body) = (world.personal, call.json()?);
    let roles = roles(&body)?;
    let recipients = body.get("recipients").and_then(Value::as_array).cloned().unwrap_or_default();
    if recipients.is_empty() {
        return Err(bad("recipients is required"));
    }
    if body.get("requireSignIn").and_then(Value::as_bool) == Some(false)
        && body.get("sendInvitation").and_then(Value::as_bool) == Some(false)
    {
        return Err(bad("Either requireSignIn or sendInvitation must be true"));
    }
    let mut made = Vec::new();
    for recipient in &recipients {
        let text = |name: &str| recipient.get(name).and_then(Value::as_str);
        let mut sharing = Sharing {
            id: world.dice.token("aTow", 20),
            roles: roles.clone(),
            to: None,
            group: None,
            link: None,
        };
        if let Some(email) = text("email") {
            sharing.to = Some(
                find(email)
                    .ok_or_else(|| bad(format!("The recipient {email} cannot be resolved")))?,
            );
        } else if let Some(object) = text("objectId") {
            match world.groups.iter().find(|group| group.id == object) {
                Some(group) => sharing.group = Some((group.id.clone(), group.name.into())),
                None => sharing.to = Some(world.person(object)?),
            }
        } else {
            return Err(bad("A recipient needs email, alias or objectId"));
        }
        made.push(sharing);
    }
    let drive = world.drive_mut(&at.drive)?;
    let added = made.clone();
    drive.change(id, by(call), |item| {
        for sharing in added {
            item.sharing.retain(|one| one.to.is_none() || one.to != sharing.to);
            item.sharing.push(sharing);
        }
    })?;
    let value: Vec<Value> = made.iter().map(|one| shown(drive, one, None, personal)).collect();
    Ok(Answer::json(json!({"value": value})))
}

/// "DateTime.MinValue indicates there is no expiration set for this permission."
fn expiry(body: &Value, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    match body.get("expirationDateTime") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(never)) if never.starts_with("0001-01-01T00:00:00") => Ok(None),
        Some(value) => {
            let at = value.as_str().and_then(Timestamp::parse);
            let at = at.ok_or_else(|| bad("expirationDateTime is not a time"))?;
            if at <= now { Err(bad("The expiration must be in the future")) } else { Ok(Some(at)) }
        }
    }
}

impl Link {
    /// "Anonymous Sharing Link: expirationDateTime" is all that can be changed ("Update sharing
    /// permission").
    fn change(&mut self, body: &Value, now: Timestamp) -> Result<(), Fault> {
        let other = body.as_object().is_none_or(|body| {
            body.keys().any(|name| name != "expirationDateTime") || body.is_empty()
        });
        if other || self.scope != "anonymous" {
            return Err(bad("This property of a sharing link cannot be changed"));
        }
        self.expires = expiry(body, now)?;
        Ok(())
    }
}

fn create_link(world: &mut World, call: &Call, at: &At, id: &str) -> Outcome {
    let (personal, body) = (world.personal, call.json()?);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or("view").to_owned();
    let scope =
        text("scope").unwrap_or(if personal { "anonymous" } else { "organization" }).to_owned();
    let fits = matches!(kind.as_str(), "view" | "edit") || (personal && kind == "embed");
    let reaches =
        matches!(scope.as_str(), "anonymous" | "users") || (!personal && scope == "organization");
    if !fits || !reaches {
        return Err(bad("The sharing link type or scope is not supported"));
    }
    let role = if kind == "edit" { "write" } else { "read" };
    let password = text("password").map(str::to_owned);
    if password.is_some() && !personal {
        return Err(bad("Passwords of sharing links are for OneDrive Personal"));
    }
    let expires = expiry(&body, call.now)?;
    let same = |there: &Link| there.kind == kind && there.scope == scope;
    let token = world.dice.token("", 24);
    let drive = world.drive_mut(&at.drive)?;
    if let Some(there) =
        drive.item(id)?.sharing.iter().find(|one| one.link.as_ref().is_some_and(same))
    {
        return Ok(Answer::json(shown(drive, there, None, personal)));
    }
    let link = Some(Link { kind, scope, password, expires });
    let sharing = Sharing { id: token, roles: vec![role.into()], to: None, group: None, link };
    let answer = shown(drive, &sharing, None, personal);
    drive.change(id, by(call), |item| item.sharing.push(sharing))?;
    Ok(Answer::created(answer))
}
