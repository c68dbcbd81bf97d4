//! Events about accounts themselves: connected, changed, cut off, switched off, deleted.

use crate::event::{Action, Category, Event, Object};
use crate::metadata::Metadata;

/// What happened to an account (wire API, section 50.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// It was connected.
    Connected,
    /// Something of it was changed, or it was connected again.
    Updated,
    /// The service does not take its credential any more: its owner has to connect it again.
    NeedsReconnect,
    /// The application switched it off.
    Disabled,
    /// It was deleted.
    Deleted,
}

impl AccountChange {
    /// The last word of the event's type: `account.connected`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Updated => "updated",
            Self::NeedsReconnect => "needs_reconnect",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Connected => Action::Add,
            Self::Deleted => Action::Delete,
            Self::Updated | Self::NeedsReconnect | Self::Disabled => Action::Update,
        }
    }

    /// The event for the account's feed. `name` is what people know the account by, `now` in
    /// microseconds.
    #[must_use]
    pub fn event(self, account: i64, name: &str, now: i64) -> Event {
        Event {
            action: self.action(),
            category: Category::Account,
            subtype: Some(self.as_str().to_owned()),
            object: Object {
                kind: "account".to_owned(),
                id: account.to_string(),
                name: name.to_owned(),
                parent: None,
                path: None,
            },
            before: None,
            happened: Some(now),
            detected: now,
            actor: None,
            entry: Metadata::default(),
            recovered: false,
            above: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_contract() {
        for (change, name) in [
            (AccountChange::Connected, "account.connected"),
            (AccountChange::Updated, "account.updated"),
            (AccountChange::NeedsReconnect, "account.needs_reconnect"),
            (AccountChange::Disabled, "account.disabled"),
            (AccountChange::Deleted, "account.deleted"),
        ] {
            assert_eq!(change.event(7, "ana@example.com", 1).type_name(), name);
        }
    }
}
