//! Management objects on the wire (wire API, section 20), with the order of members that it shows.

use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;
use tramontane_accounts::ShownKey;
use tramontane_model::Timestamp;
use tramontane_store::sites;
use tramontane_store::{developers, locations, service_keys, usage, webhooks};
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

/// A webhook in the compatible form.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
    id: String,
    r#type: &'static str,
    api: &'static str,
    href: String,
    url: String,
    created: String,
    modified: String,
}

pub(crate) fn webhook(of: &str, row: &webhooks::Webhook) -> Webhook {
    Webhook {
        id: row.id.clone(),
        r#type: "webhook",
        api: "meta",
        href: format!("{of}/webhooks/{}", row.id),
        url: row.url.clone(),
        created: moment(row.created),
        modified: moment(row.modified),
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
