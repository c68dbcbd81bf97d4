//! Measures the schedule of polls: the delay against theory, and what a million feeds take.
//!
//! `scripts/bench polling` runs it. With a folder as its argument it writes the plot there.

mod fleet;
mod plot;
mod traces;

use plot::Curve;
use traces::{WATCHED, Workload};
use tramontane_activity::schedule::Class;

fn main() -> std::io::Result<()> {
    fleet_table();
    delay_table();
    wrong_table();
    let Some(folder) = std::env::args().nth(1) else { return Ok(()) };
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("polling-delay.svg"), picture())
}

fn fleet_table() {
    println!(
        "| feeds | nudges a second | resident | to add one | polls a second | processor a poll | of a core | longest call |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (feeds, nudges) in [(1_000_000, 0), (1_000_000, 1_000)] {
        let taken = fleet::run(feeds, nudges);
        // The second fleet takes what the first gave back.
        let memory =
            if nudges == 0 { format!("{:.0} MiB", taken.memory) } else { "as above".into() };
        println!(
            "| {feeds} | {:.0} | {memory} | {:.2} µs | {:.0} | {:.2} µs | {:.2} % | {:.2} ms |",
            taken.nudges as f64 / taken.seconds,
            taken.adding,
            taken.polls as f64 / taken.seconds,
            taken.processor * 1e6 / taken.polls as f64,
            100.0 * taken.processor / taken.seconds,
            taken.longest_call,
        );
    }
    println!();
}

fn delay_table() {
    println!(
        "| changes | feeds | spread | budget: each once in | all alike | best fixed intervals | measured | of the best fixed | 99 % within | longest unpolled | polls | of the budget |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let rows = [
        (false, 1_000, 1.0, 120.0),
        (false, 5_000, 1.0, 600.0),
        (false, 1_000, 2.0, 120.0),
        (false, 5_000, 2.0, 600.0),
        (false, 5_000, 3.0, 600.0),
        (true, 1_000, 1.0, 120.0),
        (true, 2_000, 1.0, 600.0),
        (true, 2_000, 1.0, 1_800.0),
        (true, 1_000, 2.0, 120.0),
        (true, 2_000, 2.0, 600.0),
        (true, 2_000, 2.0, 1_800.0),
    ];
    for (bursty, feeds, sigma, uniform) in rows {
        let work = Workload { feeds, sigma, bursty, uniform, days: 28.0, seed: 3 };
        let found = traces::run(&work, &WATCHED);
        println!(
            "| {} | {feeds} | {sigma} | {uniform} s | {:.0} s | {:.1} s | {:.1} s | {:.2} | {:.0} s | {:.1} h | {:.1} M | {:.2} % |",
            if bursty { "in sessions" } else { "evenly" },
            uniform / 2.0,
            found.bound,
            found.mean,
            found.mean / found.bound,
            found.p99,
            found.oldest / 3_600.0,
            found.polls as f64 / 1e6,
            100.0 * found.spent,
        );
    }
}

/// What it costs when the session constants that the schedule is told are wrong.
fn wrong_table() {
    static TOLD: [Class; 4] = [
        WATCHED,
        Class { session_gap: 60.0, session_length: 600.0, ..WATCHED },
        Class { session_gap: 15.0, session_length: 2_400.0, ..WATCHED },
        Class { session_gap: 120.0, session_length: 3_600.0, ..WATCHED },
    ];
    println!("\n| told: a change each | in sessions of | measured at 120 s | at 600 s |");
    println!("| --- | --- | --- | --- |");
    for told in &TOLD {
        let [close, far] = [120.0, 600.0].map(|uniform| {
            let work =
                Workload { feeds: 300, sigma: 1.0, bursty: true, uniform, days: 28.0, seed: 3 };
            traces::run(&work, told).mean
        });
        let (gap, length) = (told.session_gap, told.session_length / 60.0);
        println!("| {gap} s | {length} min | {close:.1} s | {far:.1} s |");
    }
}

fn picture() -> String {
    let panels = [
        ("Changes that come evenly (spread 2)", 2.0, false),
        ("Changes in sessions (spread 1)", 1.0, true),
    ];
    let panels = panels.map(|(title, sigma, bursty)| {
        let mut curves = [
            Curve { class: "even", name: "all alike", points: Vec::new() },
            Curve { class: "bound", name: "best fixed", points: Vec::new() },
            Curve { class: "ours", name: "Tramontane", points: Vec::new() },
        ];
        for uniform in [60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0] {
            let work = Workload { feeds: 300, sigma, bursty, uniform, days: 28.0, seed: 4 };
            let found = traces::run(&work, &WATCHED);
            let delays = [uniform / 2.0, found.bound, found.mean];
            for (curve, delay) in curves.iter_mut().zip(delays) {
                curve.points.push((uniform, delay));
            }
        }
        (title, curves.into_iter().collect())
    });
    plot::draw(&panels)
}
