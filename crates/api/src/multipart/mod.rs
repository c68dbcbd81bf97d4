//! Uploads in parts (wire API, section 28). The sessions are the gap filler's, native or spooled; what
//! is kept here is which parts have come.

pub(crate) mod handlers;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use tramontane_accounts::Keys;
use tramontane_connector::storage::UploadSession;
use tramontane_model::Timestamp;
use tramontane_store::multipart::{self, Part, Session};
use utoipa::ToSchema;

use crate::account::Account;
use crate::problem::{Answer, Problem};
use crate::state::App;

/// A session lives so long from its last part.
pub(crate) const LIFE_SECONDS: i64 = 7 * 86_400;
/// The most parts of one upload.
pub(crate) const MAX_PARTS: u64 = 10_000;

/// A session on the wire.
#[derive(Serialize, ToSchema)]
pub(crate) struct Multipart {
    id: i64,
    r#type: &'static str,
    api: &'static str,
    href: String,
    account: i64,
    parent_id: String,
    name: String,
    size: Option<i64>,
    part_size: i64,
    part_count: Option<u64>,
    parallel_uploads: bool,
    parts: Vec<PartObject>,
    created: String,
    expires: String,
}

/// A new upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewMultipart {
    parent_id: String,
    #[schema(min_length = 1, max_length = 1024, pattern = "^(?!\\.{1,2}$)[^/\\x00]+$")]
    name: String,
    #[schema(minimum = 0)]
    size: Option<i64>,
}

/// One stored part on the wire.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartObject {
    part_number: i64,
    size: i64,
}

/// The answer to a part on the wire.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartAnswer {
    id: i64,
    part_number: u64,
    size: u64,
}

fn view(account: &Account, row: &Session, parts: &[Part]) -> Multipart {
    Multipart {
        id: row.id,
        r#type: "multipart",
        api: "storage",
        href: account.href(&format!("/storage/multipart/{}", row.id)),
        account: row.account,
        parent_id: row.parent_id.clone(),
        name: row.name.clone(),
        size: row.size,
        part_size: row.part_size,
        part_count: part_count(row),
        parallel_uploads: row.parallel,
        parts: parts
            .iter()
            .map(|part| PartObject { part_number: part.number, size: part.size })
            .collect(),
        created: Timestamp::from_micros(row.created).to_string(),
        expires: Timestamp::from_micros(row.expires).to_string(),
    }
}

/// How many parts a session of known size has; one of nothing has none.
fn part_count(row: &Session) -> Option<u64> {
    let size = u64::try_from(row.size?).ok()?;
    Some(size.div_ceil(u64::try_from(row.part_size).ok()?.max(1)))
}

fn place(id: i64) -> String {
    format!("multipart:{id}:state")
}

/// What the connector needs to go on, sealed: it may hold a secret.
fn sealed(app: &App, id: i64, session: &UploadSession) -> Answer<Value> {
    let text = serde_json::to_vec(session).map_err(Problem::internal)?;
    let (bytes, _) = app.keys().seal(&text, &place(id))?;
    Ok(json!({"sealed": STANDARD.encode(bytes)}))
}

/// Opens what a row of a deleted account held.
pub(crate) async fn stored(keys: &Keys, id: i64, native: &str) -> Option<UploadSession> {
    let native: Value = serde_json::from_str(native).ok()?;
    let bytes = STANDARD.decode(native.get("sealed")?.as_str()?).ok()?;
    let plain = keys.open(&bytes, &place(id)).await.ok()?;
    serde_json::from_slice(&plain).ok()
}

/// Opens what [`sealed`] made.
pub(crate) async fn opened(app: &App, row: &Session) -> Answer<UploadSession> {
    let lost = || Problem::not_found("upload");
    let text = row.native.as_ref().and_then(|native| native.get("sealed")?.as_str());
    let bytes = STANDARD.decode(text.unwrap_or_default()).map_err(|_| lost())?;
    let plain = app.keys().open(&bytes, &place(row.id)).await.map_err(|_| lost())?;
    // Keys retire: a session that is used stays sealed by the one in force.
    if let Ok(Some(again)) = app.keys().ring().reseal(&bytes, &place(row.id)) {
        let native = json!({"sealed": STANDARD.encode(again)});
        multipart::set_native(app.db(), row.id, &native, app.now().micros()).await?;
    }
    serde_json::from_slice(&plain).map_err(|_| lost())
}
