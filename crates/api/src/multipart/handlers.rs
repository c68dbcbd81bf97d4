//! The endpoints of uploads in parts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tramontane_connector::storage::{UploadSession, UploadedPart};
use tramontane_connector::{Body, Place, WriteOptions};
use tramontane_fill::Policy;
use tramontane_model::{Code, Op};
use tramontane_store::multipart::{self, Part, Session, SessionState};
use tramontane_vault::random_id;

use super::{LIFE_SECONDS, MAX_PARTS, PartAnswer, opened, part_count, sealed, view};
use crate::account::Account;
use crate::answer;
use crate::json::JsonBody;
use crate::kept::{Kept, Stretch};
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::seek::{Found, made_since};
use crate::state::App;
use crate::v1::conflict;
use crate::v1::upload::{check_name, incoming, long};

/// How long one request may take to put a file together before another may try.
const COMPLETING_SECONDS: i64 = 3_600;
/// How often, and how long in all, a second completing waits for the first.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: u32 = 100;

/// `POST /storage/multipart`.
pub(crate) async fn create(account: Account, query: Query, body: JsonBody) -> Answer {
    let policy = conflict::making(&query)?;
    let name = body.required_text("name")?;
    check_name(&name)?;
    let parent_id = body.required_text("parent_id")?;
    let size = body.number("size", 0, i64::MAX)?;
    let parent = account.parent(&parent_id).await?;
    let storage = account.storage_for(Op::MultipartCreate)?;
    let at = Place::new(parent, name.as_str());
    let known = size.and_then(|size| u64::try_from(size).ok());
    let how = WriteOptions::fail();
    let session = storage.start_session(&account.cx(), &at, known, policy, &how).await?;
    let app = account.app();
    let now = app.now();
    for _ in 0..16 {
        let id = random_number(app);
        let row = Session {
            id,
            account: account.id().number(),
            parent_id: parent_id.clone(),
            name: name.clone(),
            size,
            part_size: i64::try_from(session.part_size).unwrap_or(i64::MAX),
            parallel: session.parallel,
            conflict: word(policy).to_owned(),
            state: SessionState::Open,
            native: Some(sealed(app, id, &session)?),
            result: None,
            busy_until: None,
            created: now.micros(),
            modified: now.micros(),
            expires: now.plus_seconds(LIFE_SECONDS).micros(),
        };
        match multipart::insert(app.db(), &row).await {
            Ok(()) => return answer::made(true, &view(&account, &row, &[])),
            Err(error) if error.is_taken() => {}
            Err(error) => {
                give_up(&account, &session).await;
                return Err(error.into());
            }
        }
    }
    give_up(&account, &session).await;
    Err(Problem::internal("no free number for a multipart session was found"))
}

async fn give_up(account: &Account, session: &UploadSession) {
    let Ok(storage) = account.storage() else { return };
    if let Err(error) = storage.abort_session(&account.cx(), session).await {
        tracing::warn!(%error, "an upload session that was not kept is left at the service");
    }
}

/// 1 to 2147483647.
fn random_number(app: &App) -> i64 {
    let mut bytes = [0u8; 4];
    app.entropy().fill(&mut bytes);
    i64::from(u32::from_be_bytes(bytes) >> 1).max(1)
}

fn word(policy: Policy) -> &'static str {
    match policy {
        Policy::Fail => "fail",
        Policy::KeepBoth => "rename",
        Policy::Replace => "replace",
    }
}

/// `GET /storage/multipart/{session}`.
pub(crate) async fn retrieve(account: Account) -> Answer {
    let row = find(&account).await?;
    let parts = multipart::parts(account.app().db(), row.id).await?;
    answer::ok(&view(&account, &row, &parts))
}

/// The session that the path names, unless it was aborted or has expired.
async fn find(account: &Account) -> Answer<Session> {
    let missing = || Problem::not_found("upload");
    let id: i64 = account.param("session").parse().map_err(|_| missing())?;
    let app = account.app();
    let row = multipart::find(app.db(), account.id().number(), id, app.now().micros()).await?;
    row.filter(|row| row.state != SessionState::Aborted).ok_or_else(missing)
}

