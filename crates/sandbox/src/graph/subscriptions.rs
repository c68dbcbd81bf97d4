//! Change notifications: subscriptions with their handshake, renewal and expiry, and what subscribers
//! are sent ("subscription resource type", "Receive change notifications through webhooks", "Reduce
//! missing subscriptions and change notifications").

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};
use tramontane_model::Timestamp;
use url::Url;

use super::Face;
use super::call::{Answer, Call, Outcome};
use super::fault::{Fault, bad, not_found};
use super::route::done;
use super::world::{Subscription, World, tenant};

/// The longest life of a subscription to a drive, in minutes.
const MAX_MINUTES: i64 = 42_300;
const MAX_SUBSCRIPTIONS: usize = 1_000;

fn shown(one: &Subscription) -> Value {
    json!({
        "id": one.id,
        "resource": one.resource,
        "changeType": "updated",
        "clientState": one.client_state,
        "notificationUrl": one.url,
        "lifecycleNotificationUrl": one.lifecycle,
        "expirationDateTime": one.until.to_string(),
        "applicationId": one.app,
        "creatorId": super::world::guid(one.owner.id),
        "latestSupportedTlsVersion": "v1_2",
    })
}

/// The drive that a resource names.
fn drive_of(world: &World, call: &Call, resource: &str) -> Result<String, Fault> {
    let words: Vec<&str> = resource.trim_start_matches('/').split('/').collect();
    let id = match words.as_slice() {
        ["me", "drive", "root"] | ["drive", "root"] if !call.who.app => {
            world.home(call.who.person)?
        }
        ["users", id, "drive", "root"] => world.home(world.person(id)?)?,
        ["drives", id, "root"] => (*id).to_owned(),
        ["sites", site, "drive", "root"] => {
            world.site(site)?.drives.first().cloned().ok_or_else(not_found)?
        }
        ["sites", _, "drives", id, "root"] => (*id).to_owned(),
        _ => {
            return Err(Fault::new(
                400,
                "ExtensionError",
                format!(
                    "Operation: Create; Exception: [Status Code: BadRequest; Reason: The resource {resource} is not supported]"
                ),
            ));
        }
    };
    world.drive(&id, call.who)?;
    Ok(id)
}

fn until(call: &Call, body: &Value) -> Result<Timestamp, Fault> {
    let text = body.get("expirationDateTime").and_then(Value::as_str);
    let until = text
        .and_then(Timestamp::parse)
        .ok_or_else(|| bad("expirationDateTime is required").inner("InvalidRequest"))?;
    if until <= call.now {
        return Err(bad("Expiration date must be in the future"));
    }
    if until > call.now.plus_seconds(MAX_MINUTES * 60) {
        return Err(bad(format!(
            "Subscription expiration can only be {MAX_MINUTES} minutes in the future."
        )));
    }
    Ok(until)
}

/// Sends the validation token and wants it back, as text, within the time that pushes may take.
async fn handshake(face: &Face, url: &str) -> Result<(), Fault> {
    let refused = |why: &str| {
        Fault::new(400, "ValidationError", format!("Subscription validation request failed. {why}"))
    };
    let mut url = Url::parse(url).map_err(|_| refused("The notification URL is not valid."))?;
    let token = format!(
        "Validation: Testing client application reachability for subscription Request-Id: {}",
        face.lent.dice.token("", 16)
    );
    url.query_pairs_mut().append_pair("validationToken", &token);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match face.lent.pushes.exchange(&url, Method::POST, headers, String::new()).await {
        Some((status, body)) if status.as_u16() == 200 && body == token => Ok(()),
        Some((status, _)) if status.as_u16() != 200 => {
            Err(refused(&format!("Response must be 200 OK, got {status}.")))
        }
        Some(_) => Err(refused("The validation token was not given back.")),
        None => {
            Err(refused("Notification endpoint must respond with 200 OK to validation request."))
        }
    }
}

