//! The door for those who make tasks and ask about them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tramontane_model::{AccountId, Clock, Timestamp};
use tramontane_store::tasks::TaskState;
use tramontane_store::{Db, Slice, task_queue, tasks as table};
use tramontane_vault::{Entropy, random_id};

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::rows;
use crate::runner::Turns;
use crate::task::{Item, ItemStatus, Outcome, State, Task};
use crate::work::Work;

/// How tasks are run and kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This process's name; the same again after a restart, different from every other process.
    pub node: String,
    /// At most so many tasks under way at once.
    pub max_running: usize,
    /// How long a lease holds without being renewed.
    pub lease: Duration,
    /// How often progress is written at most.
    pub tick: Duration,
    /// How often to look for tasks of other processes.
    pub poll: Duration,
    /// How long an ended task is kept.
    pub keep: Duration,
}

impl Settings {
    pub(crate) fn leased_until(&self, now: Timestamp) -> i64 {
        let lease = i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX);
        now.plus_micros(lease).micros()
    }

    /// The usual values, for the process of this name.
    #[must_use]
    pub fn of_node(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            max_running: 8,
            lease: Duration::from_secs(60),
            tick: Duration::from_secs(1),
            poll: Duration::from_secs(5),
            keep: Duration::from_secs(24 * 3600),
        }
    }
}

/// Makes tasks, shows them, cancels them, and runs them ([`Tasks::serve`]).
#[derive(Clone)]
pub struct Tasks {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) wake: Notify,
    pub(crate) give_back: CancellationToken,
    draining: CancellationToken,
    turns: Mutex<Turns>,
    under_way: Mutex<HashMap<String, Arc<Work>>>,
}

impl Inner {
    pub(crate) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn under_way(&self) -> MutexGuard<'_, HashMap<String, Arc<Work>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    pub(crate) async fn has_ended(&self, id: &str) -> bool {
        match task_queue::find(&self.db, id).await {
            Ok(row) => row.is_none_or(|row| row.finished.is_some()),
            Err(_) => false,
        }
    }
}

impl Tasks {
    /// Tasks in this database.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Self {
        let inner = Inner {
            db,
            clock,
            entropy,
            settings,
            wake: Notify::new(),
            give_back: CancellationToken::new(),
            draining: CancellationToken::new(),
            turns: Mutex::default(),
            under_way: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A new task id, for those who keep something under it before they submit.
    #[must_use]
    pub fn mint_id(&self) -> String {
        format!("tsk_{}", random_id(&*self.inner.entropy, 16))
    }

    /// Keeps a task durably; it runs as soon as it is its turn.
    ///
    /// # Errors
    /// [`Error::Draining`] while the server goes down; [`Error::Store`].
    pub async fn submit(
        &self,
        id: String,
        account: AccountId,
        operation: &Operation,
    ) -> Result<Task> {
        if self.inner.draining.is_cancelled() {
            return Err(Error::Draining);
        }
        let now = self.inner.clock.now();
        let task = rows::insert(&self.inner.db, id, account, operation, now).await?;
        self.inner.wake.notify_one();
        Ok(task)
    }

    /// The account's task, unless it ended too long ago.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn get(&self, account: AccountId, id: &str) -> Result<Option<Task>> {
        let row = table::find(&self.inner.db, account.number(), id).await?;
        let oldest = self.oldest_kept().micros();
        row.filter(|row| row.finished.is_none_or(|at| at > oldest)).map(rows::read).transpose()
    }

    /// How many tasks the account has, and one stretch of them, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(
        &self,
        account: AccountId,
        state: Option<State>,
        slice: Slice,
    ) -> Result<(usize, Vec<Task>)> {
        let (db, account) = (&self.inner.db, account.number());
        let state = state.and_then(|state| TaskState::parse(state.as_str()));
        let oldest = self.oldest_kept().micros();
        let total = table::count(db, account, state, oldest).await?;
        let rows = table::list(db, account, state, oldest, slice).await?;
        let tasks = rows.into_iter().map(rows::read).collect::<Result<_>>()?;
        Ok((usize::try_from(total).unwrap_or(0), tasks))
    }

    /// Ends a task that has not ended: from now on it answers this. What it has done stays done. False
    /// when there is no such task; a task that has ended stays as it ended.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn cancel(&self, account: AccountId, id: &str, outcome: &Outcome) -> Result<bool> {
        if self.get(account, id).await?.is_none() {
            return Ok(false);
        }
        // This takes the lease away from whoever holds it; elsewhere the next renewal finds out.
        let result = rows::outcome_value(outcome);
        let now = self.inner.clock.now().micros();
        task_queue::revoke(&self.inner.db, account.number(), id, &result, now).await?;
        if let Some(work) = self.inner.under_way().get(id) {
            work.stop.cancel();
        }
        Ok(true)
    }

    /// How many items of a task have ended (in this way), and one stretch of them, in the order in
    /// which they ended.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn items(
        &self,
        account: AccountId,
        id: &str,
        status: Option<ItemStatus>,
        slice: Slice,
    ) -> Result<(usize, Vec<Item>)> {
        rows::list_items(&self.inner.db, account, id, status, slice).await
    }

    /// Removes what ended too long ago; gives how many.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn prune(&self) -> Result<u64> {
        const AT_ONCE: i64 = 1_000;
        let oldest = self.oldest_kept().micros();
        let mut pruned = 0;
        loop {
            let some = table::prune(&self.inner.db, oldest, AT_ONCE).await?;
            pruned += some;
            if some == 0 {
                return Ok(pruned);
            }
        }
    }

    fn oldest_kept(&self) -> Timestamp {
        let keep = i64::try_from(self.inner.settings.keep.as_micros()).unwrap_or(i64::MAX);
        self.inner.clock.now().plus_micros(keep.saturating_neg())
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
