//! What happened, as a stream of events with positions, and the long poll that tells of news.
//!
//! <https://developer.box.com/reference/get-events/>, <https://developer.box.com/reference/options-events/>

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use tramontane_model::Timestamp;

use super::Cloud;
use super::answer::{Answer, Fault, json_answer, ok, time};
use super::call::Call;
use super::node::{Key, Node, Powers};
use super::show::{self, Fields, user_mini};
use super::store::Store;

/// The position of the first event: larger than what a float can count.
const FIRST: u64 = 1_152_922_976_252_290_000;
/// The most events that are kept.
const MAX_EVENTS: usize = 50_000;
/// How long one long poll lasts.
const POLL: Duration = Duration::from_secs(25);

/// One event.
struct Event {
    position: u64,
    id: String,
    kind: &'static str,
    by: u64,
    at: Timestamp,
    /// The item as whoever did it saw it then.
    source: Value,
    /// The item as it was then for whoever could see it.
    seen_by: BTreeMap<u64, Value>,
}

/// All events.
#[derive(Default)]
pub(super) struct Journal {
    events: VecDeque<Event>,
    count: u64,
}

impl Journal {
    /// How many events there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn next(&self) -> u64 {
        FIRST + self.count
    }
}

/// What the enterprise's stream calls it.
fn admin_word(kind: &str) -> &str {
    match kind {
        // The enterprise's stream has no word of its own for a new folder.
        "ITEM_CREATE" | "ITEM_UPLOAD" => "UPLOAD",
        "ITEM_MOVE" => "MOVE",
        "ITEM_RENAME" => "RENAME",
        "ITEM_COPY" => "COPY",
        "ITEM_TRASH" => "DELETE",
        "ITEM_UNDELETE_VIA_TRASH" => "UNDELETE",
        "ITEM_SHARED_CREATE" => "SHARE",
        "ITEM_SHARED_UNSHARE" => "UNSHARE",
        "COLLAB_ADD_COLLABORATOR" => "COLLABORATION_INVITE",
        "COLLAB_ROLE_CHANGE" => "COLLABORATION_ROLE_CHANGE",
        "COLLAB_REMOVE_COLLABORATOR" => "COLLABORATION_REMOVE",
        other => other,
    }
}

fn watchers(store: &Store, key: Key) -> Vec<u64> {
    let all = store.users.keys().copied();
    all.filter(|user| store.powers(*user, key) != Powers::default()).collect()
}

