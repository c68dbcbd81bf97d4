//! Signed assertions in place of secrets (RFC 7523).

use tramontane_connector::{Error, Kind};
use tramontane_model::Timestamp;
use tramontane_vault::Entropy;
use url::Url;

/// What the token request calls such a proof of the client.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client's proof of itself (RFC 7523 section 2.2).
pub(super) fn of_client(
    _client: &str,
    _key: &str,
    _endpoint: &Url,
    _now: Timestamp,
    _entropy: &dyn Entropy,
) -> Result<String, Error> {
    Err(Error::new(Kind::Invalid, "Private keys of OAuth clients are not taken yet."))
}
