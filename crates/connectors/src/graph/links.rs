//! Sharing links: permissions without a person. Sources: "driveItem: createLink", "permission resource
//! type", "Update sharing permission", "Delete permission".

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::{
    Cx, EntryRef, Error, Kind, LinkAccess, LinkChange, LinkOptions, LinkRole, Links, Result,
    ShareLink,
};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::Flavour;
use super::api::{Client, collection, nonsense};
use super::id::Id;
use super::names::escaped;
use super::sharing::path_of;
use super::storage::GraphStorage;

/// "DateTime.MinValue indicates there is no expiration set for this permission."
const NEVER: &str = "0001-01-01T00:00:00Z";
/// The most permissions of an item that are read.
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    id: String,
    link: Option<Link>,
    expiration_date_time: Option<String>,
    has_password: Option<bool>,
    inherited_from: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    #[serde(rename = "type")]
    kind: Option<String>,
    scope: Option<String>,
    web_url: Option<String>,
}

fn declined() -> Error {
    Error::declined(Op::LinkCreate)
}

fn gone() -> Error {
    Error::not_found("The link is not there.")
}

/// `yyyy-MM-ddTHH:mm:ssZ`: whole seconds.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..19).unwrap_or_default())
}

/// A permission as a link; none when it is for people, or is a link to embed.
fn read(value: &Value) -> Result<Option<ShareLink>> {
    let told = Told::deserialize(value).map_err(|cause| nonsense().because(cause))?;
    let Some(link) = told.link.filter(|_| told.inherited_from.is_none()) else { return Ok(None) };
    let access = match link.scope.as_deref() {
        // Personal drives may leave the scope out.
        Some("anonymous") | None => LinkAccess::Anyone,
        Some("organization") => LinkAccess::Organization,
        Some(_) => return Ok(None),
    };
    let role = match link.kind.as_deref() {
        Some("edit") => LinkRole::Writer,
        Some("view") => LinkRole::Reader,
        _ => return Ok(None),
    };
    let url = link.web_url.and_then(|url| Url::parse(&url).ok());
    let Some(url) = url else { return Ok(None) };
    let expires = told.expiration_date_time.filter(|at| !at.starts_with("0001-"));
    Ok(Some(ShareLink {
        id: told.id,
        url,
        access,
        role,
        password: told.has_password.unwrap_or(false),
        expires: expires.as_deref().and_then(Timestamp::parse),
    }))
}

impl Client<'_> {
    fn is_personal(&self) -> bool {
        self.api.flavour == Flavour::Personal
    }

    async fn link_of(&self, path: &str, id: &str) -> Result<(String, ShareLink)> {
        let path = format!("{path}/permissions/{}", escaped(id));
        let link = read(&self.get("permission", &path).await?)?;
        Ok((path, link.ok_or_else(gone)?))
    }

    /// What a refusal of more than a plain link means: at home there are no rules but those of the plan.
    fn by_plan(&self, error: Error) -> Error {
        let refused = matches!(error.kind, Kind::Forbidden | Kind::Invalid | Kind::NotAllowed);
        if self.is_personal() && refused { declined() } else { error }
    }
}

async fn shared(client: Client<'_>, of: &EntryRef) -> Result<String> {
    if Id::parse(&of.id)?.followed() == Id::Root {
        return Err(Error::new(Kind::NotAllowed, "The root folder cannot be shared."));
    }
    path_of(client, of).await
}

