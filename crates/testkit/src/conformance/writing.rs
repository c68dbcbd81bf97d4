//! Files made, replaced, renamed, moved, copied, deleted.

use anyhow::ensure;
use bytes::Bytes;
use futures::stream;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{
    Body, Conflict, ETag, EntryKind, EntryRef, Error, Kind, Place, Storage, WriteOptions,
};
use tramontane_fill::Policy;
use tramontane_model::{NativeId, Op, Timestamp};

use super::room::{Room, fails, is, missing, noise, pieces, taken};
use super::suite;

suite! {
    a_taken_name_is_refused [FileCreate];
    replacing_replaces_the_content [FileCreate];
    keeping_both_finds_the_smallest_free_name [FileCreate];
    a_file_never_replaces_a_folder [FileCreate, FolderCreate];
    a_folder_that_is_not_there_takes_nothing [FileCreate];
    content_of_unknown_length_is_taken [FileCreate, FileCreateUnsized];
    content_that_breaks_off_leaves_nothing [FileCreate];
    content_of_unknown_length_that_breaks_off_leaves_nothing [FileCreate, FileCreateUnsized];
    updating_keeps_name_and_folder [FileCreate, FileUpdate];
    updating_that_breaks_off_keeps_the_old_content [FileCreate, FileUpdate];
    if_match_guards_an_update [FileCreate, FileUpdate, FileConditional];
    if_match_guards_a_delete [FileCreate, FileDelete, FileConditional];
    renaming_keeps_the_content [FileCreate, FileRename];
    renaming_onto_a_taken_name [FileCreate, FileRename];
    renaming_to_its_own_name_changes_nothing [FileCreate, FileRename];
    renaming_only_by_case [FileCreate, FileRename];
    moving_keeps_the_content [FileCreate, FolderCreate, FileMove];
    moving_to_a_folder_that_is_not_there [FileCreate, FileMove];
    copying_leaves_the_source [FileCreate, FileCopy];
    copying_onto_a_taken_name [FileCreate, FileCopy, FileDelete];
    deleting_deletes [FileCreate, FileDelete];
    deleting_for_good [FileCreate, FileDelete, FileDeletePermanently];
    many_writers_of_one_name_lose_nothing [FileCreate];
    many_writers_of_many_names [FileCreate];
    times_are_kept_where_they_can_be [FileCreate];
}

async fn a_taken_name_is_refused(room: &Room) -> anyhow::Result<()> {
    let first = room.put("a.txt", "first").await?;
    let body = Body::from_bytes("second");
    let again = room.storage.create(&room.cx, &room.at("a.txt"), body, &WriteOptions::fail()).await;
    taken(again, "create")?;
    taken(room.upload("a.txt", "third", Policy::Fail).await, "upload")?;
    ensure!(room.text(&first.id).await? == "first", "the content changed");
    ensure!(room.names(&room.folder).await? == ["a.txt"], "something was left behind");
    Ok(())
}

async fn replacing_replaces_the_content(room: &Room) -> anyhow::Result<()> {
    let placed = room.upload("a.txt", "first", Policy::Replace).await?;
    ensure!(placed.created, "a new file must say that it is new");
    let placed = room.upload("a.txt", "second one", Policy::Replace).await?;
    ensure!(!placed.created, "a replaced file must not say that it is new");
    is(&placed.entry, EntryKind::File, "a.txt", &room.folder)?;
    ensure!(room.text(&placed.entry.id).await? == "second one");
    ensure!(room.names(&room.folder).await? == ["a.txt"]);
    Ok(())
}

async fn keeping_both_finds_the_smallest_free_name(room: &Room) -> anyhow::Result<()> {
    for expected in ["a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"] {
        let placed = room.upload("a.tar.gz", expected, Policy::KeepBoth).await?;
        ensure!(placed.entry.name == expected, "{} instead of {expected}", placed.entry.name);
        ensure!(placed.created);
        ensure!(room.text(&placed.entry.id).await? == expected);
    }
    Ok(())
}

