//! Upload sessions, trash, versions, permissions and properties of the service in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tramontane_connector::storage::{
    Content, GranteeKind, Permission, PermissionChange, Permissions, Properties, Property,
    ReadOptions, Trash, UploadSession, UploadSessions, UploadedPart, Version, Versions,
};
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place, Result, WriteOptions,
};
use tramontane_model::{NativeId, Page, PageRequest};

use super::Memory;
use super::drive::{Drive, Node, ROOT, Session, Set, hashes, native, parse};
use super::storage::{cut, page_of};

const PART: u64 = 1 << 20;

fn gone() -> Error {
    Error::not_found("There is no such upload.")
}

fn number(session: &UploadSession) -> Result<u64> {
    session.state.parse().map_err(|_| gone())
}

#[async_trait]
impl UploadSessions for Memory {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        _size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        self.on(cx, |drive| {
            drive.parent_of(at)?;
            let id = drive.fresh();
            let session = Session { at: at.clone(), how: how.clone(), parts: BTreeMap::new() };
            drive.sessions.insert(id, session);
            Ok(UploadSession { state: id.to_string(), part_size: PART, parallel: true })
        })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        part: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let id = number(session)?;
        let most = usize::try_from(PART).unwrap_or(usize::MAX);
        let bytes = body.checked().collect(most).await?;
        self.on(cx, |drive| {
            let session = drive.sessions.get_mut(&id).ok_or_else(gone)?;
            let receipt = hashes(&bytes).sha256.unwrap_or_default();
            let size = bytes.len() as u64;
            session.parts.insert(part, bytes);
            Ok(UploadedPart { number: part, size, receipt })
        })
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        let id = number(session)?;
        self.on(cx, |drive| {
            let session = drive.sessions.get(&id).ok_or_else(gone)?.clone();
            let mut whole = BytesMut::new();
            for part in parts {
                let held = session.parts.get(&part.number);
                let held = held.filter(|held| hashes(held).sha256.as_ref() == Some(&part.receipt));
                whole.extend_from_slice(
                    held.ok_or_else(|| {
                        Error::invalid(format!("Part {} is missing.", part.number))
                    })?,
                );
            }
            let made = Self::put(drive, &session.at, whole.freeze(), &session.how, cx.now())?;
            drive.sessions.remove(&id);
            Ok(made)
        })
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        let id = number(session)?;
        self.on(cx, |drive| {
            drive.sessions.remove(&id);
            Ok(())
        })
    }
}

fn in_trash(drive: &Drive, what: &EntryRef) -> Result<u64> {
    let id = parse(&what.id);
    let found = id.filter(|id| {
        let node = drive.nodes.get(id);
        node.is_some_and(|node| node.kind == what.kind && node.trashed.is_some())
    });
    found.ok_or_else(|| Error::not_found("There is no such object in the trash."))
}

#[async_trait]
impl Trash for Memory {
    async fn list(&self, cx: &Cx, page: &PageRequest) -> Result<Page<Entry>> {
        self.on(cx, |drive| {
            let all = drive.nodes.iter().filter(|(_, node)| node.trashed.is_some());
            let page = page_of(all.map(|(id, _)| *id).collect(), page)?;
            let items = page.items.iter().map(|id| drive.entry(*id)).collect::<Result<_>>()?;
            Ok(Page { items, next: page.next })
        })
    }

    async fn restore(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: Option<&Place>,
        c: Conflict,
    ) -> Result<Entry> {
        self.on(cx, |drive| {
            let id = in_trash(drive, what)?;
            let place = match to {
                Some(to) => to.clone(),
                None => Place::new(native(drive.get(id)?.parent), &drive.get(id)?.name),
            };
            let parent = drive.parent_of(&place)?;
            if let Some(there) = drive.in_the_way(parent, &place.name, what.kind, c)? {
                drive.remove(there);
            }
            let node = drive.get_mut(id)?;
            node.trashed = None;
            node.parent = parent;
            node.name = place.name;
            drive.entry(id)
        })
    }

    async fn purge(&self, cx: &Cx, what: &EntryRef) -> Result<()> {
        self.on(cx, |drive| {
            let id = in_trash(drive, what)?;
            drive.remove(id);
            Ok(())
        })
    }

    async fn empty(&self, cx: &Cx) -> Result<()> {
        self.on(cx, |drive| {
            let all = drive.nodes.iter().filter(|(_, node)| node.trashed.is_some());
            for id in all.map(|(id, _)| *id).collect::<Vec<_>>() {
                drive.remove(id);
            }
            Ok(())
        })
    }
}

fn versions_of(node: &Node) -> Vec<Version> {
    let entry = |revision: u64, content: &Bytes, modified, current| Version {
        id: revision.to_string(),
        size: Some(content.len() as u64),
        modified: Some(modified),
        last_modifier: None,
        current,
        hashes: hashes(content),
    };
    let mut all = vec![entry(node.revision, &node.content, node.modified, true)];
    let older = node.older.iter().rev();
    all.extend(older.map(|kept| entry(kept.revision, &kept.content, kept.modified, false)));
    all
}

