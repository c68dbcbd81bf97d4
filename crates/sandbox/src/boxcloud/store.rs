//! Everything that the simulated Box holds, and the rules that keep it in order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tramontane_model::{Clock, Timestamp};

use crate::people::{PEOPLE, Person};
use crate::push::Pushes;
use crate::world::{Dice, Lent};

use super::answer::{Fault, whole_seconds};
use super::assertion::Seen;
use super::events::Journal;
use super::node::{
    Collaboration, Grantee, Group, Key, Kind, Membership, Node, Powers, User, Version,
};
use super::sessions::Session;
use super::webhooks::Webhook;

/// What every account is said to have, in bytes.
pub(super) const SPACE: u64 = 15_000_000_000;
/// What an account really may fill, in bytes.
pub(super) const REAL_SPACE: u64 = 2 << 30;
/// The deepest chain of folders.
const MAX_DEPTH: usize = 500;
/// The most items of everyone together.
const MAX_ITEMS: usize = 200_000;
/// The id of the first person.
const FIRST_USER: u64 = 30_100_000_001;
/// The enterprise's id.
pub(super) const ENTERPRISE: u64 = 881_001;
/// The service account's id: it comes after everyone.
pub(super) const SERVICE_ACCOUNT: u64 = FIRST_USER + 900;

/// Who an application is when nobody logged in: server authentication.
pub(super) static AUTOMATION: Person = Person {
    id: "service",
    name: "Sandbox Application",
    email: "AutomationUser_881001_tramontane@boxdevedition.com",
    admin: true,
};

/// What Box is slow or odd at, set by tests.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Quirks {
    /// New and changed items are found by search so many seconds later.
    pub(super) search_lag: i64,
    /// So many commits of upload sessions are answered with "not yet".
    pub(super) commits_later: u32,
    /// So many downloads are answered with "not yet".
    pub(super) downloads_later: u32,
    /// So many thumbnails are answered with a placeholder.
    pub(super) thumbnails_later: u32,
    /// Every event comes twice.
    pub(super) double_events: bool,
    /// Pages hold no more than so many; 0: as many as were asked for.
    pub(super) page: usize,
    /// The space of every account, in bytes.
    pub(super) space: Option<u64>,
}

/// A pre-authenticated download.
pub(super) struct Download {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) until: Timestamp,
}

pub(super) struct Store {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Dice,
    pub(super) pushes: Pushes,
    pub(super) nodes: BTreeMap<Key, Node>,
    /// Names in lower case, by folder; the root's by its owner.
    homes: HashMap<(u64, u64), BTreeMap<String, Key>>,
    /// Bytes that a user's items take, versions and trash included.
    weights: HashMap<u64, u64>,
    pub(super) collaborations: BTreeMap<u64, Collaboration>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) groups: BTreeMap<u64, Group>,
    pub(super) memberships: BTreeMap<u64, Membership>,
    pub(super) journal: Journal,
    pub(super) webhooks: BTreeMap<u64, Webhook>,
    pub(super) downloads: BTreeMap<String, Download>,
    pub(super) recents: HashMap<u64, VecDeque<(Key, Timestamp, &'static str)>>,
    pub(super) quirks: Quirks,
    pub(super) assertions: Seen,
    next_id: u64,
}

