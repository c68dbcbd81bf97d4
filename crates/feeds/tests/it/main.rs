//! Tests of the running feed, on both engines.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod elsewhere;
mod following;
mod house;
mod reading;
