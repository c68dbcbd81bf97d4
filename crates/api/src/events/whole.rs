//! The stream of all accounts of an application (wire API, section 53).
//!
//! There is no log of an application: its accounts write to the shards, each with positions of its own. The
//! place in this stream is a vector of positions, sealed, because positions tell how much happens on the whole
//! server. Order holds in each account, not between accounts.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures::FutureExt as _;
use futures::future::select_all;
use http::HeaderMap;
use secrecy::SecretString;
use tokio::time::{Instant, sleep_until};
use tramontane_accounts::{Caller, KeyCaller};
use tramontane_activity::Category;
use tramontane_feeds::following::FIRST_FEED;
use tramontane_feeds::live::Watch;
use tramontane_feeds::retention::EVENT_DAYS;
use tramontane_feeds::shard::SHARDS;
use tramontane_feeds::{Error, Numbered};
use tramontane_model::Code;

use crate::account::Account;
use crate::call::Call;
use crate::caller::{ApiKey, Presenting};
use crate::problem::{Answer, Problem};
use crate::public;
use crate::query::Query;
use crate::state::App;

use super::filter::Filter;
use super::outlet::{self, Gone, Outlet};
use super::read::GUIDANCE;
use super::stream::{LAST, last_seen};
use super::ticket;
use super::view::View;

/// Events of a shard that are read at once.
const BATCH: usize = 200;
/// The mark of these cursors.
const MARK: &str = "evc_";
/// How long a cursor is good, in seconds. Events are not kept longer.
const CURSOR_SECONDS: i64 = 400 * 86_400;

/// The next position of each shard. A shard that is not there yet is read from its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places(BTreeMap<i64, i64>);

impl Places {
    fn next(&self, shard: i64) -> i64 {
        self.0.get(&shard).copied().unwrap_or(1)
    }

    fn set(&mut self, shard: i64, next: i64) {
        self.0.insert(shard, next);
    }

    /// One number for each shard, seven bits to a byte, the lowest first (LEB128).
    fn pack(&self) -> String {
        let mut bytes = Vec::with_capacity(256);
        for shard in 0..SHARDS {
            let mut left = self.next(shard).unsigned_abs();
            loop {
                let low = u8::try_from(left & 0x7f).unwrap_or(0);
                left >>= 7;
                if left == 0 {
                    bytes.push(low);
                    break;
                }
                bytes.push(low | 0x80);
            }
        }
        STANDARD_NO_PAD.encode(bytes)
    }

    fn unpack(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text).ok()?;
        let (mut places, mut number, mut shift) = (Self::default(), 0_u64, 0_u32);
        let mut shard = 0;
        for byte in bytes {
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                places.set(shard, i64::try_from(number).ok().filter(|next| *next > 0)?);
                (number, shift, shard) = (0, 0, shard + 1);
            }
        }
        (shift == 0 && shard == SHARDS).then_some(places)
    }
}

fn context(application: &str) -> String {
    format!("events of application {application}")
}

fn seal(app: &App, application: &str, places: &Places) -> Answer<String> {
    let expires = app.now().plus_seconds(CURSOR_SECONDS);
    Ok(app.keys().sealer(MARK).seal(&context(application), expires, &places.pack())?)
}

async fn unseal(app: &App, application: &str, param: &str, cursor: &str) -> Answer<Places> {
    let sealer = app.keys().sealer(MARK);
    let opened = app.keys().open_token::<String>(&sealer, &context(application), cursor).await;
    let rule = "must be the id of an event of this stream, earliest or latest";
    let bad = || Problem::invalid(param, rule);
    Places::unpack(&opened.map_err(|_| bad())?).ok_or_else(bad)
}

