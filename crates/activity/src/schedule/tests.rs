//! The schedule's promises, each by the calls that its runtime makes.

use super::rate::{Rate, Seen};
use super::wheel::Wheel;
use super::*;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const DAY: Millis = 86_400 * SECOND;
const START: Millis = 1_700_000_000_000;

/// A class with round numbers, whatever the shipped table says.
pub(super) const STEADY: Class = Class {
    service: "steady",
    session_gap: 30.0,
    session_length: 1_200.0,
    prior_rate: 1.0,
    shortest: 5 * SECOND,
    longest: DAY,
    debounce: SECOND,
    backstop: 6 * 60 * MINUTE,
    push_lag: MINUTE,
    push_share: 0.9,
    long_poll: true,
};

fn spec(budget: BudgetId) -> Spec {
    Spec { class: &STEADY, budgets: [Some(budget), None, None], weight: 1.0, cost: 1.0 }
}

fn found(changes: u32) -> Outcome<'static> {
    Outcome::Done { changes, times: &[], requests: 1, more: false }
}

/// A schedule with these feeds on one budget of a poll a minute for each, every one polled once.
fn polled_once(feeds: u64) -> (Schedule, BudgetId, Millis) {
    let mut schedule = Schedule::new(START);
    let budget = schedule.open_budget(START, Budget::aim(feeds as f64 / 60.0));
    (1..=feeds).for_each(|feed| schedule.add(feed, START, &spec(budget), None));
    let mut now = START;
    let mut left: Vec<u64> = (1..=feeds).collect();
    while !left.is_empty() {
        now = schedule.next_at().unwrap().max(now);
        while let Some(poll) = schedule.due(now) {
            left.retain(|feed| *feed != poll.feed);
            schedule.finish(&poll, now, found(0));
        }
    }
    (schedule, budget, now)
}

/// Runs until a moment; returns each poll's moment.
fn run(schedule: &mut Schedule, from: Millis, until: Millis, changes: u32) -> Vec<Poll> {
    let mut polls = Vec::new();
    let mut now = from;
    while let Some(next) = schedule.next_at().filter(|next| *next <= until) {
        now = now.max(next);
        while let Some(poll) = schedule.due(now) {
            schedule.finish(&poll, now, found(changes));
            polls.push(poll);
        }
    }
    polls
}

#[test]
fn the_wheel_gives_what_a_sorted_list_gives() {
    let mut random = 7_u64;
    let mut draw = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut wheel = Wheel::new(1_000_000);
    let mut list = std::collections::BTreeMap::new();
    let mut now = 1_000_000_u64;
    for _ in 0..100_000 {
        match draw(4) {
            0 | 1 => {
                let number = draw(500) as u32;
                let exponent = draw(40);
                let tick = now + draw(1 << exponent.max(1));
                wheel.place(number, tick);
                list.insert(number, tick);
            }
            2 => {
                let number = draw(500) as u32;
                wheel.take_out(number);
                list.remove(&number);
            }
            _ => {
                let exponent = draw(32);
                now += draw(1 << exponent.max(1));
                let first = list.values().min().copied();
                assert!(wheel.next().is_some() == first.is_some());
                assert!(wheel.next() <= first.map(|tick| tick.max(wheel.next().unwrap_or(0))));
                let mut last = 0;
                while let Some(number) = wheel.pop(now) {
                    let tick = list.remove(&number).expect("it was placed");
                    assert!(tick <= now && tick >= last, "{tick} after {last} at {now}");
                    last = tick;
                }
                assert!(list.values().all(|tick| *tick > now));
            }
        }
    }
}

#[test]
fn a_wheel_with_many_for_one_slot_gives_them_in_order_over_several_calls() {
    let mut wheel = Wheel::new(1);
    let wanted = |number: u32| 300_000 + u64::from(number) * 7_919 % 40_000;
    (0..20_000).for_each(|number| wheel.place(number, wanted(number)));
    let (mut given, mut pauses, mut now) = (Vec::new(), 0, 1);
    while let Some(next) = wheel.next() {
        pauses += u32::from(next <= now);
        now = now.max(next);
        while let Some(number) = wheel.pop(now) {
            assert_eq!(wanted(number), now, "neither early nor late");
            given.push(number);
        }
    }
    assert_eq!(given.len(), 20_000);
    assert!(pauses >= 4, "the caller had a turn");
}

