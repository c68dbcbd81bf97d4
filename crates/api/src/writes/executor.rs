//! Does what tasks were made for: sends the kept request through the routes, and finds out first, when
//! an earlier process died over it, how far that one came.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderName, HeaderValue, Method, Uri};
use serde_json::{Value, json};
use tracing::Instrument as _;
use tramontane_accounts::{Access, Caller, Grant, KeyCaller};
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{EntryKind, EntryRef, Storage as _};
use tramontane_fill::Policy;
use tramontane_model::{AccountId, Code};
use tramontane_tasks::{Executor, Kind, Operation, Outcome, Payload, Work};

use super::intent::{Asked, Intent, Pinned};
use super::submit::{Working, kept};
use super::watch::{Counting, Watching, outcome};
use crate::account::{Account, Watcher};
use crate::call::Call;
use crate::front::Front;
use crate::json::JsonBody;
use crate::kept::Stretch;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::render::Render;
use crate::state::App;

/// The largest answer of a task that is kept, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How often a name that was free is taken before it is written.
const RACES: u32 = 8;

/// Runs tasks through the routes of the API.
#[derive(Clone)]
pub struct TaskExecutor {
    front: Front,
}

impl TaskExecutor {
    /// Runs tasks through this front.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self { front }
    }

    fn app(&self) -> &App {
        self.front.app()
    }

    async fn work(&self, work: &Arc<Work>, call: &Call) -> Answer<Outcome> {
        let operation = work.operation();
        let caller = self.caller(operation).await?;
        let plan = Plan::of(operation);
        let Some(intent) = self.intent(work, call, &caller).await? else {
            return self.send(work, call, caller, plan).await;
        };
        self.make(work, call, caller, &intent, plan).await
    }

    /// What the task would make, for kinds that note it.
    async fn intent(
        &self,
        work: &Arc<Work>,
        call: &Call,
        caller: &Caller,
    ) -> Answer<Option<Intent>> {
        let operation = work.operation();
        let noted = [Kind::Upload, Kind::UploadFromUrl, Kind::Copy, Kind::Move, Kind::CreateFolder];
        if !noted.contains(&operation.kind) {
            return Ok(None);
        }
        let opened = self.app().directory().account(caller, work.account()).await?;
        opened.require_active()?;
        let account = Account::of_server(self.app(), call, caller.clone(), opened);
        let headers = headers(operation);
        let asked = Asked {
            of: object_of(&operation.path),
            query: Query::parse(&operation.query),
            headers: &headers,
            body: match &operation.payload {
                Payload::Json(Value::Object(members)) => JsonBody::new(members.clone()),
                _ => JsonBody::default(),
            },
            content: match &operation.payload {
                Payload::Spooled { size, sha256, .. } => Some((*size, sha256.clone())),
                _ => None,
            },
            noted: work.noted().await,
        };
        // What is wrong with the request itself is told by its handler.
        match Intent::read(&account, operation.kind, &asked).await {
            Ok(intent) => Ok(intent),
            Err(_) => Ok(None),
        }
    }

    /// Makes something under a name that is noted before.
    async fn make(
        &self,
        work: &Arc<Work>,
        call: &Call,
        caller: Caller,
        intent: &Intent,
        plan: Plan,
    ) -> Answer<Outcome> {
        if let (Some(size), Kind::Copy | Kind::Move) = (intent.size, work.operation().kind) {
            work.progress().set_bytes_total(size);
        }
        let mut plan = plan;
        if let Some(pinned) = work.noted::<Pinned>().await.filter(|_| work.resumed()) {
            match self.resume(intent, pinned).await? {
                Resumed::Done(body) => return Ok(body),
                Resumed::Under(name, merge) => {
                    plan.pin(&name, if merge { "replace" } else { "fail" });
                    return self.send(work, call, caller, plan).await;
                }
                Resumed::Again => {}
            }
        }
        for _ in 0..RACES {
            let pinned = intent.pin().await?;
            work.note(&pinned).await?;
            let keeps_both = intent.policy == Some(Policy::KeepBoth);
            if keeps_both {
                plan.pin(&pinned.name, "fail");
            }
            let done = self.send(work, call, caller.clone(), plan.clone()).await?;
            // Someone else was quicker with the name: the next free one.
            if !(keeps_both && done.status == Code::NamingConflict.status()) {
                return Ok(done);
            }
        }
        Err(Problem::new(Code::NamingConflict, "Every free name was taken before it was written."))
    }

    /// What an earlier process left, and how to go on.
    async fn resume(&self, intent: &Intent, pinned: Pinned) -> Answer<Resumed> {
        if let Some(source) = &intent.moves {
            return self.resume_move(intent, source, pinned).await;
        }
        if !pinned.free || matches!(intent.policy, None | Some(Policy::Replace)) {
            // Doing it again is the same as doing it once, or it never could be done.
            return Ok(Resumed::Again);
        }
        let keeps_both = intent.policy == Some(Policy::KeepBoth);
        match intent.look(&pinned.parent, &pinned.name).await? {
            None if keeps_both => Ok(Resumed::Under(pinned.name, false)),
            None => Ok(Resumed::Again),
            Some(entry) if intent.fits(&entry) => {
                if entry.kind == EntryKind::Folder && intent.size.is_none() && intent.is_copy() {
                    // A folder that was begun: the rest is put into it.
                    return Ok(Resumed::Under(pinned.name, true));
                }
                let shown = Render::plain(&intent.account)?.one(entry).await?;
                let body = serde_json::to_value(&shown).map_err(Problem::internal)?;
                Ok(Resumed::Done(Outcome { status: 201, body: Some(body) }))
            }
            // Someone else has the name.
            Some(_) => Ok(Resumed::Again),
        }
    }

    async fn resume_move(
        &self,
        intent: &Intent,
        source: &EntryRef,
        pinned: Pinned,
    ) -> Answer<Resumed> {
        let there = intent.look(&pinned.parent, &pinned.name).await?;
        let there = there.filter(|entry| pinned.free && intent.fits(entry));
        let Some(entry) = there else {
            let keeps_both = intent.policy == Some(Policy::KeepBoth);
            let under = keeps_both && pinned.free;
            return Ok(if under { Resumed::Under(pinned.name, false) } else { Resumed::Again });
        };
        if intent.across && entry.kind == EntryKind::Folder {
            return Ok(Resumed::Under(pinned.name, true));
        }
        if let (true, Some(from)) = (intent.across, &intent.from) {
            // The copy is there; what is left of the move is to delete the source.
            let (storage, cx) = (from.storage()?, from.cx());
            match storage.delete(&cx, source, &DeleteOptions::default()).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let shown = Render::plain(&intent.account)?.one(entry).await?;
        let body = serde_json::to_value(&shown).map_err(Problem::internal)?;
        Ok(Resumed::Done(Outcome { status: 200, body: Some(body) }))
    }

    /// Sends the request through the routes.
    async fn send(
        &self,
        work: &Arc<Work>,
        call: &Call,
        caller: Caller,
        plan: Plan,
    ) -> Answer<Outcome> {
        let operation = work.operation();
        let body = match &operation.payload {
            Payload::Spooled { name, size, .. } => {
                let all = Stretch { name: name.clone(), skip: 0, len: *size };
                let content = kept(self.app()).read(vec![all])?;
                Body::new(Counting::new(content, *size, work.clone()))
            }
            _ => plan.body.as_ref().map_or_else(Body::empty, |body| Body::from(body.to_string())),
        };
        let uri = match plan.query.as_str() {
            "" => operation.path.clone(),
            query => format!("{}?{query}", operation.path),
        };
        let mut request = Request::new(body);
        *request.method_mut() =
            Method::from_bytes(operation.method.as_bytes()).map_err(Problem::internal)?;
        *request.uri_mut() = uri.parse::<Uri>().map_err(Problem::internal)?;
        *request.headers_mut() = headers(operation);
        if let Some(metadata) = &plan.metadata {
            let value = HeaderValue::from_bytes(metadata.to_string().as_bytes());
            request.headers_mut().insert("x-kloudless-metadata", value.map_err(Problem::internal)?);
        }
        request.extensions_mut().insert(Watcher(Arc::new(Watching(work.clone()))));
        request.extensions_mut().insert(Working(work.clone()));
        let mut response = self.front.inside(call, caller, request).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            if let Some(cause) = problem.cause() {
                tracing::error!(task = work.id(), cause, "task failed");
            }
            return Ok(outcome(&problem, &call.request_id));
        }
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
        let bytes = bytes.map_err(Problem::internal)?;
        let body = match bytes.is_empty() {
            true => None,
            false => Some(serde_json::from_slice(&bytes).map_err(Problem::internal)?),
        };
        Ok(Outcome { status, body })
    }

    /// The caller as they were when the task was made.
    async fn caller(&self, operation: &Operation) -> Answer<Caller> {
        let who = operation.caller.get("who").cloned().unwrap_or_default();
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let directory = self.app().directory();
        let gone = || Problem::forbidden("The application of the task is deactivated or gone.");
        let access = |value: &Value| {
            let stored = value.get("access").and_then(Value::as_str);
            Access::from_stored(stored).map(Arc::new)
        };
        if let Some(tokens) = who.get("tokens").and_then(Value::as_array) {
            let mut grants = Vec::with_capacity(tokens.len());
            for token in tokens {
                let application = directory.public_application(&text(token, "application")).await?;
                let account = token.get("account").and_then(Value::as_i64).and_then(AccountId::new);
                grants.push(Grant {
                    account: account.ok_or_else(gone)?,
                    application: application.ok_or_else(gone)?,
                    token_id: text(token, "token"),
                    access: access(token)?,
                    scope: text(token, "scope"),
                    expires: None,
                });
            }
            return Ok(Caller::Tokens(grants));
        }
        let application = directory.public_application(&text(&who, "application")).await?;
        Ok(Caller::Key(KeyCaller {
            application: application.ok_or_else(gone)?,
            key_id: text(&who, "key"),
            access: access(&who)?,
        }))
    }

    fn call(&self, operation: &Operation) -> Call {
        let text = |name: &str| operation.caller.get(name).and_then(Value::as_str);
        let client = text("client").and_then(|text| text.parse().ok());
        Call::new(
            uuid::Uuid::now_v7().to_string(),
            text("base").unwrap_or_default().to_owned(),
            client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        )
    }
}

