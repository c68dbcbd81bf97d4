//! The JSON that management requests carry, for the OpenAPI document. Handlers read it leniently.
#![expect(dead_code, reason = "these types describe; handlers read the members themselves")]

use utoipa::ToSchema;

/// Names of a developer.
#[derive(ToSchema)]
pub(crate) struct DeveloperChange {
    #[schema(max_length = 200)]
    first_name: Option<String>,
    #[schema(max_length = 200)]
    last_name: Option<String>,
}

/// A new application.
#[derive(ToSchema)]
pub(crate) struct NewApplication {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[schema(max_length = 2_000, pattern = "^$|^https?://[A-Za-z0-9]")]
    logo_url: Option<String>,
    implicit_grant_enabled: Option<bool>,
    recent_enabled: Option<bool>,
    events_enabled: Option<bool>,
    keys_show_once: Option<bool>,
    source: Option<String>,
}

/// Changes of an application.
#[derive(ToSchema)]
pub(crate) struct ApplicationChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(max_length = 10_000)]
    description: Option<String>,
    #[schema(max_length = 2_000, pattern = "^$|^https?://[A-Za-z0-9]")]
    logo_url: Option<String>,
    active: Option<bool>,
    implicit_grant_enabled: Option<bool>,
    recent_enabled: Option<bool>,
    events_enabled: Option<bool>,
    keys_show_once: Option<bool>,
    require_pkce: Option<bool>,
    #[schema(minimum = 60, maximum = 315_360_000)]
    token_lifetime: Option<i64>,
    #[schema(minimum = 7, maximum = 3_650)]
    event_days: Option<i64>,
    connect_theme: Option<ConnectTheme>,
}

/// The colours of the connect page; `null` takes them back.
#[derive(ToSchema)]
pub(crate) struct ConnectTheme {
    #[schema(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$")]
    accent: String,
    #[schema(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$")]
    accent_dark: String,
    #[schema(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$")]
    ground: String,
    #[schema(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$")]
    ground_dark: String,
}

/// What a token or a key may do, by API and verb; `@` and an id limit it to a folder.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 50)]
pub(crate) struct AccessItems(Vec<AccessItem>);

/// One item of an access list: `*`, or an API and a verb.
#[derive(ToSchema)]
#[schema(
    pattern = "^(\\*|(storage|calendar|events|sharing|crm|messaging|team|email|meetings):(read|write|delete|events|raw))(@[A-Za-z0-9_=%-]+)?$"
)]
pub(crate) struct AccessItem(String);

/// A new API key; no member is needed.
#[derive(ToSchema)]
pub(crate) struct NewApiKey {
    #[schema(max_length = 200)]
    label: Option<String>,
    access: Option<AccessItems>,
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<i64>,
}

/// A redirect URI.
#[derive(ToSchema)]
pub(crate) struct NewUrl {
    #[schema(min_length = 1, max_length = 2_000)]
    url: String,
}

/// Which types: `*`, `storage.*`, `storage.file.added`.
#[derive(ToSchema)]
#[schema(pattern = "^(\\*|[a-z0-9_]+(\\.[a-z0-9_]+)*(\\.\\*)?)$", max_length = 100)]
pub(crate) struct EventPattern(String);

/// A connected account's id.
#[derive(ToSchema)]
#[schema(minimum = 1, maximum = 2_147_483_647)]
pub(crate) struct AccountNumber(i64);

/// A new webhook.
#[derive(ToSchema)]
pub(crate) struct NewWebhook {
    #[schema(min_length = 1, max_length = 2_000)]
    url: String,
    #[schema(pattern = "^(kloudless|standard)$")]
    format: Option<String>,
    #[schema(pattern = "^(hmac|ed25519)$")]
    signature: Option<String>,
    #[schema(max_length = 1_000)]
    description: Option<String>,
    #[schema(max_items = 100)]
    events: Option<Vec<EventPattern>>,
    #[schema(max_items = 1_000)]
    accounts: Option<Vec<AccountNumber>>,
    #[schema(max_items = 1_000)]
    services: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<i64>,
    ordered: Option<bool>,
    #[schema(minimum = 1, maximum = 10_000)]
    rate_limit: Option<i64>,
}

/// Changes of a webhook.
#[derive(ToSchema)]
pub(crate) struct WebhookChange {
    #[schema(min_length = 1, max_length = 2_000)]
    url: Option<String>,
    active: Option<bool>,
    #[schema(max_length = 1_000)]
    description: Option<String>,
    #[schema(max_items = 100)]
    events: Option<Vec<EventPattern>>,
    #[schema(max_items = 1_000)]
    accounts: Option<Vec<AccountNumber>>,
    #[schema(max_items = 1_000)]
    services: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<i64>,
    ordered: Option<bool>,
    #[schema(minimum = 1, maximum = 10_000)]
    rate_limit: Option<i64>,
}

/// What is sent again.
#[derive(ToSchema)]
pub(crate) struct NewReplay {
    #[schema(format = "date-time")]
    since: String,
    #[schema(format = "date-time")]
    until: Option<String>,
    #[schema(max_items = 1_000)]
    accounts: Option<Vec<AccountNumber>>,
    #[schema(pattern = "^(pending|retrying|delivered|failed)$")]
    status: Option<String>,
}

/// A new trusted domain.
#[derive(ToSchema)]
pub(crate) struct NewTrustedDomain {
    #[schema(min_length = 1, max_length = 300)]
    domain: String,
}

/// A scope in the service's own words.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 500)]
pub(crate) struct ServiceScope(String);

/// A new service key.
#[derive(ToSchema)]
pub(crate) struct NewServiceKey {
    service: String,
    admin: Option<bool>,
    #[schema(min_length = 1)]
    client_id: String,
    client_secret: Option<String>,
    scopes: Option<Vec<ServiceScope>>,
}

/// Changes of a service key.
#[derive(ToSchema)]
pub(crate) struct ServiceKeyChange {
    #[schema(min_length = 1)]
    client_id: Option<String>,
    client_secret: Option<String>,
    scopes: Option<Vec<ServiceScope>>,
}

/// A new upload location.
#[derive(ToSchema)]
pub(crate) struct NewUploadLocation {
    account: i64,
    folder_id: String,
    allow_subfolders: Option<bool>,
    default: Option<bool>,
    max_file_size: Option<i64>,
    require_trusted_origin: Option<bool>,
}

/// Changes of an upload location.
#[derive(ToSchema)]
pub(crate) struct UploadLocationChange {
    account: Option<i64>,
    folder_id: Option<String>,
    allow_subfolders: Option<bool>,
    default: Option<bool>,
    max_file_size: Option<i64>,
    require_trusted_origin: Option<bool>,
}
