//! Rows to start from.

use serde_json::json;
use tramontane_store::accounts::{Account, CredentialState};
use tramontane_store::applications::Application;
use tramontane_store::credentials::Credential;
use tramontane_store::data_keys::{self, DataKey};
use tramontane_store::developers::{self, Developer};
use tramontane_store::keys::ApiKey;
use tramontane_store::tasks::{Task, TaskState};
use tramontane_store::{Db, accounts, applications};

/// The key that seals in these tests.
pub(crate) const KEY: &str = "0011223344556677";

pub(crate) fn developer(id: i64) -> Developer {
    Developer {
        id,
        email: format!("dev{id}@example.com"),
        first_name: "Ana".into(),
        last_name: "Lopes".into(),
        created: 10,
        modified: 10,
    }
}

pub(crate) fn application(developer: i64, id: &str) -> Application {
    Application {
        id: id.into(),
        developer,
        name: "Notes".into(),
        description: String::new(),
        logo_url: None,
        active: true,
        implicit_grant_enabled: false,
        recent_enabled: true,
        events_enabled: true,
        keys_show_once: false,
        source: None,
        settings: json!({}),
        created: 20,
        modified: 20,
    }
}

pub(crate) fn api_key(application: &str, id: &str) -> ApiKey {
    ApiKey {
        id: id.into(),
        application: application.into(),
        hash: format!("hash of {id}"),
        sealed: vec![0, 255, 1],
        key_id: KEY.into(),
        version: 1,
        label: String::new(),
        access: None,
        active: true,
        created: 30,
        modified: 30,
        expires: None,
    }
}

pub(crate) fn account(id: i64, application: &str) -> Account {
    Account {
        id,
        application: application.into(),
        service: "webdav".into(),
        admin: false,
        identity: format!("user{id}"),
        display: format!("user{id}@example.com"),
        active: true,
        settings: json!({"url": "https://dav.example.com"}),
        custom_properties: json!({}),
        scope: String::new(),
        credential_state: CredentialState::Ok,
        credential_reason: None,
        credential_since: 40,
        token_expiry: None,
        refresh_token_expiry: None,
        revision: 1,
        created: 40,
        modified: 40,
    }
}

pub(crate) fn credential(account: i64) -> Credential {
    let (sealed, key_id) = (vec![7; 40], KEY.into());
    Credential { account, sealed, key_id, version: 1, modified: 40, renewals: 0 }
}

pub(crate) fn task(account: i64, id: &str) -> Task {
    Task {
        id: id.into(),
        account,
        operation: "copy".into(),
        state: TaskState::Pending,
        payload: json!({"from": "a"}),
        progress: json!({}),
        result: None,
        run_after: 100,
        lease_owner: None,
        leased_until: None,
        epoch: 0,
        attempts: 0,
        cancel_requested: None,
        created: 100,
        modified: 100,
        finished: None,
    }
}

pub(crate) fn data_key(id: &str) -> DataKey {
    DataKey {
        id: id.into(),
        wrapped: vec![1, 2, 3],
        master: "m1".into(),
        active: true,
        created: 1,
        retired: None,
    }
}

/// Developer 1 with application `app-a` and its accounts 1 and 2; developer 2 with `app-b` and 3.
pub(crate) async fn populate(db: &Db) {
    assert!(data_keys::insert_first(db, &data_key(KEY)).await.unwrap());
    for (owner, app, ids) in [(1, "app-a", vec![1, 2]), (2, "app-b", vec![3])] {
        developers::insert(db, &developer(owner)).await.unwrap();
        let key = api_key(app, &format!("key of {app}"));
        applications::insert_with_key(db, &application(owner, app), &key).await.unwrap();
        for id in ids {
            accounts::insert(db, &account(id, app), &credential(id)).await.unwrap();
        }
    }
}
