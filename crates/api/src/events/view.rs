//! An event as it is shown (wire API, section 29.2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tramontane_activity::{Action, Category, Event};
use tramontane_connector::{Entry, EntryKind, EntryRef};
use tramontane_feeds::Numbered;
use tramontane_model::{Kind, NativeId, ResourceId, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::objects::Above;
use crate::problem::{Answer, Problem};
use crate::render::Render;

/// One event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct One {
    /// The event's own id, unique and stable.
    id: String,
    /// `add`, `delete`, `update`, `rename`, `move`, `copy`, `restore`.
    r#type: &'static str,
    /// Always `events`.
    api: &'static str,
    /// Where it is retrieved.
    href: String,
    /// The account.
    account: i64,
    /// Its application: in webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    /// Deprecated: `+`, `-` or `~`.
    action: &'static str,
    /// When it happened, as the service says.
    #[schema(value_type = Option<String>, format = DateTime)]
    modified: Option<Timestamp>,
    /// Always `null`: no service tells it.
    ip: Option<String>,
    /// Who did it.
    user_id: Option<String>,
    /// `storage`, `account` or `task`.
    event_category: &'static str,
    /// As `type`.
    event_type: &'static str,
    /// A finer word.
    event_subtype: Option<String>,
    /// The object after the event; for deletions what was known of it.
    #[schema(value_type = Object)]
    metadata: Value,
    /// What was different before.
    previous: Option<Previous>,
    /// Its number in the feed.
    sequence: i64,
    /// When it was noticed.
    #[schema(value_type = String, format = DateTime)]
    detected: Timestamp,
    /// Whether it was found by comparing after the service had lost its place: it may have happened long
    /// before.
    recovered: bool,
}

/// Members of the object that were different before the event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPrevious)]
pub(crate) struct Previous {
    /// The object's id, where names are ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The folder it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Above>,
    /// Its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// Shows the events of one account.
pub(crate) struct View<'a> {
    account: i64,
    service: &'a str,
    /// What hrefs begin with.
    base: &'a str,
    /// Named in each event, where one reader gets those of many.
    application: Option<&'a str>,
    /// `None` for services without files, and for accounts that are not there any more.
    render: Option<Render<'a>>,
}

impl<'a> View<'a> {
    /// The events of this account.
    pub(crate) fn of(account: &'a Account) -> Self {
        Self {
            account: account.id().number(),
            service: &account.opened.row.service,
            base: &account.call.base,
            application: None,
            render: Render::plain(account).ok(),
        }
    }

    /// The events of an account that is not there any more. `base` is what hrefs begin with.
    pub(crate) fn of_gone(account: i64, service: &'a str, base: &'a str) -> Self {
        Self { account, service, base, application: None, render: None }
    }

    /// Names the application in each event.
    pub(crate) fn naming(self, application: &'a str) -> Self {
        Self { application: Some(application), ..self }
    }

    fn href(&self, tail: &str) -> String {
        format!("{}/v1/accounts/{}{tail}", self.base, self.account)
    }

