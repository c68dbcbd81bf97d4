//! What a service is slow or odd at when a test asks for it (`POST /_quirks` of a service): how the
//! wish is read, and writes that wait until an index hears of them.

use std::collections::VecDeque;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::de::DeserializeOwned;
use tramontane_model::Timestamp;

/// The most writes that wait; the oldest are let go early beyond that.
const MAX_WAITING: usize = 100_000;

/// Reads quirks from a body and sets them; what the body does not name is off.
pub(crate) fn set<Q: DeserializeOwned>(body: &str, set: impl FnOnce(Q)) -> Response {
    match serde_json::from_str(body) {
        Ok(quirks) => {
            set(quirks);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// The moment whose writes are heard of now, so many seconds late.
pub(crate) fn horizon(now: Timestamp, lag: u32) -> Timestamp {
    now.plus_seconds(-i64::from(lag))
}

/// Writes that an index has not heard of, in the order in which they were made.
#[derive(Clone, Debug)]
pub(crate) struct Late<W>(VecDeque<(Timestamp, W)>);

impl<W> Default for Late<W> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<W> Late<W> {
    /// Adds a write. Gives the oldest one when there are too many: it is heard of at once.
    #[must_use]
    pub(crate) fn push(&mut self, at: Timestamp, write: W) -> Option<W> {
        self.0.push_back((at, write));
        if self.0.len() > MAX_WAITING { self.0.pop_front().map(|(_, write)| write) } else { None }
    }

    /// The next write that was made by this moment.
    pub(crate) fn next_until(&mut self, horizon: Timestamp) -> Option<W> {
        self.0.pop_front_if(|(at, _)| *at <= horizon).map(|(_, write)| write)
    }
}
