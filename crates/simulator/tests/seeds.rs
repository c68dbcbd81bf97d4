//! 2,000 runs, each from its seed. `TRAMONTANE_SEEDS` sets another number, `TRAMONTANE_SEED` replays one.

use tramontane_simulator::{Figures, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn readers_end_with_what_the_service_holds() {
    if let Some(seed) = number("TRAMONTANE_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let mut figures = Figures::default();
    for seed in 0..number("TRAMONTANE_SEEDS").unwrap_or(2_000) {
        figures += run(seed);
    }
    println!("{figures:?}");
    assert!(figures.events > 0 && figures.crashes > 0 && figures.fenced > 0);
}
