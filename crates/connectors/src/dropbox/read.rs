//! Content out of Dropbox: whole, in part, and exported.

use http::header;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{ByteRange, Content, ReadOptions};
use tramontane_connector::{Body, Error, Result};
use tramontane_model::Op;

use super::api::Api;
use super::entry::Metadata;

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From(first, Some(last)) => format!("bytes={first}-{last}"),
        ByteRange::From(first, None) => format!("bytes={first}-"),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    }
}

/// The first byte that `Content-Range` tells of, and the size of the whole.
fn placed(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.parse().ok()?;
    Some((first, size.parse().ok()))
}

/// The content at an address (an id or a revision), with the metadata that came along.
pub(super) async fn read(
    api: &Api<'_>,
    path: &str,
    how: &ReadOptions,
) -> Result<(Content, Option<Metadata>)> {
    if let Some(format) = &how.export {
        if how.range.is_some() {
            return Err(Error::declined(Op::FileRange));
        }
        return export(api, path, format).await;
    }
    let range = how.range.map(range_header);
    let (answer, result) =
        api.fetch("files/download", &json!({"path": path}), range.as_deref()).await?;
    let metadata = Metadata::read(result, false).ok();
    let (offset, told) =
        answer.header(&header::CONTENT_RANGE).and_then(placed).unwrap_or((0, None));
    let size = told.or_else(|| metadata.as_ref().and_then(|one| one.size));
    let entry = metadata.clone().and_then(|one| one.entry(None).ok());
    let content = Content {
        offset,
        size,
        etag: entry.as_ref().and_then(|entry| entry.etag.clone()),
        modified: entry.as_ref().and_then(|entry| entry.modified),
        media_type: None,
        body: plain(answer.body),
    };
    Ok((content, metadata))
}

/// Dropbox says `application/octet-stream` of everything, which says nothing.
fn plain(body: Body) -> Body {
    body.with_media_type(None)
}

/// A document native to the service, in another format (`files/export`). `format`: one of the
/// file's `export_options`, an extension or a media type.
async fn export(api: &Api<'_>, path: &str, format: &str) -> Result<(Content, Option<Metadata>)> {
    let (format, media_type) = match format.to_ascii_lowercase().as_str() {
        "html" | "text/html" => ("html".to_owned(), Some("text/html")),
        "md" | "markdown" | "text/markdown" => ("markdown".to_owned(), Some("text/markdown")),
        other => (other.to_owned(), None),
    };
    let argument = json!({"path": path, "export_format": format});
    let (answer, result) = api.fetch("files/export", &argument, None).await?;
    let number = |path: &str| result.pointer(path).and_then(Value::as_u64);
    let size = number("/export_metadata/size").or(answer.body.len());
    let media_type = media_type.map(str::to_owned);
    let content = Content {
        offset: 0,
        size,
        etag: None,
        modified: None,
        media_type: media_type.clone(),
        body: answer.body.with_media_type(media_type),
    };
    let file = result.get("file_metadata").cloned().unwrap_or(Value::Null);
    Ok((content, Metadata::read(file, false).ok()))
}

/// The error for something that is another file's.
pub(super) fn foreign() -> Error {
    Error::new(Kind::NotFound, "This file has no such version.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        assert_eq!(range_header(ByteRange::From(2, Some(5))), "bytes=2-5");
        assert_eq!(range_header(ByteRange::From(2, None)), "bytes=2-");
        assert_eq!(range_header(ByteRange::Last(7)), "bytes=-7");
        assert_eq!(placed("bytes 2-5/10"), Some((2, Some(10))));
        assert_eq!(placed("bytes 2-5/*"), Some((2, None)));
        assert_eq!(placed("bytes */10"), None);
    }
}
