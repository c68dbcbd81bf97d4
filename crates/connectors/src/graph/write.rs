//! Making and replacing files. Small content goes in one request; the rest through an upload session in
//! fragments that are kept until the service has them, so that a broken connection costs one of them.
//! Sources: "Upload small files", "driveItem: createUploadSession".

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, EntryKind, Error, Kind, Repeat, Result, Retry, WriteOptions,
};
use tramontane_model::content_hash::QuickXor;
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::api::{Client, nonsense, text};
use super::fault::fault;
use super::id::Id;
use super::item::{Item, if_match};

/// Content up to this size goes in one request. (The service takes 250 MB so.)
const SMALL: u64 = 4 << 20;
/// "The size of each byte range MUST be a multiple of 320 KiB".
pub(super) const UNIT: u64 = 320 << 10;
/// What one fragment holds: between the 5 and 10 MiB that the service advises.
const FRAGMENT: usize = 16 * (320 << 10);
/// How often a fragment is tried beyond what every request is.
const TRIES: u32 = 4;

/// The word for a conflict.
pub(super) fn behaviour(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Fail => "fail",
        Conflict::Replace => "replace",
    }
}

/// What is sent, for comparison with what the service says that it has.
#[derive(Default)]
struct Seen {
    hash: QuickXor,
    size: u64,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn is(&self, item: &Value) -> bool {
        let hash = item.pointer("/file/hashes/quickXorHash").and_then(Value::as_str);
        let told = item.get("size").and_then(Value::as_u64);
        let own = BASE64_STANDARD.encode(self.hash.clone().finalize());
        told == Some(self.size) && hash == Some(own.as_str())
    }
}

pub(super) async fn create(
    client: Client<'_>,
    parent: &Id,
    name: &str,
    body: Body,
    how: &WriteOptions,
) -> Result<Entry> {
    let Some(len) = body.len() else { return Err(Error::declined(Op::FileCreateUnsized)) };
    let path = client.child_path(parent, name)?;
    let fixed = how.conflict == Conflict::Fail;
    let matched = how.if_match.as_ref();
    // A session keeps the time in the same step; it takes no empty files.
    let value = if len <= SMALL && (how.modified.is_none() || len == 0) {
        let path =
            format!("{path}/content?@microsoft.graph.conflictBehavior={}", behaviour(how.conflict));
        put(client, &path, path_of_item(&path), body, matched, fixed).await?
    } else {
        let item = json!({"item": properties(client, how.conflict, Some(name), len, how.modified)});
        upload(client, &path, &item, body, len, matched).await?
    };
    let value = match how.modified {
        Some(modified) if len == 0 => stamp(client, &value, modified).await?,
        _ => value,
    };
    whole(client, value, len).await
}

pub(super) async fn update(
    client: Client<'_>,
    id: &Id,
    body: Body,
    matched: Option<&ETag>,
) -> Result<Entry> {
    let Some(len) = body.len() else { return Err(Error::declined(Op::FileCreateUnsized)) };
    if matches!(id, Id::Root | Id::Site(_) | Id::DriveRoot(_)) {
        return Err(super::item::missing(EntryKind::File));
    }
    let path = client.path(&id.followed())?;
    let value = if len <= SMALL {
        put(client, &format!("{path}/content"), &path, body, matched, false).await?
    } else {
        let item = json!({"item": properties(client, Conflict::Replace, None, len, None)});
        upload(client, &path, &item, body, len, matched).await?
    };
    whole(client, value, len).await
}

/// `driveItemUploadableProperties`. The size is for a check of the quota beforehand.
pub(super) fn properties(
    client: Client<'_>,
    conflict: Conflict,
    name: Option<&str>,
    size: u64,
    modified: Option<Timestamp>,
) -> Value {
    let mut item = json!({"@microsoft.graph.conflictBehavior": behaviour(conflict)});
    if let Some(members) = item.as_object_mut() {
        if let Some(name) = name {
            members.insert("name".into(), name.into());
        }
        if client.api.flavour == super::Flavour::Personal {
            members.insert("fileSize".into(), size.into());
        }
        if let Some(modified) = modified {
            members.insert(
                "fileSystemInfo".into(),
                json!({"lastModifiedDateTime": modified.to_string()}),
            );
        }
    }
    item
}

