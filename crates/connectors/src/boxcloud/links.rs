//! Shared links. An item has one at most, known by its address alone.
//!
//! <https://developer.box.com/guides/shared-links/>

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::{
    Cx, EntryRef, Error, LinkAccess, LinkChange, LinkOptions, LinkRole, Links, Result, ShareLink,
};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::client::Client;
use super::fault::says;
use super::id::{Id, What};
use super::item::moment;
use super::storage::{BoxStorage, missing};

fn declined() -> Error {
    Error::declined(Op::LinkCreate)
}

fn gone() -> Error {
    Error::not_found("The link is not there.")
}

/// What can have a link.
fn shareable(of: &EntryRef) -> Result<Id> {
    let id = Id::of_ref(of).ok_or_else(missing)?;
    if id.is_root() {
        let text = "Box shares files and folders other than the root.";
        return Err(Error::new(Kind::NotAllowed, text));
    }
    if id.what == What::Link { Err(declined()) } else { Ok(id) }
}

/// Box keeps whole seconds.
fn time(at: Timestamp) -> String {
    Timestamp::from_seconds(at.seconds()).to_string()
}

/// The link as Box tells it; none where it opens nothing to others than those who were invited.
fn read(told: &Value) -> Option<ShareLink> {
    let text = |name: &str| told.get(name).and_then(Value::as_str);
    let access = match text("effective_access").or(text("access"))? {
        "open" => LinkAccess::Anyone,
        "company" => LinkAccess::Organization,
        _ => return None,
    };
    let url = text("url")?;
    let role = match text("effective_permission") {
        Some("can_edit") => LinkRole::Writer,
        _ => LinkRole::Reader,
    };
    Some(ShareLink {
        id: url.to_owned(),
        url: Url::parse(url).ok()?,
        access,
        role,
        password: told.get("is_password_enabled").and_then(Value::as_bool).unwrap_or(false),
        expires: moment(text("unshared_at").map(str::to_owned).as_ref()),
    })
}

#[derive(Deserialize)]
struct Me {
    enterprise: Option<Value>,
}

impl Client<'_> {
    async fn link(&self, id: &Id, known_as: &str) -> Result<ShareLink> {
        let link = self.linked(id).await?.shared_link;
        link.as_ref().and_then(read).filter(|link| link.id == known_as).ok_or_else(gone)
    }

    /// What a refusal of a link with a password or an end means: plans for one person have neither,
    /// which is no rule to keep; a company's plan has both, and refuses by its rules.
    async fn by_plan(&self, error: Error) -> Result<Error> {
        if says(&error, "insufficient_scope") {
            return Ok(declined());
        }
        let url = self.api(&["users", "me"], &[("fields", "enterprise")])?;
        let me: Me = self.json(self.request("users_me", Method::GET, url)).await?;
        let own = me.enterprise.filter(|value| !value.is_null()).is_none();
        Ok(if own { declined() } else { error })
    }
}

#[async_trait]
impl Links for BoxStorage {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        let (client, id) = (self.client(cx), shareable(of)?);
        let edit = how.role == LinkRole::Writer;
        // "can_edit": for files alone; "password": for open links alone.
        let open = how.access == LinkAccess::Anyone;
        if (edit && id.what == What::Folder) || (how.password.is_some() && !open) {
            return Err(declined());
        }
        if client.linked(&id).await?.shared_link.is_some_and(|link| !link.is_null()) {
            return Err(declined());
        }
        let mut link = json!({"access": if open { "open" } else { "company" },
            "permissions": {"can_download": true}});
        if let Some(members) = link.as_object_mut() {
            if edit {
                let permissions = json!({"can_download": true, "can_edit": true});
                members.insert("permissions".into(), permissions);
            }
            if let Some(password) = how.password() {
                members.insert("password".into(), password.into());
            }
            if let Some(expires) = how.expires {
                members.insert("unshared_at".into(), time(expires).into());
            }
        }
        let made = match client.set_link(&id, &link).await {
            Err(error) if says(&error, "insufficient_scope") => return Err(declined()),
            // Box wants eight characters of several kinds.
            Err(error) if error.kind == Kind::Invalid && how.password.is_some() => {
                return Err(declined());
            }
            Err(error)
                if error.kind == Kind::Forbidden
                    && (how.password.is_some() || how.expires.is_some()) =>
            {
                return Err(client.by_plan(error).await?);
            }
            made => made?,
        };
        let made = made.shared_link.as_ref().and_then(read);
        made.ok_or_else(|| Error::new(Kind::Forbidden, "The company lets no such links be made."))
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        let link = self.client(cx).linked(&shareable(of)?).await?.shared_link;
        Ok(link.as_ref().and_then(read).into_iter().collect())
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        self.client(cx).link(&shareable(of)?, id).await
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        let (client, item) = (self.client(cx), shareable(of)?);
        let there = client.link(&item, id).await?;
        if change.password().flatten().is_some() && there.access != LinkAccess::Anyone {
            return Err(declined());
        }
        let mut link = serde_json::Map::new();
        // What is not named stays; "access" has to be named with what is changed.
        let open = there.access == LinkAccess::Anyone;
        link.insert("access".into(), if open { "open" } else { "company" }.into());
        if let Some(password) = change.password() {
            link.insert("password".into(), password.into());
        }
        if let Some(expires) = change.expires {
            link.insert("unshared_at".into(), expires.map(time).into());
        }
        let changed = match client.set_link(&item, &Value::Object(link)).await {
            Err(error) if error.kind == Kind::Forbidden => {
                return Err(client.by_plan(error).await?);
            }
            Err(error) if error.kind == Kind::Invalid && change.password().is_some() => {
                return Err(declined());
            }
            changed => changed?,
        };
        changed.shared_link.as_ref().and_then(read).ok_or_else(gone)
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        let (client, item) = (self.client(cx), shareable(of)?);
        // Taking "the" link away must not take another one, made in place of it since.
        client.link(&item, id).await?;
        client.set_link(&item, &Value::Null).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_what_a_link_really_opens() {
        let told = |effective: &str, permission: &str| {
            json!({"url": "https://app.box.com/s/x", "access": "open", "effective_access": effective,
                "effective_permission": permission, "is_password_enabled": true,
                "unshared_at": "2026-05-01T00:00:00-07:00"})
        };
        let link = read(&told("company", "can_edit"));
        let link = link.map(|link| (link.access, link.role, link.password, link.expires.is_some()));
        assert_eq!(link, Some((LinkAccess::Organization, LinkRole::Writer, true, true)));
        assert_eq!(read(&told("collaborators", "can_download")), None);
    }
}
