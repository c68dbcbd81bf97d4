//! The work: a courier for each active webhook, a look-out for each shard that this node holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tramontane_store::log::{SLICE_MICROS, slice_of};
use tramontane_store::webhooks::{self, Webhook};
use tramontane_store::{deliveries, shards};

use crate::deliver::Deliveries;
use crate::deliver::courier::{Courier, Orders};
use crate::error::Result;
use crate::owner::Owned;

/// Webhooks of one statement.
const PAGE: i64 = 1_000;
/// How often a shard is looked at although nobody rang.
const BACKSTOP: Duration = Duration::from_secs(30);
/// How often the log of attempts is looked after.
const UPKEEP: Duration = Duration::from_secs(3_600);
/// How long replays that have ended are kept: as long as their tasks.
const REPLAYS_KEPT: i64 = 86_400_000_000;

struct Post {
    orders: watch::Sender<Orders>,
    bell: Arc<Notify>,
    application: String,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// Who is to be woken when an application has new events.
type Bells = Arc<std::sync::Mutex<BTreeMap<String, Vec<Arc<Notify>>>>>;

impl Deliveries {
    /// Delivers the events of the shards that this node holds, until `stop`; then waits for what is
    /// under way and writes how far it came.
    pub async fn run(&self, mut owned: watch::Receiver<Owned>, stop: CancellationToken) {
        let bells = Bells::default();
        let mut posts: BTreeMap<String, Post> = BTreeMap::new();
        // Couriers that were told to stop and write how far they came.
        let mut leaving = Vec::new();
        let mut outlooks: BTreeMap<(i64, i64), JoinHandle<()>> = BTreeMap::new();
        let upkeep = tokio::spawn(self.clone().look_after(stop.clone()));
        let (replays, told) = (self.clone(), stop.clone());
        let replays = tokio::spawn(async move { replays.do_replays(&told).await });
        while !stop.is_cancelled() {
            let held = Arc::clone(&owned.borrow_and_update());
            outlooks.retain(|(shard, epoch), task| {
                let keep = held.get(shard) == Some(epoch) && !task.is_finished();
                if !keep {
                    task.abort();
                    self.0.pages.leave(*shard);
                }
                keep
            });
            for (shard, epoch) in held.iter() {
                outlooks.entry((*shard, *epoch)).or_insert_with(|| {
                    let (this, bells) = (self.clone(), Arc::clone(&bells));
                    let (shard, stop) = (*shard, stop.clone());
                    tokio::spawn(async move { this.look_out(shard, bells, stop).await })
                });
            }
            if let Err(error) = self.station(&mut posts, &mut leaving, held, &bells).await {
                tracing::warn!(%error, "webhooks cannot be read");
            }
            tokio::select! {
                changed = owned.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                }
                () = self.0.changed.notified() => {}
                () = sleep(self.0.options.look_every) => {}
                () = stop.cancelled() => {}
            }
        }
        for task in outlooks.into_values() {
            task.abort();
        }
        for post in posts.values() {
            post.stop.cancel();
        }
        for task in posts.into_values().map(|post| post.task).chain(leaving) {
            let _ = task.await;
        }
        let _ = replays.await;
        upkeep.abort();
    }