fn path_of_item(path: &str) -> &str {
    path.split_once(":/content").map_or(path, |(item, _)| item)
}

/// Small content in one request.
async fn put(
    client: Client<'_>,
    path: &str,
    item: &str,
    body: Body,
    matched: Option<&ETag>,
    once: bool,
) -> Result<Value> {
    let media_type = body.media_type().unwrap_or("application/octet-stream").to_owned();
    let most = usize::try_from(SMALL).unwrap_or(usize::MAX);
    let bytes = body.checked().collect(most).await?;
    let mut seen = Seen::default();
    seen.add(&bytes);
    let mut request = client
        .request("put_content", Method::PUT, path)?
        .header(header::CONTENT_TYPE, media_type)
        .bytes(bytes);
    if let Some(etag) = matched {
        request = request.header(header::IF_MATCH, if_match(etag));
    }
    if once || matched.is_some() {
        // A second try of what was done already would find the name taken, or the etag changed.
        request = request.repeat(Repeat::No);
    }
    match client.json(request).await {
        Err(error) if is_uncertain(&error) => match client.get("item", item).await {
            Ok(value) if seen.is(&value) => Ok(value),
            _ => Err(error),
        },
        answer => answer,
    }
}

/// Whether the service may have done what it did not answer.
fn is_uncertain(error: &Error) -> bool {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    matches!(error.kind, Kind::Unavailable | Kind::Timeout | Kind::Broken)
        && !matches!(status, Some(429 | 503))
}

/// Sets the time of a file's content.
async fn stamp(client: Client<'_>, value: &Value, modified: Timestamp) -> Result<Value> {
    let item = Item::read(value)?;
    let drive = item.drive().ok_or_else(nonsense)?.to_owned();
    let path = client.path(&Id::Item(drive, item.id))?;
    let body = json!({"fileSystemInfo": {"lastModifiedDateTime": modified.to_string()}});
    client.json(client.with("patch", Method::PATCH, &path, &body)?).await
}

async fn whole(client: Client<'_>, value: Value, len: u64) -> Result<Entry> {
    let entry = client.entry(value).await?;
    match entry.size {
        Some(kept) if kept != len => {
            Err(Error::new(Kind::Broken, format!("The service kept {kept} of {len} bytes.")))
        }
        _ => Ok(entry),
    }
}

/// Begins an upload session; gives its URL, which is as good as a credential.
pub(super) async fn begin(
    client: Client<'_>,
    path: &str,
    body: &Value,
    matched: Option<&ETag>,
) -> Result<Url> {
    let path = format!("{path}/createUploadSession");
    let mut request = client.with("create_upload_session", Method::POST, &path, body)?;
    if let Some(etag) = matched {
        request = request.header(header::IF_MATCH, if_match(etag));
    }
    // A session that nobody uses lapses by itself.
    let session = client.json(request.repeat(Repeat::Yes)).await?;
    let url = text(&session, "uploadUrl").and_then(|url| Url::parse(url).ok());
    url.ok_or_else(nonsense)
}

/// An upload session that is given up unless it came to its end.
struct Session<'a> {
    cx: &'a Cx,
    url: Option<Url>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Some(url) = self.url.take() else { return };
        let cx = self.cx.background(std::time::Duration::from_secs(60));
        tokio::spawn(async move {
            // What is left lapses by itself.
            let _ = cx.send(Client::bare("cancel_upload", Method::DELETE, url)).await;
        });
    }
}

