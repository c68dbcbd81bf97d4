//! Paths of a local folder as ids: checked, confined, and reversible for names that are not UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use tramontane_connector::{Error, Result};
use tramontane_model::NativeId;

/// The id of the root.
pub(super) const ROOT: &str = "/";
/// What the names of uploads that are under way begin with.
pub(super) const UPLOAD_PREFIX: &str = ".tramontane-upload-";
/// A byte that is not UTF-8 is written as this character plus the byte (the end of private-use plane
/// 16; characters that stand there themselves are written byte by byte).
const ESCAPE: u32 = 0x10_FF00;

/// A checked path: plain names from the root on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalPath(Vec<String>);

impl LocalPath {
    pub(super) fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads an id. Whatever is not a clean absolute path names nothing.
    pub(super) fn read(id: &NativeId) -> Result<Self> {
        let missing = || Error::not_found("There is no such file or folder.");
        let rest = id.as_str().strip_prefix('/').ok_or_else(missing)?;
        if rest.is_empty() {
            return Ok(Self::root());
        }
        let names: Vec<String> = rest.split('/').map(str::to_owned).collect();
        let clean = names
            .iter()
            .all(|name| !matches!(name.as_str(), "" | "." | "..") && !name.contains('\0'));
        if clean { Ok(Self(names)) } else { Err(missing()) }
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn child(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// Whether `other` is this folder or lies below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    pub(super) fn id(&self) -> NativeId {
        NativeId::new(self.to_string())
    }

    /// The path on disk, below the root's handle.
    pub(super) fn on_disk(&self) -> PathBuf {
        if self.is_root() {
            return PathBuf::from(".");
        }
        self.0.iter().map(|name| disk_name(name)).collect()
    }
}

impl std::fmt::Display for LocalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_root() {
            return f.write_str(ROOT);
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

/// A name as the disk has it.
pub(super) fn disk_name(name: &str) -> OsString {
    let mut bytes = Vec::with_capacity(name.len());
    for letter in name.chars() {
        match u8::try_from(u32::from(letter).wrapping_sub(ESCAPE)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    OsString::from_vec(bytes)
}

/// A name of the disk as a string.
pub(super) fn shown_name(name: &OsStr) -> String {
    let mut shown = String::with_capacity(name.len());
    let escape = |shown: &mut String, bytes: &[u8]| {
        for byte in bytes {
            shown.extend(char::from_u32(ESCAPE + u32::from(*byte)));
        }
    };
    for piece in name.as_bytes().utf8_chunks() {
        for letter in piece.valid().chars() {
            if u32::from(letter) >= ESCAPE {
                escape(&mut shown, letter.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                shown.push(letter);
            }
        }
        escape(&mut shown, piece.invalid());
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_clean_paths_only() {
        let read = |id: &str| LocalPath::read(&NativeId::new(id)).map(|path| path.to_string()).ok();
        assert_eq!(read("/").as_deref(), Some("/"));
        assert_eq!(read("/a/b").as_deref(), Some("/a/b"));
        for bad in
            ["", "a", "/a/", "//a", "/a//b", "/../etc/passwd", "/a/../b", "/.", "/a\0b", "../x"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below() {
        let path = |id: &str| LocalPath::read(&NativeId::new(id)).unwrap_or(LocalPath::root());
        assert!(path("/a").holds(&path("/a")));
        assert!(path("/a").holds(&path("/a/b")));
        assert!(!path("/a").holds(&path("/ab")));
    }

    proptest! {
        #[test]
        fn any_name_of_the_disk_comes_back(bytes in proptest::collection::vec(1u8..=255, 1..60)) {
            let name = OsString::from_vec(bytes);
            prop_assert_eq!(disk_name(&shown_name(&name)), name);
        }

        #[test]
        fn private_characters_come_back(name in "[\u{10FEF0}-\u{10FFFF}a-z]{1,20}") {
            let disk = OsString::from(name);
            prop_assert_eq!(disk_name(&shown_name(&disk)), disk);
        }
    }
}
