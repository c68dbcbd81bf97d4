//! What was done for an account lately: what said that something changed, and what the looks at it came to. For
//! whoever asks why something was not told. It lies in memory, in the process that polls the account.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use tramontane_activity::schedule::Reason;

/// The most that is kept of each kind for an account.
const STEPS: usize = 32;
/// The most accounts of which something is kept.
const ACCOUNTS: u64 = 10_000;

/// What said that something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudger {
    /// The service's push.
    Push,
    /// A long poll at the service.
    LongPoll,
    /// What hears of changes on this machine.
    Watch,
    /// A write through the API.
    Write,
    /// Files that were still being written when they were looked at.
    Unsettled,
    /// The feed was taken up.
    Start,
}

impl Nudger {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::LongPoll => "long_poll",
            Self::Watch => "watch",
            Self::Write => "write",
            Self::Unsettled => "unsettled",
            Self::Start => "start",
        }
    }
}

/// Something said that something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nudged {
    /// When, in microseconds.
    pub at: i64,
    /// What.
    pub by: Nudger,
}

/// Looks at the service: one, or several that found nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When the last of them ended, in microseconds.
    pub at: i64,
    /// Why it was made.
    pub reason: Reason,
    /// How many: more than one only where none of them found anything.
    pub times: u32,
    /// Requests of the last.
    pub requests: u32,
    /// What the service told: entries and changes.
    pub seen: u32,
    /// What came of it: events.
    pub events: u32,
    /// Why it failed.
    pub error: Option<String>,
}

impl Look {
    fn is_quiet(&self) -> bool {
        self.seen == 0 && self.events == 0 && self.error.is_none()
    }
}

/// What was done for an account, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// What said that something changed.
    pub nudges: VecDeque<Nudged>,
    /// The looks.
    pub looks: VecDeque<Look>,
}

/// The trails of accounts.
#[derive(Clone)]
pub(crate) struct Trails(Cache<i64, Arc<Mutex<Trail>>>);

impl Trails {
    pub(crate) fn new() -> Self {
        Self(Cache::new(ACCOUNTS))
    }

    fn change(&self, account: i64, change: impl FnOnce(&mut Trail)) {
        let trail = self.0.get_with(account, Arc::default);
        change(&mut trail.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn nudged(&self, account: i64, nudged: Nudged) {
        self.change(account, |trail| push(&mut trail.nudges, nudged));
    }

    pub(crate) fn looked(&self, account: i64, look: Look) {
        self.change(account, |trail| match trail.looks.back_mut() {
            Some(last) if last.is_quiet() && look.is_quiet() => {
                let times = last.times.saturating_add(1);
                *last = Look { times, ..look };
            }
            _ => push(&mut trail.looks, look),
        });
    }

    pub(crate) fn of(&self, account: i64) -> Trail {
        let known = self.0.get(&account);
        known
            .map(|trail| trail.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }
}

fn push<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == STEPS {
        kept.pop_front();
    }
    kept.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: i64, seen: u32) -> Look {
        Look { at, reason: Reason::Price, times: 1, requests: 1, seen, events: seen, error: None }
    }

    #[test]
    fn looks_that_find_nothing_are_counted_and_little_is_kept() {
        let trails = Trails::new();
        for at in 0..10 {
            trails.looked(7, look(at, 0));
        }
        trails.looked(7, look(10, 2));
        trails.looked(7, look(11, 0));
        let looks = trails.of(7).looks;
        assert_eq!(looks.iter().map(|look| look.times).collect::<Vec<_>>(), [10, 1, 1]);
        for at in 0..100 {
            trails.looked(7, look(at, 1));
            trails.nudged(7, Nudged { at, by: Nudger::Push });
        }
        let trail = trails.of(7);
        assert_eq!((trail.looks.len(), trail.nudges.len()), (STEPS, STEPS));
        assert_eq!(trail.looks.back().map(|look| look.at), Some(99));
        assert!(trails.of(8).looks.is_empty());
    }
}
