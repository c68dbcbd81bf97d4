//! The people and groups of a Dropbox team.
//!
//! "Dropbox for teams": <https://www.dropbox.com/developers/documentation/http/teams>

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::{Cx, Error, Result, Team, TeamGroup, TeamUser};
use tramontane_model::{NativeId, Page, PageRequest, Timestamp};

use super::api::{Api, Hosts, put};

/// The longest page of people and groups.
const MAX_PAGE: usize = 1_000;

/// The team behind an account with organisation-wide access.
pub(super) struct DropboxTeam {
    hosts: Arc<Hosts>,
}

impl DropboxTeam {
    pub(super) fn new(hosts: Arc<Hosts>) -> Self {
        Self { hosts }
    }

    fn api<'a>(&'a self, cx: &'a Cx) -> Api<'a> {
        Api::new(cx, &self.hosts)
    }

    async fn info(&self, cx: &Cx, id: &NativeId) -> Result<Value> {
        let members = json!([{".tag": "team_member_id", "team_member_id": id.as_str()}]);
        let answer: Value =
            self.api(cx).look("team/members/get_info_v2", &json!({"members": members})).await?;
        let one = answer.pointer("/members_info/0").cloned().unwrap_or(Value::Null);
        match one.pointer("/.tag").and_then(Value::as_str) {
            // The struct's members stand beside the tag.
            Some("member_info") => Ok(one.get("member_info").cloned().unwrap_or(one)),
            _ => Err(Error::not_found("There is no such member in the team.")),
        }
    }

    async fn groups_of(&self, cx: &Cx, ids: &[String]) -> Result<Vec<TeamGroup>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let argument = json!({".tag": "group_ids", "group_ids": ids});
        let answer: Vec<Value> = self.api(cx).look("team/groups/get_info", &argument).await?;
        let known = answer.into_iter().filter(|one| tag(one) == Some("group_info"));
        known.map(|one| group(cx, one.get("group_info").cloned().unwrap_or(one))).collect()
    }
}

fn tag(one: &Value) -> Option<&str> {
    one.get(".tag").and_then(Value::as_str)
}

fn text(of: &Value, path: &str) -> Option<String> {
    of.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn broken() -> Error {
    Error::new(Kind::Broken, "Dropbox told of a member or group without its id.")
}

/// A member from `TeamMemberInfoV2`; `profile` alone for members of groups.
fn user(cx: &Cx, member: Value) -> Result<TeamUser> {
    let id = text(&member, "/profile/team_member_id").ok_or_else(broken)?;
    let others = member.pointer("/profile/secondary_emails").and_then(Value::as_array);
    let others = others.into_iter().flatten().filter_map(|one| text(one, "/email")).collect();
    let admin =
        member.get("roles").and_then(Value::as_array).is_some_and(|roles| !roles.is_empty());
    let email = text(&member, "/profile/email");
    let name = text(&member, "/profile/name/display_name").or_else(|| email.clone());
    Ok(TeamUser {
        name: name.unwrap_or_else(|| id.clone()),
        id: NativeId::new(id),
        email,
        emails: others,
        role: if admin { "admin" } else { "member" }.into(),
        created: text(&member, "/profile/joined_on").as_deref().and_then(Timestamp::parse),
        modified: None,
        raw: cx.raw.then_some(member),
    })
}

fn group(cx: &Cx, of: Value) -> Result<TeamGroup> {
    let id = text(&of, "/group_id").ok_or_else(broken)?;
    Ok(TeamGroup {
        name: text(&of, "/group_name").unwrap_or_else(|| id.clone()),
        id: NativeId::new(id),
        role: None,
        description: None,
        raw: cx.raw.then_some(of),
    })
}

/// One page of a listing of teams: all of them go on by a cursor alone.
async fn page(
    api: &Api<'_>,
    [first, next]: [&'static str; 2],
    mut argument: Value,
    member: &str,
    page: &PageRequest,
) -> Result<Page<Value>> {
    let answer: Value = match &page.cursor {
        Some(cursor) => api.look(next, &json!({"cursor": cursor})).await?,
        None => {
            put(&mut argument, "limit", page.limit.clamp(1, MAX_PAGE));
            api.look(first, &argument).await?
        }
    };
    let items = answer.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let more = answer.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    Ok(Page { items, next: text(&answer, "/cursor").filter(|_| more) })
}

fn each<T>(page: Page<Value>, turn: impl FnMut(Value) -> Result<T>) -> Result<Page<T>> {
    let items = page.items.into_iter().map(turn).collect::<Result<Vec<T>>>()?;
    Ok(Page { items, next: page.next })
}

#[async_trait]
impl Team for DropboxTeam {
    async fn users(&self, cx: &Cx, asked: &PageRequest) -> Result<Page<TeamUser>> {
        let functions = ["team/members/list_v2", "team/members/list/continue_v2"];
        let found = page(&self.api(cx), functions, json!({}), "members", asked).await?;
        each(found, |one| user(cx, one))
    }

    async fn user(&self, cx: &Cx, id: &NativeId) -> Result<TeamUser> {
        user(cx, self.info(cx, id).await?)
    }

    async fn memberships(
        &self,
        cx: &Cx,
        user: &NativeId,
        asked: &PageRequest,
    ) -> Result<Page<TeamGroup>> {
        let info = self.info(cx, user).await?;
        let ids = info.pointer("/profile/groups").and_then(Value::as_array);
        let ids: Vec<String> =
            ids.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        let begin = match &asked.cursor {
            None => 0,
            Some(text) => text.parse::<usize>().map_err(|cause| {
                let text = "The cursor of this listing is gone. Start again.";
                Error::new(Kind::CursorExpired, text).because(cause)
            })?,
        };
        let some: Vec<String> =
            ids.iter().skip(begin).take(asked.limit.min(MAX_PAGE)).cloned().collect();
        let end = begin.saturating_add(some.len());
        let items = self.groups_of(cx, &some).await?;
        Ok(Page { items, next: (end < ids.len()).then(|| end.to_string()) })
    }

    async fn groups(&self, cx: &Cx, asked: &PageRequest) -> Result<Page<TeamGroup>> {
        let functions = ["team/groups/list", "team/groups/list/continue"];
        let found = page(&self.api(cx), functions, json!({}), "groups", asked).await?;
        each(found, |one| group(cx, one))
    }

    async fn group(&self, cx: &Cx, id: &NativeId) -> Result<TeamGroup> {
        let mut found = self.groups_of(cx, &[id.as_str().to_owned()]).await?;
        found.pop().ok_or_else(|| Error::not_found("There is no such group in the team."))
    }

    async fn members(
        &self,
        cx: &Cx,
        group: &NativeId,
        asked: &PageRequest,
    ) -> Result<Page<TeamUser>> {
        let functions = ["team/groups/members/list", "team/groups/members/list/continue"];
        let argument = json!({"group": {".tag": "group_id", "group_id": group.as_str()}});
        let found = page(&self.api(cx), functions, argument, "members", asked).await?;
        each(found, |one| user(cx, one))
    }
}
