//! Sealing, hashing and minting of secrets. Pure: no IO beyond the machine's source of randomness,
//! no clock of its own.
//!
//! The doors:
//! - [`MasterKey`]: the operator's key; it wraps data keys and does nothing else.
//! - [`KeyRing`]: the data keys in force; [`KeyRing::seal`], [`KeyRing::open`], [`KeyRing::reseal`].
//!   Several keys, wrapped by several master keys, may be in a ring, so rotation needs no pause.
//! - [`SharedRing`]: a ring that many hold and one replaces.
//! - [`Sealer`]: stateless tokens (`pt_...`): JSON with a context and an expiry, sealed and base64url.
//! - [`mint`], [`hash`], [`same`]: API keys and tokens: shown once, looked up by hash.
//! - [`hash_password`], [`verify_password`]: passwords of links (argon2id; slow on purpose).
//! - [`webhook_signature`]: what the receivers of old webhooks check.
//! - [`WebhookSecret`]: signs webhooks in the standard form, by HMAC or Ed25519.
//! - [`Signer`]: private keys that sign assertions for other servers (JWT).
//! - [`random_id`], [`Entropy`]: randomness, lent so that tests can fix it.
//!
//! What a sealed value looks like: a version byte, the id of its data key (8 bytes), a salt
//! (16 bytes), then AES-256-GCM ciphertext and tag. Key and nonce of each message come from the data
//! key and the salt by HKDF-SHA-256, so random salts never wear a data key out, and the purpose
//! (column or token kind) is part of the derivation. The header and the caller's context are
//! authenticated: a sealed value cannot be moved to another row or column.

mod cipher;
mod error;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod jwt;
mod master;
mod password;
mod random;
mod ring;
mod sealer;
mod signature;
mod token;
mod webhook;

pub use error::Error;
pub use jwt::Signer;
pub use master::MasterKey;
pub use password::{hash_password, verify_password};
pub use random::{Entropy, SystemEntropy, random_id};
pub use ring::{KeyId, KeyRing, SharedRing, WrappedKey};
pub use sealer::Sealer;
pub use signature::webhook_signature;
pub use token::{Mark, hash, mint, same};
pub use webhook::{Scheme, WebhookSecret};
