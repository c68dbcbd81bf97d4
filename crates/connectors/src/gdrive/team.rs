//! The people of a Google Workspace organisation (Directory API of the Admin SDK).
//!
//! A member's id is their primary address: it is what a service account names to act for them
//! ("Delegating domain-wide authority to the service account").

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::http::Request;
use tramontane_connector::{Cx, Error, Kind, Result, Team, TeamGroup, TeamUser};
use tramontane_model::{NativeId, Page, PageRequest, Timestamp};

use super::api::{Api, Client, join};

/// The people of an organisation at Google.
#[derive(Debug)]
pub struct DriveTeam {
    api: Arc<Api>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    primary_email: String,
    #[serde(default)]
    name: Name,
    #[serde(default)]
    is_admin: bool,
    #[serde(default)]
    is_delegated_admin: bool,
    #[serde(default)]
    emails: Vec<Address>,
    creation_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Name {
    full_name: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
struct Group {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
struct Member {
    id: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    users: Vec<Value>,
    #[serde(default)]
    groups: Vec<Value>,
    #[serde(default)]
    members: Vec<Value>,
    next_page_token: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|cause| {
        Error::new(Kind::Broken, "Google's answer is not the JSON expected.").because(cause)
    })
}

impl DriveTeam {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self { api }
    }

    /// The Directory is asked as the administrator, whoever is acted for.
    fn administrator(cx: &Cx) -> Cx {
        Cx { as_user: None, ..cx.clone() }
    }

    async fn ask(&self, cx: &Cx, path: &[&str], query: &[(&str, &str)]) -> Result<Value> {
        let mut url = join(&self.api.directory, "admin/directory/v1")?;
        url.path_segments_mut()
            .map_err(|()| Error::internal("The base address cannot have a path."))?
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let cx = Self::administrator(cx);
        Client::new(&self.api, &cx).json(Request::new("directory", Method::GET, url)).await
    }

    async fn page(
        &self,
        cx: &Cx,
        path: &[&str],
        query: &[(&str, &str)],
        page: &PageRequest,
        most: usize,
    ) -> Result<List> {
        let size = page.limit.clamp(1, most).to_string();
        let mut query = query.to_vec();
        query.push(("maxResults", &size));
        query.extend(page.cursor.as_deref().map(|token| ("pageToken", token)));
        let mut list: List = read(self.ask(cx, path, &query).await?)?;
        list.next_page_token = list.next_page_token.filter(|token| !token.is_empty());
        Ok(list)
    }
}

/// A key for a path: what an address or an id can be made of.
fn key<'a>(id: &'a NativeId, what: &str) -> Result<&'a str> {
    let text = id.as_str();
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_+'".contains(&byte);
    let whole = !text.is_empty() && text.len() <= 320 && text.bytes().all(fine);
    if whole && text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text)
    } else {
        Err(Error::not_found(format!("There is no such {what}.")))
    }
}

fn user(cx: &Cx, value: Value) -> Result<TeamUser> {
    let raw = cx.raw.then(|| value.clone());
    let user: User = read(value)?;
    let others = user.emails.into_iter().map(|one| one.address);
    let emails = others
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case(&user.primary_email))
        .collect();
    let name = Some(user.name.full_name).filter(|name| !name.is_empty());
    Ok(TeamUser {
        id: NativeId::new(user.primary_email.clone()),
        name: name.unwrap_or_else(|| user.primary_email.clone()),
        email: Some(user.primary_email),
        emails,
        role: if user.is_admin || user.is_delegated_admin { "admin" } else { "member" }.into(),
        created: user.creation_time,
        modified: None,
        raw,
    })
}

fn group(cx: &Cx, value: Value) -> Result<TeamGroup> {
    let raw = cx.raw.then(|| value.clone());
    let group: Group = read(value)?;
    let name = if group.name.is_empty() { group.email } else { group.name };
    let description = group.description.filter(|text| !text.is_empty());
    Ok(TeamGroup { id: NativeId::new(group.id), name, role: None, description, raw })
}

/// A member as a group's list tells: with their address in place of their name.
fn member(cx: &Cx, value: Value) -> Result<TeamUser> {
    let raw = cx.raw.then(|| value.clone());
    let member: Member = read(value)?;
    let email = Some(member.email).filter(|email| !email.is_empty());
    let id = email.clone().unwrap_or(member.id);
    Ok(TeamUser {
        name: id.clone(),
        id: NativeId::new(id),
        email,
        emails: Vec::new(),
        role: member.role.to_lowercase(),
        created: None,
        modified: None,
        raw,
    })
}

/// Every user and group of the account's own organisation.
const OURS: (&str, &str) = ("customer", "my_customer");

#[async_trait]
impl Team for DriveTeam {
    async fn users(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamUser>> {
        let list = self.page(cx, &["users"], &[OURS, ("orderBy", "email")], page, 500).await?;
        let items: Result<Vec<_>> = list.users.into_iter().map(|one| user(cx, one)).collect();
        Ok(Page { items: items?, next: list.next_page_token })
    }

    async fn user(&self, cx: &Cx, id: &NativeId) -> Result<TeamUser> {
        user(cx, self.ask(cx, &["users", key(id, "user")?], &[]).await?)
    }

    async fn memberships(
        &self,
        cx: &Cx,
        id: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TeamGroup>> {
        let query = [("userKey", key(id, "user")?)];
        let list = self.page(cx, &["groups"], &query, page, 200).await?;
        let items: Result<Vec<_>> = list.groups.into_iter().map(|one| group(cx, one)).collect();
        Ok(Page { items: items?, next: list.next_page_token })
    }

    async fn groups(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamGroup>> {
        let list = self.page(cx, &["groups"], &[OURS], page, 200).await?;
        let items: Result<Vec<_>> = list.groups.into_iter().map(|one| group(cx, one)).collect();
        Ok(Page { items: items?, next: list.next_page_token })
    }

    async fn group(&self, cx: &Cx, id: &NativeId) -> Result<TeamGroup> {
        group(cx, self.ask(cx, &["groups", key(id, "group")?], &[]).await?)
    }

    async fn members(&self, cx: &Cx, id: &NativeId, page: &PageRequest) -> Result<Page<TeamUser>> {
        let path = ["groups", key(id, "group")?, "members"];
        let list = self.page(cx, &path, &[], page, 200).await?;
        let items: Result<Vec<_>> = list.members.into_iter().map(|one| member(cx, one)).collect();
        Ok(Page { items: items?, next: list.next_page_token })
    }
}
