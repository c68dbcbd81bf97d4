//! The Drive API itself: addresses, requests, refusals, and the few things worth remembering of an account.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use moka::sync::Cache;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tramontane_connector::http::{Payload, Request, Response};
use tramontane_connector::{Bases, Cx, EntryKind, Error, Kind, Repeat, Result};
use url::Url;

use super::fault::{fault, status_of};
use super::ids::{ROOT, missing};
use super::item::{FIELDS, Item};
use super::odd;

/// How long what is known of an account is kept without use.
const KEPT_IDLE: Duration = Duration::from_secs(900);
/// How many ids are asked for at once.
const IDS_AT_ONCE: &str = "50";

/// An account, and the member whose files are meant.
type Whose = (i64, i64, Option<Arc<str>>);

/// Ids that Drive handed out for files to come.
#[derive(Default)]
struct Ids {
    left: Vec<String>,
    /// A stand-in that knows no such ids.
    lacking: bool,
}

/// Google's addresses, and what is remembered.
pub(super) struct Api {
    /// `https://www.googleapis.com/`.
    pub(super) api: Url,
    /// `https://admin.googleapis.com/`.
    pub(super) directory: Url,
    /// `https://lh3.googleusercontent.com/`.
    thumbnails: Url,
    roots: Cache<Whose, Arc<str>>,
    ids: Cache<Whose, Arc<Mutex<Ids>>>,
    /// The shared drive that a folder is in.
    drives: Cache<(Whose, String), Option<Arc<str>>>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("api", &self.api.as_str()).finish_non_exhaustive()
    }
}

/// A path below a base address.
pub(super) fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|_| Error::internal(format!("{base} and {path} make no address.")))
}

impl Api {
    pub(super) fn new(bases: &Bases) -> Result<Self> {
        let url = |part, own| bases.url("gdrive", part, own);
        let kept = || Cache::builder().max_capacity(200_000).time_to_idle(KEPT_IDLE).build();
        Ok(Self {
            api: url("api", "https://www.googleapis.com/")?,
            directory: url("directory", "https://admin.googleapis.com/")?,
            thumbnails: url("thumbnails", "https://lh3.googleusercontent.com/")?,
            roots: kept(),
            ids: Cache::builder().max_capacity(200_000).time_to_idle(KEPT_IDLE).build(),
            drives: Cache::builder().max_capacity(200_000).time_to_live(KEPT_IDLE).build(),
        })
    }

    /// Whether a credential may go to this address.
    pub(super) fn may_call(&self, url: &Url) -> bool {
        [&self.api, &self.directory, &self.thumbnails]
            .iter()
            .any(|base| base.origin() == url.origin())
    }
}

/// The API as one account, for one call.
pub(super) struct Client<'a> {
    pub(super) api: &'a Api,
    pub(super) cx: &'a Cx,
}

#[derive(Deserialize)]
struct GeneratedIds {
    ids: Vec<String>,
}

#[derive(Deserialize)]
struct OnlyId {
    id: String,
}

impl<'a> Client<'a> {
    pub(super) fn new(api: &'a Api, cx: &'a Cx) -> Self {
        Self { api, cx }
    }

    fn whose(&self) -> Whose {
        (self.cx.account.id.number(), self.cx.account.revision, self.cx.as_user.clone())
    }

