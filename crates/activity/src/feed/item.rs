//! One file or folder as the feed remembers it: enough to tell what became of it, and no more.

use serde::{Deserialize, Serialize};

/// File or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// Has content.
    File,
    /// Has children.
    Folder,
}

impl ItemKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
        }
    }
}

/// What is remembered of a file or folder, under its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// File or folder.
    pub kind: ItemKind,
    /// The service's id.
    pub id: String,
    /// The key of the folder it is in; `None` directly below nothing (the root itself, or what was shared
    /// without its folder).
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// Changes with the content, stays through moves. 0 for folders.
    pub fingerprint: u64,
    /// Whether equal fingerprints mean the same content, wherever the two lie; never for empty files.
    pub strong: bool,
    /// Changes with who may see it; 0 when the service does not tell.
    pub sharing: u64,
    /// Bytes of its content; `None` for folders, where the service does not tell, and for what was remembered
    /// before sizes were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// It is in the trash: remembered so that its return is told from an addition.
    pub gone: bool,
}
