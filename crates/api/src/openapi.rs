//! The OpenAPI 3.1 document, made from the table of routes and the wire types.

use std::sync::OnceLock;

use http::Method;
use serde_json::{Map, Value, json};
use tramontane_model::Code;
use utoipa::openapi::{RefOr, Schema};

use crate::answer::json_text;
use crate::call::Call;
use crate::problem::{Answer, Problem};
use crate::route::{Content, Doc, Routes};

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Query,
    Header,
    Path,
}

/// What a parameter looks like.
#[derive(Clone, Copy, Debug)]
enum Looks {
    Text,
    Flag,
    Number(u64, u64),
    Word(&'static [&'static str]),
}

/// One parameter: its name here and on the wire, where it stands, its looks, and a sentence.
type Param = (&'static str, In, Looks, &'static str);

/// Every parameter, once.
const PARAMS: &[Param] = &[
    ("page", In::Query, Looks::Text, "The page: a token or a number; absent for the first."),
    ("page_size", In::Query, Looks::Number(1, 1000), "Objects on a page."),
    ("paging", In::Query, Looks::Word(&["cursor"]), "Asks for opaque cursors."),
    ("cursor", In::Query, Looks::Text, "Where to go on, with paging=cursor."),
    ("fields", In::Query, Looks::Text, "Comma-separated members to keep."),
    (
        "expand",
        In::Query,
        Looks::Text,
        "Comma-separated members to fill: ancestors, owner, permissions.",
    ),
    (
        "hashes",
        In::Query,
        Looks::Text,
        "A hash to compute when it is missing: md5, sha1, sha256, crc32c.",
    ),
    ("active", In::Query, Looks::Flag, "Only those that are active, or are not."),
    ("enabled", In::Query, Looks::Flag, "As active."),
    ("admin", In::Query, Looks::Flag, "Only those with organisation-wide access, or without."),
    ("service", In::Query, Looks::Text, "Only those of this service."),
    ("account_name", In::Query, Looks::Text, "Only those with this account member."),
    ("retrieve_full", In::Query, Looks::Flag, "Adds the capabilities."),
    ("retrieve_properties", In::Query, Looks::Flag, "Adds the capabilities."),
    ("verify", In::Query, Looks::Flag, "Tries the credential at the service first."),
    ("revoke", In::Query, Looks::Flag, "Also revokes the grant at the service."),
    ("apis", In::Query, Looks::Text, "Comma-separated APIs."),
    ("app_id", In::Query, Looks::Text, "An application's id."),
    ("category", In::Query, Looks::Text, "A category of services."),
    ("overwrite", In::Query, Looks::Flag, "Replace what has the name, or keep both."),
    (
        "conflict",
        In::Query,
        Looks::Word(&["fail", "rename", "replace"]),
        "What to do when the name is taken.",
    ),
    ("conflict_if_exists", In::Query, Looks::Flag, "Refuse when the folder exists."),
    ("recursive", In::Query, Looks::Flag, "With all that is below."),
    ("permanent", In::Query, Looks::Flag, "Past the trash."),
    ("max_depth", In::Query, Looks::Number(1, 1000), "How deep to list."),
    ("types", In::Query, Looks::Word(&["file", "folder"]), "Only files, or only folders."),
    ("after", In::Query, Looks::Text, "Only what changed after this timestamp."),
    ("q", In::Query, Looks::Text, "What to look for."),
    ("parents", In::Query, Looks::Text, "Comma-separated folder ids to look below."),
    ("export", In::Query, Looks::Text, "Media type or extension to export to."),
    ("redirect", In::Query, Looks::Flag, "Answers with a short-lived URL of the service."),
    (
        "size",
        In::Query,
        Looks::Word(&["small", "medium", "large"]),
        "The longest side: 64, 256, 1024 pixels.",
    ),
    ("format", In::Query, Looks::Word(&["jpeg", "png"]), "The picture's format."),
    ("notify", In::Query, Looks::Flag, "Lets the service send its mail."),
    ("return_type", In::Query, Looks::Text, "task runs it as a task."),
    ("link", In::Query, Looks::Flag, "Makes a link to the new file."),
    ("link_options", In::Query, Looks::Text, "Options of the link, as JSON."),
    ("part_number", In::Query, Looks::Number(1, 10_000), "Which part."),
    ("state", In::Query, Looks::Text, "Only tasks in this state."),
    ("status", In::Query, Looks::Text, "Only items with this outcome."),
    ("start", In::Query, Looks::Text, "The first day."),
    ("end", In::Query, Looks::Text, "The last day."),
    ("application", In::Query, Looks::Text, "Only this application."),
    ("origin", In::Query, Looks::Text, "The origin of the page."),
    ("name", In::Query, Looks::Text, "The file's name."),
    ("file_id", In::Query, Looks::Text, "The client's id of the file."),
    ("file_size", In::Query, Looks::Text, "The file's size."),
    ("chunk", In::Query, Looks::Text, "Number of this chunk, from 0."),
    ("chunks", In::Query, Looks::Text, "How many chunks there are."),
    ("offset", In::Query, Looks::Text, "Where this chunk begins."),
    ("total", In::Query, Looks::Text, "Bytes of all chunks."),
    ("password", In::Query, Looks::Text, "The link's password."),
    ("X-Drop-Account", In::Header, Looks::Text, "The account of the upload location."),
    ("X-Drop-Folder", In::Header, Looks::Text, "The folder of the upload location."),
    ("X-Picker-Id", In::Header, Looks::Text, "Which page uploads."),
    ("X-Explorer-Id", In::Header, Looks::Text, "Which page uploads."),
    ("X-Kloudless-Metadata", In::Header, Looks::Text, "JSON with parent_id and name."),
    ("X-Kloudless-Raw-Data", In::Header, Looks::Flag, "Adds the service's own JSON."),
    ("X-Kloudless-Raw-URI", In::Header, Looks::Text, "Where to pass the request to."),
    ("X-Kloudless-Raw-Method", In::Header, Looks::Text, "With which method."),
    ("X-Kloudless-Raw-Headers", In::Header, Looks::Text, "JSON object of headers to add."),
    ("X-Kloudless-Async", In::Header, Looks::Flag, "Runs it as a task."),
    (
        "Tramontane-Deadline",
        In::Header,
        Looks::Number(100, 600_000),
        "Milliseconds to wait for the service.",
    ),
    ("Idempotency-Key", In::Header, Looks::Text, "Makes it safe to send again."),
    ("If-Match", In::Header, Looks::Text, "Only when the ETag is still this."),
    ("If-None-Match", In::Header, Looks::Text, "Only when the ETag is not this."),
    ("If-Range", In::Header, Looks::Text, "The range only when the ETag is still this."),
    ("Range", In::Header, Looks::Text, "Which bytes."),
    ("account", In::Path, Looks::Text, "The account's id, or me."),
    ("file", In::Path, Looks::Text, "The file's id."),
    ("folder", In::Path, Looks::Text, "The folder's id, or root."),
    ("version", In::Path, Looks::Text, "The version's id."),
    ("link_id", In::Path, Looks::Text, "The link's id."),
    ("session", In::Path, Looks::Text, "The upload's id."),
    ("task", In::Path, Looks::Text, "The task's id."),
    ("app", In::Path, Looks::Text, "The application's id."),
    ("app_id", In::Path, Looks::Text, "The application's id."),
    ("developer", In::Path, Looks::Text, "The developer's id, or me."),
    ("key", In::Path, Looks::Text, "The key, or its id."),
    ("webhook", In::Path, Looks::Text, "The webhook's id."),
    ("domain", In::Path, Looks::Text, "The trusted domain's id."),
    ("uri", In::Path, Looks::Text, "The redirect URI's id."),
    ("location", In::Path, Looks::Text, "The upload location's id."),
    ("link", In::Path, Looks::Text, "The link's id."),
    ("token", In::Path, Looks::Text, "The token, or its id."),
];

