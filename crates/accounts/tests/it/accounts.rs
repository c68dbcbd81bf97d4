//! Importing, changing, renewing, deleting accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;
use tramontane_accounts::{
    AccountChange, AccountFilter, CredentialState, Directory, Error, Keys, Masters, NewToken,
    Options, Refusal,
};
use tramontane_connector::{Credential, Settings};
use tramontane_model::AccountId;
use tramontane_store::Slice;
use tramontane_store::scratch::{Scratch, on_each_engine};
use tramontane_vault::Entropy;

use crate::house::{House, new_account};

fn properties(members: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    members.iter().map(|(key, value)| ((*key).into(), value.map(Into::into))).collect()
}

#[tokio::test]
async fn an_import_of_the_same_identity_updates_the_account_and_keeps_its_tokens() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let directory = &house.directory;
        let mut new = new_account("ana@example.com");
        new.custom_properties = properties(&[("customer", Some("c-17")), ("plan", Some("a"))]);
        let first = directory.import(house.app(), new.clone()).await.unwrap();
        assert!(first.created);
        assert!((100_000_000..=i64::from(i32::MAX)).contains(&first.opened.id().number()));
        let token = house.token(&first.opened, NewToken::default()).await;
        let dead = CredentialState::Dead;
        directory.report_credential(&first.opened, dead, Some("revoked")).await.unwrap();
        let seen = directory.open(first.opened.id()).await.unwrap().unwrap();
        assert_eq!(seen.row.credential_reason.as_deref(), Some("revoked"));

        new.credential = Credential::from_iter([("username", "ana"), ("password", "new")]);
        new.custom_properties = properties(&[("plan", None), ("seat", Some("3"))]);
        let again = directory.import(house.app(), new.clone()).await.unwrap();
        assert!(!again.created);
        assert_eq!(again.opened.id(), first.opened.id());
        assert_eq!(again.opened.account.credential.get("password"), Some("new"));
        assert_eq!(again.opened.row.custom_properties, json!({"customer": "c-17", "seat": "3"}));
        assert_eq!(again.opened.row.credential_state, CredentialState::Ok);
        assert!(again.opened.account.revision > first.opened.account.revision);
        let header = crate::house::bearer(&[&token]);
        let realm = tramontane_accounts::Realm::Accounts;
        directory.authenticate(Some(&header), realm).await.unwrap();

        // Another access, another service or another application is another account.
        let admin = tramontane_accounts::NewAccount { admin: true, ..new.clone() };
        assert!(directory.import(house.app(), admin).await.unwrap().created);
        let other = tramontane_accounts::NewAccount { service: "sftp".into(), ..new.clone() };
        assert!(directory.import(house.app(), other).await.unwrap().created);
        let nowhere = directory.import("no-such-app", new).await.unwrap_err();
        assert!(matches!(nowhere, Error::NotFound("application")));
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn an_import_finds_the_account_that_was_connected_under_the_services_own_id() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let mut connected = new_account("ana@example.com");
        connected.identity = Some("uid-123".into());
        let first = house.directory.import(house.app(), connected).await.unwrap();
        let again =
            house.directory.import(house.app(), new_account("ana@example.com")).await.unwrap();
        assert_eq!((again.created, again.opened.id()), (false, first.opened.id()));
        assert_eq!(again.opened.row.identity, "uid-123");
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn many_imports_of_one_identity_at_once_make_one_account() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let shell = house.other_process().await;
        let imports = (0..8).map(|number| {
            let directory = if number % 2 == 0 { &house.directory } else { &shell };
            directory.import(house.app(), new_account("ana"))
        });
        let done: Vec<_> =
            futures::future::join_all(imports).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(done.iter().filter(|one| one.created).count(), 1);
        assert!(done.iter().all(|one| one.opened.id() == done[0].opened.id()));
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

/// Gives 0, 1, 2, ... so that what looks random is known.
#[derive(Debug, Default)]
struct Turns(AtomicU8);

impl Entropy for Turns {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        bytes[0] = self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn ids_come_from_the_operators_range_until_it_is_used_up() {
    let house = House::on(Scratch::sqlite().await).await;
    let narrow = Options { account_ids: 5..=6, ..Options::default() };
    let masters = Masters::only(house.master.clone());
    let (db, clock) = (house.scratch.db.clone(), Arc::new(house.clock.clone()));
    let keys = Keys::load(db.clone(), masters, clock, Arc::new(Turns::default())).await.unwrap();
    let directory = Directory::new(db, keys.clone(), narrow).unwrap();
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let imported = directory.import(house.app(), new_account(name)).await.unwrap();
        ids.push(imported.opened.id().number());
    }
    ids.sort_unstable();
    assert_eq!(ids, [5, 6]);
    let full = directory.import(house.app(), new_account("c")).await.unwrap_err();
    assert!(matches!(full, Error::NoFreeId));
    let backwards = std::ops::RangeInclusive::new(7, 6);
    for bad in [0..=5, 5..=i64::from(i32::MAX) + 1, backwards] {
        let options = Options { account_ids: bad, ..Options::default() };
        assert!(Directory::new(house.scratch.db.clone(), keys.clone(), options).is_err());
    }
    house.leave().await.remove().await;
}

