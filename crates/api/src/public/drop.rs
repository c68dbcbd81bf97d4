//! Upload locations (wire API, section 19.2): a browser that holds no token drops files, chunk by chunk,
//! into a folder that the developer chose.

use axum::extract::{Path, Request, State};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, ORIGIN};
use serde::Serialize;
use serde_json::{Value, json};
use tramontane_accounts::Application;
use tramontane_connector::{Body, EntryRef, Place as At, WriteOptions};
use tramontane_fill::Policy;
use tramontane_model::{Code, NativeId, Op};
use tramontane_store::drops::{self, DropChunk, DropState, DropUpload};
use tramontane_store::locations::{self, Location};
use tramontane_vault::random_id;
use utoipa::ToSchema;

use super::chunks::{Arrived, Chunk, Piece, Position, arrived};
use super::config::trusts;
use super::{Place, admit, open};
use crate::account::Account;
use crate::answer;
use crate::call::Call;
use crate::json::JsonBody;
use crate::kept::{Kept, Stretch};
use crate::links::{self, Wish};
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::state::App;
use crate::v1::multipart_form::Form;
use crate::v1::upload::{check_name, incoming, long};

/// Clients cut files into chunks of this size.
pub(crate) const CHUNK_BYTES: u64 = 5 << 20;
/// A single chunk may be this large, whatever its client's cut.
const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// An upload that is idle for so long is dropped.
const IDLE_SECONDS: i64 = 24 * 3_600;
/// How long one request may take to put a file together before another may try.
const COMPLETING_SECONDS: i64 = 3_600;

/// How the client shall cut files.
#[derive(Serialize, ToSchema)]
pub(crate) struct DropConfig {
    chunk_size: u64,
}

/// How far an upload has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct DropProgress {
    file_id: String,
    received: u64,
    total: Option<u64>,
}

/// Where dropped chunks wait.
pub(crate) fn kept(app: &App) -> Kept {
    Kept::new(app.spool().dir().join("drops"))
}

/// `GET /drop/{app_id}`.
pub(crate) async fn config(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    admit(&app, &call, Place::Drops)?;
    let application = application(&app, &id).await?;
    find(&app, &call, &application, &headers).await?;
    answer::ok(&DropConfig { chunk_size: CHUNK_BYTES })
}

/// `DELETE /drop/{app_id}?file_id=`.
pub(crate) async fn abandon(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    admit(&app, &call, Place::Drops)?;
    if let Some(file_id) = query.text("file_id") {
        forget(&app, &id, &upload_id(&id, &headers, file_id)).await?;
    }
    Ok(answer::empty())
}

/// `POST /drop/{app_id}`: one chunk, or a whole file.
pub(crate) async fn receive(
    State(app): State<App>,
    call: Call,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> Answer {
    admit(&app, &call, Place::Drops)?;
    let application = application(&app, &id).await?;
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let target = find(&app, &call, &application, &headers).await?;
    target.require_origin(&app, &call, &headers).await?;
    let text = |name: &str| query.text(name).filter(|value| !is_unset(value));
    let position = Position::read(text("chunk"), text("chunks"), text("offset"), text("total"))
        .map_err(|(param, rule)| Problem::invalid(param, rule))?;
    let size = query.number("file_size", 0, i64::MAX.unsigned_abs())?;
    let total = match position {
        Position::At { total, .. } => Some(total),
        _ => size,
    };
    target.require_size(total.unwrap_or(0))?;
    let name = text("name");
    if let Some(name) = name {
        check_name(name)?;
    }
    let wants = Wants::read(&query)?;
    if position == Position::Whole {
        let name = name.ok_or_else(|| Problem::invalid("name", "is required"))?;
        let body = content(&app, &headers, body, target.limit()).await?;
        let body = match size {
            Some(size) if body.len().is_none() => {
                Body::new(body.into_stream(), Some(size)).checked()
            }
            _ => body,
        };
        let object = target.make(name, body, &wants).await?;
        return answer::made(true, &object);
    }
    let file_id = text("file_id")
        .ok_or_else(|| Problem::invalid("file_id", "is required for a file in chunks"))?;
    let upload = upload_id(&id, &headers, file_id);
    let chunks = match position {
        Position::Numbered { chunks, .. } => Some(chunks),
        _ => None,
    };
    let row = begin(&app, &target, &upload, name, total, chunks, &wants).await?;
    if let (DropState::Done, Some(result)) = (row.state, &row.result) {
        return answer::made(true, result);
    }
    store(&app, &target, &row, position, content(&app, &headers, body, None).await?).await?;
    finish(app, target, row.id, file_id.to_owned()).await
}

async fn application(app: &App, id: &str) -> Answer<std::sync::Arc<Application>> {
    let found = app.directory().public_application(id).await?;
    found.ok_or_else(|| Problem::not_found("application"))
}

/// Existing clients send an unset value as `null` or `undefined`.
fn is_unset(value: &str) -> bool {
    matches!(value, "" | "null" | "undefined" | "None")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!is_unset(value)).then_some(value)
}

