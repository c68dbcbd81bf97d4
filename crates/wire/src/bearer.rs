//! Puts live access tokens of accounts behind OAuth on requests.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::oauth::ACCESS_TOKEN;
use tramontane_connector::{Account, Error, Kind, Result, Sign, Tokens};
use tramontane_model::Timestamp;

/// Signs the requests of one call with `Authorization: Bearer` (RFC 6750, section 2.1).
pub(crate) struct Bearer {
    tokens: Arc<dyn Tokens>,
    account: Arc<Account>,
    subject: Option<Arc<str>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    used: Option<SecretString>,
    refused: Option<SecretString>,
}

impl Bearer {
    pub(crate) fn new(
        tokens: Arc<dyn Tokens>,
        account: Arc<Account>,
        subject: Option<Arc<str>>,
    ) -> Self {
        Self { tokens, account, subject, seen: Mutex::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sign for Bearer {
    async fn sign(&self, request: &mut Request, _now: Timestamp) -> Result<()> {
        let refused = self.seen().refused.take();
        let subject = self.subject.as_deref();
        let token = self.tokens.access_token(&self.account, subject, refused.as_ref()).await?;
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let mut value = value.map_err(|_| {
            Error::new(
                Kind::Credential,
                "The account's access token cannot be sent: connect it again.",
            )
        })?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
        self.seen().used = Some(token);
        Ok(())
    }

    async fn challenged(&self, response: &Response) -> bool {
        if response.status != StatusCode::UNAUTHORIZED {
            return false;
        }
        let mut seen = self.seen();
        seen.refused = seen.used.take();
        seen.refused.is_some()
    }
}

/// The tokens that accounts carry, as they are: before anything that refreshes them is there.
pub(crate) struct AsStored;

#[async_trait]
impl Tokens for AsStored {
    async fn access_token(
        &self,
        account: &Account,
        _subject: Option<&str>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString> {
        let stored = account.credential.get(ACCESS_TOKEN);
        let stored =
            stored.filter(|token| refused.is_none_or(|refused| refused.expose_secret() != *token));
        stored.map(|token| SecretString::from(token.to_owned())).ok_or_else(|| {
            Error::new(Kind::Credential, "The service refuses the account's access token.")
        })
    }
}
