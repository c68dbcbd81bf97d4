//! Requests to Graph, and where things are in it.

use std::time::Duration;

use http::{Method, header};
use moka::sync::Cache;
use serde_json::Value;
use tramontane_connector::http::{Request, Response};
use tramontane_connector::{Cx, Error, Kind, Result};
use url::Url;

use super::Flavour;
use super::fault::fault;
use super::id::{Id, is_plausible, same_drive};
use super::names::escaped;

/// How long what is known of a drive is believed.
const KEPT: Duration = Duration::from_secs(600);

/// What seldom changes of a drive.
#[derive(Clone, Debug)]
pub(super) struct DriveFacts {
    /// The real id of its root: moves do not take the word `root`.
    pub(super) root: String,
    /// The library's name.
    pub(super) name: String,
    /// The site that it belongs to.
    pub(super) site: Option<String>,
}

type Key = (i64, i64, Option<String>, String);

/// One Graph: where it is, and what was learnt there.
pub(super) struct Api {
    pub(super) flavour: Flavour,
    /// Ends with `v1.0/`.
    pub(super) base: Url,
    homes: Cache<Key, String>,
    drives: Cache<Key, DriveFacts>,
}

impl Api {
    pub(super) fn new(flavour: Flavour, base: Url) -> Self {
        let homes = Cache::builder().max_capacity(50_000).time_to_live(KEPT).build();
        let drives = Cache::builder().max_capacity(50_000).time_to_live(KEPT).build();
        Self { flavour, base, homes, drives }
    }

    pub(super) fn at<'a>(&'a self, cx: &'a Cx) -> Client<'a> {
        Client { api: self, cx }
    }
}

/// The calls of one account.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) api: &'a Api,
    pub(super) cx: &'a Cx,
}

