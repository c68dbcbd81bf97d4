//! The live key ring: data keys from the database, opened with the operator's master keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tramontane_model::{Clock, Timestamp};
use tramontane_store::Db;
use tramontane_store::data_keys::{self, DataKey, SealedTable};
use tramontane_vault::{Entropy, KeyRing, MasterKey, Sealer, SharedRing, WrappedKey};
use zeroize::Zeroizing;

use crate::error::Result;

/// The operator's master keys.
#[derive(Clone, Debug)]
pub struct Masters {
    /// The one that wraps new data keys.
    pub current: MasterKey,
    /// Former ones, which still open data keys that were wrapped before.
    pub previous: Vec<MasterKey>,
}

impl Masters {
    /// One master key, no former ones.
    #[must_use]
    pub fn only(current: MasterKey) -> Self {
        Self { current, previous: Vec::new() }
    }

    pub(crate) fn all(&self) -> Vec<MasterKey> {
        std::iter::once(self.current.clone()).chain(self.previous.iter().cloned()).collect()
    }
}

/// The live key ring. Cheap to clone; every clone sees a reload.
#[derive(Clone)]
pub struct Keys {
    pub(crate) db: Db,
    pub(crate) masters: Arc<Masters>,
    pub(crate) ring: SharedRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    readings: Arc<Readings>,
}

/// Readings of the data keys, one at a time.
#[derive(Debug, Default)]
struct Readings {
    /// How many have started.
    started: AtomicU64,
    /// Whether the last one succeeded; held while one runs.
    good: Mutex<bool>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.ring.get())
    }
}

impl Keys {
    /// Loads the data keys; makes the first one when there is none.
    ///
    /// # Errors
    /// A vault error when a data key was wrapped by a master key that is not at hand.
    pub async fn load(
        db: Db,
        masters: Masters,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let mut stored = data_keys::list(&db).await?;
        if stored.is_empty() {
            let first = WrappedKey::generate(&masters.current, entropy.as_ref())?;
            // When another process is faster, its key is the one.
            data_keys::insert_first(&db, &row(first, clock.now())).await?;
            stored = data_keys::list(&db).await?;
        }
        let ring = SharedRing::new(open(&stored, &masters)?);
        let readings = Arc::default();
        Ok(Self { db, masters: Arc::new(masters), ring, clock, entropy, readings })
    }

    /// The ring as it is now.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.get()
    }

    /// Reads the data keys again. Call it now and then (every 15 seconds, say), so that values are
    /// sealed by the newest key soon after a rotation elsewhere; opening does it by itself when it
    /// meets an unknown key.
    ///
    /// # Errors
    /// As [`Keys::load`]. The ring stays as it was.
    pub async fn reload(&self) -> Result<()> {
        let asked = self.readings.started.load(Ordering::SeqCst);
        // One at a time: whoever asked before a reading started is served by it, so a flood of values
        // with made-up key names costs the database next to nothing.
        let mut good = self.readings.good.lock().await;
        if *good && self.readings.started.load(Ordering::SeqCst) > asked {
            return Ok(());
        }
        self.readings.started.fetch_add(1, Ordering::SeqCst);
        *good = false;
        let stored = data_keys::list(&self.db).await?;
        self.ring.set(open(&stored, &self.masters)?);
        *good = true;
        Ok(())
    }

    /// What makes and opens sealed tokens that start with `prefix` (`pt_`).
    #[must_use]
    pub fn sealer(&self, prefix: &'static str) -> Sealer {
        Sealer::new(self.ring.clone(), prefix)
    }

    /// Opens a sealed token, reading the keys again when a newer one sealed it.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub async fn open_token<T: serde::de::DeserializeOwned>(
        &self,
        sealer: &Sealer,
        context: &str,
        token: &str,
    ) -> Result<T> {
        let now = self.clock.now();
        match sealer.open(context, now, token) {
            Err(tramontane_vault::Error::UnknownKey(_)) => {
                self.reload().await?;
                Ok(sealer.open(context, now, token)?)
            }
            other => Ok(other?),
        }
    }

    /// Seals under the active key; gives the bytes and the key's name.
    ///
    /// # Errors
    /// As [`KeyRing::seal`].
    pub fn seal(&self, plaintext: &[u8], context: &str) -> Result<(Vec<u8>, String)> {
        let ring = self.ring.get();
        Ok((ring.seal(plaintext, context)?, ring.active().to_string()))
    }

    /// Opens a sealed value, reading the keys again when a newer one sealed it.
    ///
    /// # Errors
    /// As [`KeyRing::open`].
    pub async fn open(&self, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>> {
        match self.ring.get().open(sealed, context) {
            Err(tramontane_vault::Error::UnknownKey(_)) => {
                self.reload().await?;
                Ok(self.ring.get().open(sealed, context)?)
            }
            other => Ok(other?),
        }
    }
}

/// What a sealed value of a table is bound to.
pub(crate) fn context(table: SealedTable, key: &str) -> String {
    match table {
        SealedTable::Credentials => format!("account:{key}:credential"),
        SealedTable::ApiKeys => format!("api_key:{key}:key"),
        SealedTable::ServiceKeys => format!("service_key:{key}:client_secret"),
        SealedTable::WebhookSecrets => format!("webhook_secret:{key}:secret"),
    }
}

pub(crate) fn row(key: WrappedKey, now: Timestamp) -> DataKey {
    DataKey {
        id: key.id,
        wrapped: key.wrapped,
        master: key.master,
        active: true,
        created: now.micros(),
        retired: None,
    }
}

pub(crate) fn wrapped(row: &DataKey) -> WrappedKey {
    WrappedKey { id: row.id.clone(), master: row.master.clone(), wrapped: row.wrapped.clone() }
}

fn open(stored: &[DataKey], masters: &Masters) -> Result<KeyRing> {
    let keys: Vec<WrappedKey> = stored.iter().map(wrapped).collect();
    let active = stored.iter().find(|key| key.active).map_or("", |key| key.id.as_str());
    Ok(KeyRing::open_keys(&keys, active, &masters.all())?)
}