async fn upload(
    client: Client<'_>,
    path: &str,
    item: &Value,
    body: Body,
    len: u64,
    matched: Option<&ETag>,
) -> Result<Value> {
    let url = begin(client, path, item, matched).await?;
    let mut session = Session { cx: client.cx, url: Some(url.clone()) };
    let mut seen = Seen::default();
    let mut pieces = body.checked().into_stream();
    let mut kept = BytesMut::new();
    let mut first = 0u64;
    loop {
        let mut ended = false;
        while kept.len() < FRAGMENT {
            match pieces.next().await {
                Some(piece) => {
                    let piece = piece?;
                    seen.add(&piece);
                    kept.extend_from_slice(&piece);
                }
                None => {
                    ended = true;
                    break;
                }
            }
        }
        let fragment = kept.split_to(kept.len().min(FRAGMENT)).freeze();
        let step = client.cx.within(client.cx.time_left().max(std::time::Duration::from_secs(120)));
        let next = first + fragment.len() as u64;
        match send(&step, &url, fragment, first, len).await {
            Ok(Some(value)) => {
                session.url = None;
                return Ok(value);
            }
            Ok(None) if next < len && !ended => first = next,
            Ok(None) => return Err(nonsense()),
            Err(error) => {
                // The last answer may have been lost, and the session with it.
                let last = next == len && (is_uncertain(&error) || error.is_not_found());
                let item = if last {
                    client.get("item", path.trim_end_matches(':')).await.ok()
                } else {
                    None
                };
                return match item.filter(|value| seen.is(value)) {
                    Some(value) => {
                        session.url = None;
                        Ok(value)
                    }
                    None => Err(lost(error)),
                };
            }
        }
    }
}

/// A session that is gone is not a folder that is gone.
fn lost(error: Error) -> Error {
    if error.is_not_found() {
        let text = "The service has forgotten the upload. Try again.";
        return Error::new(Kind::Unavailable, text).because(error);
    }
    error
}

/// The whole request for one fragment.
pub(super) fn fragment(url: &Url, first: u64, len: u64, total: u64) -> Request {
    let last = first + len.saturating_sub(1);
    Client::bare("put_fragment", Method::PUT, url.clone())
        .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{total}"))
        .header(header::CONTENT_TYPE, "application/octet-stream")
}

/// Sends a fragment, going on where the service is. Gives the file when it was the last one.
async fn send(cx: &Cx, url: &Url, bytes: Bytes, first: u64, total: u64) -> Result<Option<Value>> {
    let (mut rest, mut at) = (bytes, first);
    let mut tried = 0;
    loop {
        let request = fragment(url, at, rest.len() as u64, total).bytes(rest.clone());
        let error = match cx.send(request).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED => return Ok(None),
            Ok(answer) if answer.status.is_success() => return answer.json().await.map(Some),
            Ok(answer) => fault(answer).await,
            Err(error) => error,
        };
        tried += 1;
        let has_it = matches!(error.kind, Kind::Range(_));
        let passing = error.retry != Retry::Never && error.kind != Kind::RateLimited;
        if tried > TRIES || !(has_it || passing) {
            return Err(error);
        }
        // "Your app can request the status of an upload session".
        match expected(cx, url).await {
            Ok(Some(next)) if next >= at + rest.len() as u64 => return Ok(None),
            Ok(Some(next)) if next >= at => {
                let skip = usize::try_from(next - at).unwrap_or(usize::MAX).min(rest.len());
                rest = rest.slice(skip..);
                at = next;
            }
            Ok(_) => return Err(error),
            // The session ends with its last byte: whoever asks then, finds nothing.
            Err(gone) if gone.is_not_found() => return Err(gone),
            Err(_) => return Err(error),
        }
    }
}

/// The first byte that a session still waits for; none when it has all.
pub(super) async fn expected(cx: &Cx, url: &Url) -> Result<Option<u64>> {
    let answer = cx.send(Client::bare("upload_status", Method::GET, url.clone())).await?;
    if !answer.status.is_success() {
        return Err(fault(answer).await);
    }
    let status: Value = answer.json().await?;
    let range = status.pointer("/nextExpectedRanges/0").and_then(Value::as_str);
    Ok(range.and_then(|range| range.split('-').next()?.parse().ok()))
}
