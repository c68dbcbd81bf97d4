//! A team's space: the tree above everyone's home, which a call is in by `Dropbox-API-Path-Root`.
//!
//! "Team Files Guide", "Path root header modes". In the space, a member's home is a folder with their name; beside
//! it lie the team's folders, the same for everyone. What is simplified: nothing moves between a home and the
//! team's folders, a recursive listing of the space does not go into homes, and everyone may do everything in the
//! team's folders. `POST /_sandbox/team_space` begins the space: off unless a test asks for it.

use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::response::{Json, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::auth::Caller;
use super::drive::Drive;
use super::path::{Asked, lower};
use super::refusal::{Refusal, put, tag, tag_of, tagged};
use super::render::with_tag;
use super::{World, listing};
use crate::people::Person;

/// Whose the team's folders are.
pub(super) static TEAM: Person =
    Person { id: "team-space", name: "example.com", email: "team@example.com", admin: false };
/// The namespace of the space.
pub(super) const NAMESPACE: &str = "4000000";

/// Members of arguments that name something.
const NAMES: &[&str] = &["path", "from_path", "to_path", "file"];

/// Begins or ends the team's space.
pub(super) async fn set(State(world): State<World>, Json(asked): Json<Value>) -> Response {
    match asked.get("on").and_then(Value::as_bool) {
        Some(on) => {
            world.state().team_space = on;
            StatusCode::NO_CONTENT.into_response()
        }
        None => (StatusCode::BAD_REQUEST, "\"on\" must be true or false").into_response(),
    }
}

/// `RootInfo`.
pub(super) fn root_info(world: &World, person: &Person, home: &str) -> Value {
    if world.state().team_space {
        json!({".tag": "team", "root_namespace_id": NAMESPACE, "home_namespace_id": home,
            "home_path": format!("/{}", person.name)})
    } else {
        json!({".tag": "user", "root_namespace_id": home, "home_namespace_id": home})
    }
}

/// Whether the paths of this call begin in the team's space; they begin in the person's home otherwise.
/// <https://www.dropbox.com/developers/reference/path-root-header-modes>
pub(super) fn is_root(
    world: &World,
    headers: &HeaderMap,
    caller: &Caller,
) -> Result<bool, Refusal> {
    let Some(value) = headers.get("Dropbox-API-Path-Root") else { return Ok(false) };
    let root: Option<Value> = value.to_str().ok().and_then(|text| serde_json::from_str(text).ok());
    let root = root.ok_or_else(|| {
        let why = "Invalid HTTP header \"Dropbox-API-Path-Root\": could not decode input as JSON";
        Refusal::Bad(why.into())
    })?;
    let home = world.state().drive(caller.person)?.namespace.clone();
    let info = root_info(world, caller.person, &home);
    let own = info.get("root_namespace_id").and_then(Value::as_str).unwrap_or_default();
    let given = |member: &str| root.get(member).and_then(Value::as_str).unwrap_or_default();
    match tag_of(&root) {
        Some("home") => Ok(false),
        Some("root") if given("root") == own => Ok(own == NAMESPACE),
        Some("root") => Err(Refusal::PathRoot(tagged("invalid_root", info))),
        Some("namespace_id") if given("namespace_id") == home => Ok(false),
        Some("namespace_id") if given("namespace_id") == own => Ok(own == NAMESPACE),
        Some("namespace_id") => Err(Refusal::PathRoot(tag("no_permission"))),
        _ => {
            let why = "Invalid HTTP header \"Dropbox-API-Path-Root\": unknown tag";
            Err(Refusal::Bad(why.into()))
        }
    }
}

/// How one call in the space is answered.
#[derive(Default)]
pub(super) struct Visit {
    /// The path of the home that the call went into.
    home: Option<String>,
    /// The folder of the home, where a listing shows it, or the call is about it.
    shown: Option<Value>,
    /// Whether the folder itself is the answer.
    itself: bool,
}

fn home_id(person: &Person) -> String {
    format!("id:home-{}", person.id)
}

/// The folder that someone's home is in the space.
fn home_folder(person: &Person, namespace: &str) -> Value {
    let path = format!("/{}", person.name);
    with_tag(
        "folder",
        json!({"name": person.name, "path_lower": lower(&path), "path_display": path,
            "id": home_id(person), "shared_folder_id": namespace,
            "sharing_info": {"read_only": false, "shared_folder_id": namespace,
                "traverse_only": false, "no_access": false}}),
    )
}

/// The name within the home of what a name in the space means; none when that lies elsewhere.
fn in_home(text: &str, person: &Person, home: &Drive) -> Option<String> {
    let path = format!("/{}", person.name);
    if text.starts_with('/') {
        let head = text.get(..path.len()).filter(|head| lower(head) == lower(&path))?;
        let rest = text.get(head.len()..)?;
        return (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned());
    }
    if let Some(rest) = text.strip_prefix(&home_id(person)) {
        return Some(rest.to_owned());
    }
    let own = match Asked::parse(text)? {
        Asked::Id(id, _) => home.ids.contains_key(&id),
        Asked::Rev(rev) => home.revision(&rev).is_some(),
        Asked::Namespace(namespace, _) => namespace == home.namespace,
        Asked::Path(_) => false,
    };
    own.then(|| text.to_owned())
}

fn names<'a>(arg: &'a mut Value, found: &mut Vec<&'a mut String>) {
    match arg {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if !(value.is_string() && NAMES.contains(&name.as_str())) {
                    names(value, found);
                } else if let Value::String(text) = value {
                    found.push(text);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| names(one, found)),
        _ => {}
    }
}

