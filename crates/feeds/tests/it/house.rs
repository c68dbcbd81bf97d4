//! What the tests stand on: a database with accounts that are followed, and events appended by hand.

use std::future::Future;

use tramontane_activity::segment::{Group, encode};
use tramontane_activity::{Action, Category, Event, Object};
use tramontane_feeds::{Live, Log};
use tramontane_store::feeds::{self, Feed, Subscription};
use tramontane_store::log::{self, Append, Commit, Committed};
use tramontane_store::scratch::{self, Scratch};
use tramontane_store::{Db, shards};

pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) log: Log,
    pub(crate) epoch: i64,
    scratch: Scratch,
}

/// Runs a test on each database engine.
pub(crate) async fn on_each_engine<F: Future<Output = House>>(test: impl Fn(House) -> F) {
    let test = &test;
    scratch::on_each_engine(|scratch| async move {
        let db = scratch.db.clone();
        scratch::seed(&db, &[("one", &[1, 2]), ("two", &[3])]).await;
        shards::ensure(&db, 1).await.unwrap();
        for slice in [1, 2] {
            log::ensure_slice(&db, slice, 1).await.unwrap();
        }
        let epoch = shards::take(&db, 0, "test", 1, i64::MAX).await.unwrap().unwrap().epoch;
        let log = Log::new(db.clone(), Live::default());
        let house = House { db, log, epoch, scratch };
        house.follow(1).await;
        house.follow(2).await;
        house.follow(3).await;
        test(house).await.scratch
    })
    .await;
}

impl House {
    async fn follow(&self, account: i64) {
        let feed = Feed { shard: 0, ..Feed::new(account, 1) };
        let subscription = Subscription::first(format!("sub_{account}"), account, 1);
        assert!(feeds::subscribe(&self.db, &feed, &subscription).await.unwrap());
    }

    /// Commits events with these names to a feed, in a slice, at a moment within it.
    pub(crate) async fn append(&self, feed: i64, slice: i64, at: i64, names: &[&str]) {
        let head = log::extent(&self.db, feed).await.unwrap().unwrap().head;
        let events: Vec<_> = names.iter().map(|name| event(name)).collect();
        let group = Group::of(feed, head + 1, &events).unwrap();
        let append =
            Append { feed, head, events: events.len() as i64, body: encode(&[group]), opens: true };
        let commit = Commit {
            shard: 0,
            epoch: self.epoch,
            slice,
            now: slice * log::SLICE_MICROS + at,
            appends: vec![append],
            ..Commit::default()
        };
        assert!(matches!(log::commit(&self.db, &commit).await.unwrap(), Committed::At(_)));
        self.log.live().feed_grew(feed, head + names.len() as i64);
    }
}

/// An event on a file with this name.
pub(crate) fn event(name: &str) -> Event {
    Event {
        action: Action::Add,
        category: Category::Storage,
        subtype: None,
        object: Object {
            kind: "file".into(),
            id: format!("/{name}"),
            name: name.into(),
            parent: Some("/".into()),
            path: None,
        },
        before: None,
        happened: None,
        detected: 1,
        actor: None,
        entry: tramontane_activity::Metadata::default(),
        recovered: false,
        above: Vec::new(),
    }
}
