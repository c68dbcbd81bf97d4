//! Runs tasks: takes their leases, applications in turn, keeps the leases while the work goes on,
//! writes down how far it is and how it ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use tramontane_store::{task_queue, tasks as table};

use crate::error::{Error, Result};
use crate::operation::Again;
use crate::rows::{self, Waiting};
use crate::task::Outcome;
use crate::tasks::Tasks;
use crate::work::Work;

/// After so many processes died over a task it is ended: it may be what kills them.
const MAX_ATTEMPTS: i64 = 5;
/// How often ended tasks are looked for that are past their keeping.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Does the work of tasks. The API implements it over the storage it serves.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Does one task. Dropped at an await when the task is cancelled or its lease is lost. When
    /// [`Work::resumed`], an earlier process may have done part or all of it.
    async fn run(&self, work: Arc<Work>) -> Outcome;

    /// The outcome of a task that nobody can do any more, with this message.
    fn failed(&self, work: &Work, message: &str) -> Outcome;

    /// Told when a task has ended for good: what was kept for it may go.
    async fn ended(&self, _work: &Work) {}
}

/// Who is served next: the application with the fewest tasks under way here, and among equals the one
/// that was served longest ago.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    turn: u64,
    served: HashMap<String, u64>,
    running: HashMap<String, usize>,
}

impl Turns {
    fn pick<'a>(&self, waiting: &'a [Waiting]) -> Option<&'a Waiting> {
        waiting.iter().min_by_key(|one| {
            let running = self.running.get(&one.application).copied().unwrap_or(0);
            let served = self.served.get(&one.application).copied().unwrap_or(0);
            (running, served, one.run_after)
        })
    }

    fn begin(&mut self, application: &str) {
        self.turn += 1;
        self.served.insert(application.to_owned(), self.turn);
        *self.running.entry(application.to_owned()).or_default() += 1;
    }

    fn end(&mut self, application: &str) {
        if let Some(count) = self.running.get_mut(application) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running.remove(application);
            }
        }
        // Who was served long ago is as good as who was never served.
        let horizon = self.turn.saturating_sub(10_000);
        self.served.retain(|_, turn| *turn > horizon);
    }
}

impl Tasks {
    /// Runs tasks until `stop` is cancelled, then waits for those under way until `drain` has passed,
    /// and gives back the leases of the rest so that another process goes on with them at once.
    pub async fn serve(
        &self,
        executor: Arc<dyn Executor>,
        stop: CancellationToken,
        drain: Duration,
    ) {
        let inner = &self.inner;
        match task_queue::adopt(&inner.db, &inner.settings.node, inner.clock.now().micros()).await {
            Ok(0) => {}
            Ok(count) => info!(count, "taking up tasks that this node left behind"),
            Err(error) => error!(%error, "cannot look for tasks left behind"),
        }
        let mut jobs = JoinSet::new();
        let mut pruned = Instant::now();
        loop {
            while jobs.len() < inner.settings.max_running && !stop.is_cancelled() {
                let Some(work) = self.claim().await else { break };
                let (tasks, executor) = (self.clone(), Arc::clone(&executor));
                jobs.spawn(async move { tasks.perform(executor, work).await });
            }
            if pruned.elapsed() >= PRUNE_EVERY {
                pruned = Instant::now();
                if let Err(error) = self.prune().await {
                    warn!(%error, "cannot prune ended tasks");
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = inner.wake.notified() => {}
                Some(_) = jobs.join_next() => {}
                () = tokio::time::sleep(inner.settings.poll) => {}
            }
        }
        inner.drain();
        let done = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, done).await.is_err() {
            inner.give_back.cancel();
            while jobs.join_next().await.is_some() {}
        }
    }

    /// Runs every task that can be run now, one after the other, and those that come meanwhile. For
    /// tests and for commands.
    pub async fn run_due(&self, executor: &Arc<dyn Executor>) -> usize {
        let mut count = 0;
        while let Some(work) = self.claim().await {
            self.perform(Arc::clone(executor), work).await;
            count += 1;
        }
        count
    }

    /// Takes the lease of the task whose turn it is.
    pub(crate) async fn claim(&self) -> Option<Arc<Work>> {
        let inner = &self.inner;
        loop {
            let now = inner.clock.now().micros();
            let waiting = match task_queue::waiting(&inner.db, now).await {
                Ok(waiting) => waiting,
                Err(error) => {
                    error!(%error, "cannot look for tasks");
                    return None;
                }
            };
            let next = inner.turns().pick(&waiting)?.clone();
            match rows::claim(&inner.db, &inner.clock, &next, &inner.settings).await {
                Ok(Some(work)) => {
                    let work = Arc::new(work);
                    inner.turns().begin(&work.application);
                    inner.under_way().insert(work.id().to_owned(), Arc::clone(&work));
                    return Some(work);
                }
                // Another process was quicker: look again.
                Ok(None) => {}
                Err(error) => {
                    error!(%error, task = %next.id, "cannot take a task");
                    return None;
                }
            }
        }
    }

