//! When to try again, and after how long.

use std::time::Duration;

use tramontane_connector::error::Kind;
use tramontane_connector::{Error, Repeat, Retry};
use tramontane_model::Timestamp;

/// The most attempts of one call.
pub const MAX_ATTEMPTS: u32 = 6;
/// The wait before the second attempt, when the service names none.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that we choose ourselves.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How long to wait before the next attempt; `None` when there shall be none.
///
/// `attempt` is the number of attempts made, `left` the time until the deadline, `jitter` a random
/// number from 0 to 1 that keeps callers from coming back in step.
#[must_use]
pub fn wait_before_next(
    error: &Error,
    attempt: u32,
    repeat: Repeat,
    left: Duration,
    jitter: f64,
) -> Option<Duration> {
    if attempt >= MAX_ATTEMPTS {
        return None;
    }
    // Without leave to repeat, only what the service surely did not begin is tried again.
    let untouched = matches!(error.kind, Kind::RateLimited | Kind::Unavailable);
    if repeat == Repeat::No && !untouched {
        return None;
    }
    let wait = match error.retry {
        Retry::Never => return None,
        Retry::After(wait) => wait,
        Retry::Soon => {
            let doubled = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(10));
            doubled.min(LONGEST_WAIT).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
        }
    };
    (wait < left).then_some(wait)
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110 section 10.2.3). At most an hour counts.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let longest = Duration::from_secs(3_600);
    if let Ok(seconds) = value.trim().parse::<f64>() {
        let fine = seconds.is_finite() && seconds >= 0.0;
        return fine.then(|| Duration::from_secs_f64(seconds.min(3_600.0)));
    }
    let when = Timestamp::parse_http_date(value)?;
    let seconds = u64::try_from(when.seconds().saturating_sub(now.seconds())).unwrap_or(0);
    Some(Duration::from_secs(seconds).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_secs(30);

    #[test]
    fn waits_as_long_as_the_service_says_if_the_deadline_allows() {
        let error = Error::from_status(429).retry(Retry::After(Duration::from_secs(7)));
        let next = |left| wait_before_next(&error, 1, Repeat::No, left, 0.5);
        assert_eq!(next(LEFT), Some(Duration::from_secs(7)));
        assert_eq!(next(Duration::from_secs(5)), None);
    }

    #[test]
    fn repeats_only_what_is_safe() {
        let broken = Error::from_status(502);
        assert!(wait_before_next(&broken, 1, Repeat::Yes, LEFT, 0.0).is_some());
        assert!(wait_before_next(&broken, 1, Repeat::No, LEFT, 0.0).is_none());
        assert!(wait_before_next(&Error::from_status(503), 1, Repeat::No, LEFT, 0.0).is_some());
        assert!(wait_before_next(&Error::from_status(404), 1, Repeat::Yes, LEFT, 0.0).is_none());
        assert!(wait_before_next(&broken, MAX_ATTEMPTS, Repeat::Yes, LEFT, 0.0).is_none());
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = Timestamp::parse("2026-02-27T16:40:02Z").unwrap_or(Timestamp::from_micros(0));
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(
            retry_after("Fri, 27 Feb 2026 16:41:02 GMT", now),
            Some(Duration::from_secs(60))
        );
        assert_eq!(retry_after("Fri, 27 Feb 2026 16:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("later", now), None);
        assert_eq!(retry_after("-5", now), None);
    }
}
