//! The folder of one check, and the short words in which checks are written.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::stream;
use tramontane_connector::storage::{ByteRange, DeleteOptions, ReadOptions};
use tramontane_connector::{
    Body, Changes, Collection, Cx, Entry, EntryKind, EntryRef, Error, Kind, Place, Semantics,
    Storage, WriteOptions,
};
use tramontane_fill::{Filled, Placed, Policy};
use tramontane_model::{NativeId, Op, Ops, PageRequest};

use super::Ground;

/// The most that a check reads into memory, in bytes.
const MOST: usize = 64 << 20;

/// The collection that a ground is in, and what tells of it.
#[derive(Clone)]
pub struct Followed {
    /// The account's changes.
    pub changes: Arc<dyn Changes>,
    /// The collection.
    pub of: Collection,
}

/// A folder of a check's own.
pub struct Room {
    /// The account's files.
    pub storage: Arc<Filled>,
    /// The context of calls.
    pub cx: Cx,
    /// The folder.
    pub folder: NativeId,
    /// What tells of changes in it.
    pub followed: Option<Followed>,
    supported: Ops,
}

impl Room {
    pub(super) async fn open(ground: &Ground, name: &str) -> anyhow::Result<Self> {
        let at = Place::new(ground.scratch.clone(), name);
        let cx = ground.cx.within(std::time::Duration::from_secs(120));
        let made = ground.storage.create_folder(&cx, &at).await;
        let folder = made.with_context(|| format!("the folder of check {name} cannot be made"))?;
        let supported = ground.supported();
        let (storage, followed) = (Arc::clone(&ground.storage), ground.followed.clone());
        Ok(Self { storage, cx, folder: folder.id, followed, supported })
    }

    pub(super) async fn close(self) {
        let all = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        // What is left does not disturb other checks.
        let _ = self.storage.delete(&self.cx, &EntryRef::folder(self.folder), &all).await;
    }

    pub(super) fn semantics(&self) -> Semantics {
        self.storage.abilities(&self.cx.account).semantics
    }

    pub(super) fn can(&self, op: Op) -> bool {
        self.supported.has(op)
    }

    pub(super) fn at(&self, name: &str) -> Place {
        Place::new(self.folder.clone(), name)
    }

    /// Makes a file in the room.
    pub(super) async fn put(&self, name: &str, content: &str) -> anyhow::Result<Entry> {
        self.put_at(&self.at(name), content).await
    }

    pub(super) async fn put_at(&self, at: &Place, content: &str) -> anyhow::Result<Entry> {
        let body = Body::from_bytes(content.to_owned());
        let made = self.storage.create(&self.cx, at, body, &WriteOptions::fail()).await;
        made.with_context(|| format!("creating {:?}", at.name))
    }

    /// Makes a folder in the room.
    pub(super) async fn folder(&self, name: &str) -> anyhow::Result<Entry> {
        self.folder_at(&self.at(name)).await
    }

    pub(super) async fn folder_at(&self, at: &Place) -> anyhow::Result<Entry> {
        let made = self.storage.create_folder(&self.cx, at).await;
        made.with_context(|| format!("making the folder {:?}", at.name))
    }

    pub(super) async fn upload(
        &self,
        name: &str,
        content: &str,
        policy: Policy,
    ) -> Result<Placed, Error> {
        let body = Body::from_bytes(content.to_owned());
        self.storage.upload(&self.cx, &self.at(name), body, policy, &WriteOptions::fail()).await
    }

    pub(super) async fn get(&self, of: &EntryRef) -> Result<Entry, Error> {
        self.storage.get(&self.cx, of).await
    }

    /// The whole content of a file.
    pub(super) async fn content(&self, file: &NativeId) -> anyhow::Result<Bytes> {
        let read =
            self.storage.read(&self.cx, file, &ReadOptions::default()).await.context("reading")?;
        read.body.collect(MOST).await.context("reading the body")
    }

