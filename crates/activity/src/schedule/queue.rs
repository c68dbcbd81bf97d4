//! The schedule itself: feeds, budgets, and what comes next.

use std::collections::{BTreeMap, VecDeque};

use super::feed::{Feed, Place};
use super::price::Account;
use super::rate::{Rate, Seen};
use super::wheel::Wheel;
use super::{
    Budget, BudgetId, Health, MAX_BUDGETS, Millis, Outcome, Poll, Push, Reason, Spec, Standing,
    state,
};

/// Milliseconds of one tick of the wheel.
pub(super) const TICK: Millis = 100;
/// Not this budget.
const NO_BUDGET: u32 = u32::MAX;
/// One call of `due` looks at no more feeds than this, so that it always returns soon.
pub(super) const MOST_LOOKED_AT: usize = 1_000;
/// A feed that comes due within this share of its interval is polled at once: it saves a second look.
const SLACK: f64 = 0.02;
/// After a price fell, all feeds are looked at again within this time.
pub(super) const SWEEP: f64 = 300_000.0;
/// Weights and costs outside of these are a mistake of whoever set them.
const SANE: (f32, f32) = (1e-3, 1e6);

/// Which feed is polled when.
///
/// One thread drives it: [`due`](Self::due) until it has none or enough polls are under way,
/// [`finish`](Self::finish) for each of them, [`nudge`](Self::nudge) as pushes come in, and sleep until
/// [`next_at`](Self::next_at).
pub struct Schedule {
    pub(super) now: Millis,
    pub(super) wheel: Wheel,
    /// Nudged feeds, which go before all others. Entries of feeds that left it are skipped.
    pub(super) urgent: VecDeque<u32>,
    pub(super) slots: Vec<Option<Feed>>,
    free: Vec<u32>,
    pub(super) index: BTreeMap<u64, u32>,
    pub(super) budgets: Vec<Option<Account>>,
    free_budgets: Vec<u32>,
    under_way: usize,
    /// How many slots are still to be looked at since a price fell, from where, and when it last went on.
    pub(super) sweep_left: usize,
    pub(super) sweep_from: usize,
    pub(super) swept_at: Millis,
}

