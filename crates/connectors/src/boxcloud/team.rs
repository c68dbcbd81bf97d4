//! The people of an enterprise (<https://developer.box.com/reference/get-users/>).

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::{Cx, Error, Result, Team, TeamGroup, TeamUser};
use tramontane_model::{NativeId, Page, PageRequest};

use super::client::{Client, Sites};
use super::fault::cursor;
use super::id::is_number;
use super::item::{Entries, moment};

/// The longest page.
const MAX_PAGE: usize = 1_000;
const USER_FIELDS: &str = "id,name,login,role,status,created_at,modified_at";
const GROUP_FIELDS: &str = "id,name,group_type,description,created_at,modified_at";

/// The people of Box enterprises.
pub(super) struct BoxTeam {
    sites: Arc<Sites>,
}

impl BoxTeam {
    pub(super) fn new(sites: Arc<Sites>) -> Self {
        Self { sites }
    }

    /// The enterprise itself is asked as its administrator, whoever is acted for.
    fn cx(cx: &Cx) -> Cx {
        Cx { as_user: None, ..cx.clone() }
    }
}

#[derive(Deserialize)]
struct User {
    id: String,
    name: Option<String>,
    login: Option<String>,
    role: Option<String>,
    created_at: Option<String>,
    modified_at: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    id: String,
    name: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Membership {
    user: Option<Value>,
    group: Option<Value>,
    role: Option<String>,
}

fn odd(cause: serde_json::Error) -> Error {
    Error::new(Kind::Broken, "Box tells of its people in a form that is not known.").because(cause)
}

fn user(value: Value, raw: bool) -> Result<TeamUser> {
    let kept = raw.then(|| value.clone());
    let user: User = serde_json::from_value(value).map_err(odd)?;
    // Box's word for who is no administrator is "user".
    let role = match user.role.as_deref() {
        Some("user") | None => "member".to_owned(),
        Some(role) => role.to_owned(),
    };
    Ok(TeamUser {
        id: NativeId::new(user.id),
        name: user.name.unwrap_or_default(),
        emails: user.login.iter().cloned().collect(),
        email: user.login,
        role,
        created: moment(user.created_at.as_ref()),
        modified: moment(user.modified_at.as_ref()),
        raw: kept,
    })
}

fn group(value: Value, role: Option<String>, raw: bool) -> Result<TeamGroup> {
    let kept = raw.then(|| value.clone());
    let group: Group = serde_json::from_value(value).map_err(odd)?;
    Ok(TeamGroup {
        id: NativeId::new(group.id),
        name: group.name.unwrap_or_default(),
        role,
        description: group.description.filter(|text| !text.is_empty()),
        raw: kept,
    })
}

fn number(id: &NativeId) -> Result<&str> {
    match is_number(id.as_str()) {
        true => Ok(id.as_str()),
        false => Err(Error::not_found("The enterprise has no such member or group.")),
    }
}

/// How a list of people is paged.
enum Paging {
    Marker,
    Offset,
}

impl Client<'_> {
    async fn people(
        &self,
        path: &[&str],
        fields: Option<&str>,
        paging: &Paging,
        page: &PageRequest,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let limit = page.limit.min(MAX_PAGE);
        let size = limit.to_string();
        let mut query = vec![("limit", size.as_str())];
        if let Some(fields) = fields {
            query.push(("fields", fields));
        }
        let mut offset = 0;
        match (paging, &page.cursor) {
            (Paging::Marker, at) => {
                query.push(("usemarker", "true"));
                if let Some(marker) = at {
                    query.push(("marker", marker));
                }
            }
            (Paging::Offset, Some(at)) => {
                offset = at.parse::<usize>().map_err(|_| {
                    Error::new(Kind::CursorExpired, "The cursor cannot be read: start again.")
                })?;
                query.push(("offset", at));
            }
            (Paging::Offset, None) => {}
        }
        let url = self.api(path, &query)?;
        let found: Result<Entries> = self.json(self.request("people", Method::GET, url)).await;
        let found = found.map_err(|error| cursor(error, page.cursor.is_some()))?;
        let next = match paging {
            Paging::Marker => found.next(),
            Paging::Offset => {
                let reached = offset + limit;
                let more = found.total_count.is_some_and(|total| total > reached as u64);
                more.then(|| reached.to_string())
            }
        };
        Ok((found.entries, next))
    }

    async fn one(&self, path: &[&str], fields: &str) -> Result<Value> {
        let url = self.api(path, &[("fields", fields)])?;
        self.json(self.request("people", Method::GET, url)).await
    }
}

#[async_trait]
impl Team for BoxTeam {
    async fn users(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamUser>> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        let (found, next) =
            client.people(&["users"], Some(USER_FIELDS), &Paging::Marker, page).await?;
        let items: Result<_> = found.into_iter().map(|value| user(value, cx.raw)).collect();
        Ok(Page { items: items?, next })
    }

    async fn user(&self, cx: &Cx, id: &NativeId) -> Result<TeamUser> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        user(client.one(&["users", number(id)?], USER_FIELDS).await?, cx.raw)
    }

    async fn memberships(
        &self,
        cx: &Cx,
        id: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TeamGroup>> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        let path = ["users", number(id)?, "memberships"];
        let (found, next) = client.people(&path, None, &Paging::Offset, page).await?;
        let mut items = Vec::new();
        for value in found {
            let one: Membership = serde_json::from_value(value).map_err(odd)?;
            if let Some(value) = one.group {
                items.push(group(value, one.role, cx.raw)?);
            }
        }
        Ok(Page { items, next })
    }

    async fn groups(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamGroup>> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        let (found, next) =
            client.people(&["groups"], Some(GROUP_FIELDS), &Paging::Offset, page).await?;
        let items: Result<_> = found.into_iter().map(|value| group(value, None, cx.raw)).collect();
        Ok(Page { items: items?, next })
    }

    async fn group(&self, cx: &Cx, id: &NativeId) -> Result<TeamGroup> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        group(client.one(&["groups", number(id)?], GROUP_FIELDS).await?, None, cx.raw)
    }

    async fn members(&self, cx: &Cx, id: &NativeId, page: &PageRequest) -> Result<Page<TeamUser>> {
        let cx = Self::cx(cx);
        let client = Client { cx: &cx, sites: &self.sites };
        let path = ["groups", number(id)?, "memberships"];
        let (found, next) = client.people(&path, None, &Paging::Offset, page).await?;
        let mut items = Vec::new();
        for value in found {
            let one: Membership = serde_json::from_value(value).map_err(odd)?;
            if let Some(value) = one.user {
                let mut member = user(value, cx.raw)?;
                // Within a group the role is that in the group.
                member.role = one.role.unwrap_or(member.role);
                items.push(member);
            }
        }
        Ok(Page { items, next })
    }
}
