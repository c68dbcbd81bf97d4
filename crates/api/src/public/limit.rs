//! Limits on endpoints that need no credential: so many per address in a window of time.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tramontane_model::Timestamp;

/// Beyond so many keys the ones whose window has passed are forgotten, and if that is not enough, all:
/// the memory is bounded whatever the addresses of a flood.
const MAX_KEYS: usize = 100_000;

/// A sliding window per key, made of two fixed ones: the count of the window before weighs as much as
/// of it still lies in the sliding window.
#[derive(Debug)]
pub(crate) struct Limit<K> {
    most: u32,
    window_micros: i64,
    counts: Mutex<HashMap<K, Count>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    window: i64,
    before: u32,
    now: u32,
}

impl Count {
    fn turned_to(self, window: i64) -> Self {
        match window - self.window {
            0 => self,
            1 => Self { window, before: self.now, now: 0 },
            _ => Self { window, before: 0, now: 0 },
        }
    }
}

impl<K: Eq + Hash> Limit<K> {
    /// At most `most` in so many seconds.
    #[must_use]
    pub(crate) fn new(most: u32, window_seconds: i64) -> Self {
        let window_micros = window_seconds.max(1).saturating_mul(1_000_000);
        Self { most, window_micros, counts: Mutex::default() }
    }

    /// Counts one more; or the seconds to wait when there were too many.
    ///
    /// # Errors
    /// The seconds after which one more is allowed, at least 1.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), u64> {
        self.check(&key, now)?;
        self.count(key, now);
        Ok(())
    }

    /// Whether one more is allowed, without counting it.
    ///
    /// # Errors
    /// The seconds after which one more is allowed, at least 1.
    pub(crate) fn check(&self, key: &K, now: Timestamp) -> Result<(), u64> {
        let window = now.micros().div_euclid(self.window_micros);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get(key) else { return Ok(()) };
        let count = count.turned_to(window);
        let into = now.micros().rem_euclid(self.window_micros);
        let left = self.window_micros - into;
        let weighed = i64::from(count.before).saturating_mul(left) + self.window_micros - 1;
        let weighed = weighed / self.window_micros;
        if weighed + i64::from(count.now) < i64::from(self.most) {
            return Ok(());
        }
        // In this window the earlier count fades; otherwise this window has to pass first.
        let wait = if count.now >= self.most {
            let over = i64::from(count.now) - i64::from(self.most) + 1;
            left + self.window_micros * over / i64::from(count.now.max(1))
        } else {
            let over = weighed + i64::from(count.now) - i64::from(self.most) + 1;
            (self.window_micros * over / i64::from(count.before.max(1))).min(left)
        };
        let seconds = wait.saturating_add(999_999) / 1_000_000;
        Err(u64::try_from(seconds).unwrap_or(1).max(1))
    }

    /// Takes back one that was counted.
    pub(crate) fn give_back(&self, key: &K, now: Timestamp) {
        let window = now.micros().div_euclid(self.window_micros);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(key) {
            *count = count.turned_to(window);
            if count.now > 0 {
                count.now -= 1;
            } else {
                count.before = count.before.saturating_sub(1);
            }
        }
    }

    /// Counts one, allowed or not.
    pub(crate) fn count(&self, key: K, now: Timestamp) {
        let window = now.micros().div_euclid(self.window_micros);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_KEYS && !counts.contains_key(&key) {
            counts.retain(|_, count| window - count.window <= 1);
            if counts.len() >= MAX_KEYS {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { window, ..Count::default() });
        *count = count.turned_to(window);
        count.now = count.now.saturating_add(1);
    }
}

/// The address to count by: the whole of an IPv4 address, the first 64 bits of an IPv6 one, because one
/// user has all of the rest.
#[must_use]
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6((u128::from(six) & !u128::from(u64::MAX)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn allows_so_many_and_then_tells_the_wait() {
        let limit = Limit::new(3, 60);
        for _ in 0..3 {
            assert_eq!(limit.take("a", at(600)), Ok(()));
        }
        let wait = limit.take("a", at(600));
        assert!(matches!(wait, Err(1..=120)), "{wait:?}");
        assert_eq!(limit.take("b", at(600)), Ok(()));
        let wait = i64::try_from(wait.err().unwrap_or_default()).unwrap_or_default();
        assert_eq!(limit.take("a", at(600 + wait)), Ok(()), "after {wait} s");
    }

    #[test]
    fn never_allows_more_in_a_sliding_window_by_straddling_two() {
        let limit = Limit::new(10, 60);
        for _ in 0..10 {
            assert_eq!(limit.take("a", at(659)), Ok(()));
        }
        assert!(limit.take("a", at(660)).is_err());
        assert!(limit.take("a", at(661)).is_err());
        assert_eq!(limit.take("a", at(720)), Ok(()));
    }

    #[test]
    fn one_user_of_ipv6_is_one_address() {
        let one: Result<IpAddr, _> = "2001:db8:1:2:3::4".parse();
        let other: Result<IpAddr, _> = "2001:db8:1:2:ffff::1".parse();
        assert_eq!(one.map(counted), other.map(counted));
        let mapped: Result<IpAddr, _> = "::ffff:192.0.2.7".parse();
        assert_eq!(mapped.map(counted).map(|a| a.to_string()), Ok("192.0.2.7".into()));
    }
}
