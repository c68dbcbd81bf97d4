//! Content on its way in: the three forms of an upload, and replacing (wire API, sections 22.2, 22.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::Request;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http_body::Body as _;
use tramontane_connector::{Body, ETag, Error, Kind, Place, WriteOptions};
use tramontane_fill::{Placed, Policy};
use tramontane_model::{Code, NativeId, Op, Timestamp};
use url::Url;

use crate::account::Account;
use crate::answer::made;
use crate::json::{JsonBody, collect};
use crate::objects::Tags;
use crate::problem::{Answer, Problem};
use crate::query::{Query, latin};
use crate::render::Render;
use crate::state::App;
use crate::v1::conflict;
use crate::v1::multipart_form::Form;
use crate::v1::target::with_link;

/// How long a URL may take until its first byte.
const FETCH: Duration = Duration::from_secs(30);

/// `POST /storage/files`.
///
/// # Errors
/// As section 22.2.
pub async fn create(account: Account, query: Query, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let policy = conflict::creating(&query, headers)?;
    let placed = if let Some(metadata) = headers.get("x-kloudless-metadata") {
        let metadata = Metadata::read(latin(metadata.as_bytes().to_vec()))?;
        let at = metadata.place(&account).await?;
        let body = incoming(account.app(), body, metadata.size)?;
        put(&account, headers, &at, body, policy, &metadata).await?
    } else if is_form(headers) {
        let mut form = Form::read(account.app(), headers, body)?;
        let (metadata, body) = form.parts().await?;
        let at = metadata.place(&account).await?;
        put(&account, headers, &at, body, policy, &metadata).await?
    } else if is_json(headers) {
        let text = collect(body, account.app().limits().json_body).await?;
        let members = JsonBody::parse(text)?;
        let metadata = Metadata::of(&members)?;
        let url = read_url(&members.required_text("url")?)?;
        let at = metadata.place(&account).await?;
        from_url(&account, headers, &at, url, policy, &metadata).await?
    } else {
        return Err(Problem::bad_request(
            "Send the content with the header X-Kloudless-Metadata, a multipart/form-data body, or \
             a JSON body with a url.",
        ));
    };
    let render = Render::new(&account, &query)?;
    let created = placed.created;
    let shown = render.one(placed.entry.clone()).await?;
    with_link(&account, &query, &placed.entry, shown, created).await
}

/// `PUT /storage/files/{file}`.
///
/// # Errors
/// As section 22.3.
pub async fn replace(account: Account, query: Query, request: Request) -> Answer {
    let file = account.file().await?;
    let (parts, body) = request.into_parts();
    let storage = account.storage_for(Op::FileUpdate)?;
    let if_match = if_match(&account, &parts.headers, &file).await?;
    let body = incoming(account.app(), body, None)?;
    let cx = long(&account);
    let entry = storage_update(storage, &cx, &file.id, body, if_match.as_ref()).await?;
    made(false, &Render::new(&account, &query)?.one(entry).await?)
}

async fn storage_update(
    storage: &tramontane_fill::Filled,
    cx: &tramontane_connector::Cx,
    file: &NativeId,
    body: Body,
    if_match: Option<&ETag>,
) -> Answer<tramontane_connector::Entry> {
    use tramontane_connector::Storage as _;
    Ok(storage.update(cx, file, body, if_match).await?)
}

/// The one tag that a write is bound to. Several are looked up first, and the one that holds counts.
///
/// # Errors
/// `precondition_failed` when none of several holds; what looking gives.
pub async fn if_match(
    account: &Account,
    headers: &HeaderMap,
    of: &tramontane_connector::EntryRef,
) -> Answer<Option<ETag>> {
    use tramontane_connector::Storage as _;
    match Tags::read(headers, IF_MATCH) {
        None => Ok(None),
        Some(Tags::Any) => Ok(Some(ETag::strong("*"))),
        Some(Tags::These(tags)) => match tags.as_slice() {
            [only] => Ok(Some(only.clone())),
            several => {
                let entry = account.storage()?.get(&account.cx(), of).await?;
                let held = entry.etag.filter(|own| !own.weak && several.contains(own));
                held.map(Some).ok_or_else(|| {
                    let text = "The object has changed: its ETag is none of those in If-Match.";
                    Problem::new(Code::PreconditionFailed, text).param("If-Match")
                })
            }
        },
    }
}

