//! Properties set on files and folders ("Add custom file properties"): those of this application alone
//! (`appProperties`) and those that every application sees (`properties`). Both are told; new ones are
//! public, so that they stay when the application's OAuth client changes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{Cx, EntryRef, Error, Result};

use super::api::Client;
use super::ids::{Target, missing};
use super::item::{Item, UPLOAD_MARK};
use super::place::patch;
use super::storage::DriveStorage;

/// The most bytes of a key and its value together.
const MAX_BYTES: usize = 124;

async fn object(client: &Client<'_>, of: &EntryRef) -> Result<Item> {
    match Target::of(&of.id) {
        Some(Target::Item(id)) => client.get(id, of.kind).await,
        _ => Err(missing(of.kind)),
    }
}

fn shown(item: Item) -> Vec<Property> {
    let mut all = item.properties;
    all.extend(item.app_properties);
    all.remove(UPLOAD_MARK);
    let property = |(key, value)| Property { key, value, created: None, modified: None };
    all.into_iter().map(property).collect()
}

#[async_trait]
impl Properties for DriveStorage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        Ok(shown(object(&self.client(cx), of).await?))
    }

    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>> {
        for (key, value) in changes {
            let bytes = key.len() + value.as_ref().map_or(0, String::len);
            if bytes > MAX_BYTES || key.is_empty() {
                return Err(Error::invalid(format!(
                    "property \"{key}\": key and value may have {MAX_BYTES} bytes together."
                )));
            }
        }
        let client = self.client(cx);
        let item = object(&client, of).await?;
        let (mut public, mut own) = (Map::new(), Map::new());
        for (key, value) in changes {
            let is_own = item.app_properties.contains_key(key);
            match value {
                Some(value) if is_own => own.insert(key.clone(), value.clone().into()),
                Some(value) => public.insert(key.clone(), value.clone().into()),
                None => {
                    if is_own {
                        own.insert(key.clone(), Value::Null);
                    }
                    public.insert(key.clone(), Value::Null)
                }
            };
        }
        let changes = json!({"properties": public, "appProperties": own});
        Ok(shown(patch(&client, &item.id, &changes, &[]).await?))
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        let client = self.client(cx);
        let item = object(&client, of).await?;
        let gone = |all: &BTreeMap<String, String>| -> Map<String, Value> {
            all.keys().map(|key| (key.clone(), Value::Null)).collect()
        };
        let changes = json!({
            "properties": gone(&item.properties), "appProperties": gone(&item.app_properties),
        });
        patch(&client, &item.id, &changes, &[]).await.map(|_| ())
    }
}
