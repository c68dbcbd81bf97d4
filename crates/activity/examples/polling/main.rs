//! Measures the schedule of polls.
mod traces;
fn main() {
    for bursty in [false] { for sigma in [1.0, 2.0, 2.0001] { for uniform in [600.0] {
    let w = traces::Workload { feeds: 400, sigma, bursty, uniform, days: 20.0, seed: (sigma*1e4) as u64 };
    let f = traces::run(&w, &traces::WATCHED);
    println!("{bursty} {sigma} {uniform}: {:.3} {f:?}", f.mean / f.bound);
    }}}
}