impl Client<'_> {
    /// The URL of a path whose parts are escaped already.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.api
            .base
            .join(path)
            .map_err(|cause| Error::internal("A URL of Graph cannot be written.").because(cause))
    }

    /// Whose things: `me`, or the member to act as.
    pub(super) fn whose(&self) -> Result<String> {
        match &self.cx.as_user {
            Some(user) if is_plausible(user) => Ok(format!("users/{}", escaped(user))),
            Some(_) => Err(Error::not_found("There is no such member.")),
            None if self.cx.account.admin => Err(Error::invalid(
                "An organisation's account needs the member to act as (X-Kloudless-As-User).",
            )),
            None => Ok("me".into()),
        }
    }

    /// Where an item is, without a slash at the end.
    pub(super) fn path(&self, id: &Id) -> Result<String> {
        Ok(match id {
            Id::Root if self.api.flavour == Flavour::Sharepoint => {
                return Err(Error::new(Kind::NotAllowed, "Sites hold libraries only."));
            }
            Id::Root => format!("{}/drive/root", self.whose()?),
            Id::Site(_) => return Err(Error::new(Kind::NotAllowed, "Sites hold libraries only.")),
            Id::DriveRoot(drive) => format!("drives/{}/root", escaped(drive)),
            Id::Item(drive, item) => format!("drives/{}/items/{}", escaped(drive), escaped(item)),
            Id::Shortcut(_) => return self.path(&id.followed()),
        })
    }

    /// Where a child of an item is, by its name.
    pub(super) fn child_path(&self, parent: &Id, name: &str) -> Result<String> {
        Ok(format!("{}:/{}:", self.path(parent)?, escaped(name)))
    }

    pub(super) fn request(
        &self,
        name: &'static str,
        method: Method,
        path: &str,
    ) -> Result<Request> {
        Ok(Request::new(name, method, self.url(path)?))
    }

    /// Sends, and makes an error of every answer that is no success.
    pub(super) async fn send(&self, request: Request) -> Result<Response> {
        let answer = self.cx.send(request).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(fault(answer).await) }
    }

    /// Sends and reads the JSON that comes back.
    pub(super) async fn json(&self, request: Request) -> Result<Value> {
        self.send(request).await?.json().await
    }

    pub(super) async fn get(&self, name: &'static str, path: &str) -> Result<Value> {
        self.json(self.request(name, Method::GET, path)?).await
    }

    /// A request with a JSON body.
    pub(super) fn with(
        &self,
        name: &'static str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Request> {
        let request = self.request(name, method, path)?;
        Ok(request.header(header::CONTENT_TYPE, "application/json").bytes(body.to_string()))
    }

    /// A request to a pre-authenticated URL: it must carry no token.
    pub(super) fn bare(name: &'static str, method: Method, url: Url) -> Request {
        Request { signed: false, ..Request::new(name, method, url) }
    }

    /// The page that a cursor leads to: Graph's `@odata.nextLink`, when it leads back to Graph.
    pub(super) fn next(&self, name: &'static str, cursor: &str) -> Result<Request> {
        let forgotten =
            || Error::new(Kind::CursorExpired, "This cursor cannot be read. Start again.");
        let url = Url::parse(cursor).map_err(|_| forgotten())?;
        let base = &self.api.base;
        let own = url.origin() == base.origin() && url.path().starts_with(base.path());
        if own { Ok(Request::new(name, Method::GET, url)) } else { Err(forgotten()) }
    }

    fn key(&self, of: &str) -> Key {
        let (account, user) = (&self.cx.account, self.cx.as_user.as_deref());
        (account.id.number(), account.revision, user.map(str::to_owned), of.to_owned())
    }

    /// The id of the account's own drive; none at SharePoint.
    pub(super) async fn home(&self) -> Result<Option<String>> {
        if self.api.flavour == Flavour::Sharepoint {
            return Ok(None);
        }
        let key = self.key("");
        if let Some(home) = self.api.homes.get(&key) {
            return Ok(Some(home));
        }
        let drive = self.get("drive", &format!("{}/drive?$select=id", self.whose()?)).await?;
        let id = text(&drive, "id").ok_or_else(nonsense)?.to_owned();
        self.api.homes.insert(key, id.clone());
        Ok(Some(id))
    }

    /// What is known of a drive.
    pub(super) async fn facts(&self, drive: &str) -> Result<DriveFacts> {
        let key = self.key(drive);
        if let Some(facts) = self.api.drives.get(&key) {
            return Ok(facts);
        }
        let path = format!("drives/{}", escaped(drive));
        let root = self.get("root", &format!("{path}/root?$select=id,parentReference")).await?;
        let name = if self.api.flavour == Flavour::Sharepoint {
            let drive = self.get("drive", &format!("{path}?$select=id,name")).await?;
            text(&drive, "name").unwrap_or("Documents").to_owned()
        } else {
            String::new()
        };
        let site = root.pointer("/parentReference/siteId").and_then(Value::as_str);
        let facts = DriveFacts {
            root: text(&root, "id").ok_or_else(nonsense)?.to_owned(),
            name,
            site: site.map(str::to_owned),
        };
        self.api.drives.insert(key, facts.clone());
        Ok(facts)
    }

    /// Drive and item, with real ids.
    pub(super) async fn real(&self, id: &Id) -> Result<(String, String)> {
        match id {
            Id::Root => {
                let nowhere = || Error::new(Kind::NotAllowed, "Sites hold libraries only.");
                let drive = self.home().await?.ok_or_else(nowhere)?;
                let root = self.facts(&drive).await?.root;
                Ok((drive, root))
            }
            Id::Site(_) => Err(Error::new(Kind::NotAllowed, "Sites hold libraries only.")),
            Id::DriveRoot(drive) => Ok((drive.clone(), self.facts(drive).await?.root)),
            Id::Item(drive, item) => Ok((drive.clone(), item.clone())),
            Id::Shortcut(_) => Box::pin(self.real(&id.followed())).await,
        }
    }

    /// The id of a drive's root as we write it.
    pub(super) fn root_id(home: Option<&str>, drive: &str) -> Id {
        match home {
            Some(home) if same_drive(home, drive) => Id::Root,
            _ => Id::DriveRoot(drive.to_owned()),
        }
    }
}

/// A text member.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// An answer without what it must have.
pub(super) fn nonsense() -> Error {
    Error::new(Kind::Broken, "The service's answer lacks what it should say.")
}

/// The entries and the next page's cursor of a collection.
pub(super) fn collection(page: Value) -> Result<(Vec<Value>, Option<String>)> {
    let Value::Object(mut page) = page else { return Err(nonsense()) };
    let next = page.get("@odata.nextLink").and_then(Value::as_str).map(str::to_owned);
    match page.remove("value") {
        Some(Value::Array(entries)) => Ok((entries, next)),
        _ => Err(nonsense()),
    }
}