/// Statuses of problems that any operation behind a credential may answer.
const PROBLEMS: [u16; 18] =
    [400, 401, 403, 404, 405, 409, 412, 413, 416, 429, 500, 501, 502, 503, 504, 507, 406, 415];
/// Problem statuses that are never produced; they keep the table above honest.
const NEVER: [u16; 2] = [406, 415];

fn looks(looks: Looks) -> Value {
    match looks {
        Looks::Text => json!({"type": "string"}),
        Looks::Flag => json!({"type": "boolean"}),
        Looks::Number(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Looks::Word(words) => json!({"type": "string", "enum": words}),
    }
}

fn parameter(name: &str, place: In) -> Value {
    let own = if name == "account_name" { "account" } else { name };
    let known = PARAMS.iter().find(|(known, at, ..)| *known == name && *at == place);
    let (form, about) = match known {
        Some((_, _, form, about)) => (looks(*form), *about),
        None => (looks(Looks::Text), "An id."),
    };
    let word = match place {
        In::Query => "query",
        In::Header => "header",
        In::Path => "path",
    };
    json!({
        "name": own, "in": word, "required": place == In::Path,
        "description": about, "schema": form,
    })
}

fn operation(path: &str, doc: &Doc) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), doc.id.into());
    operation.insert("summary".into(), doc.summary.into());
    let mut parameters: Vec<Value> = path
        .split(['{', '}'])
        .skip(1)
        .step_by(2)
        .map(|name| parameter(name.trim_start_matches('*'), In::Path))
        .collect();
    for name in &doc.params {
        let upper = name.starts_with(|letter: char| letter.is_ascii_uppercase());
        parameters.push(parameter(name, if upper { In::Header } else { In::Query }));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if !doc.body.is_empty() {
        let content = doc.body.iter().map(|(media_type, schema)| {
            let value = match schema {
                Some(schema) => json!({"schema": schema}),
                None => json!({}),
            };
            ((*media_type).to_owned(), value)
        });
        let content: Map<String, Value> = content.collect();
        operation.insert("requestBody".into(), json!({"content": content}));
    }
    operation.insert("responses".into(), responses(doc).into());
    if doc.public {
        operation.insert("security".into(), json!([]));
    } else if path.starts_with("/v1/meta") || path.starts_with("/v1/applications") {
        operation.insert("security".into(), json!([{"meta": []}, {"developerKey": []}]));
    } else {
        operation.insert("security".into(), json!([{"account": []}, {"application": []}]));
    }
    operation.into()
}

