//! The stream of one account (wire API, section 53).

use axum::response::Response;
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tramontane_feeds::Error;

use crate::account::Account;
use crate::problem::{Answer, Problem};
use crate::query::Query;

use super::allowed;
use super::cursor::Place;
use super::filter::Filter;
use super::outlet::{self, Gone, Outlet};
use super::read::GUIDANCE;
use super::ticket::{Pass, Reader};
use super::view::View;

/// Events that are read at once.
const BATCH: usize = 100;
/// Where a client that comes back says what it saw last.
pub(crate) const LAST: &str = "Last-Event-ID";

/// `GET .../events/stream`.
///
/// # Errors
/// As section 29.1; `too_many_requests` when the application has too many open.
pub(crate) async fn open(reader: Reader, headers: HeaderMap, query: Query) -> Answer<Response> {
    let Reader { account, pass, hangup } = reader;
    allowed(&account)?;
    let filter = Filter::read(&query)?;
    let last = last_seen(&headers)?;
    let (param, place) = match Place::read(LAST, last)? {
        Some(place) => (LAST, place),
        None => ("cursor", Place::read("cursor", query.text("cursor"))?.unwrap_or(Place::Latest)),
    };
    let app = account.app();
    let feed = account.id().number();
    // Taken before the place is looked up, so that nothing falls between.
    let grown = app.log().live().feed(feed);
    let after = place.find(app.log(), feed).await?;
    let head = app.log().extent(feed).await?.ok_or(Error::Off)?.head;
    if after > head {
        let rule = format!("must be between 0 and {head}, the newest event");
        return Err(Problem::invalid(param, rule));
    }
    let seat = app.streams().seat(account.application_id())?;
    account.call.make_room();
    let (outlet, response) = outlet::open(app, seat, hangup);
    let stream = Stream { account, pass, filter, feed, after, told: after, grown };
    tokio::spawn(stream.run(outlet));
    Ok(response)
}

/// What a client that comes back saw last; `None` when it says nothing.
///
/// # Errors
/// `invalid_parameters` when it is no text.
pub(crate) fn last_seen(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(value) = headers.get(LAST) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::invalid(LAST, "must be the id of an event"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// An open stream.
struct Stream {
    account: Account,
    pass: Pass,
    filter: Filter,
    feed: i64,
    /// The number of the last event that was read.
    after: i64,
    /// The number of the last event that the client knows of.
    told: i64,
    grown: tramontane_feeds::live::Watch,
}

/// Why a stream ends.
enum End {
    /// The client is told.
    Bye(&'static str),
    /// The client has gone, or was cut off.
    Gone,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Stream {
    async fn run(mut self, mut outlet: Outlet) {
        match self.pump(&mut outlet).await {
            End::Bye(reason) => outlet.bye(reason).await,
            End::Gone => {}
        }
    }

    /// Reads and sends until something ends it.
    async fn pump(&mut self, outlet: &mut Outlet) -> End {
        let app = self.account.app().clone();
        let every = app.limits().stream_beat;
        let mut beat = Instant::now() + every;
        loop {
            if app.draining().is_cancelled() {
                return End::Bye("draining");
            }
            if Instant::now() >= beat {
                if !self.pass.is_good(&self.account).await {
                    return End::Bye("revoked");
                }
                if self.told < self.after {
                    outlet.mark(&self.after.to_string());
                    self.told = self.after;
                }
                if outlet.beat().await.is_err() {
                    return End::Gone;
                }
                beat = Instant::now() + every;
            }
            match self.step(outlet).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(end) => return end,
            }
            tokio::select! {
                () = self.grown.changed() => {}
                () = sleep_until(beat) => {}
                () = app.draining().cancelled() => {}
                () = outlet.gone() => return End::Gone,
            }
        }
    }

    /// Reads one batch; whether there was anything.
    async fn step(&mut self, outlet: &mut Outlet) -> Result<bool, End> {
        let page = match self.account.app().log().page(self.feed, self.after, BATCH).await {
            Ok(page) => page,
            Err(Error::Off) => return Err(End::Bye("off")),
            Err(error) => {
                tracing::error!(%error, feed = self.feed, "an event stream could not be read on");
                outlet.cut_off();
                return Err(End::Gone);
            }
        };
        let first = page.events.first().map_or(page.cursor + 1, |event| event.sequence);
        if page.truncated {
            let cursor = (first - 1).to_string();
            let data = serde_json::json!({"cursor": cursor, "guidance": GUIDANCE});
            outlet.event(&cursor, "truncated", &data).await?;
            self.told = first - 1;
        }
        let found = page.truncated || !page.events.is_empty();
        let view = View::of(&self.account);
        for numbered in page.events {
            let (sequence, name) = (numbered.sequence, numbered.event.type_name());
            if self.filter.lets(&numbered.event) {
                let Ok(shown) = view.one(numbered) else {
                    outlet.cut_off();
                    return Err(End::Gone);
                };
                outlet.event(&sequence.to_string(), &name, &shown).await?;
                self.told = sequence;
            }
        }
        self.after = page.cursor;
        outlet.flush().await?;
        Ok(found)
    }
}
