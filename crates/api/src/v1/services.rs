//! The services that there are (wire API, section 15.1).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Value, json};
use tramontane_connector::Connector;
use utoipa::ToSchema;

use crate::answer::ok;
use crate::call::Call;
use crate::capabilities::{of_service, rules};
use crate::paging::NumberPage;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::state::App;

/// A service on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub struct One {
    /// Its id.
    pub name: &'static str,
    /// Its name for people.
    pub friendly_name: &'static str,
    /// Its shelf.
    pub category: &'static str,
    /// A picture.
    pub logo_url: String,
    /// The APIs that it takes part in.
    pub apis: Vec<&'static str>,
    /// Always `core`.
    pub api: &'static str,
    /// Always `service`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where it is retrieved.
    pub href: String,
    /// With `retrieve_properties=true`: `capabilities`, a list of two rules for each operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Value>,
}

fn view(call: &Call, connector: &dyn Connector, full: bool) -> One {
    let about = connector.descriptor();
    let properties = full.then(|| {
        let [normal, admin] = [false, true].map(|admin| of_service(connector, admin));
        json!({"capabilities": rules(normal.as_ref(), admin.as_ref())})
    });
    One {
        name: about.name,
        friendly_name: about.friendly_name,
        category: about.category.as_str(),
        logo_url: format!("{}/static/services/{}.svg", call.base, about.name),
        apis: about.apis.to_vec(),
        api: "core",
        kind: "service",
        href: format!("{}/v1/public/services/{}", call.base, about.name),
        properties,
    }
}

/// `GET /v1/public/services`.
///
/// # Errors
/// `not_found` for an unknown `app_id`; `invalid_parameters`.
pub async fn list(State(app): State<App>, call: Call, query: Query) -> Answer {
    if let Some(id) = query.text("app_id") {
        let known = app.directory().public_application(id).await?;
        known.ok_or_else(|| Problem::not_found("application"))?;
    }
    let full = query.flag("retrieve_properties")?.unwrap_or(false);
    let apis: Vec<&str> = query.list("apis").collect();
    let category = query.text("category");
    let mut all: Vec<_> = app
        .registry()
        .iter()
        .filter(|one| {
            let about = one.descriptor();
            category.is_none_or(|category| about.category.as_str() == category)
                && (apis.is_empty() || apis.iter().any(|api| about.apis.contains(api)))
        })
        .collect();
    all.sort_by_key(|one| one.descriptor().friendly_name.to_lowercase());
    let page = NumberPage::read(&app, &query, "services".to_owned()).await?;
    let total = all.len() as u64;
    let shown = page.of(all).into_iter().map(|one| view(&call, one.as_ref(), full)).collect();
    ok(&page.answer("core", total, shown)?)
}

/// `GET /v1/public/services/{name}`.
///
/// # Errors
/// `not_found`.
pub async fn retrieve(
    State(app): State<App>,
    call: Call,
    Path(name): Path<String>,
    query: Query,
) -> Answer {
    let full = query.flag("retrieve_properties")?.unwrap_or(false);
    let connector = app.registry().get(&name).ok_or_else(|| Problem::not_found("service"))?;
    ok(&view(&call, connector.as_ref(), full))
}

/// `GET /static/services/{file}`: the service's mark, drawn by us.
///
/// # Errors
/// `not_found`.
pub async fn logo(State(app): State<App>, Path(file): Path<String>) -> Answer {
    let name = file.strip_suffix(".svg").unwrap_or(&file);
    let connector = app.registry().get(name).ok_or_else(|| Problem::not_found("picture"))?;
    let svg = crate::connect::marks::svg(name, connector.descriptor().friendly_name);
    let mut response = Response::new(Body::from(svg));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    Ok(response)
}
