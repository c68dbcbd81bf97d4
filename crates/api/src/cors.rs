//! Browsers from other origins (wire API, section 3.2). No cookie is read where this applies, so the
//! policy is open.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
};
use http::{HeaderMap, HeaderValue, StatusCode};

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Retry-After, X-Request-Id, ETag, Location, Content-Disposition, Content-Length, \
     Content-Range, Accept-Ranges, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, \
     Idempotency-Replayed",
);

/// Whether answers under this path may be read by pages of any origin.
#[must_use]
pub fn is_open(path: &str) -> bool {
    let page = path == "/v1/oauth" || path == "/v1/oauth/callback";
    let below = ["/v1/", "/drop/", "/file-picker/", "/file-explorer/"];
    !page && below.iter().any(|prefix| path.starts_with(prefix))
}

/// Lets pages read an answer.
pub(crate) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// The answer to `OPTIONS`: what may be asked here.
#[must_use]
pub fn preflight(methods: &'static str, asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}
