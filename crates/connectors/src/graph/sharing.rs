//! Who may see what. Sources: "List sharing permissions on a driveItem", "driveItem: invite", "Update
//! sharing permission", "Delete permission", "driveItem: createLink".

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::storage::{GranteeKind, Permission, PermissionChange, Permissions};
use tramontane_connector::{Cx, EntryRef, Error, Kind, Result};
use tramontane_model::{NativeId, Op};

use super::api::{Client, collection};
use super::id::Id;
use super::names::escaped;
use super::sites::only_below;
use super::storage::GraphStorage;

/// The most changes in one call.
const MAX_CHANGES: usize = 500;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    id: String,
    roles: Vec<String>,
    granted_to_v2: Option<Grantee>,
    granted_to: Option<Grantee>,
    granted_to_identities_v2: Vec<Grantee>,
    invitation: Option<Invitation>,
    inherited_from: Option<Value>,
    link: Option<Link>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Grantee {
    user: Option<Identity>,
    site_user: Option<Identity>,
    group: Option<Identity>,
    site_group: Option<Identity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    id: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Invitation {
    email: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    scope: Option<String>,
}

/// A permission of Graph with one of those whom it is for.
struct Grant {
    /// Graph's id of the permission.
    permission: String,
    shown: Permission,
}

fn role(told: &[String]) -> String {
    let has = |role: &str| told.iter().any(|one| one == role);
    match () {
        () if has("owner") || has("sp.owner") || has("sp.full control") => "owner".into(),
        () if has("write") => "writer".into(),
        () if has("read") => "reader".into(),
        () => told.first().map(|role| role.to_lowercase()).unwrap_or_else(|| "reader".into()),
    }
}

fn wire_role(role: &str) -> Result<&'static str> {
    match role {
        "reader" | "previewer" => Ok("read"),
        "writer" => Ok("write"),
        "owner" => Err(Error::unsupported(
            Op::FilePermissionsWrite,
            "Microsoft Graph cannot make someone else the owner.",
        )),
        other => Err(Error::invalid(format!(
            "role must be reader or writer: OneDrive and SharePoint have no \"{other}\"."
        ))),
    }
}

fn grants(told: Told) -> Vec<Grant> {
    let scope = told.link.as_ref().and_then(|link| link.scope.clone());
    let shown = |grantee, identity: Identity| Grant {
        permission: told.id.clone(),
        shown: Permission {
            id: identity.id.map(NativeId::new),
            grantee,
            role: role(&told.roles),
            email: identity.email.or_else(|| told.invitation.clone()?.email),
            name: identity.display_name,
            inherited: told.inherited_from.is_some(),
        },
    };
    let one = |grantee: Grantee| {
        let person = grantee.user.or(grantee.site_user).map(|user| shown(GranteeKind::User, user));
        let group = || grantee.group.or(grantee.site_group);
        person.or_else(|| group().map(|group| shown(GranteeKind::Group, group)))
    };
    match scope.as_deref() {
        Some("anonymous") => vec![shown(GranteeKind::Anyone, Identity::default())],
        Some("organization") => vec![shown(GranteeKind::Domain, Identity::default())],
        _ if !told.granted_to_identities_v2.is_empty() => {
            told.granted_to_identities_v2.clone().into_iter().filter_map(one).collect()
        }
        _ => match told.granted_to_v2.clone().or_else(|| told.granted_to.clone()) {
            Some(grantee) => one(grantee).into_iter().collect(),
            None if told.invitation.is_some() => {
                vec![shown(GranteeKind::User, Identity::default())]
            }
            None => Vec::new(),
        },
    }
}

async fn all(client: Client<'_>, path: &str) -> Result<Vec<Grant>> {
    let mut request = client.request("permissions", Method::GET, &format!("{path}/permissions"))?;
    let mut found = Vec::new();
    loop {
        let (page, next) = collection(client.json(request).await?)?;
        for value in page {
            let told =
                Told::deserialize(&value).map_err(|cause| super::api::nonsense().because(cause))?;
            found.extend(grants(told));
        }
        match next {
            Some(next) if found.len() < 10_000 => request = client.next("permissions", &next)?,
            _ => return Ok(found),
        }
    }
}

fn fits(grant: &Permission, change: &PermissionChange) -> bool {
    let same_mail =
        |email: &str| grant.email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(email));
    grant.grantee == change.grantee
        && match (&change.id, &change.email) {
            (Some(id), _) => grant.id.as_ref() == Some(id),
            (None, Some(email)) => same_mail(email),
            (None, None) => matches!(change.grantee, GranteeKind::Anyone | GranteeKind::Domain),
        }
}

fn inherited() -> Error {
    Error::new(Kind::Invalid, "This permission comes from a folder above: change it there.")
}

