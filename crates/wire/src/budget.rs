//! Reads the budget that a service tells in its answers' headers: `RateLimit-*` (IETF draft
//! "RateLimit header fields for HTTP", up to version 7; Microsoft Graph) and the older `X-RateLimit-*`.

use http::HeaderMap;
use tramontane_connector::budget::ServiceBudget;
use tramontane_model::Timestamp;

/// From this number on, a reset is a moment (Unix seconds) and no number of seconds to wait.
const MOMENT: u64 = 1_000_000_000;

/// The budget in these headers, when all of it is told.
pub(crate) fn told(headers: &HeaderMap, now: Timestamp) -> Option<ServiceBudget> {
    ["ratelimit", "x-ratelimit"].into_iter().find_map(|prefix| {
        let number = |part: &str| {
            let value = headers.get(format!("{prefix}-{part}"))?.to_str().ok()?;
            // The draft lets policies follow behind a comma.
            let value = value.split([',', ';']).next()?.trim();
            value.parse::<u64>().ok()
        };
        let (limit, remaining, reset) = (number("limit")?, number("remaining")?, number("reset")?);
        let seconds = u64::try_from(now.micros() / 1_000_000).unwrap_or(0);
        let reset = if reset >= MOMENT { reset.saturating_sub(seconds) } else { reset };
        Some(ServiceBudget { limit, remaining, reset })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<ServiceBudget> {
        let headers = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        told(&headers.collect(), Timestamp::from_seconds(1_772_442_900))
    }

    #[test]
    fn reads_both_spellings_and_both_kinds_of_reset() {
        let expected = Some(ServiceBudget { limit: 1000, remaining: 12, reset: 40 });
        for headers in [
            [("ratelimit-limit", "1000"), ("ratelimit-remaining", "12"), ("ratelimit-reset", "40")],
            [
                ("x-ratelimit-limit", "1000, 1000;w=60"),
                ("x-ratelimit-remaining", "12"),
                ("x-ratelimit-reset", "1772442940"),
            ],
        ] {
            assert_eq!(read(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn half_a_budget_is_none() {
        assert_eq!(read(&[("ratelimit-limit", "10"), ("ratelimit-remaining", "1")]), None);
        let odd =
            [("ratelimit-limit", "-1"), ("ratelimit-remaining", "x"), ("ratelimit-reset", "")];
        assert_eq!(read(&odd), None);
        assert_eq!(read(&[]), None);
    }
}
