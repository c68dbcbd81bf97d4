//! One endpoint as a whole: whether it may be called now, and when it is switched off.

/// Failures in a row after which an endpoint rests.
const ROW: u32 = 10;
/// The first rest and the longest, in microseconds.
const FIRST_REST: i64 = 10_000_000;
const LONGEST_REST: i64 = 300_000_000;
/// Without a success for so long, it is switched off: five days.
const PATIENCE: i64 = 5 * 86_400_000_000;

/// Why an endpoint is to be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// It answered `410`.
    Gone,
    /// Nothing was taken for five days.
    Unsuccessful,
}

impl Disabled {
    /// The reason, for people.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Gone => "The endpoint answered 410 Gone.",
            Self::Unsuccessful => "The endpoint took no message for 5 days.",
        }
    }
}

/// Whether a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Yes.
    Now,
    /// Not before this moment.
    At(i64),
    /// Not before the one on trial has come back.
    AfterTrial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed,
    /// Resting; then one message is a trial.
    Open {
        until: i64,
        rest: i64,
    },
    Trial {
        rest: i64,
    },
}

/// What is known of an endpoint. While it rests nothing is read for it and nothing sent: however
/// many streams it has, that costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    last_success: i64,
    failing_since: Option<i64>,
    row: u32,
    circuit: Circuit,
    /// Microseconds between two messages; 0: no limit.
    interval: i64,
    /// Until when the rate is used up; may run ahead by a second's worth.
    used_until: i64,
}

impl Health {
    /// An endpoint that takes at most `per_second` messages (0: no limit), with what its checkpoints
    /// told.
    #[must_use]
    pub fn new(per_second: u32, last_success: i64, failing_since: Option<i64>) -> Self {
        let interval = if per_second == 0 { 0 } else { 1_000_000 / i64::from(per_second) };
        Self {
            last_success,
            failing_since,
            row: 0,
            circuit: Circuit::Closed,
            interval,
            used_until: 0,
        }
    }

    /// When it last took a message; 0: never.
    #[must_use]
    pub fn last_success(&self) -> i64 {
        self.last_success
    }

    /// Since when every attempt failed.
    #[must_use]
    pub fn failing_since(&self) -> Option<i64> {
        self.failing_since
    }

    /// Whether it rests.
    #[must_use]
    pub fn resting(&self) -> bool {
        self.circuit != Circuit::Closed
    }

    /// Whether a message may be sent.
    #[must_use]
    pub fn leave(&self, now: i64) -> Leave {
        match self.circuit {
            Circuit::Open { until, .. } if until > now => Leave::At(until),
            Circuit::Trial { .. } => Leave::AfterTrial,
            _ if self.interval > 0 && self.used_until > now + 1_000_000 - self.interval => {
                Leave::At(self.used_until + self.interval - 1_000_000)
            }
            _ => Leave::Now,
        }
    }

    /// Notes that a message is sent.
    pub fn sent(&mut self, now: i64) {
        self.used_until = self.used_until.max(now) + self.interval;
        if let Circuit::Open { rest, .. } = self.circuit {
            self.circuit = Circuit::Trial { rest };
        }
    }

    /// Notes that a message that was noted as sent never left.
    pub fn withdrawn(&mut self, now: i64) {
        if let Circuit::Trial { rest } = self.circuit {
            self.circuit = Circuit::Open { until: now, rest };
        }
    }

    /// Notes a success.
    pub fn succeeded(&mut self, now: i64) {
        self.last_success = self.last_success.max(now);
        self.failing_since = None;
        self.row = 0;
        self.circuit = Circuit::Closed;
    }

    /// Notes a failure; tells when the endpoint has failed for too long.
    pub fn failed(&mut self, now: i64) -> Option<Disabled> {
        let since = *self.failing_since.get_or_insert(now);
        self.row = self.row.saturating_add(1);
        match self.circuit {
            Circuit::Trial { rest } => {
                let rest = (rest * 2).min(LONGEST_REST);
                self.circuit = Circuit::Open { until: now + rest, rest };
            }
            Circuit::Closed if self.row >= ROW => {
                self.circuit = Circuit::Open { until: now + FIRST_REST, rest: FIRST_REST };
            }
            _ => {}
        }
        (now - since >= PATIENCE).then_some(Disabled::Unsuccessful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn failures_in_a_row_bring_rest_and_one_trial_ends_it() {
        let mut health = Health::new(0, 0, None);
        for _ in 0..ROW {
            assert_eq!(health.leave(0), Leave::Now);
            health.sent(0);
        }
        for _ in 0..ROW {
            assert_eq!(health.failed(0), None);
        }
        assert_eq!(health.leave(0), Leave::At(10 * SECOND));
        assert_eq!(health.leave(10 * SECOND), Leave::Now);
        health.sent(10 * SECOND);
        assert_eq!(health.leave(10 * SECOND), Leave::AfterTrial);
        health.failed(11 * SECOND);
        assert_eq!(health.leave(12 * SECOND), Leave::At(31 * SECOND));
        health.sent(31 * SECOND);
        health.succeeded(31 * SECOND);
        assert_eq!(health.leave(31 * SECOND), Leave::Now);
        assert!(!health.resting());
    }

    #[test]
    fn five_days_without_success_end_it_and_a_success_starts_anew() {
        let mut health = Health::new(0, 0, None);
        assert_eq!(health.failed(SECOND), None);
        assert_eq!(health.failed(PATIENCE), None);
        health.succeeded(PATIENCE);
        assert_eq!(health.failed(PATIENCE + SECOND), None);
        assert_eq!(health.failed(2 * PATIENCE), None);
        assert_eq!(health.failed(2 * PATIENCE + SECOND), Some(Disabled::Unsuccessful));
    }

    #[test]
    fn a_rate_allows_a_seconds_worth_at_once_and_then_its_pace() {
        let mut health = Health::new(10, 0, None);
        let mut sent = 0;
        let (mut now, start) = (100 * SECOND, 100 * SECOND);
        while now < start + 3 * SECOND {
            match health.leave(now) {
                Leave::Now => {
                    health.sent(now);
                    sent += 1;
                }
                Leave::At(at) => {
                    assert!(at > now);
                    now = at;
                }
                Leave::AfterTrial => unreachable!(),
            }
        }
        assert!((39..=40).contains(&sent), "a burst of ten, then ten a second: {sent}");
    }
}
