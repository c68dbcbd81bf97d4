//! How often a feed changes, in sessions or evenly, and how far its push can be trusted.

use super::Millis;
use super::class::Class;

/// What happened this many seconds ago counts for one e-th.
const MEMORY: f64 = 10.0 * 86_400.0;
/// What the prior rate weighs, in changes or, where changes come together, in clusters of them.
const PRIOR_CLUSTERS: f64 = 1.0;
/// What the prior share of push weighs, in changes.
const PRIOR_PUSHED: f64 = 2.0;
/// By how much each further gap between changes discounts the earlier ones.
const GAP_MEMORY: f32 = 0.98;
/// More changes than this in one poll count as this many: the next bulk copy is not foreseen by the last.
const MOST_COUNTED: u32 = 1_000;

/// What is known of one feed's changes: 44 bytes. Moments are whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// Changes seen, decayed.
    pub(super) changes: f32,
    /// Seconds watched, decayed alike.
    pub(super) exposure: f32,
    /// Until when it was watched.
    pub(super) watched_until: u32,
    /// The last change's moment; 0 for none.
    pub(super) last_change: u32,
    /// Gaps between changes that were as short as within a session, decayed.
    pub(super) short_gaps: f32,
    /// All gaps, decayed alike.
    pub(super) gaps: f32,
    /// Changes that a push announced before a poll found them, decayed.
    pub(super) announced: f32,
    /// Changes that a poll found though no push had announced them, decayed.
    pub(super) missed: f32,
    /// Pushes after which nothing was found, decayed.
    pub(super) idle_pushes: f32,
    /// What a poll costs, in requests: a moving mean.
    pub(super) cost: f32,
    /// How much its delay counts against that of others.
    pub(super) weight: f32,
}

/// The changes that one poll found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<'a> {
    pub(super) changes: u32,
    /// The changes' own moments as far as the service gives them, in any order.
    pub(super) times: &'a [Millis],
    /// Whether a push had announced them; `None` where the feed has no push.
    pub(super) announced: Option<bool>,
}

pub(super) fn seconds(moment: Millis) -> u32 {
    u32::try_from(moment.div_euclid(1_000).max(0)).unwrap_or(u32::MAX)
}

impl Rate {
    pub(super) fn new(now: Millis, cost: f32, weight: f32) -> Self {
        Self {
            changes: 0.0,
            exposure: 0.0,
            watched_until: seconds(now),
            last_change: 0,
            short_gaps: 0.0,
            gaps: 0.0,
            announced: 0.0,
            missed: 0.0,
            idle_pushes: 0.0,
            cost,
            weight,
        }
    }

    /// Counts what a poll at this moment found since the one before it.
    pub(super) fn observe(&mut self, now: Millis, seen: Seen<'_>, class: &Class) {
        let from = self.watched_until;
        let until = seconds(now).max(from);
        let span = f64::from(until - from);
        let kept = (-span / MEMORY).exp();
        let counted = seen.changes.min(MOST_COUNTED);
        self.changes = (f64::from(self.changes) * kept) as f32 + counted as f32;
        self.exposure = (f64::from(self.exposure) * kept + MEMORY * (1.0 - kept)) as f32;
        self.watched_until = until;
        let kept = kept as f32;
        self.announced *= kept;
        self.missed *= kept;
        self.idle_pushes *= kept;
        match (seen.announced, counted) {
            (None | Some(false), 0) | (None, _) => {}
            (Some(true), 0) => {
                // The push may be of a change that an earlier poll found before it came.
                let lag = seconds(class.push_lag);
                if self.last_change == 0 || until.saturating_sub(self.last_change) > lag {
                    self.idle_pushes += 1.0;
                }
            }
            (Some(true), _) => self.announced += counted as f32,
            (Some(false), _) => {
                // What changed just now may have its push under way.
                let settled = now.saturating_sub(class.push_lag);
                let young = seen.times.iter().filter(|time| **time > settled).count() as f32;
                self.missed += (counted as f32 - young).max(0.0);
            }
        }
        if counted > 0 {
            self.note_gaps(from, until, counted, seen.times, class);
        }
    }

    /// Notes how far apart the changes were. Where the service does not say, they are taken to be evenly
    /// spread over the time since the last poll.
    fn note_gaps(&mut self, from: u32, until: u32, counted: u32, times: &[Millis], class: &Class) {
        let short = (4.0 * class.session_gap) as u32;
        let mut note = |time: u32| {
            if self.last_change > 0 {
                let gap = time.saturating_sub(self.last_change);
                self.short_gaps *= GAP_MEMORY;
                self.gaps = self.gaps * GAP_MEMORY + 1.0;
                if gap < short {
                    self.short_gaps += 1.0;
                }
            }
            self.last_change = self.last_change.max(time).max(1);
        };
        if times.is_empty() {
            let step = f64::from(until - from) / f64::from(counted + 1);
            (1..=counted).for_each(|n| note(from + (step * f64::from(n)) as u32));
        } else {
            // A service's clock may be wrong: nothing is later than now, nor long before the last poll.
            let earliest = from.saturating_sub(3_600);
            let mut sorted: Vec<u32> =
                times.iter().take(counted as usize).copied().map(seconds).collect();
            sorted.sort_unstable();
            sorted.into_iter().for_each(|time| note(time.clamp(earliest.min(until), until)));
        }
    }

    /// Changes a second, in the long run: the mean of a gamma posterior.
    pub(super) fn mean(&self, class: &Class) -> f64 {
        let prior = f64::from(class.prior_rate.max(1e-6)) / 86_400.0;
        // Changes that come together tell no more of the rate than one of them alone, so against ten clusters
        // of forty the prior must weigh as much as against ten lone changes.
        let posterior = |weight: f64| {
            (f64::from(self.changes) + weight) / (f64::from(self.exposure) + weight / prior)
        };
        let most = f64::from((class.session_length / class.session_gap.max(0.001)).max(1.0));
        let sessions = self.sessionness(posterior(PRIOR_CLUSTERS), class);
        posterior(PRIOR_CLUSTERS * (1.0 / (1.0 - sessions)).min(most))
    }

    /// How much of what changes comes in sessions, 0 to 1: by how much short gaps exceed the share that
    /// independent changes of the same rate would show.
    pub(super) fn sessionness(&self, mean: f64, class: &Class) -> f64 {
        // A fifth of a gap stands for what is not known yet: a lone change is no session.
        let share = (f64::from(self.short_gaps) + 0.2) / (f64::from(self.gaps) + 1.0);
        let chance = 1.0 - (-4.0 * mean / class.busy_rate()).exp();
        ((share - chance) / (1.0 - chance).max(1e-9)).clamp(0.0, 1.0)
    }

    /// The probability that a session is on, given how long ago the last change was.
    pub(super) fn session_on(&self, now: Millis, class: &Class) -> f64 {
        if self.last_change == 0 {
            return 0.0;
        }
        let since = f64::from(seconds(now).saturating_sub(self.last_change));
        let end = class.end_rate();
        let both = class.busy_rate() + end;
        let silent = (-both * since).exp();
        silent / (silent + end / both * (1.0 - silent))
    }

    /// The share of changes that push announces.
    pub(super) fn push_share(&self, class: &Class) -> f64 {
        let announced = f64::from(self.announced) + PRIOR_PUSHED * f64::from(class.push_share);
        let all = f64::from(self.announced) + f64::from(self.missed) + PRIOR_PUSHED;
        (announced / all).clamp(0.0, 0.999)
    }
}
