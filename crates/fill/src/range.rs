//! Gap: part of a content, by reading from the beginning and skipping.

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions};
use tramontane_connector::{Body, Cx, EntryKind, EntryRef, Error, Kind, Result, Storage};
use tramontane_model::{NativeId, Op};

use crate::filled::Filled;

/// Reads the whole content and gives only the bytes asked for.
pub(crate) async fn read(
    storage: &Filled,
    cx: &Cx,
    file: &NativeId,
    how: &ReadOptions,
    range: ByteRange,
) -> Result<Content> {
    let whole = ReadOptions { range: None, export: how.export.clone() };
    let mut content = storage.read(cx, file, &whole).await?;
    if content.size.or(content.body.len()).is_none() && how.export.is_none() {
        let of = EntryRef { kind: EntryKind::File, id: file.clone() };
        content.size = storage.get(cx, &of).await?.size;
    }
    cut(content, range).await
}

/// Cuts content that was read whole. Needs its size, but for ranges that name their first byte.
pub(crate) async fn cut(content: Content, range: ByteRange) -> Result<Content> {
    let size = content.size.or(content.body.len());
    let (first, count) = match (size, range) {
        (Some(size), range) => {
            let (first, count) = range.resolve(size).ok_or_else(|| outside(Some(size)))?;
            (first, Some(count))
        }
        (None, ByteRange::From(first, last)) => {
            (first, last.map(|last| last.saturating_add(1).saturating_sub(first)))
        }
        (None, ByteRange::Last(_)) => {
            let text = "The size of this content is not known, so its end cannot be read alone.";
            return Err(Error::unsupported(Op::FileRange, text));
        }
    };
    let media_type = content.media_type.clone();
    let pieces = skip(content.body.checked().into_stream(), first).await?;
    let body = Body::new(take(pieces, count), count.filter(|_| size.is_some()));
    Ok(Content { body: body.with_media_type(media_type), offset: first, size, ..content })
}

fn outside(size: Option<u64>) -> Error {
    Error::new(Kind::Range(size), "The range lies outside the content.")
}

/// The stream after its first `count` bytes; fails when there are not more than that.
async fn skip(
    mut pieces: BoxStream<'static, Result<Bytes>>,
    count: u64,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let mut left = count;
    while let Some(piece) = pieces.next().await {
        let mut piece = piece?;
        let here = piece.len() as u64;
        if here <= left && !piece.is_empty() {
            left -= here;
            continue;
        }
        piece.advance(usize::try_from(left).unwrap_or(usize::MAX).min(piece.len()));
        if piece.is_empty() {
            continue;
        }
        return Ok(stream::once(async { Ok(piece) }).chain(pieces).boxed());
    }
    Err(outside(Some(count - left)))
}

/// At most `count` bytes of the stream.
fn take(
    pieces: BoxStream<'static, Result<Bytes>>,
    count: Option<u64>,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let left = count.unwrap_or(u64::MAX);
    stream::unfold((pieces, left), |(mut pieces, left)| async move {
        if left == 0 {
            return None;
        }
        let mut piece = match pieces.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some((Err(error), (pieces, 0))),
        };
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Some((Ok(piece), (pieces, left)))
    })
}
