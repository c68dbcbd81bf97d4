//! Grants are refreshed once, by whoever is first, and none is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tramontane_accounts::{AccountChange, CredentialState};
use tramontane_connector::oauth::REFRESH_TOKEN;
use tramontane_connector::{Credential, Kind, Retry};
use tramontane_model::Clock as _;
use tramontane_sandbox::find;
use tramontane_store::grants as leases;
use tramontane_store::scratch::{Scratch, on_each_engine};

use crate::drive::{Endpoint, IDLE, Trouble, granted, grants, now, token};
use crate::house::House;

const NONE: Duration = Duration::ZERO;
const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_token_that_serves_comes_from_memory_alone() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, NONE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    let first = token(&grants, &account, None).await.unwrap();
    // Without a database there is nothing to read or to write.
    house.scratch.db.close().await;
    house.directory.forget_all();
    house.clock.turn_seconds(3_200);
    for _ in 0..100 {
        assert_eq!(token(&grants, &account, None).await.unwrap(), first);
    }
    assert_eq!(endpoint.calls(), 0);
}

#[tokio::test]
async fn many_callers_in_two_processes_make_one_refresh_and_all_get_its_token() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let other = house.other_process().await;
        let (here, there) = (grants(&house.directory, &endpoint), grants(&other, &endpoint));
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        let old = token(&here, &account, None).await.unwrap();
        assert_eq!(token(&there, &account, None).await.unwrap(), old);
        house.clock.turn_seconds(3_600);
        let calls = (0..64).map(|number| {
            let grants = if number % 2 == 0 { &here } else { &there };
            token(grants, &account, None)
        });
        let tokens = futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(endpoint.calls(), 1);
        assert!(tokens.iter().all(|token| *token == tokens[0] && *token != old));
        let after = now(&house.directory, account.id()).await;
        // The row's own count moved, so that nobody overwrites it; what connectors see did not.
        assert!(after.row.revision > account.row.revision);
        assert_eq!(after.account.revision, account.account.revision);
        let expiry = house.clock.now().plus_seconds(3_600).micros();
        assert_eq!(after.row.token_expiry, Some(expiry));
        assert_ne!(
            after.account.credential.get(REFRESH_TOKEN),
            account.account.credential.get(REFRESH_TOKEN)
        );
        other.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_while_it_still_serves() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, NONE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    house.clock.turn_seconds(3_400);
    let hold = Arc::new(Notify::new());
    endpoint.next(Trouble::Hold(hold.clone()));
    let old = token(&grants, &account, None).await.unwrap();
    endpoint.arrived.notified().await;
    // The endpoint is slow; nobody has to wait for it.
    assert_eq!(token(&grants, &account, None).await.unwrap(), old);
    hold.notify_one();
    grants.land().await;
    assert_ne!(token(&grants, &account, None).await.unwrap(), old);
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test]
async fn a_token_that_the_service_refuses_is_renewed_but_not_over_and_over() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, NONE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    let first = token(&grants, &account, None).await.unwrap();
    let second = token(&grants, &account, Some(&first)).await.unwrap();
    assert_ne!(first, second);
    // Whoever was refused the first one a moment later gets the second.
    assert_eq!(token(&grants, &account, Some(&first)).await.unwrap(), second);
    let refused = token(&grants, &account, Some(&second)).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Credential);
    assert_eq!(endpoint.calls(), 1);
    house.clock.turn_seconds(11);
    assert_ne!(token(&grants, &account, Some(&second)).await.unwrap(), second);
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test]
async fn a_grant_that_the_service_ended_is_dead_at_once_and_connecting_again_revives_it() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let grants = grants(&house.directory, &endpoint);
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        endpoint.issuer.revoke_person(find("ana").unwrap());
        house.clock.turn_seconds(3_600);
        let refused = token(&grants, &account, None).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry), (Kind::Credential, Retry::Never));
        let dead = now(&house.directory, account.id()).await;
        assert_eq!(dead.row.credential_state, CredentialState::Dead);
        assert_eq!(dead.row.credential_reason.as_deref(), Some("revoked"));
        assert_eq!(dead.row.credential_since, house.clock.now().micros());
        let kept = dead.account.credential.get(REFRESH_TOKEN);
        assert_eq!(kept, account.account.credential.get(REFRESH_TOKEN), "nothing is deleted");
        for _ in 0..3 {
            let refused = token(&grants, &account, None).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Credential);
        }
        house.clock.turn_seconds(IDLE);
        assert_eq!(grants.look_after().await.unwrap(), 0);
        assert_eq!(endpoint.calls(), 1, "a dead grant is left alone");
        let new = granted(&endpoint, &house.clock);
        let again = house.directory.import(house.app(), new).await.unwrap().opened;
        assert_eq!(again.id(), account.id());
        assert_eq!(again.row.credential_state, CredentialState::Ok);
        token(&grants, &again, None).await.unwrap();
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn someone_who_asks_gets_a_dead_grant_tried_again() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, NONE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    house.clock.turn_seconds(3_600);
    let body = r#"{"error": "invalid_grant", "error_description": "AADSTS53003: blocked"}"#;
    endpoint.next(Trouble::Say(400, body.into()));
    token(&grants, &account, None).await.unwrap_err();
    let dead = now(&house.directory, account.id()).await;
    assert_eq!(dead.row.credential_reason.as_deref(), Some("admin_policy"));
    grants.retry(account.id()).await.unwrap();
    let alive = now(&house.directory, account.id()).await;
    assert_eq!(alive.row.credential_state, CredentialState::Ok);
    assert_eq!(alive.row.credential_reason, None);
    token(&grants, &alive, None).await.unwrap();
}

