//! Members of files and shared folders as permissions.
//!
//! A folder has members only when it is shared: giving someone access shares it first.

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{GranteeKind, Permission, PermissionChange, Permissions};
use tramontane_connector::{Cx, EntryKind, EntryRef, Error, Result};
use tramontane_model::{NativeId, Op};

use super::api::Api;
use super::entry::{Metadata, address};
use super::lookup;
use super::place::job;
use super::storage::DropboxStorage;

/// The longest page of members that Dropbox gives, and the most pages that are read.
const MAX_PAGE: u32 = 300;
const MAX_PAGES: usize = 100;

/// Our word for an access level ("AccessLevel").
fn role(level: &str) -> String {
    match level {
        "editor" => "writer",
        "viewer" => "reader",
        "viewer_no_comment" => "previewer",
        other => other,
    }
    .to_owned()
}

/// Dropbox's word for a role. Viewers may comment.
fn level(role: &str) -> Result<&'static str> {
    match role {
        "writer" | "editor" => Ok("editor"),
        "reader" | "commenter" | "viewer" => Ok("viewer"),
        "previewer" | "viewer_no_comment" => Ok("viewer_no_comment"),
        "owner" => Err(Error::unsupported(
            Op::FilePermissionsWrite,
            "Who owns something at Dropbox cannot be changed here.",
        )),
        _ => Err(Error::invalid(
            "role must be one of \"writer\", \"commenter\", \"reader\", \"previewer\".",
        )),
    }
}

fn text<'a>(of: &'a Value, path: &str) -> Option<&'a str> {
    of.pointer(path).and_then(Value::as_str)
}

/// Members as every listing of them gives them.
fn members(answer: &Value, inherited: bool, found: &mut Vec<Permission>) {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let common =
        |one: &Value, grantee, id: Option<&str>, email: Option<&str>, name: Option<&str>| {
            let level = text(one, "/access_type/.tag").unwrap_or_default();
            let own = one.get("is_inherited").and_then(Value::as_bool).unwrap_or(false);
            Permission {
                id: id.map(NativeId::new),
                grantee,
                role: role(level),
                email: email.map(str::to_owned),
                name: name.map(str::to_owned),
                inherited: own || inherited,
            }
        };
    for one in list("users") {
        let (id, email) = (text(&one, "/user/account_id"), text(&one, "/user/email"));
        found.push(common(&one, GranteeKind::User, id, email, text(&one, "/user/display_name")));
    }
    for one in list("groups") {
        let (id, name) = (text(&one, "/group/group_id"), text(&one, "/group/group_name"));
        found.push(common(&one, GranteeKind::Group, id, None, name));
    }
    for one in list("invitees") {
        found.push(common(&one, GranteeKind::User, None, text(&one, "/invitee/email"), None));
    }
}

/// What has members: a file, or a folder with the shared folder that it is or is in.
enum Of {
    File(String),
    Shared { id: String, inherited: bool },
    Private(String),
}

async fn of(api: &Api<'_>, what: &EntryRef) -> Result<Of> {
    let path = address(&what.id)?;
    if path.is_empty() {
        return match what.kind {
            EntryKind::Folder => Ok(Of::Private(String::new())),
            EntryKind::File => Err(Error::not_found("The object is not there.")),
        };
    }
    let found: Metadata = lookup::metadata(api, what).await?;
    if what.kind == EntryKind::File {
        return Ok(Of::File(path.to_owned()));
    }
    let (own, above) = (found.shared_folder(), found.parent_shared_folder());
    Ok(match (own, above) {
        (Some(id), _) => Of::Shared { id, inherited: false },
        (None, Some(id)) => Of::Shared { id, inherited: true },
        (None, None) => Of::Private(path.to_owned()),
    })
}

