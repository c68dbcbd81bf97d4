//! Microsoft Graph, simulated: OneDrive for personal use, OneDrive for Business and SharePoint, with the
//! sign-in of login.microsoftonline.com. One world holds all personal accounts, another one the
//! organisation `example.com` with its drives and sites, which `onedrivebiz` and `sharepoint` share.
//!
//! Below a service's name: `/v1.0/...` as at graph.microsoft.com; `/{tenant}/oauth2/v2.0/...` as at
//! login.microsoftonline.com; `/up`, `/dl` and `/monitor` in place of the hosts that pre-authenticated
//! URLs lead to; `/_sandbox/...` for what only a simulation can do.

mod batch;
mod call;
mod changes;
mod delta;
mod directory;
mod download;
mod drive;
mod fault;
mod items;
mod names;
mod oauth;
mod route;
mod search;
mod sharing;
mod show;
mod sites;
mod subscriptions;
mod transfer;
mod versions;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, Method, StatusCode, header};
use serde_json::Value;
use tramontane_model::Timestamp;

use self::call::{Answer, Call, Outcome, Who};
use self::fault::{Fault, bad, unauthenticated};
use self::world::World;
use crate::issuer::Issuer;
use crate::people::PEOPLE;
use crate::world::{Lent, Service};

/// What a body may hold, in bytes: a simple upload, and a little more so that the limit is seen.
const MAX_BODY: usize = transfer::MAX_SIMPLE + 1;

/// One service over a world.
struct Face {
    service: &'static str,
    personal: bool,
    issuer: Issuer,
    lent: Lent,
    world: Arc<Mutex<World>>,
}

impl Face {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, as finely as the service keeps it.
    fn now(&self) -> Timestamp {
        let now = self.lent.clock.now();
        if self.personal {
            Timestamp::from_millis(now.micros().div_euclid(1_000))
        } else {
            Timestamp::from_seconds(now.seconds())
        }
    }
}

/// The three services.
pub(crate) fn services(lent: &Lent) -> Vec<Service> {
    let now = Timestamp::from_seconds(lent.clock.now().seconds());
    let personal = Arc::new(Mutex::new(World::personal(lent.dice.clone(), now)));
    let organisation = Arc::new(Mutex::new(World::organisation(lent.dice.clone(), now)));
    let faces = [
        ("onedrive", "OneDrive", "Files.ReadWrite.All User.Read offline_access", personal),
        (
            "onedrivebiz",
            "OneDrive for Business",
            "Files.ReadWrite.All User.Read offline_access",
            Arc::clone(&organisation),
        ),
        ("sharepoint", "SharePoint", "Sites.ReadWrite.All User.Read offline_access", organisation),
    ];
    faces
        .into_iter()
        .map(|(name, title, scope, world)| {
            let issuer =
                Issuer::new(oauth::rules(title), Arc::clone(&lent.clock), lent.dice.clone());
            let face = Arc::new(Face {
                service: name,
                personal: name == "onedrive",
                issuer: issuer.clone(),
                lent: lent.clone(),
                world,
            });
            let router = axum::Router::new().fallback(serve).with_state(face);
            Service { name, issuer, scope, router }
        })
        .collect()
}

async fn serve(State(face): State<Arc<Face>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = format!("http://{}/{}", host.unwrap_or("127.0.0.1"), face.service);
    // A body that breaks off is no request.
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return bad("The request body could not be read").answer(face.now()).into_response();
    };
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    if let [tenant, "oauth2", "v2.0", endpoint] = words.as_slice() {
        let form = String::from_utf8_lossy(&body);
        return oauth::serve(&face, tenant, endpoint, &parts.method, &parts.headers, &query, &form);
    }
    let mut call = Call {
        method: parts.method,
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
        who: Who { person: PEOPLE.first().unwrap_or(&NOBODY), app: false },
        base,
        path: path.clone(),
        now: face.now(),
    };
    let outcome = match words.as_slice() {
        ["_sandbox", rest @ ..] => control(&face, &call, rest),
        ["up" | "dl" | "monitor", token] => {
            return preauthenticated(
                &face,
                &call,
                words.first().copied().unwrap_or_default(),
                token,
            );
        }
        ["v1.0", ..] => match face.who(&call) {
            Ok(who) => {
                call.who = who;
                dispatch(&face, &call).await
            }
            Err(fault) => Err(fault),
        },
        _ => Err(bad("Invalid version.")),
    };
    finish(&face, &call, outcome)
}