impl Schedule {
    /// An empty schedule.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            now,
            wheel: Wheel::new(tick(now)),
            urgent: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            index: BTreeMap::new(),
            budgets: Vec::new(),
            free_budgets: Vec::new(),
            under_way: 0,
            sweep_left: 0,
            sweep_from: 0,
            swept_at: now,
        }
    }

    /// Opens a budget.
    pub fn open_budget(&mut self, now: Millis, allowed: Budget) -> BudgetId {
        let account = Account::new(allowed, self.at(now));
        let number = self.free_budgets.pop().unwrap_or_else(|| {
            self.budgets.push(None);
            self.budgets.len() as u32 - 1
        });
        if let Some(place) = self.budgets.get_mut(number as usize) {
            *place = Some(account);
        }
        BudgetId(number)
    }

    /// Changes what a budget allows.
    pub fn set_budget(&mut self, budget: BudgetId, allowed: Budget) {
        if let Some(account) = self.account(budget.0) {
            account.allowed = allowed;
        }
        self.sweep_left = self.slots.len();
    }

    /// Closes a budget; `false` while feeds pay from it.
    pub fn close_budget(&mut self, budget: BudgetId) -> bool {
        let Some(place) = self.budgets.get_mut(budget.0 as usize) else { return true };
        if place.as_ref().is_some_and(|account| account.feeds > 0) {
            return false;
        }
        if place.take().is_some() {
            self.free_budgets.push(budget.0);
        }
        true
    }

    /// Gives out nothing that is paid from this budget before a moment.
    pub fn pause_budget(&mut self, budget: BudgetId, until: Millis) {
        if let Some(account) = self.account(budget.0) {
            account.pause(until);
        }
    }

    /// Adds a feed, with what [`encode`](Self::encode) gave when its cursor was last committed. A feed that
    /// is there already is replaced. Its first poll comes within one interval, at a phase of its own.
    pub fn add(&mut self, number: u64, now: Millis, spec: &Spec, stored: Option<&[u8]>) {
        let now = self.at(now);
        self.remove(number);
        let sane = |value: f32| if value.is_nan() { 1.0 } else { value.clamp(SANE.0, SANE.1) };
        let rate = stored.and_then(|bytes| state::decode(bytes, sane(spec.weight)));
        let fresh = Rate::new(now, sane(spec.cost), sane(spec.weight));
        let mut rate = rate.unwrap_or(fresh);
        rate.cost = sane(rate.cost);
        let mut budgets = [NO_BUDGET; MAX_BUDGETS];
        for (n, budget) in spec.budgets.into_iter().flatten().enumerate() {
            let twice = budgets.contains(&budget.0);
            if let Some(place) =
                budgets.get_mut(n).filter(|_| self.account(budget.0).is_some() && !twice)
            {
                *place = budget.0;
            }
        }
        let feed = Feed {
            number,
            class: spec.class,
            rate,
            budgets,
            root: 0.0,
            cost: 0.0,
            seen_until: now.min(i64::from(rate.watched_until) * 1_000),
            last_success: None,
            begun: None,
            gap: Millis::MAX,
            due: now,
            reason: Reason::First,
            place: Place::Waiting,
            turn_taken: false,
            nudges: super::nudge::Nudges::default(),
            more: false,
            failures: 0,
            push: Push::Off,
            held: false,
            readers: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(feed);
        }
        self.index.insert(number, slot);
        budgets.iter().for_each(|budget| {
            if let Some(account) = self.account(*budget) {
                account.feeds += 1;
            }
        });
        self.book(slot);
        let price = self.price(budgets, now);
        let Some(feed) = self.feed(slot) else { return };
        let (due, _) = feed.due_at(price);
        let wait = (due - feed.seen_until) as f64 * feed.phase();
        feed.due = now.saturating_add(wait as Millis);
        self.hang(slot);
    }

    /// Takes a feed out. A poll of it that is under way may end as it likes.
    pub fn remove(&mut self, number: u64) {
        let Some(slot) = self.index.remove(&number) else { return };
        self.wheel.take_out(slot);
        let feed = self.slots.get_mut(slot as usize).and_then(Option::take);
        let Some(feed) = feed else { return };
        self.free.push(slot);
        if feed.place == Place::Urgent {
            self.urgent.retain(|other| *other != slot);
        }
        self.under_way -= usize::from(feed.place == Place::Polling);
        for budget in feed.budgets {
            if let Some(account) = self.account(budget) {
                account.feeds -= 1;
                account.roots = (account.roots - f64::from(feed.root)).max(0.0);
                account.once = (account.once - f64::from(feed.cost)).max(0.0);
            }
        }
    }

    /// The next feed to be polled now. `None` when there is none, or when so many had to be put off that
    /// the caller should have a turn in between; [`next_at`](Self::next_at) tells which.
    pub fn due(&mut self, now: Millis) -> Option<Poll> {
        let now = self.at(now);
        self.sweep(now);
        for _ in 0..MOST_LOOKED_AT {
            let slot = match self.urgent.pop_front() {
                Some(slot) if self.place(slot) == Some(Place::Urgent) => slot,
                Some(_) => continue,
                None => self.wheel.pop(tick(now))?,
            };
            if let Some(poll) = self.give_out(slot, now) {
                return Some(poll);
            }
        }
        None
    }

    /// When `due` should be called next; `None` when nothing is to come before some other call changes that.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        if !self.urgent.is_empty() {
            return Some(self.now);
        }
        let next = self.wheel.next().map(|tick| (tick as Millis).saturating_mul(TICK))?;
        Some(if self.sweep_left > 0 { next.min(self.now + 1_000) } else { next })
    }

    /// Polls the feed if nothing stands against it; returns `None` after putting it off.
    fn give_out(&mut self, slot: u32, now: Millis) -> Option<Poll> {
        let feed = self.feed(slot)?;
        let (budgets, cost, phase) = (feed.budgets, f64::from(feed.rate.cost), feed.phase());
        let nudged = feed.nudges.waiting();
        let mut paused: Option<Millis> = None;
        for account in budgets.iter().filter_map(|budget| self.account_at(*budget)) {
            if account.paused_until > now {
                let spread = (account.spread() * phase) as Millis;
                let until = account.paused_until.saturating_add(if nudged { 0 } else { spread });
                paused = paused.max(Some(until));
            }
        }
        if let Some(until) = paused {
            self.put_off(slot, until, Reason::Paused, false);
            return None;
        }
        let feed = self.feed(slot)?;
        let priced = matches!(feed.reason, Reason::Price | Reason::Backstop | Reason::Longest);
        if priced && !nudged && !feed.turn_taken {
            let price = self.price(budgets, now);
            let feed = self.feed(slot)?;
            let (due, reason) = feed.due_at(price);
            let slack = (now - feed.seen_until) as f64 * SLACK;
            if due - now > slack as Millis {
                self.put_off(slot, due, reason, false);
                return None;
            }
        }
        if !self.feed(slot)?.turn_taken {
            let mut from = now;
            for budget in budgets {
                if let Some(account) = self.account(budget) {
                    from = from.max(account.turn(now, cost, nudged));
                }
            }
            if from > now {
                let reason = self.feed(slot)?.reason;
                self.put_off(slot, from, reason, true);
                return None;
            }
        }
        for budget in budgets {
            if let Some(account) = self.account(budget) {
                account.spend(cost);
            }
        }
        self.under_way += 1;
        let feed = self.feed(slot)?;
        let reason = if nudged { Reason::Nudge } else { feed.reason };
        feed.place = Place::Polling;
        feed.turn_taken = false;
        feed.reason = reason;
        let gap = feed.begun.map_or(Millis::MAX, |begun| now - begun);
        feed.gap = gap;
        feed.begun = Some(now);
        Some(Poll { feed: feed.number, reason, generation: feed.nudges.count, at: now })
    }

    /// Ends a poll. One that the schedule does not know to be under way is ignored.
    pub fn finish(&mut self, poll: &Poll, now: Millis, outcome: Outcome<'_>) {
        let now = self.at(now);
        let Some(slot) = self.index.get(&poll.feed).copied() else { return };
        let Some(feed) = self.feed(slot) else { return };
        if feed.place != Place::Polling || feed.begun != Some(poll.at) {
            return;
        }
        let charged = feed.rate.cost;
        let budgets = feed.budgets;
        match outcome {
            Outcome::Done { changes, times, requests, more } => {
                let nudged = poll.reason == Reason::Nudge;
                let told = feed.held || feed.push == Push::Healthy;
                let announced = told.then_some(nudged);
                feed.rate.observe(poll.at, Seen { changes, times, announced }, feed.class);
                if nudged {
                    feed.nudges.learn(feed.gap, feed.class.debounce, changes > 0);
                }
                let spent = (requests.max(1) as f32).min(SANE.1);
                feed.rate.cost += 0.1 * (spent - charged);
                feed.nudges.served = poll.generation;
                feed.seen_until = poll.at;
                feed.last_success = Some(now);
                feed.failures = 0;
                feed.more = more;
                for budget in budgets {
                    if let Some(account) = self.account(budget) {
                        account.spend(f64::from(spent - charged));
                    }
                }
            }
            Outcome::Throttled { budget, retry_after } => {
                if let Some(account) = self.account(budget.0) {
                    account.refuse(now, retry_after);
                }
                if let Some(feed) = self.feed(slot) {
                    feed.failures = feed.failures.saturating_add(1);
                }
            }
            Outcome::Failed => feed.failures = feed.failures.saturating_add(1),
        }
        self.under_way -= 1;
        if let Some(feed) = self.feed(slot) {
            feed.place = Place::Waiting;
        }
        self.book(slot);
        self.settle(slot, now);
    }

    /// Something may have changed in a feed: it is polled now, or when its debounce is over. A nudge during
    /// a poll causes one more poll after it.
    pub fn nudge(&mut self, number: u64, now: Millis) {
        let now = self.at(now);
        let Some(slot) = self.index.get(&number).copied() else { return };
        let Some(feed) = self.feed(slot) else { return };
        // A failing feed keeps its wait, and one that waits for its turn for an earlier nudge its turn.
        let waits = feed.failures > 0 || (feed.turn_taken && feed.nudges.waiting());
        feed.nudges.note(now, feed.class.debounce);
        if feed.place == Place::Waiting && !waits {
            self.settle(slot, now);
        }
    }

    /// Says how a feed's push stands. When it comes back, nudge the feed: the gap is not covered.
    pub fn set_push(&mut self, number: u64, now: Millis, push: Push) {
        self.change(number, now, |feed| feed.push = push);
    }

    /// Says how many read a feed live. While anyone does, its delay counts more.
    pub fn set_readers(&mut self, number: u64, now: Millis, readers: u16) {
        self.change(number, now, |feed| feed.readers = readers);
    }

    /// Changes how much a feed's delay counts.
    pub fn set_weight(&mut self, number: u64, now: Millis, weight: f32) {
        if !weight.is_nan() {
            self.change(number, now, |feed| feed.rate.weight = weight.clamp(SANE.0, SANE.1));
        }
    }

    pub(super) fn set_held(&mut self, number: u64, now: Millis, held: bool) {
        self.change(number, now, |feed| feed.held = held);
    }

    /// The estimates of a feed in 41 bytes, to be stored in the transaction that commits its cursor. A poll
    /// that found nothing need not store them: what passed since they were stored is made up for at the next.
    #[must_use]
    pub fn encode(&self, number: u64) -> Option<[u8; state::STATE_BYTES]> {
        let slot = self.index.get(&number)?;
        let feed = self.slots.get(*slot as usize)?.as_ref()?;
        Some(state::encode(&feed.rate))
    }

    /// How a feed is.
    #[must_use]
    pub fn health(&self, number: u64) -> Option<Health> {
        let slot = self.index.get(&number)?;
        let feed = self.slots.get(*slot as usize)?.as_ref()?;
        let mean = feed.rate.mean(feed.class);
        let told = feed.held || feed.push == Push::Healthy;
        let pushes = feed.rate.announced + feed.rate.idle_pushes;
        Some(Health {
            last_success: feed.last_success,
            next_poll: (feed.place != Place::Polling).then_some(feed.due),
            reason: if feed.nudges.waiting() && feed.reason != Reason::Paused {
                Reason::Nudge
            } else {
                feed.reason
            },
            failures: feed.failures,
            changes_per_day: mean * 86_400.0,
            sessionness: feed.rate.sessionness(mean, feed.class),
            missed: told.then(|| 1.0 - feed.rate.push_share(feed.class)),
            idle_pushes: (pushes > 0.0).then(|| f64::from(feed.rate.idle_pushes / pushes)),
            push: feed.push,
            held: feed.held,
            readers: feed.readers,
        })
    }

    /// How a budget stands.
    pub fn standing(&mut self, budget: BudgetId, now: Millis) -> Option<Standing> {
        let now = self.at(now);
        let account = self.account(budget.0)?;
        Some(Standing {
            price: account.price(now),
            penalty: account.penalty(now),
            paused_until: (account.paused_until > now).then_some(account.paused_until),
            feeds: account.feeds,
        })
    }

    /// How many feeds there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many polls are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.slots.iter().flatten()
    }
}

/// The tick of the wheel that a moment is in.
pub(super) fn tick(moment: Millis) -> u64 {
    moment.max(0) as u64 / TICK as u64
}