async fn list(api: &Api<'_>, of: &Of) -> Result<Vec<Permission>> {
    let (first, next, argument, inherited) = match of {
        Of::Private(_) => return Ok(vec![owner(api).await?]),
        Of::File(file) => (
            "sharing/list_file_members",
            "sharing/list_file_members/continue",
            json!({"file": file, "include_inherited": true, "limit": MAX_PAGE}),
            false,
        ),
        Of::Shared { id, inherited } => (
            "sharing/list_folder_members",
            "sharing/list_folder_members/continue",
            json!({"shared_folder_id": id, "limit": MAX_PAGE}),
            *inherited,
        ),
    };
    let mut found = Vec::new();
    let mut answer: Value = api.look(first, &argument).await?;
    for _ in 0..MAX_PAGES {
        members(&answer, inherited, &mut found);
        let Some(cursor) = text(&answer, "/cursor").filter(|text| !text.is_empty()) else { break };
        answer = api.look(next, &json!({"cursor": cursor})).await?;
    }
    Ok(found)
}

/// The only one who may see what is not shared.
async fn owner(api: &Api<'_>) -> Result<Permission> {
    let user: Value = api.look("users/get_current_account", &Value::Null).await?;
    Ok(Permission {
        id: text(&user, "/account_id").map(NativeId::new),
        grantee: GranteeKind::User,
        role: "owner".into(),
        email: text(&user, "/email").map(str::to_owned),
        name: text(&user, "/name/display_name").map(str::to_owned),
        inherited: false,
    })
}

/// `MemberSelector`.
fn selector(id: Option<&NativeId>, email: Option<&str>) -> Result<Value> {
    match (id, email) {
        (Some(id), _) => Ok(json!({".tag": "dropbox_id", "dropbox_id": id.as_str()})),
        (None, Some(email)) => Ok(json!({".tag": "email", "email": email})),
        (None, None) => Err(Error::invalid("A permission needs \"id\" or \"email\".")),
    }
}

