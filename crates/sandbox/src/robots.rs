//! Service accounts of the sandbox: a key that everybody knows, and the assertions that it signs,
//! checked for real (RFC 7523).

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use crate::people::{PEOPLE, Person, find};

/// Who the sandbox's service account is: the issuer of its assertions.
pub const ROBOT: &str = "robot@tramontane-sandbox.example.com";
/// Its private key. Everybody may know it: it opens nothing but the sandbox.
const KEY: &str = include_str!("robot.pem");
/// How far a clock may be off, in seconds.
const SKEW: i64 = 300;

/// The service account's key as services hand such keys out: what an OAuth client's secret may be.
#[must_use]
pub fn robot_key() -> String {
    let key = json!({
        "type": "service_account", "client_email": ROBOT, "client_id": crate::CLIENT_ID,
        "private_key_id": "sandbox", "private_key": KEY,
    });
    key.to_string()
}

/// What an assertion says, once its signature and its times hold.
pub(crate) struct Asserted {
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) scope: String,
}

impl Asserted {
    /// Who the tokens are for: the subject, or the administrator when there is none.
    pub(crate) fn person(&self) -> Option<&'static Person> {
        match &self.subject {
            Some(subject) => find(subject),
            None => PEOPLE.iter().find(|person| person.admin),
        }
    }
}

/// Checks an assertion.
pub(crate) fn check(assertion: &str, now: Timestamp) -> Option<Asserted> {
    let claims = signed_claims(assertion)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let (begins, ends) = (claims.get("iat")?.as_i64()?, claims.get("exp")?.as_i64()?);
    let fits = begins <= now.seconds() + SKEW && now.seconds() < ends && ends - begins <= 3_600;
    if !fits || text("aud").is_none_or(|audience| audience.is_empty()) {
        return None;
    }
    Some(Asserted {
        issuer: text("iss")?,
        subject: text("sub"),
        scope: text("scope").unwrap_or_default(),
    })
}

/// What an assertion claims, when the key of [`robot_key`] has signed it.
pub(crate) fn signed_claims(assertion: &str) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let read = |text: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    if read(header)?.get("alg")? != "RS256" {
        return None;
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key()?);
    public.verify(signed.as_bytes(), &signature).ok()?;
    read(claims)
}

fn public_key() -> Option<Vec<u8>> {
    let inner: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(inner).ok()?).ok()?;
    Some(key.public_key().as_ref().to_vec())
}
