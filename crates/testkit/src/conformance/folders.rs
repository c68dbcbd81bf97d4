//! Folders made, renamed, moved, copied, deleted.

use anyhow::ensure;
use tramontane_connector::{Conflict, EntryKind, EntryRef, Kind, Place, Storage};
use tramontane_fill::{FolderPolicy, Policy, Quiet};
use tramontane_model::{NativeId, Op};

use super::room::{Room, fails, is, missing, taken};
use super::suite;

suite! {
    a_folder_is_made_once [FolderCreate];
    an_empty_folder_is_seen [FolderCreate, FolderList];
    a_folder_in_a_folder_that_is_not_there [FolderCreate];
    a_full_folder_is_not_deleted_by_accident [FolderCreate, FileCreate];
    a_folder_goes_with_all_below [FolderCreate, FileCreate, FolderDelete];
    renaming_a_folder_takes_all_along [FolderCreate, FileCreate, FolderRename];
    moving_a_folder_takes_all_along [FolderCreate, FileCreate, FolderMove];
    a_folder_cannot_go_into_itself [FolderCreate, FolderMove];
    copying_a_folder_copies_all [FolderCreate, FileCreate, FolderCopy];
    folders_merge_when_replacing [FolderCreate, FileCreate, FolderMove];
    deep_paths_work [FolderCreate, FileCreate];
    the_root_stays [FolderCreate];
}

/// `top/a.txt`, `top/sub/b.txt`, `top/sub/deep/c.txt`, `top/empty`.
async fn tree(room: &Room, top: &str) -> anyhow::Result<EntryRef> {
    let top = room.folder(top).await?;
    room.put_at(&Place::new(top.id.clone(), "a.txt"), "a").await?;
    let sub = room.folder_at(&Place::new(top.id.clone(), "sub")).await?;
    room.put_at(&Place::new(sub.id.clone(), "b.txt"), "bb").await?;
    let deep = room.folder_at(&Place::new(sub.id, "deep")).await?;
    room.put_at(&Place::new(deep.id, "c.txt"), "ccc").await?;
    room.folder_at(&Place::new(top.id.clone(), "empty")).await?;
    Ok(top.reference())
}

/// Every path below a folder with its size, sorted.
async fn below(room: &Room, folder: &NativeId) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![(folder.clone(), String::new())];
    while let Some((id, path)) = open.pop() {
        for entry in room.children(&id, 100).await? {
            let path = format!("{path}/{}", entry.name);
            if entry.is_folder() {
                open.push((entry.id, path.clone()));
                found.push(path);
            } else {
                found.push(format!("{path}={}", entry.size.unwrap_or(0)));
            }
        }
    }
    found.sort();
    Ok(found)
}

const WHOLE: [&str; 6] =
    ["/a.txt=1", "/empty", "/sub", "/sub/b.txt=2", "/sub/deep", "/sub/deep/c.txt=3"];

async fn a_folder_is_made_once(room: &Room) -> anyhow::Result<()> {
    let made = room.folder("f").await?;
    is(&made, EntryKind::Folder, "f", &room.folder)?;
    ensure!(made.can_create_folders && made.can_upload_files && made.size.is_none());
    taken(room.storage.create_folder(&room.cx, &room.at("f")).await, "again")?;
    let there = room.storage.make_folder(&room.cx, &room.at("f"), FolderPolicy::Existing).await?;
    ensure!(!there.created && there.entry.id == made.id);
    let beside = room.storage.make_folder(&room.cx, &room.at("f"), FolderPolicy::KeepBoth).await?;
    ensure!(beside.created && beside.entry.name == "f (1)", "{}", beside.entry.name);
    if !room.semantics().duplicate_names {
        room.put("file", "x").await?;
        let refused =
            room.storage.make_folder(&room.cx, &room.at("file"), FolderPolicy::Existing).await;
        taken(refused, "a file of that name")?;
    }
    Ok(())
}

async fn an_empty_folder_is_seen(room: &Room) -> anyhow::Result<()> {
    let made = room.folder("empty").await?;
    ensure!(room.get(&made.reference()).await?.id == made.id);
    ensure!(room.names(&room.folder).await? == ["empty"]);
    ensure!(room.children(&made.id, 10).await?.is_empty());
    Ok(())
}

async fn a_folder_in_a_folder_that_is_not_there(room: &Room) -> anyhow::Result<()> {
    let gone = room.folder("gone").await?;
    room.delete(&gone.reference(), false).await?;
    let made = room.storage.create_folder(&room.cx, &Place::new(gone.id, "f")).await;
    fails(made, |kind| *kind == Kind::ParentNotFound, "create")
}

async fn a_full_folder_is_not_deleted_by_accident(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    let refused = room.delete(&top, false).await;
    fails(refused, |kind| *kind == Kind::NotEmpty, "delete")?;
    let left = below(room, &top.id).await?;
    ensure!(left == WHOLE, "something was deleted: {left:?}");
    Ok(())
}

