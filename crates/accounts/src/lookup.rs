//! A look-up kept in memory, that a change can drop without a race.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::error::Result;

/// Values by key, each for a while. A load that was under way while its key was dropped is given to
/// its caller but not kept, so a dropped value never comes back.
pub(crate) struct Lookup<K, V> {
    cache: Cache<K, V>,
    drops: Mutex<u64>,
}

impl<K, V> Lookup<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(capacity: u64, ttl: Duration) -> Self {
        let cache = Cache::builder().max_capacity(capacity).time_to_live(ttl).build();
        Self { cache, drops: Mutex::new(0) }
    }

    /// What is kept, or what `load` finds. An absent value is not kept: its key may be made any moment.
    pub(crate) async fn get<F>(&self, key: &K, load: F) -> Result<Option<V>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        if let Some(value) = self.cache.get(key) {
            return Ok(Some(value));
        }
        let before = *self.lock();
        let Some(value) = load.await? else { return Ok(None) };
        let drops = self.lock();
        if *drops == before {
            self.cache.insert(key.clone(), value.clone());
        }
        Ok(Some(value))
    }

    pub(crate) fn forget(&self, key: &K) {
        let mut drops = self.lock();
        *drops += 1;
        self.cache.invalidate(key);
    }

    pub(crate) fn forget_all(&self) {
        let mut drops = self.lock();
        *drops += 1;
        self.cache.invalidate_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn lookup() -> Lookup<u8, u8> {
        Lookup::new(10, Duration::from_secs(60))
    }

    #[tokio::test]
    async fn keeps_what_was_loaded_until_it_is_dropped() {
        let kept = lookup();
        let load = |value| async move { Ok(Some(value)) };
        assert_eq!(kept.get(&1, load(10)).await.unwrap(), Some(10));
        assert_eq!(kept.get(&1, load(11)).await.unwrap(), Some(10));
        kept.forget(&1);
        assert_eq!(kept.get(&1, load(12)).await.unwrap(), Some(12));
        kept.forget_all();
        assert_eq!(kept.get(&1, load(13)).await.unwrap(), Some(13));
        assert_eq!(kept.get(&2, async { Ok(None) }).await.unwrap(), None);
        assert_eq!(kept.get(&2, load(20)).await.unwrap(), Some(20));
    }

    #[tokio::test]
    async fn a_load_that_a_change_overtook_is_not_kept() {
        let kept = lookup();
        let overtaken = async {
            kept.forget(&1);
            Ok(Some(1))
        };
        assert_eq!(kept.get(&1, overtaken).await.unwrap(), Some(1));
        assert_eq!(kept.get(&1, async { Ok(Some(2)) }).await.unwrap(), Some(2));
    }
}
