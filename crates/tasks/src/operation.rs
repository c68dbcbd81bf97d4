//! What a task does: one write of the API, kept so that it can be done later and by another process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which kind of write it is: the word in `info.operation`, and the rule for doing it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Make a file from a body.
    Upload,
    /// Make a file from a URL.
    UploadFromUrl,
    /// Replace a file's content.
    Replace,
    /// Give another name or folder or account.
    Move,
    /// Copy a file or a folder.
    Copy,
    /// Delete a file or a folder.
    Delete,
    /// Make a folder.
    CreateFolder,
    /// Change who may see an object.
    Permissions,
    /// Change an object's properties.
    Properties,
    /// Bring back from the trash, or an earlier version.
    Restore,
    /// Make, change or remove a link.
    Link,
    /// Put the parts of an upload together.
    CompleteUpload,
    /// Several of these in order.
    Batch,
    /// Any other write.
    Other,
}

impl Kind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::UploadFromUrl => "upload_from_url",
            Self::Replace => "replace",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::CreateFolder => "create_folder",
            Self::Permissions => "permissions",
            Self::Properties => "properties",
            Self::Restore => "restore",
            Self::Link => "link",
            Self::CompleteUpload => "complete_upload",
            Self::Batch => "batch",
            Self::Other => "other",
        }
    }

    /// What to do with such a task when the process that ran it died in the middle.
    #[must_use]
    pub fn again(self) -> Again {
        match self {
            // Doing these twice is the same as doing them once.
            Self::Replace
            | Self::Delete
            | Self::Permissions
            | Self::Properties
            | Self::CompleteUpload => Again::Repeat,
            // These note where they write before they write, and look there first.
            Self::Upload
            | Self::UploadFromUrl
            | Self::Move
            | Self::Copy
            | Self::CreateFolder
            | Self::Batch => Again::Resume,
            Self::Restore | Self::Link | Self::Other => Again::Fail,
        }
    }
}

/// What to do with a task whose process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Run it again: twice is the same as once.
    Repeat,
    /// Run it again with its notes ([`crate::Work::note`]); it finds out itself how far it came.
    Resume,
    /// It cannot be told whether it was done: end it with a message that says so.
    Fail,
}

/// The body of the request that a task was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// None.
    None,
    /// JSON.
    Json(Value),
    /// Content, kept in the spool under this name until the task has ended.
    Spooled {
        /// Its name in the spool.
        name: String,
        /// In bytes.
        size: u64,
        /// SHA-256 in hex, when it was computed.
        sha256: Option<String>,
    },
}

/// One write of the API with everything that decides what it does. Holds no credential: who asked is
/// kept as the caller's identity, not as a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Which kind.
    pub kind: Kind,
    /// The HTTP method.
    pub method: String,
    /// The path below the account: `/storage/files/file_eA/copy`.
    pub path: String,
    /// The query, without `?`.
    pub query: String,
    /// The headers that matter (content type, metadata, preconditions), in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub payload: Payload,
    /// Who asked, in the form of whoever made the task.
    pub caller: Value,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_operation_comes_back_from_its_stored_form() {
        let operation = Operation {
            kind: Kind::Upload,
            method: "POST".into(),
            path: "/storage/files".into(),
            query: "overwrite=true".into(),
            headers: BTreeMap::from([("content-type".into(), "text/plain".into())]),
            payload: Payload::Spooled { name: "tsk_1".into(), size: 7, sha256: None },
            caller: serde_json::json!({"application": "a"}),
        };
        let text = serde_json::to_string(&operation).unwrap();
        assert_eq!(serde_json::from_str::<Operation>(&text).unwrap(), operation);
    }
}
