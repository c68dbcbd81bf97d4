//! File properties: keys become fields of templates that belong to the user and our app.
//!
//! Dropbox keeps properties in groups, each after a template that names its fields: at most 64 templates of a user,
//! each of at most 32 fields ("File properties"). Templates named after us get a field for every key that is used.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{Cx, EntryRef, Error, Result};

use super::api::{Api, put};
use super::entry::{Metadata, PropertyGroup, address};
use super::storage::{DropboxStorage, not_root};

/// What our templates are called.
const NAME: &str = "Tramontane";
/// The most fields of a template, and the most templates.
const MAX_FIELDS: usize = 32;
const MAX_TEMPLATES: usize = 64;
/// How often to look again when someone else changes templates at the same time.
const ATTEMPTS: usize = 5;

#[derive(Deserialize)]
struct TemplateIds {
    #[serde(default)]
    template_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Template {
    #[serde(skip)]
    id: String,
    name: String,
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
}

async fn template_ids(api: &Api<'_>) -> Result<Vec<String>> {
    let ids: TemplateIds =
        api.look("file_properties/templates/list_for_user", &Value::Null).await?;
    Ok(ids.template_ids)
}

async fn templates(api: &Api<'_>) -> Result<Vec<Template>> {
    let mut found = Vec::new();
    for id in template_ids(api).await?.into_iter().take(MAX_TEMPLATES) {
        let argument = json!({"template_id": id});
        let got = api.look::<Template>("file_properties/templates/get_for_user", &argument).await;
        match got {
            Ok(template) => found.push(Template { id, ..template }),
            // Removed in the meantime.
            Err(error) if has(&error, "template_not_found") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn has(error: &Error, tag: &str) -> bool {
    let code = error.fault.as_ref().and_then(|fault| fault.code.as_deref());
    code.is_some_and(|code| code.contains(tag))
}

/// The template of each key; keys that are new get a field.
async fn homes(api: &Api<'_>, keys: &[&str]) -> Result<BTreeMap<String, String>> {
    for _ in 0..ATTEMPTS {
        let all = templates(api).await?;
        let mut homes = BTreeMap::new();
        let mut missing = Vec::new();
        for key in keys {
            let home = all.iter().find(|one| one.fields.iter().any(|field| field.name == *key));
            match home {
                Some(home) => {
                    homes.insert((*key).to_owned(), home.id.clone());
                }
                None => missing.push(*key),
            }
        }
        if missing.is_empty() {
            return Ok(homes);
        }
        let room = all.iter().find(|one| one.name == NAME && one.fields.len() < MAX_FIELDS);
        let free = room.map_or(MAX_FIELDS, |one| MAX_FIELDS - one.fields.len());
        let fields: Vec<Value> = missing
            .iter()
            .take(free)
            .map(|key| json!({"name": key, "description": key, "type": {".tag": "string"}}))
            .collect();
        let made: Result<Value> = match room {
            Some(room) => {
                let argument = json!({"template_id": room.id, "add_fields": fields});
                api.change("file_properties/templates/update_for_user", &argument).await
            }
            None => {
                let description = "Properties set through Tramontane";
                let argument = json!({"name": NAME, "description": description, "fields": fields});
                api.change("file_properties/templates/add_for_user", &argument).await
            }
        };
        match made {
            Ok(_) => {}
            // Someone else was there first: look again.
            Err(error)
                if has(&error, "conflicting_property_names")
                    || has(&error, "too_many_properties")
                    || has(&error, "template_not_found") => {}
            Err(error) if has(&error, "too_many_templates") => {
                let text =
                    "Dropbox keeps at most 64 times 32 different keys of properties for a user.";
                return Err(Error::invalid(text).because(error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(Kind::Unavailable, "The properties' template is being changed by someone else."))
}

/// The groups on something.
async fn groups(api: &Api<'_>, of: &EntryRef) -> Result<Vec<PropertyGroup>> {
    let path = not_root(address(&of.id)?)?;
    let ids = template_ids(api).await?;
    let mut argument = json!({"path": path});
    if !ids.is_empty() {
        put(
            &mut argument,
            "include_property_groups",
            json!({".tag": "filter_some", "filter_some": ids}),
        );
    }
    let found = Metadata::read(api.look("files/get_metadata", &argument).await?, false)?;
    if found.kind() != of.kind {
        return Err(Error::not_found("The object is not there."));
    }
    Ok(found.property_groups)
}

fn told(groups: &[PropertyGroup]) -> Vec<Property> {
    let fields = groups.iter().flat_map(|group| &group.fields);
    let mut all: Vec<Property> = fields
        .map(|field| Property {
            key: field.name.clone(),
            value: field.value.clone(),
            created: None,
            modified: None,
        })
        .collect();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

/// What is to be done to one group.
#[derive(Debug, Default, PartialEq, Eq)]
struct Edit {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

/// The edits of each group, by template.
fn edits(
    groups: &[PropertyGroup],
    homes: &BTreeMap<String, String>,
    changes: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, Edit> {
    let mut edits: BTreeMap<String, Edit> = BTreeMap::new();
    for (key, value) in changes {
        let here = groups.iter().find(|group| group.fields.iter().any(|field| field.name == *key));
        let here = here.map(|group| group.template_id.clone());
        match value {
            Some(value) => {
                if let Some(home) = here.or_else(|| homes.get(key).cloned()) {
                    edits.entry(home).or_default().set.insert(key.clone(), value.clone());
                }
            }
            None => {
                if let Some(home) = here {
                    edits.entry(home).or_default().remove.push(key.clone());
                }
            }
        }
    }
    edits
}

async fn apply(
    api: &Api<'_>,
    path: &str,
    template: &str,
    edit: &Edit,
    there: Option<&PropertyGroup>,
) -> Result<()> {
    let fields: Vec<Value> =
        edit.set.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let Some(there) = there else {
        let groups = json!([{"template_id": template, "fields": fields}]);
        let argument = json!({"path": path, "property_groups": groups});
        return api.change("file_properties/properties/add", &argument).await;
    };
    let stays = there.fields.iter().any(|field| !edit.remove.contains(&field.name));
    if !stays && edit.set.is_empty() {
        let argument = json!({"path": path, "property_template_ids": [template]});
        return api.change("file_properties/properties/remove", &argument).await;
    }
    let groups = json!([{"template_id": template, "add_or_update_fields": fields,
        "remove_fields": edit.remove}]);
    let argument = json!({"path": path, "update_property_groups": groups});
    api.change("file_properties/properties/update", &argument).await
}

#[async_trait]
impl Properties for DropboxStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        Ok(told(&groups(&self.api(cx), of).await?))
    }

    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>> {
        let api = self.api(cx);
        let path = not_root(address(&of.id)?)?;
        let before = groups(&api, of).await?;
        let set: Vec<&str> = changes
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(key, _)| key.as_str())
            .collect();
        let homes = if set.is_empty() { BTreeMap::new() } else { homes(&api, &set).await? };
        for (template, edit) in edits(&before, &homes, changes) {
            let there = before.iter().find(|group| group.template_id == template);
            apply(&api, path, &template, &edit, there).await?;
        }
        Ok(told(&groups(&api, of).await?))
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        let api = self.api(cx);
        let path = not_root(address(&of.id)?)?;
        let ids: Vec<String> =
            groups(&api, of).await?.into_iter().map(|group| group.template_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let argument = json!({"path": path, "property_template_ids": ids});
        api.change("file_properties/properties/remove", &argument).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::PropertyField;
    use super::*;

    #[test]
    fn keys_stay_in_the_group_that_holds_them() {
        let field = |name: &str| PropertyField { name: name.into(), value: "x".into() };
        let groups = [PropertyGroup {
            template_id: "ptid:old".into(),
            fields: vec![field("kept"), field("gone")],
        }];
        let homes = BTreeMap::from(
            [("kept", "ptid:new"), ("fresh", "ptid:new")]
                .map(|(key, home)| (key.to_owned(), home.to_owned())),
        );
        let changes = BTreeMap::from([
            ("kept".to_owned(), Some("1".to_owned())),
            ("fresh".to_owned(), Some("2".to_owned())),
            ("gone".to_owned(), None),
            ("never".to_owned(), None),
        ]);
        let edits = edits(&groups, &homes, &changes);
        let old = Edit {
            set: BTreeMap::from([("kept".to_owned(), "1".to_owned())]),
            remove: vec!["gone".to_owned()],
        };
        let new =
            Edit { set: BTreeMap::from([("fresh".to_owned(), "2".to_owned())]), remove: vec![] };
        let expected = BTreeMap::from([("ptid:old".to_owned(), old), ("ptid:new".to_owned(), new)]);
        assert_eq!(edits, expected);
    }
}
