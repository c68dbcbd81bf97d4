//! URLs that take one upload without a credential (wire API, section 22.8): made here, used once.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use serde::{Deserialize, Serialize};
use tramontane_connector::{Kind, Place as At, WriteOptions};
use tramontane_fill::Policy;
use tramontane_model::{NativeId, Op, Timestamp};
use tramontane_store::spent;
use utoipa::ToSchema;

use super::{Place, admit, open};
use crate::account::Account;
use crate::answer;
use crate::call::Call;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::state::App;
use crate::v1::conflict;
use crate::v1::upload::{Metadata, incoming, long};

/// An hour.
const SECONDS: i64 = 3_600;
const KIND: &str = "ul_";
const CONTEXT: &str = "one-time upload";

/// A URL that takes content by `PUT`.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadUrl {
    url: String,
    method: &'static str,
    #[schema(value_type = Object)]
    headers: serde_json::Map<String, serde_json::Value>,
    expires: String,
    api: &'static str,
    r#type: &'static str,
}

/// What the URL's token carries, sealed.
#[derive(Serialize, Deserialize)]
struct Ticket {
    account: i64,
    parent: NativeId,
    name: String,
    policy: Policy,
    mime_type: Option<String>,
    modified: Option<i64>,
    /// Makes every URL another one.
    nonce: String,
}

/// `POST /storage/files/upload_url`.
pub(crate) async fn create(account: Account, query: Query, body: JsonBody) -> Answer {
    let policy = conflict::making(&query)?;
    let metadata = Metadata::of(&body)?;
    let at = metadata.place(&account).await?;
    let storage = account.storage_for(Op::UploadUrlCreate)?;
    let app = account.app();
    let expires = app.now().plus_seconds(SECONDS);
    let lasting = Duration::from_secs(SECONDS.unsigned_abs());
    // A URL of the service replaces what has the name: it serves for that policy alone.
    let native = match policy {
        Policy::Replace => storage.native().upload_url(&account.cx(), &at, lasting).await.map(Some),
        _ => Ok(None),
    };
    let url = match native {
        Ok(Some(url)) => url.to_string(),
        Ok(None) => own(&account, at, policy, &metadata, expires)?,
        Err(error) if matches!(error.kind, Kind::Declined(_) | Kind::Unsupported(_)) => {
            own(&account, at, policy, &metadata, expires)?
        }
        Err(error) => return Err(error.into()),
    };
    answer::ok(&UploadUrl {
        url,
        method: "PUT",
        headers: serde_json::Map::new(),
        expires: expires.to_string(),
        api: "storage",
        r#type: "upload_url",
    })
}

fn own(
    account: &Account,
    at: At,
    policy: Policy,
    metadata: &Metadata,
    expires: Timestamp,
) -> Answer<String> {
    let app = account.app();
    let ticket = Ticket {
        account: account.id().number(),
        parent: at.parent,
        name: at.name,
        policy,
        mime_type: metadata.mime_type.clone(),
        modified: metadata.modified.map(Timestamp::micros),
        nonce: tramontane_vault::random_id(app.entropy(), 12),
    };
    let token = app.keys().sealer(KIND).seal(CONTEXT, expires, &ticket)?;
    Ok(format!("{}/u/{token}", account.call.base))
}

/// `PUT /u/{token}`.
pub(crate) async fn take(
    State(app): State<App>,
    call: Call,
    Path(token): Path<String>,
    request: Request,
) -> Answer {
    admit(&app, &call, Place::Links)?;
    let unknown = || Problem::not_found("upload URL").param("url");
    let sealer = app.keys().sealer(KIND);
    let ticket: Ticket =
        app.keys().open_token(&sealer, CONTEXT, &token).await.map_err(|_| unknown())?;
    let account = open(&app, &call, ticket.account).await?.ok_or_else(unknown)?;
    let storage = account.storage_for(Op::FileCreate)?;
    let body = incoming(&app, request.into_body(), None)?.with_media_type(ticket.mime_type);
    let hash = tramontane_vault::hash(&token);
    let expires = app.now().plus_seconds(SECONDS).micros();
    if !spent::spend(app.db(), &hash, expires).await? {
        return Err(unknown());
    }
    // Given back unless the file was made, also when the client goes away.
    let spent = Spent { app: app.clone(), hash: Some(hash) };
    let at = At::new(ticket.parent, ticket.name);
    let mut how = WriteOptions::fail();
    how.modified = ticket.modified.map(Timestamp::from_micros);
    let placed = storage.upload(&long(&account), &at, body, ticket.policy, &how).await?;
    spent.keep();
    let created = placed.created;
    answer::made(created, &Render::plain(&account)?.one(placed.entry).await?)
}

struct Spent {
    app: App,
    hash: Option<String>,
}

impl Spent {
    fn keep(mut self) {
        self.hash = None;
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        let Some(hash) = self.hash.take() else { return };
        let app = self.app.clone();
        tokio::spawn(async move {
            if let Err(error) = spent::refund(app.db(), &hash).await {
                tracing::warn!(%error, "a one-time upload URL stays used although nothing was made");
            }
        });
    }
}
