//! Every statement of the store, on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod accounts;
mod applications;
mod connect;
mod data_keys;
mod db;
mod deliveries;
mod grants;
mod journal;
mod log;
mod rows;
mod states;
mod tasks;
mod uploads;