/// `PUT /storage/multipart/{session}?part_number=`.
pub(crate) async fn put(account: Account, query: Query, request: Request) -> Answer {
    let number = query.number("part_number", 1, MAX_PARTS)?;
    let number = number.ok_or_else(|| Problem::invalid("part_number", "is required"))?;
    let row = find(&account).await?;
    if row.state != SessionState::Open {
        return Err(Problem::bad_request("The upload is complete; it takes no more parts."));
    }
    let app = account.app();
    let parts = multipart::parts(app.db(), row.id).await?;
    let rules = Rules { row: &row, parts: &parts, number };
    rules.check_number()?;
    let body = incoming(app, request.into_body(), None)?;
    if let Some(size) = body.len() {
        rules.check_size(size)?;
    }
    let waits = Waiting::new(app);
    let (body, size, digest) = if body.len().is_some() && rules.stored().is_none() {
        let size = body.len().unwrap_or_default();
        let (body, digest) = digested(body);
        (body, size, Digest::Running(digest))
    } else {
        // The length must be known beforehand, and a part that is there may be the same.
        let limit = u64::try_from(row.part_size).unwrap_or(u64::MAX);
        let kept = waits.kept.keep(&waits.name, body, limit).await;
        let parcel = kept.map_err(|error| match error.kind {
            tramontane_connector::Kind::TooLarge => rules.too_large(),
            _ => error.into(),
        })?;
        rules.check_size(parcel.size)?;
        if let Some(stored) = rules.stored() {
            if stored.digest.as_deref() == Some(parcel.sha256.as_str()) {
                return answer::ok(&PartAnswer {
                    id: row.id,
                    part_number: number,
                    size: parcel.size,
                });
            }
            rules.check_replacing()?;
        }
        let all = Stretch { name: waits.name.clone(), skip: 0, len: parcel.size };
        (waits.kept.read(vec![all])?, parcel.size, Digest::Known(parcel.sha256))
    };
    let session = opened(app, &row).await?;
    let storage = account.storage_for(Op::MultipartCreate)?;
    let wire_number = u32::try_from(number).unwrap_or(u32::MAX);
    let taken = storage.put_part(&long(&account), &session, wire_number, body).await?;
    let now = app.now();
    let part = Part {
        session: row.id,
        number: i64::try_from(number).unwrap_or(i64::MAX),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        digest: Some(digest.hex()),
        native: Some(serde_json::to_value(&taken).map_err(Problem::internal)?),
        created: now.micros(),
    };
    let expires = now.plus_seconds(LIFE_SECONDS).micros();
    if multipart::put_part(app.db(), &part, expires).await?.is_none() {
        return Err(Problem::not_found("upload"));
    }
    answer::ok(&PartAnswer { id: row.id, part_number: number, size })
}

/// What a part has to obey.
struct Rules<'a> {
    row: &'a Session,
    parts: &'a [Part],
    number: u64,
}

impl Rules<'_> {
    fn stored(&self) -> Option<&Part> {
        self.parts.iter().find(|part| u64::try_from(part.number) == Ok(self.number))
    }

    fn part_size(&self) -> u64 {
        u64::try_from(self.row.part_size).unwrap_or(u64::MAX)
    }

    fn check_number(&self) -> Answer<()> {
        if let Some(count) = part_count(self.row).filter(|count| self.number > (*count).max(1)) {
            let rule = format!("must be at most {count}: the file has no more parts");
            return Err(Problem::invalid("part_number", rule));
        }
        let expected = self.parts.len() as u64 + 1;
        if !self.row.parallel && self.stored().is_none() && self.number != expected {
            let text = format!("Parts of this upload come in order: part {expected} is expected.");
            return Err(Problem::bad_request(text).param("part_number"));
        }
        Ok(())
    }

    /// Parts that come in order are taken once; only the same bytes may come again.
    fn check_replacing(&self) -> Answer<()> {
        if self.row.parallel {
            return Ok(());
        }
        let expected = self.parts.len() + 1;
        let text = format!(
            "Parts of this upload come in order and are not replaced: part {expected} is expected."
        );
        Err(Problem::bad_request(text).param("part_number"))
    }

    fn too_large(&self) -> Problem {
        let rule = format!("is {} bytes in this upload; the part is larger", self.row.part_size);
        Problem::invalid("part_size", rule)
    }

    fn check_size(&self, size: u64) -> Answer<()> {
        let part_size = self.part_size();
        if size > part_size {
            return Err(self.too_large());
        }
        if let Some(whole) = self.row.size.and_then(|size| u64::try_from(size).ok()) {
            let before = (self.number - 1).saturating_mul(part_size);
            let wanted = whole.saturating_sub(before).min(part_size);
            if size != wanted {
                let text = format!("Part {} must have {wanted} bytes; it has {size}.", self.number);
                return Err(Problem::new(Code::InvalidParameters, text).param("part_number"));
            }
            return Ok(());
        }
        // Without the whole size, a short part is the last one.
        let number = |part: &Part| u64::try_from(part.number).unwrap_or(0);
        let later = self.parts.iter().any(|part| number(part) > self.number);
        let short_before = self
            .parts
            .iter()
            .any(|part| number(part) < self.number && part.size < self.row.part_size);
        if (size < part_size && later) || short_before {
            let rule = format!("is {part_size} bytes, and every part but the last must have it");
            return Err(Problem::invalid("part_size", rule));
        }
        Ok(())
    }
}

