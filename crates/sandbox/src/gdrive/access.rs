//! Who may see and do what: owners, grants that come down from folders, members of shared drives.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;

use super::fault::{Answer, Fault};
use super::state::{File, Grantee, Permission, Role, State};
use crate::people::{PEOPLE, Person};

/// The domain that everyone is of.
pub(super) const DOMAIN: &str = "example.com";

/// A group of the organisation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) description: &'static str,
    /// Short names of members, with their role in the group.
    pub(super) members: &'static [(&'static str, &'static str)],
}

/// Every group.
pub(super) const GROUPS: &[Group] = &[
    Group {
        id: "01aaaaaa1aaaaaa",
        name: "Staff",
        email: "staff@example.com",
        description: "Everyone at Example",
        members: &[("ana", "MEMBER"), ("ben", "MEMBER"), ("ada", "OWNER")],
    },
    Group {
        id: "02bbbbbb2bbbbbb",
        name: "Editors",
        email: "editors@example.com",
        description: "Who edits the handbook",
        members: &[("ana", "OWNER"), ("ben", "MEMBER")],
    },
];

/// A long number that stands for an address: the same at every call.
pub(super) fn number_of(email: &str, digits: usize) -> String {
    let hash = Sha256::digest(email.to_lowercase().as_bytes());
    let digit = |byte: &u8| char::from(b'0' + byte % 10);
    let mut text: String = hash.iter().take(digits).map(digit).collect();
    text.replace_range(..1, "1");
    text
}

/// The id that permissions of this grantee have, on every file.
pub(super) fn permission_id(kind: &Grantee, discovery: bool) -> String {
    match kind {
        Grantee::User(email) | Grantee::Group(email) => number_of(email, 20),
        Grantee::Domain(domain) => format!("{}k", number_of(domain, 20)),
        Grantee::Anyone if discovery => "anyone".into(),
        Grantee::Anyone => "anyoneWithLink".into(),
    }
}

fn covers(kind: &Grantee, person: &Person) -> bool {
    match kind {
        Grantee::User(email) => email.eq_ignore_ascii_case(person.email),
        Grantee::Group(email) => GROUPS.iter().any(|group| {
            group.email.eq_ignore_ascii_case(email)
                && group.members.iter().any(|(member, _)| *member == person.id)
        }),
        Grantee::Domain(domain) => domain.eq_ignore_ascii_case(DOMAIN),
        Grantee::Anyone => true,
    }
}

fn lasts(permission: &Permission, now: Timestamp) -> bool {
    permission.expires.is_none_or(|until| now < until)
}

impl State {
    /// What someone may do to a file; `None`: not even see it.
    pub(super) fn role(&self, person: &Person, file: &File, now: Timestamp) -> Option<Role> {
        if file.owner == Some(person) {
            return Some(Role::Owner);
        }
        let grants = self.line(file).flat_map(|one| &one.permissions);
        let mine = grants.filter(|one| lasts(one, now) && covers(&one.kind, person));
        mine.map(|one| one.role).max()
    }

    /// Whether it turns up in someone's listings without being asked for by id.
    pub(super) fn is_listed(&self, person: &Person, file: &File, now: Timestamp) -> bool {
        if file.owner == Some(person) || file.viewed.contains_key(person.id) {
            return self.role(person, file, now).is_some();
        }
        self.line(file).flat_map(|one| &one.permissions).any(|one| {
            let open = matches!(one.kind, Grantee::Domain(_) | Grantee::Anyone);
            lasts(one, now) && covers(&one.kind, person) && (!open || one.allow_discovery)
        })
    }

    /// When a file was shared with someone directly.
    pub(super) fn shared_with(
        &self,
        person: &Person,
        file: &File,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if file.owner == Some(person) || file.drive.is_some() {
            return None;
        }
        let direct = file.permissions.iter().filter(|one| {
            matches!(one.kind, Grantee::User(_) | Grantee::Group(_))
                && lasts(one, now)
                && covers(&one.kind, person)
        });
        direct.map(|one| one.since).max()
    }

    /// Short names of everyone who can see a file.
    pub(super) fn audience(&self, file: &File, now: Timestamp) -> BTreeSet<&'static str> {
        let all = PEOPLE.iter().filter(|person| self.is_listed(person, file, now));
        all.map(|person| person.id).collect()
    }

    /// The file, when this person may see it; `all_drives`: whether the caller knows of shared drives.
    pub(super) fn seen(
        &self,
        person: &Person,
        id: &str,
        all_drives: bool,
        now: Timestamp,
    ) -> Answer<(&File, Role)> {
        let real = if id == "root" { self.root(person) } else { id };
        let file = self.files.get(real).ok_or_else(|| Fault::no_file(id))?;
        if file.drive.is_some() && !all_drives {
            return Err(Fault::no_file(id));
        }
        let role = self.role(person, file, now).ok_or_else(|| Fault::no_file(id))?;
        Ok((file, role))
    }

    /// As [`State::seen`], when the person may do at least this much.
    pub(super) fn with_role(
        &self,
        person: &Person,
        id: &str,
        all_drives: bool,
        now: Timestamp,
        least: Role,
    ) -> Answer<&File> {
        let (file, role) = self.seen(person, id, all_drives, now)?;
        if role < least { Err(Fault::role()) } else { Ok(file) }
    }

    /// The role that deleting needs: past the trash, or into it.
    pub(super) fn role_to_delete(file: &File, permanent: bool) -> Role {
        match (file.drive.is_some(), permanent) {
            (true, true) => Role::Organizer,
            (true, false) => Role::FileOrganizer,
            (false, _) => Role::Owner,
        }
    }
}