/// The context of an upload: the service has the deadline after the last byte, not from the first.
pub(crate) fn long(account: &Account) -> tramontane_connector::Cx {
    let ceilings = account.storage().map(|storage| *storage.ceilings());
    let cx = account.cx();
    match ceilings {
        Ok(ceilings) => cx.within(ceilings.transfer),
        Err(_) => cx,
    }
}

async fn put(
    account: &Account,
    headers: &HeaderMap,
    at: &Place,
    body: Body,
    policy: Policy,
    metadata: &Metadata,
) -> Answer<Placed> {
    let storage = account.storage_for(Op::FileCreate)?;
    let mut how = WriteOptions::fail();
    how.modified = metadata.modified;
    if policy == Policy::Replace {
        how.if_match = match Tags::read(headers, IF_MATCH) {
            None => None,
            Some(Tags::Any) => Some(ETag::strong("*")),
            Some(Tags::These(tags)) => Some(tags.into_iter().next().ok_or_else(|| {
                let text = "If-Match holds no ETag, so nothing can meet it.";
                Problem::new(Code::PreconditionFailed, text).param("If-Match")
            })?),
        };
    }
    let body = match &metadata.mime_type {
        Some(mime_type) => body.with_media_type(Some(mime_type.clone())),
        None => body,
    };
    Ok(storage.upload(&long(account), at, body, policy, &how).await?)
}

async fn from_url(
    account: &Account,
    headers: &HeaderMap,
    at: &Place,
    url: Url,
    policy: Policy,
    metadata: &Metadata,
) -> Answer<Placed> {
    account.storage_for(Op::FileCreate)?;
    let failed = |why: &str| {
        let text = format!("The URL could not be fetched: {why}");
        Problem::new(Code::RequestFailed, text).param("url")
    };
    let answer = account.app().fetch().fetch(url, FETCH).await;
    let answer = answer.map_err(|error| failed(&error.message))?;
    if !answer.status.is_success() {
        return Err(failed(&format!("it answered {}.", answer.status.as_u16())));
    }
    let length = answer.body.len();
    let broke = Arc::new(AtomicBool::new(false));
    let told = broke.clone();
    let pieces = answer.body.into_stream().map(move |piece| {
        piece.map_err(|error| {
            told.store(true, Ordering::Relaxed);
            Error::new(Kind::Body, error.message)
        })
    });
    let pieces = limited(pieces, account.app().limits().upload_body);
    let body = Body::new(pieces, length);
    match put(account, headers, at, body, policy, metadata).await {
        Err(_) if broke.load(Ordering::Relaxed) => Err(failed("its content broke off.")),
        done => done,
    }
}

fn read_url(text: &str) -> Answer<Url> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Problem::invalid("url", "must be an http or https URL"))
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!essence.is_empty()).then_some(essence)
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).as_deref() == Some("multipart/form-data")
}

/// JSON, or nothing said at all (T8).
fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_none_or(|essence| essence == "application/json")
}

/// Where a file shall go, and what is known of it.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The folder, as it was sent.
    pub parent_id: String,
    /// The name.
    pub name: String,
    /// The media type.
    pub mime_type: Option<String>,
    /// Bytes, when the request does not tell.
    pub size: Option<u64>,
    /// The modification time to keep.
    pub modified: Option<Timestamp>,
}

impl Metadata {
    /// Reads the JSON of the header or of the form's part.
    ///
    /// # Errors
    /// `bad_request` when it is not JSON; `invalid_parameters` naming the member.
    pub fn read(text: String) -> Answer<Self> {
        let body = JsonBody::parse(text.into_bytes()).map_err(|_| {
            Problem::bad_request("The metadata must be a JSON object with parent_id and name.")
        })?;
        Self::of(&body)
    }

