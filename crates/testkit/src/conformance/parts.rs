//! Uploads in parts, and the parts of the contract that come together or not at all.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tramontane_connector::storage::{
    GranteeKind, PermissionChange, ReadOptions, UploadSession, UploadedPart,
};
use tramontane_connector::{Body, Conflict, EntryRef, Storage, WriteOptions};
use tramontane_fill::Policy;
use tramontane_model::PageRequest;

use super::room::{Room, missing, noise};
use super::suite;

suite! {
    parts_become_a_file [FileCreate, MultipartCreate];
    parts_in_any_order_and_again [FileCreate, MultipartCreate];
    parts_that_are_given_up_leave_nothing [FileCreate, MultipartCreate];
    properties_are_kept [FileCreate, PropertiesList, PropertiesUpdate];
    the_trash_gives_back [FileCreate, FileDelete, TrashList, TrashRestore];
    versions_are_kept [FileCreate, FileUpdate, VersionsList];
    permissions_are_told_and_changed [FileCreate, PermissionsList, FilePermissionsWrite];
}

async fn begin(room: &Room, name: &str, size: Option<u64>) -> anyhow::Result<UploadSession> {
    let begun = room
        .storage
        .start_session(&room.cx, &room.at(name), size, Policy::Fail, &WriteOptions::fail())
        .await;
    begun.context("beginning")
}

async fn part(
    room: &Room,
    session: &UploadSession,
    number: u32,
    bytes: Bytes,
) -> anyhow::Result<UploadedPart> {
    let sent = room.storage.put_part(&room.cx, session, number, Body::from_bytes(bytes)).await;
    sent.with_context(|| format!("part {number}"))
}

fn cut(whole: &Bytes, size: u64) -> Vec<Bytes> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut rest = whole.clone();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(rest.split_to(rest.len().min(size)));
    }
    parts
}

async fn parts_become_a_file(room: &Room) -> anyhow::Result<()> {
    for told in [true, false] {
        let probe = noise(11 << 20);
        let name = format!("told {told}");
        let session = begin(room, &name, told.then_some(probe.len() as u64)).await?;
        ensure!(session.part_size > 0);
        let mut done = Vec::new();
        for (n, bytes) in cut(&probe, session.part_size).into_iter().enumerate() {
            done.push(part(room, &session, u32::try_from(n)? + 1, bytes).await?);
        }
        ensure!(
            room.storage.child(&room.cx, &room.at(&name)).await?.is_none(),
            "seen before the end"
        );
        let made =
            room.storage.finish_session(&room.cx, &session, &done).await.context("finishing")?;
        ensure!(made.entry.name == name && made.entry.size == Some(probe.len() as u64));
        ensure!(room.content(&made.entry.id).await? == probe, "content differs");
    }
    Ok(())
}

async fn parts_in_any_order_and_again(room: &Room) -> anyhow::Result<()> {
    let session = begin(room, "p", None).await?;
    if !session.parallel {
        return room.storage.abort_session(&room.cx, &session).await.context("aborting");
    }
    let size = usize::try_from(session.part_size)?;
    let whole = noise(size + size / 2);
    let parts = cut(&whole, session.part_size);
    let last = part(room, &session, 2, parts[1].clone()).await?;
    part(room, &session, 1, Bytes::from(vec![0; size])).await?;
    let first = part(room, &session, 1, parts[0].clone()).await?;
    let made = room.storage.finish_session(&room.cx, &session, &[first, last]).await?;
    ensure!(room.content(&made.entry.id).await? == whole, "content differs");
    Ok(())
}

async fn parts_that_are_given_up_leave_nothing(room: &Room) -> anyhow::Result<()> {
    let session = begin(room, "p", None).await?;
    part(room, &session, 1, noise(1000)).await?;
    room.storage.abort_session(&room.cx, &session).await?;
    ensure!(room.names(&room.folder).await?.is_empty());
    room.put("p", "free").await?;
    Ok(())
}

