//! Signed assertions (JWT, RFC 7519) by which a client or a service account shows itself.

use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A private key that signs assertions: RSA of 2048 bits or more (`RS256`), or P-256 (`ES256`).
pub struct Signer {
    key: Key,
    header: Map<String, Value>,
    issuer: Option<String>,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(***)")
    }
}

impl Signer {
    /// Reads a key: PEM (`PRIVATE KEY` or `RSA PRIVATE KEY`, not encrypted), with the certificate that
    /// belongs to it where the service wants its thumbprint (`x5t`, `x5t#S256`); or JSON with
    /// `private_key` (such a PEM), and `private_key_id` and `client_email` where there are any, as
    /// Google hands out keys of service accounts.
    ///
    /// # Errors
    /// [`Error::BadSigningKey`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Self::of_pem(text, None, None);
        }
        let members: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| Error::BadSigningKey("is no JSON"))?;
        let member = |name: &str| members.get(name).and_then(Value::as_str);
        let pem = member("private_key").ok_or(Error::BadSigningKey("has no private_key"))?;
        Self::of_pem(pem, member("private_key_id"), member("client_email"))
    }

    fn of_pem(text: &str, key_id: Option<&str>, issuer: Option<&str>) -> Result<Self, Error> {
        let key = if let Some(der) = section(text, "PRIVATE KEY")? {
            pkcs8(&der)?
        } else if let Some(der) = section(text, "RSA PRIVATE KEY")? {
            let key = RsaKeyPair::from_der(&der);
            Key::Rsa(Box::new(key.map_err(|_| Error::BadSigningKey("is no usable RSA key"))?))
        } else {
            let why = "must be PEM with a PRIVATE KEY that is not encrypted (PKCS #8)";
            return Err(Error::BadSigningKey(why));
        };
        let algorithm = match &key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
        };
        let mut header = Map::new();
        header.insert("alg".into(), algorithm.into());
        header.insert("typ".into(), "JWT".into());
        if let Some(id) = key_id {
            header.insert("kid".into(), id.into());
        }
        if let Some(der) = section(text, "CERTIFICATE")? {
            header.insert("x5t".into(), encode(&Sha1::digest(&der)).into());
            header.insert("x5t#S256".into(), encode(&Sha256::digest(&der)).into());
        }
        Ok(Self { key, header, issuer: issuer.map(str::to_owned) })
    }

    /// Who the key says it belongs to (`client_email`).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Signs claims in the compact form.
    ///
    /// # Errors
    /// [`Error::BadSigningKey`] when the machine's randomness fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, Error> {
        let header = encode(Value::Object(self.header.clone()).to_string().as_bytes());
        let claims = encode(json!(claims).to_string().as_bytes());
        let signed = format!("{header}.{claims}");
        let random = SystemRandom::new();
        let failed = |_| Error::BadSigningKey("did not sign");
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .map_err(failed)?;
                signature
            }
            Key::P256(key) => {
                key.sign(&random, signed.as_bytes()).map_err(failed)?.as_ref().to_vec()
            }
        };
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

fn pkcs8(der: &[u8]) -> Result<Key, Error> {
    if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
        return Ok(Key::Rsa(Box::new(key)));
    }
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
        .map(|key| Key::P256(Box::new(key)))
        .map_err(|_| Error::BadSigningKey("must be RSA of 2048 bits or more, or P-256"))
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of the first section with this label (RFC 7468).
fn section(text: &str, label: &str) -> Result<Option<Vec<u8>>, Error> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let Some((_, rest)) = text.split_once(&begin) else { return Ok(None) };
    let bad = Error::BadSigningKey("has a broken PEM section");
    let (inner, _) = rest.split_once(&end).ok_or(bad.clone())?;
    let inner: String = inner.split_whitespace().collect();
    BASE64_STANDARD.decode(inner).map(Some).map_err(|_| bad)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn fresh_p256() -> String {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let body = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    }

    fn claims() -> Map<String, Value> {
        json!({"iss": "me", "exp": 7}).as_object().unwrap().clone()
    }

    #[test]
    fn an_assertion_is_signed_by_the_key_over_header_and_claims() {
        let signer = Signer::parse(&fresh_p256()).unwrap();
        let token = signer.sign(&claims()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, body) = signed.split_once('.').unwrap();
        let read = |text: &str| -> Value {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        assert_eq!(read(header), json!({"alg": "ES256", "typ": "JWT"}));
        assert_eq!(read(body), json!({"iss": "me", "exp": 7}));
        let Key::P256(key) = &signer.key else { unreachable!("a P-256 key was given") };
        let public = UnparsedPublicKey::new(
            &ring::signature::ECDSA_P256_SHA256_FIXED,
            key.public_key().as_ref(),
        );
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert!(public.verify(b"something else", &signature).is_err());
        assert!(!format!("{signer:?}").contains("BEGIN"));
    }

    #[test]
    fn reads_rsa_keys_in_json_and_puts_key_id_and_thumbprints_in_the_header() {
        let pem = include_str!("../tests/service-account.pem");
        let json = json!({"type": "service_account", "private_key": pem, "private_key_id": "k1",
            "client_email": "robot@example.com"});
        let signer = Signer::parse(&json.to_string()).unwrap();
        assert_eq!(signer.issuer(), Some("robot@example.com"));
        assert_eq!(signer.header.get("kid").unwrap(), "k1");
        let token = signer.sign(&claims()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let Key::Rsa(key) = &signer.key else { unreachable!("an RSA key was given") };
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
        // SHA-1 and SHA-256 of the bytes "abc".
        let with_certificate =
            format!("{pem}-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n");
        let signer = Signer::parse(&with_certificate).unwrap();
        assert_eq!(signer.header.get("x5t").unwrap(), "qZk-NkcGgWq6PiVxeFDCbJzQ2J0");
        let thumbprint = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(signer.header.get("x5t#S256").unwrap(), thumbprint);
    }

    #[test]
    fn refuses_what_is_no_key_and_does_not_repeat_it() {
        for bad in [
            "hush",
            "{hush",
            "{\"private_key\": \"hush\"}",
            "-----BEGIN PRIVATE KEY-----\nhush",
            "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVzaA==\n-----END ENCRYPTED PRIVATE KEY-----",
        ] {
            let refused = Signer::parse(bad).unwrap_err().to_string();
            assert!(refused.contains("private key") && !refused.contains("hush"), "{refused}");
        }
    }
}
