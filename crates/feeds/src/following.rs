//! What is followed: the subscriptions of accounts, made, changed and ended.
//!
//! An account gets its default subscription in the transaction that makes it (the `accounts` crate does
//! that). Here are the rest: bringing a deleted one back, further ones with feeds of their own, and accounts
//! from before there were any.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tramontane_activity::{Category, Event};
use tramontane_model::{Clock, NativeId};
use tramontane_store::feeds::{self, Feed, Subscription};
use tramontane_store::{Db, following};
use tramontane_vault::Entropy;

use crate::error::{Error, Result};

/// Feeds that are no account's default one are numbered from here: account ids are below.
pub const FIRST_FEED: i64 = 1 << 31;
/// The most subscriptions of an account.
pub const MAX_SUBSCRIPTIONS: usize = 20;
/// The most resources that a subscription watches.
pub const MAX_RESOURCES: usize = 100;

/// Accounts that are looked after in one transaction.
const BATCH: i64 = 500;
/// How often another feed number is drawn when one is taken.
const TRIES: usize = 16;

/// What of an account a subscription watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Folders, with all below them. Empty: everything that the account can see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<NativeId>,
    /// Its events keep the service's own JSON of their objects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}

impl Watched {
    /// What a subscription watches. Members that are not known are passed over: a newer version wrote them.
    #[must_use]
    pub fn of(subscription: &Subscription) -> Self {
        Self::deserialize(&subscription.settings).unwrap_or_default()
    }

    /// Whether an event is about what is watched: it happened to one of the folders, or in it, or to what was
    /// in it.
    #[must_use]
    pub fn has(&self, event: &Event) -> bool {
        let watches = |id: &String| self.folders.iter().any(|folder| folder.as_str() == id);
        self.folders.is_empty()
            || event.category != Category::Storage
            || watches(&event.object.id)
            || event.above.iter().any(watches)
    }

    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| Value::Object(Map::new()))
    }
}

/// Makes, changes and ends subscriptions. Cheap to clone.
#[derive(Clone)]
pub struct Following {
    db: Db,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Following({:?})", self.db)
    }
}

impl Following {
    /// The subscriptions in a database.
    #[must_use]
    pub fn new(db: Db, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { db, clock, entropy, changes: watch::Sender::new(0) }
    }

    /// Counts the changes that this process made to subscriptions, for whoever keeps them in memory. Accounts
    /// that are new have to be looked for: they come with theirs.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn now(&self) -> i64 {
        self.clock.now().micros()
    }

    fn id(&self) -> String {
        format!("sub_{}", tramontane_vault::random_id(self.entropy.as_ref(), 12))
    }

    /// Makes an account's default subscription; a deleted one comes back, and its sequence goes on.
    /// `false` when it is there already: it stays as it is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn follow(&self, account: i64, watched: &Watched) -> Result<(Subscription, bool)> {
        for _ in 0..TRIES {
            let now = self.now();
            let row = Subscription {
                settings: watched.settings(),
                ..Subscription::first(self.id(), account, now)
            };
            let made = feeds::subscribe(&self.db, &Feed::new(account, now), &row).await?;
            if made {
                self.changed();
            }
            if let Some(row) = following::by_feed(&self.db, account).await? {
                return Ok((row, made));
            }
            // Someone deleted it in between.
        }
        Err(Error::Off)
    }

    /// Makes a subscription with a feed of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the account has [`MAX_SUBSCRIPTIONS`]; those of the database.
    pub async fn add(&self, account: i64, watched: &Watched, active: bool) -> Result<Subscription> {
        if feeds::subscriptions(&self.db, account).await?.len() >= MAX_SUBSCRIPTIONS {
            let rule = format!("are at most {MAX_SUBSCRIPTIONS} of one account");
            return Err(Error::Invalid { field: "subscriptions", rule });
        }
        let mut row = Subscription {
            is_default: false,
            active,
            settings: watched.settings(),
            ..Subscription::first(self.id(), account, self.now())
        };
        for _ in 0..TRIES {
            let highest = feeds::highest_feed(&self.db).await?;
            row.feed = highest.map_or(FIRST_FEED, |highest| highest.max(FIRST_FEED) + 1);
            let feed = Feed::new(account, row.created);
            if following::insert(&self.db, &feed, &row).await? {
                self.changed();
                return Ok(row);
            }
        }
        Err(tramontane_accounts::Error::Contended("subscription").into())
    }

    /// Changes what a subscription watches and whether it gets events; `None` when it is gone.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn change(
        &self,
        mut row: Subscription,
        active: bool,
        watched: &Watched,
    ) -> Result<Option<Subscription>> {
        if active == row.active && *watched == Watched::of(&row) {
            return Ok(Some(row));
        }
        row.active = active;
        row.settings = watched.settings();
        row.modified = self.now();
        let done = feeds::update_subscription(&self.db, &row).await?;
        self.changed();
        Ok(done.then_some(row))
    }

    /// Deletes a subscription; `false` when it is not there. With the last active one, nothing of the
    /// account is followed any more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end(&self, account: i64, id: &str) -> Result<bool> {
        let done = feeds::unsubscribe(&self.db, account, id, self.now()).await?;
        self.changed();
        Ok(done)
    }

    /// Gives the accounts that have no default subscription theirs: those from before there were any. Where
    /// the application has no events it is one that was deleted, as for new accounts. Gives how many.
    /// Safe to run in several processes at once, and cheap when there are none.
    ///
    /// # Errors
    /// Those of the database; what was done stays.
    pub async fn sweep(&self) -> Result<usize> {
        let (mut after, mut done) = (0, 0);
        loop {
            let accounts = following::without(&self.db, after, BATCH).await?;
            let Some((last, _)) = accounts.last() else { return Ok(done) };
            after = *last;
            let now = self.now();
            let rows = accounts.iter().map(|(account, events)| {
                let mut row = Subscription::first(self.id(), *account, now);
                row.deleted = (!events).then_some(now);
                (events.then(|| Feed::new(*account, now)), row)
            });
            let rows: Vec<_> = rows.collect();
            following::follow(&self.db, &rows).await?;
            self.changed();
            done += rows.len();
        }
    }
}
