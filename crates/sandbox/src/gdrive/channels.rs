//! Push notifications: channels opened, messages sent, channels stopped.
//!
//! Source: "Notifications for resource changes" of the Drive API: an hour by default, a day at most for
//! files, a week for changes; a `sync` message first; everything in `X-Goog-` headers. The real service
//! takes `https` addresses only; this one also `http` on this machine.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Json, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tramontane_model::Timestamp;
use url::Url;

use super::Google;
use super::call::{Call, nothing, object};
use super::changes::{log_of, page_token};
use super::fault::{Answer, Fault};
use super::state::{Change, Channel, State, Target, Watched};
use super::update::text;

/// The most channels that are open at once.
const MAX_CHANNELS: usize = 10_000;
/// A channel's life in seconds when none is asked for.
const DEFAULT_LIFE: i64 = 3_600;
/// The longest life of a channel for changes, in seconds.
const CHANGES_LIFE: i64 = 604_800;
/// The longest life of a channel for one file, in seconds.
const FILE_LIFE: i64 = 86_400;

/// `POST changes/watch`.
pub(super) async fn watch_changes(
    Shared(google): Shared<Google>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.reads()?;
    let asked = object(body).await?;
    let mut state = google.state();
    page_token(&state, &call)?;
    let drive = log_of(&state, &call)?;
    let query = call.text("pageToken").unwrap_or_default();
    let mut uri =
        format!("{}/drive/v3/changes?alt=json&pageToken={query}&includeRemoved=true", call.base);
    if let Some(drive) = &drive {
        uri.push_str(&format!("&driveId={drive}"));
    }
    open(&google, &mut state, &call, &asked, Watched::Changes { drive }, uri, CHANGES_LIFE)
}

/// `POST files/{id}/watch`.
pub(super) async fn watch_file(
    Shared(google): Shared<Google>,
    Path(id): Path<String>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    call.reads()?;
    let asked = object(body).await?;
    let mut state = google.state();
    let (file, _) = state.seen(call.person, &id, call.all_drives(), call.now)?;
    let id = file.id.clone();
    let uri = format!("{}/drive/v3/files/{id}?alt=json", call.base);
    open(&google, &mut state, &call, &asked, Watched::File(id), uri, FILE_LIFE)
}

fn open(
    google: &Google,
    state: &mut State,
    call: &Call,
    asked: &Value,
    watched: Watched,
    uri: String,
    longest: i64,
) -> Answer<Response> {
    let id = text(asked, "id").filter(|id| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
        !id.is_empty() && id.len() <= 64 && id.bytes().all(fine)
    });
    let id =
        id.ok_or_else(|| Fault::bad("channelIdInvalid", "Channel id not specified or invalid"))?;
    if !matches!(text(asked, "type"), Some("web_hook" | "webhook")) {
        return Err(Fault::bad("channelUnknown", "Unknown channel type"));
    }
    let address = text(asked, "address").and_then(|address| Url::parse(address).ok());
    let address = address.filter(|url| {
        let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        url.scheme() == "https" || (url.scheme() == "http" && here)
    });
    let address = address
        .ok_or_else(|| Fault::bad("push.webhookUrlNotHttps", "WebHook callback must be HTTPS: "))?;
    let token = text(asked, "token").map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.len() > 256) {
        return Err(Fault::bad("invalid", "Channel token is too long"));
    }
    state.channels.retain(|_, channel| call.now < channel.expires);
    if state.channels.contains_key(id) {
        return Err(Fault::bad("channelIdNotUnique", format!("Channel id {id} not unique")));
    }
    if state.channels.len() >= MAX_CHANNELS {
        return Err(Fault::forbidden("rateLimitExceeded", "Too many channels."));
    }
    // Milliseconds, as a number or as text.
    let wanted = asked.get("expiration").and_then(|value| {
        value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    });
    let until = wanted.map(Timestamp::from_millis);
    let expires = match until {
        Some(until) if until <= call.now => {
            return Err(Fault::bad("invalid", "The channel's expiration is in the past"));
        }
        Some(until) => until.min(call.now.plus_seconds(longest)),
        None => call.now.plus_seconds(DEFAULT_LIFE),
    };
    let resource = match &watched {
        Watched::Changes { drive } => {
            let of = drive.clone().unwrap_or_else(|| call.person.email.to_owned());
            super::access::number_of(&format!("changes of {of}"), 27)
        }
        Watched::File(id) => super::access::number_of(&format!("file {id}"), 27),
    };
    let mut channel = Channel {
        id: id.to_owned(),
        resource: resource.clone(),
        uri: uri.clone(),
        address,
        token: token.clone(),
        expires,
        person: call.person,
        watched,
        sent: 0,
    };
    // The sync message may come before the answer, and often does.
    send(google, &mut channel, "sync", "");
    state.channels.insert(id.to_owned(), channel);
    let mut answer = json!({
        "kind": "api#channel", "id": id, "resourceId": resource, "resourceUri": uri,
        "expiration": (expires.micros() / 1_000).to_string(),
    });
    if let (Some(token), Some(members)) = (token, answer.as_object_mut()) {
        members.insert("token".into(), token.into());
    }
    Ok(Json(answer).into_response())
}

/// `POST channels/stop`.
pub(super) async fn stop(
    Shared(google): Shared<Google>,
    call: Call,
    body: Body,
) -> Answer<Response> {
    let asked = object(body).await?;
    let (Some(id), Some(resource)) = (text(&asked, "id"), text(&asked, "resourceId")) else {
        return Err(Fault::bad("required", "Required: id and resourceId"));
    };
    let mut state = google.state();
    let mine = state.channels.get(id).is_some_and(|channel| {
        channel.resource == resource && channel.person == call.person && call.now < channel.expires
    });
    if !mine {
        return Err(Fault::not_found(format!("Channel '{id}' not found for project")));
    }
    state.channels.remove(id);
    Ok(nothing())
}

impl Google {
    /// Tells every channel that watches what changed.
    pub(super) fn push(
        &self,
        state: &mut State,
        change: &Change,
        told: &BTreeSet<&'static str>,
        how: &'static str,
        what: &'static str,
    ) {
        let now = self.now();
        for channel in state.channels.values_mut().filter(|channel| now < channel.expires) {
            match (&channel.watched, &change.target) {
                (Watched::Changes { drive: Some(drive) }, _) if change.is_of(drive) => {
                    send(self, channel, "change", "");
                }
                (Watched::Changes { drive: None }, _) if told.contains(channel.person.id) => {
                    send(self, channel, "change", "");
                }
                (Watched::File(id), Target::File(changed)) if id == changed => {
                    send(self, channel, how, what);
                }
                _ => {}
            }
        }
    }
}

fn send(google: &Google, channel: &mut Channel, how: &str, what: &str) {
    channel.sent += 1;
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-goog-channel-id", &channel.id);
    if let Some(token) = &channel.token {
        set("x-goog-channel-token", token);
    }
    set("x-goog-channel-expiration", &channel.expires.to_http_date());
    set("x-goog-resource-id", &channel.resource);
    set("x-goog-resource-uri", &channel.uri);
    set("x-goog-resource-state", how);
    set("x-goog-message-number", &channel.sent.to_string());
    if !what.is_empty() {
        set("x-goog-changed", what);
    }
    set("user-agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)");
    google.0.lent.pushes.send("gdrive", channel.address.clone(), headers, String::new());
}
