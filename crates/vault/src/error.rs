//! What can go wrong with sealed things.

/// Why a sealed value, a key or a token was refused. No variant carries secret bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text given as a master key is not one.
    #[error("the master key is not 32 bytes in base64; make one with `openssl rand -base64 32`")]
    BadMasterKey,
    /// No master key at hand opens this data key.
    #[error(
        "data key {id} is wrapped by master key {master}, which is not configured; \
         add it to the previous master keys"
    )]
    UnknownMasterKey {
        /// The data key.
        id: String,
        /// Fingerprint of the master key that wraps it.
        master: String,
    },
    /// The value was sealed under a data key that is not in the ring: a newer one that must be
    /// loaded, or one that has been removed.
    #[error("data key {0} is not in the key ring")]
    UnknownKey(String),
    /// A ring needs at least the active key.
    #[error("the active data key {0} is not among the keys of the ring")]
    NoActiveKey(String),
    /// The bytes are not what was sealed here: altered, cut, or moved from another place.
    #[error("the sealed value is damaged or belongs to another place")]
    Tampered,
    /// A token that was good until its expiry.
    #[error("the token has expired")]
    Expired,
    /// The value cannot be written as, or read from, JSON.
    #[error("the sealed value does not have the expected form")]
    BadForm,
    /// The text given as a private key is not one that signs here.
    #[error("the private key {0}")]
    BadSigningKey(&'static str),
    /// The stored password hash cannot be read.
    #[error("the stored password hash is damaged")]
    BadPasswordHash,
}
