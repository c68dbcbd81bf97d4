//! What changed, by the user's stream of events, and the real-time servers that tell of news.
//!
//! <https://developer.box.com/reference/get-events/>, <https://developer.box.com/reference/options-events/>,
//! <https://developer.box.com/guides/events/>.
//!
//! There are no pushes: webhooks (version 2) hang on one file or folder each, not on the root, at most a
//! thousand for an app and user, and a message names the webhook and not whose it is. What they tell is
//! told by the long poll as well, for everything and with one call.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use http::Method;
use serde::{Deserialize, Serialize};
use tramontane_connector::changes::{
    Change, ChangeFacts, ChangePage, Changes, Collection, KeyedBy, ListingPage, Seen, Waited,
};
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{Account, Cx, Entry, Error, Result};
use url::Url;

use super::client::Client;
use super::events::{self, Page, Told, is_position};
use super::fault::cursor as forgotten;
use super::id::Id;
use super::storage::BoxStorage;
use super::walk::Walk;

/// The longest page of events.
const PAGE: &str = "500";
/// "Events are kept for two weeks up to two months": an older position would be read on from without a
/// word of what is missing.
const KEPT_SECONDS: i64 = 14 * 86_400;
/// How long after a long poll began it is looked whether something happened before it did.
const BEFORE: Duration = Duration::from_secs(1);

/// How the stream behaves.
const FACTS: ChangeFacts = ChangeFacts {
    keyed_by: KeyedBy::Id,
    silent_below: true,
    splits_moves: false,
    at_least: Duration::from_secs(10),
    at_most: Duration::from_secs(4 * 86_400),
    backstop: Duration::from_secs(3_600),
    waits: true,
};

/// Where an account's stream goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "p")]
    position: String,
    /// When it was given, in seconds since 1970.
    #[serde(rename = "t")]
    given: i64,
    /// Folders that came into sight as a whole: a copy of a folder is one event.
    #[serde(rename = "w", default, skip_serializing_if = "Walk::is_over")]
    walk: Walk,
}

impl Cursor {
    fn read(text: &str, cx: &Cx) -> Result<Self> {
        let read = serde_json::from_str::<Self>(text).ok();
        let age = |cursor: &Self| cx.now().seconds().saturating_sub(cursor.given);
        let good = |cursor: &Self| {
            is_position(&cursor.position) && cursor.walk.is_sound() && age(cursor) <= KEPT_SECONDS
        };
        read.filter(good).ok_or_else(|| {
            Error::new(Kind::CursorExpired, "Box may have forgotten events since this cursor.")
        })
    }

    fn write(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|cause| Error::internal("The cursor cannot be written.").because(cause))
    }
}

/// Where to wait.
#[derive(Deserialize)]
struct Servers {
    entries: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    url: String,
}

/// What a real-time server says: `new_change`, or `reconnect` and other words when it was nothing.
#[derive(Deserialize)]
struct Said {
    message: Option<String>,
}

#[derive(Deserialize)]
struct Me {
    id: String,
}

impl Client<'_> {
    /// `stream_type=changes`: what may change the tree of files.
    async fn events(&self, position: &str, limit: &str) -> Result<Page> {
        let query = [("stream_type", "changes"), ("stream_position", position), ("limit", limit)];
        let url = self.api(&["events"], &query)?;
        let page = self.json(self.request("events", Method::GET, url)).await;
        page.map_err(|error| forgotten(error, position != "now"))
    }

    /// The thing as it is now; `None` when it is out of the account's sight.
    async fn looked_at(&self, id: &Id) -> Result<Option<Entry>> {
        match self.item(id).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn own_id(&self) -> Result<String> {
        let url = self.api(&["users", "me"], &[("fields", "id")])?;
        let me: Me = self.json(self.request("who", Method::GET, url)).await?;
        Ok(me.id)
    }

    /// One observation, and whether what is in the folder came into sight with it.
    async fn observed(&self, told: Told, me: &mut Option<String>) -> Result<(Change, bool)> {
        let now = match told.must_be_looked_at() {
            true => self.looked_at(&told.id).await?,
            false => None,
        };
        let (mut comes_whole, is_given) = (told.comes_whole, told.is_given);
        let change = told.change(now);
        let Seen::There { entry, .. } = &change.seen else { return Ok((change, false)) };
        if is_given && entry.is_folder() && !comes_whole {
            let me = match me {
                Some(me) => me,
                None => me.insert(self.own_id().await?),
            };
            // One's own folder was in sight before it was shared.
            let owner = entry.owner.as_ref().and_then(|owner| owner.id.as_ref());
            comes_whole = owner.is_none_or(|owner| owner.as_str() != me.as_str());
        }
        Ok((change, comes_whole))
    }

    /// Waits for the word of a real-time server.
    async fn realtime(&self) -> Result<bool> {
        let url = self.api(&["events"], &[])?;
        let servers: Servers = self.json(self.request("realtime", Method::OPTIONS, url)).await?;
        let server = servers.entries.into_iter().next();
        let url = server.and_then(|server| Url::parse(&server.url).ok()).ok_or_else(|| {
            Error::new(Kind::Broken, "Box does not say where to wait for events.")
        })?;
        // The address is of another host, and carries its own right.
        let mut request = Request::new("wait", Method::GET, url);
        request.signed = false;
        let said: Said = self.json(request).await?;
        Ok(said.message.as_deref() == Some("new_change"))
    }
}

