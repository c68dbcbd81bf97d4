//! Outgoing HTTP as a connector sees it: it describes a request, the wire signs, paces, guards,
//! sends and retries it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::body::Body;
use crate::cx::Repeat;
use crate::error::{Error, Kind, Result};

/// The most that is read of an answer that is not content, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What a request carries.
#[derive(Debug)]
pub enum Payload {
    /// Bytes in memory: the request can be sent again.
    Bytes(Bytes),
    /// A stream: the request is sent once.
    Stream(Body),
}

impl Payload {
    /// The length in bytes, when known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(body) => body.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// One request to a service.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: Url,
    /// Headers. `Host` and `Content-Length` are the wire's.
    pub headers: HeaderMap,
    /// What it carries.
    pub payload: Payload,
    /// Whether it may be sent again after a failure. `GET`, `HEAD`, `PUT`, `DELETE`, `OPTIONS` and
    /// `PROPFIND` say yes by themselves. A streamed payload is never sent again once it was begun.
    pub repeat: Repeat,
    /// Whether to put the account's credential on it.
    pub signed: bool,
    /// Whether to follow redirects (at most 5, each passing the guard; never with a credential to
    /// another origin).
    pub follow: bool,
    /// A short name for metrics and logs: `propfind`, `put_object`.
    pub name: &'static str,
}

impl Request {
    /// A request with no payload.
    #[must_use]
    pub fn new(name: &'static str, method: Method, url: Url) -> Self {
        let safe = matches!(
            method.as_str(),
            "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT" | "SEARCH"
        );
        let idempotent = safe || matches!(method.as_str(), "PUT" | "DELETE");
        Self {
            repeat: if idempotent { Repeat::Yes } else { Repeat::No },
            follow: safe,
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Bytes(Bytes::new()),
            signed: true,
            name,
        }
    }

    /// Adds a header. A value that no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets the payload to bytes in memory.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.payload = Payload::Bytes(bytes.into());
        self
    }

    /// Sets the payload to a stream, which is sent at most once.
    #[must_use]
    pub fn stream(mut self, body: Body) -> Self {
        self.payload = Payload::Stream(body);
        self
    }

    /// Says whether it may be sent again after a failure.
    #[must_use]
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

/// A service's answer: status and headers are there, the body is on its way.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. Breaking off before `Content-Length` is an error in the stream.
    pub body: Body,
    /// The URL that answered, after redirects.
    pub url: Url,
}

impl Response {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    /// `Broken` when it is too large or breaks off.
    pub async fn bytes(self) -> Result<Bytes> {
        self.body.collect(MAX_ANSWER_BYTES).await.map_err(|error| match error.kind {
            Kind::TooLarge => {
                Error::new(Kind::Broken, "The service's answer is too large to read.")
            }
            _ => error,
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `Broken` when it is not what was expected.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Kind::Broken, "The service's answer is not the JSON expected.")
                .because(cause)
        })
    }
}
