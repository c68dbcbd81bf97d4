//! What a write would make, and where: read from the request, and looked for when the work broke off.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tramontane_connector::place::free_name;
use tramontane_connector::{Cx, Entry, EntryKind, EntryRef, Place, Storage as _};
use tramontane_fill::{Filled, FolderPolicy, Policy};
use tramontane_model::NativeId;
use tramontane_tasks::Kind;

use crate::account::Account;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::query::Query;
use crate::v1::conflict;
use crate::v1::target::Target;
use crate::v1::upload::Metadata;

/// So many free names are tried.
const MAX_NAMES: u32 = 1_000;

/// What a request would make.
pub(crate) struct Intent {
    /// The account that it would be in.
    pub(crate) account: Account,
    /// Where.
    pub(crate) at: Place,
    /// File or folder.
    pub(crate) kind: EntryKind,
    /// Bytes of the content, when they are known.
    pub(crate) size: Option<u64>,
    /// SHA-256 of the content, when it is known.
    pub(crate) sha256: Option<String>,
    /// What to do when the name is taken; `None` gives what is there (folders).
    pub(crate) policy: Option<Policy>,
    /// What would be gone afterwards.
    pub(crate) moves: Option<EntryRef>,
    /// Whether it goes to another account.
    pub(crate) across: bool,
    /// The account that it comes from.
    pub(crate) from: Option<Account>,
}

/// Where a task writes, noted before it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pinned {
    /// The folder.
    pub(crate) parent: NativeId,
    /// The name that it writes under.
    pub(crate) name: String,
    /// Whether nothing had the name when this was noted: what has it later is the task's.
    pub(crate) free: bool,
}

/// The parts of a request that an intent is read from.
pub(crate) struct Asked<'a> {
    /// The route's parameter that names the object, and whether it is a folder.
    pub(crate) of: Option<(EntryKind, String)>,
    /// The query.
    pub(crate) query: Query,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The JSON body; empty when the body is content.
    pub(crate) body: JsonBody,
    /// Bytes and hash of the content, when they are known.
    pub(crate) content: Option<(u64, Option<String>)>,
    /// Where an earlier process wrote, when it noted that.
    pub(crate) noted: Option<Pinned>,
}

impl Intent {
    /// Reads what a write of this kind would make; `None` when it makes nothing.
    pub(crate) async fn read(
        account: &Account,
        kind: Kind,
        asked: &Asked<'_>,
    ) -> Answer<Option<Self>> {
        let intent = match kind {
            Kind::Upload => Self::upload(account, asked).await?,
            Kind::UploadFromUrl => {
                let metadata = Metadata::of(&asked.body)?;
                let policy = conflict::creating(&asked.query, asked.headers)?;
                Self::plain(account, metadata.place(account).await?, policy)
            }
            Kind::Copy => Self::copy(account, asked).await?,
            Kind::Move => Self::relocation(account, asked).await?,
            Kind::CreateFolder => {
                let policy = match conflict::making_folder(&asked.query)? {
                    FolderPolicy::Existing => None,
                    FolderPolicy::Fail => Some(Policy::Fail),
                    FolderPolicy::KeepBoth => Some(Policy::KeepBoth),
                };
                let parent = asked.body.text("parent_id")?;
                let parent = account.parent(parent.as_deref().unwrap_or("root")).await?;
                let at = Place::new(parent, asked.body.required_text("name")?);
                let made = Self::plain(account, at, Policy::Fail);
                Self { kind: EntryKind::Folder, policy, ..made }
            }
            _ => return Ok(None),
        };
        Ok(Some(intent))
    }

    fn plain(account: &Account, at: Place, policy: Policy) -> Self {
        Self {
            account: account.clone(),
            at,
            kind: EntryKind::File,
            size: None,
            sha256: None,
            policy: Some(policy),
            moves: None,
            across: false,
            from: None,
        }
    }

    async fn upload(account: &Account, asked: &Asked<'_>) -> Answer<Self> {
        let header = asked.headers.get("x-kloudless-metadata");
        let header = header.ok_or_else(|| Problem::bad_request("The metadata is missing."))?;
        let metadata = Metadata::read(crate::query::latin(header.as_bytes().to_vec()))?;
        let policy = conflict::creating(&asked.query, asked.headers)?;
        let (size, sha256) = match &asked.content {
            Some((size, sha256)) => (Some(*size), sha256.clone()),
            None => (metadata.size, None),
        };
        let made = Self::plain(account, metadata.place(account).await?, policy);
        Ok(Self { size, sha256, ..made })
    }

