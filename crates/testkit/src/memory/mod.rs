//! A service in memory that can do everything: the reference that the suite is tried on first, and a
//! quick account for tests of whatever stands above.

mod drive;
mod links;
mod parts;
mod storage;
mod team;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tramontane_connector::descriptor::{Descriptor, Field};
use tramontane_connector::{
    AsUser, Category, Connector, Cx, EntryKind, Error, Identity, Result, ShareLink, Storage, Team,
};
use tramontane_model::{AccountId, NativeId, Timestamp};

use drive::Drive;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "memory",
    friendly_name: "Memory",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[
        Field::text("drive", "Drive", "Any name; accounts of one drive share nothing.").or("one"),
        Field::secret("password", "Password", "Anything but \"wrong\".").optional(),
    ],
    documentation: "https://docs.rs/tramontane-testkit",
};

/// The files of all accounts, in memory.
#[derive(Clone, Default)]
pub struct Memory {
    /// By account, and by the member that it acts as.
    drives: Arc<Mutex<BTreeMap<(AccountId, String), Drive>>>,
}

impl Memory {
    /// No accounts, no files. Accounts come to be when they are first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks a file as one that cannot be downloaded, as documents native to some services are.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn forbid_download(&self, account: AccountId, file: &NativeId) -> Result<()> {
        self.with(account, "", Timestamp::from_micros(0), |drive| {
            let id = drive.live(EntryKind::File, file)?;
            drive.get_mut(id)?.downloadable = false;
            Ok(())
        })
    }

    /// The links to a file that are there at the service.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn links_to(&self, account: AccountId, file: &NativeId) -> Result<Vec<ShareLink>> {
        self.with(account, "", Timestamp::from_micros(0), |drive| {
            let id = drive.live(EntryKind::File, file)?;
            Ok(drive.get(id)?.links.clone())
        })
    }

    /// Removes the links to a file, as someone at the service does.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_links(&self, account: AccountId, file: &NativeId) -> Result<()> {
        self.with(account, "", Timestamp::from_micros(0), |drive| {
            let id = drive.live(EntryKind::File, file)?;
            drive.get_mut(id)?.links.clear();
            Ok(())
        })
    }

    fn with<T>(
        &self,
        account: AccountId,
        user: &str,
        now: Timestamp,
        act: impl FnOnce(&mut Drive) -> Result<T>,
    ) -> Result<T> {
        let mut drives: MutexGuard<'_, _> =
            self.drives.lock().unwrap_or_else(PoisonError::into_inner);
        act(drives.entry((account, user.to_owned())).or_insert_with(|| Drive::new(now)))
    }

    fn on<T>(&self, cx: &Cx, act: impl FnOnce(&mut Drive) -> Result<T>) -> Result<T> {
        self.with(cx.account.id, cx.as_user.as_deref().unwrap_or_default(), cx.now(), act)
    }
}

#[async_trait]
impl Connector for Memory {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        if cx.account.credential.get("password") == Some("wrong") {
            return Err(Error::new(
                tramontane_connector::Kind::Credential,
                "The service refuses the password.",
            ));
        }
        let id = cx.account.setting("drive").unwrap_or("one").to_owned();
        Ok(Identity { display: format!("{id}@memory"), id })
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(self.clone()))
    }

    fn team(&self) -> Option<Arc<dyn Team>> {
        Some(Arc::new(self.clone()))
    }

    fn as_user(&self) -> AsUser {
        AsUser::Optional
    }
}
