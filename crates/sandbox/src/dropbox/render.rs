//! Files, folders and people as Dropbox writes them in JSON.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tramontane_model::Timestamp;

use super::drive::{Node, Revision};
use super::path::{lower, split};
use super::refusal::put;
use crate::people::Person;

/// What a caller wants beside the usual members.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Property groups of these templates.
    pub(super) templates: Option<Vec<String>>,
    pub(super) shared_members: bool,
}

impl Wanted {
    /// Reads the arguments that `get_metadata` and `list_folder` share.
    pub(super) fn read(arg: &Value) -> Self {
        let filter =
            arg.get("include_property_groups").and_then(|filter| filter.get("filter_some"));
        let templates = filter
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect());
        let shared = arg.get("include_has_explicit_shared_members").and_then(Value::as_bool);
        Self { templates, shared_members: shared.unwrap_or(false) }
    }
}

/// The time format of every API function: whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `FileMetadata` without its tag.
pub(super) fn revision(one: &Revision) -> Value {
    let mut file = json!({
        "name": one.name, "path_lower": one.key, "path_display": one.path,
        "id": one.id, "client_modified": time(one.client_modified),
        "server_modified": time(one.server_modified), "rev": one.rev,
        "size": one.content.len(), "is_downloadable": !one.paper, "content_hash": one.hash,
    });
    if one.paper {
        put(
            &mut file,
            "export_info",
            json!({"export_as": "html", "export_options": ["markdown", "html"]}),
        );
    }
    file
}

/// `FileMetadata` or `FolderMetadata` without its tag.
pub(super) fn node(node: &Node, wanted: &Wanted) -> Value {
    let mut value = match &node.file {
        Some(file) => {
            let mut value = revision(file);
            if wanted.shared_members {
                put(&mut value, "has_explicit_shared_members", false);
            }
            value
        }
        None => json!({
            "name": node.name(), "path_lower": lower(&node.path), "path_display": node.path,
            "id": node.id,
        }),
    };
    if let Some(shared) = &node.shared_folder {
        put(&mut value, "shared_folder_id", shared.as_str());
        put(
            &mut value,
            "sharing_info",
            json!({"read_only": node.read_only, "shared_folder_id": shared,
            "traverse_only": false, "no_access": false}),
        );
    } else if let Some((above, read_only)) = &node.within {
        let mut info = json!({"read_only": read_only, "parent_shared_folder_id": above});
        if node.is_folder() {
            put(&mut info, "traverse_only", false);
            put(&mut info, "no_access", false);
        }
        put(&mut value, "sharing_info", info);
        if node.is_folder() {
            put(&mut value, "parent_shared_folder_id", above.as_str());
        }
    }
    if let Some(templates) = &wanted.templates {
        let groups = node.properties.iter().filter(|(id, _)| templates.contains(id));
        let groups: Vec<Value> = groups.map(|(id, fields)| group(id, fields)).collect();
        put(&mut value, "property_groups", groups);
    }
    value
}

fn group(id: &str, fields: &std::collections::BTreeMap<String, String>) -> Value {
    let fields: Vec<Value> =
        fields.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"template_id": id, "fields": fields})
}

/// `Metadata` of what is there, with its tag.
pub(super) fn metadata(of: &Node, wanted: &Wanted) -> Value {
    with_tag(if of.is_folder() { "folder" } else { "file" }, node(of, wanted))
}

/// `DeletedMetadata`, with its tag.
pub(super) fn deleted(path: &str) -> Value {
    let name = split(path).map_or("", |(_, name)| name);
    with_tag("deleted", json!({"name": name, "path_lower": lower(path), "path_display": path}))
}

/// A struct with the tag of its subtype first.
pub(super) fn with_tag(tag: &str, value: Value) -> Value {
    let mut members = Map::new();
    members.insert(".tag".into(), tag.into());
    if let Value::Object(own) = value {
        members.extend(own);
    }
    Value::Object(members)
}

fn letters(seed: &str, length: usize) -> String {
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(seed));
    text.truncate(length);
    text
}

/// The 40 characters by which an account is known.
pub(super) fn account_id(person: &Person) -> String {
    format!("dbid:AA{}", letters(person.id, 33))
}

/// The id of a member of the team.
pub(super) fn member_id(person: &Person) -> String {
    format!("dbmid:AA{}", letters(&format!("member {}", person.id), 33))
}

/// The id of the team.
pub(super) fn team_id() -> String {
    format!("dbtid:AA{}", letters("example.com", 33))
}

/// `Name`.
pub(super) fn name(person: &Person) -> Value {
    let (given, surname) = person.name.split_once(' ').unwrap_or((person.name, ""));
    let initials: String = [given, surname].iter().filter_map(|word| word.chars().next()).collect();
    json!({"given_name": given, "surname": surname, "familiar_name": given,
        "display_name": person.name, "abbreviated_name": initials})
}
