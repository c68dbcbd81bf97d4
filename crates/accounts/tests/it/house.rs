//! A directory with a developer, an application and a key, and a clock that is turned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tramontane_accounts::{
    Access, Directory, FirstRun, Keys, Masters, NewAccount, NewToken, Opened, Options,
};
use tramontane_connector::{Credential, Settings};
use tramontane_model::Timestamp;
use tramontane_model::time::ManualClock;
use tramontane_store::Db;
use tramontane_store::scratch::Scratch;
use tramontane_vault::{MasterKey, SystemEntropy};

/// What tests start from.
pub(crate) struct House {
    pub(crate) scratch: Scratch,
    pub(crate) directory: Directory,
    pub(crate) first: FirstRun,
    pub(crate) clock: ManualClock,
    pub(crate) master: MasterKey,
}

impl House {
    pub(crate) async fn on(scratch: Scratch) -> Self {
        let clock = ManualClock::at(Timestamp::from_seconds(1_772_442_900));
        let master = MasterKey::generate(&SystemEntropy);
        let masters = Masters::only(master.clone());
        let directory = directory_on(scratch.db.clone(), masters, &clock).await;
        let first = directory.first_run("operator@localhost", "first").await.unwrap().unwrap();
        Self { scratch, directory, first, clock, master }
    }

    /// Another process on the same database.
    pub(crate) async fn other_process(&self) -> Directory {
        let db = self.scratch.second().await;
        directory_on(db, Masters::only(self.master.clone()), &self.clock).await
    }

    pub(crate) fn app(&self) -> &str {
        &self.first.application.id
    }

    pub(crate) fn api_key(&self) -> String {
        format!("APIKey {}", self.first.api_key.expose_secret())
    }

    /// An account of the first application with a password.
    pub(crate) async fn connect(&self, display: &str) -> Arc<Opened> {
        let imported = self.directory.import(self.app(), new_account(display)).await.unwrap();
        assert!(imported.created);
        imported.opened
    }

    pub(crate) async fn token(&self, account: &Opened, new: NewToken) -> SecretString {
        let maker = Access::everything();
        let minted = self.directory.create_token(self.app(), account.id(), &maker, new);
        minted.await.unwrap().token
    }

    pub(crate) async fn leave(self) -> Scratch {
        self.scratch
    }
}

pub(crate) async fn directory_on(db: Db, masters: Masters, clock: &ManualClock) -> Directory {
    let keys = Keys::load(db.clone(), masters, Arc::new(clock.clone()), Arc::new(SystemEntropy));
    Directory::new(db, keys.await.unwrap(), Options::default()).unwrap()
}

pub(crate) fn new_account(display: &str) -> NewAccount {
    NewAccount {
        service: "webdav".into(),
        admin: false,
        identity: None,
        display: display.into(),
        settings: Settings::from([("url".into(), "https://dav.example.com/".into())]),
        credential: Credential::from_iter([("username", "ana"), ("password", "pa55-word")]),
        custom_properties: BTreeMap::new(),
        scope: String::new(),
        token_expiry: None,
        refresh_token_expiry: None,
    }
}

pub(crate) fn bearer(tokens: &[&SecretString]) -> String {
    let texts: Vec<&str> = tokens.iter().map(|token| token.expose_secret()).collect();
    format!("Bearer {}", texts.join(","))
}
