//! When a message is tried again (wire API, section 50.5).

/// Seconds before each attempt after the first.
const WAITS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// How often a message is tried again before it counts as failed.
pub const RETRIES: u32 = WAITS.len() as u32;

/// The longest wait that an endpoint may ask for, in seconds.
const LONGEST_ASKED: i64 = 86_400;

/// Microseconds until the next attempt, after `failed` attempts that failed; `None` when there is none.
/// `chance` spreads the wait evenly over 90 to 110 per cent. An endpoint's own wish is a lower bound.
#[must_use]
pub fn wait_before(failed: u32, asked: Option<u32>, chance: u32) -> Option<i64> {
    let index = usize::try_from(failed.checked_sub(1)?).ok()?;
    let seconds = WAITS.get(index)?;
    // Tenths of a million: 900,000 to 1,100,000.
    let factor = 900_000 + i64::from(chance) * 200_000 / i64::from(u32::MAX);
    let asked = i64::from(asked.unwrap_or(0)).min(LONGEST_ASKED) * 1_000_000;
    Some((seconds * factor).max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_as_written_and_are_spread_by_a_tenth() {
        let middle = u32::MAX / 2;
        let seconds: Vec<_> =
            (1..=9).map(|n| wait_before(n, None, middle).unwrap() / 1_000_000).collect();
        let near = |a: i64, b: i64| (a - b).abs() <= 1;
        assert!(seconds.iter().zip(WAITS).all(|(a, b)| near(*a, b)), "{seconds:?}");
        assert_eq!(wait_before(10, None, 0), None);
        assert_eq!(wait_before(0, None, 0), None);
        assert_eq!(wait_before(1, None, 0), Some(4_500_000));
        assert_eq!(wait_before(1, None, u32::MAX), Some(5_500_000));
    }

    #[test]
    fn an_endpoints_wish_is_a_lower_bound() {
        assert_eq!(wait_before(1, Some(60), 0), Some(60_000_000));
        assert_eq!(wait_before(2, Some(60), 0), Some(270_000_000));
        assert_eq!(wait_before(1, Some(u32::MAX), 0), Some(86_400_000_000));
    }
}