#[test]
fn a_nudge_is_polled_at_once_and_the_next_when_the_debounce_is_over() {
    let (mut schedule, _, now) = polled_once(3);
    let now = now + 3 * SECOND;
    schedule.nudge(2, now);
    assert_eq!(schedule.next_at(), Some(now));
    let poll = schedule.due(now).unwrap();
    assert_eq!((poll.feed, poll.reason), (2, Reason::Nudge));
    schedule.finish(&poll, now + 50, found(1));
    schedule.nudge(2, now + 60);
    let polls = run(&mut schedule, now + 60, now + 10 * SECOND, 1);
    let again = polls.iter().find(|poll| poll.feed == 2).unwrap();
    assert_eq!(again.reason, Reason::Nudge);
    assert!((SECOND..SECOND + 100).contains(&(again.at - now)), "{}", again.at - now);
}

#[test]
fn a_nudge_during_a_poll_causes_one_more_poll_however_many_they_are() {
    let (mut schedule, _, now) = polled_once(1);
    schedule.nudge(1, now + MINUTE);
    let poll = schedule.due(now + MINUTE).unwrap();
    for n in 0..50 {
        schedule.nudge(1, now + MINUTE + n);
    }
    assert_eq!(schedule.due(now + MINUTE + 60), None, "it is under way");
    schedule.finish(&poll, now + MINUTE + 100, found(1));
    let polls = run(&mut schedule, now + MINUTE, now + MINUTE + 5 * SECOND, 0);
    assert_eq!(polls.iter().filter(|poll| poll.reason == Reason::Nudge).count(), 1);
}

#[test]
fn a_failed_poll_does_not_serve_the_nudge() {
    let (mut schedule, _, now) = polled_once(1);
    schedule.nudge(1, now + MINUTE);
    let poll = schedule.due(now + MINUTE).unwrap();
    schedule.finish(&poll, now + MINUTE, Outcome::Failed);
    let health = schedule.health(1).unwrap();
    assert_eq!(health.failures, 1);
    let polls = run(&mut schedule, now + MINUTE, now + 2 * MINUTE, 0);
    let first = polls.first().unwrap();
    assert_eq!(first.reason, Reason::Nudge);
    assert!(first.at - poll.at >= 5 * SECOND);
    assert_eq!(schedule.health(1).unwrap().failures, 0);
}

#[test]
fn a_storm_of_false_nudges_is_slowed_and_forgiven() {
    let (mut schedule, _, now) = polled_once(1);
    let begin = now + MINUTE;
    let mut polls = 0;
    for second in 0..600 {
        for part in 0..10 {
            let now = begin + second * SECOND + part * 100;
            schedule.nudge(1, now);
            while let Some(poll) = schedule.due(now) {
                polls += 1;
                schedule.finish(&poll, now, found(0));
            }
        }
    }
    assert!((8..30).contains(&polls), "{polls} polls for 6,000 nudges in 600 s");
    // An hour of quiet later, two nudges that come together are served as fast as at first.
    let later = begin + 3_600 * SECOND;
    run(&mut schedule, begin + 600 * SECOND, later, 0);
    for (at, wait) in [(later + 60 * SECOND, 0), (later + 61 * SECOND, 1)] {
        schedule.nudge(1, at);
        let poll = schedule.due(at).unwrap_or_else(|| panic!("the nudge after {wait} s waits"));
        schedule.finish(&poll, at, found(1));
    }
}

#[test]
fn nothing_of_a_paused_budget_is_given_out_before_its_time() {
    let (mut schedule, paused, now) = polled_once(50);
    let other = schedule.open_budget(now, Budget::aim(1.0));
    (101..=150).for_each(|feed| schedule.add(feed, now, &spec(other), None));
    let until = now + 30 * MINUTE;
    schedule.pause_budget(paused, until);
    (1..=50).for_each(|feed| schedule.nudge(feed, now + SECOND));
    let polls = run(&mut schedule, now, now + 60 * MINUTE, 0);
    assert!(polls.iter().filter(|poll| poll.feed <= 50).all(|poll| poll.at >= until));
    assert!(polls.iter().any(|poll| poll.feed > 100 && poll.at < until), "others go on");
    for feed in 1..=50 {
        assert!(
            polls.iter().any(|poll| poll.feed == feed),
            "feed {feed} is polled after the pause"
        );
    }
}

