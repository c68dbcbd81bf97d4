//! S3's errors in the contract's words.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use http::HeaderMap;
use tramontane_connector::error::Kind;
use tramontane_connector::{Error, Retry};

use super::xml;

/// What an error document says. Empty when there was none (`HEAD`) or it could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// The region that the request should have gone to.
    pub(super) region: Option<String>,
    /// The size of the object whose range was asked for.
    pub(super) size: Option<u64>,
}

impl Said {
    /// Reads an error document; `None` when it is something else.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let root = xml::parse(bytes).ok().filter(|root| root.name == "Error")?;
        let text = |name: &str| root.text_of(name).map(str::to_owned);
        Some(Self {
            code: text("Code"),
            message: text("Message"),
            region: text("Region"),
            size: text("ActualObjectSize").and_then(|size| size.parse().ok()),
        })
    }
}

const ELSEWHERE: &str =
    "The bucket is in another region, and the service did not say which: set \"region\".";

/// The error that a refusal stands for.
pub(super) fn fault(status: u16, headers: &HeaderMap, said: &Said) -> Error {
    let code = said.code.as_deref().unwrap_or_default();
    let mut error = Error::from_status(status);
    let is_marker = headers.get("x-amz-delete-marker").is_some_and(|value| value == "true");
    let known = match code {
        "NoSuchKey" | "NoSuchVersion" | "NoSuchTagSet" => {
            Some((Kind::NotFound, "The object is not there."))
        }
        "NoSuchBucket" | "InvalidBucketName" => Some((Kind::NotFound, "The bucket is not there.")),
        "NoSuchUpload" => Some((Kind::NotFound, "The upload is not there (any more).")),
        "MethodNotAllowed" if is_marker => {
            Some((Kind::NotFound, "This version says that the object was deleted."))
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "MethodNotAllowed" => {
            Some((Kind::Forbidden, "The access key may not do this at the service."))
        }
        "InvalidObjectState" => Some((
            Kind::Forbidden,
            "The object is archived; it must be restored at the service before it can be read.",
        )),
        "InvalidAccessKeyId" | "InvalidSecurity" | "NotSignedUp" => Some((
            Kind::Credential,
            "The service does not know the access key: check \"access_key\".",
        )),
        "SignatureDoesNotMatch" => Some((
            Kind::Credential,
            "The service refuses the signature: check \"secret_key\" (and \"region\").",
        )),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => Some((
            Kind::Credential,
            "The service refuses the session token: it is expired or wrong.",
        )),
        "AuthorizationHeaderMalformed" => Some((
            Kind::Credential,
            "The service refuses the signature's form: check \"access_key\" and \"region\".",
        )),
        "RequestTimeTooSkewed" => Some((
            Kind::Unavailable,
            "The clocks of this server and of the service differ by more than 15 minutes.",
        )),
        "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            Some((Kind::Unavailable, ELSEWHERE))
        }
        "SlowDown"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "XMinioServerNotInitialized" => {
            Some((Kind::RateLimited, "The service asks to slow down."))
        }
        "ServiceUnavailable" | "InternalError" => {
            Some((Kind::Unavailable, "The service is not available."))
        }
        "PreconditionFailed" | "ConditionalRequestConflict" | "OperationAborted" => {
            Some((Kind::Precondition, "The object has changed in the meantime."))
        }
        "EntityTooLarge" => Some((Kind::TooLarge, "The content is larger than the service takes.")),
        "KeyTooLongError" => {
            Some((Kind::Invalid, "name is too long: the whole key may have 1024 bytes."))
        }
        "InvalidRange" => Some((Kind::Range(said.size), "The range lies outside the content.")),
        "QuotaExceeded"
        | "QuotaExceededException"
        | "InsufficientStorage"
        | "XMinioStorageFull"
        | "XAmzQuotaExceeded" => Some((Kind::Full, "The account's storage is full.")),
        "RequestTimeout" => Some((Kind::Timeout, "The service stopped waiting for the content.")),
        "IncompleteBody" => Some((Kind::Body, "The content broke off.")),
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            Some((Kind::Broken, "The content was damaged on its way to the service."))
        }
        "NotImplemented" => Some((Kind::Broken, "The service cannot do this.")),
        // A HEAD that was redirected has no words.
        "" if matches!(status, 301 | 307) => Some((Kind::Unavailable, ELSEWHERE)),
        _ => None,
    };
    if let Some((kind, message)) = known {
        let fresh = Error::new(kind, message);
        error.kind = fresh.kind;
        error.retry = fresh.retry;
        error.message = fresh.message;
    }
    if code == "NotImplemented" {
        error.retry = Retry::Never;
    }
    error.said(said.code.as_deref(), said.message.as_deref())
}

/// Whether the service said this code.
pub(super) fn says(error: &Error, code: &str) -> bool {
    error.fault.as_ref().and_then(|fault| fault.code.as_deref()) == Some(code)
}

/// Whether the service does not know what was asked of it.
pub(super) fn is_not_implemented(error: &Error) -> bool {
    let status = error.fault.as_ref().and_then(|fault| fault.status);
    says(error, "NotImplemented") || matches!(status, Some(501))
}

/// Whether the service said that a condition does not hold, or that someone else is writing there.
pub(super) fn is_precondition(error: &Error) -> bool {
    error.kind == Kind::Precondition
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn kind(status: u16, code: &str) -> Kind {
        let text = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let said = Said::read(text.as_bytes()).unwrap();
        fault(status, &HeaderMap::new(), &said).kind
    }

    #[test]
    fn codes_become_kinds() {
        for (status, code, wanted) in [
            (404, "NoSuchKey", Kind::NotFound),
            (404, "NoSuchBucket", Kind::NotFound),
            (403, "AccessDenied", Kind::Forbidden),
            (403, "InvalidAccessKeyId", Kind::Credential),
            (403, "SignatureDoesNotMatch", Kind::Credential),
            (400, "ExpiredToken", Kind::Credential),
            (503, "SlowDown", Kind::RateLimited),
            (503, "ServiceUnavailable", Kind::Unavailable),
            (412, "PreconditionFailed", Kind::Precondition),
            (409, "ConditionalRequestConflict", Kind::Precondition),
            (400, "EntityTooLarge", Kind::TooLarge),
            (400, "KeyTooLongError", Kind::Invalid),
            (403, "QuotaExceeded", Kind::Full),
            (418, "NeverHeardOf", Kind::Broken),
            (400, "NeverHeardOf", Kind::Invalid),
        ] {
            assert_eq!(kind(status, code), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_refusal_without_words_goes_by_its_status() {
        let nothing = Said::default();
        assert_eq!(fault(404, &HeaderMap::new(), &nothing).kind, Kind::NotFound);
        assert_eq!(fault(403, &HeaderMap::new(), &nothing).kind, Kind::Forbidden);
        assert_eq!(Said::read(b"<html>oops</html>"), None);
        assert_eq!(Said::read(b"not xml"), None);
    }

    #[test]
    fn a_wrong_range_tells_the_size() {
        let text =
            b"<Error><Code>InvalidRange</Code><ActualObjectSize>9</ActualObjectSize></Error>";
        let said = Said::read(text).unwrap();
        assert_eq!(fault(416, &HeaderMap::new(), &said).kind, Kind::Range(Some(9)));
    }
}
