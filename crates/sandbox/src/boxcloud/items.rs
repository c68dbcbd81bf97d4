//! Files, folders and web links: read, made, changed, moved.

use serde_json::Value;
use tramontane_model::Timestamp;

use super::answer::{Answer, Fault, created, ok};
use super::call::Call;
use super::node::{Key, Kind, Node, SharedLink, Version};
use super::show::{self, Fields, mini};
use super::store::{check_name, text};

impl Call<'_> {
    /// `GET` of an item.
    pub(super) fn item(&mut self, kind: Kind, id: &str) -> Answer {
        let fields = self.fields(Fields::Standard);
        if kind == Kind::Folder && id == "0" {
            return ok(&show::root(self.store, self.me, &fields));
        }
        let node = self.store.seen(self.me, kind, id)?;
        let shown = show::item(self.store, self.me, node, &fields);
        ok(&shown)
    }

    /// A new item without content.
    pub(super) fn fresh(&mut self, kind: Kind, name: &str, place: (u64, u64)) -> Node {
        let now = self.store.now();
        Node {
            key: Key { kind, id: self.store.fresh_id() },
            name: name.to_owned(),
            parent: place.0,
            owner: place.1,
            etag: 0,
            description: String::new(),
            created: now,
            modified: now,
            content_created: now,
            content_modified: now,
            created_by: self.me,
            modified_by: self.me,
            versions: Vec::new(),
            url: String::new(),
            trashed: None,
            shared: None,
            metadata: std::collections::BTreeMap::new(),
            tags: Vec::new(),
        }
    }

    /// The version that this content is.
    pub(super) fn fresh_version(&mut self, name: &str, content: bytes::Bytes) -> Version {
        use sha1::Digest as _;
        Version {
            id: self.store.fresh_id(),
            sha1: hex::encode(sha1::Sha1::digest(&content)),
            content,
            name: name.to_owned(),
            created: self.store.now(),
            modified_by: self.me,
            trashed: None,
        }
    }

    /// Refuses a name that is not fit or taken by something else than `but`.
    pub(super) fn check_free(
        &self,
        kind: Kind,
        name: &str,
        place: (u64, u64),
        but: Option<Key>,
    ) -> Result<(), Fault> {
        check_name(name)?;
        match self.store.child(place.1, place.0, name).filter(|there| Some(*there) != but) {
            None => Ok(()),
            Some(there) => {
                let there = self.store.nodes.get(&there).map_or(Value::Null, mini);
                Err(Fault::taken(match kind {
                    Kind::Folder => Value::Array(vec![there]),
                    Kind::File | Kind::Link => there,
                }))
            }
        }
    }

    /// `POST /folders`.
    pub(super) fn make_folder(&mut self) -> Answer {
        let body = self.json()?;
        let name = required(&body, "name")?.to_owned();
        let place = self.store.target(self.me, &parent_of(&body)?)?;
        self.check_free(Kind::Folder, &name, place, None)?;
        let node = self.fresh(Kind::Folder, &name, place);
        let key = self.store.insert(node)?;
        self.tell("ITEM_CREATE", key);
        self.shown(key, created)
    }

    /// `POST /web_links`.
    pub(super) fn make_link(&mut self) -> Answer {
        let body = self.json()?;
        let url = required(&body, "url")?.to_owned();
        let name = text(&body, "name").unwrap_or(&url).replace('/', "_");
        let place = self.store.target(self.me, &parent_of(&body)?)?;
        self.check_free(Kind::Link, &name, place, None)?;
        let mut node = self.fresh(Kind::Link, &name, place);
        node.url = url;
        node.description = text(&body, "description").unwrap_or_default().to_owned();
        let key = self.store.insert(node)?;
        self.tell("ITEM_CREATE", key);
        self.shown(key, ok)
    }

    /// The item as the answer shows it.
    pub(super) fn shown(&self, key: Key, with: fn(&Value) -> Answer) -> Answer {
        let fields = self.fields(Fields::Standard);
        let node = self.store.nodes.get(&key).ok_or_else(|| missing(key))?;
        with(&show::item(self.store, self.me, node, &fields))
    }

    /// `PUT` of an item: name, folder, description, link, tags.
    pub(super) fn change_item(&mut self, kind: Kind, id: &str) -> Answer {
        let body = self.json()?;
        if kind == Kind::Folder && id == "0" {
            return Err(Fault::forbidden());
        }
        let node = self.store.seen(self.me, kind, id)?.clone();
        self.check_match(&node)?;
        let key = node.key;
        if !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        let name = text(&body, "name").unwrap_or(&node.name).to_owned();
        let place = match body.get("parent").and_then(|parent| text(parent, "id")) {
            Some(parent) => self.store.target(self.me, parent)?,
            None => (node.parent, node.owner),
        };
        let moves = place != (node.parent, node.owner);
        let renames = name != node.name;
        if moves || renames {
            self.move_to(&node, &name, place)?;
        }
        self.change_details(key, &body)?;
        self.store.touch(key, self.me);
        if moves {
            self.tell("ITEM_MOVE", key);
        }
        if renames {
            self.tell("ITEM_RENAME", key);
        }
        self.shown(key, ok)
    }

    fn move_to(&mut self, node: &Node, name: &str, place: (u64, u64)) -> Result<(), Fault> {
        let key = node.key;
        if key.kind == Kind::Folder
            && self.store.upwards(Key::folder(place.0)).any(|above| above.key == key)
        {
            let text = "Folder move creates cyclical folder structure";
            return Err(Fault::new(400, "cyclical_folder_structure", text));
        }
        self.check_free(key.kind, name, place, Some(key))?;
        self.store.unhang(key);
        let mut moved = vec![];
        if let Some(own) = self.store.nodes.get_mut(&key) {
            own.name = name.to_owned();
            own.parent = place.0;
            if own.owner != place.1 {
                moved.push(key);
            }
        }
        if !moved.is_empty() && key.kind == Kind::Folder {
            moved.extend(self.store.below(key.id));
        }
        self.store.give(&moved, place.1);
        self.store.hang(key);
        Ok(())
    }

    fn change_details(&mut self, key: Key, body: &Value) -> Result<(), Fault> {
        let token = self.store.dice.token("", 32).to_lowercase();
        let there = self.store.nodes.get(&key).and_then(|node| node.shared.clone());
        let link = body.get("shared_link");
        let link = link.map(|wanted| read_link(key.kind, wanted, there, token)).transpose()?;
        let Some(node) = self.store.nodes.get_mut(&key) else { return Ok(()) };
        if let Some(description) = text(body, "description") {
            node.description = description.to_owned();
        }
        if let Some(url) = text(body, "url") {
            node.url = url.to_owned();
        }
        if let Some(tags) = body.get("tags").and_then(Value::as_array) {
            node.tags = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        let Some(link) = link else { return Ok(()) };
        let event = match (&node.shared, &link) {
            (None, Some(_)) => Some("ITEM_SHARED_CREATE"),
            (Some(_), None) => Some("ITEM_SHARED_UNSHARE"),
            _ => None,
        };
        node.shared = link;
        if let Some(event) = event {
            self.tell(event, key);
        }
        Ok(())
    }
}

