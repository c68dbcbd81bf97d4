//! Uploads in parts that outlive a request: S3's own multipart uploads.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tramontane_connector::storage::{UploadSession, UploadSessions, UploadedPart};
use tramontane_connector::{Body, Conflict, Cx, ETag, Entry, Error, Place, Result, WriteOptions};

use super::client::{Client, Condition, Load};
use super::fault::says;
use super::place::Object;
use super::storage::S3Storage;
use super::uploads::part_size;
use super::write::{Spot, described, guessed, write_error};

/// What a session is kept as.
#[derive(Serialize, Deserialize)]
struct State {
    bucket: String,
    key: String,
    upload: String,
    conflict: Wanted,
}

#[derive(Serialize, Deserialize)]
enum Wanted {
    Any,
    Absent,
    Matches(ETag),
}

impl State {
    fn read(client: &Client<'_>, session: &UploadSession) -> Result<(Self, Spot)> {
        let state: Self = serde_json::from_str(&session.state)
            .map_err(|_| Error::internal("The upload session's state cannot be read."))?;
        let id = Object { bucket: state.bucket.clone(), key: state.key.clone() }.id();
        // The account's bucket or folder may have been changed since the session began.
        let object = Object::of(&client.target, &id)?;
        let condition = match &state.conflict {
            Wanted::Any => Condition::Any,
            Wanted::Absent => Condition::Absent,
            Wanted::Matches(etag) => Condition::Matches(etag.clone()),
        };
        Ok((state, Spot { object, condition }))
    }
}

#[async_trait]
impl UploadSessions for S3Storage {
    async fn start(
        &self,
        cx: &Cx,
        at: &Place,
        size: Option<u64>,
        how: &WriteOptions,
    ) -> Result<UploadSession> {
        let client = self.client(cx)?;
        let spot = client.spot(at, how.conflict, how.if_match.as_ref()).await?;
        let media_type = guessed(&spot.object);
        let upload = client.begin_upload(&spot.object, &described(media_type.as_deref())).await;
        let upload = upload.map_err(|error| write_error(error, &spot))?;
        let conflict = match (&how.if_match, how.conflict) {
            (Some(etag), _) => Wanted::Matches(etag.clone()),
            (None, Conflict::Fail) => Wanted::Absent,
            (None, Conflict::Replace) => Wanted::Any,
        };
        let Object { bucket, key } = spot.object;
        let state = serde_json::to_string(&State { bucket, key, upload, conflict })
            .map_err(|cause| Error::internal("The session cannot be written.").because(cause))?;
        Ok(UploadSession { state, part_size: part_size(size), parallel: true })
    }

    async fn put(
        &self,
        cx: &Cx,
        session: &UploadSession,
        number: u32,
        body: Body,
    ) -> Result<UploadedPart> {
        let client = self.client(cx)?;
        let (state, spot) = State::read(&client, session)?;
        let size = body.len().ok_or_else(|| Error::internal("A part came without its length."))?;
        let load = Load::Stream(body);
        let receipt = client.upload_part(&spot.object, &state.upload, number, load).await?;
        Ok(UploadedPart { number, size, receipt })
    }

    async fn finish(
        &self,
        cx: &Cx,
        session: &UploadSession,
        parts: &[UploadedPart],
    ) -> Result<Entry> {
        let client = self.client(cx)?;
        let (state, spot) = State::read(&client, session)?;
        let size = parts.iter().map(|part| part.size).sum();
        if size == 0 {
            // S3 does not finish an upload without parts; an empty file is made like any other.
            client.abort_upload(&spot.object, &state.upload).await?;
            return client.write(&spot, Body::empty()).await;
        }
        // Not every server knows conditions on the last request: look first.
        if spot.condition != Condition::Any {
            let there = client.head(&spot.object).await?;
            super::write::check_condition(&spot.object, there.as_ref(), &spot.condition)?;
        }
        let receipts: Vec<_> =
            parts.iter().map(|part| (part.number, part.receipt.clone())).collect();
        let written =
            client.finish_upload(&spot.object, &state.upload, &receipts, &spot.condition).await;
        let written = written.map_err(|error| match says(&error, "InvalidPart") {
            true => Error::invalid("A part of the upload is missing or was sent again."),
            false => write_error(error, &spot),
        })?;
        let media_type = guessed(&spot.object);
        client.entry_of(&spot.object, written, Some(size), media_type).await
    }

    async fn abort(&self, cx: &Cx, session: &UploadSession) -> Result<()> {
        let client = self.client(cx)?;
        let (state, spot) = State::read(&client, session)?;
        client.abort_upload(&spot.object, &state.upload).await
    }
}
