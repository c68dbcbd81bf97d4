//! The storage of an S3 account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tramontane_connector::error::Kind;
use tramontane_connector::storage::{
    ByteRange, Content, DeleteOptions, Properties, ReadOptions, TreeEntry, UploadSessions, Versions,
};
use tramontane_connector::{
    Abilities, Account, Body, Case, Conflict, Cx, ETag, Entry, EntryKind, EntryRef, Error,
    HashKind, Limits, NameRules, Place, Result, Semantics, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Ops, Page, PageRequest, Reason};
use url::Url;

use super::answer;
use super::client::Client;
use super::learned::Learned;
use super::place::{Folder, Object, missing};
use super::sign::Signer;
use super::target::{MAX_KEY_BYTES, Target};

/// What every S3 does itself.
const NATIVE: Ops = Ops::of(&[
    Op::FileCreate,
    Op::FileCreateUnsized,
    Op::FileUpdate,
    Op::FileRead,
    Op::FileCopy,
    Op::FileDelete,
    Op::FileDeletePermanently,
    Op::FileDownload,
    Op::FileRange,
    Op::FileHash,
    Op::FolderCreate,
    Op::FolderDelete,
    Op::FolderList,
    Op::FolderRead,
    Op::FolderListRecursively,
    Op::MultipartCreate,
    Op::UploadUrlCreate,
    Op::PropertiesList,
    Op::PropertiesUpdate,
    Op::PropertiesDeleteAll,
    Op::Raw,
]);

/// 10,000 parts of 5 GiB: what S3 takes since objects may have 48.8 TiB.
const MAX_FILE_BYTES: u64 = 10_000 * (5 << 30);

/// The storage of S3 accounts.
pub(super) struct S3Storage {
    learned: Arc<Learned>,
}

impl S3Storage {
    pub(super) fn new(learned: Arc<Learned>) -> Self {
        Self { learned }
    }

    pub(super) fn client(&self, cx: &Cx) -> Result<Client<'_>> {
        Client::of(cx, &self.learned)
    }
}

impl Client<'_> {
    /// The content of an object, or of one version of it.
    pub(super) async fn content(
        &self,
        object: &Object,
        version: Option<&str>,
        how: &ReadOptions,
    ) -> Result<Content> {
        if how.export.is_some() {
            return Err(Error::invalid("S3 keeps files as they are; there is nothing to export."));
        }
        let range = match how.range {
            None => None,
            Some(ByteRange::From(first, None)) => Some(format!("bytes={first}-")),
            Some(ByteRange::From(first, Some(last))) if last < first => {
                return Err(Error::new(Kind::Range(None), "The range lies outside the content."));
            }
            Some(ByteRange::From(first, Some(last))) => Some(format!("bytes={first}-{last}")),
            Some(ByteRange::Last(0)) => {
                return Err(Error::new(Kind::Range(None), "The range lies outside the content."));
            }
            Some(ByteRange::Last(count)) => Some(format!("bytes=-{count}")),
        };
        let answer = self.get(object, version, range.as_deref()).await?;
        let partial = answer.status.as_u16() == 206;
        if range.is_some() && !partial {
            // A server without ranges: the gap filler skips through the whole.
            let empty = answer.body.len() == Some(0);
            return Err(match empty {
                true => Error::new(Kind::Range(Some(0)), "The range lies outside the content."),
                false => Error::declined(Op::FileRange),
            });
        }
        let facts = answer::facts(&answer.headers, !partial);
        let offset = match partial {
            true => answer
                .header(&http::header::CONTENT_RANGE)
                .and_then(|text| {
                    text.trim().strip_prefix("bytes ")?.split('-').next()?.parse().ok()
                })
                .ok_or_else(|| {
                    Error::new(Kind::Broken, "The service does not say which range it sent.")
                })?,
            false => 0,
        };
        let size = facts.size;
        let len = answer.body.len().or(if partial { None } else { size });
        let body =
            Body::new(answer.body.into_stream(), len).with_media_type(facts.media_type.clone());
        Ok(Content {
            body,
            offset,
            size,
            etag: facts.etag,
            modified: facts.modified,
            media_type: facts.media_type,
        })
    }
}

