//! Hears of what other processes commit: who waits here is woken by a look at the database, one for all.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tramontane_store::following;

use crate::error::Result;
use crate::log::Log;

/// How often the database is looked at while somebody waits.
const EVERY: Duration = Duration::from_secs(1);

/// Looks every second until told to stop. While nobody waits, nothing is asked.
pub async fn run(log: Log, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = look(&log).await {
            tracing::warn!(%error, "what other processes committed could not be looked for");
        }
    }
}

/// Wakes whoever waits for a feed or a shard that has grown further than this process knows.
///
/// # Errors
/// Those of the database.
pub async fn look(log: &Log) -> Result<()> {
    let (feeds, shards) = (log.live().feeds(), log.live().shards());
    if !feeds.is_empty() {
        let wanted: Vec<i64> = feeds.keys().copied().collect();
        for (feed, head) in following::heads(log.db(), &wanted).await? {
            if feeds.get(&feed).is_some_and(|known| *known < head) {
                log.live().feed_grew(feed, head);
            }
        }
    }
    if !shards.is_empty() {
        for extent in following::shard_extents(log.db()).await? {
            if shards.get(&extent.shard).is_some_and(|known| *known < extent.head) {
                log.live().shard_grew(extent.shard, extent.head);
            }
        }
    }
    Ok(())
}
