//! When to poll: as soon as the delay that is expected to have gathered unseen is worth a request.

/// How often a feed is expected to change from a poll onwards, as a function of the time since.
///
/// `rate(s) = mean·(1 − sessions·e^(−end·s)) + sessions·on·busy·e^(−end·s)`, all in changes a second:
/// the long-run mean, and on top of it what is left of a session that may be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intensity {
    /// In the long run.
    pub(super) mean: f64,
    /// The share of changes that come in sessions, 0 to 1.
    pub(super) sessions: f64,
    /// The probability that a session was on at the poll.
    pub(super) on: f64,
    /// Changes a second within a session.
    pub(super) busy: f64,
    /// Ends of sessions a second.
    pub(super) end: f64,
}

impl Intensity {
    /// The delay that is expected to have gathered unseen after so many seconds, summed over changes:
    /// the integral of `s·rate(s)`. By renewal and reward this is what a poll now is worth.
    fn gathered(&self, age: f64) -> f64 {
        let x = self.end * age;
        // Of s·e^(−end·s); the closed form loses all its digits where x is small.
        let fading = if x < 1e-3 {
            age * age * (0.5 - x / 3.0)
        } else {
            (1.0 - (1.0 + x) * (-x).exp()) / (self.end * self.end)
        };
        self.mean * (0.5 * age * age - self.sessions * fading)
            + self.sessions * self.on * self.busy * fading
    }

    fn slope(&self, age: f64) -> f64 {
        let left = self.sessions * (-self.end * age).exp();
        age * (self.mean * (1.0 - left) + left * self.on * self.busy)
    }

    /// The seconds after which so much delay has gathered, within these bounds: Newton's method, kept in
    /// a bracket that halves where it leaves it. Right to a thousandth.
    pub(super) fn seconds_until(&self, worth: f64, shortest: f64, longest: f64) -> f64 {
        let (mut low, mut high) = (shortest, longest.max(shortest));
        if self.gathered(high) <= worth {
            return high;
        }
        if self.gathered(low) >= worth {
            return low;
        }
        let mut age = (2.0 * worth / self.mean.max(1e-12)).sqrt().clamp(low, high);
        for _ in 0..50 {
            let over = self.gathered(age) - worth;
            if over > 0.0 {
                high = age;
            } else {
                low = age;
            }
            let step = age - over / self.slope(age).max(1e-300);
            let next = if step > low && step < high { step } else { 0.5 * (low + high) };
            if (next - age).abs() <= 1e-3 * age {
                return next;
            }
            age = next;
        }
        age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Intensity =
        Intensity { mean: 1e-3, sessions: 0.0, on: 0.0, busy: 1.0 / 30.0, end: 1.0 / 1_200.0 };

    #[test]
    fn an_even_rate_gives_the_square_root_rule() {
        for worth in [1.0, 50.0, 4_000.0] {
            let found = EVEN.seconds_until(worth, 0.1, 1e6);
            let known = (2.0 * worth / EVEN.mean).sqrt();
            assert!((found / known - 1.0).abs() < 2e-3, "{found} for {known}");
        }
    }

    #[test]
    fn what_is_found_solves_the_equation_for_any_mixture() {
        for sessions in [0.0, 0.2, 0.7, 1.0] {
            for on in [0.0, 0.01, 0.5, 1.0] {
                for mean in [1e-7, 1e-5, 1e-3, 0.1] {
                    for worth in [0.01, 1.0, 100.0, 1e4] {
                        let feed = Intensity { mean, sessions, on, ..EVEN };
                        let age = feed.seconds_until(worth, 1e-3, 1e9);
                        if age < 1e9 {
                            // A numeric integral, not the closed form that the solver uses.
                            let steps = 20_000;
                            let width = age / f64::from(steps);
                            let sum: f64 = (0..steps)
                                .map(|n| feed.slope((f64::from(n) + 0.5) * width) * width)
                                .sum();
                            assert!((sum / worth - 1.0).abs() < 0.01, "{feed:?} {worth}: {sum}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_bounds_hold() {
        assert_eq!(EVEN.seconds_until(1e-9, 5.0, 100.0), 5.0);
        assert_eq!(EVEN.seconds_until(1e9, 5.0, 100.0), 100.0);
    }
}
