//! Several operations in one request, in order, not atomic (wire API, section 54).

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tramontane_model::Code;
use tramontane_tasks::{Again, Item, ItemStatus};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer;
use crate::front::Front;
use crate::json::{JsonBody, collect};
use crate::problem::{Answer, Problem};
use crate::writes::{Working, kind_of};

const MAX_REQUESTS: usize = 100;
/// The largest answer of one request, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Several operations.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewBatch {
    #[schema(min_items = 1, max_items = 100)]
    requests: Vec<NewBatchRequest>,
}

/// One operation of a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes; the handler reads the members itself")]
pub(crate) struct NewBatchRequest {
    id: Option<String>,
    method: String,
    path: String,
    #[schema(value_type = Option<Object>)]
    query: Option<Value>,
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

/// What came of a batch.
#[derive(Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchAnswer {
    responses: Vec<BatchResponse>,
    #[schema(value_type = Vec<Object>)]
    errors: Vec<Value>,
}

/// One good answer of a batch.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchResponse {
    #[schema(value_type = Object)]
    id: Value,
    status: u16,
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

/// What a batch that runs as a task notes before each operation.
#[derive(Serialize, Deserialize)]
struct Note {
    answer: BatchAnswer,
    at: usize,
}

/// One operation, read.
struct One {
    id: Value,
    method: Method,
    uri: Uri,
    body: Option<Value>,
}

/// `POST .../storage/batch`.
pub(crate) async fn run(
    account: Account,
    front: Front,
    working: Option<Extension<Working>>,
    request: Request,
) -> Answer {
    let text = collect(request.into_body(), account.app().limits().batch_body).await?;
    let body = JsonBody::parse(text)?;
    let requests = read(&account, &body)?;
    let work = working.map(|Extension(Working(work))| work);
    let mut answer = BatchAnswer::default();
    let mut begun = None;
    if let Some(work) = &work {
        work.progress().restart();
        work.progress().set_items_total(requests.len() as u64);
        if let Some(note) = work.noted::<Note>().await.filter(|_| work.resumed()) {
            answer = note.answer;
            begun = Some(note.at);
        }
    }
    let done = begun.unwrap_or(0);
    for (at, one) in requests.into_iter().enumerate().skip(done) {
        let outcome = match one {
            Err((id, problem)) => Err((id, problem)),
            Ok(one) if begun == Some(at) && !repeats(&one) => {
                let text = "The server stopped while this was being done, and whether it was done \
                            cannot be told.";
                Err((one.id, Problem::new(Code::RequestFailed, text)))
            }
            Ok(one) => {
                if let Some(work) = &work {
                    work.note(&Note { answer: clone(&answer)?, at }).await?;
                }
                send(&account, &front, one).await
            }
        };
        if let Some(work) = &work {
            work.report(item(at, &outcome, &account));
        }
        match outcome {
            Ok(response) => answer.responses.push(response),
            Err((id, problem)) => answer.errors.push(error(&id, &problem, &account)),
        }
    }
    answer::ok(&answer)
}

fn clone(answer: &BatchAnswer) -> Answer<BatchAnswer> {
    let value = serde_json::to_value(answer).map_err(Problem::internal)?;
    serde_json::from_value(value).map_err(Problem::internal)
}

/// Whether an operation may be done twice.
fn repeats(one: &One) -> bool {
    let path = one.uri.path();
    let storage = path.split_once("/storage/").map_or("", |(_, tail)| tail);
    let route = match storage.split('/').collect::<Vec<_>>().as_slice() {
        [noun @ ("files" | "folders"), _] => format!("{noun}/{{{}}}", noun.trim_end_matches('s')),
        [noun @ ("files" | "folders"), _, tail] => {
            format!("{noun}/{{{}}}/{tail}", noun.trim_end_matches('s'))
        }
        _ => storage.to_owned(),
    };
    let kind = kind_of(&format!("/v1/accounts/{{account}}/storage/{route}"), &one.method);
    one.method == Method::GET || kind.is_some_and(|kind| kind.again() == Again::Repeat)
}

