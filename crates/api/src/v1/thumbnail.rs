//! `GET /storage/files/{file}/thumbnail` (wire API, section 22.7).

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use tramontane_connector::Storage as _;
use tramontane_connector::storage::ThumbnailSize;
use tramontane_model::Op;

use crate::account::Account;
use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The largest picture that is passed on, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// `GET /storage/files/{file}/thumbnail`.
///
/// # Errors
/// `not_found` when this file has none; `not_implemented` when the account has none.
pub async fn thumbnail(account: Account, query: Query) -> Answer {
    let file = account.file().await?;
    let side = match query.text("size") {
        Some("small") => 64,
        None | Some("medium") => 256,
        Some("large") => 1_024,
        Some(_) => return Err(Problem::invalid("size", "must be small, medium or large")),
    };
    let format = match query.text("format") {
        None | Some("jpeg" | "jpg") => "image/jpeg",
        Some("png") => "image/png",
        Some(_) => return Err(Problem::invalid("format", "must be jpeg or png")),
    };
    let storage = account.storage_for(Op::FileThumbnail)?;
    let picture = storage.thumbnail(&account.cx(), &file.id, ThumbnailSize(side)).await?;
    let picture = picture.collect(MAX_BYTES).await?;
    let made =
        tokio::task::spawn_blocking(move || tramontane_fill::recoded(&picture, format)).await;
    let picture = made.map_err(Problem::internal)??;
    let mut response = Response::new(Body::from(picture.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(picture.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
