//! What servers taught us and would teach us again: regions of buckets, clocks that differ, headers
//! that are not known. Facts about servers, not about accounts; losing them costs a request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::target::is_region;

/// So many facts are kept; beyond that all are forgotten, which costs little.
const MAX_FACTS: usize = 10_000;

/// Facts about servers, by the server's authority.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    regions: HashMap<(String, String), String>,
    skews: HashMap<String, i64>,
    unconditional: HashMap<String, ()>,
}

impl Learned {
    fn with<T>(&self, look: impl FnOnce(&mut Facts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The region of a bucket (or, without one, of the server itself).
    pub(super) fn region(&self, authority: &str, bucket: &str) -> Option<String> {
        self.with(|facts| facts.regions.get(&(authority.to_owned(), bucket.to_owned())).cloned())
    }

    /// Remembers the region of a bucket. False when that is nothing new, or no region.
    pub(super) fn set_region(&self, authority: &str, bucket: &str, region: &str) -> bool {
        if !is_region(region) {
            return false;
        }
        self.with(|facts| {
            if facts.regions.len() >= MAX_FACTS {
                facts.regions.clear();
            }
            let key = (authority.to_owned(), bucket.to_owned());
            facts.regions.insert(key, region.to_owned()).as_deref() != Some(region)
        })
    }

    /// How many seconds the server's clock is ahead of ours.
    pub(super) fn skew(&self, authority: &str) -> i64 {
        self.with(|facts| facts.skews.get(authority).copied().unwrap_or(0))
    }

    /// Remembers how many seconds the server's clock is ahead of ours.
    pub(super) fn set_skew(&self, authority: &str, seconds: i64) {
        self.with(|facts| {
            if facts.skews.len() >= MAX_FACTS {
                facts.skews.clear();
            }
            facts.skews.insert(authority.to_owned(), seconds);
        });
    }

    /// Whether the server has refused conditional writes.
    pub(super) fn refuses_conditions(&self, authority: &str) -> bool {
        self.with(|facts| facts.unconditional.contains_key(authority))
    }

    /// Remembers that the server refuses conditional writes.
    pub(super) fn set_refuses_conditions(&self, authority: &str) {
        self.with(|facts| {
            if facts.unconditional.len() >= MAX_FACTS {
                facts.unconditional.clear();
            }
            facts.unconditional.insert(authority.to_owned(), ());
        });
    }
}
