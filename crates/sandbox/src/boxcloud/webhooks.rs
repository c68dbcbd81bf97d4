//! Webhooks of version 2: on one file or folder, signed with two keys.
//!
//! <https://developer.box.com/guides/webhooks/v2/>

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;
use tramontane_model::Timestamp;
use url::Url;

use super::answer::{Answer, Fault, created, nothing, ok, time};
use super::call::Call;
use super::items::required;
use super::node::{Key, Kind};
use super::show::user_mini;
use super::store::text;

/// The keys that every message is signed with.
const PRIMARY_KEY: &[u8] = b"sandbox-primary-key";
const SECONDARY_KEY: &[u8] = b"sandbox-secondary-key";
/// The most webhooks of one person.
const MAX_HOOKS: usize = 1_000;

/// One webhook.
#[derive(Clone)]
pub(super) struct Webhook {
    id: u64,
    owner: u64,
    pub(super) target: Key,
    address: Url,
    triggers: Vec<String>,
    created: Timestamp,
}

/// The trigger that an event fires.
fn trigger(event: &str, kind: Kind) -> Option<&'static str> {
    Some(match (event, kind) {
        ("ITEM_UPLOAD", Kind::File) => "FILE.UPLOADED",
        ("ITEM_TRASH", Kind::File) => "FILE.TRASHED",
        ("ITEM_DELETE", Kind::File) => "FILE.DELETED",
        ("ITEM_UNDELETE_VIA_TRASH", Kind::File) => "FILE.RESTORED",
        ("ITEM_COPY", Kind::File) => "FILE.COPIED",
        ("ITEM_MOVE", Kind::File) => "FILE.MOVED",
        ("ITEM_RENAME", Kind::File) => "FILE.RENAMED",
        ("ITEM_CREATE", Kind::Folder) => "FOLDER.CREATED",
        ("ITEM_RENAME", Kind::Folder) => "FOLDER.RENAMED",
        ("ITEM_TRASH", Kind::Folder) => "FOLDER.TRASHED",
        ("ITEM_DELETE", Kind::Folder) => "FOLDER.DELETED",
        ("ITEM_UNDELETE_VIA_TRASH", Kind::Folder) => "FOLDER.RESTORED",
        ("ITEM_COPY", Kind::Folder) => "FOLDER.COPIED",
        ("ITEM_MOVE", Kind::Folder) => "FOLDER.MOVED",
        ("COLLAB_ADD_COLLABORATOR", _) => "COLLABORATION.CREATED",
        ("COLLAB_REMOVE_COLLABORATOR", _) => "COLLABORATION.REMOVED",
        ("COLLAB_ROLE_CHANGE", _) => "COLLABORATION.UPDATED",
        ("ITEM_SHARED_CREATE", _) => "SHARED_LINK.CREATED",
        ("ITEM_SHARED_UNSHARE", _) => "SHARED_LINK.DELETED",
        _ => return None,
    })
}

fn signature(key: &[u8], body: &str, timestamp: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body.as_bytes());
    mac.update(timestamp.as_bytes());
    base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

