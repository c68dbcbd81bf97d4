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
        .map(|(key, value)| Property {
            key: plain(&key),
            value: plain(&value),
            created: None,
            modified: None,
        })
        .collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

/// Text as a tag can hold it: any other character is written as `_x` and its code point in hex and
/// `_`. A `_` before an `x` is written so too, so that nothing else looks like it.
fn as_tag(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, one) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        let fine = one.is_alphanumeric() || one == ' ' || "+-=._:/@".contains(one);
        if fine && !rest.starts_with("_x") {
            out.push(one);
        } else {
            out.push_str(&format!("_x{:x}_", u32::from(one)));
        }
    }
    out
}

/// The text that a tag holds.
fn plain(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(one) = rest.chars().next() {
        let (one, length) = escape_at(rest).unwrap_or((one, one.len_utf8()));
        out.push(one);
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The character that a text's beginning stands for when it is an escape, and the escape's length.
fn escape_at(text: &str) -> Option<(char, usize)> {
    let (digits, _) = text.strip_prefix("_x")?.split_once('_')?;
    let fine = (1..=6).contains(&digits.len())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| fine)?;
    Some((char::from_u32(code)?, digits.len() + 3))
}

fn check(key: &str, value: &str) -> Result<()> {
    let (key, value) = (as_tag(key), as_tag(value));
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS || key.starts_with("aws:") {
        return Err(Error::invalid(
            "A property's key must have 1 to 128 characters and not begin with \"aws:\".",
        ));
    }
    if value.chars().count() > MAX_VALUE_CHARS {
        return Err(Error::invalid("A property's value may have at most 256 characters."));
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
                    tags.insert(as_tag(key), as_tag(value));
                }
                None => {
                    tags.remove(&as_tag(key));
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn properties_must_fit_into_tags() {
        assert!(check("k é:/@", "v+-=._").is_ok());
        assert!(check("", "v").is_err());
        assert!(check("aws:x", "v").is_err());
        assert!(check(&"k".repeat(129), "").is_err());
        assert!(check("k", &"v".repeat(257)).is_err());
        assert!(check("k", &"&".repeat(100)).is_err());
    }

    #[test]
    fn what_tags_cannot_hold_is_written_out() {
        assert_eq!(as_tag("yes & <no>"), "yes _x26_ _x3c_no_x3e_");
        assert_eq!(as_tag("_x26_"), "_x5f_x26_");
        assert_eq!(plain("_xyz_ _x_ _x110000_"), "_xyz_ _x_ _x110000_");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(_x|[0-9a-f_]|\\PC){0,30}") {
            prop_assert_eq!(plain(&as_tag(&text)), text);
        }

        #[test]
        fn every_tag_is_read_without_panic(tag in "(_x|\\PC){0,30}") {
            let _ = plain(&tag);
        }
    }
}
