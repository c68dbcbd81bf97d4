//! Making and replacing files.
//!
//! Servers differ in what a body that breaks off leaves behind (many keep what came), and in whether
//! they look at `If-None-Match` (many do not). So content goes to a name that nobody sees, and `MOVE`
//! puts it in place: with `Overwrite: F` that refuses a taken name in one step. Two shorter ways are
//! taken where they are as safe: sabre/dav servers (Nextcloud, ownCloud) write to a part file of their
//! own, check the length and know both conditions; and a small body that replaces is sent from memory,
//! so that properties and versions of the file that is there stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderName};
use tramontane_connector::http::Request;
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error, Kind, Place, Result, WriteOptions,
};
use tramontane_model::{NativeId, Op, Timestamp};
use url::Url;

use super::auth::Auth;
use super::dav::{Dav, missing};
use super::fault::{fault, is_unknown_method};
use super::listing::UPLOAD_PREFIX;
use super::{path, properties, props};

/// A body up to this size is taken into memory, and can be sent again.
const SMALL: u64 = 1 << 20;
/// Nextcloud's and ownCloud's header for the modification time, in seconds.
pub(super) const OC_MTIME: HeaderName = HeaderName::from_static("x-oc-mtime");

/// Content on its way to the server.
enum Content {
    Small(Bytes, Option<String>),
    Stream(Body),
}

impl Content {
    async fn of(body: Body) -> Result<Self> {
        match body.len() {
            Some(len) if len <= SMALL => {
                let media_type = body.media_type().map(str::to_owned);
                let bytes = body.checked().collect(usize::try_from(SMALL).unwrap_or(usize::MAX));
                Ok(Self::Small(bytes.await?, media_type))
            }
            _ => Ok(Self::Stream(body)),
        }
    }

    fn len(&self) -> Option<u64> {
        match self {
            Self::Small(bytes, _) => Some(bytes.len() as u64),
            Self::Stream(body) => body.len(),
        }
    }
}

/// What must hold of the file that is replaced.
struct Rule<'a> {
    conflict: Conflict,
    if_match: Option<&'a ETag>,
    modified: Option<Timestamp>,
}

/// Makes a file, or replaces the one that has the name.
pub(super) async fn create(
    dav: &Dav<'_>,
    auth: &Auth,
    at: &Place,
    body: Body,
    how: &WriteOptions,
) -> Result<Entry> {
    let id = path::at(at)?;
    if body.len().is_none() && dav.profile.dialect.has_oc_props() {
        return Err(Error::declined(Op::FileCreateUnsized));
    }
    let rule =
        Rule { conflict: how.conflict, if_match: how.if_match.as_ref(), modified: how.modified };
    let content = Content::of(body).await?;
    match write(dav, auth, &id, content, &rule).await {
        Err(error) => Err(explain(dav, &at.parent, error).await),
        done => done,
    }
}

/// Replaces the content of a file that is there.
pub(super) async fn update(
    dav: &Dav<'_>,
    auth: &Auth,
    file: &NativeId,
    body: Body,
    if_match: Option<&ETag>,
) -> Result<Entry> {
    if path::split(file).is_none() {
        return Err(missing(EntryKind::File));
    }
    if body.len().is_none() && dav.profile.dialect.has_oc_props() {
        return Err(Error::declined(Op::FileCreateUnsized));
    }
    let there = dav.get(&EntryRef::file(file.clone())).await?;
    matches(Some(&there), if_match)?;
    let content = Content::of(body).await?;
    let rule = Rule { conflict: Conflict::Replace, if_match, modified: None };
    write(dav, auth, file, content, &rule).await
}

async fn write(
    dav: &Dav<'_>,
    auth: &Auth,
    id: &NativeId,
    content: Content,
    rule: &Rule<'_>,
) -> Result<Entry> {
    let streamed = matches!(content, Content::Stream(_));
    let replaces = rule.conflict == Conflict::Replace || rule.if_match.is_some();
    let can_move = dav.profile.takes_destination(id);
    // A conflict that is there already need not cost an upload.
    let mut there = None;
    if replaces || streamed || !can_move {
        there = dav.look_if_any(id).await?;
        allowed(there.as_ref(), rule)?;
    }
    if streamed {
        settle(dav, auth).await?;
    }
    let (len, url) = (content.len(), dav.profile.url(id, false)?);
    if dav.profile.dialect.has_oc_props() || (replaces && !streamed) {
        put_in_place(dav, url, content, id, rule).await?;
    } else if !can_move {
        let made = there.is_none().then(|| url.clone());
        let mut left = Leftover { cx: dav.cx, url: made };
        let put = put_in_place(dav, url, content, id, rule).await;
        // What a refusal leaves is not ours to delete.
        if put.as_ref().map_or_else(|error| error.fault.is_some() || error.is_conflict(), |()| true)
        {
            left.url = None;
        }
        put?;
    } else {
        put_and_move(dav, &url, content, id, rule).await?;
    }
    let entry = dav.get(&EntryRef::file(id.clone())).await?;
    match (len, entry.size) {
        (Some(sent), Some(kept)) if sent != kept => {
            let text = format!("The WebDAV server kept {kept} of {sent} bytes.");
            Err(Error::new(Kind::Broken, text))
        }
        _ => Ok(entry),
    }
}

