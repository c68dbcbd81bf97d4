//! What changed, by the delta of each drive.
//!
//! "driveItem: delta" (<https://learn.microsoft.com/graph/api/driveitem-delta>) and "Use delta query to track
//! changes in Microsoft Graph data" (<https://learn.microsoft.com/graph/delta-query-overview>).

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde_json::Value;
use tramontane_connector::changes::{
    Change, ChangeFacts, ChangePage, Changes, Collection, KeyedBy, ListingPage, Seen,
};
use tramontane_connector::http::Request;
use tramontane_connector::{Account, Cx, Entry, Error, Kind, Push, Result};
use tramontane_model::{PageRequest, Timestamp};

use super::Flavour;
use super::api::{Client, nonsense, text};
use super::id::Id;
use super::item::Item;
use super::storage::GraphStorage;

/// The most libraries that are followed.
const MAX_COLLECTIONS: usize = 1_000;
/// The most pages of sites, and of libraries of one site.
const MAX_PAGES: usize = 100;
/// The page of sites and libraries.
const PAGE: usize = 200;

/// How the feed behaves.
const FACTS: ChangeFacts = ChangeFacts {
    keyed_by: KeyedBy::Id,
    silent_below: true,
    splits_moves: false,
    at_least: Duration::from_secs(30),
    // Tokens of drives have no documented life; those of the directory live for seven days.
    at_most: Duration::from_secs(2 * 86_400),
    // "No more than once per day" beside webhooks ("Best practices for discovering files and detecting
    // changes at scale").
    backstop: Duration::from_secs(86_400),
    waits: false,
};

/// A page of a delta.
struct Delta {
    items: Vec<Value>,
    /// Where it goes on now.
    next: Option<String>,
    /// Where it goes on later.
    last: Option<String>,
}

/// What a delta is asked with is well-formed: a refusal is of the cursor. "410 Gone" asks to begin again.
fn forgotten(error: Error) -> Error {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    if status == Some(410) || error.kind == Kind::Invalid {
        let text = "The service has forgotten this cursor. Start again.";
        return Error::new(Kind::CursorExpired, text).because(error);
    }
    error
}

/// When the service itself took note of a change.
fn moment(value: &Value) -> Option<Timestamp> {
    text(value, "lastModifiedDateTime").and_then(Timestamp::parse)
}

fn there(entry: Entry, key: Option<String>, at: Option<Timestamp>) -> Change {
    let by = entry.last_modifier.clone();
    Change { seen: Seen::There { entry: Box::new(entry), key, sharing: None }, at, by, hint: None }
}

