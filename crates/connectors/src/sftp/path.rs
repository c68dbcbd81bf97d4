//! Paths of an SFTP account as ids: checked, and laid under the account's folder.

use tramontane_connector::error::Kind;
use tramontane_connector::{Error, Place, Result};
use tramontane_model::NativeId;

/// The id of the root.
pub(super) const ROOT: &str = "/";
/// What the names of uploads that are under way begin with.
pub(super) const UPLOAD_PREFIX: &str = ".tramontane-upload-";

/// A checked path below the account's folder: `/`, `/a`, `/a/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SftpPath(String);

impl SftpPath {
    /// Reads an id. Whatever is not a clean absolute path names nothing.
    pub(super) fn read(id: &NativeId) -> Result<Self> {
        let missing = || Error::not_found("There is no such file or folder.");
        let rest = id.as_str().strip_prefix('/').ok_or_else(missing)?;
        let clean = rest.is_empty()
            || rest.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'));
        if clean { Ok(Self(id.as_str().to_owned())) } else { Err(missing()) }
    }

    /// The path of a place, its name checked.
    pub(super) fn of(at: &Place) -> Result<Self> {
        let parent = Self::read(&at.parent).map_err(|_| {
            Error::new(Kind::ParentNotFound, "There is no such folder to put it into.")
        })?;
        if at.name.len() > 255 {
            return Err(Error::invalid("name is longer than the server takes (255 bytes)."));
        }
        if at.name.starts_with(UPLOAD_PREFIX) {
            return Err(Error::invalid("name must not begin with \".tramontane-upload-\"."));
        }
        Ok(parent.child(&at.name))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0 == ROOT
    }

    pub(super) fn child(&self, name: &str) -> Self {
        if self.is_root() { Self(format!("/{name}")) } else { Self(format!("{}/{name}", self.0)) }
    }

    pub(super) fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let (above, _) = self.0.rsplit_once('/')?;
        Some(Self(if above.is_empty() { ROOT.to_owned() } else { above.to_owned() }))
    }

    pub(super) fn name(&self) -> Option<&str> {
        if self.is_root() { None } else { self.0.rsplit_once('/').map(|(_, name)| name) }
    }

    /// Whether `other` is this folder or lies below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.is_root()
            || other.0 == self.0
            || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(super) fn id(&self) -> NativeId {
        NativeId::new(self.0.clone())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path at the server, below the account's folder.
    pub(super) fn at(&self, base: &str) -> String {
        match (base, self.is_root()) {
            (ROOT, _) => self.0.clone(),
            (base, true) => base.to_owned(),
            (base, false) => format!("{base}{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_clean_paths_only() {
        for bad in ["", "a", "/a/", "//a", "/../x", "/a/..", "/.", "/a\0"] {
            assert!(SftpPath::read(&NativeId::new(bad)).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_id_leads_out_of_the_folder(id in "[/.a]{0,12}") {
            if let Ok(path) = SftpPath::read(&NativeId::new(id)) {
                let full = path.at("/home/ana");
                prop_assert!(full.starts_with("/home/ana"));
                prop_assert!(!full.split('/').any(|name| name == ".."));
            }
        }
    }
}