async fn put_in_place(
    dav: &Dav<'_>,
    url: Url,
    content: Content,
    id: &NativeId,
    rule: &Rule<'_>,
) -> Result<()> {
    let mut request = Dav::request("put", "PUT", url);
    if rule.conflict == Conflict::Fail {
        request = request.header(header::IF_NONE_MATCH, "*");
    } else if let Some(etag) = rule.if_match.filter(|etag| !etag.weak) {
        request = request.header(header::IF_MATCH, etag.to_string());
    }
    if let (Some(modified), true) = (rule.modified, dav.profile.dialect.has_oc_props()) {
        request = request.header(OC_MTIME, modified.seconds().to_string());
    }
    let answer = dav.cx.send(with(request, content)).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let error = fault(answer).await;
    match (error.kind.clone(), rule.conflict) {
        (Kind::Precondition, Conflict::Fail) => Err(taken(dav, id).await),
        _ => Err(error),
    }
}

async fn put_and_move(
    dav: &Dav<'_>,
    url: &Url,
    content: Content,
    id: &NativeId,
    rule: &Rule<'_>,
) -> Result<()> {
    let (folder, name) = path::split(id).ok_or_else(|| missing(EntryKind::File))?;
    let hidden = path::child(&folder, &format!("{UPLOAD_PREFIX}{}", random()?));
    let hidden_url = dav.profile.url(&hidden, false)?;
    let mut left = Leftover { cx: dav.cx, url: Some(hidden_url.clone()) };
    let again = match &content {
        Content::Small(bytes, kind) => Some(Content::Small(bytes.clone(), kind.clone())),
        Content::Stream(_) => None,
    };
    let counted = Arc::new(AtomicU64::new(0));
    let unsized_stream = content.len().is_none();
    let put = Dav::request("put", "PUT", hidden_url.clone());
    let answer = dav.cx.send(with(put, count(content, &counted))).await?;
    if !answer.status.is_success() {
        return Err(fault(answer).await);
    }
    if unsized_stream {
        // Some servers drop a chunked body and say yes all the same.
        let (sent, kept) = (counted.load(Ordering::Relaxed), dav.look(&hidden, false).await?.size);
        if kept.is_some_and(|kept| kept != sent) {
            let text = format!(
                "The WebDAV server kept {} of {sent} bytes. It may need the length beforehand.",
                kept.unwrap_or_default()
            );
            return Err(Error::new(Kind::Broken, text));
        }
    }
    let mut there = match rule.conflict {
        Conflict::Fail => None,
        Conflict::Replace => dav.look_if_any(id).await?,
    };
    for last in [false, true] {
        allowed(there.as_ref(), rule)?;
        let overwrite = there.is_some();
        if overwrite && dav.profile.properties {
            properties::carry(dav, url, &hidden_url).await?;
        }
        let moved = dav.transfer("move", "MOVE", hidden_url.clone(), url, overwrite, &[]).await;
        match moved {
            Ok(_) => {
                left.url = None;
                return Ok(());
            }
            Err(error) if error.kind == Kind::Precondition && !last => match rule.conflict {
                Conflict::Fail => return Err(taken(dav, id).await),
                // Someone made it since it was looked for.
                Conflict::Replace => there = dav.look_if_any(id).await?,
            },
            Err(error) => {
                let status = error.fault.as_ref().and_then(|fault| fault.status);
                let lacks = status.and_then(|code| http::StatusCode::from_u16(code).ok());
                return match again {
                    // A server without MOVE: all that is left is to write to the name itself.
                    Some(content) if lacks.is_some_and(is_unknown_method) => {
                        allowed(dav.look_if_any(id).await?.as_ref(), rule)?;
                        put_in_place(dav, url.clone(), content, id, rule).await
                    }
                    _ => Err(error),
                };
            }
        }
    }
    Err(Error::conflict(name, None))
}

