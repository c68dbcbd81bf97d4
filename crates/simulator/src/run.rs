//! One run: changes, polls and faults in virtual time, then quiet, then the checks.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tramontane_activity::feed::{
    Ask, Known as _, Machine, Observation, Plan, Room, Rules, Seen, Told,
};

use crate::by_id::ById;
use crate::by_path::ByPath;
use crate::mirror::{Copy, Mirror};
use crate::storage::Storage;
use crate::swept::{SETTLE, Swept};
use crate::truth::{ROOT, Truth};

/// A service as the simulation drives it.
pub trait Service {
    /// How it behaves.
    fn rules(&self) -> Rules;
    /// What really is there.
    fn truth(&self) -> &Truth;
    /// The key that the feed knows a node by.
    fn key(&self, id: &str) -> String;
    /// The id that readers know a node by.
    fn id(&self, id: &str) -> String;
    /// The fingerprint of a node's content.
    fn fingerprint(&self, id: &str) -> u64;
    /// Something changes.
    fn mutate(&mut self, random: &mut StdRng, now: i64);
    /// Answers [`Ask::Latest`].
    fn latest(&mut self) -> Told;
    /// Answers [`Ask::Listing`] and [`Ask::Tree`].
    fn listing(&mut self, at: Option<&str>, random: &mut StdRng) -> Told;
    /// Answers [`Ask::Changes`].
    fn changes(&mut self, cursor: &str, random: &mut StdRng, quirks: &Quirks) -> Told;
    /// Answers [`Ask::Folder`].
    fn folder(&mut self, key: &str, at: Option<&str>, random: &mut StdRng, now: i64) -> Told;
    /// Whether something is there.
    fn exists(&self, key: &str) -> bool;
    /// It works well again.
    fn heal(&mut self) {}
    /// It stops working well.
    fn ail(&mut self) {}
}

/// Which faults a run has: each run has a random few of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quirks {
    /// The service tells things twice.
    pub doubles: bool,
    /// The service tells things in disorder.
    pub disorder: bool,
    /// The service forgets cursors.
    pub forgets: bool,
    /// Calls fail.
    pub errors: bool,
    /// The process dies before a commit.
    pub crashes_before: bool,
    /// The process dies after a commit, before it knows.
    pub crashes_after: bool,
    /// Another process takes over; the old one wakes up later and tries to write.
    pub zombies: bool,
    /// The clock jumps.
    pub clock_jumps: bool,
    /// The disk is full for a while.
    pub disk_full: bool,
    /// Things change while they are read.
    pub racing: bool,
    /// Listings do not show what is there.
    pub blindness: bool,
}

impl Quirks {
    fn of(random: &mut StdRng) -> Self {
        let mut some = || random.random_bool(0.5);
        Self {
            doubles: some(),
            disorder: some(),
            forgets: some(),
            errors: some(),
            crashes_before: some(),
            crashes_after: some(),
            zombies: some(),
            clock_jumps: some(),
            disk_full: some(),
            racing: some(),
            blindness: some(),
        }
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Events in the log.
    pub events: u64,
    /// Commits.
    pub commits: u64,
    /// Crashes and take-overs.
    pub crashes: u64,
    /// Writes of those who had lost their shard, all refused.
    pub fenced: u64,
    /// Calls to the service.
    pub calls: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.fenced += other.fenced;
        self.calls += other.calls;
    }
}

struct Run<'a> {
    random: StdRng,
    quirks: Quirks,
    service: &'a mut dyn Service,
    storage: Storage,
    machine: Machine,
    room: Room,
    epoch: u64,
    now: i64,
    zombies: Vec<(u64, Plan)>,
    figures: Figures,
}

/// One run from a seed.
///
/// # Panics
/// When a check fails; the message names the seed.
#[must_use]
pub fn run(seed: u64) -> Figures {
    let mut random = StdRng::seed_from_u64(seed);
    let quirks = Quirks::of(&mut random);
    let mut service: Box<dyn Service> = match seed % 3 {
        0 => Box::new(ById::default()),
        1 => Box::new(ByPath::default()),
        _ => {
            let page = [1, 3, 1_000].choose(&mut random).copied().unwrap_or(1);
            Box::new(Swept::new(page, random.random_bool(0.5)))
        }
    };
    let mut machine = Machine::new(service.rules());
    let room = random.random_bool(0.5).then_some(Room { new: 3, gone: 3, told: 2 });
    let room = room.unwrap_or_default();
    machine.set_room(room);
    let mut run = Run {
        storage: Storage::new(&machine),
        machine,
        room,
        epoch: 1,
        now: 1_700_000_000_000_000,
        zombies: Vec::new(),
        figures: Figures::default(),
        service: service.as_mut(),
        random,
        quirks,
    };
    run.live();
    if let Err(wrong) = run.check() {
        panic!("seed {seed}: {wrong} ({quirks:?})");
    }
    run.figures
}

