//! Properties: the metadata template `global/properties`, whose keys are free.
//!
//! <https://developer.box.com/guides/metadata/instances/>

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::{Method, header};
use serde_json::{Map, Value, json};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{Cx, EntryRef, Error, Result};

use super::client::Client;
use super::id::{Id, What};
use super::storage::{BoxStorage, missing};

/// How often a change is tried again when someone else changes the same properties.
const MAX_TRIES: usize = 4;

/// A key as a JSON pointer (RFC 6901, section 3).
pub(super) fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The properties of an instance: Box's own members begin with `$`.
fn read(instance: &Map<String, Value>) -> Vec<Property> {
    let own = instance.iter().filter(|(key, _)| !key.starts_with('$'));
    own.map(|(key, value)| Property {
        key: key.clone(),
        value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        created: None,
        modified: None,
    })
    .collect()
}

impl Client<'_> {
    fn instance_url(&self, id: &Id) -> Result<url::Url> {
        self.api(&[id.what.plural(), &id.number, "metadata", "global", "properties"], &[])
    }

    /// What is set; `None` when nothing was ever.
    async fn instance(&self, id: &Id) -> Result<Option<Map<String, Value>>> {
        let request = self.request("get_metadata", Method::GET, self.instance_url(id)?);
        match self.json(request).await {
            Ok(instance) => Ok(Some(instance)),
            // Either there are no properties, or there is no such object.
            Err(error) if error.is_not_found() => {
                self.item(id).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn set(
        &self,
        id: &Id,
        there: Option<&Map<String, Value>>,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let url = self.instance_url(id)?;
        let Some(there) = there else {
            let set: Map<String, Value> = changes
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.clone()?.into())))
                .collect();
            if set.is_empty() {
                return Ok(());
            }
            let request = self.with_json("set_metadata", Method::POST, url, &Value::Object(set));
            return self.done(request).await;
        };
        let mut steps = Vec::new();
        for (key, value) in changes {
            match value {
                // Adding replaces what is there (RFC 6902, section 4.1).
                Some(value) => {
                    steps.push(json!({"op": "add", "path": pointer(key), "value": value}));
                }
                None if there.contains_key(key) => {
                    steps.push(json!({"op": "remove", "path": pointer(key)}));
                }
                None => {}
            }
        }
        if steps.is_empty() {
            return Ok(());
        }
        let request = self
            .request("set_metadata", Method::PUT, url)
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .bytes(Value::Array(steps).to_string());
        self.done(request).await
    }
}

fn owner_of(of: &EntryRef) -> Result<Id> {
    let id = Id::of_ref(of).ok_or_else(missing)?;
    if id.is_root() || id.what == What::Link {
        let text = "Box keeps properties of files and of folders other than the root.";
        return Err(Error::new(Kind::NotAllowed, text));
    }
    Ok(id)
}

#[async_trait]
impl Properties for BoxStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        let instance = self.client(cx).instance(&owner_of(of)?).await?;
        Ok(instance.as_ref().map(read).unwrap_or_default())
    }

    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>> {
        if let Some(key) = changes.keys().find(|key| key.starts_with('$') || key.is_empty()) {
            let text = format!("The key \"{key}\" must not be empty or begin with \"$\" at Box.");
            return Err(Error::invalid(text));
        }
        let (client, id) = (self.client(cx), owner_of(of)?);
        let mut tries = 0;
        loop {
            tries += 1;
            let there = client.instance(&id).await?;
            match client.set(&id, there.as_ref(), changes).await {
                // Someone made, changed or removed them in between.
                Err(error)
                    if tries < MAX_TRIES
                        && matches!(
                            error.kind,
                            Kind::Conflict(_) | Kind::Precondition | Kind::NotFound
                        ) => {}
                done => {
                    done?;
                    break;
                }
            }
        }
        self.list_of(cx, &id).await
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        let (client, id) = (self.client(cx), owner_of(of)?);
        let request = client.request("clear_metadata", Method::DELETE, client.instance_url(&id)?);
        match client.done(request).await {
            Err(error) if error.is_not_found() => client.item(&id).await.map(|_| ()),
            done => done,
        }
    }
}

impl BoxStorage {
    async fn list_of(&self, cx: &Cx, id: &Id) -> Result<Vec<Property>> {
        let instance = self.client(cx).instance(id).await?;
        Ok(instance.as_ref().map(read).unwrap_or_default())
    }
}
