//! The directory: database, keys, caches and what they are lent, in one place.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tramontane_model::{AccountId, Clock};
use tramontane_store::Db;
use tramontane_store::applications::Application;
use tramontane_store::sweep::{Retention, sweep};
use tramontane_store::tokens::Token;
use tramontane_vault::Entropy;

use crate::account::Opened;
use crate::caller::{KeyRecord, MetaRecord};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::lookup::Lookup;
use crate::rotate::Rotation;

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ids for new accounts; a region owns a range of them.
    pub account_ids: RangeInclusive<i64>,
    /// How long a change made by another process may stay unseen.
    pub cache_ttl: Duration,
    /// How many callers, applications and accounts are kept in memory, each.
    pub cache_capacity: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account_ids: 100_000_000..=i64::from(i32::MAX),
            cache_ttl: Duration::from_secs(30),
            cache_capacity: 10_000,
        }
    }
}

/// Applications, accounts, credentials and tokens. Cheap to clone.
#[derive(Clone)]
pub struct Directory(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) account_ids: RangeInclusive<i64>,
    pub(crate) key_by_hash: Lookup<String, Arc<KeyRecord>>,
    pub(crate) token_by_hash: Lookup<String, Arc<Token>>,
    pub(crate) meta_by_hash: Lookup<String, Arc<MetaRecord>>,
    pub(crate) application_by_id: Lookup<String, Arc<Application>>,
    pub(crate) account_by_id: Lookup<i64, Arc<Opened>>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({:?})", self.0.db)
    }
}

impl Directory {
    /// A directory over a database that is migrated.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the range of account ids leaves 1 to 2147483647.
    pub fn new(db: Db, keys: Keys, options: Options) -> Result<Self> {
        let ids = &options.account_ids;
        let fits = |id: &i64| AccountId::new(*id).is_some();
        if !fits(ids.start()) || !fits(ids.end()) || ids.is_empty() {
            let rule = "must lie within 1 to 2147483647, the lower end first";
            return Err(Error::invalid("account_ids", rule));
        }
        let (size, ttl) = (options.cache_capacity, options.cache_ttl);
        Ok(Self(Arc::new(Inner {
            db,
            clock: keys.clock.clone(),
            entropy: keys.entropy.clone(),
            keys,
            account_ids: options.account_ids,
            key_by_hash: Lookup::new(size, ttl),
            token_by_hash: Lookup::new(size, ttl),
            meta_by_hash: Lookup::new(size, ttl),
            application_by_id: Lookup::new(size, ttl),
            account_by_id: Lookup::new(size, ttl),
        })))
    }

    /// The database, for what needs nothing of the directory (links, tasks, sites, ...).
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The live key ring.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The clock that everything here reads.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// What time asks for: sweeps expired rows, finishes broken-off rotations, removes data keys that
    /// nothing needs. The server runs it every hour or so; several nodes at once do no harm.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn upkeep(&self, keep: &Retention) -> Result<Rotation> {
        let gone = sweep(&self.0.db, self.0.clock.now(), keep).await?;
        let tidied = self.0.keys.tidy().await?;
        tracing::debug!(gone, resealed = tidied.resealed, removed = tidied.removed, "upkeep done");
        Ok(tidied)
    }

    /// Drops everything that is kept in memory; the next look-ups read the database.
    pub fn forget_all(&self) {
        self.0.key_by_hash.forget_all();
        self.0.token_by_hash.forget_all();
        self.0.meta_by_hash.forget_all();
        self.0.application_by_id.forget_all();
        self.0.account_by_id.forget_all();
    }

    /// Drops what is kept of one account; for changes made to it past the directory.
    pub fn forget_account(&self, id: AccountId) {
        self.0.account_by_id.forget(&id.number());
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.clock.now().micros()
    }

    /// A random id with a mark that says what it names.
    pub(crate) fn marked_id(&self, mark: &str) -> String {
        format!("{mark}{}", tramontane_vault::random_id(self.0.entropy.as_ref(), 12))
    }

    /// The application with this id, kept in memory; `None` when it is not there or was deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn application_by_id(&self, id: &str) -> Result<Option<Arc<Application>>> {
        let load = async {
            let found = tramontane_store::applications::find(&self.0.db, id).await?;
            Ok(found.map(Arc::new))
        };
        self.0.application_by_id.get(&id.to_owned(), load).await
    }
}