    /// Reads the members of a body.
    ///
    /// # Errors
    /// `invalid_parameters` naming the member.
    pub fn of(body: &JsonBody) -> Answer<Self> {
        let size = body.number("size", 0, i64::MAX)?;
        Ok(Self {
            parent_id: body.required_text("parent_id")?,
            name: body.required_text("name")?,
            mime_type: body.text("mime_type")?.filter(|text| !text.is_empty()),
            size: size.and_then(|size| u64::try_from(size).ok()),
            modified: body.time("modified")?,
        })
    }

    /// The JSON that it was read from.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "parent_id": self.parent_id, "name": self.name, "mime_type": self.mime_type,
            "size": self.size, "modified": self.modified.map(|at| at.to_string()),
        })
    }

    /// The place that it names, checked.
    ///
    /// # Errors
    /// `invalid_parameters` for the name, `invalid_parent_folder` for the folder.
    pub async fn place(&self, account: &Account) -> Answer<Place> {
        check_name(&self.name)?;
        Ok(Place::new(account.parent(&self.parent_id).await?, self.name.as_str()))
    }
}

/// Checks the rules for names that hold everywhere.
///
/// # Errors
/// `invalid_parameters`.
pub fn check_name(name: &str) -> Answer<()> {
    let checked = tramontane_connector::place::check_name(name);
    checked.map_err(|error| Problem::from(error).param("name"))
}

/// A request's body as content: broken off when it pauses too long or grows too large. `size` is the
/// length that the caller claims where the request itself tells none.
///
/// # Errors
/// `request_too_large` when the length says so already.
pub fn incoming(app: &App, body: HttpBody, size: Option<u64>) -> Answer<Body> {
    let length = body.size_hint().exact().or(size);
    let most = app.limits().upload_body;
    if let (Some(length), Some(most)) = (length, most)
        && length > most
    {
        let text = format!("The content is larger than the {most} bytes that this server takes.");
        return Err(Problem::new(Code::RequestTooLarge, text));
    }
    let pause = app.limits().body_pause;
    let pieces = futures::stream::unfold(Some(body.into_data_stream()), move |state| async move {
        let mut pieces = state?;
        match tokio::time::timeout(pause, pieces.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(_))) => Some((Err(Error::new(Kind::Body, "The body broke off.")), None)),
            Err(_) => {
                let text = "The body paused for too long.";
                Some((Err(Error::new(Kind::Body, text)), None))
            }
        }
    });
    Ok(Body::new(limited(pieces, most), length).checked())
}

fn limited(
    pieces: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    most: Option<u64>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let mut seen = 0u64;
    pieces.map(move |piece| {
        let piece = piece?;
        seen = seen.saturating_add(piece.len() as u64);
        match most.filter(|most| seen > *most) {
            None => Ok(piece),
            Some(most) => {
                let text = format!("The content is larger than the {most} bytes taken here.");
                Err(Error::new(Kind::TooLarge, text))
            }
        }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn metadata_needs_a_parent_and_a_name_as_strings() {
        let read = |text: &str| Metadata::read(text.to_owned());
        let good = read(r#"{"parent_id":"root","name":"caf\u00e9","size":"7","x":1}"#).unwrap();
        assert_eq!((good.name.as_str(), good.size), ("café", Some(7)));
        for (bad, param) in [
            (r#"{"name":"a"}"#, "parent_id"),
            (r#"{"parent_id":"root"}"#, "name"),
            (r#"{"parent_id":1,"name":"a"}"#, "parent_id"),
            (r#"{"parent_id":"root","name":null}"#, "name"),
            (r#"{"parent_id":"root","name":"a","size":-1}"#, "size"),
        ] {
            let problem = read(bad).unwrap_err();
            assert_eq!(problem.code, Code::InvalidParameters, "{bad}");
            assert!(problem.message.contains(param), "{bad}");
        }
        assert_eq!(read("nonsense").unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn only_web_urls_are_fetched() {
        assert!(read_url("https://www.example.com/a").is_ok());
        for bad in ["", "/a", "ftp://x/y", "file:///etc/passwd", "javascript:1", "http://"] {
            assert!(read_url(bad).is_err(), "{bad}");
        }
    }
}
