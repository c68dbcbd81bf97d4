//! Secrets of webhook endpoints, and what they sign: Standard Webhooks 1.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random::Entropy;

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
const BYTES: usize = 32;
/// What the specification allows for symmetric secrets, in bytes.
const SYMMETRIC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// How an endpoint's messages are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA-256: signatures `v1,`; both sides hold the secret.
    Hmac,
    /// Ed25519: signatures `v1a,`; the receiver holds the public key.
    Ed25519,
}

/// A secret that signs messages. Prints nothing.
pub struct WebhookSecret {
    bytes: Zeroizing<Vec<u8>>,
    key: Key,
}

enum Key {
    Hmac(Box<Hmac<Sha256>>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

impl WebhookSecret {
    /// A new secret.
    ///
    /// # Errors
    /// [`Error::BadForm`]: none in practice, every 32 bytes are a key.
    pub fn generate(scheme: Scheme, entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new(vec![0; BYTES]);
        entropy.fill(&mut bytes);
        Self::of(scheme, bytes)
    }

    /// Reads `whsec_...` or `whsk_...`.
    ///
    /// # Errors
    /// [`Error::BadForm`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, body) = if let Some(body) = text.strip_prefix(SYMMETRIC) {
            (Scheme::Hmac, body)
        } else {
            (Scheme::Ed25519, text.strip_prefix(PRIVATE).ok_or(Error::BadForm)?)
        };
        let bytes = Zeroizing::new(STANDARD.decode(body).map_err(|_| Error::BadForm)?);
        Self::of(scheme, bytes)
    }

    fn of(scheme: Scheme, bytes: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let key = match scheme {
            Scheme::Hmac if SYMMETRIC_BYTES.contains(&bytes.len()) => {
                Key::Hmac(Box::new(Hmac::new_from_slice(&bytes).map_err(|_| Error::BadForm)?))
            }
            Scheme::Hmac => return Err(Error::BadForm),
            Scheme::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&bytes);
                Key::Ed25519(Box::new(pair.map_err(|_| Error::BadForm)?))
            }
        };
        Ok(Self { bytes, key })
    }

    /// How it signs.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.key {
            Key::Hmac(_) => Scheme::Hmac,
            Key::Ed25519(_) => Scheme::Ed25519,
        }
    }

    /// The whole secret as text, to be sealed.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let prefix = match self.key {
            Key::Hmac(_) => SYMMETRIC,
            Key::Ed25519(_) => PRIVATE,
        };
        SecretString::from(format!("{prefix}{}", STANDARD.encode(&*self.bytes)))
    }

    /// What the receiver is given: the secret itself, or the public key (`whpk_...`).
    #[must_use]
    pub fn shown(&self) -> SecretString {
        match &self.key {
            Key::Hmac(_) => self.to_text(),
            Key::Ed25519(pair) => {
                SecretString::from(format!("{PUBLIC}{}", STANDARD.encode(pair.public_key())))
            }
        }
    }

    /// The signature of one attempt: one item of `webhook-signature`. `timestamp` in seconds.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        match &self.key {
            Key::Hmac(mac) => {
                let mut mac = mac.as_ref().clone();
                mac.update(head.as_bytes());
                mac.update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            Key::Ed25519(pair) => {
                let mut signed = head.into_bytes();
                signed.extend_from_slice(body);
                format!("v1a,{}", STANDARD.encode(pair.sign(&signed)))
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::random::SystemEntropy;
    use secrecy::ExposeSecret as _;

    #[test]
    fn signs_as_the_vector_says() {
        let secret =
            WebhookSecret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let body = br#"{"type":"storage.file.added","timestamp":"2026-01-01T00:00:00Z","data":{"sequence":42}}"#;
        assert_eq!(
            secret.sign("msg_0192f3ab7c1e", 1_767_225_600, body),
            "v1,Etks5qFa8R/hO2P8jH7fixEuzGsPQQmHOINpvhEsunI="
        );
        assert_eq!(format!("{secret:?}"), "WebhookSecret(***)");
    }

    #[test]
    fn public_keys_verify_what_private_ones_sign() {
        let made = WebhookSecret::generate(Scheme::Ed25519, &SystemEntropy).unwrap();
        let again = WebhookSecret::parse(made.to_text().expose_secret()).unwrap();
        let signature = again.sign("msg_1", 7, b"{}");
        let bytes = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let shown = made.shown();
        let public = STANDARD.decode(shown.expose_secret().strip_prefix("whpk_").unwrap()).unwrap();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
        key.verify(b"msg_1.7.{}", &bytes).unwrap();
        assert!(key.verify(b"msg_1.8.{}", &bytes).is_err());
    }

    #[test]
    fn secrets_come_back_and_foreign_texts_do_not() {
        let made = WebhookSecret::generate(Scheme::Hmac, &SystemEntropy).unwrap();
        assert_eq!(made.scheme(), Scheme::Hmac);
        assert_eq!(made.shown().expose_secret(), made.to_text().expose_secret());
        for bad in ["", "whsec_", "whsec_AAAA", "whsk_AAAA", "whpk_AAAA", "whsec_é"] {
            assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