async fn a_file_never_replaces_a_folder(room: &Room) -> anyhow::Result<()> {
    room.folder("x").await?;
    // Stores of objects can hold both under one name.
    if room.semantics().duplicate_names {
        return Ok(());
    }
    taken(room.upload("x", "content", Policy::Replace).await, "replace")?;
    taken(room.upload("x", "content", Policy::Fail).await, "fail")?;
    ensure!(room.names(&room.folder).await? == ["x"]);
    Ok(())
}

async fn a_folder_that_is_not_there_takes_nothing(room: &Room) -> anyhow::Result<()> {
    let folder = room.folder("gone").await?;
    room.delete(&folder.reference(), true).await?;
    let at = Place::new(folder.id, "a.txt");
    let made =
        room.storage.create(&room.cx, &at, Body::from_bytes("x"), &WriteOptions::fail()).await;
    fails(made, |kind| *kind == Kind::ParentNotFound, "create in a folder that is gone")?;
    let file = room.put("file", "x").await?;
    let at = Place::new(file.id, "below");
    let made =
        room.storage.create(&room.cx, &at, Body::from_bytes("x"), &WriteOptions::fail()).await;
    fails(made, |kind| *kind == Kind::ParentNotFound, "create below a file")
}

async fn content_of_unknown_length_is_taken(room: &Room) -> anyhow::Result<()> {
    for len in [0usize, 10, 200_000] {
        let sent = noise(len);
        let name = format!("{len}");
        let body = pieces(&sent, 9_999, false);
        let made =
            room.storage.create(&room.cx, &room.at(&name), body, &WriteOptions::fail()).await?;
        ensure!(made.size == Some(len as u64), "size is {:?}", made.size);
        ensure!(room.content(&made.id).await? == sent);
    }
    Ok(())
}

fn broken(len: Option<u64>) -> Body {
    let parts =
        vec![Ok(Bytes::from(vec![7; 70_000])), Err(Error::new(Kind::Body, "the client went away"))];
    Body::new(stream::iter(parts), len)
}

async fn leaves_nothing(room: &Room, body: Body) -> anyhow::Result<()> {
    let made = room.storage.create(&room.cx, &room.at("b"), body, &WriteOptions::fail()).await;
    fails(made, |kind| *kind == Kind::Body, "a body that breaks off")?;
    // Clearing up may go on for a moment after the answer.
    for _ in 0..50 {
        if room.names(&room.folder).await?.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let left = room.names(&room.folder).await?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    // The name is free.
    room.put("b", "whole").await?;
    Ok(())
}

async fn content_that_breaks_off_leaves_nothing(room: &Room) -> anyhow::Result<()> {
    leaves_nothing(room, broken(Some(1_000_000))).await
}

async fn content_of_unknown_length_that_breaks_off_leaves_nothing(
    room: &Room,
) -> anyhow::Result<()> {
    leaves_nothing(room, broken(None)).await
}

async fn updating_keeps_name_and_folder(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "first").await?;
    let body = Body::from_bytes("the second content");
    let after = room.storage.update(&room.cx, &made.id, body, None).await?;
    is(&after, EntryKind::File, "a.txt", &room.folder)?;
    ensure!(after.size == Some(18), "size is {:?}", after.size);
    ensure!(room.text(&after.id).await? == "the second content");
    let body = pieces(&noise(50_000), 7_000, false);
    let after = room.storage.update(&room.cx, &after.id, body, None).await?;
    ensure!(room.content(&after.id).await? == noise(50_000));
    ensure!(room.names(&room.folder).await? == ["a.txt"]);
    Ok(())
}

async fn updating_that_breaks_off_keeps_the_old_content(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "precious").await?;
    let updated = room.storage.update(&room.cx, &made.id, broken(Some(1_000_000)), None).await;
    fails(updated, |kind| *kind == Kind::Body, "update")?;
    ensure!(room.text(&made.id).await? == "precious", "the old content is gone");
    Ok(())
}

