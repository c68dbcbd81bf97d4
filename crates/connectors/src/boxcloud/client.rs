//! Requests to Box as one account, and Box's answers.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Bases, Cx, ETag, Error, Result};
use url::Url;

use super::fault::fault;

/// Where Box is.
#[derive(Debug)]
pub(super) struct Sites {
    /// `https://api.box.com/`
    pub(super) api: Url,
    /// `https://upload.box.com/api/`
    pub(super) upload: Url,
}

const API: &str = "https://api.box.com/";
const UPLOAD: &str = "https://upload.box.com/api/";
const AS_USER: HeaderName = HeaderName::from_static("as-user");

impl Sites {
    pub(super) fn of(bases: &Bases) -> Result<Self> {
        Ok(Self { api: bases.url("box", "api", API)?, upload: bases.url("box", "upload", UPLOAD)? })
    }

    /// Whether this is Box itself, and not a stand-in of the operator's.
    pub(super) fn is_box(&self) -> bool {
        self.api.as_str() == API
    }
}

/// Box as one call sees it.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) cx: &'a Cx,
    pub(super) sites: &'a Sites,
}

fn below(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| Error::internal("Box's base URL takes no paths."))?
        .pop_if_empty()
        .push("2.0")
        .extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

impl Client<'_> {
    /// A URL of the API, its segments percent-encoded.
    pub(super) fn api(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        below(&self.sites.api, path, query)
    }

    /// A URL of the upload host.
    pub(super) fn upload(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        below(&self.sites.upload, path, query)
    }

    /// A request as this account, or as the member that it is for.
    pub(super) fn request(&self, name: &'static str, method: Method, url: Url) -> Request {
        let mut request = Request::new(name, method, url);
        // Box redirects to where content is; that is another request, without the token.
        request.follow = false;
        match &self.cx.as_user {
            Some(member) => request.header(AS_USER, &**member),
            None => request,
        }
    }

    /// A request with JSON in it.
    pub(super) fn with_json(
        &self,
        name: &'static str,
        method: Method,
        url: Url,
        body: &Value,
    ) -> Request {
        self.request(name, method, url)
            .header(header::CONTENT_TYPE, "application/json")
            .bytes(body.to_string())
    }

    /// Sends it; refusals become errors.
    pub(super) async fn send(&self, request: Request) -> Result<Response> {
        let answer = self.cx.send(request).await?;
        if answer.status.is_success() || answer.status.is_redirection() {
            return Ok(answer);
        }
        Err(fault(answer, self.cx.now()).await)
    }

    /// Sends it and reads the JSON that comes back.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let answer = self.send(request).await?;
        if answer.status == StatusCode::NO_CONTENT || answer.status.is_redirection() {
            return Err(Error::new(Kind::Broken, "Box answered without the JSON expected."));
        }
        answer.json().await
    }

    /// Sends it; what comes back does not matter.
    pub(super) async fn done(&self, request: Request) -> Result<()> {
        self.send(request).await.map(|_| ())
    }

    /// Waits as Box asked for, when the deadline leaves the time. False when it does not.
    pub(super) async fn wait(&self, answer: &Response, usual: Duration) -> bool {
        let named = answer.header(&header::RETRY_AFTER).and_then(|value| value.parse().ok());
        let wait = named.map_or(usual, Duration::from_secs);
        if wait >= self.cx.time_left() {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

/// `If-Match` as Box takes it: the etag as it stands, without quotes.
pub(super) fn matching(request: Request, etag: Option<&ETag>) -> Request {
    match etag {
        Some(etag) => request.header(header::IF_MATCH, &etag.value),
        None => request,
    }
}
