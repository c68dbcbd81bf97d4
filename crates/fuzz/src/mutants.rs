//! A fixed series of mutants of some seeds: what the short run is made of.

use std::path::Path;

/// Mutants in a short run. `TRAMONTANE_FUZZ_ROUNDS` sets another number.
const ROUNDS: u64 = 3_000;
/// The largest mutant, in bytes.
const MOST_BYTES: usize = 4_096;
/// Bytes that parsers care about.
const SPECIAL: &[u8] = b"\0\t\n\r \"#%&'()*+,-./0:;<=>?@[\\]^_`{|}~\x7f\x80\xc3\xe2\xff";

/// Gives the target its seeds and their mutants. On a panic the input is printed.
///
/// With `TRAMONTANE_FUZZ_SEEDS` set to a folder, the seeds are written there: what a long run starts
/// from.
pub fn run(name: &str, seeds: &[&[u8]], target: fn(&[u8])) {
    if let Some(folder) = std::env::var_os("TRAMONTANE_FUZZ_SEEDS") {
        write(Path::new(&folder), seeds);
    }
    let rounds = std::env::var("TRAMONTANE_FUZZ_ROUNDS").ok();
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    for seed in seeds {
        attempt(seed, target);
    }
    let mut mutants = Mutants::of(seeds, name);
    for _ in 0..rounds {
        attempt(&mutants.next(), target);
    }
}

fn attempt(input: &[u8], target: fn(&[u8])) {
    let shown = Shown(input);
    target(input);
    drop(shown);
}

/// Prints an input when the target panics over it.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn write(folder: &Path, seeds: &[&[u8]]) {
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        seeds.iter().enumerate().try_for_each(|(number, seed)| {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)
        })
    });
    if let Err(error) = written {
        eprintln!("the seeds were not written to {}: {error}", folder.display());
    }
}

/// A series of mutants, the same for the same seeds and name.
pub struct Mutants<'a> {
    seeds: &'a [&'a [u8]],
    state: u64,
}

impl<'a> Mutants<'a> {
    /// The series for these seeds and this name.
    #[must_use]
    pub fn of(seeds: &'a [&'a [u8]], name: &str) -> Self {
        let state = name.bytes().fold(0x5851_f42d_4c95_7f2d, |state: u64, byte| {
            state.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Self { seeds, state }
    }

    /// The next number of SplitMix64.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one; 0 for 0.
    fn below(&mut self, most: usize) -> usize {
        let number = usize::try_from(self.number() >> 33).unwrap_or_default();
        number.checked_rem(most).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => self.number().to_le_bytes().first().copied().unwrap_or_default(),
            _ => SPECIAL.get(self.below(SPECIAL.len())).copied().unwrap_or_default(),
        }
    }

    fn seed(&mut self) -> &'a [u8] {
        let seeds = self.seeds;
        seeds.get(self.below(seeds.len())).copied().unwrap_or_default()
    }

    /// A stretch of one of the seeds.
    fn piece(&mut self) -> &'a [u8] {
        let seed = self.seed();
        let start = self.below(seed.len());
        let end = start + self.below((seed.len() - start).min(24) + 1);
        seed.get(start..end).unwrap_or_default()
    }

    /// The next mutant: a seed with one to six changes.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(MOST_BYTES);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(17)).min(bytes.len());
        let byte = self.byte();
        match self.below(9) {
            0 => bytes.insert(at, byte),
            1 | 2 => {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let piece = self.piece();
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
            6 => {
                // The same again, and again.
                let again = bytes.get(at..end).unwrap_or_default().repeat(1 + self.below(40));
                drop(bytes.splice(at..at, again));
            }
            7 => {
                let digits = (self.number() >> self.below(64)).to_string();
                drop(bytes.splice(at..at, digits.into_bytes()));
            }
            _ => {
                let letter = char::from_u32(u32::try_from(self.below(0x11_0000)).unwrap_or(65));
                let text = letter.unwrap_or('\u{fffd}').to_string();
                drop(bytes.splice(at..at, text.into_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_the_same_each_time_and_varied() {
        let series = |name| {
            let mut mutants = Mutants::of(&[b"hello", b"{\"a\":1}"], name);
            (0..500).map(|_| mutants.next()).collect::<Vec<_>>()
        };
        assert_eq!(series("one"), series("one"));
        assert_ne!(series("one"), series("two"));
        let distinct: std::collections::BTreeSet<_> = series("one").into_iter().collect();
        assert!(distinct.len() > 400, "{}", distinct.len());
        assert!(distinct.iter().all(|mutant| mutant.len() <= MOST_BYTES));
    }

    #[test]
    fn no_seeds_are_a_series_too() {
        run("none", &[], |data| assert!(data.len() <= MOST_BYTES));
    }

    #[test]
    #[should_panic(expected = "found")]
    fn what_panics_is_found() {
        run("found", &[b"key=value"], |data| assert!(!data.contains(&0xff), "found"));
    }

    crate::fuzz!(a_target, ["one", "two"], |data| assert!(data.len() <= MOST_BYTES));
}
