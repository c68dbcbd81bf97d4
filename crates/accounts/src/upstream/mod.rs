//! OAuth 2.0 at services, once for all connectors: which client, where to send the user, codes and
//! refresh tokens exchanged, grants kept alive and given back.
//!
//! The door is [`Grants`]:
//! - connecting: [`Grants::client`] (whose OAuth client), [`begin`] (where the browser goes),
//!   [`Grants::exchange`] (the code becomes [`Obtained`]), [`Grants::connect`] (that becomes an account);
//! - using: `Grants` is the [`Tokens`](tramontane_connector::Tokens) that the wire asks (`tokens.rs`:
//!   from memory; `renew.rs`: by a refresh, once in the cluster; `service.rs`: service accounts);
//!   [`Grants::keep_alive`] runs beside it in every node;
//! - ending: [`Grants::revoke`].
//!
//! Calls to token endpoints go through [`BackChannel`]: the guarded wire, but past the gates of
//! accounts and services. Whoever waits for a token holds a place in those gates, so a refresh that
//! needed one as well could wait for itself.

mod answer;
mod assertion;
mod authorize;
mod client;
mod connected;
mod endpoint;
mod fault;
mod flight;
mod grants;
mod held;
mod imported;
mod keep_alive;
mod renew;
mod service;
mod tokens;

pub use authorize::{Authorization, Begun, begin};
pub use client::{Client, ClientOwner, OperatorClients};
pub use connected::NewGrant;
pub use endpoint::{BackChannel, CodeExchange, Obtained, Revoked};
pub use grants::{GrantOptions, Grants, Probe, Step};
pub use imported::{Prepared, replaced};

/// The credential's field with the id of the OAuth client that the grant was given to: it is refreshed
/// with the same client, whatever the application or the operator sets later.
pub const CLIENT_ID: &str = "client_id";
/// The credential's field with the service's own words for what was granted, space-separated.
pub const GRANTED_SCOPES: &str = "granted_scopes";
