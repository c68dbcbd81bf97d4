//! The log as deliveries read it: pages of a shard, decoded once for all endpoints, with whose each event
//! is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tramontane_model::AccountId;
use tramontane_store::{Db, accounts};

use crate::deliver::Owner;
use crate::error::Result;
use crate::log::{Log, Numbered};

/// Events of one page.
const PAGE: usize = 256;
/// The most memory of pages that are kept for the next reader, in bytes, as far as it is counted.
const MAX_BYTES: u64 = 32 << 20;
const KEPT: Duration = Duration::from_secs(30);
/// Accounts whose owner is known.
const OWNERS: u64 = 100_000;
const OWNER_KEPT: Duration = Duration::from_secs(300);

/// An event that was read, with what deliveries ask of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) numbered: Numbered,
    pub(crate) owner: Arc<Owner>,
    pub(crate) type_name: String,
    /// As JSON, once somebody needed it.
    pub(crate) shown: OnceLock<Option<Arc<str>>>,
}

/// Events of a shard in the order of their positions.
#[derive(Debug)]
pub(crate) struct Page {
    /// Events that applications may be told of.
    pub(crate) events: Vec<Arc<Seen>>,
    /// The first position.
    pub(crate) first: i64,
    /// The last position.
    pub(crate) last: i64,
    /// Whose events are in it.
    pub(crate) applications: BTreeSet<Arc<str>>,
    bytes: u32,
}

/// How far a shard was followed as it grew, and where each application was seen last.
#[derive(Debug, Default)]
struct Tail {
    from: i64,
    to: i64,
    seen: BTreeMap<Arc<str>, i64>,
}

/// Reads pages and keeps the newest.
pub(crate) struct Pages {
    log: Log,
    db: Db,
    cache: Cache<(i64, i64), Arc<Page>>,
    owners: Cache<i64, Option<Arc<Owner>>>,
    tails: Mutex<BTreeMap<i64, Tail>>,
}

impl Pages {
    pub(crate) fn new(log: Log, db: Db) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_, page: &Arc<Page>| page.bytes)
            .time_to_idle(KEPT)
            .build();
        let owners = Cache::builder().max_capacity(OWNERS).time_to_live(OWNER_KEPT).build();
        Self { log, db, cache, owners, tails: Mutex::default() }
    }

    /// Whose an account is; `None` when there is no such account.
    pub(crate) async fn owner(&self, account: i64) -> Result<Option<Arc<Owner>>> {
        if let Some(known) = self.owners.get(&account) {
            return Ok(known);
        }
        let found = accounts::owner(&self.db, account).await?;
        let found = found.map(|(application, service)| {
            Arc::new(Owner { account, application: application.into(), service: service.into() })
        });
        // An account that is not there may be there soon.
        if found.is_some() {
            self.owners.insert(account, found.clone());
        }
        Ok(found)
    }

    async fn seen(&self, numbered: Numbered) -> Result<Option<Seen>> {
        // The default subscription's feed has the number of its account; others lie above.
        if AccountId::new(numbered.feed).is_none() {
            return Ok(None);
        }
        let Some(owner) = self.owner(numbered.feed).await? else { return Ok(None) };
        let type_name = numbered.event.type_name();
        Ok(Some(Seen { numbered, owner, type_name, shown: OnceLock::new() }))
    }

    /// The page that begins at a position; `None` when the shard does not go so far.
    pub(crate) async fn page(&self, shard: i64, from: i64) -> Result<Option<Arc<Page>>> {
        if let Some(page) = self.cache.get(&(shard, from)) {
            return Ok(Some(page));
        }
        let read = self.log.shard(shard, from, PAGE).await?;
        let at = |numbered: Option<&Numbered>| numbered.map(|numbered| numbered.position);
        let (Some(first), Some(last)) = (at(read.first()), at(read.last())) else {
            return Ok(None);
        };
        let (mut events, mut applications) = (Vec::with_capacity(read.len()), BTreeSet::new());
        let mut bytes = 200_usize;
        for numbered in read {
            bytes += if numbered.event.entry.is_null() { 1_000 } else { 4_000 };
            if let Some(seen) = self.seen(numbered).await? {
                applications.insert(Arc::clone(&seen.owner.application));
                events.push(Arc::new(seen));
            }
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let page = Arc::new(Page { events, first, last, applications, bytes });
        self.cache.insert((shard, from), Arc::clone(&page));
        Ok(Some(page))
    }

    /// Events of an account from one sequence number to another, at most `limit`. `true` when the log
    /// holds no more of the range.
    pub(crate) async fn range(
        &self,
        account: i64,
        from: i64,
        to: i64,
        limit: usize,
    ) -> Result<(Vec<Arc<Seen>>, bool)> {
        let page = match self.log.page(account, from - 1, limit).await {
            Ok(page) => page,
            // The subscription was deleted: nothing of it is there to be told.
            Err(crate::Error::Off | crate::Error::Invalid { .. }) => return Ok((Vec::new(), true)),
            Err(other) => return Err(other),
        };
        let whole = page.cursor >= to || page.events.is_empty();
        let mut events = Vec::new();
        for numbered in page.events.into_iter().filter(|numbered| numbered.sequence <= to) {
            events.extend(self.seen(numbered).await?.map(Arc::new));
        }
        Ok((events, whole))
    }

    /// Follows a shard as it grows: reads what is new, as far as it is known to go or, with 0, until there is
    /// nothing more. Gives the applications in it.
    pub(crate) async fn follow(
        &self,
        shard: i64,
        start: i64,
        head: i64,
    ) -> Result<BTreeSet<Arc<str>>> {
        let mut end = {
            let mut tails = self.tails();
            let fresh = || Tail { from: start, to: start, seen: BTreeMap::new() };
            tails.entry(shard).or_insert_with(fresh).to
        };
        let mut applications = BTreeSet::new();
        while head == 0 || end < head {
            let Some(page) = self.page(shard, end + 1).await? else { break };
            let mut tails = self.tails();
            let Some(tail) = tails.get_mut(&shard) else { break };
            for application in &page.applications {
                tail.seen.insert(Arc::clone(application), page.last);
            }
            tail.to = page.last;
            applications.extend(page.applications.iter().cloned());
            end = page.last;
        }
        Ok(applications)
    }

    /// Follows a shard no longer.
    pub(crate) fn leave(&self, shard: i64) {
        self.tails().remove(&shard);
    }

    /// Whether a shard is followed, and nothing after `position` has been seen in it: whoever follows it tells when
    /// there is.
    pub(crate) fn ends_at(&self, shard: i64, position: i64) -> bool {
        self.tails().get(&shard).is_some_and(|tail| tail.to <= position)
    }

    /// The position up to which a shard holds nothing of an application after `position`, if that is
    /// known without reading.
    pub(crate) fn quiet_until(&self, shard: i64, application: &str, position: i64) -> Option<i64> {
        let tails = self.tails();
        let tail = tails.get(&shard)?;
        let seen = tail.seen.get(application).copied().unwrap_or(0);
        (position >= tail.from && position >= seen && tail.to > position).then_some(tail.to)
    }

    fn tails(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