    /// One event.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub(crate) fn one(&self, numbered: Numbered) -> Answer<One> {
        let Numbered { feed, sequence, event, .. } = numbered;
        let id = event_id(feed, sequence);
        let user = event.actor.as_ref().and_then(|actor| actor.id.as_deref());
        Ok(One {
            href: self.href(&format!("/events/{id}")),
            application: self.application.map(str::to_owned),
            id,
            r#type: event.action.as_str(),
            api: "events",
            account: self.account,
            action: mark(event.action),
            modified: event.happened.map(Timestamp::from_micros),
            ip: None,
            user_id: user.map(|id| ResourceId::new(Kind::User, NativeId::new(id)).to_string()),
            event_category: event.category.as_str(),
            event_type: event.action.as_str(),
            event_subtype: event.subtype.clone(),
            previous: self.previous(&event),
            sequence,
            detected: event.detected_at(),
            recovered: event.recovered,
            metadata: self.metadata(event)?,
        })
    }

    fn metadata(&self, event: Event) -> Answer<Value> {
        let render = self.render.as_ref().filter(|_| event.category == Category::Storage);
        if let (Some(render), false) = (render, event.entry.is_null()) {
            // What is kept in the log was written by this or an older version, whose members it knows.
            match event.entry.read::<Entry>() {
                Ok(entry) => {
                    let has_raw = entry.raw.is_some();
                    let mut object = render.object(entry);
                    if !has_raw {
                        object.extra().raw = None;
                    }
                    return serde_json::to_value(object).map_err(Problem::internal);
                }
                Err(error) => tracing::error!(%error, "an event's metadata cannot be read"),
            }
        }
        Ok(self.known(&event))
    }

    /// What is known of an object that is not there any more.
    fn known(&self, event: &Event) -> Value {
        let account = self.account;
        let object = &event.object;
        let mut members = Map::new();
        let Some(kind) = kind(event) else {
            members.insert("id".into(), object.id.as_str().into());
            members.insert("type".into(), object.kind.as_str().into());
            members.insert("api".into(), "core".into());
            members.insert("account".into(), account.into());
            members.insert("name".into(), object.name.as_str().into());
            match event.category {
                Category::Account => {
                    members.insert("id".into(), account.into());
                    members.insert("service".into(), self.service.into());
                }
                Category::Task => {
                    let id = object.id.as_str();
                    members.insert("href".into(), self.href(&format!("/tasks/{id}")).into());
                    members.insert("operation".into(), object.name.as_str().into());
                    members.insert(
                        "state".into(),
                        event.entry.read::<TaskDetails>().unwrap_or_default().state.into(),
                    );
                }
                Category::Storage => {}
            }
            return members.into();
        };
        let of = EntryRef { kind, id: NativeId::new(object.id.as_str()) };
        members.insert("id".into(), of.resource().to_string().into());
        members.insert("type".into(), kind.as_str().into());
        members.insert("api".into(), "storage".into());
        members.insert("id_type".into(), "default".into());
        members.insert("raw_id".into(), object.id.as_str().into());
        members.insert("account".into(), account.into());
        members.insert("name".into(), object.name.as_str().into());
        members.insert("path".into(), json!(object.path));
        members.insert("parent".into(), json!(object.parent.as_deref().map(|id| self.above(id))));
        members.into()
    }

    fn previous(&self, event: &Event) -> Option<Previous> {
        let before = event.before.as_ref().filter(|before| !before.is_empty())?;
        let id = |id: &String| match kind(event) {
            Some(kind) => EntryRef { kind, id: NativeId::new(id) }.resource().to_string(),
            None => id.clone(),
        };
        Some(Previous {
            id: before.id.as_ref().map(id),
            name: before.name.clone(),
            parent: before.parent.as_deref().map(|id| self.above(id)),
            path: before.path.clone(),
        })
    }

    fn above(&self, id: &str) -> Above {
        let id = NativeId::new(id);
        match &self.render {
            Some(render) => render.above(&id, None),
            None => {
                let id = ResourceId::new(Kind::Folder, id).to_string();
                Above { id, kind: "folder", name: None, id_type: "default" }
            }
        }
    }
}

/// What an event about a task knows of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TaskDetails {
    state: String,
}

/// What kind of storage object an event is about.
fn kind(event: &Event) -> Option<EntryKind> {
    let kinds = [EntryKind::File, EntryKind::Folder];
    let storage = event.category == Category::Storage;
    kinds.into_iter().find(|kind| storage && kind.as_str() == event.object.kind)
}

/// The deprecated mark of an action **[D29]**.
fn mark(action: Action) -> &'static str {
    match action {
        Action::Add | Action::Copy | Action::Restore => "+",
        Action::Delete => "-",
        Action::Update | Action::Rename | Action::Move => "~",
    }
}

/// The id of an event.
pub(crate) fn event_id(feed: i64, sequence: i64) -> String {
    format!("evt_{feed}_{sequence}")
}

/// The feed and the number that an event's id names.
pub(crate) fn read_id(id: &str) -> Option<(i64, i64)> {
    let (feed, sequence) = id.strip_prefix("evt_")?.split_once('_')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| digits)
    };
    Some((number(feed)?, number(sequence)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_events_read_back_and_others_do_not() {
        assert_eq!(read_id(&event_id(412_345_678, 331)), Some((412_345_678, 331)));
        for bad in ["", "evt_", "evt_1", "evt_1_", "evt_1_x", "evt_-1_2", "evt_1_+2", "1_2"] {
            assert_eq!(read_id(bad), None, "{bad}");
        }
    }
}
