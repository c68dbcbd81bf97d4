//! The routes of management, under both prefixes. In the words of a path `_` and `-` are the same; the
//! document shows the path that objects name.

use http::StatusCode;

use super::{
    applications, bodies, deliveries, developers, keys, locations, service_keys, sites, usage,
    views, webhooks,
};
use crate::route::{Endpoint, Routes, delete, get, patch, post};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const PAGE: &[&str] = &["page", "page_size", "paging", "cursor"];

/// Paths, each with its methods.
type Table = &'static [(&'static str, fn() -> Vec<Endpoint>)];

/// What lies below `.../applications`.
const APPLICATIONS: Table = &[
    ("", applications_routes),
    ("/{app}", application_routes),
    ("/{app}/apikeys", keys_routes),
    ("/{app}/apikeys/{key}", key_routes),
    ("/{app}/client_secret", secret_routes),
    ("/{app}/webhooks", webhooks_routes),
    ("/{app}/webhooks/{webhook}", webhook_routes),
    ("/{app}/webhooks/{webhook}/secret", webhook_secret_routes),
    ("/{app}/webhooks/{webhook}/secret/rotate", webhook_rotate_routes),
    ("/{app}/webhooks/{webhook}/deliveries", deliveries_routes),
    ("/{app}/webhooks/{webhook}/deliveries/{delivery}", delivery_routes),
    ("/{app}/webhooks/{webhook}/deliveries/{delivery}/replay", delivery_replay_routes),
    ("/{app}/webhooks/{webhook}/replay", replay_routes),
    ("/{app}/webhooks/{webhook}/replay/{replay}", one_replay_routes),
    ("/{app}/webhooks/{webhook}/test", webhook_test_routes),
    ("/{app}/trusted_domains", domains_routes),
    ("/{app}/trusted_domains/{domain}", domain_routes),
    ("/{app}/redirect_uris", redirects_routes),
    ("/{app}/redirect_uris/{uri}", redirect_routes),
    ("/{app}/service_keys", service_keys_routes),
    ("/{app}/service_keys/{key}", service_key_routes),
    ("/{app}/upload_locations", locations_routes),
    ("/{app}/upload_locations/{location}", location_routes),
];
/// The other name of upload locations.
const OLD_LOCATIONS: Table = &[
    ("/{app}/fe_upload_locations", locations_routes),
    ("/{app}/fe_upload_locations/{location}", location_routes),
];

/// All of them.
pub(crate) fn routes() -> Routes {
    let mut routes = Routes::default()
        .at("/v1/meta/developers", developers_routes())
        .at("/v1/meta/developers/{developer}", developer_routes())
        .at("/v1/meta/usage_reports", usage_routes())
        .also("/v1/meta/usage-reports", usage_routes());
    for (path, endpoints) in APPLICATIONS {
        routes = routes.at(leak(format!("/v1/meta/applications{path}")), endpoints());
    }
    for (path, endpoints) in APPLICATIONS.iter().chain(OLD_LOCATIONS) {
        let dashed = path.replace('_', "-");
        for prefix in ["/v1/meta/applications", "/v1/applications"] {
            let shown = prefix == "/v1/meta/applications" && !path.contains("fe_");
            if !shown {
                routes = routes.also(leak(format!("{prefix}{path}")), endpoints());
            }
            if dashed != *path {
                routes = routes.also(leak(format!("{prefix}{dashed}")), endpoints());
            }
        }
    }
    routes
}

/// Paths live as long as the process, which makes its routes once.
fn leak(path: String) -> &'static str {
    Box::leak(path.into_boxed_str())
}

fn developers_routes() -> Vec<Endpoint> {
    vec![
        get("listDevelopers", developers::list)
            .says("The developer who asks.")
            .takes(PAGE)
            .lists::<views::Developer>(),
    ]
}

fn developer_routes() -> Vec<Endpoint> {
    vec![
        get("getDeveloper", developers::retrieve)
            .says("One developer.")
            .gives::<views::Developer>(OK),
        patch("updateDeveloper", developers::update)
            .says("Changes names.")
            .json::<bodies::DeveloperChange>()
            .gives::<views::Developer>(OK),
    ]
}

