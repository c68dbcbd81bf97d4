//! The core of the change feed: what makes events of observations, and decides when to look and whom to tell.
//!
//! Everything here is a deterministic state machine: the same inputs in the same order give the same
//! outputs. Time, chance, storage and the services are lent to it by whoever drives it (the `feeds`
//! crate in earnest, the simulator of the test kit with faults), so that any failure replays from its seed.
//! `clippy.toml` beside this crate forbids what would break that.

#![cfg_attr(
    test,
    expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")
)]

pub mod announced;
mod columns;
pub mod delivery;
pub mod event;
pub mod feed;
#[cfg(test)]
mod fuzz;
pub mod metadata;
pub mod schedule;
pub mod segment;
pub mod snapshot;

pub use announced::Announced;
pub use event::{Action, Actor, Before, Category, Event, Object};
pub use metadata::Metadata;