/// `GET /v1/events/stream`.
///
/// # Errors
/// `forbidden` when events are off; `invalid_parameters`; `too_many_requests` when too many are open.
pub(crate) async fn open(
    State(app): State<App>,
    ApiKey(key): ApiKey,
    Presenting { credential, hangup }: Presenting,
    call: Call,
    headers: HeaderMap,
    query: Query,
) -> Answer<Response> {
    if !Account::may_follow(&key.access) {
        let text = "The access list of this key does not hold events:read, everywhere.";
        return Err(Problem::out_of_scope(text));
    }
    if !key.application.events_enabled {
        let text = "Events are off for this application: switch events_enabled on.";
        return Err(Problem::new(Code::Forbidden, text));
    }
    let filter = Filter::read(&query)?;
    // Taken before the places are looked up, so that nothing falls between.
    let grown = (0..SHARDS).map(|shard| app.log().live().shard(shard)).collect();
    let (param, text) = match last_seen(&headers)? {
        Some(last) => (LAST, last),
        None => ("cursor", query.text("cursor").unwrap_or("latest")),
    };
    let mut places = Places::default();
    match text {
        "earliest" | "after-auth" | "0" | "latest" => {
            for extent in app.log().shards().await? {
                let next = if text == "latest" { extent.head + 1 } else { extent.first };
                places.set(extent.shard, next);
            }
        }
        sealed => places = unseal(&app, &key.application.id, param, sealed).await?,
    }
    let seat = app.streams().seat(&key.application.id)?;
    call.make_room();
    let (outlet, response) = outlet::open(&app, seat, hangup);
    let told = places.clone();
    // The accounts that are opened for rendering are not the request's own.
    let call = call.part();
    tokio::spawn(Whole { app, call, key, credential, filter, places, told, grown }.run(outlet));
    Ok(response)
}

/// An open stream.
struct Whole {
    app: App,
    call: Call,
    key: KeyCaller,
    credential: SecretString,
    filter: Filter,
    /// What was read.
    places: Places,
    /// What the client knows of.
    told: Places,
    grown: Vec<Watch>,
}

/// An account of the application.
enum Own {
    There(Box<Account>),
    /// It was switched off or deleted.
    Gone {
        service: String,
    },
}

/// Why a stream ends.
enum End {
    /// The client is told.
    Bye(&'static str),
    /// The client has gone, or was cut off.
    Gone,
    /// Something is wrong here.
    Broken(Problem),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Broken(error.into())
    }
}

impl Whole {
    async fn run(mut self, mut outlet: Outlet) {
        match self.pump(&mut outlet).await {
            End::Bye(reason) => outlet.bye(reason).await,
            End::Gone => {}
            End::Broken(problem) => {
                let cause = problem.cause().unwrap_or(&problem.message);
                tracing::error!(cause, "an event stream could not be read on");
                outlet.cut_off();
            }
        }
    }