    pub(crate) async fn perform(&self, executor: Arc<dyn Executor>, work: Arc<Work>) {
        debug!(task = work.id(), kind = work.operation.kind.as_str(), "task begins");
        let end = self.attend(&executor, &work).await;
        self.inner.under_way().remove(work.id());
        self.inner.turns().end(&work.application);
        match end {
            End::Outcome(outcome) => self.write_down(&executor, &work, outcome).await,
            End::GiveBack => {
                if let Err(error) = self.release(&work).await {
                    warn!(%error, task = work.id(), "cannot give a task's lease back");
                }
            }
            End::Lost => {
                info!(task = work.id(), "task was cancelled or taken over");
                if self.inner.has_ended(work.id()).await {
                    executor.ended(&work).await;
                }
            }
        }
    }

    async fn release(&self, work: &Work) -> Result<()> {
        work.flush_items().await?;
        let now = self.inner.clock.now().micros();
        table::release(&self.inner.db, work.id(), work.held.epoch, now, true, now).await?;
        Ok(())
    }

    async fn write_down(&self, executor: &Arc<dyn Executor>, work: &Arc<Work>, outcome: Outcome) {
        match work.finish(&outcome).await {
            Ok(true) => {
                info!(task = work.id(), status = outcome.status, "task ended");
                executor.ended(work).await;
            }
            Ok(false) => info!(task = work.id(), "task ended after it was taken over"),
            // Its lease runs out, and it is run again.
            Err(error) => error!(%error, task = work.id(), "cannot write down how a task ended"),
        }
    }

    /// Does the work, renewing the lease beside it.
    async fn attend(&self, executor: &Arc<dyn Executor>, work: &Arc<Work>) -> End {
        let inner = &self.inner;
        if work.attempt > MAX_ATTEMPTS {
            let text = "The task was given up: the server stopped each time it was tried.";
            return End::Outcome(executor.failed(work, text));
        }
        if work.resumed() && work.operation.kind.again() == Again::Fail {
            let text = "The server stopped while this was being done. It cannot be told whether it \
                        was done; look, and ask again if it was not.";
            return End::Outcome(executor.failed(work, text));
        }
        let (runs, done) = (Arc::clone(executor), Arc::clone(work));
        let mut job = tokio::spawn(async move { runs.run(done).await });
        let mut ticks = tokio::time::interval(inner.settings.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        let mut renewed = Instant::now();
        let end = loop {
            tokio::select! {
                finished = &mut job => break match finished {
                    Ok(outcome) => End::Outcome(outcome),
                    Err(failure) => {
                        error!(%failure, task = work.id(), "task panicked");
                        End::Outcome(executor.failed(work, "The task failed for an internal reason."))
                    }
                },
                () = work.stop.cancelled() => break End::Lost,
                () = inner.give_back.cancelled() => break End::GiveBack,
                _ = ticks.tick() => {
                    let due = renewed.elapsed() >= inner.settings.lease / 3;
                    if !work.progress.take_changed() && !due {
                        continue;
                    }
                    let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let counts = work.progress.counts(elapsed);
                    let until = inner.settings.leased_until(inner.clock.now());
                    match work.renew(counts, until).await {
                        Ok(()) => renewed = Instant::now(),
                        Err(Error::Lost) => break End::Lost,
                        // Without the lease another process may begin: then this one has to stop.
                        Err(error) if renewed.elapsed() >= inner.settings.lease => {
                            error!(%error, task = work.id(), "the lease ran out unrenewed");
                            break End::Lost;
                        }
                        Err(error) => warn!(%error, task = work.id(), "cannot renew a lease"),
                    }
                }
            }
        };
        if !job.is_finished() {
            work.stop.cancel();
            job.abort();
            // What the work held (connections, temporary files) is gone before anyone goes on.
            if let Err(failure) = job.await
                && failure.is_panic()
            {
                error!(%failure, task = work.id(), "task panicked while it was stopped");
            }
        }
        end
    }
}

enum End {
    Outcome(Outcome),
    Lost,
    GiveBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(application: &str, created: i64) -> Waiting {
        Waiting {
            id: format!("tsk_{application}"),
            application: application.into(),
            run_after: created,
            epoch: 0,
        }
    }

    #[test]
    fn applications_take_turns_whatever_their_queues_hold() {
        let queue = [waiting("busy", 1), waiting("calm", 2)];
        let mut turns = Turns::default();
        let mut order = Vec::new();
        for _ in 0..4 {
            let Some(next) = turns.pick(&queue) else { break };
            order.push(next.application.clone());
            turns.begin(&next.application);
        }
        assert_eq!(order, ["busy", "calm", "busy", "calm"]);
        turns.end("calm");
        assert_eq!(turns.pick(&queue).map(|one| one.application.as_str()), Some("calm"));
    }
}
