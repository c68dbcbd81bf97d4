//! Properties set on files and folders (wire API, section 27).

use std::collections::BTreeMap;

use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{EntryRef, Storage as _};
use tramontane_model::{Op, Timestamp};
use utoipa::ToSchema;

use crate::account::Account;
use crate::answer::{empty, ok};
use crate::json::{AnyJson, JsonBody};
use crate::problem::{Answer, Problem};

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 124;
/// The most keys in one request.
const MOST: usize = 1_000;

/// All properties of an object.
#[derive(Debug, Serialize, ToSchema)]
pub struct Set {
    /// Every property.
    pub properties: Vec<One>,
}

/// One property.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Property)]
pub struct One {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// When it was set first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Timestamp>,
    /// When it was set last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified: Option<Timestamp>,
}

/// `GET .../files/{file}/properties`.
///
/// # Errors
/// `not_implemented`; what the service says.
pub async fn of_file(account: Account) -> Answer {
    let file = account.file().await?;
    list(&account, &file).await
}

/// `GET .../folders/{folder}/properties`.
///
/// # Errors
/// As [`of_file`].
pub async fn of_folder(account: Account) -> Answer {
    let folder = account.folder().await?;
    list(&account, &folder).await
}

/// `PATCH .../files/{file}/properties`.
///
/// # Errors
/// As section 27.
pub async fn patch_file(account: Account, body: AnyJson) -> Answer {
    let file = account.file().await?;
    change(&account, &file, body).await
}

/// `PATCH .../folders/{folder}/properties`.
///
/// # Errors
/// As section 27.
pub async fn patch_folder(account: Account, body: AnyJson) -> Answer {
    let folder = account.folder().await?;
    change(&account, &folder, body).await
}

/// `DELETE .../files/{file}/properties`.
///
/// # Errors
/// As section 27.
pub async fn clear_file(account: Account) -> Answer {
    let file = account.file().await?;
    clear(&account, &file).await
}

/// `DELETE .../folders/{folder}/properties`.
///
/// # Errors
/// As section 27.
pub async fn clear_folder(account: Account) -> Answer {
    let folder = account.folder().await?;
    clear(&account, &folder).await
}

fn part(account: &Account, op: Op) -> Answer<&dyn Properties> {
    let storage = account.storage_for(op)?;
    storage.properties().ok_or_else(|| {
        let text = "The service keeps no properties.";
        Problem::new(tramontane_model::Code::NotImplemented, text)
    })
}

async fn list(account: &Account, of: &EntryRef) -> Answer<Response> {
    show(part(account, Op::PropertiesList)?.list(&account.cx(), of).await?)
}

async fn change(account: &Account, of: &EntryRef, AnyJson(body): AnyJson) -> Answer<Response> {
    let changes = read(body)?;
    let properties = part(account, Op::PropertiesUpdate)?;
    show(properties.patch(&account.cx(), of, &changes).await?)
}

async fn clear(account: &Account, of: &EntryRef) -> Answer<Response> {
    part(account, Op::PropertiesDeleteAll)?.clear(&account.cx(), of).await?;
    Ok(empty())
}

fn show(all: Vec<Property>) -> Answer<Response> {
    let one = |property: Property| One {
        key: property.key,
        value: property.value,
        created: property.created,
        modified: property.modified,
    };
    ok(&Set { properties: all.into_iter().map(one).collect() })
}

/// Reads the changes: a list of keys and values, `null` to delete.
pub(crate) fn read(body: Value) -> Answer<BTreeMap<String, Option<String>>> {
    let items = match body {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        Value::Object(mut members) => match members.remove("properties") {
            Some(Value::Array(items)) => items,
            _ if members.is_empty() => Vec::new(),
            _ => return Err(Problem::bad_request("The body must be a list of properties.")),
        },
        _ => return Err(Problem::bad_request("The body must be a list of properties.")),
    };
    if items.len() > MOST {
        return Err(Problem::bad_request(format!("At most {MOST} properties in one request.")));
    }
    let mut changes = BTreeMap::new();
    for item in items {
        let Value::Object(members) = item else {
            return Err(Problem::bad_request("Each property must be an object."));
        };
        let body = JsonBody::new(members);
        let key = body.required_text("key")?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
            let rule = format!("must have 1 to {MAX_KEY_BYTES} bytes, and no NUL");
            return Err(Problem::invalid("key", rule));
        }
        if !body.has("value") {
            return Err(Problem::invalid("value", "is required; null deletes the property"));
        }
        let value = match body.get("value") {
            Some(Value::Bool(value)) => Some(value.to_string()),
            _ => body.text("value")?,
        };
        changes.insert(key, value);
    }
    Ok(changes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_read_and_bad_ones_refused() {
        let read_ok = read(json!([
            {"key": "department", "value": "sales", "created": null},
            {"key": "draft", "value": null},
            {"key": "n", "value": 7},
        ]));
        let changes = read_ok.unwrap();
        assert_eq!(changes.get("department"), Some(&Some("sales".to_owned())));
        assert_eq!(changes.get("draft"), Some(&None));
        assert_eq!(changes.get("n"), Some(&Some("7".to_owned())));
        for bad in [
            json!(1),
            json!({"a": "b"}),
            json!(["a"]),
            json!([{"value": "a"}]),
            json!([{"key": "", "value": "a"}]),
            json!([{"key": "k"}]),
            json!([{"key": "k", "value": []}]),
            json!([{"key": "k".repeat(125), "value": "a"}]),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
