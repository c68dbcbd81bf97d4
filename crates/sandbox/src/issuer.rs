//! The OAuth 2.0 server of one simulated service: consent, codes with PKCE, access and refresh tokens
//! (RFC 6749, RFC 7636, RFC 7009). Each service mounts it at its own paths and sets its own rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tramontane_model::{Clock, Timestamp};
use url::Url;

use crate::page;
use crate::people::{PEOPLE, Person, find};
use crate::robots;
use crate::world::Dice;

/// The client that every service knows.
pub const CLIENT_ID: &str = "tramontane-sandbox";
/// Its secret.
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// The grant type of a service account's assertion (RFC 7523 section 2.1).
const ASSERTED: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// How a service's tokens behave.
#[derive(Clone, Copy, Debug)]
pub struct IssuerRules {
    /// The service's name, for people.
    pub title: &'static str,
    /// How long an access token lives.
    pub access_life: Duration,
    /// Whether a refresh token is good once, and the answer brings the next one.
    pub rotates: bool,
    /// For how long after its use a spent refresh token still gives the same answer.
    pub grace: Duration,
    /// The parameter and value without which no refresh token is given (`access_type`, `offline`);
    /// also met when the scope holds the value.
    pub offline: Option<(&'static str, &'static str)>,
    /// What the access tokens begin with.
    pub token_prefix: &'static str,
}

/// What a code or token stands for.
#[derive(Clone, Debug)]
struct Granted {
    person: &'static Person,
    client: String,
    scope: String,
    offline: bool,
}

#[derive(Clone, Debug)]
struct Code {
    granted: Granted,
    redirect_uri: String,
    challenge: Option<String>,
    until: Timestamp,
}

#[derive(Clone, Debug)]
struct Access {
    granted: Granted,
    family: u64,
    until: Timestamp,
}

#[derive(Clone, Debug)]
struct Refresh {
    granted: Granted,
    family: u64,
    /// When it was used, and what it gave.
    spent: Option<(Timestamp, Value)>,
}

#[derive(Default)]
struct State {
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
    families: u64,
    exchanges: u64,
}

/// Tokens of a person.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Opens the API.
    pub access_token: String,
    /// Gives the next access token.
    pub refresh_token: Option<String>,
}

/// Who calls a simulated API.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Whose account it is.
    pub person: &'static Person,
    /// What was granted, space-separated.
    pub scope: String,
    /// The client that it was granted to.
    pub client: String,
}

/// The OAuth server of one service. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Issuer {
    rules: IssuerRules,
    clock: Arc<dyn Clock>,
    dice: Dice,
    state: Arc<Mutex<State>>,
}

/// Parameters of a query or form, the last of each name.
pub type Params = BTreeMap<String, String>;