/// A part that waits on disk until it is sent.
struct Waiting {
    kept: Kept,
    name: String,
}

impl Waiting {
    fn new(app: &App) -> Self {
        let name = format!("part_{}", random_id(app.entropy(), 12));
        Self { kept: Kept::new(app.spool().dir().join("parts")), name }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (kept, name) = (self.kept.clone(), self.name.clone());
        tokio::spawn(async move { kept.remove(&name).await });
    }
}

enum Digest {
    Known(String),
    Running(Arc<Mutex<Sha256>>),
}

impl Digest {
    fn hex(&self) -> String {
        match self {
            Self::Known(hex) => hex.clone(),
            Self::Running(hash) => {
                let hash = hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
                hex::encode(hash.finalize())
            }
        }
    }
}

/// The same body, and the hash of what of it has gone by.
fn digested(body: Body) -> (Body, Arc<Mutex<Sha256>>) {
    let hash: Arc<Mutex<Sha256>> = Arc::default();
    let (len, media_type) = (body.len(), body.media_type().map(str::to_owned));
    let taking = hash.clone();
    let pieces = body.into_stream().map(move |piece| {
        let piece = piece?;
        taking.lock().unwrap_or_else(PoisonError::into_inner).update(&piece);
        Ok(piece)
    });
    (Body::new(pieces, len).with_media_type(media_type), hash)
}

/// `POST /storage/multipart/{session}/complete`.
pub(crate) async fn complete(account: Account) -> Answer {
    let row = find(&account).await?;
    // The work goes on when the client goes away: asked again, it answers the same file.
    let work = tokio::spawn(async move { completed(&account, row).await });
    work.await.map_err(Problem::internal)?
}

