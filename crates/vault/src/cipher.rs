//! The one construction under everything sealed: HKDF-SHA-256 per message, then AES-256-GCM.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;

/// Bytes of salt before each ciphertext.
pub(crate) const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Seals under a key and nonce derived from `key`, `purpose` and `salt`.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    purpose: &str,
    salt: &[u8; SALT_BYTES],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let (cipher, nonce) = derive(key, purpose, salt)?;
    let payload = Payload { msg: plaintext, aad };
    cipher.encrypt(&nonce, payload).map_err(|_| Error::BadForm)
}

/// Opens what [`seal`] made with the same arguments.
pub(crate) fn open(
    key: &[u8; KEY_BYTES],
    purpose: &str,
    salt: &[u8; SALT_BYTES],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (cipher, nonce) = derive(key, purpose, salt)?;
    let payload = Payload { msg: ciphertext, aad };
    cipher.decrypt(&nonce, payload).map(Zeroizing::new).map_err(|_| Error::Tampered)
}

type AesNonce = aes_gcm::aead::Nonce<Aes256Gcm>;

fn derive(
    key: &[u8; KEY_BYTES],
    purpose: &str,
    salt: &[u8; SALT_BYTES],
) -> Result<(Aes256Gcm, AesNonce), Error> {
    // The key is uniformly random already, so the extract step of HKDF is not needed (RFC 5869, 3.3).
    let hkdf = Hkdf::<Sha256>::from_prk(key).map_err(|_| Error::BadForm)?;
    let mut derived = Zeroizing::new([0u8; KEY_BYTES + NONCE_BYTES]);
    hkdf.expand_multi_info(&[b"tramontane ", purpose.as_bytes(), b"\0", salt], &mut derived[..])
        .map_err(|_| Error::BadForm)?;
    let (cipher_key, nonce) = derived.split_at(KEY_BYTES);
    let cipher = Aes256Gcm::new_from_slice(cipher_key).map_err(|_| Error::BadForm)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| Error::BadForm)?;
    Ok((cipher, nonce))
}

/// Associated data without doubt about where one part ends: each part is preceded by its length.
pub(crate) fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut bound = Vec::new();
    for part in parts {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}
