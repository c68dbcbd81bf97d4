//! Google's refusals as our errors.
//!
//! Source: "Resolve errors" of the Drive API
//! (<https://developers.google.com/workspace/drive/api/guides/handle-errors>). The status alone says
//! little: a 403 may be a missing permission, a full account or a rate limit; `errors[].reason` tells.

use std::time::Duration;

use http::header;
use serde::Deserialize;
use tramontane_connector::http::Response;
use tramontane_connector::{Error, Kind, Retry};

/// The most that is read of an error's body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// What a refusal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    /// The parameter that is to blame.
    pub(super) location: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    error: Whole,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Whole {
    Full {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        errors: Vec<One>,
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        details: Vec<Detail>,
    },
    /// The OAuth endpoints' form.
    Word(String),
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    location: Option<String>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    reason: Option<String>,
}

impl Said {
    /// Reads an error's body; empty when there is nothing to read.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Body>(bytes) else { return Self::default() };
        match body.error {
            Whole::Word(word) => Self { reason: Some(word), ..Self::default() },
            Whole::Full { message, errors, status, details } => {
                let first = errors.into_iter().next();
                let (reason, text, location) =
                    first.map_or((None, None, None), |one| (one.reason, one.message, one.location));
                let detail = details.into_iter().find_map(|detail| detail.reason);
                Self { reason: reason.or(detail).or(status), message: message.or(text), location }
            }
        }
    }
}

/// The error that an answer stands for.
pub(super) async fn fault(response: Response) -> Error {
    let status = response.status.as_u16();
    let wait = response.header(&header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
    let bytes = response.body.collect(MAX_BODY).await.unwrap_or_default();
    meaning(status, &Said::read(&bytes), wait)
}

/// What a status means with what was said. `wait`: what `Retry-After` says, in seconds.
pub(super) fn meaning(status: u16, said: &Said, wait: Option<u64>) -> Error {
    let reason = said.reason.as_deref().unwrap_or_default();
    let mut error = Error::from_status(status);
    let known = match (status, reason) {
        (
            403 | 429,
            "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "sharingRateLimitExceeded"
            | "dailyLimitExceeded"
            | "dailyLimitExceededUnreg"
            | "quotaExceeded"
            | "RATE_LIMIT_EXCEEDED"
            | "RESOURCE_EXHAUSTED",
        ) => Some((Kind::RateLimited, "Google asks to slow down.")),
        (
            403,
            "storageQuotaExceeded"
            | "teamDriveFileLimitExceeded"
            | "numberOfFilesLimitExceeded"
            | "activeItemCreationLimitExceeded",
        ) => Some((Kind::Full, "The Google account's storage is full.")),
        (403, "numChildrenInNonRootLimitExceeded") => {
            Some((Kind::Full, "The folder has as many items as Google allows."))
        }
        (403, "myDriveHierarchyDepthLimitExceeded" | "teamDriveHierarchyTooDeep") => {
            Some((Kind::NotAllowed, "Google does not take folders nested so deeply."))
        }
        (403, "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => Some((
            Kind::Forbidden,
            "The account was connected without leave to do this: connect it again and allow it.",
        )),
        (403, "accessNotConfigured" | "SERVICE_DISABLED") => Some((
            Kind::Forbidden,
            "This API of Google's is not enabled in the Google Cloud project of the OAuth client.",
        )),
        (403, "domainPolicy") => {
            Some((Kind::Forbidden, "The organisation's administrators do not allow this."))
        }
        (403, "appNotAuthorizedToFile") => Some((
            Kind::Forbidden,
            "The account's user has not given this application access to the file.",
        )),
        (403, "cannotDownloadAbusiveFile") => Some((
            Kind::Forbidden,
            "Google takes this file for malware or spam and does not give it out.",
        )),
        (403, "cannotDownloadFile" | "cannotCopyFile" | "downloadRestrictedByDlp") => {
            Some((Kind::Forbidden, "The file's owner does not let it be downloaded or copied."))
        }
        (403, "fileNotDownloadable" | "fileNotExportable") => {
            Some((Kind::NotAllowed, "This document has no content that can be downloaded."))
        }
        (403, "exportSizeLimitExceeded") => {
            Some((Kind::TooLarge, "The document is larger than Google exports (10 MB)."))
        }
        (403, "parentNotAFolder") => {
            Some((Kind::ParentNotFound, "The folder to write into is no folder."))
        }
        (403, "propertyTooLarge" | "tooManyProperties" | "propertyLimitExceeded") => Some((
            Kind::Invalid,
            "Google takes up to 30 properties, key and value of at most 124 bytes together.",
        )),
        (400 | 403, "invalidSharingRequest") => {
            Some((Kind::Invalid, "Google does not share with this address or in this role."))
        }
        (400 | 404 | 410, _) if is_cursor(said) => Some((
            Kind::CursorExpired,
            "Google no longer knows this page: start the listing again.",
        )),
        (500, _) => Some((Kind::Unavailable, "Google could not do this just now.")),
        _ => None,
    };
    if let Some((kind, message)) = known {
        let fresh = Error::new(kind, message);
        error.kind = fresh.kind;
        error.retry = fresh.retry;
        error.message = fresh.message;
    }
    if let Some(wait) = wait.filter(|_| error.retry == Retry::Soon) {
        error.retry = Retry::After(Duration::from_secs(wait.min(3_600)));
    }
    error.said(said.reason.as_deref(), said.message.as_deref())
}

