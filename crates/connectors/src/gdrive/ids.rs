//! Ids: Drive's own, and the folders that Drive does not have but that people see beside My Drive.

use tramontane_connector::{EntryKind, Error};
use tramontane_model::NativeId;

/// My Drive. Drive takes this word in place of the folder's id.
pub(super) const ROOT: &str = "root";
/// The folder that holds the shared drives. No id of Drive's has a `~`.
pub(super) const DRIVES: &str = "~shared-drives";
/// The folder that holds what others shared.
pub(super) const SHARED: &str = "~shared-with-me";

/// The folders that are not Drive's, with the names that Drive's own web page has for them.
pub(super) const VIRTUAL: &[(&str, &str)] =
    &[(DRIVES, "Shared drives"), (SHARED, "Shared with me")];

/// The longest id that is sent, in bytes.
const MAX_ID: usize = 256;

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// My Drive.
    Root,
    /// The folder of shared drives.
    Drives,
    /// The folder of what others shared.
    Shared,
    /// Something of Drive's.
    Item(&'a str),
}

impl<'a> Target<'a> {
    /// What this id names; `None` when it can be no id of Drive's.
    pub(super) fn of(id: &'a NativeId) -> Option<Self> {
        match id.as_str() {
            ROOT => Some(Self::Root),
            DRIVES => Some(Self::Drives),
            SHARED => Some(Self::Shared),
            other => is_id(other).then_some(Self::Item(other)),
        }
    }
}

/// Whether a text can be an id of Drive's: letters, digits, `-` and `_`.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// It is not there.
pub(super) fn missing(kind: EntryKind) -> Error {
    match kind {
        EntryKind::File => Error::not_found("The file is not there."),
        EntryKind::Folder => Error::not_found("The folder is not there."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_ids_from_folders_of_ours() {
        let of = |text: &str| {
            let id = NativeId::new(text);
            format!("{:?}", Target::of(&id))
        };
        assert_eq!(of("root"), "Some(Root)");
        assert_eq!(of("~shared-drives"), "Some(Drives)");
        assert_eq!(of("1aB-_9"), "Some(Item(\"1aB-_9\"))");
        for bad in ["", "..", "a/b", "a b", "~x", "a%2f", "é", "a?b", &"x".repeat(257)] {
            assert_eq!(of(bad), "None", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_never_leave_their_place_in_a_path(text in ".{0,40}") {
            if is_id(&text) {
                prop_assert!(!text.contains(['/', '?', '#', '%', '\\', '.', ':', '&']));
            }
        }
    }
}