/// Answers calls below `/subscriptions`.
pub(super) async fn route(face: &Face, call: &Call, words: &[&str]) -> Outcome {
    face.world().subscriptions.retain(|_, one| one.until > call.now);
    match (call.method.as_str(), words) {
        ("POST", [_]) => create(face, call).await,
        ("GET", [_]) => {
            let world = face.world();
            let own = world.subscriptions.values().filter(|one| one.owner == call.who.person);
            Ok(Answer::json(json!({"value": own.map(shown).collect::<Vec<_>>()})))
        }
        ("GET", [_, id]) => {
            let world = face.world();
            Ok(Answer::json(shown(world.subscriptions.get(*id).ok_or_else(gone)?)))
        }
        ("PATCH", [_, id]) => {
            let until = until(call, &call.json()?)?;
            let mut world = face.world();
            let one = world.subscriptions.get_mut(*id).ok_or_else(gone)?;
            one.until = until;
            Ok(Answer::json(shown(one)))
        }
        ("POST", [_, id, "reauthorize"]) => {
            face.world().subscriptions.get(*id).ok_or_else(gone)?;
            Ok(done())
        }
        ("DELETE", [_, id]) => {
            face.world().subscriptions.remove(*id).ok_or_else(gone)?;
            Ok(done())
        }
        _ => Err(bad("Resource not found for the segment.")),
    }
}

fn gone() -> Fault {
    Fault::new(404, "ResourceNotFound", "The object was not found.")
}

async fn create(face: &Face, call: &Call) -> Outcome {
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let resource = text("resource").ok_or_else(|| bad("resource is required"))?;
    let url = text("notificationUrl").ok_or_else(|| bad("notificationUrl is required"))?;
    if text("changeType").as_deref() != Some("updated") {
        return Err(bad("For this resource changeType can only be 'updated'"));
    }
    let client_state = text("clientState");
    if client_state.as_ref().is_some_and(|state| state.len() > 128) {
        return Err(bad("clientState must be at most 128 characters long"));
    }
    let until = until(call, &body)?;
    let drive = drive_of(&face.world(), call, &resource)?;
    let lifecycle = text("lifecycleNotificationUrl");
    handshake(face, &url).await?;
    if let Some(lifecycle) = &lifecycle {
        handshake(face, lifecycle).await?;
    }
    let id = super::world::guid(&face.lent.dice.token("subscription", 16));
    let one = Subscription {
        id: id.clone(),
        drive,
        resource,
        url,
        lifecycle,
        client_state,
        until,
        owner: call.who.person,
        app: crate::issuer::CLIENT_ID.into(),
    };
    let mut world = face.world();
    if world.subscriptions.len() >= MAX_SUBSCRIPTIONS {
        return Err(Fault::new(
            403,
            "ExtensionError",
            "The number of subscriptions has reached its limit.",
        ));
    }
    let answer = shown(&one);
    world.subscriptions.insert(id, one);
    Ok(Answer::created(answer))
}

fn send(face: &Face, url: &str, value: Value) {
    let Ok(url) = Url::parse(url) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    face.lent.pushes.send(face.service, url, headers, json!({"value": [value]}).to_string());
}

/// Tells subscribers of the drives that changed.
pub(super) fn tell(face: &Face) {
    let now = face.lent.clock.now();
    let told: Vec<Subscription> = {
        let mut world = face.world();
        let dirty = std::mem::take(&mut world.dirty);
        world
            .subscriptions
            .values()
            .filter(|one| dirty.contains(&one.drive) && one.until > now)
            .cloned()
            .collect()
    };
    for one in told {
        send(
            face,
            &one.url,
            json!({
                "subscriptionId": one.id,
                "clientState": one.client_state,
                "changeType": "updated",
                "resource": one.resource,
                "resourceData": null,
                "subscriptionExpirationDateTime": one.until.to_string(),
                "tenantId": if face.personal { String::new() } else { tenant() },
            }),
        );
    }
}

/// Sends a lifecycle event to every subscriber that has a URL for them: `reauthorizationRequired`,
/// `subscriptionRemoved`, `missed`.
pub(super) fn lifecycle(face: &Face, event: &str) {
    let all: Vec<Subscription> = face.world().subscriptions.values().cloned().collect();
    for one in all {
        let Some(url) = &one.lifecycle else { continue };
        send(
            face,
            url,
            json!({
                "subscriptionId": one.id,
                "clientState": one.client_state,
                "lifecycleEvent": event,
                "resource": one.resource,
                "subscriptionExpirationDateTime": one.until.to_string(),
                "tenantId": if face.personal { String::new() } else { tenant() },
                "organizationId": if face.personal { String::new() } else { tenant() },
            }),
        );
        if event == "subscriptionRemoved" {
            face.world().subscriptions.remove(&one.id);
        }
    }
}
