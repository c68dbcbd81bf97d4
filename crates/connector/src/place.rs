//! Where something is to be put, and what to do when something is there already.

use tramontane_model::{NativeId, Timestamp};

use crate::entry::ETag;
use crate::error::{Error, Result};

/// The longest name that the API takes, in bytes.
pub const MAX_NAME_BYTES: usize = 1_024;

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub parent: NativeId,
    /// The name in it. Checked by [`check_name`] before a connector sees it.
    pub name: String,
}

impl Place {
    /// A name in a folder.
    #[must_use]
    pub fn new(parent: NativeId, name: impl Into<String>) -> Self {
        Self { parent, name: name.into() }
    }
}

/// What to do when the name is taken. "Keep both" is made of `Fail` by the gap filler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Refuse with a conflict and change nothing. Atomic where [`tramontane_model::Op::FileConditional`]
    /// is native, else looked up first.
    Fail,
    /// Replace the content of the file that is there. A folder is never replaced by a file, nor a
    /// file by a folder: that is a conflict.
    Replace,
}

/// How to write content.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// What to do when the name is taken.
    pub conflict: Conflict,
    /// Only when the file that is there has this etag.
    pub if_match: Option<ETag>,
    /// The modification time to keep, where the service can.
    pub modified: Option<Timestamp>,
}

impl WriteOptions {
    /// Refuse when the name is taken.
    #[must_use]
    pub fn fail() -> Self {
        Self { conflict: Conflict::Fail, if_match: None, modified: None }
    }

    /// Replace what is there.
    #[must_use]
    pub fn replace() -> Self {
        Self { conflict: Conflict::Replace, if_match: None, modified: None }
    }
}

/// Checks the rules that hold for names on every service (wire API, section 21.4).
///
/// # Errors
/// `Invalid`, naming the rule.
pub fn check_name(name: &str) -> Result<()> {
    let rule = if name.is_empty() {
        "must not be empty"
    } else if name == "." || name == ".." {
        "must not be \".\" or \"..\""
    } else if name.contains('/') {
        "must not contain \"/\""
    } else if name.contains('\0') {
        "must not contain NUL"
    } else if name.len() > MAX_NAME_BYTES {
        "must be at most 1024 bytes long"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("name {rule}.")))
}

/// The n-th name to try when `name` is taken: ` (n)` before the last extension, at the end for
/// folders and for names without an extension (wire API, section 10).
#[must_use]
pub fn free_name(name: &str, n: u32, folder: bool) -> String {
    match name.rfind('.') {
        Some(dot) if !folder && dot > 0 => {
            let (stem, extension) = name.split_at(dot);
            format!("{stem} ({n}){extension}")
        }
        _ => format!("{name} ({n})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_names_keep_the_last_extension() {
        assert_eq!(free_name("a.tar.gz", 1, false), "a.tar (1).gz");
        assert_eq!(free_name("notes", 2, false), "notes (2)");
        assert_eq!(free_name(".profile", 1, false), ".profile (1)");
        assert_eq!(free_name("v1.2", 1, true), "v1.2 (1)");
    }

    #[test]
    fn refuses_names_that_no_service_can_hold() {
        for bad in ["", ".", "..", "a/b", "a\0"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name(&"a".repeat(MAX_NAME_BYTES + 1)).is_err());
        assert!(check_name("...").is_ok());
        assert!(check_name(" a?#%;. ").is_ok());
    }
}
