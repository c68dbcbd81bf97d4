//! Rotation while serving: a new data key, every value sealed again, the old key kept for a while.
//!
//! At each moment of a rotation every sealed value opens: the new key is in the database before
//! anything is sealed by it, the old one stays until nothing is sealed by it and every sealed token
//! that it made has expired. Whoever meets an unknown key reads the keys again.

use tramontane_store::data_keys::{self, SealedRow, SealedTable};
use tramontane_vault::WrappedKey;

use crate::error::{Error, Result};
use crate::keys::{Keys, context, row, wrapped};

/// Sealed tokens live 24 hours at most, so a key that was retired this long ago is in no one's hands.
const KEEP_RETIRED_SECONDS: i64 = 48 * 3_600;
const BATCH: i64 = 200;
/// Writers that had not read the new key yet may add a few stale values while a pass runs.
const PASSES: usize = 5;

/// What a rotation or a tidying did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// The data key that seals now.
    pub active: String,
    /// Data keys that were wrapped again by the current master key.
    pub rewrapped: u64,
    /// Values that were sealed again.
    pub resealed: u64,
    /// Values that could not be opened, by table and row; they were left as they are.
    pub damaged: Vec<String>,
    /// Retired data keys that were removed.
    pub removed: u64,
}

impl Keys {
    /// Makes a new data key, seals every value again under it, and wraps every data key by the current
    /// master key. Runs beside serving processes.
    ///
    /// # Errors
    /// [`Error::RotatedElsewhere`] when another process made a new key at the same time.
    pub async fn rotate(&self) -> Result<Rotation> {
        self.reload().await?;
        let rewrapped = self.rewrap().await?;
        let former = self.ring.get().active().to_string();
        let now = self.clock.now();
        let new = row(WrappedKey::generate(&self.masters.current, self.entropy.as_ref())?, now);
        if !data_keys::succeed(&self.db, &new, &former, now.micros()).await? {
            return Err(Error::RotatedElsewhere);
        }
        tracing::info!(from = former, to = new.id, "a new data key seals from now on");
        Ok(Rotation { rewrapped, ..self.tidy().await? })
    }

    /// Seals again what retired keys still seal, and removes retired keys that nothing needs. Run it
    /// now and then: it finishes a rotation that was broken off, and costs three look-ups otherwise.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tidy(&self) -> Result<Rotation> {
        self.reload().await?;
        let mut done = Rotation::default();
        for _ in 0..PASSES {
            let before = done.resealed;
            done.damaged.clear();
            for table in SealedTable::ALL {
                self.reseal_table(table, &mut done).await?;
            }
            if done.resealed == before {
                break;
            }
        }
        let before = self.clock.now().plus_seconds(-KEEP_RETIRED_SECONDS);
        done.removed = data_keys::prune(&self.db, before.micros()).await?;
        if done.removed > 0 {
            self.reload().await?;
        }
        done.active = self.ring.get().active().to_string();
        Ok(done)
    }

    async fn reseal_table(&self, table: SealedTable, done: &mut Rotation) -> Result<()> {
        let mut after = String::new();
        loop {
            let batch = data_keys::stale(&self.db, table, &after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after.clone_from(&last.key);
            for stored in batch {
                self.reseal_row(table, stored, done).await?;
            }
        }
    }

    async fn reseal_row(
        &self,
        table: SealedTable,
        stored: SealedRow,
        done: &mut Rotation,
    ) -> Result<()> {
        let ring = self.ring.get();
        let place = context(table, &stored.key);
        match ring.reseal(&stored.sealed, &place) {
            Ok(None) => Ok(()),
            Ok(Some(sealed)) => {
                let fresh = SealedRow { sealed, ..stored };
                let active = ring.active().to_string();
                // Not written means that someone else just wrote a newer value: the next pass looks.
                if data_keys::reseal(&self.db, table, &fresh, &active).await? {
                    done.resealed += 1;
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(place, %error, "a sealed value does not open; it is left as it is");
                done.damaged.push(place);
                Ok(())
            }
        }
    }

    /// Wraps every data key by the current master key; gives how many were wrapped by another. After
    /// it, the previous master keys are needed no more.
    ///
    /// # Errors
    /// A vault error when a data key was wrapped by a master key that is not at hand.
    pub async fn rewrap(&self) -> Result<u64> {
        let current = self.masters.current.fingerprint();
        let mut count = 0;
        for stored in data_keys::list(&self.db).await? {
            if stored.master == current {
                continue;
            }
            let key = wrapped(&stored).rewrap(
                &self.masters.all(),
                &self.masters.current,
                self.entropy.as_ref(),
            )?;
            let (id, former) = (&stored.id, &stored.master);
            if data_keys::rewrap(&self.db, id, former, &key.wrapped, &key.master).await? {
                count += 1;
            }
        }
        Ok(count)
    }
}
