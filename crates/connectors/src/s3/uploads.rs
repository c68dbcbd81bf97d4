//! Uploads in parts: the calls, and content that streams through a few buffers.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, Method, header};
use tramontane_connector::error::Kind;
use tramontane_connector::{Body, ETag, Error, Result};

use super::answer;
use super::client::{Call, Client, Condition, Load, Written};
use super::operations::{COPY_SOURCE, copy_source};
use super::place::Object;
use super::write::{STEP, Spot, described};

/// The smallest part that we make; S3 wants 5 MiB.
pub(super) const PART: u64 = 8 << 20;
/// S3 takes so many parts.
const MAX_PARTS: u64 = 10_000;
/// Content of unknown size: so many parts of the smallest size, then larger ones. Until then all parts
/// are alike, as some servers want it.
const SMALL_PARTS: u32 = 5_000;
const LATE_PART: u64 = 64 << 20;
/// Parts on their way hold at most about so much memory together.
const IN_FLIGHT: u64 = 16 << 20;
/// How long giving up an upload may take.
const ABORT: Duration = Duration::from_secs(30);
/// Says which bytes of the source a part is.
const COPY_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");

/// The size of the parts of an upload of so many bytes.
pub(super) fn part_size(size: Option<u64>) -> u64 {
    let needed = size.unwrap_or(0).div_ceil(MAX_PARTS);
    // Whole MiB, for servers that like round numbers.
    needed.max(PART).div_ceil(1 << 20) << 20
}