#[async_trait]
impl Links for GraphStorage {
    async fn create(&self, cx: &Cx, of: &EntryRef, how: &LinkOptions) -> Result<ShareLink> {
        let client = self.api.at(cx);
        // "password: Optional and OneDrive Personal only"; there nobody has an organisation.
        let offered = match client.is_personal() {
            true => how.access == LinkAccess::Anyone,
            false => how.password.is_none(),
        };
        if !offered {
            return Err(declined());
        }
        let path = format!("{}/createLink", shared(client, of).await?);
        let kind = if how.role == LinkRole::Writer { "edit" } else { "view" };
        let scope = match how.access {
            LinkAccess::Anyone => "anonymous",
            LinkAccess::Organization => "organization",
        };
        let mut body = json!({"type": kind, "scope": scope});
        if let Some(members) = body.as_object_mut() {
            if let Some(password) = how.password() {
                members.insert("password".into(), password.into());
            }
            if let Some(expires) = how.expires {
                members.insert("expirationDateTime".into(), time(expires).into());
            }
        }
        let request = client.with("create_link", Method::POST, &path, &body)?;
        let more = how.password.is_some() || how.expires.is_some();
        let answer = match client.send(request).await {
            Err(error) if more => return Err(client.by_plan(error)),
            answer => answer?,
        };
        // 200: the link was there before, and is not ours.
        if answer.status != StatusCode::CREATED {
            return Err(declined());
        }
        read(&answer.json().await?)?.ok_or_else(nonsense)
    }

    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<ShareLink>> {
        let client = self.api.at(cx);
        let path = shared(client, of).await?;
        let path = format!("{path}/permissions");
        let mut request = client.request("permissions", Method::GET, &path)?;
        let (mut found, mut seen) = (Vec::new(), 0);
        loop {
            let (page, next) = collection(client.json(request).await?)?;
            seen += page.len();
            for value in &page {
                found.extend(read(value)?);
            }
            match next {
                Some(next) if seen < MOST => request = client.next("permissions", &next)?,
                _ => return Ok(found),
            }
        }
    }

    async fn get(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<ShareLink> {
        let client = self.api.at(cx);
        let path = shared(client, of).await?;
        client.link_of(&path, id).await.map(|(_, link)| link)
    }

    /// "Anonymous Sharing Link: expirationDateTime" is what can be changed.
    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        id: &str,
        change: &LinkChange,
    ) -> Result<ShareLink> {
        let client = self.api.at(cx);
        let path = shared(client, of).await?;
        let (path, there) = client.link_of(&path, id).await?;
        let locks = change.password().is_some_and(|new| new.is_some() || there.password);
        if locks {
            return Err(declined());
        }
        let Some(expires) = change.expires else { return Ok(there) };
        if there.access != LinkAccess::Anyone && expires != there.expires {
            return Err(declined());
        }
        let until = expires.map_or_else(|| NEVER.to_owned(), time);
        let body = json!({"expirationDateTime": until});
        let request = client.with("patch_permission", Method::PATCH, &path, &body)?;
        let changed = client.json(request).await.map_err(|error| client.by_plan(error))?;
        read(&changed)?.ok_or_else(gone)
    }

    async fn delete(&self, cx: &Cx, of: &EntryRef, id: &str) -> Result<()> {
        let client = self.api.at(cx);
        let path = shared(client, of).await?;
        // Only a link: the permission of a person must not be reached this way.
        let (path, _) = client.link_of(&path, id).await?;
        client.send(client.request("delete_permission", Method::DELETE, &path)?).await.map(|_| ())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_grants_to_people_and_from_what_comes_from_above() {
        let link = |more: Value| {
            let mut value = json!({"id": "1", "roles": ["read"],
                "link": {"type": "view", "scope": "anonymous", "webUrl": "https://1drv.ms/x"}});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&value).unwrap()
        };
        let plain = link(json!({"expirationDateTime": NEVER})).unwrap();
        assert_eq!((plain.access, plain.expires), (LinkAccess::Anyone, None));
        let ends = link(json!({"expirationDateTime": "2026-05-01T00:00:00Z", "hasPassword": true}));
        assert!(ends.is_some_and(|link| link.password && link.expires.is_some()));
        assert_eq!(link(json!({"inheritedFrom": {"id": "up"}})), None);
        assert_eq!(link(json!({"link": {"scope": "users", "type": "view"}})), None);
        assert_eq!(link(json!({"link": null})), None);
    }
}
