//! What every call is lent: the account, a way out, the clock, a deadline.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tramontane_model::{Clock, Timestamp};

use crate::account::Account;
use crate::budget::Told;
use crate::error::{Error, Kind, Result};
use crate::http::{Request, Response};

/// Who is waiting. Interactive callers come first when a service's budget is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallClass {
    /// Someone waits for the answer.
    Interactive,
    /// A task, a scan, a poll.
    Background,
    /// A call that waits at the service for something to happen. It takes no place at the gates, since it
    /// is no work for anyone, and would keep those out that are.
    Waiting,
}

impl CallClass {
    /// The word in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
            Self::Waiting => "waiting",
        }
    }
}

/// Whether a call may be made again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice is the same as doing it once.
    Yes,
    /// Only when it surely was not done (the connection was refused, the service said 429 or 503
    /// before it looked).
    No,
}

/// Leave to make one outgoing call. Dropping it frees the place.
#[must_use]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send + Sync>);

impl Permit {
    /// A permit that frees whatever it holds when it is dropped.
    pub fn holding(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// What the runtime lends to connectors. The `wire` crate is the one that does it in earnest.
#[async_trait]
pub trait Lent: Send + Sync {
    /// Signs, paces, guards, sends and retries one HTTP request. Any status is an answer, not an
    /// error, except that 429 and 503 (and 500, 502, 504 of repeatable requests) come back only after
    /// the retries are spent.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `Broken`, `Guarded`, `RateLimited`; what the signer says.
    async fn send(&self, cx: &Cx, request: Request) -> Result<Response>;

    /// Opens a guarded TCP connection, for protocols that are not HTTP.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `Guarded`.
    async fn connect(&self, cx: &Cx, host: &str, port: u16) -> Result<TcpStream>;

    /// Waits for leave to make one call: concurrency per service and account, and the rate budget.
    /// HTTP requests ask for themselves; other protocols go through [`Cx::call`].
    ///
    /// # Errors
    /// `RateLimited` with the wait when the budget will not free up before the deadline.
    async fn permit(&self, cx: &Cx, name: &'static str) -> Result<Permit>;

    /// Told of every outcome of a call made under a permit; says how long to wait before the next
    /// attempt, or that there shall be none.
    fn after(
        &self,
        cx: &Cx,
        name: &'static str,
        attempt: u32,
        repeat: Repeat,
        outcome: std::result::Result<(), &Error>,
    ) -> Option<Duration>;

    /// Learns how one attempt of a call that is not HTTP went, and how long it took: for metrics.
    fn observed(&self, _cx: &Cx, _name: &'static str, _fine: bool, _took: Duration) {}

    /// The clock.
    fn clock(&self) -> &dyn Clock;
}

/// The context of one call.
#[derive(Clone)]
pub struct Cx {
    /// The account that the call is for.
    pub account: Arc<Account>,
    /// What the runtime lends.
    pub lent: Arc<dyn Lent>,
    /// Who is waiting.
    pub class: CallClass,
    /// Until when an answer must have begun. Content that is on its way may go on.
    pub deadline: Instant,
    /// Whether entries shall carry the service's own JSON.
    pub raw: bool,
    /// Headers that the caller wants on the main request (`X-Kloudless-Raw-Headers`).
    pub extra_headers: Arc<HeaderMap>,
    /// The member of the organisation to act as, by the service's id; for accounts with
    /// organisation-wide access.
    pub as_user: Option<Arc<str>>,
    /// Where the wire notes the budget that the service tells of.
    pub told: Arc<Told>,
    /// The trace to go on with, in the form of W3C Trace Context.
    pub traceparent: Option<Arc<str>>,
}

impl Cx {
    /// A context for calls that someone waits for.
    #[must_use]
    pub fn interactive(account: Arc<Account>, lent: Arc<dyn Lent>, within: Duration) -> Self {
        Self {
            account,
            lent,
            class: CallClass::Interactive,
            deadline: Instant::now() + within,
            raw: false,
            extra_headers: Arc::default(),
            as_user: None,
            told: Arc::default(),
            traceparent: None,
        }
    }

    /// The same context for work that nobody waits for, with a deadline of its own.
    #[must_use]
    pub fn background(&self, within: Duration) -> Self {
        Self { class: CallClass::Background, deadline: Instant::now() + within, ..self.clone() }
    }

    /// The same context for a call that waits at the service, at most so long.
    #[must_use]
    pub fn waiting(&self, within: Duration) -> Self {
        Self { class: CallClass::Waiting, ..self.background(within) }
    }

    /// The same context for another account.
    #[must_use]
    pub fn for_account(&self, account: Arc<Account>) -> Self {
        Self { account, extra_headers: Arc::default(), as_user: None, ..self.clone() }
    }

    /// The same context with a new deadline: for each step of work of many steps.
    #[must_use]
    pub fn within(&self, within: Duration) -> Self {
        Self { deadline: Instant::now() + within, ..self.clone() }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lent.clock().now()
    }

    /// What is left until the deadline; zero when it has passed.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends one HTTP request as this account.
    ///
    /// # Errors
    /// As [`Lent::send`].
    pub async fn send(&self, request: Request) -> Result<Response> {
        self.lent.send(self, request).await
    }

    /// Makes one call of a protocol that is not HTTP, with everything that HTTP requests have:
    /// permit, deadline, retries, metrics.
    ///
    /// # Errors
    /// What the last attempt gave; `Timeout` when the deadline passed.
    pub async fn call<T, F>(
        &self,
        name: &'static str,
        repeat: Repeat,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tried = 0;
        loop {
            tried += 1;
            let permit = self.lent.permit(self, name).await?;
            let begun = Instant::now();
            let outcome = tokio::time::timeout_at(self.deadline, attempt()).await;
            drop(permit);
            let outcome = outcome.unwrap_or_else(|_| {
                Err(Error::new(Kind::Timeout, "The service did not answer in time."))
            });
            self.lent.observed(self, name, outcome.is_ok(), begun.elapsed());
            let told = outcome.as_ref().map(|_| ());
            let wait = self.lent.after(self, name, tried, repeat, told);
            match (outcome, wait) {
                (Err(_), Some(wait)) => tokio::time::sleep(wait).await,
                (outcome, _) => return outcome,
            }
        }
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("account", &self.account.id)
            .field("service", &self.account.service)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}
