//! Every path of the API on one screen.

use axum::extract::{OriginalUri, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::issuer::params;

use super::Cloud;
use super::answer::{Answer, Fault, plain, unauthorized};
use super::call::Call;
use super::node::{Key, Kind};
use super::{content, events, oauth};

/// The largest body that is taken: a part or a direct upload, in bytes.
const MAX_BODY: usize = 70 << 20;

pub(super) fn router(cloud: Cloud) -> axum::Router {
    axum::Router::new()
        .route("/api/oauth2/authorize", get(oauth::consent).post(oauth::decide))
        .route("/oauth2/token", post(oauth::token))
        .route("/oauth2/revoke", post(oauth::revoke))
        .route("/realtime/{user}", get(events::wait))
        .route("/dl/{token}", get(content::deliver))
        .route("/_quirks", post(quirks))
        .fallback(api)
        .with_state(cloud)
}

async fn quirks(State(cloud): State<Cloud>, body: String) -> Response {
    crate::quirks::set(&body, |quirks| cloud.store().quirks = quirks)
}

/// Everything below `/2.0`.
async fn api(
    State(cloud): State<Cloud>,
    OriginalUri(original): OriginalUri,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(bearer) = cloud.issuer.bearer(&parts.headers) else { return unauthorized() };
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        // The client went away, or sends more than Box takes at once.
        let text = "The request is larger than Box takes";
        return Fault::new(413, "request_entity_too_large", text).answer("");
    };
    let body = body.to_bytes();
    let path = parts.uri.path();
    let prefix = original.path().strip_suffix(path).unwrap_or_default();
    let host = parts.headers.get("host").and_then(|value| value.to_str().ok());
    let base = format!("http://{}{prefix}", host.unwrap_or("localhost"));
    let query = params(parts.uri.query().unwrap_or_default());
    let decoded: Vec<String> = path
        .strip_prefix("/2.0/")
        .unwrap_or_default()
        .split('/')
        .map(|one| percent_encoding::percent_decode_str(one).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let mut store = cloud.store();
    let request_id = store.dice.token("", 16).to_lowercase();
    let caller = store.user_of(bearer.person);
    let me = match (caller, as_user(&parts.headers)) {
        (None, _) => return unauthorized(),
        (Some(caller), None) => caller,
        (Some(caller), Some(wanted)) => {
            let is_admin = store.users.get(&caller).is_some_and(|user| user.role != "user");
            match wanted.parse().ok().filter(|id| store.users.contains_key(id)) {
                Some(id) if is_admin || id == caller => id,
                _ => return Fault::forbidden().answer(&request_id),
            }
        }
    };
    let before = store.journal.count();
    let call =
        Call { store: &mut store, me, query: &query, headers: &parts.headers, body, base: &base };
    let answer = dispatch(call, &parts.method, &segments);
    let after = store.journal.count();
    drop(store);
    if after != before {
        cloud.news.send_replace(after);
    }
    answer.unwrap_or_else(|fault| fault.answer(&request_id))
}

fn as_user(headers: &HeaderMap) -> Option<&str> {
    headers.get("as-user")?.to_str().ok()
}

fn dispatch(mut call: Call<'_>, method: &Method, segments: &[&str]) -> Answer {
    match (method.as_str(), segments) {
        ("OPTIONS", ["files", "content"]) => call.preflight(),
        ("POST", ["files", "content"]) => call.upload(),
        ("OPTIONS", ["files", id, "content"]) => call.preflight_version(id),
        ("POST", ["files", id, "content"]) => call.upload_version(id),
        ("GET", ["files", id, "content"]) => call.download(id),
        ("GET", ["files", id, "thumbnail.png" | "thumbnail.jpg"]) => call.thumbnail(id),
        ("POST", ["files", "upload_sessions"]) => call.begin_session(None),
        ("POST", ["files", id, "upload_sessions"]) => call.begin_session(Some(id)),
        ("PUT", ["files", "upload_sessions", id]) => call.put_part(id),
        ("GET", ["files", "upload_sessions", id]) => call.session(id),
        ("DELETE", ["files", "upload_sessions", id]) => call.abort_session(id),
        ("GET", ["files", "upload_sessions", id, "parts"]) => call.parts(id),
        ("POST", ["files", "upload_sessions", id, "commit"]) => call.commit_session(id),
        ("GET", ["files", id, "versions"]) => call.versions(id),
        ("POST", ["files", id, "versions", "current"]) => call.promote(id),
        ("GET", ["files", id, "versions", version]) => call.version(id, version),
        ("PUT", ["files", id, "versions", version]) => call.restore_version(id, version),
        ("DELETE", ["files", id, "versions", version]) => call.delete_version(id, version),
        ("POST", ["folders"]) => call.make_folder(),
        ("POST", ["web_links"]) => call.make_link(),
        ("GET", ["folders", "trash", "items"]) => call.trash_items(),
        ("GET", ["folders", id, "items"]) => call.folder_items(id),
        ("GET", ["search"]) => call.search(),
        ("GET", ["recent_items"]) => call.recent_items(),
        ("POST", ["collaborations"]) => call.collaborate(),
        ("GET", ["collaborations"]) => call.pending_collaborations(),
        ("GET", ["collaborations", id]) => call.collaboration(id),
        ("PUT", ["collaborations", id]) => call.change_collaboration(id),
        ("DELETE", ["collaborations", id]) => call.end_collaboration(id),
        ("GET", ["users"]) => call.users(),
        ("GET", ["users", id]) => call.user(id),
        ("GET", ["users", id, "memberships"]) => call.memberships_of(id),
        ("GET", ["groups"]) => call.groups(),
        ("POST", ["groups"]) => call.make_group(),
        ("GET", ["groups", id]) => call.group(id),
        ("PUT", ["groups", id]) => call.change_group(id),
        ("DELETE", ["groups", id]) => call.delete_group(id),
        ("GET", ["groups", id, "memberships"]) => call.members(id),
        ("POST", ["group_memberships"]) => call.join_group(),
        ("GET", ["group_memberships", id]) => call.membership(id),
        ("PUT", ["group_memberships", id]) => call.change_membership(id),
        ("DELETE", ["group_memberships", id]) => call.leave_group(id),
        ("GET", ["events"]) => call.events(),
        ("OPTIONS", ["events"]) => call.realtime(),
        ("GET", ["webhooks"]) => call.webhooks(),
        ("POST", ["webhooks"]) => call.make_webhook(),
        ("GET", ["webhooks", id]) => call.webhook(id),
        ("PUT", ["webhooks", id]) => call.change_webhook(id),
        ("DELETE", ["webhooks", id]) => call.delete_webhook(id),
        (method, [plural, rest @ ..]) => match Kind::of_path(plural) {
            Some(kind) => item(&mut call, method, kind, rest),
            None => None,
        }
        .unwrap_or_else(|| Err(unknown())),
        _ => Err(unknown()),
    }
}

/// What files, folders and web links have in common.
fn item(call: &mut Call<'_>, method: &str, kind: Kind, rest: &[&str]) -> Option<Answer> {
    Some(match (method, rest) {
        ("GET", [id]) => call.item(kind, id),
        ("PUT", [id]) => call.change_item(kind, id),
        ("POST", [id]) => call.restore(kind, id),
        ("DELETE", [id]) => call.throw_away(kind, id),
        ("GET", [id, "trash"]) => call.trashed(kind, id),
        ("DELETE", [id, "trash"]) => call.purge(kind, id),
        ("POST", [id, "copy"]) if kind != Kind::Link => call.copy_item(kind, id),
        ("GET", [id, "collaborations"]) => call.collaborations_on(kind, id),
        ("GET", [id, "metadata"]) => call.all_metadata(kind, id),
        (method, [id, "metadata", scope, template]) => {
            call.metadata(method, kind, id, &format!("{scope}/{template}"))
        }
        _ => return None,
    })
}

fn unknown() -> Fault {
    Fault::new(404, "not_found", "Not Found")
}

/// The key in a path or body; ids are decimal.
pub(super) fn key(kind: Kind, id: &str) -> Result<Key, Fault> {
    id.parse().map(|id| Key { kind, id }).map_err(|_| Fault::missing(kind.word(), id))
}

/// The moment, for handlers outside of a call.
pub(super) fn now(cloud: &Cloud) -> tramontane_model::Timestamp {
    let clock = std::sync::Arc::clone(&cloud.store().clock);
    clock.now()
}

/// An answer without words, for unsigned URLs that lead nowhere.
pub(super) fn gone() -> Response {
    plain(StatusCode::NOT_FOUND)
}
