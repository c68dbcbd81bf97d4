//! The only way out: every call to a service is signed, paced, guarded, sent, retried and measured here.
//!
//! [`Wire`] implements the contract's `Lent`. HTTP goes through [`Wire::send`](tramontane_connector::Lent::send),
//! other protocols open connections with `connect` and ask for leave with `permit`. [`Wire::fetch`] gets a URL
//! that a caller named, without any account's credential.

mod answer;
mod bearer;
mod budget;
mod client;
mod fault;
pub mod guard;
mod outgoing;
pub mod pace;
pub mod resolve;
pub mod retry;

pub use client::{Wire, WireConfig, install_tls};
pub use guard::Guard;
pub use resolve::{Lookup, SystemLookup};
