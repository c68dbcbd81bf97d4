//! Who may see what ("Share files, folders and drives").
//!
//! Drive's roles are `owner`, `organizer`, `fileOrganizer` (both in shared drives), `writer`, `commenter`
//! and `reader`, for users, groups, domains and anyone who has the link.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{GranteeKind, Permission, PermissionChange, Permissions};
use tramontane_connector::{Cx, EntryRef, Error, Kind, Repeat, Result};
use tramontane_model::{NativeId, Op};

use super::api::{Client, with_json};
use super::fault::says;
use super::ids::{Target, is_id, missing};
use super::storage::DriveStorage;

/// The most pages of permissions that are read.
const MAX_PAGES: usize = 50;
const FIELDS: &str = "nextPageToken,permissions(id,type,role,emailAddress,domain,displayName,\
deleted,permissionDetails(inherited,role))";

/// The roles that can be given here. Making someone else the owner is not offered.
const ROLES: &[&str] = &["organizer", "fileOrganizer", "writer", "commenter", "reader"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted {
    pub(super) id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    pub(super) role: String,
    email_address: Option<String>,
    domain: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    permission_details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(default)]
    inherited: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionList {
    #[serde(default)]
    permissions: Vec<Granted>,
    next_page_token: Option<String>,
}

impl Granted {
    /// Whether it comes from a folder above alone.
    pub(super) fn is_inherited(&self) -> bool {
        !self.permission_details.is_empty()
            && self.permission_details.iter().all(|detail| detail.inherited)
    }

    pub(super) fn grantee(&self) -> GranteeKind {
        match self.kind.as_str() {
            "group" => GranteeKind::Group,
            "domain" => GranteeKind::Domain,
            "anyone" => GranteeKind::Anyone,
            _ => GranteeKind::User,
        }
    }

    fn permission(self) -> Permission {
        Permission {
            grantee: self.grantee(),
            inherited: self.is_inherited(),
            id: Some(NativeId::new(self.id)),
            role: self.role,
            email: self.email_address.or(self.domain),
            name: self.display_name,
        }
    }

    /// Whether a change means this one.
    fn is_meant(&self, change: &PermissionChange) -> bool {
        let by_id = change.id.as_ref().is_some_and(|id| id.as_str() == self.id);
        let address = self.email_address.as_deref().or(self.domain.as_deref());
        let same = |wanted: &String| address.is_some_and(|own| own.eq_ignore_ascii_case(wanted));
        let by_address = change.email.as_ref().is_some_and(same);
        let anyone = change.grantee == GranteeKind::Anyone && self.kind == "anyone";
        by_id || by_address || anyone
    }
}

/// The id of something of Drive's own, once it is known to be of the kind that was named.
pub(super) async fn object<'a>(client: &Client<'_>, of: &'a EntryRef) -> Result<&'a str> {
    match Target::of(&of.id) {
        Some(Target::Item(id)) => {
            client.get(id, of.kind).await?;
            Ok(id)
        }
        Some(_) => Err(Error::new(Kind::NotAllowed, "This folder is nobody's to share.")),
        None => Err(missing(of.kind)),
    }
}

/// Every permission on a file.
pub(super) async fn all(client: &Client<'_>, id: &str) -> Result<Vec<Granted>> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut query =
            vec![("pageSize", "100"), ("supportsAllDrives", "true"), ("fields", FIELDS)];
        query.extend(token.as_deref().map(|token| ("pageToken", token)));
        let url = client.url(&["files", id, "permissions"], &query)?;
        let list: PermissionList =
            client.json(Request::new("permissions_list", Method::GET, url)).await?;
        found.extend(list.permissions.into_iter().filter(|one| !one.deleted));
        token = list.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Checks a change before anything is changed.
fn check(change: &PermissionChange) -> Result<()> {
    match change.role.as_deref() {
        Some("owner") => {
            return Err(Error::unsupported(
                Op::FilePermissionsWrite,
                "Giving a file to another owner is done at Google.",
            ));
        }
        Some(role) if !ROLES.contains(&role) => {
            return Err(Error::invalid(format!(
                "role \"{role}\" is not one of Google's: {}.",
                ROLES.join(", ")
            )));
        }
        _ => {}
    }
    if change.id.as_ref().is_some_and(|id| !is_id(id.as_str())) {
        return Err(Error::not_found("There is nobody with this id."));
    }
    let named =
        change.id.is_some() || change.email.is_some() || change.grantee == GranteeKind::Anyone;
    if named { Ok(()) } else { Err(Error::invalid("Say who is meant: email or id.")) }
}

async fn grant(
    client: &Client<'_>,
    id: &str,
    change: &PermissionChange,
    role: &str,
    notify: bool,
) -> Result<()> {
    let Some(address) = change
        .email
        .as_deref()
        .or(Some(""))
        .filter(|address| change.grantee == GranteeKind::Anyone || !address.is_empty())
    else {
        return Err(Error::not_found("There is nobody with this id."));
    };
    let body: Value = match change.grantee {
        GranteeKind::User => json!({"type": "user", "role": role, "emailAddress": address}),
        GranteeKind::Group => json!({"type": "group", "role": role, "emailAddress": address}),
        GranteeKind::Domain => json!({"type": "domain", "role": role, "domain": address}),
        GranteeKind::Anyone => json!({"type": "anyone", "role": role}),
    };
    let mails = matches!(change.grantee, GranteeKind::User | GranteeKind::Group);
    let mut query = vec![("supportsAllDrives", "true"), ("fields", "id")];
    if mails {
        query.push(("sendNotificationEmail", if notify { "true" } else { "false" }));
    }
    let url = client.url(&["files", id, "permissions"], &query)?;
    // Granting the same twice is the same as once; only the mail would come twice.
    let repeat = if notify { Repeat::No } else { Repeat::Yes };
    let request = with_json("permissions_create", Method::POST, url, &body).repeat(repeat);
    client.send(request).await.map(|_| ())
}

async fn set_role(client: &Client<'_>, id: &str, permission: &str, role: &str) -> Result<()> {
    let query = [("supportsAllDrives", "true"), ("fields", "id")];
    let url = client.url(&["files", id, "permissions", permission], &query)?;
    let body = json!({"role": role});
    let request = with_json("permissions_update", Method::PATCH, url, &body);
    client.send(request.repeat(Repeat::Yes)).await.map(|_| ()).map_err(inherited)
}

async fn remove(client: &Client<'_>, id: &str, permission: &str) -> Result<()> {
    let query = [("supportsAllDrives", "true")];
    let url = client.url(&["files", id, "permissions", permission], &query)?;
    match client.send(Request::new("permissions_delete", Method::DELETE, url)).await {
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(inherited(error)),
        Ok(_) => Ok(()),
    }
}

fn inherited(error: Error) -> Error {
    let from_above = [
        "cannotModifyInheritedTeamDrivePermission",
        "cannotModifyInheritedPermission",
        "cannotDeleteInheritedPermission",
    ];
    if from_above.iter().any(|reason| says(&error, reason)) {
        let text = "This permission comes from a folder above and is changed there.";
        return Error::invalid(text).because(error);
    }
    error
}

#[async_trait]
impl Permissions for DriveStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Permission>> {
        let client = self.client(cx);
        let id = object(&client, of).await?;
        Ok(all(&client, id).await?.into_iter().map(Granted::permission).collect())
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        notify: bool,
    ) -> Result<Vec<Permission>> {
        for change in changes {
            check(change)?;
        }
        let client = self.client(cx);
        let id = object(&client, of).await?;
        let there = all(&client, id).await?;
        for change in changes {
            let meant = there.iter().find(|one| one.is_meant(change));
            match (&change.role, meant) {
                (Some(role), Some(one)) if one.role == *role => {}
                (Some(_), Some(one)) if one.role == "owner" => {
                    return Err(Error::new(Kind::NotAllowed, "The owner stays the owner."));
                }
                (Some(role), Some(one)) if !one.is_inherited() => {
                    set_role(&client, id, &one.id, role).await?;
                }
                (Some(role), _) => grant(&client, id, change, role, notify).await?,
                (None, Some(one)) if one.role == "owner" => {
                    return Err(Error::new(Kind::NotAllowed, "The owner stays the owner."));
                }
                (None, Some(one)) if one.is_inherited() => {
                    let text = "This permission comes from a folder above and is changed there.";
                    return Err(Error::invalid(text));
                }
                (None, Some(one)) => remove(&client, id, &one.id).await?,
                (None, None) => {}
            }
        }
        if only {
            let listed = |one: &&Granted| changes.iter().any(|change| one.is_meant(change));
            let others = there
                .iter()
                .filter(|one| one.role != "owner" && !one.is_inherited() && !listed(one));
            for one in others {
                remove(&client, id, &one.id).await?;
            }
        }
        Ok(all(&client, id).await?.into_iter().map(Granted::permission).collect())
    }
}
