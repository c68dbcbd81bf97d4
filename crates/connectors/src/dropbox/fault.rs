//! Dropbox's errors in the contract's words.
//!
//! "HTTP documentation", section "Errors", and the error unions of each function:
//! <https://www.dropbox.com/developers/documentation/http/documentation>

use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::Value;
use tramontane_connector::error::Kind;
use tramontane_connector::http::Response;
use tramontane_connector::{Error, Retry};

/// The most that is read of a refusal, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

/// The error that a refusal stands for.
pub(super) async fn fault(function: &'static str, answer: Response) -> Error {
    let (status, headers) = (answer.status.as_u16(), answer.headers);
    let body = answer.body.collect(MAX_REFUSAL).await.unwrap_or_default();
    explain(function, status, &headers, &String::from_utf8_lossy(&body))
}

/// The tags of an error, from the outside in: `path`, `conflict`, `file`.
pub(super) fn tags(error: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = error;
    while let Some(tag) = at.get(".tag").and_then(Value::as_str) {
        found.push(tag.to_owned());
        if found.len() > 8 {
            break;
        }
        match at.get(tag).or_else(|| at.get("reason")) {
            Some(next) if next.is_object() => at = next,
            _ => break,
        }
    }
    found
}

/// Whether the function's `path` errors speak of where something is to be written.
fn writes(function: &str) -> bool {
    matches!(
        function,
        "files/upload"
            | "files/upload_session/finish"
            | "files/create_folder_v2"
            | "files/move_v2"
            | "files/copy_v2"
            | "files/move_batch_v2"
            | "files/copy_batch_v2"
            | "files/restore"
    )
}

/// The error that status, headers and body stand for.
pub(super) fn explain(
    function: &'static str,
    status: u16,
    headers: &HeaderMap,
    body: &str,
) -> Error {
    let json: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let error = json.get("error").cloned().unwrap_or(Value::Null);
    let tags = tags(&error);
    let mut code = tags.join("/");
    if let Some(offset) = correct_offset(&error) {
        code.push_str(&format!("={offset}"));
    }
    let said = json.get("user_message").and_then(|message| message.get("text")?.as_str());
    let said = said.or_else(|| json.get("error_summary").and_then(Value::as_str));
    let mut told = match status {
        400 => bad_request(body),
        401 => credential(&tags, &error),
        403 => Error::from_status(403),
        409 if tags.is_empty() => {
            Error::new(Kind::Broken, "Dropbox refused the call with words that cannot be read.")
        }
        409 => refused(function, &tags),
        416 => Error::new(Kind::Range(size_of(headers)), "The range lies outside the content."),
        422 => Error::new(
            Kind::Forbidden,
            "The account's team space has changed at Dropbox: connect the account again.",
        ),
        429 => Error::from_status(429).retry(waited(headers, &error)),
        503 => Error::from_status(503).retry(waited(headers, &error)),
        _ => Error::from_status(status),
    };
    told.fault.get_or_insert_default().status = Some(status);
    let code = Some(code.as_str()).filter(|code| !code.is_empty());
    told.said(code, said.or(Some(body)).filter(|text| !text.is_empty()))
}

fn bad_request(body: &str) -> Error {
    if body.contains("select_user") || body.contains("Select-User") {
        return Error::invalid(
            "This account is one of a whole team: name the member whose files are meant.",
        );
    }
    // Refusals begin with the function's name, and one has the word in it.
    if body.replace("get_latest_cursor", "").contains("cursor") {
        let text = "The cursor of this listing is gone. Start again.";
        return Error::new(Kind::CursorExpired, text);
    }
    Error::invalid("Dropbox does not take this request.")
}

fn credential(tags: &[String], error: &Value) -> Error {
    match tags.first().map(String::as_str) {
        Some("missing_scope") => {
            let scope = error.get("required_scope").and_then(Value::as_str).unwrap_or("another");
            let text = format!(
                "The account was connected without the permission \"{scope}\": connect it again."
            );
            Error::new(Kind::Forbidden, text)
        }
        Some("invalid_select_user" | "invalid_select_admin") => {
            Error::not_found("There is no such member in the team.")
        }
        Some("user_suspended") => {
            Error::new(Kind::Credential, "Dropbox says that this user is suspended.")
        }
        _ => Error::from_status(401),
    }
}

/// Where an upload session is, when a piece came to the wrong place; it stands behind the code.
fn correct_offset(error: &Value) -> Option<u64> {
    let inner = error.get("lookup_failed").unwrap_or(error);
    inner.get("correct_offset").and_then(Value::as_u64)
}

