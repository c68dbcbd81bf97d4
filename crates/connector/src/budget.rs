//! What a service tells of its own rate limit, on its way from the wire to whoever is asked for it.

use std::sync::{Mutex, PoisonError};

/// A service's own budget for the account, as it told with its last answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceBudget {
    /// Calls in a window.
    pub limit: u64,
    /// Calls that are left of it.
    pub remaining: u64,
    /// Seconds until the window begins anew.
    pub reset: u64,
}

/// The tightest budget that the calls of one context were told.
#[derive(Debug, Default)]
pub struct Told(Mutex<Option<ServiceBudget>>);

impl Told {
    /// Notes what a service told.
    pub fn note(&self, budget: ServiceBudget) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none_or(|kept| budget.remaining <= kept.remaining) {
            *kept = Some(budget);
        }
    }

    /// What was told; `None` when no service told anything.
    #[must_use]
    pub fn budget(&self) -> Option<ServiceBudget> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