impl Call<'_> {
    /// Writes an event down and tells webhooks of it. Before a deletion, after anything else.
    pub(super) fn tell(&mut self, kind: &'static str, key: Key) {
        let Some(node) = self.store.nodes.get(&key) else { return };
        let shown =
            |user| trashing(show::item(self.store, user, node, &Fields::Source), kind, node);
        let source = shown(self.me);
        let seen_by: BTreeMap<u64, Value> =
            watchers(self.store, key).into_iter().map(|user| (user, shown(user))).collect();
        let (by, at) = (self.me, self.store.now());
        let copies = match kind {
            // Only webhooks hear that something left the trash for good.
            "ITEM_DELETE" => 0,
            _ if self.store.quirks.double_events => 2,
            _ => 1,
        };
        let id = self.store.dice.token("", 40).to_lowercase();
        for _ in 0..copies {
            let event = Event {
                position: self.store.journal.next(),
                id: id.clone(),
                kind,
                by,
                at,
                source: source.clone(),
                seen_by: seen_by.clone(),
            };
            self.store.journal.events.push_back(event);
            self.store.journal.count += 1;
        }
        while self.store.journal.events.len() > MAX_EVENTS {
            self.store.journal.events.pop_front();
        }
        self.push_webhooks(kind, key, &source);
    }

    /// `GET /events`.
    pub(super) fn events(&mut self) -> Answer {
        let stream = self.query.get("stream_type").map_or("all", String::as_str);
        let admin = match stream {
            "all" | "changes" | "sync" => false,
            "admin_logs" | "admin_logs_streaming" => true,
            other => {
                let text = format!("Invalid value '{other}'.");
                return Err(Fault::invalid("stream_type", text));
            }
        };
        let is_admin = self.store.users.get(&self.me).is_some_and(|user| user.role != "user");
        if admin && !is_admin {
            return Err(Fault::forbidden());
        }
        let next = self.store.journal.next();
        let from = match self.query.get("stream_position").map_or("0", String::as_str) {
            "now" => next,
            "0" | "" => 0,
            text => match text.parse::<u64>() {
                Ok(position) if position <= next => position,
                _ => {
                    let text = format!("Invalid value '{text}'. stream_position is not valid");
                    return Err(Fault::invalid("stream_position", text));
                }
            },
        };
        let limit = self.limit(100, 500)?;
        let since = self.query.get("created_after").and_then(|text| Timestamp::parse(text));
        let until = self.query.get("created_before").and_then(|text| Timestamp::parse(text));
        let kinds: Option<Vec<&str>> = self
            .query
            .get("event_type")
            .filter(|text| !text.is_empty())
            .map(|text| text.split(',').collect());
        let mut entries = Vec::new();
        let mut reached = from.max(FIRST);
        for event in self.store.journal.events.iter().filter(|event| event.position >= from) {
            if entries.len() == limit {
                break;
            }
            reached = event.position + 1;
            let word = if admin { admin_word(event.kind) } else { event.kind };
            let changes_only = stream == "changes" || stream == "sync";
            let in_stream = !changes_only
                || event.kind.starts_with("ITEM_")
                || event.kind.starts_with("COLLAB_");
            // The enterprise's stream knows files and folders.
            let is_told = !admin || event.source.get("type").is_some_and(|kind| kind != "web_link");
            let fits = in_stream
                && is_told
                && (admin || event.seen_by.contains_key(&self.me))
                && since.is_none_or(|since| event.at >= since)
                && until.is_none_or(|until| event.at < until)
                && kinds.as_ref().is_none_or(|kinds| kinds.contains(&word));
            if fits {
                entries.push(self.event_json(event, word, admin));
            }
        }
        if self.query.get("stream_position").is_some_and(|text| text == "now") {
            reached = next;
        }
        ok(&json!({
            "chunk_size": entries.len(), "next_stream_position": reached.to_string(),
            "entries": entries,
        }))
    }

    fn event_json(&self, event: &Event, word: &str, admin: bool) -> Value {
        let mut shown = json!({
            "type": "event", "event_id": event.id,
            "created_by": user_mini(self.store, event.by), "created_at": time(event.at),
            "recorded_at": time(event.at), "event_type": word,
            "source": event.seen_by.get(&self.me).unwrap_or(&event.source),
        });
        if admin && let Some(members) = shown.as_object_mut() {
            let text = |name: &str| event.source.get(name).cloned().unwrap_or(Value::Null);
            members.insert(
                "source".into(),
                json!({
                    "item_type": text("type"), "item_id": text("id"), "item_name": text("name"),
                    "parent": text("parent"), "owned_by": text("owned_by"),
                }),
            );
            members.insert("ip_address".into(), "127.0.0.1".into());
            members.insert("additional_details".into(), json!({"service_name": "Sandbox"}));
        }
        shown
    }

    /// `OPTIONS /events`: where to wait for news.
    pub(super) fn realtime(&mut self) -> Answer {
        ok(&json!({"chunk_size": 1, "entries": [{
            "type": "realtime_server",
            "url": format!("{}/realtime/{}?since={}", self.base, self.me, self.store.journal.count()),
            "ttl": 10, "max_retries": 10, "retry_timeout": 610,
        }]}))
    }
}

/// What was thrown away says so already.
fn trashing(mut source: Value, kind: &str, node: &Node) -> Value {
    if matches!(kind, "ITEM_TRASH" | "ITEM_DELETE")
        && let Some(members) = source.as_object_mut()
    {
        let status = if kind == "ITEM_TRASH" { "trashed" } else { "deleted" };
        members.insert("item_status".into(), status.into());
        members.insert("etag".into(), (node.etag + 1).to_string().into());
    }
    source
}

/// `GET` of the real-time server: answers when there is news, or asks to come back after a while.
pub(super) async fn wait(
    State(cloud): State<Cloud>,
    Path(user): Path<u64>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Response {
    let asked = crate::issuer::params(&query.unwrap_or_default());
    let since: u64 = asked.get("since").and_then(|text| text.parse().ok()).unwrap_or_default();
    let has_news = |cloud: &Cloud| {
        let store = cloud.store();
        let from = FIRST + since;
        store
            .journal
            .events
            .iter()
            .rev()
            .take_while(|event| event.position >= from)
            .any(|event| event.seen_by.contains_key(&user))
    };
    let mut news = cloud.news.subscribe();
    let arrived = async {
        loop {
            if has_news(&cloud) {
                return;
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let message = match tokio::time::timeout(POLL, arrived).await {
        Ok(()) => "new_change",
        Err(_) => "reconnect",
    };
    json_answer(StatusCode::OK, &json!({"message": message}))
}
