//! A webhook as its settings describe it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tramontane_activity::delivery::{Filter, Rules};
use tramontane_store::webhooks::Webhook;
use tramontane_vault::Scheme;
use url::Url;

/// The form of an endpoint's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// That something happened, as a form (wire API, section 31).
    #[default]
    Kloudless,
    /// What happened, as JSON (wire API, section 50).
    Standard,
}

impl Format {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kloudless => "kloudless",
            Self::Standard => "standard",
        }
    }
}

/// What a webhook's settings hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The form of its messages.
    pub format: Format,
    /// Signs with Ed25519 instead of HMAC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asymmetric: bool,
    /// What the developer notes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Patterns of types.
    pub events: Vec<String>,
    /// Only these accounts; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<i64>,
    /// Only accounts of these services; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The most events of one message.
    pub batch_size: usize,
    /// A message of an account waits for the one before it.
    pub ordered: bool,
    /// The most messages per second; none: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Why it was switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            format: Format::Kloudless,
            asymmetric: false,
            description: String::new(),
            events: vec!["*".to_owned()],
            accounts: Vec::new(),
            services: Vec::new(),
            batch_size: 1,
            ordered: false,
            rate_limit: None,
            disabled_reason: None,
        }
    }
}

impl Endpoint {
    /// What a webhook's settings say. Members that are not known are passed over: a newer version wrote
    /// them.
    #[must_use]
    pub fn of(row: &Webhook) -> Self {
        Self::deserialize(&row.settings).unwrap_or_default()
    }

    /// The settings as they are kept.
    #[must_use]
    pub fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// How its messages are signed.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        if self.asymmetric { Scheme::Ed25519 } else { Scheme::Hmac }
    }

    pub(crate) fn rules(&self) -> Rules {
        let coalesce = self.format == Format::Kloudless;
        let batch = if coalesce { 1 } else { self.batch_size.clamp(1, 100) };
        Rules { ordered: self.ordered && !coalesce, batch, coalesce }
    }

    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::of(self.events.iter().map(String::as_str)).unwrap_or_default();
        filter.accounts = self.accounts.iter().copied().collect();
        filter.services = self.services.iter().cloned().collect();
        filter
    }
}

/// Where messages go and how they look: what a sender needs.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: Arc<str>,
    pub(crate) application: Arc<str>,
    pub(crate) url: Url,
    pub(crate) format: Format,
}

impl Target {
    /// The target of a webhook; `None` when its URL is none.
    pub(crate) fn of(row: &Webhook, endpoint: &Endpoint) -> Option<Self> {
        Some(Self {
            id: row.id.as_str().into(),
            application: row.application.as_str().into(),
            url: Url::parse(&row.url).ok()?,
            format: endpoint.format,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_come_back_and_unknown_ones_do_no_harm() {
        let row = |settings| Webhook {
            id: "whk_1".into(),
            application: "app".into(),
            url: "https://hooks.example.com/in".into(),
            active: true,
            settings,
            created: 1,
            modified: 1,
        };
        let old = Endpoint::of(&row(json!({"format": "kloudless"})));
        assert_eq!(old, Endpoint::default());
        assert!(old.rules().coalesce);
        let new = Endpoint {
            format: Format::Standard,
            events: vec!["storage.*".into()],
            accounts: vec![7],
            batch_size: 5,
            ordered: true,
            ..Endpoint::default()
        };
        let mut settings = new.settings();
        settings.as_object_mut().unwrap().insert("newer".into(), json!(1));
        assert_eq!(Endpoint::of(&row(settings)), new);
        assert!(new.filter().wants("storage.file.added", 7, "box"));
        assert!(!new.filter().wants("storage.file.added", 8, "box"));
        assert_eq!(new.rules(), Rules { ordered: true, batch: 5, coalesce: false });
    }
}
