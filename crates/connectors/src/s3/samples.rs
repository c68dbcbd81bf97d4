//! What the unit tests of this connector share.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::net::TcpStream;
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{Account, Body, Credential, Cx, Error, Lent, Permit, Repeat, Result};
use tramontane_model::{AccountId, Clock, SystemClock};
use url::Url;

/// An account with these settings and the key pair of AWS's own examples.
pub(super) fn account(service: &str, settings: &[(&str, &str)]) -> Account {
    let pairs = settings.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned()));
    Account {
        id: AccountId::new(1).unwrap(),
        service: service.into(),
        admin: false,
        settings: pairs.collect(),
        credential: Credential::from_iter([
            ("access_key", "AKIAIOSFODNN7EXAMPLE"),
            ("secret_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ]),
        revision: 0,
    }
}

/// One answer: status, headers, body.
pub(super) type Answer = (u16, Vec<(&'static str, &'static str)>, String);

/// One request as it was sent: method, URL, headers, the payload's size.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) size: u64,
}

impl Sent {
    /// Method and URL.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.url)
    }
}

/// Lends a service that answers as a test says, and notes what was asked.
pub(super) struct Scripted {
    answer: Box<dyn Fn(&Sent) -> Answer + Send + Sync>,
    sent: Mutex<Vec<Sent>>,
}

impl Scripted {
    pub(super) fn new(answer: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), sent: Mutex::default() })
    }

    /// What was asked so far.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The lines of what was asked so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.sent().iter().map(Sent::line).collect()
    }
}

/// A context for a call of an account with these settings.
pub(super) fn context(settings: &[(&str, &str)], lent: &Arc<Scripted>) -> Cx {
    let account = Arc::new(account("s3", settings));
    Cx::interactive(account, Arc::clone(lent) as Arc<dyn Lent>, Duration::from_secs(60))
}

#[async_trait]
impl Lent for Scripted {
    async fn send(&self, _cx: &Cx, request: Request) -> Result<Response> {
        let size = match request.payload {
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Stream(body) => {
                let mut size = 0;
                let mut stream = body.checked().into_stream();
                while let Some(piece) = stream.next().await {
                    size += piece?.len() as u64;
                }
                size
            }
        };
        let (method, url) = (request.method.to_string(), request.url);
        let sent = Sent { method, url: url.clone(), headers: request.headers, size };
        self.sent.lock().unwrap().push(sent.clone());
        let (status, pairs, body) = (self.answer)(&sent);
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        let body = if request.method == Method::HEAD { String::new() } else { body };
        Ok(Response { status, headers: pairs.collect(), body: Body::from_bytes(body), url })
    }

    async fn connect(&self, _cx: &Cx, _host: &str, _port: u16) -> Result<TcpStream> {
        Err(Error::internal("S3 opens no connections."))
    }

    async fn permit(&self, _cx: &Cx, _name: &'static str) -> Result<Permit> {
        Ok(Permit::holding(()))
    }

    fn after(
        &self,
        _cx: &Cx,
        _name: &'static str,
        _attempt: u32,
        _repeat: Repeat,
        _outcome: std::result::Result<(), &Error>,
    ) -> Option<Duration> {
        None
    }

    fn clock(&self) -> &dyn Clock {
        &SystemClock
    }
}
