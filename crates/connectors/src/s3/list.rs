//! Listings: buckets, one level of a folder, and everything below one.

use serde::{Deserialize, Serialize};
use tramontane_connector::error::Kind;
use tramontane_connector::storage::TreeEntry;
use tramontane_connector::{Entry, Error, Result};
use tramontane_model::{NativeId, Op, Page, PageRequest};

use super::answer::Row;
use super::client::{Client, MAX_KEYS};
use super::operations::ListHow;
use super::place::{Folder, Object, missing, parent_prefix};

/// The most listings at once.
const MAX_STRETCHES: usize = 8;
/// The most folders that a key lies in, and itself.
const MAX_PARTS: usize = 1_025;

impl Client<'_> {
    /// One page of a folder's children.
    pub(super) async fn children(&self, id: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        let folder = Folder::of(&self.target, id)?;
        let Folder::Prefix { bucket, prefix } = &folder else {
            return self.bucket_entries(page).await;
        };
        let (skip, token) = page.cursor.as_deref().map(token_of).transpose()?.unwrap_or_default();
        // Some servers end a listing too early when asked for one key at a time: two are asked for,
        // and the page is read twice.
        let asked = page.limit.max(2);
        let how = ListHow {
            prefix,
            delimited: true,
            token: Some(token).filter(|token| !token.is_empty()),
            limit: asked,
            ..ListHow::default()
        };
        let listing = self.list(bucket, &how).await.map_err(|error| lost(error, page))?;
        let nothing = listing.objects.is_empty() && listing.prefixes.is_empty();
        let is_root = folder == Folder::root(&self.target);
        if nothing && page.cursor.is_none() && !prefix.is_empty() && !is_root {
            // Some servers keep folders that hold nothing and have no marker.
            if !self.is_folder(bucket, prefix).await? {
                return Err(missing(id));
            }
        }
        let mut entries = Vec::with_capacity(listing.objects.len() + listing.prefixes.len());
        for row in listing.objects {
            // The marker of the folder itself.
            if row.key != *prefix {
                let object = Object { bucket: bucket.clone(), key: row.key };
                entries.push((object.key.clone(), row.facts.entry(&self.target, &object)));
            }
        }
        for prefix in listing.prefixes {
            let folder = Folder::Prefix { bucket: bucket.clone(), prefix: prefix.clone() };
            entries.push((prefix, folder.entry(&self.target)));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut items: Vec<_> = entries.into_iter().skip(skip).map(|(_, entry)| entry).collect();
        let next = if items.len() > page.limit {
            items.truncate(page.limit);
            Some(cursor(skip + page.limit, token))
        } else {
            listing.next.map(|token| cursor(0, &token))
        };
        Ok(Page { items, next })
    }

    async fn bucket_entries(&self, page: &PageRequest) -> Result<Page<Entry>> {
        let (_, after) = page.cursor.as_deref().map(token_of).transpose()?.unwrap_or_default();
        let mut left = self.buckets().await?;
        left.retain(|bucket| bucket.name.as_str() > after);
        let more = left.len() > page.limit;
        left.truncate(page.limit);
        let next = left.last().filter(|_| more).map(|bucket| cursor(0, &bucket.name));
        let entries = left.into_iter().map(|bucket| {
            let mut entry = self.bucket_folder(&bucket.name).entry(&self.target);
            entry.created = bucket.created;
            entry
        });
        Ok(Page { items: entries.collect(), next })
    }

    fn bucket_folder(&self, bucket: &str) -> Folder {
        Folder::Prefix { bucket: bucket.to_owned(), prefix: String::new() }
    }

    /// One page of everything below a folder, folders before their contents. The stretches between the files that are
    /// known to lie ahead are listed at once.
    pub(super) async fn tree(
        &self,
        id: &NativeId,
        page: &PageRequest,
        ahead: &[NativeId],
    ) -> Result<Page<TreeEntry>> {
        let ahead = if self.target.lists_by_bytes() { ahead } else { &[] };
        if !self.target.lists_in_order() {
            return Err(Error::declined(Op::FolderListRecursively));
        }
        let top = Folder::of(&self.target, id)?;
        let mut walk = match &page.cursor {
            Some(cursor) => Walk::read(cursor)?,
            None => self.first_step(&top, id).await?,
        };
        let mut found = Found { items: Vec::new(), limit: page.limit };
        let Folder::Prefix { prefix: below, .. } = &top else {
            return self.bucket_trees(walk, found, ahead).await;
        };
        let next = self.steps(&mut walk, below, 0, &mut found, ahead).await?;
        Ok(Page { items: found.items, next: next.then(|| walk.write()) })
    }

    async fn first_step(&self, top: &Folder, id: &NativeId) -> Result<Walk> {
        match top {
            Folder::Buckets => Ok(Walk::default()),
            Folder::Prefix { bucket, prefix } => {
                let is_there = prefix.is_empty()
                    || *top == Folder::root(&self.target)
                    || self.is_folder(bucket, prefix).await?;
                if !is_there {
                    return Err(missing(id));
                }
                Ok(Walk { bucket: bucket.clone(), dir: prefix.clone(), ..Walk::default() })
            }
        }
    }

    /// All buckets, one after the other.
    async fn bucket_trees(
        &self,
        mut walk: Walk,
        mut found: Found,
        ahead: &[NativeId],
    ) -> Result<Page<TreeEntry>> {
        loop {
            if walk.bucket.is_empty() || walk.done {
                let buckets = self.buckets().await?;
                let next = buckets.into_iter().find(|bucket| bucket.name > walk.bucket);
                let Some(next) = next else { return Ok(Page::last(found.items)) };
                if found.is_full() {
                    return Ok(Page { items: found.items, next: Some(walk.write()) });
                }
                let mut entry = self.bucket_folder(&next.name).entry(&self.target);
                entry.created = next.created;
                found.items.push(TreeEntry { entry, depth: 1 });
                walk = Walk { bucket: next.name, ..Walk::default() };
            }
            if self.steps(&mut walk, "", 1, &mut found, ahead).await? {
                return Ok(Page { items: found.items, next: Some(walk.write()) });
            }
            walk.done = true;
        }
    }

    /// Goes on in one bucket: at most one listing, or one for each stretch. True when more follows.
    async fn steps(
        &self,
        walk: &mut Walk,
        below: &str,
        depth: u32,
        found: &mut Found,
        ahead: &[NativeId],
    ) -> Result<bool> {
        if found.is_full() {
            return Ok(true);
        }
        let limit = found.limit - found.items.len();
        let (rows, more) = self.stretches(walk, below, limit, ahead).await?;
        if !ahead.is_empty() {
            // Each may bring folders along.
            found.limit = found.items.len().saturating_add(rows.len().saturating_mul(MAX_PARTS));
        }
        for row in rows {
            if row.key == below {
                walk.after = row.key;
                continue;
            }
            if !self.emit(walk, below, depth, row, found) {
                return Ok(true);
            }
        }
        Ok(more)
    }

    /// The keys after the last one, and whether more follow: a page of them, or one for each stretch that begins at a
    /// key that is known to lie ahead, as far as they join.
    async fn stretches(
        &self,
        walk: &Walk,
        below: &str,
        limit: usize,
        ahead: &[NativeId],
    ) -> Result<(Vec<Row>, bool)> {
        let mut begins = vec![walk.after.clone()];
        for id in ahead.iter().take(MAX_STRETCHES - 1) {
            let Ok(object) = Object::of(&self.target, id) else { continue };
            let follows = begins.last().is_none_or(|last| object.key > *last);
            if object.bucket == walk.bucket && object.key.starts_with(below) && follows {
                begins.push(object.key);
            }
        }
        let lists = begins.iter().map(|after| {
            let after = (!after.is_empty()).then_some(after.as_str());
            let how = ListHow { prefix: below, after, limit, ..ListHow::default() };
            let bucket = walk.bucket.as_str();
            async move { self.list(bucket, &how).await }
        });
        let listings = futures::future::try_join_all(lists).await?;
        let (mut rows, mut ends) = (Vec::new(), begins.iter().skip(1));
        for listing in listings {
            // Some servers say that a full page was the last one when it was not.
            let full = !self.target.is_aws() && listing.objects.len() >= limit.min(MAX_KEYS);
            let more = listing.next.is_some() || full;
            let Some(end) = ends.next() else {
                rows.extend(listing.objects);
                return Ok((rows, more));
            };
            let whole = !more || listing.objects.last().is_some_and(|row| row.key >= *end);
            rows.extend(listing.objects.into_iter().take_while(|row| row.key <= *end));
            if !whole {
                return Ok((rows, true));
            }
        }
        Ok((rows, false))
    }

    /// Adds an object, after the folders on the way to it that were not there yet. False when the
    /// page was full before the object was reached.
    fn emit(&self, walk: &mut Walk, below: &str, depth: u32, row: Row, found: &mut Found) -> bool {
        let dir = parent_prefix(&row.key).to_owned();
        // How much of the way the object before went too.
        let mut common = shared_dir(&walk.dir, &dir).max(below.len());
        while common < dir.len() {
            if found.is_full() {
                return false;
            }
            let rest = dir.get(common..).unwrap_or_default();
            common += rest.find('/').map_or(rest.len(), |at| at + 1);
            let prefix = dir.get(..common).unwrap_or_default().to_owned();
            let folder = Folder::Prefix { bucket: walk.bucket.clone(), prefix: prefix.clone() };
            let depth = depth + parts_below(&prefix, below);
            found.items.push(TreeEntry { entry: folder.entry(&self.target), depth });
            walk.dir = prefix;
        }
        walk.dir.clone_from(&dir);
        // A folder's marker stands for the folder, which was just added.
        if row.key != dir {
            if found.is_full() {
                return false;
            }
            let depth = depth + parts_below(&dir, below) + 1;
            let object = Object { bucket: walk.bucket.clone(), key: row.key.clone() };
            found.items.push(TreeEntry { entry: row.facts.entry(&self.target, &object), depth });
        }
        walk.after = row.key;
        true
    }
}

