//! Which names OneDrive and SharePoint take, after "Restrictions and limitations in OneDrive and
//! SharePoint" (support.microsoft.com): characters, reserved names, lengths.

use super::fault::{Fault, bad};

const FORBIDDEN: &[char] = &['"', '*', ':', '<', '>', '?', '/', '\\', '|'];

/// The longest decoded path, in characters.
pub(super) const MAX_PATH: usize = 400;
const MAX_NAME: usize = 255;

/// Checks one name.
pub(super) fn check(name: &str) -> Result<(), Fault> {
    let lower = name.to_lowercase();
    let device = |prefix: &str| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let reserved =
        matches!(lower.as_str(), ".lock" | "con" | "prn" | "aux" | "nul" | "desktop.ini")
            || device("com")
            || device("lpt");
    let wrong = name.is_empty()
        || name.contains(FORBIDDEN)
        || name.contains(|one: char| one.is_control())
        || name.starts_with(' ')
        || name.ends_with([' ', '.'])
        || name.starts_with("~$")
        || lower.contains("_vti_")
        || reserved;
    if wrong {
        return Err(bad("The provided name cannot contain the characters or words that it holds.")
            .inner("invalidPath"));
    }
    if name.chars().count() > MAX_NAME {
        return Err(bad("The provided name is too long.").inner("parameterIsTooLong"));
    }
    Ok(())
}

/// Names as they are compared.
pub(super) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// The n-th name to try for `rename`: `name 1.ext`, as the service does it.
pub(super) fn numbered(name: &str, n: u32, folder: bool) -> String {
    match name.rfind('.') {
        Some(dot) if !folder && dot > 0 => {
            let (stem, extension) = name.split_at(dot);
            format!("{stem} {n}{extension}")
        }
        _ => format!("{name} {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_service_refuses() {
        for good in ["a", "a#b", "100%", "~tilde", "..double", "comet", "com10", "CON.txt", "é"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            " a",
            "a ",
            "a.",
            "a:b",
            "CON",
            "com1",
            "LPT9",
            ".lock",
            "~$x",
            "x_vti_y",
            "Desktop.ini",
            "a\tb",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check(&"é".repeat(255)).is_ok() && check(&"é".repeat(256)).is_err());
    }
}
