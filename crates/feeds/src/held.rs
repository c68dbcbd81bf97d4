//! Long polls: connections held open at services that answer them when something changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tramontane_connector::changes::Changes;
use tramontane_connector::{Collection, Cx};
use tramontane_model::AccountId;

use crate::account::Followed;
use crate::error::{Error, Result};
use crate::feeds::{Feeds, key};
use crate::trail::Nudger;

/// How long one long poll may take.
const WITHIN: Duration = Duration::from_secs(240);
/// How long the account is left alone that was read and has the cursor that it had.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the account was read.
const LOOK: Duration = Duration::from_millis(100);
/// The longest that it is waited for the account to be read.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// So often an account may turn out not to be in memory.
const MAX_COLD: usize = 60;
/// The least time between two long polls of an account that said nothing.
const LEAST: Duration = Duration::from_secs(1);

/// What a long poll needs of an account.
pub(crate) struct Waiting {
    pub(crate) changes: Arc<dyn Changes>,
    pub(crate) cx: Cx,
    /// The collections that are followed, each with its cursor.
    pub(crate) cursors: Vec<(Collection, String)>,
}

/// The connections that are open; dropping one closes it.
#[derive(Default)]
pub(crate) struct Held(BTreeMap<i64, AbortOnDropHandle<()>>);

impl Held {
    pub(crate) fn close(&mut self, account: i64) {
        self.0.remove(&account);
    }
}

impl Feeds {
    /// Gives the long polls to the accounts that change most, and opens and closes connections.
    pub(crate) fn assign_long_polls(&self) {
        let (now, slots) = (self.now(), self.long_polls());
        let mut state = self.state();
        let state = &mut *state;
        let changes = state.schedule.assign_long_polls(now, slots);
        let number = |feed: u64| i64::try_from(feed).unwrap_or(0);
        for feed in changes.close {
            state.held.close(number(feed));
        }
        for feed in changes.open {
            let Some(id) = AccountId::new(number(feed)) else { continue };
            let feeds = self.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = feeds.hold(id).await {
                    tracing::debug!(account = id.number(), %error, "a long poll ended");
                }
                let now = feeds.now();
                let mut state = feeds.state();
                state.schedule.long_poll_lost(key(id.number()), now);
            });
            state.held.0.insert(id.number(), AbortOnDropHandle::new(task));
        }
    }

    /// Waits for changes of an account and nudges it, until something is wrong.
    async fn hold(&self, account: AccountId) -> Result<()> {
        let mut cold = 0;
        loop {
            let Some(waiting) = self.waiting(account).await? else {
                // It was not read yet, or not lately.
                cold += 1;
                if cold > MAX_COLD {
                    return Err(Error::Off);
                }
                sleep(LEAST).await;
                continue;
            };
            cold = 0;
            let before: Vec<String> =
                waiting.cursors.iter().map(|(_, cursor)| cursor.clone()).collect();
            let begun = tokio::time::Instant::now();
            let (changed, back_off) = first(&waiting).await?;
            if changed {
                self.nudge(account, Nudger::LongPoll);
            }
            // The next long poll is to wait, not what this one told.
            if let Some(wait) = back_off {
                sleep(wait).await;
            }
            if !changed {
                sleep(LEAST.saturating_sub(begun.elapsed())).await;
                continue;
            }
            if !self.is_read(account, &before).await? {
                // What changed does not show in what is followed: asked at once again, the service would say
                // the same.
                sleep(AGAIN).await;
            }
        }
    }

    /// Waits until an account was read on; `false` when it has the cursors that it had.
    async fn is_read(&self, account: AccountId, before: &[String]) -> Result<bool> {
        let until = tokio::time::Instant::now() + READ_WITHIN;
        while tokio::time::Instant::now() < until {
            sleep(LOOK).await;
            let followed = self.in_memory(account);
            let followed = followed.ok_or(Error::Off)?;
            if followed.lock().await.cursors() != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn in_memory(&self, account: AccountId) -> Option<Arc<tokio::sync::Mutex<Followed>>> {
        let state = self.state();
        state.warm.get(&account.number()).map(|warm| Arc::clone(&warm.account))
    }

    /// What to wait with; `None` when the account is not followed here, or not followed yet.
    async fn waiting(&self, account: AccountId) -> Result<Option<Waiting>> {
        let followed = self.in_memory(account);
        let Some(followed) = followed else { return Ok(None) };
        // A poll that is under way is waited for.
        let followed = followed.lock().await;
        followed.waiting().await
    }
}

/// The first of the collections to say something.
async fn first(waiting: &Waiting) -> Result<(bool, Option<Duration>)> {
    let mut all: FuturesUnordered<_> = waiting
        .cursors
        .iter()
        .map(|(of, cursor)| waiting.changes.wait(&waiting.cx, of, cursor, WITHIN))
        .collect();
    let mut back_off = None;
    while let Some(waited) = all.next().await {
        let waited = waited?;
        back_off = back_off.max(waited.back_off);
        if waited.changed {
            return Ok((true, back_off));
        }
    }
    Ok((false, back_off))
}