impl Client<'_> {
    /// The root that a collection is below: of the account's own drive or of a library.
    pub(super) fn root_of(&self, of: &Collection) -> Result<Id> {
        match Id::parse(&of.root)? {
            Id::Root if self.api.flavour != Flavour::Sharepoint => Ok(Id::Root),
            Id::DriveRoot(drive) => Ok(Id::DriveRoot(drive)),
            _ => Err(Error::not_found("There is no such drive.")),
        }
    }

    async fn delta(&self, request: Request) -> Result<Delta> {
        let Value::Object(mut page) = self.json(request).await? else { return Err(nonsense()) };
        let link = |name: &str| page.get(name).and_then(Value::as_str).map(str::to_owned);
        let (next, last) = (link("@odata.nextLink"), link("@odata.deltaLink"));
        match page.remove("value") {
            Some(Value::Array(items)) if next.is_some() || last.is_some() => {
                Ok(Delta { items, next, last })
            }
            _ => Err(nonsense()),
        }
    }

    /// What a page says. "The same item may appear more than once in a delta feed": of several the last
    /// counts.
    async fn observed(&self, root: &Id, items: Vec<Value>) -> Result<Vec<Change>> {
        let mut last: HashMap<String, usize> = HashMap::with_capacity(items.len());
        for (n, value) in items.iter().enumerate() {
            last.insert(text(value, "id").ok_or_else(nonsense)?.to_owned(), n);
        }
        let mut changes = Vec::with_capacity(last.len());
        for (n, value) in items.into_iter().enumerate() {
            let item = Item::read(&value)?;
            // The root comes along with whatever changed below it.
            if last.get(&item.id) != Some(&n) || item.is_root() {
                continue;
            }
            let at = moment(&value);
            if value.get("deleted").is_some_and(|facet| !facet.is_null()) {
                let drive = match (item.drive(), root) {
                    (Some(drive), _) => drive.to_owned(),
                    (None, Id::DriveRoot(drive)) => drive.clone(),
                    (None, _) => self.home().await?.ok_or_else(nonsense)?,
                };
                let key = Id::Item(drive, item.id).native().as_str().to_owned();
                changes.push(Change {
                    seen: Seen::Gone { key, trashed: None },
                    at,
                    by: None,
                    hint: None,
                });
                continue;
            }
            let entry = self.entry(value).await?;
            // What is gone is named without what it stood for.
            let key = match Id::parse(&entry.id)? {
                id @ Id::Shortcut(_) => Some(id.itself().native().as_str().to_owned()),
                _ => None,
            };
            changes.push(there(entry, key, at));
        }
        Ok(changes)
    }

    /// The libraries below one folder of the upper floors.
    async fn libraries_of(&self, site: Option<&str>, all: &mut Vec<Collection>) -> Result<()> {
        let mut page = PageRequest::first(PAGE);
        for _ in 0..MAX_PAGES {
            let listed = match site {
                Some(site) => self.list_site(site, &page).await?,
                None => self.list_top(&page).await?,
            };
            for entry in listed.items {
                match Id::parse(&entry.id)? {
                    Id::DriveRoot(id) if all.len() < MAX_COLLECTIONS => {
                        all.push(Collection { id, root: entry.id });
                    }
                    Id::Site(site) if all.len() < MAX_COLLECTIONS => {
                        // A site that is listed may be closed to the account all the same.
                        match Box::pin(self.libraries_of(Some(&site), all)).await {
                            Err(error) if !is_closed(&error) => return Err(error),
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
            match listed.next {
                Some(next) if all.len() < MAX_COLLECTIONS => {
                    page = PageRequest::after(next, PAGE);
                }
                _ => break,
            }
        }
        Ok(())
    }
}

fn is_closed(error: &Error) -> bool {
    matches!(error.kind, Kind::NotFound | Kind::Forbidden)
}

#[async_trait]
impl Changes for GraphStorage {
    fn facts(&self, _account: &Account) -> ChangeFacts {
        FACTS
    }

    /// The account's own drive; at SharePoint every library of the sites that are shown. No feed tells of
    /// libraries that come and go. What others shared shows in one's own drive as a shortcut, and what is
    /// behind that is not followed: it changes in the other drive.
    async fn collections(&self, cx: &Cx) -> Result<Vec<Collection>> {
        if self.api.flavour != Flavour::Sharepoint {
            return Ok(vec![Collection { id: String::new(), root: Id::Root.native() }]);
        }
        let mut all = Vec::new();
        self.api.at(cx).libraries_of(None, &mut all).await?;
        Ok(all)
    }

    /// "token=latest": an empty page with the latest delta token.
    async fn latest(&self, cx: &Cx, of: &Collection) -> Result<String> {
        let client = self.api.at(cx);
        let path = format!("{}/delta?token=latest", client.path(&client.root_of(of)?)?);
        let delta = client.delta(client.request("delta", Method::GET, &path)?).await?;
        delta.last.or(delta.next).ok_or_else(nonsense)
    }

    /// The cursor is the whole address that Graph gave. Items come in their latest state, and so may the
    /// folders above them, unchanged.
    async fn changes(&self, cx: &Cx, of: &Collection, cursor: &str) -> Result<ChangePage> {
        let client = self.api.at(cx);
        let root = client.root_of(of)?;
        let delta = client.delta(client.next("delta", cursor)?).await.map_err(forgotten)?;
        let changes = client.observed(&root, delta.items).await?;
        let more = delta.next.is_some();
        if more && delta.next.as_deref() == Some(cursor) {
            return Err(Error::new(Kind::Broken, "The service's feed does not come to an end."));
        }
        let next = delta.next.or(delta.last).ok_or_else(nonsense)?;
        Ok(ChangePage { changes, next, more, collections: false })
    }

    /// A delta without a token "enumerates the hierarchy's current state"; only this is complete while others
    /// write.
    async fn listing(&self, cx: &Cx, of: &Collection, at: Option<&str>) -> Result<ListingPage> {
        let client = self.api.at(cx);
        let root = client.root_of(of)?;
        let request = match at {
            Some(at) => client.next("delta", at)?,
            None => {
                let path = format!("{}/delta?$top=1000", client.path(&root)?);
                client.request("delta", Method::GET, &path)?
            }
        };
        let delta = client.delta(request).await;
        let delta = if at.is_some() { delta.map_err(forgotten)? } else { delta? };
        if delta.next.is_some() && delta.next.as_deref() == at {
            return Err(Error::new(Kind::Broken, "The service's feed does not come to an end."));
        }
        let entries = client.observed(&root, delta.items).await?;
        let cursor = delta.last.filter(|_| delta.next.is_none());
        Ok(ListingPage { entries, next: delta.next, cursor })
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }
}
