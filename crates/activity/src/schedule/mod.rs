//! Decides which feed is polled when: by price, by nudge, within hard bounds.
//!
//! A feed's changes wait unseen until somebody polls. [`Schedule`] keeps an estimate of how each feed
//! changes (`rate`) and polls it as soon as the delay that is expected to have gathered (`stop`) is worth
//! a request at the present price (`price`), which is tuned so that spending meets the budget. A push
//! only causes a poll (`nudge`). The theory and what it gives are in docs/performance.md.
//!
//! It is told the time with each call, in milliseconds since 1970; a clock that goes back counts as
//! standing still. What differs between two feeds alike is a hash of their numbers, so that the same
//! calls always have the same answers.

mod class;
mod feed;
#[cfg(test)]
mod fuzz;
mod health;
mod nudge;
mod price;
mod queue;
mod rate;
mod settle;
mod slots;
mod state;
mod stop;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
mod tests;
mod wheel;

pub use class::{CLASSES, Class};
pub use health::{Health, Reason, Standing};
pub use price::{Budget, BudgetId};
pub use queue::Schedule;
pub use slots::LongPolls;

/// Milliseconds: since 1970-01-01T00:00:00Z where a moment is meant.
pub type Millis = i64;

/// A feed pays at most this many budgets.
pub const MAX_BUDGETS: usize = 3;

/// What the schedule must be told of a feed.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The constants of its service.
    pub class: &'static Class,
    /// The budgets that its polls are paid from; only the first [`MAX_BUDGETS`] that exist count.
    pub budgets: [Option<BudgetId>; MAX_BUDGETS],
    /// How much its delay counts against that of others: 1 for most, more for who pays for it.
    pub weight: f32,
    /// What one poll of it costs in requests, until polls have told.
    pub cost: f32,
}

/// How the service's push for a feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Push {
    /// There is none, or it is known to be broken: the feed is polled by price.
    #[default]
    Off,
    /// It is set up and not known to have failed: polls only back it up.
    Healthy,
}

/// A feed to be polled now. Whoever took it must end it with [`Schedule::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The feed's number.
    pub feed: u64,
    /// Why now.
    pub reason: Reason,
    /// The nudges that this poll serves: all up to this count. Later ones cause another poll.
    pub generation: u32,
    /// When it was given out.
    pub at: Millis,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The service answered.
    Done {
        /// How many changes it told of (0 for a first listing, which says nothing of their rate).
        changes: u32,
        /// Their own moments as far as the service gives them, in any order. At most one for each
        /// change counts.
        times: &'a [Millis],
        /// Requests that it took.
        requests: u32,
        /// Whether the service has more at once: then the next poll follows this one.
        more: bool,
    },
    /// The service refused for too many requests (429, or 503 with a wait).
    Throttled {
        /// The budget that the refusal is about: the tenant's where the service counts by tenant.
        budget: BudgetId,
        /// How long the service wants to be left alone, as in `Retry-After`. 0 when it did not say.
        retry_after: Millis,
    },
    /// It failed otherwise. The next try follows after a wait that doubles up to an hour.
    Failed,
}