/// What an earlier process left.
enum Resumed {
    /// It was done.
    Done(Outcome),
    /// Go on under this name; into what is there already, when true.
    Under(String, bool),
    /// Begin again.
    Again,
}

/// A request as it is sent: like the one that was kept, but for a name that was chosen.
#[derive(Clone)]
struct Plan {
    query: String,
    body: Option<Value>,
    metadata: Option<Value>,
}

impl Plan {
    fn of(operation: &Operation) -> Self {
        Self {
            query: operation.query.clone(),
            body: match &operation.payload {
                Payload::Json(value) => Some(value.clone()),
                _ => None,
            },
            metadata: operation
                .headers
                .get("x-kloudless-metadata")
                .and_then(|text| serde_json::from_str(text).ok()),
        }
    }

    /// Uses this name, and this answer to a conflict.
    fn pin(&mut self, name: &str, conflict: &str) {
        let named = self.metadata.as_mut().or(self.body.as_mut());
        match named.and_then(Value::as_object_mut) {
            Some(members) => {
                members.insert("name".into(), name.into());
            }
            None => self.body = Some(json!({"name": name})),
        }
        let others = self.query.split('&').filter(|pair| {
            !pair.is_empty() && !matches!(pair.split('=').next(), Some("conflict" | "overwrite"))
        });
        let mut query: Vec<String> = others.map(str::to_owned).collect();
        query.push(format!("conflict={conflict}"));
        self.query = query.join("&");
    }
}

