//! The people of an organisation's account (wire API, sections 12 and 38).

use serde::Serialize;
use serde_json::Value;
use tramontane_connector::{Team, TeamGroup, TeamUser};
use tramontane_model::{Code, Kind, NativeId, Op, PageRequest, ResourceId, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::objects::Raw;
use crate::paging::TokenPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// A member on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeamUser)]
pub struct One {
    /// Their id: what `X-Kloudless-As-User` takes.
    pub id: String,
    /// Always `user`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `team`.
    pub api: &'static str,
    /// Where they are retrieved.
    pub href: String,
    /// What they are called.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// Their other addresses.
    pub emails: Vec<String>,
    /// `admin`, `member`, or the service's word.
    pub role: String,
    /// When they came.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Timestamp>,
    /// When they were last changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified: Option<Timestamp>,
    /// What the service said of them; only with `X-Kloudless-Raw-Data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

/// A group on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeamGroup)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Always `group`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `team`.
    pub api: &'static str,
    /// Where it is retrieved.
    pub href: String,
    /// What it is called.
    pub name: String,
    /// The service's word for what it may do.
    pub role: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What the service said of it; only with `X-Kloudless-Raw-Data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

fn part(account: &Account, op: Op) -> Answer<std::sync::Arc<dyn Team>> {
    let team = account.connector().and_then(|connector| connector.team());
    let Some(team) = team else {
        let text = "No connector for this service knows teams.";
        return Err(Problem::new(Code::NotImplemented, text)
            .with_reason(op.as_str(), "service_lacks_feature"));
    };
    if !account.opened.account.admin {
        let text = "Teams need an administrator's account, and this is none.";
        return Err(Problem::forbidden(text));
    }
    account.require_credential()?;
    Ok(team)
}

fn raw(id: &NativeId, kind: &'static str, value: Option<Value>) -> Option<Raw> {
    value.map(|object| Raw { id: id.as_str().to_owned(), kind, object })
}

fn user(account: &Account, user: TeamUser) -> One {
    let id = ResourceId::new(Kind::User, user.id.clone()).to_string();
    One {
        href: account.href(&format!("/team/users/{id}")),
        raw: raw(&user.id, "user", user.raw),
        id,
        kind: "user",
        api: "team",
        name: user.name,
        email: user.email,
        emails: user.emails,
        role: user.role,
        created: user.created,
        modified: user.modified,
    }
}

fn group(account: &Account, group: TeamGroup) -> Group {
    let id = ResourceId::new(Kind::Group, group.id.clone()).to_string();
    Group {
        href: account.href(&format!("/team/groups/{id}")),
        raw: raw(&group.id, "group", group.raw),
        id,
        kind: "group",
        api: "team",
        name: group.name,
        role: group.role,
        description: group.description,
    }
}

/// The service's id of the member or group that the path names.
fn named(account: &Account, parameter: &str, kind: Kind) -> Answer<NativeId> {
    let id = ResourceId::parse(account.param(parameter)).filter(|id| id.kind == Some(kind));
    id.map(|id| id.native).ok_or_else(|| Problem::not_found(kind.as_str()))
}

/// Gives a list's answer, skipping empty pages that more follows.
macro_rules! listed {
    ($account:ident, $query:ident, $what:expr, $view:ident, |$cx:ident, $ask:ident| $call:expr) => {{
        let context = format!("{}|team|{}", $account.scope(), $what);
        let page = TokenPage::<String>::read($account.app(), &$query, context).await?;
        let $cx = $account.cx();
        let mut next = page.at.clone();
        let (found, next) = loop {
            let $ask = &PageRequest { cursor: next, limit: page.size };
            let found = $call.await?;
            match found.next {
                Some(more) if found.items.is_empty() => next = Some(more),
                more => break (found.items, more),
            }
        };
        let shown = found.into_iter().map(|one| $view(&$account, one)).collect();
        ok(&page.answer("team", shown, next)?)
    }};
}

/// `GET .../team/users`.
///
/// # Errors
/// `forbidden` for accounts that are no administrator's; `not_implemented`.
pub async fn users(account: Account, query: Query) -> Answer {
    let team = part(&account, Op::TeamUsersList)?;
    listed!(account, query, "users", user, |cx, ask| team.users(&cx, ask))
}

/// `GET .../team/users/{user}`.
///
/// # Errors
/// As [`users`]; `not_found`.
pub async fn user_retrieve(account: Account) -> Answer {
    let team = part(&account, Op::TeamUsersRead)?;
    let id = named(&account, "user", Kind::User)?;
    ok(&user(&account, team.user(&account.cx(), &id).await?))
}

/// `GET .../team/users/{user}/memberships`.
///
/// # Errors
/// As [`user_retrieve`].
pub async fn memberships(account: Account, query: Query) -> Answer {
    let team = part(&account, Op::TeamGroupsMembers)?;
    let id = named(&account, "user", Kind::User)?;
    let what = format!("memberships|{id}");
    listed!(account, query, what, group, |cx, ask| team.memberships(&cx, &id, ask))
}

/// `GET .../team/groups`.
///
/// # Errors
/// As [`users`].
pub async fn groups(account: Account, query: Query) -> Answer {
    let team = part(&account, Op::TeamGroupsList)?;
    listed!(account, query, "groups", group, |cx, ask| team.groups(&cx, ask))
}

/// `GET .../team/groups/{group}`.
///
/// # Errors
/// As [`user_retrieve`].
pub async fn group_retrieve(account: Account) -> Answer {
    let team = part(&account, Op::TeamGroupsRead)?;
    let id = named(&account, "group", Kind::Group)?;
    ok(&group(&account, team.group(&account.cx(), &id).await?))
}

/// `GET .../team/groups/{group}/members`.
///
/// # Errors
/// As [`user_retrieve`].
pub async fn members(account: Account, query: Query) -> Answer {
    let team = part(&account, Op::TeamGroupsMembers)?;
    let id = named(&account, "group", Kind::Group)?;
    let what = format!("members|{id}");
    listed!(account, query, what, user, |cx, ask| team.members(&cx, &id, ask))
}
