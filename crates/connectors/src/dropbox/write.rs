//! Content into Dropbox: in one request up to 150 MiB, else by an upload session with parts in flight.

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::{
    Body, Conflict, ETag, Entry, EntryKind, EntryRef, Error, Place, Repeat, Result, WriteOptions,
};
use tramontane_model::{NativeId, Timestamp};

use super::api::{Api, put};
use super::entry::{Metadata, address, child_address, is_rev};
use super::lookup;

/// The most that one request may carry ("files/upload": 150 MiB).
const MAX_REQUEST: u64 = 150 << 20;
/// The length of parts in memory: a multiple of 4 MiB, as concurrent sessions want it.
const PART: usize = 8 << 20;
/// How many parts of one upload are under way at once.
const IN_FLIGHT: usize = 3;

/// `CommitInfo`: where the content goes, and over what.
pub(super) struct Commit {
    pub(super) path: String,
    mode: Value,
    modified: Option<Timestamp>,
}

fn changed() -> Error {
    Error::new(Kind::Precondition, "The file has changed in the meantime, or is not there.")
}

impl Commit {
    /// Never renamed by the service, and refused whenever something else is there.
    pub(super) fn new(
        path: String,
        conflict: Conflict,
        if_match: Option<&ETag>,
        modified: Option<Timestamp>,
    ) -> Result<Self> {
        let mode = match (if_match, conflict) {
            // What is no revision is the revision of nothing.
            (Some(etag), _) if !is_rev(&etag.value) => return Err(changed()),
            (Some(etag), _) => json!({".tag": "update", "update": etag.value}),
            (None, Conflict::Fail) => json!({".tag": "add"}),
            (None, Conflict::Replace) => json!({".tag": "overwrite"}),
        };
        Ok(Self { path, mode, modified })
    }

    pub(super) fn json(&self) -> Value {
        let mut info = json!({"path": self.path, "mode": self.mode, "autorename": false,
            "mute": true, "strict_conflict": true});
        if let Some(modified) = self.modified
            && let Ok(moment) = jiff::Timestamp::from_second(modified.seconds())
        {
            put(&mut info, "client_modified", moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        info
    }
}

/// A session's id.
#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) session_id: String,
}

/// The pieces of a body in parts of one length.
pub(super) struct Parts {
    pieces: BoxStream<'static, Result<Bytes>>,
    rest: Bytes,
    length: usize,
}

impl Parts {
    pub(super) fn of(body: Body, length: usize) -> Self {
        Self { pieces: body.checked().into_stream().fuse().boxed(), rest: Bytes::new(), length }
    }

    /// The next part, as long as parts are but for the last one; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut part = BytesMut::new();
        loop {
            let take = self.rest.len().min(self.length - part.len());
            part.extend_from_slice(&self.rest.split_to(take));
            if part.len() == self.length {
                return Ok(Some(part.freeze()));
            }
            match self.pieces.next().await {
                Some(piece) => self.rest = piece?,
                None => return Ok((!part.is_empty()).then(|| part.freeze())),
            }
        }
    }
}

/// Sends content and commits it.
async fn upload(api: &Api<'_>, commit: &Commit, body: Body) -> Result<Metadata> {
    let read = |value| Metadata::read(value, api.cx.raw);
    match body.len() {
        Some(len) if len <= MAX_REQUEST => {
            return read(api.stream("files/upload", &commit.json(), body).await?);
        }
        _ => {}
    }
    let mut parts = Parts::of(body, PART);
    let first = parts.next().await?.unwrap_or_default();
    let Some(second) = parts.next().await? else {
        // What fits into one part needs no session.
        return read(api.send("files/upload", &commit.json(), first, Repeat::No).await?);
    };
    let begin = json!({"session_type": {".tag": "concurrent"}});
    let session: Session =
        api.send("files/upload_session/start", &begin, Bytes::new(), Repeat::Yes).await?;
    let mut flying = FuturesUnordered::new();
    let mut offset = 0;
    let mut waiting = Some(first);
    let mut next = Some(second);
    while let Some(part) = waiting.take() {
        let close = next.is_none();
        let length = part.len() as u64;
        let argument =
            json!({"cursor": {"session_id": session.session_id, "offset": offset}, "close": close});
        offset += length;
        flying.push(
            async move {
                // A part that is sent again takes its own place again.
                api.send::<Value>("files/upload_session/append_v2", &argument, part, Repeat::Yes)
                    .await
            }
            .boxed(),
        );
        while flying.len() >= IN_FLIGHT || (close && !flying.is_empty()) {
            if let Some(done) = flying.next().await {
                done?;
            }
        }
        waiting = next.take();
        if waiting.is_some() {
            next = parts.next().await?;
        }
    }
    read(finish(api, &session.session_id, offset, commit).await?)
}

