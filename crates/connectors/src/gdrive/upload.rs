//! Content on its way to Drive: small bodies in one request, the rest in chunks.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderName, Method, header};
use serde_json::{Value, json};
use tramontane_connector::http::Request;
use tramontane_connector::{Body, Error, Kind, Repeat, Result};

use super::api::{Client, with_json};
use super::chunks::Chunks;
use super::fault::status_of;
use super::item::{DOCUMENTS, Item};

/// A body up to this size is taken into memory and sent in one request, which can be sent again.
const SMALL: usize = 1 << 20;

const UPLOAD_TYPE: HeaderName = HeaderName::from_static("x-upload-content-type");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("x-upload-content-length");

/// Content to be written.
pub(super) struct Content {
    /// All of it, or what came before it was too much for one request.
    head: Bytes,
    rest: Option<futures::stream::BoxStream<'static, Result<Bytes>>>,
    total: Option<u64>,
    media_type: String,
}

impl Content {
    /// Takes a body, and as much of it as fits into one request. `name` suggests its media type.
    pub(super) async fn of(body: Body, name: &str) -> Result<Self> {
        let media_type = media_type(body.media_type(), name);
        let total = body.len();
        let mut stream = body.into_stream();
        let mut head = BytesMut::new();
        if total.is_some_and(|total| total > SMALL as u64) {
            let rest = Some(stream);
            return Ok(Self { head: Bytes::new(), rest, total, media_type });
        }
        while head.len() <= SMALL {
            let Some(piece) = stream.next().await else {
                let len = head.len() as u64;
                if total.is_some_and(|total| total != len) {
                    return Err(Error::new(Kind::Body, "The content is not as long as announced."));
                }
                return Ok(Self { head: head.freeze(), rest: None, total: Some(len), media_type });
            };
            head.extend_from_slice(&piece?);
        }
        Ok(Self { head: head.freeze(), rest: Some(stream), total, media_type })
    }

    pub(super) fn media_type(&self) -> &str {
        &self.media_type
    }
}

/// A media type that may stand in a header and makes Drive convert nothing: the one that came along,
/// else the one that the name suggests.
pub(super) fn media_type(told: Option<&str>, name: &str) -> String {
    let fine = |mime: &&str| {
        mime.contains('/')
            && mime.len() <= 200
            && !mime.starts_with(DOCUMENTS)
            && mime.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    match told.filter(fine).filter(|mime| *mime != "application/octet-stream") {
        Some(mime) => mime.to_owned(),
        None => mime_guess::from_path(name).first_or_octet_stream().to_string(),
    }
}

fn query<'a>(kind: &'a str, fields: &'a str) -> [(&'a str, &'a str); 3] {
    [("uploadType", kind), ("supportsAllDrives", "true"), ("fields", fields)]
}

/// Makes a file of metadata and content ("files.create"). `meta` has an `id` from `generateIds` where
/// there are such: then the request is safe to repeat, because Drive refuses an id that is taken.
pub(super) async fn make(client: &Client<'_>, meta: &Value, content: Content) -> Result<Item> {
    let Some(rest) = content.rest else {
        let url = client.upload_url(&["files"], &query("multipart", client.fields()))?;
        let boundary = boundary()?;
        let mut body = BytesMut::new();
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{meta}\r\n--{boundary}\r\nContent-Type: {}\r\n\r\n",
            content.media_type
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&content.head);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let repeat = if meta.get("id").is_some() { Repeat::Yes } else { Repeat::No };
        let request = Request::new("files_create", Method::POST, url)
            .header(header::CONTENT_TYPE, format!("multipart/related; boundary={boundary}"))
            .bytes(body.freeze())
            .repeat(repeat);
        return made(client, client.item(request).await, meta).await;
    };
    let url = client.upload_url(&["files"], &query("resumable", client.fields()))?;
    let request = with_json("files_create", Method::POST, url, meta);
    let session = client.begin(announced(request, &content.media_type, content.total)).await?;
    let mut chunks = Chunks::new(content.head, rest);
    match client.send_chunks(&session, &mut chunks, content.total).await {
        Err(error) => {
            client.cancel(&session).await;
            made(client, Err(error), meta).await
        }
        done => done,
    }
}

fn announced(request: Request, media_type: &str, total: Option<u64>) -> Request {
    let request = request.header(UPLOAD_TYPE, media_type);
    match total {
        Some(total) => request.header(UPLOAD_LENGTH, total.to_string()),
        None => request,
    }
}

/// Begins an upload whose content comes later, by another's hand.
pub(super) async fn begin(
    client: &Client<'_>,
    meta: &Value,
    media_type: &str,
    total: Option<u64>,
) -> Result<url::Url> {
    let url = client.upload_url(&["files"], &query("resumable", client.fields()))?;
    let request = with_json("files_create", Method::POST, url, meta);
    client.begin(announced(request, media_type, total)).await
}

/// What was made: an answer that was lost is asked for again by the id that was given beforehand.
pub(super) async fn made(client: &Client<'_>, done: Result<Item>, meta: &Value) -> Result<Item> {
    let id = meta.get("id").and_then(Value::as_str);
    match (done, id) {
        (Err(error), Some(id)) if status_of(&error) == Some(409) => client.get_any(id).await,
        (done, _) => done,
    }
}

/// Replaces the content of a file ("files.update").
pub(super) async fn replace(client: &Client<'_>, id: &str, content: Content) -> Result<Item> {
    let Some(rest) = content.rest else {
        let url = client.upload_url(&["files", id], &query("media", client.fields()))?;
        let request = Request::new("files_update", Method::PATCH, url)
            .header(header::CONTENT_TYPE, &content.media_type)
            .bytes(content.head)
            .repeat(Repeat::Yes);
        return client.item(request).await;
    };
    let url = client.upload_url(&["files", id], &query("resumable", client.fields()))?;
    let request = with_json("files_update", Method::PATCH, url, &json!({}));
    let session = client.begin(announced(request, &content.media_type, content.total)).await?;
    let mut chunks = Chunks::new(content.head, rest);
    let done = client.send_chunks(&session, &mut chunks, content.total).await;
    if done.is_err() {
        client.cancel(&session).await;
    }
    done
}

/// A line that no content has.
fn boundary() -> Result<String> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|cause| {
        Error::internal("This machine gives no randomness.").because(cause.to_string())
    })?;
    Ok(format!("tramontane-{}", hex::encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_convert_nothing_and_break_no_header() {
        for (told, name, wanted) in [
            (Some("text/csv"), "a.bin", "text/csv"),
            (Some("application/octet-stream"), "a.png", "image/png"),
            (Some("application/vnd.google-apps.document"), "a", "application/octet-stream"),
            (Some("text/plain\r\nX-Evil: 1"), "a.txt", "text/plain"),
            (Some("nonsense"), "a.json", "application/json"),
            (None, "a", "application/octet-stream"),
        ] {
            assert_eq!(media_type(told, name), wanted, "{told:?} {name}");
        }
    }
}
