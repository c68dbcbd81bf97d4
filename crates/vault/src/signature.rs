//! Signatures on what we send: the old form of webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Base64 of HMAC-SHA-256 over the body, keyed with the text of an API key: the value of
/// `X-Kloudless-Signature` (wire API, section 31.2).
#[must_use]
pub fn webhook_signature(api_key: &str, body: &[u8]) -> String {
    // HMAC takes keys of every length, so there is always a signature.
    match Hmac::<Sha256>::new_from_slice(api_key.as_bytes()) {
        Ok(mut mac) => {
            mac.update(body);
            STANDARD.encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_vectors_say() {
        let key = "tmk_9fQ2vExampleKey00000000000000";
        assert_eq!(webhook_signature(key, b""), "C3JHP1xxt5O0VWGACdwziljFVk8pQqhLitxdDZVbtlY=");
        assert_eq!(
            webhook_signature(key, b"account=412345678"),
            "hRYiRwKq7mCXwDfQW3KGFs7ODfmXf2ztxzDlVkTuYxk="
        );
    }
}
