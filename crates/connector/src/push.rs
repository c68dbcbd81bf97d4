//! Pushes of a service: what it takes to be told, and how to read what arrives. A push never carries
//! the truth: it only says that it is time to look.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tramontane_model::Timestamp;
use url::Url;

use crate::changes::Collection;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};

/// The most that is read of a push, in bytes.
pub const MAX_PUSH_BYTES: usize = 1 << 20;

/// Who registers the address that pushes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// We do, for each collection of each account; what we make runs out and is renewed.
    Channel,
    /// The operator or developer, once, in the service's console, for all accounts of an OAuth client.
    Client,
}

/// Where a channel shall send to, and what it shall show.
#[derive(Clone)]
pub struct PushTarget {
    /// Our address, with the channel's id as its last segment.
    pub url: Url,
    /// Our id of the channel: unguessable, at most 64 characters of `[A-Za-z0-9_-]`.
    pub channel: String,
    /// What the service shall repeat in each push, so that we know it: at most 128 characters.
    pub token: SecretString,
    /// How long we would like it to live; what the service grants counts.
    pub life: Duration,
}

impl fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushTarget").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// A channel as the service granted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Our id of it.
    pub id: String,
    /// The service's id of it.
    pub native: String,
    /// What else the service needs to end it.
    pub resource: Option<String>,
    /// When it runs out; `None` when it does not.
    pub expires: Option<Timestamp>,
}

/// A request that claims to be a push.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// Its query, as it came.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came, bounded by [`MAX_PUSH_BYTES`].
    pub body: Bytes,
    /// When it arrived.
    pub now: Timestamp,
}

/// A channel's token as it is kept: its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(hex::encode(Sha256::digest(token.as_bytes())))
    }

    /// A hash as it was kept.
    #[must_use]
    pub fn kept(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The form that is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what a push shows is the token, found out in a time that does not depend on it. Nothing is no
    /// token.
    #[must_use]
    pub fn is_of(&self, shown: &[u8]) -> bool {
        let hash = hex::encode(Sha256::digest(shown));
        bool::from(self.0.as_bytes().ct_eq(hash.as_bytes())) && !shown.is_empty()
    }
}

/// What a push is checked with.
pub struct PushKeys {
    /// The token of the channel that the address names, for [`Reach::Channel`].
    pub token: Option<TokenHash>,
    /// What the service signs with, for [`Reach::Client`]: the OAuth client's secret or the keys of its
    /// webhooks; any of them may match.
    pub signing: Vec<SecretString>,
}

impl fmt::Debug for PushKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushKeys(***)")
    }
}

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The service asks whether the address is ours: this is the answer.
    Handshake(Reply),
    /// It is time to look here. May be empty (a greeting).
    Nudges(Vec<Nudge>),
}

/// An answer to a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its media type.
    pub media_type: &'static str,
    /// Its body.
    pub body: Bytes,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// The collection of the channel that the address names.
    Channel,
    /// The channel itself wants attention: it was removed, or wants to be authorized again.
    Repair,
    /// Everything of the user whose [`crate::Identity::id`] this is, or of the member of an organisation
    /// with this id ([`crate::TeamUser::id`]).
    User(String),
}

/// Pushes of a service.
#[async_trait]
pub trait Push: Send + Sync {
    /// Who registers.
    fn reach(&self) -> Reach;

    /// Asks for pushes. Called again with a new target before a channel runs out; for a while both are
    /// live. Services greet or probe the address before this returns: it must answer already.
    async fn subscribe(
        &self,
        _cx: &Cx,
        _of: &Collection,
        _cursor: &str,
        _to: &PushTarget,
    ) -> Result<Channel> {
        Err(Error::new(Kind::Internal, "The service's pushes are set up in its console."))
    }

    /// Prolongs a channel where the service can; `None` where a new one is needed.
    async fn renew(
        &self,
        _cx: &Cx,
        _channel: &Channel,
        _life: Duration,
    ) -> Result<Option<Channel>> {
        Ok(None)
    }

    /// Ends a channel. One that is not there any more is fine.
    async fn stop(&self, _cx: &Cx, _channel: &Channel) -> Result<()> {
        Ok(())
    }

    /// Reads what arrived. Pure, quick, never fooled: signatures and tokens are compared in constant time.
    ///
    /// # Errors
    /// `Credential` when it is not from the service, `Invalid` when it cannot be read.
    fn receive(&self, request: &Inbound, keys: &PushKeys) -> Result<Received>;
}
