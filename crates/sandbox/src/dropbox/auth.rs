//! Who calls, as whom, and whether they may: tokens, team tokens, scopes, namespaces.
//!
//! "OAuth Guide": <https://developers.dropbox.com/oauth-guide>; "Team Files Guide":
//! <https://developers.dropbox.com/dbx-team-files-guide>.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::World;
use super::refusal::{Refusal, put, tag, with_members};
use super::render::{account_id, member_id, team_id};
use super::routes::{Auth, Route};
use crate::people::{PEOPLE, Person};

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Whose files are meant. For team functions: the administrator.
    pub(super) person: &'static Person,
    /// Who it is; someone else where the team's own folders are meant.
    pub(super) by: &'static Person,
    /// Where this server is, as the caller knows it: the base of links that need no token.
    pub(super) base: String,
}

pub(super) async fn consent(State(world): State<World>, RawQuery(query): RawQuery) -> Response {
    world.issuer.consent(&query.unwrap_or_default())
}

pub(super) async fn decide(State(world): State<World>, form: String) -> Response {
    world.issuer.decide(&form)
}

/// The token endpoint: the issuer's answer, with the members that Dropbox adds.
pub(super) async fn token(
    State(world): State<World>,
    headers: HeaderMap,
    form: String,
) -> Response {
    let (parts, body) = world.issuer.token(&headers, &form).into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let Ok(mut answer) = serde_json::from_slice::<Value>(&bytes) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let token = answer.get("access_token").and_then(Value::as_str).unwrap_or_default();
    if let Some(bearer) = world.issuer.bearer_of(token) {
        put(&mut answer, "token_type", "bearer");
        if form.contains("grant_type=authorization_code") {
            if is_team(&bearer.scope) {
                put(&mut answer, "team_id", team_id());
            } else {
                put(&mut answer, "account_id", account_id(bearer.person));
            }
            put(&mut answer, "uid", "12345");
        }
    }
    let mut made = (parts.status, axum::Json(answer)).into_response();
    made.headers_mut().extend(parts.headers.into_iter().filter_map(|(name, value)| {
        name.filter(|name| *name == header::CACHE_CONTROL).map(|name| (name, value))
    }));
    made
}

/// Whether a grant is one for a whole team.
pub(super) fn is_team(scope: &str) -> bool {
    let words = ["team_data.", "team_info.", "members.", "groups."];
    scope.split(' ').any(|one| words.iter().any(|word| one.starts_with(word)))
}

fn refused(error: Value) -> Refusal {
    Refusal::Auth(error)
}

/// Who a call is by and for.
pub(super) fn caller(world: &World, route: &Route, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(Refusal::Bad(
            "Must provide HTTP header \"Authorization\" or URL parameter \"authorization\".".into(),
        ));
    };
    let Some(bearer) = world.issuer.bearer(headers) else {
        let ours = value.to_str().is_ok_and(|text| text.contains(" sl."));
        return Err(refused(tag(if ours {
            "expired_access_token"
        } else {
            "invalid_access_token"
        })));
    };
    let granted =
        |scope: &str| bearer.scope.is_empty() || bearer.scope.split(' ').any(|one| one == scope);
    if !route.scope.is_empty() && !granted(route.scope) {
        return Err(refused(with_members("missing_scope", json!({"required_scope": route.scope}))));
    }
    let team = is_team(&bearer.scope);
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let base = format!("http://{}/dropbox/", host.unwrap_or("127.0.0.1"));
    let named = |header: &str| headers.get(header).and_then(|value| value.to_str().ok());
    match (route.auth, team) {
        (Auth::Team, false) => Err(Refusal::Bad(
            "Your OAuth 2 access token is not for a Dropbox team, and this function needs one."
                .into(),
        )),
        (Auth::Team, true) | (Auth::User, false) => {
            if named("Dropbox-API-Select-User").or(named("Dropbox-API-Select-Admin")).is_some()
                && !team
            {
                return Err(Refusal::Bad("HTTP headers \"Dropbox-API-Select-User\" and \"Dropbox-API-Select-Admin\" are for team tokens only.".into()));
            }
            Ok(Caller { person: bearer.person, by: bearer.person, base })
        }
        (Auth::User, true) => {
            if let Some(id) = named("Dropbox-API-Select-User") {
                let person = PEOPLE.iter().find(|person| member_id(person) == id);
                let person = person.ok_or_else(|| refused(tag("invalid_select_user")))?;
                return Ok(Caller { person, by: person, base });
            }
            if let Some(id) = named("Dropbox-API-Select-Admin") {
                let person = PEOPLE.iter().find(|person| person.admin && member_id(person) == id);
                let person = person.ok_or_else(|| refused(tag("invalid_select_admin")))?;
                return Ok(Caller { person, by: person, base });
            }
            Err(Refusal::Bad(
                "This API function operates on a single Dropbox account, but the OAuth 2 access token you provided is for \
                 an entire Dropbox Business team. Since your API app key has team member file access permissions, you can \
                 operate on a team member's Dropbox by providing the \"Dropbox-API-Select-User\" HTTP header or \
                 \"select_user\" URL parameter to specify the exact user <user_id>."
                    .into(),
            ))
        }
    }
}
