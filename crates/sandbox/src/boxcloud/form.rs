//! `multipart/form-data` in memory (RFC 7578), as far as uploads need it.

use bytes::Bytes;

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content: Bytes,
}

/// The parts in their order; `None` when it is no such form.
pub(super) fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest, "boundary")?;
    let delimiter = format!("--{boundary}");
    let mut at = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    let mut parts = Vec::new();
    loop {
        match body.get(at..at + 2)? {
            b"--" => return Some(parts),
            b"\r\n" => at += 2,
            _ => return None,
        }
        let head_end = find(body, b"\r\n\r\n", at)?;
        let head = std::str::from_utf8(body.get(at..head_end)?).ok()?;
        let from = head_end + 4;
        let end = format!("\r\n{delimiter}");
        let to = find(body, end.as_bytes(), from)?;
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        parts.push(Part {
            name: parameter(disposition, "name")?,
            file_name: parameter(disposition, "filename"),
            content: body.slice(from..to),
        });
        at = to + end.len();
    }
}

/// A parameter of a header's value, quoted or not.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').find_map(|one| {
        let (key, value) = one.split_once('=')?;
        let value = value.trim();
        let plain = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        key.trim().eq_ignore_ascii_case(name).then(|| plain.unwrap_or(value).to_owned())
    })
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    loop {
        at += body.get(at..)?.iter().position(|byte| *byte == first)?;
        if body.get(at..at + wanted.len())? == wanted {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_forms() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"attributes\"\r\n\r\n{}\r\n\
                    --b\r\ncontent-disposition: form-data; name=file; filename=\"x\"\r\n\
                    Content-Type: text/plain\r\n\r\n\r\n--c\r\n--b--\r\n";
        let body = Bytes::from_static(body.as_bytes());
        let found = parts("multipart/form-data; boundary=\"b\"", &body).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), &found[0].content[..]), ("attributes", &b"{}"[..]));
        assert_eq!(found[1].file_name.as_deref(), Some("x"));
        assert_eq!(&found[1].content[..], b"\r\n--c");
        assert_eq!(parts("text/plain", &body), None);
        assert_eq!(parts("multipart/form-data; boundary=b", &body.slice(..body.len() - 6)), None);
    }
}
