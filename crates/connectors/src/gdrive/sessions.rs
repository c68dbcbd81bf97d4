//! Uploads in parts, on top of Drive's resumable uploads.
//!
//! Drive makes the file the moment its last byte arrives. So the upload goes to a name of its own, which
//! no listing shows, and gets its real name when it is finished.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tramontane_connector::storage::{UploadSession, UploadSessions, UploadedPart};
use tramontane_connector::{Body, Conflict, Cx, Entry, Error, Kind, Place, Result, WriteOptions};
use tramontane_model::Op;
use url::Url;

use super::api::Client;
use super::chunks::{CHUNK, GRAIN, Progress};
use super::fault::of_parent;
use super::item::{Item, UPLOAD_MARK, UPLOAD_PREFIX};
use super::list::namesake;
use super::place::{erase, patch};
use super::storage::DriveStorage;
use super::upload;
use super::write::{folder_of, matches, metadata, taken};

/// The most parts of one upload.
const MAX_PARTS: u64 = 10_000;

/// What is remembered of an upload.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Drive's upload URL. Whoever has it can write.
    url: String,
    /// The id that the file will have.
    id: Option<String>,
    folder: String,
    name: String,
    size: u64,
    replace: bool,
    if_match: Option<String>,
}

impl State {
    fn read(session: &UploadSession) -> Result<Self> {
        serde_json::from_str(&session.state)
            .map_err(|cause| Error::not_found("There is no such upload.").because(cause))
    }

    fn url(&self) -> Result<Url> {
        Url::parse(&self.url).map_err(|_| Error::not_found("There is no such upload."))
    }
}

fn gone(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => Error::not_found("Google no longer knows this upload: begin again."),
        _ => error,
    }
}

#[async_trait]
impl UploadSessions for DriveStorage {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        // Without the size Drive could not be told which part is the last, nor an empty one be sent.
        let Some(size) = size.filter(|size| *size > 0) else {
            return Err(Error::declined(Op::MultipartCreate));
        };
        let client = self.client(cx);
        let folder = folder_of(&client, &at.parent).await?;
        let mime = upload::media_type(None, &at.name);
        let mut meta = metadata(&client, "", &folder, &mime).await?;
        let Some(id) = meta.get("id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Error::declined(Op::MultipartCreate));
        };
        if let Some(members) = meta.as_object_mut() {
            members.insert("name".into(), format!("{UPLOAD_PREFIX}{id}").into());
            members.insert("appProperties".into(), json!({UPLOAD_MARK: "1"}));
            if let Some(modified) = how.modified {
                members.insert("modifiedTime".into(), modified.to_string().into());
            }
        }
        let url = upload::begin(&client, &meta, &mime, Some(size)).await.map_err(of_parent)?;
        let state = State {
            url: url.into(),
            id: Some(id),
            folder,
            name: at.name.clone(),
            size,
            replace: how.conflict == Conflict::Replace,
            if_match: how.if_match.as_ref().map(|etag| etag.value.clone()),
        };
        let state = serde_json::to_string(&state).map_err(|cause| {
            Error::internal("The upload cannot be written down.").because(cause)
        })?;
        let part = size.div_ceil(MAX_PARTS).next_multiple_of(GRAIN).max(CHUNK as u64);
        Ok(UploadSession { state, part_size: part, parallel: false })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let state = State::read(session)?;
        let client = self.client(cx);
        let from = u64::from(number.saturating_sub(1)).saturating_mul(session.part_size);
        let len = body.len().ok_or_else(|| Error::invalid("A part must tell its length."))?;
        let end = from.saturating_add(len);
        if number == 0 || end > state.size || (len != session.part_size && end != state.size) {
            return Err(Error::invalid(format!(
                "Part {number} must have {} bytes, the last one what is left of {}.",
                session.part_size, state.size
            )));
        }
        let done = UploadedPart { number, size: len, receipt: format!("{from}-{end}") };
        let url = state.url()?;
        let there = match client.progress(&url, Some(state.size)).await.map_err(gone)? {
            Progress::Done(_) => return Ok(done),
            Progress::Until(there) => there,
        };
        if there >= end {
            return Ok(done);
        }
        if there < from {
            return Err(Error::invalid(format!(
                "Parts must come in order: part {} is awaited.",
                there / session.part_size.max(1) + 1
            )));
        }
        // A part that came in half goes on where it broke off.
        let mut skip = there - from;
        let mut at = there;
        let mut chunks = super::chunks::Chunks::new(Bytes::new(), body.checked().into_stream());
        loop {
            let (chunk, last) = chunks.next().await?;
            let passed = skip.min(chunk.len() as u64);
            skip -= passed;
            let chunk = chunk.slice(usize::try_from(passed).unwrap_or(usize::MAX)..);
            if !chunk.is_empty() {
                let next = at + chunk.len() as u64;
                let sent = client.send_chunk(&url, chunk, at, Some(state.size)).await;
                match sent.map_err(gone)? {
                    Progress::Done(_) if next == state.size => {}
                    Progress::Until(now) if now == next => {}
                    _ => {
                        return Err(Error::new(Kind::Broken, "Google lost count of the upload."));
                    }
                }
                at = next;
            }
            if last {
                return Ok(done);
            }
        }
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        let state = State::read(session)?;
        let client = self.client(cx);
        let sent: u64 = parts.iter().map(|part| part.size).sum();
        if sent != state.size {
            return Err(Error::invalid(format!(
                "The parts have {sent} bytes together, {} were announced.",
                state.size
            )));
        }
        let item = whole(&client, &state).await?;
        if !item.is_unfinished() {
            // Finished before; the answer was lost.
            return client.entry(item).await;
        }
        let there = namesake(&client, &state.folder, &state.name).await.map_err(of_parent)?;
        let wanted = state.if_match.as_deref().map(tramontane_connector::ETag::strong);
        matches(there.as_ref(), wanted.as_ref())?;
        if let Some(there) = &there
            && (!state.replace || there.is_folder())
        {
            return Err(taken(&state.name, there));
        }
        let changes = json!({"name": state.name, "appProperties": {UPLOAD_MARK: null}});
        let item = patch(&client, &item.id, &changes, &[]).await?;
        if let Some(old) = there {
            patch(&client, &old.id, &json!({"trashed": true}), &[]).await?;
        }
        client.entry(item).await
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        let state = State::read(session)?;
        let client = self.client(cx);
        client.cancel(&state.url()?).await;
        // When everything had come, there is a file.
        let Some(id) = &state.id else { return Ok(()) };
        match client.get_any(id).await {
            Ok(item) if item.is_unfinished() => erase(&client, id).await,
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The file that the upload has become.
async fn whole(client: &Client<'_>, state: &State) -> Result<Item> {
    let found = match &state.id {
        Some(id) => client.get_any(id).await,
        None => Err(Error::not_found("There is no such upload.")),
    };
    match found {
        Err(error) if error.is_not_found() => {
            match client.progress(&state.url()?, Some(state.size)).await.map_err(gone)? {
                Progress::Done(item) => Ok(*item),
                Progress::Until(there) => {
                    Err(Error::invalid(format!("Only {there} bytes have arrived.")))
                }
            }
        }
        found => found,
    }
}
