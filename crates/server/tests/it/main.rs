//! End-to-end tests of the binary, and of the house's own rules.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod rooms;

mod command_line;
