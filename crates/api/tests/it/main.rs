//! The API over a service in memory, asked as clients ask it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod house;
mod links;
mod management;
mod tokens;
mod uploads;
