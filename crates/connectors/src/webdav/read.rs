//! Content, whole or in part.

use http::header;
use http::{Method, StatusCode};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions};
use tramontane_connector::{ETag, EntryKind, EntryRef, Error, Kind, Result};
use tramontane_model::{NativeId, Op};
use url::Url;

use super::dav::{Dav, missing};
use super::fault::{date, fault, is_unknown_method};
use super::path;

/// Reads a file.
///
/// A `GET` of a folder is not an error on most servers: they redirect to the same path with a slash,
/// or answer with a web page of the contents. The first is seen at once. For the second, an answer of
/// type `text/html` that has neither an etag nor a time of change, which files have, is looked at with
/// `PROPFIND` before its bytes are believed. So an ordinary download costs one request.
pub(super) async fn read(dav: &Dav<'_>, file: &NativeId, how: &ReadOptions) -> Result<Content> {
    if path::segments(file)?.is_empty() {
        return Err(missing(EntryKind::File));
    }
    let url = dav.profile.url(file, false)?;
    let mut answer = dav.cx.send(Request { follow: false, ..get(url.clone(), how) }).await?;
    if answer.status.is_redirection() {
        if leads_to_folder(&answer, &url) {
            return Err(missing(EntryKind::File));
        }
        answer = dav.cx.send(get(url, how)).await?;
    }
    let odd = is_unknown_method(answer.status)
        || answer.status == StatusCode::FORBIDDEN
        || is_suspicious(&answer);
    if odd {
        // Says NotFound when it is a folder.
        dav.get(&EntryRef::file(file.clone())).await?;
    }
    content(answer, how.range).await
}

/// The request for content at this URL.
pub(super) fn get(url: Url, how: &ReadOptions) -> Request {
    // Compressed content would have another length and other ranges.
    let request = Request::new("get", Method::GET, url).header(header::ACCEPT_ENCODING, "identity");
    match how.range {
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

fn leads_to_folder(answer: &Response, asked: &Url) -> bool {
    let Some(location) = answer.header(&header::LOCATION) else { return false };
    let Ok(next) = asked.join(location) else { return false };
    let (next, asked) = (next.path(), asked.path());
    next.ends_with('/')
        && path::Href::parse(next, &[]).map(|href| href.segments)
            == path::Href::parse(asked, &[]).map(|href| href.segments)
}

fn is_suspicious(answer: &Response) -> bool {
    let html = answer.header(&header::CONTENT_TYPE).is_some_and(|kind| kind.contains("html"));
    answer.status == StatusCode::OK
        && html
        && answer.header(&header::ETAG).is_none()
        && answer.header(&header::LAST_MODIFIED).is_none()
}

/// The content that an answer carries.
pub(super) async fn content(answer: Response, range: Option<ByteRange>) -> Result<Content> {
    let media_type = answer.header(&header::CONTENT_TYPE).map(str::to_owned);
    let etag = answer.header(&header::ETAG).and_then(ETag::parse);
    let modified = answer.header(&header::LAST_MODIFIED).and_then(date);
    let told = answer.header(&header::CONTENT_RANGE).and_then(content_range);
    let (offset, size) = match (answer.status, range) {
        (StatusCode::PARTIAL_CONTENT, Some(range)) => {
            let Some((Some((first, last)), size)) = told else {
                return Err(Error::declined(Op::FileRange));
            };
            let fits = match (range, size) {
                (ByteRange::From(wanted, _), _) => wanted == first,
                (range @ ByteRange::Last(_), Some(size)) => {
                    range.resolve(size).is_some_and(|(wanted, _)| wanted == first)
                }
                (ByteRange::Last(_), None) => false,
            };
            let whole = last >= first && size.is_none_or(|size| last < size);
            if !fits || !whole {
                return Err(Error::declined(Op::FileRange));
            }
            (first, size)
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
            let size = told.and_then(|(_, size)| size);
            return Err(Error::new(Kind::Range(size), "The range lies outside the content."));
        }
        (status, range) if status.is_success() => {
            let size = answer.body.len();
            match (range, size) {
                (None, _) => {}
                // The server knows no ranges; the size alone may already answer.
                (Some(range), Some(size)) if range.resolve(size).is_none() => {
                    let text = "The range lies outside the content.";
                    return Err(Error::new(Kind::Range(Some(size)), text));
                }
                (Some(range), Some(size)) if range.resolve(size) == Some((0, size)) => {}
                (Some(_), _) => return Err(Error::declined(Op::FileRange)),
            }
            (0, size)
        }
        _ => return Err(fault(answer).await),
    };
    Ok(Content { body: answer.body, offset, size, etag, modified, media_type })
}

/// First and last byte, and the size of the whole; each where it is told.
type ContentRange = (Option<(u64, u64)>, Option<u64>);

/// `bytes 3-7/20`, `bytes */20`, `bytes 3-7/*`: the range, first and last, and the whole size.
fn content_range(text: &str) -> Option<ContentRange> {
    let rest = text.trim().strip_prefix("bytes")?.trim_start_matches(['=', ' ']);
    let (range, size) = rest.split_once('/')?;
    let size = size.trim().parse().ok();
    if range.trim() == "*" {
        return Some((None, size));
    }
    let (first, last) = range.split_once('-')?;
    Some((Some((first.trim().parse().ok()?, last.trim().parse().ok()?)), size))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderMap;
    use tramontane_connector::Body;

    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(content_range("bytes 3-7/20"), Some((Some((3, 7)), Some(20))));
        assert_eq!(content_range("bytes */20"), Some((None, Some(20))));
        assert_eq!(content_range("bytes 3-7/*"), Some((Some((3, 7)), None)));
        for bad in ["", "bytes", "items 1-2/3", "bytes 3/20", "bytes x-7/20"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    fn answer(url: &Url, status: u16, headers: &[(&str, &str)]) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: map, body: Body::empty(), url: url.clone() }
    }

    #[test]
    fn knows_the_ways_in_which_servers_answer_for_folders() {
        let asked: Url = "http://h/d%C3%A4v/a".parse().unwrap();
        for location in ["/d%c3%a4v/a/", "http://other/d%C3%A4v/a/", "a/"] {
            let answer = answer(&asked, 301, &[("location", location)]);
            assert!(leads_to_folder(&answer, &asked), "{location}");
        }
        for location in ["/d%C3%A4v/b/", "/login", "/d%C3%A4v/a"] {
            let answer = answer(&asked, 301, &[("location", location)]);
            assert!(!leads_to_folder(&answer, &asked), "{location}");
        }
        assert!(is_suspicious(&answer(&asked, 200, &[("content-type", "text/html")])));
        let page = [("content-type", "text/html"), ("etag", "\"1\"")];
        assert!(!is_suspicious(&answer(&asked, 200, &page)));
    }
}
