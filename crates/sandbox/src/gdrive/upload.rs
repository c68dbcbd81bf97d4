//! Uploads in one request, and the beginning of resumable ones.
//!
//! Source: "Upload file data" of the Drive API.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::Google;
use super::call::{Call, parse};
use super::fault::{Answer, Fault};
use super::files::{Incoming, parent_for};
use super::multipart;
use super::render::FILE_FIELDS;
use super::state::{MAX_SESSIONS, NOMINAL_BYTES, REAL_BYTES, Role, Session};

/// How long a resumable upload may take, in seconds: a week.
const SESSION_LIFE: i64 = 7 * 24 * 3_600;

/// A request's body, at most so long. The second value tells whether it broke off.
pub(super) async fn collect(body: Body, most: u64) -> Answer<(Bytes, bool)> {
    let mut stream = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else { return Ok((whole.freeze(), true)) };
        if whole.len() as u64 + piece.len() as u64 > most {
            return Err(Fault::full());
        }
        whole.extend_from_slice(&piece);
    }
    Ok((whole.freeze(), false))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `POST upload/files`.
pub(super) async fn create(
    Shared(google): Shared<Google>,
    headers: HeaderMap,
    call: Call,
    body: Body,
) -> Answer<Response> {
    run(google, None, headers, call, body).await
}

/// `PATCH upload/files/{id}`.
pub(super) async fn update(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    headers: HeaderMap,
    call: Call,
    body: Body,
) -> Answer<Response> {
    run(google, Some(id), headers, call, body).await
}

async fn run(
    google: Google,
    id: Option<String>,
    headers: HeaderMap,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.writes()?;
    let content_type = header_text(&headers, "content-type").map(str::to_owned);
    let kind = call.text("uploadType").or_else(|| call.text("upload_protocol"));
    let (meta, incoming) = match kind {
        Some("resumable") => return begin(&google, id, &headers, &call, body).await,
        Some("media") | None => {
            let bytes = whole(body).await?;
            (Value::Object(serde_json::Map::new()), Incoming { bytes, mime: content_type })
        }
        Some("multipart") => {
            let bytes = whole(body).await?;
            let boundary = content_type.as_deref().and_then(multipart::boundary);
            let boundary = boundary.ok_or_else(|| {
                Fault::bad("badContent", "Media type is not supported. Valid media types: [*/*]")
            })?;
            let mut parts = multipart::parts(&bytes, &boundary)?.into_iter();
            let (Some(meta), Some(content)) = (parts.next(), parts.next()) else {
                return Err(Fault::bad("badRequest", "Multipart body needs two parts."));
            };
            let mime = content.header("content-type").map(str::to_owned);
            (parse(&meta.body)?, Incoming { bytes: content.body, mime })
        }
        Some(_) => return Err(Fault::invalid("uploadType", "Invalid upload type.")),
    };
    let id = match id {
        Some(id) => google.change(&call, &id, &meta, Some(incoming))?,
        None => google.make(&call, &meta, Some(incoming))?,
    };
    let state = google.state();
    let (file, _) = state.seen(call.person, &id, true, call.now)?;
    call.reply(state.render(file, &call), FILE_FIELDS)
}

async fn whole(body: Body) -> Answer<Bytes> {
    match collect(body, REAL_BYTES).await? {
        (bytes, false) => Ok(bytes),
        (_, true) => Err(Fault::bad("badRequest", "The request body broke off.")),
    }
}

/// Begins a resumable upload: the answer is the URL where the content goes.
async fn begin(
    google: &Google,
    id: Option<String>,
    headers: &HeaderMap,
    call: &Call,
    body: Body,
) -> Answer<Response> {
    let meta = super::call::object(body).await?;
    let total = header_text(headers, "x-upload-content-length");
    let total = total.map(|text| {
        let read = text.parse::<u64>().ok();
        read.ok_or_else(|| Fault::bad("invalid", "Invalid X-Upload-Content-Length."))
    });
    let total = total.transpose()?;
    let mut state = google.state();
    // What can be known now is refused now.
    let owner = match &id {
        Some(id) => {
            let all = call.all_drives();
            state.with_role(call.person, id, all, call.now, Role::Writer)?.owner
        }
        None => parent_for(&state, call, &meta)?.1.is_none().then_some(call.person),
    };
    if let Some(id) = meta.get("id").and_then(Value::as_str).filter(|_| id.is_none())
        && state.files.contains_key(id)
    {
        return Err(Fault::taken());
    }
    if total.is_some_and(|total| total > NOMINAL_BYTES || !state.has_room(owner, total)) {
        return Err(Fault::full());
    }
    state.sessions.retain(|_, session| call.now < session.until);
    if state.sessions.len() >= MAX_SESSIONS {
        return Err(Fault::forbidden("rateLimitExceeded", "Too many unfinished uploads."));
    }
    let key = google.0.lent.dice.token("AB", 60);
    let path = id.as_ref().map_or_else(String::new, |id| format!("/{id}"));
    let session = Session {
        person: call.person,
        client: call.client.clone(),
        file: id,
        meta,
        query: call.query.clone(),
        mime: header_text(headers, "x-upload-content-type").map(str::to_owned),
        total,
        got: Vec::new(),
        until: call.now.plus_seconds(SESSION_LIFE),
        done: None,
    };
    state.sessions.insert(key.clone(), session);
    let place =
        format!("{}/upload/drive/v3/files{path}?uploadType=resumable&upload_id={key}", call.base);
    let headers = [(header::LOCATION.as_str(), place), ("x-guploader-uploadid", key)];
    Ok((StatusCode::OK, headers).into_response())
}
