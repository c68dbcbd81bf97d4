//! Fuzz targets: the stored estimates of a feed, and any order of calls to the schedule.

use tramontane_fuzz::fuzz;

use super::state::{decode, encode};
use super::tests::{STEADY, any_calls};

/// A feed of which nothing was seen, and one with 900 changes that push announced.
const FRESH: &[u8] = b"\x01\x00\xf1\x53\x65\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x3f";
const BUSY: &[u8] = b"\x01\x58\xf3\x53\x65\x57\xf3\x53\x65\x00\x00\x61\x44\x00\x00\x16\x44\x00\x00\x40\x42\x00\x00\x44\x42\
    \x00\x00\x61\x44\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40";

fuzz!(stored_estimates, [FRESH, BUSY], |data| {
    if let Some(rate) = decode(data, 1.0) {
        assert_eq!(encode(&rate), data);
        let mean = rate.mean(&STEADY);
        assert!(mean.is_finite() && mean > 0.0);
        assert!((0.0..=1.0).contains(&rate.sessionness(mean, &STEADY)));
        assert!((0.0..=1.0).contains(&rate.push_share(&STEADY)));
    }
});

fuzz!(
    calls,
    [&[0_u8; 96] as &[u8], &[255; 96], b"\x01\x02\x30\x05\x40\x07\x51\x02\x63\x02\x20\x07"],
    |data| {
        any_calls(data);
    }
);

#[test]
fn the_seeds_are_read() {
    assert!(decode(FRESH, 1.0).is_some() && decode(BUSY, 1.0).is_some());
}