impl Store {
    pub(super) fn new(lent: &Lent) -> Self {
        let now = whole_seconds(lent.clock.now());
        let mut users = BTreeMap::new();
        for (id, person) in (FIRST_USER..).zip(PEOPLE).chain([(SERVICE_ACCOUNT, &AUTOMATION)]) {
            let role = if person.admin { "admin" } else { "user" };
            let user = User {
                id,
                name: person.name.to_owned(),
                login: person.email.to_owned(),
                role,
                created: now,
                modified: now,
                space: SPACE,
            };
            users.insert(id, user);
        }
        Self {
            clock: Arc::clone(&lent.clock),
            dice: lent.dice.clone(),
            pushes: lent.pushes.clone(),
            nodes: BTreeMap::new(),
            homes: HashMap::new(),
            weights: HashMap::new(),
            collaborations: BTreeMap::new(),
            sessions: BTreeMap::new(),
            users,
            groups: BTreeMap::new(),
            memberships: BTreeMap::new(),
            journal: Journal::default(),
            webhooks: BTreeMap::new(),
            downloads: BTreeMap::new(),
            recents: HashMap::new(),
            quirks: Quirks::default(),
            assertions: Seen::default(),
            next_id: 1_530_000_000_000 + lent.dice.below(100_000_000_000),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        whole_seconds(self.clock.now())
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1 + self.dice.below(900);
        self.next_id
    }

    /// The id of a person of the sandbox.
    pub(super) fn user_of(&self, person: &Person) -> Option<u64> {
        self.users.values().find(|user| user.login == person.email).map(|user| user.id)
    }

    /// Where an item hangs: its folder, or its owner's root.
    fn home(node: &Node) -> (u64, u64) {
        (if node.parent == 0 { node.owner } else { 0 }, node.parent)
    }

    /// The children of a folder by name in lower case, for this caller; of the root, only what is the
    /// caller's own.
    pub(super) fn children(&self, me: u64, folder: u64) -> impl Iterator<Item = (&str, &Node)> {
        let home = (if folder == 0 { me } else { 0 }, folder);
        let all = self.homes.get(&home).into_iter().flatten();
        all.filter_map(|(name, key)| self.nodes.get(key).map(|node| (name.as_str(), node)))
    }

    /// What the caller sees in a folder: the children and, in the root, what others share.
    pub(super) fn listing(&self, me: u64, folder: u64) -> Vec<&Node> {
        let mut found: Vec<&Node> = self.children(me, folder).map(|(_, node)| node).collect();
        // The names are in order already, so that sorting by kind keeps them so.
        if folder == 0 {
            found.extend(self.shared_with(me).filter_map(|key| self.nodes.get(&key)));
        }
        found.sort_by_key(|node| node.key.kind);
        found
    }

    /// Folders of others that the caller collaborates on, the topmost only.
    fn shared_with(&self, me: u64) -> impl Iterator<Item = Key> {
        let mine = self.collaborations.values().filter(move |one| self.is_for(&one.who, me));
        let mut keys: Vec<Key> = mine.map(|one| one.item).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| {
            let alive = self.nodes.get(key).is_some_and(|node| node.owner != me) && self.live(*key);
            let above = self.nodes.get(key).map_or(0, |node| node.parent);
            alive
                && key.kind == Kind::Folder
                && (above == 0 || self.powers(me, Key::folder(above)) == Powers::default())
        });
        keys.into_iter()
    }

    pub(super) fn is_for(&self, who: &Grantee, user: u64) -> bool {
        match who {
            Grantee::User(id) => *id == user,
            Grantee::Group(group) => {
                self.memberships.values().any(|one| one.group == *group && one.user == user)
            }
            Grantee::Invited(_) => false,
        }
    }

    /// The child with this name, whatever its case.
    pub(super) fn child(&self, owner: u64, folder: u64, name: &str) -> Option<Key> {
        let home = (if folder == 0 { owner } else { 0 }, folder);
        self.homes.get(&home)?.get(&name.to_lowercase()).copied()
    }

    /// The item and the folders above it, nearest first.
    pub(super) fn upwards(&self, key: Key) -> impl Iterator<Item = &Node> {
        let mut next = self.nodes.get(&key);
        std::iter::from_fn(move || {
            let this = next?;
            next = self.nodes.get(&Key::folder(this.parent));
            Some(this)
        })
        .take(MAX_DEPTH)
    }

    /// Whether neither it nor a folder above it is in the trash.
    pub(super) fn live(&self, key: Key) -> bool {
        self.nodes.contains_key(&key) && self.upwards(key).all(|node| node.trashed.is_none())
    }

    /// What someone may do with an item.
    pub(super) fn powers(&self, me: u64, key: Key) -> Powers {
        if key.is_root() {
            return Powers::ALL;
        }
        let mut powers = Powers::default();
        for node in self.upwards(key) {
            if node.owner == me {
                return Powers::ALL;
            }
            let on = self.collaborations.values().filter(|one| one.item == node.key);
            for one in on.filter(|one| self.is_for(&one.who, me)) {
                powers = powers.and(Powers::of(&one.role));
            }
        }
        powers
    }

    /// The item, when it is there and the caller may see it.
    pub(super) fn seen(&self, me: u64, kind: Kind, id: &str) -> Result<&Node, Fault> {
        let missing = || Fault::missing(kind.word(), id);
        let key = Key { kind, id: id.parse().map_err(|_| missing())? };
        let node = self.nodes.get(&key).ok_or_else(missing)?;
        if self.powers(me, key) == Powers::default() {
            return Err(missing());
        }
        if !self.live(key) {
            return Err(Fault::new(404, "trashed", "Item is trashed"));
        }
        Ok(node)
    }

    /// The folder to write into: its id and whose it is.
    pub(super) fn target(&self, me: u64, id: &str) -> Result<(u64, u64), Fault> {
        if id == "0" {
            return Ok((0, me));
        }
        let folder = self.seen(me, Kind::Folder, id).map_err(|fault| match fault.code {
            "not_found" => Fault::missing("parent", id),
            _ => fault,
        })?;
        if !self.powers(me, folder.key).upload {
            return Err(Fault::forbidden());
        }
        Ok((folder.key.id, folder.owner))
    }

