//! Nudges of one feed: a number that only grows, and how close together the polls they cause may be.

use super::Millis;

/// The debounce grows to 2^6 times its least while nudges that lead to nothing keep coming ...
const MOST_FALSE: u8 = 6;
/// ... but only to 2^2 times while they tell the truth: then somebody is at work.
const MOST_TRUE: u8 = 2;

/// What is owed to nudges.
///
/// It is a number and not a flag: a nudge that comes while a poll is under way raises it above what the
/// poll had seen, so the end of that poll cannot take it for served.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nudges {
    /// Nudges so far, wrapping.
    pub(super) count: u32,
    /// The count that the last successful poll had seen when it began.
    pub(super) served: u32,
    /// When the last one came.
    last: Millis,
    /// The debounce is the class's, doubled so many times.
    storm: u8,
}

impl Nudges {
    /// Notes a nudge. The quiet before it takes the debounce down a step for each doubling.
    pub(super) fn note(&mut self, now: Millis, least: Millis) {
        let mut quiet = now.saturating_sub(self.last);
        self.last = now;
        while self.storm > 0 && quiet >= self.debounce(least).saturating_mul(2) {
            self.storm -= 1;
            quiet /= 2;
        }
        self.count = self.count.wrapping_add(1);
        if self.count == self.served {
            // After 2^32 nudges without a poll it would look served.
            self.count = self.count.wrapping_sub(1);
        }
    }

    /// Whether a nudge waits for a poll.
    pub(super) fn waiting(&self) -> bool {
        self.count != self.served
    }

    /// The least time between two polls at present, the class's being given.
    pub(super) fn debounce(&self, least: Millis) -> Millis {
        least.max(1).saturating_mul(1 << self.storm.min(MOST_FALSE))
    }

    /// Learns from a poll that a nudge caused: so long after the poll before it, with or without a find.
    pub(super) fn learn(&mut self, gap: Millis, least: Millis, found: bool) {
        if gap < self.debounce(least).saturating_mul(2) {
            let most = if found { MOST_TRUE } else { MOST_FALSE };
            let fewer = self.storm.saturating_sub(1).max(most);
            self.storm = if self.storm < most { self.storm + 1 } else { fewer };
        }
    }
}
