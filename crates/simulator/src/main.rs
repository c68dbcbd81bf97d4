//! `tramontane-simulator FIRST COUNT`: runs seeds, prints the figures as they grow.

use tramontane_simulator::{Figures, run};

#[expect(clippy::print_stdout, reason = "a command")]
fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (first, count) = (arguments.next().unwrap_or(0), arguments.next().unwrap_or(2_000));
    let mut figures = Figures::default();
    for seed in first..first.saturating_add(count) {
        figures += run(seed);
        if (seed - first) % 1_000 == 999 {
            println!("{} seeds: {figures:?}", seed - first + 1);
        }
    }
    println!("{count} seeds from {first}: {figures:?}");
}
