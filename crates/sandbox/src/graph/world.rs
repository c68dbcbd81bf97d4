//! What one world of Graph holds: people, groups, sites and drives, and what is on its way.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;

use super::call::Who;
use super::drive::{Behaviour, By, Drive, Flavour};
use super::fault::{Fault, denied, not_found};
use crate::people::{PEOPLE, Person, find};
use crate::world::Dice;

/// The host of the organisation's sites.
pub(super) const HOST: &str = "example.sharepoint.com";

/// A SharePoint site.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// `/sites/marketing`; empty for the root site.
    pub(super) path: &'static str,
    pub(super) drives: Vec<String>,
}

/// A group of people.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) members: Vec<&'static Person>,
}

/// An upload in parts.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) drive: String,
    /// Folder and name of a new file, or the id of the file that is replaced.
    pub(super) place: Result<(String, String), String>,
    pub(super) behaviour: Behaviour,
    pub(super) if_match: Option<String>,
    pub(super) client_modified: Option<Timestamp>,
    pub(super) deferred: bool,
    pub(super) by: &'static Person,
    pub(super) until: Timestamp,
    pub(super) parts: Vec<Bytes>,
    pub(super) received: u64,
    pub(super) total: Option<u64>,
}

/// A copy on its way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) polls: u32,
    pub(super) outcome: Result<(String, String), Value>,
}

/// Someone who wants to be told of changes.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) drive: String,
    pub(super) resource: String,
    pub(super) url: String,
    pub(super) lifecycle: Option<String>,
    pub(super) client_state: Option<String>,
    pub(super) until: Timestamp,
    pub(super) owner: &'static Person,
    pub(super) app: String,
}

/// The state of one Graph: all personal accounts, or one organisation.
pub(super) struct World {
    pub(super) personal: bool,
    pub(super) drives: BTreeMap<String, Drive>,
    /// The drive of each person.
    pub(super) homes: BTreeMap<&'static str, String>,
    pub(super) sites: Vec<Site>,
    pub(super) groups: Vec<Group>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Drives that changed since subscribers were told.
    pub(super) dirty: BTreeSet<String>,
    /// Pages of deltas hold no more than so many, when a test says so.
    pub(super) page: Option<usize>,
    pub(super) secret: String,
    pub(super) dice: Dice,
}

