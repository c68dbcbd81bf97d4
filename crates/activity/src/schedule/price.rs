//! What a poll costs in one budget: a price that keeps spending at the budget, and the hard bounds on it.

use super::Millis;

/// One budget in the schedule: an application of ours at a service, a tenant of the service, our own
/// processor. What opened it holds the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetId(pub(super) u32);

/// What a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Requests a second that polls shall take on average; infinite for no aim.
    pub rate: f64,
    /// Requests a second that the service allows, which are never exceeded; infinite for no limit.
    pub limit: f64,
    /// Requests that may go out at once under the limit.
    pub burst: f64,
}

impl Budget {
    /// An aim alone.
    #[must_use]
    pub fn aim(rate: f64) -> Self {
        Self { rate, limit: f64::INFINITY, burst: 1.0 }
    }
}

/// How fast the price follows, in powers of e for spending double the budget for as long as it takes to
/// poll everything once. Less than the 0.7 above which a loop with so much delay overshoots.
const GAIN: f64 = 0.4;
/// How far below and above the calculated price the controller may go, in powers of e. The lower end
/// keeps a budget that another one leaves idle from needing long to bind again.
const CORRECTION: (f64, f64) = (-7.0, 5.0);
/// By how much a refusal for too many requests raises what the feeds of the budget pay.
const THROTTLED: f64 = 4.0;
/// The most that several refusals raise it.
const MOST_THROTTLED: f64 = 256.0;
/// What a refusal added is a half less after this long.
const FORGIVEN: f64 = 10.0 * 60_000.0;
/// Polls of a backlog go out at no more than this multiple of the budget.
const CATCH_UP: f64 = 2.0;
/// This many requests may go out at once whatever the budget, so that a single feed can be watched closely.
const FREE_BURST: f64 = 64.0;

/// A leaky bucket that gives out turns ahead of time (the generic cell rate algorithm).
#[derive(Clone, Copy, Default)]
struct Turns {
    /// When all turns that were given out are through.
    until: f64,
}

impl Turns {
    /// The moment from which the next request may go out. Takes the turn.
    fn take(&mut self, now: f64, cost: f64, rate: f64, burst: f64) -> f64 {
        if !rate.is_finite() {
            return now;
        }
        let each = 1_000.0 / rate.max(1e-9);
        let begin = self.until.max(now);
        self.until = begin + cost * each;
        (self.until - burst.max(cost) * each).max(now)
    }
}

/// The state of one budget.
pub(super) struct Account {
    pub(super) allowed: Budget,
    /// The sum over its feeds of the root of weight, rate and cost: what the best schedule's price follows from.
    pub(super) roots: f64,
    /// The sum of its feeds' costs: what it takes to poll each once.
    pub(super) once: f64,
    /// How many feeds are in it.
    pub(super) feeds: u32,
    /// Nothing goes out before this moment.
    pub(super) paused_until: Millis,
    /// The controller: the logarithm of the price over the calculated one.
    correction: f64,
    corrected_at: Millis,
    /// The logarithm of what refusals multiply the price by, and when it was that.
    throttled: f64,
    throttled_at: Millis,
    limit: Turns,
    pace: Turns,
    /// The price from which a fall is counted that calls for looking at all feeds again.
    mark: f64,
}

impl Account {
    pub(super) fn new(allowed: Budget, now: Millis) -> Self {
        Self {
            allowed,
            roots: 0.0,
            once: 0.0,
            feeds: 0,
            paused_until: Millis::MIN,
            correction: 0.0,
            corrected_at: now,
            throttled: 0.0,
            throttled_at: now,
            limit: Turns::default(),
            pace: Turns::default(),
            mark: 0.0,
        }
    }

    fn aims(&self) -> bool {
        self.allowed.rate.is_finite()
    }

    /// Seconds in which the budget polls each feed once.
    fn round(&self) -> f64 {
        (self.once / self.allowed.rate.max(1e-9)).clamp(1.0, 7.0 * 86_400.0)
    }

    /// Seconds² of expected delay that one request must save.
    ///
    /// For changes that come evenly the best price is known: `√(2·price) = Σ√(weight·rate·cost) / budget`.
    /// What that leaves out (sessions, bounds, nudges, wrong estimates) is corrected by the balance of what
    /// was spent and what was allowed, so the spending cannot stay off the budget.
    pub(super) fn price(&mut self, now: Millis) -> f64 {
        if !self.aims() {
            return 0.0;
        }
        let since = self.corrected_at.max(self.paused_until.min(now));
        let passed = (now - since).max(0) as f64 / 1_000.0;
        self.corrected_at = self.corrected_at.max(now);
        self.correction =
            (self.correction - GAIN * passed / self.round()).clamp(CORRECTION.0, CORRECTION.1);
        let root = self.roots / self.allowed.rate.max(1e-9);
        0.5 * root * root * self.correction.exp()
    }

    /// Whether the price fell by so much since the last such answer that feeds wait far too long.
    pub(super) fn fell(&mut self, price: f64) -> bool {
        let fell = price < 0.8 * self.mark;
        self.mark = if fell { price } else { self.mark.max(price) };
        fell
    }

    /// Books requests that went out.
    pub(super) fn spend(&mut self, requests: f64) {
        if self.aims() && self.once > 0.0 {
            let raised = self.correction + GAIN * requests / self.once;
            self.correction = raised.clamp(CORRECTION.0, CORRECTION.1);
        }
    }

    /// What refusals multiply the price by at present.
    pub(super) fn penalty(&self, now: Millis) -> f64 {
        if self.throttled <= 0.0 {
            return 1.0;
        }
        let passed = (now - self.throttled_at).max(0) as f64;
        (self.throttled * (-passed / FORGIVEN * std::f64::consts::LN_2).exp()).exp()
    }

    /// Notes that the service refused for too many requests, and until when it wants to be left alone.
    pub(super) fn refuse(&mut self, now: Millis, retry_after: Millis) {
        self.throttled = (self.penalty(now) * THROTTLED).min(MOST_THROTTLED).ln();
        self.throttled_at = now;
        self.pause(now.saturating_add(retry_after.max(0)));
    }

    pub(super) fn pause(&mut self, until: Millis) {
        self.paused_until = self.paused_until.max(until);
        let until = self.paused_until as f64;
        self.limit.until = self.limit.until.max(until);
        self.pace.until = self.pace.until.max(until);
    }

    /// Over how long the feeds that a pause held back are spread after it: what the budget can poll of
    /// them at the pace of a backlog, but no longer than a quarter of an hour.
    pub(super) fn spread(&self) -> f64 {
        if self.aims() { (self.round() / CATCH_UP * 1_000.0).min(900_000.0) } else { 5_000.0 }
    }

    /// The moment from which a poll may go out; takes its turn. A poll for a nudge is held to the
    /// service's limit alone, others also to the pace of a backlog.
    pub(super) fn turn(&mut self, now: Millis, cost: f64, nudged: bool) -> Millis {
        let Budget { rate, limit, burst } = self.allowed;
        let mut from = self.limit.take(now as f64, cost, limit, burst);
        if !nudged {
            let free = FREE_BURST.max(5.0 * rate) * cost.max(1.0);
            from = from.max(self.pace.take(now as f64, cost, CATCH_UP * rate, free));
        }
        from.ceil() as Millis
    }
}
