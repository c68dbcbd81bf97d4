//! End-to-end tests of the binary, and of the house's own rules.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod administrators;
mod house;
mod rooms;
mod serving;
mod words;

mod command_line;
