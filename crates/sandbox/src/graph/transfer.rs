//! Content in and out: simple uploads, upload sessions, redirects to downloads.

use http::{StatusCode, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::call::{Answer, Call, Outcome};
use super::download;
use super::drive::Behaviour;
use super::fault::{Fault, bad, changed, full, not_found, taken, unsupported};
use super::items::{behaviour, by, shown};
use super::route::At;
use super::show::TOTAL;
use super::world::{Upload, World};

/// How long an upload session lives without a request, in seconds.
const SESSION_LIFE: i64 = 6 * 3_600;
/// Sessions that may be open at once.
const MAX_SESSIONS: usize = 1_000;
/// "driveItem: put": files of up to 250 MB.
pub(super) const MAX_SIMPLE: usize = 250 << 20;

pub(super) fn content(world: &World, call: &Call, at: &At) -> Outcome {
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let item = drive.item(at.id()?)?;
    if item.folder || item.package || item.remote.is_some() {
        return Err(bad("You cannot get content for a folder"));
    }
    let format = call.parameter("format");
    let office = [
        "doc", "docx", "odp", "ods", "odt", "ppt", "pptx", "rtf", "xls", "xlsx", "csv", "eml",
        "htm", "html", "md", "msg", "pps", "tif",
    ];
    let convertible = item
        .name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| office.contains(&ending.to_lowercase().as_str()));
    match format {
        None => {}
        Some("pdf") if convertible => {}
        Some(_) => {
            return Err(Fault::new(
                406,
                "notSupported",
                "The format is not supported for this file",
            ));
        }
    }
    let token = download::token(world, drive, item, format, call.now);
    Ok(Answer::to(StatusCode::FOUND, format!("{}/dl/{token}", call.base)))
}

pub(super) fn put(world: &mut World, call: &Call, at: &At) -> Outcome {
    if call.body.len() > MAX_SIMPLE {
        return Err(Fault::new(413, "invalidRequest", "The request is too large")
            .inner("maxFileSizeExceeded"));
    }
    let behaviour = behaviour(call, &Value::Null, Behaviour::Replace)?;
    let if_match = call.header(&header::IF_MATCH).map(str::to_owned);
    let (at_id, content) = (at.item.clone(), call.body.clone());
    let drive = world.drive_mut(&at.drive)?;
    let (id, new) = match (&at.place, at_id) {
        (Some((folder, name)), _) => {
            drive.put(folder, name, content, behaviour, if_match.as_deref(), by(call))?
        }
        (None, Some(id)) => {
            drive.write(&id, content, if_match.as_deref(), by(call))?;
            (id, false)
        }
        (None, None) => return Err(not_found()),
    };
    let body = shown(world, call, &at.drive, &id)?;
    Ok(if new { Answer::created(body) } else { Answer::json(body) })
}

pub(super) fn session(world: &mut World, call: &Call, at: &At) -> Outcome {
    let body = call.json()?;
    let item = body.get("item").cloned().unwrap_or_default();
    let drive = world.drives.get(&at.drive).ok_or_else(not_found)?;
    let if_match = call.header(&header::IF_MATCH).map(str::to_owned);
    if let (Some(wanted), Some(id)) = (&if_match, &at.item) {
        drive.check_match(drive.item(id)?, Some(wanted))?;
    } else if if_match.is_some() {
        return Err(changed());
    }
    let place = match (&at.place, &at.item) {
        (Some((folder, name)), _) => {
            if !drive.item(folder)?.folder {
                return Err(bad("The parent item is not a folder"));
            }
            super::names::check(name)?;
            if item.get("name").and_then(Value::as_str).is_some_and(|other| other != name) {
                return Err(bad("The name in the item does not match the one in the URL"));
            }
            Ok((folder.clone(), name.clone()))
        }
        (None, Some(id)) if !drive.item(id)?.folder => Err(id.clone()),
        _ => return Err(bad("Cannot upload to a folder")),
    };
    let behaviour =
        behaviour(call, &item, if place.is_err() { Behaviour::Replace } else { Behaviour::Fail })?;
    if let (Behaviour::Fail, Some(_), Ok(_)) = (behaviour, &at.item, &place) {
        return Err(taken());
    }
    let announced = item.get("fileSize").and_then(Value::as_u64);
    if announced.is_some_and(|size| size > TOTAL.saturating_sub(drive.used())) {
        return Err(full());
    }
    world.uploads.retain(|_, upload| upload.until > call.now);
    if world.uploads.len() >= MAX_SESSIONS {
        return Err(Fault::new(429, "activityLimitReached", "Too many upload sessions"));
    }
    let times = item.get("fileSystemInfo").cloned().unwrap_or_default();
    let moment =
        times.get("lastModifiedDateTime").and_then(Value::as_str).and_then(Timestamp::parse);
    let upload = Upload {
        drive: at.drive.clone(),
        place,
        behaviour,
        if_match,
        client_modified: moment,
        deferred: body.get("deferCommit").and_then(Value::as_bool).unwrap_or(false),
        by: call.who.person,
        until: call.now.plus_seconds(SESSION_LIFE),
        parts: Vec::new(),
        received: 0,
        total: None,
    };
    let token = world.dice.token("", 40);
    let url = format!("{}/up/{token}", call.base);
    let until = upload.until.to_string();
    world.uploads.insert(token, upload);
    Ok(Answer::json(json!({
        "@odata.context": format!("{}/v1.0/$metadata#microsoft.graph.uploadSession", call.base),
        "uploadUrl": url,
        "expirationDateTime": until,
        "nextExpectedRanges": ["0-"],
    })))
}

