//! What clients send to the token endpoint and its kin: a form or JSON, the secret in the body or in a
//! header (wire API, section 18.7; T12).

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tramontane_accounts::handshake::{Client, ClientProof, Fault, FaultCode};

use crate::json::collect;
use crate::problem::{Answer, Problem};
use crate::query::{Query, latin};
use crate::state::App;

/// The longest body, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The members of a request.
#[derive(Debug, Default)]
pub(super) struct Members {
    pairs: Vec<(String, String)>,
    /// The client as a header names it: id and secret.
    header: Option<(Option<String>, String)>,
}

impl Members {
    /// Reads a request.
    ///
    /// # Errors
    /// `request_too_large`; `invalid_request` for what cannot be read or comes twice.
    pub(super) async fn read(request: Request) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let header = header(&parts.headers).map_err(super::fault::problem)?;
        let bytes = collect(body, MAX_BODY_BYTES).await?;
        let text = latin(bytes);
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let json = kind.contains("json") || (kind.is_empty() && text.trim_start().starts_with('{'));
        let pairs = if json { members(&text) } else { Ok(form(&text)) };
        let pairs = pairs.map_err(super::fault::problem)?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs.iter().skip(at + 1).any(|(other, _)| other == name) {
                let fault = told(&format!("{name} is given more than once."));
                return Err(super::fault::problem(fault));
            }
        }
        Ok(Self { pairs, header })
    }

    /// A member; absent and empty are the same.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &str) -> Answer<&str> {
        let fault = || super::fault::problem(told(&format!("{name} is required.")));
        self.get(name).ok_or_else(fault)
    }

    /// The client that asks.
    ///
    /// # Errors
    /// `invalid_client`, `invalid_request`.
    pub(super) async fn client(&self, app: &App) -> Answer<Client> {
        let body = self.get("client_secret");
        let named = self.header.as_ref().and_then(|(id, _)| id.as_deref());
        let id = self.get("client_id");
        if let (Some(id), Some(named)) = (id, named)
            && id != named
        {
            let fault = told("client_id is one in the body and another in the header.");
            return Err(super::fault::problem(fault));
        }
        let header = self.header.as_ref().map(|(_, secret)| secret.as_str());
        let mut secrets: Vec<&str> = header.into_iter().chain(body).collect();
        secrets.dedup();
        let proof = ClientProof { id: id.or(named), secrets };
        app.directory().oauth_client(&proof).await.map_err(super::fault::problem)
    }

    /// A client that has to show a secret.
    pub(super) async fn client_with_secret(&self, app: &App) -> Answer<Client> {
        let client = self.client(app).await?;
        if client.has_secret {
            return Ok(client);
        }
        let text = "The client has to show its secret or an API key.";
        Err(super::fault::problem(Fault::new(FaultCode::InvalidClient, text)))
    }
}

fn told(text: &str) -> Fault {
    Fault::new(FaultCode::InvalidRequest, text)
}

/// Every pair as it was sent: what comes twice is refused, not chosen from.
fn form(text: &str) -> Vec<(String, String)> {
    Query::parse(text).iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn members(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let value: Value = match text.trim() {
        "" => return Ok(Vec::new()),
        text => serde_json::from_str(text).map_err(|_| told("The body is not JSON."))?,
    };
    let Value::Object(members) = value else { return Err(told("The body must be an object.")) };
    let mut pairs = Vec::new();
    for (name, value) in members {
        match value {
            Value::String(text) => pairs.push((name, text)),
            Value::Null => {}
            _ => return Err(told(&format!("{name} must be a string."))),
        }
    }
    Ok(pairs)
}

/// What `Authorization` says of the client. Schemes that are no client's are left alone.
fn header(headers: &HeaderMap) -> Result<Option<(Option<String>, String)>, Fault> {
    let Some(text) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let text = text.to_str().unwrap_or_default().trim();
    let Some((scheme, rest)) = text.split_once(' ') else { return Ok(None) };
    if scheme.eq_ignore_ascii_case("apikey") {
        return Ok(Some((None, rest.trim().to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bad = || {
        let text = "The Authorization header is not Basic of client_id:client_secret.";
        Fault::new(FaultCode::InvalidClient, text)
    };
    let bytes = STANDARD.decode(rest.trim()).map_err(|_| bad())?;
    let pair = String::from_utf8(bytes).map_err(|_| bad())?;
    let (id, secret) = pair.split_once(':').ok_or_else(bad)?;
    // Both are form-encoded before they are joined (RFC 6749, section 2.3.1).
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    if secret.is_empty() {
        return Ok(None);
    }
    Ok(Some((Some(decoded(id)).filter(|id| !id.is_empty()), decoded(secret))))
}

/// A problem of ours, so that callers need not name the type.
pub(super) fn fault(fault: Fault) -> Problem {
    super::fault::problem(fault)
}
