//! Content: downloads, exports of Google's documents, preview pictures.

use http::{Method, StatusCode, header};
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions, ThumbnailSize};
use tramontane_connector::{Body, EntryKind, Error, Result};
use tramontane_model::{NativeId, Op};
use url::Url;

use super::api::Client;
use super::ids::{Target, missing};
use super::item::{DOCUMENTS, Item, export_of};

/// Short names of formats, with their media types ("Export MIME types for Google Workspace documents").
const FORMATS: &[(&str, &str)] = &[
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/x-vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("txt", "text/plain"),
    ("html", "text/html"),
    ("md", "text/markdown"),
    ("epub", "application/epub+zip"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("json", "application/vnd.google-apps.script+json"),
];

/// The file itself, or what a shortcut leads to.
async fn file(client: &Client<'_>, id: &NativeId) -> Result<Item> {
    let Some(Target::Item(id)) = Target::of(id) else { return Err(missing(EntryKind::File)) };
    let item = client.get(id, EntryKind::File).await?;
    let Some(shortcut) = &item.shortcut_details else { return Ok(item) };
    let target = shortcut.target_id.as_deref();
    let target =
        target.filter(|id| super::ids::is_id(id)).ok_or_else(|| missing(EntryKind::File))?;
    match client.get(target, EntryKind::File).await {
        Err(error) if error.is_not_found() => {
            Err(Error::not_found("What the shortcut leads to is not there."))
        }
        found => found,
    }
}

/// The content of a file.
pub(super) async fn read(client: &Client<'_>, id: &NativeId, how: &ReadOptions) -> Result<Content> {
    let item = file(client, id).await?;
    if !item.is_blob() {
        return export(client, item, how).await;
    }
    if let (Some(ByteRange::From(first, _)), Some(size)) = (how.range, item.bytes())
        && first >= size
    {
        return Err(outside(Some(size)));
    }
    let query = [("alt", "media"), ("supportsAllDrives", "true")];
    let url = client.url(&["files", &item.id], &query)?;
    let answer = client.send(get("files_download", url, how.range)).await;
    let (size, etag, modified) = (item.bytes(), item.etag(), item.modified_time);
    let content = content(answer.map_err(|error| sized(error, size))?, how.range)?;
    let media_type = Some(item.mime_type).filter(|mime| !mime.is_empty());
    Ok(Content { size: size.or(content.size), etag, modified, media_type, ..content })
}

fn outside(size: Option<u64>) -> Error {
    Error::new(Kind::Range(size), "The range lies outside the content.")
}

fn sized(mut error: Error, size: Option<u64>) -> Error {
    if matches!(error.kind, Kind::Range(None)) {
        error.kind = Kind::Range(size);
    }
    error
}

/// A request for content, or a part of it.
pub(super) fn get(name: &'static str, url: Url, range: Option<ByteRange>) -> Request {
    // Compressed content would have another length and other ranges.
    let request = Request::new(name, Method::GET, url).header(header::ACCEPT_ENCODING, "identity");
    match range {
        Some(ByteRange::From(first, Some(last))) => {
            request.header(header::RANGE, format!("bytes={first}-{last}"))
        }
        Some(ByteRange::From(first, None)) => {
            request.header(header::RANGE, format!("bytes={first}-"))
        }
        Some(ByteRange::Last(count)) => request.header(header::RANGE, format!("bytes=-{count}")),
        None => request,
    }
}

/// The content that an answer carries, as far as the answer itself tells.
pub(super) fn content(answer: Response, range: Option<ByteRange>) -> Result<Content> {
    let told = answer.header(&header::CONTENT_RANGE).and_then(content_range);
    if range.is_some() && answer.status != StatusCode::PARTIAL_CONTENT {
        // The whole in place of a part: the caller reads on from the beginning.
        return Err(Error::declined(Op::FileRange));
    }
    let (offset, size) = match (answer.status, told) {
        (StatusCode::PARTIAL_CONTENT, Some((first, size))) => (first, size),
        (StatusCode::PARTIAL_CONTENT, None) => {
            return Err(Error::new(Kind::Broken, "Google sent a part without saying which."));
        }
        _ => (0, answer.body.len()),
    };
    let media_type = answer.header(&header::CONTENT_TYPE).map(str::to_owned);
    Ok(Content { body: answer.body, offset, size, etag: None, modified: None, media_type })
}

/// The first byte and the whole size.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = part.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()))
}

