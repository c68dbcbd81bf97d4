//! The one wrapper: asks the service, and fills in what it declines.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tramontane_connector::storage::{Content, ReadOptions};
use tramontane_connector::{Abilities, Account, Cx, Entry, EntryRef, Result, Storage};
use tramontane_model::{NativeId, Op, Page, PageRequest, Support};

use crate::ceilings::Ceilings;
use crate::gaps;
use crate::spool::Spool;

/// A connector's storage with its gaps filled. One for all accounts of a connector.
pub struct Filled {
    native: Arc<dyn Storage>,
    spool: Spool,
    ceilings: Ceilings,
}

impl Filled {
    /// This storage, its gaps filled, within the default ceilings.
    #[must_use]
    pub fn new(native: Arc<dyn Storage>, spool: Spool) -> Self {
        Self { native, spool, ceilings: Ceilings::default() }
    }

    /// The same, within other ceilings.
    #[must_use]
    pub fn with_ceilings(self, ceilings: Ceilings) -> Self {
        Self { ceilings, ..self }
    }

    /// What it may do before it says no.
    #[must_use]
    pub fn ceilings(&self) -> &Ceilings {
        &self.ceilings
    }

    /// Where it spools.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The service itself.
    #[must_use]
    pub fn native(&self) -> &Arc<dyn Storage> {
        &self.native
    }

    /// How every operation is supported for this account.
    #[must_use]
    pub fn support(&self, account: &Account) -> BTreeMap<Op, Support> {
        gaps::support(&self.native.abilities(account))
    }
}

#[async_trait]
impl Storage for Filled {
    fn abilities(&self, account: &Account) -> Abilities {
        self.native.abilities(account)
    }

    fn root(&self, account: &Account) -> NativeId {
        self.native.root(account)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.native.get(cx, of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.native.list(cx, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        self.native.read(cx, file, how).await
    }
}
