//! Our own rate limit: a sliding window per application and per account (wire API, sections 16, 54).
//!
//! The window slides by weighing the window before by what of it still counts: two numbers for each
//! key, no list of times.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{ApiLimits, Rate};

/// What is left of the tightest window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// Seconds until the window is new.
    pub reset: u64,
    /// Whether this request was over the limit.
    pub spent: bool,
}

impl Budget {
    /// The tighter of two.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let rank = |one: &Self| (!one.spent, one.remaining, std::cmp::Reverse(one.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// Counts keys against a rate.
#[derive(Debug)]
pub struct Windows {
    rate: Rate,
    started: Instant,
    counts: Mutex<HashMap<String, Count>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    window: u64,
    before: u64,
    now: u64,
}

/// Keys are looked through for old ones when there are more than this.
const MANY_KEYS: usize = 10_000;

impl Windows {
    /// Counts against this rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let window = rate.window.max(Duration::from_secs(1));
        Self {
            rate: Rate { window, requests: rate.requests },
            started: Instant::now(),
            counts: Mutex::default(),
        }
    }

    /// Counts one request of this key. A request over the limit is not counted.
    #[must_use]
    pub fn take(&self, key: &str) -> Budget {
        let elapsed = self.started.elapsed().as_millis();
        let length = self.rate.window.as_millis();
        let window = u64::try_from(elapsed / length).unwrap_or(u64::MAX);
        let into = u64::try_from(elapsed % length).unwrap_or(0);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() > MANY_KEYS && !counts.contains_key(key) {
            counts.retain(|_, count| count.window + 1 >= window);
        }
        if !counts.contains_key(key) {
            counts.insert(key.to_owned(), Count { window, ..Count::default() });
        }
        let Some(count) = counts.get_mut(key) else {
            return Budget { limit: self.rate.requests, remaining: 0, reset: 1, spent: false };
        };
        if count.window != window {
            let before = if count.window + 1 == window { count.now } else { 0 };
            *count = Count { window, before, now: 0 };
        }
        // What of the window before still lies within one length of time.
        let carried = count.before.saturating_mul(length - into).div_ceil(length);
        let used = carried.saturating_add(count.now);
        let spent = used >= self.rate.requests;
        if !spent {
            count.now += 1;
        }
        let used = used.saturating_add(u64::from(!spent));
        Budget {
            limit: self.rate.requests,
            remaining: self.rate.requests.saturating_sub(used),
            reset: (length - into).div_ceil(1_000).max(1),
            spent,
        }
    }
}

/// The windows that are configured.
#[derive(Debug)]
pub struct Rates {
    application: Option<Windows>,
    account: Option<Windows>,
}

impl Rates {
    /// The windows of these limits.
    #[must_use]
    pub fn new(limits: &ApiLimits) -> Self {
        Self {
            application: limits.application_rate.map(Windows::new),
            account: limits.account_rate.map(Windows::new),
        }
    }

    /// Counts a request of an application.
    #[must_use]
    pub fn application(&self, id: &str) -> Option<Budget> {
        Some(self.application.as_ref()?.take(id))
    }

    /// Counts a request for an account.
    #[must_use]
    pub fn account(&self, id: i64) -> Option<Budget> {
        Some(self.account.as_ref()?.take(&id.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_slides() {
        let rate = Rate { requests: 10, window: Duration::from_secs(10) };
        let windows = Windows::new(rate);
        for left in (0..10).rev() {
            let budget = windows.take("a");
            assert_eq!((budget.remaining, budget.spent), (left, false));
        }
        assert!(windows.take("a").spent);
        assert!(!windows.take("b").spent, "keys do not share");
        tokio::time::advance(Duration::from_secs(15)).await;
        let free = (0..20).filter(|_| !windows.take("a").spent).count();
        assert_eq!(free, 5, "half of the window before still counts");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(windows.take("a").remaining, 9);
    }
}
