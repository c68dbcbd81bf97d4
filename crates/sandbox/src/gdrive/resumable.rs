//! The content of resumable uploads: chunks, their offsets, what was received.
//!
//! Source: "Upload file data", section "Perform a resumable upload": chunks are multiples of 256 KiB but
//! for the last; `308` with a `Range` header tells what is there; a session's URL needs no credential.

use axum::body::Body;
use axum::extract::{FromRequestParts, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::Google;
use super::call::{Call, base};
use super::fault::{Answer, Fault};
use super::files::Incoming;
use super::render::FILE_FIELDS;
use super::state::{REAL_BYTES, Session, State};
use super::upload::collect;
use crate::issuer::params;

/// Chunks are multiples of this.
const GRAIN: usize = 256 << 10;

/// Which session a request names, and what URLs begin with.
pub(super) struct Named {
    key: String,
    base: String,
}

impl FromRequestParts<Google> for Named {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Google) -> Result<Self, Fault> {
        let key = params(parts.uri.query().unwrap_or_default()).remove("upload_id");
        let key =
            key.ok_or_else(|| Fault::required("upload_id", "Required parameter: upload_id"))?;
        Ok(Self { key, base: base(parts) })
    }
}

/// `bytes 0-9/10`, `bytes 0-9/*`, `bytes */10`, `bytes */*`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    part: Option<(u64, u64)>,
    total: Option<u64>,
}

impl ContentRange {
    fn read(text: &str) -> Option<Self> {
        let (part, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let part = match part.trim() {
            "*" => None,
            part => {
                let (from, to) = part.split_once('-')?;
                let (from, to) = (from.parse().ok()?, to.parse().ok()?);
                if to < from || total.is_some_and(|total| to >= total) {
                    return None;
                }
                Some((from, to))
            }
        };
        Some(Self { part, total })
    }
}

fn gone() -> Fault {
    Fault::not_found("Not Found: the upload session is unknown or has expired.")
}

/// `PUT` of a session's URL: a chunk, the whole, or the question what is there.
pub(super) async fn chunk(
    Shared(google): Shared<Google>,
    named: Named,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let now = google.now();
    let range =
        match headers.get(header::CONTENT_RANGE) {
            Some(value) => {
                let read = value.to_str().ok().and_then(ContentRange::read);
                Some(read.ok_or_else(|| {
                    Fault::bad("badRequest", "Failed to parse Content-Range header.")
                })?)
            }
            None => None,
        };
    if google.state().sessions.get(&named.key).is_none_or(|session| now >= session.until) {
        return Err(gone());
    }
    let (bytes, broke) = collect(body, REAL_BYTES).await?;
    let mut state = google.state();
    let session = state.sessions.get_mut(&named.key).ok_or_else(gone)?;
    if let Some(id) = session.done.clone() {
        // Whoever lost the answer gets it again.
        let call = call_of(session, &named, now);
        return finished(&state, &call, &id);
    }
    let complete = take(session, range.as_ref(), bytes, broke)?;
    if !complete {
        return Ok(so_far(session.got.len()));
    }
    let call = call_of(session, &named, now);
    let content = Bytes::from(std::mem::take(&mut session.got));
    let incoming = Incoming { bytes: content, mime: session.mime.clone() };
    let (meta, file) = (session.meta.clone(), session.file.clone());
    drop(state);
    let done = match file {
        Some(id) => google.change(&call, &id, &meta, Some(incoming)),
        None => google.make(&call, &meta, Some(incoming)),
    };
    let mut state = google.state();
    match done {
        Ok(id) => {
            if let Some(session) = state.sessions.get_mut(&named.key) {
                session.done = Some(id.clone());
            }
            finished(&state, &call, &id)
        }
        Err(fault) => {
            state.sessions.remove(&named.key);
            Err(fault)
        }
    }
}

/// Adds what came. True when the content is complete.
fn take(
    session: &mut Session,
    range: Option<&ContentRange>,
    bytes: Bytes,
    broke: bool,
) -> Answer<bool> {
    let there = session.got.len();
    let (from, total, last) = match range {
        // The whole in one request, or its rest.
        None => (0, session.total, true),
        Some(ContentRange { part: None, total }) => {
            let total = total.or(session.total);
            // An empty PUT with the total finishes an upload that has everything.
            return Ok(total == Some(there as u64));
        }
        Some(ContentRange { part: Some((from, to)), total }) => {
            if !broke && to - from + 1 != bytes.len() as u64 {
                return Err(Fault::bad(
                    "badRequest",
                    "The Content-Range does not agree with the content's length.",
                ));
            }
            let total = total.or(session.total);
            (*from, total, total == Some(to + 1))
        }
    };
    if let (Some(known), Some(told)) = (session.total, total)
        && known != told
    {
        return Err(Fault::bad("badRequest", "The total size differs from the one told before."));
    }
    session.total = total;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    if from > there {
        return Err(Fault::bad(
            "badRequest",
            format!(
                "Invalid request. According to the Content-Range header, the upload offset is {from} byte(s), which exceeds already uploaded size of {there} byte(s)."
            ),
        ));
    }
    // Bytes that are there already are passed over.
    let fresh = bytes.get(there - from..).unwrap_or_default();
    session.got.extend_from_slice(fresh);
    let complete = match total {
        Some(total) => !broke && session.got.len() as u64 == total,
        None => !broke && last,
    };
    if !complete {
        // Only whole grains are kept of what is not the end.
        let kept = session.got.len() / GRAIN * GRAIN;
        session.got.truncate(kept.max(there.min(session.got.len())));
    }
    Ok(complete)
}

fn so_far(there: usize) -> Response {
    let mut answer = StatusCode::PERMANENT_REDIRECT.into_response();
    if let Some(last) = there.checked_sub(1)
        && let Ok(value) = http::HeaderValue::from_str(&format!("bytes=0-{last}"))
    {
        answer.headers_mut().insert(header::RANGE, value);
    }
    answer
}

fn call_of(session: &Session, named: &Named, now: tramontane_model::Timestamp) -> Call {
    Call::resumed(session, named.base.clone(), now)
}

fn finished(state: &State, call: &Call, id: &str) -> Answer<Response> {
    let (file, _) = state.seen(call.person, id, true, call.now)?;
    call.reply(state.render(file, call), FILE_FIELDS)
}

/// `DELETE` of a session's URL. The real service answers 499.
pub(super) async fn cancel(Shared(google): Shared<Google>, named: Named) -> Answer<Response> {
    google.state().sessions.remove(&named.key).ok_or_else(gone)?;
    let status = StatusCode::from_u16(499).unwrap_or(StatusCode::NO_CONTENT);
    Ok(status.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        let read = |text| ContentRange::read(text);
        assert_eq!(
            read("bytes 0-9/10"),
            Some(ContentRange { part: Some((0, 9)), total: Some(10) })
        );
        assert_eq!(read("bytes 0-9/*"), Some(ContentRange { part: Some((0, 9)), total: None }));
        assert_eq!(read("bytes */10"), Some(ContentRange { part: None, total: Some(10) }));
        assert_eq!(read("bytes */*"), Some(ContentRange { part: None, total: None }));
        for bad in ["bytes 9-0/10", "bytes 0-10/10", "0-9/10", "bytes x-y/z"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
