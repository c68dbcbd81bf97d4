//! Content and preview pictures.

use std::time::Duration;

use http::{Method, StatusCode, header};
use tramontane_connector::error::Kind;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions, ThumbnailSize};
use tramontane_connector::{Body, Error, Result};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::client::Client;
use super::fault::fault;
use super::id::Id;

/// How often content or a picture that is not ready yet is asked for.
const MAX_WAITS: usize = 8;
/// How long to wait when Box does not say.
const USUAL_WAIT: Duration = Duration::from_secs(1);

fn outside(size: Option<u64>) -> Error {
    Error::new(Kind::Range(size), "The range lies outside the content.")
}

fn broken() -> Error {
    Error::new(Kind::Broken, "Box does not say where the content is.")
}

/// The `Range` header; `None` inside for the whole.
fn range_header(range: Option<ByteRange>) -> Result<Option<String>> {
    Ok(match range {
        None => None,
        Some(ByteRange::From(first, None)) => Some(format!("bytes={first}-")),
        Some(ByteRange::From(first, Some(last))) if last >= first => {
            Some(format!("bytes={first}-{last}"))
        }
        Some(ByteRange::Last(count)) if count > 0 => Some(format!("bytes=-{count}")),
        Some(_) => return Err(outside(None)),
    })
}

/// `bytes 3-7/20`, `bytes */20`: the first byte, and the whole size.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split('-').next().and_then(|first| first.parse().ok());
    Some((first, size.parse().ok()))
}

impl Client<'_> {
    /// Where a file's content is: pre-authenticated, good for some minutes
    /// (<https://developer.box.com/reference/get-files-id-content/>). Box may ask to wait first.
    pub(super) async fn content_url(&self, id: &Id, version: Option<&str>) -> Result<Url> {
        let query: Vec<_> = version.map(|version| ("version", version)).into_iter().collect();
        let url = self.api(&["files", &id.number, "content"], &query)?;
        for _ in 0..MAX_WAITS {
            let answer = self.send(self.request("download", Method::GET, url.clone())).await?;
            if answer.status == StatusCode::ACCEPTED {
                if self.wait(&answer, USUAL_WAIT).await {
                    continue;
                }
                break;
            }
            let location = answer.header(&header::LOCATION).ok_or_else(broken)?;
            return url.join(location).map_err(|_| broken());
        }
        Err(Error::new(Kind::Unavailable, "The file is not ready to be downloaded from Box yet."))
    }

    /// The content of a file, or of one version of it.
    pub(super) async fn content(
        &self,
        id: &Id,
        version: Option<&str>,
        how: &ReadOptions,
    ) -> Result<Content> {
        if how.export.is_some() {
            return Err(Error::invalid("Box keeps files as they are; there is nothing to export."));
        }
        let range = range_header(how.range)?;
        let url = self.content_url(id, version).await?;
        let mut request =
            Request::new("content", Method::GET, url).header(header::ACCEPT_ENCODING, "identity");
        // The URL alone opens it, at a host that must not see the token.
        request.signed = false;
        if let Some(range) = &range {
            request = request.header(header::RANGE, range);
        }
        let answer = self.cx.send(request).await?;
        self.read_content(answer, range.is_some()).await
    }

    async fn read_content(&self, answer: Response, ranged: bool) -> Result<Content> {
        let told = answer.header(&header::CONTENT_RANGE).and_then(content_range);
        let (offset, size) = match answer.status {
            StatusCode::PARTIAL_CONTENT => match told {
                Some((Some(first), size)) => (first, size),
                _ => return Err(Error::declined(Op::FileRange)),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(outside(told.and_then(|(_, size)| size)));
            }
            status if status.is_success() && ranged => {
                // An empty file has no range to send.
                return Err(match answer.body.len() {
                    Some(0) => outside(Some(0)),
                    _ => Error::declined(Op::FileRange),
                });
            }
            status if status.is_success() => (0, answer.body.len()),
            // The URL is good for a while only; nothing is wrong with the account's token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Error::new(Kind::Unavailable, "Box's download URL was refused."));
            }
            _ => return Err(fault(answer, self.cx.now()).await),
        };
        let media_type = answer.header(&header::CONTENT_TYPE).map(str::to_owned);
        let modified = answer.header(&header::LAST_MODIFIED).and_then(Timestamp::parse_http_date);
        Ok(Content { body: answer.body, offset, size, etag: None, modified, media_type })
    }

    /// A preview picture (<https://developer.box.com/reference/get-files-id-thumbnail-id/>): `202`
    /// while it is being made, `302` when none can be.
    pub(super) async fn thumbnail(&self, id: &Id, size: ThumbnailSize) -> Result<Body> {
        // PNG is made with a longest side of 32, 64, 128 or 256 pixels.
        let side =
            [32, 64, 128].into_iter().find(|side| *side >= size.0).unwrap_or(256).to_string();
        let query = [
            ("min_height", side.as_str()),
            ("min_width", &side),
            ("max_height", &side),
            ("max_width", &side),
        ];
        let url = self.api(&["files", &id.number, "thumbnail.png"], &query)?;
        for _ in 0..MAX_WAITS {
            let answer = self.send(self.request("thumbnail", Method::GET, url.clone())).await?;
            match answer.status {
                StatusCode::OK => return Ok(answer.body),
                StatusCode::ACCEPTED => {
                    if !self.wait(&answer, USUAL_WAIT).await {
                        break;
                    }
                }
                _ => return Err(Error::not_found("Box has no preview picture of this file.")),
            }
        }
        // Made from the content instead.
        Err(Error::declined(Op::FileThumbnail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        let header = |range| range_header(Some(range)).ok().flatten();
        assert_eq!(header(ByteRange::From(3, Some(7))).as_deref(), Some("bytes=3-7"));
        assert_eq!(header(ByteRange::From(3, None)).as_deref(), Some("bytes=3-"));
        assert_eq!(header(ByteRange::Last(5)).as_deref(), Some("bytes=-5"));
        assert_eq!(header(ByteRange::Last(0)), None);
        assert_eq!(header(ByteRange::From(5, Some(4))), None);
        assert_eq!(content_range("bytes 3-7/20"), Some((Some(3), Some(20))));
        assert_eq!(content_range("bytes */20"), Some((None, Some(20))));
        assert_eq!(content_range("chunks 1"), None);
    }
}
