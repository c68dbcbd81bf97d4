//! Puts announcements into the log: accounts connected, changed and deleted, tasks ended.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tramontane_activity::{Announced, Event};
use tramontane_model::Clock;
use tramontane_store::Db;
use tramontane_store::announcements::{self, Announcement};

use crate::error::{Error, Result};
use crate::owner::Owned;
use crate::shard;
use crate::writer::Writing;

/// How often announcements are looked for.
const EVERY: Duration = Duration::from_millis(500);
/// Announcements that are read at once.
const PAGE: usize = 500;

/// What announcing is lent.
pub(crate) struct Announcing<'a> {
    pub(crate) db: &'a Db,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) writing: &'a Writing,
    pub(crate) owned: watch::Receiver<Owned>,
}

impl Announcing<'_> {
    /// Looks now and then until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what was announced could not be put into the log");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Writes what waits for accounts of shards that this process owns.
    async fn look(&self) -> Result<()> {
        let mut after = 0;
        loop {
            let page = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let said = announcements::waiting(self.db, after, page).await?;
            let Some(last) = said.last().map(|one| one.account) else { return Ok(()) };
            let full = said.len() == PAGE;
            // What a full page cuts off of its last account comes with the next look.
            after = last;
            let owned = self.owned.borrow().clone();
            let mut writes = FuturesUnordered::new();
            for of_one in said.chunk_by(|a, b| a.account == b.account) {
                let Some(account) = of_one.first().map(|one| one.account) else { continue };
                if owned.contains_key(&shard::of(account)) {
                    writes.push(self.write(account, of_one.to_vec()));
                }
            }
            while let Some(written) = writes.next().await {
                match written {
                    // Someone else was faster, or the shard went elsewhere: what still waits is found again.
                    Ok(()) | Err(Error::Lost) => {}
                    Err(error) => return Err(error),
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    async fn write(&self, account: i64, said: Vec<Announcement>) -> Result<()> {
        let now = self.clock.now().micros();
        let events = said.iter().filter_map(|one| event(one, now)).collect();
        self.writing.announce(account, events, said).await
    }
}

fn event(said: &Announcement, now: i64) -> Option<Event> {
    // A word that a newer version wrote is passed over.
    let what = Announced::parse(&said.kind)?;
    Some(what.event(&said.subject, &said.name, said.details.clone(), said.at, now))
}
