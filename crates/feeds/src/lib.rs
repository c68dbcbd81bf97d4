//! Runs the change feed: owns shards of the log, reads the services, writes what happened, and lends the
//! log to readers.
//!
//! The doors: [`Log`] (reading events by cursor, and being woken), [`Feeds`] (what is followed, and the
//! work itself). What makes events of observations is in the `activity` crate; this crate lends it time,
//! storage and the services.

mod account;
mod announcing;
mod arrivals;
mod collection;
pub mod deliver;
pub mod elsewhere;
pub mod entries;
mod error;
pub mod feeds;
pub mod following;
pub mod health;
mod held;
pub mod live;
pub mod log;
mod owner;
pub mod push;
mod recent;
pub mod retention;
pub mod seal;
pub mod shard;
pub mod source;
pub mod state;
pub mod trail;
mod writer;

pub use deliver::Deliveries;
pub use error::{Error, Result};
pub use feeds::{Feeds, Options, Parts};
pub use following::{Following, Watched};
pub use live::Live;
pub use log::{Log, Numbered, Page};
pub use owner::Owned;
pub use push::{Arrived, Pushing, SigningKeys};
pub use state::States;
