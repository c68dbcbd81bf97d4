//! Content in and out: uploads in one request, downloads with ranges, exports, thumbnails.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::World;
use super::auth::Caller;
use super::call::with_result;
use super::drive::{Drive, Mode, Moment, Node, Revision, Write, content_hash};
use super::files::{flag, target};
use super::path::{Asked, is_rev};
use super::refusal::{Refusal, path_error, tag, tag_of, tagged, with_members};
use super::render::{Wanted, node, revision};

/// A small grey picture, as JPEG: what every thumbnail looks like here.
const PICTURE: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b28252528513a\
    3d3042605565645f555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6c799a8aba4ffdb0043011c1e\
    1e2823284e2b2b4ea46e5d6ea4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4\
    a4a4a4a4a4a4a4a4a4a4a4a4a4a4ffc00011080020002003012200021101031101ffc400150001010000000000000000\
    0000000000000003ffc40014100100000000000000000000000000000000ffc400140101000000000000000000000000\
    00000000ffc40014110100000000000000000000000000000000ffda000c03010002110311003f00a000000000000fff\
    d9";

/// Commits content under `CommitInfo`. The inner error is a `WriteError`.
pub(super) fn commit(
    drive: &mut Drive,
    arg: &Value,
    content: Bytes,
    moment: &Moment<'_>,
) -> Result<Result<Node, Value>, Refusal> {
    let path = match target(drive, arg, "path")? {
        Ok(path) => path,
        Err(error) => return Ok(Err(error)),
    };
    let mode = arg.get("mode");
    let mode = match mode.and_then(tag_of) {
        None | Some("add") => Mode::Add,
        Some("overwrite") => Mode::Overwrite,
        Some("update") => {
            let rev = mode.and_then(|mode| mode.get("update")).and_then(Value::as_str);
            let rev = rev.filter(|rev| is_rev(rev));
            Mode::Update(rev.ok_or_else(|| {
                Refusal::Bad("mode: update: did not match pattern '[0-9a-f]+'".into())
            })?)
        }
        Some(other) => {
            return Err(Refusal::Bad(format!("mode: invalid tag \"{other}\"")));
        }
    };
    let client_modified = match arg.get("client_modified").and_then(Value::as_str) {
        None => None,
        Some(text) => {
            Some(Timestamp::parse(text).filter(|_| text.ends_with('Z')).ok_or_else(|| {
                Refusal::Bad(format!(
                    "client_modified: time data {text:?} does not match format '%Y-%m-%dT%H:%M:%SZ'"
                ))
            })?)
        }
    };
    let hash = content_hash(&content);
    let write = Write {
        content,
        hash,
        mode,
        autorename: flag(arg, "autorename"),
        strict: flag(arg, "strict_conflict"),
        client_modified,
        paper: false,
    };
    Ok(drive.write(&path, write, moment))
}

/// Whether the content is what the caller's hash says.
pub(super) fn matches_hash(arg: &Value, content: &[u8]) -> bool {
    let told = arg.get("content_hash").and_then(Value::as_str);
    told.is_none_or(|told| told == content_hash(content))
}

/// `files/upload`.
pub(super) fn upload(
    world: &World,
    caller: &Caller,
    arg: &Value,
    content: Bytes,
) -> Result<Value, Refusal> {
    if !matches_hash(arg, &content) {
        return Err(Refusal::Route(tag("content_hash_mismatch")));
    }
    let moment = world.moment();
    let mut state = world.state();
    let made = commit(state.drive(caller.person)?, arg, content, &moment)?;
    let made = made.map_err(|reason| {
        let session = world.dice.token("pid_upload_session:", 43);
        Refusal::Route(with_members(
            "path",
            json!({"reason": reason, "upload_session_id": session}),
        ))
    })?;
    Ok(node(&made, &Wanted::default()))
}

/// `files/paper/create`: a document that can only be exported.
pub(super) fn paper(
    world: &World,
    caller: &Caller,
    arg: &Value,
    content: Bytes,
) -> Result<Value, Refusal> {
    let moment = world.moment();
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let Ok(path) = target(drive, arg, "path")? else {
        return Err(Refusal::Route(tag("invalid_path")));
    };
    if !path.ends_with(".paper") {
        return Err(Refusal::Route(tag("invalid_file_extension")));
    }
    let hash = content_hash(&content);
    let write = Write {
        content,
        hash,
        mode: Mode::Add,
        autorename: true,
        strict: false,
        client_modified: None,
        paper: true,
    };
    let made =
        drive.write(&path, write, &moment).map_err(|_| Refusal::Route(tag("invalid_path")))?;
    let file = made.file.as_ref().map(|file| file.rev.len()).unwrap_or_default();
    Ok(
        json!({"url": format!("https://www.dropbox.com/scl/fi/{}", made.id), "result_path": made.path,
        "file_id": made.id, "paper_revision": file}),
    )
}

