//! Names that are being written to: within one process two writers never settle on one free name, and
//! on services without conditional writes looking and writing go together.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::timeout_at;
use tramontane_connector::{Cx, Error, Kind, Place, Result};
use tramontane_model::{AccountId, NativeId};

type Key = (AccountId, NativeId, String);

#[derive(Default)]
struct Held {
    keys: Mutex<HashSet<Key>>,
    freed: Notify,
}

/// The names that are claimed now.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Held>);

/// A name that nobody else in this process writes to until this is dropped.
pub(crate) struct Claim {
    held: Arc<Held>,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.held.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.held.freed.notify_waiters();
    }
}

impl Claims {
    /// Claims a name, unless someone has it. Names that differ in case alone are one here, because
    /// they are on some services.
    pub(crate) fn attempt(&self, cx: &Cx, at: &Place) -> Option<Claim> {
        let key = (cx.account.id, at.parent.clone(), at.name.to_lowercase());
        let fresh = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        fresh.then(|| Claim { held: Arc::clone(&self.0), key })
    }

    /// Claims a name, waiting for whoever has it.
    pub(crate) async fn wait(&self, cx: &Cx, at: &Place) -> Result<Claim> {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(claim) = self.attempt(cx, at) {
                return Ok(claim);
            }
            timeout_at(cx.deadline, freed).await.map_err(|_| {
                let text = format!("Another upload of \"{}\" is still under way.", at.name);
                Error::new(Kind::Timeout, text)
            })?;
        }
    }
}
