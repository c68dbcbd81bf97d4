//! Random endpoints, failures and crashes from a seed: what must hold of every run.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;

/// A stream of numbers that a seed determines.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

#[derive(Clone, Copy)]
struct Entry {
    account: i64,
    sequence: i64,
    wanted: bool,
}

struct Flight {
    account: i64,
    events: Vec<i64>,
    key: MessageKey,
    lands: i64,
}

/// A log, an endpoint, and what the receiver saw.
struct World {
    chance: Chance,
    rules: Rules,
    now: i64,
    log: Vec<Entry>,
    heads: BTreeMap<i64, i64>,
    machine: Machine,
    health: Health,
    kept: Vec<u8>,
    kept_position: i64,
    flights: Vec<Flight>,
    /// What each message carried when it was first seen.
    seen: BTreeMap<MessageKey, Vec<i64>>,
    /// What the receiver has taken, or what was given up.
    settled: BTreeSet<(i64, i64)>,
    given_up: usize,
    crashes: usize,
    repeated: usize,
    failing: bool,
    /// Fails for so long that messages are given up.
    stubborn: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let coalesce = chance.one_in(4);
        let batch = if chance.one_in(2) { 1 } else { 1 + chance.below(5) as usize };
        let rules = Rules {
            ordered: !coalesce && chance.one_in(2),
            batch: if coalesce { 1 } else { batch },
            coalesce,
        };
        let start = Checkpoint::at(0);
        Self {
            chance,
            rules,
            now: SECOND,
            log: Vec::new(),
            heads: BTreeMap::new(),
            machine: Machine::new(rules, &start),
            health: Health::new(0, 0, None),
            kept: start.encode(),
            kept_position: 0,
            flights: Vec::new(),
            seen: BTreeMap::new(),
            settled: BTreeSet::new(),
            given_up: 0,
            crashes: 0,
            repeated: 0,
            failing: false,
            stubborn: seed.is_multiple_of(8),
        }
    }

    fn happen(&mut self) {
        let account = 1 + self.chance.below(6) as i64;
        let head = self.heads.entry(account).or_insert(0);
        *head += 1;
        let wanted = self.chance.below(4) != 0;
        self.log.push(Entry { account, sequence: *head, wanted });
    }

    fn read(&mut self) {
        for _ in 0..self.chance.below(8) {
            let position = self.machine.position() + 1;
            let Some(entry) = self.log.get(position as usize - 1).copied() else { return };
            if !self.machine.has_room() {
                return;
            }
            if entry.wanted {
                self.machine.offer(position, entry.account, entry.sequence, self.now);
            } else {
                self.machine.pass(position);
            }
        }
    }

    fn keep(&mut self) {
        let checkpoint = self.machine.checkpoint(&self.health);
        assert!(checkpoint.ranges.len() <= 2 * MAX_RANGES);
        (self.kept, self.kept_position) = (checkpoint.encode(), checkpoint.position);
    }

    fn send(&mut self) {
        let lane = if self.chance.one_in(2) { Lane::Fresh } else { Lane::Retry };
        if self.health.leave(self.now) != Leave::Now {
            return;
        }
        let Some(departure) = self.machine.depart(lane, self.now) else { return };
        let Departure { account, from, to, fixed, .. } = departure;
        assert!(self.flights.iter().all(|flight| flight.account != account), "two at once");
        let wanted = self.log.iter().filter(|entry| {
            entry.account == account && entry.wanted && (from..=to).contains(&entry.sequence)
        });
        let most = if self.rules.coalesce { usize::MAX } else { self.rules.batch };
        let events: Vec<i64> = wanted.map(|entry| entry.sequence).take(most).collect();
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return self.machine.skip(account, to, self.now);
        };
        let through = if fixed || self.rules.coalesce { to } else { *last };
        let key = MessageKey { feed: account, first: *first, last: *last };
        self.machine.cut(account, through);
        if self.rules.batch > 1 && !fixed {
            // What a batch holds is written down before its id is told to anybody.
            self.keep();
        }
        self.health.sent(self.now);
        let lands = self.now + self.chance.below(20) as i64 * SECOND;
        self.flights.push(Flight { account, events, key, lands });
    }

    /// The receiver sees a message: its answer may still be lost.
    fn arrive(&mut self, flight: &Flight) {
        if self.rules.coalesce {
            self.settled.extend(
                (1..=*flight.events.last().unwrap()).map(|sequence| (flight.account, sequence)),
            );
            return;
        }
        let before = self.seen.entry(flight.key).or_insert_with(|| flight.events.clone());
        assert_eq!(*before, flight.events, "one id, two contents");
        for sequence in &flight.events {
            if self.settled.contains(&(flight.account, *sequence)) {
                self.repeated += 1;
            }
            if self.rules.ordered {
                let missing = self.log.iter().find(|entry| {
                    entry.account == flight.account
                        && entry.wanted
                        && entry.sequence < *sequence
                        && !self.settled.contains(&(entry.account, entry.sequence))
                });
                assert!(missing.is_none(), "out of order");
            }
            self.settled.insert((flight.account, *sequence));
        }
    }

    fn land(&mut self) {
        let Some(index) = self.flights.iter().position(|flight| flight.lands <= self.now) else {
            return;
        };
        let flight = self.flights.swap_remove(index);
        let refused = self.stubborn || self.failing && !self.chance.one_in(4);
        let outcome = if refused {
            self.health.failed(self.now);
            Outcome::Refused(self.chance.one_in(5).then_some(60))
        } else {
            self.arrive(&flight);
            self.health.succeeded(self.now);
            Outcome::Taken
        };
        let chance = self.chance.next() as u32;
        if self.machine.land(flight.account, outcome, self.now, chance) == Landing::Failed {
            self.given_up += 1;
            self.settled.extend(flight.events.iter().map(|event| (flight.account, *event)));
        }
    }

    /// Everything in memory is lost. Of what was under way, some arrived.
    fn crash(&mut self) {
        self.crashes += 1;
        for flight in std::mem::take(&mut self.flights) {
            if self.chance.one_in(2) {
                self.arrive(&flight);
            }
        }
        let kept = Checkpoint::decode(self.kept_position, &self.kept).unwrap();
        self.health = Health::new(0, kept.last_success, kept.failing_since);
        self.machine = Machine::new(self.rules, &kept);
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..15 => self.happen(),
            15..35 => self.read(),
            35..65 => self.send(),
            65..85 => self.land(),
            85..90 => self.keep(),
            90..98 => {
                // Now and then hours pass, so that the long waits end too.
                let long = if self.stubborn { 2 } else { 10 };
                let seconds = if self.chance.one_in(long) { 20_000 } else { 5 };
                self.now += self.chance.below(seconds) as i64 * SECOND;
            }
            98 => self.failing = !self.failing,
            _ => {
                if self.chance.one_in(4) {
                    self.crash();
                }
            }
        }
    }

    /// The receiver is well: everything that is outstanding has to arrive.
    fn settle(&mut self) {
        (self.failing, self.stubborn) = (false, false);
        let mut steps = 0;
        while self.machine.position() < self.log.len() as i64 || !self.machine.is_idle() {
            self.read();
            self.send();
            self.land();
            self.now += 600 * SECOND;
            steps += 1;
            assert!(steps < 1_000_000, "a stream is never released");
        }
        for entry in self.log.iter().filter(|entry| entry.wanted) {
            let settled = self.settled.contains(&(entry.account, entry.sequence));
            assert!(settled, "event {} of {} is lost", entry.sequence, entry.account);
        }
    }
}

#[test]
fn nothing_is_lost_and_what_is_repeated_has_the_same_id() {
    let (mut crashes, mut repeated, mut given_up) = (0, 0, 0);
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..3_000 {
            world.step();
        }
        world.settle();
        crashes += world.crashes;
        repeated += world.repeated;
        given_up += world.given_up;
    }
    // A run without any of these would prove nothing.
    assert!(crashes > 1_000 && repeated > 100 && given_up > 0, "{crashes} {repeated} {given_up}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn holds_for_any_seed(seed: u64) {
        let mut world = World::new(seed);
        for _ in 0..2_000 {
            world.step();
        }
        world.settle();
    }
}
