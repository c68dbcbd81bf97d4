//! Moments: one type for all of them, its wire form, and the clock that is lent to whoever needs one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, in microseconds since 1970-01-01T00:00:00Z (what the store keeps).
///
/// It remembers how many fractional digits its source had, because values of a service keep the
/// service's precision on the wire, while values of our own always have six digits.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    micros: i64,
    digits: u8,
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.micros == other.micros
    }
}
impl Eq for Timestamp {}
impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.micros.cmp(&other.micros)
    }
}
impl std::hash::Hash for Timestamp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.micros.hash(state);
    }
}

/// The range that RFC 3339 can write: years 0 to 9999.
const MIN_MICROS: i64 = -62_167_219_200_000_000;
const MAX_MICROS: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// A moment of our own, written with six fractional digits. Values outside the years 0 to 9999
    /// are drawn to the nearest end, so that writing never fails.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self { micros: micros.clamp(MIN_MICROS, MAX_MICROS), digits: 6 }
    }

    /// A moment that a service gave in whole seconds.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self { digits: 0, ..Self::from_micros(seconds.saturating_mul(1_000_000)) }
    }

    /// A moment that a service gave in milliseconds.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self { digits: 3, ..Self::from_micros(millis.saturating_mul(1_000)) }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.micros
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// This moment, later (or earlier) by so many microseconds.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self { digits: self.digits, ..Self::from_micros(self.micros.saturating_add(micros)) }
    }

    /// This moment, later by so many seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// Reads any ISO 8601 date or date-time; no offset means UTC; more than six fractional digits
    /// are cut. `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > 64 {
            return None;
        }
        let digits = fraction_digits(text).min(6);
        let micros = if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            moment.as_nanosecond().div_euclid(1_000)
        } else if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
            utc_micros(local)?
        } else {
            let date = text.parse::<jiff::civil::Date>().ok()?;
            utc_micros(date.to_datetime(jiff::civil::Time::midnight()))?
        };
        Some(Self { digits, ..Self::from_micros(i64::try_from(micros).ok()?) })
    }

    /// Reads an HTTP date (RFC 9110 section 5.6.7), as in `Last-Modified`.
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let moment = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
        Some(Self::from_seconds(moment.as_second()))
    }

    /// Writes an HTTP date (RFC 9110 section 5.6.7).
    #[must_use]
    pub fn to_http_date(self) -> String {
        match jiff::Timestamp::from_second(self.seconds()) {
            Ok(moment) => moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            Err(_) => "Thu, 01 Jan 1970 00:00:00 GMT".into(),
        }
    }
}

fn utc_micros(local: jiff::civil::DateTime) -> Option<i128> {
    let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_nanosecond().div_euclid(1_000))
}

fn fraction_digits(text: &str) -> u8 {
    let Some((_, fraction)) = text.split_once(['.', ',']) else { return 0 };
    let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
    u8::try_from(count).unwrap_or(u8::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.micros.div_euclid(1_000_000);
        let fraction = self.micros.rem_euclid(1_000_000);
        let moment = jiff::Timestamp::from_second(seconds).map_err(|_| fmt::Error)?;
        write!(f, "{}", moment.strftime("%Y-%m-%dT%H:%M:%S"))?;
        if self.digits > 0 {
            let all = format!("{fraction:06}");
            write!(f, ".{}", all.get(..usize::from(self.digits.min(6))).unwrap_or(&all))?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an ISO 8601 timestamp"))
    }
}

/// Where the present moment comes from. Lent, so that tests turn it by hand.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock that the others replace")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// A clock that stands still until it is turned; for tests.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.micros())))
    }

    /// Turns the clock on by so many seconds.
    pub fn turn_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_moments_have_six_digits_and_upstream_ones_keep_theirs() {
        let ours = Timestamp::from_micros(1_772_442_900_123_456);
        assert_eq!(ours.to_string(), "2026-03-02T09:15:00.123456Z");
        for text in ["2026-02-27T16:40:02Z", "2026-02-27T16:40:02.5Z", "2026-02-27T16:40:02.120Z"] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn reads_dates_offsets_and_long_fractions() {
        let read = |text: &str| Timestamp::parse(text).map(|t| t.to_string());
        assert_eq!(read("2026-03-02").as_deref(), Some("2026-03-02T00:00:00Z"));
        assert_eq!(read("2026-03-02T10:00:00").as_deref(), Some("2026-03-02T10:00:00Z"));
        assert_eq!(read("2026-03-02T10:00:00+02:00").as_deref(), Some("2026-03-02T08:00:00Z"));
        assert_eq!(
            read("2026-03-02T10:00:00.123456789Z").as_deref(),
            Some("2026-03-02T10:00:00.123456Z")
        );
        for bad in ["", "yesterday", "2026-13-01", "12:00", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn http_dates_go_both_ways() {
        let text = "Fri, 27 Feb 2026 16:40:02 GMT";
        assert_eq!(
            Timestamp::parse_http_date(text).map(Timestamp::to_http_date).as_deref(),
            Some(text)
        );
        assert_eq!(Timestamp::parse_http_date("soon"), None);
    }
}
