//! `file_properties/*`: templates of a user, and property groups on files and folders.
//!
//! "File properties": <https://www.dropbox.com/developers/documentation/http/documentation#file_properties>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::World;
use super::auth::Caller;
use super::drive::{Drive, Node};
use super::path::Asked;
use super::refusal::{Refusal, lookup, tag, tagged};

/// The most templates of a user, and the most fields of a template.
const MAX_TEMPLATES: usize = 64;
const MAX_FIELDS: usize = 32;
/// The longest name of a field and its longest value, in bytes.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 1_024;

/// A template of one user.
#[derive(Clone, Debug)]
pub(super) struct Template {
    person: &'static str,
    name: String,
    description: String,
    /// Names with their descriptions.
    fields: Vec<(String, String)>,
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn missing(id: &str) -> Value {
    tagged("template_not_found", id.into())
}

fn add_fields(fields: &mut Vec<(String, String)>, more: &[Value]) -> Result<(), Refusal> {
    for field in more {
        let name = text(field, "name");
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Refusal::Route(tag("template_attribute_too_large")));
        }
        if fields.iter().any(|(own, _)| *own == name) {
            return Err(Refusal::Route(tag("conflicting_property_names")));
        }
        fields.push((name, text(field, "description")));
    }
    if fields.len() > MAX_FIELDS {
        return Err(Refusal::Route(tag("too_many_properties")));
    }
    Ok(())
}

/// `templates/add_for_user`.
pub(super) fn add_template(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let own = state.templates.values().filter(|one| one.person == caller.by.id).count();
    if own >= MAX_TEMPLATES {
        return Err(Refusal::Route(tag("too_many_templates")));
    }
    let mut fields = Vec::new();
    add_fields(&mut fields, list(arg, "fields"))?;
    let id = world.dice.token("ptid:", 22);
    let template = Template {
        person: caller.by.id,
        name: text(arg, "name"),
        description: text(arg, "description"),
        fields,
    };
    state.templates.insert(id.clone(), template);
    Ok(json!({"template_id": id}))
}

fn own<'a>(
    templates: &'a mut BTreeMap<String, Template>,
    caller: &Caller,
    id: &str,
) -> Result<&'a mut Template, Refusal> {
    let found = templates.get_mut(id).filter(|one| one.person == caller.by.id);
    found.ok_or_else(|| Refusal::Route(missing(id)))
}

/// `templates/update_for_user`.
pub(super) fn update_template(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let id = text(arg, "template_id");
    let mut state = world.state();
    let template = own(&mut state.templates, caller, &id)?;
    let mut fields = template.fields.clone();
    add_fields(&mut fields, list(arg, "add_fields"))?;
    template.fields = fields;
    for (member, place) in
        [("name", &mut template.name), ("description", &mut template.description)]
    {
        if let Some(new) = arg.get(member).and_then(Value::as_str) {
            new.clone_into(place);
        }
    }
    Ok(json!({"template_id": id}))
}

/// `templates/get_for_user`.
pub(super) fn get_template(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let template = own(&mut state.templates, caller, &text(arg, "template_id"))?;
    let fields = template.fields.iter().map(|(name, description)| {
        json!({"name": name, "description": description, "type": tag("string")})
    });
    let fields: Vec<Value> = fields.collect();
    Ok(json!({"name": template.name, "description": template.description, "fields": fields}))
}

/// `templates/list_for_user`.
pub(super) fn list_templates(
    world: &World,
    caller: &Caller,
    _arg: &Value,
) -> Result<Value, Refusal> {
    let state = world.state();
    let own = state.templates.iter().filter(|(_, one)| one.person == caller.by.id);
    let ids: Vec<&String> = own.map(|(id, _)| id).collect();
    Ok(json!({"template_ids": ids}))
}

/// `templates/remove_for_user`: with all properties of it.
pub(super) fn remove_template(
    world: &World,
    caller: &Caller,
    arg: &Value,
) -> Result<Value, Refusal> {
    let id = text(arg, "template_id");
    let mut state = world.state();
    own(&mut state.templates, caller, &id)?;
    state.templates.remove(&id);
    for node in state.drive(caller.person)?.nodes.values_mut() {
        node.properties.remove(&id);
    }
    Ok(Value::Null)
}

