//! The people of the service in memory: each has a drive of their own.

use async_trait::async_trait;
use tramontane_connector::error::Kind;
use tramontane_connector::{Cx, Error, Result, Team, TeamGroup, TeamUser};
use tramontane_model::{NativeId, Page, PageRequest};

use super::Memory;

const USERS: [(&str, &str, &str); 3] =
    [("u1", "Ana", "member"), ("u2", "Ben", "member"), ("u3", "Ada", "admin")];
const GROUPS: [(&str, &str, &[&str]); 2] =
    [("g1", "Editors", &["u1", "u2"]), ("g2", "Everyone", &["u1", "u2", "u3"])];

fn user((id, name, role): (&str, &str, &str)) -> TeamUser {
    TeamUser {
        id: NativeId::new(id),
        name: name.into(),
        email: Some(format!("{}@example.com", name.to_lowercase())),
        emails: Vec::new(),
        role: role.into(),
        created: None,
        modified: None,
        raw: None,
    }
}

fn group((id, name, _): (&str, &str, &[&str])) -> TeamGroup {
    TeamGroup { id: NativeId::new(id), name: name.into(), role: None, description: None, raw: None }
}

/// A page of these; the cursor is the number of those before it.
fn page<T>(all: Vec<T>, ask: &PageRequest) -> Result<Page<T>> {
    let from: usize = match &ask.cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Error::new(Kind::CursorExpired, "This is no cursor of ours."))?,
    };
    let more = all.len() > from + ask.limit;
    let items = all.into_iter().skip(from).take(ask.limit).collect();
    Ok(Page { items, next: more.then(|| (from + ask.limit).to_string()) })
}

fn known_group(id: &NativeId) -> Result<(&'static str, &'static str, &'static [&'static str])> {
    let found = GROUPS.into_iter().find(|(own, ..)| *own == id.as_str());
    found.ok_or_else(|| Error::not_found("There is no such group."))
}

#[async_trait]
impl Team for Memory {
    async fn users(&self, _cx: &Cx, ask: &PageRequest) -> Result<Page<TeamUser>> {
        page(USERS.into_iter().map(user).collect(), ask)
    }

    async fn user(&self, _cx: &Cx, id: &NativeId) -> Result<TeamUser> {
        let found = USERS.into_iter().find(|(own, ..)| *own == id.as_str());
        found.map(user).ok_or_else(|| Error::not_found("There is no such member."))
    }

    async fn memberships(
        &self,
        cx: &Cx,
        of: &NativeId,
        ask: &PageRequest,
    ) -> Result<Page<TeamGroup>> {
        self.user(cx, of).await?;
        let theirs = GROUPS.into_iter().filter(|(_, _, members)| members.contains(&of.as_str()));
        page(theirs.map(group).collect(), ask)
    }

    async fn groups(&self, _cx: &Cx, ask: &PageRequest) -> Result<Page<TeamGroup>> {
        page(GROUPS.into_iter().map(group).collect(), ask)
    }

    async fn group(&self, _cx: &Cx, id: &NativeId) -> Result<TeamGroup> {
        known_group(id).map(group)
    }

    async fn members(&self, _cx: &Cx, of: &NativeId, ask: &PageRequest) -> Result<Page<TeamUser>> {
        let (_, _, members) = known_group(of)?;
        let those = USERS.into_iter().filter(|(id, ..)| members.contains(id));
        page(those.map(user).collect(), ask)
    }
}