fn with(request: Request, content: Content) -> Request {
    let (media_type, request) = match content {
        Content::Small(bytes, media_type) => (media_type, request.bytes(bytes)),
        Content::Stream(body) => (body.media_type().map(str::to_owned), request.stream(body)),
    };
    let media_type = media_type.unwrap_or_else(|| "application/octet-stream".into());
    request.header(header::CONTENT_TYPE, media_type)
}

fn count(content: Content, into: &Arc<AtomicU64>) -> Content {
    let Content::Stream(body) = content else { return content };
    let (len, kind) = (body.len(), body.media_type().map(str::to_owned));
    let into = Arc::clone(into);
    let counted = body.into_stream().inspect(move |piece| {
        if let Ok(bytes) = piece {
            into.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    });
    Content::Stream(Body::new(counted, len).with_media_type(kind))
}

/// Copies a file over another: to a hidden name first, so that a copy that fails leaves the other as it
/// was. (It is also what lighttpd needs, whose cache serves the old content after a `COPY`.)
pub(super) async fn copy_over(dav: &Dav<'_>, from: Url, id: &NativeId, to: &Url) -> Result<()> {
    let (folder, _) = path::split(id).ok_or_else(|| missing(EntryKind::File))?;
    let hidden = path::child(&folder, &format!("{UPLOAD_PREFIX}{}", random()?));
    let hidden = dav.profile.url(&hidden, false)?;
    dav.transfer("copy", "COPY", from, &hidden, false, &[]).await?;
    let mut left = Leftover { cx: dav.cx, url: Some(hidden.clone()) };
    // The name may have gone to a folder in the meantime, which MOVE would delete.
    if let Some(there) = dav.look_if_any(id).await?.filter(Entry::is_folder) {
        return Err(Error::conflict(&there.name, Some(there.reference())));
    }
    dav.transfer("move", "MOVE", hidden, to, true, &[]).await?;
    left.url = None;
    Ok(())
}

/// Whether what is at the name may be replaced.
fn allowed(there: Option<&Entry>, rule: &Rule<'_>) -> Result<()> {
    if let Some(entry) = there
        && (entry.is_folder() || rule.conflict == Conflict::Fail)
    {
        return Err(Error::conflict(&entry.name, Some(entry.reference())));
    }
    matches(there, rule.if_match)
}

/// Whether what is there has the etag. Weak and strong forms of one etag are the same here: Apache
/// calls an etag weak until the file is a second old.
pub(super) fn matches(there: Option<&Entry>, if_match: Option<&ETag>) -> Result<()> {
    let Some(wanted) = if_match else { return Ok(()) };
    let known = there.and_then(|entry| entry.etag.as_ref());
    if known.is_some_and(|known| known.value == wanted.value) {
        return Ok(());
    }
    Err(Error::new(Kind::Precondition, "The file has changed: its etag is another one."))
}

/// The conflict at this place, with what is there.
pub(super) async fn taken(dav: &Dav<'_>, id: &NativeId) -> Error {
    let by = dav.look_if_any(id).await.ok().flatten().map(|entry| entry.reference());
    Error::conflict(path::split(id).map_or("", |(_, name)| name), by)
}

/// Servers answer a missing parent folder in many ways: the parent itself decides.
pub(super) async fn explain(dav: &Dav<'_>, parent: &NativeId, error: Error) -> Error {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    if !matches!(status, Some(400 | 403 | 404 | 405 | 409 | 410 | 500)) {
        return error;
    }
    match dav.is_folder(parent).await {
        Ok(false) => Error::new(Kind::ParentNotFound, "The folder to write into is not there.")
            .because(error),
        // A taken name is told with what has it; any other 404 or 409 is the server's own trouble.
        _ if matches!(error.kind, Kind::Conflict(None) | Kind::NotFound) => {
            let mut error = error;
            error.kind = Kind::Broken;
            error
        }
        _ => error,
    }
}

/// Makes sure that the server has asked for the credential before a stream is sent, which cannot be
/// sent a second time.
pub(super) async fn settle(dav: &Dav<'_>, auth: &Auth) -> Result<()> {
    if !auth.is_settled() {
        let body = props::propfind(&["<d:resourcetype/>"]);
        dav.item(dav.profile.base.clone(), body).await?;
    }
    Ok(())
}

pub(super) fn random() -> Result<String> {
    let mut bytes = [0u8; 12];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::internal("The system gives no randomness.").because(cause))?;
    Ok(hex::encode(bytes))
}

/// An upload under its hidden name; deleted when it does not reach its place, whatever the reason.
struct Leftover<'a> {
    cx: &'a Cx,
    url: Option<Url>,
}

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        if let Some(url) = self.url.take() {
            Dav::clean_up(self.cx, url);
        }
    }
}
