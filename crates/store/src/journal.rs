//! The side channel: request logs and usage leave in batches, out of the way of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tramontane_model::Timestamp;

use crate::db::Db;
use crate::error::Result;
use crate::request_log;
use crate::usage::{self, Sums};

/// One request that was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The request id, unique.
    pub id: String,
    /// When it came, in microseconds.
    pub at: i64,
    /// The application it was for.
    pub application: Option<String>,
    /// The account it was for.
    pub account: Option<i64>,
    /// The HTTP method.
    pub method: String,
    /// The route's pattern; never the path.
    pub route: String,
    /// The HTTP status.
    pub status: u16,
    /// The `error_code` of a bad answer.
    pub error_code: Option<String>,
    /// The service that was asked.
    pub service: Option<String>,
    /// How long it took.
    pub duration_us: i64,
    /// Bytes of the request's body.
    pub bytes_in: i64,
    /// Bytes of the answer's body.
    pub bytes_out: i64,
    /// Where it came from.
    pub client: Option<String>,
}

/// How the journal batches.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Entries that may wait; more are dropped and counted.
    pub capacity: usize,
    /// Entries that are written at once.
    pub batch: usize,
    /// How long an entry waits at most.
    pub every: Duration,
    /// Whether each request is logged, or usage alone is counted.
    pub log_requests: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { capacity: 16_384, batch: 2_000, every: Duration::from_secs(1), log_requests: true }
    }
}

enum Message {
    Entry(Box<Entry>),
    Flush(oneshot::Sender<()>),
}

/// Takes entries without ever making the caller wait, and writes them in batches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the writer. It ends, after a last flush, when every [`Journal`] is dropped.
    #[must_use]
    pub fn start(db: Db, pace: Pace) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(pace.capacity.max(1));
        let (dropped, batches) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let writer = Writer {
            db,
            pace,
            dropped: dropped.clone(),
            batches: batches.clone(),
            waiting: Vec::new(),
            refused: false,
        };
        (Self { sender, dropped, batches }, tokio::spawn(writer.run(receiver)))
    }

    /// Takes an entry; drops and counts it when too many wait.
    pub fn record(&self, mut entry: Entry) {
        // PostgreSQL refuses NUL characters, and one entry must not spoil its batch.
        for text in [&mut entry.id, &mut entry.method, &mut entry.route] {
            text.retain(|character| character != '\0');
        }
        let optional = [&mut entry.client, &mut entry.service, &mut entry.error_code];
        for text in optional.into_iter().flatten() {
            text.retain(|character| character != '\0');
        }
        if self.sender.try_send(Message::Entry(Box::new(entry))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many entries were dropped, because too many waited or the database refused them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many batches were given to the database, also those that it refused.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Waits until everything that was recorded before is written.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            // An error means that the writer has ended, and it flushes when it ends.
            wait.await.unwrap_or(());
        }
    }
}

struct Writer {
    db: Db,
    pace: Pace,
    dropped: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
    waiting: Vec<Entry>,
    /// Whether the last write failed: then the next one waits for its time.
    refused: bool,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(self.pace.every.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = receiver.recv() => match message {
                    Some(Message::Entry(entry)) => {
                        self.waiting.push(*entry);
                        if self.waiting.len() >= self.pace.batch && !self.refused {
                            self.write().await;
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.write().await;
                        // Whoever asked may have gone; there is nothing left to tell them.
                        let _ = done.send(());
                    }
                    None => break,
                },
                _ = tick.tick() => self.write().await,
            }
        }
        self.write().await;
    }

    /// Writes what waits. A batch that the database refuses stays and is tried again with the next
    /// one, until it has grown to the capacity; then it is dropped and counted.
    async fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        let done = store(&self.db, &self.waiting, self.pace.log_requests).await;
        self.refused = done.is_err();
        match done {
            Ok(()) => self.waiting.clear(),
            Err(error) if self.waiting.len() >= self.pace.capacity => {
                let lost = self.waiting.len();
                tracing::error!(%error, lost, "the request log could not be written; entries lost");
                self.dropped.fetch_add(lost as u64, Ordering::Relaxed);
                self.waiting.clear();
            }
            Err(error) => tracing::warn!(%error, "the request log could not be written yet"),
        }
        // One burst must not keep its memory for ever.
        self.waiting.shrink_to(self.pace.batch);
    }
}

async fn store(db: &Db, entries: &[Entry], log_requests: bool) -> Result<()> {
    let mut sums = Sums::new();
    for entry in entries {
        let Some(application) = &entry.application else { continue };
        let sum = sums.entry((day(entry.at), application.clone())).or_default();
        sum.requests += 1;
        sum.bytes_in = sum.bytes_in.saturating_add(entry.bytes_in);
        sum.bytes_out = sum.bytes_out.saturating_add(entry.bytes_out);
        sum.accounts.extend(entry.account);
    }
    let mut tx = db.begin().await?;
    if log_requests {
        request_log::insert_in(&mut tx, entries).await?;
    }
    usage::add_in(&mut tx, &sums).await?;
    Ok(tx.commit().await?)
}

/// The UTC day of a moment, `YYYY-MM-DD`.
fn day(micros: i64) -> String {
    let mut text = Timestamp::from_micros(micros).to_string();
    text.truncate(10);
    text
}