fn is_for(permission: &Permission, change: &PermissionChange) -> bool {
    let same = |one: Option<&str>, other: Option<&str>| {
        one.zip(other).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    let ids = (permission.id.as_ref(), change.id.as_ref());
    ids.0.is_some() && ids.0 == ids.1 || same(permission.email.as_deref(), change.email.as_deref())
}

fn refused(result: &Value) -> Result<()> {
    if result.get("member_error").is_none() {
        return Ok(());
    }
    let code = text(result, "/member_error/.tag");
    let error = match code {
        Some("no_permission" | "not_a_member" | "no_explicit_access") => {
            Error::new(Kind::Forbidden, "Dropbox does not allow this.")
        }
        _ => Error::invalid("Dropbox knows nobody by this address or id."),
    };
    Err(error.said(code, None))
}

/// Gives, changes or takes away one member's access.
async fn apply(
    api: &Api<'_>,
    of: &Of,
    member: &Value,
    there: bool,
    level: Option<&str>,
    notify: bool,
) -> Result<()> {
    match (of, level) {
        (Of::File(file), Some(level)) if there => {
            let argument = json!({"file": file, "member": member, "access_level": {".tag": level}});
            api.change::<Value>("sharing/update_file_member", &argument).await?;
        }
        (Of::File(file), Some(level)) => {
            let argument = json!({"file": file, "members": [member], "access_level": {".tag": level},
                "quiet": !notify});
            let answer: Value = api.change("sharing/add_file_member", &argument).await?;
            refused(answer.pointer("/0/result").unwrap_or(&Value::Null))?;
        }
        (Of::File(file), None) => {
            let argument = json!({"file": file, "member": member});
            let answer: Value = api.change("sharing/remove_file_member_2", &argument).await?;
            refused(&answer)?;
        }
        (Of::Shared { id, .. }, Some(level)) if there => {
            let argument =
                json!({"shared_folder_id": id, "member": member, "access_level": {".tag": level}});
            api.change::<Value>("sharing/update_folder_member", &argument).await?;
        }
        (Of::Shared { id, .. }, Some(level)) => {
            let members = json!([{"member": member, "access_level": {".tag": level}}]);
            let argument = json!({"shared_folder_id": id, "members": members, "quiet": !notify});
            api.change::<Value>("sharing/add_folder_member", &argument).await?;
        }
        (Of::Shared { id, .. }, None) => {
            let argument = json!({"shared_folder_id": id, "member": member, "leave_a_copy": false});
            let check = "sharing/check_remove_member_job_status";
            job(api, "sharing/remove_folder_member", &argument, check).await?;
        }
        (Of::Private(_), _) => {}
    }
    Ok(())
}

/// Shares a folder that is not, so that it can have members.
async fn share(api: &Api<'_>, path: &str) -> Result<Of> {
    if path.is_empty() {
        return Err(Error::new(Kind::NotAllowed, "The root folder cannot be shared."));
    }
    let argument = json!({"path": path, "force_async": false});
    let shared =
        job(api, "sharing/share_folder", &argument, "sharing/check_share_job_status").await?;
    let id = text(&shared, "/shared_folder_id").map(str::to_owned);
    let id =
        id.ok_or_else(|| Error::new(Kind::Broken, "Dropbox shared a folder without its id."))?;
    Ok(Of::Shared { id, inherited: false })
}

#[async_trait]
impl Permissions for DropboxStorage {
    async fn list(&self, cx: &Cx, what: &EntryRef) -> Result<Vec<Permission>> {
        let api = self.api(cx);
        list(&api, &of(&api, what).await?).await
    }

    async fn change(
        &self,
        cx: &Cx,
        what: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        notify: bool,
    ) -> Result<Vec<Permission>> {
        let api = self.api(cx);
        let mut wanted = Vec::new();
        for change in changes {
            if matches!(change.grantee, GranteeKind::Anyone | GranteeKind::Domain) {
                let text = "Dropbox opens things to everyone by links, not by permissions.";
                return Err(Error::unsupported(Op::FilePermissionsWrite, text));
            }
            let level = change.role.as_deref().map(level).transpose()?;
            wanted.push((change, selector(change.id.as_ref(), change.email.as_deref())?, level));
        }
        let mut of = of(&api, what).await?;
        if let Of::Private(path) = &of {
            if wanted.iter().all(|(_, _, level)| level.is_none()) {
                return list(&api, &of).await;
            }
            of = share(&api, path).await?;
        }
        if let Of::Shared { inherited: true, .. } = &of {
            let text =
                "This folder is in a shared folder: its members are those of the shared folder.";
            return Err(Error::new(Kind::NotAllowed, text));
        }
        let before = list(&api, &of).await?;
        for (change, member, level) in &wanted {
            let there = before.iter().find(|one| is_for(one, change));
            if there.is_some_and(|one| one.role == "owner") {
                continue;
            }
            let own = there.is_some_and(|one| !one.inherited);
            if level.is_some() || own {
                apply(&api, &of, member, own, *level, notify).await?;
            }
        }
        if only {
            let named = |one: &Permission| wanted.iter().any(|(change, ..)| is_for(one, change));
            let others = before.iter().filter(|one| one.role != "owner" && !one.inherited);
            for other in others.filter(|one| !named(one)) {
                let member = selector(other.id.as_ref(), other.email.as_deref())?;
                apply(&api, &of, &member, true, None, notify).await?;
            }
        }
        list(&api, &of).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_levels_are_each_others() {
        for (ours, theirs) in
            [("writer", "editor"), ("reader", "viewer"), ("previewer", "viewer_no_comment")]
        {
            assert_eq!(level(ours).ok(), Some(theirs));
            assert_eq!(role(theirs), ours);
        }
        assert_eq!(level("commenter").ok(), Some("viewer"));
        assert!(level("owner").is_err_and(|error| matches!(error.kind, Kind::Unsupported(_))));
        assert!(level("king").is_err_and(|error| error.kind == Kind::Invalid));
    }

    #[test]
    fn people_groups_and_invited_addresses_are_told() {
        let answer = json!({"users": [{"access_type": {".tag": "owner"}, "is_inherited": false,
                "user": {"account_id": "dbid:1", "email": "a@example.com", "display_name": "A"}}],
            "groups": [{"access_type": {".tag": "editor"}, "is_inherited": true,
                "group": {"group_id": "g:1", "group_name": "G"}}],
            "invitees": [{"access_type": {".tag": "viewer"}, "is_inherited": false,
                "invitee": {".tag": "email", "email": "x@example.org"}}]});
        let mut found = Vec::new();
        members(&answer, false, &mut found);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.grantee, one.role.as_str(), one.email.as_deref(), one.inherited))
            .collect();
        assert_eq!(
            told,
            [
                (GranteeKind::User, "owner", Some("a@example.com"), false),
                (GranteeKind::Group, "writer", None, true),
                (GranteeKind::User, "reader", Some("x@example.org"), false),
            ]
        );
    }
}
