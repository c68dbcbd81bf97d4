//! How far a task has come: counters that the work turns and the runner writes down now and then.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The counters as they are stored and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many items there are, when known.
    pub items_total: Option<u64>,
    /// How many are done.
    pub items_done: u64,
    /// How many bytes there are, when known.
    pub bytes_total: Option<u64>,
    /// How many are done.
    pub bytes_done: u64,
    /// Seconds left, as far as can be told.
    pub time_remaining: Option<u64>,
}

/// Counters under way. Turning one never waits and never writes to the database.
#[derive(Debug)]
pub struct Progress {
    items_total: AtomicI64,
    items_done: AtomicU64,
    bytes_total: AtomicI64,
    bytes_done: AtomicU64,
    changed: AtomicBool,
}

impl Progress {
    pub(crate) fn from_counts(counts: Counts) -> Self {
        Self {
            items_total: AtomicI64::new(signed(counts.items_total)),
            items_done: AtomicU64::new(counts.items_done),
            bytes_total: AtomicI64::new(signed(counts.bytes_total)),
            bytes_done: AtomicU64::new(counts.bytes_done),
            changed: AtomicBool::new(false),
        }
    }

    /// Sets everything back: the work begins from its beginning.
    pub fn restart(&self) {
        self.items_done.store(0, Ordering::Relaxed);
        self.bytes_done.store(0, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// Says how many items there are.
    pub fn set_items_total(&self, total: u64) {
        self.items_total.store(signed(Some(total)), Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// Says how many bytes there are.
    pub fn set_bytes_total(&self, total: u64) {
        self.bytes_total.store(signed(Some(total)), Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// Counts items as done.
    pub fn add_items(&self, count: u64) {
        self.items_done.fetch_add(count, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// Counts bytes as done.
    pub fn add_bytes(&self, count: u64) {
        self.bytes_done.fetch_add(count, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// The counters now. `elapsed_ms` is how long the work has run, for the guess of what is left.
    #[must_use]
    pub fn counts(&self, elapsed_ms: u64) -> Counts {
        let mut counts = Counts {
            items_total: unsigned(self.items_total.load(Ordering::Relaxed)),
            items_done: self.items_done.load(Ordering::Relaxed),
            bytes_total: unsigned(self.bytes_total.load(Ordering::Relaxed)),
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            time_remaining: None,
        };
        let by_bytes = remaining(counts.bytes_done, counts.bytes_total, elapsed_ms);
        let by_items = remaining(counts.items_done, counts.items_total, elapsed_ms);
        counts.time_remaining = by_bytes.or(by_items);
        counts
    }

    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Acquire)
    }
}

/// Seconds left when what is left goes as fast as what is done.
fn remaining(done: u64, total: Option<u64>, elapsed_ms: u64) -> Option<u64> {
    let left = total?.saturating_sub(done);
    if done == 0 {
        return None;
    }
    let millis = u128::from(left) * u128::from(elapsed_ms) / u128::from(done);
    u64::try_from(millis.div_ceil(1_000)).ok()
}

fn signed(value: Option<u64>) -> i64 {
    value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX))
}

fn unsigned(value: i64) -> Option<u64> {
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_what_is_left_from_what_is_done() {
        let progress = Progress::from_counts(Counts::default());
        assert_eq!(progress.counts(5_000).time_remaining, None);
        progress.set_bytes_total(1_000);
        progress.add_bytes(250);
        let counts = progress.counts(5_000);
        assert_eq!((counts.bytes_done, counts.bytes_total), (250, Some(1_000)));
        assert_eq!(counts.time_remaining, Some(15));
        assert!(progress.take_changed());
        assert!(!progress.take_changed());
    }
}
