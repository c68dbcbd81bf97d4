//! The JSON that management requests carry, for the OpenAPI document. Handlers read it leniently.
#![expect(dead_code, reason = "these types describe; handlers read the members themselves")]

use utoipa::ToSchema;

/// Names of a developer.
#[derive(ToSchema)]
pub(crate) struct DeveloperChange {
    first_name: Option<String>,
    last_name: Option<String>,
}

/// A new application.
#[derive(ToSchema)]
pub(crate) struct NewApplication {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    description: Option<String>,
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
    name: Option<String>,
    description: Option<String>,
    logo_url: Option<String>,
    active: Option<bool>,
    implicit_grant_enabled: Option<bool>,
    recent_enabled: Option<bool>,
    events_enabled: Option<bool>,
    keys_show_once: Option<bool>,
    require_pkce: Option<bool>,
    token_lifetime: Option<i64>,
}

/// A new API key; no member is needed.
#[derive(ToSchema)]
pub(crate) struct NewApiKey {
    label: Option<String>,
    access: Option<Vec<String>>,
    expires_in: Option<i64>,
}

/// An address: a webhook's or a redirect URI.
#[derive(ToSchema)]
pub(crate) struct NewUrl {
    url: String,
}

/// A new trusted domain.
#[derive(ToSchema)]
pub(crate) struct NewTrustedDomain {
    domain: String,
}

/// A new service key.
#[derive(ToSchema)]
pub(crate) struct NewServiceKey {
    service: String,
    admin: Option<bool>,
    client_id: String,
    client_secret: Option<String>,
    scopes: Option<Vec<String>>,
}

/// Changes of a service key.
#[derive(ToSchema)]
pub(crate) struct ServiceKeyChange {
    client_id: Option<String>,
    client_secret: Option<String>,
    scopes: Option<Vec<String>>,
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
