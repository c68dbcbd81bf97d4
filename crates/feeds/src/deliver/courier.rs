//! The task of one endpoint: reads, sends, keeps how far it came. It alone touches its machines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tramontane_activity::delivery::{
    Attempt, Checkpoint, Departure, Disabled, Filter, Health, Landing, Lane, Leave, Machine,
    MessageKey, Outcome, Rules, Status,
};
use tramontane_store::deliveries::{self, Batch, Mark};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_store::{following, log, retention};

use crate::deliver::Inner;
use crate::deliver::endpoint::{Endpoint, Format, Target};
use crate::deliver::message::{Message, Signing};
use crate::deliver::pages::Seen;
use crate::deliver::send::Answered;
use crate::deliver::stock::{Stock, Taken};
use crate::error::Result;
use crate::owner::Owned;

/// Pages that are read for one shard before messages are sent again.
const PAGES_AT_ONCE: usize = 4;
/// Events that are read of the log at once for an account that has fallen behind.
const BEHIND: usize = 100;
/// The most accounts of a shard that are told what they lost at once.
const MOST_MISSED: i64 = 500;
/// Landings after which how far it came is written, whatever the time.
const KEEP_AFTER: usize = 1_000;
/// Attempts of one batch of the log.
const MAX_BATCH: usize = 1_000;
/// How long attempts wait for company.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// How often a quiet endpoint's positions are written, and its shards looked at.
const QUIET: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_secs(60);
/// How long what signs is kept in memory: rotations elsewhere count after it.
const SIGNING_KEPT: Duration = Duration::from_secs(10);
/// Without a key to sign with.
const UNSIGNED: Duration = Duration::from_secs(30);
const UNSIGNED_MICROS: i64 = 30_000_000;
/// After a failure of the database.
const PAUSE: Duration = Duration::from_secs(1);

/// What a courier is told from outside.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) row: Arc<Webhook>,
    /// The shards that this node holds, with their epochs.
    pub(crate) shards: Owned,
}

struct Shard {
    epoch: i64,
    machine: Machine,
    stock: Stock,
    /// The position that was written last.
    kept: i64,
}

/// A message that came back.
struct Flown {
    shard: i64,
    account: i64,
    through: i64,
    retry: bool,
    key: MessageKey,
    event_type: String,
    /// `None`: there was nothing to send.
    answered: Option<Answered>,
}

/// The shards that were to be written, and those that are still held.
type Written = (Vec<i64>, Result<Vec<i64>>);
type Keeping = JoinHandle<Written>;
type Kept = std::result::Result<Written, tokio::task::JoinError>;

pub(crate) struct Courier {
    of: Arc<Inner>,
    orders: watch::Receiver<Orders>,
    bell: Arc<Notify>,
    stop: CancellationToken,
    row: Arc<Webhook>,
    target: Arc<Target>,
    filter: Filter,
    rules: Rules,
    shards: BTreeMap<i64, Shard>,
    health: Health,
    flights: JoinSet<Flown>,
    retrying: usize,
    signing: Option<(Signing, Instant)>,
    /// There was nothing to sign with; not looked at again before this moment.
    unsigned_until: Option<Instant>,
    attempts: Vec<Attempt>,
    attempts_since: Instant,
    keeping: Option<Keeping>,
    landed: usize,
    kept_at: Instant,
    quiet_at: Instant,
    looked_at: Instant,
    /// Something may be read.
    stirred: bool,
    /// Something could not be read, for want of room or because the endpoint rests.
    starved: bool,
    over: bool,
}

impl Courier {
    /// The courier of a webhook; `None` when it cannot have one.
    pub(crate) fn new(
        of: Arc<Inner>,
        orders: watch::Receiver<Orders>,
        bell: Arc<Notify>,
        stop: CancellationToken,
    ) -> Option<Self> {
        let row = Arc::clone(&orders.borrow().row);
        let endpoint = Endpoint::of(&row);
        let target = Arc::new(Target::of(&row, &endpoint)?);
        let now = Instant::now();
        Some(Self {
            of,
            orders,
            bell,
            stop,
            row,
            target,
            filter: endpoint.filter(),
            rules: endpoint.rules(),
            shards: BTreeMap::new(),
            health: Health::new(endpoint.rate_limit.unwrap_or(0), 0, None),
            flights: JoinSet::new(),
            retrying: 0,
            signing: None,
            unsigned_until: None,
            attempts: Vec::new(),
            attempts_since: now,
            keeping: None,
            landed: 0,
            kept_at: now,
            quiet_at: now,
            looked_at: now,
            stirred: true,
            starved: false,
            over: false,
        })
    }

