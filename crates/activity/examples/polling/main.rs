//! Measures the schedule of polls.
mod traces;
fn main() {
    for bursty in [false, true] { for sigma in [1.0, 2.0] { for uniform in [120.0, 600.0] {
    let w = traces::Workload { feeds: 1000, sigma, bursty, uniform, days: 28.0, seed: 1 };
    let f = traces::run(&w, &traces::WATCHED);
    println!("{bursty} {sigma} {uniform}: {:.3} {f:?}", f.mean / f.bound);
    }}}
}