#[test]
fn a_refusal_pauses_and_slows_its_tenant_alone() {
    let mut schedule = Schedule::new(START);
    let application = schedule.open_budget(START, Budget::aim(2.0));
    let tenants = [(); 2].map(|()| schedule.open_budget(START, Budget::aim(10.0)));
    for feed in 0..120 {
        let tenant = tenants[usize::from(feed >= 60)];
        let spec = Spec { budgets: [Some(application), Some(tenant), None], ..spec(application) };
        schedule.add(feed, START, &spec, None);
    }
    let warm = START + DAY / 4;
    let before = run(&mut schedule, START, warm, 0);
    let poll = loop {
        let poll = schedule.due(schedule.next_at().unwrap().max(warm)).unwrap();
        if poll.feed < 60 {
            break poll;
        }
        schedule.finish(&poll, poll.at, found(0));
    };
    let refused = Outcome::Throttled { budget: tenants[0], retry_after: 20 * SECOND };
    schedule.finish(&poll, poll.at, refused);
    let after = run(&mut schedule, poll.at, poll.at + 10 * MINUTE, 0);
    let of = |polls: &[Poll], first: bool, from: Millis| {
        polls.iter().filter(|poll| (poll.feed < 60) == first && poll.at > from).count()
    };
    assert!(after.iter().all(|next| next.feed >= 60 || next.at >= poll.at + 20 * SECOND));
    let (slowed, usual) = (of(&after, true, 0), of(&before, true, warm - 10 * MINUTE));
    assert!(slowed * 4 < usual * 3, "{slowed} polls instead of {usual}");
    let (others, usual) = (of(&after, false, 0), of(&before, false, warm - 10 * MINUTE));
    assert!(others >= usual, "{others} polls of the other tenant instead of {usual}");
    let later = run(&mut schedule, poll.at + 10 * MINUTE, poll.at + 180 * MINUTE, 0);
    let hour = of(&later, true, poll.at + 120 * MINUTE);
    let usual = of(&before, true, warm - 60 * MINUTE);
    assert!(hour * 10 > usual * 9, "{hour} polls two hours later instead of {usual}");
}

#[test]
fn a_limit_is_never_exceeded_also_by_nudges() {
    let mut schedule = Schedule::new(START);
    let allowed = Budget { rate: 3.0, limit: 5.0, burst: 10.0 };
    let budget = schedule.open_budget(START, allowed);
    (0..2_000).for_each(|feed| schedule.add(feed, START, &spec(budget), None));
    (0..2_000).for_each(|feed| schedule.nudge(feed, START));
    let polls = run(&mut schedule, START, START + 20 * MINUTE, 0);
    let times: Vec<Millis> = polls.iter().map(|poll| poll.at).collect();
    for (n, from) in times.iter().enumerate() {
        let window = times.iter().skip(n).take_while(|at| **at < from + 10 * SECOND).count();
        assert!(window <= 61, "{window} polls within ten seconds");
    }
    let served: std::collections::BTreeSet<u64> = polls.iter().map(|poll| poll.feed).collect();
    assert_eq!(served.len(), 2_000);
}

#[test]
fn what_nudges_take_of_a_budget_other_polls_give_up() {
    let (mut schedule, _, begin) = polled_once(300);
    let (mut polls, mut nudged) = (0, 0);
    for second in 0..1_800 {
        let now = begin + second * SECOND;
        // Two a second, where the budget is five.
        (0..2).for_each(|n| schedule.nudge((second as u64 * 7 + n * 150) % 300, now));
        while let Some(poll) = schedule.due(now) {
            schedule.finish(&poll, now, found(0));
            if second >= 120 {
                polls += 1;
                nudged += u32::from(poll.reason == Reason::Nudge);
            }
        }
    }
    assert!(nudged > 3_000, "{nudged}");
    assert!((8_230..8_570).contains(&polls), "{polls} polls in 1,680 s, at 5 a second");
}

#[test]
fn after_a_gap_in_time_the_backlog_goes_out_at_a_pace() {
    let (mut schedule, _, now) = polled_once(1_200);
    // A machine that slept: twenty a second are allowed on average, and all are overdue.
    let awake = now + DAY / 2;
    let polls = run(&mut schedule, awake, awake + 60 * SECOND, 0);
    let first = polls.iter().filter(|poll| poll.at < awake + 10 * SECOND).count();
    assert!((300..=100 + 400 + 20).contains(&first), "{first} polls in the first ten seconds");
    let served: std::collections::BTreeSet<u64> = polls.iter().map(|poll| poll.feed).collect();
    assert!(served.len() > 1_150, "{} of 1,200 within a minute", served.len());
}

