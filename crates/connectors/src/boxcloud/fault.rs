//! Box's errors in the contract's words.
//!
//! <https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/>

use std::time::Duration;

use http::header;
use serde::Deserialize;
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Response;
use tramontane_connector::{EntryRef, Error, Retry};
use tramontane_model::Timestamp;

use super::id::Id;

/// The most that is read of an error, in bytes.
const MAX_ERROR: usize = 256 << 10;

/// An error as Box writes it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    code: Option<String>,
    message: Option<String>,
    context_info: Option<Value>,
}

impl Said {
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// What has the name: one object for files, a list for folders.
    fn conflict(&self) -> (Option<EntryRef>, Option<String>) {
        let conflicts = self.context_info.as_ref().and_then(|info| info.get("conflicts"));
        let first = match conflicts {
            Some(Value::Array(list)) => list.first(),
            other => other,
        };
        let text = |name: &str| first.and_then(|one| one.get(name)).and_then(Value::as_str);
        let id = text("type").zip(text("id")).and_then(|(word, number)| Id::of(word, number));
        (id.map(|id| id.reference()), text("name").map(str::to_owned))
    }

    /// The parameter that Box finds fault with.
    fn parameter(&self) -> Option<&str> {
        self.context_info.as_ref()?.get("errors")?.get(0)?.get("name")?.as_str()
    }

    /// Box's words for people: those of the parameter, where there are some.
    fn words(&self) -> Option<&str> {
        let errors = self.context_info.as_ref().and_then(|info| info.get("errors"));
        let own = errors.and_then(|all| all.get(0)?.get("message")?.as_str());
        own.or(self.message.as_deref())
    }
}

/// The error that an answer stands for.
pub(super) async fn fault(answer: Response, now: Timestamp) -> Error {
    let status = answer.status.as_u16();
    let named = answer.header(&header::RETRY_AFTER).and_then(|value| wait(value, now));
    // The answer to a token that is not taken has no body.
    let body = answer.body.collect(MAX_ERROR).await.unwrap_or_default();
    error(status, named, &Said::read(&body))
}

fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(3_600)));
    }
    let when = Timestamp::parse_http_date(value)?;
    let seconds = u64::try_from(when.seconds().saturating_sub(now.seconds())).unwrap_or(0);
    Some(Duration::from_secs(seconds.min(3_600)))
}

/// The error that a refusal stands for.
pub(super) fn error(status: u16, retry_after: Option<Duration>, said: &Said) -> Error {
    let code = said.code.as_deref().unwrap_or_default();
    let mut error = Error::from_status(status);
    let known = match code {
        "item_name_in_use" | "name_temporarily_reserved" => {
            let (by, name) = said.conflict();
            let name = name.unwrap_or_default();
            let text = match name.is_empty() {
                true => "The name is already taken in this folder.".to_owned(),
                false => format!("The name \"{name}\" is already taken in this folder."),
            };
            Some((Kind::Conflict(by), text))
        }
        "item_name_invalid" => Some((
            Kind::Invalid,
            "name must not contain \"/\", \"\\\" or control characters, nor end with a space."
                .into(),
        )),
        "item_name_too_long" => {
            Some((Kind::Invalid, "name must be at most 255 characters long.".into()))
        }
        "folder_not_empty" => {
            Some((Kind::NotEmpty, "The folder still has something in it.".into()))
        }
        "cyclical_folder_structure" => {
            Some((Kind::IntoItself, "A folder cannot be put into itself.".into()))
        }
        "precondition_failed" | "sync_item_precondition_failed" => {
            Some((Kind::Precondition, "The object has changed in the meantime.".into()))
        }
        "storage_limit_exceeded" => Some((Kind::Full, "The Box account's storage is full.".into())),
        "file_size_limit_exceeded" | "request_entity_too_large" => {
            Some((Kind::TooLarge, "The file is larger than this Box account takes.".into()))
        }
        "access_denied_item_locked" => Some((Kind::Forbidden, "The file is locked at Box.".into())),
        "access_denied_insufficient_permissions" | "forbidden_by_policy" | "insufficient_scope" => {
            Some((Kind::Forbidden, "Box does not allow this account to do that.".into()))
        }
        "access_denied_location_blocked" => {
            Some((Kind::Forbidden, "Box does not let this server in from where it is.".into()))
        }
        "operation_blocked_temporary" | "operation_limit_exceeded" | "conflict"
            if status == 409 && said.conflict().0.is_none() =>
        {
            let text = "Box is still busy with another change of the same object; try again.";
            Some((Kind::Unavailable, text.into()))
        }
        "rate_limit_exceeded" => Some((Kind::RateLimited, "Box asks to slow down.".into())),
        "bad_digest" | "sha1_mismatch" => {
            Some((Kind::Broken, "The content was damaged on its way to Box.".into()))
        }
        "trashed" => Some((Kind::NotFound, "The object is in the trash.".into())),
        "not_trashed" => Some((Kind::NotFound, "The object is not in the trash.".into())),
        "unauthorized" | "invalid_access_token" if status == 401 => None,
        "unavailable" => Some((Kind::Unavailable, "Box is not available.".into())),
        _ if status == 404 && said.parameter() == Some("parent") => {
            Some((Kind::ParentNotFound, "The folder to write into is not there.".into()))
        }
        _ if status == 400 => said.words().map(|words| {
            let what = said.parameter().map(|name| format!("{name}: ")).unwrap_or_default();
            (Kind::Invalid, format!("Box does not take the request: {what}{words}"))
        }),
        _ => None,
    };
    if let Some((kind, message)) = known {
        let fresh = Error::new(kind, message);
        (error.kind, error.retry, error.message) = (fresh.kind, fresh.retry, fresh.message);
    }
    if let Some(wait) = retry_after
        && error.retry != Retry::Never
    {
        error.retry = Retry::After(wait);
    }
    error.said(said.code.as_deref(), said.words())
}

/// Whether Box said this code.
pub(super) fn says(error: &Error, code: &str) -> bool {
    error.fault.as_ref().and_then(|fault| fault.code.as_deref()) == Some(code)
}

/// A refused cursor is one that Box has forgotten.
pub(super) fn cursor(error: Error, had_cursor: bool) -> Error {
    match error.kind {
        Kind::Invalid if had_cursor => Error::new(
            Kind::CursorExpired,
            "The cursor cannot be read (any more): start again from the first page.",
        )
        .because(error),
        _ => error,
    }
}
