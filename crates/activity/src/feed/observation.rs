//! What was seen: an entry as it is now, that one is gone, or that a folder holds no more than this.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Actor;
use crate::feed::item::{Item, ItemKind};
use crate::metadata::Metadata;

/// What the service itself calls a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hint {
    /// Made by copying.
    Copied,
    /// Brought back from the trash.
    Restored,
    /// Who may see it changed.
    Shared,
}

/// An entry as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct There {
    /// File or folder.
    pub kind: ItemKind,
    /// The service's id.
    pub id: String,
    /// The key of the folder it is in.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// Its path, where the service tells.
    pub path: Option<String>,
    /// Changes with the content, stays through moves. 0 for folders.
    pub fingerprint: u64,
    /// Whether equal fingerprints mean the same content, wherever the two lie; never for empty files.
    pub strong: bool,
    /// Bytes of its content, where the service tells.
    #[serde(default)]
    pub size: Option<u64>,
    /// Changes with who may see it; `None` when this observation does not tell.
    pub sharing: Option<u64>,
    /// It existed long before it was seen: a folder that was shared, or moved into sight, whose contents are
    /// not told.
    pub old: bool,
    /// Its metadata, handed on into the event.
    pub entry: Metadata,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// It is there.
    There(#[serde(with = "shared")] Arc<There>),
    /// It is gone; with everything in it when it is a folder.
    Gone {
        /// It lies in the trash.
        trashed: bool,
        /// The key of the folder that it lies in there, where the service tells. It may be that folder that
        /// is in the trash; should it come back before anything is told of it, it must be listed.
        within: Option<String>,
    },
    /// The folder was listed: of what was known in it, only what this batch shows is still there.
    Whole,
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Of what: an id or a path, as the collection is keyed.
    pub key: String,
    /// What.
    pub seen: Seen,
    /// When it happened, as the service says, in microseconds.
    pub at: Option<i64>,
    /// Who did it.
    pub by: Option<Actor>,
    /// What the service calls it.
    pub hint: Option<Hint>,
}

impl There {
    /// What is remembered of it. What this observation does not tell is kept from before.
    #[must_use]
    pub fn item(&self, before: Option<&Item>) -> Item {
        Item {
            kind: self.kind,
            id: self.id.clone(),
            parent: self.parent.clone(),
            name: self.name.clone(),
            fingerprint: self.fingerprint,
            strong: self.strong,
            size: self.size,
            sharing: self.sharing.unwrap_or_else(|| before.map_or(0, |item| item.sharing)),
            gone: false,
        }
    }
}

/// What many hold, written as if each had it alone.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        one: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        one.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
