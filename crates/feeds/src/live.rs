//! Being woken: who reads a feed or a shard as it grows waits here instead of asking again, and finds the newest
//! rows here instead of in the database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tramontane_store::log::{Commit, Piece};

use crate::recent::Recent;

/// Wakes readers of this process after a commit. It tells numbers, and lends the newest rows as they were
/// committed: readers read the log by number, so being woken twice, late or for nothing does no harm.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    feeds: Mutex<BTreeMap<i64, watch::Sender<i64>>>,
    shards: Mutex<BTreeMap<i64, watch::Sender<i64>>>,
    recent: Recent,
}

/// One reader's place to wait.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<i64>,
    key: i64,
    of: Arc<Inner>,
    shard: bool,
}

impl Watch {
    /// Waits until something was committed since the last call that returned.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The sender lives in the map as long as there are readers.
            std::future::pending::<()>().await;
        }
    }

    /// How far it is known to go: the last number that was told since somebody waits; 0 before.
    #[must_use]
    pub fn head(&self) -> i64 {
        *self.receiver.borrow()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut map = lock(if self.shard { &self.of.shards } else { &self.of.feeds });
        // This one is the last of its kind.
        if map.get(&self.key).is_some_and(|sender| sender.receiver_count() <= 1) {
            map.remove(&self.key);
        }
    }
}

fn lock(
    map: &Mutex<BTreeMap<i64, watch::Sender<i64>>>,
) -> MutexGuard<'_, BTreeMap<i64, watch::Sender<i64>>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(map: &Mutex<BTreeMap<i64, watch::Sender<i64>>>) -> BTreeMap<i64, i64> {
    lock(map).iter().map(|(key, sender)| (*key, *sender.borrow())).collect()
}

impl Live {
    /// Waits for a feed. Take it before reading, so that nothing falls between.
    #[must_use]
    pub fn feed(&self, feed: i64) -> Watch {
        self.watch(feed, false)
    }

    /// Waits for a shard.
    #[must_use]
    pub fn shard(&self, shard: i64) -> Watch {
        self.watch(shard, true)
    }

    fn watch(&self, key: i64, shard: bool) -> Watch {
        let mut map = lock(if shard { &self.0.shards } else { &self.0.feeds });
        let receiver = map.entry(key).or_insert_with(|| watch::channel(0).0).subscribe();
        Watch { receiver, key, of: Arc::clone(&self.0), shard }
    }

    /// Whether somebody reads this feed as it grows: it is looked at more often then.
    #[must_use]
    pub fn is_read(&self, feed: i64) -> bool {
        lock(&self.0.feeds).contains_key(&feed)
    }

    /// The feeds that are waited for, and how far each is known to go.
    #[must_use]
    pub fn feeds(&self) -> BTreeMap<i64, i64> {
        known(&self.0.feeds)
    }

    /// As [`Live::feeds`], of the shards.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<i64, i64> {
        known(&self.0.shards)
    }

    /// Tells what was committed, whose first event has this position. Only after it is durable: what is told here
    /// is read.
    pub fn committed(&self, commit: &Commit, first: i64) {
        let events = commit.events();
        if events == 0 {
            return;
        }
        self.0.recent.take(commit, first);
        for append in &commit.appends {
            self.feed_grew(append.feed, append.head + append.events);
        }
        self.shard_grew(commit.shard, first + events - 1);
    }

    /// The pieces of a shard from a position on, if they are in memory.
    pub(crate) fn shard_pieces(&self, shard: i64, from: i64, events: i64) -> Option<Vec<Piece>> {
        self.0.recent.shard(shard, from, events)
    }

    /// The pieces of a feed after a sequence number up to `head`, if they are in memory.
    pub(crate) fn feed_pieces(
        &self,
        feed: i64,
        after: i64,
        head: i64,
        events: i64,
    ) -> Option<Vec<Piece>> {
        self.0.recent.feed(feed, after, head, events)
    }

    /// Tells that a feed has grown to this sequence number.
    pub fn feed_grew(&self, feed: i64, head: i64) {
        if let Some(sender) = lock(&self.0.feeds).get(&feed) {
            sender.send_replace(head);
        }
    }

    /// Tells that a shard has grown to this position.
    pub fn shard_grew(&self, shard: i64, head: i64) {
        if let Some(sender) = lock(&self.0.shards).get(&shard) {
            sender.send_replace(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_are_woken_and_forgotten() {
        let live = Live::default();
        live.feed_grew(1, 5);
        let (mut one, mut two) = (live.feed(1), live.feed(1));
        assert!(live.is_read(1));
        live.feed_grew(1, 6);
        one.changed().await;
        two.changed().await;
        drop(one);
        assert!(live.is_read(1));
        drop(two);
        assert!(!live.is_read(1));
        let mut shard = live.shard(1);
        live.feed_grew(1, 7);
        live.shard_grew(1, 7);
        shard.changed().await;
    }
}
