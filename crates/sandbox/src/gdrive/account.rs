//! Whose account it is, and how much it holds.

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Json, Response};
use serde_json::{Map, Value, json};

use super::Google;
use super::access::{DOMAIN, number_of};
use super::call::Call;
use super::documents::KINDS;
use super::fault::{Answer, Fault};
use super::render::user;
use super::state::{File, NOMINAL_BYTES};

/// `GET about`: needs `fields`.
pub(super) async fn about(Shared(google): Shared<Google>, call: Call) -> Answer<Response> {
    call.reads()?;
    if call.text("fields").is_none() {
        return Err(Fault::required(
            "fields",
            "The 'fields' parameter is required for this method.",
        ));
    }
    let state = google.state();
    let usage = state.usage(call.person);
    let trashed: u64 = state
        .files
        .values()
        .filter(|file| file.owner == Some(call.person) && state.is_trashed(file))
        .map(File::bytes)
        .sum();
    let formats: Map<String, Value> =
        KINDS.iter().map(|kind| (kind.mime.to_owned(), json!(kind.formats))).collect();
    let answer = json!({
        "kind": "drive#about", "user": user(call.person, call.person),
        "storageQuota": {
            "limit": NOMINAL_BYTES.to_string(), "usage": usage.to_string(),
            "usageInDrive": usage.to_string(), "usageInDriveTrash": trashed.to_string(),
        },
        "exportFormats": formats,
        "importFormats": {"text/plain": ["application/vnd.google-apps.document"]},
        "maxUploadSize": "5242880000000", "maxImportSizes": {}, "appInstalled": false,
        "folderColorPalette": ["#ac725e", "#16a765"], "driveThemes": [],
        "canCreateDrives": true, "canCreateTeamDrives": true,
    });
    call.reply(answer, "*")
}

const PROFILE: &[&str] = &[
    "email",
    "profile",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];

/// `GET oauth2/v2/userinfo`.
pub(super) async fn user_info(call: Call) -> Answer<Response> {
    call.has(PROFILE)?;
    let person = call.person;
    let (given, family) = person.name.split_once(' ').unwrap_or((person.name, ""));
    let answer = json!({
        "id": number_of(person.email, 21), "email": person.email, "verified_email": true,
        "name": person.name, "given_name": given, "family_name": family,
        "picture": "https://lh3.googleusercontent.com/a/default-user", "hd": DOMAIN,
    });
    Ok(Json(answer).into_response())
}

/// `GET v1/userinfo` of OpenID Connect.
pub(super) async fn open_id_user_info(call: Call) -> Answer<Response> {
    call.has(PROFILE)?;
    let person = call.person;
    let (given, family) = person.name.split_once(' ').unwrap_or((person.name, ""));
    let answer = json!({
        "sub": number_of(person.email, 21), "email": person.email, "email_verified": true,
        "name": person.name, "given_name": given, "family_name": family, "hd": DOMAIN,
    });
    Ok(Json(answer).into_response())
}