fn usage_routes() -> Vec<Endpoint> {
    vec![
        get("listUsageReports", usage::report)
            .says("What applications used, by day.")
            .takes(&["start", "end", "application"])
            .takes(PAGE)
            .lists::<views::UsageReport>(),
    ]
}

fn applications_routes() -> Vec<Endpoint> {
    vec![
        get("listApplications", applications::list)
            .says("The developer's applications.")
            .takes(&["active"])
            .takes(PAGE)
            .lists::<views::Application>(),
        post("createApplication", applications::create)
            .says("Makes an application with one API key.")
            .json::<bodies::NewApplication>()
            .gives::<views::Application>(CREATED),
    ]
}

fn application_routes() -> Vec<Endpoint> {
    vec![
        get("getApplication", applications::retrieve)
            .says("One application.")
            .gives::<views::Application>(OK),
        patch("updateApplication", applications::update)
            .says("Changes an application.")
            .json::<bodies::ApplicationChange>()
            .gives::<views::Application>(OK),
        delete("deleteApplication", applications::delete)
            .says("Hides an application, disconnects its accounts, revokes its credentials.")
            .empties(),
    ]
}

fn keys_routes() -> Vec<Endpoint> {
    vec![
        get("listApiKeys", keys::list)
            .says("The application's API keys.")
            .takes(PAGE)
            .lists::<views::ApiKeyObject>(),
        post("createApiKey", keys::create)
            .says("Makes an API key.")
            .json::<bodies::NewApiKey>()
            .gives::<views::ApiKeyObject>(CREATED),
    ]
}

fn key_routes() -> Vec<Endpoint> {
    vec![delete("deleteApiKey", keys::delete).says("Deletes an API key.").empties()]
}

fn secret_routes() -> Vec<Endpoint> {
    vec![
        post("createClientSecret", keys::client_secret)
            .says("Makes a client secret in place of the one before, and shows it this once.")
            .gives::<views::ClientSecret>(CREATED),
    ]
}

fn webhooks_routes() -> Vec<Endpoint> {
    vec![
        get("listWebhooks", webhooks::list)
            .says("The application's webhooks.")
            .takes(PAGE)
            .lists::<views::Webhook>(),
        post("createWebhook", webhooks::create)
            .says("Tries a URL and registers it.")
            .json::<bodies::NewWebhook>()
            .gives::<views::Webhook>(CREATED),
    ]
}

fn webhook_routes() -> Vec<Endpoint> {
    vec![
        get("getWebhook", webhooks::retrieve).says("One webhook.").gives::<views::Webhook>(OK),
        patch("updateWebhook", webhooks::update)
            .says("Changes a webhook; another URL is tried first.")
            .json::<bodies::WebhookChange>()
            .gives::<views::Webhook>(OK),
        delete("deleteWebhook", webhooks::delete).says("Removes a webhook.").empties(),
    ]
}

fn webhook_secret_routes() -> Vec<Endpoint> {
    vec![
        get("getWebhookSecret", webhooks::secret)
            .says("What a receiver verifies with, in the standard form.")
            .gives::<views::WebhookSecret>(OK),
    ]
}

fn webhook_rotate_routes() -> Vec<Endpoint> {
    vec![
        post("rotateWebhookSecret", webhooks::rotate)
            .says("Makes another secret; the one before signs along for 24 hours.")
            .gives::<views::WebhookSecret>(OK),
    ]
}

fn deliveries_routes() -> Vec<Endpoint> {
    vec![
        get("listWebhookDeliveries", deliveries::list)
            .says("What became of messages, newest first.")
            .takes(&["delivery_status", "delivery_account", "since", "until"])
            .takes(PAGE)
            .lists::<views::Delivery>(),
    ]
}

fn delivery_routes() -> Vec<Endpoint> {
    vec![
        get("getWebhookDelivery", deliveries::retrieve)
            .says("What became of one message.")
            .gives::<views::Delivery>(OK),
    ]
}

fn delivery_replay_routes() -> Vec<Endpoint> {
    vec![
        post("replayWebhookDelivery", deliveries::replay)
            .says("Sends a message again now, under the same id.")
            .gives::<views::Delivery>(StatusCode::ACCEPTED),
    ]
}

