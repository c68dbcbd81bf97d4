//! A write that is asked to run as a task: kept with everything that it needs, and answered `202`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde_json::{Value, json};
use tramontane_accounts::Caller;
use tramontane_tasks::{Kind, Operation, Payload, Work};

use super::after_the_caller;
use super::kinds::kind_of;
use crate::account::Account;
use crate::call::Call;
use crate::front::Front;
use crate::json::{collect, parse};
use crate::kept::Kept;
use crate::problem::{Answer, Problem};
use crate::query::{Query, boolean, latin};
use crate::state::App;
use crate::v1::multipart_form::Form;
use crate::v1::tasks::accepted;
use crate::v1::upload::incoming;

/// The task that a request is done for, in the request's extensions.
#[derive(Clone)]
pub(crate) struct Working(pub(crate) Arc<Work>);

/// Headers that decide what a write does.
const HEADERS: [&str; 8] = [
    "content-type",
    "x-kloudless-metadata",
    "x-kloudless-raw-data",
    "x-kloudless-raw-headers",
    "x-kloudless-as-user",
    "if-match",
    "if-none-match",
    "traceparent",
];

/// Where the bodies of tasks wait.
pub(crate) fn kept(app: &App) -> Kept {
    Kept::new(app.spool().dir().join("tasks"))
}

/// Keeps the request as a task when it asks for that, else runs it.
pub(crate) async fn or_run(
    front: &Front,
    call: &Call,
    request: Request,
    next: Next,
) -> Answer<Response> {
    let kind = kind_of(call.route(), request.method());
    let Some(kind) = kind.filter(|kind| *kind != Kind::Other || is_asked(request.headers())) else {
        return Ok(next.run(request).await);
    };
    match wants_task(&request, kind) {
        Ok(true) => {}
        Ok(false) => return Ok(next.run(request).await),
        Err(problem) => return Err(after_the_caller(front, call, request, problem).await),
    }
    let (mut parts, body) = request.into_parts();
    // The checks of credential and account come before anything is kept.
    let account = Account::from_request_parts(&mut parts, front.app()).await?;
    submit(&account, kind, &parts, body).await
}

fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key("x-kloudless-async")
}

fn wants_task(request: &Request, kind: Kind) -> Answer<bool> {
    if kind == Kind::Copy && Query::of(request.uri()).text("return_type") == Some("task") {
        return Ok(true);
    }
    let Some(value) = request.headers().get("x-kloudless-async") else { return Ok(false) };
    let text = value.to_str().unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(false);
    }
    boolean(text).ok_or_else(|| Problem::invalid("X-Kloudless-Async", "must be true or false"))
}

async fn submit(account: &Account, kind: Kind, parts: &Parts, body: Body) -> Answer {
    let app = account.app();
    let id = app.tasks().mint_id();
    let mut headers: BTreeMap<String, String> = HEADERS
        .iter()
        .filter_map(|name| {
            let value = parts.headers.get(*name)?;
            Some(((*name).to_owned(), latin(value.as_bytes().to_vec())))
        })
        .collect();
    let (kind, payload) = payload(app, kind, &id, &mut headers, &parts.headers, body).await?;
    let operation = Operation {
        kind,
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: without_return_type(parts.uri.query().unwrap_or_default()),
        headers,
        payload,
        caller: json!({
            "who": caller(&account.caller), "base": account.call.base,
            "client": account.call.client,
        }),
    };
    match app.tasks().submit(id.clone(), account.id(), &operation).await {
        Ok(task) => accepted(account, &task),
        Err(error) => {
            kept(app).remove(&id).await;
            Err(error.into())
        }
    }
}

/// The body as it is kept. Content waits on disk; a form is taken apart, so that what is kept is
/// content with its metadata.
async fn payload(
    app: &App,
    kind: Kind,
    id: &str,
    kept_headers: &mut BTreeMap<String, String>,
    headers: &HeaderMap,
    body: Body,
) -> Answer<(Kind, Payload)> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let most = app.limits().upload_body.unwrap_or(u64::MAX);
    let content = match kind {
        Kind::Replace => incoming(app, body, None)?,
        Kind::Upload if headers.contains_key("x-kloudless-metadata") => incoming(app, body, None)?,
        Kind::Upload if essence == "multipart/form-data" => {
            let mut form = Form::read(app, headers, body)?;
            let (metadata, content) = form.parts().await?;
            kept_headers.insert("x-kloudless-metadata".into(), metadata.to_json().to_string());
            kept_headers.remove("content-type");
            content
        }
        kind => {
            let limit = match kind {
                Kind::Batch => app.limits().batch_body,
                _ => app.limits().json_body,
            };
            let value = parse(collect(body, limit).await?)?;
            let kind = if kind == Kind::Upload { Kind::UploadFromUrl } else { kind };
            let payload = if value.is_null() { Payload::None } else { Payload::Json(value) };
            return Ok((kind, payload));
        }
    };
    let parcel = kept(app).keep(id, content, most).await?;
    let payload =
        Payload::Spooled { name: id.to_owned(), size: parcel.size, sha256: Some(parcel.sha256) };
    Ok((kind, payload))
}

/// Who asked, without the credential itself.
fn caller(caller: &Caller) -> Value {
    match caller {
        Caller::Key(key) => json!({
            "application": key.application.id, "key": key.key_id,
            "access": key.access.to_stored(),
        }),
        Caller::Tokens(grants) => json!({
            "tokens": grants.iter().map(|grant| json!({
                "application": grant.application.id, "account": grant.account,
                "token": grant.token_id, "access": grant.access.to_stored(), "scope": grant.scope,
            })).collect::<Vec<_>>(),
        }),
        Caller::Developer(_) => Value::Null,
    }
}

fn without_return_type(query: &str) -> String {
    let kept = query.split('&').filter(|pair| pair.split('=').next() != Some("return_type"));
    kept.collect::<Vec<_>>().join("&")
}
