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

    async fn refused(&self, response: &Response, said: &[u8]) -> bool {
        // The token is good, and was given for less than this: another one would be as well.
        let is_short = lacks_scope(response, said);
        !is_short && self.challenged(response).await
    }
}

/// Whether a refusal is of a token whose scopes are not enough: `insufficient_scope` (RFC 6750, section
/// 3.1), or Dropbox's `missing_scope`, which comes with 401 in the body alone.
fn lacks_scope(response: &Response, said: &[u8]) -> bool {
    let has =
        |text: &[u8], word: &str| text.windows(word.len()).any(|part| part == word.as_bytes());
    let challenges = response.headers.get_all(header::WWW_AUTHENTICATE);
    challenges.iter().any(|value| has(value.as_bytes(), "insufficient_scope"))
        || has(said, "\"missing_scope\"")
        || has(said, "\"insufficient_scope\"")
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderMap;
    use tramontane_connector::Body;

    use super::*;

    fn refusal(challenge: Option<&'static str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        let url = url::Url::parse("https://api.example.com/").unwrap();
        Response { status: StatusCode::UNAUTHORIZED, headers, body: Body::empty(), url }
    }

    #[tokio::test]
    async fn a_missing_scope_asks_for_no_other_token() {
        let account = Account {
            id: tramontane_model::AccountId::new(1).unwrap(),
            service: "drive".into(),
            admin: false,
            settings: tramontane_connector::Settings::new(),
            credential: [(ACCESS_TOKEN, "t1")].into_iter().collect(),
            revision: 1,
        };
        let bearer = Bearer::new(Arc::new(AsStored), Arc::new(account), None);
        let url = url::Url::parse("https://api.example.com/").unwrap();
        let mut request = Request::new("get", http::Method::GET, url);
        bearer.sign(&mut request, Timestamp::from_micros(0)).await.unwrap();
        let short = br#"{"error": {".tag": "missing_scope", "required_scope": "sharing.write"}}"#;
        assert!(!bearer.refused(&refusal(None), short).await);
        // The token still stands, so that its refusal is noticed when it comes.
        let expired = br#"{"error": {".tag": "expired_access_token"}}"#;
        assert!(bearer.refused(&refusal(None), expired).await);
        assert!(bearer.sign(&mut request, Timestamp::from_micros(0)).await.is_err());
    }

    #[test]
    fn a_scope_that_is_missing_is_told_from_a_token_that_is_refused() {
        let dropbox =
            br#"{"error_summary": "missing_scope/..", "error": {".tag": "missing_scope"}}"#;
        assert!(lacks_scope(&refusal(None), dropbox));
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"files.write\"";
        assert!(lacks_scope(&refusal(Some(challenge)), b""));
        let expired = br#"{"error": {".tag": "expired_access_token"}}"#;
        assert!(!lacks_scope(&refusal(Some("Bearer error=\"invalid_token\"")), expired));
        assert!(!lacks_scope(&refusal(None), b"my missing_scope.txt"));
    }
}