fn responses(doc: &Doc) -> Map<String, Value> {
    let mut responses = Map::new();
    for gives in &doc.answers {
        let content = match &gives.content {
            Content::Nothing => None,
            Content::Json(schema) => Some(json!({"application/json": {"schema": schema}})),
            Content::List(schema) => Some(json!({"application/json": {"schema": list(schema)}})),
            Content::Bytes(types) => {
                let each = types.iter().map(|one| ((*one).to_owned(), json!({})));
                Some(each.collect::<Map<String, Value>>().into())
            }
        };
        let mut response = json!({"description": reason(gives.status)});
        if let (Some(content), Value::Object(members)) = (content, &mut response) {
            members.insert("content".into(), content);
        }
        responses.insert(gives.status.to_string(), response);
    }
    for status in PROBLEMS.iter().filter(|status| !NEVER.contains(status)) {
        let name = format!("#/components/responses/Problem{status}");
        responses.entry(status.to_string()).or_insert(json!({"$ref": name}));
    }
    responses
}

fn reason(status: u16) -> String {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Answer").to_owned()
}

fn list(of: &RefOr<Schema>) -> Value {
    let page = json!({"type": ["string", "integer", "null"]});
    json!({
        "type": "object",
        "required": ["type", "api", "count", "page", "next_page", "objects"],
        "properties": {
            "type": {"const": "object_list"},
            "api": {"type": "string"},
            "total": {"type": "integer"},
            "count": {"type": "integer"},
            "page": {"type": ["string", "integer"]},
            "next_page": page,
            "next_cursor": {"type": ["string", "null"]},
            "has_more": {"type": "boolean"},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
            "objects": {"type": "array", "items": of},
        },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["status_code", "error_code", "message", "id"],
        "properties": {
            "status_code": {"type": "integer"},
            "error_code": {"type": "string", "enum": codes},
            "message": {"type": "string"},
            "id": {"type": "string", "format": "uuid"},
            "conflicting_resource_id": {"type": "string"},
            "param": {"type": "string"},
            "retryable": {"type": "boolean"},
            "service_error": {"type": "object"},
            "capability": {"type": "object"},
            "account": {"type": "integer"},
        },
    })
}

/// The document of these routes; the server's URL is `__BASE__`.
#[must_use]
pub fn document(routes: &Routes) -> Value {
    let mut paths = Map::new();
    for (path, doc) in &routes.docs {
        let path_text = path.replace("{*", "{");
        let item = paths.entry(path_text).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(doc.method.as_str().to_ascii_lowercase(), operation(path, doc));
            if doc.method == Method::GET {
                let mut head = doc.clone();
                head.answers.iter_mut().for_each(|gives| gives.content = Content::Nothing);
                let mut head = operation(path, &head);
                if let Value::Object(members) = &mut head {
                    members.insert("operationId".into(), format!("{}Head", doc.id).into());
                    for status in PROBLEMS {
                        if let Some(Value::Object(all)) = members.get_mut("responses")
                            && all.contains_key(&status.to_string())
                        {
                            let text = json!({"description": reason(status)});
                            all.insert(status.to_string(), text);
                        }
                    }
                }
                item.insert("head".into(), head);
            }
        }
    }
    let mut schemas: Map<String, Value> = Map::new();
    for (name, schema) in &routes.schemas {
        schemas.insert(name.clone(), json!(schema));
    }
    schemas.insert("Problem".into(), problem_schema());
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    let problems = PROBLEMS.iter().filter(|status| !NEVER.contains(status)).map(|status| {
        let response = json!({
            "description": reason(*status),
            "content": {"application/json": {"schema": problem}},
        });
        (format!("Problem{status}"), response)
    });
    let problems: Map<String, Value> = problems.collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tramontane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One API over cloud storage services.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "__BASE__"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problems,
            "securitySchemes": {
                "account": {"type": "http", "scheme": "bearer",
                    "description": "The token of one connected account."},
                "application": {"type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "APIKey, a space, and the application's key."},
                "meta": {"type": "http", "scheme": "bearer",
                    "description": "A developer's meta token."},
                "developerKey": {"type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "DeveloperKey, a space, and a developer's meta token."},
            },
        },
    })
}

static TEXT: OnceLock<String> = OnceLock::new();

/// `GET /v1/openapi.json`.
///
/// # Errors
/// None that a caller can bring about.
pub async fn serve(call: Call) -> Answer {
    let text = TEXT.get_or_init(|| {
        let document = document(&crate::router::routes());
        let text = crate::answer::ascii(&document).unwrap_or_default();
        String::from_utf8(text).unwrap_or_default()
    });
    if text.is_empty() {
        return Err(Problem::internal("the OpenAPI document has no text"));
    }
    let text = text.replacen("__BASE__", &call.base, 1);
    Ok(json_text(http::StatusCode::OK, text.into_bytes()))
}
