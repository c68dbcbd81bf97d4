//! A feed's estimates as a few bytes, for whoever commits the feed's cursor.

use super::rate::Rate;

const VERSION: u8 = 1;
/// The version, ten numbers of four bytes each and none of variable length.
pub(super) const STATE_BYTES: usize = 1 + 4 * 10;
/// No count, cost or number of seconds of ours is larger; anything above it is damage.
const MOST: f32 = 1e9;

/// Writes the estimates. The weight is not among them: it is the customer's setting, not a finding.
pub(super) fn encode(rate: &Rate) -> [u8; STATE_BYTES] {
    let words = [
        rate.watched_until,
        rate.last_change,
        rate.changes.to_bits(),
        rate.exposure.to_bits(),
        rate.short_gaps.to_bits(),
        rate.gaps.to_bits(),
        rate.announced.to_bits(),
        rate.missed.to_bits(),
        rate.idle_pushes.to_bits(),
        rate.cost.to_bits(),
    ];
    let mut bytes = [VERSION; STATE_BYTES];
    for (place, word) in
        bytes.iter_mut().skip(1).zip(words.iter().flat_map(|word| word.to_le_bytes()))
    {
        *place = word;
    }
    bytes
}

/// Reads what `encode` wrote. `None` for another version, another length and numbers that cannot be:
/// then the feed starts from what its class assumes, which costs some delay and nothing else.
pub(super) fn decode(bytes: &[u8], weight: f32) -> Option<Rate> {
    let (version, words) = bytes.split_first()?;
    if *version != VERSION || bytes.len() != STATE_BYTES {
        return None;
    }
    let mut words = words.as_chunks::<4>().0.iter().copied().map(u32::from_le_bytes);
    let (watched_until, last_change) = (words.next()?, words.next()?);
    let mut number = || {
        let number = f32::from_bits(words.next()?);
        (0.0..=MOST).contains(&number).then_some(number)
    };
    let rate = Rate {
        watched_until,
        last_change,
        changes: number()?,
        exposure: number()?,
        short_gaps: number()?,
        gaps: number()?,
        announced: number()?,
        missed: number()?,
        idle_pushes: number()?,
        cost: number()?,
        weight,
    };
    (rate.short_gaps <= rate.gaps && rate.last_change <= rate.watched_until).then_some(rate)
}
