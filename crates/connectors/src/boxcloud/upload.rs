//! Files made and replaced: preflight, direct upload, or an upload session for large ones.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, header};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{
    Body, Conflict, ETag, Entry, Error, Place, Repeat, Result, WriteOptions,
};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::client::{Client, matching};
use super::id::{Id, What};
use super::item::{self, Entries, FIELDS};
use super::storage::folder_of;
use super::write::{check_name, is_file, parent_missing, placed};

/// From this size on content goes in parts, in bytes. Box takes parts from 20 MB on and direct uploads
/// up to 50 MB (<https://developer.box.com/guides/uploads/chunked/>).
const IN_PARTS: u64 = 20 << 20;
/// From this size on Box is asked before anything is sent, in bytes.
const ASK_FIRST: u64 = 256 << 10;

/// Where content goes.
pub(super) enum Target<'a> {
    /// A new file.
    New { folder: &'a Id, name: &'a str },
    /// A new version of a file.
    Version { file: &'a Id, if_match: Option<&'a ETag> },
}

/// A time as Box takes it: whole seconds.
pub(super) fn written(at: Timestamp) -> String {
    Timestamp::from_seconds(at.seconds()).to_string()
}

/// The digest of content on its way.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<Sha1>>);

impl Tally {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
    }

    fn hex(&self) -> String {
        hex::encode(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize())
    }
}

