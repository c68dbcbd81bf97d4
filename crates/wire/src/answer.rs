//! An answer on its way in: the body with its idle limit, and what a refusal asks for.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use http::{Method, StatusCode, header};
use tramontane_connector::error::Kind;
use tramontane_connector::http::Response;
use tramontane_connector::{Body, Error, Retry};
use tramontane_model::Timestamp;
use url::Url;

use crate::fault::fault;
use crate::retry::retry_after;

/// Turns the library's answer into ours. The body breaks off with an error when no byte comes for
/// `idle`, or when it ends before its announced length.
pub(crate) fn receive(
    answer: reqwest::Response,
    method: &Method,
    url: Url,
    idle: Duration,
) -> Response {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let no_body = *method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if no_body {
        Body::empty()
    } else {
        let len =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let from = url.clone();
        let pieces = Box::pin(answer.bytes_stream());
        let pieces = stream::unfold(Some(pieces), move |pieces| {
            let from = from.clone();
            async move {
                let mut pieces = pieces?;
                match tokio::time::timeout(idle, pieces.next()).await {
                    Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(pieces))),
                    Ok(Some(Err(error))) => Some((Err(fault(error, &from)), None)),
                    Ok(None) => None,
                    Err(_) => {
                        let text = "The service stopped sending in the middle of its answer.";
                        Some((Err(Error::new(Kind::Timeout, text)), None))
                    }
                }
            }
        });
        Body::new(pieces, len)
    };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = body.with_media_type(media_type.map(str::to_owned));
    Response { status, headers, body, url }
}

/// The most of a refusal's body that is looked at, in bytes.
const MAX_PEEK: usize = 64 << 10;

/// The beginning of an answer's body, which the answer keeps. What breaks off does so again for whoever
/// reads it.
pub(crate) async fn peek(answer: &mut Response) -> Vec<u8> {
    let body = std::mem::replace(&mut answer.body, Body::empty());
    let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
    // It may have ended here already, and is asked again by whoever reads the answer.
    let mut rest = body.into_stream().fuse();
    let (mut seen, mut said) = (Vec::new(), Vec::new());
    while said.len() < MAX_PEEK {
        let Some(piece) = rest.next().await else { break };
        let ended = piece.is_err();
        if let Ok(bytes) = &piece {
            said.extend_from_slice(bytes);
        }
        seen.push(piece);
        if ended {
            break;
        }
    }
    answer.body = Body::new(stream::iter(seen).chain(rest), len).with_media_type(media_type);
    said
}

/// The error that an answer stands for when the same request may do better later.
pub(crate) fn passing_refusal(answer: &Response, now: Timestamp) -> Option<Error> {
    let status = answer.status.as_u16();
    if !matches!(status, 429 | 500 | 502 | 503 | 504) {
        return None;
    }
    let mut error = Error::from_status(status);
    if status == 503 {
        error.kind = Kind::Unavailable;
    }
    let named = answer.header(&header::RETRY_AFTER).and_then(|value| retry_after(value, now));
    error.retry = named.map_or(Retry::Soon, Retry::After);
    Some(error)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn answer(pieces: Vec<tramontane_connector::Result<bytes::Bytes>>) -> Response {
        Response {
            status: StatusCode::UNAUTHORIZED,
            headers: http::HeaderMap::new(),
            body: Body::new(stream::iter(pieces), None),
            url: Url::parse("https://api.example.com/").unwrap(),
        }
    }

    #[tokio::test]
    async fn what_was_looked_at_is_still_there() {
        let big = bytes::Bytes::from(vec![7; MAX_PEEK]);
        let mut refused = answer(vec![Ok("a".into()), Ok(big.clone()), Ok("z".into())]);
        assert!(peek(&mut refused).await.len() > MAX_PEEK, "no more than the piece that fills it");
        let whole = refused.body.collect(1 << 20).await.unwrap();
        assert_eq!(whole.len(), big.len() + 2);
        let broken = Error::new(Kind::Broken, "broke off");
        let mut refused = answer(vec![Ok("a".into()), Err(broken)]);
        assert_eq!(peek(&mut refused).await, b"a");
        assert!(refused.body.collect(1 << 20).await.is_err());
    }
}
