//! Properties, kept as object tags: unlike user metadata, tags can be changed without copying the
//! object onto itself.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tramontane_connector::storage::{Properties, Property};
use tramontane_connector::{Cx, EntryKind, EntryRef, Error, Result};
use tramontane_model::Op;

use super::client::{Client, Condition, Load};
use super::place::{Folder, Object, missing};
use super::storage::S3Storage;
use super::write::marker;

/// S3's limits (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>).
const MAX_TAGS: usize = 10;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

impl Client<'_> {
    /// The object that carries the tags of this file or folder.
    async fn tagged(&self, of: &EntryRef) -> Result<Object> {
        if of.kind == EntryKind::File {
            return Ok(self.existing(&of.id).await?.0);
        }
        match Folder::of(&self.target, &of.id)? {
            Folder::Prefix { bucket, prefix } if !prefix.is_empty() => {
                if !self.is_folder(&bucket, &prefix).await? {
                    return Err(missing(&of.id));
                }
                Ok(marker(&bucket, &prefix))
            }
            _ => Err(Error::unsupported(Op::PropertiesUpdate, "Buckets take no properties here.")),
        }
    }

    /// The tags; none for a folder that has no marker to carry any.
    async fn tags_of(&self, object: &Object) -> Result<Vec<(String, String)>> {
        match self.tags(object).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            done => done,
        }
    }
}

fn properties(tags: Vec<(String, String)>) -> Vec<Property> {
    let mut all: Vec<_> = tags
        .into_iter()
        .map(|(key, value)| Property { key, value, created: None, modified: None })
        .collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

fn check(key: &str, value: &str) -> Result<()> {
    let fine = |text: &str| {
        text.chars().all(|one| one.is_alphanumeric() || one == ' ' || "+-=._:/@".contains(one))
    };
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS || key.starts_with("aws:") {
        return Err(Error::invalid(
            "A property's key must have 1 to 128 characters and not begin with \"aws:\".",
        ));
    }
    if value.chars().count() > MAX_VALUE_CHARS {
        return Err(Error::invalid("A property's value may have at most 256 characters."));
    }
    if !fine(key) || !fine(value) {
        return Err(Error::invalid(
            "Keys and values of properties may hold letters, digits, spaces and + - = . _ : / @ only.",
        ));
    }
    Ok(())
}

#[async_trait]
impl Properties for S3Storage {
    async fn list(&self, cx: &Cx, of: &EntryRef) -> Result<Vec<Property>> {
        let client = self.client(cx)?;
        let object = client.tagged(of).await?;
        Ok(properties(client.tags_of(&object).await?))
    }

    async fn patch(
        &self,
        cx: &Cx,
        of: &EntryRef,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Property>> {
        for (key, value) in changes {
            check(key, value.as_deref().unwrap_or_default())?;
        }
        let client = self.client(cx)?;
        let object = client.tagged(of).await?;
        let mut tags: BTreeMap<String, String> =
            client.tags_of(&object).await?.into_iter().collect();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    tags.insert(key.clone(), value.clone());
                }
                None => {
                    tags.remove(key);
                }
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(Error::invalid("An object may have at most 10 properties."));
        }
        let tags: Vec<_> = tags.into_iter().collect();
        match client.set_tags(&object, &tags).await {
            Err(error) if error.is_not_found() && of.kind == EntryKind::Folder => {
                // A folder that only its contents keep gets the marker that carries its tags.
                let empty = Load::Bytes(bytes::Bytes::new());
                client
                    .put(&object, empty, Some("application/x-directory"), &Condition::Any)
                    .await?;
                client.set_tags(&object, &tags).await?;
            }
            done => done?,
        }
        Ok(properties(tags))
    }

    async fn clear(&self, cx: &Cx, of: &EntryRef) -> Result<()> {
        let client = self.client(cx)?;
        let object = client.tagged(of).await?;
        match client.set_tags(&object, &[]).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_must_fit_into_tags() {
        assert!(check("k é:/@", "v+-=._").is_ok());
        assert!(check("", "v").is_err());
        assert!(check("aws:x", "v").is_err());
        assert!(check("k", "a,b").is_err());
        assert!(check(&"k".repeat(129), "").is_err());
        assert!(check("k", &"v".repeat(257)).is_err());
    }
}
