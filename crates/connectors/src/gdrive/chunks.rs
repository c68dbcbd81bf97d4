//! Resumable uploads: content sent in chunks, taken up again where the service says.
//!
//! Source: "Upload file data", section "Perform a resumable upload"
//! (<https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable>): chunks are
//! multiples of 256 KiB but for the last; `308` tells in `Range` what has arrived.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Method, header};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Error, Kind, Repeat, Result};
use url::Url;

use super::api::Client;
use super::fault::{fault, is_passing};
use super::item::Item;
use super::odd;

/// Chunks are multiples of this.
pub(super) const GRAIN: u64 = 256 << 10;
/// How much is sent at once, and held in memory: 8 MiB.
pub(super) const CHUNK: usize = 8 << 20;
/// How often one chunk is tried.
const ATTEMPTS: u32 = 6;

/// How far an upload is.
#[derive(Debug)]
pub(super) enum Progress {
    /// So many bytes have arrived; more is awaited.
    Until(u64),
    /// The file is there.
    Done(Box<Item>),
}

/// Content cut into chunks, each but the last of exactly [`CHUNK`] bytes.
pub(super) struct Chunks {
    stream: BoxStream<'static, Result<Bytes>>,
    held: BytesMut,
    ended: bool,
}

impl Chunks {
    /// Content that begins with `head` and goes on in `rest`.
    pub(super) fn new(head: Bytes, rest: BoxStream<'static, Result<Bytes>>) -> Self {
        Self { stream: rest, held: BytesMut::from(head.as_ref()), ended: false }
    }

    /// The next chunk, and whether it is the last.
    pub(super) async fn next(&mut self) -> Result<(Bytes, bool)> {
        // One byte more than a chunk tells that there is another.
        while !self.ended && self.held.len() <= CHUNK {
            match self.stream.next().await {
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => self.ended = true,
            }
        }
        let size = self.held.len().min(CHUNK);
        let chunk = self.held.split_to(size).freeze();
        Ok((chunk, self.ended && self.held.is_empty()))
    }
}

