//! Which feeds get a long poll: held connections are few, and worth most where changes are frequent.

use super::queue::Schedule;
use super::{Millis, feed::Feed};

/// A feed that has a connection keeps it unless another is worth this much more: opening costs too.
const KEEP: f64 = 1.5;

/// What to change to have the long polls where they are worth most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongPolls {
    /// Feeds to open one for, in the order of their numbers.
    pub open: Vec<u64>,
    /// Feeds whose connection is to be closed, in the order of their numbers.
    pub close: Vec<u64>,
}

impl Schedule {
    /// Gives the long polls, of which there may be so many, to the feeds with the most changes for the
    /// cost of polling. Looks at all feeds: call it each few minutes.
    ///
    /// From now on the schedule takes the connections for open. Tell it with [`Schedule::long_poll_lost`]
    /// of one that broke, and nudge a feed whose connection says that something changed.
    pub fn assign_long_polls(&mut self, now: Millis, slots: usize) -> LongPolls {
        let score = |feed: &Feed| feed.worth_holding() * if feed.held { KEEP } else { 1.0 };
        let mut wanted: Vec<(f64, u64)> = self
            .feeds()
            .filter(|feed| feed.class.long_poll && feed.failures == 0)
            .map(|feed| (score(feed), feed.number))
            .collect();
        if slots < wanted.len() {
            wanted.select_nth_unstable_by(slots, |one, other| {
                other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
            });
            wanted.truncate(slots);
        }
        let mut wanted: Vec<u64> = wanted.into_iter().map(|(_, number)| number).collect();
        wanted.sort_unstable();
        let mut changes = LongPolls::default();
        for feed in self.feeds() {
            match (wanted.binary_search(&feed.number).is_ok(), feed.held) {
                (true, false) => changes.open.push(feed.number),
                (false, true) => changes.close.push(feed.number),
                _ => {}
            }
        }
        changes.open.sort_unstable();
        changes.close.sort_unstable();
        changes.open.iter().for_each(|feed| self.set_held(*feed, now, true));
        changes.close.iter().for_each(|feed| self.set_held(*feed, now, false));
        changes
    }

    /// A feed's long poll broke: it is polled by price until it gets another.
    pub fn long_poll_lost(&mut self, feed: u64, now: Millis) {
        self.set_held(feed, now, false);
    }
}
