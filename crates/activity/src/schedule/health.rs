//! What the schedule knows of one feed, for those who ask how it is.

use super::{Millis, Push};

/// Why a feed is polled when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reason {
    /// The first poll since the feed was added.
    #[default]
    First,
    /// The delay that is expected to have gathered is worth a request.
    Price,
    /// Push is healthy, and this makes up for what it may have missed.
    Backstop,
    /// A push or a caller said that something changed.
    Nudge,
    /// It must not be left for longer: the cursor could be lost.
    Longest,
    /// The service had more than one answer holds.
    More,
    /// The last poll failed.
    Retry,
    /// A budget is paused: the service wants to be left alone until then.
    Paused,
}

/// How one feed is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// The last poll that the service answered.
    pub last_success: Option<Millis>,
    /// When it comes next, unless the price changes; `None` while a poll is under way.
    pub next_poll: Option<Millis>,
    /// Why then.
    pub reason: Reason,
    /// Polls that failed since the last that did not.
    pub failures: u8,
    /// Changes a day, as estimated for the long run.
    pub changes_per_day: f64,
    /// How much of them comes in sessions, 0 to 1.
    pub sessionness: f64,
    /// The share of changes that no push announced, as estimated; `None` without push.
    pub missed: Option<f64>,
    /// The share of pushes that led to nothing, decayed; `None` without any.
    pub idle_pushes: Option<f64>,
    /// How its push stands.
    pub push: Push,
    /// Whether a long poll is open for it.
    pub held: bool,
    /// How many read it live.
    pub readers: u16,
}

/// How one budget stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Seconds² of expected delay that a request must save at present. 0 without an aim.
    pub price: f64,
    /// By how much refusals multiply it at present.
    pub penalty: f64,
    /// Nothing goes out before this moment.
    pub paused_until: Option<Millis>,
    /// How many feeds pay from it.
    pub feeds: u32,
}
