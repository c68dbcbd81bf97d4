//! Scenes: one thing that happens at a chosen moment, and exactly what must be told of it.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tramontane_activity::feed::{Ask, Machine, Table, Told};
use tramontane_activity::{Action, Event};

use crate::run::Service as _;
use crate::swept::Swept;
use crate::truth::ROOT;

const NOW: i64 = 1_700_000_000_000_000;

/// Something moves at a file server while folders are looked at: into a folder that was listed already, out of one that
/// was, or both, so that it is shown twice or not at all. Whatever the look was, it is told as what it was, once.
///
/// # Panics
/// When it is told otherwise; the message names the seed.
pub fn moves_while_looked_at(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let page = [1, 2, 1_000].choose(&mut random).copied().unwrap_or(1);
    let mut service = Swept::new(page, random.random_bool(0.5));
    let old = NOW - 86_400_000_000;
    let mut folders = vec![ROOT.to_owned()];
    let mut all: Vec<(String, String)> = Vec::new();
    for number in 0..random.random_range(2..6) {
        let parent = folders.choose(&mut random).cloned().expect("the root");
        let folder = service.truth.make(&parent, &format!("f{number}"), true, old);
        for file in 0..random.random_range(1..6) {
            let id = service.truth.make(&folder, &format!("{number}-{file}"), false, old);
            all.push((id, folder.clone()));
        }
        folders.push(folder.clone());
        all.push((folder, parent));
    }
    let mut machine = Machine::new(service.rules());
    let mut table = Table::default();
    let mut events = Vec::new();
    finish(&mut machine, &mut service, &mut table, &mut events, &mut random);
    assert!(events.is_empty() && machine.is_settled());

    let (id, from) = all.choose(&mut random).cloned().expect("something");
    let before = service.truth.node(&id).cloned().expect("it is there");
    let (mut to, mut name) = (from.clone(), before.name.clone());
    if random.random_bool(0.3) {
        name = "renamed".to_owned();
    } else {
        let inside = |folder: &String| {
            let path = format!("{}/", service.truth.path(folder));
            path.starts_with(&format!("{}/", service.truth.path(&id)))
        };
        let others: Vec<String> =
            folders.iter().filter(|other| **other != from && !inside(other)).cloned().collect();
        let Some(other) = others.choose(&mut random) else { return };
        to.clone_from(other);
    }
    let was = service.truth.path(&id);
    if random.random_bool(0.5) {
        machine.sweep();
    } else {
        let some = folders.iter().filter(|_| random.random_bool(0.4));
        let keys = some.map(|folder| service.place(folder));
        machine.visit(keys.collect(), true);
    }
    for _ in 0..random.random_range(0..20) {
        step(&mut machine, &mut service, &mut table, &mut events, &mut random);
    }
    service.truth.relocate(&id, &to, &name);
    for _ in 0..3 {
        finish(&mut machine, &mut service, &mut table, &mut events, &mut random);
        machine.sweep();
    }
    let action = if to == from { Action::Rename } else { Action::Move };
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (event.action, event.object.id.clone(), event.before.clone().and_then(|one| one.id))
        })
        .collect();
    assert_eq!(told, [(action, service.truth.path(&id), Some(was))], "seed {seed}");
}

/// Asks until nothing is asked any more.
fn finish(
    machine: &mut Machine,
    service: &mut Swept,
    table: &mut Table,
    events: &mut Vec<Event>,
    random: &mut StdRng,
) {
    for _ in 0..10_000 {
        if machine.ask() == Ask::Rest {
            return;
        }
        step(machine, service, table, events, random);
    }
    panic!("it does not come to rest: {:?}", machine.phase());
}

fn step(
    machine: &mut Machine,
    service: &mut Swept,
    table: &mut Table,
    events: &mut Vec<Event>,
    random: &mut StdRng,
) {
    let told = match machine.ask() {
        Ask::Tree(at) => service.listing(at.as_deref(), random),
        Ask::Folder { folder, at } => service.folder(&folder, at.as_deref(), random, NOW),
        Ask::Verify(keys) => {
            Told::There(keys.into_iter().filter(|key| service.exists(key)).collect())
        }
        Ask::Rest => return,
        other => panic!("a file server cannot answer {other:?}"),
    };
    if std::env::var_os("TRAMONTANE_SEED").is_some() {
        println!("{:?}\n    → {told:?}", machine.ask());
    }
    let plan = machine.plan(told, &mut table.clone(), NOW).expect("nothing is missing in memory");
    for (key, item) in &plan.writes {
        table.put(key, item.clone());
    }
    events.extend(plan.events);
    *machine = plan.next;
}