    /// Runs until it is told to stop, the webhook is switched off, or nobody gives orders any more.
    pub(crate) async fn run(mut self) {
        while let Err(error) = self.join_shards().await {
            tracing::warn!(webhook = %self.row.id, %error, "a webhook's positions cannot be read");
            if self.pause().await {
                return;
            }
        }
        while !self.over && !self.stop.is_cancelled() {
            if let Err(error) = self.turn().await {
                tracing::warn!(webhook = %self.row.id, %error, "deliveries to a webhook halt");
                if self.pause().await {
                    break;
                }
            }
        }
        self.finish().await;
    }

    async fn pause(&self) -> bool {
        tokio::select! {
            () = sleep(PAUSE) => false,
            () = self.stop.cancelled() => true,
        }
    }

    /// One round: read, send, keep, then wait for something.
    async fn turn(&mut self) -> Result<()> {
        if self.stirred {
            self.stirred = false;
            self.read().await?;
        }
        let wake = self.dispatch().await?;
        self.keep_if_due();
        self.wait(wake).await
    }

    // --- orders

    /// Takes on the shards that this node holds and lets go of the others.
    async fn join_shards(&mut self) -> Result<()> {
        let held = Arc::clone(&self.orders.borrow_and_update().shards);
        let (of, id) = (Arc::clone(&self.of), self.row.id.clone());
        self.shards.retain(|shard, own| held.get(shard) == Some(&own.epoch));
        let missing: Vec<i64> =
            held.keys().copied().filter(|shard| !self.shards.contains_key(shard)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut rows = deliveries::positions(of.db(), &id).await?;
        let known: Vec<i64> = rows.iter().map(|row| row.shard).collect();
        let unknown = missing.iter().filter(|shard| !known.contains(shard));
        let mut joined = false;
        for shard in unknown {
            let empty = Checkpoint::at(0).encode();
            deliveries::join(of.db(), &id, *shard, &empty, of.now()).await?;
            joined = true;
        }
        if joined {
            rows = deliveries::positions(of.db(), &id).await?;
        }
        let (mut success, mut failing) = (self.health.last_success(), self.health.failing_since());
        for row in rows {
            let start = Checkpoint::decode(row.position, &row.parked).unwrap_or_else(|error| {
                tracing::error!(webhook = %id, shard = row.shard, %error, "parked ranges are lost");
                Checkpoint::at(row.position)
            });
            if start.last_success > success {
                success = start.last_success;
            }
            failing = match (failing, start.failing_since) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            if let (Some(epoch), true) = (held.get(&row.shard), missing.contains(&row.shard)) {
                let machine = Machine::new(self.rules, &start);
                let stock = Stock::default();
                let own = Shard { epoch: *epoch, machine, stock, kept: row.position };
                self.shards.insert(row.shard, own);
            }
        }
        // What left the log while nobody delivered.
        for extent in following::shard_extents(of.db()).await? {
            let behind = self.shards.get(&extent.shard).is_some_and(|own| {
                missing.contains(&extent.shard) && own.machine.position() + 1 < extent.first
            });
            if behind {
                self.pass_gap(extent.shard, extent.first).await?;
            }
        }
        let failing = failing.filter(|since| *since > success);
        let rate = Endpoint::of(&self.row).rate_limit.unwrap_or(0);
        if !self.health.resting() {
            self.health = Health::new(rate, success, failing);
        }
        self.stirred = true;
        Ok(())
    }

    /// Reads orders that have changed.
    async fn obey(&mut self) -> Result<()> {
        let orders = self.orders.borrow_and_update().clone();
        if orders.row != self.row {
            let endpoint = Endpoint::of(&orders.row);
            let Some(target) = Target::of(&orders.row, &endpoint) else {
                self.over = true;
                return Ok(());
            };
            self.row = orders.row;
            self.target = Arc::new(target);
            self.filter = endpoint.filter();
            self.rules = endpoint.rules();
            self.signing = None;
            let (success, failing) = (self.health.last_success(), self.health.failing_since());
            self.health = Health::new(endpoint.rate_limit.unwrap_or(0), success, failing);
            for own in self.shards.values_mut() {
                own.machine.set_rules(self.rules);
            }
        }
        self.join_shards().await
    }

    // --- reading

    fn wants(&self, seen: &Seen) -> bool {
        *seen.owner.application == *self.target.application
            && self.filter.wants(&seen.type_name, seen.owner.account, &seen.owner.service)
    }

    /// Reads what is new. While the endpoint rests, nothing.
    async fn read(&mut self) -> Result<()> {
        if self.health.resting() && self.health.leave(self.of.now()) != Leave::Now {
            self.starved = true;
            return Ok(());
        }
        let (of, now) = (Arc::clone(&self.of), self.of.now());
        let application = Arc::clone(&self.target.application);
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            for round in 0.. {
                let Some(own) = self.shards.get_mut(&shard) else { break };
                if !own.machine.has_room() {
                    self.starved = true;
                    break;
                }
                let position = own.machine.position();
                if of.pages.ends_at(shard, position) {
                    break;
                }
                if let Some(quiet) = of.pages.quiet_until(shard, &application, position) {
                    own.machine.pass(quiet);
                    break;
                }
                if round == PAGES_AT_ONCE {
                    self.stirred = true;
                    break;
                }
                let Some(page) = of.pages.page(shard, position + 1).await? else { break };
                if page.first > position + 1 {
                    self.pass_gap(shard, page.first).await?;
                }
                let any = page.applications.contains(&application);
                let wanted: Vec<_> = if any {
                    page.events.iter().filter(|seen| self.wants(seen)).cloned().collect()
                } else {
                    Vec::new()
                };
                let Some(own) = self.shards.get_mut(&shard) else { break };
                for seen in wanted {
                    let numbered = &seen.numbered;
                    let account = numbered.feed;
                    own.machine.offer(numbered.position, account, numbered.sequence, now);
                    if !self.rules.coalesce && numbered.position > position {
                        own.stock.put(account, seen);
                    }
                }
                own.machine.pass(page.last);
            }
        }
        Ok(())
    }