fn headers(operation: &Operation) -> http::HeaderMap {
    let pairs = operation.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    pairs.collect()
}

/// The object that a path names: `/v1/accounts/7/storage/files/{id}/copy`.
pub(super) fn object_of(path: &str) -> Option<(EntryKind, String)> {
    let mut segments = path.split('/').skip_while(|segment| *segment != "storage").skip(1);
    let kind = match segments.next()? {
        "files" => EntryKind::File,
        "folders" => EntryKind::Folder,
        _ => return None,
    };
    let id = percent_encoding::percent_decode_str(segments.next()?).decode_utf8().ok()?;
    Some((kind, id.into_owned()))
}

#[async_trait]
impl Executor for TaskExecutor {
    async fn run(&self, work: Arc<Work>) -> Outcome {
        let call = self.call(work.operation());
        let span = tracing::info_span!(
            target: "tramontane::trace", "task", otel.name = work.operation().kind.as_str(),
            task = work.id(), account = work.account().number(), request_id = call.request_id,
        );
        match self.work(&work, &call).instrument(span).await {
            Ok(done) => done,
            Err(problem) => {
                if let Some(cause) = problem.cause() {
                    tracing::error!(task = work.id(), cause, "task failed");
                }
                outcome(&problem, &call.request_id)
            }
        }
    }

    fn failed(&self, work: &Work, message: &str) -> Outcome {
        let call = self.call(work.operation());
        outcome(&Problem::new(Code::RequestFailed, message), &call.request_id)
    }

    async fn ended(&self, work: &Work) {
        if let Payload::Spooled { name, .. } = &work.operation().payload {
            kept(self.app()).remove(name).await;
        }
    }
}
