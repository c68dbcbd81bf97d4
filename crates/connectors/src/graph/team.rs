//! The people of an organisation. Sources: "List users", "Get a user", "List a user's memberships", "List
//! groups", "List group members".

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde_json::Value;
use tramontane_connector::{Cx, Error, Result, Team, TeamGroup, TeamUser};
use tramontane_model::{NativeId, Page, PageRequest, Timestamp};

use super::api::{Api, Client, collection, nonsense, text};
use super::id::is_plausible;
use super::names::escaped;

/// The most entries of one page ("$top ... 999").
const MAX_PAGE: usize = 999;
const USER: &str =
    "$select=id,displayName,mail,userPrincipalName,otherMails,userType,createdDateTime";
const GROUP: &str = "$select=id,displayName,description,visibility";

pub(super) struct GraphTeam {
    pub(super) api: Arc<Api>,
}

fn user(cx: &Cx, value: Value) -> Result<TeamUser> {
    let id = text(&value, "id").ok_or_else(nonsense)?.to_owned();
    let mail =
        text(&value, "mail").or_else(|| text(&value, "userPrincipalName")).map(str::to_owned);
    let others = value.get("otherMails").and_then(Value::as_array);
    let emails =
        others.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let role = text(&value, "userType").map_or_else(|| "member".into(), str::to_lowercase);
    Ok(TeamUser {
        id: NativeId::new(id),
        name: text(&value, "displayName").unwrap_or_default().to_owned(),
        email: mail,
        emails,
        role,
        created: text(&value, "createdDateTime").and_then(Timestamp::parse),
        modified: None,
        raw: cx.raw.then_some(value),
    })
}

fn group(cx: &Cx, value: Value) -> Result<TeamGroup> {
    Ok(TeamGroup {
        id: NativeId::new(text(&value, "id").ok_or_else(nonsense)?),
        name: text(&value, "displayName").unwrap_or_default().to_owned(),
        role: None,
        description: text(&value, "description").map(str::to_owned),
        raw: cx.raw.then_some(value),
    })
}

fn id(of: &NativeId) -> Result<String> {
    // Users may be named by their address as well.
    let fine = of.as_str().split('@').all(is_plausible) && of.as_str().matches('@').count() <= 1;
    if fine {
        Ok(escaped(of.as_str()))
    } else {
        Err(Error::not_found("There is no such person or group."))
    }
}

async fn page<T>(
    client: Client<'_>,
    path: &str,
    select: &str,
    page: &PageRequest,
    read: impl Fn(&Cx, Value) -> Result<T>,
) -> Result<Page<T>> {
    let request = match &page.cursor {
        Some(cursor) => client.next("directory", cursor)?,
        None => {
            let path = format!("{path}?$top={}&{select}", page.limit.min(MAX_PAGE));
            client.request("directory", Method::GET, &path)?
        }
    };
    let (found, next) = collection(client.json(request).await?)?;
    let items = found.into_iter().map(|value| read(client.cx, value)).collect::<Result<_>>()?;
    Ok(Page { items, next })
}

#[async_trait]
impl Team for GraphTeam {
    async fn users(&self, cx: &Cx, request: &PageRequest) -> Result<Page<TeamUser>> {
        page(self.api.at(cx), "users", USER, request, user).await
    }

    async fn user(&self, cx: &Cx, of: &NativeId) -> Result<TeamUser> {
        user(cx, self.api.at(cx).get("directory", &format!("users/{}?{USER}", id(of)?)).await?)
    }

    async fn memberships(
        &self,
        cx: &Cx,
        of: &NativeId,
        request: &PageRequest,
    ) -> Result<Page<TeamGroup>> {
        let path = format!("users/{}/memberOf/microsoft.graph.group", id(of)?);
        page(self.api.at(cx), &path, GROUP, request, group).await
    }

    async fn groups(&self, cx: &Cx, request: &PageRequest) -> Result<Page<TeamGroup>> {
        page(self.api.at(cx), "groups", GROUP, request, group).await
    }

    async fn group(&self, cx: &Cx, of: &NativeId) -> Result<TeamGroup> {
        group(cx, self.api.at(cx).get("directory", &format!("groups/{}?{GROUP}", id(of)?)).await?)
    }

    async fn members(
        &self,
        cx: &Cx,
        of: &NativeId,
        request: &PageRequest,
    ) -> Result<Page<TeamUser>> {
        let path = format!("groups/{}/members/microsoft.graph.user", id(of)?);
        page(self.api.at(cx), &path, USER, request, user).await
    }
}
