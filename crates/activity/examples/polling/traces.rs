//! Traces of changes, and the real schedule run over them in virtual time. Seeded: the same figures everywhere.

use tramontane_activity::schedule::{Budget, Class, Millis, Outcome, Schedule, Spec};

const SECOND: f64 = 1_000.0;
const DAY: f64 = 86_400.0 * SECOND;
pub(crate) const START: Millis = 1_700_000_000_000;
/// Changes within a session: one each so many milliseconds on average.
const GAP: f64 = 30.0 * SECOND;
/// The mean length of a session.
const LENGTH: f64 = 1_200.0 * SECOND;

/// What the schedule is told of the feeds: nothing that the trace does not also vary.
pub(crate) const WATCHED: Class = Class {
    service: "trace",
    session_gap: 30.0,
    session_length: 1_200.0,
    prior_rate: 3.0,
    shortest: 1_000,
    longest: 2 * 86_400_000,
    debounce: 1_000,
    backstop: 86_400_000,
    push_lag: 60_000,
    push_share: 0.9,
    long_poll: false,
};

/// Chance from a seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly between 0 and 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.uniform().ln()
    }

    /// Mean milliseconds between changes or sessions of one feed: lognormal around a day.
    pub(crate) fn rest(&mut self, sigma: f64) -> f64 {
        DAY * (sigma * self.normal()).exp()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// One feed's changes, made as they are asked for.
pub(crate) struct Source {
    chance: Chance,
    /// Mean milliseconds from the end of one session to the next; of one change to the next without sessions.
    rest: f64,
    bursty: bool,
    next: f64,
    session_end: f64,
    polled: Millis,
}

impl Source {
    pub(crate) fn new(chance: Chance, rest: f64, bursty: bool) -> Self {
        let mut source = Self { chance, rest, bursty, next: 0.0, session_end: 0.0, polled: 0 };
        source.step();
        source
    }

    /// Changes a second in the long run.
    fn rate(&self) -> f64 {
        if self.bursty { LENGTH / GAP / (self.rest + LENGTH) * SECOND } else { SECOND / self.rest }
    }

    /// The changes up to a moment that were not taken yet.
    pub(crate) fn take_until(&mut self, now: Millis, times: &mut Vec<Millis>) {
        times.clear();
        while self.next <= (now - START) as f64 {
            times.push(START + self.next as Millis);
            self.step();
        }
    }

    fn step(&mut self) {
        if !self.bursty {
            self.next += self.chance.exponential(self.rest);
            return;
        }
        loop {
            self.next += self.chance.exponential(GAP);
            if self.next < self.session_end {
                return;
            }
            // The session ended before that; memoryless, so the next one begins as if drawn at its end.
            self.next = self.session_end + self.chance.exponential(self.rest);
            self.session_end = self.next + self.chance.exponential(LENGTH);
        }
    }
}

/// What a trace is made of.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// How many feeds.
    pub(crate) feeds: u64,
    /// The spread of the logarithm of their rates around one (change or session) a day.
    pub(crate) sigma: f64,
    /// Whether changes come in sessions.
    pub(crate) bursty: bool,
    /// The budget, as the interval in seconds at which all feeds could be polled evenly.
    pub(crate) uniform: f64,
    /// Virtual days; the second half is scored.
    pub(crate) days: f64,
    /// The seed.
    pub(crate) seed: u64,
}

/// What a run gave. Times are seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The least mean delay that any schedule can have that knows all rates and nothing else.
    pub(crate) bound: f64,
    /// The mean time from a change to the poll that found it.
    pub(crate) mean: f64,
    /// The delay that one change in a hundred exceeds.
    pub(crate) p99: f64,
    /// Polls over what the budget allowed.
    pub(crate) spent: f64,
    /// The longest time that any feed went unpolled.
    pub(crate) oldest: f64,
    /// Polls in all.
    pub(crate) polls: u64,
}

/// Runs the schedule over a workload.
pub(crate) fn run(work: &Workload, class: &'static Class) -> Figures {
    let mut chance = Chance(work.seed);
    let mut sources: Vec<Source> = (0..work.feeds)
        .map(|number| {
            let own = Chance(work.seed.wrapping_mul(31).wrapping_add(number << 20));
            Source::new(own, chance.rest(work.sigma), work.bursty)
        })
        .collect();
    let rate = work.feeds as f64 / work.uniform;
    let mut schedule = Schedule::new(START);
    let budget = schedule.open_budget(START, Budget::aim(rate));
    let spec = Spec { class, budgets: [Some(budget), None, None], weight: 1.0, cost: 1.0 };
    (0..work.feeds).for_each(|feed| schedule.add(feed, START, &spec, None));

    let end = START + (work.days * DAY) as Millis;
    let half = START + (work.days * DAY / 2.0) as Millis;
    let mut delays = Delays::default();
    let (mut polls, mut scored_polls, mut oldest) = (0_u64, 0_u64, 0);
    let mut now = START;
    let mut times: Vec<Millis> = Vec::new();
    while let Some(next) = schedule.next_at().filter(|next| *next < end) {
        now = now.max(next);
        while let Some(poll) = schedule.due(now) {
            let Some(source) = sources.get_mut(poll.feed as usize) else { continue };
            source.take_until(now, &mut times);
            for at in times.iter().filter(|at| **at >= half) {
                delays.note((now - at) as f64 / SECOND);
            }
            polls += 1;
            if now >= half {
                scored_polls += 1;
                oldest = oldest.max(now - source.polled);
            }
            source.polled = now;
            let outcome = Outcome::Done {
                changes: times.len() as u32,
                times: &times,
                requests: 1,
                more: false,
            };
            schedule.finish(&poll, now, outcome);
        }
    }
    let roots: f64 = sources.iter().map(|source| source.rate().sqrt()).sum();
    let rates: f64 = sources.iter().map(Source::rate).sum();
    Figures {
        bound: roots * roots / (2.0 * rate * rates),
        mean: delays.sum / delays.count.max(1) as f64,
        p99: delays.quantile(0.99),
        spent: scored_polls as f64 / (rate * (end - half) as f64 / SECOND),
        oldest: oldest as f64 / SECOND,
        polls,
    }
}

/// Delays in classes of one percent.
#[derive(Default)]
struct Delays {
    count: u64,
    sum: f64,
    classes: std::collections::BTreeMap<i32, u64>,
}

impl Delays {
    fn note(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        *self.classes.entry((seconds.max(0.01).ln() * 100.0) as i32).or_default() += 1;
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut left = (self.count as f64 * share) as i64;
        for (class, count) in &self.classes {
            left -= *count as i64;
            if left <= 0 {
                return (f64::from(*class) / 100.0).exp();
            }
        }
        0.0
    }
}