fn listed(entry: Entry) -> Change {
    let seen = Seen::There { entry: Box::new(entry), key: None, sharing: None };
    Change { seen, at: None, by: None, hint: None }
}

#[async_trait]
impl Changes for BoxStorage {
    fn facts(&self, _account: &Account) -> ChangeFacts {
        FACTS
    }

    /// One: what others share lies in the account's root.
    async fn collections(&self, _cx: &Cx) -> Result<Vec<Collection>> {
        Ok(vec![Collection { id: String::new(), root: Id::root().native() }])
    }

    /// `stream_position=now`.
    async fn latest(&self, cx: &Cx, _of: &Collection) -> Result<String> {
        let position = self.client(cx).events("now", PAGE).await?.next()?;
        Cursor { position, given: cx.now().seconds(), walk: Walk::default() }.write()
    }

    /// Events with the things as they were then; doubles are normal. Folders that come into sight are told
    /// of without what is in them: that is listed on the pages that follow.
    async fn changes(&self, cx: &Cx, _of: &Collection, cursor: &str) -> Result<ChangePage> {
        let client = self.client(cx);
        let mut cursor = Cursor::read(cursor, cx)?;
        if !cursor.walk.is_over() {
            let found = cursor.walk.step(&client).await?;
            let changes = found.into_iter().map(listed).collect();
            return Ok(ChangePage {
                changes,
                next: cursor.write()?,
                more: true,
                collections: false,
            });
        }
        let page = client.events(&cursor.position, PAGE).await?;
        // Worth storing even when nothing came with it.
        cursor.position = page.next()?;
        cursor.given = cx.now().seconds();
        let more = !page.entries.is_empty();
        let (mut changes, mut me) = (Vec::new(), None);
        for told in events::told(page.entries, cx.raw) {
            let id = told.id.clone();
            let (change, comes_whole) = client.observed(told, &mut me).await?;
            if comes_whole {
                cursor.walk.add(&id);
            }
            changes.push(change);
        }
        Ok(ChangePage { changes, next: cursor.write()?, more, collections: false })
    }

    /// A walk through all folders.
    async fn listing(&self, cx: &Cx, _of: &Collection, at: Option<&str>) -> Result<ListingPage> {
        let mut walk = match at {
            Some(at) => Walk::read(at)?,
            None => Walk::below(&Id::root()),
        };
        let found = walk.step(&self.client(cx)).await?;
        let next = if walk.is_over() { None } else { Some(walk.write()?) };
        Ok(ListingPage { entries: found.into_iter().map(listed).collect(), next, cursor: None })
    }

    /// A long poll at a real-time server. What happened after the cursor and before the poll began is asked
    /// for as soon as it has begun.
    async fn wait(
        &self,
        cx: &Cx,
        _of: &Collection,
        cursor: &str,
        within: Duration,
    ) -> Result<Waited> {
        let cursor = Cursor::read(cursor, cx)?;
        if !cursor.walk.is_over() {
            return Ok(Waited { changed: true, back_off: None });
        }
        let waiting = cx.waiting(within.saturating_add(Duration::from_secs(10)));
        let client = self.client(&waiting);
        let news = std::pin::pin!(client.realtime());
        let before = std::pin::pin!(async {
            tokio::time::sleep(BEFORE).await;
            client.events(&cursor.position, "1").await.map(|page| !page.entries.is_empty())
        });
        let first = async {
            match select(news, before).await {
                Either::Left((news, _)) => news,
                Either::Right((Ok(false), news)) => news.await,
                Either::Right((decided, _)) => decided,
            }
        };
        let changed = match tokio::time::timeout(within, first).await {
            Ok(changed) => changed?,
            Err(_) => false,
        };
        Ok(Waited { changed, back_off: None })
    }
}
