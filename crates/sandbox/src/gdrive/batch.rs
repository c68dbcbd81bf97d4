//! Several calls in one request.
//!
//! Source: "Batch requests" of the Drive API: `multipart/mixed`, up to 100 calls, each part an HTTP request
//! of its own; no uploads or downloads of content.

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use tower::ServiceExt as _;

use super::fault::{Answer, Fault};
use super::multipart::{self, Part};
use super::upload::collect;

/// The most calls of one batch.
const MAX_CALLS: usize = 100;
/// The largest batch, in bytes.
const MAX_BODY: u64 = 8 << 20;

/// `POST batch`.
pub(super) async fn batch(
    Shared(router): Shared<Router>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let (bytes, broke) = collect(body, MAX_BODY).await?;
    let boundary = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = boundary.and_then(multipart::boundary);
    let boundary =
        boundary.ok_or_else(|| Fault::bad("badRequest", "Failed to parse batch request."))?;
    if broke {
        return Err(Fault::bad("badRequest", "Failed to parse batch request."));
    }
    let parts = multipart::parts(&bytes, &boundary)?;
    if parts.is_empty() || parts.len() > MAX_CALLS {
        return Err(Fault::bad("badRequest", "The batch must have from 1 to 100 calls."));
    }
    let mut answer = String::new();
    for part in parts {
        let id = part.header("content-id").unwrap_or("<0>").to_owned();
        let inner = match call(&part, &headers) {
            Ok(request) => router.clone().oneshot(request).await.into_response(),
            Err(fault) => fault.into_response(),
        };
        let (head, body) = inner.into_parts();
        let (bytes, _) = collect(body, MAX_BODY).await?;
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
        answer.push_str(&format!(
            "--batch_sandbox\r\nContent-Type: application/http\r\nContent-ID: {}\r\n\r\nHTTP/1.1 {} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{}\r\n",
            id.replacen('<', "<response-", 1),
            head.status.as_u16(),
            head.status.canonical_reason().unwrap_or("Unknown"),
            bytes.len(),
            String::from_utf8_lossy(&bytes),
        ));
    }
    answer.push_str("--batch_sandbox--\r\n");
    let kind = [(header::CONTENT_TYPE, "multipart/mixed; boundary=batch_sandbox")];
    Ok((kind, answer).into_response())
}

/// The request that a part is; it has the batch's credential unless it has its own.
fn call(part: &Part, outer: &HeaderMap) -> Answer<Request<Body>> {
    let malformed = || Fault::bad("badRequest", "Failed to parse batch request.");
    let text = std::str::from_utf8(&part.body).map_err(|_| malformed())?;
    let (line, rest) = text.split_once('\n').ok_or_else(malformed)?;
    let mut words = line.split_whitespace();
    let method = words.next().and_then(|word| word.parse::<Method>().ok()).ok_or_else(malformed)?;
    let target = words.next().and_then(|word| word.parse::<Uri>().ok()).ok_or_else(malformed)?;
    let rest = rest.replace("\r\n", "\n");
    let (head, body) = match rest.strip_prefix('\n') {
        Some(body) => ("", body),
        None => rest.split_once("\n\n").unwrap_or((rest.as_str(), "")),
    };
    // The path may be the whole one that the caller sees: ours begins at the API's name.
    let whole = target.path_and_query().map(ToString::to_string).unwrap_or_default();
    let at = ["/drive/v3/", "/admin/"].iter().filter_map(|own| whole.find(own)).min();
    let path = at.and_then(|at| whole.get(at..)).ok_or_else(malformed)?;
    let mut request = Request::new(Body::from(body.to_owned()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| malformed())?;
    for name in [header::AUTHORIZATION, header::HOST] {
        if let Some(value) = outer.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let (name, value) =
            (name.trim().parse::<HeaderName>(), value.trim().parse::<HeaderValue>());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().insert(name, value);
        }
    }
    Ok(request)
}
