//! Rotating data keys and changing the master key, also under load and across processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::ExposeSecret as _;
use tramontane_accounts::{AccountChange, Error, Keys, Masters, NewKey, Realm};
use tramontane_connector::Credential;
use tramontane_store::data_keys;
use tramontane_store::scratch::{Scratch, on_each_engine};
use tramontane_vault::{MasterKey, SystemEntropy};

use crate::house::{House, directory_on, new_account};

#[tokio::test]
async fn every_value_is_sealed_again_and_still_opens() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let directory = &house.directory;
        for number in 0..5 {
            house.connect(&format!("user {number}")).await;
        }
        let former = directory.keys().ring().active().to_string();
        let done = directory.keys().rotate().await.unwrap();
        assert_ne!(done.active, former);
        assert_eq!((done.resealed, done.rewrapped, done.removed), (6, 0, 0));
        assert_eq!(done.damaged, Vec::<String>::new());
        assert_eq!(data_keys::uses(directory.db(), &former).await.unwrap(), 0);
        directory.forget_all();
        let again = directory.import(house.app(), new_account("user 3")).await.unwrap();
        assert!(!again.created);
        assert_eq!(directory.api_keys(house.app()).await.unwrap().len(), 1);
        assert!(directory.api_keys(house.app()).await.unwrap()[0].key.is_some());
        // The retired key stays two days, for the sealed tokens it made, and goes then.
        house.clock.turn_seconds(47 * 3_600);
        assert_eq!(directory.keys().tidy().await.unwrap().removed, 0);
        house.clock.turn_seconds(2 * 3_600);
        let kept = tramontane_accounts::Retention::default();
        assert_eq!(directory.upkeep(&kept).await.unwrap().removed, 1);
        assert_eq!(directory.keys().ring().key_ids().count(), 1);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_serving_process_reads_and_writes_on_while_another_rotates() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let shell = house.other_process().await;
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(house.connect(&format!("user {number}")).await.id());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut serving = Vec::new();
        for worker in 0..3_usize {
            let (directory, app) = (house.directory.clone(), house.app().to_owned());
            let (ids, stop) = (ids.clone(), stop.clone());
            serving.push(tokio::spawn(async move {
                let mut turns = 0_usize;
                while !stop.load(Ordering::SeqCst) || turns < 10 {
                    let id = ids[(turns * 7 + worker) % ids.len()];
                    directory.forget_account(id);
                    let opened = directory.open(id).await.unwrap().unwrap();
                    let password = opened.account.credential.get("password").unwrap();
                    assert!(password == "pa55-word" || password.starts_with("changed"));
                    let credential = Credential::from_iter([("password", "changed")]);
                    let change =
                        AccountChange { credential: Some(credential), ..AccountChange::default() };
                    directory.update_account(&app, id, &change).await.unwrap();
                    directory.create_key(&app, &NewKey::default()).await.unwrap();
                    let new = new_account(&format!("new {worker} {turns}"));
                    directory.import(&app, new).await.unwrap();
                    turns += 1;
                }
                turns
            }));
        }
        for _ in 0..3 {
            let done = shell.keys().rotate().await.unwrap();
            assert_eq!(done.damaged, Vec::<String>::new());
        }
        stop.store(true, Ordering::SeqCst);
        for worker in serving {
            assert!(worker.await.unwrap() >= 10);
        }
        // What slow writers sealed by a retired key is found by the next tidying.
        house.clock.turn_seconds(49 * 3_600);
        let tidied = shell.keys().tidy().await.unwrap();
        assert_eq!((tidied.damaged, tidied.removed), (vec![], 3));
        house.directory.forget_all();
        for id in ids {
            let opened = house.directory.open(id).await.unwrap().unwrap();
            assert!(opened.account.credential.get("password").is_some());
        }
        for key in house.directory.api_keys(house.app()).await.unwrap() {
            let header = format!("APIKey {}", key.key.unwrap().expose_secret());
            house.directory.authenticate(Some(&header), Realm::Accounts).await.unwrap();
        }
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_process_that_has_not_heard_of_a_key_reads_it_when_it_meets_it() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let shell = house.other_process().await;
        shell.keys().rotate().await.unwrap();
        let stale = house.directory.keys().ring().active();
        assert_ne!(stale, shell.keys().ring().active());
        house.directory.forget_all();
        let opened = house.directory.open(account.id()).await.unwrap().unwrap();
        assert_eq!(opened.account.credential.get("password"), Some("pa55-word"));
        assert_eq!(house.directory.keys().ring().active(), shell.keys().ring().active());

        // Sealed tokens, both ways.
        let (here, there) = (house.directory.keys(), shell.keys());
        let expires = house.directory.clock().now().plus_seconds(60);
        let token = here.sealer("pt_").seal("list", expires, &7).unwrap();
        there.rotate().await.unwrap();
        let old: i32 = there.open_token(&there.sealer("pt_"), "list", &token).await.unwrap();
        let token = there.sealer("pt_").seal("list", expires, &8).unwrap();
        let new: i32 = here.open_token(&here.sealer("pt_"), "list", &token).await.unwrap();
        assert_eq!((old, new), (7, 8));
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_writer_with_a_removed_key_seals_again_with_the_present_one() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let shell = house.other_process().await;
        shell.keys().rotate().await.unwrap();
        house.clock.turn_seconds(49 * 3_600);
        assert_eq!(shell.keys().tidy().await.unwrap().removed, 1);
        // This process still seals by the removed key, and finds out when it writes.
        let account = house.connect("ana").await;
        house.directory.create_key(house.app(), &NewKey::default()).await.unwrap();
        shell.keys().rotate().await.unwrap();
        let opened = shell.open(account.id()).await.unwrap().unwrap();
        assert_eq!(opened.account.credential.get("password"), Some("pa55-word"));
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn two_rotations_at_once_leave_one_active_key_and_nothing_unreadable() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let shell = house.other_process().await;
        let (a, b) = tokio::join!(house.directory.keys().rotate(), shell.keys().rotate());
        for one in [&a, &b] {
            assert!(matches!(one, Ok(_) | Err(Error::RotatedElsewhere)), "{one:?}");
        }
        assert!(a.is_ok() || b.is_ok());
        let stored = data_keys::list(shell.db()).await.unwrap();
        assert_eq!(stored.iter().filter(|key| key.active).count(), 1);
        shell.forget_all();
        assert!(shell.open(account.id()).await.unwrap().is_some());
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_new_master_key_takes_over_and_the_old_one_may_go() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let fresh = MasterKey::generate(&SystemEntropy);
        let load = |masters| {
            let (clock, entropy) = (Arc::new(house.clock.clone()), Arc::new(SystemEntropy));
            Keys::load(house.scratch.db.clone(), masters, clock, entropy)
        };
        let locked = load(Masters::only(fresh.clone())).await.unwrap_err();
        assert!(locked.to_string().contains("previous master keys"), "{locked}");
        let both = Masters { current: fresh.clone(), previous: vec![house.master.clone()] };
        let keys = load(both).await.unwrap();
        let done = keys.rotate().await.unwrap();
        assert_eq!(done.rewrapped, 1);
        assert_eq!(keys.rewrap().await.unwrap(), 0);
        load(Masters::only(house.master.clone())).await.unwrap_err();
        let db = house.scratch.db.clone();
        let directory = directory_on(db, Masters::only(fresh), &house.clock).await;
        let opened = directory.open(account.id()).await.unwrap().unwrap();
        assert_eq!(opened.account.credential.get("password"), Some("pa55-word"));
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_damaged_value_is_named_and_stops_nothing() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (ana, ben) = (house.connect("ana").await, house.connect("ben").await);
        // Ben's sealed credential in Ana's row: moved values must not open.
        let db = &house.scratch.db;
        let stolen = tramontane_store::credentials::find(db, ben.id().number()).await.unwrap();
        let moved = tramontane_store::credentials::Credential {
            account: ana.id().number(),
            ..stolen.unwrap()
        };
        let row = tramontane_store::accounts::find(db, ana.id().number()).await.unwrap().unwrap();
        assert!(
            tramontane_store::accounts::update_with_credential(db, &row, &moved, None)
                .await
                .unwrap()
        );
        house.directory.forget_all();
        let refused = house.directory.open(ana.id()).await.unwrap_err();
        assert!(matches!(refused, Error::Vault(tramontane_vault::Error::Tampered)));
        let done = house.directory.keys().rotate().await.unwrap();
        assert_eq!(done.damaged, [format!("account:{}:credential", ana.id())]);
        assert_eq!(done.resealed, 2);
        assert!(house.directory.open(ben.id()).await.unwrap().is_some());
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn values_with_made_up_keys_are_refused_however_many_come_at_once() {
    let house = House::on(Scratch::sqlite().await).await;
    let keys = house.directory.keys();
    let expires = house.directory.clock().now().plus_seconds(60);
    let other = House::on(Scratch::sqlite().await).await;
    let foreign = other.directory.keys().sealer("pt_").seal("list", expires, &7).unwrap();
    let sealer = keys.sealer("pt_");
    let tries = (0..50).map(|_| keys.open_token::<i32>(&sealer, "list", &foreign));
    for refused in futures::future::join_all(tries).await {
        let unknown =
            tramontane_vault::Error::UnknownKey(other.directory.keys().ring().active().to_string());
        assert!(matches!(refused, Err(Error::Vault(error)) if error == unknown));
    }
    other.leave().await.remove().await;
    house.leave().await.remove().await;
}
