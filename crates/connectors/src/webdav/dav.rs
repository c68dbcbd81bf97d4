//! The requests of WebDAV, one function each, over what a call is lent.

use http::header::{self, HeaderName};
use http::{Method, StatusCode};
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Cx, ETag, Entry, EntryKind, EntryRef, Error, Kind, Repeat, Result};
use tramontane_model::NativeId;
use url::Url;

use super::fault::{fault, meaning};
use super::path::{self, Anchor};
use super::profile::Profile;
use super::props::{self, Facts};
use super::xml::{self, Item, is_success};

const DEPTH: HeaderName = HeaderName::from_static("depth");
const DESTINATION: HeaderName = HeaderName::from_static("destination");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");

/// How far a request reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
    Infinity,
}

impl Depth {
    fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::One => "1",
            Self::Infinity => "infinity",
        }
    }
}

/// The server of the account that a call is for.
pub(super) struct Dav<'a> {
    pub cx: &'a Cx,
    pub profile: Profile,
}

impl<'a> Dav<'a> {
    pub(super) fn of(cx: &'a Cx) -> Result<Self> {
        Ok(Self { cx, profile: Profile::of(&cx.account)? })
    }

    pub(super) fn request(name: &'static str, method: &str, url: Url) -> Request {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        Request::new(name, method, url)
    }

    /// `PROPFIND`, or another request that a multistatus answers. Gives each response as it comes.
    pub(super) async fn find(
        &self,
        request: Request,
        each: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let request = request.header(header::CONTENT_TYPE, "application/xml; charset=utf-8");
        let answer = self.cx.send(request).await?;
        match answer.status {
            StatusCode::MULTI_STATUS => xml::multistatus(answer.body, each).await,
            // Some proxies turn 207 into 200.
            StatusCode::OK if is_xml(&answer) => xml::multistatus(answer.body, each).await,
            status if status.is_success() => {
                Err(Error::new(Kind::Broken, "The WebDAV server answered with a web page."))
            }
            _ => Err(fault(answer).await),
        }
    }

    pub(super) fn propfind(name: &'static str, url: Url, depth: Depth, body: String) -> Request {
        Self::request(name, "PROPFIND", url).header(DEPTH, depth.as_str()).bytes(body)
    }

    /// The properties of one thing.
    pub(super) async fn item(&self, url: Url, body: String) -> Result<Item> {
        let anchor = Anchor::of(&url);
        let mut found: Option<Item> = None;
        let request = Self::propfind("propfind", url, Depth::Zero, body);
        self.find(request, |item| {
            // Servers that ignore the depth send more; the exact match wins, else the first.
            if found.is_none() || anchor.is_own(&item.href) {
                found = Some(item);
            }
            Ok(())
        })
        .await?;
        let item = found.ok_or_else(|| {
            Error::new(Kind::Broken, "The WebDAV server answered with an empty list.")
        })?;
        match item.status {
            Some(status) if !is_success(status) => {
                Err(meaning(status, item.condition.as_deref(), item.message.as_deref()))
            }
            _ => Ok(item),
        }
    }

    /// What is at this path, of either kind.
    pub(super) async fn look(&self, id: &NativeId, folder: bool) -> Result<Entry> {
        let url = self.profile.url(id, folder)?;
        let item = self.item(url, props::of_entries(self.profile.dialect)).await?;
        Ok(Facts::of(&item, self.cx.raw).entry(id))
    }

