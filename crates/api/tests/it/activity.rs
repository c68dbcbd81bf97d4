//! What happens in accounts, written to the log by hand: no service is asked.

use std::collections::BTreeMap;

use tramontane_activity::segment::{Group, encode};
use tramontane_activity::{Action, Category, Event, Object};
use tramontane_feeds::shard;
use tramontane_model::AccountId;
use tramontane_store::log::{self, Append, Commit, Committed};
use tramontane_store::shards;

use crate::house::House;

/// The writer of all shards.
pub(crate) struct Writer<'a> {
    house: &'a House,
    epochs: BTreeMap<i64, i64>,
    /// The day that is written to.
    pub(crate) slice: i64,
}

impl<'a> Writer<'a> {
    /// Makes the shards and takes them.
    pub(crate) async fn new(house: &'a House) -> Self {
        let db = &house.scratch.db;
        shards::ensure(db, shard::SHARDS).await.unwrap();
        let slice = log::slice_of(house.app().now().micros());
        let mut writer = Self { house, epochs: BTreeMap::new(), slice };
        for id in 0..shard::SHARDS {
            let taken = shards::take(db, id, "test", 1, i64::MAX).await.unwrap().unwrap();
            writer.epochs.insert(id, taken.epoch);
        }
        writer.open(slice).await;
        writer
    }

    /// Goes on in another day.
    pub(crate) async fn open(&mut self, slice: i64) {
        log::ensure_slice(&self.house.scratch.db, slice, 1).await.unwrap();
        self.slice = slice;
    }

    /// Forgets a day.
    pub(crate) async fn drop_slice(&self, slice: i64) {
        log::drop_slice(&self.house.scratch.db, slice).await.unwrap();
    }

    /// Appends events to the default feed of an account.
    pub(crate) async fn happen(&self, account: AccountId, events: &[Event]) {
        self.append(account, account.number(), events).await;
    }

    /// Appends events to a feed of an account, and wakes its readers.
    pub(crate) async fn append(&self, account: AccountId, feed: i64, events: &[Event]) {
        let db = &self.house.scratch.db;
        let shard = shard::of(account.number());
        let head = log::extent(db, feed).await.unwrap().unwrap().head;
        let group = Group::of(feed, head + 1, events).unwrap();
        let count = i64::try_from(events.len()).unwrap();
        let append = Append { feed, head, events: count, body: encode(&[group]), opens: true };
        let commit = Commit {
            shard,
            epoch: self.epochs[&shard],
            slice: self.slice,
            now: self.house.app().now().micros(),
            appends: vec![append],
            ..Commit::default()
        };
        let done = log::commit(db, &commit).await.unwrap();
        let Committed::At(first) = done else { panic!("not committed: {done:?}") };
        let live = self.house.app().log().live();
        live.feed_grew(feed, head + count);
        live.shard_grew(shard, first + count - 1);
    }

    /// Appends an event for each name.
    pub(crate) async fn files(&self, account: AccountId, names: &[&str]) {
        let events: Vec<Event> = names.iter().map(|name| event(Action::Add, name)).collect();
        self.happen(account, &events).await;
    }
}

/// An event about a file, with nothing known but its name.
pub(crate) fn event(action: Action, name: &str) -> Event {
    Event {
        action,
        category: Category::Storage,
        subtype: None,
        object: Object {
            kind: "file".into(),
            id: format!("id-{name}"),
            name: name.into(),
            parent: Some("folder-1".into()),
            path: Some(format!("/f/{name}")),
        },
        before: None,
        happened: None,
        detected: 1_772_442_900_000_000,
        actor: None,
        entry: tramontane_activity::Metadata::default(),
        recovered: false,
        above: Vec::new(),
    }
}