/// Reads parameters from `application/x-www-form-urlencoded` text.
#[must_use]
pub fn params(text: &str) -> Params {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl Issuer {
    /// An issuer with these rules.
    #[must_use]
    pub fn new(rules: IssuerRules, clock: Arc<dyn Clock>, dice: Dice) -> Self {
        Self { rules, clock, dice, state: Arc::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `GET` of the authorization endpoint: the consent page, or an error page.
    #[must_use]
    pub fn consent(&self, query: &str) -> Response {
        let asked = params(query);
        match check_authorization(&asked) {
            Ok(()) => Html(page::consent(self.rules.title, &asked, PEOPLE)).into_response(),
            Err(why) => (StatusCode::BAD_REQUEST, Html(page::refusal(self.rules.title, why)))
                .into_response(),
        }
    }

    /// `POST` of the consent page: back to the client with a code, or with `access_denied`.
    #[must_use]
    pub fn decide(&self, form: &str) -> Response {
        let asked = params(form);
        if let Err(why) = check_authorization(&asked) {
            return (StatusCode::BAD_REQUEST, Html(page::refusal(self.rules.title, why)))
                .into_response();
        }
        let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let Ok(mut back) = Url::parse(&text("redirect_uri")) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let person = asked.get("person").and_then(|name| find(name));
        match person {
            Some(person) if text("decision") == "allow" => {
                let offline = self.rules.offline.is_none_or(|(name, value)| {
                    text(name) == value || text("scope").split(' ').any(|scope| scope == value)
                });
                let granted =
                    Granted { person, client: text("client_id"), scope: text("scope"), offline };
                let code = self.dice.token("", 24);
                let challenge = asked.get("code_challenge").cloned();
                let until = self.after(CODE_LIFE);
                let kept = Code { granted, redirect_uri: text("redirect_uri"), challenge, until };
                self.state().codes.insert(code.clone(), kept);
                back.query_pairs_mut().append_pair("code", &code);
                if asked.contains_key("scope") {
                    back.query_pairs_mut().append_pair("scope", &text("scope"));
                }
            }
            _ => {
                back.query_pairs_mut()
                    .append_pair("error", "access_denied")
                    .append_pair("error_description", "The user said no.");
            }
        }
        if let Some(state) = asked.get("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        Redirect::to(back.as_str()).into_response()
    }

    /// The token endpoint: `authorization_code` and `refresh_token`, with the client in the form or in
    /// HTTP Basic, or shown by an assertion of [`crate::robot_key`]; `client_credentials`, and the
    /// assertions of the service account (RFC 7523), for the person that they name.
    #[must_use]
    pub fn token(&self, headers: &HeaderMap, form: &str) -> Response {
        let asked = params(form);
        let answer = self.exchange(headers, &asked);
        let (status, body) = match answer {
            Ok(body) => (StatusCode::OK, body),
            Err((status, error, why)) => {
                (status, json!({"error": error, "error_description": why}))
            }
        };
        (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }

    fn exchange(&self, headers: &HeaderMap, asked: &Params) -> Result<Value, OAuthFault> {
        if asked.get("grant_type").is_some_and(|kind| kind == ASSERTED) {
            return self.asserted(asked);
        }
        let client = client_of(headers, asked, self.clock.now())?;
        let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let mut state = self.state();
        state.exchanges += 1;
        match text("grant_type") {
            "authorization_code" => {
                let code = state.codes.remove(text("code")).ok_or_else(bad_grant)?;
                let proven = match &code.challenge {
                    None => true,
                    Some(challenge) => {
                        let hash = Sha256::digest(text("code_verifier").as_bytes());
                        BASE64_URL_SAFE_NO_PAD.encode(hash) == *challenge
                    }
                };
                let fits = code.granted.client == client
                    && code.redirect_uri == text("redirect_uri")
                    && self.clock.now() < code.until;
                if !proven || !fits {
                    return Err(bad_grant());
                }
                state.families += 1;
                let family = state.families;
                Ok(self.issue(&mut state, &code.granted, family, None))
            }
            "refresh_token" => {
                let token = text("refresh_token").to_owned();
                let kept = state.refresh.get(&token).cloned().ok_or_else(bad_grant)?;
                if kept.granted.client != client {
                    return Err(bad_grant());
                }
                if let Some((at, answer)) = &kept.spent {
                    if self.clock.now() < plus(*at, self.rules.grace) {
                        return Ok(answer.clone());
                    }
                    // Reuse of a spent token: someone has a copy, so the whole family ends.
                    end_family(&mut state, kept.family);
                    return Err(bad_grant());
                }
                let keep = (!self.rules.rotates).then_some(token.as_str());
                let answer = self.issue(&mut state, &kept.granted, kept.family, keep);
                if self.rules.rotates
                    && let Some(kept) = state.refresh.get_mut(&token)
                {
                    kept.spent = Some((self.clock.now(), answer.clone()));
                }
                Ok(answer)
            }
            "client_credentials" => {
                let admin = PEOPLE.iter().find(|person| person.admin).ok_or_else(bad_grant)?;
                let scope = text("scope").to_owned();
                let granted = Granted { person: admin, client, scope, offline: false };
                state.families += 1;
                let family = state.families;
                Ok(self.issue(&mut state, &granted, family, None))
            }
            _ => Err((
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "This grant type is not served.",
            )),
        }
    }

    /// Tokens for a service account's assertion.
    fn asserted(&self, asked: &Params) -> Result<Value, OAuthFault> {
        let assertion = asked.get("assertion").map(String::as_str).unwrap_or_default();
        let said = robots::check(assertion, self.clock.now()).ok_or_else(bad_grant)?;
        let person = said.person().filter(|_| said.issuer == robots::ROBOT);
        let person = person.ok_or((
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The issuer is not known, or the subject is nobody of this organisation.",
        ))?;
        let mut state = self.state();
        state.exchanges += 1;
        state.families += 1;
        let (family, scope) = (state.families, said.scope);
        let granted = Granted { person, client: said.issuer, scope, offline: false };
        Ok(self.issue(&mut state, &granted, family, None))
    }

    /// Whether a person's consent still stands: a refresh token that has not been used is good.
    #[must_use]
    pub fn stands(&self, person: &Person) -> bool {
        let state = self.state();
        let mut kept = state.refresh.values();
        kept.any(|refresh| refresh.granted.person == person && refresh.spent.is_none())
    }

    /// Makes tokens. `keep`: the refresh token that goes on being good.
    fn issue(
        &self,
        state: &mut State,
        granted: &Granted,
        family: u64,
        keep: Option<&str>,
    ) -> Value {
        let access = self.dice.token(self.rules.token_prefix, 40);
        let until = self.after(self.rules.access_life);
        state.access.insert(access.clone(), Access { granted: granted.clone(), family, until });
        let mut body = json!({
            "access_token": access, "token_type": "Bearer",
            "expires_in": self.rules.access_life.as_secs(), "scope": granted.scope,
        });
        if granted.offline && keep.is_none() {
            let refresh = self.dice.token("r-", 40);
            let kept = Refresh { granted: granted.clone(), family, spent: None };
            state.refresh.insert(refresh.clone(), kept);
            if let Some(members) = body.as_object_mut() {
                members.insert("refresh_token".into(), refresh.into());
            }
        }
        body
    }

    /// Tokens of a person without the consent page.
    #[must_use]
    pub fn grant(&self, person: &'static Person, scope: &str) -> Grant {
        let granted =
            Granted { person, client: CLIENT_ID.into(), scope: scope.into(), offline: true };
        let mut state = self.state();
        state.families += 1;
        let family = state.families;
        let body = self.issue(&mut state, &granted, family, None);
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Grant {
            access_token: text("access_token").unwrap_or_default(),
            refresh_token: text("refresh_token"),
        }
    }

    /// Who calls with this `Authorization` header; `None` when the token is unknown, expired or
    /// revoked.
    #[must_use]
    pub fn bearer(&self, headers: &HeaderMap) -> Option<Bearer> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        self.bearer_of(token.trim())
    }

    /// Who a token stands for.
    #[must_use]
    pub fn bearer_of(&self, token: &str) -> Option<Bearer> {
        let state = self.state();
        let access = state.access.get(token)?;
        (self.clock.now() < access.until).then(|| Bearer {
            person: access.granted.person,
            scope: access.granted.scope.clone(),
            client: access.granted.client.clone(),
        })
    }

    /// Ends the grant that a token belongs to. False when there is no such token.
    pub fn revoke(&self, token: &str) -> bool {
        let mut state = self.state();
        let family = state.access.get(token).map(|access| access.family);
        let family = family.or_else(|| state.refresh.get(token).map(|refresh| refresh.family));
        if let Some(family) = family {
            end_family(&mut state, family);
        }
        family.is_some()
    }

    /// Ends every grant of a person, as when they take consent back.
    pub fn revoke_person(&self, person: &Person) {
        let mut state = self.state();
        state.access.retain(|_, access| access.granted.person != person);
        state.refresh.retain(|_, refresh| refresh.granted.person != person);
    }

    /// Ends every access token, as when they all expired; refresh tokens stay.
    pub fn expire_access(&self) {
        self.state().access.clear();
    }

    /// How many times the token endpoint was called by a known client.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.state().exchanges
    }

    fn after(&self, life: Duration) -> Timestamp {
        plus(self.clock.now(), life)
    }
}

type OAuthFault = (StatusCode, &'static str, &'static str);

fn bad_grant() -> OAuthFault {
    (
        StatusCode::BAD_REQUEST,
        "invalid_grant",
        "The code or refresh token is not valid or was revoked.",
    )
}

fn plus(at: Timestamp, life: Duration) -> Timestamp {
    let micros = i64::try_from(life.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.micros().saturating_add(micros))
}

fn end_family(state: &mut State, family: u64) {
    state.access.retain(|_, access| access.family != family);
    state.refresh.retain(|_, refresh| refresh.family != family);
}

fn check_authorization(asked: &Params) -> Result<(), &'static str> {
    let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let back = Url::parse(text("redirect_uri"));
    if text("client_id") != CLIENT_ID {
        Err("This client is not known. The sandbox knows the client \"tramontane-sandbox\".")
    } else if !back.is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        Err("The redirect URI is missing or is no web address.")
    } else if text("response_type") != "code" {
        Err("The response type must be \"code\".")
    } else if asked.contains_key("code_challenge") && text("code_challenge_method") != "S256" {
        Err("The code challenge method must be S256.")
    } else {
        Ok(())
    }
}

fn client_of(headers: &HeaderMap, asked: &Params, now: Timestamp) -> Result<String, OAuthFault> {
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| {
        let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        let plain = |text: &str| {
            percent_encoding::percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        Some((plain(id), plain(secret)))
    });
    let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let asserted = asked.get("client_assertion").and_then(|text| robots::check(text, now));
    if asserted
        .is_some_and(|said| said.issuer == CLIENT_ID && said.subject.as_deref() == Some(CLIENT_ID))
    {
        return Ok(CLIENT_ID.to_owned());
    }
    let (id, secret) = basic.unwrap_or_else(|| (text("client_id"), text("client_secret")));
    if id == CLIENT_ID && secret == CLIENT_SECRET {
        Ok(id)
    } else {
        Err((
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The client is not known, or its secret is wrong.",
        ))
    }
}
