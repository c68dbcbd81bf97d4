//! Fuzz targets on stable Rust. [`fuzz!`] makes a test of a function over any bytes.
//!
//! In an ordinary test run the function gets its seeds and a fixed series of mutants of them: the same
//! ones on every machine, a second or less. `scripts/fuzz` builds the same tests with coverage
//! instrumentation and lets libFuzzer look for inputs, starting from the same seeds.

mod mutants;

#[cfg(fuzzing)]
pub use bolero;

pub use mutants::{Mutants, run};

/// Makes a fuzz target: a test with this name, over these seeds, of this function of the bytes.
///
/// ```ignore
/// fuzz!(ids, ["file_YQ", "root"], |data| drop(ResourceId::parse(&String::from_utf8_lossy(data))));
/// ```
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! fuzz {
    ($name:ident, $seeds:expr, |$data:ident| $body:expr) => {
        #[test]
        fn $name() {
            fn target($data: &[u8]) {
                $body
            }
            $crate::run(stringify!($name), &$seeds.map(|seed| seed.as_ref() as &[u8]), target);
        }
    };
}

/// Makes a fuzz target: a test with this name, of this function of the bytes, driven by libFuzzer.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! fuzz {
    ($name:ident, $seeds:expr, |$data:ident| $body:expr) => {
        #[test]
        fn $name() {
            fn target($data: &[u8]) {
                $body
            }
            $crate::bolero::check!().for_each(|data: &[u8]| target(data));
        }
    };
}
