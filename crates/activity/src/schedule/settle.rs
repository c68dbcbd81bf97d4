//! Where a feed goes next in the schedule, and what all feeds pay.

use super::feed::{Feed, Place};
use super::price::Account;
use super::queue::{SWEEP, Schedule, tick};
use super::{MAX_BUDGETS, Millis, Reason};

impl Schedule {
    /// The present moment, which never goes back.
    pub(super) fn at(&mut self, now: Millis) -> Millis {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn feed(&mut self, slot: u32) -> Option<&mut Feed> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn place(&self, slot: u32) -> Option<Place> {
        self.slots.get(slot as usize)?.as_ref().map(|feed| feed.place)
    }

    pub(super) fn account(&mut self, budget: u32) -> Option<&mut Account> {
        self.budgets.get_mut(budget as usize)?.as_mut()
    }

    pub(super) fn account_at(&self, budget: u32) -> Option<&Account> {
        self.budgets.get(budget as usize)?.as_ref()
    }

    /// What a request of a feed with these budgets costs: the sum of their prices, times what refusals in
    /// any of them put on. A refusal so slows the feeds of its own budget, also one that costs next to nothing.
    pub(super) fn price(&mut self, budgets: [u32; MAX_BUDGETS], now: Millis) -> f64 {
        let (mut sum, mut penalty, mut fell) = (0.0, 1.0, false);
        for budget in budgets {
            if let Some(account) = self.account(budget) {
                let price = account.price(now);
                sum += price;
                penalty *= account.penalty(now);
                fell |= account.fell(price);
            }
        }
        if fell && self.sweep_left == 0 {
            self.sweep_left = self.slots.len();
            self.swept_at = now;
        }
        sum * penalty
    }

    /// Keeps the sums of a feed's budgets right after its estimates changed.
    pub(super) fn book(&mut self, slot: u32) {
        let Some(feed) = self.feed(slot) else { return };
        let (root, cost) = (feed.new_root(), feed.rate.cost);
        let more_root = f64::from(root) - f64::from(feed.root);
        let more_cost = f64::from(cost) - f64::from(feed.cost);
        (feed.root, feed.cost) = (root, cost);
        for budget in feed.budgets {
            if let Some(account) = self.account(budget) {
                account.roots = (account.roots + more_root).max(0.0);
                account.once = (account.once + more_cost).max(0.0);
            }
        }
    }

    pub(super) fn change(&mut self, number: u64, now: Millis, change: impl FnOnce(&mut Feed)) {
        let now = self.at(now);
        let Some(slot) = self.index.get(&number).copied() else { return };
        let Some(feed) = self.feed(slot) else { return };
        change(feed);
        let first = feed.reason == Reason::First && !feed.nudges.waiting();
        let waits = feed.place == Place::Waiting && feed.failures == 0 && !first;
        self.book(slot);
        if waits {
            self.settle(slot, now);
        }
    }

    /// Finds a feed that is not being polled its next moment.
    pub(super) fn settle(&mut self, slot: u32, now: Millis) {
        let Some(feed) = self.feed(slot) else { return };
        let budgets = feed.budgets;
        let (due, reason) = if feed.failures > 0 {
            (feed.retry_from(now), Reason::Retry)
        } else if feed.nudges.waiting() {
            (feed.nudge_from(now), Reason::Nudge)
        } else if feed.more {
            (now, Reason::More)
        } else {
            let price = self.price(budgets, now);
            let Some(feed) = self.feed(slot) else { return };
            feed.due_at(price)
        };
        self.put_off(slot, due, reason, false);
        if reason == Reason::Nudge && due <= now {
            self.wheel.take_out(slot);
            if let Some(feed) = self.feed(slot) {
                feed.place = Place::Urgent;
                self.urgent.push_back(slot);
            }
        }
    }

    pub(super) fn put_off(&mut self, slot: u32, due: Millis, reason: Reason, turn_taken: bool) {
        if let Some(feed) = self.feed(slot) {
            (feed.due, feed.reason, feed.turn_taken) = (due, reason, turn_taken);
            feed.place = Place::Waiting;
            self.hang(slot);
        }
    }

    /// Puts a feed into the wheel at its due moment.
    pub(super) fn hang(&mut self, slot: u32) {
        let Some(due) = self.feed(slot).map(|feed| feed.due) else { return };
        // A tick is over when its last millisecond is: nothing comes before its moment.
        self.wheel.place(slot, tick(due.saturating_add(super::queue::TICK - 1)));
    }

    /// After a price fell, goes on looking at all feeds again, so many a second: a feed that was placed at
    /// a far higher price must not wait for it. (A price that rose is met by each feed as it comes due.)
    pub(super) fn sweep(&mut self, now: Millis) {
        if self.sweep_left == 0 {
            return;
        }
        let passed = (now - self.swept_at).max(0) as f64;
        let share = self.slots.len() as f64 * passed / SWEEP;
        if share < 1.0 && passed < SWEEP {
            return;
        }
        self.swept_at = now;
        let looks = (share.ceil() as usize).min(self.sweep_left).min(super::queue::MOST_LOOKED_AT);
        self.sweep_left -= looks;
        for _ in 0..looks {
            self.sweep_from = (self.sweep_from + 1) % self.slots.len().max(1);
            let slot = self.sweep_from as u32;
            let Some(feed) = self.feed(slot) else { continue };
            let (budgets, until) = (feed.budgets, feed.due);
            let priced = matches!(feed.reason, Reason::Price | Reason::Backstop | Reason::Longest);
            if !priced || feed.place != Place::Waiting || feed.turn_taken {
                continue;
            }
            let price = self.price(budgets, now);
            let Some((due, reason)) = self.feed(slot).map(|feed| feed.due_at(price)) else {
                continue;
            };
            if due < until {
                self.put_off(slot, due.max(now), reason, false);
            }
        }
    }
}