/// What the client calls the upload, together with its page and the application.
fn upload_id(application: &str, headers: &HeaderMap, file_id: &str) -> String {
    let page = header(headers, "x-picker-id").or_else(|| header(headers, "x-explorer-id"));
    let page = page.unwrap_or_default();
    let key = format!("{}:{application}{}:{page}{file_id}", application.len(), page.len());
    let hash = tramontane_vault::hash(&key);
    format!("o_{}", hash.get(..32).unwrap_or_default())
}

/// An upload location, opened, with the folder in it that is meant.
pub(crate) struct Target {
    location: Location,
    account: Account,
    folder: NativeId,
}

/// The location that the headers name, or the default one.
async fn find(
    app: &App,
    call: &Call,
    application: &Application,
    headers: &HeaderMap,
) -> Answer<Target> {
    let missing = || Problem::not_found("upload location");
    let number = match header(headers, "x-drop-account") {
        None => None,
        Some(text) => Some(text.parse::<i64>().map_err(|_| missing())?),
    };
    let wanted = header(headers, "x-drop-folder");
    let mut all = locations::list(app.db(), &application.id).await?;
    all.retain(|one| number.is_none_or(|number| one.account == number));
    if number.is_none() && wanted.is_none() {
        all.retain(|one| one.is_default);
    }
    for location in all {
        let Some(account) = open(app, call, location.account).await? else { continue };
        let Ok(home) = account.parent(&location.folder_id).await else { continue };
        let folder = match wanted {
            None => home,
            Some(id) => {
                let Ok(folder) = account.parent(id).await else { continue };
                if folder != home {
                    let inside = account.limited_to(&location.folder_id);
                    let below = EntryRef::folder(folder.clone());
                    if !location.allow_subfolders || inside.confine(&below).await.is_err() {
                        continue;
                    }
                }
                folder
            }
        };
        return Ok(Target { location, account, folder });
    }
    Err(missing())
}

impl Target {
    fn limit(&self) -> Option<u64> {
        self.location.max_file_size.and_then(|size| u64::try_from(size).ok())
    }

    fn require_size(&self, size: u64) -> Answer<()> {
        match self.limit().filter(|most| size > *most) {
            None => Ok(()),
            Some(most) => {
                let text = format!("The file is larger than the {most} bytes allowed here.");
                Err(Problem::new(Code::RequestTooLarge, text))
            }
        }
    }

    async fn require_origin(&self, app: &App, call: &Call, headers: &HeaderMap) -> Answer<()> {
        if !self.location.require_trusted_origin {
            return Ok(());
        }
        let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
        let trusted = match origin {
            Some(origin) => trusts(app, call, &self.location.application, origin).await?,
            None => false,
        };
        if trusted {
            return Ok(());
        }
        Err(Problem::forbidden("Files may be dropped from the application's trusted domains only."))
    }

    /// Puts a file into the folder, beside what has its name.
    async fn make(&self, name: &str, body: Body, wants: &Wants) -> Answer<Value> {
        let storage = self.account.storage_for(Op::FileCreate)?;
        let at = At::new(self.folder.clone(), name);
        let how = WriteOptions::fail();
        let cx = long(&self.account);
        let placed = storage.upload(&cx, &at, body, Policy::KeepBoth, &how).await?;
        let entry = placed.entry;
        let object = Render::plain(&self.account)?.one(entry.clone()).await?;
        let mut object = serde_json::to_value(&object).map_err(Problem::internal)?;
        if wants.link {
            let wish = Wish::read(&JsonBody::new(wants.options.clone()))?;
            // Whoever drops a file is nobody at the service: what they make must not change who may see
            // what there.
            let link = links::make_own(&self.account, &entry, &wish).await?;
            if let Some(members) = object.as_object_mut() {
                members.insert("link".into(), links::url(&self.account, &link).into());
            }
        }
        Ok(object)
    }
}