async fn properties_are_kept(room: &Room) -> anyhow::Result<()> {
    let made = room.put("p", "x").await?;
    let of = made.reference();
    let properties = room.storage.properties().context("declared, but not there")?;
    ensure!(properties.list(&room.cx, &of).await?.is_empty());
    let mut changes = BTreeMap::from([
        ("department".to_owned(), Some("sales".to_owned())),
        ("draft".to_owned(), Some("yes & <no>".to_owned())),
    ]);
    let set = properties.patch(&room.cx, &of, &changes).await?;
    ensure!(set.len() == 2, "{set:?}");
    changes = BTreeMap::from([
        ("draft".to_owned(), None),
        ("department".to_owned(), Some("ops".to_owned())),
    ]);
    properties.patch(&room.cx, &of, &changes).await?;
    let now = properties.list(&room.cx, &of).await?;
    ensure!(now.len() == 1 && now[0].key == "department" && now[0].value == "ops", "{now:?}");
    properties.clear(&room.cx, &of).await?;
    ensure!(properties.list(&room.cx, &of).await?.is_empty());
    let nowhere = EntryRef::file(tramontane_model::NativeId::new(format!("{}-nowhere", made.id)));
    missing(properties.list(&room.cx, &nowhere).await, "what is not there")
}

async fn the_trash_gives_back(room: &Room) -> anyhow::Result<()> {
    let made = room.put("thrown.txt", "content").await?;
    room.delete(&made.reference(), false).await?;
    let trash = room.storage.trash().context("declared, but not there")?;
    let mut found = None;
    let mut request = PageRequest::first(100);
    while found.is_none() {
        let page = trash.list(&room.cx, &request).await?;
        ensure!(page.items.iter().all(|entry| entry.trashed.is_some()), "not marked as trashed");
        // Other suites on the same account throw files of this name away, too.
        found = page.items.into_iter().find(|entry| {
            let from = entry.trashed.as_ref().and_then(|thrown| thrown.original_parent.as_ref());
            entry.name == "thrown.txt" && from.is_none_or(|from| *from == room.folder)
        });
        match page.next {
            Some(next) => request = PageRequest::after(next, 100),
            None => break,
        }
    }
    let thrown = found.context("not in the trash")?;
    let back = trash
        .restore(&room.cx, &thrown.reference(), Some(&room.at("back.txt")), Conflict::Fail)
        .await?;
    ensure!(room.text(&back.id).await? == "content" && back.name == "back.txt");
    room.delete(&back.reference(), false).await?;
    Ok(())
}

async fn versions_are_kept(room: &Room) -> anyhow::Result<()> {
    let made = room.put("v", "one").await?;
    let versions = room.storage.versions().context("declared, but not there")?;
    let after = room.storage.update(&room.cx, &made.id, Body::from_bytes("two"), None).await?;
    let page = versions.list(&room.cx, &after.id, &PageRequest::first(10)).await?;
    ensure!(page.items.len() == 2, "{:?}", page.items);
    ensure!(page.items[0].current && !page.items[1].current, "not newest first");
    let old = &page.items[1].id;
    let content = versions.read(&room.cx, &after.id, old, &ReadOptions::default()).await?;
    ensure!(content.body.collect(100).await? == "one");
    let restored = versions.restore(&room.cx, &after.id, old).await?;
    ensure!(room.text(&restored.id).await? == "one");
    Ok(())
}

async fn permissions_are_told_and_changed(room: &Room) -> anyhow::Result<()> {
    let made = room.put("p", "x").await?;
    let permissions = room.storage.permissions().context("declared, but not there")?;
    let change = |role: Option<&str>| PermissionChange {
        grantee: GranteeKind::User,
        id: None,
        email: Some("ben@example.com".into()),
        role: role.map(str::to_owned),
    };
    let of = made.reference();
    let after = permissions.change(&room.cx, &of, &[change(Some("reader"))], false, false).await?;
    ensure!(
        after
            .iter()
            .any(|one| one.email.as_deref() == Some("ben@example.com") && one.role == "reader")
    );
    let after = permissions.change(&room.cx, &of, &[change(None)], false, false).await?;
    ensure!(after.iter().all(|one| one.email.as_deref() != Some("ben@example.com")));
    Ok(())
}