impl Client<'_> {
    /// Whether a file of this size could be made there.
    pub(super) async fn preflight(&self, folder: &Id, name: &str, size: u64) -> Result<()> {
        let mut body = placed(name, folder);
        if size > 0
            && let Some(members) = body.as_object_mut()
        {
            members.insert("size".into(), size.into());
        }
        let url = self.api(&["files", "content"], &[])?;
        let asked = self.done(self.with_json("preflight", Method::OPTIONS, url, &body)).await;
        asked.map_err(parent_missing)
    }

    /// Makes a file, or replaces the one that is there.
    pub(super) async fn create(&self, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        check_name(&at.name)?;
        let folder = folder_of(at)?;
        let len = body.len().ok_or_else(|| Error::declined(Op::FileCreateUnsized))?;
        if how.conflict == Conflict::Replace || how.if_match.is_some() || len >= ASK_FIRST {
            match self.preflight(&folder, &at.name, len).await {
                Ok(()) if how.if_match.is_some() => {
                    return Err(Error::new(Kind::Precondition, "The file is not there."));
                }
                Ok(()) => {}
                Err(error) => return self.replace(error, at, body, how).await,
            }
        }
        let target = Target::New { folder: &folder, name: &at.name };
        self.load(&target, body, len, how.modified).await
    }

    /// What to do when the name is taken: a new version of the file that has it, when that is wanted.
    async fn replace(
        &self,
        refusal: Error,
        at: &Place,
        body: Body,
        how: &WriteOptions,
    ) -> Result<Entry> {
        let Kind::Conflict(Some(there)) = &refusal.kind else { return Err(refusal) };
        let id = Id::of_ref(there).filter(|id| id.what == What::File);
        let Some(file) = id.filter(|_| is_file(there) && how.conflict == Conflict::Replace) else {
            return Err(Error::conflict(&at.name, Some(there.clone())).because(refusal));
        };
        let len = body.len().ok_or_else(|| Error::declined(Op::FileCreateUnsized))?;
        let target = Target::Version { file: &file, if_match: how.if_match.as_ref() };
        self.load(&target, body, len, how.modified).await
    }

    /// A new version of a file (<https://developer.box.com/reference/post-files-id-content/>).
    pub(super) async fn update(
        &self,
        file: &Id,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let len = body.len().ok_or_else(|| Error::declined(Op::FileCreateUnsized))?;
        self.load(&Target::Version { file, if_match }, body, len, None).await
    }

    async fn load(
        &self,
        target: &Target<'_>,
        body: Body,
        len: u64,
        modified: Option<Timestamp>,
    ) -> Result<Entry> {
        match len >= IN_PARTS {
            true => self.load_in_parts(target, body, len, modified).await,
            false => self.load_directly(target, body, len, modified).await,
        }
    }

    /// `POST /files/content` (<https://developer.box.com/reference/post-files-content/>): a form whose
    /// first part says what the second one is.
    async fn load_directly(
        &self,
        target: &Target<'_>,
        body: Body,
        len: u64,
        modified: Option<Timestamp>,
    ) -> Result<Entry> {
        let fields = [("fields", FIELDS)];
        let (mut attributes, url, if_match) = match target {
            Target::New { folder, name } => {
                (placed(name, folder), self.upload(&["files", "content"], &fields)?, None)
            }
            Target::Version { file, if_match } => {
                let url = self.upload(&["files", &file.number, "content"], &fields)?;
                (json!({}), url, *if_match)
            }
        };
        if let (Some(at), Some(members)) = (modified, attributes.as_object_mut()) {
            members.insert("content_modified_at".into(), written(at).into());
        }
        let boundary = format!("tramontane-{}", random()?);
        let tally = Tally::default();
        let form = form(&boundary, &attributes, body, len, &tally);
        let request = self
            .request("upload", Method::POST, url)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .stream(form)
            .repeat(Repeat::No);
        let sent: Result<Entries> = self.json(matching(request, if_match)).await;
        let entry = self.uploaded(target, sent)?;
        self.check_whole(target, entry, &tally.hex()).await
    }

    /// The file that an upload's answer tells of.
    pub(super) fn uploaded(&self, target: &Target<'_>, sent: Result<Entries>) -> Result<Entry> {
        let sent = sent.map_err(|error| match (target, error.kind.clone()) {
            (Target::New { name, .. }, Kind::Conflict(by)) => {
                Error::conflict(name, by).because(error)
            }
            (Target::New { .. }, _) => parent_missing(error),
            (Target::Version { .. }, _) => error,
        })?;
        let first = sent.entries.into_iter().next();
        let first = first.ok_or_else(|| {
            Error::new(Kind::Broken, "Box took the content and does not say as what.")
        })?;
        item::entry(first, self.cx.raw)
    }

    /// Content that arrived as something else is not left there.
    async fn check_whole(&self, target: &Target<'_>, entry: Entry, sha1: &str) -> Result<Entry> {
        if entry.hashes.sha1.as_deref().is_none_or(|told| told == sha1) {
            return Ok(entry);
        }
        if let (Target::New { .. }, Some(id)) = (target, Id::of_ref(&entry.reference())) {
            let all = DeleteOptions { permanent: true, ..DeleteOptions::default() };
            let _ = self.delete(&id, &all).await;
        }
        Err(Error::new(Kind::Broken, "The content was damaged on its way to Box."))
    }

    /// The URL of an upload session, or of something below it.
    pub(super) fn session_url(&self, session: &str, below: &[&str]) -> Result<Url> {
        let path: Vec<&str> = ["files", "upload_sessions", session]
            .into_iter()
            .chain(below.iter().copied())
            .collect();
        self.upload(&path, &[])
    }
}

/// A text that nobody else has.
pub(super) fn random() -> Result<String> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random)
        .map_err(|cause| Error::internal("The system gives no randomness.").because(cause))?;
    Ok(hex::encode(random))
}

/// The form of a direct upload, streamed. The name is in the attributes; the file name of the part
/// does not count.
fn form(boundary: &str, attributes: &Value, body: Body, len: u64, tally: &Tally) -> Body {
    let before = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"attributes\"\r\n\r\n{attributes}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let after = format!("\r\n--{boundary}--\r\n");
    let whole = len + before.len() as u64 + after.len() as u64;
    let tally = tally.clone();
    let content = body.into_stream().inspect(move |piece| {
        if let Ok(bytes) = piece {
            tally.add(bytes);
        }
    });
    let before = stream::once(async move { Ok(Bytes::from(before)) });
    let after = stream::once(async move { Ok(Bytes::from(after)) });
    Body::new(before.chain(content).chain(after), Some(whole))
}