    /// Reads and sends until something ends it.
    async fn pump(&mut self, outlet: &mut Outlet) -> End {
        let every = self.app.limits().stream_beat;
        let mut beat = Instant::now() + every;
        loop {
            if self.app.draining().is_cancelled() {
                return End::Bye("draining");
            }
            if Instant::now() >= beat {
                if !self.is_good().await {
                    return End::Bye("revoked");
                }
                if self.told != self.places {
                    match self.cursor() {
                        Ok(cursor) => outlet.mark(&cursor),
                        Err(end) => return end,
                    }
                    self.told = self.places.clone();
                }
                if outlet.beat().await.is_err() {
                    return End::Gone;
                }
                beat = Instant::now() + every;
            }
            match self.round(outlet).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(end) => return end,
            }
            let draining = self.app.draining().clone();
            let grown = select_all(self.grown.iter_mut().map(|watch| watch.changed().boxed()));
            tokio::select! {
                _ = grown => {}
                () = sleep_until(beat) => {}
                () = draining.cancelled() => {}
                () = outlet.gone() => return End::Gone,
            }
        }
    }

    /// Reads a batch of each shard that has more; whether there was anything.
    async fn round(&mut self, outlet: &mut Outlet) -> Result<bool, End> {
        let mut found = false;
        for extent in self.app.log().shards().await? {
            let next = self.places.next(extent.shard);
            if next > extent.head {
                continue;
            }
            found = true;
            if next < extent.first {
                self.places.set(extent.shard, extent.first);
                self.lost(outlet).await?;
                continue;
            }
            let events = self.app.log().shard(extent.shard, next, BATCH).await?;
            let Some(first) = events.first() else {
                // The slice was dropped meanwhile: the next look at the extent tells.
                tokio::task::yield_now().await;
                continue;
            };
            if first.position > next {
                self.places.set(extent.shard, first.position);
                if self.lost_between(extent.shard, next).await? {
                    self.lost(outlet).await?;
                }
            }
            self.send(outlet, extent.shard, events).await?;
        }
        outlet.flush().await?;
        Ok(found)
    }

    /// Whether positions from one on are missing for this application: they left the days of the log, or it keeps
    /// fewer days itself. Where only others do, nothing of its own is missing.
    async fn lost_between(&self, shard: i64, from: i64) -> Result<bool, End> {
        if self.key.application.settings.get(EVENT_DAYS).is_some() {
            return Ok(true);
        }
        let extents = self.app.log().shards().await?;
        Ok(extents.iter().any(|extent| extent.shard == shard && extent.first > from))
    }

    async fn send(
        &mut self,
        outlet: &mut Outlet,
        shard: i64,
        events: Vec<Numbered>,
    ) -> Result<(), End> {
        let accounts = self.accounts(&events).await?;
        for numbered in events {
            self.places.set(shard, numbered.position + 1);
            let Some(own) = accounts.get(&numbered.feed) else { continue };
            if !self.filter.lets(&numbered.event) {
                continue;
            }
            let name = numbered.event.type_name();
            let view = match own {
                Own::There(account) => View::of(account),
                // What happened in it is not for the application any more, but what became of it is.
                Own::Gone { service } if numbered.event.category == Category::Account => {
                    View::of_gone(numbered.feed, service, &self.call.base)
                }
                Own::Gone { .. } => continue,
            };
            let shown = view.one(numbered)?;
            let cursor = self.cursor()?;
            outlet.event(&cursor, &name, &shown).await?;
            self.told = self.places.clone();
        }
        Ok(())
    }

    /// The application's own accounts among those that events are of, by their default feed.
    async fn accounts(&self, events: &[Numbered]) -> Result<HashMap<i64, Own>, End> {
        let feeds: HashSet<i64> = events.iter().map(|event| event.feed).collect();
        let feeds: Vec<i64> = feeds.into_iter().filter(|feed| *feed < FIRST_FEED).collect();
        let ours = self.app.log().owned(&self.key.application.id, &feeds).await?;
        let mut accounts = HashMap::with_capacity(ours.len());
        for (id, service) in ours {
            let own = match public::open(&self.app, &self.call, id).await? {
                Some(account) => Own::There(Box::new(account)),
                None => Own::Gone { service },
            };
            accounts.insert(id, own);
        }
        Ok(accounts)
    }

    /// Tells that history was lost.
    async fn lost(&mut self, outlet: &mut Outlet) -> Result<(), End> {
        let cursor = self.cursor()?;
        let data = serde_json::json!({"cursor": cursor, "guidance": GUIDANCE});
        outlet.event(&cursor, "truncated", &data).await?;
        self.told = self.places.clone();
        Ok(())
    }

    fn cursor(&self) -> Result<String, End> {
        Ok(seal(&self.app, &self.key.application.id, &self.places)?)
    }

    /// Whether the key is still good. When the database cannot say, it is.
    async fn is_good(&self) -> bool {
        match ticket::caller(&self.app, &self.credential).await {
            None => true,
            Some(Ok(Caller::Key(key))) => {
                key.application.events_enabled && Account::may_follow(&key.access)
            }
            Some(_) => false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        let mut places = Places::default();
        for (shard, next) in [(0, 1), (1, 127), (2, 128), (62, i64::MAX), (63, 16_384)] {
            places.set(shard, next);
        }
        let read = Places::unpack(&places.pack()).unwrap();
        assert!((0..SHARDS).all(|shard| read.next(shard) == places.next(shard)));
    }

    proptest::proptest! {
        #[test]
        fn foreign_texts_do_no_harm(bytes: Vec<u8>) {
            if let Some(places) = Places::unpack(&STANDARD_NO_PAD.encode(&bytes)) {
                proptest::prop_assert!(places.0.values().all(|next| *next > 0));
            }
        }
    }
}
