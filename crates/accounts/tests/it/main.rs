//! The directory on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod accounts;
mod applications;
mod callers;
mod certified;
mod connecting;
mod drive;
mod fire;
mod forms;
mod house;
mod refreshing;
mod rotation;