async fn completed(account: &Account, row: Session) -> Answer {
    let app = account.app();
    for _ in 0..LOOKS {
        let row = multipart::find(app.db(), row.account, row.id, app.now().micros()).await?;
        let row = row.ok_or_else(|| Problem::not_found("upload"))?;
        match (row.state, &row.result) {
            (SessionState::Done, Some(result)) => return answer::made(true, result),
            (SessionState::Aborted, _) => return Err(Problem::not_found("upload")),
            _ => {}
        }
        let parts = multipart::parts(app.db(), row.id).await?;
        check_all(&row, &parts)?;
        let now = app.now();
        let until = now.plus_seconds(COMPLETING_SECONDS).micros();
        if multipart::start_completing(app.db(), row.id, now.micros(), until).await? {
            return put_together(account, row, &parts, until).await;
        }
        // Another request is at it.
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = "The upload is being completed by another request.";
    Err(Problem::new(Code::IdempotencyInProgress, text).retry_after(Duration::from_secs(1)))
}

/// Whether parts 1 to n are there and add up.
fn check_all(row: &Session, parts: &[Part]) -> Answer<()> {
    let wanted = part_count(row).unwrap_or(parts.len().max(1) as u64);
    let gap = (1..=wanted)
        .zip(parts.iter().map(Some).chain(std::iter::repeat(None)))
        .find(|(number, part)| part.is_none_or(|part| u64::try_from(part.number) != Ok(*number)));
    if let Some((number, _)) = gap {
        return Err(Problem::bad_request(format!("Part {number} is missing.")).param("part_number"));
    }
    let sum: i64 = parts.iter().map(|part| part.size).sum();
    if let Some(size) = row.size.filter(|size| *size != sum) {
        let rule = format!("is {size}, but the parts add up to {sum} bytes");
        return Err(Problem::invalid("size", rule));
    }
    let last = parts.len().saturating_sub(1);
    match parts.iter().take(last).find(|part| part.size != row.part_size) {
        None => Ok(()),
        Some(part) => {
            let rule = format!(
                "is {} bytes; part {} is shorter and not the last one",
                row.part_size, part.number
            );
            Err(Problem::invalid("part_size", rule))
        }
    }
}

async fn put_together(account: &Account, row: Session, parts: &[Part], until: i64) -> Answer {
    let app = account.app();
    let made = make(account, &row, parts).await;
    let now = app.now().micros();
    let result = made.as_ref().ok();
    multipart::finish_completing(app.db(), row.id, until, result, now).await?;
    answer::made(true, &made?)
}

async fn make(account: &Account, row: &Session, parts: &[Part]) -> Answer<serde_json::Value> {
    let app = account.app();
    let storage = account.storage_for(Op::MultipartCreate)?;
    let cx = long(account);
    let at = Place::new(account.parent(&row.parent_id).await?, row.name.as_str());
    let size: i64 = parts.iter().map(|part| part.size).sum();
    if row.state == SessionState::Completing {
        // An earlier try was cut off, perhaps after the service had made the file.
        let since = tramontane_model::Timestamp::from_micros(row.modified);
        let size = u64::try_from(size).ok();
        if let Found::This(entry) = made_since(storage, &cx, &at, size, since).await? {
            return rendered(account, *entry).await;
        }
    }
    let session = opened(app, row).await?;
    let taken: Option<Vec<UploadedPart>> =
        parts.iter().map(|part| serde_json::from_value(part.native.clone()?).ok()).collect();
    let taken = taken.ok_or_else(|| Problem::internal("a stored part cannot be read"))?;
    let placed = if taken.is_empty() {
        // Services make no file of no parts.
        let policy = match row.conflict.as_str() {
            "replace" => Policy::Replace,
            "fail" => Policy::Fail,
            _ => Policy::KeepBoth,
        };
        let how = WriteOptions::fail();
        let placed = storage.upload(&cx, &at, Body::empty(), policy, &how).await?;
        give_up(account, &session).await;
        placed
    } else {
        storage.finish_session(&cx, &session, &taken).await?
    };
    rendered(account, placed.entry).await
}

async fn rendered(
    account: &Account,
    entry: tramontane_connector::Entry,
) -> Answer<serde_json::Value> {
    let shown = Render::plain(account)?.one(entry).await?;
    serde_json::to_value(&shown).map_err(Problem::internal)
}

/// `DELETE /storage/multipart/{session}`.
pub(crate) async fn abort(account: Account) -> Answer {
    let row = find(&account).await?;
    let app = account.app();
    let now = app.now().micros();
    match row.state {
        SessionState::Open => {
            if !multipart::abort(app.db(), row.account, row.id, now).await? {
                return Err(Problem::not_found("upload"));
            }
            let session = opened(app, &row).await?;
            let freed = account.storage()?.abort_session(&account.cx(), &session).await;
            match freed {
                Ok(()) => {
                    multipart::delete(app.db(), row.id).await?;
                }
                // It is tried again later.
                Err(error) => tracing::warn!(%error, session = row.id, "parts are not freed yet"),
            }
        }
        SessionState::Completing => {
            let text = "The upload is being completed and cannot be given up now.";
            return Err(
                Problem::new(Code::IdempotencyInProgress, text).retry_after(Duration::from_secs(1))
            );
        }
        SessionState::Done | SessionState::Aborted => {
            multipart::delete(app.db(), row.id).await?;
        }
    }
    Ok(answer::empty())
}