#[test]
fn a_feed_that_is_read_live_is_polled_four_times_as_often() {
    let (mut schedule, _, now) = polled_once(200);
    let warm = now + DAY / 8;
    run(&mut schedule, now, warm, 0);
    schedule.set_readers(7, warm, 2);
    let polls = run(&mut schedule, warm, warm + DAY / 8, 0);
    let of = |feed| polls.iter().filter(|poll| poll.feed == feed).count();
    let ratio = of(7) as f64 / of(8) as f64;
    assert!((3.0..5.0).contains(&ratio), "{ratio}");
    schedule.set_readers(7, warm + DAY / 8, 0);
    let polls = run(&mut schedule, warm + DAY / 8, warm + DAY / 4, 0);
    let of = |feed| polls.iter().filter(|poll| poll.feed == feed).count();
    assert!((0.8..1.3).contains(&(of(7) as f64 / of(8) as f64)));
}

#[test]
fn behind_healthy_push_a_feed_is_polled_at_its_floor_and_by_price_when_push_misses() {
    let (mut schedule, _, now) = polled_once(1);
    schedule.set_push(1, now, Push::Healthy);
    let until = now + 4 * DAY;
    let polls = run(&mut schedule, now, until, 0);
    assert!(polls.windows(2).all(|pair| pair[1].at - pair[0].at >= STEADY.backstop), "{polls:?}");
    assert!(polls.iter().all(|poll| poll.reason == Reason::Backstop));
    assert!(schedule.health(1).unwrap().missed.unwrap() < 0.15);
    // Polls find what no push announced: it is not as healthy as it says.
    let polls = run(&mut schedule, until, until + 6 * DAY, 5);
    assert!(schedule.health(1).unwrap().missed.unwrap() > 0.5);
    let last = polls.len() - 1;
    assert!(polls[last].at - polls[last - 1].at < STEADY.backstop / 10);
}

#[test]
fn pushes_are_judged_by_what_polls_find() {
    let mut rate = Rate::new(START, 1.0, 1.0);
    let mut now = START;
    let mut see = |changes, age: Millis, announced| {
        now += 10 * MINUTE;
        let times = vec![now - age; changes as usize];
        rate.observe(now, Seen { changes, times: &times, announced: Some(announced) }, &STEADY);
        (rate.announced.round(), rate.missed.round(), rate.idle_pushes.round())
    };
    assert_eq!(see(3, 5 * MINUTE, true), (3.0, 0.0, 0.0));
    assert_eq!(see(0, 0, true), (3.0, 0.0, 1.0));
    assert_eq!(see(2, 5 * MINUTE, false), (3.0, 2.0, 1.0));
    assert_eq!(see(2, 5 * SECOND, false), (3.0, 2.0, 1.0), "its push may be under way");
    assert_eq!(see(0, 0, false), (3.0, 2.0, 1.0));
}

#[test]
fn long_polls_go_to_the_feeds_that_change_most() {
    let (mut schedule, _, now) = polled_once(40);
    for minute in 1..30 {
        let now = now + minute * MINUTE;
        for feed in 1..=5 {
            schedule.nudge(feed, now);
        }
        while let Some(poll) = schedule.due(now) {
            schedule.finish(&poll, now, found(u32::from(poll.feed <= 5)));
        }
    }
    let now = now + 40 * MINUTE;
    let given = schedule.assign_long_polls(now, 5);
    assert_eq!(given, LongPolls { open: vec![1, 2, 3, 4, 5], close: vec![] });
    assert_eq!(schedule.assign_long_polls(now, 5), LongPolls::default());
    assert!(schedule.health(3).unwrap().held);
    let fewer = schedule.assign_long_polls(now, 0);
    assert_eq!(fewer, LongPolls { open: vec![], close: vec![1, 2, 3, 4, 5] });
}

#[test]
fn estimates_survive_a_restart_and_damage_does_not() {
    let (mut schedule, _, now) = polled_once(1);
    run(&mut schedule, now, now + DAY, 2);
    let stored = schedule.encode(1).unwrap();
    let known = schedule.health(1).unwrap();
    let later = now + DAY + MINUTE;
    let mut again = Schedule::new(later);
    let budget = again.open_budget(later, Budget::aim(0.01));
    again.add(1, later, &spec(budget), Some(&stored));
    assert_eq!(again.health(1).unwrap().changes_per_day, known.changes_per_day);
    let mut short = stored.to_vec();
    short.pop();
    let mut other = stored;
    other[0] = 9;
    let mut absurd = stored;
    absurd[9..13].copy_from_slice(&f32::NAN.to_le_bytes());
    for damaged in [&short[..], &other, &absurd, &[]] {
        again.add(1, later, &spec(budget), Some(damaged));
        let fresh = again.health(1).unwrap();
        assert!(fresh.changes_per_day < 2.0 && known.changes_per_day > 100.0);
    }
}