#[async_trait]
impl Storage for S3Storage {
    fn abilities(&self, account: &Account) -> Abilities {
        let target = Target::of(account).ok();
        let conditional = target.as_ref().is_some_and(Target::knows_conditions);
        let seaweed = target.as_ref().is_some_and(Target::is_seaweed);
        let versioned = target.as_ref().is_none_or(|target| target.versioning != Some(false));
        let mut native = NATIVE;
        if conditional {
            native = native.with(Op::FileConditional);
        }
        if versioned {
            native = native.with(Op::VersionsList);
        }
        if !target.as_ref().is_none_or(Target::lists_in_order) {
            native = native.without(Op::FolderListRecursively);
        }
        let max_bytes = target.as_ref().map_or(MAX_KEY_BYTES - 1, Target::max_name_bytes);
        Abilities {
            native,
            reasons: vec![
                (
                    Op::FileConditional,
                    Reason::lacks(
                        "This server is not known to check conditions atomically; they are looked up first.",
                    ),
                ),
                (
                    Op::FolderListRecursively,
                    Reason::lacks(
                        "This server does not list keys in order when it keeps versions.",
                    ),
                ),
                (
                    Op::VersionsList,
                    Reason::lacks(
                        "No bucket kept versions when the account was connected. Turn versioning on and \
                         connect again.",
                    ),
                ),
                (Op::FileRename, Reason::lacks("S3 cannot rename: keys never change.")),
                (Op::FileMove, Reason::lacks("S3 cannot move: keys never change.")),
                (Op::FolderRename, Reason::lacks("S3 has no folders, only keys that begin alike.")),
                (Op::FolderMove, Reason::lacks("S3 has no folders, only keys that begin alike.")),
                (Op::FolderCopy, Reason::lacks("S3 copies one object at a time.")),
                (Op::SearchName, Reason::lacks("S3 finds keys by their beginning only.")),
                (Op::SearchContent, Reason::lacks("S3 does not look into objects.")),
                (Op::RecentList, Reason::lacks("S3 lists by name only.")),
                (Op::FileThumbnail, Reason::lacks("S3 makes no pictures.")),
                (
                    Op::QuotaRead,
                    Reason::lacks("S3 has no quota and does not tell how much is stored."),
                ),
                (
                    Op::TrashList,
                    Reason::lacks("S3 has no trash; a bucket with versioning keeps old versions."),
                ),
                (
                    Op::PermissionsList,
                    Reason::incomplete("Access lists and bucket policies are not mapped yet."),
                ),
                (Op::ChangesRead, Reason::incomplete("Bucket notifications are not followed yet.")),
            ],
            semantics: Semantics {
                case: Case::Sensitive,
                duplicate_names: false,
                names: NameRules {
                    max_bytes,
                    forbidden: if seaweed { &['\\'] } else { &[] },
                    trailing_dot_or_space: true,
                },
                time_precision_micros: 1_000_000,
                stable_ids: false,
                hashes: &[HashKind::Md5],
                empty_folders: true,
            },
            limits: Limits {
                max_file_bytes: Some(MAX_FILE_BYTES),
                account_concurrency: 32,
                service_concurrency: 1_024,
                account_rate: None,
                max_page: 1_000,
            },
        }
    }