fn no_version() -> Error {
    Error::not_found("There is no such version.")
}

#[async_trait]
impl Versions for Memory {
    async fn list(&self, cx: &Cx, file: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            page_of(versions_of(drive.get(id)?), page)
        })
    }

    async fn read(
        &self,
        cx: &Cx,
        file: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            let node = drive.get(id)?;
            let tag = Some(ETag::strong(format!("{id}-{version}")));
            if node.revision.to_string() == version {
                return cut(&node.content, how, tag, node.modified);
            }
            let kept = node.older.iter().find(|kept| kept.revision.to_string() == version);
            let kept = kept.ok_or_else(no_version)?;
            cut(&kept.content, how, tag, kept.modified)
        })
    }

    async fn restore(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<Entry> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            let node = drive.get(id)?;
            if node.revision.to_string() != version {
                let kept = node.older.iter().find(|kept| kept.revision.to_string() == version);
                let content = kept.ok_or_else(no_version)?.content.clone();
                drive.write(id, content, cx.now())?;
            }
            drive.entry(id)
        })
    }

    async fn delete(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<()> {
        self.on(cx, |drive| {
            let id = drive.live(EntryKind::File, file)?;
            let node = drive.get_mut(id)?;
            if node.revision.to_string() == version {
                let text = "The current version cannot be deleted; delete the file.";
                return Err(Error::new(Kind::NotAllowed, text));
            }
            let before = node.older.len();
            node.older.retain(|kept| kept.revision.to_string() != version);
            if node.older.len() == before { Err(no_version()) } else { Ok(()) }
        })
    }
}

/// All grants on a node, those of the folders above as inherited.
fn grants(drive: &Drive, id: u64) -> Result<Vec<Permission>> {
    let mut all = drive.get(id)?.grants.clone();
    let mut above = id;
    while above != ROOT {
        above = drive.get(above)?.parent;
        for grant in &drive.get(above)?.grants {
            if !all.iter().any(|one| one.id == grant.id) {
                all.push(Permission { inherited: true, ..grant.clone() });
            }
        }
    }
    Ok(all)
}

#[async_trait]
impl Permissions for Memory {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Permission>> {
        self.on(cx, |drive| grants(drive, drive.live(of.kind, &of.id)?))
    }

    async fn change(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &[PermissionChange],
        only: bool,
        _notify: bool,
    ) -> Result<Vec<Permission>> {
        self.on(cx, |drive| {
            let id = drive.live(of.kind, &of.id)?;
            let mut after = drive.get(id)?.grants.clone();
            if only {
                after.retain(|grant| grant.role == "owner");
            }
            for change in changes {
                let key = change.id.clone().or_else(|| change.email.as_deref().map(NativeId::new));
                let key = match (&key, change.grantee) {
                    (Some(key), _) => key.clone(),
                    (None, GranteeKind::Anyone) => NativeId::new("anyone"),
                    (None, _) => return Err(Error::invalid("id or email must be given.")),
                };
                let owner = |grant: &Permission| grant.role == "owner";
                if after.iter().any(|grant| grant.id.as_ref() == Some(&key) && owner(grant)) {
                    return Err(Error::new(Kind::NotAllowed, "The owner's grant stays."));
                }
                after.retain(|grant| grant.id.as_ref() != Some(&key));
                if let Some(role) = &change.role {
                    after.push(Permission {
                        id: Some(key),
                        grantee: change.grantee,
                        role: role.clone(),
                        email: change.email.clone(),
                        name: None,
                        inherited: false,
                    });
                }
            }
            drive.get_mut(id)?.grants = after;
            grants(drive, id)
        })
    }
}

fn properties(node: &Node) -> Vec<Property> {
    let all = node.properties.iter().map(|(key, set)| Property {
        key: key.clone(),
        value: set.value.clone(),
        created: Some(set.created),
        modified: Some(set.modified),
    });
    all.collect()
}

#[async_trait]
impl Properties for Memory {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        self.on(cx, |drive| Ok(properties(drive.get(drive.live(of.kind, &of.id)?)?)))
    }

    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>> {
        self.on(cx, |drive| {
            let now = cx.now();
            let id = drive.live(of.kind, &of.id)?;
            let node = drive.get_mut(id)?;
            for (key, value) in changes {
                let Some(value) = value else {
                    node.properties.remove(key);
                    continue;
                };
                let created = node.properties.get(key).map_or(now, |set| set.created);
                let set = Set { value: value.clone(), created, modified: now };
                node.properties.insert(key.clone(), set);
            }
            Ok(properties(node))
        })
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        self.on(cx, |drive| {
            let id = drive.live(of.kind, &of.id)?;
            drive.get_mut(id)?.properties.clear();
            Ok(())
        })
    }
}