    pub(super) async fn text(&self, file: &NativeId) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.content(file).await?).into_owned())
    }

    pub(super) async fn range(
        &self,
        file: &NativeId,
        range: ByteRange,
    ) -> Result<(u64, Bytes), Error> {
        let how = ReadOptions { range: Some(range), export: None };
        let read = self.storage.read(&self.cx, file, &how).await?;
        Ok((read.offset, read.body.collect(MOST).await?))
    }

    /// All children of a folder, page by page, each exactly once.
    pub(super) async fn children(
        &self,
        folder: &NativeId,
        page: usize,
    ) -> anyhow::Result<Vec<Entry>> {
        let mut all = Vec::new();
        let mut request = PageRequest::first(page);
        for _ in 0..100_000 {
            let got = self.storage.list(&self.cx, folder, &request).await.context("listing")?;
            ensure!(got.items.len() <= page, "a page of {page} holds {}", got.items.len());
            all.extend(got.items);
            match got.next {
                Some(next) => request = PageRequest::after(next, page),
                None => return Ok(all),
            }
        }
        bail!("the listing does not end")
    }

    /// The names in a folder, sorted.
    pub(super) async fn names(&self, folder: &NativeId) -> anyhow::Result<Vec<String>> {
        let mut names: Vec<String> =
            self.children(folder, 1000).await?.into_iter().map(|entry| entry.name).collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn delete(&self, what: &EntryRef, recursive: bool) -> Result<(), Error> {
        let how = DeleteOptions { recursive, ..DeleteOptions::default() };
        self.storage.delete(&self.cx, what, &how).await
    }
}

/// Some bytes that do not repeat soon.
pub(super) fn noise(len: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    Bytes::from(bytes)
}

/// The bytes as a stream of pieces, with or without its length told.
pub(super) fn pieces(bytes: &Bytes, size: usize, told: bool) -> Body {
    let len = told.then_some(bytes.len() as u64);
    let mut rest = bytes.clone();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(Ok(rest.split_to(rest.len().min(size))));
    }
    Body::new(stream::iter(parts), len)
}

/// Holds when a call failed in this way.
pub(super) fn fails<T: std::fmt::Debug>(
    outcome: Result<T, Error>,
    fits: impl Fn(&Kind) -> bool,
    what: &str,
) -> anyhow::Result<()> {
    match outcome {
        Err(error) if fits(&error.kind) => Ok(()),
        Err(error) => bail!("{what}: failed as {:?}: {error}", error.kind),
        Ok(done) => bail!("{what}: did not fail, gave {done:?}"),
    }
}

/// Holds when it is not there.
pub(super) fn missing<T: std::fmt::Debug>(
    outcome: Result<T, Error>,
    what: &str,
) -> anyhow::Result<()> {
    fails(outcome, |kind| *kind == Kind::NotFound, what)
}

/// Holds when the name was taken.
pub(super) fn taken<T: std::fmt::Debug>(
    outcome: Result<T, Error>,
    what: &str,
) -> anyhow::Result<()> {
    fails(outcome, |kind| matches!(kind, Kind::Conflict(_)), what)
}

pub(super) fn is(
    entry: &Entry,
    kind: EntryKind,
    name: &str,
    parent: &NativeId,
) -> anyhow::Result<()> {
    ensure!(entry.kind == kind, "kind is {:?}", entry.kind);
    ensure!(entry.name == name, "name is {:?}, not {name:?}", entry.name);
    let above = entry.parent.as_ref().map(|above| &above.id);
    ensure!(above == Some(parent), "parent is {above:?}, not {parent:?}");
    Ok(())
}

impl Room {
    /// The first page of a folder.
    pub(super) async fn children_result(&self, folder: &NativeId) -> Result<usize, Error> {
        Ok(self.storage.list(&self.cx, folder, &PageRequest::first(10)).await?.items.len())
    }
}
