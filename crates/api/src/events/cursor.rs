//! Where reading begins: `cursor` of the wire API, section 29.1.

use tramontane_feeds::{Error, Log};
use tramontane_model::Timestamp;

use crate::problem::{Answer, Problem};

/// A place in a feed, as clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the first event that is kept.
    First,
    /// After this event.
    After(i64),
    /// After the newest event.
    Latest,
    /// Before the first event that was noticed then or later.
    Since(Timestamp),
}

impl Place {
    /// Reads a cursor; `None` when there is none.
    ///
    /// # Errors
    /// `invalid_parameters` naming `param`.
    pub(crate) fn read(param: &str, text: Option<&str>) -> Answer<Option<Self>> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let rule = "must be a cursor of this feed (a whole number from 0 on), latest, or time: and a \
                    timestamp";
        let bad = || Problem::invalid(param, rule);
        Ok(Some(match text {
            "after-auth" | "earliest" => Self::First,
            "latest" => Self::Latest,
            _ => match text.strip_prefix("time:") {
                // A plus sign of a query that was not escaped has become a space.
                Some(time) => {
                    Self::Since(Timestamp::parse(&time.replace(' ', "+")).ok_or_else(bad)?)
                }
                None if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                    Self::After(text.parse().map_err(|_| bad())?)
                }
                None => return Err(bad()),
            },
        }))
    }

    /// The number of the event that reading begins after.
    ///
    /// # Errors
    /// `forbidden` when the feed is off; those of the database.
    pub(crate) async fn find(self, log: &Log, feed: i64) -> Answer<i64> {
        Ok(match self {
            Self::After(number) => number,
            Self::Since(moment) => log.before(feed, moment.micros()).await?,
            Self::First | Self::Latest => {
                let extent = log.extent(feed).await?.ok_or(Error::Off)?;
                if self == Self::Latest { extent.head } else { extent.first - 1 }
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_nothing_else() {
        let read = |text| Place::read("cursor", Some(text)).unwrap();
        assert_eq!(Place::read("cursor", None).unwrap(), None);
        assert_eq!(read(""), None);
        assert_eq!(read("0"), Some(Place::After(0)));
        assert_eq!(read("00331"), Some(Place::After(331)));
        assert_eq!(read("after-auth"), Some(Place::First));
        assert_eq!(read("latest"), Some(Place::Latest));
        let since = Some(Place::Since(Timestamp::from_seconds(0)));
        assert_eq!(read("time:1970-01-01T00:00:00Z"), since);
        assert_eq!(read("time:1970-01-01T02:00:00 02:00"), since);
        for bad in ["-1", "+1", "1.0", "x", "time:", "time:soon", "Latest", "99999999999999999999"]
        {
            assert!(Place::read("cursor", Some(bad)).is_err(), "{bad}");
        }
    }
}
