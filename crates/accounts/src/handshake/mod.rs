//! The connect handshake (wire API, sections 18 and 52): our own OAuth 2.0 server.
//!
//! - [`scope`]: what may be connected: the grammar, and what it leaves of the services there are.
//! - [`Request`]: what an application asks for. [`redirect`]: where the answer may go.
//! - [`Handshake`]: one of them under way. Its [`Step`]s are an enum whose transitions consume it, so a
//!   step is taken once; every one is a compare-and-swap in the database.
//! - `grant.rs`: codes, tokens and refresh tokens given; `ending.rs`: revoked and looked at.
//!   A [`Fault`] is what the client is told.

mod client;
mod ending;
mod fault;
mod grant;
pub mod redirect;
mod request;
pub mod scope;
mod session;

pub use client::{Client, ClientProof};
pub use ending::Introspection;
pub use fault::{Fault, FaultCode};
pub use grant::{CODE_LIFE, Given, Redeeming};
pub use request::{Delivery, Request, Wants};
pub use session::{
    Handshake, Leaving, Opening, SESSION_LIFE, Step, Trouble, TroubleKind, WrongStep,
};