/// What is wanted beside the file.
struct Wants {
    link: bool,
    options: serde_json::Map<String, Value>,
}

impl Wants {
    fn read(query: &Query) -> Answer<Self> {
        let link = query.flag("link")?.unwrap_or(false);
        let options = match query.text("link_options").filter(|text| !is_unset(text)) {
            None => JsonBody::default(),
            Some(text) => JsonBody::parse(text.as_bytes().to_vec())
                .map_err(|_| Problem::invalid("link_options", "must be a JSON object"))?,
        };
        // Looked at now, so that a wrong option is told before the file is made.
        Wish::read(&options)?;
        Ok(Self { link, options: options.members().clone() })
    }

    fn stored(&self) -> Value {
        if self.link { json!({"link_options": self.options}) } else { json!({}) }
    }

    fn of(stored: &Value) -> Self {
        let options = stored.get("link_options").and_then(Value::as_object);
        Self { link: options.is_some(), options: options.cloned().unwrap_or_default() }
    }
}

/// The content of a request: the raw body, or the `file` part of a form.
async fn content(
    app: &App,
    headers: &HeaderMap,
    body: axum::body::Body,
    limit: Option<u64>,
) -> Answer<Body> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = media_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("multipart/form-data")
    });
    let body = match is_form {
        true => Form::read(app, headers, body)?.file().await?,
        false => incoming(app, body, None)?,
    };
    Ok(match limit {
        Some(limit) => crate::kept::at_most(body, limit),
        None => body,
    })
}

/// The upload's row: new, or filled with what this request tells.
async fn begin(
    app: &App,
    target: &Target,
    id: &str,
    name: Option<&str>,
    total: Option<u64>,
    chunks: Option<u64>,
    wants: &Wants,
) -> Answer<DropUpload> {
    let application = &target.location.application;
    let now = app.now();
    let row = DropUpload {
        id: id.to_owned(),
        application: application.clone(),
        location: target.location.id.clone(),
        account: target.location.account,
        folder_id: target.folder.as_str().to_owned(),
        name: name.map(str::to_owned),
        total: total.and_then(|total| i64::try_from(total).ok()),
        chunks: chunks.and_then(|chunks| i64::try_from(chunks).ok()),
        options: wants.stored(),
        state: DropState::Open,
        result: None,
        busy_until: None,
        created: now.micros(),
        modified: now.micros(),
        expires: now.plus_seconds(IDLE_SECONDS).micros(),
    };
    if name.is_none() && drops::find(app.db(), application, id).await?.is_none() {
        return Err(Problem::invalid("name", "is required on the first chunk that arrives"));
    }
    let opened = match drops::open(app.db(), &row).await? {
        Some(opened) => opened,
        // It has expired, or the page now drops into another location: a new upload.
        None => {
            forget(app, application, id).await?;
            drops::open(app.db(), &row).await?.ok_or_else(|| Problem::not_found("upload"))?
        }
    };
    if row.chunks.is_some() && opened.chunks != row.chunks {
        return Err(Problem::invalid("chunks", "must be the same for every chunk of a file"));
    }
    if row.total.is_some() && opened.total != row.total {
        let param = if row.chunks.is_some() { "file_size" } else { "total" };
        return Err(Problem::invalid(param, "must be the same for every chunk of a file"));
    }
    Ok(opened)
}

