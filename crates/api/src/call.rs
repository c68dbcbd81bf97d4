//! One request as everyone on its way sees it: its id, where it came in, and what the log will say.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tramontane_accounts::Opened;
use tramontane_connector::budget::Told;

use crate::problem::Problem;
use crate::rate::Budget;

/// One request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Call(Arc<Facts>);

/// What is known of a request; what is found out on the way is filled in.
#[derive(Debug)]
pub struct Facts {
    /// Its id, a UUID.
    pub request_id: String,
    /// The base of absolute URLs in the answer, without a slash at the end.
    pub base: String,
    /// The client's address.
    pub client: IpAddr,
    /// When it came.
    pub started: Instant,
    /// The trace to go on with.
    pub traceparent: Option<Arc<str>>,
    /// Whether it is part of another request or of a task: limits were asked there.
    pub inner: bool,
    route: OnceLock<&'static str>,
    application: OnceLock<String>,
    opened: OnceLock<Arc<Opened>>,
    /// The account that the request writes to beside its own: the target of a copy or a move.
    target: OnceLock<Arc<Opened>>,
    asked_service: OnceLock<()>,
    budget: Mutex<Option<Budget>>,
    /// The place among the requests under way.
    room: Mutex<Option<OwnedSemaphorePermit>>,
    /// What services told of their own budgets.
    pub(crate) told: Arc<Told>,
}

impl Deref for Call {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Call {
    /// A request that came in here.
    #[must_use]
    pub fn new(request_id: String, base: String, client: IpAddr) -> Self {
        Self::of(request_id, base, client, None, false)
    }

    pub(crate) fn of(
        request_id: String,
        base: String,
        client: IpAddr,
        traceparent: Option<Arc<str>>,
        inner: bool,
    ) -> Self {
        Self(Arc::new(Facts {
            request_id,
            base,
            client,
            started: Instant::now(),
            traceparent,
            inner,
            route: OnceLock::new(),
            application: OnceLock::new(),
            opened: OnceLock::new(),
            target: OnceLock::new(),
            asked_service: OnceLock::new(),
            budget: Mutex::new(None),
            room: Mutex::new(None),
            told: Arc::default(),
        }))
    }

    /// A request that is part of this one (of a batch), or that a task makes.
    #[must_use]
    pub fn part(&self) -> Self {
        let trace = self.traceparent.clone();
        Self::of(self.request_id.clone(), self.base.clone(), self.client, trace, true)
    }
}

impl Facts {
    /// The route's pattern; `unmatched` when there is none.
    #[must_use]
    pub fn route(&self) -> &'static str {
        self.route.get().copied().unwrap_or("unmatched")
    }

    pub(crate) fn set_route(&self, route: &'static str) {
        // The first one counts; a request has one route.
        let _ = self.route.set(route);
    }

    /// The application that the request counts for.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.application.get().map(String::as_str)
    }

    /// Notes the application that the request counts for. The first one counts.
    pub fn set_application(&self, id: &str) {
        if self.application.get().is_none() {
            let _ = self.application.set(id.to_owned());
        }
    }

    /// The account that the request is for.
    #[must_use]
    pub fn opened(&self) -> Option<&Arc<Opened>> {
        self.opened.get()
    }

    /// Notes the account that the request is for. The first one counts.
    pub fn set_opened(&self, opened: &Arc<Opened>) {
        let _ = self.opened.set(opened.clone());
    }

    /// The account that the request writes to beside its own.
    pub(crate) fn target(&self) -> Option<&Arc<Opened>> {
        self.target.get()
    }

    pub(crate) fn set_target(&self, opened: &Arc<Opened>) {
        let _ = self.target.set(opened.clone());
    }

    pub(crate) fn set_asked_service(&self) {
        let _ = self.asked_service.set(());
    }

    pub(crate) fn asked_service(&self) -> bool {
        self.asked_service.get().is_some()
    }

    pub(crate) fn hold(&self, place: OwnedSemaphorePermit) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Gives the place among the requests under way back: the answer has gone out, or the request does
    /// nothing but wait from now on and is counted elsewhere.
    pub(crate) fn make_room(&self) {
        drop(self.room.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(crate) fn spend(&self, budget: Option<Budget>) {
        let Some(budget) = budget else { return };
        let mut kept = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(kept.map_or(budget, |kept| kept.tighter(budget)));
    }

    pub(crate) fn budget(&self) -> Option<Budget> {
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let call = parts.extensions.get::<Self>().cloned();
        call.ok_or_else(|| Problem::internal("a route was called without its front"))
    }
}