static NOBODY: crate::people::Person = crate::people::Person {
    id: "nobody",
    name: "Nobody",
    email: "nobody@example.com",
    admin: false,
};

impl Face {
    fn who(&self, call: &Call) -> Result<Who, Fault> {
        let bearer = self.issuer.bearer(&call.headers).ok_or_else(unauthenticated)?;
        Ok(Who { person: bearer.person, app: bearer.scope.ends_with(".default") })
    }
}

/// Answers one call of the API, also from within a batch.
async fn dispatch(face: &Face, call: &Call) -> Outcome {
    let below = call.path.strip_prefix("/v1.0").unwrap_or_default();
    let steps = call::steps(below);
    let words: Vec<&str> = below.split('/').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["$batch"] => Box::pin(batch::run(face, call)).await,
        ["subscriptions", ..] => subscriptions::route(face, call, &words).await,
        _ => {
            let outcome = route::route(&mut face.world(), call, &steps);
            if call.method == Method::GET || outcome.is_err() {
                face.world().dirty.clear();
            } else {
                subscriptions::tell(face);
            }
            outcome
        }
    }
}

fn finish(face: &Face, call: &Call, outcome: Outcome) -> Response {
    let mut answer = outcome.unwrap_or_else(|fault| fault.answer(face.now()));
    let id = "00000000-0000-4000-8000-000000000000".to_owned();
    answer.headers.push((HeaderName::from_static("request-id"), id.clone()));
    let client = HeaderName::from_static("client-request-id");
    let told = call.header(&client).map_or(id, str::to_owned);
    answer.headers.push((client, told));
    answer.into_response()
}

/// URLs that carry their own right; a bearer token beside it is refused.
fn preauthenticated(face: &Face, call: &Call, kind: &str, token: &str) -> Response {
    if call.headers.contains_key(header::AUTHORIZATION) {
        let fault = Fault::new(
            401,
            "unauthenticated",
            "An Authorization header must not be sent to a pre-authenticated URL",
        );
        return finish(face, call, Err(fault));
    }
    let outcome = match kind {
        "dl" => match download::serve(&face.world(), call, token) {
            Ok(response) => return response,
            Err(fault) => Err(fault),
        },
        "up" => download::upload(&mut face.world(), call, token),
        _ => download::monitor(&mut face.world(), token),
    };
    subscriptions::tell(face);
    finish(face, call, outcome)
}

/// What only a simulation can do: forgotten cursors, short pages, a search that lags behind, locked files, lifecycle
/// events.
fn control(face: &Face, call: &Call, words: &[&str]) -> Outcome {
    let body = call.json()?;
    match words {
        ["forget_cursors"] => {
            for drive in face.world().drives.values_mut() {
                drive.generation += 1;
            }
        }
        ["pages"] => {
            let size = body.get("size").and_then(Value::as_u64);
            face.world().page = size.and_then(|size| usize::try_from(size).ok());
        }
        ["search"] => {
            let lags = body.get("lags").and_then(Value::as_bool).unwrap_or(false);
            for drive in face.world().drives.values_mut() {
                drive.indexed = lags.then_some(drive.seq);
            }
        }
        ["lock"] => {
            let item = body.get("item").and_then(Value::as_str).unwrap_or_default();
            let locked = body.get("locked").and_then(Value::as_bool).unwrap_or(true);
            for drive in face.world().drives.values_mut() {
                if let Some(item) = drive.items.get_mut(item) {
                    item.locked = locked;
                }
            }
        }
        ["lifecycle"] => {
            let event =
                body.get("event").and_then(Value::as_str).unwrap_or("reauthorizationRequired");
            subscriptions::lifecycle(face, event);
        }
        _ => return Err(bad("There is no such control")),
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
