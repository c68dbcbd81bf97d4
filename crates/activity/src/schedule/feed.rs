//! One feed in the schedule: its state, and when it is due at a price.

use super::class::Class;
use super::nudge::Nudges;
use super::rate::Rate;
use super::stop::Intensity;
use super::{MAX_BUDGETS, Millis, Push, Reason};

/// By how much a feed that somebody reads live counts more: its interval shrinks to a quarter.
const LIVE: f64 = 16.0;
/// Behind a push that misses more than this share of changes, polls are not held to the backstop's floor.
const BROKEN_PUSH: f64 = 0.5;
/// A long poll is held open right here, so it is trusted more than a push from afar.
const HELD_SHARE: f64 = 0.99;
/// The wait after the first failure; it doubles with each.
const FIRST_RETRY: Millis = 5_000;
const LONGEST_RETRY: Millis = 3_600_000;

/// Where a feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the timer wheel.
    Waiting,
    /// In the queue of nudged feeds.
    Urgent,
    /// A poll is under way.
    Polling,
}

/// One feed.
pub(super) struct Feed {
    pub(super) number: u64,
    pub(super) class: &'static Class,
    pub(super) rate: Rate,
    pub(super) budgets: [u32; MAX_BUDGETS],
    /// What it adds to the sum of roots of each of its budgets.
    pub(super) root: f32,
    /// What it adds to their sum of costs.
    pub(super) cost: f32,
    /// When the last answered poll was given out: what changed until then is known.
    pub(super) seen_until: Millis,
    pub(super) last_success: Option<Millis>,
    /// When the last poll was given out, answered or not.
    pub(super) begun: Option<Millis>,
    /// How long after the one before it that was.
    pub(super) gap: Millis,
    pub(super) due: Millis,
    pub(super) reason: Reason,
    pub(super) place: Place,
    /// Its turn in all budgets is taken.
    pub(super) turn_taken: bool,
    pub(super) nudges: Nudges,
    /// The service had more at the last poll.
    pub(super) more: bool,
    pub(super) failures: u8,
    pub(super) push: Push,
    pub(super) held: bool,
    pub(super) readers: u16,
}

impl Feed {
    /// How often it is expected to change after its last poll.
    fn intensity(&self) -> Intensity {
        let mean = self.rate.mean(self.class);
        Intensity {
            mean,
            sessions: self.rate.sessionness(mean, self.class),
            on: self.rate.session_on(self.seen_until, self.class),
            busy: self.class.busy_rate(),
            end: self.class.end_rate(),
        }
    }

    /// Whether something tells of its changes, and the share of them that it tells of.
    fn told(&self) -> Option<f64> {
        if self.held {
            return Some(HELD_SHARE);
        }
        (self.push == Push::Healthy).then(|| self.rate.push_share(self.class))
    }

    fn weight(&self) -> f64 {
        f64::from(self.rate.weight) * if self.readers > 0 { LIVE } else { 1.0 }
    }

    /// When the next poll is due at this price, and why.
    pub(super) fn due_at(&self, price: f64) -> (Millis, Reason) {
        let told = self.told();
        let unseen = self.weight() * (1.0 - told.unwrap_or(0.0));
        let worth = price * f64::from(self.rate.cost) / unseen.max(1e-9);
        let (shortest, longest) =
            (self.class.shortest as f64 / 1e3, self.class.longest as f64 / 1e3);
        let seconds = self.intensity().seconds_until(worth, shortest, longest);
        let mut wait = (seconds * 1e3) as Millis;
        let mut reason = if wait >= self.class.longest { Reason::Longest } else { Reason::Price };
        if let Some(share) = told {
            reason = Reason::Backstop;
            if 1.0 - share <= BROKEN_PUSH {
                wait = wait.max(self.class.backstop.min(self.class.longest));
            }
        }
        (self.seen_until.saturating_add(wait), reason)
    }

    /// From when a nudge may have its poll.
    pub(super) fn nudge_from(&self, now: Millis) -> Millis {
        let debounce = self.nudges.debounce(self.class.debounce);
        self.begun.map_or(now, |begun| begun.saturating_add(debounce).max(now))
    }

    /// When to try again after so many failures.
    pub(super) fn retry_from(&self, now: Millis) -> Millis {
        let wait = FIRST_RETRY << u32::from(self.failures.saturating_sub(1)).min(10);
        now.saturating_add(wait.min(LONGEST_RETRY).max(self.class.shortest))
    }

    /// What it adds to the sum of roots from which a budget's price is calculated.
    pub(super) fn new_root(&self) -> f32 {
        let unseen = 1.0 - self.told().unwrap_or(0.0);
        let rate = self.rate.mean(self.class);
        (self.weight() * unseen * rate * f64::from(self.rate.cost)).sqrt() as f32
    }

    /// Unseen changes a second for each request that polling it takes: what a held connection is worth.
    pub(super) fn worth_holding(&self) -> f64 {
        self.weight() * self.rate.mean(self.class) / f64::from(self.rate.cost).max(1e-6)
    }

    /// Always the same number for the same feed, evenly spread over 0 to 1.
    pub(super) fn phase(&self) -> f64 {
        xxhash_rust::xxh3::xxh3_64(&self.number.to_le_bytes()) as f64 / u64::MAX as f64
    }
}
