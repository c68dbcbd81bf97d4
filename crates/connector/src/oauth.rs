//! What OAuth 2.0 at a service is like, and where live access tokens come from. A connector states the
//! facts; asking, exchanging and refreshing are done once for all services elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::account::Account;
use crate::error::{Error, Result};

/// The credential's field with the access token.
pub const ACCESS_TOKEN: &str = "access_token";
/// The credential's field with the refresh token.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// The credential's field that says `true` for an account that a service account opens: it has no
/// tokens of its own, and needs no user's login.
pub const SERVICE_ACCOUNT: &str = "service_account";
/// The setting with the person that a service account acts for when no member is named.
pub const SUBJECT: &str = "subject";

/// How a client shows itself to the token endpoint (RFC 6749, section 2.3.1; RFC 7523).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form.
    Body,
    /// HTTP Basic.
    Basic,
}

/// The scopes of a service that one unified API needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeSet {
    /// The unified API: `storage`, `events`, `team`, or `basic` for whose account it is.
    pub api: &'static str,
    /// For organisation-wide access; otherwise for the user's own.
    pub admin: bool,
    /// The service's own words.
    pub scopes: &'static [&'static str],
}

/// How the service's refresh tokens behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshRules {
    /// Whether each refresh gives a new refresh token and ends the old one.
    pub rotates: bool,
    /// A refresh token that is not used for so long lapses; `None` when they do not lapse.
    pub idle_life: Option<Duration>,
    /// How long an access token lives when the service does not say.
    pub access_life: Duration,
}

/// How an organisation's administrator can let a server in without any user's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceAccount {
    /// A signed assertion for a service account that acts for the domain's users (Google's
    /// domain-wide delegation; RFC 7523 section 2.1).
    SignedAssertion,
    /// The client's own credentials, with a secret or a signed assertion (RFC 6749, section 4.4;
    /// Microsoft's application permissions, Box's server authentication).
    ClientCredentials,
}

/// What a service wants in the token request of a service account, beside what
/// [`ServiceAccount`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceToken {
    /// The token endpoint, where it is not [`OAuth::token`] (Microsoft: the tenant's own).
    pub endpoint: Option<Url>,
    /// Whom the token shall act for: the assertion's `sub`.
    pub subject: Option<String>,
    /// More parameters of the form (Box: `box_subject_type`, `box_subject_id`).
    pub params: Vec<(&'static str, String)>,
    /// Scopes to ask for in place of those that [`OAuth::scopes`] has for organisation-wide access
    /// (Microsoft: `.default`).
    pub scopes: Option<Vec<String>>,
}

/// OAuth 2.0 at one service.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// Where the user's browser is sent.
    pub authorize: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token: Url,
    /// Where a grant is given back (RFC 7009 unless the connector overrides
    /// [`crate::Connector::revoke_request`]); `None` where the service has no such thing.
    pub revoke: Option<Url>,
    /// How the client shows itself.
    pub client_auth: ClientAuth,
    /// Whether the service takes PKCE (RFC 7636) with `S256`.
    pub pkce: bool,
    /// Parameters that every authorization request carries (`access_type=offline`).
    pub authorize_params: &'static [(&'static str, &'static str)],
    /// Which scopes each unified API needs.
    pub scopes: &'static [ScopeSet],
    /// How refresh tokens behave.
    pub refresh: RefreshRules,
    /// The way in for an organisation's server, where there is one.
    pub service_account: Option<ServiceAccount>,
}

impl OAuth {
    /// The service's scopes for these unified APIs, each once, in order. What `basic` needs is always
    /// among them.
    #[must_use]
    pub fn scopes_for(&self, apis: &[&str], admin: bool) -> Vec<&'static str> {
        let mut found = Vec::new();
        for set in self.scopes.iter().filter(|set| set.admin == admin) {
            if set.api == "basic" || apis.contains(&set.api) {
                for scope in set.scopes {
                    if !found.contains(scope) {
                        found.push(*scope);
                    }
                }
            }
        }
        found
    }
}

/// Gives live access tokens. The `accounts` crate is the one that does it in earnest; the `wire` asks
/// for every signed request of an account behind OAuth, so the usual answer must come from memory.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// An access token of the account that has some life left.
    ///
    /// `subject`: for accounts of an organisation, the member to act for where the service wants a
    /// token of its own for that. `refused`: the token that the service has just refused, so that the
    /// same one does not come again.
    ///
    /// # Errors
    /// `Credential` when the service ended the grant: the account must be connected again.
    /// `Unavailable` or `Timeout` when the service's token endpoint cannot be reached.
    async fn access_token(
        &self,
        account: &Account,
        subject: Option<&str>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString>;
}

/// Base URLs that an operator set in place of a service's own: for sovereign clouds, on-premises
/// gateways and tests. By service (`onedrivebiz`) or by part of one (`onedrivebiz.login`).
#[derive(Clone, Debug, Default)]
pub struct Bases(BTreeMap<String, Url>);

impl Bases {
    /// Reads `name=url` pairs.
    ///
    /// # Errors
    /// The pair, and the rule that it breaks.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = &'a str>,
    ) -> std::result::Result<Self, String> {
        let mut bases = Self::default();
        for pair in pairs {
            let url = pair.split_once('=').and_then(|(name, url)| {
                let url = Url::parse(url.trim()).ok()?;
                let fits = matches!(url.scheme(), "http" | "https")
                    && url.query().is_none()
                    && url.fragment().is_none();
                fits.then(|| (name.trim().to_owned(), url))
            });
            let Some((name, url)) = url else {
                return Err(format!(
                    "\"{pair}\" must be service=URL or service.part=URL, with http or https"
                ));
            };
            bases.set(name, url);
        }
        Ok(bases)
    }

    /// Sets the base URL of a service, or of one part of it.
    pub fn set(&mut self, name: impl Into<String>, mut url: Url) {
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        self.0.insert(name.into(), url);
    }

    /// The base URL of a part of a service: as set for the part, else as set for the service, else the
    /// service's own. Ends with a slash.
    ///
    /// # Errors
    /// `Internal` when `own` is no URL.
    pub fn url(&self, service: &str, part: &str, own: &str) -> Result<Url> {
        let set = self.0.get(&format!("{service}.{part}")).or_else(|| self.0.get(service));
        match set {
            Some(url) => Ok(url.clone()),
            None => Url::parse(own)
                .map_err(|_| Error::internal(format!("The base URL {own} cannot be read."))),
        }
    }

    /// The names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_part_wins_over_its_service_and_both_over_the_services_own() {
        let pairs = ["onedrivebiz=http://127.0.0.1:9/graph", "onedrivebiz.login=https://login.x/"];
        let bases = Bases::parse(pairs).unwrap();
        let url = |part| bases.url("onedrivebiz", part, "https://own/").unwrap().to_string();
        assert_eq!(url("api"), "http://127.0.0.1:9/graph/");
        assert_eq!(url("login"), "https://login.x/");
        assert_eq!(bases.url("box", "api", "https://own/").unwrap().as_str(), "https://own/");
    }

    #[test]
    fn refuses_what_is_no_base_url() {
        for bad in ["box", "box=", "box=ftp://x/", "box=http://x/?a=b", "box=/path"] {
            let refused = Bases::parse([bad]).unwrap_err();
            assert!(refused.contains(bad), "{refused}");
        }
    }
}
