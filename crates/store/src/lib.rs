//! The database: every SQL statement of the project, for SQLite and PostgreSQL alike.
//!
//! The doors: [`Db`] (connect, migrate, ping), one module per table family with one function per
//! statement, and [`Journal`], which takes usage and request logs out of the way of requests and
//! writes them in batches.
//!
//! Rules kept here:
//! - Times in rows are microseconds since 1970 (`i64`); the caller gives `now`.
//! - Whoever reaches a row with an id from outside also names the owner (application or account).
//! - A change of several rows is one transaction. No transaction spans anything but statements.
//! - Functions that only read use the reader pool, whose connections cannot write on SQLite.
//! - `true`/`false` from an update says whether a row was changed: `false` means that it is not
//!   there, or that someone else was faster (revision, version, epoch).
//! - [`dialect`] alone knows that there are two engines.

pub mod accounts;
pub mod announcements;
pub mod applications;
pub mod authorizations;
mod commit;
pub mod connect_sessions;
pub mod credentials;
pub mod data_keys;
mod db;
pub mod deliveries;
pub mod developers;
pub mod dialect;
pub mod drops;
mod error;
pub mod feeds;
pub mod following;
pub mod grants;
pub mod idempotency;
mod journal;
pub mod keys;
pub mod links;
pub mod locations;
pub mod log;
pub mod multipart;
mod record;
pub mod request_log;
pub mod retention;
mod rows;
#[cfg(feature = "testing")]
#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "tests; a test without its database must stop"
)]
pub mod scratch;
pub mod service_keys;
pub mod shards;
pub mod sites;
pub mod spent;
pub mod states;
pub mod sweep;
pub mod task_items;
pub mod task_queue;
pub mod tasks;
pub mod tokens;
pub mod usage;
pub mod webhook_secrets;
pub mod webhooks;

pub use db::{Db, Limits};
pub use error::{Error, Result};
pub use journal::{Entry, Journal, Pace};
pub use record::Slice;
