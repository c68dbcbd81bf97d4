//! Concurrency and rate: leave to make a call, per account and per service, interactive callers first.
//!
//! All of it lives in this process. What a cluster would share stands in `Budget` alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tramontane_connector::error::Kind;
use tramontane_connector::{CallClass, Error, Retry};

/// What is left of a service's patience: a token bucket, and a moment before which nobody calls.
#[derive(Debug)]
struct Budget {
    /// Calls per second that the service grants; `None` when it names no number.
    granted: Option<f64>,
    /// What is used of it: falls by half on every refusal, grows back by a twentieth a second.
    share: f64,
    tokens: f64,
    updated: Instant,
    not_before: Option<Instant>,
}

impl Budget {
    fn new(granted: Option<f64>) -> Self {
        let burst = granted.unwrap_or(0.0).max(1.0);
        Self { granted, share: 1.0, tokens: burst, updated: Instant::now(), not_before: None }
    }

    /// Takes a place, or says how long until one may be free.
    fn take(&mut self, class: CallClass, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.updated = now;
        self.share = (self.share + passed / 20.0).min(1.0);
        if let Some(until) = self.not_before {
            if until > now {
                return Some(until - now);
            }
            self.not_before = None;
        }
        let granted = self.granted?;
        let rate = (granted * self.share).max(0.01);
        let burst = granted.max(1.0);
        self.tokens = (self.tokens + passed * rate).min(burst);
        // A quarter of the bucket is kept for callers that someone waits for.
        let needed = match class {
            CallClass::Interactive => 1.0,
            CallClass::Background | CallClass::Waiting => (1.0 + burst / 4.0).min(burst),
        };
        if self.tokens >= needed {
            self.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64(((needed - self.tokens) / rate).max(0.001)))
    }

    fn refused(&mut self, wait: Duration, now: Instant) {
        self.share = (self.share / 2.0).max(0.02);
        self.tokens = 0.0;
        let until = now + wait;
        if self.not_before.is_none_or(|known| known < until) {
            self.not_before = Some(until);
        }
    }
}

/// The places at one account or one service.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Semaphore>,
    background: Arc<Semaphore>,
    budget: Mutex<Budget>,
}

/// A place held at a gate.
#[derive(Debug)]
pub struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _background: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A gate with so many places and, when the service names one, so many calls per second.
    #[must_use]
    pub fn new(places: usize, rate: Option<f64>) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        // Background callers take at most three places of four, so that one is always near for a
        // caller that someone waits for.
        let background = (places * 3 / 4).max(1);
        Self {
            all: Arc::new(Semaphore::new(places)),
            background: Arc::new(Semaphore::new(background)),
            budget: Mutex::new(Budget::new(rate)),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// `RateLimited` when none will be free before the deadline.
    pub async fn enter(&self, class: CallClass, deadline: Instant) -> Result<Place, Error> {
        let background = match class {
            CallClass::Background => Some(held(&self.background, deadline).await?),
            CallClass::Interactive | CallClass::Waiting => None,
        };
        let all = match class {
            CallClass::Waiting => None,
            _ => Some(held(&self.all, deadline).await?),
        };
        loop {
            let now = Instant::now();
            let wait = self.budget().take(class, now);
            let Some(wait) = wait else { break };
            if now + wait >= deadline {
                return Err(busy(wait));
            }
            tokio::time::sleep(wait).await;
        }
        Ok(Place { _all: all, _background: background })
    }

    /// Learns that the service refused a call and wants so long a pause.
    pub fn refused(&self, wait: Duration) {
        self.budget().refused(wait, Instant::now());
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        // A panic while it was held leaves numbers that are still numbers.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn held(places: &Arc<Semaphore>, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Ok(place);
    }
    match tokio::time::timeout_at(deadline, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) => Err(Error::internal("The gate of this service is closed.")),
        Err(_) => Err(busy(Duration::from_secs(1))),
    }
}

fn busy(wait: Duration) -> Error {
    let text = "The service takes no more calls of this account at the moment.";
    Error::new(Kind::RateLimited, text).retry(Retry::After(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn background_callers_leave_a_place_free() -> Result<(), Error> {
        let gate = Gate::new(4, None);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(gate.enter(CallClass::Background, soon()).await?);
        }
        assert!(gate.enter(CallClass::Background, soon()).await.is_err());
        assert!(gate.enter(CallClass::Interactive, soon()).await.is_ok());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn long_polls_keep_nobody_out() -> Result<(), Error> {
        let gate = Gate::new(1, None);
        let waiting = gate.enter(CallClass::Waiting, soon()).await?;
        let busy = gate.enter(CallClass::Interactive, soon()).await?;
        drop(gate.enter(CallClass::Waiting, soon()).await?);
        drop((waiting, busy));
        gate.refused(Duration::from_secs(60));
        assert!(gate.enter(CallClass::Waiting, soon()).await.is_err());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_everyone_back_as_long_as_the_service_said() -> Result<(), Error> {
        let gate = Gate::new(4, None);
        gate.refused(Duration::from_secs(3));
        let begun = Instant::now();
        gate.enter(CallClass::Interactive, soon()).await?;
        assert!(begun.elapsed() >= Duration::from_secs(3));
        gate.refused(Duration::from_secs(60));
        let error = gate.enter(CallClass::Interactive, soon()).await.err();
        assert!(matches!(error.map(|error| error.retry), Some(Retry::After(_))));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_quarter_of_the_budget_is_for_interactive_callers() -> Result<(), Error> {
        let gate = Gate::new(100, Some(8.0));
        let near = || Instant::now() + Duration::from_millis(1);
        let mut granted = 0;
        while gate.enter(CallClass::Background, near()).await.is_ok() {
            granted += 1;
        }
        assert_eq!(granted, 6);
        assert!(gate.enter(CallClass::Interactive, near()).await.is_ok());
        assert!(gate.enter(CallClass::Interactive, near()).await.is_ok());
        assert!(gate.enter(CallClass::Interactive, near()).await.is_err());
        Ok(())
    }
}
