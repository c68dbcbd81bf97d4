//! A WebDAV server's refusals as our errors.

use http::{StatusCode, header};
use tramontane_connector::http::Response;
use tramontane_connector::{Error, Kind, Retry};
use tramontane_model::Timestamp;

use super::xml;

/// The most that is read of an error's body.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The error that an answer stands for.
pub(super) async fn fault(response: Response) -> Error {
    let status = response.status;
    let retry_after = response.header(&header::RETRY_AFTER).map(str::to_owned);
    let location = response.header(&header::LOCATION).map(str::to_owned);
    let bytes = response.body.collect(MAX_BODY_BYTES).await.unwrap_or_default();
    let (condition, message) = xml::error_body(&bytes);
    let mut error = meaning(status.as_u16(), condition.as_deref(), message.as_deref());
    if status.is_redirection() {
        let to = location.unwrap_or_default();
        error.message = format!(
            "The WebDAV server redirects to {to}. Set url to the address that it redirects to."
        );
    }
    if let Some(wait) = retry_after.as_deref().and_then(seconds) {
        error.retry = Retry::After(std::time::Duration::from_secs(wait));
    }
    error
}

/// What a status with a DAV condition means, in an answer or within a multistatus.
pub(super) fn meaning(status: u16, condition: Option<&str>, message: Option<&str>) -> Error {
    let base = Error::from_status(status);
    let (kind, text) = match (status, condition) {
        (403 | 409 | 507, Some("quota-not-exceeded" | "sufficient-disk-space")) => {
            (Kind::Full, "The account's storage is full.")
        }
        (300..=399, _) => (Kind::Broken, "The WebDAV server redirects."),
        (405, _) => (Kind::Forbidden, "The WebDAV server does not allow this here."),
        (411, _) => (Kind::Broken, "The WebDAV server wants to know the length beforehand."),
        (412, Some("lock-token-matches-request-uri")) | (423, _) => {
            (Kind::Forbidden, "The object is locked by someone else.")
        }
        (424, _) => (Kind::Broken, "The WebDAV server gave up because another step failed."),
        (414, _) => (Kind::Invalid, "The path is longer than the WebDAV server takes."),
        (415, _) => (Kind::Invalid, "The WebDAV server does not take this media type."),
        (501, _) => (Kind::Broken, "The WebDAV server cannot do this."),
        _ => return base.said(condition, message),
    };
    let mut error = Error::new(kind, text);
    error.fault = base.fault;
    error.said(condition, message)
}

fn seconds(value: &str) -> Option<u64> {
    value.trim().parse().ok()
}

/// Whether a status says that the server has no such method here.
pub(super) fn is_unknown_method(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Reads the dates that servers write: those of HTTP in all three forms, and ISO 8601.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let old = |format: &str| {
        let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
        let local = parsed.to_datetime().ok()?;
        let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_seconds(zoned.timestamp().as_second()))
    };
    Timestamp::parse_http_date(text)
        .or_else(|| Timestamp::parse(text))
        .or_else(|| old("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| old("%a %b %e %H:%M:%S %Y"))
        .or_else(|| old("%a, %d %b %Y %H:%M:%S UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_meaning() {
        for (status, condition, kind) in [
            (401, None, Kind::Credential),
            (403, None, Kind::Forbidden),
            (403, Some("quota-not-exceeded"), Kind::Full),
            (404, None, Kind::NotFound),
            (412, None, Kind::Precondition),
            (412, Some("lock-token-matches-request-uri"), Kind::Forbidden),
            (423, None, Kind::Forbidden),
            (429, None, Kind::RateLimited),
            (503, None, Kind::Unavailable),
            (507, None, Kind::Full),
        ] {
            assert_eq!(meaning(status, condition, None).kind, kind, "{status} {condition:?}");
        }
    }

    #[test]
    fn reads_every_date_that_servers_write() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
            "1994-11-06T09:49:37+01:00",
            " Sun, 06 Nov 1994 08:49:37 +0000 ",
        ] {
            assert_eq!(date(text).map(Timestamp::seconds), Some(784_111_777), "{text}");
        }
        assert_eq!(date("yesterday"), None);
    }
}