async fn if_match_guards_an_update(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "first").await?;
    let Some(etag) = made.etag else { anyhow::bail!("conditional, but without etags") };
    let stale = ETag::strong("0-no-such-tag");
    let refused =
        room.storage.update(&room.cx, &made.id, Body::from_bytes("x"), Some(&stale)).await;
    fails(refused, |kind| *kind == Kind::Precondition, "a stale etag")?;
    ensure!(room.text(&made.id).await? == "first");
    room.storage.update(&room.cx, &made.id, Body::from_bytes("second"), Some(&etag)).await?;
    let refused = room.storage.update(&room.cx, &made.id, Body::from_bytes("x"), Some(&etag)).await;
    fails(refused, |kind| *kind == Kind::Precondition, "the etag of before")?;
    ensure!(room.text(&made.id).await? == "second");
    Ok(())
}

async fn if_match_guards_a_delete(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "first").await?;
    let with =
        |etag: &ETag| DeleteOptions { if_match: Some(etag.clone()), ..DeleteOptions::default() };
    let stale = ETag::strong("0-no-such-tag");
    let refused = room.storage.delete(&room.cx, &made.reference(), &with(&stale)).await;
    fails(refused, |kind| *kind == Kind::Precondition, "a stale etag")?;
    room.get(&made.reference()).await?;
    let Some(etag) = &made.etag else { anyhow::bail!("conditional, but without etags") };
    room.storage.delete(&room.cx, &made.reference(), &with(etag)).await?;
    missing(room.get(&made.reference()).await, "after the delete")
}

async fn renaming_keeps_the_content(room: &Room) -> anyhow::Result<()> {
    let made = room.put("old.txt", "content").await?;
    let after = room
        .storage
        .relocate(&room.cx, &made.reference(), &room.at("new.md"), Conflict::Fail)
        .await?;
    is(&after, EntryKind::File, "new.md", &room.folder)?;
    ensure!(room.text(&after.id).await? == "content");
    ensure!(room.names(&room.folder).await? == ["new.md"]);
    if !room.semantics().stable_ids {
        missing(room.get(&made.reference()).await, "the old id")?;
    }
    Ok(())
}

async fn renaming_onto_a_taken_name(room: &Room) -> anyhow::Result<()> {
    let one = room.put("one", "1").await?;
    let two = room.put("two", "22").await?;
    let refused =
        room.storage.relocate(&room.cx, &one.reference(), &room.at("two"), Conflict::Fail).await;
    taken(refused, "fail")?;
    ensure!(room.text(&one.id).await? == "1" && room.text(&two.id).await? == "22");
    let placed =
        room.storage.place(&room.cx, &one.reference(), &room.at("two"), Policy::KeepBoth).await?;
    ensure!(placed.entry.name == "two (1)", "{}", placed.entry.name);
    let there = room
        .storage
        .place(&room.cx, &placed.entry.reference(), &room.at("two"), Policy::Replace)
        .await?;
    ensure!(room.text(&there.entry.id).await? == "1");
    ensure!(room.names(&room.folder).await? == ["two"]);
    Ok(())
}

async fn renaming_to_its_own_name_changes_nothing(room: &Room) -> anyhow::Result<()> {
    let made = room.put("same", "content").await?;
    for policy in [Policy::Fail, Policy::Replace, Policy::KeepBoth] {
        let after =
            room.storage.place(&room.cx, &made.reference(), &room.at("same"), policy).await?;
        ensure!(after.entry.name == "same", "{policy:?} gave {}", after.entry.name);
    }
    ensure!(room.text(&made.id).await? == "content");
    Ok(())
}

async fn renaming_only_by_case(room: &Room) -> anyhow::Result<()> {
    let made = room.put("readme", "content").await?;
    let after = room
        .storage
        .relocate(&room.cx, &made.reference(), &room.at("README"), Conflict::Fail)
        .await?;
    ensure!(after.name == "README" && room.text(&after.id).await? == "content");
    ensure!(room.names(&room.folder).await? == ["README"]);
    Ok(())
}

async fn moving_keeps_the_content(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "content").await?;
    let folder = room.folder("into").await?;
    let to = Place::new(folder.id.clone(), "b.txt");
    let after = room.storage.relocate(&room.cx, &made.reference(), &to, Conflict::Fail).await?;
    is(&after, EntryKind::File, "b.txt", &folder.id)?;
    ensure!(room.text(&after.id).await? == "content");
    ensure!(room.names(&room.folder).await? == ["into"]);
    ensure!(room.names(&folder.id).await? == ["b.txt"]);
    Ok(())
}

