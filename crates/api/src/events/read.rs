//! Pages of a feed, one event, and waiting for the next (wire API, sections 29.1 and 46).

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tramontane_feeds::{Error, Page};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::ok;
use crate::problem::{Answer, Problem};
use crate::query::Query;

use super::allowed;
use super::cursor::Place;
use super::view::{One, View, read_id};

/// Events of a page when nothing else is asked for.
const PAGE: u64 = 100;
/// The longest that a request waits for events, in seconds.
const MAX_WAIT: u64 = 60;

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventList)]
pub(crate) struct Events {
    /// Always `object_list`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// Where to read on.
    cursor: String,
    /// Events of this page.
    count: usize,
    /// Events after this page.
    remaining: i64,
    /// Only when events between the cursor that was given and this page are not kept any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    guidance: Option<&'static str>,
    /// The events.
    objects: Vec<One>,
}

/// The place after the newest event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventCursor)]
pub(crate) struct Cursor {
    /// Where to read on.
    cursor: String,
    /// Always `events`.
    api: &'static str,
    /// Always `cursor`.
    r#type: &'static str,
}

/// What an application has to do when events are lost to it.
pub(crate) const GUIDANCE: &str = "Events after the cursor that was given are not kept any more. List what you \
    mirror again (storage/folders/root/contents with recursive=true), then go on from this cursor: what \
    happens meanwhile comes with it.";

/// `GET .../events`.
///
/// # Errors
/// As section 29.1.
pub(crate) async fn list(account: Account, query: Query) -> Answer {
    allowed(&account)?;
    let feed = account.id().number();
    page(&account, feed, &query).await
}

/// `GET .../events/latest`.
///
/// # Errors
/// `forbidden` when events are off.
pub(crate) async fn latest(account: Account) -> Answer {
    allowed(&account)?;
    let feed = account.id().number();
    newest(&account, feed).await
}

/// `GET .../events/{event}`.
///
/// # Errors
/// `not_found` when it is not kept any more.
pub(crate) async fn retrieve(account: Account) -> Answer {
    allowed(&account)?;
    let missing = || Problem::not_found("event");
    let log = account.app().log();
    let own = account.id().number();
    if log.extent(own).await?.is_none() {
        return Err(Error::Off.into());
    }
    let (feed, sequence) = read_id(account.param("event")).ok_or_else(missing)?;
    let theirs = log.subscriptions(own).await?.iter().any(|one| one.feed == feed);
    if !theirs {
        return Err(missing());
    }
    let found = log.event(feed, sequence).await?.ok_or_else(missing)?;
    ok(&View::of(&account).one(found)?)
}

/// A page of a feed, waited for when that is asked.
///
/// # Errors
/// As section 29.1.
pub(crate) async fn page(account: &Account, feed: i64, query: &Query) -> Answer {
    let place = Place::read("cursor", query.text("cursor"))?.unwrap_or(Place::First);
    let size = query.number("page_size", 1, tramontane_feeds::log::MAX_PAGE as u64)?;
    let size = usize::try_from(size.unwrap_or(PAGE)).unwrap_or(1);
    let wait = query.number("wait", 0, MAX_WAIT)?.unwrap_or(0);
    let after = place.find(account.app().log(), feed).await?;
    let page = wait_for(account, feed, after, size, Duration::from_secs(wait)).await?;
    let view = View::of(account);
    let (cursor, remaining, truncated) = (page.cursor, page.remaining(), page.truncated);
    let objects: Vec<One> =
        page.events.into_iter().map(|event| view.one(event)).collect::<Answer<_>>()?;
    ok(&Events {
        r#type: "object_list",
        api: "events",
        cursor: cursor.to_string(),
        count: objects.len(),
        remaining,
        truncated,
        guidance: truncated.then_some(GUIDANCE),
        objects,
    })
}

/// Reads until there is something to give, the time is up, or the server goes down.
async fn wait_for(
    account: &Account,
    feed: i64,
    after: i64,
    size: usize,
    wait: Duration,
) -> Answer<Page> {
    let (app, log) = (account.app(), account.app().log());
    if wait.is_zero() {
        return Ok(log.page(feed, after, size).await?);
    }
    let until = Instant::now() + wait;
    let mut grown = log.live().feed(feed);
    let mut seat = None;
    loop {
        let page = log.page(feed, after, size).await?;
        if !page.events.is_empty() || page.truncated {
            return Ok(page);
        }
        if seat.is_none() {
            // Who waits takes nobody's turn to work, but a place among the application's streams.
            seat = Some(app.streams().seat(account.application_id())?);
            account.call.make_room();
        }
        tokio::select! {
            () = grown.changed() => {}
            () = tokio::time::sleep_until(until) => return Ok(page),
            () = app.draining().cancelled() => return Ok(page),
        }
    }
}

/// The place after a feed's newest event.
///
/// # Errors
/// `forbidden` when there is no such subscription.
pub(crate) async fn newest(account: &Account, feed: i64) -> Answer {
    let extent = account.app().log().extent(feed).await?.ok_or(Error::Off)?;
    ok(&Cursor { cursor: extent.head.to_string(), api: "events", r#type: "cursor" })
}
