//! Handshakes under way, codes, refresh tokens and families.

use serde_json::json;
use tramontane_model::Timestamp;
use tramontane_store::authorizations::{self, Code, RefreshToken};
use tramontane_store::connect_sessions::{self, ConnectSession};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::sweep::{Retention, sweep};
use tramontane_store::tokens::{self, Token};
use tramontane_store::{Db, accounts, applications};

use crate::rows;

fn session(id: &str) -> ConnectSession {
    ConnectSession {
        id: id.into(),
        application: "app-a".into(),
        request: json!({"state": "é"}),
        browser: None,
        step: "choosing".into(),
        detail: json!({}),
        service_state: None,
        version: 1,
        created: 10,
        modified: 10,
        expires: 100,
    }
}

fn code(hash: &str) -> Code {
    Code {
        hash: hash.into(),
        application: "app-a".into(),
        account: 1,
        family: format!("family of {hash}"),
        redirect_uri: Some("https://app.example.com/cb".into()),
        challenge: None,
        scope: "any".into(),
        access: None,
        used: None,
        created: 10,
        expires: 100,
    }
}

fn token(id: &str, family: &str) -> Token {
    Token {
        id: id.into(),
        account: 1,
        hash: format!("hash of {id}"),
        access: None,
        scope: "any".into(),
        label: String::new(),
        created: 20,
        expires: None,
        revoked: None,
        family: Some(family.into()),
    }
}

fn refresh(hash: &str, family: &str) -> RefreshToken {
    RefreshToken {
        hash: hash.into(),
        application: "app-a".into(),
        account: 1,
        family: family.into(),
        public_client: false,
        scope: "any".into(),
        access: Some("storage:read".into()),
        spent: None,
        successor: None,
        created: 20,
        expires: 1_000,
    }
}

async fn is_live(db: &Db, id: &str) -> bool {
    tokens::find_by_hash(db, &format!("hash of {id}")).await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_is_advanced_by_whoever_read_it_last_and_ends_with_its_time() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        assert!(connect_sessions::insert(db, &session("s"), 2).await.unwrap());
        let read = connect_sessions::find(db, "s", 99).await.unwrap().unwrap();
        assert_eq!(read, session("s"));
        assert_eq!(connect_sessions::find(db, "s", 100).await.unwrap(), None);
        let sent = ConnectSession {
            step: "at_service".into(),
            service_state: Some("st".into()),
            browser: Some("b".into()),
            ..read.clone()
        };
        assert!(connect_sessions::advance(db, &sent).await.unwrap());
        assert!(!connect_sessions::advance(db, &sent).await.unwrap(), "it was advanced already");
        let back = connect_sessions::find_by_state(db, "st", 99).await.unwrap().unwrap();
        assert_eq!((back.version, back.browser.as_deref()), (2, Some("b")));
        assert_eq!(connect_sessions::find_by_state(db, "st", 100).await.unwrap(), None);
        let done = ConnectSession { service_state: None, ..back };
        assert!(connect_sessions::advance(db, &done).await.unwrap());
        assert_eq!(connect_sessions::find_by_state(db, "st", 99).await.unwrap(), None);
        scratch
    })
    .await;
}

#[tokio::test]
async fn an_application_has_so_many_sessions_at_a_time() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        assert!(connect_sessions::insert(db, &session("1"), 2).await.unwrap());
        assert!(connect_sessions::insert(db, &session("2"), 2).await.unwrap());
        assert!(!connect_sessions::insert(db, &session("3"), 2).await.unwrap());
        let later = ConnectSession { created: 100, expires: 200, ..session("3") };
        assert!(connect_sessions::insert(db, &later, 2).await.unwrap(), "the others have ended");
        sweep(db, Timestamp::from_micros(150), &Retention::default()).await.unwrap();
        assert!(connect_sessions::find(db, "1", 0).await.unwrap().is_none());
        assert!(connect_sessions::find(db, "3", 0).await.unwrap().is_some());
        applications::delete(db, 1, "app-a", 160).await.unwrap().unwrap();
        assert!(connect_sessions::find(db, "3", 0).await.unwrap().is_none());
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_code_gives_once_and_its_family_ends_together() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        authorizations::insert_code(db, &code("c")).await.unwrap();
        let read = authorizations::find_code(db, "c").await.unwrap().unwrap();
        assert_eq!(read, code("c"));
        let family = read.family.clone();
        let (one, two, renewal) =
            (token("t", &family), token("t2", &family), refresh("r", &family));
        assert!(authorizations::redeem_code(db, &read, &one, Some(&renewal)).await.unwrap());
        assert!(!authorizations::redeem_code(db, &read, &two, None).await.unwrap());
        assert!(is_live(db, "t").await && !is_live(db, "t2").await);
        assert_eq!(authorizations::find_code(db, "c").await.unwrap().unwrap().used, Some(20));
        let hashes = authorizations::revoke_family(db, &family, 30).await.unwrap();
        assert_eq!(hashes, ["hash of t"]);
        assert!(!is_live(db, "t").await);
        assert_eq!(authorizations::find_refresh(db, "r").await.unwrap(), None);
        authorizations::insert_code(db, &code("d")).await.unwrap();
        assert!(authorizations::burn_code(db, "d", 40).await.unwrap());
        assert!(!authorizations::burn_code(db, "d", 50).await.unwrap());
        scratch
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_nothing_is_given_for_an_account_that_is_gone() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        authorizations::insert_code(db, &code("c")).await.unwrap();
        let given = refresh("r1", "f");
        assert!(
            authorizations::redeem_code(db, &code("c"), &token("t1", "f"), Some(&given))
                .await
                .unwrap()
        );
        let spent = RefreshToken {
            spent: Some(25),
            successor: Some("sealed".into()),
            expires: 90,
            ..given.clone()
        };
        assert!(
            authorizations::rotate(db, &spent, &token("t2", "f"), &refresh("r2", "f"))
                .await
                .unwrap()
        );
        assert!(
            !authorizations::rotate(db, &spent, &token("t3", "f"), &refresh("r3", "f"))
                .await
                .unwrap()
        );
        assert!(!is_live(db, "t3").await, "nothing of the second try is kept");
        assert_eq!(authorizations::find_refresh(db, "r1").await.unwrap(), Some(spent));
        sweep(db, Timestamp::from_micros(95), &Retention::default()).await.unwrap();
        assert_eq!(authorizations::find_refresh(db, "r1").await.unwrap(), None);
        accounts::delete(db, "app-a", 1, 96).await.unwrap().unwrap();
        assert_eq!(authorizations::find_refresh(db, "r2").await.unwrap(), None);
        assert_eq!(authorizations::find_code(db, "c").await.unwrap(), None);
        let (gone, late) = (code("c"), token("t4", "f"));
        assert!(!authorizations::redeem_code(db, &gone, &late, None).await.unwrap());
        scratch
    })
    .await;
}
