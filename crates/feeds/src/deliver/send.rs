//! One attempt: sent, the answer read as far as it counts, all within its time.

use std::time::Duration;

use futures::StreamExt as _;
use http::{Method, header};
use tokio::time::{Instant, timeout_at};
use tramontane_activity::delivery::attempt::excerpt;
use tramontane_activity::delivery::{Attempt, MessageKey, Outcome, Status};
use tramontane_connector::http::{Request, Response};
use tramontane_model::Timestamp;

use crate::deliver::Inner;
use crate::deliver::endpoint::Target;
use crate::deliver::message::{Message, Signing};
use crate::error::Error;

/// The most that is read of an answer's body; then the connection is dropped.
const MAX_ANSWER: usize = 8 << 10;

/// What an endpoint answered to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// When it was sent, in microseconds.
    pub at: i64,
    /// How long it took, with the answer's body.
    pub took: Duration,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
    /// The answer's body, as far as it was read.
    pub body: Vec<u8>,
    /// Why there was no answer, or not all of it.
    pub error: Option<String>,
}

impl Answered {
    /// What the answer means for the message. An answer that broke off is an answer: its status counts.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.status {
            Some(200..=299) => Outcome::Taken,
            Some(410) => Outcome::Gone,
            Some(429 | 503) => Outcome::Refused(self.retry_after),
            _ => Outcome::Refused(None),
        }
    }

    /// Nothing was sent, for a reason of ours.
    pub(crate) fn unsent(at: i64, error: &Error) -> Self {
        tracing::warn!(%error, "a webhook's message could not be made");
        Self {
            at,
            took: Duration::ZERO,
            status: None,
            retry_after: None,
            body: Vec::new(),
            error: Some("the message could not be made; it is tried again".to_owned()),
        }
    }

    /// The attempt as the log keeps it.
    pub(crate) fn attempt(
        self,
        key: MessageKey,
        account: i64,
        event_type: String,
        status: Status,
        next: Option<i64>,
    ) -> Attempt {
        Attempt {
            feed: key.feed,
            first: key.first,
            last: key.last,
            account,
            event_type,
            at: self.at,
            duration_ms: i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX),
            status_code: self.status,
            error: self.error,
            excerpt: excerpt(&self.body),
            status,
            next,
        }
    }
}

impl Inner {
    /// Sends a message once. Waits for a place first; the time begins after that.
    pub(crate) async fn attempt(
        &self,
        target: &Target,
        signing: &Signing,
        message: &Message,
    ) -> Answered {
        // The places are never closed.
        let _place = self.places.acquire().await;
        let (at, begun) = (self.now(), Instant::now());
        let within = self.options.within;
        let mut request = Request::new("webhook", Method::POST, target.url.clone());
        request.signed = false;
        request.follow = false;
        request.headers = message.headers(signing, at);
        let request = request.bytes(message.body.clone());
        let mut answered = Answered {
            at,
            took: Duration::ZERO,
            status: None,
            retry_after: None,
            body: Vec::new(),
            error: None,
        };
        match timeout_at(begun + within, self.post.post(request, within)).await {
            Ok(Ok(answer)) => self.read(answer, begun + within, &mut answered).await,
            Ok(Err(error)) => answered.error = Some(error.message.clone()),
            Err(_) => answered.error = Some(late(within)),
        }
        answered.took = begun.elapsed();
        answered
    }

    async fn read(&self, answer: Response, deadline: Instant, into: &mut Answered) {
        into.status = Some(answer.status.as_u16());
        let asked = answer.header(&header::RETRY_AFTER);
        into.retry_after = asked.and_then(|asked| seconds(asked, self.now()));
        let mut pieces = answer.body.into_stream();
        loop {
            match timeout_at(deadline, pieces.next()).await {
                Ok(Some(Ok(piece))) => {
                    let room = MAX_ANSWER - into.body.len();
                    into.body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
                    if into.body.len() == MAX_ANSWER {
                        return;
                    }
                }
                Ok(Some(Err(error))) => {
                    into.error = Some(error.message.clone());
                    return;
                }
                Ok(None) => return,
                Err(_) => {
                    into.error = Some(late(self.options.within));
                    return;
                }
            }
        }
    }
}

fn late(within: Duration) -> String {
    format!("The endpoint did not answer within {} seconds.", within.as_secs())
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
fn seconds(value: &str, now: i64) -> Option<u32> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(seconds);
    }
    let when = Timestamp::parse_http_date(value)?.micros();
    u32::try_from(when.saturating_sub(now).max(0) / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = Timestamp::from_seconds(1_772_210_402).micros();
        assert_eq!(seconds("7", now), Some(7));
        assert_eq!(seconds("Fri, 27 Feb 2026 16:41:02 GMT", now), Some(60));
        assert_eq!(seconds("Fri, 27 Feb 2026 16:00:00 GMT", now), Some(0));
        assert_eq!(seconds("soon", now), None);
    }
}
