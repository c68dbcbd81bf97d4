//! Messages: what goes over the wire, in the compatible and in the standard form.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use tramontane_accounts::EndpointSecrets;
use tramontane_activity::delivery::MessageKey;
use tramontane_model::Timestamp;
use tramontane_vault::webhook_signature;

use crate::deliver::Inner;
use crate::deliver::pages::Seen;
use crate::error::{Error, Result};

const SIGNATURE: HeaderName = HeaderName::from_static("x-kloudless-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The type of a message with several events.
pub(crate) const BATCH: &str = "events.batch";
/// The type of a message that only says that there is something.
pub(crate) const NOTICE: &str = "account.activity";
/// The type of a message that stands for events that are not kept any more.
pub(crate) const TRUNCATED: &str = "feed.truncated";
/// What to do after it.
const GUIDANCE: &str = "These events were not delivered in time and have left the days that webhooks are served from. \
    Read /events of the account after the last event that you have; where the answer is truncated, list what you mirror \
    again.";
/// The type of a trial.
pub(crate) const PING: &str = "webhook.ping";

/// What signs an endpoint's messages.
#[derive(Clone, Debug)]
pub(crate) enum Signing {
    /// The text of the application's oldest active API key.
    Key(SecretString),
    /// The endpoint's own secrets.
    Secrets(Arc<EndpointSecrets>),
}

/// A message, but for its signature, which each attempt makes anew.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// `msg_...`.
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) body: Bytes,
}

impl Message {
    /// The notice that an account has new events (wire API, section 31.1).
    pub(crate) fn notice(endpoint: &str, key: &MessageKey, account: i64) -> Self {
        Self {
            id: key.message_id(endpoint),
            event_type: NOTICE.to_owned(),
            body: format!("account={account}").into(),
        }
    }

    /// Instead of events that are not kept any more (wire API, section 50.3).
    pub(crate) fn truncated(endpoint: &str, key: &MessageKey, application: &str, now: i64) -> Self {
        let body = json!({
            "type": TRUNCATED, "timestamp": Timestamp::from_micros(now).to_string(),
            "data": {
                "account": key.feed, "application": application, "last": key.last,
                "guidance": GUIDANCE,
            },
        });
        let (id, event_type) = (key.message_id(endpoint), TRUNCATED.to_owned());
        Self { id, event_type, body: body.to_string().into() }
    }

    /// A trial in the standard form.
    pub(crate) fn ping(id: String, webhook: &str, application: &str, now: i64) -> Self {
        let body = json!({
            "type": PING, "timestamp": Timestamp::from_micros(now).to_string(),
            "data": {"webhook": webhook, "application": application},
        });
        Self { id, event_type: PING.to_owned(), body: body.to_string().into() }
    }

    /// The headers of an attempt at a moment.
    pub(crate) fn headers(&self, signing: &Signing, now: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        match signing {
            Signing::Key(key) => {
                put(CONTENT_TYPE, "application/x-www-form-urlencoded");
                put(SIGNATURE, &webhook_signature(key.expose_secret(), &self.body));
            }
            Signing::Secrets(secrets) => {
                put(CONTENT_TYPE, "application/json");
                put(WEBHOOK_ID, &self.id);
                put(WEBHOOK_TIMESTAMP, &now.div_euclid(1_000_000).to_string());
                put(WEBHOOK_SIGNATURE, &secrets.sign(&self.id, now, &self.body));
            }
        }
        headers
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    r#type: &'a str,
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
struct Events<'a> {
    account: i64,
    events: Vec<&'a serde_json::value::RawValue>,
}

impl Inner {
    /// An event as JSON, made once.
    async fn shown(&self, seen: &Seen) -> Result<Option<Arc<str>>> {
        if let Some(shown) = seen.shown.get() {
            return Ok(shown.clone());
        }
        let render = self.render.get().ok_or(Error::Lost)?;
        let made = render.event(&seen.owner, &seen.numbered).await?;
        Ok(seen.shown.get_or_init(|| made.map(Arc::from)).clone())
    }

    /// The message of these events (wire API, section 50.2); `None` when none of them can be shown.
    ///
    /// # Errors
    /// When they cannot be shown now.
    pub(crate) async fn message(
        &self,
        endpoint: &str,
        key: &MessageKey,
        batch: bool,
        events: &[Arc<Seen>],
    ) -> Result<Option<Message>> {
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            shown.extend(self.shown(event).await?);
        }
        let Some(first) = events.first() else { return Ok(None) };
        let raw: Vec<&serde_json::value::RawValue> =
            shown.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let timestamp = first.numbered.event.detected_at().to_string();
        let (event_type, body) = if batch {
            let data = Events { account: first.owner.account, events: raw };
            (BATCH, serde_json::to_vec(&Envelope { r#type: BATCH, timestamp, data }))
        } else {
            let name = first.type_name.as_str();
            let Some(data) = raw.into_iter().next() else { return Ok(None) };
            (name, serde_json::to_vec(&Envelope { r#type: name, timestamp, data }))
        };
        let Ok(body) = body else { return Ok(None) };
        let id = key.message_id(endpoint);
        Ok(Some(Message { id, event_type: event_type.to_owned(), body: body.into() }))
    }
}
