//! Native ids of the Graph connectors.
//!
//! | id | names |
//! | --- | --- |
//! | `root` | the account's own root |
//! | `site!S` | a SharePoint site |
//! | `D!root` | the root of another drive: a library, a drive that something was shared from |
//! | `D!I` | an item of a drive |
//! | `D!I!E!J` | an item of drive D that stands for item J of drive E (a shared folder put into My files) |

use tramontane_connector::{Error, Result};
use tramontane_model::NativeId;

/// The root's id.
pub(super) const ROOT: &str = "root";
const SITE: &str = "site";
const MAX_PART: usize = 512;

/// What an id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Root,
    Site(String),
    DriveRoot(String),
    Item(String, String),
    /// Drive and item that show, then drive and item that are meant.
    Shortcut([String; 4]),
}

impl Id {
    /// Reads an id as an attacker may have typed it: whatever Graph cannot have given is not found.
    pub(super) fn parse(id: &NativeId) -> Result<Self> {
        if id.as_str() == ROOT {
            return Ok(Self::Root);
        }
        let nowhere = || Error::not_found("There is no such file or folder.");
        let parts = id.split();
        if !parts.iter().all(|part| is_plausible(part)) {
            return Err(nowhere());
        }
        match <[String; 2]>::try_from(parts) {
            Ok([kind, site]) if kind == SITE => Ok(Self::Site(site)),
            Ok([drive, item]) if item == ROOT => Ok(Self::DriveRoot(drive)),
            Ok([drive, item]) => Ok(Self::Item(drive, item)),
            Err(parts) => match <[String; 4]>::try_from(parts) {
                Ok(parts) => Ok(Self::Shortcut(parts)),
                Err(_) => Err(nowhere()),
            },
        }
    }

    /// The id as callers see it.
    pub(super) fn native(&self) -> NativeId {
        match self {
            Self::Root => NativeId::new(ROOT),
            Self::Site(site) => NativeId::join(&[SITE, site]),
            Self::DriveRoot(drive) => NativeId::join(&[drive, ROOT]),
            Self::Item(drive, item) => NativeId::join(&[drive, item]),
            Self::Shortcut([a, b, c, d]) => NativeId::join(&[a, b, c, d]),
        }
    }

    /// Where content and children are: a shortcut's other end.
    pub(super) fn followed(&self) -> Self {
        match self {
            Self::Shortcut([_, _, drive, item]) => Self::Item(drive.clone(), item.clone()),
            other => other.clone(),
        }
    }

    /// The thing itself: a shortcut where it shows.
    pub(super) fn itself(&self) -> Self {
        match self {
            Self::Shortcut([drive, item, _, _]) => Self::Item(drive.clone(), item.clone()),
            other => other.clone(),
        }
    }
}

/// Ids of drives, items and sites are letters, digits and a few marks; a drive's holds `!` itself.
pub(super) fn is_plausible(part: &str) -> bool {
    let marks = |byte: u8| matches!(byte, b'!' | b'-' | b'_' | b'.' | b',' | b'=' | b'$');
    !part.is_empty()
        && part.len() <= MAX_PART
        && !part.bytes().all(|byte| byte == b'.')
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks(byte))
}

/// Whether two drive ids name one drive. Graph writes those of personal drives in either case, and at
/// times drops leading zeros.
pub(super) fn same_drive(one: &str, other: &str) -> bool {
    let bare = |id: &str| id.trim_start_matches('0').to_ascii_lowercase();
    one == other || (!one.starts_with("b!") && bare(one) == bare(other))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_go_there_and_back() {
        for id in [
            Id::Root,
            Id::Site("example.sharepoint.com,1-2,3-4".into()),
            Id::DriveRoot("b!x-Y_z".into()),
            Id::Item("AB12".into(), "AB12!s0f".into()),
            Id::Shortcut(["A".into(), "A!1".into(), "b!B".into(), "01X".into()]),
        ] {
            assert_eq!(Id::parse(&id.native()).unwrap(), id);
        }
    }

    #[test]
    fn what_graph_cannot_have_given_is_not_found() {
        for bad in [
            "", "x", "!", "a!", "!a", "..!..", "a!..", "a!b!c", "a!b/c", "a!b%2fc", "a!b?c", "a!é",
            "a!b c",
        ] {
            assert!(Id::parse(&NativeId::new(bad)).unwrap_err().is_not_found(), "{bad}");
        }
    }

    #[test]
    fn personal_drives_are_known_by_any_of_their_spellings() {
        assert!(same_drive("0ab1", "AB1") && same_drive("b!x", "b!x"));
        assert!(!same_drive("b!x", "b!X") && !same_drive("ab1", "ab2"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Ok(id) = Id::parse(&NativeId::new(text.clone())) {
                prop_assert_eq!(Id::parse(&id.native()).unwrap(), id);
            }
        }
    }
}