    /// Passes over positions before `next` that hold nothing: what was there, if it was this application's, is told
    /// to be lost.
    async fn pass_gap(&mut self, shard: i64, next: i64) -> Result<()> {
        let db = self.of.db().clone();
        let Some(own) = self.shards.get(&shard) else { return Ok(()) };
        let position = own.machine.position();
        let extents = following::shard_extents(&db).await?;
        let kept = extents.iter().find(|one| one.shard == shard).map_or(next, |one| one.first);
        // Within the days there are gaps where applications keep fewer days than the operator.
        let own_days = retention::own_days(&db).await?;
        let fewer = own_days.iter().any(|(id, _)| **id == *self.target.application);
        if position + 1 < kept || fewer {
            let missed =
                retention::missed(&db, &self.target.application, shard, MOST_MISSED).await?;
            tracing::warn!(
                webhook = %self.row.id, shard, accounts = missed.len(),
                "a webhook is behind what is kept; its accounts' events are told to be lost"
            );
            let now = self.of.now();
            let Some(own) = self.shards.get_mut(&shard) else { return Ok(()) };
            for one in missed {
                let free = own.machine.position() + 1;
                // There is a place for each account that lost something.
                if free >= next || !own.machine.has_room() {
                    break;
                }
                if self.filter.covers(one.account, &one.service) {
                    own.machine.offer(free, one.account, one.last, now);
                }
            }
        }
        if let Some(own) = self.shards.get_mut(&shard) {
            own.machine.pass(next - 1);
        }
        Ok(())
    }

    // --- sending

