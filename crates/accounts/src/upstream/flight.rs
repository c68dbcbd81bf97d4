//! One search for a token at a time per account and process: whoever comes meanwhile waits for the
//! same outcome. It runs on its own, so that callers who give up do not end it half-way: an answer
//! that nobody reads would be a grant lost.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tramontane_connector::Kind;

use super::Grants;
use super::fault::Fault;
use super::held::Held;

/// Whose token: the account, and the member that a service account acts for.
pub(super) type Of = (i64, Option<Arc<str>>);

/// What those who wait share.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Held, Fault>>>;

impl Grants {
    /// The flight that is under way, or a new one.
    pub(super) fn join<F>(&self, of: &Of, start: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Result<Held, Fault>> + Send + 'static,
    {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(of) {
            return flight.clone();
        }
        let (work, grants, key) = (start(), self.clone(), of.clone());
        let running = tokio::spawn(async move {
            // Removed whatever happens inside, a panic included.
            let _landed = Landed { grants, of: key };
            work.await
        });
        let flight = async move {
            running.await.unwrap_or_else(|_| {
                Err(Fault::new(Kind::Internal, "The search for a token broke off."))
            })
        };
        let flight: Flight = flight.boxed().shared();
        flights.insert(of.clone(), flight.clone());
        flight
    }

    /// Waits until no refresh is under way in this process; before it ends. New ones still begin when
    /// someone asks.
    pub async fn land(&self) {
        loop {
            let under_way: Vec<Flight> = self.flights().values().cloned().collect();
            if under_way.is_empty() {
                return;
            }
            futures::future::join_all(under_way).await;
        }
    }
}

struct Landed {
    grants: Grants,
    of: Of,
}

impl Drop for Landed {
    fn drop(&mut self) {
        self.grants.flights().remove(&self.of);
    }
}
