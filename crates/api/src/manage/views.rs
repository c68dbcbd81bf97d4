//! Management objects on the wire (wire API, section 20), with the order of members that it shows.

use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;
use tramontane_accounts::ShownKey;
use tramontane_activity::delivery::{Outcome, attempt};
use tramontane_feeds::deliver::{self, Endpoint, Format};
use tramontane_feeds::retention::EVENT_DAYS;
use tramontane_model::Timestamp;
use tramontane_store::sites;
use tramontane_store::{deliveries, developers, locations, service_keys, usage, webhooks};
use utoipa::ToSchema;

use super::applications::CLIENT_SECRET;

/// The moment that a row holds.
pub(crate) fn moment(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

/// A developer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Developer {
    id: i64,
    r#type: &'static str,
    api: &'static str,
    href: String,
    email: String,
    first_name: String,
    last_name: String,
    created: String,
    modified: String,
}

pub(crate) fn developer(base: &str, row: &developers::Developer) -> Developer {
    Developer {
        id: row.id,
        r#type: "developer",
        api: "meta",
        href: format!("{base}/v1/meta/developers/{}", row.id),
        email: row.email.clone(),
        first_name: row.first_name.clone(),
        last_name: row.last_name.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// An application. The members behind `modified` are extensions that show once they are set.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    name: String,
    description: String,
    logo_url: Option<String>,
    active: bool,
    implicit_grant_enabled: bool,
    recent_enabled: bool,
    events_enabled: bool,
    source: Option<String>,
    created: String,
    modified: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    keys_show_once: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    require_pkce: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_days: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    client_secret_set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    connect_theme: Option<Value>,
}

pub(crate) fn application(base: &str, row: &tramontane_accounts::Application) -> Application {
    let setting = |name: &str| row.settings.get(name);
    Application {
        id: row.id.clone(),
        r#type: "application",
        api: "meta",
        href: format!("{base}/v1/meta/applications/{}", row.id),
        name: row.name.clone(),
        description: row.description.clone(),
        logo_url: row.logo_url.clone(),
        active: row.active,
        implicit_grant_enabled: row.implicit_grant_enabled,
        recent_enabled: row.recent_enabled,
        events_enabled: row.events_enabled,
        source: row.source.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
        keys_show_once: row.keys_show_once,
        require_pkce: setting("require_pkce").and_then(Value::as_bool).unwrap_or(false),
        token_lifetime: setting("token_lifetime").and_then(Value::as_i64),
        event_days: setting(EVENT_DAYS).and_then(Value::as_i64),
        client_secret_set: setting(CLIENT_SECRET).is_some(),
        connect_theme: setting(crate::connect::theme::THEME).cloned(),
    }
}

/// An API key. Members behind `modified` are extensions that show once they are set; `id` shows when
/// the application shows keys once only.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyObject {
    key: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    created: String,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// How much of a key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// All of it, always.
    Full,
    /// All of it this once; the id finds it again.
    Once,
    /// A few letters and the id.
    Masked,
}

pub(crate) fn api_key(of: &str, shown: &ShownKey, show: Show) -> ApiKeyObject {
    let row = &shown.row;
    let full = shown.key.as_ref().map(|key| key.expose_secret().to_owned());
    let (key, by_id) = match (full, show) {
        (Some(full), Show::Full) => (full, false),
        (Some(full), Show::Once) => (full, true),
        (Some(full), Show::Masked) => {
            let start: String = full.chars().take(8).collect();
            (format!("{start}****************"), true)
        }
        (None, _) => ("tmk_****************".to_owned(), true),
    };
    ApiKeyObject {
        href: format!("{of}/apikeys/{}", if by_id { &row.id } else { &key }),
        key,
        r#type: "apikey",
        api: "meta",
        created: moment(row.created),
        modified: moment(row.modified),
        id: by_id.then(|| row.id.clone()),
        label: Some(row.label.clone()).filter(|label| !label.is_empty()),
        access: row.access.as_ref().map(|list| list.split(' ').map(str::to_owned).collect()),
        expires: row.expires.map(moment),
    }
}

