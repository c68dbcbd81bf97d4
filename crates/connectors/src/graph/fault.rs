//! Graph's errors as ours. Source: "Microsoft Graph error responses and resource types" and, for the codes
//! of drives, "Error codes" of the OneDrive API.

use std::time::Duration;

use http::header;
use serde::Deserialize;
use tramontane_connector::http::Response;
use tramontane_connector::{Error, Kind, Retry};

/// The most that is read of an error's body.
const MAX_BODY_BYTES: usize = 64 << 10;
/// How many errors within errors are looked at.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Detail,
}

/// An error, with finer ones inside.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Detail {
    #[serde(default)]
    pub(super) code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default, alias = "innererror", rename = "innerError")]
    inner: Option<Box<Detail>>,
}

impl Detail {
    /// All codes, the coarsest first.
    fn codes(&self) -> Vec<&str> {
        let mut codes = Vec::new();
        let mut at = Some(self);
        while let Some(detail) = at.filter(|_| codes.len() < MAX_DEPTH) {
            codes.push(detail.code.as_deref().unwrap_or_default());
            at = detail.inner.as_deref();
        }
        codes
    }
}

/// The error that an answer stands for.
pub(super) async fn fault(response: Response) -> Error {
    let status = response.status.as_u16();
    let wait = response.header(&header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
    let bytes = response.body.collect(MAX_BODY_BYTES).await.unwrap_or_default();
    let body: Body = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut error = meaning(status, &body.error);
    if let Some(seconds) = wait {
        error.retry = Retry::After(Duration::from_secs(seconds));
    }
    error
}

/// What a status and its codes mean. Codes say more than statuses; the finest that is known counts.
pub(super) fn meaning(status: u16, detail: &Detail) -> Error {
    let base = Error::from_status(status);
    let codes = detail.codes();
    let known = codes.iter().rev().find_map(|code| by_code(code));
    let mut error = match known {
        Some((kind, text)) => {
            let mut error = Error::new(kind, text);
            error.fault = base.fault;
            error
        }
        None => base,
    };
    if status == 429 {
        error.kind = Kind::RateLimited;
        error.retry = Retry::Soon;
    }
    error.said(codes.first().copied().filter(|code| !code.is_empty()), detail.message.as_deref())
}

fn by_code(code: &str) -> Option<(Kind, &'static str)> {
    Some(match code.to_ascii_lowercase().as_str() {
        "itemnotfound" | "request_resourcenotfound" | "resourcenotfound" => {
            (Kind::NotFound, "The object is not there.")
        }
        "namealreadyexists" => (Kind::Conflict(None), "The name is already taken in this folder."),
        "resourcemodified" | "entitytagdoesnotmatch" | "preconditionfailed" => {
            (Kind::Precondition, "The object has changed in the meantime.")
        }
        "quotalimitreached" | "insufficientstorage" | "storagelimitreached" => {
            (Kind::Full, "The account's storage is full.")
        }
        "resyncrequired"
        | "resyncchangesapplydifferences"
        | "resyncchangesuploaddifferences"
        | "directory_expiredpagetoken"
        | "invalidskiptoken" => {
            (Kind::CursorExpired, "The service has forgotten this cursor. Start again.")
        }
        "activitylimitreached" | "throttledrequest" | "toomanyrequests" => {
            (Kind::RateLimited, "The service asks to slow down.")
        }
        "servicenotavailable" | "servicereadonly" | "resourcebeingprovisioned" => {
            (Kind::Unavailable, "The service is not available.")
        }
        "invalidauthenticationtoken" | "unauthenticated" | "tokenexpired" => {
            (Kind::Credential, "The service refuses the account's access token.")
        }
        "resourcelocked" | "lockmismatch" => {
            (Kind::Forbidden, "The object is locked by someone else at the service.")
        }
        "malwaredetected" | "virussuspicious" => {
            (Kind::Forbidden, "The service found malware in this file and does not give it out.")
        }
        "accessdenied"
        | "authorization_requestdenied"
        | "accessrestricted"
        | "provisioningnotallowed" => {
            (Kind::Forbidden, "The service lets this account not do this.")
        }
        "maxfilesizeexceeded" | "maxstreamsizeexceeded" => {
            (Kind::TooLarge, "The content is larger than the service takes.")
        }
        "pathistoolong" | "pathtoodeep" => (
            Kind::Invalid,
            "name makes the path longer than the 400 characters that OneDrive and SharePoint take.",
        ),
        "uploadsessionnotfound" => {
            (Kind::NotFound, "The upload is not known any more. Start it again.")
        }
        _ => return None,
    })
}

/// The error of a job that failed.
pub(super) fn of_job(detail: &Detail) -> Error {
    meaning(500, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(code: &str, inner: Option<&str>) -> Detail {
        let inner = inner.map(|code| Box::new(detail(code, None)));
        Detail { code: Some(code.into()), message: Some("words".into()), inner }
    }

    #[test]
    fn statuses_and_codes_have_their_meaning() {
        for (status, code, inner, kind) in [
            (401, "InvalidAuthenticationToken", None, Kind::Credential),
            (403, "accessDenied", None, Kind::Forbidden),
            (404, "itemNotFound", None, Kind::NotFound),
            (404, "Request_ResourceNotFound", None, Kind::NotFound),
            (409, "nameAlreadyExists", None, Kind::Conflict(None)),
            (410, "resyncRequired", Some("resyncChangesApplyDifferences"), Kind::CursorExpired),
            (412, "resourceModified", None, Kind::Precondition),
            (412, "notAllowed", Some("entityTagDoesNotMatch"), Kind::Precondition),
            (423, "notAllowed", Some("resourceLocked"), Kind::Forbidden),
            (429, "activityLimitReached", None, Kind::RateLimited),
            (429, "", None, Kind::RateLimited),
            (503, "serviceNotAvailable", None, Kind::Unavailable),
            (507, "quotaLimitReached", None, Kind::Full),
            (400, "invalidRequest", Some("pathIsTooLong"), Kind::Invalid),
            (400, "invalidRequest", None, Kind::Invalid),
            (418, "newCode", None, Kind::Broken),
        ] {
            let error = meaning(status, &detail(code, inner));
            assert_eq!(error.kind, kind, "{status} {code} {inner:?}");
        }
    }
}