fn replay_routes() -> Vec<Endpoint> {
    vec![
        post("replayWebhook", deliveries::replay_range)
            .says("Sends events of a time again, in the background.")
            .json::<bodies::NewReplay>()
            .gives::<views::WebhookReplay>(StatusCode::ACCEPTED),
    ]
}

fn one_replay_routes() -> Vec<Endpoint> {
    vec![
        get("getWebhookReplay", deliveries::retrieve_replay)
            .says("How far a replay is.")
            .gives::<views::WebhookReplay>(OK),
    ]
}

fn webhook_test_routes() -> Vec<Endpoint> {
    vec![
        post("testWebhook", deliveries::test)
            .says("Sends a ping and tells its outcome.")
            .gives::<views::WebhookTrial>(OK),
    ]
}

fn domains_routes() -> Vec<Endpoint> {
    vec![
        get("listTrustedDomains", sites::list_domains)
            .says("Where the application's pages are.")
            .takes(PAGE)
            .lists::<views::TrustedDomain>(),
        post("createTrustedDomain", sites::create_domain)
            .says("Trusts a domain.")
            .json::<bodies::NewTrustedDomain>()
            .gives::<views::TrustedDomain>(CREATED),
    ]
}

fn domain_routes() -> Vec<Endpoint> {
    vec![
        get("getTrustedDomain", sites::retrieve_domain)
            .says("One trusted domain.")
            .gives::<views::TrustedDomain>(OK),
        delete("deleteTrustedDomain", sites::delete_domain)
            .says("Trusts a domain no longer.")
            .empties(),
    ]
}

fn redirects_routes() -> Vec<Endpoint> {
    vec![
        get("listRedirectUris", sites::list_redirects)
            .says("Where the connect handshake may return to.")
            .takes(PAGE)
            .lists::<views::RedirectUri>(),
        post("createRedirectUri", sites::create_redirect)
            .says("Registers a redirect URI.")
            .json::<bodies::NewUrl>()
            .gives::<views::RedirectUri>(CREATED),
    ]
}

fn redirect_routes() -> Vec<Endpoint> {
    vec![
        get("getRedirectUri", sites::retrieve_redirect)
            .says("One redirect URI.")
            .gives::<views::RedirectUri>(OK),
        delete("deleteRedirectUri", sites::delete_redirect)
            .says("Removes a redirect URI.")
            .empties(),
    ]
}

fn service_keys_routes() -> Vec<Endpoint> {
    vec![
        get("listServiceKeys", service_keys::list)
            .says("The application's own OAuth clients at services.")
            .takes(PAGE)
            .lists::<views::ServiceKey>(),
        post("createServiceKey", service_keys::create)
            .says("Adds an OAuth client.")
            .json::<bodies::NewServiceKey>()
            .gives::<views::ServiceKey>(CREATED),
    ]
}

fn service_key_routes() -> Vec<Endpoint> {
    vec![
        get("getServiceKey", service_keys::retrieve)
            .says("One OAuth client.")
            .gives::<views::ServiceKey>(OK),
        patch("updateServiceKey", service_keys::update)
            .says("Changes an OAuth client.")
            .json::<bodies::ServiceKeyChange>()
            .gives::<views::ServiceKey>(OK),
        delete("deleteServiceKey", service_keys::delete).says("Removes an OAuth client.").empties(),
    ]
}

fn locations_routes() -> Vec<Endpoint> {
    vec![
        get("listUploadLocations", locations::list)
            .says("Folders that browsers without a token may drop files into.")
            .takes(PAGE)
            .lists::<views::UploadLocation>(),
        post("createUploadLocation", locations::create)
            .says("Adds an upload location.")
            .json::<bodies::NewUploadLocation>()
            .gives::<views::UploadLocation>(CREATED),
    ]
}

fn location_routes() -> Vec<Endpoint> {
    vec![
        get("getUploadLocation", locations::retrieve)
            .says("One upload location.")
            .gives::<views::UploadLocation>(OK),
        patch("updateUploadLocation", locations::update)
            .says("Changes an upload location.")
            .json::<bodies::UploadLocationChange>()
            .gives::<views::UploadLocation>(OK),
        delete("deleteUploadLocation", locations::delete)
            .says("Removes an upload location.")
            .empties(),
    ]
}
