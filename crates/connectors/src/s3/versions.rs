//! Earlier contents of objects, in buckets that keep them.

use async_trait::async_trait;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{Content, ReadOptions, Version, Versions};
use tramontane_connector::{Cx, Entry, Error, Result};
use tramontane_model::{NativeId, Page, PageRequest};

use super::client::Condition;
use super::place::{Object, missing};
use super::storage::S3Storage;

/// Between key and version id in a cursor; neither holds it.
const BETWEEN: char = '\0';

#[async_trait]
impl Versions for S3Storage {
    async fn list(&self, cx: &Cx, file: &NativeId, page: &PageRequest) -> Result<Page<Version>> {
        let client = self.client(cx)?;
        let object = Object::of(&client.target, file)?;
        let after = match page.cursor.as_deref() {
            None => None,
            Some(cursor) => Some(cursor.split_once(BETWEEN).ok_or_else(|| {
                Error::new(Kind::CursorExpired, "The cursor is not one of this listing.")
            })?),
        };
        let found = client.versions(&object.bucket, &object.key, after, page.limit).await?;
        let strangers = found.rows.iter().any(|row| row.key != object.key);
        let items: Vec<_> = found
            .rows
            .into_iter()
            .filter(|row| row.key == object.key && !row.marker)
            .map(|row| Version {
                id: row.id,
                size: row.facts.size,
                modified: row.facts.modified,
                last_modifier: None,
                current: row.latest,
                hashes: row.facts.hashes,
            })
            .collect();
        if items.is_empty() && page.cursor.is_none() && (found.next.is_none() || strangers) {
            return Err(missing(file));
        }
        // Keys are in order: after a longer key nothing of the one meant follows.
        let next = found.next.filter(|_| !strangers);
        Ok(Page { items, next: next.map(|(key, id)| format!("{key}{BETWEEN}{id}")) })
    }

    async fn read(
        &self,
        cx: &Cx,
        file: &NativeId,
        version: &str,
        how: &ReadOptions,
    ) -> Result<Content> {
        let client = self.client(cx)?;
        let object = Object::of(&client.target, file)?;
        let content = client.content(&object, Some(version), how).await;
        content.map_err(|error| no_version(error, version))
    }

    async fn restore(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<Entry> {
        let restored = self.client(cx)?.restore(file, version).await;
        restored.map_err(|error| no_version(error, version))
    }

    async fn delete(&self, cx: &Cx, file: &NativeId, version: &str) -> Result<()> {
        let client = self.client(cx)?;
        let object = Object::of(&client.target, file)?;
        let there = client.head_version(&object, Some(version)).await;
        if there.map_err(|error| no_version(error, version))?.is_none() {
            return Err(Error::not_found(format!("The file has no version \"{version}\".")));
        }
        client.delete(&object, Some(version), &Condition::Any).await
    }
}

/// A version id that the service cannot even read is one that is not there.
fn no_version(error: Error, version: &str) -> Error {
    match error.kind {
        Kind::Invalid => Error::not_found(format!("The file has no version \"{version}\".")),
        _ => error,
    }
}