/// A GUID made of a name: the same in every run.
pub(super) fn guid(of: &str) -> String {
    let hash = hex::encode(Sha256::digest(of.as_bytes()));
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// The organisation's id.
pub(super) fn tenant() -> String {
    guid("tenant example.com")
}

impl World {
    /// The drives of everyone who has a OneDrive for personal use.
    pub(super) fn personal(dice: Dice, now: Timestamp) -> Self {
        let mut world = Self::empty(true, dice);
        for person in PEOPLE {
            let id: String = guid(person.id).replace('-', "").chars().take(16).collect();
            world.add_home(id, person, Flavour::Personal, now);
        }
        world.furnish(now);
        world
    }

    /// An organisation with a drive for everyone, and sites.
    pub(super) fn organisation(dice: Dice, now: Timestamp) -> Self {
        let mut world = Self::empty(false, dice);
        for person in PEOPLE {
            world.add_home(business_id(person.id), person, Flavour::Business, now);
        }
        world.furnish(now);
        world.groups = vec![
            Group {
                id: guid("group everyone"),
                name: "Everyone",
                description: "Everyone at example.com",
                members: PEOPLE.iter().collect(),
            },
            Group {
                id: guid("group sales"),
                name: "Sales",
                description: "Those who sell",
                members: find("ana").into_iter().collect(),
            },
        ];
        let sites: [(&str, &str, &str, &[&str]); 2] = [
            ("root", "Example", "", &["Documents"]),
            ("marketing", "Marketing", "/sites/marketing", &["Documents", "Archive"]),
        ];
        for (name, title, path, libraries) in sites {
            let id = format!(
                "{HOST},{},{}",
                guid(&format!("site {name}")),
                guid(&format!("web {name}"))
            );
            let mut drives = Vec::new();
            for library in libraries {
                let drive = business_id(&format!("{name} {library}"));
                let Some(by) = world.admin(now) else { continue };
                let mut made = Drive::new(
                    drive.clone(),
                    library,
                    Flavour::Library,
                    None,
                    by,
                    world.dice.clone(),
                );
                made.site = Some(id.clone());
                world.drives.insert(drive.clone(), made);
                drives.push(drive);
            }
            world.sites.push(Site { id, name, title, path, drives });
        }
        world
    }

    fn empty(personal: bool, dice: Dice) -> Self {
        Self {
            personal,
            drives: BTreeMap::new(),
            homes: BTreeMap::new(),
            sites: Vec::new(),
            groups: Vec::new(),
            uploads: BTreeMap::new(),
            jobs: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            page: None,
            secret: dice.token("", 32),
            dice,
        }
    }

    fn admin(&self, now: Timestamp) -> Option<By> {
        find("ada").map(|person| By { person, now })
    }

    fn add_home(&mut self, id: String, person: &'static Person, flavour: Flavour, now: Timestamp) {
        let by = By { person, now };
        let drive =
            Drive::new(id.clone(), "OneDrive", flavour, Some(person), by, self.dice.clone());
        self.drives.insert(id.clone(), drive);
        self.homes.insert(person.id, id);
    }

    /// Ben has a notebook, and a folder that Ada shares with him.
    fn furnish(&mut self, now: Timestamp) {
        let (Some(ada), Some(ben)) = (find("ada"), find("ben")) else { return };
        let by = By { person: ada, now };
        let shared = self.home_of(ada).and_then(|drive| {
            let root = drive.root.clone();
            let folder = drive.make_folder(&root, "Team plans", Behaviour::Fail, by).ok()?;
            drive
                .put(
                    &folder,
                    "Plan.txt",
                    Bytes::from_static(b"the plan"),
                    Behaviour::Fail,
                    None,
                    by,
                )
                .ok()?;
            let sharing = super::sharing::to_person("p1".into(), "write", ben);
            drive.change(&folder, by, |item| item.sharing.push(sharing)).ok()?;
            Some((drive.id.clone(), folder))
        });
        let by = By { person: ben, now };
        if let Some(drive) = self.home_of(ben) {
            let root = drive.root.clone();
            for (name, package, remote) in
                [("Notebook", true, None), ("Team plans", false, shared.clone())]
            {
                let made = drive.put(&root, name, Bytes::new(), Behaviour::Fail, None, by);
                if let Ok((id, _)) = made {
                    let _ = drive.change(&id, by, |item| {
                        item.package = package;
                        item.remote = remote;
                    });
                }
            }
        }
    }

    fn home_of(&mut self, person: &Person) -> Option<&mut Drive> {
        let id = self.homes.get(person.id)?;
        self.drives.get_mut(id)
    }

    pub(super) fn home(&self, person: &Person) -> Result<String, Fault> {
        self.homes.get(person.id).cloned().ok_or_else(not_found)
    }

    /// The person with this id or address.
    pub(super) fn person(&self, id: &str) -> Result<&'static Person, Fault> {
        let found = PEOPLE.iter().find(|person| guid(person.id) == id.to_lowercase());
        found.or_else(|| find(id)).ok_or_else(|| {
            Fault::new(404, "Request_ResourceNotFound", format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present."))
        })
    }

    /// The drive, when this caller may see anything in it.
    pub(super) fn drive(&self, id: &str, who: Who) -> Result<&Drive, Fault> {
        let drive = self.drives.get(id).ok_or_else(not_found)?;
        let own = drive.owner.is_none_or(|owner| owner == who.person);
        let shared = || {
            drive
                .items
                .values()
                .any(|item| item.sharing.iter().any(|one| one.to == Some(who.person)))
        };
        if who.app || own || shared() { Ok(drive) } else { Err(denied()) }
    }

    /// Whether this caller may see (or with `write` change) an item.
    pub(super) fn may(
        &self,
        drive: &Drive,
        item: &str,
        who: Who,
        write: bool,
    ) -> Result<(), Fault> {
        if who.app || drive.owner.is_none_or(|owner| owner == who.person) {
            return Ok(());
        }
        let granted = drive.lineage(item).iter().any(|above| {
            above.sharing.iter().any(|one| {
                one.to == Some(who.person)
                    && (!write || one.roles.iter().any(|role| role != "read"))
            })
        });
        if granted { Ok(()) } else { Err(denied()) }
    }

    pub(super) fn drive_mut(&mut self, id: &str) -> Result<&mut Drive, Fault> {
        self.dirty.insert(id.to_owned());
        self.drives.get_mut(id).ok_or_else(not_found)
    }

    pub(super) fn site(&self, id: &str) -> Result<&Site, Fault> {
        let found = self.sites.iter().find(|site| {
            site.id == id
                || (id == "root" && site.path.is_empty())
                || (id == HOST && site.path.is_empty())
                || site.id.split(',').nth(1) == Some(id)
        });
        found.ok_or_else(|| Fault::new(404, "itemNotFound", "Requested site could not be found"))
    }
}

fn business_id(of: &str) -> String {
    let hash = Sha256::digest(format!("drive {of}").as_bytes());
    let again = Sha256::digest(hash);
    let bytes: Vec<u8> = hash.iter().chain(again.iter()).copied().take(48).collect();
    format!("b!{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