impl Client<'_> {
    /// Begins a resumable upload with this request. Gives the URL where the content goes.
    pub(super) async fn begin(&self, request: Request) -> Result<Url> {
        let answer = self.send(request.repeat(Repeat::Yes)).await?;
        let location = answer.header(&header::LOCATION).ok_or_else(|| odd("upload address"))?;
        let url = Url::parse(location).map_err(|_| odd("upload address"))?;
        if self.api.may_call(&url) {
            Ok(url)
        } else {
            Err(Error::new(Kind::Broken, "Google's upload address is not one of Google's."))
        }
    }

    /// Sends all chunks to an upload that was begun. `total`: the whole size, when it is known.
    pub(super) async fn send_chunks(
        &self,
        session: &Url,
        chunks: &mut Chunks,
        total: Option<u64>,
    ) -> Result<Item> {
        let mut at = 0u64;
        loop {
            let (chunk, last) = chunks.next().await?;
            let end = at + chunk.len() as u64;
            if let Some(total) = total
                && (end > total || (last && end != total))
            {
                let text = format!("The content is not the {total} bytes announced.");
                return Err(Error::new(Kind::Body, text));
            }
            let whole = total.or(last.then_some(end));
            match self.send_chunk(session, chunk, at, whole).await.map_err(forgotten)? {
                Progress::Done(item) if last => return Ok(*item),
                Progress::Until(there) if !last && there == end => at = end,
                _ => return Err(Error::new(Kind::Broken, "Google lost count of the upload.")),
            }
        }
    }

    /// Sends one chunk, all of it, however often it takes.
    pub(super) async fn send_chunk(
        &self,
        session: &Url,
        chunk: Bytes,
        at: u64,
        total: Option<u64>,
    ) -> Result<Progress> {
        let end = at + chunk.len() as u64;
        let whole = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        let mut there = at;
        let mut failed = 0;
        loop {
            let rest = usize::try_from(there.saturating_sub(at)).unwrap_or(usize::MAX);
            let rest = chunk.slice(rest.min(chunk.len())..);
            let range = match end.checked_sub(1) {
                Some(last) if !rest.is_empty() => format!("bytes {there}-{last}/{whole}"),
                _ => format!("bytes */{whole}"),
            };
            let sent = self.put(session, rest, &range).await;
            let error = match sent {
                Ok(Progress::Until(now)) if now == end && total != Some(end) => {
                    return Ok(Progress::Until(now));
                }
                Ok(Progress::Until(now)) if now < at || now > end => {
                    return Err(Error::new(Kind::Broken, "Google lost count of the upload."));
                }
                Ok(Progress::Until(now)) => {
                    // Less arrived than was sent: go on from there.
                    let stuck = now == there;
                    there = now;
                    if !stuck {
                        continue;
                    }
                    Error::new(Kind::Broken, "Google takes no more of the upload.")
                }
                Ok(done) => return Ok(done),
                Err(error) if is_passing(&error) => error,
                Err(error) => return Err(error),
            };
            failed += 1;
            if failed >= ATTEMPTS {
                return Err(error);
            }
            let wait =
                self.cx.lent.after(self.cx, "upload_chunk", failed, Repeat::Yes, Err(&error));
            tokio::time::sleep(wait.ok_or(error)?.min(Duration::from_secs(60))).await;
            // What became of it is asked, so that nothing is sent twice.
            match self.put(session, Bytes::new(), &format!("bytes */{whole}")).await {
                Ok(Progress::Until(now)) if (at..=end).contains(&now) => there = now,
                Ok(Progress::Until(_)) => {
                    return Err(Error::new(Kind::Broken, "Google lost count of the upload."));
                }
                Ok(done) => return Ok(done),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One `PUT` to an upload.
    async fn put(&self, session: &Url, bytes: Bytes, range: &str) -> Result<Progress> {
        let request = Request::new("upload_chunk", Method::PUT, session.clone())
            .header(header::CONTENT_RANGE, range)
            .bytes(bytes)
            .repeat(Repeat::No);
        // Each chunk has its own time: the whole upload may take hours.
        let answer = self.cx.within(self.cx.time_left().max(CHUNK_TIME)).send(request).await?;
        match answer.status.as_u16() {
            308 => Ok(Progress::Until(arrived(&answer)?)),
            200 | 201 => Ok(Progress::Done(Box::new(self.item_of(answer).await?))),
            _ => Err(fault(answer).await),
        }
    }

    /// How far an upload is.
    pub(super) async fn progress(&self, session: &Url, total: Option<u64>) -> Result<Progress> {
        let whole = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        self.put(session, Bytes::new(), &format!("bytes */{whole}")).await
    }

    /// Gives an upload up. That it is gone already is fine.
    pub(super) async fn cancel(&self, session: &Url) {
        let request = Request::new("upload_cancel", Method::DELETE, session.clone());
        let cx = self.cx.within(Duration::from_secs(20));
        // Google answers 499. An upload that stays is forgotten after a week and seen by nobody.
        if let Err(error) = cx.send(request).await {
            tracing::debug!(%error, "an upload could not be cancelled");
        }
    }
}

/// An upload that Google no longer knows cannot go on: what was sent is gone.
fn forgotten(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => {
            Error::new(Kind::Broken, "Google has forgotten the upload: begin again.").because(error)
        }
        _ => error,
    }
}

/// How long one chunk may take.
const CHUNK_TIME: Duration = Duration::from_secs(300);

/// How many bytes have arrived: `Range: bytes=0-42` means 43; no header, none.
fn arrived(answer: &Response) -> Result<u64> {
    let Some(range) = answer.header(&header::RANGE) else { return Ok(0) };
    let last = range.rsplit_once('-').and_then(|(_, last)| last.trim().parse::<u64>().ok());
    last.and_then(|last| last.checked_add(1)).ok_or_else(|| odd("readable range"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures::stream;

    use super::*;

    async fn cut(len: usize) -> Vec<(usize, bool)> {
        let pieces: Vec<Result<Bytes>> =
            vec![0u8; len].chunks(1_000_003).map(|one| Ok(Bytes::copy_from_slice(one))).collect();
        let mut chunks = Chunks::new(Bytes::new(), stream::iter(pieces).boxed());
        let mut found = Vec::new();
        loop {
            let (chunk, last) = chunks.next().await.unwrap();
            found.push((chunk.len(), last));
            if last {
                return found;
            }
        }
    }

    #[tokio::test]
    async fn the_last_chunk_is_known_as_the_last() {
        assert_eq!(cut(0).await, [(0, true)]);
        assert_eq!(cut(5).await, [(5, true)]);
        assert_eq!(cut(CHUNK).await, [(CHUNK, true)]);
        assert_eq!(cut(CHUNK + 1).await, [(CHUNK, false), (1, true)]);
        assert_eq!(cut(2 * CHUNK).await, [(CHUNK, false), (CHUNK, true)]);
        assert_eq!(CHUNK as u64 % GRAIN, 0);
    }
}