/// A webhook. Those in the compatible form have no more than id, type, api, href, url and times.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    url: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    standard: Option<StandardWebhook>,
    created: String,
    modified: String,
}

/// What webhooks in the standard form have beside.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandardWebhook {
    format: &'static str,
    /// `hmac` or `ed25519`.
    signature: &'static str,
    active: bool,
    description: String,
    events: Vec<String>,
    accounts: Vec<i64>,
    services: Vec<String>,
    batch_size: usize,
    ordered: bool,
    rate_limit: Option<u32>,
    disabled_reason: Option<String>,
}

pub(crate) fn webhook(of: &str, row: &webhooks::Webhook) -> Webhook {
    let endpoint = Endpoint::of(row);
    let standard = endpoint.format == Format::Standard;
    Webhook {
        id: row.id.clone(),
        r#type: "webhook",
        api: "meta",
        href: format!("{of}/webhooks/{}", row.id),
        url: row.url.clone(),
        standard: standard.then(|| StandardWebhook {
            format: endpoint.format.as_str(),
            signature: if endpoint.asymmetric { "ed25519" } else { "hmac" },
            active: row.active,
            description: endpoint.description,
            events: endpoint.events,
            accounts: endpoint.accounts,
            services: endpoint.services,
            batch_size: endpoint.batch_size,
            ordered: endpoint.ordered,
            rate_limit: endpoint.rate_limit,
            disabled_reason: endpoint.disabled_reason,
        }),
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// What a receiver verifies with: the secret, or the public key of one that signs with Ed25519.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    pub(crate) secret: String,
    /// Until when the one before signs along.
    pub(crate) previous_until: Option<String>,
}

/// What became of one message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    message_id: String,
    event_type: String,
    account: i64,
    /// `pending`, `retrying`, `delivered` or `failed`.
    status: &'static str,
    next_attempt: Option<String>,
    attempts: Vec<DeliveryAttempt>,
}

/// One attempt of a delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryAttempt {
    at: String,
    status_code: Option<u16>,
    duration_ms: i64,
    error: Option<String>,
    response_excerpt: String,
}

pub(crate) fn delivery(of: &str, row: &webhooks::Webhook, one: &deliver::Delivery) -> Delivery {
    let id = one.key.delivery_id(&row.id);
    let attempts = one.attempts.iter().map(|attempt| DeliveryAttempt {
        at: moment(attempt.at),
        status_code: attempt.status_code,
        duration_ms: attempt.duration_ms,
        error: attempt.error.clone(),
        response_excerpt: attempt.excerpt.clone(),
    });
    Delivery {
        r#type: "delivery",
        api: "meta",
        href: format!("{of}/webhooks/{}/deliveries/{id}", row.id),
        id,
        message_id: one.key.message_id(&row.id),
        event_type: one.event_type.clone(),
        account: one.account,
        status: one.status.as_str(),
        next_attempt: one.next.map(moment),
        attempts: attempts.collect(),
    }
}

/// Events that are sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookReplay {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    /// `PENDING`, `SUCCESS` or `FAILURE`.
    state: &'static str,
    status: &'static str,
    created: String,
    modified: String,
    info: WebhookReplayInfo,
}

/// How far a replay is.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookReplayInfo {
    operation: &'static str,
    items_done: i64,
    items_failed: i64,
}

pub(crate) fn replay(of: &str, row: &deliveries::Replay) -> WebhookReplay {
    let state = match row.state.as_str() {
        "done" => "SUCCESS",
        "failed" => "FAILURE",
        _ => "PENDING",
    };
    WebhookReplay {
        id: row.id.clone(),
        r#type: "task",
        api: "meta",
        href: format!("{of}/webhooks/{}/replay/{}", row.webhook, row.id),
        state,
        status: state,
        created: moment(row.created),
        modified: moment(row.modified),
        info: WebhookReplayInfo {
            operation: "replay",
            items_done: row.sent,
            items_failed: row.failed,
        },
    }
}

