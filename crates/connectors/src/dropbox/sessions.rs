//! Uploads in parts that survive a restart: Dropbox's sequential upload sessions.
//!
//! Concurrent sessions would take parts in any order, but the documentation does not say what a part
//! that is sent again does there; our contract has it replace the first one.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{UploadSession, UploadSessions, UploadedPart};
use tramontane_connector::{
    Body, Conflict, Cx, ETag, Entry, Error, Place, Repeat, Result, WriteOptions,
};
use tramontane_model::{NativeId, Timestamp};

use super::entry::{Metadata, child_address};
use super::storage::DropboxStorage;
use super::write::{Commit, Session, explain, finish};
use super::{abilities, lookup};

/// The usual length of parts, and what all lengths are multiples of.
const PART: u64 = 8 << 20;
const STEP: u64 = 4 << 20;
/// The most parts of one upload.
const PARTS: u64 = 10_000;
/// A part is sent in pieces of this length, so that one that broke off can go on.
const PIECE: usize = 8 << 20;

/// What a session needs to go on.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    session: String,
    parent: NativeId,
    name: String,
    replace: bool,
    if_match: Option<String>,
    modified: Option<i64>,
}

impl State {
    fn read(session: &UploadSession) -> Result<Self> {
        serde_json::from_str(&session.state)
            .map_err(|cause| Error::not_found("There is no such upload.").because(cause))
    }
}

/// Where the session is, when the service says that a piece came to the wrong place.
fn correct_offset(error: &Error) -> Option<u64> {
    let fault = error.fault.as_ref()?;
    let code = fault.code.as_deref().filter(|code| code.contains("incorrect_offset"))?;
    // The number follows the tags, see `fault`.
    code.rsplit('=').next()?.parse().ok()
}

#[async_trait]
impl UploadSessions for DropboxStorage {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        let api = self.api(cx);
        lookup::folder(&api, &at.parent).await?;
        if size.is_some_and(|size| size > abilities::MAX_FILE) {
            return Err(Error::new(Kind::TooLarge, "Dropbox takes files of at most 2 TB."));
        }
        let argument = json!({"session_type": {".tag": "sequential"}});
        let begun: Session =
            api.send("files/upload_session/start", &argument, Bytes::new(), Repeat::Yes).await?;
        let state = State {
            session: begun.session_id,
            parent: at.parent.clone(),
            name: at.name.clone(),
            replace: how.conflict == Conflict::Replace,
            if_match: how.if_match.as_ref().map(|etag| etag.value.clone()),
            modified: how.modified.map(Timestamp::micros),
        };
        let state = serde_json::to_string(&state).map_err(|cause| {
            Error::internal("The upload cannot be written down.").because(cause)
        })?;
        let part_size = size.unwrap_or(0).div_ceil(PARTS).next_multiple_of(STEP).max(PART);
        Ok(UploadSession { state, part_size, parallel: false })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let state = State::read(session)?;
        let api = self.api(cx);
        let begin = u64::from(number.max(1) - 1).saturating_mul(session.part_size);
        let mut pieces = super::write::Parts::of(body, PIECE);
        let mut offset = begin;
        while let Some(piece) = pieces.next().await? {
            let length = piece.len() as u64;
            let cursor = json!({"cursor": {"session_id": state.session, "offset": offset}});
            let sent: Result<Value> =
                api.send("files/upload_session/append_v2", &cursor, piece, Repeat::Yes).await;
            match sent {
                Ok(_) => {}
                // The piece is there already: its answer was lost, or the part is sent again.
                Err(error) if correct_offset(&error).is_some_and(|at| at >= offset + length) => {}
                Err(error) => return Err(explain_part(error, number, session.part_size)),
            }
            offset += length;
        }
        Ok(UploadedPart { number, size: offset - begin, receipt: offset.to_string() })
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        let state = State::read(session)?;
        let api = self.api(cx);
        let folder = lookup::folder(&api, &state.parent).await?;
        let conflict = if state.replace { Conflict::Replace } else { Conflict::Fail };
        let etag = state.if_match.map(ETag::strong);
        let path = child_address(&state.parent, &state.name)?;
        let modified = state.modified.map(Timestamp::from_micros);
        let commit = Commit::new(path, conflict, etag.as_ref(), modified)?;
        let length = parts.iter().map(|part| part.size).sum();
        match finish(&api, &state.session, length, &commit).await {
            Ok(made) => Metadata::read(made, cx.raw)?.entry(Some(folder.parent())),
            Err(error) => Err(explain(&api, error, &commit, &state.name, etag.is_some()).await),
        }
    }

    /// Dropbox has no call for it: sessions that are not finished go after seven days.
    async fn abort(&self, _cx: &Cx, _session: &UploadSession) -> Result<()> {
        Ok(())
    }
}

fn explain_part(error: Error, number: u32, part_size: u64) -> Error {
    match correct_offset(&error) {
        Some(at) => {
            let expected = at / part_size.max(1) + 1;
            let text = format!("Part {number} is out of order: Dropbox expects part {expected}.");
            Error::invalid(text).because(error)
        }
        None => error,
    }
}
