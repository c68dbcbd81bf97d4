//! How Dropbox names things: paths, ids, revisions, namespaces; and which names it takes.

use serde_json::Value;

use super::refusal::Refusal;

/// The longest name, in characters.
const MAX_NAME: usize = 255;

/// What an argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A path from the root; `""` is the root itself.
    Path(String),
    /// An id, with a path relative to it (`""`: the object itself).
    Id(String, String),
    /// A revision of a file.
    Rev(String),
    /// A namespace, with a path in it.
    Namespace(String, String),
}

impl Asked {
    /// Reads a path argument; what fits no pattern is refused as the service does, with plain text.
    pub(super) fn read(arg: &Value, field: &str) -> Result<Self, Refusal> {
        let text = arg.get(field).and_then(Value::as_str).ok_or_else(|| {
            Refusal::Bad(format!("request body: missing required field '{field}'"))
        })?;
        Self::parse(text).ok_or_else(|| {
            Refusal::Bad(format!("request body: {field}: '{text}' did not match pattern '(/(.|[\\r\\n])*|id:.*)|(rev:[0-9a-f]{{9,}})|(ns:[0-9]+(/.*)?)'"))
        })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let split = |rest: &str| match rest.find('/') {
            Some(at) => {
                let (head, tail) = rest.split_at(at);
                (head.to_owned(), tail.to_owned())
            }
            None => (rest.to_owned(), String::new()),
        };
        if text.is_empty() || text.starts_with('/') {
            return Some(Self::Path(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("id:") {
            let (id, tail) = split(rest);
            return Some(Self::Id(format!("id:{id}"), tail));
        }
        if let Some(rev) = text.strip_prefix("rev:") {
            return is_rev(rev).then(|| Self::Rev(rev.to_owned()));
        }
        let (namespace, tail) = split(text.strip_prefix("ns:")?);
        let digits = !namespace.is_empty() && namespace.bytes().all(|byte| byte.is_ascii_digit());
        digits.then_some(Self::Namespace(namespace, tail))
    }
}

/// Whether this can be a revision: `[0-9a-f]{9,}`.
pub(super) fn is_rev(text: &str) -> bool {
    text.len() >= 9 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether every name of a path from the root is one that Dropbox takes. The root is.
pub(super) fn is_wellformed(path: &str) -> bool {
    if path.is_empty() {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else { return false };
    rest.split('/').all(is_name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(['\\', '\0', '\u{7f}'])
        && !name.ends_with(' ')
        && name.chars().count() <= MAX_NAME
}

/// Names that Dropbox keeps for itself or ignores, in any case.
pub(super) fn is_disallowed(name: &str) -> bool {
    let lower = name.to_lowercase();
    let own = [
        "desktop.ini",
        "thumbs.db",
        ".ds_store",
        "icon\r",
        ".dropbox",
        ".dropbox.attr",
        ".dropbox.cache",
    ];
    own.contains(&lower.as_str())
}

/// The form in which paths are compared.
pub(super) fn lower(path: &str) -> String {
    path.to_lowercase()
}

/// The folder of a path and the name in it. `None` for the root.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// The range of keys below a folder, in a map by lower path.
pub(super) fn below(folder: &str) -> (String, String) {
    // '0' is the character after '/'.
    (format!("{folder}/"), format!("{folder}0"))
}

/// The n-th name to try when a name is taken, as Dropbox writes it.
pub(super) fn renamed(path: &str, n: u32, folder: bool) -> String {
    let (parent, name) = split(path).unwrap_or(("", path));
    match name.rfind('.') {
        Some(dot) if !folder && dot > 0 => {
            let (stem, extension) = name.split_at(dot);
            format!("{parent}/{stem} ({n}){extension}")
        }
        _ => format!("{parent}/{name} ({n})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_a_path() {
        assert_eq!(Asked::parse(""), Some(Asked::Path(String::new())));
        assert_eq!(Asked::parse("/a/b"), Some(Asked::Path("/a/b".into())));
        assert_eq!(Asked::parse("id:x/y z"), Some(Asked::Id("id:x".into(), "/y z".into())));
        assert_eq!(Asked::parse("rev:0123456789"), Some(Asked::Rev("0123456789".into())));
        assert_eq!(Asked::parse("ns:12/a"), Some(Asked::Namespace("12".into(), "/a".into())));
        for bad in ["a", "rev:xyz", "ns:/a", "http://x/"] {
            assert_eq!(Asked::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn knows_which_names_are_taken() {
        for good in ["", "/a", "/a/b.", "/...", "/ a", "/ünï 🙂"] {
            assert!(is_wellformed(good), "{good:?}");
        }
        for bad in ["a", "//", "/a/", "/..", "/a/./b", "/a\\b", "/a ", "/\u{0}"] {
            assert!(!is_wellformed(bad), "{bad:?}");
        }
        assert!(!is_wellformed(&format!("/{}", "é".repeat(256))));
    }
}