/// The media type that was asked for by media type or extension, else the usual one.
fn format_of<'a>(item: &Item, asked: Option<&'a str>) -> Result<&'a str> {
    let usual = || {
        export_of(&item.mime_type).ok_or_else(|| {
            Error::new(Kind::NotAllowed, "This document has no content that can be downloaded.")
        })
    };
    let Some(asked) = asked else { return usual() };
    if asked.contains('/') {
        return Ok(asked);
    }
    let short = asked.trim_start_matches('.');
    let known = FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(short));
    known.map(|(_, mime)| *mime).ok_or_else(|| {
        Error::invalid(format!("export \"{asked}\" is no format that Google exports to."))
    })
}

/// A document in another format ("files.export").
async fn export(client: &Client<'_>, item: Item, how: &ReadOptions) -> Result<Content> {
    if how.range.is_some() {
        return Err(Error::declined(Op::FileRange));
    }
    if !item.mime_type.starts_with(DOCUMENTS) || item.is_folder() {
        return Err(missing(EntryKind::File));
    }
    let format = format_of(&item, how.export.as_deref())?;
    let url = client.url(&["files", &item.id, "export"], &[("mimeType", format)])?;
    let answer = client.send(get("files_export", url, None)).await?;
    let body = answer.body;
    let size = body.len();
    Ok(Content {
        etag: item.etag(),
        modified: item.modified_time,
        media_type: Some(format.to_owned()),
        body,
        offset: 0,
        size,
    })
}

/// A preview picture ("thumbnailLink": short-lived; for files that are not public it wants the
/// credential).
pub(super) async fn thumbnail(
    client: &Client<'_>,
    id: &NativeId,
    size: ThumbnailSize,
) -> Result<Body> {
    let item = file(client, id).await?;
    let none = || Error::not_found("Google has no preview picture of this file.");
    let link = item.thumbnail_link.ok_or_else(none)?;
    let url = Url::parse(&sized_link(&link, size.0)).map_err(|_| none())?;
    let mut request = Request::new("thumbnail", Method::GET, url);
    request.signed = client.api.may_call(&request.url);
    let answer = client.send(request).await?;
    let picture = answer
        .header(&header::CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("image/jpeg") || kind.starts_with("image/png"));
    if picture { Ok(answer.body) } else { Err(none()) }
}

/// The link with another size: it ends in `=s220` for 220 pixels.
fn sized_link(link: &str, size: u32) -> String {
    match link.rsplit_once("=s") {
        Some((start, digits))
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            format!("{start}=s{size}")
        }
        _ => link.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_come_in_the_size_asked_for() {
        assert_eq!(sized_link("https://lh3.x/abc=s220", 64), "https://lh3.x/abc=s64");
        assert_eq!(sized_link("https://lh3.x/abc=s220-c", 64), "https://lh3.x/abc=s220-c");
        assert_eq!(sized_link("https://docs.x/vt?id=1", 64), "https://docs.x/vt?id=1");
    }

    #[test]
    fn formats_go_by_media_type_extension_or_kind() {
        let item = |mime: &str| Item { mime_type: mime.into(), ..Item::default() };
        let sheet = item("application/vnd.google-apps.spreadsheet");
        assert!(format_of(&sheet, None).unwrap().ends_with("spreadsheetml.sheet"));
        assert_eq!(format_of(&sheet, Some("CSV")).unwrap(), "text/csv");
        assert_eq!(format_of(&sheet, Some(".pdf")).unwrap(), "application/pdf");
        assert_eq!(format_of(&sheet, Some("text/csv")).unwrap(), "text/csv");
        assert_eq!(format_of(&sheet, Some("exe")).unwrap_err().kind, Kind::Invalid);
        let form = item("application/vnd.google-apps.form");
        assert_eq!(format_of(&form, None).unwrap_err().kind, Kind::NotAllowed);
    }

    #[test]
    fn reads_content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
