//! Runs the change feed: owns shards of the log, reads the services, writes what happened, and lends the
//! log to readers.
//!
//! The doors: [`Log`] (reading events by cursor, and being woken), [`Feeds`] (what is followed, and the
//! work itself). What makes events of observations is in the `activity` crate; this crate lends it time,
//! storage and the services.

pub mod elsewhere;
mod error;
pub mod following;
pub mod live;
pub mod log;
pub mod shard;

pub use error::{Error, Result};
pub use following::{Following, Watched};
pub use live::Live;
pub use log::{Log, Numbered, Page};