impl Run<'_> {
    fn live(&mut self) {
        for _ in 0..self.random.random_range(0..20) {
            self.service.mutate(&mut self.random, self.now);
        }
        for _ in 0..self.random.random_range(20..120) {
            self.now += self.random.random_range(1_000..3_000_000);
            if self.quirks.clock_jumps && self.random.random_bool(0.02) {
                self.now += self.random.random_range(-600_000_000..600_000_000);
            }
            if self.quirks.blindness && self.random.random_bool(0.05) {
                self.service.ail();
            }
            for _ in 0..self.random.random_range(0..4) {
                self.service.mutate(&mut self.random, self.now);
            }
            if self.random.random_bool(0.6) {
                self.poll();
            }
            self.service.heal();
            if self.random.random_bool(0.2)
                && let Some((epoch, plan)) = self.zombies.pop()
            {
                assert!(epoch < self.storage.epoch);
                assert!(!self.storage.commit(epoch, &plan), "a zombie wrote");
                self.figures.fenced += 1;
            }
        }
        self.quirks = Quirks::default();
        self.now += 3_600_000_000;
        for _ in 0..4 {
            self.now += SETTLE * 2;
            self.poll();
        }
    }

    /// Works until the machine rests or the service has no more to tell.
    fn poll(&mut self) {
        match self.random.random_range(0..3) {
            0 if self.service.rules().sweeps && self.quirks_left() => {
                // Where something happened lately, and where something was heard of: perhaps in folders that nobody
                // knows yet, or that have gone.
                let mut lively = self.machine.lively();
                let truth = self.service.truth();
                let folders = truth
                    .seen()
                    .into_iter()
                    .filter(|id| truth.node(id).is_some_and(|node| node.folder));
                let folders: Vec<String> = folders.map(|id| self.service.key(id)).collect();
                lively.extend(folders.choose(&mut self.random).cloned());
                if self.random.random_bool(0.2) {
                    lively.push("/nowhere/at/all".to_owned());
                }
                let thorough = self.random.random_bool(0.5);
                self.machine.visit(lively, thorough);
            }
            _ => self.machine.sweep(),
        }
        for _ in 0..500 {
            if self.quirks.racing && self.random.random_bool(0.2) {
                self.service.mutate(&mut self.random, self.now);
            }
            let Some((told, more)) = self.answer() else { return };
            if std::env::var_os("TRAMONTANE_SEED").is_some() {
                println!("{} {:?}\n    → {}", self.now, self.machine.ask(), shown(&told));
            }
            let plan = match self.machine.plan(told, &mut self.storage.table.clone(), self.now) {
                Ok(plan) => plan,
                Err(missing) => panic!("nothing is missing in memory: {missing:?}"),
            };
            if !self.commit(plan) || !more {
                return;
            }
        }
        panic!("a poll does not end: {:?}", self.machine.phase());
    }

    /// In the quiet at the end everything is swept.
    fn quirks_left(&self) -> bool {
        let quirks = self.quirks;
        quirks.racing || quirks.errors || quirks.doubles || quirks.disorder
    }

    /// The service's answer, and whether to go on; `None` when it fails or nothing is asked.
    fn answer(&mut self) -> Option<(Told, bool)> {
        if self.quirks.errors && self.random.random_bool(0.05) {
            return None;
        }
        self.figures.calls += 1;
        let random = &mut self.random;
        let told = match self.machine.ask() {
            Ask::Rest => return None,
            Ask::Latest => self.service.latest(),
            Ask::Listing(at) => self.service.listing(at.as_deref(), random),
            Ask::Changes(cursor) => {
                let told = self.service.changes(&cursor, random, &self.quirks);
                let more = match &told {
                    Told::Changes { more, observations, .. } => *more || !observations.is_empty(),
                    _ => true,
                };
                return Some((told, more));
            }
            Ask::Tree(at) => self.service.listing(at.as_deref(), random),
            Ask::Folder { folder, at } => {
                self.service.folder(&folder, at.as_deref(), random, self.now)
            }
            Ask::Verify(keys) => {
                let there = keys.into_iter().filter(|key| self.service.exists(key));
                Told::There(there.collect::<BTreeSet<_>>())
            }
        };
        Some((told, true))
    }

    /// Writes a plan, with whatever happens to processes and disks. `false` when the work broke off.
    fn commit(&mut self, plan: Plan) -> bool {
        if std::env::var_os("TRAMONTANE_SEED").is_some() {
            for event in &plan.events {
                println!("    ! {:?} {:?} before {:?}", event.action, event.object, event.before);
            }
        }
        if !plan.commit {
            self.machine = plan.next;
            return true;
        }
        if self.quirks.zombies && self.random.random_bool(0.03) {
            self.zombies.push((self.epoch, plan));
            self.epoch = self.storage.take_over();
            return self.restart();
        }
        if self.quirks.crashes_before && self.random.random_bool(0.03) {
            return self.restart();
        }
        if self.quirks.disk_full && self.random.random_bool(0.03) {
            // The commit failed: the machine stays what it was, and asks again.
            return false;
        }
        assert!(self.storage.commit(self.epoch, &plan), "the owner was fenced off");
        if self.quirks.crashes_after && self.random.random_bool(0.03) {
            return self.restart();
        }
        self.machine = plan.next;
        true
    }

    fn restart(&mut self) -> bool {
        self.figures.crashes += 1;
        self.machine = self.storage.load();
        self.machine.set_room(self.room);
        false
    }

    fn check(&mut self) -> Result<(), String> {
        self.figures.events = self.storage.events.len() as u64;
        self.figures.commits = self.storage.commits;
        if !self.machine.is_settled() {
            return Err(format!("it did not come to rest: {:?}", self.machine.phase()));
        }
        if let Some(apart) = &self.storage.apart {
            return Err(apart.clone());
        }
        let paths_are_ids = self.service.rules().path_ids;
        let beginning = self.storage.beginning.as_ref().ok_or("it never began")?;
        let mut mirror = Mirror::of(beginning, paths_are_ids);
        for (number, event) in self.storage.events.iter().enumerate() {
            mirror.apply(event).map_err(|wrong| {
                let around: Vec<_> = self.storage.events[number.saturating_sub(3)..=number]
                    .iter()
                    .map(|event| {
                        format!("{:?} {:?} before {:?}", event.action, event.object, event.before)
                    })
                    .collect();
                format!("event {}: {wrong}\n{}", number + 1, around.join("\n"))
            })?;
        }
        let truth = self.service.truth();
        let mut expected = std::collections::BTreeMap::new();
        for id in truth.seen() {
            let node = truth.node(id).ok_or("seen but not there")?;
            let parent =
                if node.parent == ROOT { ROOT.to_owned() } else { self.service.id(&node.parent) };
            let copy = Copy { parent, name: node.name.clone(), folder: node.folder };
            expected.insert(self.service.id(id), copy);
            let known = self.storage.table.get(&self.service.key(id)).ok().flatten();
            let known = known.filter(|item| !item.gone);
            let right = self.service.fingerprint(id);
            let size = (!node.folder).then_some(right);
            if known.as_ref().is_none_or(|it| it.fingerprint != right || it.size != size) {
                return Err(format!("{id} is remembered as {known:?}"));
            }
        }
        if mirror.entries != expected {
            let wrong: Vec<_> = expected
                .iter()
                .filter(|(id, copy)| mirror.entries.get(*id) != Some(copy))
                .map(|(id, copy)| format!("{id}: {copy:?} is {:?}", mirror.entries.get(id)))
                .chain(
                    mirror
                        .entries
                        .iter()
                        .filter(|(id, _)| !expected.contains_key(*id))
                        .map(|(id, copy)| format!("{id}: {copy:?} should be gone")),
                )
                .collect();
            return Err(format!("the events do not give what is there:\n{}", wrong.join("\n")));
        }
        let known = self.storage.table.items().filter(|(_, item)| !item.gone).count();
        if known != expected.len() || self.machine.items() != known as u64 {
            return Err(format!(
                "{known} items are remembered, {} counted, {} there",
                self.machine.items(),
                expected.len()
            ));
        }
        Ok(())
    }
}

/// An answer, for whoever replays a seed.
fn shown(told: &Told) -> String {
    let list = |entries: &[Observation]| {
        let one = |one: &Observation| match &one.seen {
            Seen::There(there) => {
                format!("{}={} in {:?} v{}", one.key, there.id, there.parent, there.fingerprint)
            }
            other => format!("{} {other:?}", one.key),
        };
        entries.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match told {
        Told::Listing { entries, next, .. } => format!("[{}] then {next:?}", list(entries)),
        Told::Changes { observations, next, more } => {
            format!("[{}] then {next} {more}", list(observations))
        }
        Told::Folder { entries, next } | Told::Tree { entries, next } => {
            format!("[{}] then {next:?}", list(entries))
        }
        other => format!("{other:?}"),
    }
}
