//! The operator's master key: wraps data keys, and nothing else.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::Error;
use crate::random::Entropy;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 32 bytes that the operator keeps, in a file or the environment. Whoever has it and the database
/// can read every credential; without it the credentials are gone.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// Reads base64 (standard or URL-safe letters, padded or not; white space around is ignored).
    ///
    /// # Errors
    /// [`Error::BadMasterKey`] when it is not 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = zeroize::Zeroizing::new(text.trim().replace('-', "+").replace('_', "/"));
        let bytes = LENIENT.decode(text.as_bytes()).map_err(|_| Error::BadMasterKey)?;
        let bytes = zeroize::Zeroizing::new(bytes);
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self).map_err(|_| Error::BadMasterKey)
    }

    /// A new random master key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// The base64 form, for the file that keeps it.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        SecretString::from(LENIENT.encode(self.0))
    }

    /// A name for this key that tells nothing about it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"tramontane master key fingerprint\0");
        digest.update(self.0);
        hex::encode(digest.finalize()).chars().take(16).collect()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::random::SystemEntropy;

    #[test]
    fn reads_its_own_text_in_every_base64_dress() {
        let key = MasterKey::generate(&SystemEntropy);
        let text = key.to_text().expose_secret().to_owned();
        let dresses = [
            text.clone(),
            format!("  {text}\n"),
            text.trim_end_matches('=').to_owned(),
            text.replace('+', "-").replace('/', "_"),
        ];
        for dress in dresses {
            assert_eq!(MasterKey::parse(&dress).unwrap().fingerprint(), key.fingerprint());
        }
    }

    #[test]
    fn refuses_what_is_not_32_bytes_and_never_prints_itself() {
        for bad in ["", "short", "!!!!", &"A".repeat(44), "00".repeat(32).as_str()] {
            assert_eq!(MasterKey::parse(bad).err(), Some(Error::BadMasterKey), "{bad}");
        }
        let key = MasterKey::generate(&SystemEntropy);
        assert_eq!(format!("{key:?}"), "MasterKey(***)");
        assert_ne!(key.fingerprint(), MasterKey::generate(&SystemEntropy).fingerprint());
    }
}
