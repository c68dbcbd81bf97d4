//! The OpenAPI 3.1 document, made from the table of routes and the wire types.

use std::sync::OnceLock;

use http::Method;
use serde_json::{Map, Value, json};
use tramontane_model::Code;
use utoipa::openapi::{RefOr, Schema};

use crate::answer::json_text;
use crate::call::Call;
use crate::problem::{Answer, Problem};
use crate::route::{Content, Doc, Routes, Schemas};

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
    /// Several of these words, with commas between.
    Words(&'static [&'static str]),
    /// From so many characters to so many.
    Sized(u64, u64),
    /// Must match this regular expression.
    Like(&'static str),
    /// An ISO 8601 date or date-time.
    Time,
}

/// The states of tasks.
const STATES: &[&str] = &["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"];

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
        Looks::Words(&["ancestors", "owner", "permissions"]),
        "Members to fill that cost further calls.",
    ),
    (
        "hashes",
        In::Query,
        Looks::Word(&["md5", "sha1", "sha256", "crc32c"]),
        "A hash to compute when it is missing.",
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
    ("app_id", In::Query, Looks::Sized(1, 64), "An application's id."),
    ("category", In::Query, Looks::Text, "A category of services."),
    ("overwrite", In::Query, Looks::Flag, "Replace what has the name, or keep both."),
    (
        "conflict",
        In::Query,
        Looks::Word(&["fail", "rename", "replace"]),
        "What to do when the name is taken.",
    ),
    (
        "conflict_for_folder",
        In::Query,
        Looks::Word(&["fail", "rename"]),
        "What to do when the name is taken.",
    ),
    ("conflict_if_exists", In::Query, Looks::Flag, "Refuse when the folder exists."),
    ("recursive", In::Query, Looks::Flag, "With all that is below."),
    ("permanent", In::Query, Looks::Flag, "Past the trash."),
    ("max_depth", In::Query, Looks::Number(1, 100_000), "How deep to list."),
    ("types", In::Query, Looks::Word(&["file", "folder"]), "Only files, or only folders."),
    ("after", In::Query, Looks::Text, "Only what changed after this timestamp."),
    ("q", In::Query, Looks::Like(r"\S"), "What to look for."),
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
    ("state", In::Query, Looks::Word(STATES), "Only tasks in this state."),
    ("client_id", In::Query, Looks::Text, "The application's id."),
    ("response_type", In::Query, Looks::Word(&["code", "token"]), "What comes at the end."),
    ("redirect_uri", In::Query, Looks::Text, "A registered URI, or urn:ietf:wg:oauth:2.0:oob."),
    ("scope", In::Query, Looks::Text, "What may be connected; any by default."),
    ("oauth_state", In::Query, Looks::Text, "Returned as it is."),
    ("form_data", In::Query, Looks::Text, "JSON object that fills forms beforehand."),
    ("custom_properties", In::Query, Looks::Text, "JSON object of strings for the account."),
    ("request_id", In::Query, Looks::Text, "Echoed in the message of a pop-up."),
    ("code_challenge", In::Query, Looks::Text, "The PKCE challenge."),
    ("code_challenge_method", In::Query, Looks::Word(&["S256"]), "How it was made."),
    ("access", In::Query, Looks::Text, "The access list of the token."),
    ("connect_link", In::Query, Looks::Text, "A connect link, in place of everything else."),
    (
        "status",
        In::Query,
        Looks::Word(&["done", "skipped", "failed"]),
        "Only items with this outcome.",
    ),
    (
        "delivery_status",
        In::Query,
        Looks::Word(&["pending", "retrying", "delivered", "failed"]),
        "Only deliveries that stand so.",
    ),
    ("delivery_account", In::Query, Looks::Number(1, 2_147_483_647), "Only of this account."),
    ("since", In::Query, Looks::Time, "Only attempts from this moment on."),
    ("until", In::Query, Looks::Time, "Only attempts up to this moment."),
    ("start", In::Query, Looks::Time, "The first day."),
    ("end", In::Query, Looks::Time, "The last day."),
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
    ("Idempotency-Key", In::Header, Looks::Sized(1, 255), "Makes it safe to send again."),
    ("If-Match", In::Header, Looks::Text, "Only when the ETag is still this."),
    ("If-None-Match", In::Header, Looks::Text, "Only when the ETag is not this."),
    ("If-Range", In::Header, Looks::Text, "The range only when the ETag is still this."),
    ("Range", In::Header, Looks::Text, "Which bytes."),
    (
        "events_cursor",
        In::Query,
        Looks::Text,
        "Where to read on: a cursor, latest, earliest, or time: and a timestamp.",
    ),
    (
        "ranges",
        In::Query,
        Looks::Like("^[0-9a-f]{0,16}(,[0-9a-f]{0,16}){0,15}$"),
        "Comma-separated prefixes of keys, each up to 16 hexadecimal digits, at most 16 of them; everything when \
         there are none.",
    ),
    ("wait", In::Query, Looks::Number(0, 60), "Seconds to wait when there is nothing yet."),
    (
        "events_types",
        In::Query,
        Looks::Text,
        "Comma-separated actions, types such as storage.file.added, or patterns such as storage.*.",
    ),
    ("categories", In::Query, Looks::Text, "Comma-separated categories of events."),
    ("stream_token", In::Query, Looks::Text, "A token for this stream, in place of a header."),
    ("Last-Event-ID", In::Header, Looks::Text, "The id of the last event that was seen."),
    ("explained_event", In::Query, Looks::Text, "The id of an event to ask about."),
    ("explained_object", In::Query, Looks::Text, "The id of a file or folder to ask about."),
    ("event", In::Path, Looks::Text, "The event's id."),
    ("subscription", In::Path, Looks::Text, "The subscription's id, or default."),
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
    ("delivery", In::Path, Looks::Text, "The delivery's id."),
    ("replay", In::Path, Looks::Text, "The replay's id."),
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
        Looks::Words(words) => {
            json!({"type": "array", "items": {"type": "string", "enum": words}})
        }
        Looks::Sized(least, most) => {
            json!({"type": "string", "minLength": least, "maxLength": most})
        }
        Looks::Like(pattern) => json!({"type": "string", "pattern": pattern}),
        Looks::Time => json!({"type": "string", "format": "date-time"}),
    }
}

