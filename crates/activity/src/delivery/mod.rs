//! Delivery of events to webhooks by cursor: what is sent when, in which order, and what is tried again.
//!
//! The doors: [`Machine`] (one endpoint on one shard), [`Health`] (one endpoint as a whole), [`Filter`]
//! (which events it wants), [`MessageKey`] (the ids of messages and deliveries).
//!
//! There is no row per message. An endpoint has a position in each shard of the log and a few ranges of
//! accounts that it has not taken yet; both together are its [`Checkpoint`]. An event lies before the
//! position or after it; before it, it was taken unless a range covers it. Whoever starts from a
//! checkpoint sends again at most what was taken after it was written, under the same ids.

pub mod attempt;
mod checkpoint;
mod filter;
mod health;
mod key;
mod machine;
mod retry;
#[cfg(test)]
mod simulation;

pub use attempt::{Attempt, Status};
pub use checkpoint::Checkpoint;
pub use filter::{BadPattern, Filter, MAX_PATTERNS};
pub use health::{Disabled, Health, Leave};
pub use key::MessageKey;
pub use machine::{Departure, Landing, Lane, MAX_RANGES, Machine, Rules};
pub use retry::{RETRIES, wait_before};

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Any `2xx`.
    Taken,
    /// Anything else; with the seconds of `Retry-After` where they count (429 and 503).
    Refused(Option<u32>),
    /// `410`: the endpoint wants nothing any more.
    Gone,
}
