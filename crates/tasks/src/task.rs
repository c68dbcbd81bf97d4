//! A task as callers see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tramontane_model::{AccountId, Timestamp};

use crate::progress::Counts;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waiting for its turn.
    #[serde(rename = "PENDING")]
    Pending,
    /// Under way.
    #[serde(rename = "STARTED")]
    Started,
    /// Ended well.
    #[serde(rename = "SUCCESS")]
    Succeeded,
    /// Ended with an error.
    #[serde(rename = "FAILURE")]
    Failed,
    /// Cancelled before it ended.
    #[serde(rename = "REVOKED")]
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Started, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Started => "STARTED",
            Self::Succeeded => "SUCCESS",
            Self::Failed => "FAILURE",
            Self::Cancelled => "REVOKED",
        }
    }

    /// Reads the word, in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Started)
    }
}

/// How a task ended: what the API answers from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// The body; `None` when there is none.
    pub body: Option<Value>,
}

impl Outcome {
    /// Whether it ended well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// The account it is for.
    pub account: AccountId,
    /// What it does, as [`crate::Kind::as_str`] says it.
    pub operation: String,
    /// Where it stands.
    pub state: State,
    /// How far it is.
    pub counts: Counts,
    /// When it was made.
    pub created: Timestamp,
    /// When it was written last.
    pub modified: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it ended, when it has.
    pub outcome: Option<Outcome>,
}

/// The outcome of one item of folder or batch work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// From 0, in the order in which they ended. Set by [`crate::Work::report`].
    #[serde(default)]
    pub number: u64,
    /// What it was, unique in its task: its id, or its place among the requests of a batch.
    pub key: String,
    /// What people know it by.
    pub name: String,
    /// Whether it was done, left out, or failed.
    pub status: ItemStatus,
    /// Our id of what came of it, when something did.
    pub id: Option<String>,
    /// The error body, when it failed.
    pub error: Option<Value>,
}

/// How one item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemStatus {
    /// Done.
    Done,
    /// Left out on purpose (it cannot be downloaded, say).
    Skipped,
    /// It failed.
    Failed,
}

impl ItemStatus {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Done, Self::Skipped, Self::Failed].into_iter().find(|one| one.as_str() == word)
    }
}