async fn a_folder_goes_with_all_below(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    room.delete(&top, true).await?;
    missing(room.get(&top).await, "the folder")?;
    ensure!(room.names(&room.folder).await?.is_empty());
    Ok(())
}

async fn renaming_a_folder_takes_all_along(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    let after =
        room.storage.relocate(&room.cx, &top, &room.at("named anew"), Conflict::Fail).await?;
    is(&after, EntryKind::Folder, "named anew", &room.folder)?;
    let now = below(room, &after.id).await?;
    ensure!(now == WHOLE, "{now:?}");
    ensure!(room.names(&room.folder).await? == ["named anew"]);
    room.folder("other").await?;
    let other = room
        .storage
        .relocate(&room.cx, &after.reference(), &room.at("other"), Conflict::Fail)
        .await;
    taken(other, "onto a folder")
}

async fn moving_a_folder_takes_all_along(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    let into = room.folder("into").await?;
    let to = Place::new(into.id.clone(), "top");
    let after = room.storage.relocate(&room.cx, &top, &to, Conflict::Fail).await?;
    is(&after, EntryKind::Folder, "top", &into.id)?;
    let now = below(room, &after.id).await?;
    ensure!(now == WHOLE, "{now:?}");
    ensure!(room.names(&room.folder).await? == ["into"]);
    Ok(())
}

fn into_itself(kind: &Kind) -> bool {
    matches!(kind, Kind::IntoItself | Kind::ParentNotFound)
}

async fn a_folder_cannot_go_into_itself(room: &Room) -> anyhow::Result<()> {
    let top = room.folder("top").await?;
    let sub = room.folder_at(&Place::new(top.id.clone(), "sub")).await?;
    for parent in [&top.id, &sub.id] {
        let to = Place::new(parent.clone(), "top");
        for policy in [Policy::Fail, Policy::Replace, Policy::KeepBoth] {
            let moved = room.storage.place(&room.cx, &top.reference(), &to, policy).await;
            fails(moved, into_itself, "move")?;
            if room.can(Op::FolderCopy) {
                let copied =
                    room.storage.duplicate(&room.cx, &top.reference(), &to, policy, &Quiet).await;
                fails(copied, into_itself, "copy")?;
            }
        }
    }
    room.get(&sub.reference()).await?;
    Ok(())
}

async fn copying_a_folder_copies_all(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    let copied =
        room.storage.duplicate(&room.cx, &top, &room.at("copy"), Policy::Fail, &Quiet).await?;
    ensure!(copied.created && copied.skipped.is_empty(), "{:?}", copied.skipped);
    for id in [&top.id, &copied.entry.id] {
        let found = below(room, id).await?;
        ensure!(found == WHOLE, "{found:?}");
    }
    let again =
        room.storage.duplicate(&room.cx, &top, &room.at("copy"), Policy::KeepBoth, &Quiet).await?;
    ensure!(again.entry.name == "copy (1)", "{}", again.entry.name);
    taken(
        room.storage.duplicate(&room.cx, &top, &room.at("copy"), Policy::Fail, &Quiet).await,
        "fail",
    )
}

async fn folders_merge_when_replacing(room: &Room) -> anyhow::Result<()> {
    let top = tree(room, "top").await?;
    let other = room.folder("other").await?;
    room.put_at(&Place::new(other.id.clone(), "a.txt"), "to be replaced").await?;
    room.put_at(&Place::new(other.id.clone(), "stays.txt"), "stays").await?;
    let merged = room.storage.place(&room.cx, &top, &room.at("other"), Policy::Replace).await?;
    ensure!(!merged.created);
    let mut expected: Vec<String> = WHOLE.iter().map(ToString::to_string).collect();
    expected.push("/stays.txt=5".into());
    expected.sort();
    let found = below(room, &merged.entry.id).await?;
    ensure!(found == expected, "{found:?}");
    ensure!(room.names(&room.folder).await? == ["other"]);
    Ok(())
}

async fn deep_paths_work(room: &Room) -> anyhow::Result<()> {
    let mut at = room.folder.clone();
    for level in 0..30 {
        at = room.folder_at(&Place::new(at, format!("level {level}"))).await?.id;
    }
    let made = room.put_at(&Place::new(at.clone(), "deep.txt"), "deep").await?;
    ensure!(room.text(&made.id).await? == "deep");
    ensure!(room.names(&at).await? == ["deep.txt"]);
    Ok(())
}

async fn the_root_stays(room: &Room) -> anyhow::Result<()> {
    let root = EntryRef::folder(room.storage.root(&room.cx.account));
    ensure!(room.delete(&root, false).await.is_err(), "the root was deleted");
    ensure!(room.delete(&root, true).await.is_err(), "the root was deleted with all below");
    let moved = room.storage.relocate(&room.cx, &root, &room.at("root"), Conflict::Fail).await;
    ensure!(moved.is_err(), "the root was moved");
    Ok(())
}
