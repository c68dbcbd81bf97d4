//! Applications, accounts, their credentials and tokens: what the API and the command line use to
//! know who calls, and what an account is.
//!
//! The doors:
//! - [`Directory`]: everything below hangs on it. Cheap to clone.
//!   - who calls: [`Directory::authenticate`] gives a [`Caller`]; [`Directory::account`] gives the
//!     account that a caller may use ([`Opened`]: the row and what connectors get).
//!   - developers: first run, meta tokens (`developers.rs`); applications and API keys
//!     (`applications.rs`); sites, service keys and locations through `store` with the ids that
//!     [`Directory::application`] has checked.
//!   - connecting: our OAuth server and the steps of the connect page in [`handshake`]; by a form: [`Directory::connect`] (`connect.rs`), fields to settings in [`form`];
//!   - accounts: import, list, change, delete, credentials (`account.rs`); tokens (`tokens.rs`).
//! - OAuth at services: [`upstream::Grants`] connects, refreshes and gives back (`upstream/`);
//! - [`Keys`]: the live key ring: loading, first creation, reloading, rotation, tidying (`keys.rs`,
//!   `rotate.rs`). [`Keys::sealer`] makes the sealed tokens of pages and uploads.
//! - what the server runs beside: [`Keys::reload`] every 15 seconds or so, [`Directory::upkeep`]
//!   every hour or so.
//! - [`Access`]: the access list of a token or key (wire API, section 52).
//! - [`form`]: from what a user gives to settings and credential, by the connector's fields.
//!
//! **Caches.** Look-ups by hash or id are kept in memory. Every change made through a [`Directory`]
//! drops what it touches at once. A change made by another process on the same database (the command
//! line, another node) is seen after [`Options::cache_ttl`] at the latest, 30 seconds unless set.
//!
//! **Reading writes nothing.** Authentication and opening an account only read; a test proves it with
//! a database that refuses writes.

mod access;
mod account;
mod applications;
mod caller;
pub mod connect;
mod developers;
mod directory;
mod error;
pub mod form;
#[cfg(test)]
mod fuzz;
pub mod handshake;
mod keys;
mod lookup;
mod rotate;
mod service_keys;
mod tokens;
pub mod upstream;
mod webhook_secrets;

pub use access::{Access, Allowance, Verb};
pub use account::{AccountChange, Imported, NewAccount, Opened};
pub use applications::{MintedKey, NewApplication, NewKey, ShownKey};
pub use caller::{Caller, DeveloperCaller, Grant, KeyCaller, Presented, Realm, Refusal};
pub use connect::Connecting;
pub use developers::{FirstRun, MintedMeta};
pub use directory::{Directory, Options};
pub use error::{Error, Result};
pub use keys::{Keys, Masters};
pub use rotate::Rotation;
pub use service_keys::NewServiceKey;
pub use tokens::{MintedToken, NewToken};
pub use webhook_secrets::EndpointSecrets;

pub use tramontane_store::accounts::{
    Account as AccountRow, CredentialState, Filter as AccountFilter, Remains,
};
pub use tramontane_store::applications::Application;
pub use tramontane_store::developers::{Developer, MetaToken};
pub use tramontane_store::sweep::Retention;
pub use tramontane_store::tokens::Token;
