//! The newest rows of the log in memory: whoever reads what this process has just committed asks no database.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tramontane_store::log::{Commit, Piece};

use crate::shard;

/// The most memory for the rows of one shard, in bytes as far as they are counted.
const MAX_BYTES: usize = 128 << 10;
/// What a row takes beside its body.
const ROW: usize = 96;

/// Rows as they were committed, the newest of each shard. Positions have no gaps and what was committed never
/// changes, so a stretch that is here is what the database has; what is not here is read there.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<BTreeMap<i64, Tail>>);

#[derive(Debug, Default)]
struct Tail {
    rows: VecDeque<Row>,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    feed: i64,
    sequence: i64,
    piece: Piece,
}

impl Recent {
    /// Takes the rows of a commit, whose first event has this position.
    pub(crate) fn take(&self, commit: &Commit, first: i64) {
        let mut position = first;
        let mut tails = self.tails();
        let tail = tails.entry(commit.shard).or_default();
        // Somebody else wrote the shard meanwhile.
        if tail.end().is_some_and(|end| end != first) {
            *tail = Tail::default();
        }
        for append in &commit.appends {
            let piece = Piece {
                shard: commit.shard,
                position,
                events: append.events,
                at: commit.now,
                body: append.body.clone(),
            };
            position += append.events;
            tail.bytes += ROW + piece.body.len();
            tail.rows.push_back(Row { feed: append.feed, sequence: append.head + 1, piece });
        }
        while tail.bytes > MAX_BYTES
            && let Some(row) = tail.rows.pop_front()
        {
            tail.bytes -= ROW + row.piece.body.len();
        }
    }

    /// The pieces of a shard from a position on, until they hold `events` events; `None` when the database has to
    /// be asked.
    pub(crate) fn shard(&self, shard: i64, from: i64, events: i64) -> Option<Vec<Piece>> {
        let tails = self.tails();
        let rows = &tails.get(&shard)?.rows;
        if rows.front()?.piece.position > from {
            return None;
        }
        let start = rows.partition_point(|row| row.piece.position + row.piece.events <= from);
        let (mut found, mut held) = (Vec::new(), 0);
        for row in rows.range(start..) {
            if held >= events {
                break;
            }
            held += row.piece.position + row.piece.events - row.piece.position.max(from);
            found.push(row.piece.clone());
        }
        (!found.is_empty()).then_some(found)
    }

    /// The pieces of an account's default feed after a sequence number, when they are all here as far as `head`, or
    /// as far as `events` events.
    pub(crate) fn feed(&self, feed: i64, after: i64, head: i64, events: i64) -> Option<Vec<Piece>> {
        let tails = self.tails();
        let rows = &tails.get(&shard::of(feed))?.rows;
        let start = rows.iter().rposition(|row| row.feed == feed && row.sequence <= after + 1)?;
        let (mut found, mut next) = (Vec::new(), after);
        for row in rows.range(start..).filter(|row| row.feed == feed) {
            if row.sequence > next + 1 || next - after >= events {
                break;
            }
            next = next.max(row.sequence + row.piece.events - 1);
            found.push(row.piece.clone());
        }
        (next >= head || next - after >= events).then_some(found)
    }

    fn tails(&self) -> MutexGuard<'_, BTreeMap<i64, Tail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// The position after the last one.
    fn end(&self) -> Option<i64> {
        self.rows.back().map(|row| row.piece.position + row.piece.events)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tramontane_store::log::Append;

    fn commit(shard: i64, appends: &[(i64, i64, i64)], size: usize) -> Commit {
        let append = |(feed, head, events): &(i64, i64, i64)| Append {
            feed: *feed,
            head: *head,
            events: *events,
            body: vec![7; size],
            opens: false,
        };
        let appends = appends.iter().map(append).collect();
        Commit { shard, appends, ..Commit::default() }
    }

    fn positions(pieces: Option<Vec<Piece>>) -> Vec<i64> {
        pieces.unwrap().iter().map(|piece| piece.position).collect()
    }

    #[test]
    fn stretches_that_are_here_are_given_and_no_others() {
        let recent = Recent::default();
        let (one, other) = (64, 128);
        recent.take(&commit(0, &[(one, 4, 2), (other, 0, 1)], 9), 10);
        recent.take(&commit(0, &[(one, 6, 3)], 9), 13);
        assert_eq!(positions(recent.shard(0, 10, 100)), [10, 12, 13]);
        assert_eq!(positions(recent.shard(0, 11, 1)), [10]);
        assert_eq!(positions(recent.shard(0, 15, 1)), [13]);
        assert!(recent.shard(0, 9, 1).is_none() && recent.shard(0, 16, 1).is_none());
        assert!(recent.shard(1, 1, 1).is_none());
        assert_eq!(positions(recent.feed(one, 4, 9, 100)), [10, 13]);
        assert_eq!(positions(recent.feed(one, 5, 9, 100)), [10, 13]);
        assert_eq!(positions(recent.feed(one, 6, 9, 100)), [13]);
        assert_eq!(positions(recent.feed(one, 4, 9, 2)), [10]);
        assert!(recent.feed(one, 3, 9, 100).is_none(), "it begins before");
        assert!(recent.feed(one, 4, 10, 100).is_none(), "another process wrote more");
        // A commit that does not follow: the shard was somebody else's meanwhile.
        recent.take(&commit(0, &[(one, 20, 1)], 9), 30);
        assert!(recent.shard(0, 10, 1).is_none());
        assert_eq!(positions(recent.shard(0, 30, 1)), [30]);
    }

    #[test]
    fn the_newest_are_kept_within_bounds() {
        let recent = Recent::default();
        for number in 0..1_000 {
            recent.take(&commit(0, &[(64, number, 1)], 1_000), number + 1);
        }
        let tails = recent.tails();
        let tail = tails.get(&0).unwrap();
        assert!(tail.bytes <= MAX_BYTES && tail.rows.len() > 100);
        assert_eq!(tail.end(), Some(1_001));
    }
}
