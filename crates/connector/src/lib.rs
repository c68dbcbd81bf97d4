//! The contract between Tramontane and a service: what a connector says of itself, what it does, and
//! what it is lent to do it with. No service, no database, no HTTP library.
//!
//! Start with [`Connector`] (one service), then [`Storage`] (its files), then [`Cx`] (what every call
//! is lent). [`Abilities`] is how a connector tells what it can do; everything it cannot do is either
//! filled in by the `fill` crate or refused with the reason.

pub mod abilities;
pub mod account;
pub mod body;
pub mod budget;
pub mod changes;
pub mod connector;
pub mod cx;
pub mod descriptor;
pub mod entry;
pub mod error;
pub mod http;
pub mod links;
pub mod oauth;
pub mod place;
pub mod push;
pub mod registry;
pub mod storage;
pub mod team;

pub use abilities::{Abilities, Case, HashKind, Limits, NameRules, Semantics};
pub use account::{Account, Credential, Settings};
pub use body::Body;
pub use changes::{
    Change, ChangeFacts, ChangePage, Changes, Collection, KeyedBy, ListingPage, Seen, Waited,
};
pub use connector::{Connector, Identity, Sign};
pub use cx::{CallClass, Cx, Lent, Permit, Repeat};
pub use descriptor::{Category, Descriptor, Field, FieldKind};
pub use entry::{ETag, Entry, EntryKind, EntryRef, Hashes, Person};
pub use error::{Error, Kind, Result, Retry};
pub use links::{LinkAccess, LinkChange, LinkOptions, LinkRole, Links, ShareLink};
pub use oauth::{
    Bases, ClientAuth, OAuth, RefreshRules, ScopeSet, ServiceAccount, ServiceToken, Tokens,
};
pub use place::{Conflict, Place, WriteOptions};
pub use push::Push;
pub use registry::Registry;
pub use storage::Storage;
pub use team::{AsUser, Team, TeamGroup, TeamUser};
