//! Pre-authenticated URLs: downloads with ranges, previews, upload sessions, the monitor of copies. None
//! of them takes a bearer token.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::Sha256;
use tramontane_model::Timestamp;

use super::call::{Answer, Call, Outcome};
use super::drive::{Drive, Item};
use super::fault::{Fault, not_found};
use super::world::World;
use super::{show, transfer};

/// How long a download URL is good, in seconds ("about an hour").
const LIFE: i64 = 3_600;

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0,
    0, 0, 31, 21, 196, 137, 0, 0, 0, 13, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 240, 31, 0,
    5, 0, 1, 255, 137, 153, 61, 29, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

fn mark(secret: &str, payload: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes()).chars().take(32).collect()
}

/// What stands at the end of a download's URL. `what`: an export format, `thumbnail`, or `v` and the
/// number of a version.
pub(super) fn token(
    world: &World,
    drive: &Drive,
    item: &Item,
    what: Option<&str>,
    now: Timestamp,
) -> String {
    let until = now.plus_seconds(LIFE).seconds();
    let payload = json!([drive.id, item.id, what, until]).to_string();
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload);
    format!("{payload}.{}", mark(&world.secret, &payload))
}

struct Found {
    content: Bytes,
    media_type: String,
    name: String,
    etag: String,
    modified: Timestamp,
}

fn find(world: &World, token: &str, now: Timestamp) -> Result<Found, Fault> {
    let refused =
        || Fault::new(401, "unauthenticated", "The download URL is not valid or has expired");
    let (payload, told) = token.split_once('.').ok_or_else(refused)?;
    if mark(&world.secret, payload) != told {
        return Err(refused());
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| refused())?;
    let (drive, item, what, until): (String, String, Option<String>, i64) =
        serde_json::from_slice(&bytes).map_err(|_| refused())?;
    if until < now.seconds() {
        return Err(refused());
    }
    let drive = world.drives.get(&drive).ok_or_else(not_found)?;
    let item = drive.item(&item)?;
    let mut found = Found {
        content: item.content.clone(),
        media_type: show::media_type(item),
        name: item.name.clone(),
        etag: drive.ctag(item),
        modified: item.client_modified,
    };
    match what.as_deref() {
        None => {}
        Some("thumbnail") => {
            found.content = Bytes::from_static(PIXEL);
            found.media_type = "image/png".into();
        }
        Some("pdf") => {
            found.content = Bytes::from_static(b"%PDF-1.4\n%%EOF\n");
            found.media_type = "application/pdf".into();
        }
        Some(version) => {
            let number: u32 = version.trim_start_matches('v').parse().unwrap_or(0);
            let old =
                item.versions.iter().find(|old| old.number == number).ok_or_else(not_found)?;
            found.content = old.content.clone();
            found.modified = old.modified;
        }
    }
    Ok(found)
}

/// Serves a download.
pub(super) fn serve(world: &World, call: &Call, token: &str) -> Result<Response, Fault> {
    let found = find(world, token, call.now)?;
    let whole = found.content.len() as u64;
    let asked = call.header(&header::RANGE).and_then(|text| text.strip_prefix("bytes="));
    let range = match asked.and_then(|text| text.split_once('-')) {
        None => None,
        Some(("", last)) => {
            let count: u64 = last.parse().unwrap_or(0);
            Some((whole.saturating_sub(count), whole.saturating_sub(1), count == 0 || whole == 0))
        }
        Some((first, last)) => {
            let first: u64 = first.parse().unwrap_or(u64::MAX);
            let last: u64 = last.parse().unwrap_or(u64::MAX);
            Some((first, last.min(whole.saturating_sub(1)), first >= whole))
        }
    };
    let mut response = Response::new(Body::empty());
    let mut set = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, found.media_type);
    set(header::ETAG, format!("\"{}\"", found.etag.trim_matches('"')));
    set(header::LAST_MODIFIED, found.modified.to_http_date());
    set(header::ACCEPT_RANGES, "bytes".into());
    let name: String =
        percent_encoding::utf8_percent_encode(&found.name, percent_encoding::NON_ALPHANUMERIC)
            .collect();
    set(header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}"));
    match range {
        None => *response.body_mut() = Body::from(found.content),
        Some((_, _, true)) => {
            set(header::CONTENT_RANGE, format!("bytes */{whole}"));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
        }
        Some((first, last, false)) => {
            set(header::CONTENT_RANGE, format!("bytes {first}-{last}/{whole}"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            *response.body_mut() = Body::from(found.content.slice(at(first)..at(last + 1)));
        }
    }
    Ok(response)
}

/// Serves the URL of an upload session.
pub(super) fn upload(world: &mut World, call: &Call, token: &str) -> Outcome {
    world.uploads.retain(|_, upload| upload.until > call.now);
    match call.method {
        Method::PUT => transfer::fragment(world, call, token),
        Method::GET => {
            let upload = world.uploads.get(token).ok_or_else(not_found)?;
            Ok(Answer::json(transfer::expected(upload)))
        }
        Method::DELETE => match world.uploads.remove(token) {
            Some(_) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            None => Err(not_found()),
        },
        // "Currently only supported on OneDrive for Business and SharePoint".
        Method::POST if !world.personal => transfer::finish(world, call, token, None),
        _ => Err(Fault::new(405, "notSupported", "This operation is not supported")),
    }
}

/// Serves the monitor of a copy.
pub(super) fn monitor(world: &mut World, token: &str) -> Outcome {
    let job = world.jobs.get_mut(token).ok_or_else(not_found)?;
    job.polls += 1;
    if job.polls == 1 {
        let body =
            json!({"operation": "itemCopy", "percentageComplete": 50.0, "status": "inProgress"});
        return Ok(Answer { status: StatusCode::ACCEPTED, ..Answer::json(body) });
    }
    let body: Value = match &job.outcome {
        Ok((_, id)) => {
            json!({"percentageComplete": 100.0, "resourceId": id, "status": "completed"})
        }
        Err(error) => json!({"status": "failed", "error": error}),
    };
    Ok(Answer::json(body))
}
