//! What is kept of an endpoint on a shard: a position and the ranges before it that were not taken.
//!
//! Form of the ranges: a version, the last success, since when it fails (0: it does not), the number of
//! ranges; per range the account, its first sequence number, how many more, the attempts that failed,
//! whether it is one message, and when it is due. Numbers are unsigned LEB128.

use crate::delivery::machine::{MOST_RANGES, Range};
use crate::delivery::retry::RETRIES;
use crate::segment::{Error, put, take};

const VERSION: u64 = 1;

/// What is kept. Made by [`crate::delivery::Machine::checkpoint`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last position of the shard that was looked at.
    pub position: i64,
    /// When the endpoint last took a message; 0: never.
    pub last_success: i64,
    /// Since when every attempt failed.
    pub failing_since: Option<i64>,
    /// By account and first sequence number.
    pub(crate) ranges: Vec<(i64, i64, Range)>,
}

impl Checkpoint {
    /// Nothing is outstanding up to a position.
    #[must_use]
    pub fn at(position: i64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Whether nothing is outstanding before the position.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether an event of an account was not taken yet: it lies after the position, or in a range.
    #[must_use]
    pub fn awaits(&self, position: i64, account: i64, sequence: i64) -> bool {
        let covers = |(of, from, range): &(i64, i64, Range)| {
            *of == account && (*from..=range.to).contains(&sequence)
        };
        position > self.position || self.ranges.iter().any(covers)
    }

    /// The ranges as bytes; the position is kept beside them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut number = |value: i64| put(&mut out, value.max(0).unsigned_abs());
        number(VERSION as i64);
        number(self.last_success);
        number(self.failing_since.unwrap_or(0));
        number(self.ranges.len() as i64);
        for (account, from, range) in &self.ranges {
            number(*account);
            number(*from);
            number(range.to - from);
            number(i64::from(range.attempts) << 1 | i64::from(range.fixed));
            number(range.due);
        }
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// [`Error`].
    pub fn decode(position: i64, mut bytes: &[u8]) -> Result<Self, Error> {
        let bytes = &mut bytes;
        if take(bytes)? != VERSION {
            return Err(Error::Version);
        }
        let mut number = || i64::try_from(take(bytes)?).map_err(|_| Error::Damaged);
        let last_success = number()?;
        let failing_since = Some(number()?).filter(|since| *since > 0);
        let count = number()?;
        if count > MOST_RANGES as i64 {
            return Err(Error::Damaged);
        }
        let mut ranges: Vec<(i64, i64, Range)> = Vec::new();
        for _ in 0..count {
            let (account, from) = (number()?, number()?);
            let to = from.checked_add(number()?).ok_or(Error::Damaged)?;
            let flags = number()?;
            let attempts = u32::try_from(flags >> 1).map_err(|_| Error::Damaged)?;
            let range = Range { to, attempts, fixed: flags & 1 == 1, due: number()? };
            let after = |last: &(i64, i64, Range)| {
                last.0 < account || last.0 == account && last.2.to < from
            };
            if from < 1 || attempts > RETRIES || !ranges.last().is_none_or(after) {
                return Err(Error::Damaged);
            }
            ranges.push((account, from, range));
        }
        if !bytes.is_empty() {
            return Err(Error::Damaged);
        }
        Ok(Self { position, last_success, failing_since, ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let range = |to, attempts, fixed| Range { to, attempts, fixed, due: 1_700_000_000_000_000 };
        Checkpoint {
            position: 9,
            last_success: 5,
            failing_since: Some(6),
            ranges: vec![
                (1, 4, range(4, 3, true)),
                (1, 7, range(9, 0, false)),
                (2, 1, range(1, 0, true)),
            ],
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        for kept in [checkpoint(), Checkpoint::at(3), Checkpoint::at(0)] {
            assert_eq!(Checkpoint::decode(kept.position, &kept.encode()), Ok(kept));
        }
    }

    #[test]
    fn damage_is_told() {
        let bytes = checkpoint().encode();
        for length in 0..bytes.len() {
            assert!(Checkpoint::decode(0, &bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Checkpoint::decode(0, &[2]), Err(Error::Version));
        let mut twice = checkpoint();
        twice.ranges[1].1 = 4;
        assert_eq!(Checkpoint::decode(0, &twice.encode()), Err(Error::Damaged));
    }

    #[test]
    fn says_what_was_not_taken() {
        let kept = checkpoint();
        assert!(kept.awaits(10, 3, 1) && kept.awaits(2, 1, 8) && kept.awaits(2, 1, 4));
        assert!(!kept.awaits(2, 1, 5) && !kept.awaits(9, 3, 1));
    }
}
