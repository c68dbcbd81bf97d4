//! Calls to a service's token endpoint: codes exchanged, tokens refreshed, grants given back.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::oauth::{ACCESS_TOKEN, REFRESH_TOKEN};
use tramontane_connector::{
    ClientAuth, Connector, Credential, Error, Kind, OAuth, Retry, Tokens as _,
};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::answer::{self, Refusal, Tokens};
use super::client::{Client, Proof};
use super::{CLIENT_ID, GRANTED_SCOPES, Grants, assertion, held};
use crate::account::Opened;
use crate::error::Result;

/// The most that is read of a token endpoint's answer, in bytes.
const MAX_ANSWER: usize = 128 << 10;
/// The longest authorization code that is passed on, in bytes.
const MAX_CODE: usize = 8_192;

/// The guarded way to services that takes no place in any gate (the wire's `unsigned`). Redirects of
/// `POST` are not followed.
#[async_trait]
pub trait BackChannel: Send + Sync {
    /// Sends one request, once. Any status is an answer.
    ///
    /// # Errors
    /// `Unavailable` when it surely did not arrive; `Timeout`, `Broken`, `Guarded`.
    async fn send(
        &self,
        request: Request,
        within: Duration,
    ) -> tramontane_connector::Result<Response>;
}

/// What a service granted: everything that an account needs of it.
#[derive(Clone, Debug)]
pub struct Obtained {
    /// Access token, refresh token where there is one, and what later refreshes need.
    pub credential: Credential,
    /// What was granted, in the service's words.
    pub scopes: Vec<String>,
    /// When the access token ends, in microseconds; `None` when it is not known.
    pub token_expiry: Option<i64>,
    /// When the refresh token ends, where the service says so.
    pub refresh_token_expiry: Option<i64>,
}

/// What came of giving a grant back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The service ended it.
    Done,
    /// The service has no way to do this, or the account holds no grant.
    NotPossible,
    /// The service could not be asked or refused; for people.
    Failed(String),
}

/// Why a token endpoint gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The grant has ended: code and words of the service.
    Grant(String, Option<String>),
    /// The service refuses the client: a matter of configuration.
    Client(String, Option<String>),
    /// The service refuses the request for another reason, and will again.
    Request(String, Option<String>),
    /// It surely was not done; may go better later.
    NotDone(Error),
    /// It may have been done: no answer, or none that can be read.
    Unknown(Error),
    /// It could not even be asked: a key that does not sign, an address that may not be called.
    Unasked(Error),
}

impl Failure {
    /// In the words of the contract.
    pub(super) fn into_error(self, name: &str) -> Error {
        let (kind, code, text, what) = match self {
            Self::Grant(code, text) => (
                Kind::Credential,
                code,
                text,
                format!("{name} says that this grant has ended or is not valid. Connect again."),
            ),
            Self::Client(code, text) => (
                Kind::Broken,
                code,
                text,
                format!(
                    "{name} refuses the OAuth client. Check the client id and secret of the \
                     application's service key, or of the operator's setting oauth_clients."
                ),
            ),
            Self::Request(code, text) => {
                (Kind::Broken, code, text, format!("{name} refuses the token request."))
            }
            Self::NotDone(error) | Self::Unknown(error) | Self::Unasked(error) => return error,
        };
        Error::new(kind, what).retry(Retry::Never).said(Some(&code), text.as_deref())
    }
}

/// A code that came back, and what belongs to it.
#[derive(Clone, Copy)]
pub struct CodeExchange<'a> {
    /// The service.
    pub connector: &'a dyn Connector,
    /// The client that asked.
    pub client: &'a Client,
    /// The code, as it came.
    pub code: &'a str,
    /// The verifier that [`super::begin`] gave.
    pub verifier: Option<&'a SecretString>,
    /// The same redirect URI as in the authorization.
    pub redirect_uri: &'a str,
    /// The scopes that were asked for: what was granted, unless the service says otherwise.
    pub asked: &'a [String],
}