#[tokio::test]
async fn changes_merge_and_a_change_of_nothing_writes_nothing() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (directory, app) = (&house.directory, house.app());
        let account = house.connect("ana").await;
        let id = account.id();
        let change =
            |change: AccountChange| async move { directory.update_account(app, id, &change).await };
        house.clock.turn_seconds(60);
        let same = change(AccountChange { active: Some(true), ..AccountChange::default() });
        let same = same.await.unwrap();
        assert_eq!(same.row, account.row);
        let off = AccountChange {
            active: Some(false),
            custom_properties: properties(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]),
            ..AccountChange::default()
        };
        let off = change(off).await.unwrap();
        assert!(matches!(off.require_active(), Err(Refusal::AccountInactive)));
        assert!(off.row.modified > account.row.modified);
        let settings = Settings::from([("url".into(), "https://other.example.com/".into())]);
        let moved = AccountChange {
            settings: Some(settings.clone()),
            custom_properties: properties(&[("a", None), ("b", Some("4"))]),
            token_expiry: Some(Some(9)),
            ..AccountChange::default()
        };
        let moved = change(moved).await.unwrap();
        assert_eq!(moved.account.settings, settings);
        assert_eq!(moved.row.custom_properties, json!({"b": "4", "c": "3"}));
        assert_eq!(moved.row.token_expiry, Some(9));
        assert_eq!(moved.account.credential.get("password"), Some("pa55-word"));
        assert_eq!(directory.open(id).await.unwrap().unwrap().row, moved.row);
        let long = AccountChange { display: Some("x".repeat(2_000)), ..AccountChange::default() };
        assert!(matches!(change(long).await, Err(Error::Invalid { .. })));
        let nobody = directory.update_account("other", id, &AccountChange::default()).await;
        assert!(matches!(nobody, Err(Error::NotFound("account"))));
        let (listed, total) =
            directory.accounts(app, &AccountFilter::default(), Slice::ALL).await.unwrap();
        assert_eq!((listed, total), (vec![moved.row.clone()], 1));
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn concurrent_changes_of_different_members_are_all_kept() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let shell = house.other_process().await;
        let account = house.connect("ana").await;
        let changes = (0..6).map(|number| {
            let directory = if number % 2 == 0 { &house.directory } else { &shell };
            let key = format!("k{number}");
            let change = AccountChange {
                custom_properties: BTreeMap::from([(key, Some("x".to_owned()))]),
                ..AccountChange::default()
            };
            let (app, id) = (house.app(), account.id());
            async move { directory.update_account(app, id, &change).await.unwrap() }
        });
        futures::future::join_all(changes).await;
        house.directory.forget_all();
        let seen = house.directory.open(account.id()).await.unwrap().unwrap();
        assert_eq!(seen.row.custom_properties.as_object().unwrap().len(), 6);
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn secrets_are_neither_printed_nor_stored_in_the_open() {
    let house = House::on(Scratch::sqlite().await).await;
    let account = house.connect("ana").await;
    let token = house.token(&account, NewToken::default()).await;
    assert!(!format!("{account:?} {token:?} {:?}", house.first).contains("pa55-word"));
    house.scratch.db.close().await;
    let path = house.scratch.url.trim_start_matches("sqlite:");
    let bytes = std::fs::read(path).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("dav.example.com"), "the file is the database");
    use secrecy::ExposeSecret as _;
    let secrets = [
        "pa55-word",
        token.expose_secret(),
        house.first.api_key.expose_secret(),
        house.first.meta_token.expose_secret(),
    ];
    for secret in secrets {
        assert!(!holds(secret));
    }
    house.leave().await.remove().await;
}

#[tokio::test]
async fn a_deleted_account_is_gone_for_everyone() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let foreign = house.directory.delete_account("other", account.id()).await.unwrap_err();
        assert!(matches!(foreign, Error::NotFound("account")));
        house.directory.delete_account(house.app(), account.id()).await.unwrap();
        assert!(house.directory.open(account.id()).await.unwrap().is_none());
        let again = house.directory.delete_account(house.app(), account.id()).await.unwrap_err();
        assert!(matches!(again, Error::NotFound("account")));
        let none = house.directory.account_of(house.app(), AccountId::new(1).unwrap()).await;
        assert!(matches!(none, Err(Error::NotFound("account"))));
        assert!(house.directory.import(house.app(), new_account("ana")).await.unwrap().created);
        house.leave().await
    })
    .await;
}