/// Keeps one chunk.
async fn store(
    app: &App,
    target: &Target,
    row: &DropUpload,
    position: Position,
    body: Body,
) -> Answer<()> {
    let kept = kept(app);
    let place = format!("{}_{}", row.id, random_id(app.entropy(), 9));
    let parcel = kept.keep(&place, body, MAX_CHUNK_BYTES).await?;
    let checked = check_chunk(app, target, row, position, parcel.size).await;
    if let Err(problem) = checked {
        kept.remove(&place).await;
        return Err(problem);
    }
    let chunk = DropChunk {
        upload: row.id.clone(),
        number: signed(position.number()),
        start: match position {
            Position::At { offset, .. } => Some(signed(offset)),
            _ => None,
        },
        size: signed(parcel.size),
        place: place.clone(),
        created: app.now().micros(),
    };
    match drops::put_chunk(app.db(), &chunk).await? {
        // It is being put together, or is done: this copy is not needed.
        None => kept.remove(&place).await,
        Some(None) => {}
        Some(Some(former)) => kept.remove(&former).await,
    }
    Ok(())
}

async fn check_chunk(
    app: &App,
    target: &Target,
    row: &DropUpload,
    position: Position,
    size: u64,
) -> Answer<()> {
    if let Position::At { offset, total } = position
        && offset.saturating_add(size) > total
    {
        return Err(Problem::invalid("offset", "and the size of the chunk lie behind total"));
    }
    let others = chunks_of(app, &row.id).await?;
    let others = others.iter().filter(|one| one.number != position.number());
    let together: u64 = others.map(|one| one.size).sum::<u64>() + size;
    target.require_size(if matches!(position, Position::At { .. }) { 0 } else { together })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

async fn chunks_of(app: &App, id: &str) -> Answer<Vec<Chunk>> {
    let rows = drops::chunks(app.db(), id).await?;
    let chunks = rows.into_iter().map(|row| Chunk {
        number: unsigned(row.number),
        start: row.start.map(unsigned),
        size: unsigned(row.size),
        place: row.place,
    });
    Ok(chunks.collect())
}

/// Answers how far the upload is; makes the file when this was what it waited for. Goes on when the
/// client goes away: whoever sends a chunk again then gets the file.
async fn finish(app: App, target: Target, id: String, file_id: String) -> Answer {
    let done = tokio::spawn(async move {
        let application = target.location.application.clone();
        let row = drops::find(app.db(), &application, &id).await?;
        let row = row.ok_or_else(|| Problem::not_found("upload"))?;
        if let (DropState::Done, Some(result)) = (row.state, &row.result) {
            return answer::made(true, result);
        }
        let chunks = chunks_of(&app, &id).await?;
        let progress = |received| {
            let total = row.total.map(unsigned);
            answer::ok(&DropProgress { file_id: file_id.clone(), received, total })
        };
        let pieces = match arrived(&chunks, row.chunks.map(unsigned), row.total.map(unsigned)) {
            Arrived::Partly(received) => return progress(received),
            Arrived::All(pieces) => pieces,
        };
        let size: u64 = pieces.iter().map(|piece| piece.len).sum();
        if let Some(total) = row.total.map(unsigned).filter(|total| *total != size) {
            let rule = format!("says {total} bytes, but the chunks add up to {size}");
            return Err(Problem::invalid("file_size", rule));
        }
        let now = app.now();
        let until = now.plus_seconds(COMPLETING_SECONDS).micros();
        if !drops::start_completing(app.db(), &id, now.micros(), until).await? {
            // Another request is putting it together.
            return progress(size);
        }
        let made = assemble(&app, &target, &row, pieces).await;
        let now = app.now().micros();
        let result = made.as_ref().ok();
        drops::finish_completing(app.db(), &id, until, result, now).await?;
        let object = made?;
        for chunk in chunks {
            kept(&app).remove(&chunk.place).await;
        }
        answer::made(true, &object)
    });
    done.await.map_err(Problem::internal)?
}

async fn assemble(
    app: &App,
    target: &Target,
    row: &DropUpload,
    pieces: Vec<Piece>,
) -> Answer<Value> {
    let stretches = pieces.into_iter().map(|piece| Stretch {
        name: piece.place,
        skip: piece.skip,
        len: piece.len,
    });
    let body = kept(app).read(stretches.collect())?;
    let name = row.name.as_deref().ok_or_else(|| Problem::invalid("name", "is required"))?;
    target.make(name, body, &Wants::of(&row.options)).await
}

/// Drops an upload with its chunks.
pub(crate) async fn forget(app: &App, application: &str, id: &str) -> Answer<()> {
    for place in drops::delete(app.db(), application, id).await? {
        kept(app).remove(&place).await;
    }
    Ok(())
}
