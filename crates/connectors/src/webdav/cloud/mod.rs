//! What Nextcloud adds to WebDAV: search, previews, uploads in parts, trash and versions.

pub(super) mod search;
pub(super) mod trash;
mod uploads;
mod versions;

use http::{Method, StatusCode, header};
use tramontane_connector::http::Request;
use tramontane_connector::storage::ThumbnailSize;
use tramontane_connector::{Body, Error, Result};
use tramontane_model::{NativeId, Op};

use super::dav::Dav;
use super::fault::fault;
use super::profile::Cloud;
use super::storage::file;

/// A preview, made by Nextcloud for the kinds of file that it knows.
pub(super) async fn thumbnail(
    dav: &Dav<'_>,
    parts: &Cloud,
    id: &NativeId,
    size: ThumbnailSize,
) -> Result<Body> {
    let fileid = fileid(&file(dav, id).await?)?;
    let mut url = parts
        .web
        .join("index.php/core/preview")
        .map_err(|cause| Error::internal("A path made no URL.").because(cause))?;
    let side = size.0.clamp(16, 4_096).to_string();
    url.query_pairs_mut()
        .append_pair("fileId", &fileid)
        .append_pair("x", &side)
        .append_pair("y", &side)
        .append_pair("a", "1")
        .append_pair("forceIcon", "0");
    let request = Request::new("preview", Method::GET, url)
        .header(http::HeaderName::from_static("ocs-apirequest"), "true")
        .header(header::ACCEPT, "image/jpeg, image/png");
    let answer = dav.cx.send(request).await?;
    let kind = answer.header(&header::CONTENT_TYPE).unwrap_or_default();
    let picture = kind.starts_with("image/jpeg") || kind.starts_with("image/png");
    match answer.status {
        StatusCode::OK if picture => Ok(answer.body),
        StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
            Err(Error::declined(Op::FileThumbnail))
        }
        _ => Err(fault(answer).await),
    }
}

/// Nextcloud's number of a file, which it addresses versions and previews by.
fn fileid(entry: &tramontane_connector::Entry) -> Result<String> {
    let id = entry.shared_id.as_ref().map(|id| id.as_str().to_owned());
    id.filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .ok_or_else(|| Error::internal("The Nextcloud told no id of the file."))
}
