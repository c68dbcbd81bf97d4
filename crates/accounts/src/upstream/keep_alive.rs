//! Grants that nobody uses are refreshed now and then, so that they do not lapse.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tramontane_connector::Connector;
use tramontane_model::AccountId;
use tramontane_store::grants::{self, Grant};

use super::Grants;
use super::renew::{Want, jittered, micros};
use crate::error::Result;

/// The most grants that one look takes up.
const MOST: i64 = 100;
/// How many of them are worked on at once.
const AT_ONCE: usize = 4;
/// The longest that a grant with a limited life is left alone.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// When to look again at a grant whose refresh did not work.
const LATER: Duration = Duration::from_secs(3_600);

impl Grants {
    /// Looks for grants that would lapse, for ever; every node may run it. End it by dropping it.
    pub async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(jittered(self.options().tick)).await;
            match self.look_after().await {
                Ok(0) => {}
                Ok(refreshed) => tracing::debug!(refreshed, "idle grants were refreshed"),
                Err(error) => tracing::warn!(%error, "idle grants could not be looked for"),
            }
        }
    }

    /// One look: takes up a bounded number of grants that are due; gives how many were refreshed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look_after(&self) -> Result<usize> {
        let due = grants::due(self.directory().db(), self.now(), MOST).await?;
        let work = stream::iter(due).map(|grant| async move {
            match self.look_at(&grant).await {
                Ok(refreshed) => usize::from(refreshed),
                Err(error) => {
                    tracing::warn!(%error, account = grant.account, "a grant was not looked at");
                    0
                }
            }
        });
        Ok(work.buffer_unordered(AT_ONCE).fold(0, |sum, one| async move { sum + one }).await)
    }

    async fn look_at(&self, grant: &Grant) -> Result<bool> {
        let db = self.directory().db();
        let Some(from) = grant.due else { return Ok(false) };
        let id = AccountId::new(grant.account);
        let opened = match id {
            Some(id) => self.directory().open(id).await?,
            None => None,
        };
        let connector = opened.as_ref().and_then(|opened| self.registry().get(&opened.row.service));
        let (Some(opened), Some(connector)) = (opened.as_ref(), connector) else {
            grants::put_off(db, grant.account, from, None, self.now()).await?;
            return Ok(false);
        };
        // A grant that is new is fresh: the first look only says when the next one is.
        let fresh = grant.noted.is_none() && grant.refreshed.is_none();
        let next = match fresh {
            true => self.next_look(connector.as_ref(), opened.row.refresh_token_expiry),
            false => Some(self.now().saturating_add(micros(jittered(LATER)))),
        };
        let mine = grants::put_off(db, grant.account, from, next, self.now()).await?;
        if fresh || !mine || !opened.row.active {
            return Ok(false);
        }
        // Past the flights: a caller who only wants a token need not wait for this, and the lease
        // keeps the two apart.
        Ok(self.renew(grant.account, Want::Since(grant.refreshed)).await.is_ok())
    }

    /// When a grant that was just given or refreshed must be looked at; `None` when it does not lapse.
    pub(super) fn next_look(
        &self,
        connector: &dyn Connector,
        refresh_token_expiry: Option<i64>,
    ) -> Option<i64> {
        let idle = connector.oauth().and_then(|oauth| oauth.refresh.idle_life);
        let left = refresh_token_expiry.map(|ends| {
            Duration::from_micros(u64::try_from(ends.saturating_sub(self.now())).unwrap_or(0))
        });
        let life = [idle, left].into_iter().flatten().min()?;
        // Around 40 percent of its life: time for many more tries before it lapses.
        let wait = jittered(life.mul_f64(0.4)).min(jittered(LONGEST));
        Some(self.now().saturating_add(micros(wait)))
    }
}