/// A shared link as it is asked for; `null` takes it away. One that is changed keeps its address and
/// what is not named.
fn read_link(
    kind: Kind,
    wanted: &Value,
    there: Option<SharedLink>,
    token: String,
) -> Result<Option<SharedLink>, Fault> {
    if wanted.is_null() {
        return Ok(None);
    }
    let mut link = there.unwrap_or_else(|| SharedLink {
        token,
        access: "open".into(),
        password: None,
        unshared_at: None,
        can_download: true,
        can_edit: false,
    });
    if let Some(access) = text(wanted, "access") {
        if !matches!(access, "open" | "company" | "collaborators") {
            return Err(Fault::invalid("access", format!("Invalid value '{access}'.")));
        }
        link.access = access.to_owned();
    }
    let may = |name: &str, usual: bool| {
        let permissions = wanted.get("permissions");
        permissions.and_then(|all| all.get(name)).and_then(Value::as_bool).unwrap_or(usual)
    };
    link.can_download = may("can_download", link.can_download);
    link.can_edit = may("can_edit", link.can_edit);
    if link.can_edit && kind == Kind::Folder {
        return Err(Fault::invalid("can_edit", "can_edit is for files only"));
    }
    match wanted.get("password") {
        None => {}
        Some(Value::String(password)) if link.access == "open" && password.len() >= 8 => {
            link.password = Some(password.clone());
        }
        Some(Value::String(_)) => {
            let rule = "A password has at least 8 characters, and is for open links only";
            return Err(Fault::invalid("password", rule));
        }
        Some(_) => link.password = None,
    }
    match wanted.get("unshared_at") {
        None => {}
        Some(Value::String(at)) => {
            let at = Timestamp::parse(at);
            let at = at.ok_or_else(|| Fault::invalid("unshared_at", "Not a date"))?;
            link.unshared_at = Some(at);
        }
        Some(_) => link.unshared_at = None,
    }
    Ok(Some(link))
}

/// A member that must be there.
pub(super) fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, Fault> {
    text(body, name).ok_or_else(|| Fault::invalid(name, format!("'{name}' is required")))
}

/// The id of `parent`, which some clients write as a number.
pub(super) fn parent_of(body: &Value) -> Result<String, Fault> {
    match body.get("parent").and_then(|parent| parent.get("id")) {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        _ => Err(Fault::invalid("parent", "'parent' is required")),
    }
}

pub(super) fn missing(key: Key) -> Fault {
    Fault::missing(key.kind.word(), &key.id.to_string())
}