#[test]
fn a_restart_spreads_what_is_overdue() {
    let mut schedule = Schedule::new(START);
    let budget = schedule.open_budget(START, Budget::aim(1.0));
    let stored = state::encode(&Rate::new(START - 3 * DAY, 1.0, 1.0));
    (0..600).for_each(|feed| schedule.add(feed, START, &spec(budget), Some(&stored)));
    let polls = run(&mut schedule, START, START + 10 * MINUTE, 0);
    let first = polls.iter().filter(|poll| poll.at < START + 10 * SECOND).count();
    assert!(first <= 64 + 20, "{first} polls in the first ten seconds");
    let served: std::collections::BTreeSet<u64> = polls.iter().map(|poll| poll.feed).collect();
    assert!(served.len() > 540, "{} of 600 within a round", served.len());
}

/// Makes any calls in any order, and checks what must hold after each.
pub(super) fn any_calls(data: &[u8]) {
    let mut schedule = Schedule::new(START);
    let mut now = START;
    let budgets = [0.01, 1.0, f64::INFINITY]
        .map(|rate| schedule.open_budget(START, Budget { rate, limit: rate * 3.0, burst: 2.0 }));
    let mut under_way: Vec<Poll> = Vec::new();
    let mut paused = [Millis::MIN; 3];
    for pair in data.chunks(2).take(2_000) {
        let (what, value) = (pair[0], pair.get(1).copied().unwrap_or_default());
        let feed = u64::from(value % 8);
        let chosen = usize::from(value % 3);
        let number = i64::from(value);
        match what % 12 {
            0 => {
                let mut stored = [1; state::STATE_BYTES];
                stored.iter_mut().skip(1).zip(data).for_each(|(place, byte)| *place = *byte);
                let spec = Spec {
                    budgets: [Some(budgets[feed as usize % 3]), None, None],
                    weight: f32::from_bits(u32::from(what) << 24),
                    ..spec(budgets[0])
                };
                schedule.add(feed, now, &spec, (value > 128).then_some(&stored));
            }
            1 => schedule.remove(feed),
            2 => schedule.nudge(feed, now),
            3 | 4 => now += number * number * 100 - 100,
            5 | 6 => {
                if let Some(poll) = schedule.due(now) {
                    let of = poll.feed as usize % 3;
                    assert!(paused[of] <= poll.at, "given out while paused");
                    under_way.push(poll);
                }
            }
            7 if !under_way.is_empty() => {
                let poll = under_way.remove(usize::from(value) % under_way.len());
                let outcome = match value % 4 {
                    0 => Outcome::Failed,
                    1 => Outcome::Throttled { budget: budgets[chosen], retry_after: number * 99 },
                    _ => Outcome::Done {
                        changes: u32::from(value) * 77,
                        times: &[now - number, Millis::MAX, Millis::MIN],
                        requests: u32::from(what),
                        more: value == 7,
                    },
                };
                schedule.finish(&poll, now, outcome);
            }
            8 => {
                let push = if what > 128 { Push::Healthy } else { Push::Off };
                schedule.set_push(feed, now, push);
            }
            9 => schedule.set_readers(feed, now, u16::from(what / 64)),
            10 => drop(schedule.assign_long_polls(now, usize::from(value % 4))),
            _ => {
                // The present moment never goes back, so neither may the test's own.
                let until = schedule.at(now) + number * SECOND;
                schedule.pause_budget(budgets[chosen], until);
                paused[chosen] = paused[chosen].max(until);
            }
        }
        for feed in schedule.feeds().map(|feed| feed.number).collect::<Vec<_>>() {
            let health = schedule.health(feed).expect("it is there");
            assert!(health.changes_per_day.is_finite() && health.changes_per_day > 0.0);
            assert!(
                schedule.encode(feed).is_some_and(|bytes| state::decode(&bytes, 1.0).is_some())
            );
            if let Some(next) = health.next_poll {
                // Whatever waits comes out by itself.
                assert!(
                    schedule.next_at().is_some_and(|wake| wake <= next.max(schedule.at(now)) + 100)
                );
            }
        }
        assert!(schedule.under_way() <= under_way.len());
    }
}
