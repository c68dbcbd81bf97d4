//! Which shards this process owns: leased in the database, renewed, given back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tramontane_model::Clock;
use tramontane_store::{Db, shards};

use crate::error::Result;
use crate::shard::SHARDS;

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(12);
/// How often leases are renewed, and shards that nobody holds are looked for.
const EVERY: Duration = Duration::from_secs(3);

/// Shards and the epochs under which they are owned.
pub type Owned = Arc<BTreeMap<i64, i64>>;

/// Owns shards.
pub(crate) struct Owner {
    db: Db,
    clock: Arc<dyn Clock>,
    node: String,
    name: String,
    /// What earlier processes of this node left was taken over: done once, at the start.
    has_inherited: bool,
    owned: watch::Sender<Owned>,
    /// Until when the leases surely last, by this process's own reckoning.
    until: Instant,
}

impl Owner {
    /// Nothing is owned yet. `node` stays the same over restarts; together with `start` it is this process's
    /// own name.
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        node: String,
        start: &str,
    ) -> (Self, watch::Receiver<Owned>) {
        let (owned, receiver) = watch::channel(Owned::default());
        let name = format!("{node}/{start}");
        let until = Instant::now();
        (Self { db, clock, node, name, has_inherited: false, owned, until }, receiver)
    }

    /// Whether an earlier process of this node left a lease behind when it died. It need not run out: should
    /// that process live after all, its epoch is over, and nothing that it writes is taken any more.
    fn inherits(&self, owner: Option<&str>) -> bool {
        let of_node = owner.and_then(|owner| owner.strip_prefix(self.node.as_str()));
        !self.has_inherited && of_node.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Owns what nobody else does until `stop`, then gives it back.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "the leases of shards could not be renewed");
            }
            if Instant::now() >= self.until && !self.owned.borrow().is_empty() {
                tracing::error!("the leases of all shards ran out: others may own them by now");
                self.owned.send_replace(Owned::default());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        let owned = Arc::clone(&self.owned.borrow());
        self.owned.send_replace(Owned::default());
        for (shard, epoch) in owned.iter() {
            if let Err(error) = shards::release(&self.db, *shard, *epoch).await {
                tracing::warn!(%error, shard, "a shard could not be given back: its lease will run out");
            }
        }
    }

    async fn round(&mut self) -> Result<()> {
        let begun = Instant::now();
        let now = self.clock.now().micros();
        let leased_until = now.saturating_add(i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX));
        let held: Vec<(i64, i64)> = self.owned.borrow().iter().map(|(a, b)| (*a, *b)).collect();
        let mut owned = BTreeMap::new();
        if held.is_empty() {
            shards::ensure(&self.db, SHARDS).await?;
        } else {
            let still = shards::renew(&self.db, &self.name, &held, leased_until).await?;
            owned.extend(held.iter().copied().filter(|(shard, _)| still.contains(shard)));
            if owned.len() < held.len() {
                tracing::warn!(lost = held.len() - owned.len(), "another process took shards over");
            }
        }
        for shard in shards::list(&self.db).await? {
            if owned.contains_key(&shard.id) {
                continue;
            }
            let inherits = self.inherits(shard.owner.as_deref());
            if shard.leased_until < now || inherits {
                // A lease that somebody renewed since it was read is left alone.
                let over = if inherits { shard.leased_until.max(now) + 1 } else { now };
                let taken =
                    shards::take(&self.db, shard.id, &self.name, over, leased_until).await?;
                owned.extend(taken.map(|taken| (taken.id, taken.epoch)));
            }
        }
        self.has_inherited = true;
        // Counted from before the statements were sent: the lease cannot end earlier than that.
        self.until = begun + LEASE;
        if owned != **self.owned.borrow() {
            tracing::info!(shards = owned.len(), "owning shards of the activity log");
            self.owned.send_replace(Arc::new(owned));
        }
        Ok(())
    }
}