fn node_key(drive: &Drive, arg: &Value) -> Result<String, Refusal> {
    let asked = Asked::read(arg, "path")?;
    let path = drive.find(&asked).map(|node| super::path::lower(&node.path));
    path.map_err(|why| Refusal::Route(tagged("path", lookup(why))))
}

fn checked(
    template: Option<&Template>,
    id: &str,
    fields: &[Value],
) -> Result<Vec<(String, String)>, Refusal> {
    let template = template.ok_or_else(|| Refusal::Route(missing(id)))?;
    let mut read = Vec::new();
    for field in fields {
        let (name, value) = (text(field, "name"), text(field, "value"));
        if !template.fields.iter().any(|(own, _)| *own == name) {
            return Err(Refusal::Route(tag("does_not_fit_template")));
        }
        if value.len() > MAX_VALUE {
            return Err(Refusal::Route(tag("property_field_too_large")));
        }
        read.push((name, value));
    }
    Ok(read)
}

type Group = (String, Vec<(String, String)>);

fn groups(
    templates: &BTreeMap<String, Template>,
    caller: &Caller,
    arg: &Value,
    member: &str,
    fields: &str,
) -> Result<Vec<Group>, Refusal> {
    let mut read: Vec<Group> = Vec::new();
    for group in list(arg, member) {
        let id = text(group, "template_id");
        if read.iter().any(|(own, _)| *own == id) {
            return Err(Refusal::Route(tag("duplicate_property_groups")));
        }
        let template = templates.get(&id).filter(|one| one.person == caller.by.id);
        let fields = checked(template, &id, list(group, fields))?;
        read.push((id, fields));
    }
    Ok(read)
}

/// Changes the properties of what the argument's path names.
fn change(
    world: &World,
    caller: &Caller,
    arg: &Value,
    (member, fields): (&str, &str),
    act: impl Fn(&mut Node, Group) -> Result<(), Refusal>,
) -> Result<Value, Refusal> {
    let mut state = world.state();
    let groups = groups(&state.templates, caller, arg, member, fields)?;
    let drive = state.drive(caller.person)?;
    let key = node_key(drive, arg)?;
    if let Some(node) = drive.nodes.get_mut(&key) {
        for group in groups {
            act(node, group)?;
        }
    }
    Ok(Value::Null)
}

/// `properties/add`.
pub(super) fn add(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    change(world, caller, arg, ("property_groups", "fields"), |node, (id, fields)| {
        if node.properties.contains_key(&id) {
            return Err(Refusal::Route(tag("property_group_already_exists")));
        }
        node.properties.insert(id, fields.into_iter().collect());
        Ok(())
    })
}

/// `properties/overwrite`.
pub(super) fn overwrite(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    change(world, caller, arg, ("property_groups", "fields"), |node, (id, fields)| {
        node.properties.insert(id, fields.into_iter().collect());
        Ok(())
    })
}

fn no_group() -> Refusal {
    Refusal::Route(tagged("property_group_lookup", tag("property_group_not_found")))
}

/// `properties/update`.
pub(super) fn update(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let members = ("update_property_groups", "add_or_update_fields");
    change(world, caller, arg, members, |node, (id, fields)| {
        let group = node.properties.get_mut(&id).ok_or_else(no_group)?;
        group.extend(fields);
        let own = list(arg, "update_property_groups").iter();
        for update in own.filter(|update| text(update, "template_id") == id) {
            for name in list(update, "remove_fields") {
                group.remove(name.as_str().unwrap_or_default());
            }
        }
        Ok(())
    })
}

/// `properties/remove`.
pub(super) fn remove(world: &World, caller: &Caller, arg: &Value) -> Result<Value, Refusal> {
    let mut state = world.state();
    let drive = state.drive(caller.person)?;
    let key = node_key(drive, arg)?;
    if let Some(node) = drive.nodes.get_mut(&key) {
        for id in list(arg, "property_template_ids") {
            node.properties.remove(id.as_str().unwrap_or_default()).ok_or_else(no_group)?;
        }
    }
    Ok(Value::Null)
}
