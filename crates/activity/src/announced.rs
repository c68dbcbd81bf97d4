//! Events that no service tells: what happened to an account itself, and how its tasks ended.

use serde_json::Value;

use crate::event::{Action, Category, Event, Object};

/// What happened (wire API, section 50.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The account was connected.
    Connected,
    /// Something of the account was changed, or it was connected again.
    Updated,
    /// The service does not take the account's credential any more: its owner has to connect it again.
    NeedsReconnect,
    /// The application switched the account off.
    Disabled,
    /// The account was deleted.
    Deleted,
    /// A task of the account came to its end.
    TaskCompleted,
    /// A task of the account failed or was cancelled.
    TaskFailed,
}

const ALL: [Announced; 7] = [
    Announced::Connected,
    Announced::Updated,
    Announced::NeedsReconnect,
    Announced::Disabled,
    Announced::Deleted,
    Announced::TaskCompleted,
    Announced::TaskFailed,
];

impl Announced {
    /// The type of the event.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Connected => "account.connected",
            Self::Updated => "account.updated",
            Self::NeedsReconnect => "account.needs_reconnect",
            Self::Disabled => "account.disabled",
            Self::Deleted => "account.deleted",
            Self::TaskCompleted => "task.completed",
            Self::TaskFailed => "task.failed",
        }
    }

    /// Reads a type.
    #[must_use]
    pub fn parse(type_name: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.type_name() == type_name)
    }

    fn action(self) -> Action {
        match self {
            Self::Connected => Action::Add,
            Self::Deleted => Action::Delete,
            _ => Action::Update,
        }
    }

    fn category(self) -> Category {
        match self {
            Self::TaskCompleted | Self::TaskFailed => Category::Task,
            _ => Category::Account,
        }
    }

    /// The event for the account's feed. `subject` is the id of what it is about, `name` what people know that
    /// by, `details` what else is known; `at` and `now` are in microseconds.
    #[must_use]
    pub fn event(self, subject: &str, name: &str, details: Value, at: i64, now: i64) -> Event {
        let category = self.category();
        let word = self.type_name().rsplit_once('.').map_or("updated", |(_, word)| word);
        Event {
            action: self.action(),
            category,
            subtype: Some(word.to_owned()),
            object: Object {
                kind: category.as_str().to_owned(),
                id: subject.to_owned(),
                name: name.to_owned(),
                parent: None,
                path: None,
            },
            before: None,
            happened: Some(at),
            detected: now,
            actor: None,
            entry: details.into(),
            recovered: false,
            above: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back_and_are_those_of_their_events() {
        for one in ALL {
            assert_eq!(Announced::parse(one.type_name()), Some(one));
            let event = one.event("7", "ana@example.com", Value::Null, 1, 2);
            assert_eq!(event.type_name(), one.type_name());
        }
        assert_eq!(Announced::parse("storage.file.added"), None);
    }
}