fn item(at: usize, outcome: &Result<BatchResponse, (Value, Problem)>, account: &Account) -> Item {
    let (id, status, made, error) = match outcome {
        Ok(response) => {
            let made = response.body.as_ref().and_then(|body| body.get("id")?.as_str());
            (&response.id, ItemStatus::Done, made.map(str::to_owned), None)
        }
        Err((id, problem)) => {
            (id, ItemStatus::Failed, None, Some(problem.body(&account.call.request_id)))
        }
    };
    let name = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    Item { number: 0, key: format!("{at:03}"), name, status, id: made, error }
}

fn error(id: &Value, problem: &Problem, account: &Account) -> Value {
    let mut body = Map::new();
    body.insert("id".into(), id.clone());
    if let Value::Object(members) = problem.body(&account.call.request_id) {
        body.extend(members.into_iter().filter(|(name, _)| name != "id"));
    }
    body.into()
}

/// Reads the list. What is wrong with one operation is its own error.
fn read(account: &Account, body: &JsonBody) -> Answer<Vec<Result<One, (Value, Problem)>>> {
    let list = body.get("requests").and_then(Value::as_array);
    let list = list.ok_or_else(|| Problem::invalid("requests", "must be a list"))?;
    if list.is_empty() || list.len() > MAX_REQUESTS {
        return Err(Problem::invalid("requests", "must hold 1 to 100 requests"));
    }
    let read = list.iter().enumerate().map(|(at, request)| {
        let id = request.get("id").filter(|id| !id.is_null()).cloned();
        let id = id.unwrap_or_else(|| json!((at + 1).to_string()));
        one(account, request, id.clone()).map_err(|problem| (id, problem))
    });
    Ok(read.collect())
}

fn one(account: &Account, request: &Value, id: Value) -> Answer<One> {
    if !request.is_object() {
        return Err(Problem::invalid("requests", "must hold objects"));
    }
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let method = text("method").unwrap_or("GET").to_ascii_uppercase();
    let method = METHODS.iter().find(|known| known.as_str() == method);
    let method = method
        .ok_or_else(|| Problem::invalid("method", "must be GET, POST, PUT, PATCH or DELETE"))?;
    let path = text("path").ok_or_else(|| Problem::invalid("path", "is required"))?;
    let path = check_path(path)?;
    let query = match request.get("query") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => format!("?{}", text.trim_start_matches('?')),
        Some(Value::Object(members)) => {
            let mut pairs = url::form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
            for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                pairs.append_pair(name, &text);
            }
            pairs.finish()
        }
        Some(_) => return Err(Problem::invalid("query", "must be an object or a string")),
    };
    let uri = format!("/v1/accounts/{}{path}{query}", account.id());
    let uri = uri.parse().map_err(|_| Problem::invalid("path", "must be a path as in a URL"))?;
    let body = request.get("body").filter(|body| !body.is_null()).cloned();
    Ok(One { id, method: method.clone(), uri, body })
}

/// A path below the account that leads to metadata: content and batches are not for batches.
fn check_path(path: &str) -> Answer<String> {
    let path = format!("/{}", path.trim_matches('/'));
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let content = matches!(
        segments.as_slice(),
        ["storage", "files", _, "contents" | "thumbnail", ..]
            | ["storage", "multipart" | "batch", ..]
    ) || path.contains("/versions/") && path.ends_with("/contents");
    if path.contains(['?', '#']) || segments.first() != Some(&"storage") || content {
        let rule = "must be a path of metadata below the account, such as /storage/files/{id}";
        return Err(Problem::invalid("path", rule));
    }
    Ok(path)
}

async fn send(
    account: &Account,
    front: &Front,
    one: One,
) -> Result<BatchResponse, (Value, Problem)> {
    let mut request = Request::new(match &one.body {
        Some(body) => Body::from(body.to_string()),
        None => Body::empty(),
    });
    *request.method_mut() = one.method;
    *request.uri_mut() = one.uri;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let caller = account.caller.clone();
    let mut response = front.inside(&account.call, caller, request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err((one.id, problem));
    }
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return Err((one.id, Problem::internal(error))),
    };
    let body = match bytes.is_empty() || status == StatusCode::NO_CONTENT {
        true => None,
        false => match serde_json::from_slice(&bytes) {
            Ok(body) => Some(body),
            Err(error) => return Err((one.id, Problem::internal(error))),
        },
    };
    Ok(BatchResponse { id: one.id, status: status.as_u16(), body })
}