/// A page in the making.
struct Found {
    items: Vec<TreeEntry>,
    limit: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }
}

/// Where a walk through all keys is.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Walk {
    /// The bucket it is in.
    #[serde(rename = "b")]
    bucket: String,
    /// The last key that is done.
    #[serde(rename = "a", default)]
    after: String,
    /// The last folder that was given.
    #[serde(rename = "d", default)]
    dir: String,
    /// Whether the bucket is finished.
    #[serde(rename = "f", default)]
    done: bool,
}

impl Walk {
    fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn read(cursor: &str) -> Result<Self> {
        serde_json::from_str(cursor)
            .map_err(|_| Error::new(Kind::CursorExpired, "The cursor is not one of this listing."))
    }
}

/// The length of the folder that both are in: up to the last `/` that they share.
fn shared_dir(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b);
    let mut shared = 0;
    for (at, (byte, _)) in same.enumerate() {
        if byte == b'/' {
            shared = at + 1;
        }
    }
    shared
}

/// How many parts a prefix has below another.
fn parts_below(prefix: &str, below: &str) -> u32 {
    let rest = prefix.get(below.len()..).unwrap_or_default();
    u32::try_from(rest.bytes().filter(|byte| *byte == b'/').count()).unwrap_or(u32::MAX)
}

