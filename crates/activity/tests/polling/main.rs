//! The schedule over traces of months of changes, against the bounds that theory gives.
//!
//! `scripts/bench polling` runs the same traces at full size.

#[path = "../../examples/polling/traces.rs"]
mod traces;

use traces::{Figures, WATCHED, Workload, run};

/// Runs a trace and checks what holds for every one: the budget within 2 %, no feed left too long.
fn run_within_bounds(work: Workload) -> Figures {
    let figures = run(&work, &WATCHED);
    assert!((figures.spent - 1.0).abs() < 0.02, "{figures:?}");
    assert!(figures.oldest <= WATCHED.longest as f64 / 1e3 * 1.001, "{figures:?}");
    assert!(figures.p99 > figures.mean && figures.mean > 0.0, "{figures:?}");
    figures
}

fn trace(sigma: f64, bursty: bool, uniform: f64) -> Workload {
    Workload { feeds: 80, sigma, bursty, uniform, days: 20.0, seed: 11 }
}

#[test]
fn changes_that_come_evenly_wait_five_percent_longer_than_the_least_possible() {
    for sigma in [1.0, 2.0] {
        let figures = run_within_bounds(Workload { feeds: 120, ..trace(sigma, false, 900.0) });
        assert!(figures.mean <= 1.05 * figures.bound, "{figures:?}");
    }
}

#[test]
fn changes_in_sessions_wait_half_as_long_as_with_the_best_fixed_intervals() {
    for (sigma, uniform) in [(1.0, 300.0), (1.0, 600.0), (2.0, 400.0)] {
        let figures = run_within_bounds(trace(sigma, true, uniform));
        assert!(figures.mean <= 0.5 * figures.bound, "{sigma} {uniform}: {figures:?}");
    }
}

#[test]
fn the_longest_interval_holds_where_it_binds() {
    static BOUND: tramontane_activity::schedule::Class =
        tramontane_activity::schedule::Class { longest: 2_400_000, ..WATCHED };
    let figures = run(&Workload { days: 8.0, ..trace(2.0, false, 900.0) }, &BOUND);
    assert!(figures.oldest <= 2_400.2, "{figures:?}");
    assert!(figures.oldest > 2_300.0, "it did not bind: {figures:?}");
    assert!((figures.spent - 1.0).abs() < 0.02, "{figures:?}");
}

#[test]
fn the_same_trace_gives_the_same_polls() {
    let work = Workload { days: 2.0, ..trace(1.0, true, 300.0) };
    let (one, other) = (run(&work, &WATCHED), run(&work, &WATCHED));
    assert_eq!((one.polls, one.mean.to_bits()), (other.polls, other.mean.to_bits()));
}
