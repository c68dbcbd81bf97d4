//! What happened: one normalised change of one object, as the log keeps it.

use serde::{Deserialize, Serialize};
use tramontane_model::Timestamp;

use crate::metadata::Metadata;

/// What happened to the object: the most specific that is known (wire API, section 29.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new, or newly visible.
    Add,
    /// It is gone, with everything in it.
    Delete,
    /// Its content or its properties changed.
    Update,
    /// It has another name.
    Rename,
    /// It is in another folder, perhaps with another name; what is in it moved along.
    Move,
    /// It is new, made by copying.
    Copy,
    /// It is back from the trash; what is in it is told by events of its own.
    Restore,
}

impl Action {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Rename => "rename",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Restore => "restore",
        }
    }

    /// The last word of a webhook's type (wire API, section 50.3).
    #[must_use]
    pub fn past(self) -> &'static str {
        match self {
            Self::Add => "added",
            Self::Delete => "deleted",
            Self::Update => "updated",
            Self::Rename => "renamed",
            Self::Move => "moved",
            Self::Copy => "copied",
            Self::Restore => "restored",
        }
    }
}

/// The subject that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Files and folders.
    Storage,
    /// The account itself.
    Account,
    /// A task of the account.
    Task,
}

impl Category {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Account => "account",
            Self::Task => "task",
        }
    }
}

/// The subtype of an update that changed who may see the object.
pub const PERMISSIONS: &str = "permissions";

/// The object of an event, as far as its place is concerned. After the event; for a deletion, before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `file`, `folder`, or the category's own word.
    pub kind: String,
    /// The service's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The service's id of the folder it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its path from the root, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What was different before: members that did not change are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The service's id, where names are ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The service's id of the folder it was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Before {
    /// Whether nothing was different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Someone at the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The service's id of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// One event. Its sequence number is its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub action: Action,
    /// The subject.
    pub category: Category,
    /// A finer word: [`PERMISSIONS`], or what happened to an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtype: Option<String>,
    /// To what.
    pub object: Object,
    /// What was different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// When it happened, as the service says, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<i64>,
    /// When it was noticed, in microseconds.
    pub detected: i64,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The object's metadata as the runtime gave it; `null` for deletions.
    #[serde(default, skip_serializing_if = "Metadata::is_null")]
    pub entry: Metadata,
    /// Found by comparing after a cursor was lost: it may have happened long before it was noticed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// The service's ids of the folders that the object is in and was in, from the nearest up: whoever watches
    /// one of them wants to know. Not kept.
    #[serde(skip)]
    pub above: Vec<String>,
}

impl Event {
    /// `storage.file.added`: the type of webhooks and streams.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self.category {
            Category::Storage => {
                format!("storage.{}.{}", self.object.kind, self.action.past())
            }
            Category::Account | Category::Task => {
                let word = self.subtype.as_deref().unwrap_or("updated");
                format!("{}.{word}", self.category.as_str())
            }
        }
    }

    /// When it was noticed.
    #[must_use]
    pub fn detected_at(&self) -> Timestamp {
        Timestamp::from_micros(self.detected)
    }
}
