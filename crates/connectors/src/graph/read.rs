//! Content and previews, by the pre-authenticated URLs that Graph gives. Sources: "Download driveItem
//! content" ("the URL ... doesn't require an Authorization header"; a range goes to that URL, not to
//! `/content`), "Download a file in another format", "List thumbnails for a DriveItem".

use http::{Method, StatusCode, header};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::storage::{ByteRange, Content, ReadOptions, ThumbnailSize};
use tramontane_connector::{Body, ETag, EntryKind, Error, Kind, Result};
use tramontane_model::{Op, Timestamp};
use url::Url;

use super::api::{Client, collection, nonsense};
use super::fault::fault;
use super::id::Id;
use super::item::{Item, missing};

/// Where a file's content can be fetched for about an hour.
pub(super) fn download_url(item: &Item) -> Result<Url> {
    if item.is_package() {
        let text = "A notebook has no content of its own: it cannot be downloaded.";
        return Err(Error::new(Kind::NotAllowed, text));
    }
    let url = item.download_url.as_deref().and_then(|url| Url::parse(url).ok());
    url.ok_or_else(nonsense)
}

pub(super) async fn read(client: Client<'_>, id: &Id, how: &ReadOptions) -> Result<Content> {
    if matches!(id, Id::Root | Id::Site(_)) {
        return Err(missing(EntryKind::File));
    }
    let followed = id.followed();
    let value = client.item(&followed).await?;
    let item = Item::read(&value)?;
    if item.kind() != EntryKind::File {
        return Err(missing(EntryKind::File));
    }
    let entry = client.entry(value).await?;
    let url = match &how.export {
        None => download_url(&item)?,
        Some(wanted) => exported(client, &followed, wanted).await?,
    };
    let whole = if how.export.is_none() { item.size } else { None };
    if let (Some(range), Some(size)) = (how.range, whole)
        && range.resolve(size).is_none()
    {
        return Err(outside(Some(size)));
    }
    let answer =
        client.cx.send(ranged(Client::bare("download", Method::GET, url), how.range)).await?;
    let mut content = content(answer, how.range, whole).await?;
    if how.export.is_none() {
        content.etag = entry.etag;
        content.modified = entry.modified;
        content.media_type = entry.media_type.or(content.media_type);
    }
    Ok(content)
}

pub(super) fn ranged(request: Request, range: Option<ByteRange>) -> Request {
    // Compressed content would have another length and other ranges.
    let request = request.header(header::ACCEPT_ENCODING, "identity");
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

fn outside(size: Option<u64>) -> Error {
    Error::new(Kind::Range(size), "The range lies outside the content.")
}

/// Where the service sends on to for a file in another format.
async fn exported(client: Client<'_>, id: &Id, wanted: &str) -> Result<Url> {
    let format = match wanted.trim_start_matches('.').to_ascii_lowercase().as_str() {
        "pdf" | "application/pdf" => "pdf",
        "html" | "text/html" => "html",
        "jpg" | "jpeg" | "image/jpeg" => "jpg",
        "glb" | "model/gltf-binary" => "glb",
        _ => {
            return Err(Error::invalid(
                "export must be pdf, html, jpg or glb: the service makes nothing else of a file.",
            ));
        }
    };
    let path = format!("{}/content?format={format}", client.path(id)?);
    redirected(client, &path).await
}

/// The URL that a path redirects to.
pub(super) async fn redirected(client: Client<'_>, path: &str) -> Result<Url> {
    let request = Request { follow: false, ..client.request("content", Method::GET, path)? };
    let answer = client.cx.send(request).await?;
    if answer.status.is_redirection() {
        let to = answer.header(&header::LOCATION).and_then(|to| answer.url.join(to).ok());
        return to.ok_or_else(nonsense);
    }
    if answer.status.is_success() {
        Err(nonsense())
    } else {
        Err(unconvertible(fault(answer).await))
    }
}

fn unconvertible(error: Error) -> Error {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    if matches!(status, Some(406 | 415)) {
        let text = "The service cannot make this format of this file.";
        return Error::new(Kind::Invalid, text).because(error);
    }
    error
}

/// What a pre-authenticated URL answered. Only that it was asked for makes a part a part.
pub(super) async fn content(
    answer: Response,
    range: Option<ByteRange>,
    size: Option<u64>,
) -> Result<Content> {
    let told = answer.header(&header::CONTENT_RANGE).and_then(content_range);
    let (offset, size) = match (answer.status, range) {
        (StatusCode::PARTIAL_CONTENT, Some(_)) => {
            let (first, whole) = told.ok_or_else(nonsense)?;
            (first.ok_or_else(nonsense)?, whole.or(size))
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
            return Err(outside(told.and_then(|(_, whole)| whole).or(size)));
        }
        (status, None) if status.is_success() => (0, answer.body.len().or(size)),
        (status, Some(_)) if status.is_success() => return Err(Error::declined(Op::FileRange)),
        _ => return Err(gone(fault(answer).await)),
    };
    let media_type = answer.header(&header::CONTENT_TYPE).map(str::to_owned);
    let etag = answer.header(&header::ETAG).and_then(ETag::parse);
    let modified = answer.header(&header::LAST_MODIFIED).and_then(Timestamp::parse_http_date);
    Ok(Content { body: answer.body, offset, size, etag, modified, media_type })
}

/// A refusal by a pre-authenticated URL says nothing of the account's credential.
fn gone(error: Error) -> Error {
    if error.kind == Kind::Credential {
        let text = "The service's download address has expired. Try again.";
        return Error::new(Kind::Unavailable, text).because(error);
    }
    error
}

/// The first byte and the whole size of `bytes 3-7/20`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-').and_then(|(first, _)| first.trim().parse().ok());
    Some((first, size.trim().parse().ok()))
}

pub(super) async fn thumbnail(client: Client<'_>, id: &Id, size: ThumbnailSize) -> Result<Body> {
    if matches!(id, Id::Root | Id::Site(_)) {
        return Err(missing(EntryKind::File));
    }
    let longest = size.0.clamp(16, 1_600);
    let wanted = format!("c{longest}x{longest}");
    let path = format!("{}/thumbnails?select={wanted}", client.path(&id.followed())?);
    let (sets, _) = collection(client.get("thumbnails", &path).await?)?;
    let url = sets.first().and_then(|set| set.get(&wanted)?.get("url")?.as_str());
    let none = || Error::not_found("The service has no preview of this file.");
    let url = url.and_then(|url| Url::parse(url).ok()).ok_or_else(none)?;
    let answer = client.cx.send(Client::bare("thumbnail", Method::GET, url)).await?;
    match answer.status {
        status if status.is_success() => Ok(answer.body),
        StatusCode::NOT_FOUND | StatusCode::NOT_ACCEPTABLE => Err(none()),
        _ => Err(gone(fault(answer).await)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(content_range("bytes 3-7/20"), Some((Some(3), Some(20))));
        assert_eq!(content_range("bytes */20"), Some((None, Some(20))));
        assert_eq!(content_range("items 3-7/20"), None);
    }
}