/// How a trial went.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookTrial {
    r#type: &'static str,
    api: &'static str,
    delivered: bool,
    at: String,
    status_code: Option<u16>,
    duration_ms: u64,
    error: Option<String>,
    response_excerpt: String,
}

pub(crate) fn trial(answered: &deliver::Answered) -> WebhookTrial {
    WebhookTrial {
        r#type: "webhook_test",
        api: "meta",
        delivered: answered.outcome() == Outcome::Taken,
        at: moment(answered.at),
        status_code: answered.status,
        duration_ms: u64::try_from(answered.took.as_millis()).unwrap_or(u64::MAX),
        error: answered.error.clone(),
        response_excerpt: attempt::excerpt(&answered.body),
    }
}

/// A trusted domain.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrustedDomain {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    domain: String,
    created: String,
    modified: String,
}

pub(crate) fn trusted_domain(of: &str, row: &sites::TrustedDomain) -> TrustedDomain {
    TrustedDomain {
        id: row.id.clone(),
        r#type: "trusted_domain",
        api: "meta",
        href: format!("{of}/trusted_domains/{}", row.id),
        domain: row.domain.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// A redirect URI.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedirectUri {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    url: String,
    created: String,
    modified: String,
}

pub(crate) fn redirect_uri(of: &str, row: &sites::RedirectUri) -> RedirectUri {
    RedirectUri {
        id: row.id.clone(),
        r#type: "redirect_uri",
        api: "meta",
        href: format!("{of}/redirect_uris/{}", row.id),
        url: row.url.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// An application's own OAuth client at a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceKey {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    service: String,
    admin: bool,
    client_id: String,
    client_secret_set: bool,
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Value>,
    created: String,
    modified: String,
}

pub(crate) fn service_key(of: &str, row: &service_keys::ServiceKey) -> ServiceKey {
    ServiceKey {
        id: row.id.clone(),
        r#type: "service_key",
        api: "meta",
        href: format!("{of}/service_keys/{}", row.id),
        service: row.service.clone(),
        admin: row.admin,
        client_id: row.client_id.clone(),
        client_secret_set: row.sealed.is_some(),
        scopes: row.scopes.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// A folder that browsers without a token may drop files into.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadLocation {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    account: i64,
    folder_id: String,
    allow_subfolders: bool,
    default: bool,
    max_file_size: Option<i64>,
    require_trusted_origin: bool,
    created: String,
    modified: String,
}

pub(crate) fn location(of: &str, row: &locations::Location) -> UploadLocation {
    UploadLocation {
        id: row.id.clone(),
        r#type: "upload_location",
        api: "meta",
        href: format!("{of}/upload_locations/{}", row.id),
        account: row.account,
        folder_id: row.folder_id.clone(),
        allow_subfolders: row.allow_subfolders,
        default: row.is_default,
        max_file_size: row.max_file_size,
        require_trusted_origin: row.require_trusted_origin,
        created: moment(row.created),
        modified: moment(row.modified),
    }
}

/// What one application used on one day.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageReport {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    day: String,
    application: String,
    requests: i64,
    active_accounts: i64,
    events: i64,
    bytes_in: i64,
    bytes_out: i64,
}

pub(crate) fn usage_report(base: &str, row: &usage::Usage) -> UsageReport {
    let query = format!("start={0}&end={0}&application={1}", row.day, row.application);
    UsageReport {
        id: format!("{}_{}", row.day, row.application),
        r#type: "usage_report",
        api: "meta",
        href: format!("{base}/v1/meta/usage_reports?{query}"),
        day: row.day.clone(),
        application: row.application.clone(),
        requests: row.requests,
        active_accounts: row.active_accounts,
        events: row.events,
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
    }
}

/// A client secret, shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientSecret {
    pub(crate) client_secret: String,
    pub(crate) r#type: &'static str,
    pub(crate) api: &'static str,
}
