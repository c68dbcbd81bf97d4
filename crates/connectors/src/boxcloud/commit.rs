//! Large content, in parts: a session, the parts with their digests, the commit.
//!
//! <https://developer.box.com/guides/uploads/chunked/>

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{BoxStream, FuturesOrdered};
use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tramontane_connector::error::Kind;
use tramontane_connector::{Body, Cx, Entry, Error, Repeat, Result};
use tramontane_model::Timestamp;
use url::Url;

use super::client::{Client, matching};
use super::fault::fault;
use super::item::{Entries, FIELDS};
use super::upload::{Target, written};
use super::write::parent_missing;

/// Parts of one upload that are on their way at once, when they are of the usual size.
const AT_ONCE: usize = 3;
/// The largest part that is held in memory, in bytes. Box asks for 8 MB to 64 MB.
const MAX_PART: u64 = 128 << 20;
/// Larger parts go one at a time, in bytes.
const LARGE_PART: u64 = 16 << 20;
/// How long one part may take.
const PART_TIME: Duration = Duration::from_secs(600);
/// How often a commit is asked for while Box puts the parts together.
const MAX_COMMITS: usize = 60;
const DIGEST: HeaderName = HeaderName::from_static("digest");

#[derive(Deserialize)]
struct Session {
    id: String,
    part_size: u64,
}

#[derive(Deserialize)]
struct Uploaded {
    part: Value,
}

/// One part: its first byte and its bytes. Box wants the digest before the content, so a part is held
/// in memory.
type Piece = (u64, Bytes);

fn digest_header(digest: &[u8]) -> String {
    format!("sha={}", BASE64_STANDARD.encode(digest))
}

/// What cutting a body into parts is at.
struct Cutting {
    stream: Option<BoxStream<'static, Result<Bytes>>>,
    rest: BytesMut,
    offset: u64,
    size: usize,
}

impl Cutting {
    /// The next part; `None` at the end.
    async fn next(&mut self) -> Result<Option<Piece>> {
        while self.rest.len() < self.size {
            let Some(stream) = &mut self.stream else { break };
            match stream.next().await.transpose()? {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None => self.stream = None,
            }
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let part = self.rest.split_to(self.rest.len().min(self.size)).freeze();
        let offset = self.offset;
        self.offset += part.len() as u64;
        Ok(Some((offset, part)))
    }
}

impl Client<'_> {
    /// Sends content in parts and makes the file of them.
    pub(super) async fn load_in_parts(
        &self,
        target: &Target<'_>,
        body: Body,
        len: u64,
        modified: Option<Timestamp>,
    ) -> Result<Entry> {
        let session = self.begin(target, len).await?;
        let mut left = Leftover { cx: self.cx, url: Some(self.session_url(&session.id, &[])?) };
        let size = usize::try_from(session.part_size).unwrap_or(usize::MAX);
        if session.part_size == 0 || session.part_size > MAX_PART {
            let text = format!("Box asks for parts of {} bytes.", session.part_size);
            return Err(Error::new(Kind::Broken, text));
        }
        let mut cutting = Cutting {
            stream: Some(body.into_stream().boxed()),
            rest: BytesMut::new(),
            offset: 0,
            size,
        };
        let at_once = if session.part_size > LARGE_PART { 1 } else { AT_ONCE };
        let mut whole = Sha1::new();
        let mut parts = Vec::new();
        let mut sending = FuturesOrdered::new();
        let mut ended = false;
        loop {
            while !ended && sending.len() < at_once {
                match cutting.next().await? {
                    Some((offset, part)) => {
                        whole.update(&part);
                        sending.push_back(self.send_part(&session.id, offset, part, len));
                    }
                    None => ended = true,
                }
            }
            match sending.next().await {
                Some(part) => parts.push(part?),
                None => break,
            }
        }
        drop(sending);
        let entry = self.commit(target, &session.id, &parts, &whole.finalize(), modified).await?;
        left.url = None;
        Ok(entry)
    }

