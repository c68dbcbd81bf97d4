//! Stateless tokens: page cursors, signed upload URLs, cookies. They carry what they mean.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tramontane_model::Timestamp;

use crate::error::Error;
use crate::random::SystemEntropy;
use crate::ring::SharedRing;

/// Tokens longer than this are refused unread.
const MAX_TOKEN_BYTES: usize = 16_384;

/// Makes and opens the tokens of one kind. They survive restarts and are good on every node, because
/// their keys come from the shared data keys.
#[derive(Clone)]
pub struct Sealer {
    ring: SharedRing,
    prefix: &'static str,
}

#[derive(Serialize)]
struct Letter<'a, T> {
    e: i64,
    v: &'a T,
}

#[derive(Deserialize)]
struct Opened<T> {
    e: i64,
    v: T,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?})", self.prefix)
    }
}

impl Sealer {
    /// Tokens that start with `prefix` (`pt_`). The prefix is part of the key's derivation, so a token
    /// of one kind is never good as another.
    #[must_use]
    pub fn new(ring: SharedRing, prefix: &'static str) -> Self {
        Self { ring, prefix }
    }

    /// Seals a value until `expires`. `context` is what the token is bound to (account, endpoint,
    /// filters): it is not inside the token, and must be given again to open it.
    ///
    /// # Errors
    /// [`Error::BadForm`] when the value is not JSON.
    pub fn seal<T: Serialize>(
        &self,
        context: &str,
        expires: Timestamp,
        value: &T,
    ) -> Result<String, Error> {
        let letter = Letter { e: expires.micros(), v: value };
        let plaintext = serde_json::to_vec(&letter).map_err(|_| Error::BadForm)?;
        let ring = self.ring.get();
        let sealed = ring.seal_for(self.prefix, &plaintext, context.as_bytes(), &SystemEntropy)?;
        Ok(format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens a token that was sealed for the same context and has not expired.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::UnknownKey`] (sealed by a node that knows a newer key: reload the
    /// ring and try again), [`Error::Tampered`] for everything foreign.
    pub fn open<T: DeserializeOwned>(
        &self,
        context: &str,
        now: Timestamp,
        token: &str,
    ) -> Result<T, Error> {
        let body = token.strip_prefix(self.prefix).ok_or(Error::Tampered)?;
        if body.len() > MAX_TOKEN_BYTES {
            return Err(Error::Tampered);
        }
        let sealed = URL_SAFE_NO_PAD.decode(body).map_err(|_| Error::Tampered)?;
        let plaintext = self.ring.get().open_for(self.prefix, &sealed, context.as_bytes())?;
        let opened: Opened<T> = serde_json::from_slice(&plaintext).map_err(|_| Error::BadForm)?;
        if opened.e <= now.micros() {
            return Err(Error::Expired);
        }
        Ok(opened.v)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::master::MasterKey;
    use crate::ring::{KeyRing, WrappedKey};

    fn ring() -> SharedRing {
        let master = MasterKey::generate(&SystemEntropy);
        let key = WrappedKey::generate(&master, &SystemEntropy).unwrap();
        SharedRing::new(KeyRing::open_keys(std::slice::from_ref(&key), &key.id, &[master]).unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_token_is_good_for_its_context_kind_and_time_only() {
        let ring = ring();
        let pages = Sealer::new(ring.clone(), "pt_");
        let uploads = Sealer::new(ring, "up_");
        let token = pages.seal("account:1:list", at(100), &("next", 7)).unwrap();
        assert!(token.starts_with("pt_"));
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        let open = |context: &str, now| pages.open::<(String, i32)>(context, at(now), &token);
        assert_eq!(open("account:1:list", 99).unwrap(), ("next".to_owned(), 7));
        assert_eq!(open("account:1:list", 100), Err(Error::Expired));
        assert_eq!(open("account:2:list", 99), Err(Error::Tampered));
        let renamed = token.replacen("pt_", "up_", 1);
        let foreign = uploads.open::<(String, i32)>("account:1:list", at(99), &renamed);
        assert_eq!(foreign, Err(Error::Tampered));
    }

    #[test]
    fn refuses_foreign_texts_without_panicking() {
        let pages = Sealer::new(ring(), "pt_");
        let long = format!("pt_{}", "A".repeat(40_000));
        for bad in ["", "1", "pt_", "pt_é", "pt_AAAA", "pt_====", &long] {
            assert_eq!(pages.open::<i32>("c", at(0), bad), Err(Error::Tampered), "{bad:.20}");
        }
    }

    #[test]
    fn a_token_from_another_installation_names_an_unknown_key() {
        let token = Sealer::new(ring(), "pt_").seal("c", at(9), &1).unwrap();
        let refused = Sealer::new(ring(), "pt_").open::<i32>("c", at(0), &token);
        assert!(matches!(refused, Err(Error::UnknownKey(_))));
    }
}