/// Makes the file of a session that has all of its bytes, and ends the session.
pub(super) fn finish(
    world: &mut World,
    call: &Call,
    token: &str,
    over: Option<Behaviour>,
) -> Outcome {
    let upload = world.uploads.get(token).cloned().ok_or_else(not_found)?;
    if upload.total != Some(upload.received) {
        return Err(bad("The upload session is not complete").inner("uploadSessionIncomplete"));
    }
    let call = &Call { who: super::call::Who { person: upload.by, ..call.who }, ..call.clone() };
    let content: Vec<u8> = upload.parts.concat();
    let drive = world.drive_mut(&upload.drive)?;
    let if_match = upload.if_match.as_deref();
    let (id, new) = match &upload.place {
        Ok((folder, name)) => {
            let behaviour = over.unwrap_or(upload.behaviour);
            drive.put(folder, name, content.into(), behaviour, if_match, by(call))?
        }
        Err(id) => {
            drive.write(id, content.into(), if_match, by(call))?;
            (id.clone(), false)
        }
    };
    if let Some(modified) = upload.client_modified {
        drive.change(&id, by(call), |item| item.client_modified = modified)?;
    }
    world.uploads.remove(token);
    let body = shown(world, call, &upload.drive, &id)?;
    Ok(if new { Answer::created(body) } else { Answer::json(body) })
}

/// `PUT` of an item with `@microsoft.graph.sourceUrl`: commits a session, under a name that may differ
/// from the one that it was begun with ("Handle upload errors" of driveItem: createUploadSession).
pub(super) fn commit(world: &mut World, call: &Call, at: &At) -> Outcome {
    let body = call.json()?;
    let source = body.get("@microsoft.graph.sourceUrl").and_then(Value::as_str);
    let token = source.and_then(|url| url.strip_prefix(call.base.as_str())?.strip_prefix("/up/"));
    let Some(token) = token else {
        return Err(unsupported("Only an upload session may be the source of an item"));
    };
    let behaviour = behaviour(call, &body, Behaviour::Fail)?;
    if let (Some(upload), Some(place)) = (world.uploads.get_mut(token), &at.place)
        && upload.place.is_ok()
    {
        upload.place = Ok(place.clone());
    }
    finish(world, call, token, Some(behaviour))
}

/// What is still to come, as `nextExpectedRanges` says it.
pub(super) fn expected(upload: &Upload) -> Value {
    let ranges = match upload.total {
        Some(total) if upload.received >= total => Vec::new(),
        _ => vec![format!("{}-", upload.received)],
    };
    json!({"expirationDateTime": upload.until.to_string(), "nextExpectedRanges": ranges})
}

/// A part of a session's file: `PUT` to its URL with `Content-Range: bytes A-B/TOTAL`.
pub(super) fn fragment(world: &mut World, call: &Call, token: &str) -> Outcome {
    let upload = world.uploads.get_mut(token).ok_or_else(|| {
        Fault::new(404, "itemNotFound", "The upload session was not found")
            .inner("uploadSessionNotFound")
    })?;
    let range = call.header(&header::CONTENT_RANGE).and_then(range);
    let Some((first, last, total)) = range else {
        return Err(bad("The Content-Range header is missing or malformed."));
    };
    let length = last - first + 1;
    if length != call.body.len() as u64 {
        return Err(bad(
            "The Content-Range header length does not match the provided number of bytes.",
        )
        .inner("fragmentLengthMismatch"));
    }
    if length >= 60 << 20 {
        return Err(Fault::new(413, "invalidRequest", "The fragment is too large")
            .inner("maxFragmentLengthExceeded"));
    }
    if upload.total.is_some_and(|known| known != total) {
        return Err(bad("Declared total size does not match the one of earlier fragments."));
    }
    if first != upload.received {
        let code = if first < upload.received { "fragmentOverlap" } else { "fragmentOutOfOrder" };
        return Err(Fault::new(
            416,
            "invalidRange",
            "Uploaded fragment overlaps or is out of order",
        )
        .inner(code));
    }
    if last + 1 < total && length % (320 << 10) != 0 {
        return Err(bad("Fragments must be a multiple of 320 KiB").inner("invalidRequest"));
    }
    upload.total = Some(total);
    upload.received += length;
    upload.until = call.now.plus_seconds(SESSION_LIFE);
    upload.parts.push(call.body.clone());
    if upload.received < total || upload.deferred {
        let body = expected(upload);
        return Ok(Answer { status: StatusCode::ACCEPTED, ..Answer::json(body) });
    }
    finish(world, call, token, None)
}

fn range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first, last, total))
}
