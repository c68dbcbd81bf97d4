//! Collaborations as permissions, and the shared link as the permission of everyone.
//!
//! <https://developer.box.com/guides/collaborations/>, <https://developer.box.com/guides/shared-links/>

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{GranteeKind, Permission, PermissionChange, Permissions};
use tramontane_connector::{Cx, EntryRef, Error, Result};
use tramontane_model::{NativeId, Op};

use super::client::Client;
use super::fault::says;
use super::id::{Id, What, is_number};
use super::item::{Entries, Mini};
use super::storage::{BoxStorage, missing};

/// So many pages of collaborations are read.
const MAX_PAGES: usize = 100;

/// Our word for one of Box's roles; its own where none fits.
pub(super) fn role_of(box_role: &str) -> String {
    match box_role {
        "editor" => "writer",
        "viewer" => "reader",
        other => other,
    }
    .to_lowercase()
}

/// Box's role for one of our words.
pub(super) fn box_role(role: &str) -> Result<&str> {
    Ok(match role {
        "writer" => "editor",
        "reader" | "commenter" => "viewer",
        "previewer" | "uploader" | "editor" | "viewer" | "co-owner" | "previewer uploader"
        | "viewer uploader" => role,
        "owner" => {
            let text = "Box gives a file another owner only by moving it into their folder.";
            return Err(Error::unsupported(Op::FilePermissionsWrite, text));
        }
        _ => {
            return Err(Error::invalid(format!(
                "role \"{role}\" is not known at Box: use writer, reader, previewer, uploader or co-owner."
            )));
        }
    })
}

#[derive(Deserialize)]
struct Collaboration {
    id: String,
    role: Option<String>,
    accessible_by: Option<Mini>,
    invite_email: Option<String>,
    item: Option<Mini>,
}

/// One grant, with the id that it is changed by.
struct Grant {
    collaboration: String,
    permission: Permission,
}

impl Collaboration {
    fn grant(self, of: &Id) -> Grant {
        let by = self.accessible_by;
        let is_group = by.as_ref().is_some_and(|by| by.word.as_deref() == Some("group"));
        let here = self.item.as_ref().is_none_or(|item| {
            item.word.as_deref() == Some(of.what.word()) && item.id.as_deref() == Some(&of.number)
        });
        let (id, name, login) = by.map_or((None, None, None), |by| (by.id, by.name, by.login));
        Grant {
            collaboration: self.id,
            permission: Permission {
                id: id.map(NativeId::new),
                grantee: if is_group { GranteeKind::Group } else { GranteeKind::User },
                role: role_of(self.role.as_deref().unwrap_or_default()),
                email: login.or(self.invite_email),
                name,
                inherited: !here,
            },
        }
    }
}

#[derive(Deserialize)]
struct Owned {
    owned_by: Option<Mini>,
    shared_link: Option<Value>,
}

/// An item's shared link.
#[derive(Deserialize)]
pub(super) struct Linked {
    pub(super) shared_link: Option<Value>,
}

impl Client<'_> {
    async fn grants(&self, id: &Id) -> Result<Vec<Grant>> {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("limit", "1000")];
            if let Some(marker) = &marker {
                query.push(("marker", marker));
            }
            let path = [id.what.plural(), &id.number, "collaborations"];
            let url = self.api(&path, &query)?;
            let page: Entries = self.json(self.request("collaborations", Method::GET, url)).await?;
            marker = page.next();
            for value in page.entries {
                let one: Collaboration = serde_json::from_value(value).map_err(|cause| {
                    Error::new(Kind::Broken, "Box tells of a collaboration in an unknown form.")
                        .because(cause)
                })?;
                found.push(one.grant(id));
            }
            if marker.is_none() {
                return Ok(found);
            }
        }
        Err(Error::new(Kind::Broken, "Box's list of collaborations does not end."))
    }

    async fn owner_and_link(&self, id: &Id) -> Result<Vec<Permission>> {
        let url =
            self.api(&[id.what.plural(), &id.number], &[("fields", "owned_by,shared_link")])?;
        let owned: Owned = self.json(self.request("get_item", Method::GET, url)).await?;
        let mut found = Vec::new();
        if let Some(owner) = owned.owned_by.filter(|owner| owner.id.is_some()) {
            found.push(Permission {
                id: owner.id.map(NativeId::new),
                grantee: GranteeKind::User,
                role: "owner".into(),
                email: owner.login,
                name: owner.name,
                inherited: false,
            });
        }
        found.extend(owned.shared_link.as_ref().and_then(linked));
        Ok(found)
    }

    async fn all(&self, id: &Id) -> Result<Vec<Permission>> {
        let mut found = self.owner_and_link(id).await?;
        if !id.is_root() && id.what != What::Link {
            found.extend(self.grants(id).await?.into_iter().map(|grant| grant.permission));
        }
        Ok(found)
    }

    /// <https://developer.box.com/reference/put-files-id--add-shared-link/>
    pub(super) async fn set_link(&self, id: &Id, link: &Value) -> Result<Linked> {
        let url = self.api(&[id.what.plural(), &id.number], &[("fields", "shared_link")])?;
        let body = json!({"shared_link": link});
        self.json(self.with_json("shared_link", Method::PUT, url, &body)).await
    }

    /// The shared link that is there, if any.
    pub(super) async fn linked(&self, id: &Id) -> Result<Linked> {
        let url = self.api(&[id.what.plural(), &id.number], &[("fields", "shared_link")])?;
        self.json(self.request("get_item", Method::GET, url)).await
    }

    async fn invite(
        &self,
        id: &Id,
        change: &PermissionChange,
        role: &str,
        notify: bool,
    ) -> Result<()> {
        let word = if change.grantee == GranteeKind::Group { "group" } else { "user" };
        let by = match (&change.id, &change.email) {
            (Some(who), _) if is_number(who.as_str()) => json!({"type": word, "id": who.as_str()}),
            (None, Some(email)) if word == "user" => json!({"type": word, "login": email}),
            _ => {
                return Err(Error::invalid(
                    "A permission at Box is for a user's id or address, or a group's id.",
                ));
            }
        };
        let body = json!({
            "item": {"type": id.what.word(), "id": id.number}, "accessible_by": by, "role": role,
        });
        let query = [("notify", if notify { "true" } else { "false" })];
        let url = self.api(&["collaborations"], &query)?;
        self.done(self.with_json("collaborate", Method::POST, url, &body)).await
    }

    async fn change_one(
        &self,
        id: &Id,
        grants: &[Grant],
        change: &PermissionChange,
        notify: bool,
    ) -> Result<()> {
        if matches!(change.grantee, GranteeKind::Anyone | GranteeKind::Domain) {
            return self.set_link(id, &link_for(change)?).await.map(|_| ());
        }
        let there = grants.iter().find(|grant| is_for(&grant.permission, change));
        let role = change.role.as_deref().map(box_role).transpose()?;
        match (there, role) {
            (Some(grant), _) if grant.permission.inherited => Err(Error::invalid(
                "This permission comes from a folder above and is changed there.",
            )),
            (None, None) => Ok(()),
            (None, Some(role)) => match self.invite(id, change, role, notify).await {
                Err(error) if says(&error, "user_already_collaborator") => {
                    Err(Error::invalid("This user has access already, from a folder above."))
                }
                done => done,
            },
            (Some(grant), Some(role)) => {
                let url = self.api(&["collaborations", &grant.collaboration], &[])?;
                let body = json!({"role": role});
                self.done(self.with_json("change_role", Method::PUT, url, &body)).await
            }
            (Some(grant), None) => self.uninvite(grant).await,
        }
    }

    async fn uninvite(&self, grant: &Grant) -> Result<()> {
        let url = self.api(&["collaborations", &grant.collaboration], &[])?;
        match self.done(self.request("uninvite", Method::DELETE, url)).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }
}