impl Grants {
    /// Exchanges an authorization code (RFC 6749 section 4.1.3). Never tried twice: a code is good
    /// once, and a second use can end what the first gave.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a code that cannot be one; [`crate::Error::Connector`]:
    /// `Credential` when the service does not take the code, `Broken` when it refuses the client or
    /// its answer is malformed or oversized, `Unavailable`, `Timeout`.
    pub async fn exchange(&self, asked: CodeExchange<'_>) -> Result<Obtained> {
        let name = asked.connector.descriptor().friendly_name;
        let oauth = oauth_of(asked.connector)?;
        let fits = !asked.code.is_empty()
            && asked.code.len() <= MAX_CODE
            && !asked.code.contains(char::is_control);
        if !fits {
            let rule = format!("must have 1 to {MAX_CODE} bytes without control characters");
            return Err(crate::Error::invalid("code", rule));
        }
        let mut form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", asked.code.to_owned()),
            ("redirect_uri", asked.redirect_uri.to_owned()),
        ];
        if let Some(verifier) = asked.verifier {
            form.push(("code_verifier", verifier.expose_secret().to_owned()));
        }
        let tokens = self.ask(oauth, &oauth.token, Some(asked.client), form, name).await;
        let tokens = tokens.map_err(|failure| failure.into_error(name))?;
        Ok(self.obtained(oauth, asked.client, tokens, asked.asked, None))
    }

    /// One refresh (RFC 6749 section 6).
    pub(super) async fn refresh(
        &self,
        connector: &dyn Connector,
        client: &Client,
        refresh_token: &SecretString,
    ) -> std::result::Result<Tokens, Failure> {
        let name = connector.descriptor().friendly_name;
        let oauth = connector.oauth();
        let oauth = oauth.ok_or_else(|| Failure::Unasked(Error::internal("no OAuth here")))?;
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh_token.expose_secret().to_owned()),
        ];
        self.ask(oauth, &oauth.token, Some(client), form, name).await
    }

    /// What tokens are to an account. `before`: the credential that they renew.
    pub(super) fn obtained(
        &self,
        oauth: &OAuth,
        client: &Client,
        tokens: Tokens,
        asked: &[String],
        before: Option<&Credential>,
    ) -> Obtained {
        let mut credential = before.cloned().unwrap_or_default();
        credential.set(ACCESS_TOKEN, tokens.access.expose_secret());
        if let Some(refresh) = &tokens.refresh {
            credential.set(REFRESH_TOKEN, refresh.expose_secret());
        }
        credential.set(CLIENT_ID, client.id.as_str());
        let scopes = tokens.scopes.unwrap_or_else(|| asked.to_vec());
        if !scopes.is_empty() {
            credential.set(GRANTED_SCOPES, scopes.join(" "));
        }
        let life = tokens.life.unwrap_or(oauth.refresh.access_life.as_secs());
        credential.set(held::LIFE, life.to_string());
        Obtained {
            credential,
            scopes,
            token_expiry: (life > 0).then(|| self.in_seconds(life)),
            refresh_token_expiry: tokens.refresh_life.map(|life| self.in_seconds(life)),
        }
    }

    fn in_seconds(&self, seconds: u64) -> i64 {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.directory().clock().now().plus_seconds(seconds).micros()
    }

    /// One request to a token endpoint, with the client's proof unless the form is one by itself.
    pub(super) async fn ask(
        &self,
        oauth: &OAuth,
        endpoint: &Url,
        client: Option<&Client>,
        form: Vec<(&str, String)>,
        name: &str,
    ) -> std::result::Result<Tokens, Failure> {
        let request = self.form(oauth, endpoint, client, form, "token");
        let request = request.map_err(Failure::Unasked)?;
        let (status, body) = self.send(request, name).await?;
        let kind = match status {
            429 => {
                let text = format!("{name}'s token endpoint asks to slow down.");
                return Err(Failure::NotDone(Error::new(Kind::RateLimited, text)));
            }
            500.. => return Err(Failure::Unknown(unread(name, status, "it failed"))),
            status => (200..300).contains(&status),
        };
        match answer::read(kind, &body) {
            Ok(tokens) => Ok(tokens),
            Err(Refusal::Malformed(why)) => Err(Failure::Unknown(unread(name, status, why))),
            Err(Refusal::Error { code, text }) => Err(match code.as_str() {
                "invalid_grant"
                | "interaction_required"
                | "consent_required"
                | "login_required"
                | "invalid_refresh_token"
                | "token_revoked" => Failure::Grant(code, text),
                "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client" => {
                    Failure::Client(code, text)
                }
                "invalid_request"
                | "invalid_scope"
                | "unsupported_grant_type"
                | "access_denied" => Failure::Request(code, text),
                _ => Failure::Unknown(
                    unread(name, status, "its error code is not known")
                        .said(Some(&code), text.as_deref()),
                ),
            }),
        }
    }

    /// Sends, and reads a bounded answer.
    async fn send(
        &self,
        request: Request,
        name: &str,
    ) -> std::result::Result<(u16, Vec<u8>), Failure> {
        let within = self.options().call_time;
        let exchange = async {
            let answer = self.channel().send(request, within).await?;
            let status = answer.status.as_u16();
            let body = answer.body.collect(MAX_ANSWER).await.map_err(|error| match error.kind {
                Kind::TooLarge => unread(name, status, "it is longer than 128 KB"),
                _ => error,
            })?;
            Ok((status, body.to_vec()))
        };
        let answered = tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| {
            let text = format!("{name}'s token endpoint did not answer in time.");
            Err(Error::new(Kind::Timeout, text))
        });
        answered.map_err(|error| match error.kind {
            Kind::Unavailable => Failure::NotDone(error),
            Kind::Guarded | Kind::Invalid => Failure::Unasked(error),
            _ => Failure::Unknown(error),
        })
    }

    fn form(
        &self,
        oauth: &OAuth,
        endpoint: &Url,
        client: Option<&Client>,
        mut form: Vec<(&str, String)>,
        name: &'static str,
    ) -> std::result::Result<Request, Error> {
        let mut request = Request::new(name, Method::POST, endpoint.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        request.signed = false;
        let Some(client) = client else {
            return Ok(request.bytes(Serializer::new(String::new()).extend_pairs(form).finish()));
        };
        match (client.proof(), oauth.client_auth) {
            (Proof::Nothing, _) => form.push(("client_id", client.id.clone())),
            (Proof::Secret(secret), ClientAuth::Body) => {
                form.push(("client_id", client.id.clone()));
                form.push(("client_secret", secret.to_owned()));
            }
            (Proof::Secret(secret), ClientAuth::Basic) => {
                // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&client.id), encoded(secret));
                let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
                let value = http::HeaderValue::from_str(&value);
                let mut value =
                    value.map_err(|_| Error::internal("the client cannot be sent by Basic"))?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            (Proof::Key(key), _) => {
                let assertion = assertion::of_client(
                    &client.id,
                    key,
                    endpoint,
                    self.directory().clock().now(),
                    self.directory().entropy(),
                )?;
                form.push(("client_id", client.id.clone()));
                form.push(("client_assertion_type", assertion::CLIENT.to_owned()));
                form.push(("client_assertion", assertion));
            }
        }
        Ok(request.bytes(Serializer::new(String::new()).extend_pairs(form).finish()))
    }

    /// Gives an account's grant back to the service, as well as it can be done. The account itself
    /// stays as it is.
    pub async fn revoke(&self, opened: &Opened) -> Revoked {
        let row = &opened.row;
        let Some(connector) = self.registry().get(&row.service) else {
            return Revoked::NotPossible;
        };
        let credential = &opened.account.credential;
        let kept = [REFRESH_TOKEN, ACCESS_TOKEN].into_iter();
        let kept = kept.filter_map(|name| credential.get(name).map(|token| (name, token))).next();
        let (Some(oauth), Some((hint, token))) = (connector.oauth(), kept) else {
            return Revoked::NotPossible;
        };
        let name = connector.descriptor().friendly_name;
        let own = match connector.revoke_request(token) {
            None => None,
            // Such services are asked with a live access token; what is kept may be another, or old.
            Some(_) => match self.access_token(&opened.account, None, None).await {
                Ok(live) => connector.revoke_request(live.expose_secret()),
                Err(error) if error.kind == Kind::Credential => return Revoked::Done,
                Err(error) => return Revoked::Failed(error.to_string()),
            },
        };
        let request = match (own, &oauth.revoke) {
            (Some(request), _) => Ok(request),
            (None, None) => return Revoked::NotPossible,
            (None, Some(endpoint)) => {
                let named = credential.get(CLIENT_ID);
                let client =
                    self.client_of_grant(&row.application, &row.service, row.admin, named).await;
                client.map_err(|error| error.to_string()).and_then(|client| {
                    let form =
                        vec![("token", token.to_owned()), ("token_type_hint", hint.to_owned())];
                    self.form(oauth, endpoint, Some(&client), form, "revoke")
                        .map_err(|error| error.to_string())
                })
            }
        };
        let mut request = match request {
            Ok(request) => request,
            Err(why) => return Revoked::Failed(why),
        };
        request.signed = false;
        match self.send(request, name).await {
            Ok((200..300, _)) => Revoked::Done,
            // A token that is unknown or spent is as good as given back.
            Ok((400, body)) if gone(&body) => Revoked::Done,
            Ok((status, _)) => Revoked::Failed(format!("{name} answered with status {status}.")),
            Err(failure) => Revoked::Failed(failure.into_error(name).to_string()),
        }
    }
}

fn gone(body: &[u8]) -> bool {
    let code = match answer::read(false, body) {
        Err(Refusal::Error { code, .. }) => code,
        _ => return false,
    };
    matches!(code.as_str(), "invalid_token" | "invalid_grant")
}

pub(super) fn oauth_of(connector: &dyn Connector) -> Result<&OAuth> {
    let name = connector.descriptor().name;
    connector.oauth().ok_or_else(|| {
        crate::Error::invalid("service", format!("{name} is not connected by OAuth"))
    })
}

fn unread(name: &str, status: u16, why: &str) -> Error {
    let text =
        format!("The answer of {name}'s token endpoint cannot be used: {why} (status {status}).");
    Error::new(Kind::Broken, text)
}
