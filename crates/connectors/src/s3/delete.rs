//! Deleting: one object, a folder with all below it, or every version of either.

use tramontane_connector::error::Kind;
use tramontane_connector::storage::DeleteOptions;
use tramontane_connector::{Error, Result};
use tramontane_model::NativeId;

use super::client::{Client, Condition, MAX_KEYS};
use super::fault::is_not_implemented;
use super::operations::ListHow;
use super::place::{Folder, Object, missing};
use super::write::{check_condition, marker};

impl Client<'_> {
    /// Deletes a file.
    pub(super) async fn delete_file(&self, file: &NativeId, how: &DeleteOptions) -> Result<()> {
        let (object, facts) = self.existing(file).await?;
        let condition =
            how.if_match.as_ref().map_or(Condition::Any, |etag| Condition::Matches(etag.clone()));
        check_condition(&object, Some(&facts), &condition)?;
        if how.permanent && self.keeps_versions(&object.bucket).await {
            return self.delete_versions(&object.bucket, &object.key, true).await;
        }
        match self.delete(&object, None, &condition).await {
            Err(error) if condition != Condition::Any && is_not_implemented(&error) => {
                self.delete(&object, None, &Condition::Any).await
            }
            done => done,
        }
    }

    /// Deletes a folder.
    pub(super) async fn delete_folder(&self, id: &NativeId, how: &DeleteOptions) -> Result<()> {
        let folder = Folder::of(&self.target, id)?;
        let Folder::Prefix { bucket, prefix } = &folder else {
            return Err(not_deletable("The list of buckets cannot be deleted."));
        };
        if prefix.is_empty() || folder == Folder::root(&self.target) {
            return Err(not_deletable("Buckets and the root folder cannot be deleted here."));
        }
        if !self.is_folder(bucket, prefix).await? {
            return Err(missing(id));
        }
        let keeper = marker(bucket, prefix);
        if !how.recursive {
            let how = ListHow { prefix, delimited: true, limit: 2, ..ListHow::default() };
            let page = self.list(bucket, &how).await?;
            if page.objects.iter().any(|row| row.key != *prefix) || !page.prefixes.is_empty() {
                return Err(Error::new(Kind::NotEmpty, "The folder is not empty."));
            }
        } else if how.permanent && self.keeps_versions(bucket).await {
            return self.delete_versions(bucket, prefix, false).await;
        } else {
            self.delete_below(bucket, prefix).await?;
        }
        // Last, so that a folder that could not be emptied is still there.
        if prefix.split('/').any(|part| part == "." || part == "..") {
            return self.delete_many(bucket, &[(prefix.clone(), None)]).await;
        }
        self.delete(&keeper, None, &Condition::Any).await
    }

    async fn delete_below(&self, bucket: &str, prefix: &str) -> Result<()> {
        // Not every server lists all keys in order while some are deleted: look again until nothing
        // is found.
        while self.delete_found(bucket, prefix).await? > 0 {
            if self.target.is_aws() {
                return Ok(());
            }
        }
        if self.target.is_seaweed() { self.delete_leftovers(bucket, prefix).await } else { Ok(()) }
    }

    /// Goes once through all keys below a prefix; gives the number deleted.
    async fn delete_found(&self, bucket: &str, prefix: &str) -> Result<usize> {
        let mut last: Option<String> = None;
        let mut count = 0;
        loop {
            let how =
                ListHow { prefix, limit: MAX_KEYS, after: last.as_deref(), ..ListHow::default() };
            let page = self.list(bucket, &how).await?;
            let Some(end) = page.objects.last().map(|row| row.key.clone()) else {
                return Ok(count);
            };
            let more = page.next.is_some() || page.objects.len() >= MAX_KEYS;
            let doomed: Vec<_> = page
                .objects
                .into_iter()
                .filter(|row| row.key != prefix)
                .map(|row| (row.key, None))
                .collect();
            count += doomed.len();
            self.delete_all(bucket, &doomed).await?;
            if !more {
                return Ok(count);
            }
            last = Some(end);
        }
    }

    /// SeaweedFS keeps the directories of deleted keys until they are deleted like markers, the
    /// deepest first.
    async fn delete_leftovers(&self, bucket: &str, prefix: &str) -> Result<()> {
        let mut found = vec![prefix.to_owned()];
        let mut seen = 0;
        while let Some(dir) = found.get(seen).cloned() {
            seen += 1;
            let how =
                ListHow { prefix: &dir, delimited: true, limit: MAX_KEYS, ..ListHow::default() };
            found.extend(self.list(bucket, &how).await?.prefixes);
        }
        for dir in found.iter().skip(1).rev() {
            self.delete(&marker(bucket, dir), None, &Condition::Any).await?;
        }
        Ok(())
    }

    /// Deletes every version of one key, or of all keys below a prefix.
    async fn delete_versions(&self, bucket: &str, prefix: &str, only_it: bool) -> Result<()> {
        let mut after: Option<(String, String)> = None;
        loop {
            let from = after.as_ref().map(|(key, id)| (key.as_str(), id.as_str()));
            let page = self.versions(bucket, prefix, from, MAX_KEYS).await?;
            let strangers = page.rows.iter().any(|row| only_it && row.key != prefix);
            let doomed: Vec<_> = page
                .rows
                .into_iter()
                .filter(|row| !only_it || row.key == prefix)
                .map(|row| (row.key, Some(row.id)))
                .collect();
            self.delete_all(bucket, &doomed).await?;
            // Keys are in order: after a longer key nothing of the one meant follows.
            match page.next {
                Some(next) if !strangers => after = Some(next),
                _ => return Ok(()),
            }
        }
    }

    async fn delete_all(&self, bucket: &str, doomed: &[(String, Option<String>)]) -> Result<()> {
        if doomed.is_empty() {
            return Ok(());
        }
        match self.delete_many(bucket, doomed).await {
            Err(error) if is_not_implemented(&error) => {
                for (key, version) in doomed {
                    let object = Object { bucket: bucket.to_owned(), key: key.clone() };
                    self.delete(&object, version.as_deref(), &Condition::Any).await?;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Whether the bucket keeps versions. Keys that may not ask delete as if it did not.
    async fn keeps_versions(&self, bucket: &str) -> bool {
        self.is_versioned(bucket).await.unwrap_or(false)
    }
}

fn not_deletable(text: &str) -> Error {
    Error::new(Kind::NotAllowed, text)
}