async fn remove(client: Client<'_>, path: &str, grant: &Grant) -> Result<()> {
    let path = format!("{path}/permissions/{}", escaped(&grant.permission));
    match client.send(client.request("delete_permission", Method::DELETE, &path)?).await {
        // A permission for several goes with the first of them.
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

async fn grant(
    client: Client<'_>,
    path: &str,
    there: &[Grant],
    change: &PermissionChange,
    role: &str,
    notify: bool,
) -> Result<()> {
    let wanted = wire_role(role)?;
    if let Some(known) =
        there.iter().find(|grant| fits(&grant.shown, change) && !grant.shown.inherited)
    {
        if known.shown.role == role {
            return Ok(());
        }
        if matches!(change.grantee, GranteeKind::User | GranteeKind::Group) {
            let path = format!("{path}/permissions/{}", escaped(&known.permission));
            let body = json!({"roles": [wanted]});
            return client
                .send(client.with("patch_permission", Method::PATCH, &path, &body)?)
                .await
                .map(|_| ());
        }
        // A link's kind cannot be changed: another one takes its place.
        remove(client, path, known).await?;
    }
    let (name, path, body) = match change.grantee {
        GranteeKind::User | GranteeKind::Group => {
            let recipient = match (&change.email, &change.id) {
                (Some(email), _) => json!({"email": email}),
                (None, Some(id)) => json!({"objectId": id.as_str()}),
                (None, None) => return Err(Error::invalid("A permission needs email or id.")),
            };
            let body = json!({
                "recipients": [recipient], "roles": [wanted],
                "requireSignIn": true, "sendInvitation": notify,
            });
            ("invite", format!("{path}/invite"), body)
        }
        kind @ (GranteeKind::Domain | GranteeKind::Anyone) => {
            let scope = if kind == GranteeKind::Domain { "organization" } else { "anonymous" };
            let body =
                json!({"type": if wanted == "write" { "edit" } else { "view" }, "scope": scope});
            ("create_link", format!("{path}/createLink"), body)
        }
    };
    client.send(client.with(name, Method::POST, &path, &body)?).await.map(|_| ())
}

#[async_trait]
impl Permissions for GraphStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Permission>> {
        let client = self.api.at(cx);
        let path = path_of(client, of).await?;
        Ok(all(client, &path).await?.into_iter().map(|grant| grant.shown).collect())
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        notify: bool,
    ) -> Result<Vec<Permission>> {
        if changes.len() > MAX_CHANGES {
            return Err(Error::invalid("permissions must be at most 500 at once."));
        }
        let client = self.api.at(cx);
        let path = path_of(client, of).await?;
        let there = all(client, &path).await?;
        // What cannot be done is told before anything is done.
        for change in changes {
            match &change.role {
                Some(role) => {
                    wire_role(role)?;
                }
                None => {
                    let mut known =
                        there.iter().filter(|grant| fits(&grant.shown, change)).peekable();
                    if known.peek().is_some() && known.all(|grant| grant.shown.inherited) {
                        return Err(inherited());
                    }
                }
            }
        }
        for change in changes {
            match &change.role {
                Some(role) => grant(client, &path, &there, change, role, notify).await?,
                None => {
                    for known in
                        there.iter().filter(|one| fits(&one.shown, change) && !one.shown.inherited)
                    {
                        remove(client, &path, known).await?;
                    }
                }
            }
        }
        if only {
            for known in &there {
                let kept = known.shown.inherited
                    || known.shown.role == "owner"
                    || changes.iter().any(|change| fits(&known.shown, change));
                if !kept {
                    remove(client, &path, known).await?;
                }
            }
        }
        Ok(all(client, &path).await?.into_iter().map(|grant| grant.shown).collect())
    }
}

/// Where the item is, once it is known to be of the kind that was named.
pub(super) async fn path_of(client: Client<'_>, of: &EntryRef) -> Result<String> {
    let id = Id::parse(&of.id)?.followed();
    if matches!(id, Id::Site(_))
        || (client.api.flavour == super::Flavour::Sharepoint && id == Id::Root)
    {
        return Err(only_below("Sharing"));
    }
    client.entry_of_kind(client.item(&id).await?, of.kind).await?;
    client.path(&id)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn read(value: Value) -> Vec<Permission> {
        grants(serde_json::from_value(value).unwrap())
            .into_iter()
            .map(|grant| grant.shown)
            .collect()
    }

    #[test]
    fn every_form_of_a_permission_is_read() {
        let ben = json!({"user": {"id": "b", "displayName": "Ben", "email": "ben@x"}});
        let read_by_ben = read(json!({"id": "1", "roles": ["read"], "grantedToV2": ben}));
        assert_eq!(
            (read_by_ben[0].role.as_str(), read_by_ben[0].email.as_deref()),
            ("reader", Some("ben@x"))
        );
        let invited = read(json!({"id": "2", "roles": ["write"], "invitation": {"email": "c@x"}}));
        assert_eq!((invited[0].role.as_str(), invited[0].grantee), ("writer", GranteeKind::User));
        let link = read(json!({"id": "3", "roles": ["read"], "link": {"scope": "anonymous"}}));
        assert_eq!(link[0].grantee, GranteeKind::Anyone);
        let named = read(json!({"id": "4", "roles": ["write"], "link": {"scope": "users"},
            "grantedToIdentitiesV2": [ben, ben], "inheritedFrom": {"id": "up"}}));
        assert!(named.len() == 2 && named[0].inherited);
        let group = read(
            json!({"id": "5", "roles": ["owner"], "grantedToV2": {"siteGroup": {"id": "3", "displayName": "Owners"}}}),
        );
        assert_eq!((group[0].role.as_str(), group[0].grantee), ("owner", GranteeKind::Group));
    }
}
