//! One call of an API function: its argument, who it is by, its answer.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::World;
use super::refusal::Refusal;
use super::routes::{Style, find};
use super::{auth, content, mounts, sessions, space};

/// The most that one request may carry: 150 MiB.
pub(super) const MAX_UPLOAD: usize = 150 << 20;
/// The longest argument.
const MAX_ARGUMENT: usize = 1 << 20;

pub(super) async fn call(
    State(world): State<World>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    match dispatch(&world, &name, request).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.answer(&name),
    }
}

async fn dispatch(world: &World, name: &str, request: Request) -> Result<Response, Refusal> {
    let Some(route) = find(name) else {
        return Err(Refusal::Bad("Unknown API function".into()));
    };
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let download = matches!(route.style, Style::Download);
    if parts.method == Method::GET && !download {
        return Err(Refusal::Bad("Your request's HTTP request method is \"GET\". This function only accepts the HTTP request method \"POST\".".into()));
    }
    let mut caller = auth::caller(world, &route, &headers)?;
    let files = ["files/", "sharing/", "file_properties/"];
    let files = files.iter().any(|family| name.starts_with(family));
    let in_space = space::is_root(world, &headers, &caller)? && files;
    let mut enter = |argument: &mut Value| match in_space {
        true => space::enter(world, name, &mut caller, argument),
        false => Ok(space::Visit::default()),
    };
    let answer = match route.style {
        Style::Rpc(rpc) => {
            let mut argument = rpc_argument(&headers, body).await?;
            let visit = enter(&mut argument)?;
            if name == "auth/token/revoke" {
                let bearer =
                    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                world.issuer.revoke(bearer.unwrap_or_default().trim_start_matches("Bearer "));
            }
            let mut answer = match visit.itself() {
                Some(folder) => folder,
                None => rpc(world, &caller, &argument)?,
            };
            visit.leave(&mut answer);
            Json(answer).into_response()
        }
        Style::Upload => {
            let mut argument = header_argument(&headers)?;
            let visit = enter(&mut argument)?;
            let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let fits = media.is_some_and(|media| {
                media.starts_with("application/octet-stream")
                    || media.starts_with("text/plain; charset=dropbox-cors-hack")
            });
            if !fits {
                return Err(Refusal::Bad(format!(
                    "Bad HTTP \"Content-Type\" header: {:?}. Expecting one of \"application/octet-stream\", \"text/plain; charset=dropbox-cors-hack\".",
                    media.unwrap_or_default()
                )));
            }
            let bytes = collect(body, MAX_UPLOAD).await?;
            let mut answer = match name {
                "files/upload" => content::upload(world, &caller, &argument, bytes)?,
                "files/paper/create" => content::paper(world, &caller, &argument, bytes)?,
                _ => sessions::upload(world, &caller, name, &argument, bytes)?,
            };
            visit.leave(&mut answer);
            Json(answer).into_response()
        }
        Style::Download => {
            let mut argument = header_argument(&headers)?;
            let visit = enter(&mut argument)?;
            let sent = collect(body, MAX_ARGUMENT).await?;
            if !sent.is_empty() {
                return Err(Refusal::Bad("Error: non-empty request body".into()));
            }
            let mut answer = content::download(world, &caller, name, &argument, &headers)?;
            let result = answer.headers().get("Dropbox-API-Result");
            let result = result.and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
            if let Some(mut result) = result {
                visit.leave(&mut result);
                if let Some(value) = header_json(&result) {
                    answer.headers_mut().insert("Dropbox-API-Result", value);
                }
            }
            answer
        }
    };
    if route.writes {
        for other in mounts::mirror(world, caller.person) {
            world.changed(other);
        }
        world.changed(caller.person);
    }
    Ok(answer)
}

async fn collect(body: Body, most: usize) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, most).collect().await;
    whole
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_| Refusal::Bad("The request's body is too large or broke off.".into()))
}

async fn rpc_argument(headers: &HeaderMap, body: Body) -> Result<Value, Refusal> {
    let bytes = collect(body, MAX_ARGUMENT).await?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match media {
        None if bytes.is_empty() => return Ok(Value::Null),
        Some(media)
            if media.starts_with("application/json")
                || media.starts_with("text/plain; charset=dropbox-cors-hack") => {}
        _ => {
            return Err(Refusal::Bad(format!(
                "Bad HTTP \"Content-Type\" header: {:?}. Expecting one of \"application/json\", \"application/json; charset=utf-8\", \"text/plain; charset=dropbox-cors-hack\".",
                media.unwrap_or_default()
            )));
        }
    }
    serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::Bad("request body: could not decode input as JSON".into()))
}

fn header_argument(headers: &HeaderMap) -> Result<Value, Refusal> {
    let missing = || {
        Refusal::Bad(
            "Must provide HTTP header \"Dropbox-API-Arg\" or URL parameter \"arg\".".into(),
        )
    };
    let value = headers.get("Dropbox-API-Arg").ok_or_else(missing)?;
    // Anything but ASCII must come as \u escapes: the header is refused otherwise.
    let text = value.to_str().ok().filter(|text| text.is_ascii());
    let value = text.and_then(|text| serde_json::from_str(text).ok());
    value.ok_or_else(|| {
        Refusal::Bad("HTTP header \"Dropbox-API-Arg\": could not decode input as JSON".into())
    })
}

/// JSON that a header can hold: everything beyond ASCII escaped.
pub(super) fn header_json(value: &Value) -> Option<HeaderValue> {
    let mut text = String::new();
    for one in value.to_string().chars() {
        if one.is_ascii() && one != '\u{7f}' {
            text.push(one);
        } else {
            let mut units = [0u16; 2];
            for unit in one.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    HeaderValue::from_str(&text).ok()
}

/// An answer of content with the result in its header.
pub(super) fn with_result(status: StatusCode, result: &Value, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if let Some(value) = header_json(result) {
        answer.headers_mut().insert("Dropbox-API-Result", value);
    }
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer
}
