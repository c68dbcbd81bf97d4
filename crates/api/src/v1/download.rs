//! Content on its way out: ranges, preconditions, names (wire API, sections 22.6, 45). Links serve
//! through here too.

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions};
use tramontane_connector::{ETag, Entry, EntryRef, Kind, Storage as _};
use tramontane_model::{Code, Op};

use crate::account::Account;
use crate::objects::Tags;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The media types of content, as the OpenAPI document says them.
pub const ANY: &[&str] = &["*/*"];

/// How long a URL of the service is good that `redirect=true` points to.
const REDIRECT_SECONDS: u64 = 300;

/// What of a request decides how content is sent.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only the headers.
    pub head: bool,
    /// To be shown, not saved.
    pub inline: bool,
    export: Option<String>,
    redirect: bool,
    range: Option<ByteRange>,
    if_range: Option<ETag>,
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Wanted {
    /// Reads a request.
    ///
    /// # Errors
    /// `invalid_parameters`.
    pub fn read(method: &Method, headers: &HeaderMap, query: &Query) -> Answer<Self> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let head = *method == Method::HEAD;
        let mut range = text(RANGE).and_then(byte_range).filter(|_| !head);
        let if_range = match text(IF_RANGE) {
            None => None,
            Some(tag) => {
                let tag = ETag::parse(tag).filter(|tag| !tag.weak);
                if tag.is_none() {
                    // A weak tag or a date never matches: the whole is sent.
                    range = None;
                }
                tag
            }
        };
        Ok(Self {
            head,
            inline: false,
            export: query.text("export").map(str::to_owned),
            redirect: query.flag("redirect")?.unwrap_or(false),
            range,
            if_range,
            if_match: Tags::read(headers, IF_MATCH),
            if_none_match: Tags::read(headers, IF_NONE_MATCH),
        })
    }

    /// The one range that was asked for.
    #[must_use]
    pub fn range(&self) -> Option<ByteRange> {
        self.range
    }

    fn looks_first(&self) -> bool {
        self.head
            || self.if_range.is_some()
            || self.if_match.is_some()
            || self.if_none_match.is_some()
    }
}

