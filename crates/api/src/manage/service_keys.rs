//! An application's own OAuth clients at services (wire API, section 20.6). Secrets go in and never out.

use axum::extract::{Path, State};
use secrecy::SecretString;
use serde_json::Value;
use tramontane_accounts::NewServiceKey;
use tramontane_store::service_keys;

use super::{Manager, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const MAX_TEXT_BYTES: usize = 4_000;
const MAX_SCOPES: usize = 200;

pub(crate) async fn list(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let rows = service_keys::list(app.db(), &id).await?;
    manager.all(&app, rows.iter().map(|row| views::service_key(&of, row))).await
}

pub(crate) async fn create(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let service = body.required_text("service")?;
    if app.registry().get(&service).is_none() {
        let known = app.registry().names().join(", ");
        return Err(Problem::invalid("service", format!("is not known; the services are {known}")));
    }
    let client_id = short(Some(body.required_text("client_id")?), "client_id")?;
    let new = NewServiceKey {
        service,
        admin: body.flag("admin")?.unwrap_or(false),
        client_id: client_id
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Problem::invalid("client_id", "must not be empty"))?,
        client_secret: secret(&body)?.flatten(),
        scopes: scopes(&body)?.flatten(),
    };
    let row = app.directory().create_service_key(&id, &new).await?;
    answer::made(true, &views::service_key(&of, &row))
}

pub(crate) async fn retrieve(
    State(app): State<App>,
    manager: Manager,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let row = service_keys::find(app.db(), &id, &key).await?;
    answer::ok(&views::service_key(&of, &row.ok_or_else(|| Problem::not_found("service key"))?))
}

pub(crate) async fn update(
    State(app): State<App>,
    manager: Manager,
    Path((id, key)): Path<(String, String)>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let row = service_keys::find(app.db(), &id, &key).await?;
    let row = row.ok_or_else(|| Problem::not_found("service key"))?;
    if body.text("service")?.is_some_and(|service| service != row.service) {
        return Err(Problem::invalid("service", "cannot be changed; make another key"));
    }
    if body.flag("admin")?.is_some_and(|admin| admin != row.admin) {
        return Err(Problem::invalid("admin", "cannot be changed; make another key"));
    }
    let client_id = short(body.text("client_id")?, "client_id")?;
    if client_id.as_ref().is_some_and(String::is_empty) {
        return Err(Problem::invalid("client_id", "must not be empty"));
    }
    let (secret, scopes) = (secret(&body)?, scopes(&body)?);
    let row = app
        .directory()
        .update_service_key(
            &id,
            &key,
            client_id.as_deref(),
            secret.as_ref().map(Option::as_ref),
            scopes.as_ref().map(Option::as_ref),
        )
        .await?;
    answer::ok(&views::service_key(&of, &row))
}

pub(crate) async fn delete(
    State(app): State<App>,
    manager: Manager,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    if service_keys::delete(app.db(), &id, &key).await? {
        Ok(answer::empty())
    } else {
        Err(Problem::not_found("service key"))
    }
}

fn short(text: Option<String>, member: &str) -> Answer<Option<String>> {
    if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES || text.contains('\0')) {
        return Err(Problem::invalid(member, "must have at most 4000 bytes"));
    }
    Ok(text)
}

/// `client_secret`: absent, removed (`null` or empty), or a new one.
fn secret(body: &JsonBody) -> Answer<Option<Option<SecretString>>> {
    if !body.has("client_secret") {
        return Ok(None);
    }
    let text = short(body.text("client_secret")?, "client_secret")?;
    Ok(Some(text.filter(|text| !text.is_empty()).map(SecretString::from)))
}

/// `scopes`: absent, the connector's default (`null`), or a list of texts.
fn scopes(body: &JsonBody) -> Answer<Option<Option<Value>>> {
    match body.get("scopes") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::Array(items)) => {
            let fine = |item: &Value| {
                item.as_str().is_some_and(|text| {
                    !text.is_empty() && text.len() <= 500 && !text.contains('\0')
                })
            };
            if items.len() > MAX_SCOPES || !items.iter().all(fine) {
                return Err(Problem::invalid(
                    "scopes",
                    "must be a list of at most 200 short texts",
                ));
            }
            Ok(Some(Some(Value::Array(items.clone()))))
        }
        Some(_) => Err(Problem::invalid("scopes", "must be a list of texts, or null")),
    }
}
