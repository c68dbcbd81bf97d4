//! Who may see what: collaborations with roles, for people, groups and addresses.
//!
//! <https://developer.box.com/guides/collaborations/>

use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::answer::{Answer, Fault, created, nothing, ok, time};
use super::call::Call;
use super::items::required;
use super::node::{Collaboration, Grantee, Key, Kind};
use super::show::{grantee, mini, user_mini};
use super::store::text;

const ROLES: &[&str] = &[
    "editor",
    "viewer",
    "previewer",
    "uploader",
    "previewer uploader",
    "viewer uploader",
    "co-owner",
];

impl Call<'_> {
    fn collaboration_json(&self, one: &Collaboration) -> Value {
        let (invited, status) = match &one.who {
            Grantee::Invited(address) => (Some(address.as_str()), "pending"),
            _ => (None, "accepted"),
        };
        json!({
            "type": "collaboration", "id": one.id.to_string(),
            "created_by": user_mini(self.store, one.created_by),
            "created_at": time(one.created), "modified_at": time(one.modified),
            "expires_at": one.expires.map(time), "status": status, "invite_email": invited,
            "accessible_by": grantee(self.store, &one.who), "role": one.role,
            "acknowledged_at": time(one.created),
            "item": self.store.nodes.get(&one.item).map(mini),
        })
    }

    /// `GET /files/:id/collaborations`: those on the item and on the folders above it.
    pub(super) fn collaborations_on(&mut self, kind: Kind, id: &str) -> Answer {
        if kind == Kind::Folder && id == "0" {
            return ok(
                &json!({"total_count": 0, "entries": [], "next_marker": null, "limit": 100}),
            );
        }
        let node = self.store.seen(self.me, kind, id)?;
        let above: Vec<Key> = self.store.upwards(node.key).map(|node| node.key).collect();
        let all = self.store.collaborations.values().filter(|one| above.contains(&one.item));
        let all: Vec<Value> = all.map(|one| self.collaboration_json(one)).collect();
        let total = all.len();
        let limit = self.limit(100, 1_000)?;
        let (page, next) = self.marked(all, 100, 1_000)?;
        match kind {
            // Folders tell all at once and know no markers.
            Kind::Folder => ok(&json!({"total_count": total, "entries": page})),
            _ => ok(&json!({"entries": page, "limit": limit, "next_marker": next})),
        }
    }

    /// `GET /collaborations?status=pending`: none, since everyone here accepts at once.
    pub(super) fn pending_collaborations(&mut self) -> Answer {
        ok(&json!({"total_count": 0, "entries": [], "offset": 0, "limit": 100}))
    }

    /// `POST /collaborations`.
    pub(super) fn collaborate(&mut self) -> Answer {
        let body = self.json()?;
        let item = body.get("item").cloned().unwrap_or_default();
        let kind = text(&item, "type").and_then(Kind::of).filter(|kind| *kind != Kind::Link);
        let kind = kind.ok_or_else(|| Fault::invalid("item", "'item' must be a file or folder"))?;
        let id = required(&item, "id")?;
        if kind == Kind::Folder && id == "0" {
            return Err(Fault::forbidden());
        }
        let key = self.store.seen(self.me, kind, id)?.key;
        if !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        let role = role_of(&body)?;
        let who = self.read_grantee(&body.get("accessible_by").cloned().unwrap_or_default())?;
        let owner = self.store.nodes.get(&key).map(|node| node.owner);
        let is_known =
            self.store.collaborations.values().any(|one| one.item == key && one.who == who);
        if is_known || owner.is_some_and(|owner| who == Grantee::User(owner)) {
            let text = "User is already a collaborator";
            return Err(Fault::new(400, "user_already_collaborator", text));
        }
        let (id, now) = (self.store.fresh_id(), self.store.now());
        let one = Collaboration {
            id,
            item: key,
            who,
            role,
            created_by: self.me,
            created: now,
            modified: now,
            expires: text(&body, "expires_at").and_then(Timestamp::parse),
        };
        let told = self.collaboration_json(&one);
        self.store.collaborations.insert(id, one);
        self.tell("COLLAB_ADD_COLLABORATOR", key);
        created(&told)
    }

    fn read_grantee(&self, wanted: &Value) -> Result<Grantee, Fault> {
        let unknown = || Fault::invalid("accessible_by", "'accessible_by' is not known");
        let id = text(wanted, "id").and_then(|id| id.parse::<u64>().ok());
        if text(wanted, "type") == Some("group") {
            let id = id.filter(|id| self.store.groups.contains_key(id));
            return id.map(Grantee::Group).ok_or_else(unknown);
        }
        if text(wanted, "type") != Some("user") {
            return Err(unknown());
        }
        match (id, text(wanted, "login")) {
            (Some(id), _) if self.store.users.contains_key(&id) => Ok(Grantee::User(id)),
            (None, Some(login)) if login.contains('@') && !login.contains(' ') => {
                let known =
                    self.store.users.values().find(|user| user.login.eq_ignore_ascii_case(login));
                Ok(known.map_or_else(
                    || Grantee::Invited(login.to_owned()),
                    |user| Grantee::User(user.id),
                ))
            }
            _ => Err(unknown()),
        }
    }

    /// A collaboration that the caller may see.
    fn own_collaboration(&self, id: &str) -> Result<Collaboration, Fault> {
        let missing = || Fault::missing("collaboration", id);
        let one = id.parse().ok().and_then(|id: u64| self.store.collaborations.get(&id));
        let one = one.ok_or_else(missing)?;
        let powers = self.store.powers(self.me, one.item);
        let visible = powers.preview || powers.upload;
        visible.then(|| one.clone()).ok_or_else(missing)
    }

    /// `GET /collaborations/:id`.
    pub(super) fn collaboration(&mut self, id: &str) -> Answer {
        let one = self.own_collaboration(id)?;
        ok(&self.collaboration_json(&one))
    }

    /// `PUT /collaborations/:id`: another role, or the item itself for `owner`.
    pub(super) fn change_collaboration(&mut self, id: &str) -> Answer {
        let body = self.json()?;
        let mut one = self.own_collaboration(id)?;
        if !self.store.powers(self.me, one.item).edit {
            return Err(Fault::forbidden());
        }
        one.role = role_of(&body)?;
        one.modified = self.store.now();
        let told = self.collaboration_json(&one);
        let item = one.item;
        self.store.collaborations.insert(one.id, one);
        self.tell("COLLAB_ROLE_CHANGE", item);
        ok(&told)
    }

    /// `DELETE /collaborations/:id`.
    pub(super) fn end_collaboration(&mut self, id: &str) -> Answer {
        let one = self.own_collaboration(id)?;
        let is_own = self.store.is_for(&one.who, self.me);
        if !is_own && !self.store.powers(self.me, one.item).edit {
            return Err(Fault::forbidden());
        }
        self.tell("COLLAB_REMOVE_COLLABORATOR", one.item);
        self.store.collaborations.remove(&one.id);
        nothing()
    }
}

fn role_of(body: &Value) -> Result<String, Fault> {
    let role = required(body, "role")?;
    if !ROLES.contains(&role) {
        return Err(Fault::invalid("role", format!("Invalid value '{role}'.")));
    }
    Ok(role.to_owned())
}