async fn moving_to_a_folder_that_is_not_there(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "content").await?;
    let gone = room.folder("gone").await?;
    room.delete(&gone.reference(), true).await?;
    let to = Place::new(gone.id, "a.txt");
    let moved = room.storage.relocate(&room.cx, &made.reference(), &to, Conflict::Fail).await;
    fails(moved, |kind| *kind == Kind::ParentNotFound, "move")?;
    ensure!(room.text(&made.id).await? == "content", "the file was lost");
    Ok(())
}

async fn copying_leaves_the_source(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "content").await?;
    let copy =
        room.storage.copy(&room.cx, &made.reference(), &room.at("b.txt"), Conflict::Fail).await?;
    is(&copy, EntryKind::File, "b.txt", &room.folder)?;
    ensure!(copy.id != made.id, "the copy has the id of the source");
    ensure!(room.text(&copy.id).await? == "content" && room.text(&made.id).await? == "content");
    Ok(())
}

async fn copying_onto_a_taken_name(room: &Room) -> anyhow::Result<()> {
    let one = room.put("one", "1").await?;
    let two = room.put("two", "22").await?;
    let refused =
        room.storage.copy(&room.cx, &one.reference(), &room.at("two"), Conflict::Fail).await;
    taken(refused, "fail")?;
    ensure!(room.text(&two.id).await? == "22");
    let copy =
        room.storage.copy(&room.cx, &one.reference(), &room.at("two"), Conflict::Replace).await?;
    ensure!(room.text(&copy.id).await? == "1" && room.text(&one.id).await? == "1");
    let nowhere = EntryRef::file(two.id);
    room.delete(&copy.reference(), false).await?;
    missing(
        room.storage.copy(&room.cx, &nowhere, &room.at("three"), Conflict::Fail).await,
        "copying what is not there",
    )
}

async fn deleting_deletes(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "content").await?;
    room.delete(&made.reference(), false).await?;
    missing(room.get(&made.reference()).await, "after the delete")?;
    ensure!(room.names(&room.folder).await?.is_empty());
    let nowhere = EntryRef::file(NativeId::new(format!("{}-nowhere", made.id)));
    missing(room.delete(&nowhere, false).await, "what never was")
}

async fn deleting_for_good(room: &Room) -> anyhow::Result<()> {
    let made = room.put("a.txt", "content").await?;
    let how = DeleteOptions { permanent: true, ..DeleteOptions::default() };
    room.storage.delete(&room.cx, &made.reference(), &how).await?;
    missing(room.get(&made.reference()).await, "after the delete")
}

async fn many_writers_of_one_name_lose_nothing(room: &Room) -> anyhow::Result<()> {
    let writers = (0..8).map(|n| async move {
        let content = format!("writer {n}");
        let placed = room.upload("same.txt", &content, Policy::KeepBoth).await?;
        anyhow::Ok((placed.entry.id, content))
    });
    let placed = futures::future::try_join_all(writers).await?;
    ensure!(room.names(&room.folder).await?.len() == 8, "{:?}", room.names(&room.folder).await?);
    for (id, content) in placed {
        ensure!(room.text(&id).await? == content, "{id} holds another writer's content");
    }
    Ok(())
}

async fn many_writers_of_many_names(room: &Room) -> anyhow::Result<()> {
    let writers = (0..24).map(|n| async move { room.put(&format!("{n}"), &format!("{n}")).await });
    futures::future::try_join_all(writers).await?;
    ensure!(room.names(&room.folder).await?.len() == 24);
    Ok(())
}

async fn times_are_kept_where_they_can_be(room: &Room) -> anyhow::Result<()> {
    let wanted = Timestamp::from_seconds(1_600_000_000);
    let how = WriteOptions { modified: Some(wanted), ..WriteOptions::fail() };
    let made = room.storage.create(&room.cx, &room.at("t"), Body::from_bytes("x"), &how).await?;
    ensure!(room.text(&made.id).await? == "x");
    let told = room.get(&made.reference()).await?.modified;
    ensure!(told == made.modified, "create told {:?}, get tells {told:?}", made.modified);
    ensure!(room.can(Op::FileCreate));
    Ok(())
}
