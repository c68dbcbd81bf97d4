//! What an event stream writes to: a bounded buffer between the log and the client, in the form of
//! `text/event-stream` (HTML, section 9.2, server-sent events).
//!
//! The log is read no faster than the client takes what was read. A client that takes nothing for too long is
//! cut off: it comes back with `Last-Event-ID`, and nothing was passed over.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tramontane_model::Code;

use crate::answer::ascii;
use crate::listen::Hangup;
use crate::problem::{Answer, Problem};
use crate::state::App;

/// Pieces that wait for the client.
const PIECES: usize = 16;
/// A piece is sent when it has grown to so many bytes.
const PIECE_BYTES: usize = 16 << 10;
/// How soon a client shall come back, in milliseconds.
const RETRY: u32 = 2_000;

/// Tells proxies (nginx, and those that took it over) to pass each piece on at once.
static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Counts the open streams of each application.
#[derive(Debug)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<String, usize>>>,
    most: usize,
}

/// A place among an application's open streams.
#[derive(Debug)]
pub(crate) struct Seat {
    open: Arc<Mutex<HashMap<String, usize>>>,
    application: String,
}

impl Streams {
    /// At most so many for each application.
    pub(crate) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// `too_many_requests`.
    pub(crate) fn seat(&self, application: &str) -> Answer<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(application).copied().unwrap_or(0);
        if count >= self.most {
            let most = self.most;
            let text = format!(
                "This application has {most} event streams and waiting requests open, which is the limit."
            );
            let problem = Problem::new(Code::TooManyRequests, text);
            return Err(problem.retry_after(Duration::from_secs(5)));
        }
        open.insert(application.to_owned(), count + 1);
        Ok(Seat { open: Arc::clone(&self.open), application: application.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.application) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.application);
            }
        }
    }
}

/// The client has gone, or takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// What a stream's task writes to.
#[derive(Debug)]
pub(crate) struct Outlet {
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    /// Cut off, in place of an end: the client must not take it for one.
    cut: Arc<AtomicBool>,
    stall: Duration,
    hangup: Option<Hangup>,
}

/// An outlet, and the answer that it feeds. The seat is held until the answer has gone out or was given up.
pub(crate) fn open(app: &App, seat: Seat, hangup: Option<Hangup>) -> (Outlet, Response) {
    let stall = app.limits().stream_stall;
    let (pieces, waiting) = mpsc::channel(PIECES);
    let cut = Arc::<AtomicBool>::default();
    let piece = format!("retry: {RETRY}\n\n").into_bytes();
    let outlet = Outlet { pieces, piece, cut: Arc::clone(&cut), stall, hangup };
    let state = Some((waiting, cut, seat));
    let body = stream::unfold(state, |state| async move {
        let (mut waiting, cut, seat) = state?;
        match waiting.recv().await {
            Some(piece) => Some((Ok(piece), Some((waiting, cut, seat)))),
            None if cut.load(Ordering::Acquire) => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client took nothing");
                Some((Err(error), None))
            }
            None => None,
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING.clone(), HeaderValue::from_static("no"));
    (outlet, response)
}

impl Outlet {
    /// An event. `data` becomes one line of JSON.
    ///
    /// # Errors
    /// [`Gone`].
    pub(crate) async fn event<T: Serialize + ?Sized>(
        &mut self,
        id: &str,
        name: &str,
        data: &T,
    ) -> Result<(), Gone> {
        let Ok(data) = ascii(data) else {
            self.cut_off();
            return Err(Gone);
        };
        self.piece.extend_from_slice(format!("id: {id}\nevent: {name}\ndata: ").as_bytes());
        self.piece.extend_from_slice(&data);
        self.piece.extend_from_slice(b"\n\n");
        if self.piece.len() >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Notes where the client comes back to although it got no event: those before were filtered out.
    pub(crate) fn mark(&mut self, id: &str) {
        self.piece.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    }

    /// A comment, so that nobody takes the connection for dead.
    ///
    /// # Errors
    /// [`Gone`].
    pub(crate) async fn beat(&mut self) -> Result<(), Gone> {
        self.piece.extend_from_slice(b":\n\n");
        self.flush().await
    }

    /// Sends what is there.
    ///
    /// # Errors
    /// [`Gone`] when the client has gone, or takes nothing for too long: then it is cut off.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        match self.pieces.send_timeout(piece, self.stall).await {
            Ok(()) => Ok(()),
            Err(_) => {
                self.cut_off();
                Err(Gone)
            }
        }
    }

    /// Says goodbye; the client comes back with the last id it saw, or does not when it may not.
    pub(crate) async fn bye(mut self, reason: &str) {
        let data = json!({"reason": reason}).to_string();
        self.piece.extend_from_slice(format!("event: bye\ndata: {data}\n\n").as_bytes());
        // There is nobody to tell when it fails.
        let _ = self.flush().await;
    }

    /// Ends the stream as one that broke off.
    pub(crate) fn cut_off(&self) {
        self.cut.store(true, Ordering::Release);
        if let Some(hangup) = &self.hangup {
            hangup.hang_up();
        }
    }

    /// Waits until the client has gone.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
    }
}
