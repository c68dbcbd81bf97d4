//! Metadata instances, `global/properties` above all: free keys with text values.
//!
//! <https://developer.box.com/guides/metadata/instances/>

use serde_json::{Map, Value, json};

use super::answer::{Answer, Fault, created, nothing, ok};
use super::call::Call;
use super::node::{Key, Kind, Metadata};

fn shown(key: Key, template: &str, metadata: &Metadata) -> Value {
    let (scope, name) = template.split_once('/').unwrap_or((template, ""));
    let mut members = Map::new();
    members.insert("$type".into(), "properties-6bcba49f-ca6d-4d2a-a758-57fe6edf44d0".into());
    members.insert("$parent".into(), format!("{}_{}", key.kind.word(), key.id).into());
    members.insert("$id".into(), metadata.id.clone().into());
    members.insert("$version".into(), metadata.version.into());
    members.insert("$typeVersion".into(), 2.into());
    members.insert("$template".into(), name.into());
    members.insert("$scope".into(), scope.into());
    members.insert("$canEdit".into(), true.into());
    members.extend(metadata.values.clone());
    Value::Object(members)
}

impl Call<'_> {
    /// `GET /files/:id/metadata`.
    pub(super) fn all_metadata(&mut self, kind: Kind, id: &str) -> Answer {
        let node = self.store.seen(self.me, kind, id)?;
        let all: Vec<Value> =
            node.metadata.iter().map(|(template, one)| shown(node.key, template, one)).collect();
        ok(&json!({"entries": all, "limit": 100}))
    }

    /// Everything on `/files/:id/metadata/:scope/:template`.
    pub(super) fn metadata(
        &mut self,
        method: &str,
        kind: Kind,
        id: &str,
        template: &str,
    ) -> Answer {
        let node = self.store.seen(self.me, kind, id)?;
        let key = node.key;
        let there = node.metadata.get(template).cloned();
        if method != "GET" && !self.store.powers(self.me, key).edit {
            return Err(Fault::forbidden());
        }
        if template != "global/properties" {
            let text = "Template not found";
            return Err(Fault::new(404, "not_found", text));
        }
        let lacking = || {
            let text = "Instance could not be found: The resource was not found.";
            Fault::new(404, "instance_not_found", text)
        };
        match method {
            "GET" => ok(&shown(key, template, &there.ok_or_else(lacking)?)),
            "POST" => {
                if there.is_some() {
                    let text = "A metadata instance already exists";
                    return Err(Fault::new(409, "tuple_already_exists", text));
                }
                let Value::Object(values) = self.json()? else { return Err(lacking()) };
                if values.iter().any(|(name, value)| name.starts_with('$') || !value.is_string()) {
                    return Err(Fault::new(400, "invalid_json", "Values must be text"));
                }
                let id = self.store.dice.token("", 36).to_lowercase();
                let fresh = Metadata { id, version: 0, values };
                let told = shown(key, template, &fresh);
                self.keep_metadata(key, template, Some(fresh));
                created(&told)
            }
            "PUT" => {
                let mut one = there.ok_or_else(lacking)?;
                if self.header("content-type") != Some("application/json-patch+json") {
                    let text = "The content type must be application/json-patch+json";
                    return Err(Fault::new(415, "unsupported_media_type", text));
                }
                let patch: Option<Vec<Value>> = serde_json::from_slice(&self.body).ok();
                for step in patch.unwrap_or_default() {
                    apply(&mut one.values, &step).map_err(|why| {
                        Fault::new(
                            400,
                            "bad_request",
                            format!("The patch cannot be applied: {why}"),
                        )
                    })?;
                }
                one.version += 1;
                let told = shown(key, template, &one);
                self.keep_metadata(key, template, Some(one));
                ok(&told)
            }
            "DELETE" => {
                there.ok_or_else(lacking)?;
                self.keep_metadata(key, template, None);
                nothing()
            }
            _ => Err(Fault::new(405, "method_not_allowed", "Method Not Allowed")),
        }
    }

    fn keep_metadata(&mut self, key: Key, template: &str, one: Option<Metadata>) {
        if let Some(node) = self.store.nodes.get_mut(&key) {
            match one {
                Some(one) => node.metadata.insert(template.to_owned(), one),
                None => node.metadata.remove(template),
            };
        }
    }
}

/// One step of a JSON patch (RFC 6902) on a flat object.
fn apply(values: &mut Map<String, Value>, step: &Value) -> Result<(), &'static str> {
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    let name = text("path").and_then(|path| path.strip_prefix('/')).ok_or("no path")?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let value = text("value").map(str::to_owned);
    match text("op") {
        Some("add") => {
            values.insert(name, value.ok_or("no text value")?.into());
        }
        Some("replace") if values.contains_key(&name) => {
            values.insert(name, value.ok_or("no text value")?.into());
        }
        Some("test") => {
            let there = values.get(&name).and_then(Value::as_str);
            if there != value.as_deref() {
                return Err("the test failed");
            }
        }
        Some("remove") => {
            values.shift_remove(&name).ok_or("nothing to remove")?;
        }
        _ => return Err("unknown step, or nothing to replace"),
    }
    Ok(())
}