/// The shared link as a permission: of everyone who has it, or of everyone of the company.
fn linked(link: &Value) -> Option<Permission> {
    let text = |name: &str| link.get(name).and_then(Value::as_str);
    let grantee = match text("effective_access").or(text("access"))? {
        "open" => GranteeKind::Anyone,
        "company" => GranteeKind::Domain,
        _ => return None,
    };
    let role = match text("effective_permission")? {
        "can_edit" => "writer",
        "can_download" => "reader",
        _ => "previewer",
    };
    Some(Permission {
        id: None,
        grantee,
        role: role.into(),
        email: None,
        name: None,
        inherited: false,
    })
}

fn link_for(change: &PermissionChange) -> Result<Value> {
    let access = if change.grantee == GranteeKind::Anyone { "open" } else { "company" };
    let (download, edit) = match change.role.as_deref() {
        None => return Ok(Value::Null),
        Some("reader" | "commenter") => (true, false),
        Some("previewer") => (false, false),
        Some("writer") => (true, true),
        Some(role) => {
            return Err(Error::invalid(format!(
                "A shared link of Box cannot give the role \"{role}\"."
            )));
        }
    };
    Ok(json!({"access": access, "permissions": {"can_download": download, "can_edit": edit}}))
}

fn is_for(permission: &Permission, change: &PermissionChange) -> bool {
    let same_kind = permission.grantee == change.grantee;
    let by_id = change.id.is_some() && permission.id == change.id;
    let by_address = change.email.as_ref().is_some_and(|wanted| {
        permission.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(wanted))
    });
    same_kind && (by_id || by_address)
}

#[async_trait]
impl Permissions for BoxStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Permission>> {
        self.client(cx).all(&Id::of_ref(of).ok_or_else(missing)?).await
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        notify: bool,
    ) -> Result<Vec<Permission>> {
        let client = self.client(cx);
        let id = Id::of_ref(of).ok_or_else(missing)?;
        if id.is_root() || id.what == What::Link {
            return Err(Error::new(
                Kind::NotAllowed,
                "Box shares files and folders other than the root.",
            ));
        }
        // Every role is read before anything is changed.
        for role in changes.iter().filter_map(|change| change.role.as_deref()) {
            box_role(role)?;
        }
        let grants = client.grants(&id).await?;
        let owner = client.owner_and_link(&id).await?;
        for change in changes {
            let is_owner = owner
                .iter()
                .any(|permission| permission.role == "owner" && is_for(permission, change));
            if !is_owner {
                client.change_one(&id, &grants, change, notify).await?;
            }
        }
        if only {
            let kept = |permission: &Permission| changes.iter().any(|one| is_for(permission, one));
            for grant in grants.iter().filter(|grant| !grant.permission.inherited) {
                if !kept(&grant.permission) {
                    client.uninvite(grant).await?;
                }
            }
            let is_link =
                |kind: GranteeKind| matches!(kind, GranteeKind::Anyone | GranteeKind::Domain);
            let had_link = owner.iter().any(|permission| is_link(permission.grantee));
            if had_link && !changes.iter().any(|change| is_link(change.grantee)) {
                client.set_link(&id, &Value::Null).await?;
            }
        }
        client.all(&id).await
    }
}
