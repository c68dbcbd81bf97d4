//! Events of collections themselves: a shared drive or a library that an account got to see, or sees no longer.

use tramontane_activity::{Action, Category, Event, Metadata, Object};
use tramontane_connector::Entry;

use crate::entries;

fn event(action: Action, object: Object, now: i64) -> Event {
    Event {
        action,
        category: Category::Storage,
        subtype: None,
        above: object.parent.clone().into_iter().collect(),
        object,
        before: None,
        happened: None,
        detected: now,
        actor: None,
        entry: Metadata::default(),
        recovered: false,
    }
}

/// The account sees a collection that lies below this folder.
pub(crate) fn came(root: &Entry, now: i64) -> Event {
    let object = Object {
        kind: "folder".to_owned(),
        id: root.id.as_str().to_owned(),
        name: root.name.clone(),
        parent: root.parent.as_ref().map(|parent| parent.id.as_str().to_owned()),
        path: root.path.clone(),
    };
    Event { entry: entries::kept(root), ..event(Action::Add, object, now) }
}

/// The account does not see a collection any more.
pub(crate) fn left(root: &str, name: Option<&str>, now: i64) -> Event {
    let object = Object {
        kind: "folder".to_owned(),
        id: root.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        parent: None,
        path: None,
    };
    event(Action::Delete, object, now)
}
