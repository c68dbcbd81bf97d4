//! Changes by cursor: everything that is done shows, a listing shows everything, nothing falls between the two.

use anyhow::{Context as _, bail, ensure};
use tramontane_connector::changes::Collection;
use tramontane_connector::{Body, Conflict, Entry, EntryRef, Kind, Place, Storage, WriteOptions};
use tramontane_model::Op;

use super::room::{Followed, Room, fails};
use super::suite;
use crate::mirror::Mirror;

suite! {
    what_is_done_to_a_file_shows [FileCreate, FolderCreate, FileRename, FileMove, FileDelete];
    what_is_done_to_a_folder_shows [FolderCreate, FileCreate, FolderRename, FolderDelete];
    what_comes_back_from_the_trash_shows [FileCreate, FileDelete, TrashRestore];
    a_copied_folder_shows_with_what_is_in_it [FolderCreate, FileCreate, FolderCopy];
    a_listing_shows_everything [FolderCreate, FileCreate];
    what_changes_during_a_listing_is_not_lost [FolderCreate, FileCreate, FileRename, FileDelete];
    a_cursor_that_cannot_be_read_has_expired [FolderCreate];
    a_long_poll_wakes [FolderCreate, FileCreate];
}

/// The feed of a room's account, and what it has shown so far.
struct Feed<'a> {
    room: &'a Room,
    followed: &'a Followed,
    mirror: Mirror,
    cursor: String,
}

impl<'a> Feed<'a> {
    /// Everything that is there, and from here on what changes.
    async fn of(room: &'a Room) -> anyhow::Result<Self> {
        let followed = room.followed.as_ref().context("nothing is followed")?;
        let of = &followed.of;
        let cursor = followed.changes.latest(&room.cx, of).await.context("latest")?;
        let facts = followed.changes.facts(&room.cx.account);
        let mut mirror = Mirror::new(facts.keyed_by, of);
        mirror.list(followed.changes.as_ref(), &room.cx, of, None).await?;
        Ok(Self { room, followed, mirror, cursor })
    }

    fn of_collection(&self) -> &Collection {
        &self.followed.of
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Mirror) -> bool) -> anyhow::Result<()> {
        let (changes, cx) = (self.followed.changes.as_ref(), &self.room.cx);
        let cursor = self.cursor.clone();
        let of = &self.followed.of;
        self.cursor = self.mirror.until(changes, cx, of, cursor, what, holds).await?;
        Ok(())
    }

    /// Waits until a thing shows as the service itself shows it.
    async fn shows(&mut self, entry: &Entry, what: &str) -> anyhow::Result<()> {
        let of = entry.reference();
        let now = self.room.get(&of).await?;
        self.until(what, |mirror| {
            mirror.reached(&of.id).is_some_and(|seen| is_same(seen, &now).is_ok())
        })
        .await
        .map_err(|error| match self.mirror.get(&of.id) {
            Some(seen) => error.context(format!("{:?}", is_same(seen, &now))),
            None => error,
        })
    }

    async fn hides(&mut self, of: &EntryRef, what: &str) -> anyhow::Result<()> {
        let id = of.id.clone();
        self.until(what, |mirror| mirror.reached(&id).is_none()).await
    }
}

/// Whether an observation says what the service says when it is asked.
fn is_same(seen: &Entry, asked: &Entry) -> anyhow::Result<()> {
    ensure!(seen.kind == asked.kind, "kind {:?}, not {:?}", seen.kind, asked.kind);
    ensure!(seen.id == asked.id, "id {:?}, not {:?}", seen.id, asked.id);
    ensure!(seen.name == asked.name, "name {:?}, not {:?}", seen.name, asked.name);
    let folder = |entry: &Entry| entry.parent.as_ref().map(|parent| parent.id.clone());
    ensure!(folder(seen) == folder(asked), "in {:?}, not {:?}", folder(seen), folder(asked));
    ensure!(seen.size == asked.size, "size {:?}, not {:?}", seen.size, asked.size);
    if !seen.is_folder() {
        ensure!(seen.etag == asked.etag, "etag {:?}, not {:?}", seen.etag, asked.etag);
        ensure!(seen.hashes == asked.hashes, "hashes {:?}, not {:?}", seen.hashes, asked.hashes);
        ensure!(
            seen.modified == asked.modified,
            "time {:?}, not {:?}",
            seen.modified,
            asked.modified
        );
    }
    ensure!(seen.trashed.is_none(), "in the trash");
    Ok(())
}