fn is_cursor(said: &Said) -> bool {
    let text = said.message.as_deref().unwrap_or_default();
    said.location.as_deref() == Some("pageToken")
        || text.contains("page token")
        || text.contains("pageToken")
}

/// Whether Google gave this reason.
pub(super) fn says(error: &Error, reason: &str) -> bool {
    error.fault.as_ref().and_then(|fault| fault.code.as_deref()) == Some(reason)
}

/// The status that Google answered with.
pub(super) fn status_of(error: &Error) -> Option<u16> {
    error.fault.as_ref().and_then(|fault| fault.status)
}

/// Whether the same request may do better in a moment.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(error.kind, Kind::RateLimited | Kind::Unavailable | Kind::Timeout | Kind::Broken)
}

/// The same error, said of the folder that something is to be put into.
pub(super) fn of_parent(error: Error) -> Error {
    match error.kind {
        Kind::NotFound => {
            let mut told =
                Error::new(Kind::ParentNotFound, "The folder to write into is not there.");
            told.fault = error.fault;
            told
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: &str) -> Said {
        let text = format!(
            r#"{{"error":{{"code":403,"message":"m","errors":[{{"domain":"global","reason":"{reason}","message":"m"}}]}}}}"#
        );
        Said::read(text.as_bytes())
    }

    #[test]
    fn reasons_become_kinds() {
        for (status, reason, kind) in [
            (401, "authError", Kind::Credential),
            (403, "rateLimitExceeded", Kind::RateLimited),
            (403, "userRateLimitExceeded", Kind::RateLimited),
            (403, "sharingRateLimitExceeded", Kind::RateLimited),
            (429, "rateLimitExceeded", Kind::RateLimited),
            (429, "anything", Kind::RateLimited),
            (403, "insufficientFilePermissions", Kind::Forbidden),
            (403, "insufficientPermissions", Kind::Forbidden),
            (403, "domainPolicy", Kind::Forbidden),
            (403, "cannotDownloadAbusiveFile", Kind::Forbidden),
            (403, "storageQuotaExceeded", Kind::Full),
            (403, "teamDriveFileLimitExceeded", Kind::Full),
            (403, "fileNotDownloadable", Kind::NotAllowed),
            (403, "exportSizeLimitExceeded", Kind::TooLarge),
            (403, "parentNotAFolder", Kind::ParentNotFound),
            (404, "notFound", Kind::NotFound),
            (409, "fileIdInUse", Kind::Conflict(None)),
            (400, "badRequest", Kind::Invalid),
            (416, "requestedRangeNotSatisfiable", Kind::Range(None)),
            (500, "internalError", Kind::Unavailable),
            (503, "backendError", Kind::Unavailable),
            (418, "neverHeardOf", Kind::Broken),
        ] {
            let error = meaning(status, &said(reason), None);
            assert_eq!(error.kind, kind, "{status} {reason}");
            assert!(says(&error, reason));
        }
    }

    #[test]
    fn a_rate_limit_tells_the_wait() {
        let error = meaning(403, &said("userRateLimitExceeded"), Some(7));
        assert_eq!(error.retry, Retry::After(Duration::from_secs(7)));
        let error = meaning(403, &said("userRateLimitExceeded"), None);
        assert_eq!(error.retry, Retry::Soon);
        let error = meaning(403, &said("insufficientFilePermissions"), Some(7));
        assert_eq!(error.retry, Retry::Never);
    }

    #[test]
    fn a_stale_page_is_told() {
        let text = br#"{"error":{"code":400,"message":"Invalid Value","errors":[{"reason":"invalid","location":"pageToken"}]}}"#;
        assert_eq!(meaning(400, &Said::read(text), None).kind, Kind::CursorExpired);
    }

    #[test]
    fn reads_every_form_of_refusal_and_none() {
        let read = |text: &str| Said::read(text.as_bytes()).reason;
        assert_eq!(read(r#"{"error":"invalid_grant"}"#).as_deref(), Some("invalid_grant"));
        assert_eq!(
            read(r#"{"error":{"code":403,"status":"PERMISSION_DENIED","details":[{"@type":"x","reason":"SERVICE_DISABLED"}]}}"#)
                .as_deref(),
            Some("SERVICE_DISABLED")
        );
        assert_eq!(read("<html>"), None);
        assert_eq!(read(""), None);
        assert_eq!(meaning(403, &Said::default(), None).kind, Kind::Forbidden);
    }
}
