//! Where a user's browser is sent to grant access (RFC 6749 section 4.1.1, RFC 7636).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tramontane_connector::Connector;
use tramontane_vault::Entropy;
use url::Url;

use super::Client;
use crate::account::Opened;
use crate::error::{Error, Result};

/// The most extra parameters that one authorization may carry.
const MAX_EXTRAS: usize = 32;
/// The longest authorization URL, in bytes: what browsers and servers take for sure.
const MAX_URL_BYTES: usize = 8_000;
/// Parameters that hold the flow together; extras cannot replace them. `request` and `request_uri`
/// would replace all others at once (RFC 9101), `response_mode` where the answer goes.
const PROTECTED: &[&str] = &[
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// What is asked of a service's authorization endpoint.
#[derive(Clone, Copy)]
pub struct Authorization<'a> {
    /// The service; it must have OAuth.
    pub connector: &'a dyn Connector,
    /// The client that asks; see [`super::Grants::client`].
    pub client: &'a Client,
    /// Where the service sends the browser back to: `{base}/v1/oauth/callback`.
    pub redirect_uri: &'a str,
    /// Ties the answer to the browser session; unguessable, good once.
    pub state: &'a str,
    /// Organisation-wide access.
    pub admin: bool,
    /// The unified APIs wanted (section 18.3); empty: all that the service has.
    pub apis: &'a [&'a str],
    /// Scopes in the service's own words (kind `raw`), asked for as well. When `apis` is empty and
    /// this is not, these and what `basic` needs are all that is asked for.
    pub literal: &'a [String],
    /// `raw[key]`: extra parameters for the login page. They add, and replace nothing.
    pub extras: &'a BTreeMap<String, String>,
    /// The account that is connected again: what it has been granted is asked for as well, and the
    /// login page is told whose account it is about.
    pub again: Option<&'a Opened>,
}

/// Where to send the browser, and what to keep until it comes back.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The authorization URL.
    pub url: Url,
    /// The PKCE verifier for [`super::Grants::exchange`]; keep it sealed. `None` where the service
    /// takes no PKCE.
    pub verifier: Option<SecretString>,
    /// What is asked for, in the service's words.
    pub scopes: Vec<String>,
}

/// Builds the authorization URL. Asks nobody.
///
/// # Errors
/// [`Error::Invalid`] naming `raw[...]` or `service`, with the rule.
pub fn begin(asked: &Authorization<'_>, entropy: &dyn Entropy) -> Result<Begun> {
    let descriptor = asked.connector.descriptor();
    let Some(oauth) = asked.connector.oauth() else {
        let rule = format!("{} is not connected by OAuth", descriptor.name);
        return Err(Error::invalid("service", rule));
    };
    let scopes = scopes(asked);
    let mut url = oauth.authorize.clone();
    let verifier = oauth.pkce.then(|| SecretString::from(verifier(entropy)));
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &asked.client.id)
            .append_pair("redirect_uri", asked.redirect_uri)
            .append_pair("state", asked.state);
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes.join(" "));
        }
        if let Some(verifier) = &verifier {
            query
                .append_pair("code_challenge", &challenge(verifier.expose_secret()))
                .append_pair("code_challenge_method", "S256");
        }
        for (name, value) in oauth.authorize_params {
            query.append_pair(name, value);
        }
    }
    add_extras(&mut url, asked.extras)?;
    hint(&mut url, asked);
    if url.as_str().len() > MAX_URL_BYTES {
        let rule = format!("makes the service's login address longer than {MAX_URL_BYTES} bytes");
        return Err(Error::invalid("raw", rule));
    }
    Ok(Begun { url, verifier, scopes })
}

/// What to ask for: what the client's owner fixed, else what the APIs need; then what was named
/// literally; then what the account has already, so that connecting again never takes anything away.
fn scopes(asked: &Authorization<'_>) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let mut add = |scope: &str| {
        if !scope.is_empty() && !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    };
    match (&asked.client.scopes, asked.connector.oauth()) {
        (Some(fixed), _) => fixed.iter().for_each(|scope| add(scope)),
        (None, Some(oauth)) => {
            let all = asked.apis.is_empty() && asked.literal.is_empty();
            let apis = if all { asked.connector.descriptor().apis } else { asked.apis };
            oauth.scopes_for(apis, asked.admin).into_iter().for_each(&mut add);
        }
        (None, None) => {}
    }
    asked.literal.iter().flat_map(|words| words.split(' ')).for_each(&mut add);
    let granted =
        asked.again.and_then(|opened| opened.account.credential.get(super::GRANTED_SCOPES));
    granted.unwrap_or_default().split(' ').for_each(&mut add);
    scopes
}

fn add_extras(url: &mut Url, extras: &BTreeMap<String, String>) -> Result<()> {
    if extras.len() > MAX_EXTRAS {
        return Err(Error::invalid("raw", format!("takes at most {MAX_EXTRAS} parameters")));
    }
    for (name, value) in extras {
        let protected = PROTECTED.iter().any(|one| name.eq_ignore_ascii_case(one));
        if protected {
            let rule = "belongs to the flow itself and cannot be set";
            return Err(Error::invalid(format!("raw[{name}]"), rule));
        }
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return Err(Error::invalid("raw", "names and values must not be empty or hold NUL"));
        }
        // What the connector sets is needed for a grant that lasts, so it stays as it is.
        if !url.query_pairs().any(|(known, _)| known == name.as_str()) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Ok(())
}

/// Tells the login page whose account it is about, when that is known and nothing else was said.
fn hint(url: &mut Url, asked: &Authorization<'_>) {
    let Some(opened) = asked.again else { return };
    let Some(name) = asked.connector.login_hint() else { return };
    let said = url.query_pairs().any(|(known, _)| known == name);
    if !said && opened.row.display.contains('@') {
        url.query_pairs_mut().append_pair(name, &opened.row.display);
    }
}

/// 256 random bits: 43 characters (RFC 7636 section 4.1).
fn verifier(entropy: &dyn Entropy) -> String {
    tramontane_vault::random_id(entropy, 32)
}

fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}
