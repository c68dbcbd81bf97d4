//! Tests of the running feed, on both engines.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod delivering;
mod elsewhere;
mod following;
mod house;
mod reading;
mod remembering;
mod retention;
mod stage;
