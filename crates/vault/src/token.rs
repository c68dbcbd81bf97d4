//! Credentials of our own API: minted, marked, hashed, compared.

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::random::{Entropy, random_id};

/// What a credential is, told by its first letters so that secret scanners know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// `tmb_`: opens one account.
    Account,
    /// `tmk_`: opens every account of one application.
    ApiKey,
    /// `tmm_`: opens the applications of one developer.
    Meta,
    /// `tmr_`: renews an account token.
    Refresh,
}

impl Mark {
    /// The letters that such a credential starts with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Account => "tmb_",
            Self::ApiKey => "tmk_",
            Self::Meta => "tmm_",
            Self::Refresh => "tmr_",
        }
    }
}

/// A new credential: the mark and 256 random bits, over `[A-Za-z0-9_-]`.
#[must_use]
pub fn mint(entropy: &dyn Entropy, mark: Mark) -> SecretString {
    SecretString::from(format!("{}{}", mark.prefix(), random_id(entropy, 32)))
}

/// The form in which a credential is stored for look-up: SHA-256 in hex. Credentials that we mint
/// hold 256 random bits, so a fast hash without salt gives nothing away.
#[must_use]
pub fn hash(credential: &str) -> String {
    hex::encode(Sha256::digest(credential.as_bytes()))
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::random::SystemEntropy;

    #[test]
    fn credentials_carry_their_mark_and_never_repeat() {
        for mark in [Mark::Account, Mark::ApiKey, Mark::Meta, Mark::Refresh] {
            let one = mint(&SystemEntropy, mark);
            let other = mint(&SystemEntropy, mark);
            let text = one.expose_secret();
            assert!(text.starts_with(mark.prefix()));
            assert_eq!(text.len(), 4 + 43);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            assert_ne!(text, other.expose_secret());
            assert!(!format!("{one:?}").contains(text));
        }
    }

    #[test]
    fn hashes_are_the_known_ones_and_comparison_is_exact() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(same(&hash("tmb_x"), &hash("tmb_x")));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "abcd"));
    }
}