    fn root(&self, account: &Account) -> NativeId {
        match Target::of(account) {
            Ok(target) => Folder::root(&target).id(),
            Err(_) => NativeId::new("/"),
        }
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        let client = self.client(cx)?;
        if of.kind == EntryKind::File {
            let (object, facts) = client.existing(&of.id).await?;
            return Ok(facts.entry(&client.target, &object));
        }
        let folder = Folder::of(&client.target, &of.id)?;
        if let Folder::Prefix { bucket, prefix } = &folder {
            let is_there = match prefix.is_empty() {
                true => match client.head_bucket(bucket).await {
                    Err(error) if error.is_not_found() => false,
                    done => done.map(|_| true)?,
                },
                false if folder == Folder::root(&client.target) => true,
                false => client.is_folder(bucket, prefix).await?,
            };
            if !is_there {
                return Err(missing(&of.id));
            }
        }
        Ok(folder.entry(&client.target))
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.client(cx)?.children(folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        let client = self.client(cx)?;
        let object = Object::of(&client.target, file)?;
        let content = client.content(&object, None, how).await;
        content.map_err(|error| if error.is_not_found() { missing(file) } else { error })
    }

    async fn child(&self, cx: &Cx, at: &Place) -> Result<Option<Entry>> {
        let client = self.client(cx)?;
        let Folder::Prefix { bucket, prefix } = Folder::of(&client.target, &at.parent)? else {
            let buckets = client.buckets().await?;
            let found = buckets.into_iter().find(|bucket| bucket.name == at.name);
            return Ok(found.map(|bucket| {
                let prefix = String::new();
                Folder::Prefix { bucket: bucket.name, prefix }.entry(&client.target)
            }));
        };
        let key = format!("{prefix}{}", at.name);
        if key.len() >= MAX_KEY_BYTES || at.name.contains('/') || at.name.is_empty() {
            return Ok(None);
        }
        let below = format!("{key}/");
        let object = Object { bucket: bucket.clone(), key };
        let (file, folder) =
            futures::join!(client.head(&object), client.is_folder(&bucket, &below));
        if let Some(facts) = file? {
            return Ok(Some(facts.entry(&client.target, &object)));
        }
        let folder = folder?.then_some(Folder::Prefix { bucket, prefix: below });
        Ok(folder.map(|folder| folder.entry(&client.target)))
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        self.client(cx)?.make_file(at, body, how).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        self.client(cx)?.replace(file, body, if_match).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        self.client(cx)?.make_folder(at).await
    }

    async fn copy(&self, cx: &Cx, what: &EntryRef, to: &Place, c: Conflict) -> Result<Entry> {
        if what.kind == EntryKind::Folder {
            return Err(Error::declined(Op::FolderCopy));
        }
        self.client(cx)?.copy_file(&what.id, to, c).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        let client = self.client(cx)?;
        match what.kind {
            EntryKind::File => client.delete_file(&what.id, how).await,
            EntryKind::Folder => client.delete_folder(&what.id, how).await,
        }
    }

    async fn list_tree(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        self.client(cx)?.tree(folder, page, &[]).await
    }

    async fn list_tree_ahead(
        &self,
        cx: &Cx,
        folder: &NativeId,
        page: &PageRequest,
        ahead: &[NativeId],
    ) -> Result<Page<TreeEntry>> {
        self.client(cx)?.tree(folder, page, ahead).await
    }

    async fn hash(&self, cx: &Cx, file: &NativeId, kind: HashKind) -> Result<String> {
        let (_, facts) = self.client(cx)?.existing(file).await?;
        let hash = match kind {
            HashKind::Md5 => facts.hashes.md5,
            HashKind::Sha1 => facts.hashes.sha1,
            HashKind::Sha256 => facts.hashes.sha256,
            HashKind::Crc32c => facts.hashes.crc32c,
            HashKind::QuickXor | HashKind::DropboxContent => None,
        };
        hash.ok_or_else(|| Error::declined(Op::FileHash))
    }

    async fn download_url(&self, cx: &Cx, file: &NativeId, lasts: Duration) -> Result<Url> {
        let client = self.client(cx)?;
        let (object, _) = client.existing(file).await?;
        self.presigned(&client, "GET", &object, lasts)
    }

    async fn upload_url(&self, cx: &Cx, at: &Place, lasts: Duration) -> Result<Url> {
        let client = self.client(cx)?;
        let object = client.object_at(at).await?;
        self.presigned(&client, "PUT", &object, lasts)
    }

    fn sessions(&self) -> Option<&dyn UploadSessions> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        Some(self)
    }

    fn properties(&self) -> Option<&dyn Properties> {
        Some(self)
    }
}

impl S3Storage {
    fn presigned(
        &self,
        client: &Client<'_>,
        method: &str,
        object: &Object,
        lasts: Duration,
    ) -> Result<Url> {
        let signer = Signer::of(&client.cx.account, Arc::clone(&self.learned))?;
        let region = client.region(Some(&object.bucket));
        let url = client.target.url(&region, Some(&object.bucket), &object.key, &[])?;
        signer.presign(method, url, client.cx.now(), lasts)
    }
}