    /// Sends what may be sent; gives when to look again at the latest.
    async fn dispatch(&mut self) -> Result<Option<i64>> {
        let parallel = self.of.options.parallel.max(1);
        let most_retries = (parallel / 5).max(1);
        let mut now = self.of.now();
        while self.flights.len() < parallel {
            now = self.of.now();
            match self.health.leave(now) {
                Leave::Now => {}
                Leave::At(at) => return Ok(Some(at)),
                Leave::AfterTrial => return Ok(None),
            }
            let may_retry = self.retrying < most_retries;
            let retry = if may_retry { self.next(Lane::Retry, now) } else { None };
            let lane = if retry.is_some() { Lane::Retry } else { Lane::Fresh };
            let Some((shard, departure)) = retry.or_else(|| self.next(Lane::Fresh, now)) else {
                break;
            };
            let sent = match self.sign(now).await {
                Ok(true) => self.depart(shard, departure, lane, now).await,
                Ok(false) => {
                    self.recall(shard, departure.account);
                    return Ok(Some(now + UNSIGNED_MICROS));
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                self.recall(shard, departure.account);
                return Err(error);
            }
        }
        // What is due already waits for something to come back.
        let due = |own: &Shard| {
            let lanes = [own.machine.due(Lane::Fresh), own.machine.due(Lane::Retry)];
            lanes.into_iter().flatten().filter(|due| *due > now).min()
        };
        Ok(self.shards.values().filter_map(due).min())
    }

    fn recall(&mut self, shard: i64, account: i64) {
        if let Some(own) = self.shards.get_mut(&shard) {
            own.machine.recall(account);
        }
    }

    /// The message of a lane that has been due for longest.
    fn next(&mut self, lane: Lane, now: i64) -> Option<(i64, Departure)> {
        let due = |own: &Shard| own.machine.due(lane).filter(|due| *due <= now);
        let shards = self.shards.iter().filter_map(|(shard, own)| Some((due(own)?, *shard)));
        let (_, shard) = shards.min()?;
        let departure = self.shards.get_mut(&shard)?.machine.depart(lane, now)?;
        Some((shard, departure))
    }

    /// Opens what signs, now and then. `false` when there is nothing to sign with.
    async fn sign(&mut self, now: i64) -> Result<bool> {
        if self.signing.as_ref().is_some_and(|(_, at)| at.elapsed() < SIGNING_KEPT) {
            return Ok(true);
        }
        if self.unsigned_until.is_some_and(|until| until > Instant::now()) {
            return Ok(false);
        }
        self.signing = None;
        match self.of.signing(&self.target).await {
            Ok(signing) => {
                self.signing = Some((signing, Instant::now()));
                Ok(true)
            }
            Err(crate::Error::Accounts(tramontane_accounts::Error::NotFound(_))) => {
                // It counts as a failure of the endpoint, which is switched off when that lasts.
                self.unsigned_until = Some(Instant::now() + UNSIGNED);
                tracing::warn!(webhook = %self.row.id, "an application has no active API key to sign with");
                if let Some(reason) = self.health.failed(now) {
                    self.switch_off(reason).await?;
                }
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    async fn depart(
        &mut self,
        shard: i64,
        departure: Departure,
        lane: Lane,
        now: i64,
    ) -> Result<()> {
        let Departure { account, from, to, fixed, .. } = departure;
        let Some((signing, _)) = self.signing.clone() else { return Err(crate::Error::Off) };
        let batch = self.rules.batch > 1;
        let mut lost = false;
        let (events, through, key) = if self.rules.coalesce {
            (Vec::new(), to, MessageKey { feed: account, first: from, last: from })
        } else {
            let limit = if fixed { usize::MAX } else { self.rules.batch };
            let taken = self.events(shard, &departure, limit).await?;
            let Some(own) = self.shards.get_mut(&shard) else { return Ok(()) };
            lost = taken.lost;
            if lost {
                let key = MessageKey { feed: account, first: from, last: taken.to };
                (Vec::new(), taken.to, key)
            } else {
                let (Some(first), Some(last)) = (taken.events.first(), taken.events.last()) else {
                    own.stock.pass(account, taken.to);
                    own.machine.skip(account, taken.to, now);
                    return Ok(());
                };
                let (first, last) = (first.numbered.sequence, last.numbered.sequence);
                let through = match (fixed, taken.events.len() < limit) {
                    (true, _) => to,
                    (false, true) => taken.to,
                    (false, false) => last,
                };
                (taken.events, through, MessageKey { feed: account, first, last })
            }
        };
        if let Some(own) = self.shards.get_mut(&shard) {
            own.machine.cut(account, through);
        }
        if batch && !fixed {
            // What a batch holds is written down before its id is told to anybody.
            self.keep_now().await?;
        }
        self.health.sent(now);
        self.retrying += usize::from(lane == Lane::Retry);
        let retry = lane == Lane::Retry;
        let (of, target) = (Arc::clone(&self.of), Arc::clone(&self.target));
        self.flights.spawn(async move {
            let message = if target.format == Format::Kloudless {
                Ok(Some(Message::notice(&target.id, &key, account)))
            } else if lost {
                Ok(Some(Message::truncated(&target.id, &key, &target.application, of.now())))
            } else {
                of.message(&target.id, &key, batch, &events).await
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => {
                    let event_type = String::new();
                    return Flown {
                        shard,
                        account,
                        through,
                        retry,
                        key,
                        event_type,
                        answered: None,
                    };
                }
                Err(error) => {
                    let of_first = events.first().map(|event| event.type_name.clone());
                    let event_type = of_first.unwrap_or_default();
                    let answered = Some(Answered::unsent(of.now(), &error));
                    return Flown { shard, account, through, retry, key, event_type, answered };
                }
            };
            let answered = Some(of.attempt(&target, &signing, &message).await);
            let event_type = message.event_type;
            Flown { shard, account, through, retry, key, event_type, answered }
        });
        Ok(())
    }

    /// The wanted events of a departure, from the stock or from the log.
    async fn events(&mut self, shard: i64, departure: &Departure, limit: usize) -> Result<Taken> {
        let Departure { account, from, to, fixed, .. } = *departure;
        if let Some(own) = self.shards.get(&shard)
            && let Some(taken) = own.stock.take(account, from, to, limit)
            && (!fixed || taken.to == to)
        {
            return Ok(taken);
        }
        let first = log::first_in_days(self.of.db(), account).await?.unwrap_or(i64::MAX);
        if from < first {
            let to = if fixed { to } else { to.min(first - 1) };
            return Ok(Taken { events: Vec::new(), to, lost: true });
        }
        let read = if fixed { usize::try_from(to - from + 1).unwrap_or(BEHIND) } else { BEHIND };
        let (mut events, whole) = self.of.pages.range(account, from, to, read).await?;
        let end = match (whole, events.last()) {
            (false, Some(last)) => last.numbered.sequence,
            _ => to,
        };
        events.retain(|seen| self.wants(seen));
        if fixed {
            return Ok(Taken::all(events, to));
        }
        let Some(own) = self.shards.get_mut(&shard) else {
            return Ok(Taken::all(Vec::new(), end));
        };
        own.stock.fill(account, from, end, events.clone());
        events.truncate(limit);
        Ok(Taken::all(events, end))
    }

    // --- what comes back

    async fn land(&mut self, flown: Flown) -> Result<()> {
        self.retrying -= usize::from(flown.retry);
        let now = self.of.now();
        let Some(answered) = flown.answered else {
            if let Some(own) = self.shards.get_mut(&flown.shard) {
                own.machine.skip(flown.account, flown.through, now);
                own.stock.pass(flown.account, flown.through);
            }
            return Ok(());
        };
        let outcome = answered.outcome();
        let off = match outcome {
            Outcome::Taken => {
                self.health.succeeded(now);
                None
            }
            Outcome::Refused(_) => self.health.failed(now),
            Outcome::Gone => Some(Disabled::Gone),
        };
        let mut landing = Landing::Unknown;
        if let Some(own) = self.shards.get_mut(&flown.shard) {
            landing = own.machine.land(flown.account, outcome, now, self.of.chance());
            own.stock.pass(flown.account, flown.through);
        }
        self.landed += 1;
        let status = match landing {
            // The shard went to another node meanwhile, which sends it again.
            Landing::Unknown if outcome == Outcome::Taken => Status::Delivered,
            other => Status::after(other),
        };
        metrics::counter!("tramontane_webhook_attempts_total", "status" => status.as_str())
            .increment(1);
        if self.attempts.is_empty() {
            self.attempts_since = Instant::now();
        }
        let next = if let Landing::Retrying(at) = landing { Some(at) } else { None };
        let (key, account) = (flown.key, flown.account);
        self.attempts.push(answered.attempt(key, account, flown.event_type, status, next));
        match off {
            Some(reason) => self.switch_off(reason).await,
            None => Ok(()),
        }
    }

    /// Switches the webhook off and says so: in its settings, in the log, in a metric.
    async fn switch_off(&mut self, reason: Disabled) -> Result<()> {
        if reason == Disabled::Unsuccessful && self.taken_elsewhere().await? {
            return Ok(());
        }
        let mut endpoint = Endpoint::of(&self.row);
        endpoint.disabled_reason = Some(reason.reason().to_owned());
        let (db, now) = (self.of.db(), self.of.now());
        if webhooks::switch_off(db, &self.row, &endpoint.settings(), now).await? {
            tracing::warn!(
                webhook = %self.row.id, application = %self.row.application,
                reason = reason.reason(), "a webhook was switched off"
            );
            metrics::counter!("tramontane_webhooks_disabled_total").increment(1);
        }
        self.over = true;
        self.of.changed.notify_one();
        Ok(())
    }

    /// Whether another node, with other shards, had a success lately.
    async fn taken_elsewhere(&self) -> Result<bool> {
        let since = self.health.failing_since().unwrap_or(0);
        let rows = deliveries::positions(self.of.db(), &self.row.id).await?;
        let success = |row: &deliveries::Position| {
            Checkpoint::decode(row.position, &row.parked).map_or(0, |kept| kept.last_success)
        };
        Ok(rows.iter().any(|row| success(row) > since))
    }

    // --- keeping

    /// What has changed since it was written, and attempts that are to be written with it.
    fn changes(&mut self, all: bool) -> Result<(Vec<Mark>, Option<Batch>)> {
        let mut marks = Vec::new();
        for (shard, own) in &mut self.shards {
            if own.machine.changed() || all && own.machine.position() != own.kept {
                let kept = own.machine.checkpoint(&self.health);
                let (shard, epoch, position) = (*shard, own.epoch, kept.position);
                own.kept = position;
                marks.push(Mark { shard, epoch, position, parked: kept.encode() });
            }
        }
        let batch = self.batch(all)?;
        Ok((marks, batch))
    }

    fn batch(&mut self, all: bool) -> Result<Option<Batch>> {
        let due = self.attempts.len() >= MAX_BATCH || self.attempts_since.elapsed() >= BATCH_TIME;
        if self.attempts.is_empty() || !(due || all) {
            return Ok(None);
        }
        let attempts = std::mem::take(&mut self.attempts);
        Ok(Some(self.of.batch(&self.row.id, &attempts)?))
    }

    /// Starts writing when it is time, beside everything else.
    fn keep_if_due(&mut self) {
        if self.keeping.is_some() {
            return;
        }
        let quiet = self.quiet_at.elapsed() >= QUIET;
        let waited = self.kept_at.elapsed() >= self.of.options.keep_every;
        if !(waited || quiet || self.landed >= KEEP_AFTER) {
            return;
        }
        if quiet {
            self.quiet_at = Instant::now();
        }
        match self.changes(quiet) {
            Ok((marks, batch)) if marks.is_empty() && batch.is_none() => {}
            Ok((marks, batch)) => {
                (self.landed, self.kept_at) = (0, Instant::now());
                self.keeping = Some(self.write(marks, batch));
            }
            Err(error) => tracing::error!(%error, "attempts cannot be logged"),
        }
    }

    fn write(&self, marks: Vec<Mark>, batch: Option<Batch>) -> Keeping {
        let (of, id) = (Arc::clone(&self.of), self.row.id.clone());
        tokio::spawn(async move {
            let shards: Vec<i64> = marks.iter().map(|mark| mark.shard).collect();
            let kept = deliveries::keep(of.db(), &id, &marks, batch.as_ref(), of.now()).await;
            (shards, kept.map_err(Into::into))
        })
    }

    /// Writes what has changed, and waits for it.
    async fn keep_now(&mut self) -> Result<()> {
        if let Some(keeping) = self.keeping.take() {
            let kept = keeping.await;
            self.kept(kept)?;
        }
        let (marks, batch) = self.changes(false)?;
        if !marks.is_empty() || batch.is_some() {
            (self.landed, self.kept_at) = (0, Instant::now());
            let kept = self.write(marks, batch).await;
            self.kept(kept)?;
        }
        Ok(())
    }

    fn kept(&mut self, kept: Kept) -> Result<()> {
        let (asked, kept) = match kept {
            Ok((asked, kept)) => (asked, kept),
            // The task was dropped with the runtime.
            Err(_) => return Ok(()),
        };
        match kept {
            Ok(held) => {
                // Who lost a shard sends nothing of it any more.
                self.shards.retain(|shard, _| !asked.contains(shard) || held.contains(shard));
                Ok(())
            }
            Err(error) => {
                for shard in asked {
                    if let Some(own) = self.shards.get_mut(&shard) {
                        own.machine.not_kept();
                    }
                }
                Err(error)
            }
        }
    }

    // --- waiting

    async fn wait(&mut self, wake: Option<i64>) -> Result<()> {
        if self.stirred && self.flights.len() < self.of.options.parallel {
            tokio::task::yield_now().await;
            return Ok(());
        }
        // What was sent and is not written yet is bounded.
        if self.landed >= 2 * KEEP_AFTER && self.keeping.is_some() {
            return self.keep_now().await;
        }
        let until = Instant::now() + self.patience(wake);
        let Self { flights, orders, bell, stop, keeping, .. } = self;
        let (flying, writing) = (!flights.is_empty(), keeping.is_some());
        let mut changed = false;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(flown) = flights.join_next(), if flying => {
                self.landed_or_lost(flown).await?;
                // Whatever else has come back meanwhile.
                while let Some(flown) = self.flights.try_join_next() {
                    self.landed_or_lost(flown).await?;
                }
            }
            kept = written(keeping), if writing => {
                self.keeping = None;
                self.kept(kept)?;
            }
            told = orders.changed() => {
                changed = true;
                self.over |= told.is_err();
            }
            () = bell.notified() => self.stirred = true,
            () = tokio::time::sleep_until(until) => {}
        }
        if changed {
            self.obey().await?;
        }
        let look = self.looked_at.elapsed() >= LOOK;
        if look {
            self.looked_at = Instant::now();
        }
        if look || self.starved {
            self.starved = false;
            self.stirred = true;
        }
        Ok(())
    }

    /// How long it may sleep.
    fn patience(&self, wake: Option<i64>) -> Duration {
        let now = self.of.now();
        let due = wake.map(|at| Duration::from_micros((at - now).max(0).unsigned_abs()));
        let busy = self.keeping.is_some()
            || !self.attempts.is_empty()
            || self.shards.values().any(|own| own.machine.changed());
        let keep = if busy { self.of.options.keep_every } else { LOOK };
        due.unwrap_or(LOOK).min(keep).max(Duration::from_millis(1))
    }

    async fn landed_or_lost(
        &mut self,
        flown: std::result::Result<Flown, tokio::task::JoinError>,
    ) -> Result<()> {
        match flown {
            Ok(flown) => self.land(flown).await,
            Err(error) => {
                // A defect: the account's stream stays under way until the courier starts anew.
                tracing::error!(%error, "a delivery broke down");
                self.over = true;
                self.of.changed.notify_one();
                Ok(())
            }
        }
    }

    /// What is under way may come back; then everything is written.
    async fn finish(&mut self) {
        let within = self.of.options.within + Duration::from_secs(1);
        let drained = timeout(within, async {
            while let Some(flown) = self.flights.join_next().await {
                if self.landed_or_lost(flown).await.is_err() {
                    break;
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(webhook = %self.row.id, "messages were under way when their time ended");
        }
        if let Some(keeping) = self.keeping.take() {
            let kept = keeping.await;
            let _ = self.kept(kept);
        }
        if let Ok((marks, batch)) = self.changes(true)
            && (!marks.is_empty() || batch.is_some())
            && let Ok((_, Err(error))) = self.write(marks, batch).await
        {
            tracing::warn!(webhook = %self.row.id, %error, "a webhook's last position was not written");
        }
    }
}

/// Waits for what is being written.
async fn written(keeping: &mut Option<Keeping>) -> Kept {
    match keeping {
        Some(keeping) => keeping.await,
        None => std::future::pending().await,
    }
}