    /// An address below `drive/v3/`, its parts percent-encoded.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        self.below("drive/v3", path, query)
    }

    /// An address below `upload/drive/v3/`.
    pub(super) fn upload_url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        self.below("upload/drive/v3", path, query)
    }

    fn below(&self, top: &str, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mut url = join(&self.api.api, top)?;
        url.path_segments_mut()
            .map_err(|()| Error::internal("The base address cannot have a path."))?
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// What is asked of files: everything when the caller wants the service's own JSON.
    pub(super) fn fields(&self) -> &'static str {
        if self.cx.raw { "*" } else { FIELDS }
    }

    /// Sends a request; refusals are errors. A rate limit that comes as 403 is waited for like one that
    /// comes as 429, as long as the request can be sent again.
    pub(super) async fn send(&self, request: Request) -> Result<Response> {
        let name = request.name;
        let spare = Spare::of(&request);
        let mut request = request;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let response = self.cx.send(request).await?;
            if response.status.is_success() {
                return Ok(response);
            }
            let error = fault(response).await;
            let limited = error.kind == Kind::RateLimited && status_of(&error) == Some(403);
            let Some(spare) = spare.as_ref().filter(|_| limited) else { return Err(error) };
            let wait = self.cx.lent.after(self.cx, name, attempt, Repeat::No, Err(&error));
            let Some(wait) = wait else { return Err(error) };
            tokio::time::sleep(wait).await;
            request = spare.again();
        }
    }

    /// Sends a request and reads the JSON of its answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        self.send(request).await?.json().await
    }

    /// Sends a request whose answer is a file.
    pub(super) async fn item(&self, request: Request) -> Result<Item> {
        let response = self.send(request).await?;
        self.item_of(response).await
    }

    /// Reads the answer's file.
    pub(super) async fn item_of(&self, response: Response) -> Result<Item> {
        self.item_from(response.json().await?)
    }

    /// Reads a file, and keeps its JSON when the caller wants it.
    pub(super) fn item_from(&self, value: Value) -> Result<Item> {
        let raw = self.cx.raw.then(|| value.clone());
        let read = serde_json::from_value::<Item>(value);
        let item = read.map_err(|cause| {
            Error::new(Kind::Broken, "Google's answer is not the JSON expected.").because(cause)
        })?;
        if item.id.is_empty() {
            return Err(odd("id"));
        }
        self.remember_drive(&item);
        Ok(Item { raw, ..item })
    }

    /// A file by Drive's id, in the trash or not ("files.get").
    pub(super) async fn get_any(&self, id: &str) -> Result<Item> {
        let query = [("supportsAllDrives", "true"), ("fields", self.fields())];
        let url = self.url(&["files", id], &query)?;
        self.item(Request::new("files_get", Method::GET, url)).await
    }

    /// A file by Drive's id. What is in the trash is not there.
    pub(super) async fn get(&self, id: &str, kind: EntryKind) -> Result<Item> {
        let item = self.get_any(id).await?;
        if item.trashed || item.kind() != kind { Err(missing(kind)) } else { Ok(item) }
    }

    /// Drive's own id of the account's My Drive.
    pub(super) async fn root(&self) -> Result<Arc<str>> {
        let whose = self.whose();
        if let Some(root) = self.api.roots.get(&whose) {
            return Ok(root);
        }
        let url = self.url(&["files", ROOT], &[("fields", "id")])?;
        let root = match self.json::<OnlyId>(Request::new("files_get", Method::GET, url)).await {
            Ok(root) => root.id,
            // A stand-in that has no such folder names it so in `parents`.
            Err(error) if error.is_not_found() => ROOT.to_owned(),
            Err(error) => return Err(error),
        };
        let root: Arc<str> = root.into();
        self.api.roots.insert(whose, Arc::clone(&root));
        Ok(root)
    }

    /// An id for a file to come, so that making it can safely be asked for twice ("files.generateIds").
    /// `None` at a stand-in that has none.
    pub(super) async fn fresh_id(&self) -> Result<Option<String>> {
        let ids = self.api.ids.get_with(self.whose(), Arc::default);
        let mut ids = ids.lock().await;
        if ids.lacking {
            return Ok(None);
        }
        if ids.left.is_empty() {
            let url = self.url(&["files", "generateIds"], &[("count", IDS_AT_ONCE)])?;
            let request = Request::new("files_generate_ids", Method::GET, url);
            match self.json::<GeneratedIds>(request).await {
                Ok(fresh) => ids.left = fresh.ids,
                Err(error) if error.is_not_found() => {
                    ids.lacking = true;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ids.left.pop())
    }

    /// The shared drive that a folder is in, when it is known; `None` when it must be asked.
    pub(super) fn known_drive(&self, folder: &str) -> Option<Option<Arc<str>>> {
        self.api.drives.get(&(self.whose(), folder.to_owned()))
    }

    fn remember_drive(&self, item: &Item) {
        if item.is_folder() {
            let drive = item.drive_id.as_deref().map(Arc::from);
            self.api.drives.insert((self.whose(), item.id.clone()), drive);
        }
    }

    /// The shared drive that a folder is in.
    pub(super) async fn drive_of(&self, folder: &str) -> Result<Option<Arc<str>>> {
        if folder == ROOT {
            return Ok(None);
        }
        match self.known_drive(folder) {
            Some(drive) => Ok(drive),
            None => {
                Ok(self.get(folder, EntryKind::Folder).await?.drive_id.as_deref().map(Arc::from))
            }
        }
    }
}

/// What it takes to send a request again.
struct Spare {
    request: Request,
}

impl Spare {
    fn of(request: &Request) -> Option<Self> {
        copy(request).map(|request| Self { request })
    }

    fn again(&self) -> Request {
        // What was copied once can be copied again.
        copy(&self.request).unwrap_or_else(|| {
            Request::new(self.request.name, self.request.method.clone(), self.request.url.clone())
        })
    }
}

fn copy(request: &Request) -> Option<Request> {
    let Payload::Bytes(bytes) = &request.payload else { return None };
    Some(Request {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        payload: Payload::Bytes(bytes.clone()),
        repeat: request.repeat,
        signed: request.signed,
        follow: request.follow,
        name: request.name,
    })
}

/// A request that carries JSON.
pub(super) fn with_json(name: &'static str, method: Method, url: Url, body: &Value) -> Request {
    Request::new(name, method, url)
        .header(header::CONTENT_TYPE, "application/json; charset=UTF-8")
        .bytes(body.to_string())
}
