//! Native ids: which folder or object a path means, and back.
//!
//! A file's id is `/bucket/key`, exactly. A folder's id is `/bucket/prefix` without the prefix's last
//! `/`; a bucket's is `/bucket`; the list of buckets is `/`. Nothing is normalised, so keys with empty
//! parts keep their own ids (`/bucket//x` is the key `/x`; the folder `/bucket/` is the prefix `/`).

use tramontane_connector::entry::Parent;
use tramontane_connector::{ETag, Entry, Error, Hashes, Result};
use tramontane_model::{NativeId, Timestamp};

use super::target::{MAX_KEY_BYTES, Target, is_bucket};

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// One folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// All buckets of the account.
    Buckets,
    /// What is below a prefix, which is empty or ends in `/`.
    Prefix { bucket: String, prefix: String },
}

impl Object {
    /// The object that a file's id means.
    ///
    /// # Errors
    /// `NotFound` for anything that is no object, or not the account's.
    pub(super) fn of(target: &Target, id: &NativeId) -> Result<Self> {
        let (bucket, key) = split(id)?;
        let key = key.filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
        let Some(key) = key else { return Err(missing(id)) };
        if !key.starts_with(&target.prefix) || !is_mine(target, bucket) {
            return Err(missing(id));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Its id.
    pub(super) fn id(&self) -> NativeId {
        NativeId::new(format!("/{}/{}", self.bucket, self.key))
    }

    /// The folder that it is in.
    pub(super) fn parent(&self) -> Folder {
        let prefix = parent_prefix(&self.key);
        Folder::Prefix { bucket: self.bucket.clone(), prefix: prefix.to_owned() }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        last_part(&self.key)
    }
}

impl Folder {
    /// The folder that an id means.
    ///
    /// # Errors
    /// `NotFound` for anything that is no folder, or not the account's.
    pub(super) fn of(target: &Target, id: &NativeId) -> Result<Self> {
        if id.as_str() == "/" && target.bucket.is_none() {
            return Ok(Self::Buckets);
        }
        let (bucket, rest) = split(id)?;
        let prefix = rest.map(|rest| format!("{rest}/")).unwrap_or_default();
        let fits = prefix.len() <= MAX_KEY_BYTES && prefix.starts_with(&target.prefix);
        if !fits || !is_mine(target, bucket) {
            return Err(missing(id));
        }
        Ok(Self::Prefix { bucket: bucket.to_owned(), prefix })
    }

    /// The account's root.
    pub(super) fn root(target: &Target) -> Self {
        match &target.bucket {
            None => Self::Buckets,
            Some(bucket) => Self::Prefix { bucket: bucket.clone(), prefix: target.prefix.clone() },
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> NativeId {
        match self {
            Self::Buckets => NativeId::new("/"),
            Self::Prefix { bucket, prefix } => match prefix.strip_suffix('/') {
                Some(rest) => NativeId::new(format!("/{bucket}/{rest}")),
                None => NativeId::new(format!("/{bucket}")),
            },
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Buckets => "S3",
            Self::Prefix { bucket, prefix } => match prefix.strip_suffix('/') {
                Some(rest) => last_part(rest),
                None => bucket,
            },
        }
    }

    /// The folder that it is in.
    pub(super) fn parent(&self) -> Option<Self> {
        match self {
            Self::Buckets => None,
            Self::Prefix { bucket, prefix } => match prefix.strip_suffix('/') {
                None => Some(Self::Buckets),
                Some(rest) => {
                    let prefix = parent_prefix(rest).to_owned();
                    Some(Self::Prefix { bucket: bucket.clone(), prefix })
                }
            },
        }
    }

    /// As an entry.
    pub(super) fn entry(&self, target: &Target) -> Entry {
        let id = self.id();
        let root = Self::root(target);
        let parent = if *self == root { None } else { self.parent() };
        let mut entry = Entry::folder(id.clone(), self.name(), parent.as_ref().map(as_parent));
        entry.path = display(&root, &id);
        // Making buckets is an administrator's work: names are global, regions and policies matter.
        let is_open = *self != Self::Buckets;
        entry.can_create_folders = is_open;
        entry.can_upload_files = is_open;
        entry
    }
}

/// What is known of an object, from a listing or from its headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Timestamp>,
    pub(super) etag: Option<ETag>,
    pub(super) media_type: Option<String>,
    pub(super) version: Option<String>,
    pub(super) hashes: Hashes,
}

impl Facts {
    /// The entry of the object that these are facts about.
    pub(super) fn entry(self, target: &Target, object: &Object) -> Entry {
        let id = object.id();
        let mut entry = Entry::file(id.clone(), object.name(), Some(as_parent(&object.parent())));
        entry.path = display(&Folder::root(target), &id);
        entry.size = self.size;
        entry.modified = self.modified;
        entry.etag = self.etag;
        entry.media_type = self.media_type;
        entry.version = self.version;
        entry.hashes = self.hashes;
        entry
    }
}

fn as_parent(folder: &Folder) -> Parent {
    Parent { id: folder.id(), name: Some(folder.name().to_owned()) }
}

/// The path from the account's root.
fn display(root: &Folder, id: &NativeId) -> Option<String> {
    if *root == Folder::Buckets {
        return Some(id.as_str().to_owned());
    }
    let below = id.as_str().strip_prefix(root.id().as_str())?;
    Some(if below.is_empty() { "/".to_owned() } else { below.to_owned() })
}

/// Bucket and rest; no rest for a bucket itself.
fn split(id: &NativeId) -> Result<(&str, Option<&str>)> {
    let path = id.as_str().strip_prefix('/').ok_or_else(|| missing(id))?;
    let (bucket, rest) = match path.split_once('/') {
        Some((bucket, rest)) => (bucket, Some(rest)),
        None => (path, None),
    };
    if !is_bucket(bucket) {
        return Err(missing(id));
    }
    Ok((bucket, rest))
}

fn is_mine(target: &Target, bucket: &str) -> bool {
    target.bucket.as_deref().is_none_or(|only| only == bucket)
}

/// The part of a key up to and with its last `/`.
pub(super) fn parent_prefix(key: &str) -> &str {
    key.rfind('/').and_then(|at| key.get(..=at)).unwrap_or_default()
}

fn last_part(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// What there is to say of an id that means nothing here.
pub(super) fn missing(id: &NativeId) -> Error {
    Error::not_found(format!("There is no \"{id}\" in this account."))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::samples::account;
    use super::*;

    fn target(settings: &[(&str, &str)]) -> Target {
        Target::of(&account("s3", settings)).unwrap()
    }

    fn folder(prefix: &str) -> Folder {
        Folder::Prefix { bucket: "b".into(), prefix: prefix.into() }
    }

    #[test]
    fn ids_are_paths_and_odd_keys_keep_their_own() {
        let all = target(&[]);
        for (key, id, name) in [
            ("k", "/b/k", "k"),
            ("a/k", "/b/a/k", "k"),
            ("/x", "/b//x", "x"),
            ("a//x", "/b/a//x", "x"),
            ("a/", "/b/a/", ""),
        ] {
            let object = Object { bucket: "b".into(), key: key.into() };
            assert_eq!(object.id().as_str(), id);
            assert_eq!(object.name(), name);
            assert_eq!(Object::of(&all, &NativeId::new(id)).unwrap(), object);
        }
        for (prefix, id, name) in
            [("", "/b", "b"), ("a/", "/b/a", "a"), ("/", "/b/", ""), ("a//", "/b/a/", "")]
        {
            assert_eq!(folder(prefix).id().as_str(), id);
            assert_eq!(folder(prefix).name(), name);
            assert_eq!(Folder::of(&all, &NativeId::new(id)).unwrap(), folder(prefix));
        }
        assert_eq!(folder("a//").parent(), Some(folder("a/")));
        assert_eq!(folder("/").parent(), Some(folder("")));
        assert_eq!(Folder::of(&all, &NativeId::new("/")).unwrap(), Folder::Buckets);
    }

    #[test]
    fn an_account_sees_nothing_outside_its_bucket_and_prefix() {
        let one = target(&[("bucket", "b"), ("prefix", "/team/a/")]);
        assert_eq!(Folder::root(&one).id().as_str(), "/b/team/a");
        for bad in ["/", "/c", "/b", "/b/team", "/b/team/ab", "/b/tea", "/c/team/a", "b/team/a"] {
            assert!(Folder::of(&one, &NativeId::new(bad)).is_err(), "{bad}");
        }
        for bad in ["/c/team/a/k", "/b/team/k", "/b/team/a/", "/b/team/a", "/b/k", "/b", "k"] {
            let file = Object::of(&one, &NativeId::new(bad));
            assert!(file.is_err() || bad == "/b/team/a/", "{bad}");
        }
        assert!(Object::of(&one, &NativeId::new("/b/team/a/k")).is_ok());
        let root = Folder::root(&one).entry(&one);
        assert_eq!((root.path.as_deref(), root.parent), (Some("/"), None));
        let entry = folder("team/a/x/").entry(&one);
        assert_eq!(entry.path.as_deref(), Some("/x"));
        assert_eq!(entry.parent.unwrap().id.as_str(), "/b/team/a");
    }

    proptest! {
        #[test]
        fn every_id_is_read_without_panic_and_comes_back(raw in "/?[a-c./]{0,12}\\PC{0,8}") {
            let all = target(&[]);
            let id = NativeId::new(raw);
            if let Ok(object) = Object::of(&all, &id) {
                prop_assert_eq!(object.id(), id.clone());
            }
            if let Ok(folder) = Folder::of(&all, &id) {
                prop_assert_eq!(folder.id(), id);
            }
        }
    }
}