/// Leads a call in the space to the home or to the team's folders, and its names with it.
pub(super) fn enter(
    world: &World,
    function: &str,
    caller: &mut Caller,
    arg: &mut Value,
) -> Result<Visit, Refusal> {
    let person = caller.person;
    let mut state = world.state();
    let home = state.drive(person)?;
    let folder = home_folder(person, &home.namespace);
    let cursor = arg.get("cursor").and_then(Value::as_str).and_then(listing::whose);
    let recursive = arg.get("recursive").and_then(Value::as_bool) == Some(true);
    let mut all = Vec::new();
    names(arg, &mut all);
    let mut visit = Visit::default();
    let count = all.len();
    let (mut inside, mut top) = (0, false);
    for text in all {
        top = top || text.is_empty();
        if let Some(own) = in_home(text, person, home) {
            visit.itself = own.is_empty() && function == "files/get_metadata";
            *text = own;
            inside += 1;
        }
    }
    if inside > 0 && inside < count {
        return Err(Refusal::Route(tagged("to", tag("no_write_permission"))));
    }
    let at_home = match cursor {
        Some(whose) => whose == person.id,
        // Jobs, sessions and the like are known by their ids alone.
        None => inside > 0 || count == 0,
    };
    if at_home {
        visit.home = Some(format!("/{}", person.name));
    } else {
        caller.person = &TEAM;
    }
    let lists = function == "files/list_folder" && top && inside == 0 && !recursive;
    visit.shown = (lists || visit.itself).then_some(folder);
    Ok(visit)
}

impl Visit {
    /// The answer where the call is about the home's folder itself.
    pub(super) fn itself(&self) -> Option<Value> {
        self.shown.clone().filter(|_| self.itself)
    }

    /// Brings an answer's paths back into the space.
    pub(super) fn leave(&self, answer: &mut Value) {
        if let Some(home) = self.home.as_ref().filter(|_| !self.itself) {
            prefixed(answer, home);
        }
        if let (Some(folder), Some(Value::Array(entries))) =
            (&self.shown, answer.get_mut("entries"))
        {
            entries.push(folder.clone());
        }
    }
}

fn prefixed(answer: &mut Value, home: &str) {
    match answer {
        Value::Object(members) => {
            let path = members.get("path_display").and_then(Value::as_str).map(str::to_owned);
            for value in members.values_mut() {
                prefixed(value, home);
            }
            if let Some(path) = path {
                let path = format!("{home}{path}");
                put(answer, "path_lower", lower(&path));
                put(answer, "path_display", path);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| prefixed(one, home)),
        _ => {}
    }
}