/// Sends a file's content.
///
/// # Errors
/// `permission_denied` when it cannot be downloaded; `precondition_failed`, `range_not_satisfiable`;
/// what the service says.
pub async fn send(account: &Account, file: &EntryRef, wanted: &Wanted) -> Answer {
    let storage = account.storage_for(Op::FileDownload)?;
    let cx = account.cx();
    if wanted.redirect {
        let lasting = std::time::Duration::from_secs(REDIRECT_SECONDS);
        match storage.download_url(&cx, &file.id, lasting).await {
            Ok(url) => return Ok(redirect(url.as_str())),
            Err(error) if matches!(error.kind, Kind::Unsupported(_) | Kind::Declined(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut how = ReadOptions { range: wanted.range, export: wanted.export.clone() };
    if wanted.looks_first() {
        let entry = storage.get(&cx, file).await?;
        if let Some(answer) = precondition(wanted, &entry)? {
            return Ok(answer);
        }
        require_downloadable(&entry)?;
        if wanted.head {
            return Ok(head(&entry, wanted));
        }
        if let Some(tag) = &wanted.if_range
            && entry.etag.as_ref().is_none_or(|own| own.weak || own.value != tag.value)
        {
            how.range = None;
        }
        let content = storage.read(&cx, &file.id, &how).await?;
        return answer(content, &entry, how.range, wanted).await;
    }
    // The name is in the metadata and the bytes are in the content: both are asked for at once.
    let (entry, content) = tokio::join!(storage.get(&cx, file), storage.read(&cx, &file.id, &how));
    let entry = entry?;
    require_downloadable(&entry)?;
    answer(content?, &entry, how.range, wanted).await
}

fn require_downloadable(entry: &Entry) -> Answer<()> {
    if entry.downloadable {
        return Ok(());
    }
    let text = format!("\"{}\" has no content that can be downloaded.", entry.name);
    Err(Problem::new(Code::PermissionDenied, text))
}

/// `412`, or an answer of `304`, or nothing that stands in the way.
///
/// # Errors
/// `precondition_failed`.
fn precondition(wanted: &Wanted, entry: &Entry) -> Answer<Option<Response>> {
    if let Some(tags) = &wanted.if_match
        && !strongly(tags, entry.etag.as_ref())
    {
        let text = "The file has changed: its ETag is not the one in If-Match.";
        return Err(Problem::new(Code::PreconditionFailed, text).param("If-Match"));
    }
    match &wanted.if_none_match {
        Some(tags) if tags.meet(entry.etag.as_ref()) => Ok(Some(not_modified(entry.etag.as_ref()))),
        _ => Ok(None),
    }
}

fn strongly(tags: &Tags, etag: Option<&ETag>) -> bool {
    match tags {
        Tags::Any => true,
        Tags::These(tags) => tags.iter().any(|tag| !tag.weak && Some(tag) == etag),
    }
}

/// `304` with the etag.
#[must_use]
pub fn not_modified(etag: Option<&ETag>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    if let Some(etag) = etag {
        set(response.headers_mut(), ETAG, &etag.to_string());
    }
    response
}

fn redirect(url: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    set(response.headers_mut(), LOCATION, url);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The headers of content alone.
#[must_use]
pub fn head(entry: &Entry, wanted: &Wanted) -> Response {
    let mut response = Response::new(Body::empty());
    let media_type = entry.guessed_media_type();
    describe(response.headers_mut(), &entry.name, &media_type, entry.etag.as_ref(), wanted);
    if let Some(size) = entry.size {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    if let Some(modified) = entry.modified {
        set(response.headers_mut(), LAST_MODIFIED, &modified.to_http_date());
    }
    response
}

/// Content as an answer.
///
/// # Errors
/// What breaks before the first byte.
pub async fn answer(
    content: Content,
    entry: &Entry,
    range: Option<ByteRange>,
    wanted: &Wanted,
) -> Answer {
    let size = content.size.or(entry.size.filter(|_| content.body.len().is_none()));
    let partial = match range {
        None => None,
        Some(range) => part(range, size, content.offset, content.body.len())?,
    };
    let length = match partial {
        Some((first, last)) => Some(last - first + 1),
        None => content.body.len(),
    };
    let media_type = content.media_type.as_deref().filter(|known| !known.is_empty());
    let media_type = media_type.map_or_else(|| entry.guessed_media_type(), str::to_owned);
    let etag = content.etag.as_ref().or(entry.etag.as_ref());
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    describe(headers, &entry.name, &media_type, etag, wanted);
    if let Some(modified) = content.modified.or(entry.modified) {
        set(headers, LAST_MODIFIED, &modified.to_http_date());
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some((first, last)) = partial {
        let size = size.map_or_else(|| "*".to_owned(), |size| size.to_string());
        set(headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.body_mut() = begun(content.body).await?;
    Ok(response)
}

/// First and last byte of what the service sent for a range; `None` when it sent the whole.
fn part(
    range: ByteRange,
    size: Option<u64>,
    offset: u64,
    length: Option<u64>,
) -> Answer<Option<(u64, u64)>> {
    let asked = match (size, range) {
        (Some(size), _) => {
            let unsatisfiable = || {
                let text = format!("The range lies outside the {size} bytes of the content.");
                let problem = Problem::new(Code::RangeNotSatisfiable, text);
                problem.header(CONTENT_RANGE, format!("bytes */{size}"))
            };
            Some(range.resolve(size).ok_or_else(unsatisfiable)?)
        }
        (None, _) => None,
    };
    let length = length.or(asked.map(|(_, length)| length).filter(|_| offset > 0));
    match (asked, length) {
        // The service ignored the range and sent everything.
        (Some((first, wanted)), Some(length)) if first != offset || wanted != length => {
            if offset == 0 { Ok(None) } else { Ok(Some((offset, offset + length.max(1) - 1))) }
        }
        (_, Some(length)) if length > 0 => Ok(Some((offset, offset + length - 1))),
        (Some((first, wanted)), None) if first == offset => Ok(Some((first, first + wanted - 1))),
        _ if offset == 0 => Ok(None),
        _ => {
            let text = "The service sent part of the content without saying how much.";
            Err(Problem::new(Code::BadGateway, text))
        }
    }
}

/// The body, once its first piece has come: until then a failure can still be told.
async fn begun(body: tramontane_connector::Body) -> Answer<Body> {
    let mut pieces = body.checked().into_stream();
    match pieces.next().await {
        None => Ok(Body::empty()),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(first)) => {
            let rest = pieces.inspect(|piece| {
                if let Err(error) = piece {
                    tracing::warn!(%error, "content broke off");
                }
            });
            Ok(Body::from_stream(stream::iter([Ok(first)]).chain(rest)))
        }
    }
}

fn describe(
    headers: &mut HeaderMap,
    name: &str,
    media_type: &str,
    etag: Option<&ETag>,
    wanted: &Wanted,
) {
    set(headers, CONTENT_TYPE, &sent_type(media_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let kind = if wanted.inline { "inline" } else { "attachment" };
    set(headers, CONTENT_DISPOSITION, &disposition(kind, name));
    if let Some(etag) = etag {
        set(headers, ETAG, &etag.to_string());
    }
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// JSON is sent as bytes, because existing clients parse every JSON-typed answer (D23).
fn sent_type(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if essence.eq_ignore_ascii_case("application/json") || !media_type.bytes().all(plain) {
        return "application/octet-stream".to_owned();
    }
    media_type.to_owned()
}

/// The characters of RFC 5987 that need no escape.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `Content-Disposition` with the name in ASCII and in full (RFC 6266).
#[must_use]
pub fn disposition(kind: &str, name: &str) -> String {
    let plain = |letter: char| match letter {
        '"' | '\\' | '%' => '_',
        letter if letter.is_ascii_graphic() || letter == ' ' => letter,
        _ => '_',
    };
    let ascii: String = name.chars().map(plain).collect();
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, NAME))
}

/// One range of bytes; anything else is as if it were absent (RFC 9110, section 14.2).
fn byte_range(text: &str) -> Option<ByteRange> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (first.is_empty(), last.is_empty()) {
        (true, _) => Some(ByteRange::Last(number(last)?)),
        (false, true) => Some(ByteRange::From(number(first)?, None)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_one_range_of_bytes_and_no_more() {
        for (text, range) in [
            ("bytes=0-9", Some(ByteRange::From(0, Some(9)))),
            ("Bytes = 5-", Some(ByteRange::From(5, None))),
            ("bytes=-5", Some(ByteRange::Last(5))),
            ("bytes=-0", Some(ByteRange::Last(0))),
            ("bytes=9-5", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-9", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=99999999999999999999-", Some(ByteRange::From(u64::MAX, None))),
        ] {
            assert_eq!(byte_range(text), range, "{text}");
        }
    }

    #[test]
    fn parts_are_told_from_the_whole() {
        let ten = ByteRange::From(2, Some(4));
        assert_eq!(part(ten, Some(10), 2, Some(3)).unwrap(), Some((2, 4)));
        assert_eq!(part(ten, Some(10), 0, Some(10)).unwrap(), None);
        assert_eq!(part(ten, None, 2, Some(3)).unwrap(), Some((2, 4)));
        assert_eq!(part(ten, Some(10), 2, None).unwrap(), Some((2, 4)));
        let beyond = part(ByteRange::From(10, None), Some(10), 0, Some(10)).unwrap_err();
        assert_eq!(beyond.code, Code::RangeNotSatisfiable);
        assert_eq!(part(ByteRange::From(0, None), Some(10), 0, Some(10)).unwrap(), Some((0, 9)));
    }

    #[test]
    fn names_are_given_in_ascii_and_in_full() {
        assert_eq!(
            disposition("attachment", "naïve \"plan\".txt"),
            "attachment; filename=\"na_ve _plan_.txt\"; \
             filename*=UTF-8''na%C3%AFve%20%22plan%22.txt"
        );
        assert_eq!(sent_type("application/json; charset=utf-8"), "application/octet-stream");
        assert_eq!(sent_type("text/html"), "text/html");
        assert_eq!(sent_type("a\r\nb"), "application/octet-stream");
    }

    proptest::proptest! {
        #[test]
        fn no_name_breaks_the_header(name: String) {
            proptest::prop_assert!(HeaderValue::from_str(&disposition("inline", &name)).is_ok());
        }
    }
}
