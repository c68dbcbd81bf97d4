//! The wire against small servers of our own: what it retries, refuses, follows and gives up.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bodies;
mod house;
mod redirects;
mod retries;
