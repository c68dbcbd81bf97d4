//! A request on its way out: what can be sent again, what only once, and how its progress is watched.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::Instant;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Payload;
use tramontane_connector::{Body, Error};

/// The payload of a request, through all its attempts.
pub(crate) enum Outgoing {
    /// Sent as often as needed.
    Bytes(Bytes),
    /// Not begun yet.
    Stream(Body),
    /// A stream that was begun.
    Spent,
}

impl Outgoing {
    pub(crate) fn of(payload: Payload) -> Self {
        match payload {
            Payload::Bytes(bytes) => Self::Bytes(bytes),
            Payload::Stream(body) => Self::Stream(body.checked()),
        }
    }

    pub(crate) fn is_spent(&self) -> bool {
        matches!(self, Self::Spent)
    }
}

/// What is known of a stream while it is being sent.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    moved: Option<Instant>,
    ended: bool,
    begun: bool,
    failure: Option<Error>,
}

impl Watch {
    fn with<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What broke the stream itself, if anything did: the caller's fault, not the service's.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.with(|watched| watched.failure.take())
    }

    /// Whether the service has taken anything of the stream.
    pub(crate) fn begun(&self) -> bool {
        self.with(|watched| watched.begun)
    }

    /// The stream as the HTTP library takes it.
    pub(crate) fn body(&self, body: Body) -> reqwest::Body {
        let watch = self.clone();
        watch.with(|watched| watched.moved = Some(Instant::now()));
        let on_end = self.clone();
        let pieces = body.into_stream().map(move |piece| {
            watch.with(|watched| {
                watched.moved = Some(Instant::now());
                watched.begun = true;
            });
            piece.map_err(|error| {
                let shown = std::io::Error::other(error.message.clone());
                watch.with(|watched| watched.failure = Some(error));
                shown
            })
        });
        let end = futures::stream::once(async move {
            on_end.with(|watched| {
                watched.ended = true;
                watched.moved = Some(Instant::now());
            });
            Ok::<_, std::io::Error>(Bytes::new())
        });
        reqwest::Body::wrap_stream(pieces.chain(end).filter(|piece| {
            let keep = !matches!(piece, Ok(bytes) if bytes.is_empty());
            std::future::ready(keep)
        }))
    }

    /// Returns when the stream has not moved for `idle`, or the answer has not come `answer` after
    /// the stream's end.
    pub(crate) async fn stalled(&self, idle: Duration, answer: Duration) -> Error {
        loop {
            let until = self.with(|watched| {
                let moved = watched.moved.unwrap_or_else(Instant::now);
                moved + if watched.ended { answer } else { idle }
            });
            if until <= Instant::now() {
                return Error::new(Kind::Timeout, "The upload to the service stopped moving.");
            }
            tokio::time::sleep_until(until).await;
        }
    }
}
