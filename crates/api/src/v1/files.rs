//! Files: metadata, rename, move, copy, delete (wire API, section 22).

use axum::response::Response;
use http::{HeaderMap, Method};
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{Entry, Storage as _};
use tramontane_model::Op;

use crate::account::Account;
use crate::answer::{empty, ok};
use crate::json::JsonBody;
use crate::objects::Tags;
use crate::problem::Answer;
use crate::query::Query;
use crate::render::Render;
use crate::v1::download::{Wanted, not_modified, send};
use crate::v1::{moves, upload};

/// `GET /storage/files/{file}`.
///
/// # Errors
/// As section 22.1.
pub async fn retrieve(account: Account, query: Query, headers: HeaderMap) -> Answer {
    let file = account.file().await?;
    let render = Render::new(&account, &query)?;
    let entry = account.storage_for(Op::FileRead)?.get(&account.cx(), &file).await?;
    show(&render, entry, &headers).await
}

/// An entry as an answer, with its etag; `304` when the client has it already.
///
/// # Errors
/// What rendering gives.
pub async fn show(render: &Render<'_>, entry: Entry, headers: &HeaderMap) -> Answer<Response> {
    let etag = entry.etag.clone();
    let tags = Tags::read(headers, http::header::IF_NONE_MATCH);
    if tags.is_some_and(|tags| tags.meet(etag.as_ref())) {
        return Ok(not_modified(etag.as_ref()));
    }
    let mut response = ok(&render.one(entry).await?)?;
    if let Some(value) = etag.and_then(|etag| etag.to_string().parse().ok()) {
        response.headers_mut().insert(http::header::ETAG, value);
    }
    Ok(response)
}

/// `PATCH /storage/files/{file}`.
///
/// # Errors
/// As section 22.4.
pub async fn update(account: Account, query: Query, headers: HeaderMap, body: JsonBody) -> Answer {
    let file = account.file().await?;
    moves::place(&account, &file, &query, &headers, &body).await
}

/// `POST /storage/files/{file}/copy`.
///
/// # Errors
/// As section 22.5.
pub async fn copy(account: Account, query: Query, body: JsonBody) -> Answer {
    let file = account.file().await?;
    moves::copy(&account, &file, &query, &body).await
}

/// `DELETE /storage/files/{file}`.
///
/// # Errors
/// As section 22.9.
pub async fn delete(account: Account, query: Query, headers: HeaderMap) -> Answer {
    let file = account.file().await?;
    let permanent = query.flag("permanent")?.unwrap_or(false);
    let op = if permanent { Op::FileDeletePermanently } else { Op::FileDelete };
    let storage = account.storage_for(op)?;
    let if_match = upload::if_match(&account, &headers, &file).await?;
    let how = DeleteOptions { recursive: false, permanent, if_match };
    storage.delete(&account.cx(), &file, &how).await?;
    Ok(empty())
}

/// `GET /storage/files/{file}/contents`.
///
/// # Errors
/// As section 22.6.
pub async fn contents(
    account: Account,
    query: Query,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let file = account.file().await?;
    send(&account, &file, &Wanted::read(&method, &headers, &query)?).await
}
