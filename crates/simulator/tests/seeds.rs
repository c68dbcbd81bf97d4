//! 2,000 runs, each from its seed, in eight parts. `TRAMONTANE_SEEDS` sets another number, `TRAMONTANE_SEED`
//! replays one.
#![expect(clippy::expect_used, reason = "tests")]

use tramontane_simulator::{Figures, run, scenes};

const PARTS: u64 = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn part(part: u64) {
    if let Some(seed) = number("TRAMONTANE_SEED") {
        if part == 0 {
            println!("{:?}", run(seed));
        }
        return;
    }
    let seeds = number("TRAMONTANE_SEEDS").unwrap_or(2_000);
    let mut figures = Figures::default();
    for seed in (part..seeds).step_by(PARTS as usize) {
        figures += run(seed);
    }
    println!("{figures:?}");
    assert!(figures.events > 0 && figures.crashes > 0 && figures.fenced > 0);
}

macro_rules! parts {
    ($($name:ident $number:literal)*) => {$(
        #[test]
        fn $name() {
            part($number);
        }
    )*};
}

mod readers_end_with_what_the_service_holds {
    use super::part;
    parts! { first 0 second 1 third 2 fourth 3 fifth 4 sixth 5 seventh 6 eighth 7 }
}

#[test]
fn what_moves_while_it_is_looked_at_is_told_as_a_move() {
    if let Some(seed) = number("TRAMONTANE_SEED") {
        return scenes::moves_while_looked_at(seed);
    }
    (0..number("TRAMONTANE_SEEDS").unwrap_or(2_000)).for_each(scenes::moves_while_looked_at);
}