impl Client<'_> {
    /// `CreateMultipartUpload`: the upload's id.
    pub(super) async fn begin_upload(&self, object: &Object, told: &HeaderMap) -> Result<String> {
        let query = [("uploads", "")];
        let call = Call {
            query: &query,
            headers: told.clone(),
            ..Call::object("create_upload", Method::POST, object)
        };
        let bytes = self.document(call).await?;
        answer::text(&bytes, "UploadId")?
            .ok_or_else(|| Error::new(Kind::Broken, "The service began an upload without an id."))
    }

    /// `UploadPart`: the part's etag.
    pub(super) async fn upload_part(
        &self,
        object: &Object,
        upload: &str,
        number: u32,
        load: Load,
    ) -> Result<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let call = Call { query: &query, load, ..Call::object("upload_part", Method::PUT, object) };
        let answer = self.call(call).await?;
        let etag = answer.header(&header::ETAG).map(str::to_owned);
        etag.ok_or_else(|| Error::new(Kind::Broken, "The service took a part without an etag."))
    }

    /// `UploadPartCopy`: the part's etag.
    pub(super) async fn copy_part(
        &self,
        object: &Object,
        upload: &str,
        number: u32,
        from: &Object,
        version: Option<&str>,
        range: (u64, u64),
    ) -> Result<String> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let call = Call { query: &query, ..Call::object("copy_part", Method::PUT, object) };
        let call = call
            .header(COPY_SOURCE, &copy_source(from, version))
            .header(COPY_RANGE, &format!("bytes={}-{}", range.0, range.1));
        let (bytes, _) = self.late_document(call).await?;
        answer::text(&bytes, "ETag")?
            .ok_or_else(|| Error::new(Kind::Broken, "The service copied a part without an etag."))
    }

    /// `CompleteMultipartUpload`.
    pub(super) async fn finish_upload(
        &self,
        object: &Object,
        upload: &str,
        parts: &[(u32, String)],
        condition: &Condition,
    ) -> Result<Written> {
        let mut text = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (number, etag) in parts {
            let etag = super::xml::escape(etag);
            text.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        text.push_str("</CompleteMultipartUpload>");
        let text = Bytes::from(text);
        loop {
            let query = [("uploadId", upload)];
            let call = Call {
                query: &query,
                load: Load::Bytes(text.clone()),
                ..Call::object("finish_upload", Method::POST, object)
            };
            let call = call.header(header::CONTENT_TYPE, "application/xml");
            let known = self.learned.refuses_conditions(&self.target.authority());
            match self.late_document(self.conditioned(call, condition)).await {
                Ok((bytes, headers)) => {
                    let etag = answer::text(&bytes, "ETag")?.as_deref().and_then(ETag::parse);
                    return Ok(Written { etag, version: Written::of(&headers).version });
                }
                Err(error) => {
                    self.note_refusal(&error, condition);
                    let now = self.learned.refuses_conditions(&self.target.authority());
                    if known || !now {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// `AbortMultipartUpload`. An upload that is gone is fine.
    pub(super) async fn abort_upload(&self, object: &Object, upload: &str) -> Result<()> {
        let query = [("uploadId", upload)];
        let call = Call { query: &query, ..Call::object("abort_upload", Method::DELETE, object) };
        match self.call(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes content in parts. Nothing is visible before the last request; whatever goes wrong, and
    /// also when nobody waits any more, the parts are given up.
    pub(super) async fn write_parts(
        &self,
        spot: &Spot,
        body: Body,
        len: Option<u64>,
        media_type: Option<&str>,
    ) -> Result<Written> {
        let mut pieces = Pieces::of(body);
        let size = part_size(len);
        let first = pieces.next(size).await?;
        if pieces.is_done() {
            return self.put_bytes(spot, first, media_type).await;
        }
        let step = self.within(STEP);
        let upload = step.begin_upload(&spot.object, &described(media_type)).await?;
        let upload = Unfinished::new(step.clone(), &spot.object, upload);
        let mut done = Vec::new();
        let mut running: FuturesUnordered<BoxFuture<'_, Result<(u32, String)>>> =
            FuturesUnordered::new();
        let (mut number, mut part) = (1u32, first);
        loop {
            let places = usize::try_from(IN_FLIGHT / part.len().max(1) as u64).unwrap_or(1).max(1);
            while running.len() >= places {
                match running.next().await {
                    Some(one) => done.push(one?),
                    None => break,
                }
            }
            let step = self.within(STEP);
            let (object, id) = (&spot.object, upload.id());
            running.push(
                async move {
                    let etag = step.upload_part(object, id, number, Load::Bytes(part)).await?;
                    Ok((number, etag))
                }
                .boxed(),
            );
            if pieces.is_done() {
                break;
            }
            number += 1;
            if u64::from(number) > MAX_PARTS {
                return Err(Error::new(Kind::TooLarge, "The content has too many parts for S3."));
            }
            let size = if len.is_none() && number > SMALL_PARTS { LATE_PART } else { size };
            // Parts on their way must go on while the next one fills.
            let next = pieces.next(size);
            futures::pin_mut!(next);
            part = loop {
                tokio::select! {
                    part = &mut next => break part?,
                    Some(one) = running.next(), if !running.is_empty() => done.push(one?),
                }
            };
        }
        while let Some(one) = running.next().await {
            done.push(one?);
        }
        drop(running);
        done.sort_by_key(|(number, _)| *number);
        let step = self.within(STEP);
        let written = step.finish_upload(&spot.object, upload.id(), &done, &spot.condition).await?;
        upload.finished();
        Ok(written)
    }
}

/// An upload whose parts are given up unless it is finished.
pub(super) struct Unfinished {
    cx: tramontane_connector::Cx,
    target: super::target::Target,
    object: Object,
    id: String,
    armed: bool,
}

impl Unfinished {
    pub(super) fn new(client: Client<'_>, object: &Object, id: String) -> Self {
        Self { cx: client.cx, target: client.target, object: object.clone(), id, armed: true }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The upload is whole: nothing is to be given up.
    pub(super) fn finished(mut self) {
        self.armed = false;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.armed {
            return;
        }
        let cx = self.cx.background(ABORT);
        let (target, object, id) = (self.target.clone(), self.object.clone(), self.id.clone());
        runtime.spawn(async move {
            let learned = super::learned::Learned::default();
            let client = Client { cx, target, learned: &learned };
            if let Err(error) = client.abort_upload(&object, &id).await {
                tracing::warn!(
                    account = client.cx.account.id.number(),
                    bucket = object.bucket,
                    error = %error,
                    "an upload in parts could not be given up; the bucket keeps its parts"
                );
            }
        });
    }
}

/// A stream, cut into pieces of the sizes asked for.
struct Pieces {
    stream: BoxStream<'static, Result<Bytes>>,
    ahead: VecDeque<Bytes>,
    done: bool,
}

impl Pieces {
    fn of(body: Body) -> Self {
        Self { stream: body.into_stream(), ahead: VecDeque::new(), done: false }
    }

    /// Whether nothing is left.
    fn is_done(&self) -> bool {
        self.done && self.ahead.is_empty()
    }

    /// The next `size` bytes, fewer at the end. Reads on until it knows whether more follows.
    async fn next(&mut self, size: u64) -> Result<Bytes> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut piece = BytesMut::new();
        loop {
            while let Some(mut bytes) = self.ahead.pop_front() {
                let take = bytes.len().min(size - piece.len());
                if piece.capacity() == 0 {
                    piece.reserve(size.min(8 << 20));
                }
                piece.extend_from_slice(&bytes.split_to(take));
                if !bytes.is_empty() {
                    self.ahead.push_front(bytes);
                    return Ok(piece.freeze());
                }
            }
            if self.done {
                return Ok(piece.freeze());
            }
            match self.stream.next().await {
                Some(bytes) => {
                    let bytes = bytes?;
                    if !bytes.is_empty() {
                        self.ahead.push_back(bytes);
                    }
                }
                None => self.done = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_as_large_as_ten_thousand_of_them_need() {
        assert_eq!(part_size(None), PART);
        assert_eq!(part_size(Some(1)), PART);
        assert_eq!(part_size(Some(5_000_000_000)), PART);
        let huge = 5_000_000_000_000;
        assert!(part_size(Some(huge)) * MAX_PARTS >= huge);
        assert_eq!(part_size(Some(huge)) % (1 << 20), 0);
    }

    proptest! {
        #[test]
        fn pieces_hold_every_byte_in_order(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..12),
            size in 1u64..7,
        ) {
            let whole = chunks.concat();
            let parts = chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)));
            let mut pieces = Pieces::of(Body::new(stream::iter(parts.collect::<Vec<_>>()), None));
            let mut seen = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                loop {
                    let piece = pieces.next(size).await.unwrap();
                    assert!(piece.len() as u64 <= size);
                    if !pieces.is_done() {
                        assert_eq!(piece.len() as u64, size);
                    }
                    seen.extend_from_slice(&piece);
                    if pieces.is_done() {
                        break;
                    }
                }
            });
            prop_assert_eq!(seen, whole);
        }
    }
}
