//! Databases for tests: a fresh one on each engine. Behind the feature `testing`, for every crate
//! whose tests need a database.
//!
//! SQLite is a file in a temporary folder. PostgreSQL is a schema of its own in the database that
//! `TRAMONTANE_TEST_POSTGRES` names; when that is not set, `postgres://postgres@127.0.0.1:5432/test`
//! is used if it answers. When it is set and does not answer, tests fail: they are never skipped.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::db::{Db, Limits};
use crate::dialect::Dialect;
use crate::record::statement_text;
use crate::{accounts, applications, credentials, data_keys, developers};

const DEFAULT_POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/test";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A database that is empty but migrated, and is gone when the test is.
#[derive(Debug)]
pub struct Scratch {
    /// The database.
    pub db: Db,
    /// Its URL, for a second connection.
    pub url: String,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Folder(PathBuf),
    Schema { base: String, name: String },
}

impl Scratch {
    /// A fresh SQLite database.
    pub async fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("tramontane-{}", unique()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let url = Db::sqlite_url(&folder.join("test.db"));
        let db = open(&url).await;
        Self { db, url, home: Home::Folder(folder) }
    }

    /// A fresh PostgreSQL database; `None` when none was asked for and none answers.
    pub async fn postgres() -> Option<Self> {
        let asked = std::env::var("TRAMONTANE_TEST_POSTGRES").ok();
        let base = asked.clone().unwrap_or_else(|| DEFAULT_POSTGRES.to_owned());
        let limits = Limits { connections: 1, ..Limits::default() };
        let root = match Db::connect_with(&base, limits).await {
            Ok(root) => root,
            Err(_) if asked.is_none() => return None,
            Err(error) => panic!("TRAMONTANE_TEST_POSTGRES does not answer: {error:?}"),
        };
        let name = format!("t_{}", unique());
        run(&root, format!("CREATE SCHEMA {name}")).await;
        root.close().await;
        let separator = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{separator}options[search_path]={name}");
        let db = open(&url).await;
        Some(Self { db, url, home: Home::Schema { base, name } })
    }

    /// A second, independent connection to the same database, as another process has.
    pub async fn second(&self) -> Db {
        Db::connect(&self.url).await.expect("the database was reached before")
    }

    /// The same database through connections that the engine refuses every write on: what a request
    /// that only reads must get by with.
    pub async fn read_only(&self) -> Db {
        Db::connect_read_only(&self.url).await.expect("the database was reached before")
    }

    /// Removes the database.
    pub async fn remove(self) {
        self.db.close().await;
        match self.home {
            Home::Folder(folder) => {
                // A file that another connection still holds is left to the system's own cleaning.
                let _ = std::fs::remove_dir_all(folder);
            }
            Home::Schema { base, name } => {
                let limits = Limits { connections: 1, ..Limits::default() };
                let root = Db::connect_with(&base, limits).await.expect("it was reached before");
                run(&root, format!("DROP SCHEMA {name} CASCADE")).await;
                root.close().await;
            }
        }
    }
}

/// Runs a test on SQLite, then on PostgreSQL.
pub async fn on_each_engine<F: Future<Output = Scratch>>(test: impl Fn(Scratch) -> F) {
    test(Scratch::sqlite().await).await.remove().await;
    if let Some(scratch) = Scratch::postgres().await {
        assert_eq!(scratch.db.dialect(), Dialect::Postgres);
        test(scratch).await.remove().await;
    }
}

async fn open(url: &str) -> Db {
    let db = Db::connect(url).await.expect("a fresh database opens");
    db.migrate().await.expect("a fresh database migrates");
    db
}

async fn run(db: &Db, text: String) {
    statement_text(text).execute(db.writer()).await.expect("the schema can be changed");
}

fn unique() -> String {
    // The hasher's random keys are randomness enough for a name, and need no dependency.
    let random = RandomState::new().build_hasher().finish();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}_{random:x}_{number}", std::process::id())
}

/// A developer, one application per name, and the accounts that are named with it, all local folders.
pub async fn seed(db: &Db, applications: &[(&str, &[i64])]) {
    let key = data_keys::DataKey {
        id: "k".into(),
        wrapped: vec![1],
        master: "m".into(),
        active: true,
        created: 0,
        retired: None,
    };
    data_keys::insert_first(db, &key).await.expect("the database is empty");
    let developer = developers::Developer {
        id: 1,
        email: "dev@example.com".into(),
        first_name: String::new(),
        last_name: String::new(),
        created: 0,
        modified: 0,
    };
    developers::insert(db, &developer).await.expect("the database is empty");
    for (name, accounts) in applications {
        let row = applications::Application {
            id: (*name).to_owned(),
            developer: 1,
            name: (*name).to_owned(),
            description: String::new(),
            logo_url: None,
            active: true,
            implicit_grant_enabled: false,
            recent_enabled: true,
            events_enabled: true,
            keys_show_once: false,
            source: None,
            settings: json!({}),
            created: 0,
            modified: 0,
        };
        applications::insert(db, &row).await.expect("the name is new");
        for id in *accounts {
            account(db, name, *id).await;
        }
    }
}

async fn account(db: &Db, application: &str, id: i64) {
    let row = accounts::Account {
        id,
        application: application.to_owned(),
        service: "local".into(),
        admin: false,
        identity: id.to_string(),
        display: id.to_string(),
        active: true,
        settings: json!({}),
        custom_properties: json!({}),
        scope: String::new(),
        credential_state: accounts::CredentialState::Ok,
        credential_reason: None,
        credential_since: 0,
        token_expiry: None,
        refresh_token_expiry: None,
        revision: 1,
        created: 0,
        modified: 0,
    };
    let credential = credentials::Credential {
        account: id,
        sealed: vec![1],
        key_id: "k".into(),
        version: 1,
        modified: 0,
        renewals: 0,
    };
    accounts::insert(db, &row, &credential).await.expect("the id is new");
}