/// Describes a parameter. One that ends in `!` must be there.
fn parameter(name: &str, place: In) -> Value {
    let (name, needed) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, place == In::Path),
    };
    let own = match name {
        "account_name" | "delivery_account" => "account",
        "delivery_status" => "status",
        "conflict_for_folder" => "conflict",
        "oauth_state" => "state",
        "events_cursor" => "cursor",
        "events_types" => "types",
        "explained_event" => "event",
        "explained_object" => "object",
        name => name,
    };
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
    let mut parameter = json!({
        "name": own, "in": word, "required": needed, "description": about, "schema": form,
    });
    if let (Some((_, _, Looks::Words(_), _)), Value::Object(members)) = (known, &mut parameter) {
        members.insert("style".into(), "form".into());
        members.insert("explode".into(), false.into());
    }
    parameter
}

fn operation(path: &str, doc: &Doc, schemas: &Schemas) -> Value {
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
        let needed = doc
            .body
            .iter()
            .all(|(_, schema)| schema.as_ref().is_some_and(|schema| has_required(schema, schemas)));
        let body = json!({"content": content, "required": needed});
        operation.insert("requestBody".into(), body);
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

/// Whether a body of this schema must hold something.
fn has_required(schema: &RefOr<Schema>, schemas: &Schemas) -> bool {
    let schema = json!(schema);
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(to) => {
            schemas.get(to.rsplit('/').next().unwrap_or_default()).map(|named| json!(named))
        }
        None => Some(schema),
    };
    let required = schema.as_ref().and_then(|schema| schema.get("required"));
    required.and_then(Value::as_array).is_some_and(|names| !names.is_empty())
}

fn responses(doc: &Doc) -> Map<String, Value> {
    let mut responses = Map::new();
    let cut = doc.params.contains(&"fields");
    if doc.params.contains(&"X-Kloudless-Async") {
        let schema = json!({"$ref": "#/components/schemas/TaskObject"});
        let content = json!({"application/json": {"schema": schema}});
        let text = "It runs as a task.";
        responses.insert("202".into(), json!({"description": text, "content": content}));
    }
    for gives in &doc.answers {
        let content = match &gives.content {
            Content::Nothing => None,
            Content::Json(schema) => {
                Some(json!({"application/json": {"schema": perhaps_cut(schema, cut)}}))
            }
            Content::List(schema) => {
                Some(json!({"application/json": {"schema": list(&perhaps_cut(schema, cut))}}))
            }
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

/// The objects that `fields` can cut.
const CUT: [&str; 2] = ["File", "Folder"];
/// What `fields` leaves in every object.
const ALWAYS: [&str; 4] = ["id", "type", "api", "href"];

/// A schema of files or folders, or of what `fields` leaves of them.
fn perhaps_cut(schema: &RefOr<Schema>, cut: bool) -> Value {
    let whole = json!(schema);
    let name = whole.get("$ref").and_then(Value::as_str).and_then(|to| to.rsplit('/').next());
    let parts: Vec<Value> = match name.filter(|_| cut) {
        Some("Object") => CUT.iter().map(|name| part(name)).collect(),
        Some(name) if CUT.contains(&name) => vec![part(name)],
        _ => return whole,
    };
    json!({"anyOf": std::iter::once(whole).chain(parts).collect::<Vec<_>>()})
}

fn part(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}Part")})
}

/// The schema of what `fields` leaves: every member may be missing but those that are always there.
fn part_schema(mut schema: Value) -> Value {
    if let Some(all) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        for one in all {
            *one = part_schema(one.take());
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_some_and(|name| ALWAYS.contains(&name)));
    }
    schema
}

fn list(of: &Value) -> Value {
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
            item.insert(
                doc.method.as_str().to_ascii_lowercase(),
                operation(path, doc, &routes.schemas),
            );
            if doc.method == Method::GET {
                let mut head = doc.clone();
                head.answers.iter_mut().for_each(|gives| gives.content = Content::Nothing);
                let mut head = operation(path, &head, &routes.schemas);
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
    for name in CUT {
        if let Some(whole) = schemas.get(name).cloned() {
            schemas.insert(format!("{name}Part"), part_schema(whole));
        }
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