    /// What is at this path, of either kind; `None` when nothing is.
    pub(super) async fn look_if_any(&self, id: &NativeId) -> Result<Option<Entry>> {
        match self.look(id, false).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.is_not_found() => Ok(None),
            // Below a file some servers forbid to look, and some call the request bad.
            Err(error) if matches!(error.kind, Kind::Forbidden | Kind::Invalid) => {
                match path::split(id) {
                    Some((parent, _)) if !self.is_folder(&parent).await? => Ok(None),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The entry, when it is of the kind that the reference says.
    pub(super) async fn get(&self, of: &EntryRef) -> Result<Entry> {
        let entry = match self.look(&of.id, of.kind == EntryKind::Folder).await {
            Ok(entry) => entry,
            Err(error) if error.is_not_found() => return Err(missing(of.kind).because(error)),
            // A file with a slash at its end is refused in many ways; its own path tells.
            Err(error) if of.kind == EntryKind::Folder && is_no_folder(&error) => {
                match self.look(&of.id, false).await {
                    Ok(entry) if entry.is_folder() => return Err(error),
                    Ok(_) => return Err(missing(of.kind)),
                    Err(other) if other.is_not_found() => return Err(missing(of.kind)),
                    Err(_) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        if entry.kind == of.kind { Ok(entry) } else { Err(missing(of.kind)) }
    }

    /// Whether there is such a folder.
    pub(super) async fn is_folder(&self, id: &NativeId) -> Result<bool> {
        match self.get(&EntryRef::folder(id.clone())).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `MOVE` or `COPY`. The answer's status when it says yes.
    pub(super) async fn transfer(
        &self,
        name: &'static str,
        method: &str,
        from: Url,
        to: &Url,
        overwrite: bool,
        extra: &[(HeaderName, String)],
    ) -> Result<StatusCode> {
        let send = |destination: String| {
            let mut request = Self::request(name, method, from.clone())
                .repeat(Repeat::No)
                .header(DESTINATION, destination)
                .header(OVERWRITE, if overwrite { "T" } else { "F" });
            if method == "COPY" {
                request = request.header(DEPTH, Depth::Infinity.as_str());
            }
            for (name, value) in extra {
                request = request.header(name.clone(), value);
            }
            self.cx.send(request)
        };
        let mut answer = send(to.as_str().to_owned()).await?;
        if answer.status == StatusCode::BAD_GATEWAY {
            // Behind a proxy a server may not know its own address; the path alone it knows
            // (RFC 4918 section 10.3 takes both forms).
            answer = send(to.path().to_owned()).await?;
        }
        self.settled(answer).await
    }

    /// `DELETE`. The answer's status when it says yes.
    pub(super) async fn delete(&self, url: Url, if_match: Option<&ETag>) -> Result<StatusCode> {
        let mut request = Self::request("delete", "DELETE", url);
        if let Some(etag) = if_match.filter(|etag| !etag.weak) {
            request = request.header(header::IF_MATCH, etag.to_string());
        }
        let answer = self.cx.send(request).await?;
        self.settled(answer).await
    }

    /// Reads an answer to the end: a multistatus names the parts that failed.
    async fn settled(&self, answer: Response) -> Result<StatusCode> {
        let status = answer.status;
        if status == StatusCode::MULTI_STATUS {
            return failures(answer).await.map(|()| status);
        }
        if status.is_success() {
            return Ok(status);
        }
        Err(fault(answer).await)
    }

    /// Deletes what a failure left behind, as well as it goes, also when nobody waits any more.
    pub(super) fn clean_up(cx: &Cx, url: Url) {
        let cx = cx.background(std::time::Duration::from_secs(60));
        tokio::spawn(async move {
            let request = Self::request("delete", "DELETE", url);
            if let Err(error) = cx.send(request).await {
                tracing::debug!(%error, "an unfinished upload could not be deleted");
            }
        });
    }
}

/// The first part that failed, as the failure of the whole; a `424` only says that another did.
async fn failures(answer: Response) -> Result<()> {
    let (mut failed, mut first): (usize, Option<(u16, Item)>) = (0, None);
    xml::multistatus(answer.body, |item| {
        if let Some(status) = item.status.filter(|status| !is_success(*status)) {
            failed += 1;
            if first.as_ref().is_none_or(|(known, _)| *known == 424) {
                first = Some((status, item));
            }
        }
        Ok(())
    })
    .await?;
    let Some((status, item)) = first else { return Ok(()) };
    let mut error = meaning(status, item.condition.as_deref(), item.message.as_deref());
    let name = path::Href::parse(&item.href, &[]).and_then(|href| href.segments.last().cloned());
    let rest = if failed > 1 { format!(" and {} more", failed - 1) } else { String::new() };
    error.message = format!(
        "Only part of it was done; \"{}\"{rest} failed: {}",
        name.unwrap_or_default(),
        error.message
    );
    if error.is_not_found() || matches!(error.kind, Kind::Conflict(_)) {
        error.kind = Kind::Broken;
    }
    Err(error)
}

fn is_xml(answer: &Response) -> bool {
    answer.header(&header::CONTENT_TYPE).is_some_and(|kind| kind.contains("xml"))
}

/// Whether an error may only say that a folder's URL was used for what is no folder.
pub(super) fn is_no_folder(error: &Error) -> bool {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    matches!(status, Some(301..=308 | 400 | 403 | 405 | 409 | 500))
}

/// There is no such thing of this kind.
pub(super) fn missing(kind: EntryKind) -> Error {
    Error::not_found(format!("There is no such {}.", kind.as_str()))
}