fn file<'a>(drive: &'a Drive, asked: &Asked) -> Result<&'a Revision, &'static str> {
    if let Asked::Rev(rev) = asked {
        return drive.revision(rev).ok_or("not_found");
    }
    drive.find(asked)?.file.as_ref().ok_or("not_file")
}

/// `files/download`, `files/export`, `files/get_thumbnail_v2`.
pub(super) fn download(
    world: &World,
    caller: &Caller,
    name: &str,
    arg: &Value,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    match name {
        "files/export" => {
            let found = file(drive, &Asked::read(arg, "path")?).map_err(path_error)?;
            if !found.paper {
                return Err(Refusal::Route(tag("non_exportable")));
            }
            let format = arg.get("export_format").and_then(Value::as_str).unwrap_or("html");
            if !matches!(format, "html" | "markdown") {
                return Err(Refusal::Route(tag("invalid_export_format")));
            }
            let bytes = found.content.clone();
            let stem = found.name.trim_end_matches(".paper");
            let extension = if format == "html" { "html" } else { "md" };
            let result = json!({"export_metadata": {"name": format!("{stem}.{extension}"),
                "size": bytes.len(), "export_hash": found.hash}, "file_metadata": revision(found)});
            Ok(with_result(StatusCode::OK, &result, Body::from(bytes)))
        }
        "files/get_thumbnail_v2" => {
            let resource = arg.get("resource").cloned().unwrap_or_default();
            if tag_of(&resource) != Some("path") {
                return Err(Refusal::Route(tag("not_found")));
            }
            let found = file(drive, &Asked::read(&resource, "path")?).map_err(path_error)?;
            let lower = found.name.to_lowercase();
            let known = [".jpg", ".jpeg", ".png", ".tiff", ".tif", ".gif", ".webp", ".ppm", ".bmp"];
            if !known.iter().any(|extension| lower.ends_with(extension)) {
                return Err(Refusal::Route(tag("unsupported_extension")));
            }
            if !is_picture(&found.content) {
                return Err(Refusal::Route(tag("conversion_error")));
            }
            let result = json!({"file_metadata": revision(found)});
            let picture = hex::decode(PICTURE).unwrap_or_default();
            Ok(with_result(StatusCode::OK, &result, Body::from(picture)))
        }
        _ => {
            let found = file(drive, &Asked::read(arg, "path")?).map_err(path_error)?;
            if found.paper {
                return Err(Refusal::Route(tag("unsupported_file")));
            }
            content_of(found, headers)
        }
    }
}

fn is_picture(content: &[u8]) -> bool {
    let begins: [&[u8]; 6] = [&[0xff, 0xd8], b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0"];
    begins.iter().any(|begin| content.starts_with(begin))
}

/// The content, or the part of it that `Range` asks for.
pub(super) fn content_of(found: &Revision, headers: &HeaderMap) -> Result<Response, Refusal> {
    let size = found.content.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let asked =
        asked.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'));
    let (status, first, end) = match asked {
        None => (StatusCode::OK, 0, size),
        Some((first, last)) => {
            let number = |text: &str| text.parse::<usize>().ok();
            let (first, end) = match (number(first), number(last)) {
                (Some(first), last) => {
                    (first, last.map_or(size, |last| last.saturating_add(1).min(size)))
                }
                (None, Some(count)) => (size.saturating_sub(count), size),
                (None, None) => (0, size),
            };
            if first >= size {
                return Err(Refusal::Range(size as u64));
            }
            (StatusCode::PARTIAL_CONTENT, first, end.max(first))
        }
    };
    let part = found.content.slice(first..end);
    let length = part.len();
    let mut answer = with_result(status, &revision(found), Body::from(part));
    let headers = answer.headers_mut();
    let mut set = |name: header::HeaderName, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_LENGTH, length.to_string());
    set(header::ETAG, format!("W/\"{}\"", found.rev));
    set(header::ACCEPT_RANGES, "bytes".into());
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", end.saturating_sub(1)));
    }
    Ok(answer)
}

/// The error of an upload session's finish or of a commit by link.
pub(super) fn finish_error(error: Value) -> Value {
    tagged("path", error)
}