async fn what_is_done_to_a_file_shows(room: &Room) -> anyhow::Result<()> {
    let mut feed = Feed::of(room).await?;
    let folder = room.folder("folder").await?;
    let file = room.put("a.txt", "one").await?;
    feed.shows(&folder, "a folder was made").await?;
    feed.shows(&file, "a file was made").await?;
    let to = room.at("b.txt");
    let file = room.storage.relocate(&room.cx, &file.reference(), &to, Conflict::Fail).await?;
    feed.shows(&file, "a file was renamed").await?;
    if room.can(Op::FileUpdate) {
        let body = Body::from_bytes("longer");
        let updated = room.storage.update(&room.cx, &file.id, body, None).await?;
        ensure!(updated.id == file.id);
        feed.shows(&updated, "a file has other content").await?;
    }
    let to = Place::new(folder.id.clone(), "b.txt");
    let file = room.storage.relocate(&room.cx, &file.reference(), &to, Conflict::Fail).await?;
    feed.shows(&file, "a file was moved").await?;
    room.delete(&file.reference(), false).await?;
    feed.hides(&file.reference(), "a file was deleted").await?;
    // Another file at the same place is another one.
    let body = Body::from_bytes("new");
    let again = room.storage.create(&room.cx, &to, body, &WriteOptions::fail()).await?;
    feed.shows(&again, "a file was made where another one was").await
}

async fn what_is_done_to_a_folder_shows(room: &Room) -> anyhow::Result<()> {
    let mut feed = Feed::of(room).await?;
    let top = room.folder("top").await?;
    let sub = room.folder_at(&Place::new(top.id.clone(), "sub")).await?;
    let file = room.put_at(&Place::new(sub.id.clone(), "deep.txt"), "deep").await?;
    feed.shows(&file, "a file was made in a folder in a folder").await?;
    let to = room.at("renamed");
    let top = room.storage.relocate(&room.cx, &top.reference(), &to, Conflict::Fail).await?;
    feed.shows(&top, "a folder was renamed").await?;
    feed.shows(&sub, "what is in it is there").await?;
    feed.shows(&file, "what is below it is there").await?;
    if room.can(Op::FolderMove) {
        let into = room.folder("into").await?;
        let to = Place::new(into.id.clone(), "renamed");
        let moved = room.storage.relocate(&room.cx, &top.reference(), &to, Conflict::Fail).await?;
        feed.shows(&moved, "a folder was moved").await?;
        feed.shows(&file, "what is below it moved along").await?;
    }
    room.delete(&top.reference(), true).await?;
    feed.hides(&top.reference(), "a folder was deleted").await?;
    feed.hides(&file.reference(), "what was below it is gone").await
}

async fn what_comes_back_from_the_trash_shows(room: &Room) -> anyhow::Result<()> {
    let mut feed = Feed::of(room).await?;
    let file = room.put("thrown.txt", "x").await?;
    feed.shows(&file, "a file was made").await?;
    room.delete(&file.reference(), false).await?;
    feed.hides(&file.reference(), "a file was thrown away").await?;
    let told = feed.mirror.trashed.iter().find(|entry| entry.id == file.id);
    ensure!(
        told.is_none_or(|entry| entry.trashed.is_some()),
        "told as if it were not in the trash"
    );
    let trash = room.storage.trash().context("declared, but not there")?;
    let back = trash.restore(&room.cx, &file.reference(), None, Conflict::Fail).await?;
    feed.shows(&back, "a file came back").await
}

async fn a_copied_folder_shows_with_what_is_in_it(room: &Room) -> anyhow::Result<()> {
    let top = room.folder("top").await?;
    let sub = room.folder_at(&Place::new(top.id.clone(), "sub")).await?;
    room.put_at(&Place::new(sub.id.clone(), "deep.txt"), "deep").await?;
    let mut feed = Feed::of(room).await?;
    let to = room.at("copy");
    let copy = room.storage.copy(&room.cx, &top.reference(), &to, Conflict::Fail).await?;
    feed.shows(&copy, "a folder was copied").await?;
    let mut above = copy.id;
    for name in ["sub", "deep.txt"] {
        let at = Place::new(above, name);
        let below = room.storage.child(&room.cx, &at).await?.context("the copy is not whole")?;
        feed.shows(&below, "what is in a copy is there").await?;
        above = below.id;
    }
    Ok(())
}