/// Makes the file of a session's parts.
pub(super) async fn finish(
    api: &Api<'_>,
    session: &str,
    offset: u64,
    commit: &Commit,
) -> Result<Value> {
    let argument =
        json!({"cursor": {"session_id": session, "offset": offset}, "commit": commit.json()});
    api.send("files/upload_session/finish", &argument, Bytes::new(), Repeat::No).await
}

/// What a refused commit means to the caller.
pub(super) async fn explain(
    api: &Api<'_>,
    error: Error,
    commit: &Commit,
    name: &str,
    guarded: bool,
) -> Error {
    match error.kind {
        Kind::Conflict(_) if guarded => changed(),
        Kind::Conflict(_) => lookup::conflict(api, &commit.path, name).await,
        _ => error,
    }
}

pub(super) async fn create(
    api: &Api<'_>,
    at: &Place,
    body: Body,
    how: &WriteOptions,
) -> Result<Entry> {
    // Dropbox would make the folders that are not there.
    let folder = lookup::folder(api, &at.parent).await?;
    let path = child_address(&at.parent, &at.name)?;
    let commit = Commit::new(path, how.conflict, how.if_match.as_ref(), how.modified)?;
    match upload(api, &commit, body).await {
        Ok(made) => made.entry(Some(folder.parent())),
        Err(error) => Err(explain(api, error, &commit, &at.name, how.if_match.is_some()).await),
    }
}

/// Whether the service finds nothing at the id that was written to.
fn has_no_target(error: &Error) -> bool {
    let code = error.fault.as_ref().and_then(|fault| fault.code.as_deref());
    code.is_some_and(|code| code.contains("malformed_path"))
}

pub(super) async fn update(
    api: &Api<'_>,
    file: &NativeId,
    body: Body,
    if_match: Option<&ETag>,
) -> Result<Entry> {
    let there = lookup::metadata(api, &EntryRef::file(file.clone())).await?;
    let path = address(file)?.to_owned();
    let commit = Commit::new(path, Conflict::Replace, if_match, None)?;
    match upload(api, &commit, body).await {
        Ok(made) => lookup::entry(api, made).await,
        // The file went away while its content was on its way.
        Err(error) if has_no_target(&error) => {
            Err(Error::not_found("The file is not there any more.").because(error))
        }
        Err(error) => Err(explain(api, error, &commit, &there.name, if_match.is_some()).await),
    }
}

/// Makes a folder at a path. A taken name is a conflict that carries nothing.
pub(super) async fn folder_at(api: &Api<'_>, path: &str) -> Result<Metadata> {
    // This function takes no ids ("create_folder_v2").
    let made: Value = api.change("files/create_folder_v2", &json!({"path": path})).await?;
    let made = made.get("metadata").cloned().unwrap_or(Value::Null);
    let made = Metadata::read(made, api.cx.raw)?;
    if made.kind() != EntryKind::Folder {
        return Err(Error::new(Kind::Broken, "Dropbox made a file in place of a folder."));
    }
    Ok(made)
}

pub(super) async fn create_folder(api: &Api<'_>, at: &Place) -> Result<Entry> {
    let folder = lookup::folder(api, &at.parent).await?;
    let path = format!("{}/{}", folder.path, at.name);
    match folder_at(api, &path).await {
        Ok(made) => made.entry(Some(folder.parent())),
        Err(error) if error.is_conflict() => Err(lookup::conflict(api, &path, &at.name).await),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn parts_have_one_length_but_for_the_last() -> Result<()> {
        let pieces: Vec<Result<Bytes>> =
            (0..5).map(|_| Ok(Bytes::from(vec![1; PART / 2 + 1]))).collect();
        let mut parts = Parts::of(Body::new(stream::iter(pieces), None), PART);
        let mut lengths = Vec::new();
        while let Some(part) = parts.next().await? {
            lengths.push(part.len());
        }
        assert_eq!(lengths, [PART, PART, PART / 2 + 5]);
        Ok(())
    }

    #[test]
    fn commits_never_rename_and_never_guess() {
        let commit = |conflict, etag: Option<&str>| {
            let etag = etag.map(ETag::strong);
            Commit::new("id:x/a".into(), conflict, etag.as_ref(), None).map(|one| one.json())
        };
        let add = commit(Conflict::Fail, None).unwrap_or_default();
        let of = |json: &Value, path: &str| json.pointer(path).cloned();
        assert_eq!(of(&add, "/mode/.tag"), Some("add".into()));
        assert_eq!(of(&add, "/autorename"), Some(false.into()));
        assert_eq!(of(&add, "/strict_conflict"), Some(true.into()));
        let update = commit(Conflict::Replace, Some("0123456789")).unwrap_or_default();
        assert_eq!(of(&update, "/mode/update"), Some("0123456789".into()));
        let refused = commit(Conflict::Replace, Some("no-rev"));
        assert!(refused.is_err_and(|error| error.kind == Kind::Precondition));
    }
}
