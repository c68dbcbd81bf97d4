//! A task under way, as the one who does it sees it: what to do, notes to resume by, counters, outcomes
//! of items, and whether to stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tramontane_model::{AccountId, Clock, Timestamp};
use tramontane_store::{Db, task_items, task_queue};

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::progress::{Counts, Progress};
use crate::rows::{self, Held, Stored};
use crate::task::{Item, Outcome};

/// One task that this process holds the lease of.
pub struct Work {
    pub(crate) held: Held,
    pub(crate) account: AccountId,
    pub(crate) application: String,
    pub(crate) attempt: i64,
    pub(crate) operation: Operation,
    pub(crate) progress: Progress,
    pub(crate) stop: CancellationToken,
    pub(crate) leased_until: AtomicU64,
    db: Db,
    clock: Arc<dyn Clock>,
    /// Outcomes of items that are not written yet.
    waiting: Lock<Vec<Item>>,
    /// What is written down. One writer at a time, because the row holds it as one.
    stored: Mutex<Stored>,
}

impl Work {
    #[expect(clippy::too_many_arguments, reason = "made in one place, from one row")]
    pub(crate) fn new(
        held: Held,
        account: AccountId,
        application: String,
        attempt: i64,
        operation: Operation,
        stored: Stored,
        leased_until: i64,
        db: Db,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            held,
            account,
            application,
            attempt,
            operation,
            progress: Progress::from_counts(stored.counts),
            stop: CancellationToken::new(),
            leased_until: AtomicU64::new(u64::try_from(leased_until).unwrap_or(0)),
            db,
            clock,
            waiting: Lock::default(),
            stored: Mutex::new(stored),
        }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.held.id
    }

    /// The account that it is for.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The application that it is for.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// What to do.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Whether an earlier process began this and died: look before acting.
    #[must_use]
    pub fn resumed(&self) -> bool {
        // Counts every claim, also those that a drain gave back: the work had begun all the same.
        self.held.epoch > 1
    }

    /// The counters.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The last note, also of an earlier process.
    pub async fn noted<T: DeserializeOwned>(&self) -> Option<T> {
        let note = self.stored.lock().await.note.clone();
        note.and_then(|value| serde_json::from_value(value).ok())
    }

    /// Writes down what is about to be done, durably, before it is done. Replaces the note before.
    ///
    /// # Errors
    /// [`Error::Lost`] when the task is no longer ours: then nothing may be done.
    pub async fn note<T: Serialize>(&self, note: &T) -> Result<()> {
        let value = serde_json::to_value(note).map_err(|_| Error::Unreadable("note"))?;
        let mut stored = self.stored.lock().await;
        stored.note = Some(value);
        let until = i64::try_from(self.leased_until.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        self.write(&stored, until).await
    }

    /// Reports the outcome of one item of folder or batch work, without waiting: it is written within
    /// a tick. An item reported again is replaced.
    pub fn report(&self, item: Item) {
        self.progress.add_items(1);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }

    /// Writes the outcomes that wait.
    ///
    /// # Errors
    /// [`Error::Lost`] when the task is no longer ours.
    pub async fn flush_items(&self) -> Result<()> {
        let mut stored = self.stored.lock().await;
        self.write_items(&mut stored).await
    }

    /// The outcome of an item that was written, also by an earlier process.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn item_outcome(&self, key: &str) -> Result<Option<Item>> {
        let row = task_items::find(&self.db, &self.held.id, key).await?;
        Ok(row.map(rows::read_item))
    }

    async fn write_items(&self, stored: &mut Stored) -> Result<()> {
        let mut waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        for item in &mut waiting {
            item.number = stored.items;
            stored.items += 1;
        }
        match rows::add_items(&self.db, &self.held, &waiting, self.now()).await {
            Ok(held) => self.ours(held),
            Err(error) => {
                // Written with the next ones, when the database answers again.
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).append(&mut waiting);
                Err(error)
            }
        }
    }

    /// Renews the lease and writes the counters, the note and the items that wait.
    pub(crate) async fn renew(&self, counts: Counts, leased_until: i64) -> Result<()> {
        let mut stored = self.stored.lock().await;
        self.write_items(&mut stored).await?;
        stored.counts = counts;
        self.write(&stored, leased_until).await?;
        let until = u64::try_from(leased_until).unwrap_or(0);
        self.leased_until.store(until, Ordering::Relaxed);
        Ok(())
    }

    async fn write(&self, stored: &Stored, leased_until: i64) -> Result<()> {
        let (value, now) = (stored.value()?, self.now().micros());
        let (id, epoch) = (&self.held.id, self.held.epoch);
        let held = task_queue::renew(&self.db, id, epoch, leased_until, &value, now).await?;
        self.ours(held)
    }

    /// Writes how it ended; `false` when it was no longer ours.
    pub(crate) async fn finish(&self, outcome: &Outcome) -> Result<bool> {
        let mut stored = self.stored.lock().await;
        match self.write_items(&mut stored).await {
            Err(Error::Lost) => return Ok(false),
            done => done?,
        }
        stored.counts = self.progress.counts(0);
        rows::finish(&self.db, &self.held, outcome, &stored, self.now()).await
    }

    fn ours(&self, held: bool) -> Result<()> {
        if held {
            return Ok(());
        }
        self.stop.cancel();
        Err(Error::Lost)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether to stop: cancelled, or the lease is lost. The runner drops the work at its next await
    /// anyway; long loops without one ask here.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("id", &self.held.id)
            .field("account", &self.account)
            .field("kind", &self.operation.kind)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