    async fn source(account: &Account, asked: &Asked<'_>) -> Answer<EntryRef> {
        let missing = || Problem::not_found("object");
        let (kind, id) = asked.of.as_ref().ok_or_else(missing)?;
        account.object("id", id, *kind).await.map_err(|_| missing())
    }

    async fn copy(account: &Account, asked: &Asked<'_>) -> Answer<Self> {
        let of = Self::source(account, asked).await?;
        let target = Target::read(account, &asked.body).await?;
        let required = || Problem::invalid("parent_id", "is required");
        let parent = target.parent.ok_or_else(required)?;
        let entry = account.storage()?.get(&account.cx(), &of).await?;
        let name = asked.body.text("name")?.unwrap_or(entry.name);
        let across = target.account.is_some();
        let into = target.account.unwrap_or_else(|| account.clone());
        let policy = conflict::making(&asked.query)?;
        let made = Self::plain(&into, Place::new(parent, name), policy);
        let sha256 = entry.hashes.sha256;
        let from = Some(account.clone());
        Ok(Self { kind: of.kind, size: entry.size, sha256, across, from, ..made })
    }

    /// The source may be gone already: then what is known of it is what the request says.
    async fn relocation(account: &Account, asked: &Asked<'_>) -> Answer<Self> {
        let of = Self::source(account, asked).await?;
        let target = Target::read(account, &asked.body).await?;
        let entry = match account.storage()?.get(&account.cx(), &of).await {
            Ok(entry) => Some(entry),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let missing = || Problem::not_found("object");
        let noted = asked.noted.as_ref();
        let name = asked
            .body
            .text("name")?
            .or(entry.as_ref().map(|entry| entry.name.clone()))
            .or(noted.map(|noted| noted.name.clone()));
        let across = target.account.is_some();
        let into = target.account.unwrap_or_else(|| account.clone());
        let own = entry.as_ref().and_then(|entry| entry.parent.as_ref());
        let parent = match target.parent {
            Some(parent) => parent,
            None if across => into.parent("root").await?,
            None => {
                let own = own.map(|parent| parent.id.clone());
                own.or(noted.map(|noted| noted.parent.clone())).ok_or_else(missing)?
            }
        };
        let policy = conflict::placing(&asked.query)?;
        let made = Self::plain(&into, Place::new(parent, name.ok_or_else(missing)?), policy);
        let size = entry.as_ref().and_then(|entry| entry.size);
        let sha256 = entry.and_then(|entry| entry.hashes.sha256);
        let from = Some(account.clone());
        Ok(Self { kind: of.kind, size, sha256, moves: Some(of), across, from, ..made })
    }

    /// The files of the account that it would be in, and a context for calls to them.
    pub(crate) fn there(&self) -> Answer<(&Filled, Cx)> {
        Ok((self.account.storage()?.as_ref(), self.account.cx()))
    }

    /// Whether it copies something that there is.
    pub(crate) fn is_copy(&self) -> bool {
        self.from.is_some()
    }

    /// Whether an entry can be what this would make.
    pub(crate) fn fits(&self, entry: &Entry) -> bool {
        let size = self.size.is_none() || entry.size.is_none() || self.size == entry.size;
        let hash = match (&self.sha256, &entry.hashes.sha256) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            _ => true,
        };
        entry.kind == self.kind && (self.kind == EntryKind::Folder || (size && hash))
    }

    /// What has the name at a place now.
    pub(crate) async fn look(&self, parent: &NativeId, name: &str) -> Answer<Option<Entry>> {
        let (storage, cx) = self.there()?;
        Ok(storage.child(&cx, &Place::new(parent.clone(), name)).await?)
    }

    /// The name that this would get now, and whether it is free.
    pub(crate) async fn pin(&self) -> Answer<Pinned> {
        let tries = if self.policy == Some(Policy::KeepBoth) { MAX_NAMES } else { 1 };
        for n in 0..tries {
            let name = match n {
                0 => self.at.name.clone(),
                n => free_name(&self.at.name, n, self.kind == EntryKind::Folder),
            };
            let free = self.look(&self.at.parent, &name).await?.is_none();
            if free || tries == 1 {
                return Ok(Pinned { parent: self.at.parent.clone(), name, free });
            }
        }
        Err(Problem::new(
            tramontane_model::Code::NamingConflict,
            "No free name was found in the folder.",
        ))
    }
}
