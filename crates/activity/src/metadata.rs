//! An object's metadata on its way through the feed: text that is handed on and shared, and read by nobody in between.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Metadata of an object, as the runtime gave it, or none. All clones are one text: as a tree of values it would take
/// some five times the memory, for each clone.
#[derive(Clone, Debug, Default)]
pub struct Metadata(Option<Arc<RawValue>>);

impl Metadata {
    /// Of anything that can be written as JSON; what cannot is none.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(to_raw_value(value).ok().filter(|raw| raw.get() != "null").map(Arc::from))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The text; `null` for none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_deref().map_or("null", RawValue::get)
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

impl From<Value> for Metadata {
    fn from(value: Value) -> Self {
        Self::of(&value)
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_deref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
        Ok(Self(raw.filter(|raw| raw.get() != "null").map(Arc::from)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_comes_back_as_it_was() {
        for value in [json!({"size": 3, "name": "ä\n"}), json!([1, null]), Value::Null] {
            let metadata = Metadata::from(value.clone());
            assert_eq!(metadata.is_null(), value.is_null());
            assert_eq!(metadata.read::<Value>().unwrap(), value);
            let written = serde_json::to_string(&metadata).unwrap();
            assert_eq!(written, value.to_string());
            assert_eq!(serde_json::from_str::<Metadata>(&written).unwrap(), metadata);
            assert_eq!(serde_json::from_value::<Metadata>(value).unwrap(), metadata);
        }
        assert!(Metadata::default().is_null());
    }
}
