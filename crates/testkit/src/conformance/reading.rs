//! Content and metadata as they are read.

use anyhow::{Context as _, ensure};
use tramontane_connector::storage::{ByteRange, ReadOptions};
use tramontane_connector::{EntryKind, EntryRef, HashKind, Kind, Storage, WriteOptions};
use tramontane_model::{NativeId, Op};

use super::room::{Room, fails, is, missing, noise, pieces};
use super::suite;

suite! {
    metadata_is_the_same_from_create_get_list_and_child [FileCreate, FolderList];
    content_comes_back_as_it_went_in [FileCreate, FileDownload];
    an_empty_file_is_empty [FileCreate, FileDownload];
    a_large_file_comes_back_whole [FileCreate, FileDownload] slow;
    ranges_are_exact [FileCreate, FileRange];
    ranges_outside_are_refused [FileCreate, FileRange];
    what_is_not_there_is_not_found [FileCreate, FileDelete, FolderCreate];
    the_wrong_kind_is_not_found [FileCreate, FolderCreate];
    the_root_is_a_folder [FolderList];
    etags_change_with_the_content [FileCreate, FileUpdate];
    hashes_are_right [FileCreate, FileHash];
    quota_adds_up [QuotaRead];
    a_picture_has_a_thumbnail [FileCreate, FileThumbnail];
}

async fn metadata_is_the_same_from_create_get_list_and_child(room: &Room) -> anyhow::Result<()> {
    let made = room.put("one.txt", "hello").await?;
    is(&made, EntryKind::File, "one.txt", &room.folder)?;
    ensure!(made.size == Some(5), "size is {:?}", made.size);
    ensure!(made.downloadable, "not downloadable");
    let got = room.get(&made.reference()).await?;
    let listed = room.children(&room.folder, 100).await?;
    let listed = listed.into_iter().find(|entry| entry.id == made.id).context("not listed")?;
    let child =
        room.storage.child(&room.cx, &room.at("one.txt")).await?.context("no such child")?;
    for other in [&got, &listed, &child] {
        ensure!(other.id == made.id && other.name == made.name && other.size == made.size);
        ensure!(other.parent.as_ref().map(|above| &above.id) == Some(&room.folder));
        ensure!(other.etag == made.etag, "etags differ: {:?} and {:?}", other.etag, made.etag);
        ensure!(other.modified == got.modified, "times differ");
    }
    ensure!(got.modified.is_some(), "no modification time");
    let none = room.storage.child(&room.cx, &room.at("two.txt")).await?;
    ensure!(none.is_none(), "a child that is not there: {none:?}");
    Ok(())
}

async fn content_comes_back_as_it_went_in(room: &Room) -> anyhow::Result<()> {
    for (n, len) in [1usize, 255, 8_191, 65_537, 300_000].into_iter().enumerate() {
        let sent = noise(len);
        let name = format!("{n}.bin");
        let body = pieces(&sent, 10_000, true);
        let made =
            room.storage.create(&room.cx, &room.at(&name), body, &WriteOptions::fail()).await?;
        ensure!(made.size == Some(len as u64), "size is {:?}, not {len}", made.size);
        ensure!(room.content(&made.id).await? == sent, "content of {len} bytes differs");
    }
    Ok(())
}

async fn an_empty_file_is_empty(room: &Room) -> anyhow::Result<()> {
    let made = room.put("empty", "").await?;
    ensure!(made.size == Some(0), "size is {:?}", made.size);
    ensure!(room.content(&made.id).await?.is_empty());
    ensure!(room.get(&made.reference()).await?.size == Some(0));
    Ok(())
}

async fn a_large_file_comes_back_whole(room: &Room) -> anyhow::Result<()> {
    let sent = noise(24 << 20);
    let body = pieces(&sent, 100_000, true);
    let made =
        room.storage.create(&room.cx, &room.at("large"), body, &WriteOptions::fail()).await?;
    ensure!(room.content(&made.id).await? == sent, "content differs");
    let (offset, part) =
        room.range(&made.id, ByteRange::From(20 << 20, Some((20 << 20) + 99))).await?;
    ensure!(offset == 20 << 20 && part == sent.slice(20 << 20..(20 << 20) + 100));
    Ok(())
}

async fn ranges_are_exact(room: &Room) -> anyhow::Result<()> {
    let sent = noise(100_000);
    let body = pieces(&sent, 10_000, true);
    let made = room.storage.create(&room.cx, &room.at("r"), body, &WriteOptions::fail()).await?;
    for (range, from, to) in [
        (ByteRange::From(0, Some(0)), 0, 1),
        (ByteRange::From(10, Some(19)), 10, 20),
        (ByteRange::From(99_999, None), 99_999, 100_000),
        (ByteRange::From(50_000, Some(1_000_000)), 50_000, 100_000),
        (ByteRange::Last(1), 99_999, 100_000),
        (ByteRange::Last(70_000), 30_000, 100_000),
        (ByteRange::Last(1_000_000), 0, 100_000),
    ] {
        let (offset, got) =
            room.range(&made.id, range).await.with_context(|| format!("{range:?}"))?;
        ensure!(offset == from as u64, "{range:?} begins at {offset}");
        ensure!(got == sent.slice(from..to), "{range:?} gave {} bytes", got.len());
    }
    Ok(())
}

