//! What a million feeds in one process take of memory and processor.

use tramontane_activity::schedule::{Budget, Millis, Outcome, Schedule, Spec};

use crate::traces::{Chance, START, Source, WATCHED};

/// What a fleet took.
pub(crate) struct Taken {
    /// MiB of resident memory that the feeds added.
    pub(crate) memory: f64,
    /// Microseconds to add one feed.
    pub(crate) adding: f64,
    /// Polls and nudges in the measured time.
    pub(crate) polls: u64,
    pub(crate) nudges: u64,
    /// Processor seconds of the measured time, which also holds the making of the changes.
    pub(crate) processor: f64,
    /// Virtual seconds that were measured.
    pub(crate) seconds: f64,
    /// The longest single call of `due`, milliseconds on a processor.
    pub(crate) longest_call: f64,
}

/// Runs so many feeds on a budget of one poll each ten minutes, with so many nudges a second.
pub(crate) fn run(feeds: u64, nudges_a_second: u64) -> Taken {
    let mut chance = Chance(5);
    let mut sources: Vec<Source> = (0..feeds)
        .map(|number| Source::new(Chance(number << 20), chance.rest(2.0), false))
        .collect();
    let before = memory();
    let began = processor_seconds();
    let mut schedule = Schedule::new(START);
    let application = schedule.open_budget(START, Budget::aim(feeds as f64 / 600.0));
    let own = schedule.open_budget(START, Budget::aim(feeds as f64 / 300.0));
    let tenants: Vec<_> =
        (0..feeds.div_ceil(100)).map(|_| schedule.open_budget(START, Budget::aim(1.0))).collect();
    for feed in 0..feeds {
        let tenant = tenants.get((feed / 100) as usize).copied();
        let budgets = [Some(application), Some(own), tenant];
        schedule.add(feed, START, &Spec { class: &WATCHED, budgets, weight: 1.0, cost: 1.0 }, None);
    }
    let adding = (processor_seconds() - began) * 1e6 / feeds as f64;
    let warm = START + 1_800_000;
    let end = warm + 1_800_000;
    let mut taken = Taken {
        memory: 0.0,
        adding,
        polls: 0,
        nudges: 0,
        processor: 0.0,
        seconds: (end - warm) as f64 / 1e3,
        longest_call: 0.0,
    };
    let mut began = 0.0;
    let mut times: Vec<Millis> = Vec::new();
    let step = 100;
    let mut now = START;
    while now < end {
        now += step;
        if now == warm {
            began = processor_seconds();
        }
        for _ in 0..nudges_a_second * step as u64 / 1_000 {
            schedule.nudge((chance.uniform() * feeds as f64) as u64, now);
            taken.nudges += u64::from(now > warm);
        }
        loop {
            let before = processor_seconds();
            let poll = schedule.due(now);
            if now > warm {
                taken.longest_call = taken.longest_call.max((processor_seconds() - before) * 1e3);
            }
            let Some(poll) = poll else {
                if schedule.next_at().is_some_and(|next| next <= now) {
                    continue;
                }
                break;
            };
            let Some(source) = sources.get_mut(poll.feed as usize) else { continue };
            source.take_until(now, &mut times);
            let outcome = Outcome::Done {
                changes: times.len() as u32,
                times: &times,
                requests: 1,
                more: false,
            };
            schedule.finish(&poll, now, outcome);
            taken.polls += u64::from(now > warm);
        }
    }
    taken.processor = processor_seconds() - began;
    taken.memory = memory() - before;
    taken
}

/// Resident MiB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

/// Seconds on a processor so far.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
