//! The enterprise: users, groups, memberships.

use serde_json::{Value, json};

use super::answer::{Answer, Fault, created, nothing, ok, time};
use super::call::Call;
use super::items::required;
use super::node::{Group, Membership};
use super::show::{user_mini, user_shown};
use super::store::{SERVICE_ACCOUNT, text};

impl Call<'_> {
    /// Only administrators see the enterprise.
    fn check_admin(&self) -> Result<(), Fault> {
        match self.store.users.get(&self.me).is_some_and(|user| user.role != "user") {
            true => Ok(()),
            false => Err(Fault::forbidden()),
        }
    }

    fn page(&self, all: Vec<Value>) -> Answer {
        let total = all.len();
        let limit = self.limit(100, 1_000)?;
        if self.flag("usemarker") {
            let (page, next) = self.marked(all, 100, 1_000)?;
            return ok(&json!({"entries": page, "limit": limit, "next_marker": next}));
        }
        let offset = self.offset()?;
        let page: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
        ok(&json!({
            "total_count": total, "entries": page, "limit": limit, "offset": offset,
            "order": [{"by": "name", "direction": "ASC"}],
        }))
    }

    /// `GET /users`.
    pub(super) fn users(&mut self) -> Answer {
        self.check_admin()?;
        let wanted = self.query.get("filter_term").map(|term| term.to_lowercase());
        let all = self.store.users.values().filter(|user| {
            let starts = |text: &str, term: &str| text.to_lowercase().starts_with(term);
            // The service account is not listed among the managed users.
            user.id != SERVICE_ACCOUNT
                && wanted
                    .as_ref()
                    .is_none_or(|term| starts(&user.name, term) || starts(&user.login, term))
        });
        let fields = self.query.get("fields");
        let all = all.map(|user| user_shown(self.store, user, fields)).collect();
        self.page(all)
    }

    /// `GET /users/:id`, and `me`.
    pub(super) fn user(&mut self, id: &str) -> Answer {
        let id = if id == "me" { self.me.to_string() } else { id.to_owned() };
        let user = id.parse().ok().and_then(|id: u64| self.store.users.get(&id));
        let user = user.ok_or_else(|| Fault::missing("user", &id))?;
        if user.id != self.me {
            self.check_admin()?;
        }
        ok(&user_shown(self.store, user, self.query.get("fields")))
    }

    fn group_json(&self, group: &Group) -> Value {
        json!({
            "type": "group", "id": group.id.to_string(), "name": group.name,
            "group_type": "managed_group", "created_at": time(group.created),
            "modified_at": time(group.modified), "description": group.description,
            "invitability_level": "all_managed_users", "member_viewability_level": "admins_only",
        })
    }

    fn membership_json(&self, one: &Membership) -> Value {
        let group = self.store.groups.get(&one.group);
        json!({
            "type": "group_membership", "id": one.id.to_string(),
            "user": user_mini(self.store, one.user),
            "group": group.map(|group| json!({
                "type": "group", "id": group.id.to_string(), "name": group.name,
                "group_type": "managed_group",
            })),
            "role": one.role, "created_at": time(one.created), "modified_at": time(one.created),
        })
    }

    fn found_group(&self, id: &str) -> Result<Group, Fault> {
        self.check_admin()?;
        let group = id.parse().ok().and_then(|id: u64| self.store.groups.get(&id));
        group.cloned().ok_or_else(|| Fault::missing("group", id))
    }

    /// `GET /groups`.
    pub(super) fn groups(&mut self) -> Answer {
        self.check_admin()?;
        self.page(self.store.groups.values().map(|group| self.group_json(group)).collect())
    }

    /// `POST /groups`.
    pub(super) fn make_group(&mut self) -> Answer {
        self.check_admin()?;
        let body = self.json()?;
        let name = required(&body, "name")?.to_owned();
        if self.store.groups.values().any(|group| group.name == name) {
            return Err(Fault::new(409, "conflict", "A group with this name exists"));
        }
        let (id, now) = (self.store.fresh_id(), self.store.now());
        let description = text(&body, "description").unwrap_or_default().to_owned();
        let group = Group { id, name, description, created: now, modified: now };
        let told = self.group_json(&group);
        self.store.groups.insert(id, group);
        created(&told)
    }

    /// `GET /groups/:id`.
    pub(super) fn group(&mut self, id: &str) -> Answer {
        let group = self.found_group(id)?;
        ok(&self.group_json(&group))
    }

    /// `PUT /groups/:id`.
    pub(super) fn change_group(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let mut group = self.found_group(id)?;
        if let Some(name) = text(&body, "name") {
            group.name = name.to_owned();
        }
        if let Some(description) = text(&body, "description") {
            group.description = description.to_owned();
        }
        group.modified = self.store.now();
        let told = self.group_json(&group);
        self.store.groups.insert(group.id, group);
        ok(&told)
    }

    /// `DELETE /groups/:id`.
    pub(super) fn delete_group(&mut self, id: &str) -> Answer {
        let group = self.found_group(id)?;
        self.store.groups.remove(&group.id);
        self.store.memberships.retain(|_, one| one.group != group.id);
        nothing()
    }

    /// `GET /groups/:id/memberships`.
    pub(super) fn members(&mut self, id: &str) -> Answer {
        let group = self.found_group(id)?;
        let all = self.store.memberships.values().filter(|one| one.group == group.id);
        self.page(all.map(|one| self.membership_json(one)).collect())
    }

    /// `GET /users/:id/memberships`.
    pub(super) fn memberships_of(&mut self, id: &str) -> Answer {
        self.check_admin()?;
        let user = id.parse().ok().filter(|id: &u64| self.store.users.contains_key(id));
        let user = user.ok_or_else(|| Fault::missing("user", id))?;
        let all = self.store.memberships.values().filter(|one| one.user == user);
        self.page(all.map(|one| self.membership_json(one)).collect())
    }

    /// `POST /group_memberships`.
    pub(super) fn join_group(&mut self) -> Answer {
        let body = self.json()?;
        let id_of = |name: &str| body.get(name).and_then(|one| text(one, "id")).map(str::to_owned);
        let group = self.found_group(&id_of("group").unwrap_or_default())?.id;
        let user = id_of("user").and_then(|id| id.parse().ok());
        let user = user.filter(|id: &u64| self.store.users.contains_key(id));
        let user = user.ok_or_else(|| Fault::missing("user", ""))?;
        if self.store.memberships.values().any(|one| one.group == group && one.user == user) {
            return Err(Fault::new(409, "conflict", "The user is in the group already"));
        }
        let (id, created_at) = (self.store.fresh_id(), self.store.now());
        let role = text(&body, "role").unwrap_or("member").to_owned();
        let one = Membership { id, user, group, role, created: created_at };
        let told = self.membership_json(&one);
        self.store.memberships.insert(id, one);
        created(&told)
    }

    fn found_membership(&self, id: &str) -> Result<Membership, Fault> {
        self.check_admin()?;
        let one = id.parse().ok().and_then(|id: u64| self.store.memberships.get(&id));
        one.cloned().ok_or_else(|| Fault::missing("group_membership", id))
    }

    /// `GET /group_memberships/:id`.
    pub(super) fn membership(&mut self, id: &str) -> Answer {
        let one = self.found_membership(id)?;
        ok(&self.membership_json(&one))
    }

    /// `PUT /group_memberships/:id`.
    pub(super) fn change_membership(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let mut one = self.found_membership(id)?;
        if let Some(role) = text(&body, "role") {
            one.role = role.to_owned();
        }
        let told = self.membership_json(&one);
        self.store.memberships.insert(one.id, one);
        ok(&told)
    }

    /// `DELETE /group_memberships/:id`.
    pub(super) fn leave_group(&mut self, id: &str) -> Answer {
        let one = self.found_membership(id)?;
        self.store.memberships.remove(&one.id);
        nothing()
    }
}
