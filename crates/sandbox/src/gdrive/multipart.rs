//! `multipart/related` and `multipart/mixed` bodies (RFC 2387, RFC 2046), also with bare line feeds, as
//! Google's own Python client writes them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::fault::{Answer, Fault};

/// The most parts of one body.
const MAX_PARTS: usize = 100;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Lower-case names with their values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Part {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn malformed() -> Fault {
    Fault::bad("badRequest", "Malformed multipart body.")
}

/// The boundary that a `Content-Type` names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let at = content_type.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = content_type.get(at..)?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split(';').next()?.trim(),
    };
    (!value.is_empty()).then(|| value.to_owned())
}

fn find(all: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = all.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| at + from)
}

/// Reads the parts.
pub(super) fn parts(body: &Bytes, boundary: &str) -> Answer<Vec<Part>> {
    let line = format!("--{boundary}");
    let mut at = find(body, line.as_bytes(), 0).ok_or_else(malformed)? + line.len();
    let mut found = Vec::new();
    loop {
        if body.get(at..at + 2) == Some(b"--") {
            return Ok(found);
        }
        if found.len() >= MAX_PARTS {
            return Err(malformed());
        }
        let start = find(body, b"\n", at).ok_or_else(malformed)? + 1;
        let next = format!("\n--{boundary}");
        let end = find(body, next.as_bytes(), start.saturating_sub(1)).ok_or_else(malformed)?;
        at = end + next.len();
        let end = if end > start && body.get(end - 1) == Some(&b'\r') { end - 1 } else { end };
        found.push(part(body.slice(start.min(end)..end))?);
    }
}

fn part(whole: Bytes) -> Answer<Part> {
    let crlf = find(&whole, b"\r\n\r\n", 0).map(|at| (at, at + 4));
    let lf = find(&whole, b"\n\n", 0).map(|at| (at, at + 2));
    let bare = (whole.starts_with(b"\n").then_some((0, 1)))
        .or_else(|| whole.starts_with(b"\r\n").then_some((0, 2)));
    let ends = [bare, crlf, lf].into_iter().flatten().min();
    let (end, begin) = ends.unwrap_or((whole.len(), whole.len()));
    let head = String::from_utf8_lossy(whole.get(..end).unwrap_or_default()).into_owned();
    let headers: Vec<(String, String)> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut found = Part { headers, body: whole.slice(begin.min(whole.len())..) };
    let encoding = found.header("content-transfer-encoding");
    if encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64")) {
        let text: Vec<u8> =
            found.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        found.body = BASE64_STANDARD.decode(text).map_err(|_| malformed())?.into();
    }
    Ok(found)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_both_line_ends_and_keeps_the_bytes() {
        for end in ["\r\n", "\n"] {
            let text = format!(
                "--b{end}Content-Type: application/json{end}{end}{{\"a\":1}}{end}--b{end}content-type: text/plain{end}{end}one\r\n\ntwo{end}{end}--b--"
            );
            let parts = parts(&Bytes::from(text), "b").unwrap();
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[0].body, "{\"a\":1}");
            assert_eq!(parts[1].header("content-type"), Some("text/plain"));
            assert_eq!(parts[1].body, format!("one\r\n\ntwo{end}"));
        }
    }

    #[test]
    fn reads_empty_bodies_and_base64() {
        let text = "--b\r\nX: y\r\n\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n--b--\r\n";
        let parts = parts(&Bytes::from(text), "b").unwrap();
        assert_eq!(parts[0].body, "");
        assert_eq!(parts[1].body, "hello");
        assert!(super::parts(&Bytes::from("--b\r\nno end"), "b").is_err());
    }

    #[test]
    fn finds_the_boundary() {
        assert_eq!(boundary("multipart/related; boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(boundary("multipart/related; Boundary=ab; x=y").as_deref(), Some("ab"));
        assert_eq!(boundary("text/plain"), None);
    }
}