    /// Gives each active webhook a courier with the newest orders, and ends those of the others.
    async fn station(
        &self,
        posts: &mut BTreeMap<String, Post>,
        leaving: &mut Vec<JoinHandle<()>>,
        held: Owned,
        bells: &Bells,
    ) -> Result<()> {
        let rows = if held.is_empty() { Vec::new() } else { self.active().await? };
        let wanted: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let over = |(id, post): &(&String, &Post)| {
            !wanted.contains(id.as_str()) || post.task.is_finished()
        };
        leaving.retain(|task| !task.is_finished());
        let over: Vec<String> = posts.iter().filter(over).map(|(id, _)| id.clone()).collect();
        for id in over {
            if let Some(post) = posts.remove(&id) {
                post.stop.cancel();
                leaving.push(post.task);
                let mut bells = bells.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(all) = bells.get_mut(&post.application) {
                    all.retain(|bell| !Arc::ptr_eq(bell, &post.bell));
                }
            }
        }
        for row in rows {
            let row = Arc::new(row);
            let orders = Orders { row: Arc::clone(&row), shards: Arc::clone(&held) };
            if let Some(post) = posts.get(&row.id) {
                post.orders.send_if_modified(|now| {
                    let news = now.row != orders.row || now.shards != orders.shards;
                    if news {
                        *now = orders;
                    }
                    news
                });
                continue;
            }
            let (sender, receiver) = watch::channel(orders);
            let (bell, stop) = (Arc::new(Notify::new()), CancellationToken::new());
            let of = Arc::clone(&self.0);
            let Some(courier) = Courier::new(of, receiver, Arc::clone(&bell), stop.clone()) else {
                tracing::warn!(webhook = %row.id, "a webhook has no URL that can be called");
                continue;
            };
            let application = row.application.clone();
            {
                let mut bells = bells.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                bells.entry(application.clone()).or_default().push(Arc::clone(&bell));
            }
            let task = tokio::spawn(courier.run());
            let post = Post { orders: sender, bell, application, task, stop };
            posts.insert(row.id.clone(), post);
        }
        metrics::gauge!("tramontane_webhooks_active").set(posts.len() as f64);
        Ok(())
    }

    async fn active(&self) -> Result<Vec<Webhook>> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let page = webhooks::active(self.0.db(), &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(rows) };
            after.clone_from(&last.id);
            let whole = (page.len() as i64) < PAGE;
            rows.extend(page);
            if whole {
                return Ok(rows);
            }
        }
    }

    /// Reads what is new in a shard, and wakes the couriers of the applications in it.
    async fn look_out(&self, shard: i64, bells: Bells, stop: CancellationToken) {
        let mut watch = self.0.log.live().shard(shard);
        let mut start = None;
        // How far it goes, as whoever wrote it said; 0: nobody said anything, look for yourself.
        let mut told = 0;
        while !stop.is_cancelled() {
            let followed = match start {
                Some(start) => self.0.pages.follow(shard, start, told).await,
                None => match self.head(shard).await {
                    Ok(head) => {
                        start = Some(head);
                        let followed = self.0.pages.follow(shard, head, 0).await;
                        // What came between a courier's first look and this head nobody else tells of.
                        let bells = bells.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        bells.values().flatten().for_each(|bell| bell.notify_one());
                        followed
                    }
                    Err(error) => Err(error),
                },
            };
            match followed {
                Ok(applications) => {
                    let bells = bells.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    for application in &applications {
                        bells
                            .get(&**application)
                            .into_iter()
                            .flatten()
                            .for_each(|b| b.notify_one());
                    }
                }
                Err(error) => tracing::warn!(shard, %error, "a shard cannot be followed"),
            }
            told = tokio::select! {
                () = watch.changed() => watch.head(),
                () = sleep(BACKSTOP) => 0,
                () = stop.cancelled() => return,
            };
        }
    }

    async fn head(&self, shard: i64) -> Result<i64> {
        let all = shards::list(self.0.db()).await?;
        Ok(all.into_iter().find(|one| one.id == shard).map_or(0, |one| one.head))
    }

    /// Makes the tables of the log of attempts before they are needed, and drops old ones.
    async fn look_after(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.upkeep().await {
                tracing::warn!(%error, "the log of deliveries cannot be looked after");
            }
            tokio::select! {
                () = sleep(UPKEEP) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn upkeep(&self) -> Result<()> {
        let (db, now) = (self.0.db(), self.0.now());
        let today = slice_of(now);
        for slice in [today, today + 1] {
            deliveries::ensure_slice(db, slice, now).await?;
        }
        let oldest = slice_of(now - self.0.options.log_days.saturating_mul(SLICE_MICROS));
        for slice in deliveries::slices(db).await?.into_iter().filter(|slice| *slice < oldest) {
            deliveries::drop_slice(db, slice).await?;
        }
        deliveries::prune_replays(db, now - REPLAYS_KEPT).await?;
        Ok(())
    }
}