    /// Puts an item where its folder says. The name must be free.
    pub(super) fn insert(&mut self, node: Node) -> Result<Key, Fault> {
        if self.nodes.len() >= MAX_ITEMS {
            return Err(Fault::new(403, "storage_limit_exceeded", "The sandbox is full"));
        }
        let key = node.key;
        *self.weights.entry(node.owner).or_default() += node.weight();
        self.homes.entry(Self::home(&node)).or_default().insert(node.name.to_lowercase(), key);
        self.nodes.insert(key, node);
        Ok(key)
    }

    /// Takes an item out of its folder's names; it stays an item.
    pub(super) fn unhang(&mut self, key: Key) {
        let Some(node) = self.nodes.get(&key) else { return };
        if let Some(names) = self.homes.get_mut(&Self::home(node)) {
            let name = node.name.to_lowercase();
            if names.get(&name) == Some(&key) {
                names.remove(&name);
            }
        }
    }

    /// Puts an item back among its folder's names.
    pub(super) fn hang(&mut self, key: Key) {
        let Some(node) = self.nodes.get(&key) else { return };
        let (home, name) = (Self::home(node), node.name.to_lowercase());
        self.homes.entry(home).or_default().insert(name, key);
    }

    /// All items below a folder.
    pub(super) fn below(&self, folder: u64) -> Vec<Key> {
        let mut found = Vec::new();
        let mut open = vec![folder];
        while let Some(folder) = open.pop() {
            for key in self.homes.get(&(0, folder)).into_iter().flat_map(BTreeMap::values) {
                found.push(*key);
                if key.kind == Kind::Folder {
                    open.push(key.id);
                }
            }
        }
        found
    }

    /// Marks an item as changed by someone.
    pub(super) fn touch(&mut self, key: Key, by: u64) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&key) {
            node.etag += 1;
            node.modified = now;
            node.modified_by = by;
        }
    }

    /// Bytes that a user's items take, versions and trash included.
    pub(super) fn used(&self, user: u64) -> u64 {
        self.weights.get(&user).copied().unwrap_or_default()
    }

    /// Adds a version to a file, as its newest content.
    pub(super) fn add_content(&mut self, key: Key, version: Version) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        *self.weights.entry(node.owner).or_default() += version.content.len() as u64;
        node.versions.push(version);
    }

    /// Gives items to someone else.
    pub(super) fn give(&mut self, keys: &[Key], owner: u64) {
        for key in keys {
            let Some(node) = self.nodes.get_mut(key) else { continue };
            let weight = node.weight();
            let old = std::mem::replace(&mut node.owner, owner);
            let left = self.weights.entry(old).or_default();
            *left = left.saturating_sub(weight);
            *self.weights.entry(owner).or_default() += weight;
        }
    }

    pub(super) fn space(&self, user: u64) -> u64 {
        let own = self.users.get(&user).map_or(SPACE, |user| user.space);
        self.quirks.space.unwrap_or(own)
    }

    /// Refuses what would not fit.
    pub(super) fn check_space(&self, owner: u64, more: u64) -> Result<(), Fault> {
        let used = self.used(owner);
        if used.saturating_add(more) > self.space(owner).min(REAL_SPACE) {
            let text = "Account storage limit reached";
            return Err(Fault::new(403, "storage_limit_exceeded", text));
        }
        Ok(())
    }

    /// Deletes an item and all below it for good.
    pub(super) fn purge(&mut self, key: Key) {
        self.unhang(key);
        let mut gone = vec![key];
        if key.kind == Kind::Folder {
            gone.extend(self.below(key.id));
        }
        for key in gone {
            if let Some(node) = self.nodes.remove(&key) {
                let left = self.weights.entry(node.owner).or_default();
                *left = left.saturating_sub(node.weight());
            }
            self.homes.remove(&(0, key.id));
            self.collaborations.retain(|_, one| one.item != key);
            self.webhooks.retain(|_, hook| hook.target != key);
        }
    }
}

/// Box's rules for names: up to 255 characters, no slashes, nothing unprintable, no space at the end,
/// not `.` or `..` (the reference of `POST /folders`).
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let invalid = |text: &str| Err(Fault::new(400, "item_name_invalid", text));
    if name.chars().count() > 255 {
        return Err(Fault::new(400, "item_name_too_long", "Item name too long"));
    }
    let bad = |one: char| matches!(one, '/' | '\\') || one.is_ascii_control();
    if name.is_empty() || name == "." || name == ".." || name.contains(bad) || name.ends_with(' ') {
        return invalid("Item name invalid");
    }
    Ok(())
}

/// A text member of a JSON object.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