impl Call<'_> {
    fn webhook_json(&self, hook: &Webhook) -> Value {
        json!({
            "type": "webhook", "id": hook.id.to_string(),
            "target": {"type": hook.target.kind.word(), "id": hook.target.id.to_string()},
            "created_by": user_mini(self.store, hook.owner), "created_at": time(hook.created),
            "address": hook.address.as_str(), "triggers": hook.triggers,
        })
    }

    fn read_webhook(&self, body: &Value) -> Result<(Url, Vec<String>), Fault> {
        let address = Url::parse(required(body, "address")?).ok();
        // Box wants HTTPS; this machine may be told in the clear.
        let address = address.filter(|url| {
            let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
            url.scheme() == "https" || (url.scheme() == "http" && here)
        });
        let address = address.ok_or_else(|| Fault::invalid("address", "Must be an https URL."))?;
        let triggers = body.get("triggers").and_then(Value::as_array).cloned().unwrap_or_default();
        let triggers: Vec<String> =
            triggers.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if triggers.is_empty() {
            return Err(Fault::invalid("triggers", "'triggers' is required"));
        }
        Ok((address, triggers))
    }

    /// `POST /webhooks`.
    pub(super) fn make_webhook(&mut self) -> Answer {
        let body = self.json()?;
        let target = body.get("target").cloned().unwrap_or_default();
        let kind = text(&target, "type").and_then(Kind::of).filter(|kind| *kind != Kind::Link);
        let kind = kind.ok_or_else(|| Fault::invalid("target", "Must be a file or folder."))?;
        let id = required(&target, "id")?;
        if id == "0" {
            return Err(Fault::invalid("target", "Webhooks on the root folder are not supported."));
        }
        let target = self.store.seen(self.me, kind, id)?.key;
        let (address, triggers) = self.read_webhook(&body)?;
        let own = self.store.webhooks.values().filter(|hook| hook.owner == self.me);
        if own.clone().count() >= MAX_HOOKS {
            return Err(Fault::new(400, "bad_request", "There are too many webhooks"));
        }
        if own.clone().any(|hook| hook.target == target && hook.address == address) {
            let text = "The webhook already exists";
            return Err(Fault::new(409, "conflict", text));
        }
        let (id, now) = (self.store.fresh_id(), self.store.now());
        let hook = Webhook { id, owner: self.me, target, address, triggers, created: now };
        let told = self.webhook_json(&hook);
        self.store.webhooks.insert(id, hook);
        created(&told)
    }

    fn own_webhook(&self, id: &str) -> Result<Webhook, Fault> {
        let hook = id.parse().ok().and_then(|id: u64| self.store.webhooks.get(&id));
        hook.filter(|hook| hook.owner == self.me)
            .cloned()
            .ok_or_else(|| Fault::missing("webhook", id))
    }

    /// `GET /webhooks`.
    pub(super) fn webhooks(&mut self) -> Answer {
        let own = self.store.webhooks.values().filter(|hook| hook.owner == self.me);
        let all: Vec<Value> = own
            .map(|hook| {
                json!({
                    "type": "webhook", "id": hook.id.to_string(),
                    "target": {"type": hook.target.kind.word(), "id": hook.target.id.to_string()},
                })
            })
            .collect();
        let limit = self.limit(100, 200)?;
        let (page, next) = self.marked(all, 100, 200)?;
        let mut body = json!({"entries": page, "limit": limit});
        if let (Some(next), Some(members)) = (next, body.as_object_mut()) {
            members.insert("next_marker".into(), next.into());
        }
        ok(&body)
    }

    /// `GET /webhooks/:id`.
    pub(super) fn webhook(&mut self, id: &str) -> Answer {
        let hook = self.own_webhook(id)?;
        ok(&self.webhook_json(&hook))
    }

    /// `PUT /webhooks/:id`.
    pub(super) fn change_webhook(&mut self, id: &str) -> Answer {
        let mut hook = self.own_webhook(id)?;
        let mut whole = self.webhook_json(&hook);
        if let (Some(members), Value::Object(changes)) = (whole.as_object_mut(), self.json()?) {
            members.extend(changes);
        }
        (hook.address, hook.triggers) = self.read_webhook(&whole)?;
        let told = self.webhook_json(&hook);
        self.store.webhooks.insert(hook.id, hook);
        ok(&told)
    }

    /// `DELETE /webhooks/:id`.
    pub(super) fn delete_webhook(&mut self, id: &str) -> Answer {
        let hook = self.own_webhook(id)?;
        self.store.webhooks.remove(&hook.id);
        nothing()
    }

    /// Tells the webhooks on an item and on the folders above it.
    pub(super) fn push_webhooks(&mut self, event: &str, key: Key, source: &Value) {
        let Some(trigger) = trigger(event, key.kind) else { return };
        let above: Vec<Key> = self.store.upwards(key).map(|node| node.key).collect();
        let hooks = self.store.webhooks.values().filter(|hook| {
            above.contains(&hook.target) && hook.triggers.iter().any(|one| one == trigger)
        });
        let hooks: Vec<Webhook> = hooks.cloned().collect();
        for hook in hooks {
            let at = time(self.store.now());
            let body = json!({
                "type": "webhook_event", "id": self.store.dice.token("", 36).to_lowercase(),
                "created_at": at, "trigger": trigger,
                "webhook": {"id": hook.id.to_string(), "type": "webhook"},
                "created_by": user_mini(self.store, self.me), "source": source,
                "additional_info": [],
            })
            .to_string();
            let delivery = self.store.dice.token("", 36).to_lowercase();
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("content-type", "application/json".to_owned()),
                ("box-delivery-id", delivery),
                ("box-signature-primary", signature(PRIMARY_KEY, &body, &at)),
                ("box-signature-secondary", signature(SECONDARY_KEY, &body, &at)),
                ("box-delivery-timestamp", at),
                ("box-signature-version", "1".to_owned()),
                ("box-signature-algorithm", "HmacSHA256".to_owned()),
            ] {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.insert(name, value);
                }
            }
            self.store.pushes.send("box", hook.address, headers, body);
        }
    }
}