#[tokio::test]
async fn failures_without_a_clear_answer_are_the_services_and_end_nothing() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let grants = grants(&house.directory, &endpoint);
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        house.clock.turn_seconds(3_600);
        let long = format!("{{\"access_token\": \"{}\"}}", "a".repeat(200_000));
        let html = "<html>Bad gateway</html>";
        let troubles = [
            (500, r#"{"error": "invalid_grant"}"#, Kind::Broken),
            (503, html, Kind::Broken),
            (200, html, Kind::Broken),
            (404, html, Kind::Broken),
            (200, "{}", Kind::Broken),
            (200, long.as_str(), Kind::Broken),
            (429, "{}", Kind::RateLimited),
            (401, r#"{"error": "invalid_client"}"#, Kind::Broken),
            (400, r#"{"error": "invalid_request"}"#, Kind::Broken),
        ];
        for (status, body, kind) in troubles {
            for _ in 0..3 {
                endpoint.next(Trouble::Say(status, body.into()));
            }
            let failed = token(&grants, &account, None).await.unwrap_err();
            assert_eq!(failed.kind, kind, "{status} {failed}");
            let calls = endpoint.calls();
            // For a moment the endpoint is left alone, and the failure is told at once.
            let failed = token(&grants, &account, None).await.unwrap_err();
            assert_eq!(failed.kind, kind, "{status} {failed}");
            assert_eq!(endpoint.calls(), calls);
            let after = now(&house.directory, account.id()).await;
            assert_ne!(after.row.credential_state, CredentialState::Dead, "{status} {body}");
            house.clock.turn_seconds(5);
            while endpoint.skip() {}
        }
        for _ in 0..3 {
            endpoint.next(Trouble::Unreachable);
        }
        assert_eq!(token(&grants, &account, None).await.unwrap_err().kind, Kind::Unavailable);
        house.clock.turn_seconds(5);
        // And the grant is as good as ever.
        token(&grants, &account, None).await.unwrap();
        let after = now(&house.directory, account.id()).await;
        assert_eq!(after.row.credential_state, CredentialState::Ok);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_costs_nothing_where_the_service_gives_it_again() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, GRACE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    house.clock.turn_seconds(3_600);
    endpoint.next(Trouble::LoseAnswer);
    let fresh = token(&grants, &account, None).await.unwrap();
    assert!(endpoint.issuer.bearer_of(&fresh).is_some());
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_named_where_the_service_does_not_give_it_again() {
    let house = House::on(Scratch::sqlite().await).await;
    let endpoint = Endpoint::new(&house.clock, NONE);
    let grants = grants(&house.directory, &endpoint);
    let new = granted(&endpoint, &house.clock);
    let account = house.directory.import(house.app(), new).await.unwrap().opened;
    house.clock.turn_seconds(3_600);
    endpoint.next(Trouble::LoseAnswer);
    let refused = token(&grants, &account, None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Credential);
    let dead = now(&house.directory, account.id()).await;
    assert_eq!(dead.row.credential_reason.as_deref(), Some("refresh_interrupted"));
    assert!(!endpoint.issuer.stands(find("ana").unwrap()), "the service ended it, not we");
}

#[tokio::test]
async fn a_process_that_died_on_the_way_holds_nobody_up_for_longer_than_its_lease() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let grants = grants(&house.directory, &endpoint);
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        house.clock.turn_seconds(3_600);
        let (db, id, at) = (&house.scratch.db, account.id().number(), house.clock.now().micros());
        let until = at + 60_000_000;
        let dead = leases::acquire(db, id, "dead", at, until).await.unwrap().unwrap();
        let lease = leases::Lease { account: id, epoch: dead.epoch };
        let hash = tramontane_vault::hash(account.account.credential.get(REFRESH_TOKEN).unwrap());
        assert!(leases::intend(db, lease, &hash, at, until).await.unwrap());
        assert!(leases::acquire(db, id, "second", at, until).await.unwrap().is_none());
        let waiting = tokio::spawn({
            let (grants, account) = (grants.clone(), account.clone());
            async move { token(&grants, &account, None).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(endpoint.calls(), 0);
        house.clock.turn_seconds(61);
        let fresh = waiting.await.unwrap().unwrap();
        assert!(endpoint.issuer.bearer_of(&fresh).is_some());
        // The one that was thought dead can do no harm any more.
        assert!(!leases::intend(db, lease, &hash, at, until).await.unwrap());
        assert!(!leases::kill(db, lease, 2, "revoked", at).await.unwrap());
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_lease_ran_out_is_kept_all_the_same() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let other = house.other_process().await;
        let (here, there) = (grants(&house.directory, &endpoint), grants(&other, &endpoint));
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        house.clock.turn_seconds(3_600);
        let hold = Arc::new(Notify::new());
        endpoint.next(Trouble::Hold(hold.clone()));
        let late = tokio::spawn({
            let (here, account) = (here.clone(), account.clone());
            async move { token(&here, &account, None).await }
        });
        endpoint.arrived.notified().await;
        house.clock.turn_seconds(61);
        // The other one finds the intent, asks again with the spent token, and is refused.
        endpoint.next(Trouble::Say(400, r#"{"error": "invalid_grant"}"#.into()));
        token(&there, &account, None).await.unwrap_err();
        let dead = now(&other, account.id()).await;
        assert_eq!(dead.row.credential_reason.as_deref(), Some("refresh_interrupted"));
        hold.notify_one();
        let fresh = late.await.unwrap().unwrap();
        assert!(endpoint.issuer.bearer_of(&fresh).is_some());
        let alive = now(&other, account.id()).await;
        assert_eq!(alive.row.credential_state, CredentialState::Ok);
        assert_eq!(token(&there, &alive, None).await.unwrap(), fresh);
        other.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn what_is_changed_during_a_refresh_stays_changed_and_a_new_grant_wins() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let grants = grants(&house.directory, &endpoint);
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        let held_up = |change: AccountChange| {
            let (grants, endpoint, account) = (grants.clone(), endpoint.clone(), account.clone());
            let directory = &house.directory;
            let app = house.app();
            async move {
                let hold = Arc::new(Notify::new());
                endpoint.next(Trouble::Hold(hold.clone()));
                let calling = tokio::spawn({
                    let account = account.clone();
                    async move { token(&grants, &account, None).await }
                });
                endpoint.arrived.notified().await;
                directory.update_account(app, account.id(), &change).await.unwrap();
                hold.notify_one();
                calling.await.unwrap().unwrap()
            }
        };
        house.clock.turn_seconds(3_600);
        let renamed = AccountChange { display: Some("Ana".into()), ..AccountChange::default() };
        let fresh = held_up(renamed).await;
        let after = now(&house.directory, account.id()).await;
        assert_eq!(after.row.display, "Ana");
        assert_eq!(after.account.credential.get("access_token"), Some(fresh.as_str()));
        house.clock.turn_seconds(3_600);
        let grant = endpoint.issuer.grant(find("ana").unwrap(), "files");
        let given = [
            ("access_token", grant.access_token.clone()),
            ("refresh_token", grant.refresh_token.unwrap()),
        ];
        let again = AccountChange {
            credential: Some(Credential::from_iter(given)),
            token_expiry: Some(None),
            ..AccountChange::default()
        };
        assert_eq!(held_up(again).await, grant.access_token);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn idle_grants_are_refreshed_before_they_lapse_by_one_of_the_nodes() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let endpoint = Endpoint::new(&house.clock, NONE);
        let other = house.other_process().await;
        let (here, there) = (grants(&house.directory, &endpoint), grants(&other, &endpoint));
        let new = granted(&endpoint, &house.clock);
        let account = house.directory.import(house.app(), new).await.unwrap().opened;
        assert_eq!(here.look_after().await.unwrap(), 0, "a new grant is only taken note of");
        house.clock.turn_seconds(IDLE / 4);
        assert_eq!(here.look_after().await.unwrap(), 0, "it is too early");
        house.clock.turn_seconds(IDLE / 3);
        let both = futures::future::join(here.look_after(), there.look_after()).await;
        assert_eq!(both.0.unwrap() + both.1.unwrap(), 1);
        assert_eq!(endpoint.calls(), 1);
        house.clock.turn_seconds(IDLE * 6 / 10);
        assert_eq!(there.look_after().await.unwrap(), 1);
        let after = now(&house.directory, account.id()).await;
        let stored = after.account.credential.get("access_token").unwrap();
        assert!(endpoint.issuer.bearer_of(stored).is_some());
        other.db().close().await;
        house.leave().await
    })
    .await;
}