/// A cursor: how many entries of the page to skip, and the service's token of the page. What begins
/// otherwise is not ours: servers fail in odd ways on tokens that are not theirs.
fn cursor(skip: usize, token: &str) -> String {
    format!("t{skip}:{token}")
}

fn token_of(cursor: &str) -> Result<(usize, &str)> {
    let parts = cursor.strip_prefix('t').and_then(|rest| rest.split_once(':'));
    let parts = parts.and_then(|(skip, token)| Some((skip.parse().ok()?, token)));
    parts
        .filter(|(_, token)| !token.contains('\0'))
        .ok_or_else(|| Error::new(Kind::CursorExpired, "The cursor is not one of this listing."))
}

/// A token that the service does not take (any more).
fn lost(error: Error, page: &PageRequest) -> Error {
    if page.cursor.is_some() && error.kind == Kind::Invalid {
        return Error::new(Kind::CursorExpired, "The service has forgotten this cursor.");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_two_keys_share_end_at_a_slash() {
        assert_eq!(shared_dir("a/b/", "a/bc/"), 2);
        assert_eq!(shared_dir("a/b/", "a/b/"), 4);
        assert_eq!(shared_dir("", "a/"), 0);
        assert_eq!(shared_dir("/", "//"), 1);
        assert_eq!(parts_below("a/b/", "a/"), 1);
        assert_eq!(parts_below("a/", "a/"), 0);
    }

    #[test]
    fn a_walk_is_read_back_and_nonsense_is_an_expired_cursor() {
        let walk = Walk { bucket: "b".into(), after: "a/\"k".into(), ..Walk::default() };
        assert_eq!(Walk::read(&walk.write()).ok(), Some(walk));
        assert_eq!(Walk::read("nonsense").map_err(|error| error.kind), Err(Kind::CursorExpired));
    }
}
