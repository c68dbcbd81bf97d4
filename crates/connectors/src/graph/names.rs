//! Which names OneDrive and SharePoint take. Source: "Restrictions and limitations in OneDrive and
//! SharePoint" (support.microsoft.com), and "Addressing resources in a drive on OneDrive" for how they
//! are written into a path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tramontane_connector::{Error, NameRules, Result};

/// Characters that no name may hold.
pub(super) const FORBIDDEN: &[char] = &[
    '"', '*', ':', '<', '>', '?', '/', '\\', '|', '\u{1}', '\u{2}', '\u{3}', '\u{4}', '\u{5}',
    '\u{6}', '\u{7}', '\u{8}', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{e}', '\u{f}', '\u{10}',
    '\u{11}', '\u{12}', '\u{13}', '\u{14}', '\u{15}', '\u{16}', '\u{17}', '\u{18}', '\u{19}',
    '\u{1a}', '\u{1b}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', '\u{7f}',
];

/// 255 characters; told in bytes, so that every name of so many bytes fits.
pub(super) const RULES: NameRules =
    NameRules { max_bytes: 255, forbidden: FORBIDDEN, trailing_dot_or_space: false };

const MAX_CHARACTERS: usize = 255;

/// What may stand in a URL's path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name or id as a path writes it.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A text within the quotes of an OData function, as a path writes it: quotes are doubled.
pub(super) fn quoted(text: &str) -> String {
    escaped(&text.replace('\'', "''"))
}

/// Checks a name.
///
/// # Errors
/// `Invalid`, naming the rule.
pub(super) fn check(name: &str) -> Result<()> {
    let lower = name.to_lowercase();
    let numbered = |device: &str| {
        let rest = lower.strip_prefix(device).map(str::as_bytes);
        matches!(rest, Some([digit]) if digit.is_ascii_digit())
    };
    let reserved =
        matches!(lower.as_str(), ".lock" | "con" | "prn" | "aux" | "nul" | "desktop.ini")
            || numbered("com")
            || numbered("lpt");
    let rule = if name.contains(FORBIDDEN) {
        "must not contain any of \" * : < > ? / \\ | or control characters"
    } else if name.starts_with(' ') || name.ends_with([' ', '.']) {
        "must not begin with a space or end with a space or dot"
    } else if name.starts_with("~$") {
        "must not begin with \"~$\""
    } else if lower.contains("_vti_") {
        "must not contain \"_vti_\""
    } else if reserved {
        "must not be one of .lock, CON, PRN, AUX, NUL, COM0 to COM9, LPT0 to LPT9, desktop.ini"
    } else if name.chars().count() > MAX_CHARACTERS {
        "must be at most 255 characters long"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("name {rule}: OneDrive and SharePoint do not take it.")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn reserved_names_are_refused_before_anything_is_sent() {
        for good in ["a", "100% #1", "~tilde", "..double", "COM", "com10", "null", "é"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [" a", "a ", "a.", "a:b", "con", "LPT0", ".LOCK", "~$doc", "x_VTI_", "a\u{7f}"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"é".repeat(255)).is_ok() && check(&"é".repeat(256)).is_err());
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quoted("it's"), "it%27%27s");
    }

    proptest! {
        #[test]
        fn a_name_stays_one_segment(name in "[^/\u{0}-\u{1f}\u{7f}\"*:<>?\\\\|]{1,80}") {
            prop_assume!(check(&name).is_ok());
            let url = Url::parse(&format!("https://h/v1.0/root:/{}:/content", escaped(&name))).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 4);
            let back = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
            prop_assert_eq!(back, format!("{name}:"));
            prop_assert!(url.query().is_none() && url.fragment().is_none());
        }
    }
}