async fn ranges_outside_are_refused(room: &Room) -> anyhow::Result<()> {
    let made = room.put("r", "0123456789").await?;
    let outside = |kind: &Kind| matches!(kind, Kind::Range(_));
    fails(room.range(&made.id, ByteRange::From(10, None)).await, outside, "from the end")?;
    fails(room.range(&made.id, ByteRange::From(500, Some(600))).await, outside, "far outside")?;
    Ok(())
}

async fn what_is_not_there_is_not_found(room: &Room) -> anyhow::Result<()> {
    let file = room.put("gone.txt", "x").await?;
    let folder = room.folder("gone").await?;
    room.delete(&file.reference(), false).await?;
    room.delete(&folder.reference(), false).await?;
    missing(room.get(&file.reference()).await, "get file")?;
    missing(room.get(&folder.reference()).await, "get folder")?;
    missing(room.storage.read(&room.cx, &file.id, &ReadOptions::default()).await, "read")?;
    missing(room.children_result(&folder.id).await, "list")?;
    missing(room.delete(&file.reference(), false).await, "delete file")?;
    missing(room.delete(&folder.reference(), true).await, "delete folder")?;
    if room.can(Op::FileUpdate) {
        let body = pieces(&noise(3), 3, true);
        missing(room.storage.update(&room.cx, &file.id, body, None).await, "update")?;
    }
    Ok(())
}

async fn the_wrong_kind_is_not_found(room: &Room) -> anyhow::Result<()> {
    let file = room.put("file", "x").await?;
    let folder = room.folder("folder").await?;
    missing(room.get(&EntryRef::folder(file.id.clone())).await, "a file as a folder")?;
    missing(room.get(&EntryRef::file(folder.id.clone())).await, "a folder as a file")?;
    missing(room.children_result(&file.id).await, "listing a file")?;
    missing(
        room.storage.read(&room.cx, &folder.id, &ReadOptions::default()).await,
        "reading a folder",
    )?;
    Ok(())
}

async fn the_root_is_a_folder(room: &Room) -> anyhow::Result<()> {
    let root = room.storage.root(&room.cx.account);
    let entry = room.get(&EntryRef::folder(root.clone())).await?;
    ensure!(entry.is_folder() && entry.id == root && entry.parent.is_none());
    room.children_result(&root).await?;
    Ok(())
}

async fn etags_change_with_the_content(room: &Room) -> anyhow::Result<()> {
    let made = room.put("e", "one").await?;
    let Some(before) = made.etag.clone() else { return Ok(()) };
    ensure!(room.get(&made.reference()).await?.etag.as_ref() == Some(&before), "unstable etag");
    // Another size, so that weak tags of whole-second times see it too.
    let body = pieces(&noise(77), 77, true);
    let after = room.storage.update(&room.cx, &made.id, body, None).await?;
    ensure!(after.etag.is_some() && after.etag != Some(before), "the etag did not change");
    Ok(())
}

async fn hashes_are_right(room: &Room) -> anyhow::Result<()> {
    let made = room.put("h", "hello").await?;
    for (kind, right) in [
        (HashKind::Md5, "5d41402abc4b2a76b9719d911017c592"),
        (HashKind::Sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        (HashKind::Sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    ] {
        let hash = room.storage.hash(&room.cx, &made.id, kind).await?;
        ensure!(hash == right, "{kind:?} is {hash}");
    }
    let told = made.hashes.md5.as_deref();
    ensure!(told.is_none_or(|told| told == "5d41402abc4b2a76b9719d911017c592"), "told {told:?}");
    let nowhere = NativeId::new("/no/such/file/here");
    ensure!(room.storage.hash(&room.cx, &nowhere, HashKind::Md5).await.is_err());
    Ok(())
}

async fn quota_adds_up(room: &Room) -> anyhow::Result<()> {
    let quota = room.storage.quota(&room.cx).await?;
    if let (Some(used), Some(total)) = (quota.used, quota.total) {
        ensure!(used <= total, "{used} of {total} used");
    }
    Ok(())
}

/// A red picture of 2 by 2 pixels, as PNG.
const PICTURE: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0,
    0, 0, 253, 212, 154, 115, 0, 0, 0, 18, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 0, 66, 12,
    16, 26, 0, 30, 0, 3, 253, 62, 92, 71, 51, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

async fn a_picture_has_a_thumbnail(room: &Room) -> anyhow::Result<()> {
    let body = pieces(&bytes::Bytes::from_static(PICTURE), 1000, true);
    let made =
        room.storage.create(&room.cx, &room.at("red.png"), body, &WriteOptions::fail()).await?;
    let size = tramontane_connector::storage::ThumbnailSize(64);
    match room.storage.thumbnail(&room.cx, &made.id, size).await {
        Ok(body) => {
            let picture = body.collect(1 << 20).await?;
            let known = picture.starts_with(&[0xff, 0xd8]) || picture.starts_with(&PICTURE[..4]);
            ensure!(known, "neither JPEG nor PNG");
        }
        Err(error) => ensure!(error.kind == Kind::NotFound, "{error}"),
    }
    let text = room.put("words.txt", "no picture").await?;
    missing(room.storage.thumbnail(&room.cx, &text.id, size).await, "a picture of words")
}
