//! Reading the log: a feed by sequence number, a shard by position.

use tramontane_activity::Event;
use tramontane_activity::segment::{self, Group};
use tramontane_store::following::{self, ShardExtent};
use tramontane_store::log as table;
use tramontane_store::{Db, feeds};

use crate::error::{Error, Result};
use crate::live::Live;

/// The most events of one page.
pub const MAX_PAGE: usize = 1_000;

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered {
    /// The feed.
    pub feed: i64,
    /// Its number in the feed: from 1, without gaps.
    pub sequence: i64,
    /// Its position in the shard: from 1, without gaps.
    pub position: i64,
    /// When it was committed, in microseconds.
    pub at: i64,
    /// What happened.
    pub event: Event,
}

/// One page of a feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The events, in order, without gaps.
    pub events: Vec<Numbered>,
    /// The number to read on after.
    pub cursor: i64,
    /// The last number given out.
    pub head: i64,
    /// Events between the cursor that was asked for and the first one here are not kept any more.
    pub truncated: bool,
}

impl Page {
    /// How many events come after this page.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        (self.head - self.cursor).max(0)
    }
}

/// The activity log, for readers. Cheap to clone. Reading writes nothing.
#[derive(Clone, Debug)]
pub struct Log {
    db: Db,
    live: Live,
}

impl Log {
    /// The log in a database.
    #[must_use]
    pub fn new(db: Db, live: Live) -> Self {
        Self { db, live }
    }

    /// Where readers wait for more.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// How far the shards go, by number. Those that no writer ever took are not there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn shards(&self) -> Result<Vec<ShardExtent>> {
        Ok(following::shard_extents(&self.db).await?)
    }

    /// Which of these accounts are an application's, also those that were switched off or deleted, with their
    /// services.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn owned(&self, application: &str, accounts: &[i64]) -> Result<Vec<(i64, String)>> {
        Ok(following::of_application(&self.db, application, accounts).await?)
    }

    /// How far a feed goes; `None` when there is no such subscription.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn extent(&self, feed: i64) -> Result<Option<table::Extent>> {
        Ok(table::extent(&self.db, feed).await?)
    }

    /// The events of a feed after a sequence number, at most `limit` (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    /// [`Error::Off`] when there is no such subscription; [`Error::Invalid`] for a number that lies beyond
    /// the newest event.
    pub async fn page(&self, feed: i64, after: i64, limit: usize) -> Result<Page> {
        let limit = limit.clamp(1, MAX_PAGE);
        let extent = self.extent(feed).await?.ok_or(Error::Off)?;
        if after < 0 || after > extent.head {
            let rule = format!("must be between 0 and {}, the newest event", extent.head);
            return Err(Error::Invalid { field: "cursor", rule });
        }
        let pieces = match self.live.feed_pieces(feed, after, extent.head, limit as i64) {
            Some(pieces) => pieces,
            None => table::read_feed(&self.db, feed, after, limit as i64).await?,
        };
        let (mut events, mut next) = (Vec::new(), None);
        'pieces: for piece in pieces {
            let row = place(segment::decode(&piece.body)?, &piece);
            for group in row.into_iter().filter(|group| group.feed == feed) {
                for index in 0..group.events.len() {
                    let sequence = group.sequence + index as i64;
                    if sequence <= after || next.is_some_and(|next| sequence < next) {
                        continue;
                    }
                    // A hole would mean that an event was passed over: what comes after it is read later.
                    if next.is_some_and(|next| sequence > next) || events.len() == limit {
                        break 'pieces;
                    }
                    next = Some(sequence + 1);
                    events.push(numbered(&group, index)?);
                }
            }
        }
        let cursor =
            next.map_or(if events.is_empty() { after } else { extent.head }, |next| next - 1);
        let first = events.first().map_or(extent.first, |event: &Numbered| event.sequence);
        let truncated = first > after + 1 && after < extent.head;
        let cursor = if events.is_empty() && truncated { extent.first - 1 } else { cursor };
        Ok(Page { events, cursor, head: extent.head.max(cursor), truncated })
    }

    /// One event; `None` when it is not kept.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn event(&self, feed: i64, sequence: i64) -> Result<Option<Numbered>> {
        let Some(extent) = self.extent(feed).await? else { return Ok(None) };
        if sequence < extent.first || sequence > extent.head {
            return Ok(None);
        }
        let page = self.page(feed, sequence - 1, 1).await?;
        Ok(page.events.into_iter().find(|event| event.sequence == sequence))
    }

    /// The sequence number before the first event that was committed at or after a moment.
    ///
    /// # Errors
    /// Those of the database; [`Error::Off`].
    pub async fn before(&self, feed: i64, moment: i64) -> Result<i64> {
        let extent = self.extent(feed).await?.ok_or(Error::Off)?;
        // Numbers and times grow together, so the place is found by halving.
        let (mut low, mut high) = (extent.first - 1, extent.head);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.event(feed, middle + 1).await? {
                Some(event) if event.at >= moment => high = middle,
                _ => low = middle + 1,
            }
        }
        Ok(low)
    }

    /// The events of a shard from a position on, at most about `limit`, in order of their positions. Positions
    /// whose events are not kept any more are left out.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn shard(&self, shard: i64, mut from: i64, limit: usize) -> Result<Vec<Numbered>> {
        loop {
            let pieces = match self.live.shard_pieces(shard, from, limit as i64) {
                Some(pieces) => pieces,
                None => table::read_shard(&self.db, shard, from, limit as i64).await?,
            };
            let end = pieces.iter().map(|piece| piece.position + piece.events).max();
            let mut events = Vec::new();
            for piece in pieces {
                for group in place(segment::decode(&piece.body)?, &piece) {
                    for index in 0..group.events.len() {
                        if group.position + index as i64 >= from {
                            events.push(numbered(&group, index)?);
                        }
                    }
                }
            }
            match end {
                // All that was there has left the log.
                Some(end) if events.is_empty() && end > from => from = end,
                _ => {
                    events.sort_by_key(|event| event.position);
                    return Ok(events);
                }
            }
        }
    }

    /// The living subscriptions of an account.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn subscriptions(&self, account: i64) -> Result<Vec<feeds::Subscription>> {
        Ok(feeds::subscriptions(&self.db, account).await?)
    }
}

/// A row's group learns its position and time from the row; the groups of a block carry theirs.
pub(crate) fn place(mut groups: Vec<Group>, piece: &table::Piece) -> Vec<Group> {
    if let [only] = groups.as_mut_slice()
        && only.position == 0
    {
        only.position = piece.position;
        only.at = piece.at;
    }
    groups
}

fn numbered(group: &Group, index: usize) -> Result<Numbered> {
    Ok(Numbered {
        feed: group.feed,
        sequence: group.sequence + index as i64,
        position: group.position + index as i64,
        at: group.at,
        event: group.event(index)?,
    })
}
