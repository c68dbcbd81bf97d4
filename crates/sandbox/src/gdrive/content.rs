//! Content: downloads with ranges, exports, preview pictures.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Google;
use super::call::Call;
use super::documents;
use super::fault::{Answer, Fault};
use super::state::{File, Role};

/// The content of a file, as far as the caller may have it.
pub(super) fn media(file: &File, role: Role, headers: &HeaderMap, call: &Call) -> Answer<Response> {
    if !file.is_blob() {
        return Err(Fault::forbidden(
            "fileNotDownloadable",
            "Only files with binary content can be downloaded. Use Export with Docs Editors files.",
        ));
    }
    if role < Role::Writer && file.copy_needs_writer {
        return Err(Fault::forbidden(
            "cannotDownloadFile",
            "This file cannot be downloaded by the user.",
        ));
    }
    let head = file.head().ok_or_else(|| Fault::no_file(&file.id))?;
    if is_abusive(&head.content) && !call.flag("acknowledgeAbuse") {
        return Err(Fault::forbidden(
            "cannotDownloadAbusiveFile",
            "This file has been identified as malware or spam and cannot be downloaded.",
        ));
    }
    bytes(&head.content, &file.mime, headers)
}

/// Whether it is the text that virus scanners take for a virus in tests (EICAR).
fn is_abusive(content: &Bytes) -> bool {
    content.len() < 200
        && content.windows(34).any(|part| part == b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE")
}

/// Bytes, whole or in part (RFC 9110 section 14).
pub(super) fn bytes(content: &Bytes, mime: &str, headers: &HeaderMap) -> Answer<Response> {
    let len = content.len() as u64;
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = asked.and_then(|text| wanted(text, len));
    let (status, part, told) = match range {
        None => (StatusCode::OK, content.clone(), None),
        Some(None) => return Err(Fault::range()),
        Some(Some((from, to))) => {
            let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            let part = content.slice(at(from)..at(to + 1));
            (StatusCode::PARTIAL_CONTENT, part, Some(format!("bytes {from}-{to}/{len}")))
        }
    };
    let mut answer = Response::new(Body::from(part));
    *answer.status_mut() = status;
    let set = answer.headers_mut();
    if let Ok(mime) = HeaderValue::from_str(mime) {
        set.insert(header::CONTENT_TYPE, mime);
    }
    set.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(told) = told.and_then(|told| HeaderValue::from_str(&told).ok()) {
        set.insert(header::CONTENT_RANGE, told);
    }
    Ok(answer)
}

/// The first and last byte; `Some(None)` when they lie outside; `None` when it is no range.
fn wanted(text: &str, len: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        let count = to.parse::<u64>().ok()?.min(len);
        return Some((count > 0).then(|| (len - count, len - 1)));
    }
    let from = from.parse::<u64>().ok()?;
    let to = if to.is_empty() { u64::MAX } else { to.parse().ok()? };
    Some((from < len && from <= to).then(|| (from, to.min(len.saturating_sub(1)))))
}

/// `GET files/{id}/export`.
pub(super) async fn export(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
) -> Answer<Response> {
    call.reads()?;
    let mime = call.text("mimeType");
    let mime = mime.ok_or_else(|| Fault::required("mimeType", "Required parameter: mimeType"))?;
    let state = google.state();
    // Export knows no `supportsAllDrives`.
    let (file, _) = state.seen(call.person, &id, true, call.now)?;
    let kind = documents::kind(&file.mime).ok_or_else(|| {
        Fault::forbidden("fileNotExportable", "Export only supports Docs Editors files.")
    })?;
    if !kind.formats.contains(&mime) {
        return Err(Fault::bad("badRequest", "The requested conversion is not supported."));
    }
    let text = file.head().map(|head| String::from_utf8_lossy(&head.content).into_owned());
    let done = documents::export(&text.unwrap_or_default(), mime);
    if done.len() > documents::MAX_EXPORT {
        return Err(Fault::forbidden(
            "exportSizeLimitExceeded",
            "This file is too large to be exported.",
        ));
    }
    bytes(&done, mime, &HeaderMap::new())
}

/// Whether the content is a picture that has a preview: PNG or JPEG.
pub(super) fn is_picture(content: &[u8]) -> bool {
    content.starts_with(&[0x89, b'P', b'N', b'G']) || content.starts_with(&[0xff, 0xd8, 0xff])
}

/// The preview picture behind `thumbnailLink`: the picture itself, whatever size was asked for.
pub(super) async fn thumbnail(
    Shared(google): Shared<Google>,
    Path(key): Path<String>,
    call: Call,
) -> Answer<Response> {
    let id = key.split_once('=').map_or(key.as_str(), |(id, _)| id);
    let state = google.state();
    let (file, _) = state.seen(call.person, id, true, call.now)?;
    let head = file.head().filter(|head| is_picture(&head.content));
    let head = head.ok_or_else(|| Fault::no_file(id))?;
    let mime = if head.content.starts_with(&[0xff]) { "image/jpeg" } else { "image/png" };
    bytes(&head.content, mime, &HeaderMap::new())
}