    /// <https://developer.box.com/reference/post-files-upload-sessions/>
    async fn begin(&self, target: &Target<'_>, len: u64) -> Result<Session> {
        let (path, body) = match target {
            Target::New { folder, name } => (
                vec!["files", "upload_sessions"],
                json!({"folder_id": folder.number, "file_name": name, "file_size": len}),
            ),
            Target::Version { file, .. } => {
                (vec!["files", &file.number, "upload_sessions"], json!({"file_size": len}))
            }
        };
        let url = self.upload(&path, &[])?;
        let begun = self.json(self.with_json("begin_upload", Method::POST, url, &body)).await;
        let session: Session = begun.map_err(|error| match target {
            Target::New { .. } => parent_missing(error),
            Target::Version { .. } => error,
        })?;
        let is_plain = session.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match is_plain && !session.id.is_empty() {
            true => Ok(session),
            false => {
                Err(Error::new(Kind::Broken, "Box gave an upload session without a usable id."))
            }
        }
    }

    /// <https://developer.box.com/reference/put-files-upload-sessions-id/>: the same part again is the
    /// same part.
    async fn send_part(&self, session: &str, offset: u64, part: Bytes, len: u64) -> Result<Value> {
        let last = offset + part.len() as u64 - 1;
        let cx = self.cx.within(self.cx.time_left().max(PART_TIME));
        let client = Client { cx: &cx, sites: self.sites };
        let request = client
            .request("upload_part", Method::PUT, client.session_url(session, &[])?)
            .header(DIGEST, digest_header(&Sha1::digest(&part)))
            .header(header::CONTENT_RANGE, format!("bytes {offset}-{last}/{len}"))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .bytes(part);
        let sent: Uploaded = client.json(request).await?;
        Ok(sent.part)
    }

    /// <https://developer.box.com/reference/post-files-upload-sessions-id-commit/>: `202` while Box is
    /// not done with the parts.
    async fn commit(
        &self,
        target: &Target<'_>,
        session: &str,
        parts: &[Value],
        digest: &[u8],
        modified: Option<Timestamp>,
    ) -> Result<Entry> {
        let mut body = json!({"parts": parts});
        if let (Some(at), Some(members)) = (modified, body.as_object_mut()) {
            members.insert("attributes".into(), json!({"content_modified_at": written(at)}));
        }
        let if_match = match target {
            Target::Version { if_match, .. } => *if_match,
            Target::New { .. } => None,
        };
        let cx = self.cx.within(self.cx.time_left().max(PART_TIME));
        let client = Client { cx: &cx, sites: self.sites };
        let mut url = client.session_url(session, &["commit"])?;
        url.query_pairs_mut().append_pair("fields", FIELDS);
        for _ in 0..MAX_COMMITS {
            let request = client
                .with_json("commit_upload", Method::POST, url.clone(), &body)
                .header(DIGEST, digest_header(digest))
                .repeat(Repeat::No);
            let answer = cx.send(matching(request, if_match)).await?;
            if answer.status == StatusCode::ACCEPTED {
                if client.wait(&answer, Duration::from_secs(1)).await {
                    continue;
                }
                break;
            }
            let sent: Result<Entries> = match answer.status.is_success() {
                true => answer.json().await,
                false => Err(fault(answer, cx.now()).await),
            };
            return self.uploaded(target, sent);
        }
        Err(Error::new(Kind::Timeout, "Box did not put the parts of the upload together in time."))
    }
}

/// A session that was not committed; given up when it is left, whatever the reason. Box would keep its
/// parts for seven days.
struct Leftover<'a> {
    cx: &'a Cx,
    url: Option<Url>,
}

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        let Some(url) = self.url.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let cx = self.cx.background(Duration::from_secs(30));
        runtime.spawn(async move {
            let mut request =
                tramontane_connector::http::Request::new("abort_upload", Method::DELETE, url);
            if let Some(member) = &cx.as_user {
                request = request.header(HeaderName::from_static("as-user"), &**member);
            }
            let _ = cx.send(request).await;
        });
    }
}
