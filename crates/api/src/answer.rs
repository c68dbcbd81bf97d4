//! Answers that go well: ASCII JSON with a bare content type (wire API, section 3.1).

use std::io;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::problem::{Answer, Problem};

/// Writes JSON with every character outside ASCII escaped: there is no charset parameter to tell
/// clients more (rule R2).
#[derive(Clone, Copy, Debug)]
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // DEL is ASCII, but some clients choke on raw control characters.
        if fragment.is_ascii() && !fragment.as_bytes().contains(&0x7f) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        let mut units = [0u16; 2];
        for character in fragment.chars() {
            if character.is_ascii() && character != '\u{7f}' {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// JSON text in pure ASCII.
///
/// # Errors
/// `internal_error` when the value has no JSON form.
pub fn ascii<T: Serialize + ?Sized>(value: &T) -> Answer<Vec<u8>> {
    // A page of objects takes a hundred times this; an answer about one takes no more.
    let mut text = Vec::with_capacity(2 << 10);
    let mut writer = serde_json::Serializer::with_formatter(&mut text, Ascii);
    value.serialize(&mut writer).map_err(Problem::internal)?;
    Ok(text)
}

/// A JSON answer with this status.
///
/// # Errors
/// As [`ascii`].
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Answer {
    Ok(json_text(status, ascii(value)?))
}

/// `200` with JSON.
///
/// # Errors
/// As [`ascii`].
pub fn ok<T: Serialize + ?Sized>(value: &T) -> Answer {
    json(StatusCode::OK, value)
}

/// `201` with JSON when something was made, else `200`.
///
/// # Errors
/// As [`ascii`].
pub fn made<T: Serialize + ?Sized>(created: bool, value: &T) -> Answer {
    json(if created { StatusCode::CREATED } else { StatusCode::OK }, value)
}

/// `204`: no body, no content type.
#[must_use]
pub fn empty() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An answer of JSON text that is ASCII already.
#[must_use]
pub fn json_text(status: StatusCode, text: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn writes_ascii_only_and_reads_back() {
        for text in ["plain", "é", "日本", "😀", "a\"b\\c\n\u{7f}\u{0}", "mixed é and \u{1F600}!"]
        {
            let written = ascii(text).unwrap();
            assert!(written.is_ascii(), "{text}");
            assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
        }
        assert_eq!(ascii("é😀").unwrap(), b"\"\\u00e9\\ud83d\\ude00\"");
    }
}