async fn a_listing_shows_everything(room: &Room) -> anyhow::Result<()> {
    let mut made = Vec::new();
    let mut above = room.folder.clone();
    for n in 0..3 {
        let folder = room.folder_at(&Place::new(above, format!("level {n}"))).await?;
        above = folder.id.clone();
        made.push(folder);
        for m in 0..4 {
            let at = Place::new(above.clone(), format!("{m} é.txt"));
            made.push(room.put_at(&at, &"x".repeat(m)).await?);
        }
    }
    let feed = Feed::of(room).await?;
    for entry in made {
        let now = room.get(&entry.reference()).await?;
        let seen = feed.mirror.reached(&entry.id);
        let seen = seen.with_context(|| format!("{:?} is not listed", entry.name))?;
        is_same(seen, &now).with_context(|| format!("{:?}", entry.name))?;
    }
    Ok(())
}

async fn what_changes_during_a_listing_is_not_lost(room: &Room) -> anyhow::Result<()> {
    let doomed = room.put("doomed.txt", "x").await?;
    let renamed = room.put("before.txt", "x").await?;
    let followed = room.followed.as_ref().context("nothing is followed")?;
    let (changes, of) = (followed.changes.as_ref(), &followed.of);
    let keyed_by = changes.facts(&room.cx.account).keyed_by;
    let before = changes.latest(&room.cx, of).await?;
    let mut mirror = Mirror::new(keyed_by, of);
    let first = changes.listing(&room.cx, of, None).await?;
    first.entries.iter().for_each(|change| mirror.apply(change));
    room.delete(&doomed.reference(), false).await?;
    let to = room.at("after.txt");
    let renamed =
        room.storage.relocate(&room.cx, &renamed.reference(), &to, Conflict::Fail).await?;
    let made = room.put("made.txt", "x").await?;
    let last = match first.next {
        Some(next) => mirror.list(changes, &room.cx, of, Some(next)).await?.0,
        None => first.cursor,
    };
    // Where a listing ends with a cursor, either of the two may be used.
    for cursor in [Some(before), last].into_iter().flatten() {
        let mut mirror = mirror.clone();
        let right = |mirror: &Mirror| {
            mirror.get(&doomed.id).is_none()
                && mirror.reached(&made.id).is_some()
                && mirror.reached(&renamed.id).is_some_and(|entry| entry.name == "after.txt")
        };
        mirror.until(changes, &room.cx, of, cursor, "all is right at last", right).await?;
    }
    Ok(())
}

async fn a_cursor_that_cannot_be_read_has_expired(room: &Room) -> anyhow::Result<()> {
    let feed = Feed::of(room).await?;
    let (changes, of) = (feed.followed.changes.as_ref(), feed.of_collection());
    let expired = |kind: &Kind| *kind == Kind::CursorExpired;
    for bad in ["nonsense", "{}", "https://example.com/v1.0/me/drive/root/delta?token=x"] {
        fails(changes.changes(&room.cx, of, bad).await, expired, bad)?;
        fails(changes.listing(&room.cx, of, Some(bad)).await, expired, bad)?;
    }
    Ok(())
}

async fn a_long_poll_wakes(room: &Room) -> anyhow::Result<()> {
    let mut feed = Feed::of(room).await?;
    let (changes, of) = (feed.followed.changes.as_ref(), feed.of_collection().clone());
    if !changes.facts(&room.cx.account).waits {
        return Ok(());
    }
    feed.until("all is quiet", |_| true).await?;
    let wait = |cursor: String| {
        let (of, cx) = (of.clone(), room.cx.clone());
        async move { changes.wait(&cx, &of, &cursor, std::time::Duration::from_secs(60)).await }
    };
    let act = async {
        // The poll has begun, in all likelihood; it must wake as well when it has not.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        room.put("news.txt", "x").await
    };
    let (waited, made) = futures::future::join(wait(feed.cursor.clone()), act).await;
    let made = made?;
    let mut waited = waited?;
    // What the poll woke for may be older; then it is asked again.
    for _ in 0..10 {
        ensure!(waited.changed, "the long poll did not wake");
        feed.until("what woke the poll is read", |_| true).await?;
        if feed.mirror.reached(&made.id).is_some() {
            return Ok(());
        }
        waited = wait(feed.cursor.clone()).await?;
    }
    bail!("the long poll wakes for nothing")
}
