//! Uploads in parts: Nextcloud's chunked upload, version 2.

use async_trait::async_trait;
use http::header::HeaderName;
use serde::{Deserialize, Serialize};
use tramontane_connector::http::Request;
use tramontane_connector::storage::{UploadSession, UploadSessions, UploadedPart};
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, EntryRef, Error, Kind, Place, Result, WriteOptions,
};
use tramontane_model::{NativeId, Op, Timestamp};
use url::Url;

use crate::webdav::dav::Dav;
use crate::webdav::fault::fault;
use crate::webdav::path;
use crate::webdav::profile::Cloud;
use crate::webdav::storage::{DavStorage, cloud_of};
use crate::webdav::write::{self, OC_MTIME};

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const TOTAL: HeaderName = HeaderName::from_static("oc-total-length");

/// Nextcloud takes parts of 5 MiB to 5 GiB, at most ten thousand of them.
const MIN_PART: u64 = 10 << 20;
const UNSIZED_PART: u64 = 32 << 20;
const MAX_PARTS: u64 = 10_000;

/// What a session needs to go on.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The name of the collection of parts.
    name: String,
    /// Where the file goes.
    id: NativeId,
    replace: bool,
    if_match: Option<ETag>,
    modified: Option<i64>,
}

impl State {
    fn of(session: &UploadSession) -> Result<Self> {
        serde_json::from_str(&session.state)
            .map_err(|cause| Error::internal("The upload session cannot be read.").because(cause))
    }

    fn url(&self, parts: &Cloud, part: Option<&str>) -> Result<Url> {
        let mut segments = vec!["uploads", parts.user.as_str(), self.name.as_str()];
        segments.extend(part);
        parts.at(&segments, part.is_none())
    }
}

#[async_trait]
impl UploadSessions for DavStorage {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::MultipartCreate)?;
        let id = path::at(at)?;
        let state = State {
            name: format!("tramontane-{}", write::random()?),
            id: id.clone(),
            replace: how.conflict == Conflict::Replace,
            if_match: how.if_match.clone(),
            modified: how.modified.map(Timestamp::seconds),
        };
        if !dav.is_folder(&at.parent).await? {
            let text = "The folder to write into is not there.";
            return Err(Error::new(Kind::ParentNotFound, text));
        }
        check(&dav, &state).await?;
        let destination = dav.profile.url(&id, false)?;
        let request = Dav::request("mkcol_upload", "MKCOL", state.url(parts, None)?)
            .header(DESTINATION, destination.as_str());
        let answer = cx.send(request).await?;
        if !answer.status.is_success() {
            return Err(fault(answer).await);
        }
        let state = serde_json::to_string(&state).map_err(|cause| {
            Error::internal("The upload session cannot be kept.").because(cause)
        })?;
        Ok(UploadSession { state, part_size: part_size(size), parallel: true })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::MultipartCreate)?;
        let state = State::of(session)?;
        if number == 0 || u64::from(number) > MAX_PARTS {
            return Err(Error::invalid("part number must be 1 to 10000."));
        }
        let Some(size) = body.len() else {
            return Err(Error::invalid("The length of a part must be known."));
        };
        write::settle(&dav, &self.auth(&cx.account)).await?;
        let request = put(&state.url(parts, Some(&format!("{number:05}")))?)
            .header(DESTINATION, dav.profile.url(&state.id, false)?.as_str())
            .stream(body.checked());
        let answer = cx.send(request).await?;
        if !answer.status.is_success() {
            return Err(gone(fault(answer).await));
        }
        let receipt = answer.header(&http::header::ETAG).unwrap_or_default().to_owned();
        Ok(UploadedPart { number, size, receipt })
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        uploaded: &[UploadedPart],
    ) -> Result<Entry> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::MultipartCreate)?;
        let state = State::of(session)?;
        check(&dav, &state).await?;
        let total: u64 = uploaded.iter().map(|part| part.size).sum();
        let mut extra = vec![(TOTAL, total.to_string())];
        extra.extend(state.modified.map(|seconds| (OC_MTIME, seconds.to_string())));
        let destination = dav.profile.url(&state.id, false)?;
        if uploaded.is_empty() {
            // There is nothing to put together.
            let answer = cx.send(put(&destination)).await?;
            if !answer.status.is_success() {
                return Err(fault(answer).await);
            }
            self.abort(cx, session).await?;
        } else {
            let from = state.url(parts, Some(".file"))?;
            let overwrite = state.replace;
            let moved =
                dav.transfer("move_upload", "MOVE", from, &destination, overwrite, &extra).await;
            match moved {
                Ok(_) => {}
                Err(error) if error.kind == Kind::Precondition && !state.replace => {
                    return Err(write::taken(&dav, &state.id).await);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some((parent, _)) = path::split(&state.id) {
            self.forget(cx, &parent);
        }
        let entry = dav.get(&EntryRef::file(state.id)).await?;
        if entry.size.is_some_and(|size| size != total) {
            return Err(Error::new(Kind::Broken, "The parts do not add up to the file."));
        }
        Ok(entry)
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        let dav = Dav::of(cx)?;
        let parts = cloud_of(&dav.profile, Op::MultipartCreate)?;
        match dav.delete(State::of(session)?.url(parts, None)?, None).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn put(url: &Url) -> Request {
    Dav::request("put_part", "PUT", url.clone())
}

/// Whether the file may be written where it shall go.
async fn check(dav: &Dav<'_>, state: &State) -> Result<()> {
    let there = dav.look_if_any(&state.id).await?;
    if let Some(entry) = &there
        && (entry.is_folder() || !state.replace)
    {
        return Err(Error::conflict(&entry.name, Some(entry.reference())));
    }
    write::matches(there.as_ref(), state.if_match.as_ref())
}

fn part_size(size: Option<u64>) -> u64 {
    match size {
        Some(size) => size.div_ceil(MAX_PARTS).max(MIN_PART),
        None => UNSIZED_PART,
    }
}

/// A part that finds no collection belongs to an upload that was given up.
fn gone(error: Error) -> Error {
    match error.kind {
        Kind::NotFound | Kind::Conflict(None) => {
            Error::not_found("The upload is not known any more. Start it again.").because(error)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_and_large_enough() {
        assert_eq!(part_size(Some(1)), MIN_PART);
        let huge = 5 << 40;
        assert!(huge_fits(part_size(Some(huge)), huge));
        assert_eq!(part_size(None), UNSIZED_PART);
    }

    fn huge_fits(part: u64, size: u64) -> bool {
        size.div_ceil(part) <= MAX_PARTS
    }
}
