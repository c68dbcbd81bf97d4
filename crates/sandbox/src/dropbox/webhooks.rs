//! Webhooks: one list of addresses for the whole app, with the challenge when one is added and a
//! signature on every message; and what only a simulation can do.
//!
//! "Webhooks": <https://www.dropbox.com/developers/reference/webhooks>. The App Console, where addresses are added,
//! is `POST /_sandbox/webhooks` here.

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::World;
use super::render::account_id;
use crate::issuer::CLIENT_SECRET;
use crate::people::Person;

/// The most addresses of the app.
const MAX_ADDRESSES: usize = 100;

/// Adds an address, when it answers the challenge as it must: the challenge alone, as text.
pub(super) async fn add(State(world): State<World>, Json(asked): Json<Value>) -> Response {
    let url = asked.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
    let Some(url) = url else {
        return (StatusCode::BAD_REQUEST, "\"url\" must be a web address").into_response();
    };
    let challenge = world.dice.token("", 32);
    let mut asking = url.clone();
    asking.query_pairs_mut().append_pair("challenge", &challenge);
    let answer = world.pushes.exchange(&asking, Method::GET, HeaderMap::new(), String::new()).await;
    match answer {
        Some((status, body)) if status.is_success() && body.trim() == challenge => {
            let mut state = world.state();
            if !state.webhooks.contains(&url) && state.webhooks.len() < MAX_ADDRESSES {
                state.webhooks.push(url);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        _ => (StatusCode::BAD_REQUEST, "the address did not echo the challenge").into_response(),
    }
}

/// Takes all addresses away.
pub(super) async fn clear(State(world): State<World>) -> Response {
    world.state().webhooks.clear();
    StatusCode::NO_CONTENT.into_response()
}

/// Forgets what all cursors build on, as Dropbox does with old ones: they are `reset`.
pub(super) async fn reset_cursors(State(world): State<World>) -> Response {
    for drive in world.state().drives.values_mut() {
        drive.generation += 1;
    }
    StatusCode::NO_CONTENT.into_response()
}

/// `X-Dropbox-Signature`: HMAC-SHA256 of the raw body under the app's secret, in hex.
fn signature(body: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()) {
        Ok(mut mac) => {
            mac.update(body.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

/// Tells every address that something of this person changed; not what.
pub(super) fn tell(world: &World, person: &Person) {
    let addresses = world.state().webhooks.clone();
    if addresses.is_empty() {
        return;
    }
    let body =
        json!({"list_folder": {"accounts": [account_id(person)]}, "delta": {"users": [12345]}});
    let body = body.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(&signature(&body)) {
        headers.insert("X-Dropbox-Signature", value);
    }
    for url in addresses {
        world.pushes.send("dropbox", url, headers.clone(), body.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_with_the_apps_secret() {
        // From `printf hello | openssl dgst -sha256 -hmac sandbox-secret`.
        assert_eq!(
            signature("hello"),
            "9a500a83d833866b07b977ebdf6ebee272ba2557abc7251a9f54978f5f3049f7"
        );
    }
}