/// Seconds from `Retry-After`, else from the body.
fn waited(headers: &HeaderMap, error: &Value) -> Retry {
    let header =
        headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let seconds = header.or_else(|| error.get("retry_after").and_then(Value::as_u64));
    seconds
        .map_or(Retry::Soon, |seconds: u64| Retry::After(Duration::from_secs(seconds.min(3_600))))
}

fn size_of(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.rsplit('/').next()?.parse().ok()
}

/// What a 409 means, by its innermost tags first.
fn refused(function: &'static str, tags: &[String]) -> Error {
    let has = |tag: &str| tags.iter().any(|one| one == tag);
    let last = tags.last().map(String::as_str).unwrap_or_default();
    let (kind, text) = match last {
        "file_ancestor" => (Kind::ParentNotFound, "What is named as a folder is a file."),
        _ if has("conflict") => (Kind::Conflict(None), "The name is already taken in this folder."),
        "malformed_path" if writes(function) && !has("from_lookup") => {
            (Kind::Invalid, "name has characters or an end that Dropbox does not take.")
        }
        "disallowed_name" => (Kind::Invalid, "name is one that Dropbox keeps for itself."),
        "not_found"
        | "not_file"
        | "not_folder"
        | "malformed_path"
        | "invalid_revision"
        | "invalid_file"
        | "is_folder"
        | "invalid_id"
        | "id_not_found"
        | "group_not_found"
        | "unmounted"
        | "no_account"
        | "invalid_async_job_id" => (Kind::NotFound, "The object is not there."),
        "unsupported_extension"
        | "unsupported_image"
        | "conversion_error"
        | "unsupported_content_type" => (Kind::NotFound, "Dropbox makes no preview of this file."),
        "insufficient_space" | "insufficient_quota" => {
            (Kind::Full, "The account's storage is full.")
        }
        "too_many_write_operations" | "rate_limit" | "operation_suppressed" => {
            (Kind::RateLimited, "Dropbox asks to write less at once to this account.")
        }
        "cant_move_folder_into_itself" | "duplicated_or_nested_paths" => {
            (Kind::IntoItself, "A folder cannot be put into itself or below itself.")
        }
        "reset" | "invalid_cursor" => {
            (Kind::CursorExpired, "Dropbox has forgotten this cursor. Start again.")
        }
        "payload_too_large" | "too_large" => {
            (Kind::TooLarge, "The content is larger than Dropbox takes.")
        }
        "unsupported_file" | "non_exportable" | "invalid_export_format" => (
            Kind::NotAllowed,
            "This document cannot be downloaded as it is; export it to a format.",
        ),
        "incorrect_offset"
        | "closed"
        | "not_closed"
        | "concurrent_session_invalid_offset"
        | "concurrent_session_invalid_data_size"
        | "concurrent_session_missing_data" => {
            (Kind::Invalid, "The parts of this upload do not follow each other.")
        }
        "content_hash_mismatch" => (Kind::Broken, "The content was changed on its way to Dropbox."),
        "locked" => (Kind::Forbidden, "The file is locked at Dropbox."),
        "internal_error" | "other" => (Kind::Broken, "Dropbox failed."),
        "invalid_email" | "bad_member" | "invalid_dropbox_id" | "invalid_member" => {
            (Kind::Invalid, "Dropbox knows nobody by this address or id.")
        }
        "property_field_too_large" => {
            (Kind::Invalid, "The value of a property is too long for Dropbox.")
        }
        _ => (Kind::Forbidden, "Dropbox does not allow this."),
    };
    Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(function: &'static str, status: u16, error: &str) -> Kind {
        let body = format!("{{\"error_summary\": \"x/..\", \"error\": {error}}}");
        explain(function, status, &HeaderMap::new(), &body).kind
    }

    #[test]
    fn endpoint_errors_become_the_contracts_kinds() {
        let nested = |outer: &str, inner: &str| {
            format!("{{\".tag\": \"{outer}\", \"{outer}\": {{\".tag\": \"{inner}\"}}}}")
        };
        let conflict = |what: &str| {
            format!(
                "{{\".tag\":\"path\",\"reason\":{{\".tag\":\"conflict\",\"conflict\":{{\".tag\":\"{what}\"}}}},\"upload_session_id\":\"x\"}}"
            )
        };
        let table = [
            ("files/get_metadata", nested("path", "not_found"), Kind::NotFound),
            ("files/get_metadata", nested("path", "malformed_path"), Kind::NotFound),
            ("files/list_folder", nested("path", "not_folder"), Kind::NotFound),
            ("files/download", nested("path", "not_file"), Kind::NotFound),
            ("files/upload", conflict("file"), Kind::Conflict(None)),
            ("files/upload", conflict("folder"), Kind::Conflict(None)),
            ("files/upload", conflict("file_ancestor"), Kind::ParentNotFound),
            ("files/create_folder_v2", nested("path", "malformed_path"), Kind::Invalid),
            ("files/create_folder_v2", nested("path", "disallowed_name"), Kind::Invalid),
            ("files/upload_session/finish", nested("path", "insufficient_space"), Kind::Full),
            ("files/move_v2", nested("to", "insufficient_space"), Kind::Full),
            ("files/move_v2", nested("from_lookup", "not_found"), Kind::NotFound),
            ("files/move_v2", nested("to", "no_write_permission"), Kind::Forbidden),
            ("files/copy_v2", "{\".tag\":\"insufficient_quota\"}".into(), Kind::Full),
            (
                "files/move_v2",
                "{\".tag\":\"cant_move_folder_into_itself\"}".into(),
                Kind::IntoItself,
            ),
            (
                "files/delete_v2",
                "{\".tag\":\"too_many_write_operations\"}".into(),
                Kind::RateLimited,
            ),
            ("files/list_folder/continue", "{\".tag\":\"reset\"}".into(), Kind::CursorExpired),
            ("files/export", "{\".tag\":\"non_exportable\"}".into(), Kind::NotAllowed),
            (
                "files/get_thumbnail_v2",
                "{\".tag\":\"unsupported_extension\"}".into(),
                Kind::NotFound,
            ),
            ("files/get_metadata", "{\".tag\":\"something_new\"}".into(), Kind::Forbidden),
        ];
        for (function, error, expected) in table {
            assert_eq!(kind(function, 409, &error), expected, "{function}: {error}");
        }
    }

    #[test]
    fn statuses_become_the_contracts_kinds() {
        let table = [
            (401, "{\".tag\":\"expired_access_token\"}", Kind::Credential),
            (401, "{\".tag\":\"invalid_access_token\"}", Kind::Credential),
            (
                401,
                "{\".tag\":\"missing_scope\",\"required_scope\":\"files.content.write\"}",
                Kind::Forbidden,
            ),
            (401, "{\".tag\":\"invalid_select_user\"}", Kind::NotFound),
            (403, "{\".tag\":\"invalid_account_type\"}", Kind::Forbidden),
            (422, "{\".tag\":\"no_permission\"}", Kind::Forbidden),
            (
                429,
                "{\"reason\":{\".tag\":\"too_many_requests\"},\"retry_after\":7}",
                Kind::RateLimited,
            ),
            (500, "null", Kind::Broken),
            (503, "null", Kind::Unavailable),
        ];
        for (status, error, expected) in table {
            assert_eq!(kind("files/get_metadata", status, error), expected, "{status} {error}");
        }
    }

    #[test]
    fn the_wait_is_read_from_the_header_and_from_the_body() {
        let body = "{\"error\":{\"reason\":{\".tag\":\"too_many_requests\"},\"retry_after\":7}}";
        let error = explain("files/upload", 429, &HeaderMap::new(), body);
        assert_eq!(error.retry, Retry::After(Duration::from_secs(7)));
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("3"));
        let error = explain("files/upload", 429, &headers, body);
        assert_eq!(error.retry, Retry::After(Duration::from_secs(3)));
        assert_eq!(explain("files/upload", 429, &HeaderMap::new(), "").retry, Retry::Soon);
    }

    #[test]
    fn plain_text_and_nonsense_are_understood() {
        let plain = |status, body: &str| {
            explain("files/list_folder/continue", status, &HeaderMap::new(), body).kind
        };
        assert_eq!(
            plain(400, "Error in call to API function: Invalid \"cursor\" parameter"),
            Kind::CursorExpired
        );
        assert_eq!(plain(400, "Error in call to API function: request body: path"), Kind::Invalid);
        let latest = "Error in call to API function \"files/list_folder/get_latest_cursor\": ";
        assert_eq!(plain(400, &format!("{latest}request body: path")), Kind::Invalid);
        assert_eq!(plain(400, &format!("{latest}Select-User, not a cursor")), Kind::Invalid);
        assert_eq!(plain(409, "<garbled"), Kind::Broken);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, http::HeaderValue::from_static("bytes */10"));
        assert_eq!(explain("files/download", 416, &headers, "").kind, Kind::Range(Some(10)));
    }
}
